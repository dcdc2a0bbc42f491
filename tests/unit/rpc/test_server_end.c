/* How connections over real sockets end: drained, lost, stalled, flooded behind the end, too old, too busy, silent. */
#include "server.h"

#include "tls/tls_int.h"

START_TEST(draining_finishes_calls)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        int32_t slow = pair_call(server.pair, "Sleep", 200);
        while (server.pair->invocations == 0)
            remote_turn(&remote);
        rpc_worker_drain(server.pair->worker, 3 * NS_PER_S, server_on_drained, &server);
        ck_assert_int_eq(answer_status(remote_finish(&remote, slow)), GRPC_OK);
        ck_assert(server.pair->goaway);
        ck_assert_uint_eq(server.pair->goaway_error, NGHTTP2_NO_ERROR);
        uint64_t limit = clock_now() + 2 * NS_PER_S;
        while (!server.drained && clock_now() < limit)
            remote_turn(&remote);
        ck_assert(server.drained);
        ck_assert(remote.ended);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* Grace is over: connections go, but `done` waits for the last task. */
START_TEST(draining_is_bounded)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        (void)pair_call(server.pair, "Stubborn", 600);
        while (server.pair->invocations == 0)
            remote_turn(&remote);
        uint64_t began = clock_now();
        rpc_worker_drain(server.pair->worker, 100 * NS_PER_MS, server_on_drained, &server);
        remote_wait_end(&remote);
        ck_assert_uint_lt(clock_now() - began, 500 * NS_PER_MS);
        ck_assert(!server.drained);
        server_wait_drained(&server);
        ck_assert_int_eq(server.pair->finished, 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

START_TEST(new_connections_while_draining)
    {
        struct server server;
        struct remote first, second;
        server_open(&server, NULL);
        remote_open(&first, &server);
        (void)pair_call(server.pair, "Stubborn", 300);
        while (server.pair->invocations == 0)
            remote_turn(&first);
        rpc_worker_drain(server.pair->worker, NS_PER_S, server_on_drained, &server);
        char answer[64];
        remote_dial(&second, &server);
        remote_plain(&second, "", answer, sizeof answer);
        ck_assert_str_eq(answer, "");
        remote_close(&second);
        remote_close(&first);
        server_close(&server);
    }
END_TEST

START_TEST(a_lost_client_cancels_its_calls)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        for (int i = 0; i < 5; i++)
            (void)pair_call(server.pair, "Sleep", 4000);
        while (server.pair->invocations < 5)
            remote_turn(&remote);
        remote_close(&remote);
        uint64_t limit = clock_now() + 2 * NS_PER_S;
        while (server.pair->finished < 5 && clock_now() < limit)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_int_eq(server.pair->cancelled, 5);
        ck_assert_uint_eq(rpc_worker_connections(server.pair->worker), 0);
        server_close(&server);
    }
END_TEST

/* Asks for eight answers of 3 MiB and has the windows for all of them. */
static void ask_for_much(struct remote *remote)
{
    nghttp2_session *client = remote->server->pair->client;
    while (rpc_worker_connections(remote->server->pair->worker) == 0) /* still at the door */
        remote_turn(remote);
    nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    const nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30};
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, &wide, 1);
    for (int i = 0; i < 8; i++)
        (void)pair_call(remote->server->pair, "Large", 3 << 20);
    const uint8_t *bytes;
    for (ssize_t size; (size = nghttp2_session_mem_send(client, &bytes)) > 0;)
        remote_write(remote, slice_make(bytes, (size_t)size));
}

static void wait_until_gone(struct server *server)
{
    uint64_t until = clock_now() + 20 * NS_PER_S;
    while (rpc_worker_connections(server->pair->worker) > 0 && clock_now() < until)
        loop_turn(server->pair->loop, NS_PER_MS);
    ck_assert_uint_eq(rpc_worker_connections(server->pair->worker), 0);
}

