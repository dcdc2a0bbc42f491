/* Unary calls through the session: what goes right, in every way that bytes can arrive. */
#include "h2_pair.h"

#include "rpc/coding.h"

static void check_echo(const struct exchange *exchange, int code, const char *text)
{
    ck_assert_int_eq(answer_status(exchange), 0);
    ck_assert_str_eq(answer_field(exchange, ":status"), "200");
    ck_assert_str_eq(answer_field(exchange, "content-type"), "application/grpc");
    ck_assert_ptr_nonnull(answer_field(exchange, "x-request-id"));
    ck_assert_int_eq(exchange->blocks, 2);
    struct slice body = buf_slice(&exchange->body);
    ck_assert_uint_ge(body.size, 5);
    Google__Rpc__Status *message = google__rpc__status__unpack(NULL, body.size - 5, body.data + 5);
    ck_assert_ptr_nonnull(message);
    ck_assert_int_eq(message->code, code);
    ck_assert_str_eq(message->message, text);
    google__rpc__status__free_unpacked(message, NULL);
}

START_TEST(test_one_call)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        int32_t id = pair_call(pair, "Echo", 7);
        struct exchange *exchange = pair_finish(pair, id);
        check_echo(exchange, 7, "hello");
        ck_assert_uint_eq(exchange->error, NGHTTP2_NO_ERROR);
        ck_assert(!exchange->reset);
        pair_free(pair);
    }
END_TEST

START_TEST(test_status_stands_in_trailers)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Echo", 7));
        for (size_t i = 0; i < exchange->field_count; i++) {
            bool is_status = strcmp(exchange->fields[i].name, "grpc-status") == 0;
            bool is_request_id = strcmp(exchange->fields[i].name, "x-request-id") == 0;
            if (is_status)
                ck_assert_int_eq(exchange->fields[i].block, 1);
            if (is_request_id)
                ck_assert_int_eq(exchange->fields[i].block, 0);
        }
        pair_free(pair);
    }
END_TEST

static void put_request(struct buf *bytes, uint32_t id, size_t piece, int padding)
{
    raw_headers(bytes, id, "/test.v1.Pair/Echo", 0);
    struct buf *body = pair_message(9, "split anywhere");
    struct slice rest = buf_slice(body);
    while (rest.size > 0) {
        size_t size = rest.size < piece ? rest.size : piece;
        uint8_t payload[300] = {0};
        size_t start = 0;
        if (padding > 0)
            payload[start++] = (uint8_t)padding;
        memcpy(payload + start, rest.data, size);
        raw_frame(bytes, NGHTTP2_DATA, padding > 0 ? NGHTTP2_FLAG_PADDED : 0, id,
                  slice_make(payload, start + size + (size_t)padding));
        rest = slice_skip(rest, size);
    }
    raw_frame(bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, slice_make(NULL, 0));
    pair_drop_body(body);
}

START_TEST(test_frames_of_every_size)
    {
        for (size_t piece = 1; piece < 30; piece++) {
            struct pair *pair = pair_new(NULL);
            struct buf bytes = BUF_EMPTY;
            raw_preface(&bytes);
            put_request(&bytes, 1, piece, piece % 3 == 0 ? 7 : 0);
            pair_raw(pair, &bytes);
            check_echo(pair_finish(pair, 1), 9, "split anywhere");
            buf_deinit(&bytes);
            pair_free(pair);
        }
    }
END_TEST

START_TEST(test_bytes_split_at_every_place)
    {
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        put_request(&bytes, 1, 10, 3);
        for (size_t at = 0; at <= buf_size(&bytes); at++) {
            struct pair *pair = pair_new(NULL);
            pair_feed(pair, slice_make(buf_slice(&bytes).data, at));
            pair_turn(pair);
            pair_feed(pair, slice_skip(buf_slice(&bytes), at));
            check_echo(pair_finish(pair, 1), 9, "split anywhere");
            pair_free(pair);
        }
        buf_deinit(&bytes);
    }
