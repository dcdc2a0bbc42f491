/* What bad requests get, what refusals look like on the wire, and how calls end before their time. */
#include "h2_pair.h"

#include "rpc/coding.h"

#include <limits.h>

static struct exchange *ask(struct pair *pair, const char *path, const struct extra *extras)
{
    return pair_finish(pair, pair_request(pair, path, extras, pair_message(1, "hello")));
}

/* One request with one field changed. */
static struct exchange *ask_with(struct pair *pair, const char *name, const char *value)
{
    const struct extra extras[] = {{name, value}, {NULL, NULL}};
    return ask(pair, "/test.v1.Pair/Echo", extras);
}

static void check_trailers_only(const struct exchange *exchange, int status)
{
    ck_assert_int_eq(answer_status(exchange), status);
    ck_assert_int_eq(exchange->blocks, 1);
    ck_assert_uint_eq(buf_size(&exchange->body), 0);
    ck_assert_str_eq(answer_field(exchange, ":status"), "200");
    ck_assert_ptr_nonnull(answer_field(exchange, "x-request-id"));
}

static struct pair *connected(void)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    return pair;
}

START_TEST(test_unknown_paths)
    {
        static const char *const paths[] = {
            "/test.v1.Pair/Nothing",
            "/test.v1.None/Echo",
            "/test.v1.Pair/echo",
            "/test.v1.Pair/Echo/",
            "//test.v1.Pair/Echo",
            "/test.v1.Pair/Echo?x",
            "/",
            "/test.v1.Pair/Unserved",
        };
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            struct exchange *exchange = ask(pair, paths[i], NULL);
            check_trailers_only(exchange, GRPC_UNIMPLEMENTED);
            ck_assert_int_eq(
                strncmp(answer_field(exchange, "grpc-message"), "METHOD_UNKNOWN: ", 16), 0);
        }
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

/* CVE-2026-33186: a path without its slash must not reach the method past rules about the path. */
START_TEST(test_path_without_slash)
    {
        struct pair *pair = pair_new(NULL);
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        raw_headers(&bytes, 1, "test.v1.Pair/Echo", NGHTTP2_FLAG_END_STREAM);
        pair_raw(pair, &bytes);
        pair_turns(pair, 3);
        ck_assert_int_eq(pair->invocations, 0);
        struct exchange *exchange = pair_exchange(pair, 1);
        ck_assert(exchange->reset || answer_status(exchange) == GRPC_UNIMPLEMENTED);
        buf_deinit(&bytes);
        pair_free(pair);
    }
END_TEST

START_TEST(test_not_grpc)
    {
        struct pair *pair = connected();
        ck_assert_str_eq(answer_field(ask_with(pair, ":method", "GET"), ":status"), "405");
        static const char *const types[] = {"application/xml", "application/grpc-web-text",
                                            "application/grpcx", "text/plain", NULL};
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            struct exchange *exchange = ask_with(pair, "content-type", types[i]);
            ck_assert_str_eq(answer_field(exchange, ":status"), "415");
            ck_assert_ptr_null(answer_field(exchange, "grpc-status"));
        }
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(test_encodings)
    {
        struct pair *pair = connected();
        struct exchange *exchange = ask_with(pair, "grpc-encoding", "snappy");
        check_trailers_only(exchange, GRPC_UNIMPLEMENTED);
        ck_assert_str_eq(answer_field(exchange, "grpc-accept-encoding"), "identity,gzip");
        ck_assert_int_eq(answer_status(ask_with(pair, "grpc-encoding", "identity")), GRPC_OK);
        pair_free(pair);
    }
END_TEST

static struct exchange *send_bytes(struct pair *pair, const char *path, const void *bytes,
                                   size_t size)
{
    struct buf *body = xcalloc(1, sizeof *body);
    buf_put(body, bytes, size);
    return pair_finish(pair, pair_request(pair, path, NULL, body));
}

