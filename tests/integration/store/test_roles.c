/* The check at start: each right too many is refused and named, for a login that was made for it, in a
 * database of its own, so that no other login is ever touched. */
#include "tests/integration/store/rig.h"

#define DATABASE "it_store_roles"
#define LOGIN "it_store_login"
#define KEY "database.url"

static struct rig rig;
static PGconn *root; /* superuser in the database */
static struct store *scratch; /* every login is the scratch login */

/* The scratch login's URL at PostgreSQL itself. */
static void url_scratch(char out[URL_SIZE])
{
    char host[64], port[8], rest[320];
    ck_assert_int_eq(sscanf(env("STACK_MIGRATE_URL"), "postgresql://%*[^@]@%63[^:]:%7[^/]/%*[^?]?%319s",
                            host, port, rest),
                     3);
    snprintf(out, URL_SIZE, "postgresql://" LOGIN ":scratch@%s:%s/" DATABASE "?%s", host, port, rest);
}

static void login_drop(void)
{
    sql(rig.root, "DROP ROLE IF EXISTS " LOGIN);
}

static void setup(void)
{
    rig_open(&rig);
    database_create(rig.root, DATABASE);
    database_migrate(&rig.ctx, DATABASE);
    login_drop();
    sql(rig.root, "CREATE ROLE " LOGIN " LOGIN NOINHERIT PASSWORD 'scratch'");
    sql(rig.root, "GRANT CONNECT ON DATABASE " DATABASE " TO " LOGIN);
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    root = sql_open(url);
    url_scratch(url);
    const struct store_settings settings = {.urls = {url, url, url}};
    ck_assert_int_eq(store_open(&rig.ctx, NULL, &settings, NULL, &scratch), OK);
}

static void teardown(void)
{
    store_close(scratch);
    PQfinish(root);
    database_drop(rig.root, DATABASE);
    login_drop();
    rig_close(&rig);
}

/* What the check says of the URL's role when it is to serve as `login`. */
static int checked(const char *url, enum store_login login)
{
    const struct store_settings settings = {.urls = {url, url, url}};
    struct store *store = NULL;
    ck_assert_int_eq(store_open(&rig.ctx, NULL, &settings, NULL, &store), OK);
    int rc = role_check(store, &rig.ctx, login, KEY);
    store_close(store);
    return rc;
}

static int scratch_checked(enum store_login login)
{
    arena_reset(rig.ctx.arena);
    return role_check(scratch, &rig.ctx, login, KEY);
}

struct excess {
    const char *give;
    const char *take; /* undoes it */
    const char *says;
};

/* Nothing to say before, the words of the case with it, nothing to say after. */
static void expect_refused(const struct excess *excess, enum store_login login)
{
    sql(root, "%s", excess->give);
    int rc = scratch_checked(login);
    ck_assert_msg(rc == FAULT_CONFIG, "%s: %d", excess->give, rc);
    const char *text = rig.ctx.fault.text;
    ck_assert_msg(strstr(text, excess->says) != NULL, "%s: %s", excess->give, text);
    ck_assert_msg(strncmp(text, KEY ": ", strlen(KEY ": ")) == 0, "no key: %s", text);
    sql(root, "%s", excess->take);
    expect_rc(&rig.ctx, scratch_checked(login), OK);
}

static void expect_all_refused(const struct excess *cases, size_t count)
{
    expect_rc(&rig.ctx, scratch_checked(LOGIN_APP), OK);
    for (size_t i = 0; i < count; i++)
        expect_refused(&cases[i], LOGIN_APP);
}

START_TEST(the_logins_of_the_service_have_nothing_too_many)
{
    static const char *const urls[LOGIN_COUNT] = {
        [LOGIN_APP] = "STACK_DATABASE_URL",
        [LOGIN_PLATFORM] = "STACK_PLATFORM_URL",
        [LOGIN_RELAY] = "STACK_RELAY_URL",
    };
    for (int login = 0; login < LOGIN_COUNT; login++) {
        char url[URL_SIZE];
        url_direct(url, urls[login], DATABASE);
        expect_rc(&rig.ctx, checked(url, (enum store_login)login), OK);
    }
}
END_TEST

