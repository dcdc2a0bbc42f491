/* Seals and opens tokens; see sealed.h. */
#include "tokens/sealed.h"

#include "base/buf.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <assert.h>
#include <string.h>

#define VERSION 1
#define HEAD_BYTES 3 /* version, purpose, length of the key id */

static struct slice mac_input(struct buf *buf, struct slice sealed,
                              const struct token_claim *claim);
static char *base64url_encode(struct arena *arena, struct slice bytes);
static bool base64url_decode(struct arena *arena, struct slice text, struct slice *bytes);
static int base64url_digit(uint8_t letter);

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
    return base64url_encode(arena, buf_slice(&token));
}

bool token_open(struct arena *arena, struct token_keys *keys, struct slice text,
                struct token_claim *claim)
{
    struct slice bytes;
    if (text.size > SEALED_TEXT_MAX || !base64url_decode(arena, text, &bytes))
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

/* RFC 4648 section 5, without padding. */
static char *base64url_encode(struct arena *arena, struct slice bytes)
{
    char *text = arena_alloc(arena, (bytes.size + 2) / 3 * 4 + 1);
    int size = EVP_EncodeBlock((unsigned char *)text, bytes.data, (int)bytes.size);
    for (int i = 0; i < size; i++)
        text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    text[strcspn(text, "=")] = '\0';
    return text;
}

/* Strict: no padding, no other letter, and no bits that are lost (one token has one spelling). */
static bool base64url_decode(struct arena *arena, struct slice text, struct slice *bytes)
{
    if (text.size % 4 == 1)
        return false;
    uint8_t *out = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = base64url_digit(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[size++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    *bytes = slice_make(out, size);
    return bits == 0;
}

static int base64url_digit(uint8_t letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    return letter == '-' ? 62 : letter == '_' ? 63 : -1;
}
