/* Secrets: from files of their own, and in no complaint and no print. */
#include "tests/unit/config/loaded.h"

#include <sys/stat.h>

START_TEST(secrets_are_never_repeated)
    {
        char *environment[] = {"DATABASE_URL=mysql://u:hunter2@h/d", NULL};
        expect_errors(NULL, environment,
                      "DATABASE_URL: key database.url: expected a URL with a host that begins with "
                      "postgresql:// or postgres://, got something else (21 bytes, not shown)\n");
        tear_down();
        set_up();
        char *seed[] = {"NATS_CREDS=SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
                        NULL};
        ck_assert_int_eq(load(NULL, seed), FAULT_CONFIG);
        ck_assert_ptr_null(strstr(text_of(&f.notes.errors), "SUACSSL"));
        ck_assert_ptr_nonnull(strstr(text_of(&f.notes.errors), "NATS_CREDS: key nats.seed_file: "));
    }
END_TEST

/* A file of its own for a secret; removed by the test. */
static const char *write_secret(const char *content, size_t size, unsigned mode)
{
    static char path[32];
    strcpy(path, "/tmp/test_secret_XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

START_TEST(urls_come_from_files_too)
    {
        static const char *const contents[] = {"postgresql://u:s3cret@h/d",
                                               "postgresql://u:s3cret@h/d\n",
                                               "postgresql://u:s3cret@h/d\r\n\n"};
        for (size_t i = 0; i < 3; i++) {
            const char *path = write_secret(contents[i], strlen(contents[i]), 0644);
            char variable[64];
            snprintf(variable, sizeof variable, "%s=%s",
                     i == 0 ? "DATABASE_URL_FILE" : "TENANT_DATABASE_URL_FILE", path);
            char *environment[] = {variable, "TENANT_DATABASE_URL=", NULL};
            ck_assert_int_eq(load("region: eu\n", environment), OK);
            unlink(path);
            ck_assert_str_eq(f.config->database.url, "postgresql://u:s3cret@h/d");
            tear_down();
            set_up();
        }
    }
END_TEST

START_TEST(a_secret_from_a_file_is_shown_masked_and_can_be_loaded_again)
    {
        const char *path = write_secret("redis://:s3cret@h:1\n", 20, 0600);
        char yaml[96];
        snprintf(yaml, sizeof yaml, "redis:\n  url_file: %s\n", path);
        ck_assert_int_eq(load(yaml, no_environment), OK);
        ck_assert_str_eq(f.config->redis.url, "redis://:s3cret@h:1");
        struct buf out = BUF_EMPTY;
        config_print_effective(f.config, &out);
        char expected[160];
        snprintf(expected, sizeof expected,
                 "redis:\n  # url: \"redis://:****@h:1\"  # content of %s\n"
                 "  url_file: \"%s\"  # FILE:2\n",
                 path, path);
        ck_assert_ptr_nonnull(strstr(text_of(&out), expected));
        ck_assert_ptr_null(strstr(buf_str(&out), "s3cret"));
        FILE *file = fopen(f.file, "w");
        fputs(buf_str(&out), file);
        fclose(file);
        struct config_source source = {.file = f.file, .environment = no_environment};
        struct config *again = NULL;
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &again), OK);
        ck_assert_str_eq(again->redis.url, "redis://:s3cret@h:1");
        unlink(path);
        buf_deinit(&out);
        config_free(again);
    }
END_TEST

static void expect_secret_refused(const char *path, const char *got)
{
    char variable[128];
    char expected[512];
    snprintf(variable, sizeof variable, "TENANT_NATS_URL_FILE=%s", path);
    char *environment[] = {variable, NULL};
    snprintf(expected, sizeof expected,
             "TENANT_NATS_URL_FILE: key nats.url_file: expected a readable file, got: %s: %s\n",
             path, got);
    /* one complaint, though the relay also misses what the file should have held */
    ck_assert_int_eq(load_for("region: eu\n", environment, CONFIG_FOR_RELAY), FAULT_CONFIG);
    const char *errors = text_of(&f.notes.errors);
    ck_assert_ptr_nonnull(strstr(errors, expected));
    ck_assert_ptr_null(strstr(errors, "key nats.url:"));
    ck_assert_ptr_null(strstr(errors, "hunter2"));
    tear_down();
    set_up();
}

