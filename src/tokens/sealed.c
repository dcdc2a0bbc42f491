/* Seals and opens tokens; see sealed.h. */
#include "tokens/sealed.h"

#include "base/base64.h"
#include "base/buf.h"

#include <openssl/crypto.h>

#include <assert.h>
#include <string.h>

#define VERSION 1
/* One token has one spelling. */
#define TOKEN_FORM (BASE64_URL | BASE64_UNPADDED)
#define HEAD_BYTES 3 /* version, purpose, length of the key id */

static struct slice mac_input(struct buf *buf, struct slice sealed,
                              const struct token_claim *claim);

char *token_seal(struct arena *arena, struct token_keys *keys, const struct token_claim *claim)
{
    char id[TOKEN_KEY_ID_MAX + 1];
    uint8_t mac[TOKEN_MAC_BYTES];
    AUTO(buf_deinit) struct buf token = BUF_EMPTY;
    bool signed_now = false;
    assert(claim->body.size <= SEALED_BODY_MAX);
    while (!signed_now) { /* again only when the key was replaced between the two steps */
        AUTO(buf_deinit) struct buf input = BUF_EMPTY;
        token_keys_signer(keys, id);
        buf_clear(&token);
        buf_put_byte(&token, VERSION);
        buf_put_byte(&token, (uint8_t)claim->purpose);
        buf_put_byte(&token, (uint8_t)strlen(id));
        buf_put_str(&token, id);
        buf_put_slice(&token, claim->body);
        struct slice covered = mac_input(&input, buf_slice(&token), claim);
        signed_now = token_keys_mac(keys, slice_of_str(id), covered, mac);
    }
    buf_put(&token, mac, sizeof mac);
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    base64_put(&text, buf_slice(&token), TOKEN_FORM);
    return arena_strndup(arena, buf_slice(&text).data, buf_size(&text));
}

bool token_open(struct arena *arena, struct token_keys *keys, struct slice text,
                struct token_claim *claim)
{
    struct slice bytes;
    if (text.size > SEALED_TEXT_MAX || !base64_take(arena, text, TOKEN_FORM, &bytes))
        return false;
    if (bytes.size < HEAD_BYTES || bytes.data[0] != VERSION ||
        bytes.data[1] != (uint8_t)claim->purpose)
        return false;
    size_t id_size = bytes.data[2];
    if (bytes.size < HEAD_BYTES + id_size + TOKEN_MAC_BYTES)
        return false;
    struct slice id = slice_make(bytes.data + HEAD_BYTES, id_size);
    struct slice sealed = slice_make(bytes.data, bytes.size - TOKEN_MAC_BYTES);
    struct token_claim found = *claim;
    found.body = slice_skip(sealed, HEAD_BYTES + id_size);
    AUTO(buf_deinit) struct buf input = BUF_EMPTY;
    uint8_t mac[TOKEN_MAC_BYTES];
    if (found.body.size > SEALED_BODY_MAX ||
        !token_keys_mac(keys, id, mac_input(&input, sealed, &found), mac))
        return false;
    size_t compared = sizeof mac;
#ifdef PLANTED_BUG /* for tests/fuzz: the last byte may be anything */
    compared--;
#endif
    if (CRYPTO_memcmp(mac, bytes.data + sealed.size, compared) != 0)
        return false;
    claim->body = found.body;
    return true;
}

/* The body's length keeps a byte from wandering between body and scope. */
static struct slice mac_input(struct buf *buf, struct slice sealed, const struct token_claim *claim)
{
    buf_put_slice(buf, sealed);
    buf_put_byte(buf, (uint8_t)(claim->body.size >> 8));
    buf_put_byte(buf, (uint8_t)(claim->body.size & 0xFF));
    buf_put_slice(buf, claim->scope);
    return buf_slice(buf);
}
