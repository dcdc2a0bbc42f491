/* What no handler has seen is made again without the caller's doing (gRFC A6, "Transparent Retries"). */
#include "caller.h"

#include "client/channel_int.h"
#include "client/stream.h"
#include "gen/rpc/server_reflection.h"

#define MESSAGE_SIZE 1000u
#define WIRE_SIZE (MESSAGE_SIZE + 3 + 5) /* key, two bytes of length, prefix */

typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

static int put(struct client_stream *stream, char fill)
{
    static char name[MESSAGE_SIZE + 1];
    memset(name, fill, MESSAGE_SIZE);
    Grpc__Reflection__V1__ServerReflectionRequest request =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.host = name;
    return server_reflection_server_reflection_info_put(stream, &request);
}

/* "abc": three messages of a, b and c, then the end of the request and of the answer. */
static int talk(struct client_call *call, const char *text, unsigned *answers)
{
    struct client_stream *stream = NULL;
    Response *message = NULL;
    *answers = 0;
    int rc = server_reflection_server_reflection_info_open(call, &stream);
    for (; rc == OK && *text != '\0'; text++)
        rc = put(stream, *text);
    if (rc == OK)
        client_stream_send_end(stream);
    while (rc == OK) {
        rc = server_reflection_server_reflection_info_next(stream, call->ctx->arena, &message);
        if (rc != OK || message == NULL)
            break;
        (*answers)++;
    }
    client_stream_close(stream);
    return rc;
}

/* The call ends with this status after so many attempts. */
static struct client_call talk_to(const char *text, int status, unsigned attempts)
{
    struct client_call call = call_make();
    unsigned answers;
    ck_assert_msg(talk(&call, text, &answers) == OK, "%s", ctx.fault.text);
    ck_assert_msg(call.status == status, "status %d: %s", call.status, call.message);
    ck_assert_uint_eq(call.attempts, attempts);
    ck_assert_uint_eq(answers, status == GRPC_OK ? 1 : 0);
    ck_assert(!scripted_saw_field(&server, "grpc-previous-rpc-attempts")); /* nobody saw them */
    return call;
}

/* The last request had one message of each of these letters and nothing else. */
static void check_body(const char *text)
{
    pthread_mutex_lock(&server.lock);
    struct slice body = buf_slice(&server.body);
    ck_assert_uint_eq(body.size, strlen(text) * WIRE_SIZE);
    for (size_t i = 0; text[i] != '\0'; i++) {
        ck_assert_int_eq(body.data[i * WIRE_SIZE + 8], text[i]);
        ck_assert_int_eq(body.data[(i + 1) * WIRE_SIZE - 1], text[i]);
    }
    pthread_mutex_unlock(&server.lock);
}

static void refuse(struct scripted *self, int32_t id)
{
    nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
}

static const struct slice empty = {(const uint8_t *)"\0\0\0\0\0", 5};

static void answer(struct scripted *self, int32_t id)
{
    scripted_reply(self, id, (struct reply){GRPC_FIELDS, empty, TRAILERS_OK, REPLY_ENDS});
}

/* Whole requests are refused or answered here; headers alone are waited out. */
static void refuse_first(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        refuse(self, id);
    else if (whole)
        answer(self, id);
}

START_TEST(a_refused_stream_is_sent_again_whole)
{
    serve(refuse_first);
    struct client_call call = talk_to("abc", GRPC_OK, 2);
    ck_assert(!call.unprocessed);
    ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 2);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
    check_body("abc");
}
END_TEST

static void refuse_all(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        refuse(self, id);
}

START_TEST(a_server_that_refuses_streams_for_good_is_asked_twice)
{
    serve(refuse_all);
    struct client_call call = talk_to("abc", GRPC_UNAVAILABLE, 2);
    ck_assert(call.unprocessed);
}
END_TEST

static void refuse_first_headers(struct scripted *self, int32_t id, bool whole)
{
    if (id == 1 && !whole)
        refuse(self, id);
    else if (id > 1 && whole)
        answer(self, id);
}

/* The refusal is read while the request is still being sent: neither message is lost, and the order stands. */
START_TEST(a_stream_refused_midway_is_begun_again)
{
    serve(refuse_first_headers);
    struct client_call call = call_make(), other = call_make();
    struct client_stream *stream = NULL;
    Response *message;
    unsigned answers;
    ck_assert_int_eq(server_reflection_server_reflection_info_open(&call, &stream), OK);
    ck_assert_int_eq(put(stream, 'a'), OK);
    scripted_await(&server, SEEN_HEADERS, 1);
    ck_assert_int_eq(talk(&other, "x", &answers), OK); /* reads what came on the connection */
    ck_assert_int_eq(put(stream, 'b'), OK);
    client_stream_send_end(stream);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            server_reflection_server_reflection_info_next(stream, ctx.arena, &message), OK);
        ck_assert(i == 0 ? message != NULL : message == NULL);
        ck_assert_uint_eq(buf_size(&stream->output), 0); /* nothing is kept for an answered call */
    }
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_uint_eq(call.attempts, 2);
    client_stream_close(stream);
    check_body("ab");
}
END_TEST

