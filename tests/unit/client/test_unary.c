/* Unary calls against a server that does what servers, proxies and networks do: well, badly, or not at all. */
#include "caller.h"

START_TEST(calls_share_a_connection)
{
    serve(answer_well);
    for (int i = 0; i < 20; i++)
        ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
    ck_assert(scripted_saw_field(&server, ":path: /grpc.health.v1.Health/Check\n"));
    ck_assert(scripted_saw_field(&server, "te: trailers\n"));
    ck_assert(scripted_saw_field(&server, "content-type: application/grpc\n"));
    ck_assert(scripted_saw_field(&server, "grpc-timeout: "));
}
END_TEST

/* --- what counts as an answer ----------------------------------------------------------------------- */

static const struct odd_answer {
    struct reply reply;
    int status;
} odd_answers[] = {
    {{":status: 200\ncontent-type: application/grpc\ngrpc-status: 5\n", {0}, NULL, REPLY_ENDS},
     GRPC_NOT_FOUND},
    {{GRPC_FIELDS, {0}, "grpc-status: abc\n", REPLY_ENDS}, GRPC_UNKNOWN},
    {{GRPC_FIELDS, {0}, "grpc-status: \n", REPLY_ENDS}, GRPC_UNKNOWN},
    {{GRPC_FIELDS, {0}, "grpc-status: -1\n", REPLY_ENDS}, GRPC_UNKNOWN},
    {{GRPC_FIELDS, {0}, "grpc-status: 17\n", REPLY_ENDS}, GRPC_UNKNOWN},
    {{GRPC_FIELDS, {0}, "grpc-status: 00\n", REPLY_ENDS}, GRPC_OK},
    {{GRPC_FIELDS, {0}, "x-other: 1\n", REPLY_ENDS}, GRPC_UNKNOWN},
    {{":status: 200\ncontent-type: text/html\n", {0}, "grpc-status: 0\n", REPLY_ENDS},
     GRPC_UNKNOWN},
    {{":status: 200\n", {0}, "grpc-status: 0\n", REPLY_ENDS}, GRPC_UNKNOWN},
    {{":status: 200\ncontent-type: application/grpcweb\n", {0}, TRAILERS_OK, REPLY_ENDS},
     GRPC_UNKNOWN},
    {{":status: 503\ncontent-type: text/html\n", {0}, NULL, REPLY_ENDS}, GRPC_UNAVAILABLE},
    {{":status: 401\n", {0}, NULL, REPLY_ENDS}, GRPC_UNAUTHENTICATED},
    {{":status: 404\n", {0}, NULL, REPLY_ENDS}, GRPC_UNIMPLEMENTED},
    {{":status: 418\n", {0}, NULL, REPLY_ENDS}, GRPC_UNKNOWN},
    {{GRPC_FIELDS "grpc-status: 0\n", {0}, "grpc-status: 7\n", REPLY_ENDS}, GRPC_PERMISSION_DENIED},
    {{GRPC_FIELDS, {0}, "grpc-status: 3\ngrpc-status-details-bin: *\n", REPLY_ENDS}, GRPC_INTERNAL},
};

static void answer_oddly(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id, odd_answers[self->requests - 1].reply);
}

/* A status of 0 without a message is no success either. */
START_TEST(only_what_a_server_called_success_is_one)
{
    serve(answer_oddly);
    for (size_t i = 0; i < sizeof odd_answers / sizeof odd_answers[0]; i++) {
        struct client_call call = call_make();
        Grpc__Health__V1__HealthCheckResponse *out;
        int rc = ask(&call, &out);
        if (odd_answers[i].status == GRPC_OK)
            ck_assert_int_eq(ctx.fault.kind, FAULT_PROTOCOL);
        else
            ck_assert_msg(rc == OK && call.status == odd_answers[i].status, "case %zu: %d %d",
                          i, rc, call.status);
        ck_assert_ptr_null(out);
    }
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

static void answer_with_metadata(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS "x-one-bin: AAEC,/w\nx-text: a,b\n", serving(),
                                      "grpc-status: 3\ngrpc-message: caf%C3%A9 100%\n"
                                      "grpc-status-details-bin: aGk=\nx-last: z\n",
                                      REPLY_ENDS});
}

