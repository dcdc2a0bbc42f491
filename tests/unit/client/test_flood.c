/* Servers that never stop talking: the caller's deadline counts all the same, on threads and in tasks. */
#include "caller.h"

static const Grpc__Health__V1__HealthCheckRequest watched =
    GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

/* Messages of seven bytes for ever, as windows allow. */
static ssize_t read_on(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)source, (void)user, (void)flags;
    struct slice message = serving();
    size_t made = 0;
    while (size - made >= message.size) {
        memcpy(out + made, message.data, message.size);
        made += message.size;
    }
    return made > 0 ? (ssize_t)made : NGHTTP2_ERR_DEFERRED;
}

static void answer_for_ever(struct scripted *self, int32_t id, bool whole)
{
    nghttp2_nv fields[8];
    char copy[256];
    size_t count = scripted_fields(GRPC_FIELDS, fields, copy);
    nghttp2_data_provider provider = {.read_callback = read_on};
    if (whole)
        ck_assert_int_eq(nghttp2_submit_response(self->session, id, fields, count, &provider), 0);
}

/* Takes what comes until the call fails. */
static int watch_on(struct client_call *call)
{
    Grpc__Health__V1__HealthCheckResponse *message = NULL;
    struct client_stream *stream = NULL;
    call->timeout_ns = 100 * NS_PER_MS;
    int rc = health_watch_open(call, &watched, &stream);
    while (rc == OK) {
        rc = health_watch_next(stream, call->ctx->arena, &message);
        ck_assert(rc != OK || message != NULL);
        arena_reset(call->ctx->arena);
    }
    client_stream_close(stream);
    return rc;
}

START_TEST(a_deadline_counts_while_messages_come)
{
    serve(answer_for_ever);
    struct client_call call = call_make();
    ck_assert_int_ne(watch_on(&call), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_TIMEOUT);
    scripted_await(&server, SEEN_RESET, 1);
}
END_TEST

/* A call that must fail, made in a task. */
struct trial {
    int (*call)(struct client_call *call);
    enum fault_kind kind;
};

static void try_in_task(struct task *task, void *argument)
{
    struct trial *trial = argument;
    struct ctx own = ctx_in(task);
    struct client_call call = call_make();
    call.ctx = &own;
    ck_assert_int_ne(trial->call(&call), OK);
    trial->kind = own.fault.kind;
    arena_free(own.arena);
}

/* How it failed. */
static enum fault_kind failed_in_task(int (*call)(struct client_call *call))
{
    struct trial trial = {.call = call, .kind = FAULT_INTERNAL};
    struct loop *loop = loop_new(1);
    ck_assert(task_start(loop, try_in_task, &trial, NULL));
    loop_out(loop);
    client_channel_free(TAKE(channel));
    loop_free(loop);
    return trial.kind;
}

START_TEST(and_in_a_task)
{
    serve(answer_for_ever);
    ck_assert_int_eq(failed_in_task(watch_on), FAULT_TIMEOUT);
}
END_TEST

static void answer_with_a_flood(struct scripted *self, int32_t id, bool whole)
{
    (void)id;
    self->floods = whole;
}

/* Of frames that no window bounds and that say nothing (RFC 9113 section 4.1: "ignore and discard frames of unknown
 * types").  Where the client is the faster one its socket is empty at times, and the deadline ends the call. */
static void check_flooded(enum fault_kind kind)
{
    ck_assert_msg(kind == FAULT_PROTOCOL || kind == FAULT_TIMEOUT, "%d", (int)kind);
}

static int ask_briefly(struct client_call *call)
{
    Grpc__Health__V1__HealthCheckResponse *out;
    call->timeout_ns = 200 * NS_PER_MS;
    return ask(call, &out);
}

START_TEST(a_flood_keeps_no_caller)
{
    serve(answer_with_a_flood);
    struct client_call call = call_make();
    ck_assert_int_ne(ask_briefly(&call), OK);
    check_flooded(ctx.fault.kind);
}
END_TEST

START_TEST(a_flood_keeps_no_loop)
{
    serve(answer_with_a_flood);
    check_flooded(failed_in_task(ask_briefly));
}
END_TEST

Suite *suite_client_flood(void);
Suite *suite_client_flood(void)
{
    Suite *suite = suite_create("client_flood");
    TCase *tests = caller_case("talkative servers");
    tcase_add_test(tests, a_deadline_counts_while_messages_come);
    tcase_add_test(tests, and_in_a_task);
    tcase_add_test(tests, a_flood_keeps_no_caller);
    tcase_add_test(tests, a_flood_keeps_no_loop);
    suite_add_tcase(suite, tests);
    return suite;
}
