/* gzip both ways, where it was asked for; and servers that know none. */
#include "caller.h"

#include "rpc/gzip.h"

#define LARGE 20000u
#define FROM 1000u /* bytes */
#define MESSAGE_MAX (4u << 20)

static char name[LARGE + 1];

static void compressing(void)
{
    set_up();
    memset(name, 'n', LARGE);
    client_channel_free(channel);
    channel = scripted_channel(&server, (struct client_settings){.compress_from = FROM});
}

/* A check of `name`. */
static int ask_by_name(struct client_call *call, Grpc__Health__V1__HealthCheckResponse **out)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = name;
    *out = NULL;
    return health_check(call, &request, out);
}

static struct client_call ask_name_for(int status)
{
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_msg(ask_by_name(&call, &out) == OK, "%s", ctx.fault.text);
    ck_assert_msg(call.status == status, "status %d: %s", call.status, call.message);
    ck_assert(status == GRPC_OK ? out != NULL : out == NULL);
    return call;
}

/* The last request's only message had this flag and is a check of `name`. */
static void check_sent(bool compressed)
{
    struct buf plain = BUF_EMPTY;
    pthread_mutex_lock(&server.lock);
    struct slice body = buf_slice(&server.body);
    ck_assert_uint_ge(body.size, 5);
    ck_assert_int_eq(body.data[0], compressed);
    body = slice_skip(body, 5);
    if (compressed)
        ck_assert_int_eq(gzip_inflate(body, MESSAGE_MAX, &plain), GZIP_OK);
    else
        buf_put_slice(&plain, body);
    pthread_mutex_unlock(&server.lock);
    struct slice message = buf_slice(&plain);
    Grpc__Health__V1__HealthCheckRequest *request =
        grpc__health__v1__health_check_request__unpack(NULL, message.size, message.data);
    ck_assert_ptr_nonnull(request);
    ck_assert_str_eq(request->service, name);
    grpc__health__v1__health_check_request__free_unpacked(request, NULL);
    buf_deinit(&plain);
}

START_TEST(large_messages_are_compressed)
{
    serve(answer_well);
    (void)ask_name_for(GRPC_OK);
    ck_assert(scripted_saw_field(&server, "grpc-encoding: gzip\n"));
    ck_assert(scripted_saw_field(&server, "grpc-accept-encoding: identity,gzip\n"));
    ck_assert_uint_lt(server.body_size, LARGE / 10);
    check_sent(true);
}
END_TEST

START_TEST(what_would_not_be_smaller_is_not)
{
    serve(answer_well);
    name[FROM - 10] = '\0'; /* below the bound */
    (void)ask_name_for(GRPC_OK);
    ck_assert(scripted_saw_field(&server, "grpc-encoding: gzip\n"));
    check_sent(false);
    uint8_t noise[127];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i + 1);
    struct client_call call = call_make();
    call.compress_from = 1;
    memcpy(name, noise, sizeof noise); /* every byte once */
    name[sizeof noise] = '\0';
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_eq(ask_by_name(&call, &out), OK);
    check_sent(false);
}
END_TEST

START_TEST(a_call_may_stay_as_it_is)
{
    serve(answer_well);
    struct client_call call = call_make();
    Grpc__Health__V1__HealthCheckResponse *out;
    call.compress_from = CLIENT_COMPRESS_NONE;
    ck_assert_int_eq(ask_by_name(&call, &out), OK);
    ck_assert(!scripted_saw_field(&server, "grpc-encoding"));
    ck_assert(!scripted_saw_field(&server, "grpc-accept-encoding"));
    check_sent(false);
}
END_TEST

static void name_encodings_in_lines(struct scripted *self, int32_t id, bool whole)
{
    static const char *const fields[] = {
        GRPC_FIELDS "grpc-accept-encoding: gzip\ngrpc-accept-encoding: identity\n",
        GRPC_FIELDS "grpc-accept-encoding: identity\ngrpc-accept-encoding: deflate,\tgzip\n",
        GRPC_FIELDS,
    };
    if (whole)
        scripted_reply(self, id,
                       (struct reply){fields[self->requests - 1], serving(), TRAILERS_OK,
                                      REPLY_ENDS});
}

START_TEST(encodings_may_be_named_in_several_lines)
{
    serve(name_encodings_in_lines);
    for (int i = 0; i < 3; i++) {
        (void)ask_name_for(GRPC_OK);
        check_sent(true);
    }
}
END_TEST

/* --- servers that know none ----------------------------------------------------------------------------- */

/* As compression.md wants it of servers. */
static void know_no_gzip(struct scripted *self, int32_t id, bool whole)
{
    if (whole && buf_slice(&self->body).data[0] == 1)
        scripted_reply(
            self, id,
            (struct reply){
                GRPC_FIELDS "grpc-accept-encoding: identity,deflate\ngrpc-status: 12\n",
                {0},
                NULL,
                REPLY_ENDS});
    else
        answer_well(self, id, whole);
}

START_TEST(a_server_without_gzip_is_asked_again_without)
{
    serve(know_no_gzip);
    struct client_call call = ask_name_for(GRPC_OK);
    ck_assert_uint_eq(call.attempts, 2);
    check_sent(false);
    ck_assert(!scripted_saw_field(&server, "grpc-encoding"));
    call = ask_name_for(GRPC_OK); /* and is remembered */
    ck_assert_uint_eq(call.attempts, 1);
    ck_assert(!scripted_saw_field(&server, "grpc-encoding"));
    ck_assert_uint_eq(scripted_count(&server, SEEN_REQUEST), 3);
}
END_TEST

