/* What errors of the server, wrong URLs and wrong migration folders are answered with; no server. */
#include "store/migrate.h"
#include "store/store_int.h"

#include "gen/errors.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ctx ctx;

static void setup(void)
{
    ctx_init(&ctx, NULL, arena_new(0));
}

static void teardown(void)
{
    arena_free(ctx.arena);
}

START_TEST(sqlstates_mean_what_the_manual_says)
{
    static const struct {
        const char *state;
        enum sql_error error;
    } cases[] = {
        {"23505", SQL_ERROR_UNIQUE},      {"22012", SQL_ERROR_GUARD},
        {"40001", SQL_ERROR_CONCURRENT},  {"40P01", SQL_ERROR_CONCURRENT},
        {"55P03", SQL_ERROR_CONCURRENT},  {"57014", SQL_ERROR_TIMEOUT},
        {"57P01", SQL_ERROR_GOING_DOWN},  {"57P02", SQL_ERROR_GOING_DOWN},
        {"57P03", SQL_ERROR_REFUSED},     {"53300", SQL_ERROR_REFUSED},
        {"42501", SQL_ERROR_FORBIDDEN},   {"08006", SQL_ERROR_UNREACHABLE},
        {"08P01", SQL_ERROR_UNREACHABLE}, {"25P03", SQL_ERROR_GOING_DOWN},
        {NULL, SQL_ERROR_UNREACHABLE},    {"22P02", SQL_ERROR_BUG},
        {"42703", SQL_ERROR_SCHEMA},      {"3F000", SQL_ERROR_SCHEMA},
        {"53100", SQL_ERROR_REFUSED},     {"53200", SQL_ERROR_REFUSED},
        {"25006", SQL_ERROR_REFUSED},     {"58030", SQL_ERROR_REFUSED},
        {"25P02", SQL_ERROR_BUG},         {"23503", SQL_ERROR_BUG},
        {"", SQL_ERROR_BUG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(sqlstate_class(cases[i].state) == cases[i].error, "%s",
                      cases[i].state == NULL ? "none" : cases[i].state);
}
END_TEST

static const struct stmt guarded = {
    .name = "test.guarded",
    .unique_constraint = "slug_taken",
    .unique_refusal = SLUG_TAKEN,
    .guard_refusal = VERSION_CONFLICT,
};
static const struct stmt plain = {.name = "test.plain"};

START_TEST(only_the_named_constraint_is_an_answer)
{
    ck_assert_int_eq(sqlstate_result(&ctx, &guarded, "23505", "slug_taken"), SLUG_TAKEN);
    ck_assert_int_eq(sqlstate_result(&ctx, &guarded, "23505", "tenants_pkey"), FAULT_INTERNAL);
    ck_assert_int_eq(sqlstate_result(&ctx, &guarded, "23505", NULL), FAULT_INTERNAL);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "23505", "slug_taken"), FAULT_INTERNAL);
    ck_assert_int_eq(sqlstate_result(&ctx, NULL, "23505", "slug_taken"), FAULT_INTERNAL);
}
END_TEST

START_TEST(only_a_guarded_statement_may_divide_by_zero)
{
    ck_assert_int_eq(sqlstate_result(&ctx, &guarded, "22012", NULL), VERSION_CONFLICT);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "22012", NULL), FAULT_INTERNAL);
}
END_TEST

START_TEST(errors_become_refusals_and_faults)
{
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "40P01", NULL), CONCURRENT_CHANGE);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "57014", NULL), FAULT_TIMEOUT);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "57P01", NULL), FAULT_DATABASE);
    ck_assert_int_eq(sqlstate_result(&ctx, NULL, "53300", NULL), DATABASE_UNAVAILABLE);
    ck_assert_int_eq(sqlstate_result(&ctx, NULL, "25006", NULL), DATABASE_UNAVAILABLE);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "23514", NULL), FAULT_INTERNAL);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "42P01", NULL), FAULT_CONFIG);
    ck_assert_int_eq(sqlstate_result(&ctx, &plain, "42501", NULL), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "test.plain"));
}
END_TEST

static int target(const char *url, const char *text)
{
    struct pg_target *made = NULL;
    int rc = pg_target_new(&ctx, url, &made);
    if (rc == OK)
        ck_assert_str_eq(pg_target_text(made), text);
    else
        ck_assert_ptr_null(made);
    pg_target_free(made);
    return rc;
}

START_TEST(urls_name_one_host_and_a_user)
{
    ck_assert_int_eq(target("postgresql://u:p@127.0.0.1:6543/d", "127.0.0.1:6543/d as u"), OK);
    ck_assert_int_eq(target("postgresql://u@[::1]/d", "::1:5432/d as u"), OK);
    ck_assert_int_eq(target("postgresql://u@localhost/d", "localhost:5432/d as u"), OK);
    ck_assert_int_eq(target("postgresql://u@a,b/d", ""), FAULT_CONFIG);
    ck_assert_int_eq(target("postgresql://u@/d", ""), FAULT_CONFIG);
    ck_assert_int_eq(target("postgresql://127.0.0.1/d", ""), FAULT_CONFIG);
    ck_assert_int_eq(target("postgresql://u@no-such-host.invalid/d", ""), FAULT_CONFIG);
}
END_TEST

