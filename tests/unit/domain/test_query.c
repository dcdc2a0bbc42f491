/* Filters, orders and times of tenant lists. */
#include "domain/tenant_query.h"

#include <check.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_free(arena);
}

static struct tenant_query parsed(const char *filter)
{
    struct tenant_query query = {.status = NULL};
    const char *rule = tenant_filter_parse(arena, filter, &query);
    ck_assert_msg(rule == NULL, "%s: %s", filter, rule);
    return query;
}

static void expect_broken(const char *filter, const char *wanted)
{
    struct tenant_query query = {.status = NULL};
    const char *rule = tenant_filter_parse(arena, filter, &query);
    ck_assert_msg(rule != NULL && strstr(rule, wanted) != NULL, "%s: wanted %s, got %s", filter,
                  wanted, rule == NULL ? "no rule" : rule);
}

START_TEST(empty_filters_mean_all)
    {
        struct tenant_query query = parsed("");
        ck_assert(query.status == NULL && query.labels.count == 0 && query.slug.exact == NULL);
        (void)parsed("  \t\n ");
    }
END_TEST

START_TEST(every_field)
    {
        struct tenant_query query =
            parsed("status=active AND type = provider  AND plan.plan_id=\"plan_pro\" AND slug = "
                   "\"acme*\" AND display_name=\"A \\\"B\\\" \\* \\\\\" AND labels.b/c=2 AND "
                   "labels.a.b = \"\" AND create_time >= \"1970-01-01T00:00:01Z\" AND "
                   "update_time < 1970-01-01T00:00:02Z");
        ck_assert_str_eq(query.status, "active");
        ck_assert_str_eq(query.type, "provider");
        ck_assert_str_eq(query.plan_id, "plan_pro");
        ck_assert_str_eq(query.slug.prefix, "acme");
        ck_assert_ptr_null(query.slug.exact);
        ck_assert_str_eq(query.display_name.exact, "A \"B\" * \\");
        ck_assert_uint_eq(query.labels.count, 2);
        ck_assert_str_eq(query.labels.pairs[0].key, "a.b");
        ck_assert_str_eq(query.labels.pairs[1].key, "b/c");
        ck_assert_str_eq(query.labels.pairs[1].value, "2");
        ck_assert_uint_eq(query.create_time.from_us, 1000000);
        ck_assert_uint_eq(query.create_time.to_us, 0);
        ck_assert_uint_eq(query.update_time.to_us, 2000000);
    }
END_TEST

START_TEST(bounds_of_times)
    {
        struct tenant_query query =
            parsed("create_time > 1970-01-01T00:00:01Z AND create_time <= "
                   "1970-01-01T00:00:03Z AND update_time = 1970-01-01T00:00:09Z");
        ck_assert_uint_eq(query.create_time.from_us, 1000001);
        ck_assert_uint_eq(query.create_time.to_us, 3000001);
        ck_assert_uint_eq(query.update_time.from_us, 9000000);
        ck_assert_uint_eq(query.update_time.to_us, 9000001);
        expect_broken("create_time > 1970-01-01T00:00:01Z AND create_time >= 1970-01-01T00:00:01Z",
                      "named before");
    }
END_TEST

START_TEST(what_is_broken_is_told_with_its_place)
    {
        expect_broken("=", "character 1: a field name");
        expect_broken("status", "character 7: one of = <");
        expect_broken("status =", "character 9: a value was expected");
        expect_broken("status = active type = org", "character 17: conditions are joined by AND");
        expect_broken("status = active ANDtype = org",
                      "character 17: conditions are joined by AND");
        expect_broken("status = active AND ", "character 21: a condition must follow AND");
        expect_broken("(status = active)", "character 1: a field name");
        expect_broken("status = Active", "trial, active, suspended or closed");
        expect_broken("type = active", "org, provider, individual or hybrid");
        expect_broken("labels. = 1", "fields are status");
        expect_broken("slug = \"a\\", "no closing quote");
        expect_broken("slug = *", "a value was expected");
        expect_broken("slug = \"a*b\"", "at the end only");
        expect_broken("labels.a = \"b*\"", "slug and display_name only");
        expect_broken("slug = a AND slug = b", "named before");
        expect_broken("labels.a = 1 AND labels.a = 1", "names one label twice");
    }
