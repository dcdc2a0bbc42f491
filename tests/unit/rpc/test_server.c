/* Listener, worker and connections over real sockets: TLS, probes, counts, time-outs, the end. */
#include "server.h"

static uint64_t counted(struct server *server, const char *line)
{
    struct buf text = BUF_EMPTY;
    metrics_render(&server->pair->metrics, 1, METRICS_PROMETHEUS, &text);
    const char *at = strstr(buf_str(&text), line);
    uint64_t value = at == NULL ? 0 : strtoull(at + strlen(line), NULL, 10);
    buf_deinit(&text);
    return value;
}

/* Until the worker's next sweep has surely been. */
static void remote_weigh(struct remote *remote)
{
    uint64_t until = clock_now() + 150 * NS_PER_MS;
    while (clock_now() < until)
        remote_turn(remote);
}

START_TEST(a_call_over_mutual_tls)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        struct exchange *exchange = remote_finish(&remote, pair_call(server.pair, "Echo", 3));
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        ck_assert_uint_eq(rpc_worker_connections(server.pair->worker), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

START_TEST(large_messages_over_a_socket)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        char *text = xmalloc(900001);
        memset(text, 'y', 900000);
        text[900000] = '\0';
        int32_t ids[8];
        for (int i = 0; i < 8; i++)
            ids[i] = pair_request(server.pair, "/test.v1.Pair/Echo", NULL, pair_message(i, text));
        for (int i = 0; i < 8; i++) {
            struct exchange *exchange = remote_finish(&remote, ids[i]);
            ck_assert_int_eq(answer_status(exchange), GRPC_OK);
            ck_assert_uint_gt(buf_size(&exchange->body), 900000);
        }
        free(text);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

START_TEST(a_foreign_certificate_is_counted)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_dial(&remote, &server);
        remote_secure(&remote, server.naked_tls);
        /* with TLS 1.3 a client may believe it is through before the server has looked */
        if (remote_shake(&remote))
            remote_wait_end(&remote);
        ck_assert_uint_eq(
            counted(&server, "tenant_tls_handshake_failures_total{reason=\"verify_failed\"} "), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

START_TEST(ports_in_use_are_said_plainly)
    {
        struct server server;
        server_open(&server, NULL);
        struct rpc_listener *second = NULL;
        struct rpc_listener_settings settings = {.address = "127.0.0.1",
                                                 .port = rpc_listener_port(server.listener),
                                                 .workers = &server.pair->worker,
                                                 .worker_count = 1};
        ck_assert_int_eq(rpc_listener_open(&server.ctx, server.pair->loop, &settings, &second),
                         FAULT_IO);
        ck_assert_ptr_nonnull(strstr(ctx_fault_text(&server.ctx), "in use"));
        ck_assert_ptr_null(second);
        settings.address = "localhost";
        ck_assert_int_eq(rpc_listener_open(&server.ctx, server.pair->loop, &settings, &second),
                         FAULT_CONFIG);
        server_close(&server);
    }
END_TEST

static void check_probe(struct server *server, const char *request, const char *begins)
{
    struct remote remote;
    char answer[1024];
    remote_dial(&remote, server);
    remote_plain(&remote, request, answer, sizeof answer);
    ck_assert_msg(strncmp(answer, begins, strlen(begins)) == 0, "%s got %s", request, answer);
    remote_close(&remote);
}

START_TEST(plain_probes)
    {
        struct server server;
        server_open(&server, NULL);
        check_probe(&server, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n");
        check_probe(&server, "GET /health/live?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n");
        check_probe(&server, "GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
        check_probe(&server, "GET  HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ");
        check_probe(&server, "POST /health/live HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
        check_probe(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 ");
        char large[6000];
        memset(large, 'a', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        memcpy(large, "GET /", 5);
        check_probe(&server, large, "HTTP/1.1 431 ");
        server_close(&server);
    }
END_TEST

START_TEST(silence_is_bounded)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.handshake_timeout_ns = 100 * NS_PER_MS;
        limits.preface_timeout_ns = 100 * NS_PER_MS;
        struct server server;
        server_open(&server, &limits);
        static const char *const beginnings[] = {"", "G", "GET /health/live", "\x16\x03\x01"};
        for (size_t i = 0; i < 4; i++)
            check_probe(&server, beginnings[i], "");
        ck_assert_uint_eq(pair_limit(server.pair, "handshake_timeout"), 4);
        struct remote remote;
        remote_dial(&remote, &server);
        remote_secure(&remote, server.client_tls);
        ck_assert(remote_shake(&remote));
        remote_wait_end(&remote); /* no preface */
        ck_assert_uint_eq(pair_limit(server.pair, "preface_timeout"), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

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

START_TEST(old_connections_are_asked_to_go)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.age_ns = 200 * NS_PER_MS;
        limits.age_grace_ns = 2 * NS_PER_S;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        int32_t slow = pair_call(server.pair, "Sleep", 500);
        ck_assert_int_eq(answer_status(remote_finish(&remote, slow)), GRPC_OK);
        ck_assert(server.pair->goaway);
        ck_assert_uint_eq(pair_limit(server.pair, "age"), 1);
        remote_wait_end(&remote);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* All that the client has to send, in as few TLS records as it fits into: one read of the server's. */
static void send_together(struct remote *remote)
{
    struct buf all = BUF_EMPTY;
    const uint8_t *bytes;
    for (ssize_t size;
         (size = nghttp2_session_mem_send(remote->server->pair->client, &bytes)) > 0;)
        buf_put(&all, bytes, (size_t)size);
    remote_write(remote, buf_slice(&all));
    buf_deinit(&all);
}

/* More than two turns' share, of which none ends meanwhile: nothing else wakes those that are held. */
START_TEST(held_requests_need_no_event_to_start)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        (void)remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        remote_weigh(&remote); /* SETTINGS and their like are over */
        for (int i = 0; i < 90; i++)
            (void)pair_call(server.pair, "Sleep", 20000);
        send_together(&remote);
        uint64_t limit = clock_now() + 10 * NS_PER_S;
        while (server.pair->invocations < 91 && clock_now() < limit)
            remote_turn(&remote);
        ck_assert_int_eq(server.pair->invocations, 91);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

/* Held because of queued answers, which then all go out at once: a client with wide windows has nothing to say. */
START_TEST(held_requests_start_when_the_queue_is_empty)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.queued_response_bytes = 16u << 10;
        struct server server;
        struct remote remote;
        server_open(&server, &limits);
        remote_open(&remote, &server);
        nghttp2_session *client = server.pair->client;
        nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0, 1 << 30);
        const nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 30};
        nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, &wide, 1);
        (void)remote_finish(&remote, pair_call(server.pair, "Echo", 1));
        remote_weigh(&remote);
        int32_t ids[60];
        for (int i = 0; i < 60; i++)
            ids[i] = pair_call(server.pair, "Large", 20000);
        send_together(&remote);
        for (int i = 0; i < 60; i++)
            ck_assert_int_eq(answer_status(remote_finish(&remote, ids[i])), GRPC_OK);
        remote_close(&remote);
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

START_TEST(a_caller_may_be_renamed_while_connected)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        ck_assert_int_eq(answer_status(remote_finish(&remote, pair_call(server.pair, "Echo", 1))),
                         GRPC_OK);
        const struct connection *connection =
            list_entry(list_first(&server.pair->worker->connections), struct connection, node);
        ck_assert_str_eq(connection->h2->caller, "admin");
        server.pair->caller = "gateway";
        int32_t slow = pair_call(server.pair, "Sleep", 50);
        remote_turn(&remote);
        rpc_worker_rename(server.pair->worker);
        ck_assert_str_eq(connection->h2->caller, "gateway");
        ck_assert_int_eq(answer_status(remote_finish(&remote, slow)), GRPC_OK);
        ck_assert(!server.pair->goaway);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

START_TEST(limits_change_while_connected)
    {
        struct server server;
        struct remote remote;
        server_open(&server, NULL);
        remote_open(&remote, &server);
        int32_t before = pair_call(server.pair, "Sleep", 100);
        while (server.pair->invocations == 0)
            remote_turn(&remote);
        struct rpc_limits limits = rpc_limits_default;
        limits.deadline_cap_ns = 20 * NS_PER_MS;
        limits.message_bytes = 1024;
        rpc_worker_set_limits(server.pair->worker, &limits);
        ck_assert_uint_eq(server.pair->worker->largest_message, 3u << 20); /* a method's own */
        int32_t after = pair_call(server.pair, "Sleep", 1000);
        ck_assert_int_eq(answer_status(remote_finish(&remote, after)), GRPC_DEADLINE_EXCEEDED);
        ck_assert_int_eq(answer_status(remote_finish(&remote, before)), GRPC_OK);
        limits.header_fields = 3; /* a request has more */
        rpc_worker_set_limits(server.pair->worker, &limits);
        (void)pair_call(server.pair, "Echo", 1);
        remote_wait_end(&remote);
        ck_assert_uint_eq(pair_limit(server.pair, "header_fields"), 1);
        remote_close(&remote);
        server_close(&server);
    }
END_TEST

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

Suite *suite_rpc_server(void);
Suite *suite_rpc_server(void)
{
    Suite *suite = suite_create("rpc_server");
    TCase *tests = tcase_create("server");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_call_over_mutual_tls);
    tcase_add_test(tests, large_messages_over_a_socket);
    tcase_add_test(tests, a_foreign_certificate_is_counted);
    tcase_add_test(tests, ports_in_use_are_said_plainly);
    tcase_add_test(tests, plain_probes);
    tcase_add_test(tests, silence_is_bounded);
    tcase_add_test(tests, connections_per_identity);
    tcase_add_test(tests, an_identitys_own_limits);
    tcase_add_test(tests, connections_in_total);
    tcase_add_test(tests, accept_rate);
    tcase_add_test(tests, draining_finishes_calls);
    tcase_add_test(tests, draining_is_bounded);
    tcase_add_test(tests, new_connections_while_draining);
    tcase_add_test(tests, a_lost_client_cancels_its_calls);
    tcase_add_test(tests, a_client_that_does_not_read);
    tcase_add_test(tests, bytes_that_nobody_acknowledges);
    tcase_add_test(tests, the_last_goaway_arrives);
    tcase_add_test(tests, a_flood_goes_on_behind_the_end);
    tcase_add_test(tests, an_offender_is_paced);
    tcase_add_test(tests, the_queue_of_offenders_is_bounded);
    tcase_add_test(tests, failed_handshakes_are_offences);
    tcase_add_test(tests, old_connections_are_asked_to_go);
    tcase_add_test(tests, held_requests_need_no_event_to_start);
    tcase_add_test(tests, held_requests_start_when_the_queue_is_empty);
    tcase_add_test(tests, a_connection_that_served_enough_is_asked_to_go);
    tcase_add_test(tests, an_unresponsive_client_is_closed);
    tcase_add_test(tests, a_caller_may_be_renamed_while_connected);
    tcase_add_test(tests, limits_change_while_connected);
    tcase_add_test(tests, the_listeners_limits_change);
    tcase_add_test(tests, memory_is_accounted);
    tcase_add_test(tests, memory_pauses_accepting);
    tcase_add_test(tests, memory_refuses_calls);
    suite_add_tcase(suite, tests);
    return suite;
}
