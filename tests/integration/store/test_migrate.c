/* Migrations on databases of their own: once each, in order, all or nothing, whoever else migrates; and the
 * compensating scripts, rehearsed forward, back and forward again. */
#include "tests/integration/store/catalog.h"
#include "tests/integration/store/folder.h"

#include <pthread.h>
#include <stdatomic.h>

#define DATABASE "it_store_migrate"
#define LOCK_KEY "7307211900261123" /* of migrate.c */

static struct rig rig;
static PGconn *root; /* superuser in the database */
static struct history history;
static char url[URL_SIZE]; /* the migrator's */

static void setup(void)
{
    rig_open(&rig);
    history_read(&history);
    database_create(rig.root, DATABASE);
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    root = sql_open(url);
    url_with(url, env("STACK_MIGRATE_URL"), 0, DATABASE);
}

static void teardown(void)
{
    PQfinish(root);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

/* What a run told. */
struct told {
    int applied;
    int known;
    int last; /* version */
};

static void tell(void *owner, int version, const char *name, bool applied_now)
{
    struct told *told = owner;
    ck_assert_int_eq(version, told->last + 1);
    ck_assert_int_eq(version, (int)strtol(name, NULL, 10));
    told->last = version;
    told->applied += applied_now;
    told->known += !applied_now;
}

static int migrate(const char *folder, struct told *told)
{
    *told = (struct told){0};
    return migrate_run(&rig.ctx, url, folder, tell, told);
}

/* The first `count` migrations, all of them there in the end. */
static void migrate_to(int count)
{
    struct folder folder;
    struct told told;
    folder_make(&folder, &history, count);
    int rc = migrate(folder.path, &told);
    folder_remove(&folder);
    expect_rc(&rig.ctx, rc, OK);
    ck_assert_int_eq(told.last, count);
}

/* The record, with the times: nothing may touch what was written once. */
static const char *record(void)
{
    return arena_printf(rig.ctx.arena, "%s",
                        sql(root, "SELECT string_agg(m::text, E'\\n' ORDER BY version) FROM "
                                  "tenant.schema_migrations m"));
}

static void expect_fault(int rc, int expected, const char *words)
{
    expect_rc(&rig.ctx, rc, expected);
    ck_assert_msg(strstr(rig.ctx.fault.text, words) != NULL, "%s", rig.ctx.fault.text);
}

static long newest(void)
{
    return strtol(sql(root, "SELECT max(version) FROM tenant.schema_migrations"), NULL, 10);
}

/* --- once each ----------------------------------------------------------------------------------------- */

START_TEST(a_second_run_changes_nothing)
{
    struct told told;
    expect_rc(&rig.ctx, migrate("migrations", &told), OK);
    ck_assert_int_eq(told.applied, history.count);
    const char *records = record();
    const char *catalog = catalog_read(root, rig.ctx.arena);
    ck_assert_ptr_nonnull(strstr(catalog, "\npolicy tenants tenant_only RESTRICTIVE"));
    expect_rc(&rig.ctx, migrate("migrations", &told), OK);
    ck_assert_int_eq(told.applied, 0);
    ck_assert_int_eq(told.known, history.count);
    ck_assert_str_eq(record(), records);
    catalog_expect_same(catalog, catalog_read(root, rig.ctx.arena), "a second run");
}
END_TEST

START_TEST(a_later_run_applies_the_rest)
{
    struct told told;
    migrate_to(2);
    ck_assert_int_eq(newest(), 2);
    expect_rc(&rig.ctx, migrate("migrations", &told), OK);
    ck_assert_int_eq(told.known, 2);
    ck_assert_int_eq(told.applied, history.count - 2);
    ck_assert_str_eq(sql(root, "SELECT string_agg(DISTINCT applied_by, ' ') FROM "
                               "tenant.schema_migrations"),
                     "tenant_migrator");
    ck_assert_str_eq(sql(root, "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class "
                               "WHERE relnamespace = 'tenant'::regnamespace"),
                     "tenant_owner");
}
END_TEST

/* --- several at once -------------------------------------------------------------------------------------- */

struct migrator {
    pthread_t thread;
    int rc;
    struct told told;
    char fault[FAULT_TEXT_SIZE];
    atomic_bool ended;
};

static void *migrator_main(void *argument)
{
    struct migrator *migrator = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena_new(0));
    migrator->rc = migrate_run(&ctx, url, "migrations", tell, &migrator->told);
    memcpy(migrator->fault, ctx.fault.text, sizeof migrator->fault);
    arena_free(ctx.arena);
    migrator->ended = true;
    return NULL;
}

