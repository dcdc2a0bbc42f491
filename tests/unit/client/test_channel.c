/* Connections: when one is made, how long after a failure, who shares it; and when a call is made again. */
#include "caller.h"

#include "client/channel_int.h"

/* --- tasks of one loop on one channel ----------------------------------------------------------------- */

struct crowd {
    uint64_t timeout_ns;
    unsigned asked;
    unsigned well;
    unsigned timed_out;
    unsigned failed;
    unsigned waiting; /* tasks between asking and being answered */
    unsigned most_waiting;
};

static void crowd_ask(struct task *task, void *argument)
{
    struct crowd *crowd = argument;
    struct ctx own = ctx_in(task);
    struct client_call call = call_make();
    call.ctx = &own;
    call.timeout_ns = crowd->timeout_ns;
    Grpc__Health__V1__HealthCheckResponse *out;
    crowd->asked++;
    crowd->waiting++;
    if (crowd->waiting > crowd->most_waiting)
        crowd->most_waiting = crowd->waiting;
    int rc = ask(&call, &out);
    crowd->waiting--;
    if (rc == OK && call.status == GRPC_OK && out != NULL)
        crowd->well++;
    else if (rc != OK && own.fault.kind == FAULT_TIMEOUT)
        crowd->timed_out++;
    else
        crowd->failed++;
    arena_free(own.arena);
}

static struct crowd crowd_run(unsigned count, uint64_t timeout_ns)
{
    struct crowd crowd = {.timeout_ns = timeout_ns};
    struct loop *loop = loop_new(count);
    for (unsigned i = 0; i < count; i++)
        ck_assert(task_start(loop, crowd_ask, &crowd, NULL));
    loop_out(loop);
    client_channel_free(TAKE(channel)); /* it belongs to the loop */
    loop_free(loop);
    return crowd;
}

