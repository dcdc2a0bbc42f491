/* The schema's own consistency, and texts to values at their edges. */
#include "config/schema.h"

#include <check.h>

static const struct config_key *key_at(const char *path)
{
    size_t key = config_key_find(slice_of_str(path));
    ck_assert_uint_lt(key, config_key_count);
    return &config_keys[key];
}

static bool fits(const char *path, const char *text)
{
    struct config config = {.region = ""};
    struct buf expected = BUF_EMPTY;
    bool result = config_set(&config, key_at(path), text, &expected);
    ck_assert_int_eq(result, buf_size(&expected) == 0);
    buf_deinit(&expected);
    return result;
}

START_TEST(variables_are_unique_and_no_section_is_service)
    {
        for (size_t i = 0; i < config_key_count; i++) {
            char one[CONFIG_VARIABLE_SIZE];
            config_variable(&config_keys[i], one);
            ck_assert_int_ne(strncmp(config_keys[i].path, "service.", 8), 0);
            for (size_t j = 0; j < i; j++) {
                char other[CONFIG_VARIABLE_SIZE];
                config_variable(&config_keys[j], other);
                ck_assert_str_ne(one, other);
                ck_assert_uint_ne(config_keys[i].offset, config_keys[j].offset);
            }
        }
    }
END_TEST

START_TEST(keys_have_a_member_help_and_one_dot)
    {
        for (size_t i = 0; i < config_key_count; i++) {
            const char *dot = strchr(config_keys[i].path, '.');
            ck_assert(dot == NULL || strchr(dot + 1, '.') == NULL);
            ck_assert_ptr_nonnull(config_keys[i].help);
            ck_assert_ptr_null(strchr(config_keys[i].help, '|')); /* it stands in a table */
            ck_assert_uint_lt(config_keys[i].offset, offsetof(struct config, arena));
            bool is_number = config_keys[i].kind >= KIND_PORT;
            ck_assert_int_eq(is_number, config_keys[i].max > config_keys[i].min);
        }
    }
END_TEST

START_TEST(numbers_at_their_edges)
    {
        ck_assert(fits("server.port", "65535") && fits("server.port", "0"));
        ck_assert(!fits("server.port", "65536") && !fits("server.port", "") &&
                  !fits("server.port", " 1") && !fits("server.port", "1 ") &&
                  !fits("server.port", "0x10") && !fits("server.port", "+1"));
        ck_assert(!fits("server.port", "18446744073709551617"));   /* 2^64 + 1 */
        ck_assert(!fits("limits.header_bytes", "17179869184GiB")); /* 2^64 */
        ck_assert(fits("limits.header_bytes", "1MiB") && !fits("limits.header_bytes", "1025KiB"));
        ck_assert(fits("limits.header_bytes", "4096B") && fits("limits.header_bytes", "4096"));
        ck_assert(fits("redis.op_timeout", "1000us") && !fits("redis.op_timeout", "999us"));
        ck_assert(!fits("redis.op_timeout", "10") && !fits("redis.op_timeout", "1.5s"));
        ck_assert(fits("limits.ping_interval", "0"));
    }
END_TEST

static void ratio_is(const char *text, uint32_t billionths, const char *shown)
{
    struct config config = {.region = ""};
    struct buf out = BUF_EMPTY;
    const struct config_key *key = key_at("telemetry.trace_ratio");
    ck_assert_msg(config_set(&config, key, text, &out), "%s", text);
    ck_assert_uint_eq(config.telemetry.trace_ratio, billionths);
    config_show(&config, key, &out);
    ck_assert_str_eq(buf_str(&out), shown);
    buf_deinit(&out);
}

START_TEST(ratios_at_their_edges)
    {
        ratio_is("0", 0, "0");
        ratio_is("1", 1000000000, "1");
        ratio_is("1.0", 1000000000, "1");
        ratio_is("0.000000001", 1, "0.000000001");
        ratio_is("0.25", 250000000, "0.25");
        ratio_is("0.999999999", 999999999, "0.999999999");
        static const char *const wrong[] = {"",     "2",    "1.000000001",  "-0",  "+1",   ".5",
                                            "0.",   "0,5",  "0.0000000001", "0x1", " 0.5", "10",
                                            "1e-3", "0.5 ", "0.5.5",        "one"};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(!fits("telemetry.trace_ratio", wrong[i]), "%s", wrong[i]);
    }
