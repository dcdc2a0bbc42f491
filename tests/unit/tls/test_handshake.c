/* Who gets in and who does not; each refusal with the label its counter needs. */
#include "base/clock.h"

#include "pair.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static struct pair pair;

static void set_up(void)
{
    pair_init(&pair);
}

static void tear_down(void)
{
    pair_deinit(&pair);
}

static void expect_failure(struct tls_stream *stream, enum tls_status status, const char *label,
                           const char *text)
{
    ck_assert_int_eq(status, TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(stream), label);
    ck_assert_msg(strstr(tls_stream_error(stream), text) != NULL, "\"%s\" lacks \"%s\"",
                  tls_stream_error(stream), text);
    size_t count = 0;
    char byte;
    ck_assert_int_eq(tls_stream_read(stream, &byte, 1, &count), TLS_FAILED); /* and stays so */
    ck_assert_int_eq(tls_stream_write(stream, "x", 1, &count), TLS_FAILED);
    ck_assert_ptr_null(tls_stream_peer_uri(stream));
}

/* A TLS 1.3 client is done before the server has judged its certificate: it learns by reading. */
static void expect_client_told(const char *label)
{
    char byte;
    size_t count = 0;
    ck_assert_int_eq(tls_stream_read(pair.client, &byte, 1, &count), TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(pair.client), label);
}

/* A peer that does not keep our rules, on the client's or the server's end. */
static SSL *rogue_new(SSL_CTX *rules, const char *name, int fd)
{
    char path[128], file[64];
    if (name != NULL) {
        (void)snprintf(file, sizeof file, "%s.pem", name);
        ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(
                             rules, cert_path(path, pair.folder, file)), 1);
        (void)snprintf(file, sizeof file, "%s.key", name);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(rules, cert_path(path, pair.folder, file),
                                                     SSL_FILETYPE_PEM), 1);
    }
    SSL *ssl = SSL_new(rules);
    ck_assert_int_eq(SSL_set_fd(ssl, fd), 1);
    return ssl;
}

static void shake_rogue(SSL *rogue, struct tls_stream *stream, enum tls_status *status)
{
    *status = TLS_WANT_READ;
    for (int i = 0; i < 50; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(rogue);
        if (is_waiting(*status))
            *status = tls_stream_handshake(stream);
    }
    ERR_clear_error();
}

static void offer_alpn(SSL_CTX *rules)
{
    ck_assert_int_eq(SSL_CTX_set_alpn_protos(rules, (const unsigned char *)"\2h2", 3), 0);
}

START_TEST(both_sides_know_each_other)
{
    pair_open(&pair);
    ck_assert_str_eq(tls_stream_peer_uri(pair.server), CLIENT_URI);
    ck_assert_str_eq(tls_stream_peer_uri(pair.client), SERVER_URI);
    int64_t left = tls_stream_peer_not_after(pair.server) - (int64_t)(clock_wall() / NS_PER_S);
    ck_assert_int_gt(left, DAY - 60);
    ck_assert_int_le(left, DAY);
    ck_assert_int_eq(tls_stream_handshake(pair.server), TLS_OK); /* once more changes nothing */
    ck_assert_str_eq(tls_stream_error(pair.server), "no error");
}
END_TEST

START_TEST(an_address_is_checked_like_a_name)
{
    pair_serve(&pair, "server", "ca");
    pair_call(&pair, "client", "ca", "h2", "127.0.0.1");
    enum tls_status server, client;
    pair_shake(&pair, &server, &client);
    ck_assert_int_eq(client, TLS_OK);
    ck_assert_int_eq(server, TLS_OK);
}
END_TEST

START_TEST(before_the_handshake_nothing_is_known)
{
    pair_serve(&pair, "server", "ca");
    ck_assert_ptr_null(tls_stream_peer_uri(pair.server));
    ck_assert_int_eq(tls_stream_peer_not_after(pair.server), 0);
    ck_assert_int_eq(tls_stream_handshake(pair.server), TLS_WANT_READ);
    tls_stream_shutdown(pair.server); /* does nothing yet */
    tls_stream_free(NULL);
}
END_TEST

static void expect_client_refuses(const char *server_name, const char *wanted, const char *text)
{
    pair_serve(&pair, server_name, "ca");
    pair_call(&pair, "client", "ca", "h2", wanted);
    enum tls_status server, client;
    pair_shake(&pair, &server, &client);
    expect_failure(pair.client, client, "verify_failed", text);
    expect_failure(pair.server, server, "verify_failed", "alert");
}

