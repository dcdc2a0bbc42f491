/* Connect and gRPC-Web from clients that are slow, greedy or gone. */
#include "connect_pair.h"

/* A body that stays open; more may be added. */
struct slow {
    struct buf out;
    bool ended;
};

static ssize_t slow_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)user;
    struct slow *slow = source->ptr;
    size_t count = buf_size(&slow->out) < size ? buf_size(&slow->out) : size;
    if (count == 0 && !slow->ended)
        return NGHTTP2_ERR_DEFERRED;
    if (count > 0)
        memcpy(out, buf_slice(&slow->out).data, count);
    buf_consume(&slow->out, count);
    if (slow->ended && buf_size(&slow->out) == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

static int32_t slow_open(struct pair *pair, struct slow *slow, const char *path,
                         const struct extra *extras)
{
    nghttp2_nv fields[32];
    size_t count = pair_fields(path, extras, fields);
    nghttp2_data_provider provider = {.source.ptr = slow, .read_callback = slow_read};
    int32_t id = nghttp2_submit_request(pair->client, NULL, fields, count, &provider, NULL);
    ck_assert_int_gt(id, 0);
    return id;
}

static void slow_go_on(struct pair *pair, int32_t id)
{
    nghttp2_session_resume_data(pair->client, id);
    pair_turns(pair, 5);
}

static const struct extra json_type[] = {{"content-type", JSON}, {NULL, NULL}};

START_TEST(small_bodies_reserve_nothing)
    {
        struct pair *pair = connected();
        struct slow slow[8] = {{BUF_EMPTY, false}};
        int32_t ids[8];
        for (size_t i = 0; i < 8; i++) {
            buf_put_str(&slow[i].out, "{\"code\":");
            ids[i] = slow_open(pair, &slow[i], "/test.v1.Pair/Import", json_type);
        }
        pair_turns(pair, 5);
        ck_assert_uint_eq(pair->h2->reserved, 0);
        ck_assert(list_is_empty(&pair->h2->waiting));
        for (size_t i = 0; i < 8; i++) {
            buf_put_str(&slow[i].out, "7}");
            slow[i].ended = true;
            slow_go_on(pair, ids[i]);
            check_body(pair_finish(pair, ids[i]), "{\"code\":7}");
            buf_deinit(&slow[i].out);
        }
        pair_free(pair);
    }
END_TEST

/* Its size untold, a body beyond a window holds room for the method's limit; a third one waits. */
START_TEST(large_bodies_wait_in_line)
    {
        struct pair *pair = connected();
        struct slow slow[3] = {{BUF_EMPTY, false}};
        int32_t ids[3];
        for (size_t i = 0; i < 3; i++) {
            buf_put_str(&slow[i].out, "{\"message\":\"");
            for (int n = 0; n < 10000; n++)
                buf_put_str(&slow[i].out, "0123456789");
            ids[i] = slow_open(pair, &slow[i], "/test.v1.Pair/Import", json_type);
        }
        pair_turns(pair, 40);
        ck_assert_uint_eq(pair->h2->reserved, (size_t)6 << 20);
        ck_assert_uint_eq(pair->h2->waiting.count, 1);
        size_t held = 0;
        for (size_t i = 0; i < 3; i++)
            held += buf_size(&slow[i].out) > 0;
        ck_assert_uint_eq(held, 1);
        for (size_t i = 0; i < 3; i++) {
            buf_put_str(&slow[i].out, "\"}");
            slow[i].ended = true;
            slow_go_on(pair, ids[i]);
        }
        for (size_t i = 0; i < 3; i++) {
            check_field(pair_finish(pair, ids[i]), ":status", "200");
            buf_deinit(&slow[i].out);
        }
        ck_assert_uint_eq(pair->h2->reserved, 0);
        pair_free(pair);
    }
END_TEST

START_TEST(a_body_that_stands_still_is_given_up)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.body_progress_ns = 50 * NS_PER_MS;
        struct pair *pair = pair_new(&limits);
        struct slow slow = {BUF_EMPTY, false};
        pair_connect(pair);
        buf_put_str(&slow.out, "{\"code\":");
        int32_t id = slow_open(pair, &slow, "/test.v1.Pair/Echo", json_type);
        struct exchange *exchange = pair_finish(pair, id);
        ck_assert(exchange->reset);
        ck_assert_uint_ge(pair_limit(pair, "body_progress"), 1);
        ck_assert_int_eq(pair->invocations, 0);
        buf_deinit(&slow.out);
        pair_free(pair);
    }
END_TEST