END_TEST

START_TEST(test_byte_by_byte)
    {
        struct pair *pair = pair_new(NULL);
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        put_request(&bytes, 1, 3, 0);
        put_request(&bytes, 3, 4, 0);
        for (size_t i = 0; i < buf_size(&bytes); i++)
            pair_feed(pair, slice_make(buf_slice(&bytes).data + i, 1));
        check_echo(pair_finish(pair, 1), 9, "split anywhere");
        check_echo(pair_finish(pair, 3), 9, "split anywhere");
        buf_deinit(&bytes);
        pair_free(pair);
    }
END_TEST

START_TEST(test_empty_message)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        struct buf *body = xcalloc(1, sizeof *body);
        framing_put(body, slice_make(NULL, 0));
        struct exchange *exchange =
            pair_finish(pair, pair_request(pair, "/test.v1.Pair/Echo", NULL, body));
        check_echo(exchange, 0, "");
        pair_free(pair);
    }
END_TEST

START_TEST(test_hundred_in_flight)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        pair_turns(pair, 2);
        int32_t ids[100];
        for (int i = 0; i < 100; i++)
            ids[i] = i % 2 == 0 ? pair_call(pair, "Sleep", 20) : pair_call(pair, "Echo", i);
        for (int i = 0; i < 100; i++) {
            struct exchange *exchange = pair_finish(pair, ids[i]);
            ck_assert_int_eq(answer_status(exchange), 0);
            if (i % 2 == 1)
                check_echo(exchange, i, "hello");
        }
        ck_assert(!pair->goaway);
        pair_free(pair);
    }
END_TEST

START_TEST(test_more_calls_than_streams)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        pair_turns(pair, 2);
        int32_t ids[250];
        for (int i = 0; i < 250; i++)
            ids[i] = pair_call(pair, "Echo", i);
        for (int i = 0; i < 250; i++)
            check_echo(pair_finish(pair, ids[i]), i, "hello");
        ck_assert(!pair->goaway);
        pair_free(pair);
    }
END_TEST

/* Larger than a stream's window and than the connection's: both must be given back. */
START_TEST(test_large_upload)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        char *text = xmalloc(1000001);
        memset(text, 'y', 1000000);
        text[1000000] = '\0';
        for (int i = 0; i < 5; i++) {
            int32_t id = pair_request(pair, "/test.v1.Pair/Echo", NULL, pair_message(1, text));
            struct exchange *exchange = pair_finish(pair, id);
            check_echo(exchange, 1, text);
            buf_deinit(&exchange->body);
        }
        free(text);
        pair_free(pair);
    }
END_TEST

/* The interop case large_unary many times at once: more than the connection may reserve, so most wait. */
START_TEST(test_many_large_uploads_at_once)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        pair_turns(pair, 2);
        char *text = xmalloc(271829);
        memset(text, 'z', 271828);
        text[271828] = '\0';
        int32_t ids[60];
        for (int i = 0; i < 60; i++)
            ids[i] = pair_request(pair, "/test.v1.Pair/Echo", NULL, pair_message(i, text));
        for (int i = 0; i < 60; i++) {
            struct exchange *exchange = pair_finish(pair, ids[i]);
            check_echo(exchange, i, text);
            buf_deinit(&exchange->body);
        }
        ck_assert_uint_eq(pair->h2->reserved, 0);
        ck_assert_uint_eq(pair->h2->buffered, 0);
        free(text);
        pair_free(pair);
    }
END_TEST

START_TEST(test_large_answer)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        int32_t ids[20];
        for (int i = 0; i < 20; i++)
            ids[i] = pair_call(pair, "Large", 314159);
        for (int i = 0; i < 20; i++) {
            struct exchange *exchange = pair_finish(pair, ids[i]);
            ck_assert_int_eq(answer_status(exchange), 0);
            ck_assert_uint_eq(buf_size(&exchange->body), 5 + 1 + 3 + 314159);
        }
        ck_assert_uint_eq(pair->h2->queued, 0);
        pair_free(pair);
    }