START_TEST(a_wrong_url_does_not_show_its_password)
{
    static const char *const wrong[] = {
        "postgresql://u:geheim@127.0.0.1/d?nonsense=1",
        "postgres//u:geheim@127.0.0.1/d",
        "postgresql://u:geheim@a,b/d",
        "postgresql://u:geheim@[::1/d",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(target(wrong[i], ""), FAULT_CONFIG);
        ck_assert_msg(strstr(ctx.fault.text, "geheim") == NULL, "%s", ctx.fault.text);
    }
}
END_TEST

/* --- migration folders: all of this is found before anything is connected to ---------------------- */

static char folder[] = "/tmp/store-migrations-XXXXXX";

static void put(const char *name, const void *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void reported(void *owner, int version, const char *name, bool applied_now)
{
    (void)owner;
    (void)version;
    (void)name;
    (void)applied_now;
    ck_abort_msg("nothing can be applied without a server");
}

/* Port 1 refuses: a folder that passes ends in FAULT_DATABASE. */
static int migrate(void)
{
    return migrate_run(&ctx, "postgresql://u:p@127.0.0.1:1/d?sslmode=disable", folder, reported,
                       NULL);
}

static void folder_setup(void)
{
    setup();
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    teardown();
}

START_TEST(a_good_folder_gets_as_far_as_the_database)
{
    put("0001_a.sql", "SELECT 1", 8);
    put("0002_b.sql", "SELECT 2", 8);
    put("README.md", "not SQL", 7);
    put("0003_c.sql~", "an editor's copy", 16);
    ck_assert_int_eq(migrate(), FAULT_DATABASE);
    ck_assert_ptr_null(strstr(ctx.fault.text, ":p@"));
}
END_TEST

START_TEST(gaps_and_doubles_are_named)
{
    put("0001_a.sql", "SELECT 1", 8);
    put("0003_c.sql", "SELECT 3", 8);
    ck_assert_int_eq(migrate(), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "0003_c.sql: expected number 0002"));
    put("0002_b.sql", "SELECT 2", 8);
    put("0002_x.sql", "SELECT 2", 8);
    ck_assert_int_eq(migrate(), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "0002_x.sql: expected number 0003"));
}
END_TEST

START_TEST(an_empty_folder_and_none_are_refused)
{
    ck_assert_int_eq(migrate(), FAULT_CONFIG);
    ck_assert_int_eq(rmdir(folder), 0);
    ck_assert_int_eq(migrate(), FAULT_CONFIG);
}
END_TEST

START_TEST(a_file_that_is_not_text_is_refused)
{
    put("0001_a.sql", "SELECT\0 1", 9);
    ck_assert_int_eq(migrate(), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(ctx.fault.text, "0001_a.sql"));
}
END_TEST

START_TEST(a_file_beyond_the_limit_is_refused)
{
    size_t size = ((size_t)4 << 20) + 1;
    char *large = malloc(size);
    memset(large, ' ', size);
    put("0001_a.sql", large, size);
    free(large);
    ck_assert_int_eq(migrate(), FAULT_CONFIG);
}
END_TEST

Suite *suite_store_refusals(void);
Suite *suite_store_refusals(void)
{
    Suite *suite = suite_create("store_refusals");
    TCase *errors = tcase_create("errors");
    tcase_add_checked_fixture(errors, setup, teardown);
    tcase_add_test(errors, sqlstates_mean_what_the_manual_says);
    tcase_add_test(errors, only_the_named_constraint_is_an_answer);
    tcase_add_test(errors, only_a_guarded_statement_may_divide_by_zero);
    tcase_add_test(errors, errors_become_refusals_and_faults);
    tcase_add_test(errors, urls_name_one_host_and_a_user);
    tcase_add_test(errors, a_wrong_url_does_not_show_its_password);
    suite_add_tcase(suite, errors);
    TCase *folders = tcase_create("migration folders");
    tcase_add_checked_fixture(folders, folder_setup, folder_teardown);
    tcase_add_test(folders, a_good_folder_gets_as_far_as_the_database);
    tcase_add_test(folders, gaps_and_doubles_are_named);
    tcase_add_test(folders, an_empty_folder_and_none_are_refused);
    tcase_add_test(folders, a_file_that_is_not_text_is_refused);
    tcase_add_test(folders, a_file_beyond_the_limit_is_refused);
    suite_add_tcase(suite, folders);
    return suite;
}
