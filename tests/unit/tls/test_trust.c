/* CAs and revocation lists: what is refused when they load, who is let in, and who no longer once they changed. */
#include "base/clock.h"

#include "pair.h"

static struct pair pair;
static X509 *client_leaf;

static void set_up(void)
{
    pair_init(&pair);
    char path[128];
    FILE *stream = fopen(cert_path(path, pair.folder, "client.pem"), "r");
    ck_assert_ptr_nonnull(stream);
    client_leaf = PEM_read_X509(stream, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(client_leaf);
    ck_assert_int_eq(fclose(stream), 0);
    cert_save_list(&(struct list_spec){.authority = &pair.ca}, pair.folder, "nobody");
    cert_save_list(&(struct list_spec){.authority = &pair.ca, .revoked = client_leaf}, pair.folder,
                   "revoked");
}

static void tear_down(void)
{
    X509_free(client_leaf);
    pair_deinit(&pair);
}

/* The server's side with the CAs of CA.pem and the lists of LISTS.pem (NULL: none). */
static int load(const char *ca, const char *lists, struct tls_context **context)
{
    char cert_file[128], key_file[128], ca_file[128], crl_file[128], file[64];
    cert_path(cert_file, pair.folder, "server.pem");
    cert_path(key_file, pair.folder, "server.key");
    (void)snprintf(file, sizeof file, "%s.pem", ca);
    cert_path(ca_file, pair.folder, file);
    (void)snprintf(file, sizeof file, "%s.pem", lists == NULL ? "-" : lists);
    cert_path(crl_file, pair.folder, file);
    struct tls_settings settings = {.cert_file = cert_file, .key_file = key_file,
                                    .ca_file = ca_file,
                                    .crl_file = lists == NULL ? NULL : crl_file,
                                    .alpn = "h2", .server = true};
    return tls_context_new(&pair.ctx, &settings, context);
}

static void expect_fault(const char *ca, const char *lists, const char *file, const char *reason)
{
    struct tls_context *context = NULL;
    ck_assert_int_eq(load(ca, lists, &context), FAULT_TLS);
    ck_assert_ptr_null(context);
    const char *text = pair.ctx.fault.text;
    ck_assert_msg(strstr(text, file) != NULL, "\"%s\" lacks \"%s\"", text, file);
    ck_assert_msg(strstr(text, reason) != NULL, "\"%s\" lacks \"%s\"", text, reason);
}

/* Both handshakes against a server with these lists. */
static enum tls_status shake_with(const char *lists)
{
    enum tls_status server, client;
    ck_assert_int_eq(load("ca", lists, &pair.server_context), OK);
    pair.server = tls_stream_accept(pair.server_context, pair.fds[0]);
    pair_call(&pair, "client", "ca", "h2", "localhost");
    pair_shake(&pair, &server, &client);
    return server;
}

static void replace_with(const char *ca, const char *lists)
{
    struct tls_context *fresh = NULL;
    ck_assert_int_eq(load(ca, lists, &fresh), OK);
    tls_context_replace(pair.server_context, fresh);
}

START_TEST(the_ends_of_all_are_told)
{
    struct tls_context *context = NULL;
    struct tls_ends ends;
    int64_t now = (int64_t)(clock_wall() / NS_PER_S);
    struct issued ca = cert_make("short CA", &(struct cert_spec){.is_ca = true, .ends = 600}, NULL);
    cert_save(&ca, pair.folder, "short");
    cert_save_list(&(struct list_spec){.authority = &ca, .ends = 300}, pair.folder, "short-list");
    cert_drop(&ca);
    ck_assert_int_eq(load("short", "short-list", &context), OK);
    tls_context_ends(context, &ends);
    ck_assert_int_gt(ends.leaf, now + DAY - 60);
    ck_assert_int_le(ends.leaf, now + DAY + 60);
    ck_assert_int_gt(ends.ca, now + 540);
    ck_assert_int_le(ends.ca, now + 660);
    ck_assert_int_gt(ends.crl, now + 240);
    ck_assert_int_le(ends.crl, now + 360);
    tls_context_unref(context);
    ck_assert_int_eq(load("ca", NULL, &context), OK);
    tls_context_ends(context, &ends);
    ck_assert_int_eq(ends.crl, 0);
    tls_context_unref(context);
}
END_TEST

START_TEST(trust_that_cannot_be_is_refused)
{
    struct issued old = cert_make("old CA", &(struct cert_spec){.is_ca = true, .ends = -60}, NULL);
    cert_save(&old, pair.folder, "old");
    cert_drop(&old);
    expect_fault("old", NULL, "old.pem", "expired");
    expect_fault("ca", "missing", "missing.pem", "No such file");
    cert_save_text(pair.folder, "garbage.pem", "-----BEGIN X509 CRL-----\nno\n-----END X509 CRL-----\n");
    expect_fault("ca", "garbage", "garbage.pem", "not usable as PEM revocation lists");
    cert_save_text(pair.folder, "text.pem", "nothing of the kind\n");
    expect_fault("ca", "text", "text.pem", "not usable as PEM revocation lists");
    expect_fault("ca", "client", "client.pem", "not usable as PEM revocation lists");
    cert_save_list(&(struct list_spec){.authority = &pair.ca, .ends = -60}, pair.folder, "late");
    expect_fault("ca", "late", "late.pem", "expired");
}
END_TEST

START_TEST(lists_must_be_those_of_the_cas)
{
    struct issued other = cert_make("other CA", &(struct cert_spec){.is_ca = true}, NULL);
    cert_save_list(&(struct list_spec){.authority = &other}, pair.folder, "others");
    cert_save_list(&(struct list_spec){.authority = &pair.ca, .signer = &other}, pair.folder,
                   "forged");
    cert_drop(&other);
    expect_fault("ca", "others", "others.pem", "holds no list of the CA test CA");
    expect_fault("ca", "forged", "forged.pem", "the list of test CA is not signed by that CA");
}
END_TEST

START_TEST(a_revoked_peer_is_not_let_in)
{
    ck_assert_int_eq(shake_with("revoked"), TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(pair.server), "verify_failed");
    ck_assert_msg(strstr(tls_stream_error(pair.server), "revoked") != NULL, "%s",
                  tls_stream_error(pair.server));
}
END_TEST

START_TEST(who_is_not_on_the_list_is_let_in)
{
    ck_assert_int_eq(shake_with("nobody"), TLS_OK);
    ck_assert(!tls_stream_is_outdated(pair.server));
    ck_assert_ptr_null(tls_stream_distrust(pair.server));
}
END_TEST

START_TEST(an_open_stream_loses_its_trust_with_a_new_list)
{
    ck_assert_int_eq(shake_with(NULL), TLS_OK);
    replace_with("ca", "nobody");
    ck_assert(tls_stream_is_outdated(pair.server));
    ck_assert_ptr_null(tls_stream_distrust(pair.server));
    ck_assert(!tls_stream_is_outdated(pair.server));
    replace_with("ca", "revoked");
    ck_assert(tls_stream_is_outdated(pair.server));
    ck_assert_str_eq(tls_stream_distrust(pair.server), "revoked");
}
END_TEST

START_TEST(an_open_stream_loses_its_trust_with_its_ca)
{
    struct issued other = cert_make("other CA", &(struct cert_spec){.is_ca = true}, NULL);
    cert_save(&other, pair.folder, "other");
    cert_drop(&other);
    ck_assert_int_eq(shake_with(NULL), TLS_OK);
    replace_with("other", NULL);
    ck_assert_str_eq(tls_stream_distrust(pair.server), "untrusted");
    replace_with("ca", NULL);
    ck_assert_ptr_null(tls_stream_distrust(pair.server));
}
END_TEST

/* A list that has become late while in force: its entries hold, nobody else is refused for it. */
START_TEST(a_late_list_still_holds)
{
    cert_save_list(&(struct list_spec){.authority = &pair.ca, .revoked = client_leaf, .ends = 2},
                   pair.folder, "revoked");
    cert_save_list(&(struct list_spec){.authority = &pair.ca, .ends = 2}, pair.folder, "nobody");
    struct tls_context *strict = NULL;
    ck_assert_int_eq(load("ca", "nobody", &pair.server_context), OK);
    ck_assert_int_eq(load("ca", "revoked", &strict), OK);
    sleep(3);
    enum tls_status server, client;
    pair.server = tls_stream_accept(pair.server_context, pair.fds[0]);
    pair_call(&pair, "client", "ca", "h2", "localhost");
    pair_shake(&pair, &server, &client);
    ck_assert_msg(server == TLS_OK, "server: %s", tls_stream_error(pair.server));
    tls_context_replace(pair.server_context, strict);
    ck_assert_str_eq(tls_stream_distrust(pair.server), "revoked");
}
END_TEST

Suite *suite_tls_trust(void);
Suite *suite_tls_trust(void)
{
    Suite *suite = suite_create("tls/trust");
    TCase *tcase = tcase_create("trust");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_ends_of_all_are_told);
    tcase_add_test(tcase, trust_that_cannot_be_is_refused);
    tcase_add_test(tcase, lists_must_be_those_of_the_cas);
    tcase_add_test(tcase, a_revoked_peer_is_not_let_in);
    tcase_add_test(tcase, who_is_not_on_the_list_is_let_in);
    tcase_add_test(tcase, an_open_stream_loses_its_trust_with_a_new_list);
    tcase_add_test(tcase, an_open_stream_loses_its_trust_with_its_ca);
    tcase_add_test(tcase, a_late_list_still_holds);
    suite_add_tcase(suite, tcase);
    return suite;
}
