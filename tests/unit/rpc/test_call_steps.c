/* The order in which calls are dealt with: what stands in the table, and what a caller and the hooks see of it. */
#include "h2_pair.h"

#include <fcntl.h>
#include <unistd.h>

static const char *const order[] = {"limits",  "identity", "deadline", "tracing", "gate",
                                    "handler", "status",   "metrics",  "log"};

START_TEST(the_table_is_the_order)
    {
        ck_assert_uint_eq(call_step_count, sizeof order / sizeof order[0]);
        for (size_t i = 0; i < call_step_count; i++) {
            const struct call_step *step = &call_steps[i];
            ck_assert_str_eq(step->name, order[i]);
            ck_assert(step->enter != NULL || step->leave != NULL || step->done != NULL);
            ck_assert((i < 5) ==
                      (step->enter != NULL)); /* all of what enters is before the handler … */
            ck_assert((i == 3 || i > 6) ==
                      (step->leave != NULL)); /* … all of what leaves behind the status */
        }
        ck_assert_ptr_eq(call_steps[3].leave, call_trace);
        ck_assert_ptr_eq(call_steps[7].leave, call_count);
        ck_assert_ptr_eq(call_steps[8].leave, call_log);
    }
END_TEST

/* Takes all tasks that the loop has, for a while. */
static void idle(struct task *task, void *argument)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, argument);
    ctx.task = task;
    (void)task_sleep(&ctx, 200 * NS_PER_MS);
}

static void take_all_tasks(struct pair *pair)
{
    while (task_start(pair->loop, idle, pair->arena, NULL))
        continue;
}

static void await_tasks(struct pair *pair)
{
    uint64_t limit = clock_now() + 10 * NS_PER_S;
    while (task_count(pair->loop) > 0) {
        pair_turn(pair);
        ck_assert(clock_now() < limit);
    }
}

static const char *reason_with(struct pair *pair, const char *path, const struct extra *extras)
{
    struct exchange *exchange =
        pair_finish(pair, pair_request(pair, path, extras, pair_message(1, "hello")));
    ck_assert_str_eq(answer_field(exchange, "x-request-id"), "req-of-the-test");
    const char *message = answer_field(exchange, "grpc-message");
    ck_assert_ptr_nonnull(message);
    return message;
}

static void expect_reason(struct pair *pair, const char *path, const struct extra *extras,
                          const char *reason)
{
    const char *message = reason_with(pair, path, extras);
    ck_assert_msg(strncmp(message, reason, strlen(reason)) == 0, "\"%s\" is not %s", message,
                  reason);
}

/* A request that every step would refuse is refused by the first; mended there, by the next.  All answers have
 * the request's id: identity and tracing are never left out. */
START_TEST(the_first_refusal_stands)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        const struct extra all[] = {{"x-request-id", "req-of-the-test"},
                                    {"grpc-timeout", "soon"},
                                    {"x-forbid", "gate"},
                                    {NULL, NULL}};
        const struct extra timely[] = {
            {"x-request-id", "req-of-the-test"}, {"x-forbid", "gate"}, {NULL, NULL}};
        const struct extra allowed[] = {
            {"x-request-id", "req-of-the-test"}, {"x-forbid", "match"}, {NULL, NULL}};
        pair_turns(pair, 3);
        take_all_tasks(pair);
        expect_reason(pair, "/test.v1.Pair/Nothing", all, "OVERLOADED");
        await_tasks(pair);
        expect_reason(pair, "/test.v1.Pair/Nothing", all, "METADATA_INVALID");
        expect_reason(pair, "/test.v1.Pair/Nothing", timely, "METHOD_UNKNOWN");
        expect_reason(pair, "/test.v1.Pair/Echo", timely, "CALLER_NOT_ALLOWED");
        expect_reason(pair, "/test.v1.Pair/Echo", allowed, "TENANT_MISMATCH");
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

/* What the gate found, by the time it was asked. */
static struct {
    int asked;
    int invocations;
    bool has_caller;
    bool has_deadline;
    bool has_request_id;
} seen;

static int curious_gate(struct call *call)
{
    const struct pair *pair = call->service;
    seen.asked++;
    seen.invocations = pair->invocations;
    seen.has_caller = strcmp(call->caller, "admin") == 0 && strcmp(call->ctx.caller, "admin") == 0;
    seen.has_deadline = call->ctx.deadline_ns < clock_now() + 6 * NS_PER_S;
    seen.has_request_id = strcmp(call->ctx.trace.request_id, "req-of-the-test") == 0;
    return OK;
}

START_TEST(the_gate_knows_caller_deadline_and_trace)
    {
        struct pair *pair = pair_new(NULL);
        pair->worker->hooks.gate = curious_gate;
        pair_connect(pair);
        const struct extra extras[] = {
            {"x-request-id", "req-of-the-test"}, {"grpc-timeout", "5S"}, {NULL, NULL}};
        struct exchange *exchange = pair_finish(
            pair, pair_request(pair, "/test.v1.Pair/Echo", extras, pair_message(1, "hello")));
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        ck_assert_int_eq(seen.asked, 1);
        ck_assert_int_eq(seen.invocations, 0); /* before the handler */
        ck_assert_int_eq(pair->invocations, 1);
        ck_assert(seen.has_caller && seen.has_deadline && seen.has_request_id);
        pair_free(pair);
    }
END_TEST

/* The line has what the steps before it found, also of a call that the first of them refused. */
START_TEST(the_log_is_last)
    {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        const struct log log = {.fd = ends[1], .level = LOG_INFO, .service = "test"};
        struct pair *pair = pair_make(NULL, &log);
        pair->h2 = h2_new(pair->worker, pair->caller, pair, pair_wants_flush);
        pair_connect(pair);
        const struct extra extras[] = {{"x-request-id", "req-of-the-test"}, {NULL, NULL}};
        pair_turns(pair, 3);
        take_all_tasks(pair);
        expect_reason(pair, "/test.v1.Pair/Echo", extras, "OVERLOADED");
        char line[2048] = "";
        ck_assert_int_gt(read(ends[0], line, sizeof line - 1), 0);
        static const char *const parts[] = {"\"rpc.call\"", "\"OVERLOADED\"", "\"admin\"",
                                            "req-of-the-test", "/test.v1.Pair/Echo"};
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            ck_assert_msg(strstr(line, parts[i]) != NULL, "%s is not in %s", parts[i], line);
        await_tasks(pair);
        pair_free(pair);
        close(ends[0]);
        close(ends[1]);
    }
END_TEST

Suite *suite_rpc_call_steps(void);
Suite *suite_rpc_call_steps(void)
{
    Suite *suite = suite_create("rpc_call_steps");
    TCase *tests = tcase_create("steps");
    tcase_add_test(tests, the_table_is_the_order);
    tcase_add_test(tests, the_first_refusal_stands);
    tcase_add_test(tests, the_gate_knows_caller_deadline_and_trace);
    tcase_add_test(tests, the_log_is_last);
    suite_add_tcase(suite, tests);
    return suite;
}
