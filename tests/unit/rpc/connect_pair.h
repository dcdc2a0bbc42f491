/* Requests of Connect and gRPC-Web over a pair, and what has to come back. */
#ifndef TESTS_UNIT_RPC_CONNECT_PAIR_H
#define TESTS_UNIT_RPC_CONNECT_PAIR_H

#include "h2_pair.h"

#include <string.h>

#define JSON "application/json"

static inline struct buf *text_body(const char *text)
{
    struct buf *body = xcalloc(1, sizeof *body);
    buf_put_str(body, text);
    return body;
}

static inline struct buf *framed_text(const char *text)
{
    struct buf *body = xcalloc(1, sizeof *body);
    framing_put(body, slice_of_str(text));
    return body;
}

static inline struct pair *connected(void)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    return pair;
}

/* Takes the body over. */
static inline struct exchange *post(struct pair *pair, const char *method, const char *type,
                                    struct buf *body)
{
    char path[64];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", method);
    const struct extra extras[] = {{"content-type", type}, {"te", NULL}, {NULL, NULL}};
    return pair_finish(pair, pair_request(pair, path, extras, body));
}

static inline struct exchange *post_with(struct pair *pair, const char *name, const char *value)
{
    const struct extra extras[] = {{"content-type", JSON}, {name, value}, {NULL, NULL}};
    return pair_finish(pair, pair_request(pair, "/test.v1.Pair/Echo", extras, text_body("{}")));
}

static inline struct exchange *get(struct pair *pair, const char *path_and_query)
{
    const struct extra extras[] = {{":method", "GET"}, {"content-type", NULL}, {NULL, NULL}};
    char path[512];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", path_and_query);
    return pair_finish(pair, pair_request(pair, path, extras, text_body("")));
}

static inline void check_field(const struct exchange *exchange, const char *name, const char *value)
{
    const char *got = answer_field(exchange, name);
    ck_assert_msg(got != NULL && strcmp(got, value) == 0, "%s: %s, not %s", name,
                  got == NULL ? "absent" : got, value);
}

static inline void check_body(struct exchange *exchange, const char *expected)
{
    ck_assert_str_eq(buf_str(&exchange->body), expected);
}

/* A Connect unary error. */
static inline void check_error(struct exchange *exchange, const char *http_status, const char *code)
{
    char begin[64];
    snprintf(begin, sizeof begin, "{\"code\":\"%s\",\"message\":\"", code);
    check_field(exchange, ":status", http_status);
    check_field(exchange, "content-type", JSON);
    ck_assert_int_eq(exchange->blocks, 1);
    ck_assert_ptr_null(answer_field(exchange, "grpc-status"));
    const char *body = buf_str(&exchange->body);
    ck_assert_msg(strncmp(body, begin, strlen(begin)) == 0, "%s", body);
}

/* The next envelope of a body: flags and text; false: none. */
static inline bool envelope_next(struct slice *body, uint8_t *flags, char text[2048])
{
    if (body->size == 0)
        return false;
    ck_assert_uint_ge(body->size, FRAME_PREFIX_SIZE);
    size_t size = (size_t)body->data[3] << 8 | body->data[4];
    ck_assert_uint_ge(body->size, FRAME_PREFIX_SIZE + size);
    ck_assert_uint_lt(size, 2048);
    *flags = body->data[0];
    memcpy(text, body->data + FRAME_PREFIX_SIZE, size);
    text[size] = '\0';
    *body = slice_skip(*body, FRAME_PREFIX_SIZE + size);
    return true;
}

#endif
