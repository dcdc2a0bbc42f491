/* Renewed certificates: new streams have the new keys, old ones go on, also while threads shake hands. */
#include "pair.h"

#include <pthread.h>
#include <stdatomic.h>

#define NEXT_URI "spiffe://example.test/ns/server/sa/next"
#define REPLACEMENTS 40

static struct pair pair;

static void set_up(void)
{
    pair_init(&pair);
    pair_leaf(&pair, "next",
              (struct cert_spec){.san = "DNS:localhost,URI:" NEXT_URI, .eku = BOTH, .ends = 2 * DAY});
}

static void tear_down(void)
{
    pair_deinit(&pair);
}

static struct tls_context *context_of(const char *leaf, const char *ca, bool server)
{
    struct tls_context *context = NULL;
    ck_assert_int_eq(pair_context(&pair, leaf, ca, "h2", server, &context), OK);
    return context;
}

static int64_t leaf_end(struct tls_context *context)
{
    struct tls_ends ends;
    tls_context_ends(context, &ends);
    return ends.leaf;
}

/* Another pair of streams between the two contexts. */
struct meeting {
    struct pair pair; /* streams and sockets alone */
    enum tls_status server_status;
    enum tls_status client_status;
};

static void meet(struct meeting *meeting, struct tls_context *server, struct tls_context *client)
{
    *meeting = (struct meeting){.server_status = TLS_WANT_READ};
    int *fds = meeting->pair.fds;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    meeting->pair.server = tls_stream_accept(server, fds[0]);
    meeting->pair.client = tls_stream_connect(client, fds[1], "localhost");
    pair_shake(&meeting->pair, &meeting->server_status, &meeting->client_status);
}

static void part(struct meeting *meeting)
{
    tls_stream_free(meeting->pair.server);
    tls_stream_free(meeting->pair.client);
    close_end(&meeting->pair.fds[0]);
    close_end(&meeting->pair.fds[1]);
}

static void expect_crossing(struct tls_stream *from, struct tls_stream *to)
{
    char byte = 0;
    size_t count = 0;
    ck_assert_int_eq(tls_stream_write(from, "x", 1, &count), TLS_OK);
    ck_assert_int_eq(tls_stream_read(to, &byte, 1, &count), TLS_OK);
    ck_assert_int_eq(byte, 'x');
}

START_TEST(new_streams_have_the_new_keys_and_old_ones_go_on)
{
    pair_open(&pair);
    int64_t before = leaf_end(pair.server_context);
    tls_context_replace(pair.server_context, context_of("next", "ca", true));
    ck_assert_int_ge(leaf_end(pair.server_context), before + DAY);
    expect_crossing(pair.client, pair.server);
    expect_crossing(pair.server, pair.client);
    struct meeting meeting;
    meet(&meeting, pair.server_context, pair.client_context);
    ck_assert_int_eq(meeting.server_status, TLS_OK);
    ck_assert_int_eq(meeting.client_status, TLS_OK);
    ck_assert_str_eq(tls_stream_peer_uri(meeting.pair.client), NEXT_URI);
    ck_assert_str_eq(tls_stream_peer_uri(meeting.pair.server), CLIENT_URI);
    part(&meeting);
    tls_context_replace(pair.client_context, context_of("next", "ca", false));
    meet(&meeting, pair.server_context, pair.client_context);
    ck_assert_str_eq(tls_stream_peer_uri(meeting.pair.server), NEXT_URI);
    part(&meeting);
    expect_crossing(pair.client, pair.server);
}
END_TEST

START_TEST(new_trust_holds_for_new_streams)
{
    struct issued other = cert_make("other CA", &(struct cert_spec){.is_ca = true}, NULL);
    cert_save(&other, pair.folder, "other");
    cert_drop(&other);
    pair_open(&pair);
    tls_context_replace(pair.server_context, context_of("server", "other", true));
    struct meeting meeting;
    meet(&meeting, pair.server_context, pair.client_context);
    ck_assert_int_eq(meeting.server_status, TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(meeting.pair.server), "verify_failed");
    part(&meeting);
    expect_crossing(pair.client, pair.server);
}
END_TEST

/* The callbacks of the new keys must belong to the context that stays. */
START_TEST(the_protocol_is_still_demanded)
{
    pair_open(&pair);
    tls_context_replace(pair.server_context, context_of("next", "ca", true));
    struct tls_context *silent = NULL;
    ck_assert_int_eq(pair_context(&pair, "client", "ca", NULL, false, &silent), OK);
    struct meeting meeting;
    meet(&meeting, pair.server_context, silent);
    ck_assert_int_eq(meeting.server_status, TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(meeting.pair.server), "alpn");
    part(&meeting);
    tls_context_unref(silent);
}
END_TEST

static atomic_bool is_over;
static atomic_size_t met;

static void *meet_always(void *argument)
{
    (void)argument;
    while (!atomic_load(&is_over)) {
        struct meeting meeting;
        meet(&meeting, pair.server_context, pair.client_context);
        bool good = meeting.server_status == TLS_OK && meeting.client_status == TLS_OK;
        part(&meeting);
        if (!good)
            return "a handshake failed";
        atomic_fetch_add(&met, 1);
    }
    return NULL;
}

START_TEST(threads_shake_hands_while_keys_are_replaced)
{
    pthread_t threads[2];
    pair_open(&pair);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, meet_always, NULL), 0);
    for (int i = 0; i < REPLACEMENTS; i++) {
        const char *leaf = i % 2 == 0 ? "next" : "server";
        tls_context_replace(pair.server_context, context_of(leaf, "ca", true));
        tls_context_replace(pair.client_context, context_of(leaf, "ca", false));
        size_t seen = atomic_load(&met);
        for (int turn = 0; turn < 2000 && atomic_load(&met) == seen; turn++)
            usleep(1000);
        ck_assert_uint_gt(atomic_load(&met), seen);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) {
        void *trouble = NULL;
        pthread_join(threads[i], &trouble);
        ck_assert_msg(trouble == NULL, "%s", (const char *)trouble);
    }
}
END_TEST

Suite *suite_tls_replace(void);
Suite *suite_tls_replace(void)
{
    Suite *suite = suite_create("tls/replace");
    TCase *tcase = tcase_create("replace");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, new_streams_have_the_new_keys_and_old_ones_go_on);
    tcase_add_test(tcase, new_trust_holds_for_new_streams);
    tcase_add_test(tcase, the_protocol_is_still_demanded);
    tcase_add_test(tcase, threads_shake_hands_while_keys_are_replaced);
    suite_add_tcase(suite, tcase);
    return suite;
}