/* URLs that were mixed up: the relay's login would read events of every tenant for the service. */
START_TEST(another_logins_url_is_refused)
{
    char url[URL_SIZE];
    url_direct(url, "STACK_RELAY_URL", DATABASE);
    ck_assert_int_eq(checked(url, LOGIN_APP), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, "it may SELECT on outbox"));
    url_direct(url, "STACK_DATABASE_URL", DATABASE);
    ck_assert_int_eq(checked(url, LOGIN_PLATFORM), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, "take away that it may SELECT on"));
    url_with(url, env("STACK_MIGRATE_URL"), 0, DATABASE);
    ck_assert_int_eq(checked(url, LOGIN_APP), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, "it owns tenant."));
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    ck_assert_int_eq(checked(url, LOGIN_APP), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, "it is a superuser"));
}
END_TEST

START_TEST(attributes_are_refused)
{
    static const struct excess cases[] = {
        {"ALTER ROLE " LOGIN " SUPERUSER", "ALTER ROLE " LOGIN " NOSUPERUSER", "it is a superuser"},
        {"ALTER ROLE " LOGIN " BYPASSRLS", "ALTER ROLE " LOGIN " NOBYPASSRLS", "it has BYPASSRLS"},
        {"ALTER ROLE " LOGIN " CREATEROLE", "ALTER ROLE " LOGIN " NOCREATEROLE", "it has CREATEROLE"},
        {"ALTER ROLE " LOGIN " REPLICATION", "ALTER ROLE " LOGIN " NOREPLICATION",
         "it has REPLICATION"},
    };
    expect_all_refused(cases, sizeof cases / sizeof cases[0]);
}
END_TEST

START_TEST(memberships_and_ownership_are_refused)
{
    static const struct excess cases[] = {
        {"GRANT tenant_owner TO " LOGIN, "REVOKE tenant_owner FROM " LOGIN,
         "it is a member of tenant_owner"},
        {"GRANT pg_read_all_data TO " LOGIN, "REVOKE pg_read_all_data FROM " LOGIN,
         "it is a member of pg_read_all_data"},
        {"CREATE ROLE it_store_passer BYPASSRLS; GRANT it_store_passer TO " LOGIN,
         "DROP ROLE it_store_passer", "it is a member of it_store_passer, which has BYPASSRLS"},
        {"ALTER TABLE tenant.outbox OWNER TO " LOGIN, "ALTER TABLE tenant.outbox OWNER TO tenant_owner",
         "it owns tenant.outbox"},
        {"CREATE VIEW tenant.look AS SELECT * FROM tenant.tenants; ALTER VIEW tenant.look OWNER TO " LOGIN,
         "DROP VIEW tenant.look", "it owns tenant.look"},
        {"GRANT CREATE ON SCHEMA tenant TO " LOGIN, "REVOKE CREATE ON SCHEMA tenant FROM " LOGIN,
         "it may create objects in schema tenant"},
        {"GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
         "it may create objects in schema public"},
    };
    expect_all_refused(cases, sizeof cases / sizeof cases[0]);
}
END_TEST

START_TEST(rights_on_tables_are_refused)
{
    static const struct excess cases[] = {
        {"GRANT TRUNCATE ON tenant.tenants TO " LOGIN, "REVOKE TRUNCATE ON tenant.tenants FROM " LOGIN,
         "it may TRUNCATE on tenants"},
        {"GRANT TRUNCATE ON tenant.outbox TO PUBLIC", "REVOKE TRUNCATE ON tenant.outbox FROM PUBLIC",
         "it may TRUNCATE on outbox"},
        {"GRANT REFERENCES ON tenant.tenants TO " LOGIN,
         "REVOKE REFERENCES ON tenant.tenants FROM " LOGIN, "it may REFERENCES on tenants"},
        {"GRANT TRIGGER ON tenant.tenant_audit TO " LOGIN,
         "REVOKE TRIGGER ON tenant.tenant_audit FROM " LOGIN, "it may TRIGGER on tenant_audit"},
        {"GRANT DELETE ON tenant.tenants TO " LOGIN, "REVOKE DELETE ON tenant.tenants FROM " LOGIN,
         "it may DELETE on tenants"},
        {"GRANT SELECT ON tenant.platform_audit TO " LOGIN,
         "REVOKE SELECT ON tenant.platform_audit FROM " LOGIN, "it may SELECT on platform_audit"},
        {"GRANT UPDATE ON tenant.relay_lease TO " LOGIN, "REVOKE UPDATE ON tenant.relay_lease FROM " LOGIN,
         "it may UPDATE on relay_lease"},
    };
    expect_all_refused(cases, sizeof cases / sizeof cases[0]);
}
END_TEST

