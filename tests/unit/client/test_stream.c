/* Streaming calls: order, ends of both sides, windows that hold back, and giving up. */
#include "caller.h"

#include "gen/rpc/server_reflection.h"

typedef Grpc__Health__V1__HealthCheckResponse Response;
typedef Grpc__Reflection__V1__ServerReflectionRequest Request;

static const Grpc__Health__V1__HealthCheckRequest watched =
    GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

static int next_of(struct client_stream *stream, Response **message)
{
    *message = NULL;
    return health_watch_next(stream, ctx.arena, message);
}

/* --- taking ------------------------------------------------------------------------------------------- */

static void answer_thrice(struct scripted *self, int32_t id, bool whole)
{
    static const char three[] = SERVING_MESSAGE "\0\0\0\0\2\x08\2"
                                                "\0\0\0\0\0";
    if (whole)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS, slice_make(three, sizeof three - 1),
                                      "grpc-status: 5\ngrpc-message: gone\n", REPLY_ENDS});
}

START_TEST(messages_come_in_order_and_then_the_status)
{
    serve(answer_thrice);
    struct client_call call = call_make();
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    for (int status = 1; status <= 3; status++) {
        ck_assert_int_eq(next_of(stream, &message), OK);
        ck_assert_int_eq((int)message->status, status % 3);
        ck_assert_int_eq(call.status, -1);
    }
    ck_assert_int_eq(next_of(stream, &message), OK);
    ck_assert_ptr_null(message);
    ck_assert_int_eq(call.status, GRPC_NOT_FOUND);
    ck_assert_str_eq(call.message, "gone");
    client_stream_close(stream);
    ck_assert_uint_eq(scripted_count(&server, SEEN_RESET), 0);
}
END_TEST

static void answer_and_go_on(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id, (struct reply){GRPC_FIELDS, serving(), NULL, REPLY_GOES_ON});
}

START_TEST(a_watch_that_is_closed_is_cancelled)
{
    serve(answer_and_go_on);
    struct client_call call = call_make();
    call.timeout_ns = CLIENT_NO_TIMEOUT;
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    ck_assert_int_eq(next_of(stream, &message), OK);
    ck_assert_ptr_nonnull(message);
    client_stream_close(stream);
    scripted_await(&server, SEEN_RESET, 1);
    ck_assert_uint_eq(server.reset_code, NGHTTP2_CANCEL);
    ck_assert(!scripted_saw_field(&server, "grpc-timeout"));
}
END_TEST

START_TEST(a_watch_ends_with_its_deadline)
{
    serve(answer_and_go_on);
    ck_assert_int_eq(client_channel_connect(&ctx, channel), OK);
    struct client_call call = call_make();
    call.timeout_ns = 100 * NS_PER_MS;
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    while (next_of(stream, &message) == OK)
        ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(ctx.fault.kind, FAULT_TIMEOUT);
    client_stream_close(stream);
    scripted_await(&server, SEEN_RESET, 1);
}
END_TEST

