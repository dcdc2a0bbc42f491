/* What the session's tests serve: a small service whose handlers answer, wait, refuse and break, and the state
 * they share with the client in memory (h2_pair.h). */
#ifndef TESTS_UNIT_RPC_H2_SERVICE_H
#define TESTS_UNIT_RPC_H2_SERVICE_H

#include "base/alloc.h"
#include "loop/task.h"
#include "rpc/framing.h"
#include "rpc/rpc_int.h"

#include "gen/errors.h"
#include "gen/pb/google/rpc/status.pb-c.h"

#include <check.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#define EXCHANGES_MAX 300
#define FIELDS_SEEN 64

struct seen_field {
    char name[64];
    char value[512];
    int block; /* 0: the first header block, 1: the trailers */
};

/* What the client sees of one stream. */
struct exchange {
    struct seen_field fields[FIELDS_SEEN];
    size_t field_count;
    int blocks;
    struct buf body;
    struct buf *request; /* what is sent, framed */
    bool closed;
    uint32_t error; /* of the close */
    bool reset;     /* an RST_STREAM frame came … */
    uint32_t reset_error;
};

struct pair {
    struct loop *loop;
    struct metrics *metrics;
    struct rpc_shared *shared;
    struct rpc_worker *worker;
    struct h2 *h2;
    bool wants_flush;
    bool ended;                    /* the server wants the connection closed */
    nghttp2_session *client;       /* NULL: raw frames */
    nghttp2_hd_inflater *inflater; /* reads the server's header blocks in the raw case */
    struct buf to_client;
    struct exchange *exchanges; /* by stream id / 2 */
    bool goaway;
    uint32_t goaway_error;
    int32_t goaway_last;
    int goaways;
    char goaway_text[64]; /* debug data of the last one */
    size_t pings; /* received by the client */
    size_t settings_acks;
    int invocations; /* handlers begun */
    int finished;    /* … and ended */
    int cancelled;   /* handlers whose wait was cancelled */
    const char *caller;
    struct arena *arena;
    int64_t metric_before;
};

/* --- the service: google.rpc.Status in, google.rpc.Status out ------------------------------------------ */

static inline int pair_echo(const void *server, struct call *call, const ProtobufCMessage *in,
                            ProtobufCMessage *out)
{
    (void)server;
    const Google__Rpc__Status *request = (const void *)in;
    Google__Rpc__Status *response = (void *)out;
    struct pair *pair = call->service;
    pair->invocations++;
    response->code = request->code;
    response->message = request->message;
    struct slice seen = call_metadata(call, "x-echo-bin");
    if (seen.data != NULL) {
        call_set_header(call, "x-echo-bin", seen);
        call_set_trailer(call, "x-trail-bin", seen);
    }
    pair->finished++;
    return OK;
}

/* Waits `code` milliseconds; a wait that ends otherwise is a fault. */
static inline int pair_sleep(const void *server, struct call *call, const ProtobufCMessage *in,
                             ProtobufCMessage *out)
{
    (void)server;
    (void)out;
    const Google__Rpc__Status *request = (const void *)in;
    struct pair *pair = call->service;
    pair->invocations++;
    enum wait_result result = task_sleep(&call->ctx, (uint64_t)request->code * NS_PER_MS);
    pair->finished++;
    pair->cancelled += result == WAIT_CANCELLED;
    return wait_fault(&call->ctx, result, "sleep");
}

/* Takes neither cancellation nor the deadline as a reason to stop. */
static inline int pair_stubborn(const void *server, struct call *call, const ProtobufCMessage *in,
                                ProtobufCMessage *out)
{
    (void)server;
    (void)out;
    const Google__Rpc__Status *request = (const void *)in;
    struct pair *pair = call->service;
    pair->invocations++;
    struct ctx own = call->ctx;
    own.deadline_ns = NO_DEADLINE;
    task_shield(&call->ctx, true);
    (void)task_sleep(&own, (uint64_t)request->code * NS_PER_MS);
    task_shield(&call->ctx, false);
    pair->finished++;
    return OK;
}

