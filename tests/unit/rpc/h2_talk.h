/* A client's stream that sends when it is told to. */
#ifndef TESTS_UNIT_RPC_H2_TALK_H
#define TESTS_UNIT_RPC_H2_TALK_H

#include "h2_pair.h"

#include <string.h>

struct talk {
    struct pair *pair;
    int32_t id;
    struct buf out;   /* not yet sent */
    bool half_closed; /* END_STREAM behind it */
    bool waits;       /* nghttp2 asked and there was nothing */
};

static inline ssize_t talk_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)user;
    struct talk *talk = source->ptr;
    size_t count = buf_size(&talk->out) < size ? buf_size(&talk->out) : size;
    if (count == 0 && !talk->half_closed) {
        talk->waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (count > 0)
        memcpy(out, buf_slice(&talk->out).data, count);
    buf_consume(&talk->out, count);
    if (buf_size(&talk->out) == 0 && talk->half_closed)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

static inline void talk_open(struct talk *talk, struct pair *pair, const char *method,
                      const struct extra *extras)
{
    *talk = (struct talk){.pair = pair};
    char path[64];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", method);
    nghttp2_nv fields[32];
    size_t count = pair_fields(path, extras, fields);
    nghttp2_data_provider provider = {.source.ptr = talk, .read_callback = talk_read};
    talk->id = nghttp2_submit_request(pair->client, NULL, fields, count, &provider, NULL);
    ck_assert_int_gt(talk->id, 0);
}

static inline void talk_resume(struct talk *talk)
{
    if (talk->waits)
        nghttp2_session_resume_data(talk->pair->client, talk->id);
    talk->waits = false;
    pair_turns(talk->pair, 3);
}

static inline void talk_say(struct talk *talk, int number)
{
    struct buf *message = pair_message(number, "hello");
    buf_put_slice(&talk->out, buf_slice(message));
    pair_drop_body(message);
    talk_resume(talk);
}

static inline struct exchange *talk_end(struct talk *talk)
{
    talk->half_closed = true;
    talk_resume(talk);
    struct exchange *exchange = pair_finish(talk->pair, talk->id);
    buf_deinit(&talk->out);
    return exchange;
}

#endif