END_TEST

START_TEST(endpoints_are_secure_ones)
    {
        ck_assert(fits("telemetry.otlp_endpoint", "https://collector:4317") &&
                  fits("telemetry.otlp_endpoint", ""));
        ck_assert(!fits("telemetry.otlp_endpoint", "http://collector:4317") &&
                  !fits("telemetry.otlp_endpoint", "collector:4317"));
    }
END_TEST

START_TEST(texts_at_their_edges)
    {
        ck_assert(fits("identities.admin", "spiffe://a/b") && fits("identities.admin", "urn:x"));
        ck_assert(!fits("identities.admin", "no-scheme") && !fits("identities.admin", "1a:x") &&
                  !fits("identities.admin", "a:") && !fits("identities.admin", "a:b c") &&
                  !fits("identities.admin", "a:%g0") && !fits("identities.admin", "a:\xC3\xA4"));
        ck_assert(fits("server.address", "::") && fits("server.address", "127.0.0.1"));
        ck_assert(!fits("server.address", "localhost") && !fits("server.address", "1.2.3"));
        ck_assert(fits("redis.url", "redis://:p%40@h:6379") && fits("redis.url", ""));
        ck_assert(!fits("redis.url", "redis://") && !fits("redis.url", "redis://u:p@") &&
                  !fits("redis.url", "redis:h") && !fits("redis.url", "http://h"));
        ck_assert(!fits("environment", "") && !fits("environment", "a\nb"));
        ck_assert(fits("environment", "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x99\x82"));
        static const char *const bad[] = {"\xF8\x88\x80\x80\x80", "\x80",         "\xC3",
                                          "\xE2\x82",             "\xC0\xAF",     "\xED\xA0\x80",
                                          "\xF4\x90\x80\x80",     "\xC2\x85",     "\xC2\x9B",
                                          "\xE2\x80\xA8",         "\xEF\xBB\xBF", "\x7F"};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            ck_assert(!fits("environment", bad[i]));
        ck_assert(fits("relay.enabled", "off") && !fits("relay.enabled", "False "));
    }
END_TEST

START_TEST(nearest_key_is_a_misspelling_or_nothing)
    {
        ck_assert_str_eq(config_key_nearest("server.wrokers"), "server.workers");
        ck_assert_str_eq(config_key_nearest("regoin"), "region");
        ck_assert_ptr_null(config_key_nearest("completely.different"));
        char longest[300];
        memset(longest, 'a', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        ck_assert_ptr_null(config_key_nearest(longest));
    }
END_TEST

START_TEST(passwords_are_masked_wherever_they_stand)
    {
        static const char *const cases[][2] = {
            {"postgresql://u:p@h/d", "postgresql://u:****@h/d"},
            {"postgresql://u@h/d", "postgresql://u@h/d"},
            {"rediss://:p:q@r@h:1", "rediss://:****@h:1"},
            {"postgresql://h/d?PASSWORD=a&x=1&password=b",
             "postgresql://h/d?PASSWORD=****&x=1&password=****"},
            {"tls://h:4222", "tls://h:4222"},
            {"", ""},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct buf out = BUF_EMPTY;
            config_put_masked_url(&out, cases[i][0]);
            ck_assert_str_eq(buf_str(&out), cases[i][1]);
            buf_deinit(&out);
        }
    }
END_TEST

Suite *suite_config_value(void);
Suite *suite_config_value(void)
{
    Suite *suite = suite_create("config values");
    TCase *tcase = tcase_create("value");
    tcase_add_test(tcase, variables_are_unique_and_no_section_is_service);
    tcase_add_test(tcase, keys_have_a_member_help_and_one_dot);
    tcase_add_test(tcase, numbers_at_their_edges);
    tcase_add_test(tcase, texts_at_their_edges);
    tcase_add_test(tcase, ratios_at_their_edges);
    tcase_add_test(tcase, endpoints_are_secure_ones);
    tcase_add_test(tcase, nearest_key_is_a_misspelling_or_nothing);
    tcase_add_test(tcase, passwords_are_masked_wherever_they_stand);
    suite_add_tcase(suite, tcase);
    return suite;
}