/* What one login needs is too much for another. */
START_TEST(rights_are_the_logins_own)
{
    static const struct excess tenants = {"GRANT SELECT ON tenant.tenants TO " LOGIN,
                                          "REVOKE SELECT ON tenant.tenants FROM " LOGIN,
                                          "it may SELECT on tenants"};
    static const struct excess outbox = {"GRANT SELECT ON tenant.outbox TO " LOGIN,
                                         "REVOKE SELECT ON tenant.outbox FROM " LOGIN,
                                         "it may SELECT on outbox"};
    expect_refused(&tenants, LOGIN_RELAY);
    expect_refused(&outbox, LOGIN_APP);
    expect_refused(&outbox, LOGIN_PLATFORM);
    sql(root, "%s", tenants.give);
    expect_rc(&rig.ctx, scratch_checked(LOGIN_APP), OK);
    expect_rc(&rig.ctx, scratch_checked(LOGIN_PLATFORM), OK);
    sql(root, "%s", tenants.take);
    sql(root, "%s", outbox.give);
    expect_rc(&rig.ctx, scratch_checked(LOGIN_RELAY), OK);
    sql(root, "%s", outbox.take);
}
END_TEST

/* Rights that the migrations give to a login are what the check knows of it, no more and no less: table by
 * table from the catalog, so that a new table is tried by itself. */
static unsigned expect_grants_known(enum store_login login, const char *role)
{
    static const char *const rights[] = {"SELECT", "INSERT", "UPDATE", "DELETE"};
    PGresult *tables = PQexec(root, "SELECT relname FROM pg_class WHERE relnamespace = "
                                    "'tenant'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1");
    unsigned refused = 0;
    for (int i = 0; i < PQntuples(tables) * 4; i++) {
        const char *table = PQgetvalue(tables, i / 4, 0);
        const char *right = rights[i % 4];
        bool given = sql(root, "SELECT has_table_privilege('%s', 'tenant.%s', '%s')", role, table,
                         right)[0] == 't';
        sql(root, "GRANT %s ON tenant.%s TO " LOGIN, right, table);
        int rc = scratch_checked(login);
        ck_assert_msg(rc == (given ? OK : FAULT_CONFIG), "%s as %s: %s on %s gives %d", LOGIN, role,
                      right, table, rc);
        char words[160];
        snprintf(words, sizeof words, "it may %s on %s", right, table);
        ck_assert_msg(given || strstr(rig.ctx.fault.text, words) != NULL, "%s", rig.ctx.fault.text);
        sql(root, "REVOKE %s ON tenant.%s FROM " LOGIN, right, table);
        refused += !given;
    }
    PQclear(tables);
    return refused;
}

START_TEST(every_grant_beyond_the_migrations_is_refused)
{
    ck_assert_uint_gt(expect_grants_known(LOGIN_APP, "tenant_app"), 20);
    ck_assert_uint_gt(expect_grants_known(LOGIN_PLATFORM, "tenant_platform"), 30);
    ck_assert_uint_gt(expect_grants_known(LOGIN_RELAY, "tenant_relay"), 20);
}
END_TEST

#define OWN_ROWS "USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)"
#define POLICY                                                                                      \
    "CREATE POLICY tenant_only ON tenant.outbox AS RESTRICTIVE TO tenant_app, tenant_owner " OWN_ROWS \
    " WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)"
#define DROP_POLICY "DROP POLICY tenant_only ON tenant.outbox"

