/* The tenant's states, rules and update masks, cell by cell. */
#include "domain/tenant.h"

#include <check.h>
#include <stdio.h>

struct seen {
    char text[4096]; /* "field: rule\n" for each report */
};

static void record(void *owner, const char *field, const char *rule)
{
    struct seen *seen = owner;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s: %s\n", field, rule);
}

static struct tenant valid_tenant(void)
{
    struct tenant tenant = {.slug = "acme", .display_name = "Acme"};
    tenant_defaults(&tenant);
    return tenant;
}

static void expect_violation(const struct tenant *tenant, const char *field)
{
    struct seen seen = {""};
    ck_assert_uint_eq(tenant_validate(tenant, record, &seen), 1);
    char start[128];
    snprintf(start, sizeof start, "%s: ", field);
    ck_assert_msg(strncmp(seen.text, start, strlen(start)) == 0, "wanted %s, got %s", field,
                  seen.text);
}

START_TEST(transitions_cell_by_cell)
{
    static const bool expected[TENANT_STATUS_COUNT][TENANT_STATUS_COUNT] = {
        /*               trial  active suspended closed */
        /* trial     */ {false, true, true, true},
        /* active    */ {false, false, true, true},
        /* suspended */ {false, true, false, true},
        /* closed    */ {false, false, false, false},
    };
    for (int from = 0; from < TENANT_STATUS_COUNT; from++) {
        for (int to = 0; to < TENANT_STATUS_COUNT; to++)
            ck_assert_msg(tenant_status_may_become(from, to) == expected[from][to], "%d → %d",
                          from, to);
    }
}
END_TEST

START_TEST(names_round_trip)
{
    for (int i = 0; i < TENANT_STATUS_COUNT; i++) {
        enum tenant_status status;
        ck_assert(tenant_status_parse(slice_of_str(tenant_status_name(i)), &status));
        ck_assert_int_eq((int)status, i);
    }
    for (int i = 0; i < TENANT_TYPE_COUNT; i++) {
        enum tenant_type type;
        ck_assert(tenant_type_parse(slice_of_str(tenant_type_name(i)), &type));
        ck_assert_int_eq((int)type, i);
    }
    for (int i = 0; i < REGION_COUNT; i++) {
        enum region region;
        ck_assert(region_parse(slice_of_str(region_name(i)), &region));
        ck_assert_int_eq((int)region, i);
    }
    enum region region;
    ck_assert(!region_parse(slice_of_str("EU"), &region));
    ck_assert(!region_parse(slice_of_str(""), &region));
    ck_assert(!region_parse(slice_of_str("eu-central-1"), &region));
}
END_TEST

