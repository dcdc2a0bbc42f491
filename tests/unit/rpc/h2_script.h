/* Scripts of frames written by hand, for the suites of hostile clients. */
#ifndef TESTS_UNIT_RPC_H2_SCRIPT_H
#define TESTS_UNIT_RPC_H2_SCRIPT_H

#include "h2_pair.h"

struct script {
    struct pair *pair;
    struct buf bytes;
};

static inline void begin(struct script *script, const struct rpc_limits *limits)
{
    *script = (struct script){.pair = pair_new(limits)};
    raw_preface(&script->bytes);
}

/* Feeds what was written, in one piece, and reads the answers. */
static inline void play(struct script *script)
{
    pair_raw(script->pair, &script->bytes);
    pair_send(script->pair);
}

static inline void finish(struct script *script)
{
    buf_deinit(&script->bytes);
    pair_free(script->pair);
}

static inline void check_goaway(struct script *script, uint32_t error, const char *limit)
{
    ck_assert(script->pair->goaway);
    ck_assert_uint_eq(script->pair->goaway_error, error);
    ck_assert(script->pair->ended);
    if (limit != NULL)
        ck_assert_uint_ge(pair_limit(script->pair, limit), 1);
}

static inline void check_alive(struct script *script)
{
    ck_assert(!script->pair->goaway);
    ck_assert(!script->pair->ended);
}

static inline void put_number(struct buf *out, uint8_t type, uint32_t id, uint32_t number)
{
    const uint8_t payload[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                                (uint8_t)(number >> 8), (uint8_t)number};
    raw_frame(out, type, 0, id, slice_make(payload, 4));
}

static inline void put_call(struct buf *out, uint32_t id, const char *path, int code)
{
    raw_headers(out, id, path, 0);
    struct buf *body = pair_message(code, "");
    raw_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, buf_slice(body));
    pair_drop_body(body);
}

static inline void put_ping(struct buf *out)
{
    raw_frame(out, NGHTTP2_PING, 0, 0, slice_make("12345678", 8));
}

#endif