START_TEST(tasks_share_a_connection)
{
    serve(answer_well);
    struct crowd crowd = crowd_run(300, PATIENCE_NS);
    ck_assert_uint_eq(crowd.well, 300);
    ck_assert_uint_eq(crowd.most_waiting, 300);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

/* SETTINGS_MAX_CONCURRENT_STREAMS: what is too much waits its turn ("max_streams" of gRPC's interop cases). */
START_TEST(streams_beyond_the_servers_limit_wait)
{
    server.settings[server.setting_count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    serve(answer_well);
    struct crowd crowd = crowd_run(40, PATIENCE_NS);
    ck_assert_uint_eq(crowd.well, 40);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
}
END_TEST

static void answer_never(struct scripted *self, int32_t id, bool whole)
{
    (void)self;
    (void)id;
    (void)whole;
}

/* Those that never left are given up as well: nothing of them may be touched later. */
START_TEST(streams_that_wait_for_room_keep_their_deadline)
{
    server.settings[server.setting_count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1};
    serve(answer_never);
    struct crowd crowd = crowd_run(20, 200 * NS_PER_MS);
    ck_assert_uint_eq(crowd.timed_out, 20);
}
END_TEST

static void goaway_at_two(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    if (self->requests == 2)
        ck_assert_int_eq(
            nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR, NULL, 0),
            0);
    answer_well(self, id, whole);
}

/* Calls that still wait for room when the server goes away are made on the next connection. */
START_TEST(nothing_is_lost_by_a_goaway)
{
    server.settings[server.setting_count++] =
        (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2};
    serve(goaway_at_two);
    struct crowd crowd = crowd_run(30, PATIENCE_NS);
    ck_assert_uint_eq(crowd.well, 30);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

/* RFC 9113 section 5.1.1: "A client that is unable to establish a new stream identifier can establish a new
 * connection for new streams." */
START_TEST(a_connection_without_stream_numbers_is_replaced)
{
    serve(answer_well);
    ask_well();
    ck_assert_int_eq(nghttp2_session_set_next_stream_id(channel->connection->session, INT32_MAX),
                     0);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
    ask_well();
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

START_TEST(a_dead_port_fails_everybody_and_is_tried_once)
{
    close(server.listener); /* nobody listens any more */
    server.listener = -1;
    struct crowd crowd = crowd_run(50, PATIENCE_NS);
    ck_assert_uint_eq(crowd.failed, 50);
    scripted_start(&server); /* for tear_down() */
}
END_TEST

/* A PING of the server's is answered while nobody calls. */
static void answer_then_ping(struct scripted *self, int32_t id, bool whole)
{
    if (!whole)
        return;
    answer_well(self, id, whole);
    static const uint8_t payload[8] = "hello?";
    ck_assert_int_eq(nghttp2_submit_ping(self->session, NGHTTP2_FLAG_NONE, payload), 0);
}

static void ask_then_idle(struct task *task, void *argument)
{
    crowd_ask(task, argument);
    struct ctx own;
    ctx_init(&own, NULL, NULL);
    own.task = task;
    uint64_t end = clock_now() + PATIENCE_NS;
    while (scripted_count(&server, SEEN_PING_ACK) == 0 && clock_now() < end)
        (void)task_sleep(&own, 5 * NS_PER_MS);
}

START_TEST(an_idle_connection_answers_pings_and_sees_its_end)
{
    serve(answer_then_ping);
    struct crowd crowd = {.timeout_ns = PATIENCE_NS};
    struct loop *loop = loop_new(4);
    ck_assert(task_start(loop, ask_then_idle, &crowd, NULL));
    loop_out(loop);
    ck_assert_uint_eq(crowd.well, 1);
    ck_assert_uint_eq(scripted_count(&server, SEEN_PING_ACK), 1);
    client_channel_free(TAKE(channel));
    loop_free(loop);
}
END_TEST

/* --- names, pauses ------------------------------------------------------------------------------------ */

static void channel_again(struct client_settings settings)
{
    client_channel_free(channel);
    channel = scripted_channel(&server, settings);
}

static const char *address_of(const char *host)
{
    static char address[64];
    snprintf(address, sizeof address, "%s%s", host, strrchr(server.address, ':'));
    return address;
}

START_TEST(a_name_is_resolved_by_threads_and_tasks)
{
    serve(answer_well);
    channel_again((struct client_settings){.address = address_of("localhost")});
    ask_well();
    channel_again((struct client_settings){.address = address_of("localhost")});
    struct crowd crowd = crowd_run(3, PATIENCE_NS);
    ck_assert_uint_eq(crowd.well, 3);
    ck_assert(scripted_saw_field(&server, ":authority: localhost:"));
}
END_TEST

START_TEST(a_name_that_is_none_is_told)
{
    serve(answer_well);
    channel_again((struct client_settings){.address = "no-such-host.invalid:1"});
    ask_in_vain(FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "no-such-host.invalid"));
    channel_again((struct client_settings){.address = "nowhere"});
    ask_in_vain(FAULT_CONFIG);
    channel_again((struct client_settings){.address = "no-such-host.invalid:1"});
    struct crowd crowd = crowd_run(2, PATIENCE_NS);
    ck_assert_uint_eq(crowd.failed, 2);
}
END_TEST

START_TEST(another_name_than_the_certificates_is_refused)
{
    serve(answer_well);
    channel_again((struct client_settings){.server_name = "other.example"});
    ask_in_vain(FAULT_TLS);
}
END_TEST

START_TEST(a_revoked_server_is_refused)
{
    char list[128];
    serve(answer_well);
    cert_path(list, server.folder, "nobody.pem");
    channel_again((struct client_settings){.crl_file = list});
    ask_well();
    cert_path(list, server.folder, "revoked.pem");
    channel_again((struct client_settings){.crl_file = list});
    ask_in_vain(FAULT_TLS);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "revoked"));
}
END_TEST

START_TEST(a_failed_connect_is_followed_by_a_pause)
{
    close(server.listener);
    server.listener = -1;
    channel_again((struct client_settings){.backoff_first_ns = 3600 * NS_PER_S,
                                           .backoff_max_ns = 3600 * NS_PER_S});
    ask_in_vain(FAULT_IO);
    ck_assert_ptr_null(strstr(ctx.fault.text, "next connect"));
    ask_in_vain(FAULT_IO);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "next connect in "));
    struct client_call call = call_make();
    call.timeout_ns = 30 * NS_PER_MS;
    call.waits_for_ready = true;
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_ne(ask(&call, &out), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_TIMEOUT);
    scripted_start(&server);
}
END_TEST