/* A stream is committed by the answer's headers: it is told, and the next one is not compressed. */
START_TEST(a_stream_to_a_server_without_gzip_is_told)
{
    serve(know_no_gzip);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = name;
    for (int i = 0; i < 2; i++) {
        struct client_call call = call_make();
        struct client_stream *stream = NULL;
        Grpc__Health__V1__HealthCheckResponse *message = NULL;
        ck_assert_int_eq(health_watch_open(&call, &request, &stream), OK);
        ck_assert_int_eq(health_watch_next(stream, ctx.arena, &message), OK);
        ck_assert(i == 0 ? call.status == GRPC_UNIMPLEMENTED : message != NULL);
        client_stream_close(stream);
    }
}
END_TEST

static const char *const unimplemented[] = {
    GRPC_FIELDS "grpc-accept-encoding: identity, gzip\ngrpc-status: 12\n",
    GRPC_FIELDS "grpc-status: 12\n",
};

static void implement_nothing(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id,
                       (struct reply){unimplemented[self->requests - 1], {0}, NULL, REPLY_ENDS});
}

/* "the cause of the error MUST NOT be related to compression" */
START_TEST(a_method_that_is_missing_is_not_asked_again)
{
    serve(implement_nothing);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(ask_name_for(GRPC_UNIMPLEMENTED).attempts, 1);
}
END_TEST

/* --- answers -------------------------------------------------------------------------------------------- */

#define GZIP_FIELDS GRPC_FIELDS "grpc-encoding: gzip\n"

static struct buf answer_body;
static const char *answer_fields;

static void answer_with(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id,
                       (struct reply){answer_fields, buf_slice(&answer_body), TRAILERS_OK,
                                      REPLY_ENDS});
}

/* The answers are to be of this message, whose flag says that it is gzip. */
static void answer_make(const char *fields, struct slice message)
{
    uint8_t prefix[5] = {1};
    for (int i = 0; i < 4; i++)
        prefix[1 + i] = (uint8_t)(message.size >> (24 - 8 * i));
    answer_fields = fields;
    buf_put(&answer_body, prefix, sizeof prefix);
    buf_put_slice(&answer_body, message);
}

static void answer_clear(void)
{
    tear_down();
    buf_deinit(&answer_body);
}

static int ask_compressing(struct client_call *call)
{
    Grpc__Health__V1__HealthCheckResponse *out;
    *call = call_make();
    int rc = ask_by_name(call, &out);
    if (rc == OK && call->status == GRPC_OK)
        ck_assert_int_eq(out->status,
                         GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    return rc;
}

START_TEST(a_compressed_answer_is_inflated)
{
    struct buf packed = BUF_EMPTY;
    struct client_call call;
    gzip_deflate(slice_make("\x08\1", 2), &packed);
    answer_make(GZIP_FIELDS, buf_slice(&packed));
    buf_deinit(&packed);
    serve(answer_with);
    ck_assert_msg(ask_compressing(&call) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_OK);
    client_channel_free(channel); /* who did not ask for it gets none */
    channel = scripted_channel(&server, (struct client_settings){.address = NULL});
    ask_in_vain(FAULT_PROTOCOL);
}
END_TEST

START_TEST(an_answer_without_encoding_is_not_inflated)
{
    struct client_call call;
    answer_make(GRPC_FIELDS, slice_make("\x08\1", 2));
    serve(answer_with);
    ck_assert_int_ne(ask_compressing(&call), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_PROTOCOL);
}
END_TEST

START_TEST(what_is_not_gzip_is_no_answer)
{
    struct client_call call;
    answer_make(GZIP_FIELDS, slice_make("\x08\1", 2));
    serve(answer_with);
    ck_assert_int_ne(ask_compressing(&call), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_PROTOCOL);
}
END_TEST

START_TEST(an_answer_is_not_inflated_beyond_the_limit)
{
    struct buf packed = BUF_EMPTY;
    struct client_call call;
    uint8_t *zeros = xcalloc(1, MESSAGE_MAX + 1);
    gzip_deflate(slice_make(zeros, MESSAGE_MAX + 1), &packed);
    free(zeros);
    answer_make(GZIP_FIELDS, buf_slice(&packed));
    buf_deinit(&packed);
    serve(answer_with);
    ck_assert_msg(ask_compressing(&call) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
}
END_TEST

Suite *suite_client_compression(void);
Suite *suite_client_compression(void)
{
    Suite *suite = suite_create("client/compression");
    TCase *requests = tcase_create("requests");
    tcase_add_checked_fixture(requests, compressing, tear_down);
    tcase_add_test(requests, large_messages_are_compressed);
    tcase_add_test(requests, what_would_not_be_smaller_is_not);
    tcase_add_test(requests, a_call_may_stay_as_it_is);
    tcase_add_test(requests, encodings_may_be_named_in_several_lines);
    tcase_add_test(requests, a_server_without_gzip_is_asked_again_without);
    tcase_add_test(requests, a_stream_to_a_server_without_gzip_is_told);
    tcase_add_test(requests, a_method_that_is_missing_is_not_asked_again);
    suite_add_tcase(suite, requests);
    TCase *answers = tcase_create("answers");
    tcase_add_checked_fixture(answers, compressing, answer_clear);
    tcase_add_test(answers, a_compressed_answer_is_inflated);
    tcase_add_test(answers, an_answer_without_encoding_is_not_inflated);
    tcase_add_test(answers, what_is_not_gzip_is_no_answer);
    tcase_add_test(answers, an_answer_is_not_inflated_beyond_the_limit);
    suite_add_tcase(suite, answers);
    return suite;
}