static void migrator_start(struct migrator *migrator)
{
    ck_assert_int_eq(pthread_create(&migrator->thread, NULL, migrator_main, migrator), 0);
}

#define MIGRATORS 4

START_TEST(migrators_at_once_apply_each_once)
{
    static struct migrator migrators[MIGRATORS];
    int applied = 0;
    for (int i = 0; i < MIGRATORS; i++)
        migrator_start(&migrators[i]);
    for (int i = 0; i < MIGRATORS; i++) {
        pthread_join(migrators[i].thread, NULL);
        ck_assert_msg(migrators[i].rc == OK, "%s", migrators[i].fault);
        ck_assert_int_eq(migrators[i].told.last, history.count);
        applied += migrators[i].told.applied;
    }
    ck_assert_int_eq(applied, history.count);
    ck_assert_int_eq(newest(), history.count);
}
END_TEST

/* Longer than the role's lock time-out of five seconds: the first may have a long migration. */
START_TEST(the_second_waits_for_the_first)
{
    static struct migrator second;
    sql(root, "SELECT pg_advisory_lock(" LOCK_KEY ")");
    migrator_start(&second);
    usleep(5500000);
    ck_assert(!second.ended);
    ck_assert_int_eq(sql_count(root, "pg_stat_activity WHERE usename = 'tenant_migrator' AND datname = '"
                                     DATABASE "' AND wait_event = 'advisory'"),
                     1);
    ck_assert_str_eq(sql(root, "SELECT to_regnamespace('tenant') IS NULL"), "t");
    sql(root, "SELECT pg_advisory_unlock(" LOCK_KEY ")");
    pthread_join(second.thread, NULL);
    ck_assert_msg(second.rc == OK, "%s", second.fault);
    ck_assert_int_eq(second.told.applied, history.count);
    /* its session ends a moment after the client has gone */
    for (int i = 0; i < 100 && sql_count(root, "pg_locks WHERE locktype = 'advisory'") > 0; i++)
        usleep(20000);
    ck_assert_int_eq(sql_count(root, "pg_locks WHERE locktype = 'advisory'"), 0);
}
END_TEST

START_TEST(a_pooled_connection_is_refused)
{
    struct told told;
    int rc = migrate_run(&rig.ctx, env("STACK_DATABASE_URL"), "migrations", tell, &told);
    expect_fault(rc, FAULT_CONFIG, "pooler");
}
END_TEST

/* --- what is refused ---------------------------------------------------------------------------------------- */

static const char later_name[] = "9998_later.sql";

/* The next file of the folder: its number follows the tree's. */
static const char *next_name(const char *name)
{
    return arena_printf(rig.ctx.arena, "%04d_%s.sql", history.count + 1, name);
}

