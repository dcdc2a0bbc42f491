/* Nobody gets past the parent: partitions by their own names, the functions, and the checks at start. */
#include "tests/integration/store/partitions.h"

/* --- who may what -------------------------------------------------------------------------------------------- */

START_TEST(the_functions_are_the_relays_alone)
{
    PGconn *platform = open_as("STACK_PLATFORM_URL");
    PGconn *others[] = {app, platform};
    for (size_t i = 0; i < 2; i++) {
        expect_refused(others[i], "42501", "SELECT * FROM tenant.partitions_make()");
        expect_refused(others[i], "42501", "SELECT * FROM tenant.partitions_drop()");
        expect_refused(others[i], "42501",
                       "UPDATE tenant.partition_retention SET keep_days = 1");
        expect_refused(others[i], "42501", "SELECT * FROM tenant.partition_retention");
    }
    expect_refused(relay, "42501", "UPDATE tenant.partition_retention SET keep_days = 1");
    expect_refused(relay, "42501", "SELECT * FROM tenant.partition_retention");
    expect_refused(relay, "42501", "DROP TABLE tenant.outbox_sent_default");
    PQfinish(platform);
    /* objects of the caller's own name cannot come between */
    ck_assert_str_eq(
        sql(root,
            "SELECT string_agg(DISTINCT proconfig[1], ', ') FROM pg_proc WHERE pronamespace = "
            "'tenant'::regnamespace AND prosecdef"),
        "search_path=pg_catalog, pg_temp");
}
END_TEST

/* Each partition by its own name: nobody but the owner has a right on it, and the owner sees one tenant. */
START_TEST(partitions_are_protected_themselves)
{
    PGconn *owner = open_as("STACK_MIGRATE_URL");
    PGconn *platform = open_as("STACK_PLATFORM_URL");
    PGconn *logins[] = {app, relay, platform};
    static const char *const attempts[] = {
        "SELECT 1 FROM tenant.%s",
        "INSERT INTO tenant.%s SELECT * FROM tenant.%s",
        "UPDATE tenant.%s SET tenant_id = tenant_id",
        "DELETE FROM tenant.%s",
        "TRUNCATE tenant.%s",
    };
    send("now()", 2);
    partitions_drop_all("tenant_audit"); /* and all new ones, with rows that were moved */
    audit("now()", 2);
    make("tenant_audit");
    long seen = 0;
    PGresult *names = PQexec(
        root, "SELECT relname FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND "
              "relispartition AND relkind = 'r'");
    ck_assert_int_eq(PQntuples(names), 16 + 8);
    for (int i = 0; i < PQntuples(names); i++) {
        const char *name = PQgetvalue(names, i, 0);
        for (size_t l = 0; l < 3; l++) {
            for (size_t a = 0; a < sizeof attempts / sizeof attempts[0]; a++) {
                char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(text, sizeof text, attempts[a], name, name);
#pragma GCC diagnostic pop
                expect_refused(logins[l], "42501", text);
            }
        }
        sql(owner, "SELECT set_config('app.tenant_id', '%s', false)", another);
        ck_assert_str_eq(
            sql(owner, "SELECT count(*) FROM tenant.%s WHERE tenant_id <> '%s'", name, another),
            "0");
        sql(owner, "SELECT set_config('app.tenant_id', '%s', false)", tenant);
        long own = strtol(sql(root, "SELECT count(*) FROM tenant.%s WHERE tenant_id = '%s'", name, tenant),
                          NULL, 10);
        ck_assert_int_eq(strtol(sql(owner, "SELECT count(*) FROM tenant.%s", name), NULL, 10), own);
        seen += own;
    }
    ck_assert_int_eq(seen, 2 + 2);
    PQclear(names);
    PQfinish(platform);
    PQfinish(owner);
}
END_TEST

/* What the parent has, each of its partitions has: policies word by word, forced security, keys, indexes. */
START_TEST(partitions_are_as_their_parent)
{
    ck_assert_int_eq(
        sql_count(
            root,
            "pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent "
            "WHERE p.relkind = 'p' AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND c.relowner = "
            "p.relowner AND c.relacl IS NULL AND (SELECT string_agg(concat_ws(' ', policyname, "
            "permissive, roles, cmd, qual, with_check), E'\\n' ORDER BY policyname) FROM pg_policies "
            "WHERE tablename = c.relname) = (SELECT string_agg(concat_ws(' ', policyname, permissive, "
            "roles, cmd, qual, with_check), E'\\n' ORDER BY policyname) FROM pg_policies WHERE "
            "tablename = p.relname) AND (SELECT count(*) FROM pg_index WHERE indrelid = c.oid AND "
            "indisvalid) = (SELECT count(*) FROM pg_index WHERE indrelid = p.oid))"),
        0);
    ck_assert_int_eq(
        sql_count(root,
                  "pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.contype = 'f' "
                  "AND c.relname LIKE 'tenant_audit%' AND k.convalidated"),
        1 + 8);
}
END_TEST

