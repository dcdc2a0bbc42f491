/* The listener at the edges of what it may hold: descriptors, and what a worker takes over. */
#include "server.h"

#include <sys/resource.h>

#define MAILBOX 256 /* sockets between listener and worker: docs/limits.md */
#define FLOOD 100   /* connections without a word */
#define PROBE "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"

static void turn_until_limit(struct server *server, struct loop *loop, const char *limit)
{
    uint64_t end = clock_now() + 30 * NS_PER_S;
    while (pair_limit(server->pair, limit) == 0) {
        loop_turn(loop, NS_PER_MS);
        ck_assert_msg(clock_now() < end, "%s was never hit", limit);
    }
}

/* No descriptor beyond those that are open. */
static struct rlimit descriptors_end(void)
{
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(STDIN_FILENO);
    ck_assert_int_ge(lowest, 0);
    close(lowest);
    const struct rlimit now = {.rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

/* Who comes meanwhile waits in the kernel's queue, is not refused, and is served as soon as there are some again. */
START_TEST(without_descriptors_newcomers_wait)
{
    struct server server;
    struct remote remote;
    server_open(&server, NULL);
    remote_dial(&remote, &server);
    const struct rlimit before = descriptors_end();
    turn_until_limit(&server, server.pair->loop, "descriptors");
    for (int i = 0; i < 200; i++) /* it pauses, and does not spin */
        loop_turn(server.pair->loop, 0);
    ck_assert_uint_le(pair_limit(server.pair, "descriptors"), 2);
    ck_assert_uint_eq(server_connections(&server), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    remote_secure(&remote, server.client_tls);
    ck_assert(remote_shake(&remote));
    pair_connect(server.pair);
    struct exchange *exchange = remote_finish(&remote, pair_call(server.pair, "Echo", 3));
    ck_assert_int_eq(answer_status(exchange), GRPC_OK);
    remote_close(&remote);
    server_close(&server);
}
END_TEST

/* A listener on a thread's loop of its own, as in the service, whose worker does not get to its mailbox. */
static struct loop *listen_apart(struct server *server, const struct rpc_limits *limits)
{
    struct loop *loop = loop_new(0);
    rpc_listener_close(server->listener);
    loop_turn(server->pair->loop, 0);
    server_listen(server, loop, limits);
    return loop;
}

static void ask_plainly(struct remote *remote, struct server *server)
{
    remote_dial(remote, server);
    ck_assert_int_eq(send(remote->fd, PROBE, strlen(PROBE), MSG_NOSIGNAL), (ssize_t)strlen(PROBE));
}

static void await_answer(struct remote *remote, struct server *server)
{
    char answer[16] = "";
    uint64_t end = clock_now() + 30 * NS_PER_S;
    while (recv(remote->fd, answer, 15, 0) < 0) {
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_msg(clock_now() < end, "never answered");
        loop_turn(server->pair->loop, NS_PER_MS);
    }
    ck_assert_str_eq(answer, "HTTP/1.1 200 OK");
}

/* One too many is closed at once instead of waiting for a worker that may never come; those before it are served. */
START_TEST(a_stuck_worker_s_mailbox_is_bounded)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.accepts_per_second = 2 * MAILBOX;
    struct server server;
    server_open(&server, &limits);
    struct loop *apart = listen_apart(&server, &limits);
    struct remote *remotes = xcalloc(MAILBOX + 1, sizeof *remotes);
    for (size_t i = 0; i < MAILBOX; i++) {
        ask_plainly(&remotes[i], &server);
        loop_turn(apart, 0);
    }
    while (metric_gauge(rpc_metrics_entrants(server.pair->metrics)) > 0)
        loop_turn(apart, NS_PER_MS);
    ck_assert_uint_eq(pair_limit(server.pair, "worker_mailbox"), 0);
    ask_plainly(&remotes[MAILBOX], &server);
    turn_until_limit(&server, apart, "worker_mailbox");
    ck_assert_uint_eq(pair_limit(server.pair, "worker_mailbox"), 1);
    char none[1]; /* closed with its request unread: a reset */
    ck_assert_int_eq(recv(remotes[MAILBOX].fd, none, sizeof none, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);

    for (size_t i = 0; i < MAILBOX; i++)
        await_answer(&remotes[i], &server);
    for (size_t i = 0; i <= MAILBOX; i++)
        remote_close(&remotes[i]);
    free(remotes);
    rpc_listener_close(TAKE(server.listener));
    loop_turn(apart, 0);
    loop_free(apart);
    server_close(&server);
}
END_TEST

/* Regression: each of them took a place in accepts_per_second, so that newcomers waited behind the kernel's queue of
 * them for as long as handshakes would have taken. */
START_TEST(who_leaves_without_a_word_takes_nobodys_place)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.accepts_per_second = 1;
    struct server server;
    struct remote remote;
    server_open(&server, &limits);
    for (int i = 0; i < 15; i++) {
        remote_dial(&remote, &server);
        remote_close(&remote);
    }
    remote_open(&remote, &server);
    struct exchange *exchange = remote_finish(&remote, pair_call(server.pair, "Echo", 3));
    ck_assert_int_eq(answer_status(exchange), GRPC_OK);
    remote_close(&remote);
    server_close(&server);
}
END_TEST

static bool is_open(const struct remote *remote)
{
    char none[1];
    return recv(remote->fd, none, sizeof none, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* Who has begun to talk stays, and so does the last to come. */
START_TEST(who_says_nothing_makes_way)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.accepts_per_second = 2;
    struct server server;
    struct remote talking, silent[12];
    server_open(&server, &limits);
    remote_dial_talking(&talking, &server);
    for (int i = 0; i < 12; i++)
        remote_dial(&silent[i], &server);
    turn_until_limit(&server, server.pair->loop, "silent_entrants");
    ck_assert(is_open(&talking));
    ck_assert(!is_open(&silent[0]));
    ck_assert(is_open(&silent[11]));
    remote_close(&talking);
    for (int i = 0; i < 12; i++)
        remote_close(&silent[i]);
    server_close(&server);
}
END_TEST

/* Regression: a flood of them took the places of connections_total, from which newcomers were turned away. */
START_TEST(who_says_nothing_leaves_places_for_others)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.accepts_per_second = 1000;
    limits.connections_total = 80;
    struct server server;
    struct remote silent[FLOOD], remote;
    server_open(&server, &limits);
    for (int i = 0; i < FLOOD; i++)
        remote_dial(&silent[i], &server);
    remote_dial(&remote, &server);
    uint64_t end = clock_now() + 30 * NS_PER_S;
    while (pair_limit(server.pair, "silent_entrants") < FLOOD - 52 && clock_now() < end) {
        loop_turn(server.pair->loop, NS_PER_MS);
        ck_assert_uint_le(server_connections(&server), 52); /* 32, and a quarter */
    }
    remote_secure(&remote, server.client_tls);
    ck_assert(remote_shake(&remote));
    ck_assert_uint_eq(pair_limit(server.pair, "connections_total"), 0);
    for (int i = 0; i < FLOOD; i++)
        remote_close(&silent[i]);
    remote_close(&remote);
    server_close(&server);
}
END_TEST

Suite *suite_rpc_listener(void);
Suite *suite_rpc_listener(void)
{
    Suite *suite = suite_create("rpc_listener");
    TCase *tests = tcase_create("bounds");
    tcase_add_test(tests, without_descriptors_newcomers_wait);
    tcase_add_test(tests, a_stuck_worker_s_mailbox_is_bounded);
    tcase_add_test(tests, who_leaves_without_a_word_takes_nobodys_place);
    tcase_add_test(tests, who_says_nothing_makes_way);
    tcase_add_test(tests, who_says_nothing_leaves_places_for_others);
    suite_add_tcase(suite, tests);
    return suite;
}