START_TEST(a_changed_file_stops_everything)
{
    struct folder folder;
    struct told told;
    migrate_to(history.count);
    const char *records = record();
    folder_make(&folder, &history, history.count);
    folder_put(&folder, next_name("later"), "CREATE TABLE tenant.later (id bigint);");
    const char *text = file_read(rig.ctx.arena, "migrations/0002_tenants.sql");
    folder_put(&folder, "0002_tenants.sql", arena_printf(rig.ctx.arena, "%s ", text));
    expect_fault(migrate(folder.path, &told), FAULT_CONFIG, "0002_tenants.sql was changed after");
    ck_assert_str_eq(record(), records);
    ck_assert_str_eq(sql(root, "SELECT to_regclass('tenant.later') IS NULL"), "t");
    folder_put(&folder, "0002_tenants.sql", text);
    expect_rc(&rig.ctx, migrate(folder.path, &told), OK);
    ck_assert_int_eq(told.applied, 1);
    folder_remove(&folder);
}
END_TEST

START_TEST(a_gap_in_the_folder_is_refused_before_anything)
{
    struct folder folder;
    struct told told;
    folder_make(&folder, &history, history.count);
    folder_remove_file(&folder, history.names[1]);
    expect_fault(migrate(folder.path, &told), FAULT_CONFIG, "expected number 0002 here");
    ck_assert_str_eq(sql(root, "SELECT to_regnamespace('tenant') IS NULL"), "t");
    folder_put(&folder, history.names[1], "SELECT 1;");
    folder_put(&folder, "0002_another.sql", "SELECT 1;");
    expect_fault(migrate(folder.path, &told), FAULT_CONFIG, "expected number 0003 here");
    folder_remove_file(&folder, "0002_another.sql");
    folder_put(&folder, later_name, "SELECT 1;");
    expect_fault(migrate(folder.path, &told), FAULT_CONFIG, later_name);
    ck_assert_str_eq(sql(root, "SELECT to_regnamespace('tenant') IS NULL"), "t");
    folder_remove(&folder);
}
END_TEST

/* One of the middle was undone, the newer ones were not: nothing is applied behind their back. */
START_TEST(a_gap_in_the_record_is_refused)
{
    struct folder folder;
    struct told told;
    folder_make(&folder, &history, history.count);
    const char *middle = next_name("middle");
    folder_put(&folder, middle, "SELECT 1;");
    history.count++; /* only for the number */
    folder_put(&folder, next_name("newest"), "SELECT 1;");
    history.count--;
    expect_rc(&rig.ctx, migrate(folder.path, &told), OK);
    sql(root, "DELETE FROM tenant.schema_migrations WHERE version = %d", history.count + 1);
    const char *records = record();
    expect_fault(migrate(folder.path, &told), FAULT_CONFIG, middle);
    ck_assert_str_eq(record(), records);
    folder_remove(&folder);
}
END_TEST

START_TEST(a_migration_that_fails_leaves_nothing)
{
    struct folder folder;
    struct told told;
    folder_make(&folder, &history, history.count);
    const char *name = next_name("half");
    folder_put(&folder, name, "CREATE TABLE tenant.half (id bigint); SELECT 1 / 0;");
    int rc = migrate(folder.path, &told);
    expect_fault(rc, FAULT_INTERNAL, "division by zero");
    ck_assert_ptr_nonnull(strstr(rig.ctx.fault.text, name));
    ck_assert_int_eq(told.last, history.count); /* those before it stay */
    ck_assert_int_eq(newest(), history.count);
    ck_assert_str_eq(sql(root, "SELECT to_regclass('tenant.half') IS NULL"), "t");
    folder_put(&folder, name, "CREATE TABLE tenant.half (id bigint);");
    expect_rc(&rig.ctx, migrate(folder.path, &told), OK);
    ck_assert_int_eq(told.applied, 1);
    folder_remove(&folder);
}
END_TEST

START_TEST(a_migration_that_commits_is_refused)
{
    struct folder folder;
    struct told told;
    folder_make(&folder, &history, history.count);
    const char *name = next_name("commits");
    folder_put(&folder, name, "SELECT 1; COMMIT;");
    expect_fault(migrate(folder.path, &told), FAULT_CONFIG, "ends its transaction itself");
    ck_assert_int_eq(newest(), history.count);
    folder_remove(&folder);
}
END_TEST

/* --- versions that differ ------------------------------------------------------------------------------------- */

