/* Every registered statement against the schema that the migrations make, as its own login: the server must
 * know each parameter and column as the program does, and the login's grants must suffice. */
#include "tests/integration/store/folder.h"
#include "tests/integration/store/registered.h"

#define DATABASE "it_store_prepared"
#define NOBODY "it_store_nobody"

static struct rig rig;
static PGconn *logins[LOGIN_COUNT];

static void setup(void)
{
    static const char *const names[LOGIN_COUNT] = {
        [LOGIN_APP] = "STACK_DATABASE_URL",
        [LOGIN_PLATFORM] = "STACK_PLATFORM_URL",
        [LOGIN_RELAY] = "STACK_RELAY_URL",
    };
    rig_open(&rig);
    database_create(rig.root, DATABASE);
    database_migrate(&rig.ctx, DATABASE);
    for (int login = 0; login < LOGIN_COUNT; login++) {
        char url[URL_SIZE];
        url_direct(url, names[login], DATABASE);
        logins[login] = sql_open(url);
    }
}

static void teardown(void)
{
    for (int login = 0; login < LOGIN_COUNT; login++)
        PQfinish(logins[login]);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

typedef void statement_visit(const struct stmt *stmt, enum store_login login);

static unsigned for_each(statement_visit *visit)
{
    unsigned count = 0;
    for (size_t l = 0; l < REGISTERED; l++) {
        const struct stmt_list *list = registered[l].list;
        for (size_t i = 0; i < list->count; i++, count++)
            visit(list->items[i], list->login);
    }
    return count;
}

/* --- parameters and columns --------------------------------------------------------------------------- */

/* Can a sql_value be sent as this type? */
static bool type_is_sent(Oid type)
{
    for (int known = SQL_UUID; known <= SQL_INT8_LIST; known++) {
        if (sql_type_oid((enum sql_type)known) == type)
            return true;
    }
    return false;
}

/* Does a row_…() function read this type?  varchar is read as text. */
static bool type_is_read(Oid type)
{
    return type == 1043 || (type != sql_type_oid(SQL_INT8_LIST) && type_is_sent(type));
}

static void expect_columns(const struct stmt *stmt, const PGresult *result)
{
    int count = PQnfields(result);
    for (int i = 0; i < count && stmt->columns[0] != NULL; i++) {
        ck_assert_msg(stmt->columns[i] != NULL, "%s: column %s is too many", stmt->name,
                      PQfname(result, i));
        ck_assert_msg(strcmp(stmt->columns[i], PQfname(result, i)) == 0, "%s: column %d is %s, not %s",
                      stmt->name, i, PQfname(result, i), stmt->columns[i]);
        ck_assert_msg(type_is_read(PQftype(result, i)), "%s: %s has type %u", stmt->name,
                      PQfname(result, i), PQftype(result, i));
    }
    ck_assert_msg(stmt->columns[0] == NULL || stmt->columns[count] == NULL, "%s: no column %s",
                  stmt->name, stmt->columns[0] == NULL ? "" : stmt->columns[count]);
}

/* What the program sends where the server would rather have its own kinds of text (name, varchar), or a
 * fraction. */
static Oid type_sent_for(Oid type)
{
    if (type == 701)
        return sql_type_oid(SQL_INT8);
    if (type == 19 || type == 1043)
        return sql_type_oid(SQL_TEXT);
    return type == 1003 || type == 1015 ? sql_type_oid(SQL_TEXT_LIST) : type;
}

/* Prepares with these types (0: the server's choice) and describes. */
static PGresult *described(const struct stmt *stmt, PGconn *pq, const Oid types[STMT_PARAMS_MAX])
{
    PGresult *prepared = PQprepare(pq, "", stmt->text, (int)stmt->param_count, types);
    ck_assert_msg(PQresultStatus(prepared) == PGRES_COMMAND_OK, "%s: %s", stmt->name,
                  PQerrorMessage(pq));
    PQclear(prepared);
    PGresult *result = PQdescribePrepared(pq, "");
    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s: %s", stmt->name,
                  PQerrorMessage(pq));
    ck_assert_msg(PQnparams(result) == (int)stmt->param_count, "%s: %d parameters, not %zu", stmt->name,
                  PQnparams(result), stmt->param_count);
    return result;
}

static void expect_described(const struct stmt *stmt, enum store_login login)
{
    Oid types[STMT_PARAMS_MAX] = {0};
    PGresult *chosen = described(stmt, logins[login], types);
    for (int i = 0; i < PQnparams(chosen); i++) {
        types[i] = type_sent_for(PQparamtype(chosen, i));
        ck_assert_msg(type_is_sent(types[i]), "%s: $%d has type %u", stmt->name, i + 1, types[i]);
    }
    PQclear(chosen);
    PGresult *sent = described(stmt, logins[login], types);
    expect_columns(stmt, sent);
    PQclear(sent);
}