/* A client with an open window that reads nothing: the socket fills, then the connection goes. */
START_TEST(a_client_that_does_not_read)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.write_stall_ns = 200 * NS_PER_MS;
        limits.stalled_bytes = 64u << 20;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        ask_for_much(&remote);
        wait_until_gone(&server);
        ck_assert_uint_ge(pair_limit(server.pair, "write_stall"), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* The client's window is shut and its system answers the probes: only the kernel sees that nothing moves. */
START_TEST(bytes_that_nobody_acknowledges)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.tcp_user_timeout_ns = 300 * NS_PER_MS;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        ask_for_much(&remote);
        wait_until_gone(&server);
        ck_assert_uint_eq(pair_limit(server.pair, "tcp_user_timeout"), 1);
        ck_assert_uint_eq(pair_limit(server.pair, "write_stall"), 0);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* GOAWAY is read although the client went on sending until the end. */
START_TEST(the_last_goaway_arrives)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_dial(&remote, &server);
        remote_secure(&remote, server.client_tls);
        ck_assert(remote_shake(&remote));
        struct buf bytes = BUF_EMPTY;
        raw_preface(&bytes);
        raw_headers(&bytes, 5, "/test.v1.Pair/Echo", 0);
        raw_headers(&bytes, 3, "/test.v1.Pair/Echo", 0);
        for (int i = 0; i < 2000; i++)
            raw_frame(&bytes, NGHTTP2_PING, 0, 0, slice_make("12345678", 8));
        remote_write(&remote, buf_slice(&bytes));
        remote_wait_end(&remote);
        raw_take(server.pair, buf_slice(&server.pair->to_client));
        ck_assert(server.pair->goaway);
        ck_assert_uint_eq(server.pair->goaway_error, NGHTTP2_PROTOCOL_ERROR);
        buf_deinit(&bytes);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* The library ends a session by itself for such frames, while more lies unread than one turn takes.  tests/hostile
 * found that it was given to the session that had gone. */
START_TEST(a_flood_goes_on_behind_the_end)
    {
        struct server server;
        struct buf flood = BUF_EMPTY;
        raw_preface(&flood);
        for (uint32_t id = 1; id < 12000; id += 2) {
            raw_headers(&flood, id, "/test.v1.Pair/Echo", 0);
            raw_frame(&flood, NGHTTP2_WINDOW_UPDATE, 0, id, slice_make("\0\0\0\0", 4));
        }
        server_open(&server, NULL);
        for (size_t step = 1; step < 40; step++) {
            struct remote remote;
            remote_dial(&remote, &server);
            remote_secure(&remote, server.client_tls);
            ck_assert(remote_shake(&remote));
            struct slice left = buf_slice(&flood);
            while (left.size > 0 && !remote.ended) {
                size_t size = step * 4096 < left.size ? step * 4096 : left.size;
                remote_write(&remote, slice_make(left.data, size));
                left = slice_skip(left, size);
                remote_turn(&remote);
            }
            remote_wait_end(&remote);
            remote_close(&remote);
        }
        buf_deinit(&flood);
        server_close(&server);
    }
END_TEST

static void change_keys(struct remote *remote)
{
    ck_assert_int_eq(SSL_key_update(remote->tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    ck_assert_int_eq(SSL_do_handshake(remote->tls->ssl), 1);
    remote_turn(remote);
}

/* They are seen by no limit of HTTP/2's. */
START_TEST(keys_that_change_too_often)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.key_updates = 3;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        for (int i = 0; i < 3; i++)
            change_keys(&remote);
        ck_assert_int_eq(answer_status(remote_finish(&remote, pair_call(server.pair, "Echo", 1))),
                         GRPC_OK);
        ck_assert_uint_eq(pair_limit(server.pair, "key_updates"), 0);
        change_keys(&remote);
        remote_wait_end(&remote);
        ck_assert_uint_eq(pair_limit(server.pair, "key_updates"), 1);
        ck_assert_uint_eq(rpc_worker_connections(server.pair->worker), 0);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* A connection that is old after 200 ms. */
static void open_old(struct server *server, struct remote *remote, uint64_t grace_ns)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.age_ns = 200 * NS_PER_MS;
    limits.age_grace_ns = grace_ns;
    server_open(server, &limits);
    remote_open(remote, server);
}

START_TEST(old_connections_are_asked_to_go)
    {
        struct server server;
        struct remote remote;
        open_old(&server, &remote, 2 * NS_PER_S);
        int32_t slow = pair_call(server.pair, "Sleep", 500);
        ck_assert_int_eq(answer_status(remote_finish(&remote, slow)), GRPC_OK);
        ck_assert(server.pair->goaway);
        ck_assert_uint_eq(pair_limit(server.pair, "age"), 1);
        remote_wait_end(&remote);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

START_TEST(a_call_outlives_its_connections_age)
    {
        struct server server;
        struct remote remote;
        open_old(&server, &remote, 200 * NS_PER_MS);
        (void)pair_call(server.pair, "Sleep", 4000);
        remote_wait_end(&remote);
        ck_assert(server.pair->goaway);
        ck_assert_uint_eq(pair_limit(server.pair, "age_grace"), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* Clients that came together must not all come back together. */
START_TEST(ages_differ)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.age_ns = 1000 * NS_PER_S;
        struct server server;
        struct remote remotes[6];
        server_open(&server, &limits);
        for (size_t i = 0; i < 6; i++) {
            remote_dial(&remotes[i], &server);
            remote_secure(&remotes[i], server.client_tls);
            ck_assert(remote_shake(&remotes[i]));
            while (rpc_worker_connections(server.pair->worker) <= i)
                loop_turn(server.pair->loop, NS_PER_MS);
        }
        struct list *connections = &server.pair->worker->connections;
        uint64_t least = UINT64_MAX, most = 0;
        for (struct list_node *node = list_first(connections); node != NULL;
             node = list_next(connections, node)) {
            const struct connection *connection = list_entry(node, struct connection, node);
            uint64_t age = connection->age_limit_ns - connection->opened_ns;
            least = age < least ? age : least;
            most = age > most ? age : most;
        }
        ck_assert_uint_ge(least, 900 * NS_PER_S);
        ck_assert_uint_le(most, 1100 * NS_PER_S);
        ck_assert_uint_gt(most - least, NS_PER_S); /* less by chance: one in 10^10 */
        for (size_t i = 0; i < 6; i++)
            remote_close(&remotes[i]);
        server_close(&server);
    }
END_TEST

START_TEST(a_connection_that_served_enough_is_asked_to_go)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.requests_per_connection = 3;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(
                answer_status(remote_finish(&remote, pair_call(server.pair, "Echo", 1))), GRPC_OK);
        remote_wait_end(&remote);
        ck_assert(server.pair->goaway);
        ck_assert_uint_eq(server.pair->goaway_error, NGHTTP2_NO_ERROR);
        ck_assert_uint_eq(pair_limit(server.pair, "requests_per_connection"), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* It has its connection and does not read it: its system acknowledges, and only a PING's answer would tell. */
START_TEST(an_unresponsive_client_is_closed)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.keepalive_ns = 100 * NS_PER_MS;
        limits.keepalive_timeout_ns = 100 * NS_PER_MS;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        int32_t quiet = pair_call(server.pair, "Sleep", 400); /* one that answers PINGs stays */
        ck_assert_int_eq(answer_status(remote_finish(&remote, quiet)), GRPC_OK);
        ck_assert_uint_eq(pair_limit(server.pair, "keepalive_timeout"), 0);
        wait_until_gone(&server);
        ck_assert_uint_eq(pair_limit(server.pair, "keepalive_timeout"), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

Suite *suite_rpc_server_end(void);
Suite *suite_rpc_server_end(void)
{
    Suite *suite = suite_create("rpc_server_end");
    TCase *tests = tcase_create("end");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, draining_finishes_calls);
    tcase_add_test(tests, draining_is_bounded);
    tcase_add_test(tests, new_connections_while_draining);
    tcase_add_test(tests, a_lost_client_cancels_its_calls);
    tcase_add_test(tests, a_client_that_does_not_read);
    tcase_add_test(tests, bytes_that_nobody_acknowledges);
    tcase_add_test(tests, the_last_goaway_arrives);
    tcase_add_test(tests, a_flood_goes_on_behind_the_end);
    tcase_add_test(tests, keys_that_change_too_often);
    tcase_add_test(tests, old_connections_are_asked_to_go);
    tcase_add_test(tests, a_call_outlives_its_connections_age);
    tcase_add_test(tests, ages_differ);
    tcase_add_test(tests, a_connection_that_served_enough_is_asked_to_go);
    tcase_add_test(tests, an_unresponsive_client_is_closed);
    suite_add_tcase(suite, tests);
    return suite;
}
