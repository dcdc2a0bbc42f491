/* What the fuzzed sessions serve, on a real worker and a real loop: a handler of each kind of call. */
#ifndef FUZZ_SESSION_SERVICE_H
#define FUZZ_SESSION_SERVICE_H

#include "rpc/rpc_int.h"

#include "gen/errors.h"
#include "gen/pb/google/rpc/status.pb-c.h"

#include <stdlib.h>

#define EXPECT(truth) ((truth) ? (void)0 : abort())

struct world {
    struct loop *loop;
    struct metrics *metrics;
    struct rpc_shared *shared;
    struct rpc_worker *worker;
};

static inline int serve_echo(const void *server, struct call *call, const ProtobufCMessage *in,
                             ProtobufCMessage *out)
{
    (void)server;
    const Google__Rpc__Status *request = (const void *)in;
    Google__Rpc__Status *response = (void *)out;
    response->code = request->code;
    response->message = request->message;
    if (request->code == 7)
        return call_refuse_field(call, INVALID_ARGUMENT, "message", request->message);
    if (request->code == 13)
        return FAULT(&call->ctx, FAULT_DATABASE, "broken on purpose");
    struct slice seen = call_metadata(call, "x-echo-bin");
    if (seen.data != NULL)
        call_set_trailer(call, "x-echo-bin", seen);
    return OK;
}

/* Only a cancellation or a deadline ends it. */
static inline int serve_wait(const void *server, struct call *call, const ProtobufCMessage *in,
                             ProtobufCMessage *out)
{
    (void)server;
    (void)in;
    (void)out;
    return wait_fault(&call->ctx, task_sleep(&call->ctx, 3600 * NS_PER_S), "sleep");
}

static inline int serve_large(const void *server, struct call *call, const ProtobufCMessage *in,
                              ProtobufCMessage *out)
{
    (void)server;
    size_t size = (uint32_t)((const Google__Rpc__Status *)(const void *)in)->code % 200000;
    Google__Rpc__Status *response = (void *)out;
    response->message = arena_alloc(call->ctx.arena, size + 1);
    memset(response->message, 'x', size);
    return OK;
}

static inline int serve_count(const void *server, struct call *call, const ProtobufCMessage *in,
                              ProtobufCMessage *out)
{
    (void)server;
    (void)out;
    const Google__Rpc__Status *request = (const void *)in;
    Google__Rpc__Status message;
    google__rpc__status__init(&message);
    message.message = request->message;
    int rc = OK;
    for (uint32_t i = 0; i < (uint32_t)request->code % 64 && rc == OK; i++) {
        message.code = (int32_t)i;
        rc = call_send(call, &message.base);
    }
    return rc == OK && request->code < 0 ? SLUG_TAKEN : rc;
}

static inline int serve_sum(const void *server, struct call *call, const ProtobufCMessage *in,
                            ProtobufCMessage *out)
{
    (void)server;
    (void)in;
    const ProtobufCMessage *message = NULL;
    int rc = OK;
    uint32_t sum = 0;
    while ((rc = call_receive(call, &message)) == OK && message != NULL && sum < 1000)
        sum += (uint32_t)((const Google__Rpc__Status *)(const void *)message)->code;
    ((Google__Rpc__Status *)(void *)out)->code = (int32_t)sum;
    return rc;
}

static inline int serve_chat(const void *server, struct call *call, const ProtobufCMessage *in,
                             ProtobufCMessage *out)
{
    (void)server;
    (void)in;
    (void)out;
    const ProtobufCMessage *message = NULL;
    int rc = OK;
    while ((rc = call_receive(call, &message)) == OK && message != NULL && rc == OK)
        rc = call_send(call, message);
    return rc;
}

#define SERVED(NAME, FUNCTION, LIMIT, FROM_CLIENT, FROM_SERVER, READS)                             \
    {                                                                                              \
        .path = "/fuzz.v1.Session/" NAME, .service = "fuzz.v1.Session", .name = NAME,              \
        .policy = {.access = METHOD_ACCESS_READ, .max_request_bytes = LIMIT},                      \
        .request = &google__rpc__status__descriptor, .response = &google__rpc__status__descriptor, \
        .client_streaming = FROM_CLIENT, .server_streaming = FROM_SERVER,                          \
        .no_side_effects = READS, .invoke = FUNCTION,                                              \
    }

static const struct rpc_method served_methods[] = {
    SERVED("Echo", serve_echo, 0, false, false, false),
    SERVED("Look", serve_echo, 100, false, false, true),
    SERVED("Import", serve_echo, 3u << 20, false, false, false),
    SERVED("Wait", serve_wait, 0, false, false, false),
    SERVED("Large", serve_large, 0, false, false, false),
    SERVED("Count", serve_count, 0, false, true, false),
    SERVED("Sum", serve_sum, 0, true, false, false),
    SERVED("Chat", serve_chat, 0, true, true, false),
    SERVED("Unserved", NULL, 0, false, false, false),
};
static const struct rpc_service served = {
    .name = "fuzz.v1.Session",
    .methods = served_methods,
    .method_count = sizeof served_methods / sizeof served_methods[0],
};

static inline const char *world_identity(void *owner, const char *uri)
{
    (void)owner;
    (void)uri;
    return "stranger";
}

static inline int world_gate(struct call *call)
{
    return slice_is(call_metadata(call, "x-forbid"), "gate") ? CALLER_NOT_ALLOWED : OK;
}

static inline int world_match(struct call *call, const ProtobufCMessage *request)
{
    (void)request;
    return slice_is(call_metadata(call, "x-forbid"), "match") ? TENANT_MISMATCH : OK;
}

static inline int world_probe(void *owner, const char *path, struct buf *body)
{
    (void)owner;
    (void)path;
    (void)body;
    return 404;
}

/* Made once: a process serves many sessions. */
static inline void world_open(struct world *world)
{
    world->loop = loop_new(48);
    world->metrics = metrics_new();
    world->shared = rpc_shared_new();
    struct rpc_registration registration = {&served, NULL, NULL};
    struct rpc_worker_settings settings = {
        .loop = world->loop,
        .shared = world->shared,
        .metrics = world->metrics,
        .limits = rpc_limits_default,
        .hooks = {.identity = world_identity,
                  .gate = world_gate,
                  .match = world_match,
                  .probe = world_probe},
        .registrations = &registration,
        .registration_count = 1,
    };
    world->worker = rpc_worker_open(&settings);
}

/* So low that a few hundred bytes reach each of them. */
static inline struct rpc_limits world_tight_limits(void)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.concurrent_streams = 5;
    limits.running_handlers = 2;
    limits.requests_per_turn = 2;
    limits.client_resets_burst = 6;
    limits.server_resets_burst = 6;
    limits.continuations = 3;
    limits.header_fields = 12;
    limits.header_bytes = 1000;
    limits.header_field_bytes = 300;
    limits.message_bytes = 300;
    limits.response_bytes = 100000;
    limits.queued_response_bytes = 1000;
    limits.settings_entries = 4;
    limits.settings_per_10s = 4;
    limits.outbound_acks = 4;
    limits.empty_data = 3;
    limits.priority_frames = 4;
    limits.control_frames = 30;
    return limits;
}

#endif
