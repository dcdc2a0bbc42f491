/* Keys that sign tokens; see token_keys.h.  Must never log a key.
 *
 * The first key signs, all verify: a new key is added behind, then moved to the front, then the
 * old one taken out, so that replicas may read the file at different times. */
#include "tokens/token_keys.h"

#include "base/alloc.h"
#include "base/random.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS " \t\r:"
#define FILE_BYTES_MAX ((size_t)16 * 1024)

struct token_key {
    char id[TOKEN_KEY_ID_MAX + 1];
    uint8_t bytes[TOKEN_KEY_BYTES];
    EVP_MAC_CTX *template; /* keyed; copied for each MAC, never used itself */
};

struct token_keys {
    pthread_rwlock_t lock; /* over all that follows; held for one MAC, a microsecond */
    struct token_key keys[TOKEN_KEYS_MAX];
    size_t count; /* > 0 once anybody else sees it */
};

static struct token_keys *keys_new(void);
static int parse_line(struct ctx *ctx, struct token_keys *keys, struct slice line, unsigned number);
static bool is_key_id(struct slice text);
static bool hex_decode(struct slice text, uint8_t *out, size_t size);
static struct slice next_word(struct slice *line);
static void key_arm(struct token_key *key);
static void key_clear(struct token_key *key);
static void mac_of(const struct token_key *key, struct slice bytes, uint8_t mac[TOKEN_MAC_BYTES]);

struct token_keys *token_keys_random(void)
{
    struct token_keys *keys = keys_new();
    keys->count = 1;
    snprintf(keys->keys[0].id, sizeof keys->keys[0].id, "own");
    random_bytes(keys->keys[0].bytes, TOKEN_KEY_BYTES);
    key_arm(&keys->keys[0]);
    return keys;
}

/* A file with one bad line is refused whole, and the keys in use stay. */
int token_keys_parse(struct ctx *ctx, struct slice text, struct token_keys **out)
{
    struct token_keys *keys = keys_new();
    int rc = OK;
    for (unsigned number = 1; rc == OK && text.size > 0; number++) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.data);
        rc = parse_line(ctx, keys, slice_make(text.data, size), number);
        text = slice_skip(text, end == NULL ? size : size + 1);
    }
    if (rc == OK && keys->count == 0)
        rc = FAULT(ctx, FAULT_CONFIG, "the keys file holds no key: write `ID HEX` with 64 digits");
    if (rc != OK) {
        token_keys_free(keys);
        return rc;
    }
    *out = keys;
    return OK;
}

/* The text is wiped: it holds the keys. */
int token_keys_load(struct ctx *ctx, const char *path, struct token_keys **out)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return FAULT(ctx, FAULT_CONFIG, "keys file %s: %s", path, strerror(errno));
    char *text = xcalloc(1, FILE_BYTES_MAX + 1);
    size_t size = fread(text, 1, FILE_BYTES_MAX + 1, file);
    bool broken = ferror(file) != 0;
    fclose(file);
    int rc = OK;
    if (broken || size > FILE_BYTES_MAX)
        rc = FAULT(ctx, FAULT_CONFIG, "keys file %s: %s", path,
                   broken ? "cannot be read" : "larger than 16 KiB");
    if (rc == OK)
        rc = token_keys_parse(ctx, slice_make(text, size), out);
    OPENSSL_cleanse(text, FILE_BYTES_MAX + 1);
    free(text);
    return rc;
}

/* Takes `fresh` over.  Those who sign or verify meanwhile see the old set or the new one, never
 * a mixture. */
void token_keys_replace(struct token_keys *keys, struct token_keys *fresh)
{
    struct token_key old[TOKEN_KEYS_MAX];
    assert(keys != fresh && fresh->count > 0);
    pthread_rwlock_wrlock(&keys->lock);
    size_t old_count = keys->count;
    memcpy(old, keys->keys, sizeof old);
    memcpy(keys->keys, fresh->keys, sizeof old);
    keys->count = fresh->count;
    pthread_rwlock_unlock(&keys->lock);
    OPENSSL_cleanse(fresh->keys, sizeof fresh->keys); /* their contexts moved */
    fresh->count = 0;
    token_keys_free(fresh);
    for (size_t i = 0; i < old_count; i++)
        key_clear(&old[i]);
}

void token_keys_free(struct token_keys *keys)
{
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++)
        key_clear(&keys->keys[i]);
    pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

void token_keys_signer(struct token_keys *keys, char id[TOKEN_KEY_ID_MAX + 1])
{
    pthread_rwlock_rdlock(&keys->lock);
    assert(keys->count > 0);
    memcpy(id, keys->keys[0].id, TOKEN_KEY_ID_MAX + 1);
    pthread_rwlock_unlock(&keys->lock);
}