/* TLS alone is no success. */
START_TEST(a_connection_without_settings_is_followed_by_a_pause)
{
    server.slams = 1;
    serve(answer_well);
    channel_again((struct client_settings){.backoff_first_ns = 3600 * NS_PER_S,
                                           .backoff_max_ns = 3600 * NS_PER_S});
    for (int i = 0; i < 2; i++) {
        struct client_call call = call_make();
        Grpc__Health__V1__HealthCheckResponse *out;
        ck_assert_int_ne(ask(&call, &out), OK);
    }
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "next connect in "));
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
    channel->not_before_ns = 0;
    ask_well();
    ck_assert_int_eq(client_channel_connect(&ctx, channel), OK);
    ck_assert_uint_eq(channel->failures, 0);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

/* The GOAWAY comes while the connection is made, or as if it had. */
START_TEST(a_connection_that_takes_no_call_is_followed_by_a_pause)
{
    server.leaves = 1;
    serve(answer_well);
    channel_again((struct client_settings){.backoff_first_ns = 3600 * NS_PER_S,
                                           .backoff_max_ns = 3600 * NS_PER_S});
    if (client_channel_connect(&ctx, channel) == OK) {
        while (!channel->connection->going_away)
            client_connection_drive(channel->connection);
        channel->connection->was_given = false;
    }
    ask_in_vain(FAULT_IO);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "next connect in "));
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 1);
    channel->not_before_ns = 0;
    ask_well();
}
END_TEST

static void *listen_later(void *argument)
{
    (void)argument;
    (void)poll(NULL, 0, 150);
    ck_assert_int_eq(listen(server.listener, 16), 0);
    serve(answer_well);
    return NULL;
}

/* A bound socket that does not listen refuses. */
START_TEST(a_call_may_wait_until_the_server_is_there)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in place = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&place, size), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&place, &size), 0);
    close(server.listener);
    server.listener = fd;
    snprintf(server.address, sizeof server.address, "127.0.0.1:%u", ntohs(place.sin_port));
    channel_again((struct client_settings){.backoff_first_ns = 20 * NS_PER_MS,
                                           .backoff_max_ns = 50 * NS_PER_MS});
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, listen_later, NULL), 0);
    struct client_call call = call_make();
    call.waits_for_ready = true;
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_msg(ask(&call, &out) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void go_deaf(struct scripted *self, int32_t id, bool whole)
{
    (void)id;
    self->is_deaf = whole;
}

START_TEST(a_peer_that_went_silent_is_found_by_keepalive)
{
    serve(go_deaf);
    channel_again((struct client_settings){.keepalive_ns = 50 * NS_PER_MS,
                                           .keepalive_timeout_ns = 50 * NS_PER_MS});
    ask_in_vain(FAULT_IO);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "keepalive"));
}
END_TEST

START_TEST(a_peer_that_went_silent_is_found_by_tasks_too)
{
    serve(go_deaf);
    channel_again((struct client_settings){.keepalive_ns = 50 * NS_PER_MS,
                                           .keepalive_timeout_ns = 50 * NS_PER_MS});
    struct crowd crowd = crowd_run(3, PATIENCE_NS);
    ck_assert_uint_eq(crowd.failed, 3);
}
END_TEST

static void go_deaf_at_first(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests == 1)
        self->is_deaf = true;
    else
        answer_well(self, id, whole);
}

/* A lost connection is UNAVAILABLE to the policy: the rest of the call's time is for another one. */
START_TEST(a_call_on_a_silent_connection_is_made_elsewhere)
{
    serve(go_deaf_at_first);
    channel_again((struct client_settings){.keepalive_ns = 50 * NS_PER_MS,
                                           .keepalive_timeout_ns = 50 * NS_PER_MS});
    struct client_call call = call_make();
    call.retry = &client_retry_default;
    call.is_repeatable = true;
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_msg(ask(&call, &out) == OK, "%s", ctx.fault.text);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_uint_eq(call.attempts, 2);
    ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
}
END_TEST