static void expect_server_refuses(const char *client_name, const char *text)
{
    pair_serve(&pair, "server", "ca");
    pair_call(&pair, client_name, "ca", "h2", "localhost");
    enum tls_status server, client;
    pair_shake(&pair, &server, &client);
    expect_failure(pair.server, server, "verify_failed", text);
    ck_assert_int_eq(client, TLS_OK);
    expect_client_told("verify_failed");
}

START_TEST(a_server_of_another_name_is_refused)
{
    expect_client_refuses("server", "elsewhere.test", "hostname mismatch");
}
END_TEST

START_TEST(a_server_of_another_address_is_refused)
{
    expect_client_refuses("server", "127.0.0.2", "IP address mismatch");
}
END_TEST

START_TEST(a_common_name_is_no_name)
{
    pair_leaf(&pair, "localhost", (struct cert_spec){.san = "URI:" SERVER_URI, .eku = BOTH});
    expect_client_refuses("localhost", "localhost", "hostname mismatch");
}
END_TEST

START_TEST(a_server_with_a_clients_purpose_is_refused)
{
    pair_leaf(&pair, "odd", (struct cert_spec){.san = "DNS:localhost", .eku = "clientAuth"});
    expect_client_refuses("odd", "localhost", "purpose");
}
END_TEST

START_TEST(a_client_with_a_servers_purpose_is_refused)
{
    pair_leaf(&pair, "odd", (struct cert_spec){.san = "URI:" CLIENT_URI, .eku = "serverAuth"});
    expect_server_refuses("odd", "purpose");
}
END_TEST

START_TEST(a_client_of_another_ca_is_refused)
{
    struct issued other = cert_make("other CA", &(struct cert_spec){.is_ca = true}, NULL);
    struct issued leaf = cert_make("client", &(struct cert_spec){.san = "URI:" CLIENT_URI}, &other);
    cert_save(&leaf, pair.folder, "stranger");
    cert_drop(&leaf);
    cert_drop(&other);
    expect_server_refuses("stranger", "unable to get local issuer");
}
END_TEST

START_TEST(a_client_of_a_same_named_ca_is_refused)
{
    struct issued twin = cert_make("test CA", &(struct cert_spec){.is_ca = true}, NULL);
    struct issued leaf = cert_make("client", &(struct cert_spec){.san = "URI:" CLIENT_URI}, &twin);
    cert_save(&leaf, pair.folder, "stranger");
    cert_drop(&leaf);
    cert_drop(&twin);
    expect_server_refuses("stranger", "verify failed");
}
END_TEST

START_TEST(an_expired_client_is_refused)
{
    pair_leaf(&pair, "old", (struct cert_spec){.san = "URI:" CLIENT_URI, .starts = -2 * DAY,
                                               .ends = -60});
    pair_serve(&pair, "server", "ca");
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method()); /* ours would not load it */
    offer_alpn(rules);
    SSL *rogue = rogue_new(rules, "old", pair.fds[1]);
    SSL_set_connect_state(rogue);
    enum tls_status status;
    shake_rogue(rogue, pair.server, &status);
    expect_failure(pair.server, status, "verify_failed", "expired");
    SSL_free(rogue);
    SSL_CTX_free(rules);
}
END_TEST

static void expect_rogue_refused(SSL_CTX *rules, const char *cert, const char *label,
                                 const char *text)
{
    pair_serve(&pair, "server", "ca");
    SSL *rogue = rogue_new(rules, cert, pair.fds[1]);
    SSL_set_connect_state(rogue);
    enum tls_status status;
    shake_rogue(rogue, pair.server, &status);
    expect_failure(pair.server, status, label, text);
    SSL_free(rogue);
    SSL_CTX_free(rules);
}

START_TEST(a_client_without_certificate_is_refused)
{
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method());
    offer_alpn(rules);
    expect_rogue_refused(rules, NULL, "no_certificate", "did not return a certificate");
}
END_TEST

START_TEST(a_client_with_an_older_tls_is_refused)
{
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(rules, TLS1_2_VERSION);
    offer_alpn(rules);
    expect_rogue_refused(rules, "client", "protocol", "protocol");
}
END_TEST

