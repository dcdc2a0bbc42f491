/* The statements' own figures, and a database that nobody serves. */
#include "store/audit_store.h"
#include "store/outbox_store.h"
#include "store/relay_store.h"
#include "store/startup_checks.h"
#include "store/tenant_store.h"

#include "gen/errors.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct ctx ctx;

static void set_up(void)
{
    arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
}

static void tear_down(void)
{
    arena_free(arena);
}

/* --- statements ----------------------------------------------------------------------------------- */

static const struct stmt_list *const lists[] = {
    &tenant_statements, &tenant_platform_statements, &audit_statements,
    &outbox_statements, &relay_statements,           &startup_statements,
};

/* Bit n: $n occurs. */
static uint64_t params_of(const char *text)
{
    uint64_t seen = 0;
    for (const char *at = text; (at = strchr(at, '$')) != NULL;) {
        char *end = NULL;
        unsigned long number = strtoul(++at, &end, 10);
        ck_assert_msg(end > at && number > 0 && number <= STMT_PARAMS_MAX, "$ in %s", text);
        seen |= UINT64_C(1) << number;
    }
    return seen;
}

START_TEST(statements_count_their_parameters)
{
    unsigned statements = 0;
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        for (size_t i = 0; i < lists[l]->count; i++, statements++) {
            const struct stmt *stmt = lists[l]->items[i];
            ck_assert_uint_le(stmt->param_count, STMT_PARAMS_MAX);
            uint64_t wanted = (UINT64_C(2) << stmt->param_count) - 2;
            ck_assert_msg(params_of(stmt->text) == wanted, "%s: its text has not $1 to $%zu each",
                          stmt->name, stmt->param_count);
        }
    }
    ck_assert_uint_ge(statements, 20);
}
END_TEST

START_TEST(statements_have_unlike_names_and_columns)
{
    const char *names[64];
    size_t count = 0;
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct stmt *stmt = lists[l]->items[i];
            for (size_t other = 0; other < count; other++)
                ck_assert_str_ne(stmt->name, names[other]);
            ck_assert_uint_lt(count, 64);
            names[count++] = stmt->name;
            bool selects = strncmp(stmt->text, "SELECT", 6) == 0;
            ck_assert_msg(!selects || stmt->columns[0] != NULL, "%s", stmt->name);
            ck_assert_ptr_null(stmt->columns[STMT_COLUMNS_MAX]);
            for (size_t a = 0; stmt->columns[a] != NULL; a++) {
                for (size_t b = 0; b < a; b++)
                    ck_assert_str_ne(stmt->columns[a], stmt->columns[b]);
            }
            ck_assert_int_eq(stmt->unique_constraint != NULL, stmt->unique_refusal != OK);
            ck_assert_msg((stmt->guard_refusal != OK) == (strstr(stmt->text, "1 / count(*)") != NULL),
                          "%s", stmt->name);
        }
    }
}
END_TEST

/* --- nobody to ask --------------------------------------------------------------------------------- */

START_TEST(nobody_there_is_told_at_once)
{
    struct store_settings settings = {
        .urls = {[LOGIN_APP] = "postgresql://app:s3cret@127.0.0.1:1/tenant"}};
    struct store *store = NULL;
    struct uuid tenant = uuid_new();
    ck_assert_int_eq(store_open(&ctx, NULL, &settings, NULL, &store), OK);
    ctx.deadline_ns = deadline_after(clock_now(), 3 * NS_PER_S);
    uint64_t began = clock_now();
    struct tx *tx = NULL;
    ck_assert_int_eq(tx_begin(store, &ctx, TX_WRITE, &tenant, &tx), OK);
    ck_assert_int_eq(tx_commit(tx), DATABASE_UNAVAILABLE);
    tx_free(tx);
    ck_assert_uint_lt(clock_now() - began, NS_PER_S);
    const char *trouble = store_trouble(store, LOGIN_APP);
    ck_assert_msg(strstr(trouble, "127.0.0.1:1/tenant as app") != NULL, "%s", trouble);
    ck_assert_ptr_null(strstr(trouble, "s3cret"));
    store_close(store);
}
END_TEST

START_TEST(no_time_left_asks_nobody)
{
    struct store_settings settings = {
        .urls = {[LOGIN_APP] = "postgresql://app:s3cret@127.0.0.1:1/tenant"}};
    struct store *store = NULL;
    struct uuid tenant = uuid_new();
    ck_assert_int_eq(store_open(&ctx, NULL, &settings, NULL, &store), OK);
    ctx.deadline_ns = deadline_after(clock_now(), NS_PER_MS);
    struct tx *tx = NULL;
    ck_assert_int_eq(tx_begin(store, &ctx, TX_READ, &tenant, &tx), FAULT_TIMEOUT);
    ck_assert_ptr_null(tx);
    store_close(store);
}
END_TEST

Suite *suite_store_statements(void);
Suite *suite_store_statements(void)
{
    Suite *suite = suite_create("store_statements");
    TCase *tests = tcase_create("statements");
    tcase_set_timeout(tests, 20);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, statements_count_their_parameters);
    tcase_add_test(tests, statements_have_unlike_names_and_columns);
    tcase_add_test(tests, nobody_there_is_told_at_once);
    tcase_add_test(tests, no_time_left_asks_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