static void send_away(struct scripted *self, int32_t id, const char *why)
{
    scripted_reply(self, id, (struct reply){GRPC_FIELDS, serving(), TRAILERS_OK, REPLY_ENDS});
    ck_assert_int_eq(nghttp2_submit_goaway(self->session, NGHTTP2_FLAG_NONE, id,
                                           NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why,
                                           strlen(why)),
                     0);
}

/* At the first request; at the second it is something else. */
static void complain_of_pings(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests < 3)
        send_away(self, id, self->requests == 1 ? "too_many_pings" : "too_many_pings, too_many");
    else
        answer_well(self, id, whole);
}

/* gRPC proposal A8: "the client should double its KEEPALIVE_TIME", which holds for the connections that follow. */
START_TEST(a_server_that_has_enough_of_pings_gets_half_as_many)
    {
        serve(complain_of_pings);
        channel_again((struct client_settings){.keepalive_ns = 30 * NS_PER_S});
        ask_well();
        ask_well();
        ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 2);
        ck_assert_uint_eq(channel->connection->keepalive_ns, 60 * NS_PER_S);
        ask_well(); /* it was sent away for something else */
        ck_assert_uint_eq(scripted_count(&server, SEEN_CONNECTION), 3);
        ck_assert_uint_eq(channel->connection->keepalive_ns, 60 * NS_PER_S);
    }
END_TEST

/* --- again -------------------------------------------------------------------------------------------- */

struct pauses {
    unsigned count;
    uint64_t last_ns;
};

static bool pause_not(void *owner, unsigned attempt, uint64_t ns)
{
    struct pauses *pauses = owner;
    pauses->count++;
    pauses->last_ns = ns;
    ck_assert_uint_eq(attempt, pauses->count + 1);
    return true;
}

static struct client_call ask_patiently(struct pauses *pauses, bool is_repeatable)
{
    struct client_retry retry = client_retry_default;
    *pauses = (struct pauses){.count = 0};
    retry.pause = pause_not;
    retry.owner = pauses;
    struct client_call call = call_make();
    call.retry = &retry;
    call.is_repeatable = is_repeatable;
    Grpc__Health__V1__HealthCheckResponse *out;
    ck_assert_int_eq(ask(&call, &out), OK);
    call.retry = NULL;
    return call;
}

static void unavailable_thrice(struct scripted *self, int32_t id, bool whole)
{
    if (whole && self->requests <= 3)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS "grpc-status: 14\n", {0}, NULL, REPLY_ENDS});
    else
        answer_well(self, id, whole);
}

START_TEST(unavailable_is_asked_again_with_growing_pauses)
{
    serve(unavailable_thrice);
    struct pauses pauses;
    struct client_call call = ask_patiently(&pauses, true);
    ck_assert_int_eq(call.status, GRPC_OK);
    ck_assert_uint_eq(call.attempts, 4);
    ck_assert_uint_eq(pauses.count, 3);
    ck_assert(pauses.last_ns >= 100 * NS_PER_MS && pauses.last_ns <= 400 * NS_PER_MS);
}
END_TEST

static void refuse_for(struct scripted *self, int32_t id, bool whole)
{
    static const char *const pushbacks[] = {"grpc-retry-pushback-ms: 1234\n",
                                            "grpc-retry-pushback-ms: -1\n",
                                            "grpc-retry-pushback-ms: soon\n"};
    static char fields[3][128];
    if (!whole)
        return;
    if (self->requests > 3) {
        answer_well(self, id, whole);
        return;
    }
    char *text = fields[self->requests - 1];
    snprintf(text, sizeof fields[0], GRPC_FIELDS "grpc-status: 8\n%s",
             pushbacks[self->requests - 1]);
    scripted_reply(self, id, (struct reply){text, {0}, NULL, REPLY_ENDS});
}

/* A6: the server's word goes before the policy's codes and pauses, and a negative or unreadable one means no. */
START_TEST(push_back_is_obeyed)
{
    serve(refuse_for);
    struct pauses pauses;
    struct client_call call = ask_patiently(&pauses, true);
    ck_assert_int_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
    ck_assert_uint_eq(call.attempts, 2);
    ck_assert_uint_eq(pauses.last_ns, 1234 * NS_PER_MS);
    call = ask_patiently(&pauses, true);
    ck_assert_uint_eq(call.attempts, 1);
    ck_assert_int_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
}
END_TEST

