/* What a consistency token holds; see consistency_token.h.  The tenant stands in the body, so the MAC covers
 * it. */
#include "tokens/consistency_token.h"

#include "tokens/sealed.h"

#include <assert.h>
#include <string.h>

#define BODY_BYTES (16 + 3 * 8)

static void put_int(uint8_t *out, int64_t number);
static int64_t get_int(const uint8_t *bytes);

char *consistency_token_make(struct arena *arena, struct token_keys *keys,
                             const struct consistency_point *point)
{
    uint8_t body[BODY_BYTES];
    assert(!uuid_is_nil(&point->tenant) && point->sequence >= 0);
    memcpy(body, point->tenant.bytes, 16);
    put_int(body + 16, point->epoch.incarnation);
    put_int(body + 24, point->epoch.counter);
    put_int(body + 32, point->sequence);
    const struct token_claim claim = {TOKEN_CONSISTENCY, slice_make(body, sizeof body), {NULL, 0}};
    return token_seal(arena, keys, &claim);
}

bool consistency_token_parse(struct arena *arena, struct token_keys *keys, struct slice text,
                             struct consistency_point *point)
{
    struct token_claim claim = {TOKEN_CONSISTENCY, {NULL, 0}, {NULL, 0}};
    if (!token_open(arena, keys, text, &claim) || claim.body.size != BODY_BYTES)
        return false;
    const uint8_t *body = claim.body.data;
    memcpy(point->tenant.bytes, body, 16);
    point->epoch.incarnation = get_int(body + 16);
    point->epoch.counter = get_int(body + 24);
    point->sequence = get_int(body + 32);
    return true;
}

/* Network order. */
static void put_int(uint8_t *out, int64_t number)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
}

static int64_t get_int(const uint8_t *bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}