START_TEST(tables_without_their_policy_are_refused)
{
    static const char force[] = "row-level security is not forced on outbox";
    static const char policy[] = "there is no restrictive tenant policy on outbox";
    static const struct excess cases[] = {
        {"ALTER TABLE tenant.outbox NO FORCE ROW LEVEL SECURITY",
         "ALTER TABLE tenant.outbox FORCE ROW LEVEL SECURITY", force},
        {"ALTER TABLE tenant.outbox DISABLE ROW LEVEL SECURITY",
         "ALTER TABLE tenant.outbox ENABLE ROW LEVEL SECURITY", force},
        {DROP_POLICY, POLICY, policy},
        {"ALTER POLICY tenant_only ON tenant.outbox USING (true)",
         "ALTER POLICY tenant_only ON tenant.outbox " OWN_ROWS, policy},
        {"ALTER POLICY tenant_only ON tenant.outbox TO tenant_owner",
         "ALTER POLICY tenant_only ON tenant.outbox TO tenant_app, tenant_owner", policy},
        {DROP_POLICY "; CREATE POLICY tenant_only ON tenant.outbox AS RESTRICTIVE FOR SELECT TO "
                     "tenant_app " OWN_ROWS,
         DROP_POLICY "; " POLICY, policy},
        {DROP_POLICY "; CREATE POLICY tenant_only ON tenant.outbox TO tenant_app " OWN_ROWS,
         DROP_POLICY "; " POLICY, policy},
    };
    expect_all_refused(cases, sizeof cases / sizeof cases[0]);
}
END_TEST

/* A table that came later and was forgotten, as a whole or in a part. */
START_TEST(new_tables_are_held_to_the_rule)
{
    static const struct excess cases[] = {
        {"CREATE TABLE tenant.later (tenant_id uuid)", "DROP TABLE tenant.later",
         "row-level security is not forced on later"},
        {"CREATE TABLE tenant.later (tenant_id uuid); ALTER TABLE tenant.later ENABLE ROW LEVEL "
         "SECURITY, FORCE ROW LEVEL SECURITY",
         "DROP TABLE tenant.later", "there is no restrictive tenant policy on later"},
        {"CREATE TABLE tenant.outbox_days (LIKE tenant.outbox) PARTITION BY LIST (shard); ALTER TABLE "
         "tenant.outbox_days ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY "
         "tenant_only ON tenant.outbox_days AS RESTRICTIVE TO tenant_app " OWN_ROWS " WITH CHECK "
         "(tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid); CREATE TABLE "
         "tenant.outbox_day PARTITION OF tenant.outbox_days DEFAULT",
         "DROP TABLE tenant.outbox_days", "row-level security is not forced on outbox_day"},
        {"CREATE TABLE tenant.stray (id bigint)", "DROP TABLE tenant.stray",
         "table stray has no tenant column, and no comment that says why"},
        {"CREATE TABLE tenant.stray (id bigint); COMMENT ON TABLE tenant.stray IS 'Somebody''s notes'",
         "DROP TABLE tenant.stray", "table stray has no tenant column, and no comment that says why"},
    };
    expect_all_refused(cases, sizeof cases / sizeof cases[0]);
    sql(root, "CREATE TABLE tenant.stray (id bigint); COMMENT ON TABLE tenant.stray IS 'No tenant column: "
              "a list of holidays'");
    expect_rc(&rig.ctx, scratch_checked(LOGIN_APP), OK);
}
END_TEST

/* Everything at once: what fits is told, nothing is lost to the first. */
START_TEST(several_are_named_together)
{
    sql(root, "ALTER ROLE " LOGIN " CREATEROLE BYPASSRLS; GRANT TRUNCATE ON tenant.outbox TO " LOGIN);
    ck_assert_int_eq(scratch_checked(LOGIN_APP), FAULT_CONFIG);
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, "it has BYPASSRLS; it has CREATEROLE"));
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, "it may TRUNCATE on outbox"));
}
END_TEST

Suite *suite_store_roles_it(void);
Suite *suite_store_roles_it(void)
{
    Suite *suite = suite_create("store_roles");
    TCase *tests = tcase_create("roles");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_logins_of_the_service_have_nothing_too_many);
    tcase_add_test(tests, another_logins_url_is_refused);
    tcase_add_test(tests, attributes_are_refused);
    tcase_add_test(tests, memberships_and_ownership_are_refused);
    tcase_add_test(tests, rights_on_tables_are_refused);
    tcase_add_test(tests, rights_are_the_logins_own);
    tcase_add_test(tests, every_grant_beyond_the_migrations_is_refused);
    tcase_add_test(tests, tables_without_their_policy_are_refused);
    tcase_add_test(tests, new_tables_are_held_to_the_rule);
    tcase_add_test(tests, several_are_named_together);
    suite_add_tcase(suite, tests);
    return suite;
}