static void cancel(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

/* A server that counts the same deadline may be the first to act on it: grpc-go's resets with CANCEL. */
START_TEST(a_cancel_after_the_deadline_is_the_deadlines)
{
    serve(cancel);
    ck_assert_int_eq(client_channel_connect(&ctx, channel), OK);
    struct client_call call = call_make();
    call.timeout_ns = 50 * NS_PER_MS;
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    scripted_await(&server, SEEN_REQUEST, 1);
    (void)poll(NULL, 0, 100);
    ck_assert_int_eq(next_of(stream, &message), OK);
    ck_assert_ptr_null(message);
    ck_assert_int_eq(call.status, GRPC_DEADLINE_EXCEEDED);
    client_stream_close(stream);
}
END_TEST

/* 8 MiB of small messages. */
#define MANY (8u << 20)
static uint8_t many[MANY / 7 * 7];

static void answer_many(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    if (self->requests > 1) {
        answer_well(self, id, whole);
        return;
    }
    for (size_t at = 0; at < sizeof many; at += 7)
        memcpy(many + at, SERVING_MESSAGE, 7);
    scripted_reply(self, id,
                   (struct reply){GRPC_FIELDS, {many, sizeof many}, TRAILERS_OK, REPLY_ENDS});
}

/* While nobody takes messages the server is held back by the window, and other calls go on. */
START_TEST(who_takes_nothing_holds_the_server_back)
{
    serve(answer_many);
    struct client_call call = call_make();
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    ck_assert_int_eq(next_of(stream, &message), OK);
    for (int i = 0; i < 5; i++)
        ask_well(); /* reads what comes on the connection */
    int32_t left = scripted_window_left(&server);
    ck_assert_int_lt(left, 64 << 10);
    size_t count = 1;
    while (next_of(stream, &message) == OK && message != NULL)
        count++;
    ck_assert_uint_eq(count, sizeof many / 7);
    ck_assert_int_eq(call.status, GRPC_OK);
    client_stream_close(stream);
}
END_TEST

/* What is given up unread must not use up the connection's window: 40 x 256 KiB are more than it has. */
START_TEST(streams_given_up_unread_leave_the_connection_its_window)
{
    serve(answer_many);
    server.answer = answer_many;
    for (int i = 0; i < 40; i++) {
        struct client_call call = call_make();
        struct client_stream *stream = NULL;
        Response *message;
        ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
        ck_assert_int_eq(next_of(stream, &message), OK);
        client_stream_close(stream);
        pthread_mutex_lock(&server.lock);
        server.forget = true; /* the next one gets many again */
        pthread_mutex_unlock(&server.lock);
    }
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

/* --- sending ------------------------------------------------------------------------------------------ */

static void answer_at_end(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(
            self, id,
            (struct reply){
                GRPC_FIELDS, {(const uint8_t *)"\0\0\0\0\0", 5}, TRAILERS_OK, REPLY_ENDS});
}

static int talk(struct client_call *call, unsigned count, size_t size)
{
    struct client_stream *stream = NULL;
    Grpc__Reflection__V1__ServerReflectionResponse *answer = NULL;
    char *name = xcalloc(1, size + 1);
    memset(name, 'n', size);
    Request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.host = name;
    int rc = server_reflection_server_reflection_info_open(call, &stream);
    for (unsigned i = 0; rc == OK && i < count; i++)
        rc = server_reflection_server_reflection_info_put(stream, &request);
    if (rc == OK)
        client_stream_send_end(stream);
    unsigned answers = 0;
    do {
        if (rc == OK)
            rc = server_reflection_server_reflection_info_next(stream, call->ctx->arena, &answer);
        answers++;
    } while (rc == OK && answer != NULL);
    client_stream_close(stream);
    free(name);
    if (rc == OK)
        ck_assert_uint_eq(answers, 2);
    return rc;
}

START_TEST(many_messages_are_sent_as_windows_allow)
{
    serve(answer_at_end);
    struct client_call call = call_make();
    ck_assert_msg(talk(&call, 500, 10000) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_OK);
    pthread_mutex_lock(&server.lock);
    ck_assert_uint_eq(server.body_size, 500 * (10000 + 3 + 5));
    pthread_mutex_unlock(&server.lock);
}
END_TEST

static void talk_in_task(struct task *task, void *argument)
{
    struct ctx own = ctx_in(task);
    struct client_call call = call_make();
    call.ctx = &own;
    if (talk(&call, 100, 10000) == OK && call.status == GRPC_OK)
        (*(unsigned *)argument)++;
    arena_free(own.arena);
}

START_TEST(tasks_send_side_by_side)
{
    serve(answer_at_end);
    unsigned well = 0;
    struct loop *loop = loop_new(10);
    for (int i = 0; i < 10; i++)
        ck_assert(task_start(loop, talk_in_task, &well, NULL));
    loop_out(loop);
    ck_assert_uint_eq(well, 10);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

static void refuse_early(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS "grpc-status: 7\n", {0}, NULL, REPLY_ENDS});
}

/* Sending into an answered call loses nothing and does not wait for windows. */
START_TEST(an_answer_ends_the_sending)
{
    serve(refuse_early);
    struct client_call call = call_make();
    struct client_stream *stream = NULL;
    Grpc__Reflection__V1__ServerReflectionResponse *answer = NULL;
    Request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    static char name[20000];
    memset(name, 'n', sizeof name - 1);
    request.host = name;
    ck_assert_int_eq(server_reflection_server_reflection_info_open(&call, &stream), OK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(server_reflection_server_reflection_info_put(stream, &request), OK);
    ck_assert_int_eq(server_reflection_server_reflection_info_next(stream, ctx.arena, &answer),
                     OK);
    ck_assert_ptr_null(answer);
    ck_assert_int_eq(call.status, GRPC_PERMISSION_DENIED);
    client_stream_close(stream);
}
END_TEST

static void answer_and_hang_up(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    scripted_reply(self, id, (struct reply){GRPC_FIELDS, serving(), NULL, REPLY_GOES_ON});
    self->hangs_up = true;
}

START_TEST(a_lost_connection_ends_every_stream)
{
    serve(answer_and_hang_up);
    struct client_call call = call_make();
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    ck_assert_int_eq(next_of(stream, &message), OK);
    ck_assert_ptr_nonnull(message);
    ck_assert_int_ne(next_of(stream, &message), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_IO);
    ck_assert_int_eq(call.status, -1);
    client_stream_close(stream);
}
END_TEST

/* --- a peer that says nothing --------------------------------------------------------------------------- */

static void channel_with_keepalive(uint64_t timeout_ns)
{
    client_channel_free(channel);
    channel = scripted_channel(&server,
                               (struct client_settings){.keepalive_ns = 50 * NS_PER_MS,
                                                        .keepalive_timeout_ns = timeout_ns});
}

static void answer_and_go_deaf(struct scripted *self, int32_t id, bool whole)
{
    answer_and_go_on(self, id, whole);
    self->is_deaf = whole;
}

START_TEST(a_watch_notices_a_silent_server)
{
    serve(answer_and_go_deaf);
    channel_with_keepalive(50 * NS_PER_MS);
    struct client_call call = call_make();
    call.timeout_ns = CLIENT_NO_TIMEOUT;
    struct client_stream *stream = NULL;
    Response *message;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    ck_assert_int_eq(next_of(stream, &message), OK);
    ck_assert_int_ne(next_of(stream, &message), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_IO);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "keepalive"));
    ck_assert(!call.unprocessed);
    client_stream_close(stream);
}
END_TEST

