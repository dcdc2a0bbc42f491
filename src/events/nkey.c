/* Derives an NKey's public half.  Called when connecting to NATS; must never log a seed. */
#include "events/nkey.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <assert.h>

/* Type bytes of the NKey format: the first letters of the text. */
#define PREFIX_SEED (18 << 3) /* S */
#define PREFIX_USER (20 << 3) /* U */

#define SEED_DIGITS 58 /* base 32 of: 2 bytes of type, 32 of key, 2 of check sum */
#define SEED_BYTES (2 + 32 + 2)
#define PUBLIC_BYTES (1 + 32 + 2)

static const char base32_digits[33] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static bool seed_decode(struct slice text, uint8_t key[32]);
static bool base32_decode(struct slice text, uint8_t *out, size_t size);
static void base32_encode(struct slice bytes, char *out);
static uint16_t crc16(struct slice bytes);
static bool ed25519_public(const uint8_t seed[32], uint8_t public[32]);

int nkey_public_of(struct ctx *ctx, struct slice seed_text, char out[NKEY_PUBLIC_SIZE])
{
    uint8_t key[32];
    uint8_t body[PUBLIC_BYTES] = {PREFIX_USER};
    if (!seed_decode(seed_text, key))
        return FAULT(ctx, FAULT_CONFIG, "not the NKey seed of a user (SU… with 58 characters)");
    bool derived = ed25519_public(key, body + 1);
    OPENSSL_cleanse(key, sizeof key);
    if (!derived)
        return FAULT(ctx, FAULT_INTERNAL, "Ed25519 is not available");
    uint16_t sum = crc16(slice_make(body, PUBLIC_BYTES - 2));
    body[PUBLIC_BYTES - 2] = (uint8_t)(sum & 0xFF);
    body[PUBLIC_BYTES - 1] = (uint8_t)(sum >> 8);
    base32_encode(slice_make(body, sizeof body), out);
    return OK;
}

/* Two bytes of types (S and U, 5 bits each), the key, CRC-16 in little-endian order. */
/* A file often ends with a newline; nothing else is forgiven.  The raw bytes are wiped whatever
 * the outcome. */
static bool seed_decode(struct slice text, uint8_t key[32])
{
    while (text.size > 0 && text.data[0] <= ' ')
        text = slice_skip(text, 1);
    while (text.size > 0 && text.data[text.size - 1] <= ' ')
        text.size--;
    uint8_t raw[SEED_BYTES];
    if (text.size != SEED_DIGITS || !base32_decode(text, raw, sizeof raw))
        return false;
    uint16_t sum = crc16(slice_make(raw, SEED_BYTES - 2));
    bool right = raw[0] == (PREFIX_SEED | PREFIX_USER >> 5) &&
                 raw[1] == ((PREFIX_USER & 31) << 3) && raw[SEED_BYTES - 2] == (sum & 0xFF) &&
                 raw[SEED_BYTES - 1] == sum >> 8;
    if (right)
        memcpy(key, raw + 2, 32);
    OPENSSL_cleanse(raw, sizeof raw);
    return right;
}

static bool base32_decode(struct slice text, uint8_t *out, size_t size)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = memchr(base32_digits, text.data[i], 32);
        if (digit == NULL)
            return false;
        bits = (bits << 5 | (uint32_t)(digit - base32_digits)) & 0xFFFF;
        held += 5;
        if (held >= 8) {
            held -= 8;
            if (used == size)
                return false;
            out[used++] = (uint8_t)(bits >> held);
        }
    }
    return used == size;
}

/* RFC 4648 section 6 without padding, as the NKey format has it. */
static void base32_encode(struct slice bytes, char *out)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = (bits << 8 | bytes.data[i]) & 0xFFFF;
        held += 8;
        while (held >= 5) {
            held -= 5;
            *out++ = base32_digits[bits >> held & 31];
        }
    }
    if (held > 0)
        *out++ = base32_digits[bits << (5 - held) & 31];
    *out = '\0';
}

/* CRC-16/XMODEM, as the NKey format says. */
static uint16_t crc16(struct slice bytes)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        sum ^= (uint32_t)bytes.data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            sum = (sum << 1 ^ ((sum & 0x8000) != 0 ? 0x1021u : 0)) & 0xFFFF;
    }
    return (uint16_t)sum;
}

/* The seed is RFC 8032's 32-byte private key; OpenSSL derives the public one from it. */
static bool ed25519_public(const uint8_t seed[32], uint8_t public[32])
{
    size_t size = 32;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    bool derived = key != NULL && EVP_PKEY_get_raw_public_key(key, public, &size) == 1;
    EVP_PKEY_free(key);
    assert(!derived || size == 32);
    return derived;
}