START_TEST(the_audit_is_append_only)
{
    const char *partition = name_of("tenant_audit", "now()");
    sql(app, "SELECT set_config('app.tenant_id', '%s', false)", tenant);
    expect_refused(app, "42501", "UPDATE tenant.tenant_audit SET actor = 'x'");
    expect_refused(app, "42501", "DELETE FROM tenant.tenant_audit");
    expect_refused(app, "42501", "TRUNCATE tenant.tenant_audit");
    expect_refused(app, "42501",
                   arena_printf(rig.ctx.arena, "DELETE FROM tenant.%s", partition));
    expect_refused(app, "42501",
                   arena_printf(rig.ctx.arena,
                                "ALTER TABLE tenant.tenant_audit DETACH PARTITION "
                                "tenant.%s",
                                partition));
    expect_refused(relay, "42501", "SELECT FROM tenant.tenant_audit");
    expect_refused(relay, "42501", "DELETE FROM tenant.tenant_audit");
    ck_assert_str_eq(sql(app, "SELECT count(*) FROM tenant.tenant_audit"), "1");
    ck_assert_str_eq(
        sql(app, "SELECT count(*) FROM tenant.tenant_audit WHERE tenant_id = '%s'", another),
        "0");
    expect_refused(
        app, "42501",
        arena_printf(rig.ctx.arena,
                     "INSERT INTO tenant.tenant_audit (tenant_id, id, at, actor, action, "
                     "version) VALUES ('%s', gen_random_uuid(), now(), 'a', 'x', 1)",
                     another));
}
END_TEST

/* The checks at start see what would open a partition or a function. */
START_TEST(the_checks_at_start_notice)
{
    const char *day = name_of("outbox_sent", "now()");
    const struct {
        const char *give;
        const char *take;
        const char *says;
    } cases[] = {
        {"GRANT SELECT ON tenant.%s TO tenant_app",
         "REVOKE SELECT ON tenant.%s FROM tenant_app", "it may SELECT on"},
        {"ALTER TABLE tenant.%s NO FORCE ROW LEVEL SECURITY",
         "ALTER TABLE tenant.%s FORCE ROW LEVEL SECURITY",
         "row-level security is not forced on"},
        {"GRANT EXECUTE ON FUNCTION tenant.partitions_drop() TO tenant_app",
         "REVOKE EXECUTE ON FUNCTION tenant.partitions_drop() FROM tenant_app",
         "it may execute partitions_drop"},
        {"GRANT EXECUTE ON FUNCTION tenant.partitions_make() TO PUBLIC",
         "REVOKE EXECUTE ON FUNCTION tenant.partitions_make() FROM PUBLIC",
         "everybody may execute partitions_make"},
        {"ALTER FUNCTION tenant.partitions_make() RESET search_path",
         "ALTER FUNCTION tenant.partitions_make() SET search_path = pg_catalog, pg_temp",
         "the search path of partitions_make is not fixed"},
        {"GRANT SELECT ON tenant.partition_retention TO tenant_app",
         "REVOKE SELECT ON tenant.partition_retention FROM tenant_app",
         "it may SELECT on partition_retention"},
    };
    expect_rc(&rig.ctx, role_checked(LOGIN_RELAY, "STACK_RELAY_URL"), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, cases[i].give, day);
        sql(root, "%s", text);
        int rc = role_checked(LOGIN_APP, "STACK_DATABASE_URL");
        ck_assert_msg(rc == FAULT_CONFIG && strstr(rig.ctx.fault.text, cases[i].says) != NULL,
                      "%s: %d %s", text, rc, rig.ctx.fault.text);
        snprintf(text, sizeof text, cases[i].take, day);
#pragma GCC diagnostic pop
        sql(root, "%s", text);
        expect_rc(&rig.ctx, role_checked(LOGIN_APP, "STACK_DATABASE_URL"), OK);
    }
}
END_TEST

Suite *suite_store_partition_rights_it(void);
Suite *suite_store_partition_rights_it(void)
{
    Suite *suite = suite_create("store_partition_rights");
    TCase *tests = tcase_create("rights");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_functions_are_the_relays_alone);
    tcase_add_test(tests, partitions_are_protected_themselves);
    tcase_add_test(tests, partitions_are_as_their_parent);
    tcase_add_test(tests, the_audit_is_append_only);
    tcase_add_test(tests, the_checks_at_start_notice);
    suite_add_tcase(suite, tests);
    return suite;
}
