/* Rules of gRPC over HTTP/2 at their edges: paths, methods, content types, timeouts, te. */
#include "h2_script.h"

static struct pair *connected(void)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    return pair;
}

static struct exchange *ask(struct pair *pair, const char *path, const struct extra *extras)
{
    return pair_finish(pair, pair_request(pair, path, extras, pair_message(1, "hello")));
}

/* "Path → ":path" "/" Service-Name "/" {method name}" and "Path is case-sensitive" (PROTOCOL-HTTP2.md): nothing
 * is decoded, folded or resolved, so that a rule of a proxy about a path is about ours too. */
START_TEST(test_paths_are_compared_byte_by_byte)
    {
        static const char *const paths[] = {
            "/test.v1.Pair/Ech%6f", "/test.v1.Pair%2FEcho", "/test.v1.pair/Echo",
            "/TEST.v1.Pair/Echo",   "/test.v1.Pair/Echo#x", "/test.v1.Pair/Echo;x",
            "/test.v1.Pair//Echo",  "/test.v1.Pair/./Echo", "/a/../test.v1.Pair/Echo",
            "/test.v1.Pair/Echo\\", "/test.v1.Pair/Ech",    "/test.v1.Pair/Echoo",
            "/test.v1.Pair.Echo",   "/x/test.v1.Pair/Echo",
        };
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            struct exchange *exchange = ask(pair, paths[i], NULL);
            ck_assert_msg(answer_status(exchange) == GRPC_UNIMPLEMENTED, "%s: %d", paths[i],
                          answer_status(exchange));
        }
        ck_assert_int_eq(pair->invocations, 0);
        ck_assert_int_eq(answer_status(ask(pair, "/test.v1.Pair/Echo", NULL)), GRPC_OK);
        ck_assert_int_eq(pair->invocations, 1);
        pair_free(pair);
    }
END_TEST

/* RFC 9113 section 8.3.1: the path "MUST NOT be empty"; neither is an absolute URI one.  The stream ends before it
 * is a request, or as an unknown method. */
START_TEST(test_paths_that_are_none)
    {
        static const char *const paths[] = {"", "*", "https://localhost/test.v1.Pair/Echo"};
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            struct script script;
            begin(&script, NULL);
            raw_headers(&script.bytes, 1, paths[i], NGHTTP2_FLAG_END_STREAM);
            play(&script);
            const struct exchange *exchange = pair_exchange(script.pair, 1);
            ck_assert_msg(exchange->reset || answer_status(exchange) == GRPC_UNIMPLEMENTED, "%s",
                          paths[i]);
            ck_assert_int_eq(script.pair->invocations, 0);
            finish(&script);
        }
    }
END_TEST

/* An answer to what is no gRPC call carries no grpc-status: the client maps the HTTP status. */
static void check_http(struct exchange *exchange, const char *status)
{
    ck_assert_str_eq(answer_field(exchange, ":status"), status);
    ck_assert_ptr_null(answer_field(exchange, "grpc-status"));
    ck_assert_uint_eq(buf_size(&exchange->body), 0);
    ck_assert_int_eq(exchange->blocks, 1);
}

START_TEST(test_methods_other_than_post)
    {
        static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "HEAD", "post", "PATCH"};
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
            const struct extra extras[] = {{":method", methods[i]}, {NULL, NULL}};
            struct exchange *exchange = ask(pair, "/test.v1.Pair/Echo", extras);
            check_http(exchange, "405");
            const char *allow = answer_field(exchange, "allow");
            ck_assert_msg(allow != NULL && strstr(allow, "POST") != NULL, "%s", methods[i]);
        }
        ck_assert_uint_eq(pair_limit(pair, "not_grpc"), sizeof methods / sizeof methods[0]);
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(test_content_types_that_are_not_ours)
    {
        static const char *const types[] = {NULL,
                                            "",
                                            "application/grp",
                                            "application/GRPC2",
                                            "text/html",
                                            "application/grpc+thrift",
                                            "application/octet-stream"};
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            const struct extra extras[] = {{"content-type", types[i]}, {NULL, NULL}};
            struct exchange *exchange = ask(pair, "/test.v1.Pair/Echo", extras);
            check_http(exchange, "415");
            const char *accepted = answer_field(exchange, "accept-post");
            ck_assert_ptr_nonnull(accepted);
            ck_assert_ptr_nonnull(strstr(accepted, "application/grpc"));
        }
        ck_assert_int_eq(pair->invocations, 0);
        pair_free(pair);
    }