/* Any thread.  The id is no secret, so comparing it needs no constant time; the MAC does, at
 * the caller's. */
bool token_keys_mac(struct token_keys *keys, struct slice id, struct slice bytes,
                    uint8_t mac[TOKEN_MAC_BYTES])
{
    bool found = false;
    pthread_rwlock_rdlock(&keys->lock);
    for (size_t i = 0; !found && i < keys->count; i++) {
        found = slice_is(id, keys->keys[i].id);
        if (found)
            mac_of(&keys->keys[i], bytes, mac);
    }
    pthread_rwlock_unlock(&keys->lock);
    return found;
}

static struct token_keys *keys_new(void)
{
    struct token_keys *keys = xcalloc(1, sizeof *keys);
    int rc = pthread_rwlock_init(&keys->lock, NULL);
    assert(rc == 0);
    return keys;
}

/* Messages name the line and never its content. */
static int parse_line(struct ctx *ctx, struct token_keys *keys, struct slice line, unsigned number)
{
    struct slice id = next_word(&line);
    if (id.size == 0 || id.data[0] == '#')
        return OK;
    struct slice hex = next_word(&line);
    if (!is_key_id(id))
        return FAULT(ctx, FAULT_CONFIG,
                     "keys file, line %u: the id must be 1 to 16 letters, digits, '_' or '-'",
                     number);
    if (keys->count == TOKEN_KEYS_MAX)
        return FAULT(ctx, FAULT_CONFIG, "keys file, line %u: more than %d keys", number,
                     TOKEN_KEYS_MAX);
    for (size_t i = 0; i < keys->count; i++) {
        if (slice_is(id, keys->keys[i].id))
            return FAULT(ctx, FAULT_CONFIG, "keys file, line %u: this id stands in it twice",
                         number);
    }
    struct token_key *key = &keys->keys[keys->count];
    bool good = hex_decode(hex, key->bytes, TOKEN_KEY_BYTES) && next_word(&line).size == 0;
    if (!good) {
        OPENSSL_cleanse(key->bytes, sizeof key->bytes);
        return FAULT(ctx, FAULT_CONFIG,
                     "keys file, line %u: after the id must stand 64 hexadecimal digits", number);
    }
    memcpy(key->id, id.data, id.size);
    key_arm(key);
    keys->count++;
    return OK;
}

static bool is_key_id(struct slice text)
{
    if (text.size > TOKEN_KEY_ID_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (!letter && !(byte >= '0' && byte <= '9') && byte != '_' && byte != '-')
            return false;
    }
    return text.size > 0;
}

static bool hex_decode(struct slice text, uint8_t *out, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        uint8_t lower = byte | 0x20;
        unsigned digit = byte >= '0' && byte <= '9'     ? byte - (unsigned)'0'
                         : lower >= 'a' && lower <= 'f' ? lower - (unsigned)'a' + 10
                                                        : 16;
        if (digit > 15)
            return false;
        out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
    }
    return true;
}

/* Up to the next blank or colon; empty at the line's end. */
static struct slice next_word(struct slice *line)
{
    size_t start = 0;
    while (start < line->size && strchr(SEPARATORS, line->data[start]) != NULL)
        start++;
    size_t end = start;
    while (end < line->size && strchr(SEPARATORS, line->data[end]) == NULL)
        end++;
    struct slice word = slice_make(line->data + start, end - start);
    *line = slice_skip(*line, end);
    return word;
}

/* Keyed once: HMAC's two key blocks are hashed here, and each MAC copies the state. */
static void key_arm(struct token_key *key)
{
    char name[] = OSSL_MAC_NAME_HMAC;
    char digest[] = "SHA256";
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, name, NULL);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    key->template = EVP_MAC_CTX_new(hmac);
    int rc = EVP_MAC_init(key->template, key->bytes, sizeof key->bytes, params);
    assert(rc == 1);
    EVP_MAC_free(hmac);
}

static void key_clear(struct token_key *key)
{
    EVP_MAC_CTX_free(key->template);
    OPENSSL_cleanse(key, sizeof *key);
}

/* Truncated to TOKEN_MAC_BYTES from the left, as RFC 2104 section 5 allows. */
static void mac_of(const struct token_key *key, struct slice bytes, uint8_t mac[TOKEN_MAC_BYTES])
{
    uint8_t whole[32];
    size_t size = 0;
    EVP_MAC_CTX *copy = EVP_MAC_CTX_dup(key->template);
    int rc = EVP_MAC_update(copy, bytes.data, bytes.size) == 1 &&
             EVP_MAC_final(copy, whole, &size, sizeof whole) == 1;
    assert(rc == 1 && size == sizeof whole);
    EVP_MAC_CTX_free(copy);
    memcpy(mac, whole, TOKEN_MAC_BYTES);
}
