/* PINGs: when they are sent, and what their silence says, on threads and loops. */
#include "caller.h"

#include "client/channel_int.h"
#include "client/stream.h"
#include "gen/rpc/server_reflection.h"

typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

static void channel_with(uint64_t keepalive_ns, uint64_t timeout_ns)
{
    client_channel_free(channel);
    channel = scripted_channel(&server,
                               (struct client_settings){.keepalive_ns = keepalive_ns,
                                                        .keepalive_timeout_ns = timeout_ns});
}

static void go_deaf_at_second(struct scripted *self, int32_t id, bool whole)
{
    if (self->requests == 2 && scripted_count(self, SEEN_CONNECTION) == 1)
        self->is_deaf = true;
    else
        answer_well(self, id, whole);
}

/* The second call's time, which has no connect in it, ends before its PING's; that is overdue when the next one
 * begins. */
START_TEST(no_call_goes_out_behind_an_overdue_ping)
{
    serve(go_deaf_at_second);
    channel_with(20 * NS_PER_MS, 200 * NS_PER_MS);
    ask_well();
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    call.timeout_ns = 100 * NS_PER_MS;
    ck_assert_int_ne(ask(&call, &out), OK);
    (void)poll(NULL, 0, 300);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

static void answer_and_go_on(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id, (struct reply){GRPC_FIELDS, serving(), NULL, REPLY_GOES_ON});
}

static struct client_stream *watch(struct client_call *call)
{
    struct client_stream *stream = NULL;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckResponse *message = NULL;
    ck_assert_int_eq(health_watch_open(call, &request, &stream), OK);
    ck_assert_msg(health_watch_next(stream, ctx.arena, &message) == OK, "%s", ctx.fault.text);
    ck_assert_ptr_nonnull(message);
    return stream;
}

static void watch_pings(struct task *task, void *argument)
{
    bool *seen = argument;
    ctx.task = task;
    struct client_call call = call_make();
    struct client_stream *stream = watch(&call);
    uint64_t end = clock_now() + PATIENCE_NS;
    while (scripted_count(&server, SEEN_PING) < 4 && clock_now() < end)
        (void)task_sleep(&ctx, 5 * NS_PER_MS);
    *seen = scripted_count(&server, SEEN_PING) >= 4;
    client_stream_close(stream);
    ctx.task = NULL;
}

/* What a PING's answer may take is no pause between them. */
START_TEST(an_answered_ping_is_followed_by_the_next)
{
    bool seen = false;
    serve(answer_and_go_on);
    channel_with(20 * NS_PER_MS, 3600 * NS_PER_S);
    struct loop *loop = loop_new(1);
    ck_assert(task_start(loop, watch_pings, &seen, NULL));
    loop_out(loop);
    ck_assert(seen);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

/* gRFC A8: a server counts PINGs without a call in flight, whoever still holds its stream. */
START_TEST(a_stream_that_has_ended_asks_for_no_pings)
{
    serve(answer_well);
    channel_with(3600 * NS_PER_S, 3600 * NS_PER_S);
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *message = NULL;
    struct client_stream *stream = watch(&call);
    ck_assert_int_eq(health_watch_next(stream, ctx.arena, &message), OK);
    ck_assert_int_eq(call.status, GRPC_OK);
    struct client_connection *connection = channel->connection;
    connection->keepalive_ns = 1; /* whose silence is long enough by now */
    client_connection_look(connection);
    ck_assert_uint_eq(connection->ping_ns, 0);
    client_stream_close(stream);
}
END_TEST

/* Goes in two steps, as a server that drains does; the second says why. */
static void go_for_pings(struct scripted *self, int32_t id, bool whole)
{
    static const char why[] = "too_many_pings";
    static const struct slice empty = {(const uint8_t *)"\0\0\0\0\0", 5};
    nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, whole ? id : INT32_MAX,
                          whole ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR,
                          (const uint8_t *)why, whole ? sizeof why - 1 : 0);
    if (whole)
        scripted_reply(self, id, (struct reply){GRPC_FIELDS, empty, TRAILERS_OK, REPLY_ENDS});
}

START_TEST(a_connection_that_was_given_up_still_makes_pings_fewer)
{
    serve(go_for_pings);
    channel_with(30 * NS_PER_S, 0);
    struct client_call call = call_make();
    struct client_stream *stream = NULL;
    Response *message = NULL;
    ck_assert_int_eq(server_reflection_server_reflection_info_open(&call, &stream), OK);
    while (!stream->connection->going_away)
        client_connection_drive(stream->connection);
    client_connection_unref(TAKE(channel->connection)); /* as for the next call */
    client_stream_send_end(stream);
    do
        ck_assert_int_eq(
            server_reflection_server_reflection_info_next(stream, ctx.arena, &message), OK);
    while (message != NULL);
    ck_assert_int_eq(call.status, GRPC_OK);
    while (!stream->connection->over) /* the GOAWAY may stand behind the answer */
        client_connection_drive(stream->connection);
    client_stream_close(stream);
    ck_assert_uint_eq(channel->settings.keepalive_ns, 60 * NS_PER_S);
}
END_TEST

Suite *suite_client_keepalive(void);
Suite *suite_client_keepalive(void)
{
    Suite *suite = suite_create("client/keepalive");
    TCase *pings = caller_case("pings");
    tcase_add_test(pings, no_call_goes_out_behind_an_overdue_ping);
    tcase_add_test(pings, an_answered_ping_is_followed_by_the_next);
    tcase_add_test(pings, a_stream_that_has_ended_asks_for_no_pings);
    tcase_add_test(pings, a_connection_that_was_given_up_still_makes_pings_fewer);
    suite_add_tcase(suite, pings);
    return suite;
}