START_TEST(slug_rules)
{
    static const char *const fine[] = {"abc", "a1b", "acme-corp", "0123", "a-b-c",
                                       "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz"};
    static const char *const wrong[] = {"",      "ab",    "Acme", "acme_corp", "-acme", "acme-",
                                        "a.b.c", "ac me", "äcme", "ab--cd",    "xn--abc",
                                        "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz0"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        ck_assert_msg(tenant_slug_rule(slice_of_str(fine[i])) == NULL, "%s", fine[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(tenant_slug_rule(slice_of_str(wrong[i])) != NULL, "%s", wrong[i]);
    ck_assert_ptr_nonnull(tenant_slug_rule(slice_make("ab\0c", 4)));
}
END_TEST

START_TEST(a_default_tenant_is_valid)
{
    struct tenant tenant = valid_tenant();
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
    ck_assert_str_eq(tenant.settings.default_locale, "en");
    ck_assert_int_eq(tenant.status, TENANT_TRIAL);
    ck_assert_int_eq(tenant.type, TENANT_ORG);
}
END_TEST

START_TEST(display_name_rules)
{
    struct tenant tenant = valid_tenant();
    char name[900] = "";
    for (int i = 0; i < 200; i++)
        strcat(name, "\xE2\x82\xAC"); /* 200 characters, 600 bytes */
    tenant.display_name = name;
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
    strcat(name, "x");
    expect_violation(&tenant, "display_name");
    static const char *const wrong[] = {"", " x", "x ", "a\nb", "a\x7F", "a\xC2\x85z"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tenant.display_name = wrong[i];
        expect_violation(&tenant, "display_name");
    }
}
END_TEST

START_TEST(plan_rules)
{
    struct tenant tenant = valid_tenant();
    const char *addons[] = {"ai_tutor", "BAD"};
    tenant.plan = (struct tenant_plan){"plan_pro", {addons, 1}};
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
    tenant.plan.addons.count = 2;
    expect_violation(&tenant, "plan.addons[BAD]");
    static const char *const wrong[] = {"pro", "plan_", "plan_Pro", "PLAN_pro", "plan_a b"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tenant.plan = (struct tenant_plan){wrong[i], {NULL, 0}};
        expect_violation(&tenant, "plan.plan_id");
    }
    tenant.plan = (struct tenant_plan){"", {addons, 1}};
    expect_violation(&tenant, "plan.addons");
}
END_TEST

START_TEST(label_rules)
{
    struct tenant tenant = valid_tenant();
    char value[300];
    memset(value, 'v', sizeof value);
    value[256] = '\0';
    struct string_pair pair = {"team/env", value};
    tenant.labels = (struct string_map){&pair, 1};
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
    value[256] = 'v';
    value[257] = '\0';
    expect_violation(&tenant, "labels[team/env]");
    pair = (struct string_pair){"Env", "x"};
    expect_violation(&tenant, "labels[Env]");
    pair = (struct string_pair){"1env", "x"};
    expect_violation(&tenant, "labels[1env]");
    pair = (struct string_pair){"", "x"};
    expect_violation(&tenant, "labels[]");
    static struct string_pair many[65];
    static char keys[65][8];
    for (int i = 0; i < 65; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        many[i] = (struct string_pair){keys[i], ""};
    }
    tenant.labels = (struct string_map){many, 64};
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
    tenant.labels.count = 65;
    expect_violation(&tenant, "labels");
}
END_TEST

START_TEST(locale_rules)
{
    struct tenant tenant = valid_tenant();
    static const char *const fine[] = {"en", "pt-BR", "zh-Hant-TW", "de-1996", "ast"};
    static const char *const wrong[] = {"", "e", "en_US", "-en", "en-", "1en", "en--us",
                                        "abcdefghi", "en-abcdefghi"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        tenant.settings.default_locale = fine[i];
        ck_assert_msg(tenant_validate(&tenant, NULL, NULL) == 0, "%s", fine[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        tenant.settings.default_locale = wrong[i];
        expect_violation(&tenant, "settings.default_locale");
    }
    const char *locales[] = {"de", "en"};
    tenant.settings.default_locale = "fr";
    tenant.settings.allowed_locales = (struct string_list){locales, 2};
    expect_violation(&tenant, "settings.allowed_locales");
    tenant.settings.default_locale = "de";
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
}
END_TEST

START_TEST(theme_rules)
{
    struct tenant tenant = valid_tenant();
    struct string_pair pair = {"primaryColor", "#ff0000"};
    tenant.settings.branding_theme = (struct string_map){&pair, 1};
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 0);
    pair = (struct string_pair){"primary color", "x"};
    expect_violation(&tenant, "settings.branding_theme[primary color]");
    pair = (struct string_pair){"logo", "a\tb"};
    expect_violation(&tenant, "settings.branding_theme[logo]");
}
END_TEST

START_TEST(all_violations_are_reported_at_once)
{
    struct tenant tenant = valid_tenant();
    tenant.slug = "X";
    tenant.display_name = "";
    tenant.settings.default_locale = "?";
    ck_assert_uint_eq(tenant_validate(&tenant, NULL, NULL), 3);
}
END_TEST

START_TEST(mask_paths)
{
    ck_assert_uint_eq(tenant_field_parse(slice_of_str("display_name")), TENANT_FIELD_DISPLAY_NAME);
    ck_assert_uint_eq(tenant_field_parse(slice_of_str("plan")),
                      TENANT_FIELD_PLAN_ID | TENANT_FIELD_PLAN_ADDONS);
    ck_assert_uint_eq(tenant_field_parse(slice_of_str("*")), (1u << TENANT_FIELD_COUNT) - 1);
    static const char *const wrong[] = {"",       "tenant_id",     "status", "create_time",
                                        "etag",   "settings.",     "name",   "displayName",
                                        "labels.env", "settings.theme"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(tenant_field_parse(slice_of_str(wrong[i])) == 0, "%s", wrong[i]);
    const char *paths[TENANT_FIELD_COUNT];
    ck_assert_uint_eq(tenant_field_paths((1u << TENANT_FIELD_COUNT) - 1, paths),
                      TENANT_FIELD_COUNT);
    for (size_t i = 0; i < TENANT_FIELD_COUNT; i++)
        ck_assert_uint_eq(tenant_field_parse(slice_of_str(paths[i])), 1u << i);
}
END_TEST

START_TEST(apply_changes_only_what_the_mask_names)
{
    struct tenant tenant = valid_tenant();
    struct tenant patch = valid_tenant();
    patch.slug = "other";
    patch.display_name = "Other";
    patch.type = TENANT_HYBRID;
    patch.settings.mfa_required = true;
    struct string_pair pair = {"env", "prod"};
    patch.labels = (struct string_map){&pair, 1};
    ck_assert_uint_eq(tenant_apply(&tenant, &patch, TENANT_FIELD_DISPLAY_NAME),
                      TENANT_FIELD_DISPLAY_NAME);
    ck_assert_str_eq(tenant.display_name, "Other");
    ck_assert_str_eq(tenant.slug, "acme");
    ck_assert_int_eq(tenant.type, TENANT_ORG);
    ck_assert_uint_eq(tenant_apply(&tenant, &patch, TENANT_FIELD_DISPLAY_NAME), 0);
    unsigned changed = tenant_apply(&tenant, &patch, (1u << TENANT_FIELD_COUNT) - 1);
    ck_assert_uint_eq(changed, TENANT_FIELD_SLUG | TENANT_FIELD_TYPE | TENANT_FIELD_LABELS |
                                   TENANT_FIELD_MFA_REQUIRED);
}
END_TEST

START_TEST(each_leaf_reports_its_own_change)
{
    const char *items[] = {"x"};
    struct string_pair pair = {"k", "v"};
    struct tenant patch = {
        .slug = "new",
        .display_name = "New",
        .type = TENANT_PROVIDER,
        .plan = {"plan_x", {items, 1}},
        .labels = {&pair, 1},
        .settings = {"fr", {items, 1}, true, true, true, {&pair, 1}},
    };
    for (size_t i = 0; i < TENANT_FIELD_COUNT; i++) {
        struct tenant tenant = valid_tenant();
        unsigned field = 1u << i;
        unsigned expected = field == TENANT_FIELD_HOME_REGION ? 0 : field;
        ck_assert_uint_eq(tenant_apply(&tenant, &patch, field), expected);
    }
}
END_TEST

START_TEST(maps_and_lists_have_one_form)
{
    struct string_pair pairs[] = {{"b", "1"}, {"a", "2"}, {"c", "3"}};
    struct string_map map = {pairs, 3};
    ck_assert(string_map_sort(&map));
    ck_assert_str_eq(pairs[0].key, "a");
    pairs[1].key = "a";
    ck_assert(!string_map_sort(&map));
    const char *items[] = {"b", "a", "b", "a", "c"};
    struct string_list list = {items, 5};
    string_list_sort(&list);
    ck_assert_uint_eq(list.count, 3);
    ck_assert_str_eq(items[2], "c");
    struct string_list empty = {NULL, 0};
    string_list_sort(&empty);
    ck_assert(!string_list_equal(&list, &empty));
}
END_TEST

Suite *suite_domain_tenant(void);
Suite *suite_domain_tenant(void)
{
    Suite *suite = suite_create("domain/tenant");
    TCase *tcase = tcase_create("tenant");
    tcase_add_test(tcase, transitions_cell_by_cell);
    tcase_add_test(tcase, names_round_trip);
    tcase_add_test(tcase, slug_rules);
    tcase_add_test(tcase, a_default_tenant_is_valid);
    tcase_add_test(tcase, display_name_rules);
    tcase_add_test(tcase, plan_rules);
    tcase_add_test(tcase, label_rules);
    tcase_add_test(tcase, locale_rules);
    tcase_add_test(tcase, theme_rules);
    tcase_add_test(tcase, all_violations_are_reported_at_once);
    tcase_add_test(tcase, mask_paths);
    tcase_add_test(tcase, apply_changes_only_what_the_mask_names);
    tcase_add_test(tcase, each_leaf_reports_its_own_change);
    tcase_add_test(tcase, maps_and_lists_have_one_form);
    suite_add_tcase(suite, tcase);
    return suite;
}