START_TEST(metadata_is_decoded_both_ways)
{
    serve(answer_with_metadata);
    struct client_call call = call_make();
    call.metadata[call.metadata_count++] =
        (struct client_field){"x-mine-bin", slice_make("\0\1\2\377", 4)};
    call.metadata[call.metadata_count++] =
        (struct client_field){"x-mine", slice_of_str("AA==")};
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_eq(ask(&call, &out), OK);
    ck_assert(scripted_saw_field(&server, "x-mine-bin: AAEC/w"));
    ck_assert(scripted_saw_field(&server, "x-mine: AA==\n"));
    ck_assert_int_eq(call.status, GRPC_INVALID_ARGUMENT);
    ck_assert_str_eq(call.message, "caf\xc3\xa9 100%");
    ck_assert(slice_is(call.details, "hi"));
    ck_assert(slice_equal(client_answer(&call, "x-one-bin"), slice_make("\0\1\2", 3)));
    ck_assert(slice_is(client_answer(&call, "x-text"), "a,b"));
    ck_assert(slice_is(client_answer(&call, "x-last"), "z"));
    ck_assert_ptr_null(client_answer(&call, "x-none").data);
    ck_assert_ptr_null(out); /* a message without status 0 is none */
}
END_TEST

static void answer_bloated(struct scripted *self, int32_t id, bool whole)
{
    static char fields[24 * 1024];
    if (!whole)
        return;
    if (self->requests > 1) {
        answer_well(self, id, whole);
        return;
    }
    int size = snprintf(fields, sizeof fields, "%s", GRPC_FIELDS);
    for (int i = 0; i < 20; i++)
        size += snprintf(fields + size, sizeof fields - (size_t)size, "x-%d: %01000d\n", i, 7);
    scripted_reply(self, id, (struct reply){fields, serving(), TRAILERS_OK, REPLY_ENDS});
}

START_TEST(bloated_metadata_ends_its_call_alone)
{
    serve(answer_bloated);
    (void)ask_for(GRPC_RESOURCE_EXHAUSTED);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

static uint8_t large[(4 << 20) + 64];
static size_t large_size; /* with the prefix */

/* A message of `size` bytes: all of it in one field that the type does not know. */
static void large_make(uint32_t size)
{
    uint32_t inner = size - 5;
    large_size = 5 + (size_t)size;
    for (int i = 0; i < 4; i++) {
        large[1 + i] = (uint8_t)(size >> (24 - 8 * i));
        large[6 + i] = (uint8_t)((inner >> 7 * i & 0x7f) | (i < 3 ? 0x80 : 0));
    }
    large[5] = 15 << 3 | 2;
}

static void answer_largely(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS, {large, large_size}, TRAILERS_OK, REPLY_ENDS});
    else if (whole)
        answer_well(self, id, whole);
}