START_TEST(secret_files_that_will_not_do_are_named)
    {
        static char large[9000];
        memset(large, 'x', sizeof large);
        const struct {
            const char *content;
            size_t size;
            unsigned mode;
            const char *got;
        } cases[] = {
            {"nats://a:hunter2@h", 18, 0666, "one that everybody may write (chmod o-w)"},
            {large, sizeof large, 0600, "more than 8192 bytes"},
            {"", 0, 0600, "an empty one"},
            {"\n\n", 2, 0600, "an empty one"},
            {"nats://h\0hunter2", 16, 0600, "a NUL byte in it"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const char *path = write_secret(cases[i].content, cases[i].size, cases[i].mode);
            expect_secret_refused(path, cases[i].got);
            unlink(path);
        }
        expect_secret_refused("/nonexistent/secret", "No such file or directory");
        expect_secret_refused("/tmp", "something that is no regular file");
        expect_secret_refused("/dev/zero", "something that is no regular file");
    }
END_TEST

START_TEST(a_bad_value_in_a_secret_file_is_not_repeated)
    {
        const char *path = write_secret("mysql://u:hunter2@h/d\n", 22, 0600);
        char variable[64];
        snprintf(variable, sizeof variable, "TENANT_DATABASE_URL_FILE=%s", path);
        char *environment[] = {variable, NULL};
        char expected[256];
        snprintf(expected, sizeof expected,
                 "%s: key database.url: expected a URL with a host that begins with postgresql:// "
                 "or postgres://, got something else (21 bytes, not shown)\n",
                 path);
        expect_errors(NULL, environment, expected);
        unlink(path);
    }
END_TEST

START_TEST(a_value_and_a_file_for_it_are_one_too_many)
    {
        const char *path = write_secret("redis://h:1\n", 12, 0600);
        char variable[64];
        snprintf(variable, sizeof variable, "TENANT_REDIS_URL_FILE=%s", path);
        char *environment[] = {variable, NULL};
        expect_errors("redis:\n  url: redis://:hunter2@h:2\n", environment,
                      "TENANT_REDIS_URL_FILE: key redis.url_file: expected either this or "
                      "redis.url, got both (the other at FILE:2)\n");
        unlink(path);
    }
END_TEST

START_TEST(files_of_secrets_that_everybody_may_write_are_refused)
    {
        const char *path = write_secret("k1:00\n", 6, 0666);
        char variable[64];
        snprintf(variable, sizeof variable, "TENANT_TOKENS_KEYS_FILE=%s", path);
        char *environment[] = {variable, NULL};
        char expected[256];
        snprintf(expected, sizeof expected,
                 "TENANT_TOKENS_KEYS_FILE: key tokens.keys_file: expected a readable file, got: "
                 "%s: one that everybody may write (chmod o-w)\n",
                 path);
        expect_errors(NULL, environment, expected);
        tear_down();
        set_up();
        ck_assert_int_eq(chmod(path, 0664), 0);
        ck_assert_int_eq(load(NULL, environment), OK);
        unlink(path);
    }
END_TEST

Suite *suite_config_secrets(void);
Suite *suite_config_secrets(void)
{
    Suite *suite = suite_create("config_secrets");
    TCase *tcase = tcase_create("secrets");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, secrets_are_never_repeated);
    tcase_add_test(tcase, urls_come_from_files_too);
    tcase_add_test(tcase, a_secret_from_a_file_is_shown_masked_and_can_be_loaded_again);
    tcase_add_test(tcase, secret_files_that_will_not_do_are_named);
    tcase_add_test(tcase, a_bad_value_in_a_secret_file_is_not_repeated);
    tcase_add_test(tcase, a_value_and_a_file_for_it_are_one_too_many);
    tcase_add_test(tcase, files_of_secrets_that_everybody_may_write_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
