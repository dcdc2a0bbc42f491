/* What holds is printed with its origin, compared with what held before, and listed key by key. */
#include "tests/unit/config/loaded.h"

START_TEST(effective_configuration_shows_values_and_origins_without_secrets)
    {
        char *environment[] = {"TENANT_REDIS_URL=rediss://:s3cret@h1:1,h2:2",
                               "DATABASE_URL=postgresql://u:a@b:p@h/d?password=x&sslmode=require",
                               NULL};
        ck_assert_int_eq(load("region: eu\nserver:\n  drain_grace: 90s\n", environment), OK);
        struct buf out = BUF_EMPTY;
        config_print_effective(f.config, &out);
        const char *text = text_of(&out);
        ck_assert_ptr_nonnull(strstr(text, "region: \"eu\"  # FILE:1\n"));
        ck_assert_ptr_nonnull(strstr(text, "server:\n  address: \"0.0.0.0\"  # default\n"));
        ck_assert_ptr_nonnull(strstr(text, "  drain_grace: 90s  # FILE:3\n"));
        ck_assert_ptr_nonnull(strstr(text, "  header_bytes: 16KiB  # default\n"));
        ck_assert_ptr_nonnull(
            strstr(text, "  url: \"rediss://:****@h1:1,h2:2\"  # variable TENANT_REDIS_URL\n"));
        ck_assert_ptr_nonnull(strstr(
            text,
            "  url: \"postgresql://u:****@h/d?password=****&sslmode=require\"  # variable DATABASE_URL\n"));
        ck_assert_ptr_null(strstr(text, "s3cret"));
        buf_deinit(&out);
    }
END_TEST

START_TEST(effective_configuration_can_be_loaded_again)
    {
        ck_assert_int_eq(
            load("region: ap\nlimits: {age: 31m}\nenvironment: 'a\"b\\c'\n", no_environment), OK);
        struct buf first = BUF_EMPTY;
        config_print_effective(f.config, &first);
        struct config_source source = {.file = f.file, .environment = no_environment};
        FILE *file = fopen(f.file, "w");
        fputs(buf_str(&first), file);
        fclose(file);
        struct config *again = NULL;
        ck_assert_int_eq(config_load(&f.ctx, &source, &f.notes, &again), OK);
        ck_assert_str_eq(again->region, "ap");
        ck_assert_str_eq(again->environment, "a\"b\\c");
        ck_assert_uint_eq(again->limits.age_ns, f.config->limits.age_ns);
        ck_assert_mem_eq(&again->limits, &f.config->limits, sizeof again->limits);
        buf_deinit(&first);
        config_free(again);
    }
END_TEST

START_TEST(differences_are_told_by_what_a_reload_can_do)
    {
        ck_assert_int_eq(load("redis: {url: 'redis://:a@h:1'}\nlog: {level: warn}\n", no_environment),
                         OK);
        struct config *first = f.config;
        unlink(f.file);
        f.config = NULL;
        ck_assert_int_eq(load("redis: {url: 'redis://:b@h:1'}\nlog: {level: 'warn'}\n"
                              "limits: {idle: 1m, header_bytes: 16384}\nrelay: {enabled: false}\n"
                              "identities: {admin: 'a:b'}\nserver: {port: 1}\n",
                              no_environment),
                         OK);
        struct buf live = BUF_EMPTY;
        struct buf restart = BUF_EMPTY;
        ck_assert_uint_eq(config_differences(first, f.config, CONFIG_CHANGE_LIVE, &live), 3);
        ck_assert_uint_eq(config_differences(first, f.config, CONFIG_CHANGE_RESTART, &restart), 2);
        ck_assert_str_eq(buf_str(&live), "identities.admin, redis.url, limits.idle");
        ck_assert_str_eq(buf_str(&restart), "server.port, relay.enabled");
        buf_clear(&live);
        ck_assert_uint_eq(config_differences(first, first, CONFIG_CHANGE_LIVE, &live), 0);
        ck_assert_uint_eq(config_differences(first, first, CONFIG_CHANGE_RESTART, &live), 0);
        ck_assert_uint_eq(buf_size(&live), 0);
        buf_deinit(&live);
        buf_deinit(&restart);
        config_free(first);
    }
END_TEST

START_TEST(of_a_databases_url_the_password_alone_is_live)
    {
        static const struct {
            const char *url;
            enum config_change change;
        } cases[] = {
            {"postgresql://u:b@h/d?sslmode=require", CONFIG_CHANGE_LIVE},
            {"postgresql://u:b@h:1/d?sslmode=require", CONFIG_CHANGE_RESTART},
            {"postgresql://v:a@h/d?sslmode=require", CONFIG_CHANGE_RESTART},
            {"postgresql://u:a@h/d?sslmode=disable", CONFIG_CHANGE_RESTART},
        };
        char first[] = "DATABASE_URL=postgresql://u:a@h/d?sslmode=require";
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char second[128];
            snprintf(second, sizeof second, "DATABASE_URL=%s", cases[i].url);
            char *one[] = {first, NULL};
            char *other[] = {second, NULL};
            ck_assert_int_eq(load(NULL, one), OK);
            struct config *before = f.config;
            ck_assert_int_eq(load(NULL, other), OK);
            for (int change = CONFIG_CHANGE_LIVE; change <= CONFIG_CHANGE_RESTART; change++) {
                struct buf paths = BUF_EMPTY;
                (void)config_differences(before, f.config, (enum config_change)change, &paths);
                ck_assert_str_eq(buf_str(&paths),
                                 (int)cases[i].change == change ? "database.url" : "");
                buf_deinit(&paths);
            }
            config_free(before);
            tear_down();
            set_up();
        }
    }
END_TEST

START_TEST(markdown_has_a_row_for_each_key)
    {
        struct buf out = BUF_EMPTY;
        config_print_schema_markdown(&out);
        const char *text = buf_str(&out);
        ck_assert_ptr_nonnull(strstr(text, "| `server.port` | `3000` | `TENANT_SERVER_PORT` |  | "));
        ck_assert_ptr_nonnull(strstr(text, "| `log.level` | `info` | `TENANT_LOG_LEVEL` | yes | "));
        ck_assert_ptr_nonnull(strstr(text, "| `database.url` | needed | `TENANT_DATABASE_URL`, "
                                           "`DATABASE_URL` | "));
        ck_assert_ptr_nonnull(strstr(text, "`TENANT_IDENTITIES_API_GATEWAY`"));
        buf_deinit(&out);
    }
END_TEST

Suite *suite_config_effective(void);
Suite *suite_config_effective(void)
{
    Suite *suite = suite_create("config_effective");
    TCase *tcase = tcase_create("effective");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, effective_configuration_shows_values_and_origins_without_secrets);
    tcase_add_test(tcase, effective_configuration_can_be_loaded_again);
    tcase_add_test(tcase, differences_are_told_by_what_a_reload_can_do);
    tcase_add_test(tcase, of_a_databases_url_the_password_alone_is_live);
    tcase_add_test(tcase, markdown_has_a_row_for_each_key);
    suite_add_tcase(suite, tcase);
    return suite;
}
