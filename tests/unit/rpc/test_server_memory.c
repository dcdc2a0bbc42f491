/* What connections over real sockets hold: accounted, and what happens near the limit. */
#include "server.h"

/* What connections hold grows with what they bring, and is nothing when they are gone. */
START_TEST(memory_is_accounted)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        (void)remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        remote_weigh(&remote);
        size_t idle = shared_memory(server.pair->shared);
        ck_assert_uint_ge(idle, 16u << 10);
        ck_assert_uint_le(idle, 256u << 10);
        char *text = xcalloc(1, 500001);
        memset(text, 'y', 500000);
        int32_t id =
            pair_request(server.pair, "/test.v1.Pair/Sleep", NULL, pair_message(400, text));
        uint64_t limit = clock_now() + 5 * NS_PER_S;
        while (shared_memory(server.pair->shared) < idle + 500000) {
            remote_turn(&remote);
            ck_assert_msg(clock_now() < limit, "a message of 500,000 bytes is not seen");
        }
        ck_assert_int_eq(metric_gauge(server.pair->worker->metrics->held_bytes),
                         (int64_t)shared_memory(server.pair->shared));
        (void)remote_finish(&remote, id);
        remote_weigh(&remote);
        ck_assert_uint_lt(shared_memory(server.pair->shared), idle + 100000);
        free(text);
        remote_close(&remote);
        while (rpc_worker_connections(server.pair->worker) > 0)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_eq(shared_memory(server.pair->shared), 0);
        server_close(&server);
    }
END_TEST

/* From nine tenths on nobody else is let in, below it again. */
START_TEST(memory_pauses_accepting)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.connection_memory = 100u << 10;
        struct server server;
        struct remote remotes[6];
        server_open(&server, &limits);
        for (int i = 0; i < 3; i++)
            remote_dial(&remotes[i], &server);
        while (server_connections(&server) < 3)
            loop_turn(server.pair->loop, NS_PER_MS);
        for (int i = 3; i < 6; i++)
            remote_dial(&remotes[i], &server);
        for (int i = 0; i < 100; i++)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_eq(server_connections(&server), 3);
        ck_assert_uint_ge(pair_limit(server.pair, "connection_memory"), 1);
        for (int i = 0; i < 3; i++)
            remote_close(&remotes[i]);
        char answer[1024];
        for (int i = 3; i < 6; i++) {
            remote_plain(&remotes[i], "GET /health/live HTTP/1.0\r\n\r\n", answer, sizeof answer);
            ck_assert_msg(strncmp(answer, "HTTP/1.1 200", 12) == 0, "never resumed: %s", answer);
            remote_close(&remotes[i]);
        }
        server_close(&server);
    }
END_TEST

/* At the limit those that are in are refused, and told when to come back; but none that holds less than others. */
START_TEST(memory_refuses_calls)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.connection_memory = 30u << 10;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        struct exchange *exchange = remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        ck_assert_int_eq(answer_status(exchange), GRPC_RESOURCE_EXHAUSTED);
        ck_assert_ptr_nonnull(answer_field(exchange, "grpc-retry-pushback-ms"));
        ck_assert_uint_ge(pair_limit(server.pair, "connection_memory"), 1);
        ck_assert_int_eq(server.pair->invocations, 0);
        shared_memory_change(server.pair->shared, 0, 1u << 20);
        exchange = remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        shared_memory_change(server.pair->shared, 1u << 20, 0);
        limits.connection_memory = 1u << 20;
        rpc_worker_set_limits(server.pair->worker, &limits);
        exchange = remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* Requests that leave twelve fields of a kilobyte each in HPACK's table. */
static void fill_table(struct remote *remote, struct slice update, int requests)
{
    struct buf bytes = BUF_EMPTY;
    struct buf block = BUF_EMPTY;
    raw_preface(&bytes);
    raw_frame(&bytes, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, slice_make("", 0));
    buf_put_slice(&block, update);
    for (int i = 0; i < requests; i++) {
        raw_block(&block, "/test.v1.Pair/Echo", NULL);
        for (int k = 0; k < 12; k++) {
            buf_put_str(&block, "\x40\x01x\x7f\xe9\x06"); /* literal, kept; 127 + 873 bytes */
            memset(buf_reserve(&block, 1000), 'v', 1000);
            buf_commit(&block, 1000);
        }
        raw_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
                  (uint32_t)(2 * i + 1), buf_slice(&block));
        buf_clear(&block);
    }
    remote_write(remote, buf_slice(&bytes));
    buf_deinit(&block);
    buf_deinit(&bytes);
}

/* A table that a client may fill is memory like any other. */
START_TEST(a_large_table_is_accounted)
    {
        static const size_t sizes[] = {4u << 10, 64u << 10};
        for (size_t i = 0; i < 2; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.header_table_bytes = sizes[i];
            struct server server;
            struct remote remote;
            server_open(&server, &limits);
            remote_dial(&remote, &server);
            remote_secure(&remote, server.client_tls);
            ck_assert(remote_shake(&remote));
            fill_table(&remote, slice_make("\x3f\xe1\xff\x03", i == 0 ? 0 : 4), 5);
            remote_weigh(&remote);
            if (i == 0)
                ck_assert_uint_lt(shared_memory(server.pair->shared), 150u << 10);
            else
                ck_assert_uint_ge(shared_memory(server.pair->shared), 500u << 10);
            ck_assert(!remote.ended);
            remote_close(&remote);
            server_close(&server);
        }
    }
END_TEST

Suite *suite_rpc_server_memory(void);
Suite *suite_rpc_server_memory(void)
{
    Suite *suite = suite_create("rpc_server_memory");
    TCase *tests = tcase_create("memory");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, memory_is_accounted);
    tcase_add_test(tests, memory_pauses_accepting);
    tcase_add_test(tests, memory_refuses_calls);
    tcase_add_test(tests, a_large_table_is_accounted);
    suite_add_tcase(suite, tests);
    return suite;
}