START_TEST(test_broken_framing)
    {
        static const struct {
            const char *bytes;
            size_t size;
            int status;
        } cases[] = {
            {"", 0, GRPC_UNIMPLEMENTED},                      /* no message at all */
            {"\0", 1, GRPC_INTERNAL},                         /* cut in the prefix */
            {"\0\0\0\0\5\x08\1", 7, GRPC_INTERNAL},           /* cut in the message */
            {"\1\0\0\0\0", 5, GRPC_INTERNAL},                 /* compressed without an encoding */
            {"\2\0\0\0\0", 5, GRPC_INTERNAL},                 /* an unknown flag */
            {"\0\0\0\0\0\0\0\0\0\0", 10, GRPC_UNIMPLEMENTED}, /* two messages */
            {"\0\0\0\0\0x", 6, GRPC_UNIMPLEMENTED},           /* one and a bit */
            {"\0\0\x10\0\1", 5, GRPC_RESOURCE_EXHAUSTED},     /* 1 MiB + 1 */
            {"\0\xFF\xFF\xFF\xFF", 5, GRPC_RESOURCE_EXHAUSTED},
            {"\0\0\0\0\2\xFF\xFF", 7, GRPC_INVALID_ARGUMENT},       /* not protobuf */
            {"\0\0\0\0\4\x12\2\xC3\x28", 9, GRPC_INVALID_ARGUMENT}, /* not UTF-8 */
            {"\0\0\0\0\4\x12\2a\0", 9, GRPC_INVALID_ARGUMENT},      /* a NUL in a string */
        };
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct exchange *exchange =
                send_bytes(pair, "/test.v1.Pair/Echo", cases[i].bytes, cases[i].size);
            ck_assert_msg(answer_status(exchange) == cases[i].status, "case %zu: %d", i,
                          answer_status(exchange));
        }
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(test_malformed_message_names_its_field)
    {
        struct pair *pair = connected();
        struct exchange *exchange =
            send_bytes(pair, "/test.v1.Pair/Echo", "\0\0\0\0\4\x12\2\xC3\x28", 9);
        const char *message = answer_field(exchange, "grpc-message");
        ck_assert_ptr_nonnull(strstr(message, "(message: "));
        pair_free(pair);
    }
END_TEST

/* The method's own limit counts also for bytes that come together with the headers. */
START_TEST(test_limits_of_methods)
    {
        struct pair *pair = connected();
        char text[201];
        memset(text, 'a', 200);
        text[200] = '\0';
        int32_t id = pair_request(pair, "/test.v1.Pair/Small", NULL, pair_message(1, text));
        ck_assert_int_eq(answer_status(pair_finish(pair, id)), GRPC_RESOURCE_EXHAUSTED);
        char *large = xmalloc(2500001);
        memset(large, 'b', 2500000);
        large[2500000] = '\0';
        id = pair_request(pair, "/test.v1.Pair/Import", NULL, pair_message(1, large));
        ck_assert_int_eq(answer_status(pair_finish(pair, id)), GRPC_OK);
        id = pair_request(pair, "/test.v1.Pair/Echo", NULL, pair_message(1, large));
        ck_assert_int_eq(answer_status(pair_finish(pair, id)), GRPC_RESOURCE_EXHAUSTED);
        free(large);
        ck_assert_uint_eq(pair_limit(pair, "message_bytes"), 2);
        pair_free(pair);
    }
END_TEST

START_TEST(test_answer_too_large)
    {
        struct pair *pair = connected();
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Large", 5 << 20));
        check_trailers_only(exchange, GRPC_INTERNAL);
        ck_assert_uint_eq(pair_limit(pair, "response_bytes"), 1);
        pair_free(pair);
    }
END_TEST

/* An answer before the request is whole: RST_STREAM(NO_ERROR) tells the client to stop sending. */
START_TEST(test_early_answer_stops_the_client)
    {
        struct pair *pair = connected();
        int32_t id = pair_request(pair, "/test.v1.Pair/Nothing", NULL, NULL);
        struct exchange *exchange = pair_finish(pair, id);
        check_trailers_only(exchange, GRPC_UNIMPLEMENTED);
        ck_assert(exchange->reset);
        ck_assert_uint_eq(exchange->reset_error, NGHTTP2_NO_ERROR);
        ck_assert(list_is_empty(&pair->h2->streams));
        pair_free(pair);
    }
END_TEST