END_TEST

/* A client with a window of 1 byte gets its answer in as many frames. */
START_TEST(test_answer_in_a_tiny_window)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        const nghttp2_settings_entry tiny = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1};
        nghttp2_submit_settings(pair->client, NGHTTP2_FLAG_NONE, &tiny, 1);
        check_echo(pair_finish(pair, pair_call(pair, "Echo", 5)), 5, "hello");
        pair_free(pair);
    }
END_TEST

START_TEST(test_binary_metadata)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        static const char *const spellings[] = {"q6ur", "AA", "AA==", "AAE", "AAE="};
        static const char *const canonical[] = {"q6ur", "AA", "AA", "AAE", "AAE"};
        for (size_t i = 0; i < 5; i++) {
            const struct extra extras[] = {{"x-echo-bin", spellings[i]}, {NULL, NULL}};
            struct exchange *exchange = pair_finish(
                pair, pair_request(pair, "/test.v1.Pair/Echo", extras, pair_message(1, "")));
            ck_assert_str_eq(answer_field(exchange, "x-echo-bin"), canonical[i]);
            ck_assert_str_eq(answer_field(exchange, "x-trail-bin"), canonical[i]);
        }
        pair_free(pair);
    }
END_TEST

/* "Implementations … MUST split Binary-Headers on ',' before decoding": the first value counts. */
START_TEST(test_binary_metadata_list)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        const struct extra extras[] = {{"x-echo-bin", "q6ur, AAE="}, {NULL, NULL}};
        struct exchange *exchange = pair_finish(
            pair, pair_request(pair, "/test.v1.Pair/Echo", extras, pair_message(1, "")));
        ck_assert_str_eq(answer_field(exchange, "x-echo-bin"), "q6ur");
        pair_free(pair);
    }
END_TEST

START_TEST(test_request_id_is_kept)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        const struct extra extras[] = {{"x-request-id", "edge-42"}, {NULL, NULL}};
        struct exchange *exchange = pair_finish(
            pair, pair_request(pair, "/test.v1.Pair/Echo", extras, pair_message(1, "")));
        ck_assert_str_eq(answer_field(exchange, "x-request-id"), "edge-42");
        pair_free(pair);
    }
END_TEST

START_TEST(test_content_types)
    {
        static const char *const good[] = {"application/grpc", "application/grpc+proto",
                                           "application/grpc;charset=utf-8",
                                           "application/grpc+proto;x=y"};
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        for (size_t i = 0; i < 4; i++) {
            const struct extra extras[] = {{"content-type", good[i]}, {NULL, NULL}};
            check_echo(pair_finish(pair, pair_request(pair, "/test.v1.Pair/Echo", extras,
                                                      pair_message(1, "hello"))),
                       1, "hello");
        }
        pair_free(pair);
    }
END_TEST

/* "te: trailers" tells proxies apart from gRPC clients; we have no reason to insist. */
START_TEST(test_without_te)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        const struct extra extras[] = {{"te", NULL}, {NULL, NULL}};
        check_echo(pair_finish(pair, pair_request(pair, "/test.v1.Pair/Echo", extras,
                                                  pair_message(1, "hello"))),
                   1, "hello");
        pair_free(pair);
    }
END_TEST

START_TEST(test_many_answer_fields)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Refuse", 4));
        ck_assert_int_eq(answer_status(exchange), 0);
        exchange = pair_finish(pair, pair_call(pair, "Refuse", 5));
        ck_assert_int_eq(answer_status(exchange), 5);
        pair_free(pair);
    }
END_TEST