START_TEST(the_server_knows_them_as_we_do)
{
    ck_assert_uint_ge(for_each(expect_described), 20);
}
END_TEST

/* --- grants ---------------------------------------------------------------------------------------------- */

/* PREPARE looks at no right; planning for execution does.  The SQLSTATE. */
static const char *planned(PGconn *pq, const struct stmt *stmt)
{
    const char *values = "";
    for (size_t i = 0; i < stmt->param_count; i++)
        values = arena_printf(rig.ctx.arena, "%s%s NULL", values, i == 0 ? "" : ",");
    if (stmt->param_count > 0)
        values = arena_printf(rig.ctx.arena, "(%s)", values);
    sql(pq, "SET plan_cache_mode = force_generic_plan");
    sql(pq, "DEALLOCATE ALL");
    sql(pq, "SELECT set_config('app.tenant_id', '00000000-0000-7000-8000-000000000000', false)");
    const char *text = arena_printf(rig.ctx.arena, "PREPARE planned AS %s", stmt->text);
    const char *state = sql_try(pq, NULL, 0, text);
    if (strcmp(state, "00000") != 0)
        return state;
    text = arena_printf(rig.ctx.arena, "EXPLAIN EXECUTE planned%s", values);
    return sql_try(pq, NULL, 0, text);
}

static void expect_allowed(const struct stmt *stmt, enum store_login login)
{
    const char *state = planned(logins[login], stmt);
    ck_assert_msg(strcmp(state, "00000") == 0, "%s: %s %s", stmt->name, state,
                  PQerrorMessage(logins[login]));
}

START_TEST(grants_suffice)
{
    for_each(expect_allowed);
}
END_TEST

static PGconn *nobody;
static unsigned forbidden;

static void count_forbidden(const struct stmt *stmt, enum store_login login)
{
    (void)login;
    const char *state = planned(nobody, stmt);
    bool catalog_only = strstr(stmt->text, "tenant.") == NULL;
    ck_assert_msg(catalog_only || strcmp(state, "42501") == 0, "%s: %s", stmt->name, state);
    forbidden += strcmp(state, "42501") == 0;
}

/* The control: a login that may look into the schema and nothing more can plan none of them. */
START_TEST(without_grants_none_is_planned)
{
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    PGconn *root = sql_open(url);
    sql(root, "DROP ROLE IF EXISTS " NOBODY);
    sql(root, "CREATE ROLE " NOBODY);
    sql(root, "GRANT USAGE ON SCHEMA tenant TO " NOBODY);
    nobody = sql_open(url);
    sql(nobody, "SET ROLE " NOBODY);
    unsigned count = for_each(count_forbidden);
    PQfinish(nobody);
    sql(root, "DROP OWNED BY " NOBODY);
    sql(root, "DROP ROLE " NOBODY);
    PQfinish(root);
    ck_assert_uint_ge(forbidden, count / 2);
}
END_TEST

/* --- none is forgotten -------------------------------------------------------------------------------------- */

static int header_is(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 2 && strcmp(entry->d_name + size - 2, ".h") == 0;
}

static void expect_registered(const char *name)
{
    bool found = false;
    for (size_t l = 0; l < REGISTERED; l++)
        found = found || strcmp(registered[l].name, name) == 0;
    ck_assert_msg(found, "the list of statements %s is not tried here: put it into registered.h", name);
}

START_TEST(all_lists_are_here)
{
    static const char declared[] = "extern const struct stmt_list ";
    struct dirent **entries = NULL;
    int count = scandir("src/store", &entries, header_is, alphasort);
    unsigned found = 0;
    ck_assert_int_gt(count, 0);
    for (int i = 0; i < count; i++) {
        char path[300];
        snprintf(path, sizeof path, "src/store/%s", entries[i]->d_name);
        const char *text = file_read(rig.ctx.arena, path);
        for (const char *at = text; (at = strstr(at, declared)) != NULL; found++) {
            char name[64];
            at += strlen(declared);
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ";"), at);
            expect_registered(name);
        }
        free(entries[i]);
    }
    free(entries);
    ck_assert_uint_eq(found, REGISTERED);
}
END_TEST

Suite *suite_store_prepared_it(void);
Suite *suite_store_prepared_it(void)
{
    Suite *suite = suite_create("store_prepared");
    TCase *tests = tcase_create("prepared");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_server_knows_them_as_we_do);
    tcase_add_test(tests, grants_suffice);
    tcase_add_test(tests, without_grants_none_is_planned);
    tcase_add_test(tests, all_lists_are_here);
    suite_add_tcase(suite, tests);
    return suite;
}
