/* Loading keys and trust: every flaw of the files is told with the file's name. */
#include "base/clock.h"

#include "pair.h"

#include <sys/stat.h>

static struct pair pair;

static void set_up(void)
{
    pair_init(&pair);
}

static void tear_down(void)
{
    pair_deinit(&pair);
}

/* The load fails and the fault names `file` and `reason`. */
static void expect_fault(const char *name, const char *ca, const char *file, const char *reason)
{
    struct tls_context *context = NULL;
    int rc = pair_context(&pair, name, ca, "h2", true, &context);
    ck_assert_int_eq(rc, FAULT_TLS);
    ck_assert_ptr_null(context);
    ck_assert_msg(strstr(pair.ctx.fault.text, file) != NULL, "\"%s\" lacks \"%s\"",
                  pair.ctx.fault.text, file);
    ck_assert_msg(strstr(pair.ctx.fault.text, reason) != NULL, "\"%s\" lacks \"%s\"",
                  pair.ctx.fault.text, reason);
}

START_TEST(good_files_load_and_tell_their_end)
{
    struct tls_context *context = NULL;
    ck_assert_int_eq(pair_context(&pair, "server", "ca", "h2", true, &context), OK);
    struct tls_ends ends;
    tls_context_ends(context, &ends);
    int64_t left = ends.leaf - (int64_t)(clock_wall() / NS_PER_S);
    ck_assert_int_gt(left, DAY - 60);
    ck_assert_int_le(left, DAY);
    ck_assert_ptr_eq(tls_context_ref(context), context);
    tls_context_unref(context);
    tls_context_ends(context, &ends); /* one reference is left */
    tls_context_unref(context);
    tls_context_unref(NULL);
}
END_TEST

START_TEST(a_missing_file_is_named)
{
    char path[128];
    expect_fault("nobody", "ca", "nobody.pem", "No such file");
    expect_fault("server", "no-ca", "no-ca.pem", "No such file");
    ck_assert_int_eq(unlink(cert_path(path, pair.folder, "server.key")), 0);
    expect_fault("server", "ca", "server.key", "No such file");
}
END_TEST

START_TEST(an_unreadable_file_is_named)
{
    char path[128];
    ck_assert_int_eq(unlink(cert_path(path, pair.folder, "server.key")), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_fault("server", "ca", "server.key", "Is a directory");
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(what_is_not_pem_is_named)
{
    cert_save_text(pair.folder, "text.pem", "this is no certificate\n");
    cert_save_text(pair.folder, "text.key", "this is no key\n");
    cert_save_text(pair.folder, "empty.pem", "");
    expect_fault("text", "ca", "text.pem", "PEM");
    expect_fault("empty", "ca", "empty.pem", "empty");
    expect_fault("server", "text", "text.pem", "PEM");
    char path[128];
    cert_save_text(pair.folder, "server.key", "this is no key\n");
    expect_fault("server", "ca", cert_path(path, pair.folder, "server.key"), "PEM");
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused)
{
    char from[128], to[128];
    ck_assert_int_eq(rename(cert_path(from, pair.folder, "client.key"),
                            cert_path(to, pair.folder, "server.key")),
                     0);
    expect_fault("server", "ca", "server.key", "does not match");
}
END_TEST

START_TEST(a_key_of_another_type_is_refused)
{
    char path[128];
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *stream = fopen(cert_path(path, pair.folder, "server.key"), "w");
    ck_assert_int_eq(PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(stream);
    EVP_PKEY_free(key);
    expect_fault("server", "ca", "server.key", "does not match");
}
END_TEST

START_TEST(an_encrypted_key_is_refused_without_asking)
{
    char path[128];
    unsigned char password[] = "secret";
    struct issued leaf = cert_make("server", &(struct cert_spec){.san = "DNS:localhost"}, &pair.ca);
    cert_save(&leaf, pair.folder, "server");
    FILE *stream = fopen(cert_path(path, pair.folder, "server.key"), "w");
    ck_assert_int_eq(PEM_write_PrivateKey(stream, leaf.key, EVP_aes_256_cbc(), password, 6, NULL,
                                          NULL),
                     1);
    fclose(stream);
    cert_drop(&leaf);
    expect_fault("server", "ca", "server.key", "PEM private key");
}
END_TEST

START_TEST(a_leaf_out_of_its_time_is_refused)
{
    pair_leaf(&pair, "old", (struct cert_spec){.san = "DNS:x", .starts = -2 * DAY, .ends = -60});
    pair_leaf(&pair, "young", (struct cert_spec){.san = "DNS:x", .starts = 600, .ends = DAY});
    expect_fault("old", "ca", "old.pem", "expired");
    expect_fault("young", "ca", "young.pem", "not yet valid");
}
END_TEST

Suite *suite_tls_context(void);
Suite *suite_tls_context(void)
{
    Suite *suite = suite_create("tls/context");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, set_up, tear_down);
    tcase_add_test(files, good_files_load_and_tell_their_end);
    tcase_add_test(files, a_missing_file_is_named);
    tcase_add_test(files, an_unreadable_file_is_named);
    tcase_add_test(files, what_is_not_pem_is_named);
    tcase_add_test(files, a_key_of_another_certificate_is_refused);
    tcase_add_test(files, a_key_of_another_type_is_refused);
    tcase_add_test(files, an_encrypted_key_is_refused_without_asking);
    tcase_add_test(files, a_leaf_out_of_its_time_is_refused);
    suite_add_tcase(suite, files);
    return suite;
}