/* code 1: field violations; 2: with metadata and retry; 3: a fault with a secret; 4: many headers. */
static inline int pair_refuse(const void *server, struct call *call, const ProtobufCMessage *in,
                              ProtobufCMessage *out)
{
    (void)server;
    (void)out;
    const Google__Rpc__Status *request = (const void *)in;
    struct pair *pair = call->service;
    pair->invocations++;
    pair->finished++;
    switch (request->code) {
    case 1:
        (void)call_refuse_field(call, INVALID_ARGUMENT, "tenant.slug", "must be 50% \xC3\xA4");
        return call_refuse_field(call, INVALID_ARGUMENT, "tenant.plan", "must be there");
    case 2:
        (void)call_refuse_with(call, WRONG_REGION, "home_region", "us");
        return call_refuse_retry(call, WRONG_REGION, 1500 * NS_PER_MS);
    case 3:
        return FAULT(&call->ctx, FAULT_DATABASE, "password=hunter2 refused");
    default:
        for (int i = 0; i < CALL_HEADERS_MAX; i++) {
            call_set_header(call, "x-many", slice_of_str("h"));
            call_set_trailer(call, "x-more", slice_of_str("t"));
        }
        return request->code == 4 ? OK : TENANT_NOT_FOUND;
    }
}

/* The same, compressed if `code` is not 0. */
static inline int pair_choose(const void *server, struct call *call, const ProtobufCMessage *in,
                              ProtobufCMessage *out)
{
    call_compress(call, ((const Google__Rpc__Status *)(const void *)in)->code != 0);
    return pair_echo(server, call, in, out);
}

/* Answers `code` bytes of message. */
static inline int pair_large(const void *server, struct call *call, const ProtobufCMessage *in,
                             ProtobufCMessage *out)
{
    (void)server;
    const Google__Rpc__Status *request = (const void *)in;
    Google__Rpc__Status *response = (void *)out;
    struct pair *pair = call->service;
    pair->invocations++;
    size_t size = (size_t)request->code;
    response->message = arena_alloc(call->ctx.arena, size + 1);
    memset(response->message, 'x', size);
    pair->finished++;
    return OK;
}

/* Sends `code` messages with the request's text, numbered from 1; a negative number: as many and then a fault. */
static inline int pair_count(const void *server, struct call *call, const ProtobufCMessage *in,
                             ProtobufCMessage *out)
{
    (void)server;
    ck_assert_ptr_null(out);
    const Google__Rpc__Status *request = (const void *)in;
    Google__Rpc__Status message;
    struct pair *pair = call->service;
    int wanted = abs(request->code);
    int rc = OK;
    pair->invocations++;
    call_set_header(call, "x-before", slice_of_str("yes"));
    google__rpc__status__init(&message);
    message.message = request->message;
    for (int i = 1; i <= wanted && rc == OK; i++) {
        message.code = i;
        rc = call_send(call, &message.base);
    }
    call_set_trailer(call, "x-after", slice_of_str("yes"));
    pair->finished++;
    pair->cancelled += rc == FAULT_CANCELLED;
    return rc == OK && request->code < 0 ? SLUG_TAKEN : rc;
}

/* Sends the request's text `code` times, compressed every other time, the first among them. */
static inline int pair_alternate(const void *server, struct call *call, const ProtobufCMessage *in,
                                 ProtobufCMessage *out)
{
    (void)server;
    ck_assert_ptr_null(out);
    struct pair *pair = call->service;
    int wanted = ((const Google__Rpc__Status *)(const void *)in)->code;
    int rc = OK;
    pair->invocations++;
    for (int i = 0; i < wanted && rc == OK; i++) {
        call_compress(call, i % 2 == 0);
        rc = call_send(call, in);
    }
    pair->finished++;
    return rc;
}

/* Adds up the numbers until the client is done; stops at 1000. */
static inline int pair_sum(const void *server, struct call *call, const ProtobufCMessage *in,
                           ProtobufCMessage *out)
{
    (void)server;
    ck_assert_ptr_null(in);
    struct pair *pair = call->service;
    Google__Rpc__Status *response = (void *)out;
    const ProtobufCMessage *message = NULL;
    int rc = OK;
    pair->invocations++;
    while ((rc = call_receive(call, &message)) == OK && message != NULL) {
        response->code += ((const Google__Rpc__Status *)(const void *)message)->code;
        if (response->code >= 1000)
            break;
    }
    pair->finished++;
    pair->cancelled += rc == FAULT_CANCELLED;
    return rc;
}

