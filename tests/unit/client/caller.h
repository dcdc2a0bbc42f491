/* A scripted server, a channel to it, and health checks on a plain thread. */
#ifndef TESTS_UNIT_CLIENT_CALLER_H
#define TESTS_UNIT_CLIENT_CALLER_H

#include "client/channel.h"
#include "gen/rpc/health.h"
#include "rpc/status.h"
#include "scripted.h"

static struct scripted server;
static struct client_channel *channel;
static struct ctx ctx;

static inline void set_up(void)
{
    scripted_init(&server);
    ctx_init(&ctx, NULL, NULL);
    ctx.arena = arena_new(0);
    channel = scripted_channel(&server, (struct client_settings){.address = NULL});
}

static inline void tear_down(void)
{
    client_channel_free(channel);
    scripted_stop(&server);
    scripted_deinit(&server);
    arena_free(ctx.arena);
}

static inline void serve(scripted_answer *answer)
{
    server.answer = answer;
    scripted_start(&server);
}

static inline struct client_call call_make(void)
{
    return (struct client_call){.ctx = &ctx, .channel = channel, .timeout_ns = PATIENCE_NS};
}

/* Of a task of its own. */
static inline struct ctx ctx_in(struct task *task)
{
    struct ctx own;
    ctx_init(&own, NULL, NULL);
    own.task = task;
    own.arena = arena_new(0);
    return own;
}

/* Turns until all tasks have ended. */
static inline void loop_out(struct loop *loop)
{
    uint64_t end = clock_now() + 2 * PATIENCE_NS;
    while (task_count(loop) > 0) {
        loop_turn(loop, 50 * NS_PER_MS);
        ck_assert_msg(clock_now() < end, "%zu tasks never ended", task_count(loop));
    }
}

static inline int ask(struct client_call *call, Grpc__Health__V1__HealthCheckResponse **out)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    *out = NULL;
    return health_check(call, &request, out);
}

/* The call ends with this status, without a message. */
static inline struct client_call ask_for(int status)
{
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_msg(ask(&call, &out) == OK, "%s", ctx.fault.text);
    ck_assert_msg(call.status == status, "status %d: %s", call.status, call.message);
    ck_assert_ptr_null(out);
    return call;
}

static inline void ask_well(void)
{
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_msg(ask(&call, &out) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_int_eq(out->status, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
}

static inline void ask_in_vain(enum fault_kind kind)
{
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_ne(ask(&call, &out), OK);
    ck_assert_msg(ctx.fault.kind == kind, "%d: %s", ctx.fault.kind, ctx.fault.text);
    ck_assert_int_eq(call.status, -1);
    ck_assert_ptr_null(out);
}

static inline TCase *caller_case(const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    return tcase;
}

#endif