END_TEST

/* A timeout of nothing is over when it comes: no handler is troubled. */
START_TEST(test_timeouts_of_zero)
    {
        static const char *const values[] = {"0n", "0S", "00000000H", "1n"};
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            const struct extra extras[] = {{"grpc-timeout", values[i]}, {NULL, NULL}};
            struct exchange *exchange = ask(pair, "/test.v1.Pair/Sleep", extras);
            ck_assert_int_eq(answer_status(exchange), GRPC_DEADLINE_EXCEEDED);
        }
        ck_assert_int_eq(pair->finished, pair->invocations);
        pair_free(pair);
    }
END_TEST

/* Eight digits of the largest unit are 11,415 years: no overflow makes them short. */
START_TEST(test_timeouts_that_are_too_long_to_count)
    {
        static const char *const values[] = {"99999999H", "99999999M", "5124096H", "00000005S"};
        struct pair *pair = connected();
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            const struct extra extras[] = {{"grpc-timeout", values[i]}, {NULL, NULL}};
            ck_assert_int_eq(answer_status(ask(pair, "/test.v1.Pair/Echo", extras)), GRPC_OK);
        }
        pair_free(pair);
    }
END_TEST

/* RFC 9113 section 8.2.2: te "MUST NOT contain any value other than "trailers"": a stream error. */
START_TEST(test_te_other_than_trailers)
    {
        struct script script;
        begin(&script, NULL);
        const struct extra extras[] = {{"te", "gzip"}, {NULL, NULL}};
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Echo", extras);
        raw_frame(&script.bytes, NGHTTP2_HEADERS,
                  NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, buf_slice(&block));
        buf_deinit(&block);
        play(&script);
        ck_assert(pair_exchange(script.pair, 1)->reset);
        ck_assert_uint_eq(pair_exchange(script.pair, 1)->reset_error, NGHTTP2_PROTOCOL_ERROR);
        check_alive(&script);
        finish(&script);
    }
END_TEST

START_TEST(test_the_last_stream_number)
    {
        struct script script;
        begin(&script, NULL);
        put_call(&script.bytes, INT32_MAX, "/test.v1.Pair/Echo", 1);
        play(&script);
        (void)pair_finish(script.pair, INT32_MAX);
        ck_assert_int_eq(answer_status(pair_exchange(script.pair, INT32_MAX)), GRPC_OK);
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* Nothing that a peer sends makes nghttp2 1.52 fail for a reason that has no name of its own here: what is left are
 * memory, without which we abort, and callbacks, which fail where the connection is given up already.  One that
 * fails for another connection's sake stands for what the next version may have. */
START_TEST(test_a_failure_of_the_library_without_a_name)
    {
        struct script script;
        begin(&script, NULL);
        play(&script);
        check_alive(&script);
        struct pair *pair = script.pair;
        struct h2 *given_up = h2_new(pair->worker, pair->caller, pair, pair_wants_flush);
        h2_end(given_up, NGHTTP2_NO_ERROR);
        buf_clear(&script.bytes);
        put_ping(&script.bytes);
        nghttp2_session_set_user_data(pair->h2->session, given_up);
        pair_raw(pair, &script.bytes);
        nghttp2_session_set_user_data(pair->h2->session, pair->h2);
        pair_send(pair);
        check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "fatal_frame");
        ck_assert_uint_eq(pair_limit(pair, "fatal_frame"), 1);
        ck_assert_int_eq(pair->pings, 0);
        h2_free(given_up);
        finish(&script);
    }
END_TEST

Suite *suite_rpc_h2_rules(void);
Suite *suite_rpc_h2_rules(void)
{
    Suite *suite = suite_create("rpc_h2_rules");
    TCase *tests = tcase_create("rules");
    tcase_add_test(tests, test_paths_are_compared_byte_by_byte);
    tcase_add_test(tests, test_paths_that_are_none);
    tcase_add_test(tests, test_methods_other_than_post);
    tcase_add_test(tests, test_content_types_that_are_not_ours);
    tcase_add_test(tests, test_timeouts_of_zero);
    tcase_add_test(tests, test_timeouts_that_are_too_long_to_count);
    tcase_add_test(tests, test_te_other_than_trailers);
    tcase_add_test(tests, test_the_last_stream_number);
    tcase_add_test(tests, test_a_failure_of_the_library_without_a_name);
    suite_add_tcase(suite, tests);
    return suite;
}