/* Beyond the limit the error comes at once, whether the client goes on or not. */
START_TEST(an_endless_body_ends_at_the_limit)
    {
        struct pair *pair = connected();
        struct slow slow = {BUF_EMPTY, false};
        for (int n = 0; n < 12; n++)
            buf_put_str(&slow.out, "0123456789");
        int32_t id = slow_open(pair, &slow, "/test.v1.Pair/Small", json_type);
        struct exchange *exchange = pair_exchange(pair, id);
        for (int i = 0; i < 200 && exchange->blocks == 0; i++)
            pair_turn(pair);
        pair_turns(pair, 5);
        check_error(exchange, "429", "resource_exhausted");
        ck_assert_uint_eq(pair->h2->buffered, 0);
        ck_assert_int_eq(pair->invocations, 0);
        slow.ended = true;
        slow_go_on(pair, id);
        (void)pair_finish(pair, id);
        buf_deinit(&slow.out);
        pair_free(pair);
    }
END_TEST

/* The answer lies in the stream's memory: it goes with the stream, read or not. */
START_TEST(a_reset_takes_the_answer_along)
    {
        static const char *const types[] = {JSON, "application/grpc-web+proto"};
        for (size_t i = 0; i < 2; i++) {
            struct pair *pair = connected();
            nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
            nghttp2_submit_settings(pair->client, NGHTTP2_FLAG_NONE, &window, 1);
            pair_turns(pair, 3);
            const struct extra extras[] = {{"content-type", types[i]}, {NULL, NULL}};
            struct buf *body = i == 0 ? text_body("{\"code\":5000}") : framed_text("\x08\x88\x27");
            int32_t id = pair_request(pair, "/test.v1.Pair/Large", extras, body);
            pair_turns(pair, 10);
            ck_assert_uint_eq(buf_size(&pair_exchange(pair, id)->body), 0);
            ck_assert_uint_gt(pair->h2->queued, 4900);
            nghttp2_submit_rst_stream(pair->client, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
            pair_turns(pair, 5);
            ck_assert_uint_eq(pair->h2->queued, 0);
            ck_assert(list_is_empty(&pair->h2->streams));
            pair_free(pair);
        }
    }
END_TEST

/* A late handler owns the call's memory; the answer must not lie there. */
START_TEST(a_deadline_s_answer_outlives_its_call)
    {
        struct pair *pair = connected();
        nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
        nghttp2_submit_settings(pair->client, NGHTTP2_FLAG_NONE, &window, 1);
        pair_turns(pair, 3);
        const struct extra extras[] = {
            {"content-type", JSON}, {"connect-timeout-ms", "20"}, {NULL, NULL}};
        int32_t id =
            pair_request(pair, "/test.v1.Pair/Stubborn", extras, text_body("{\"code\":200}"));
        uint64_t limit = clock_now() + 5 * NS_PER_S;
        while (pair->finished == 0 || pair_exchange(pair, id)->blocks == 0) {
            pair_turn(pair);
            (void)h2_sweep(pair->h2, clock_now());
            ck_assert(clock_now() < limit);
        }
        pair_turns(pair, 5);
        ck_assert_uint_eq(buf_size(&pair_exchange(pair, id)->body), 0);
        nghttp2_submit_window_update(pair->client, NGHTTP2_FLAG_NONE, id, 10000);
        check_error(pair_finish(pair, id), "504", "deadline_exceeded");
        pair_free(pair);
    }
END_TEST

START_TEST(a_get_with_a_body_is_answered_without_it)
    {
        struct pair *pair = connected();
        const struct extra extras[] = {{":method", "GET"}, {"content-type", NULL}, {NULL, NULL}};
        int32_t id = pair_request(pair,
                                  "/test.v1.Pair/Look?encoding=json&message=%7B%22code%22:7%7D",
                                  extras, text_body("{\"code\":8}"));
        check_body(pair_finish(pair, id), "{\"code\":7}");
        ck_assert_uint_eq(pair->h2->buffered, 0);
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_connect_hostile(void);
Suite *suite_rpc_connect_hostile(void)
{
    Suite *suite = suite_create("rpc_connect_hostile");
    TCase *tests = tcase_create("hostile");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, small_bodies_reserve_nothing);
    tcase_add_test(tests, large_bodies_wait_in_line);
    tcase_add_test(tests, a_body_that_stands_still_is_given_up);
    tcase_add_test(tests, an_endless_body_ends_at_the_limit);
    tcase_add_test(tests, a_reset_takes_the_answer_along);
    tcase_add_test(tests, a_deadline_s_answer_outlives_its_call);
    tcase_add_test(tests, a_get_with_a_body_is_answered_without_it);
    suite_add_tcase(suite, tests);
    return suite;
}