static int version_checked(const char *login_url, enum tx_mode mode)
{
    char direct[URL_SIZE];
    struct store *store = NULL;
    url_direct(direct, login_url, DATABASE);
    const struct store_settings settings = {.urls = {direct, NULL, direct}};
    ck_assert_int_eq(store_open(&rig.ctx, NULL, &settings, NULL, &store), OK);
    int rc = schema_version_check(store, &rig.ctx, mode);
    store_close(store);
    return rc;
}

START_TEST(a_newer_schema_is_accepted)
{
    struct told told;
    migrate_to(history.count);
    for (int i = 1; i <= 2; i++)
        sql(root, "INSERT INTO tenant.schema_migrations (version, name, checksum) VALUES (%d, "
                  "'later.sql', repeat('0', 64))", history.count + i);
    expect_rc(&rig.ctx, version_checked("STACK_DATABASE_URL", TX_CATALOG), OK);
    expect_rc(&rig.ctx, version_checked("STACK_RELAY_URL", TX_RELAY), OK);
    expect_rc(&rig.ctx, migrate("migrations", &told), OK);
    ck_assert_int_eq(told.applied, 0);
    ck_assert_int_eq(newest(), history.count + 2);
}
END_TEST

START_TEST(an_older_schema_is_refused)
{
    char words[64];
    ck_assert_int_ge(history.count, STORE_SCHEMA_VERSION);
    migrate_to(STORE_SCHEMA_VERSION - 1);
    snprintf(words, sizeof words, "has version %d, this program needs %d", STORE_SCHEMA_VERSION - 1,
             STORE_SCHEMA_VERSION);
    expect_fault(version_checked("STACK_DATABASE_URL", TX_CATALOG), FAULT_CONFIG, words);
    expect_fault(version_checked("STACK_RELAY_URL", TX_RELAY), FAULT_CONFIG, words);
    migrate_to(STORE_SCHEMA_VERSION);
    expect_rc(&rig.ctx, version_checked("STACK_DATABASE_URL", TX_CATALOG), OK);
}
END_TEST

/* --- and back -------------------------------------------------------------------------------------------------- */

/* Runs a migration's compensating script as an operator would, with the migrator's login. */
static void undo(int version)
{
    char path[256];
    snprintf(path, sizeof path, "migrations/compensate/%s", history.names[version - 1]);
    const char *script = file_read(rig.ctx.arena, path);
    ck_assert_msg(script != NULL, "%s is not there", path);
    PGconn *migrator = sql_open(url);
    PGresult *result = PQexec(migrator, script);
    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK,
                  "%s: %s", path, PQerrorMessage(migrator));
    PQclear(result);
    PQfinish(migrator);
}

/* Rows that migrations put into tables themselves. */
static const char *seeds(void)
{
    if (sql(root, "SELECT to_regnamespace('tenant') IS NULL")[0] == 't')
        return "";
    return arena_printf(rig.ctx.arena, "%s",
                        sql(root, "SELECT string_agg(c.relname || ' ' || query_to_xml('SELECT count(*) FROM "
                                  "tenant.' || quote_ident(c.relname), false, true, '')::text, '; ' ORDER "
                                  "BY c.relname) FROM pg_class c WHERE c.relnamespace = "
                                  "'tenant'::regnamespace AND c.relkind = 'r'"));
}

START_TEST(every_migration_can_be_taken_back)
{
    const char *before = catalog_read(root, rig.ctx.arena);
    const char *before_seeds = seeds();
    for (int version = 1; version <= history.count; version++) {
        const char *name = history.names[version - 1];
        migrate_to(version);
        const char *after = catalog_read(root, rig.ctx.arena);
        const char *after_seeds = seeds();
        ck_assert_msg(strcmp(before, after) != 0 || strcmp(before_seeds, after_seeds) != 0,
                      "%s changes nothing", name);
        undo(version);
        catalog_expect_same(before, catalog_read(root, rig.ctx.arena),
                            arena_printf(rig.ctx.arena, "undoing %s", name));
        ck_assert_str_eq(seeds(), before_seeds);
        migrate_to(version);
        catalog_expect_same(after, catalog_read(root, rig.ctx.arena),
                            arena_printf(rig.ctx.arena, "%s again", name));
        ck_assert_str_eq(seeds(), after_seeds);
        before = after;
        before_seeds = after_seeds;
    }
}
END_TEST