START_TEST(test_calls_are_counted)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        pair_finish(pair, pair_call(pair, "Echo", 1));
        pair_finish(pair, pair_call(pair, "Echo", 1));
        pair_finish(pair, pair_call(pair, "Refuse", 1));
        pair_finish(pair, pair_call(pair, "Nothing", 1));
        struct buf text = BUF_EMPTY;
        metrics_render(&pair->metrics, 1, METRICS_PROMETHEUS, &text);
        static const char *const lines[] = {
            "tenant_http_requests_total{route=\"/test.v1.Pair/Echo\",method=\"POST\",status=\"OK\","
            "tenant_id_hash=\"-\"} 2\n",
            "tenant_http_errors_total{route=\"/test.v1.Pair/Refuse\",error_code=\"INVALID_ARGUMENT\","
            "tenant_id_hash=\"-\"} 1\n",
            "tenant_http_requests_total{route=\"unknown\",method=\"POST\",status=\"UNIMPLEMENTED\","
            "tenant_id_hash=\"-\"} 1\n",
            "tenant_http_request_duration_seconds_count{route=\"/test.v1.Pair/Echo\",method=\"POST\","
            "tenant_id_hash=\"-\"} 2\n",
        };
        for (size_t i = 0; i < 4; i++)
            ck_assert_msg(strstr(buf_str(&text), lines[i]) != NULL, "%s not in:\n%s", lines[i],
                          buf_str(&text));
        buf_deinit(&text);
        pair_free(pair);
    }
END_TEST

/* Found by review: both were counted nowhere.  A deadline of the client's own is no limit of ours. */
START_TEST(test_deadlines_of_ours_are_counted)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.deadline_default_ns = 60 * NS_PER_MS;
        limits.deadline_cap_ns = 120 * NS_PER_MS;
        static const char *const asked[] = {"60m", "119m", NULL, "120S"};
        struct pair *pair = pair_new(&limits);
        pair_connect(pair);
        for (size_t i = 0; i < 4; i++) {
            const struct extra extras[] = {{asked[i] == NULL ? NULL : "grpc-timeout", asked[i]},
                                           {NULL, NULL}};
            int32_t id = pair_request(pair, "/test.v1.Pair/Sleep", extras, pair_message(4000, ""));
            ck_assert_int_eq(answer_status(pair_finish(pair, id)), GRPC_DEADLINE_EXCEEDED);
            pair_turns(pair, 3);
            ck_assert_uint_eq(pair_limit(pair, "deadline_default"), i >= 2);
            ck_assert_uint_eq(pair_limit(pair, "deadline_cap"), i >= 3);
        }
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_h2_calls(void);
Suite *suite_rpc_h2_calls(void)
{
    Suite *suite = suite_create("rpc_h2_calls");
    TCase *tests = tcase_create("calls");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, test_one_call);
    tcase_add_test(tests, test_status_stands_in_trailers);
    tcase_add_test(tests, test_frames_of_every_size);
    tcase_add_test(tests, test_bytes_split_at_every_place);
    tcase_add_test(tests, test_byte_by_byte);
    tcase_add_test(tests, test_empty_message);
    tcase_add_test(tests, test_hundred_in_flight);
    tcase_add_test(tests, test_more_calls_than_streams);
    tcase_add_test(tests, test_large_upload);
    tcase_add_test(tests, test_many_large_uploads_at_once);
    tcase_add_test(tests, test_large_answer);
    tcase_add_test(tests, test_answer_in_a_tiny_window);
    tcase_add_test(tests, test_binary_metadata);
    tcase_add_test(tests, test_binary_metadata_list);
    tcase_add_test(tests, test_request_id_is_kept);
    tcase_add_test(tests, test_content_types);
    tcase_add_test(tests, test_without_te);
    tcase_add_test(tests, test_many_answer_fields);
    tcase_add_test(tests, test_calls_are_counted);
    tcase_add_test(tests, test_deadlines_of_ours_are_counted);
    suite_add_tcase(suite, tests);
    return suite;
}