static void unavailable_always(struct scripted *self, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(self, id,
                       (struct reply){GRPC_FIELDS "grpc-status: 14\n", {0}, NULL, REPLY_ENDS});
}

/* Ten tokens, one for each failure, and no retry below half of them. */
START_TEST(failures_use_up_the_channels_retries)
{
    serve(unavailable_always);
    struct pauses pauses;
    struct client_call call = ask_patiently(&pauses, true);
    ck_assert_uint_eq(call.attempts, 5);
    ck_assert(scripted_saw_field(&server, "grpc-previous-rpc-attempts: 4\n"));
    call = ask_patiently(&pauses, true);
    ck_assert_uint_eq(call.attempts, 1);
    ck_assert(!scripted_saw_field(&server, "grpc-previous-rpc-attempts"));
    ck_assert_int_eq(call.status, GRPC_UNAVAILABLE);
}
END_TEST

/* health_rpc's Check has no side effects, so a method that has is made of it. */
START_TEST(what_may_have_taken_effect_is_not_repeated)
{
    serve(unavailable_always);
    struct pauses pauses = {.count = 0};
    struct client_retry retry = client_retry_default;
    retry.pause = pause_not;
    retry.owner = &pauses;
    struct rpc_method method = health_rpc.methods[0];
    method.no_side_effects = false;
    Grpc__Health__V1__HealthCheckRequest in = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct client_call call = call_make();
    call.retry = &retry;
    ProtobufCMessage *out = NULL;
    ck_assert_int_eq(client_unary(&call, &method, &in.base, &out), OK);
    ck_assert_uint_eq(call.attempts, 1);
    call.metadata[call.metadata_count++] =
        (struct client_field){"idempotency-key", slice_of_str("k")};
    ck_assert_int_eq(client_unary(&call, &method, &in.base, &out), OK);
    ck_assert_uint_gt(call.attempts, 1);
}
END_TEST

Suite *suite_client_channel(void);
Suite *suite_client_channel(void)
{
    Suite *suite = suite_create("client/channel");
    TCase *tasks = caller_case("tasks");
    tcase_add_test(tasks, tasks_share_a_connection);
    tcase_add_test(tasks, streams_beyond_the_servers_limit_wait);
    tcase_add_test(tasks, streams_that_wait_for_room_keep_their_deadline);
    tcase_add_test(tasks, nothing_is_lost_by_a_goaway);
    tcase_add_test(tasks, a_connection_without_stream_numbers_is_replaced);
    tcase_add_test(tasks, a_dead_port_fails_everybody_and_is_tried_once);
    tcase_add_test(tasks, an_idle_connection_answers_pings_and_sees_its_end);
    suite_add_tcase(suite, tasks);
    TCase *connects = caller_case("connects");
    tcase_add_test(connects, a_name_is_resolved_by_threads_and_tasks);
    tcase_add_test(connects, a_name_that_is_none_is_told);
    tcase_add_test(connects, another_name_than_the_certificates_is_refused);
    tcase_add_test(connects, a_revoked_server_is_refused);
    tcase_add_test(connects, a_failed_connect_is_followed_by_a_pause);
    tcase_add_test(connects, a_connection_without_settings_is_followed_by_a_pause);
    tcase_add_test(connects, a_connection_that_takes_no_call_is_followed_by_a_pause);
    tcase_add_test(connects, a_call_may_wait_until_the_server_is_there);
    tcase_add_test(connects, a_peer_that_went_silent_is_found_by_keepalive);
    tcase_add_test(connects, a_call_on_a_silent_connection_is_made_elsewhere);
    tcase_add_test(connects, a_peer_that_went_silent_is_found_by_tasks_too);
    tcase_add_test(connects, a_server_that_has_enough_of_pings_gets_half_as_many);
    suite_add_tcase(suite, connects);
    TCase *again = caller_case("again");
    tcase_add_test(again, unavailable_is_asked_again_with_growing_pauses);
    tcase_add_test(again, push_back_is_obeyed);
    tcase_add_test(again, failures_use_up_the_channels_retries);
    tcase_add_test(again, what_may_have_taken_effect_is_not_repeated);
    suite_add_tcase(suite, again);
    return suite;
}
