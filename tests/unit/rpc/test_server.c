/* Listener, worker and connections over real sockets: TLS, probes, held requests, changes while connected. */
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

/* RFC 9113 section 6.5.3: a preface and SETTINGS are no life as long as ours are not acknowledged. */
START_TEST(settings_are_acknowledged_in_time)
    {
        static const char unasked[] = NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0";
        struct rpc_limits limits = rpc_limits_default;
        limits.preface_timeout_ns = 200 * NS_PER_MS;
        struct server server;
        server_open(&server, &limits);
        struct remote remote;
        remote_dial(&remote, &server);
        remote_secure(&remote, server.client_tls);
        ck_assert(remote_shake(&remote));
        remote_write(&remote, slice_make(unasked, sizeof unasked - 1));
        remote_wait_end(&remote);
        ck_assert_uint_eq(pair_limit(server.pair, "preface_timeout"), 1);
        remote_close(&remote);
        /* whoever does acknowledge them stays */
        remote_open(&remote, &server);
        uint64_t end = clock_now() + 600 * NS_PER_MS;
        while (clock_now() < end)
            remote_turn(&remote);
        ck_assert(!remote.ended);
        ck_assert_uint_eq(pair_limit(server.pair, "preface_timeout"), 1);
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
        const struct rpc_method *import = &pair_methods[5], *small = &pair_methods[6];
        ck_assert_str_eq(import->name, "Import");
        ck_assert_str_eq(small->name, "Small");
        ck_assert_uint_eq(method_message_bytes(small, &limits), 100);
        limits.message_bytes = 50;
        ck_assert_uint_eq(method_message_bytes(small, &limits), 50);
        ck_assert_uint_eq(method_message_bytes(import, &limits), 3u << 20);
        limits.header_fields = 3; /* a request has more */
        rpc_worker_set_limits(server.pair->worker, &limits);
        (void)pair_call(server.pair, "Echo", 1);
        remote_wait_end(&remote);
        ck_assert_uint_eq(pair_limit(server.pair, "header_fields"), 1);
        remote_close(&remote);
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
    tcase_add_test(tests, settings_are_acknowledged_in_time);
    tcase_add_test(tests, held_requests_need_no_event_to_start);
    tcase_add_test(tests, held_requests_start_when_the_queue_is_empty);
    tcase_add_test(tests, a_caller_may_be_renamed_while_connected);
    tcase_add_test(tests, limits_change_while_connected);
    suite_add_tcase(suite, tests);
    return suite;
}