static void go_first(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        ck_assert_int_eq(
            nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0),
            0);
    else if (whole)
        answer(self, id);
}

START_TEST(a_stream_that_a_goaway_leaves_out_is_made_elsewhere)
{
    serve(go_first);
    (void)talk_to("abc", GRPC_OK, 2);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
    check_body("abc");
}
END_TEST

static void refuse_first_watch(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        refuse(self, id);
    else
        answer_well(self, id, whole);
}

START_TEST(a_watch_that_is_refused_is_begun_again)
{
    serve(refuse_first_watch);
    struct client_call call = call_make();
    struct client_stream *stream = NULL;
    Grpc__Health__V1__HealthCheckResponse *message = NULL;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ck_assert_int_eq(health_watch_open(&call, &request, &stream), OK);
    ck_assert_int_eq(health_watch_next(stream, ctx.arena, &message), OK);
    ck_assert_ptr_nonnull(message);
    ck_assert_uint_eq(call.attempts, 2);
    client_stream_close(stream);
}
END_TEST

/* --- what is not made again --------------------------------------------------------------------------- */

static void answer_then_refuse(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id,
                       (struct reply){.fields = GRPC_FIELDS,
                                      .body = slice_make(SERVING_MESSAGE, 4),
                                      .rest = REPLY_IS_REFUSED});
}

/* "once the client receives … response headers" the call is committed: something has begun to handle it. */
START_TEST(a_stream_that_was_answered_is_not_made_again)
{
    serve(answer_then_refuse);
    struct client_call call = talk_to("abc", GRPC_UNAVAILABLE, 1);
    ck_assert(!call.unprocessed);
    (void)ask_for(GRPC_UNAVAILABLE);
    ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 2);
}
END_TEST

/* What was sent is kept up to 256 KiB only. */
START_TEST(a_stream_that_outgrew_its_buffer_is_not_made_again)
{
    char text[301];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    serve(refuse_first);
    struct client_call call = talk_to(text, GRPC_UNAVAILABLE, 1);
    ck_assert(call.unprocessed);
    text[200] = '\0';
    server.forget = true;
    (void)talk_to(text, GRPC_OK, 2);
    check_body(text);
}
END_TEST

START_TEST(who_wants_one_attempt_has_one)
{
    serve(refuse_first);
    struct client_retry once = client_retry_default;
    once.attempts_max = 1;
    struct client_call call = call_make();
    call.retry = &once;
    unsigned answers;
    ck_assert_int_eq(talk(&call, "abc", &answers), OK);
    ck_assert_int_eq(call.status, GRPC_UNAVAILABLE);
    ck_assert_uint_eq(call.attempts, 1);
}
END_TEST

/* HTTP/2's sender takes 64 KiB of headers: a local refusal that no other connection would lift. */
START_TEST(headers_that_cannot_be_sent_are_told_at_once)
{
    static char large[70000];
    serve(answer_well);
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 2; i++) {
        struct client_call call = call_make();
        struct client_retry retry = client_retry_default;
        retry.codes |= 1u << GRPC_RESOURCE_EXHAUSTED;
        call.retry = &retry;
        call.is_repeatable = true;
        call.metadata[call.metadata_count++] =
            (struct client_field){"x-large", slice_make(large, sizeof large)};
        Grpc__Health__V1__HealthCheckResponse *out;
        unsigned answers;
        ck_assert_msg((i == 0 ? ask(&call, &out) : talk(&call, "abc", &answers)) == OK, "%s",
                      ctx.fault.text);
        ck_assert_msg(call.status == GRPC_RESOURCE_EXHAUSTED, "%d %s", call.status, call.message);
        ck_assert_ptr_nonnull(strstr(call.message, "metadata"));
        ck_assert_uint_eq(call.attempts, 1);
        ck_assert(!call.unprocessed && !call.unsent);
    }
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
    ck_assert_uint_eq(scripted_count(&server, SEEN_HEADERS), 1);
}
END_TEST

/* --- what never left ------------------------------------------------------------------------------------ */

struct crowd {
    bool unary;
    unsigned well;
    unsigned most_attempts;
};

static void crowd_talk(struct task *task, void *argument)
{
    struct crowd *crowd = argument;
    struct ctx own = ctx_in(task);
    struct client_call call = call_make();
    call.ctx = &own;
    Grpc__Health__V1__HealthCheckResponse *out;
    unsigned answers;
    int rc = crowd->unary ? ask(&call, &out) : talk(&call, "abc", &answers);
    crowd->well += rc == OK && call.status == GRPC_OK;
    if (call.attempts > crowd->most_attempts)
        crowd->most_attempts = call.attempts;
    arena_free(own.arena);
}

