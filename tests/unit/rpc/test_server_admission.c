/* Who is let in, over real sockets: connections per identity and in all, the rate, and those who offended. */
#include "server.h"

START_TEST(connections_per_identity)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.connections_per_identity = 2;
        struct server server;
        struct remote remotes[3];
        server_open(&server, &limits);
        for (int i = 0; i < 3; i++) {
            remote_dial(&remotes[i], &server);
            remote_secure(&remotes[i], server.client_tls);
            (void)remote_shake(&remotes[i]);
        }
        remote_wait_end(&remotes[2]);
        ck_assert_uint_eq(rpc_worker_connections(server.pair->worker), 2);
        ck_assert_uint_eq(pair_limit(server.pair, "connections_per_identity"), 1);
        remote_close(&remotes[0]);
        while (rpc_worker_connections(server.pair->worker) > 1)
            loop_turn(server.pair->loop, NS_PER_MS);
        struct remote again;
        remote_open(&again, &server);
        ck_assert_int_eq(answer_status(remote_finish(&again, pair_call(server.pair, "Echo", 3))),
                         GRPC_OK);
        remote_close(&again);
        remote_close(&remotes[1]);
        remote_close(&remotes[2]);
        server_close(&server);
    }
END_TEST

/* What is said of an identity comes before what is said of all. */
START_TEST(an_identitys_own_limits)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.connections_per_identity = 1;
        limits.identities[0] = (struct rpc_identity_limits){.identity = "nobody", .connections = 9};
        limits.identities[1] = (struct rpc_identity_limits){
            .identity = "admin", .connections = 2, .concurrent_streams = 7};
        struct server server;
        struct remote remotes[3];
        server_open(&server, &limits);
        for (int i = 0; i < 2; i++) {
            remote_dial(&remotes[i], &server);
            remote_secure(&remotes[i], server.client_tls);
            (void)remote_shake(&remotes[i]);
        }
        uint64_t limit = clock_now() + 5 * NS_PER_S;
        while (rpc_worker_connections(server.pair->worker) < 2 && clock_now() < limit)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_eq(pair_limit(server.pair, "connections_per_identity"), 0);
        remote_dial(&remotes[2], &server);
        remote_secure(&remotes[2], server.client_tls);
        (void)remote_shake(&remotes[2]);
        remote_wait_end(&remotes[2]);
        ck_assert_uint_eq(pair_limit(server.pair, "connections_per_identity"), 1);
        for (int i = 0; i < 3; i++)
            remote_close(&remotes[i]);
        while (rpc_worker_connections(server.pair->worker) > 0)
            loop_turn(server.pair->loop, NS_PER_MS);
        remote_open(&remotes[0], &server);
        (void)remote_finish(&remotes[0], pair_call(server.pair, "Echo", 1));
        ck_assert_uint_eq(nghttp2_session_get_remote_settings(
                              server.pair->client, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
                          7);
        remote_close(&remotes[0]);
        server_close(&server);
    }
END_TEST

START_TEST(connections_in_total)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.connections_total = 3;
        struct server server;
        struct remote remotes[5];
        server_open(&server, &limits);
        for (int i = 0; i < 5; i++)
            remote_dial(&remotes[i], &server);
        for (int i = 0; i < 20; i++)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_eq(server_connections(&server), 3);
        ck_assert_uint_eq(pair_limit(server.pair, "connections_total"), 2);
        for (int i = 0; i < 5; i++)
            remote_close(&remotes[i]);
        server_close(&server);
    }
END_TEST

/* Beyond the rate connections wait in the kernel's queue, and get in later. */
START_TEST(accept_rate)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.accepts_per_second = 20;
        struct server server;
        struct remote remotes[25];
        server_open(&server, &limits);
        for (int i = 0; i < 25; i++)
            remote_dial_talking(&remotes[i], &server);
        for (int i = 0; i < 10; i++)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_lt(server_connections(&server), 25);
        ck_assert_uint_ge(pair_limit(server.pair, "accepts_per_second"), 1);
        uint64_t until = clock_now() + 2 * NS_PER_S;
        while (server_connections(&server) < 25 && clock_now() < until)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_eq(server_connections(&server), 25);
        for (int i = 0; i < 25; i++)
            remote_close(&remotes[i]);
        server_close(&server);
    }
END_TEST

START_TEST(the_listeners_limits_change)
    {
        struct server server;
        struct remote remotes[3];
        server_open(&server, NULL);
        struct rpc_limits limits = rpc_limits_default;
        limits.connections_total = 2;
        rpc_listener_set_limits(server.listener, &limits);
        for (int i = 0; i < 3; i++)
            remote_dial(&remotes[i], &server);
        for (int i = 0; i < 20; i++)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_eq(server_connections(&server), 2);
        ck_assert_uint_eq(pair_limit(server.pair, "connections_total"), 1);
        for (int i = 0; i < 3; i++)
            remote_close(&remotes[i]);
        server_close(&server);
    }
END_TEST

/* Its connection is ended with an error. */
static void offend(struct server *server, uint32_t from)
{
    struct remote remote;
    struct buf bytes = BUF_EMPTY;
    raw_preface(&bytes);
    raw_frame(&bytes, NGHTTP2_WINDOW_UPDATE, 0, 0, slice_make("\0\0\0\0", 4));
    remote_dial_from(&remote, server, from);
    remote_secure(&remote, server->client_tls);
    ck_assert(remote_shake(&remote));
    remote_write(&remote, buf_slice(&bytes));
    remote_wait_end(&remote);
    remote_close(&remote);
    buf_deinit(&bytes);
}