#define TENANTS_VERSION 2 /* the migration that made tenants */

static void tenants_create(int count)
{
    char direct[URL_SIZE];
    url_direct(direct, "STACK_DATABASE_URL", DATABASE);
    struct store *store = store_for(&rig.ctx, NULL, direct, NULL);
    for (int i = 0; i < count; i++) {
        struct tenant tenant = tenant_sample(rig.ctx.arena);
        expect_rc(&rig.ctx, create(store, &rig.ctx, &tenant), OK);
        expect_rc(&rig.ctx, rename_to(store, &rig.ctx, &tenant.id, "Renamed"), OK);
    }
    store_close(store);
}

/* With rows in the tables, from the newest to the first: tenants stay until their own table goes. */
START_TEST(a_database_in_use_can_be_taken_back)
{
    const char *catalogs[MIGRATIONS_MAX];
    catalogs[0] = catalog_read(root, rig.ctx.arena);
    for (int version = 1; version <= history.count; version++) {
        migrate_to(version);
        catalogs[version] = catalog_read(root, rig.ctx.arena);
    }
    tenants_create(3);
    for (int version = history.count; version > 0; version--) {
        undo(version);
        catalog_expect_same(catalogs[version - 1], catalog_read(root, rig.ctx.arena),
                            arena_printf(rig.ctx.arena, "undoing %d", version));
        if (version > TENANTS_VERSION)
            ck_assert_int_eq(sql_count(root, "tenant.tenants WHERE display_name = 'Renamed'"), 3);
    }
    migrate_to(history.count);
    catalog_expect_same(catalogs[history.count], catalog_read(root, rig.ctx.arena), "all again");
    tenants_create(1);
}
END_TEST

START_TEST(scripts_and_migrations_are_pairs)
{
    struct dirent **entries = NULL;
    int count = scandir("migrations/compensate", &entries, migration_is, alphasort);
    ck_assert_int_eq(count, history.count);
    for (int i = 0; i < count; i++) {
        ck_assert_str_eq(entries[i]->d_name, history.names[i]);
        free(entries[i]);
    }
    free(entries);
}
END_TEST

Suite *suite_store_migrate_it(void);
Suite *suite_store_migrate_it(void)
{
    Suite *suite = suite_create("store_migrate");
    TCase *tests = tcase_create("migrate");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_second_run_changes_nothing);
    tcase_add_test(tests, a_later_run_applies_the_rest);
    tcase_add_test(tests, migrators_at_once_apply_each_once);
    tcase_add_test(tests, the_second_waits_for_the_first);
    tcase_add_test(tests, a_pooled_connection_is_refused);
    tcase_add_test(tests, a_changed_file_stops_everything);
    tcase_add_test(tests, a_gap_in_the_folder_is_refused_before_anything);
    tcase_add_test(tests, a_gap_in_the_record_is_refused);
    tcase_add_test(tests, a_migration_that_fails_leaves_nothing);
    tcase_add_test(tests, a_migration_that_commits_is_refused);
    tcase_add_test(tests, a_newer_schema_is_accepted);
    tcase_add_test(tests, an_older_schema_is_refused);
    tcase_add_test(tests, every_migration_can_be_taken_back);
    tcase_add_test(tests, a_database_in_use_can_be_taken_back);
    tcase_add_test(tests, scripts_and_migrations_are_pairs);
    suite_add_tcase(suite, tests);
    return suite;
}