START_TEST(a_client_without_alpn_is_refused)
{
    expect_rogue_refused(SSL_CTX_new(TLS_client_method()), "client", "alpn", "application protocol");
}
END_TEST

START_TEST(a_client_with_another_alpn_is_refused)
{
    pair_serve(&pair, "server", "ca");
    pair_call(&pair, "client", "ca", "http/1.1", "localhost");
    enum tls_status server, client;
    pair_shake(&pair, &server, &client);
    expect_failure(pair.server, server, "alpn", "no application protocol");
    expect_failure(pair.client, client, "alpn", "no application protocol");
}
END_TEST

START_TEST(a_protocol_that_only_begins_alike_is_refused)
{
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_alpn_protos(rules, (const unsigned char *)"\3h2c\1h", 6);
    expect_rogue_refused(rules, "client", "alpn", "application protocol");
}
END_TEST

START_TEST(alpn_is_found_among_several)
{
    pair_serve(&pair, "server", "ca");
    SSL_CTX *rules = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_alpn_protos(rules, (const unsigned char *)"\10http/1.1\2h2", 12);
    SSL *rogue = rogue_new(rules, "client", pair.fds[1]);
    SSL_set_connect_state(rogue);
    enum tls_status status;
    shake_rogue(rogue, pair.server, &status);
    ck_assert_int_eq(status, TLS_OK);
    const unsigned char *chosen;
    unsigned size;
    SSL_get0_alpn_selected(rogue, &chosen, &size);
    ck_assert_uint_eq(size, 2);
    ck_assert_int_eq(memcmp(chosen, "h2", 2), 0);
    ck_assert_int_eq(SSL_session_reused(rogue), 0);
    SSL_free(rogue);
    SSL_CTX_free(rules);
}
END_TEST

START_TEST(a_server_that_ignores_alpn_is_refused)
{
    pair_call(&pair, "client", "ca", "h2", "localhost");
    SSL_CTX *rules = SSL_CTX_new(TLS_server_method());
    SSL *rogue = rogue_new(rules, "server", pair.fds[0]);
    SSL_set_accept_state(rogue);
    enum tls_status status;
    shake_rogue(rogue, pair.client, &status);
    expect_failure(pair.client, status, "alpn", "application protocol");
    SSL_free(rogue);
    SSL_CTX_free(rules);
}
END_TEST

START_TEST(plain_text_is_refused)
{
    pair_serve(&pair, "server", "ca");
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    ck_assert_int_gt(write(pair.fds[1], preface, sizeof preface - 1), 0);
    ck_assert_int_eq(tls_stream_handshake(pair.server), TLS_FAILED);
    static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    tls_stream_free(pair.server);
    pair.server = tls_stream_accept(pair.server_context, pair.fds[0]);
    char drop[4096];
    while (read(pair.fds[0], drop, sizeof drop) > 0)
        continue;
    ck_assert_int_gt(write(pair.fds[1], get, sizeof get - 1), 0);
    ck_assert_int_eq(tls_stream_handshake(pair.server), TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(pair.server), "protocol");
}
END_TEST

START_TEST(a_peer_that_leaves_early_is_a_reset)
{
    pair_serve(&pair, "server", "ca");
    ck_assert_int_eq(tls_stream_handshake(pair.server), TLS_WANT_READ);
    close_end(&pair.fds[1]);
    expect_failure(pair.server, tls_stream_handshake(pair.server), "reset", "ended");
}
END_TEST

START_TEST(a_peer_that_leaves_before_our_first_byte_raises_no_signal)
{
    pair_call(&pair, "client", "ca", "h2", "localhost");
    close_end(&pair.fds[0]);
    expect_failure(pair.client, tls_stream_handshake(pair.client), "reset", "Broken pipe");
}
END_TEST

/* The URI that the server sees of a client with this leaf. */
static const char *uri_of(struct cert_spec spec)
{
    spec.eku = BOTH;
    pair_leaf(&pair, "named", spec);
    pair_serve(&pair, "server", "ca");
    pair_call(&pair, "named", "ca", "h2", "localhost");
    enum tls_status server, client;
    pair_shake(&pair, &server, &client);
    ck_assert_int_eq(server, TLS_OK);
    return tls_stream_peer_uri(pair.server);
}

START_TEST(two_uris_are_none)
{
    ck_assert_ptr_null(uri_of((struct cert_spec){.san = "URI:" CLIENT_URI ",URI:" SERVER_URI}));
}
END_TEST