static void go_deaf_at_once(struct scripted *self, int32_t id, bool whole)
{
    (void)id;
    self->is_deaf = !whole;
}

START_TEST(a_sender_notices_a_silent_server)
{
    serve(go_deaf_at_once);
    channel_with_keepalive(50 * NS_PER_MS);
    struct client_call call = call_make();
    call.timeout_ns = CLIENT_NO_TIMEOUT;
    ck_assert_int_ne(talk(&call, 500, 10000), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_IO);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "keepalive"));
}
END_TEST

static void answer_late(struct scripted *self, int32_t id, bool whole)
{
    if (id > 1)
        (void)poll(NULL, 0, 500);
    else
        answer_and_go_on(self, id, whole);
}

/* Regression: a thread that was away while the PING's answer waited in the socket took its server for dead. */
START_TEST(who_was_away_reads_before_it_judges)
{
    serve(answer_late);
    channel_with_keepalive(NS_PER_S);
    struct client_call call = call_make(), brief = call_make();
    struct client_stream *stream = NULL, *other = NULL;
    Response *message;
    call.timeout_ns = 3 * NS_PER_S;
    brief.timeout_ns = 200 * NS_PER_MS;
    ck_assert_int_eq(health_watch_open(&call, &watched, &stream), OK);
    ck_assert_int_eq(next_of(stream, &message), OK);
    ck_assert_int_eq(health_watch_open(&brief, &watched, &other), OK);
    ck_assert_int_ne(next_of(other, &message), OK); /* sends the PING and leaves */
    ck_assert_msg(ctx.fault.kind == FAULT_TIMEOUT, "%s", ctx.fault.text);
    client_stream_close(other);
    scripted_await(&server, SEEN_PING, 1);
    (void)poll(NULL, 0, 1100);
    ck_assert_int_ne(next_of(stream, &message), OK);
    ck_assert_msg(ctx.fault.kind == FAULT_TIMEOUT, "%s", ctx.fault.text);
    client_stream_close(stream);
}
END_TEST

Suite *suite_client_stream(void);
Suite *suite_client_stream(void)
{
    Suite *suite = suite_create("client/stream");
    TCase *taking = caller_case("taking");
    tcase_add_test(taking, messages_come_in_order_and_then_the_status);
    tcase_add_test(taking, a_watch_that_is_closed_is_cancelled);
    tcase_add_test(taking, a_watch_ends_with_its_deadline);
    tcase_add_test(taking, a_cancel_after_the_deadline_is_the_deadlines);
    tcase_add_test(taking, who_takes_nothing_holds_the_server_back);
    tcase_add_test(taking, streams_given_up_unread_leave_the_connection_its_window);
    suite_add_tcase(suite, taking);
    TCase *sending = caller_case("sending");
    tcase_add_test(sending, many_messages_are_sent_as_windows_allow);
    tcase_add_test(sending, tasks_send_side_by_side);
    tcase_add_test(sending, an_answer_ends_the_sending);
    tcase_add_test(sending, a_lost_connection_ends_every_stream);
    suite_add_tcase(suite, sending);
    TCase *silence = caller_case("silence");
    tcase_add_test(silence, a_watch_notices_a_silent_server);
    tcase_add_test(silence, a_sender_notices_a_silent_server);
    tcase_add_test(silence, who_was_away_reads_before_it_judges);
    suite_add_tcase(suite, silence);
    return suite;
}