END_TEST

START_TEST(orders)
    {
        static const struct {
            const char *text;
            enum tenant_order order;
            bool descending;
        } good[] = {
            {"", TENANT_BY_CREATE_TIME, false},
            {"create_time", TENANT_BY_CREATE_TIME, false},
            {"create_time desc", TENANT_BY_CREATE_TIME, true},
            {"slug", TENANT_BY_SLUG, false},
            {"slug asc", TENANT_BY_SLUG, false},
            {"display_name desc", TENANT_BY_DISPLAY_NAME, true},
        };
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
            struct tenant_query query = {.status = NULL};
            ck_assert_ptr_null(tenant_order_parse(good[i].text, &query));
            ck_assert_int_eq(query.order, good[i].order);
            ck_assert_int_eq(query.descending, good[i].descending);
        }
        static const char *const bad[] = {"slugs",     "status",           "slug  desc",
                                          "slug DESC", "slug,create_time", " slug"};
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            struct tenant_query query = {.status = NULL};
            ck_assert_msg(tenant_order_parse(bad[i], &query) != NULL, "%s", bad[i]);
        }
    }
END_TEST

/* Computed with GNU date. */
START_TEST(times)
    {
        static const struct {
            const char *text;
            uint64_t us;
        } good[] = {
            {"1970-01-01T00:00:00Z", 0},
            {"2026-11-23T10:20:30Z", UINT64_C(1795429230000000)},
            {"2026-11-23t10:20:30.5z", UINT64_C(1795429230500000)},
            {"2026-11-23T12:20:30.1234567+02:00", UINT64_C(1795429230123456)},
            {"2026-11-23T04:50:30-05:30", UINT64_C(1795429230000000)},
            {"2024-02-29T23:59:60Z", UINT64_C(1709251200000000)},
            {"2100-03-01T00:00:00Z", UINT64_C(4107542400000000)},
        };
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
            uint64_t us = 0;
            ck_assert_msg(time_parse_rfc3339(slice_of_str(good[i].text), &us), "%s", good[i].text);
            ck_assert_msg(us == good[i].us, "%s: %llu", good[i].text, (unsigned long long)us);
        }
        static const char *const bad[] = {
            "",
            "2026-11-23",
            "2026-11-23T10:20:30",
            "2026-11-23 10:20:30Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T10:60:00Z",
            "2026-11-23T10:20:61Z",
            "2026-11-23T10:20:30.Z",
            "2026-11-23T10:20:30+24:00",
            "2026-11-23T10:20:30Zx",
            "1969-12-31T23:59:59Z",
            "26-11-23T10:20:30Z",
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            uint64_t us = 0;
            ck_assert_msg(!time_parse_rfc3339(slice_of_str(bad[i]), &us), "%s", bad[i]);
        }
    }
END_TEST

START_TEST(reserved_slugs_and_reasons)
    {
        ck_assert(tenant_slug_is_reserved("admin") && tenant_slug_is_reserved("www"));
        ck_assert(!tenant_slug_is_reserved("acme") && !tenant_slug_is_reserved("admins"));
        char reason[TENANT_REASON_MAX * 2 + 3];
        for (int i = 0; i <= TENANT_REASON_MAX; i++)
            memcpy(reason + 2 * i, "é", 2);
        reason[2 * (TENANT_REASON_MAX + 1)] = '\0';
        ck_assert_ptr_nonnull(tenant_reason_rule(reason));
        reason[2 * TENANT_REASON_MAX] = '\0';
        ck_assert_ptr_null(tenant_reason_rule(reason));
        ck_assert_ptr_null(tenant_reason_rule(""));
        ck_assert_ptr_nonnull(tenant_reason_rule("a\tb"));
    }
END_TEST

Suite *suite_domain_query(void);
Suite *suite_domain_query(void)
{
    Suite *suite = suite_create("query");
    TCase *cases = tcase_create("query");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, empty_filters_mean_all);
    tcase_add_test(cases, every_field);
    tcase_add_test(cases, bounds_of_times);
    tcase_add_test(cases, what_is_broken_is_told_with_its_place);
    tcase_add_test(cases, orders);
    tcase_add_test(cases, times);
    tcase_add_test(cases, reserved_slugs_and_reasons);
    suite_add_tcase(suite, cases);
    return suite;
}