static bool gets_in(struct server *server, uint32_t from)
{
    struct remote remote;
    remote_dial_from(&remote, server, from);
    remote_secure(&remote, server->client_tls);
    bool is_in = remote_shake(&remote);
    remote_close(&remote);
    return is_in;
}

/* Delayed, not refused: others may share the address; who comes from elsewhere is not delayed. */
START_TEST(an_offender_is_paced)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.offender_burst = 2;
        limits.offender_rate = 2;
        struct server server;
        server_open(&server, &limits);
        for (int i = 0; i < 5; i++)
            ck_assert(gets_in(&server, INADDR_LOOPBACK + 1));
        offend(&server, INADDR_LOOPBACK + 1);
        for (int i = 0; i < 2; i++)
            ck_assert(gets_in(&server, INADDR_LOOPBACK + 1));
        ck_assert_uint_eq(pair_limit(server.pair, "offender_rate"), 0);
        ck_assert(gets_in(&server, INADDR_LOOPBACK + 1));
        ck_assert(gets_in(&server, INADDR_LOOPBACK + 1));
        ck_assert_uint_ge(pair_limit(server.pair, "offender_rate"), 1);
        uint64_t before = pair_limit(server.pair, "offender_rate");
        for (int i = 0; i < 5; i++)
            ck_assert(gets_in(&server, INADDR_LOOPBACK));
        ck_assert_uint_eq(pair_limit(server.pair, "offender_rate"), before);
        ck_assert_uint_eq(pair_limit(server.pair, "offender_queue"), 0);
        server_close(&server);
    }
END_TEST

/* What waits is bounded by time: nobody stands at the door for longer than a handshake may take. */
START_TEST(the_queue_of_offenders_is_bounded)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.offender_burst = 1;
        limits.offender_rate = 1;
        limits.handshake_timeout_ns = 1500 * NS_PER_MS;
        struct server server;
        struct remote remotes[5];
        server_open(&server, &limits);
        offend(&server, INADDR_LOOPBACK + 1);
        for (int i = 0; i < 5; i++)
            remote_dial_from(&remotes[i], &server, INADDR_LOOPBACK + 1);
        for (int i = 0; i < 10; i++)
            loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_ge(pair_limit(server.pair, "offender_queue"), 2);
        char bytes[1];
        ck_assert_int_eq(recv(remotes[4].fd, bytes, 1, 0), 0); /* closed */
        ck_assert_int_eq(recv(remotes[0].fd, bytes, 1, 0), -1);
        for (int i = 0; i < 5; i++)
            remote_close(&remotes[i]);
        server_close(&server);
    }
END_TEST

/* A handshake that fails has cost as much. */
START_TEST(failed_handshakes_are_offences)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.offender_burst = 1;
        limits.offender_rate = 1;
        struct server server;
        server_open(&server, &limits);
        for (int i = 0; i < 3; i++) {
            struct remote remote;
            remote_dial_from(&remote, &server, INADDR_LOOPBACK + 1);
            remote_secure(&remote, server.naked_tls);
            if (remote_shake(&remote))
                remote_wait_end(&remote);
            remote_close(&remote);
        }
        ck_assert_uint_ge(pair_limit(server.pair, "offender_rate"), 1);
        server_close(&server);
    }
END_TEST

/* Whose CA goes or whose certificate is revoked has done nothing: it comes back with a new one, and at once. */
START_TEST(who_is_trusted_no_longer_has_not_offended)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.offender_burst = 1;
        limits.offender_rate = 1;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        (void)remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        tls_context_replace(server.tls, server_trusting(&server, "other", "leaf", true));
        remote_wait_end(&remote);
        ck_assert_uint_eq(server.pair->goaway_error, NGHTTP2_INADEQUATE_SECURITY);
        remote_close(&remote);
        tls_context_replace(server.tls, server_trusting(&server, "ca", "leaf", true));
        while (rpc_worker_connections(server.pair->worker) > 0)
            loop_turn(server.pair->loop, NS_PER_MS);
        for (int i = 0; i < 3; i++)
            ck_assert(gets_in(&server, INADDR_LOOPBACK));
        ck_assert_uint_eq(pair_limit(server.pair, "offender_rate"), 0);
        ck_assert_uint_eq(pair_limit(server.pair, "offender_queue"), 0);
        server_close(&server);
    }
END_TEST

Suite *suite_rpc_server_admission(void);
Suite *suite_rpc_server_admission(void)
{
    Suite *suite = suite_create("rpc_server_admission");
    TCase *tests = tcase_create("admission");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, connections_per_identity);
    tcase_add_test(tests, an_identitys_own_limits);
    tcase_add_test(tests, connections_in_total);
    tcase_add_test(tests, accept_rate);
    tcase_add_test(tests, the_listeners_limits_change);
    tcase_add_test(tests, an_offender_is_paced);
    tcase_add_test(tests, the_queue_of_offenders_is_bounded);
    tcase_add_test(tests, failed_handshakes_are_offences);
    tcase_add_test(tests, who_is_trusted_no_longer_has_not_offended);
    suite_add_tcase(suite, tests);
    return suite;
}