START_TEST(test_gate_and_match)
    {
        struct pair *pair = connected();
        check_trailers_only(ask_with(pair, "x-forbid", "gate"), GRPC_PERMISSION_DENIED);
        check_trailers_only(ask_with(pair, "x-forbid", "match"), GRPC_PERMISSION_DENIED);
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

/* The gate speaks before anything of the body has come. */
START_TEST(test_gate_needs_no_body)
    {
        struct pair *pair = connected();
        const struct extra extras[] = {{"x-forbid", "gate"}, {NULL, NULL}};
        int32_t id = pair_request(pair, "/test.v1.Pair/Echo", extras, NULL);
        check_trailers_only(pair_finish(pair, id), GRPC_PERMISSION_DENIED);
        pair_free(pair);
    }
END_TEST

START_TEST(test_violations_on_the_wire)
    {
        struct pair *pair = connected();
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Refuse", 1));
        check_trailers_only(exchange, GRPC_INVALID_ARGUMENT);
        const char *text = answer_field(exchange, "grpc-message");
        ck_assert_int_eq(strncmp(text, "INVALID_ARGUMENT: ", 18), 0);
        ck_assert_ptr_nonnull(strstr(text, "50%25 %C3%A4"));
        const char *details = answer_field(exchange, "grpc-status-details-bin");
        struct slice packed;
        ck_assert(base64_decode(pair->arena, slice_of_str(details), &packed));
        Google__Rpc__Status *status = google__rpc__status__unpack(NULL, packed.size, packed.data);
        ck_assert_ptr_nonnull(status);
        ck_assert_int_eq(status->code, GRPC_INVALID_ARGUMENT);
        ck_assert_uint_eq(status->n_details, 2);
        google__rpc__status__free_unpacked(status, NULL);
        pair_free(pair);
    }
END_TEST

START_TEST(test_retry_after)
    {
        struct pair *pair = connected();
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Refuse", 2));
        check_trailers_only(exchange, GRPC_FAILED_PRECONDITION);
        ck_assert_str_eq(answer_field(exchange, "retry-after"), "2");
        /* to wait does not help against this one: a client must not be told to retry by itself */
        ck_assert_ptr_null(answer_field(exchange, "grpc-retry-pushback-ms"));
        pair_free(pair);
    }
END_TEST

/* gRPC proposal A6.  Clients wait for exactly as long as they are told, so what each is told must differ. */
START_TEST(test_retry_pushback)
    {
        struct pair *pair = connected();
        long least = LONG_MAX;
        long most = 0;
        for (int i = 0; i < 40; i++) {
            struct exchange *exchange = pair_finish(pair, pair_call(pair, "Refuse", 3));
            check_trailers_only(exchange, GRPC_UNAVAILABLE);
            const char *text = answer_field(exchange, "grpc-retry-pushback-ms");
            ck_assert_ptr_nonnull(text);
            char *end = NULL;
            long told = strtol(text, &end, 10);
            ck_assert(*end == '\0' && text[0] != '0');
            ck_assert_int_ge(told, 1000);
            ck_assert_int_le(told, 1500);
            least = told < least ? told : least;
            most = told > most ? told : most;
        }
        ck_assert_int_lt(least, most);
        struct exchange *good = pair_finish(pair, pair_call(pair, "Echo", 1));
        ck_assert_ptr_null(answer_field(good, "grpc-retry-pushback-ms"));
        pair_free(pair);
    }
END_TEST

START_TEST(test_faults_keep_their_secrets)
    {
        struct pair *pair = connected();
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Refuse", 3));
        check_trailers_only(exchange, GRPC_UNAVAILABLE);
        for (size_t i = 0; i < exchange->field_count; i++)
            ck_assert_ptr_null(strstr(exchange->fields[i].value, "hunter2"));
        ck_assert_ptr_nonnull(
            strstr(answer_field(exchange, "grpc-message"), answer_field(exchange, "x-request-id")));
        pair_free(pair);
    }
END_TEST

START_TEST(test_malformed_timeouts)
    {
        static const char *const values[] = {"",    "1",  "S",   "123456789S",
                                             "-1S", "1s", "1 S", "0x1S"};
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
            ck_assert_int_eq(answer_status(ask_with(pair, "grpc-timeout", values[i])),
                             GRPC_INVALID_ARGUMENT);
        ck_assert_int_eq(answer_status(ask_with(pair, "grpc-timeout", "99999999H")), GRPC_OK);
        ck_assert_int_eq(pair->invocations, 1);
        pair_free(pair);
    }
END_TEST

START_TEST(test_deadline_while_the_handler_waits)
    {
        struct pair *pair = connected();
        const struct extra extras[] = {{"grpc-timeout", "50m"}, {NULL, NULL}};
        uint64_t began = clock_now();
        int32_t id = pair_request(pair, "/test.v1.Pair/Sleep", extras, pair_message(3000, ""));
        check_trailers_only(pair_finish(pair, id), GRPC_DEADLINE_EXCEEDED);
        uint64_t took = clock_now() - began;
        ck_assert_uint_ge(took, 49 * NS_PER_MS);
        ck_assert_uint_lt(took, 500 * NS_PER_MS);
        pair_turns(pair, 2);
        ck_assert_int_eq(pair->finished, 1);
        pair_free(pair);
    }
END_TEST

/* The client has its answer in time; the handler's slot stays taken until it has really ended. */
START_TEST(test_deadline_of_a_stubborn_handler)
    {
        struct pair *pair = connected();
        const struct extra extras[] = {{"grpc-timeout", "50m"}, {NULL, NULL}};
        uint64_t began = clock_now();
        int32_t id = pair_request(pair, "/test.v1.Pair/Stubborn", extras, pair_message(800, ""));
        check_trailers_only(pair_finish(pair, id), GRPC_DEADLINE_EXCEEDED);
        ck_assert_uint_lt(clock_now() - began, 500 * NS_PER_MS);
        ck_assert_int_eq(pair->finished, 0);
        ck_assert_uint_eq(pair->worker->running_calls, 1);
        pair_free(pair);
    }
END_TEST

START_TEST(test_deadline_while_the_body_is_missing)
    {
        struct pair *pair = connected();
        const struct extra extras[] = {{"grpc-timeout", "50m"}, {NULL, NULL}};
        int32_t id = pair_request(pair, "/test.v1.Pair/Echo", extras, NULL);
        check_trailers_only(pair_finish(pair, id), GRPC_DEADLINE_EXCEEDED);
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(test_deadline_cap_and_default)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.deadline_cap_ns = 60 * NS_PER_MS;
        limits.deadline_default_ns = 40 * NS_PER_MS;
        struct pair *pair = pair_new(&limits);
        pair_connect(pair);
        const struct extra extras[] = {{"grpc-timeout", "1H"}, {NULL, NULL}};
        int32_t id = pair_request(pair, "/test.v1.Pair/Sleep", extras, pair_message(4000, ""));
        ck_assert_int_eq(answer_status(pair_finish(pair, id)), GRPC_DEADLINE_EXCEEDED);
        ck_assert_int_eq(answer_status(pair_finish(pair, pair_call(pair, "Sleep", 4000))),
                         GRPC_DEADLINE_EXCEEDED);
        pair_free(pair);
    }
END_TEST

START_TEST(test_reset_cancels_the_handler)
    {
        struct pair *pair = connected();
        int32_t id = pair_call(pair, "Sleep", 4000);
        while (pair->invocations == 0)
            pair_turn(pair);
        nghttp2_submit_rst_stream(pair->client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        uint64_t limit = clock_now() + NS_PER_S;
        while (pair->finished == 0 && clock_now() < limit)
            pair_turn(pair);
        ck_assert_int_eq(pair->cancelled, 1);
        ck_assert_uint_eq(pair->worker->running_calls, 0);
        pair_free(pair);
    }
END_TEST

/* HEADERS, DATA and RST_STREAM before the loop ran the task: the handler must not start. */
START_TEST(test_reset_before_the_task_runs)
    {
        struct pair *pair = pair_new(NULL);
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        raw_headers(&bytes, 1, "/test.v1.Pair/Sleep", 0);
        struct buf *body = pair_message(4000, "");
        raw_frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, buf_slice(body));
        pair_raw(pair, &bytes);
        raw_frame(&bytes, NGHTTP2_RST_STREAM, 0, 1, slice_make("\0\0\0\10", 4));
        pair_raw(pair, &bytes);
        pair_turns(pair, 5);
        ck_assert_int_eq(pair->invocations, 0);
        ck_assert_uint_eq(pair->worker->running_calls, 0);
        pair_drop_body(body);
        buf_deinit(&bytes);
        pair_free(pair);
    }
END_TEST

START_TEST(test_lost_connection_cancels_all)
    {
        struct pair *pair = connected();
        pair_turns(pair, 2);
        for (int i = 0; i < 20; i++)
            (void)pair_call(pair, i % 2 == 0 ? "Sleep" : "Stubborn", 100);
        while (pair->invocations < 20)
            pair_turn(pair);
        pair_drop(pair);
        uint64_t limit = clock_now() + 2 * NS_PER_S;
        while (pair->finished < 20 && clock_now() < limit)
            loop_turn(pair->loop, NS_PER_MS);
        ck_assert_int_eq(pair->finished, 20);
        ck_assert_int_eq(pair->cancelled, 10);
        pair_free(pair);
    }
END_TEST

START_TEST(test_lost_connection_before_the_tasks_run)
    {
        struct pair *pair = pair_new(NULL);
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        struct buf *body = pair_message(4000, "");
        for (uint32_t id = 1; id < 40; id += 2) {
            raw_headers(&bytes, id, "/test.v1.Pair/Sleep", 0);
            raw_frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, buf_slice(body));
        }
        pair_raw(pair, &bytes);
        pair_drop(pair);
        pair_drop_body(body);
        buf_deinit(&bytes);
        pair_free(pair);
    }