START_TEST(the_same_uri_twice_is_none)
{
    ck_assert_ptr_null(uri_of((struct cert_spec){.san = "URI:" CLIENT_URI ",URI:" CLIENT_URI}));
}
END_TEST

START_TEST(no_uri_is_none)
{
    ck_assert_ptr_null(uri_of((struct cert_spec){.san = "DNS:client"}));
}
END_TEST

START_TEST(no_alternative_name_is_none)
{
    ck_assert_ptr_null(uri_of((struct cert_spec){.san = NULL}));
}
END_TEST

START_TEST(a_uri_among_other_names_is_found)
{
    ck_assert_str_eq(uri_of((struct cert_spec){.san = "DNS:client,URI:" CLIENT_URI ",IP:127.0.0.1"}),
                     CLIENT_URI);
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
} odd_uris[] = {
    {"spiffe://example.test/admin\0.evil.test", 38},
    {"spiffe://example.test/\xc3\xa4", 24},
    {"spiffe://example.test/\n", 23},
    {"spiffe://example.test/a b", 25},
    {"spiffe://example.test/\x7f", 23},
    {"", 0},
};

START_TEST(a_uri_with_odd_bytes_is_none)
{
    ck_assert_ptr_null(uri_of(
        (struct cert_spec){.raw_uri = odd_uris[_i].bytes, .raw_size = odd_uris[_i].size}));
}
END_TEST

Suite *suite_tls_handshake(void);
Suite *suite_tls_handshake(void)
{
    Suite *suite = suite_create("tls/handshake");
    TCase *good = tcase_create("let in");
    tcase_add_checked_fixture(good, set_up, tear_down);
    tcase_add_test(good, both_sides_know_each_other);
    tcase_add_test(good, an_address_is_checked_like_a_name);
    tcase_add_test(good, before_the_handshake_nothing_is_known);
    tcase_add_test(good, alpn_is_found_among_several);
    suite_add_tcase(suite, good);
    TCase *certificates = tcase_create("certificates");
    tcase_add_checked_fixture(certificates, set_up, tear_down);
    tcase_add_test(certificates, a_server_of_another_name_is_refused);
    tcase_add_test(certificates, a_server_of_another_address_is_refused);
    tcase_add_test(certificates, a_common_name_is_no_name);
    tcase_add_test(certificates, a_server_with_a_clients_purpose_is_refused);
    tcase_add_test(certificates, a_client_with_a_servers_purpose_is_refused);
    tcase_add_test(certificates, a_client_of_another_ca_is_refused);
    tcase_add_test(certificates, a_client_of_a_same_named_ca_is_refused);
    tcase_add_test(certificates, an_expired_client_is_refused);
    tcase_add_test(certificates, a_client_without_certificate_is_refused);
    suite_add_tcase(suite, certificates);
    TCase *protocol = tcase_create("protocol");
    tcase_add_checked_fixture(protocol, set_up, tear_down);
    tcase_add_test(protocol, a_client_with_an_older_tls_is_refused);
    tcase_add_test(protocol, a_client_without_alpn_is_refused);
    tcase_add_test(protocol, a_client_with_another_alpn_is_refused);
    tcase_add_test(protocol, a_protocol_that_only_begins_alike_is_refused);
    tcase_add_test(protocol, a_server_that_ignores_alpn_is_refused);
    tcase_add_test(protocol, plain_text_is_refused);
    tcase_add_test(protocol, a_peer_that_leaves_early_is_a_reset);
    tcase_add_test(protocol, a_peer_that_leaves_before_our_first_byte_raises_no_signal);
    suite_add_tcase(suite, protocol);
    TCase *names = tcase_create("peer's URI");
    tcase_add_checked_fixture(names, set_up, tear_down);
    tcase_add_test(names, two_uris_are_none);
    tcase_add_test(names, the_same_uri_twice_is_none);
    tcase_add_test(names, no_uri_is_none);
    tcase_add_test(names, no_alternative_name_is_none);
    tcase_add_test(names, a_uri_among_other_names_is_found);
    tcase_add_loop_test(names, a_uri_with_odd_bytes_is_none, 0,
                        (int)(sizeof odd_uris / sizeof odd_uris[0]));
    suite_add_tcase(suite, names);
    return suite;
}