START_TEST(an_answer_beyond_the_limit_ends_its_call_alone)
{
    large_make((4 << 20) + 1);
    serve(answer_largely);
    (void)ask_for(GRPC_RESOURCE_EXHAUSTED);
    scripted_await(&server, SEEN_RESET, 1);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

/* Windows are given back while it comes. */
START_TEST(an_answer_of_the_largest_size_comes_through)
{
    large_make(4 << 20);
    serve(answer_largely);
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_msg(ask(&call, &out) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_uint_eq(out->base.n_unknown_fields, 1);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

static const struct reply cut_short = {
    GRPC_FIELDS, {(const uint8_t *)SERVING_MESSAGE, 6}, TRAILERS_OK, REPLY_ENDS};
static const struct reply two_messages = {
    GRPC_FIELDS, {(const uint8_t *)SERVING_MESSAGE SERVING_MESSAGE, 14}, TRAILERS_OK, REPLY_ENDS};
static const struct reply bad_flag = {
    GRPC_FIELDS, {(const uint8_t *)"\1\0\0\0\2\x08\1", 7}, TRAILERS_OK, REPLY_ENDS};

static void answer_brokenly(struct scripted *self, int32_t id, bool whole)
{
    static const struct reply *const replies[] = {&cut_short, &two_messages, &bad_flag};
    if (whole && self->requests <= 3)
        scripted_reply(self, id, *replies[self->requests - 1]);
    else
        answer_well(self, id, whole);
}

START_TEST(broken_messages_are_no_answers)
{
    serve(answer_brokenly);
    (void)ask_for(GRPC_INTERNAL);
    ask_in_vain(FAULT_PROTOCOL);
    ask_in_vain(FAULT_PROTOCOL);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

static void answer_with_hints(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    nghttp2_nv fields[8];
    char copy[256];
    size_t count = scripted_fields(":status: 103\ngrpc-status: 5\n", fields, copy);
    ck_assert_int_ge(
        nghttp2_submit_headers(self->session, NGHTTP2_FLAG_NONE, id, NULL, fields, count, NULL), 0);
    answer_well(self, id, whole);
}

START_TEST(informational_answers_are_not_the_answer)
{
    serve(answer_with_hints);
    ask_well();
}
END_TEST

/* --- resets ----------------------------------------------------------------------------------------- */

static const struct {
    uint32_t code;
    int status;
} resets[] = {
    {NGHTTP2_NO_ERROR, GRPC_INTERNAL},
    {NGHTTP2_PROTOCOL_ERROR, GRPC_INTERNAL},
    {NGHTTP2_CANCEL, GRPC_CANCELLED},
    {NGHTTP2_ENHANCE_YOUR_CALM, GRPC_RESOURCE_EXHAUSTED},
    {NGHTTP2_INADEQUATE_SECURITY, GRPC_PERMISSION_DENIED},
};

static void answer_by_reset(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, id,
                                  resets[self->requests - 1].code);
}

START_TEST(resets_mean_what_the_mapping_says)
{
    serve(answer_by_reset);
    for (size_t i = 0; i < sizeof resets / sizeof resets[0]; i++) {
        struct client_call call = call_make();
        Grpc__Health__V1__HealthCheckResponse *out;
        ck_assert_int_eq(ask(&call, &out), OK);
        ck_assert_int_eq(call.status, resets[i].status);
        ck_assert(!call.unprocessed);
    }
}
END_TEST

/* The negative cases of gRPC's HTTP/2 interoperability tests: after the headers, within the message, after it. */
static const size_t data_before_reset[] = {0, 4, 7};

static void reset_midway(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    unsigned at = self->requests - 1;
    if (at >= sizeof data_before_reset / sizeof data_before_reset[0]) {
        answer_well(self, id, whole);
        return;
    }
    struct slice part = slice_make(SERVING_MESSAGE, data_before_reset[at]);
    scripted_reply(self, id,
                   (struct reply){.fields = GRPC_FIELDS, .body = part, .rest = REPLY_IS_RESET});
}

/* Even a whole message without a status is no success, and the channel goes on. */
START_TEST(a_reset_midway_is_no_answer)
{
    serve(reset_midway);
    for (size_t i = 0; i < sizeof data_before_reset / sizeof data_before_reset[0]; i++) {
        struct client_call call = ask_for(GRPC_INTERNAL);
        ck_assert(!call.unprocessed);
    }
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

static void refuse_once(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    else
        answer_well(self, id, whole);
}

START_TEST(a_refused_stream_is_asked_again_at_once)
{
    serve(refuse_once);
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_eq(ask(&call, &out), OK);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_uint_eq(call.attempts, 2);
    ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 2);
}
END_TEST

static void refuse_always(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        nghttp2_submit_rst_stream(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
}

START_TEST(a_server_that_refuses_for_good_is_asked_twice)
{
    serve(refuse_always);
    struct client_call call = ask_for(GRPC_UNAVAILABLE);
    ck_assert(call.unprocessed);
    ck_assert_uint_eq(call.attempts, 2);
}
END_TEST

/* --- the end of connections --------------------------------------------------------------------------- */

static void goaway(struct scripted *self, int32_t last, uint32_t code)
{
    ck_assert_int_eq(nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, last, code, NULL, 0),
                     0);
}

static void answer_and_go(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    goaway(self, id, NGHTTP2_NO_ERROR);
    answer_well(self, id, whole);
}

START_TEST(a_call_in_flight_outlives_a_goaway)
{
    serve(answer_and_go);
    ask_well();
    ask_well(); /* on another connection */
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

static void go_first(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        goaway(self, 0, NGHTTP2_NO_ERROR);
    else
        answer_well(self, id, whole);
}

START_TEST(a_call_that_a_goaway_leaves_out_is_made_elsewhere)
{
    serve(go_first);
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_eq(ask(&call, &out), OK);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_uint_eq(call.attempts, 2);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

static void hang_up_once(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        self->hangs_up = true;
    else
        answer_well(self, id, whole);
}

/* Nobody knows whether it was done: without a word from the caller it is not repeated. */
START_TEST(a_lost_connection_is_told_and_replaced)
{
    serve(hang_up_once);
    ask_in_vain(FAULT_IO);
    ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 1);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

START_TEST(a_connection_lost_between_calls_costs_none)
{
    serve(answer_well);
    ask_well();
    server.answer = answer_well;
    scripted_stop(&server); /* closes the connection */
    server.stops = false;
    scripted_start(&server);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

/* --- time ------------------------------------------------------------------------------------------- */

static void answer_never_at_first(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests > 1)
        answer_well(self, id, whole);
}

START_TEST(a_call_given_up_is_reset_and_the_channel_goes_on)
{
    serve(answer_never_at_first);
    ck_assert_int_eq(client_channel_connect(&ctx, channel), OK);
    struct client_call call = call_make();
    call.timeout_ns = 50 * NS_PER_MS;
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_ne(ask(&call, &out), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_TIMEOUT);
    scripted_await(&server, SEEN_RESET, 1);
    ck_assert_uint_eq(server.reset_code, NGHTTP2_CANCEL);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

START_TEST(a_server_that_never_speaks_costs_the_deadline)
{
    struct client_call call = call_make(); /* connections stay in the kernel's queue */
    call.timeout_ns = 50 * NS_PER_MS;
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_ne(ask(&call, &out), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_TIMEOUT);
    ck_assert(call.unprocessed);
    serve(answer_well);
    ask_well(); /* its own deadline said nothing about the server: no pause */
}
END_TEST

static void answer_early(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        scripted_reply(
            self, id,
            (struct reply){
                GRPC_FIELDS "grpc-status: 8\ngrpc-message: full\n", {0}, NULL, REPLY_ENDS});
}

/* The server gives no window for it: the call must not wait until all of it has gone. */
START_TEST(an_early_answer_ends_a_large_request)
{
    serve(answer_early);
    static char name[300 * 1024];
    memset(name, 'n', sizeof name - 1);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = name;
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out = NULL;
    ck_assert_int_eq(health_check(&call, &request, &out), OK);
    ck_assert_int_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(call.message, "full");
    scripted_await(&server, SEEN_RESET, 1);
    ck_assert_uint_eq(server.reset_code, NGHTTP2_NO_ERROR);
}
END_TEST

/* --- cancelled ------------------------------------------------------------------------------------------ */

static void be_unavailable(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS "grpc-status: 14\n", {0}, NULL, REPLY_ENDS});
}

struct patient {
    struct task *task;
    struct client_call call;
    int rc;
};

static void ask_at_leisure(struct task *task, void *argument)
{
    struct patient *patient = argument;
    struct client_retry retry = client_retry_default;
    Grpc__Health__V1__HealthCheckResponse *out;
    retry.pause_first_ns = retry.pause_max_ns = 3600 * NS_PER_S;
    patient->task = ctx.task = task;
    patient->call = call_make();
    patient->call.timeout_ns = CLIENT_NO_TIMEOUT;
    patient->call.retry = &retry;
    patient->call.is_repeatable = true;
    patient->rc = ask(&patient->call, &out);
    patient->call.retry = NULL;
    ctx.task = NULL;
}

START_TEST(a_call_cancelled_between_attempts_is_told_so)
{
    struct patient patient = {.task = NULL};
    struct loop *loop = loop_new(1);
    uint64_t end = clock_now() + PATIENCE_NS;
    serve(be_unavailable);
    ck_assert(task_start(loop, ask_at_leisure, &patient, NULL));
    while (patient.call.status != GRPC_UNAVAILABLE && clock_now() < end)
        loop_turn(loop, 5 * NS_PER_MS);
    task_cancel(patient.task); /* it sleeps */
    loop_out(loop);
    ck_assert_int_ne(patient.rc, OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_CANCELLED);
    ck_assert_uint_eq(patient.call.attempts, 1);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

Suite *suite_client_unary(void);
Suite *suite_client_unary(void)
{
    Suite *suite = suite_create("client/unary");
    TCase *calls = caller_case("calls");
    tcase_add_test(calls, calls_share_a_connection);
    tcase_add_test(calls, only_what_a_server_called_success_is_one);
    tcase_add_test(calls, metadata_is_decoded_both_ways);
    tcase_add_test(calls, bloated_metadata_ends_its_call_alone);
    tcase_add_test(calls, an_answer_beyond_the_limit_ends_its_call_alone);
    tcase_add_test(calls, an_answer_of_the_largest_size_comes_through);
    tcase_add_test(calls, broken_messages_are_no_answers);
    tcase_add_test(calls, informational_answers_are_not_the_answer);
    tcase_add_test(calls, resets_mean_what_the_mapping_says);
    tcase_add_test(calls, a_reset_midway_is_no_answer);
    tcase_add_test(calls, a_refused_stream_is_asked_again_at_once);
    tcase_add_test(calls, a_server_that_refuses_for_good_is_asked_twice);
    tcase_add_test(calls, a_call_in_flight_outlives_a_goaway);
    tcase_add_test(calls, a_call_that_a_goaway_leaves_out_is_made_elsewhere);
    tcase_add_test(calls, a_lost_connection_is_told_and_replaced);
    tcase_add_test(calls, a_connection_lost_between_calls_costs_none);
    tcase_add_test(calls, a_call_given_up_is_reset_and_the_channel_goes_on);
    tcase_add_test(calls, a_server_that_never_speaks_costs_the_deadline);
    tcase_add_test(calls, an_early_answer_ends_a_large_request);
    suite_add_tcase(suite, calls);
    TCase *cancelled = caller_case("cancelled");
    tcase_add_test(cancelled, a_call_cancelled_between_attempts_is_told_so);
    suite_add_tcase(suite, cancelled);
    return suite;
}