END_TEST

START_TEST(test_lost_connection_with_half_requests)
    {
        struct pair *pair = pair_new(NULL);
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        for (uint32_t id = 1; id < 40; id += 2) {
            raw_headers(&bytes, id, "/test.v1.Pair/Echo", 0);
            raw_frame(&bytes, NGHTTP2_DATA, 0, id, slice_make("\0\0\0\0\5ab", 7));
        }
        pair_raw(pair, &bytes);
        pair_turns(pair, 2);
        ck_assert_uint_eq(pair->h2->buffered, 20 * 2);
        pair_drop(pair);
        buf_deinit(&bytes);
        pair_free(pair);
    }
END_TEST

START_TEST(test_client_gone_while_the_answer_is_sent)
    {
        struct pair *pair = connected();
        const nghttp2_settings_entry tiny = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
        nghttp2_submit_settings(pair->client, NGHTTP2_FLAG_NONE, &tiny, 1);
        for (int i = 0; i < 5; i++)
            (void)pair_call(pair, "Large", 10000);
        while (pair->finished < 5)
            pair_turn(pair);
        pair_turns(pair, 2);
        ck_assert_uint_gt(pair->h2->queued, 50000);
        nghttp2_submit_rst_stream(pair->client, NGHTTP2_FLAG_NONE, 3, NGHTTP2_CANCEL);
        pair_turns(pair, 2);
        ck_assert_uint_lt(pair->h2->queued, 50000);
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_h2_errors(void);
Suite *suite_rpc_h2_errors(void)
{
    Suite *suite = suite_create("rpc_h2_errors");
    TCase *tests = tcase_create("errors");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, test_unknown_paths);
    tcase_add_test(tests, test_path_without_slash);
    tcase_add_test(tests, test_not_grpc);
    tcase_add_test(tests, test_encodings);
    tcase_add_test(tests, test_broken_framing);
    tcase_add_test(tests, test_malformed_message_names_its_field);
    tcase_add_test(tests, test_limits_of_methods);
    tcase_add_test(tests, test_answer_too_large);
    tcase_add_test(tests, test_early_answer_stops_the_client);
    tcase_add_test(tests, test_gate_and_match);
    tcase_add_test(tests, test_gate_needs_no_body);
    tcase_add_test(tests, test_violations_on_the_wire);
    tcase_add_test(tests, test_retry_after);
    tcase_add_test(tests, test_retry_pushback);
    tcase_add_test(tests, test_faults_keep_their_secrets);
    tcase_add_test(tests, test_malformed_timeouts);
    suite_add_tcase(suite, tests);
    TCase *ends = tcase_create("ends");
    tcase_set_timeout(ends, 30);
    tcase_add_test(ends, test_deadline_while_the_handler_waits);
    tcase_add_test(ends, test_deadline_of_a_stubborn_handler);
    tcase_add_test(ends, test_deadline_while_the_body_is_missing);
    tcase_add_test(ends, test_deadline_cap_and_default);
    tcase_add_test(ends, test_reset_cancels_the_handler);
    tcase_add_test(ends, test_reset_before_the_task_runs);
    tcase_add_test(ends, test_lost_connection_cancels_all);
    tcase_add_test(ends, test_lost_connection_before_the_tasks_run);
    tcase_add_test(ends, test_lost_connection_with_half_requests);
    tcase_add_test(ends, test_client_gone_while_the_answer_is_sent);
    suite_add_tcase(suite, ends);
    return suite;
}