static void answer_and_go(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    (void)poll(NULL, 0, 20); /* until the others wait for room */
    ck_assert_int_eq(
        nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR, NULL, 0), 0);
    answer(self, id);
}

/* Each connection serves one call and goes: the others wait for room on it and must not pay for that, nor do
 * later ones with the channel's retries. */
START_TEST(what_never_left_is_made_again_until_it_does)
{
    server.settings[server.setting_count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    serve(answer_and_go);
    struct crowd crowd = {.unary = _i == 0};
    struct loop *loop = loop_new(6);
    for (int i = 0; i < 6; i++)
        ck_assert(task_start(loop, crowd_talk, &crowd, NULL));
    loop_out(loop);
    ck_assert_uint_eq(crowd.well, 6);
    ck_assert_uint_gt(crowd.most_attempts, 2);
    ck_assert_uint_eq(channel->retry_tokens, RETRY_TOKENS_MAX);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

static void hang_up(struct scripted *self, int32_t id, bool whole)
{
    (void)id;
    (void)whole;
    self->hangs_up = true;
}

/* Two streams, of which the second never leaves, and is cancelled in the pause before it goes again. */
static void cancel_in_pause(struct task *task, void *argument)
{
    enum fault_kind *kind = argument;
    struct client_stream *streams[2] = {NULL, NULL};
    Response *message = NULL;
    ctx.task = task;
    struct client_call calls[2] = {call_make(), call_make()};
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(server_reflection_server_reflection_info_open(&calls[i], &streams[i]), OK);
    client_stream_send_end(streams[0]);
    uint64_t end = clock_now() + PATIENCE_NS;
    while (!streams[1]->connection->over && clock_now() < end)
        (void)task_sleep(&ctx, NS_PER_MS);
    calls[1].transparent = 1; /* the first time there is no pause */
    task_cancel(task);
    if (server_reflection_server_reflection_info_next(streams[1], ctx.arena, &message) != OK)
        *kind = ctx.fault.kind;
    for (int i = 0; i < 2; i++)
        client_stream_close(streams[i]);
    ctx.task = NULL;
}

START_TEST(a_stream_cancelled_in_its_pause_is_told_so)
{
    enum fault_kind kind = FAULT_INTERNAL;
    server.settings[server.setting_count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    serve(hang_up);
    struct loop *loop = loop_new(1);
    ck_assert(task_start(loop, cancel_in_pause, &kind, NULL));
    loop_out(loop);
    ck_assert_int_eq(kind, FAULT_CANCELLED);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

/* Answers what has begun, and goes at its end without ending the answer. */
static void hold_then_go(struct scripted *self, int32_t id, bool whole)
{
    bool is_first = scripted_count(self, SEEN_CONNECTION) == 1;
    if (whole && !is_first)
        answer(self, id);
    else if (!whole && is_first)
        scripted_reply(self, id, (struct reply){GRPC_FIELDS, empty, NULL, REPLY_GOES_ON});
    else if (whole)
        ck_assert_int_eq(
            nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR, NULL, 0),
            0);
}

/* Holds its stream, sees the server go away, and lets go when the call that waits for room has left. */
static void hold_room(struct task *task, void *argument)
{
    bool *moved = argument;
    struct ctx own = ctx_in(task);
    struct client_call call = call_make();
    call.ctx = &own;
    struct client_stream *stream = NULL;
    Response *message = NULL;
    ck_assert_int_eq(server_reflection_server_reflection_info_open(&call, &stream), OK);
    ck_assert_int_eq(put(stream, 'a'), OK);
    ck_assert_int_eq(server_reflection_server_reflection_info_next(stream, own.arena, &message),
                     OK);
    ck_assert_ptr_nonnull(message);
    uint64_t end = clock_now() + PATIENCE_NS / 2;
    while (stream->connection->streams.count < 2 && clock_now() < end)
        (void)task_sleep(&own, NS_PER_MS);
    client_stream_send_end(stream);
    while (stream->connection->streams.count > 1 && clock_now() < end)
        (void)task_sleep(&own, NS_PER_MS);
    *moved = stream->connection->streams.count == 1 && !stream->closed;
    client_stream_close(stream);
    arena_free(own.arena);
}

/* The stream that goes on may be a watch, whose end nobody can wait for. */
START_TEST(what_waits_for_room_leaves_at_a_goaway)
{
    server.settings[server.setting_count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    serve(hold_then_go);
    struct crowd crowd = {.unary = _i == 0};
    bool moved = false;
    struct loop *loop = loop_new(2);
    ck_assert(task_start(loop, hold_room, &moved, NULL));
    uint64_t end = clock_now() + 2 * PATIENCE_NS;
    while (scripted_count(&server, SEEN_HEADERS) == 0 && clock_now() < end)
        loop_turn(loop, NS_PER_MS);
    ck_assert(task_start(loop, crowd_talk, &crowd, NULL));
    loop_out(loop);
    ck_assert(moved);
    ck_assert_uint_eq(crowd.well, 1);
    ck_assert_uint_eq(crowd.most_attempts, 2);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

/* --- a thread that only sends ----------------------------------------------------------------------------- */

static void deny_and_hang_up(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS "grpc-status: 7\n", {0}, NULL, REPLY_ENDS});
    self->hangs_up = !whole;
}

static void leave_out_and_hang_up(struct scripted *self, int32_t id, bool whole)
{
    if (scripted_count(self, SEEN_CONNECTION) > 1) {
        if (whole)
            answer(self, id);
        return;
    }
    ck_assert_int_eq(
        nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0), 0);
    self->hangs_up = true;
}

/* Sends until it has heard of the server's end; a write that meets a closed socket fails. */
static struct client_stream *send_into_the_end(struct client_call *call)
{
    struct client_stream *stream = NULL;
    ck_assert_int_eq(server_reflection_server_reflection_info_open(call, &stream), OK);
    ck_assert_int_eq(put(stream, 'a'), OK);
    struct pollfd hung = {.fd = stream->connection->fd, .events = POLLRDHUP};
    ck_assert_int_eq(poll(&hung, 1, PATIENCE_NS / NS_PER_MS), 1);
    uint64_t end = clock_now() + PATIENCE_NS;
    while (!stream->answered && call->attempts == 1 && !stream->connection->over &&
           clock_now() < end) {
        (void)poll(NULL, 0, 150); /* longer than the server lingers */
        ck_assert_msg(put(stream, 'b') == OK, "%s", ctx.fault.text);
    }
    client_stream_send_end(stream);
    return stream;
}

START_TEST(who_only_sends_is_told_the_answer_that_came_first)
{
    serve(deny_and_hang_up);
    struct client_call call = call_make();
    Response *message = NULL;
    struct client_stream *stream = send_into_the_end(&call);
    ck_assert_msg(server_reflection_server_reflection_info_next(stream, ctx.arena, &message) == OK,
                  "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_PERMISSION_DENIED);
    client_stream_close(stream);
}
END_TEST

START_TEST(who_only_sends_is_made_elsewhere_after_a_goaway)
{
    serve(leave_out_and_hang_up);
    struct client_call call = call_make();
    Response *message = NULL;
    struct client_stream *stream = send_into_the_end(&call);
    ck_assert_msg(server_reflection_server_reflection_info_next(stream, ctx.arena, &message) == OK,
                  "%s", ctx.fault.text);
    ck_assert_msg(message != NULL, "%d %s", call.status, call.message);
    ck_assert_uint_eq(call.attempts, 2);
    client_stream_close(stream);
    check_body("ab");
}
END_TEST

Suite *suite_client_transparent(void);
Suite *suite_client_transparent(void)
{
    Suite *suite = suite_create("client/transparent");
    TCase *refused = caller_case("refused");
    tcase_add_test(refused, a_refused_stream_is_sent_again_whole);
    tcase_add_test(refused, a_server_that_refuses_streams_for_good_is_asked_twice);
    tcase_add_test(refused, a_stream_refused_midway_is_begun_again);
    tcase_add_test(refused, a_stream_that_a_goaway_leaves_out_is_made_elsewhere);
    tcase_add_test(refused, a_watch_that_is_refused_is_begun_again);
    suite_add_tcase(suite, refused);
    TCase *committed = caller_case("committed");
    tcase_add_test(committed, a_stream_that_was_answered_is_not_made_again);
    tcase_add_test(committed, a_stream_that_outgrew_its_buffer_is_not_made_again);
    tcase_add_test(committed, who_wants_one_attempt_has_one);
    tcase_add_test(committed, headers_that_cannot_be_sent_are_told_at_once);
    suite_add_tcase(suite, committed);
    TCase *unsent = caller_case("unsent");
    tcase_add_loop_test(unsent, what_never_left_is_made_again_until_it_does, 0, 2);
    tcase_add_loop_test(unsent, what_waits_for_room_leaves_at_a_goaway, 0, 2);
    tcase_add_test(unsent, a_stream_cancelled_in_its_pause_is_told_so);
    suite_add_tcase(suite, unsent);
    TCase *sends = caller_case("sends");
    tcase_add_test(sends, who_only_sends_is_told_the_answer_that_came_first);
    tcase_add_test(sends, who_only_sends_is_made_elsewhere_after_a_goaway);
    suite_add_tcase(suite, sends);
    return suite;
}