/* Answers each message as it comes. */
static inline int pair_chat(const void *server, struct call *call, const ProtobufCMessage *in,
                            ProtobufCMessage *out)
{
    (void)server;
    ck_assert(in == NULL && out == NULL);
    struct pair *pair = call->service;
    const ProtobufCMessage *message = NULL;
    int rc = OK;
    pair->invocations++;
    while ((rc = call_receive(call, &message)) == OK && message != NULL && rc == OK)
        rc = call_send(call, message);
    pair->finished++;
    pair->cancelled += rc == FAULT_CANCELLED;
    return rc;
}

#define PAIR_STREAM(NAME, FUNCTION, FROM_CLIENT, FROM_SERVER)                                      \
    {                                                                                              \
        .path = "/test.v1.Pair/" NAME, .service = "test.v1.Pair", .name = NAME,                    \
        .policy = {.access = METHOD_ACCESS_READ},                                                  \
        .request = &google__rpc__status__descriptor, .response = &google__rpc__status__descriptor, \
        .client_streaming = FROM_CLIENT, .server_streaming = FROM_SERVER, .invoke = FUNCTION,      \
    }

#define PAIR_METHOD(NAME, FUNCTION, LIMIT)                                                         \
    {                                                                                              \
        .path = "/test.v1.Pair/" NAME, .service = "test.v1.Pair", .name = NAME,                    \
        .policy = {.access = METHOD_ACCESS_READ, .max_request_bytes = LIMIT},                      \
        .request = &google__rpc__status__descriptor, .response = &google__rpc__status__descriptor, \
        .invoke = FUNCTION,                                                                        \
    }

static const struct rpc_method pair_methods[] = {
    PAIR_METHOD("Echo", pair_echo, 0),     PAIR_METHOD("Sleep", pair_sleep, 0),
    PAIR_METHOD("Refuse", pair_refuse, 0), PAIR_METHOD("Stubborn", pair_stubborn, 0),
    PAIR_METHOD("Large", pair_large, 0),   PAIR_METHOD("Import", pair_echo, 3u << 20),
    PAIR_METHOD("Small", pair_echo, 100),  PAIR_METHOD("Unserved", NULL, 0),
    PAIR_METHOD("Choose", pair_choose, 0),
    {
        .path = "/test.v1.Pair/Look", .service = "test.v1.Pair", .name = "Look",
        .policy = {.access = METHOD_ACCESS_READ, .max_request_bytes = 100},
        .request = &google__rpc__status__descriptor, .response = &google__rpc__status__descriptor,
        .no_side_effects = true, .invoke = pair_echo,
    },
    PAIR_STREAM("Count", pair_count, false, true),
    PAIR_STREAM("Alternate", pair_alternate, false, true),
    PAIR_STREAM("Sum", pair_sum, true, false),
    PAIR_STREAM("Chat", pair_chat, true, true),
};
static const struct rpc_service pair_service = {
    .name = "test.v1.Pair",
    .methods = pair_methods,
    .method_count = sizeof pair_methods / sizeof pair_methods[0],
};

static inline const char *pair_identity(void *owner, const char *uri)
{
    const struct pair *pair = owner;
    return uri == NULL ? "stranger" : pair->caller;
}

static inline int pair_gate(struct call *call)
{
    return slice_is(call_metadata(call, "x-forbid"), "gate") ? CALLER_NOT_ALLOWED : OK;
}

static inline int pair_match(struct call *call, const ProtobufCMessage *request)
{
    (void)request;
    return slice_is(call_metadata(call, "x-forbid"), "match") ? TENANT_MISMATCH : OK;
}

static inline int pair_probe(void *owner, const char *path, struct buf *body)
{
    (void)owner;
    if (strcmp(path, "/health/live") != 0)
        return 404;
    buf_put_str(body, "{\"status\":\"live\"}");
    return 200;
}

#endif
