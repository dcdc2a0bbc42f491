/* Tables in partitions by time: rows find theirs, partitions come ahead of time and go after their retention,
 * and nothing that goes wrong loses a row or holds up the traffic for long. */
#include "tests/integration/store/partitions.h"

#include <pthread.h>

#define BEFORE 5 /* the last migration without partitions */

/* --- where rows go ------------------------------------------------------------------------------------- */

START_TEST(rows_find_their_partition)
{
    send("now()", 3);
    send("now() + interval '2 days'", 2);
    audit("now()", 4);
    audit("now() + interval '2 months'", 1);
    ck_assert_int_eq(rows_in(name_of("outbox_sent", "now()")), 3);
    ck_assert_int_eq(rows_in(name_of("outbox_sent", "now() + interval '2 days'")), 2);
    ck_assert_int_eq(rows_in(name_of("tenant_audit", "now()")), 4 + 2); /* and two creations */
    ck_assert_int_eq(rows_in(name_of("tenant_audit", "now() + interval '2 months'")), 1);
    ck_assert_int_eq(rows_in("outbox_sent_default") + rows_in("tenant_audit_default"), 0);
    send("date_trunc('day', now()) + interval '1 day' - interval '1 microsecond'", 1);
    send("date_trunc('day', now()) + interval '1 day'", 1);
    ck_assert_int_eq(rows_in(name_of("outbox_sent", "now() + interval '1 day'")), 1);
}
END_TEST

/* Clocks that are wrong and months without upkeep: the row is taken, and found. */
START_TEST(no_insert_fails_for_want_of_a_partition)
{
    static const char *const times[] = {"'1970-01-02'::timestamptz",
                                        "now() - interval '40 days'",
                                        "now() + interval '40 years'"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        send(times[i], 1);
        audit(times[i], 1);
    }
    ck_assert_int_eq(rows_in("outbox_sent_default"), 3);
    ck_assert_int_eq(rows_in("tenant_audit_default"), 3);
    partitions_drop_all("outbox_sent");
    partitions_drop_all("tenant_audit");
    send("now()", 5);
    audit("now()", 5);
    ck_assert_int_eq(rows_in("outbox_sent"), 8);
    ck_assert_int_eq(rows_in("tenant_audit"), 8);
}
END_TEST

/* --- made ahead ------------------------------------------------------------------------------------------ */

START_TEST(what_is_missing_is_made)
{
    sql(root, "DROP TABLE tenant.%s", name_of("outbox_sent", "now() + interval '5 days'"));
    struct partition_work work = make("outbox_sent");
    ck_assert_uint_eq(work.made, 1);
    ck_assert_uint_eq(work.days_ahead, 14);
    ck_assert(is_there(name_of("outbox_sent", "now() + interval '5 days'")));
    partitions_drop_all("outbox_sent");
    partitions_drop_all("tenant_audit");
    sql(root, "DROP TABLE tenant.outbox_sent_default, tenant.tenant_audit_default");
    sql(root, "BEGIN");
    ck_assert_str_eq(
        sql(root, "SELECT string_agg(concat_ws(' ', parent, made, moved, failed), ', ') FROM "
                  "tenant.partitions_make()"),
        "outbox_sent 16 0 0, tenant_audit 8 0 0");
    sql(root, "ROLLBACK");
    ck_assert_uint_eq(make("outbox_sent").made, 16);
    struct partition_work again = make("tenant_audit");
    ck_assert_uint_eq(again.made, 0);
    ck_assert_uint_ge(again.days_ahead, 180);
    ck_assert_str_eq(again.trouble, "");
}
END_TEST

/* A gap shows: what lies behind it is no help. */
START_TEST(days_ahead_end_at_the_first_gap)
{
    sql(root, "DROP TABLE tenant.%s", name_of("outbox_sent", "now() + interval '5 days'"));
    sql(root, "SELECT pg_advisory_lock(" LOCK_KEY ")"); /* another relay makes them */
    struct partition_work work = make("outbox_sent");
    ck_assert_uint_eq(work.made + work.failed, 0);
    ck_assert_uint_eq(work.days_ahead, 4);
    sql(root, "DROP TABLE tenant.%s", name_of("outbox_sent", "now()"));
    ck_assert_uint_eq(make("outbox_sent").days_ahead, 0);
    sql(root, "SELECT pg_advisory_unlock(" LOCK_KEY ")");
    ck_assert_uint_eq(make("outbox_sent").made, 2);
}
END_TEST

/* The relay was away, or its upkeep failed, until the partitions ran out. */
START_TEST(rows_of_the_default_partition_move_into_a_new_one)
{
    partitions_drop_all("outbox_sent");
    partitions_drop_all("tenant_audit");
    send("now()", 100);
    send("now() + interval '1 day'", 10);
    send("now() - interval '1 day'", 7);
    audit("now()", 50);
    ck_assert_str_eq(
        sql(relay,
            "SELECT string_agg(concat_ws(' ', parent, made, moved, failed, trouble), ', ') "
            "FROM tenant.partitions_make()"),
        "outbox_sent 15 110 0 , tenant_audit 7 50 0 ");
    ck_assert_int_eq(rows_in(name_of("outbox_sent", "now()")), 100);
    ck_assert_int_eq(rows_in(name_of("outbox_sent", "now() + interval '1 day'")), 10);
    ck_assert_int_eq(rows_in("outbox_sent_default"), 7);
    ck_assert_int_eq(rows_in(name_of("tenant_audit", "now()")), 50);
    ck_assert_int_eq(rows_in("tenant_audit_default"), 0);
    ck_assert_int_eq(
        sql_count(root,
                  "pg_class WHERE relnamespace = 'tenant'::regnamespace AND relkind IN ('r', "
                  "'p') AND relispartition AND NOT (relrowsecurity AND relforcerowsecurity)"),
        0);
    ck_assert_int_eq(
        sql_count(root,
                  "tenant.tenant_audit a WHERE NOT EXISTS (SELECT FROM tenant.tenants t WHERE "
                  "t.id = a.tenant_id)"),
        0);
}
END_TEST

/* So many that moving them would hold up the traffic: they stay, and what comes after them is made. */
START_TEST(many_rows_of_the_default_partition_stay)
{
    partitions_drop_all("outbox_sent");
    send("now()", 10001);
    send("now() + interval '1 day'", 3);
    struct partition_work work = make("outbox_sent");
    ck_assert_uint_eq(work.made, 14);
    ck_assert_uint_eq(work.moved, 3);
    ck_assert_uint_eq(work.failed, 1);
    ck_assert_uint_eq(work.days_ahead, 0);
    ck_assert_ptr_nonnull(
        strstr(work.trouble, "more than 10000 rows lie in the default partition"));
    ck_assert_int_eq(rows_in("outbox_sent_default"), 10001);
    send("now()", 1);
    ck_assert_int_eq(rows_in("outbox_sent"), 10005);
    sql(root, "UPDATE tenant.outbox_sent_default SET sent_at = sent_at - interval '5 days'");
    ck_assert_uint_eq(drop("outbox_sent").deleted, 10000);
    ck_assert_uint_eq(drop("outbox_sent").deleted, 2);
    ck_assert_int_eq(rows_in("outbox_sent"), 3);
    ck_assert_uint_eq(make("outbox_sent").made, 1);
}
END_TEST

/* --- dropped ------------------------------------------------------------------------------------------------ */

START_TEST(old_partitions_go_and_younger_ones_stay)
{
    static const char *const kept[] = {"now() - interval '3 days'", "now() - interval '1 day'",
                                       "now()"};
    partition_add("outbox_sent", "now() - interval '9 days'");
    partition_add("outbox_sent", "now() - interval '4 days'");
    partition_add("outbox_sent", kept[0]);
    partition_add("outbox_sent", kept[1]);
    send("now() - interval '9 days'", 4);
    send("now() - interval '4 days'", 4);
    for (size_t i = 0; i < 3; i++)
        send(kept[i], 2);
    send("now() - interval '20 days'", 3); /* in the default partition */
    struct partition_work work = drop("outbox_sent");
    ck_assert_uint_eq(work.dropped, 2);
    ck_assert_uint_eq(work.deleted, 3);
    ck_assert_uint_eq(work.failed, 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(rows_in(name_of("outbox_sent", kept[i])), 2);
    ck_assert_int_eq(rows_in("outbox_sent"), 6);
    ck_assert_uint_eq(drop("outbox_sent").dropped, 0);
}
END_TEST

START_TEST(audit_stays_for_ever_unless_configured)
{
    partition_add("tenant_audit", "now() - interval '10 years'");
    partition_add("tenant_audit", "now() - interval '2 months'");
    audit("now() - interval '10 years'", 3);
    audit("now() - interval '2 months'", 3);
    audit("now() - interval '5 years'", 1);
    long all = rows_in("tenant_audit");
    struct partition_work work = drop("tenant_audit");
    ck_assert_uint_eq(work.dropped + work.deleted + work.failed, 0);
    ck_assert_int_eq(rows_in("tenant_audit"), all);
    sql(root,
        "UPDATE tenant.partition_retention SET keep_days = 90 WHERE parent = 'tenant_audit'");
    work = drop("tenant_audit");
    ck_assert_uint_eq(work.dropped, 1);
    ck_assert_uint_eq(work.deleted, 1);
    ck_assert_int_eq(rows_in("tenant_audit"), all - 4);
    sql(root,
        "DELETE FROM tenant.partition_retention"); /* without a word of it: nothing goes */
    partition_add("tenant_audit", "now() - interval '10 years'");
    partition_add("outbox_sent", "now() - interval '10 years'");
    ck_assert_uint_eq(drop("tenant_audit").dropped, 0);
    ck_assert_uint_eq(drop("outbox_sent").dropped, 0);
}
END_TEST

START_TEST(retention_has_a_floor)
{
    static const char *const refused[] = {
        "UPDATE tenant.partition_retention SET keep_days = 0 WHERE parent = 'outbox_sent'",
        "UPDATE tenant.partition_retention SET keep_days = -1 WHERE parent = 'outbox_sent'",
        "UPDATE tenant.partition_retention SET keep_days = NULL WHERE parent = 'outbox_sent'",
        "UPDATE tenant.partition_retention SET keep_days = 89 WHERE parent = 'tenant_audit'",
        "UPDATE tenant.partition_retention SET keep_days = 0 WHERE parent = 'tenant_audit'",
        "INSERT INTO tenant.partition_retention VALUES ('tenants', 1)",
    };
    PGconn *owner = open_as("STACK_MIGRATE_URL"); /* the one login that may write it */
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_refused(owner, "23514", refused[i]);
    sql(owner, "UPDATE tenant.partition_retention SET keep_days = 1 WHERE parent = 'outbox_sent'");
    sql(owner, "UPDATE tenant.partition_retention SET keep_days = 90 WHERE parent = 'tenant_audit'");
    PQfinish(owner);
}
END_TEST

/* --- several at once, and traffic ------------------------------------------------------------------------------ */

#define RELAYS 4
#define ROUNDS 20

struct rival {
    pthread_t thread;
    PGconn *pq;
    unsigned made;
    char wrong[256];
};

static void *rival_main(void *argument)
{
    struct rival *rival = argument;
    PGresult *result = PQexec(rival->pq,
                              "SELECT sum(made), sum(failed), string_agg(trouble, ' ') FROM "
                              "tenant.partitions_make()");
    if (PQresultStatus(result) != PGRES_TUPLES_OK || strcmp(PQgetvalue(result, 0, 1), "0") != 0)
        snprintf(rival->wrong, sizeof rival->wrong, "%s%s", PQerrorMessage(rival->pq),
                 PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 2) : "");
    else
        rival->made += (unsigned)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return NULL;
}

START_TEST(relays_at_once_make_each_once)
{
    struct rival rivals[RELAYS] = {0};
    for (int i = 0; i < RELAYS; i++)
        rivals[i].pq = open_as("STACK_RELAY_URL");
    for (int round = 0; round < ROUNDS; round++) {
        unsigned made = 0;
        partitions_drop_all("outbox_sent");
        send("now()", 5); /* in the way of today's */
        for (int i = 0; i < RELAYS; i++)
            ck_assert_int_eq(pthread_create(&rivals[i].thread, NULL, rival_main, &rivals[i]),
                             0);
        for (int i = 0; i < RELAYS; i++) {
            pthread_join(rivals[i].thread, NULL);
            ck_assert_str_eq(rivals[i].wrong, "");
            made += rivals[i].made;
            rivals[i].made = 0;
        }
        ck_assert_uint_eq(made, 15);
        ck_assert_int_eq(rows_in(name_of("outbox_sent", "now()")), 5);
    }
    for (int i = 0; i < RELAYS; i++)
        PQfinish(rivals[i].pq);
}
END_TEST

/* A long transaction has the table: the upkeep gives way within 200 ms, and with it all that queued behind. */
START_TEST(upkeep_gives_way_to_traffic)
{
    partition_add("outbox_sent", "now() - interval '9 days'");
    sql(root, "DROP TABLE tenant.%s", name_of("tenant_audit", "now() + interval '2 months'"));
    sql(relay, "BEGIN");
    sql(relay, "SELECT count(*) FROM tenant.outbox_sent");
    sql(app,
        "BEGIN; SET LOCAL app.tenant_id = '%s'; UPDATE tenant.tenants SET version = version + 1",
        tenant);
    PGconn *rival = open_as("STACK_RELAY_URL");
    uint64_t start = clock_now();
    const char *told = sql(rival, "SELECT string_agg(concat_ws(' ', parent, dropped, failed, trouble), ', ') "
                                  "FROM tenant.partitions_drop()");
    ck_assert_msg(strncmp(told, "outbox_sent 0 1 ", 16) == 0, "%s", told);
    ck_assert_ptr_nonnull(strstr(told, "canceling statement due to lock timeout, tenant_audit 0 0 "));
    ck_assert_str_eq(sql(rival,
                         "SELECT string_agg(concat_ws(' ', parent, made, failed), ', ') FROM "
                         "tenant.partitions_make()"),
                     "outbox_sent 0 0, tenant_audit 0 1");
    ck_assert_uint_lt(clock_now() - start, NS_PER_S);
    PQfinish(rival);
    sql(app, "COMMIT");
    sql(relay, "COMMIT");
    ck_assert_uint_eq(drop("outbox_sent").dropped, 1);
    ck_assert_uint_eq(make("tenant_audit").made, 1);
}
END_TEST

/* Writers go on while partitions come and go: every audit row is there, none waited long. */
struct writer {
    pthread_t thread;
    PGconn *pq;
    volatile bool stop;
    unsigned written;
    uint64_t longest_ns;
    char wrong[256];
};

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    char text[512];
    snprintf(
        text, sizeof text,
        "BEGIN; SET LOCAL app.tenant_id = '%s'; UPDATE tenant.tenants SET version = version + 1; "
        "INSERT INTO tenant.tenant_audit (tenant_id, id, at, actor, action, version) VALUES ('%s', "
        "gen_random_uuid(), clock_timestamp(), 'a', 'under load', 1); COMMIT",
        tenant, tenant);
    while (!writer->stop && writer->wrong[0] == '\0') {
        uint64_t start = clock_now();
        PGresult *result = PQexec(writer->pq, text);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            snprintf(writer->wrong, sizeof writer->wrong, "%s", PQerrorMessage(writer->pq));
        PQclear(result);
        uint64_t took = clock_now() - start;
        writer->longest_ns = took > writer->longest_ns ? took : writer->longest_ns;
        writer->written++;
    }
    return NULL;
}

static void writers_start(struct writer *writers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        writers[i].pq = open_as("STACK_DATABASE_URL");
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]), 0);
    }
}

/* What they wrote is there. */
static void writers_end(struct writer *writers, size_t count)
{
    unsigned written = 0;
    for (size_t i = 0; i < count; i++) {
        writers[i].stop = true;
        pthread_join(writers[i].thread, NULL);
        PQfinish(writers[i].pq);
        ck_assert_str_eq(writers[i].wrong, "");
        ck_assert_uint_lt(writers[i].longest_ns, 2 * NS_PER_S);
        written += writers[i].written;
    }
    ck_assert_uint_gt(written, ROUNDS);
    ck_assert_int_eq(sql_count(root, "tenant.tenant_audit WHERE action = 'under load'"), written);
}

static struct partition_work make_in_the_end(const char *table)
{
    struct partition_work work = make(table);
    for (int i = 0; i < 10 && work.made == 0; i++) {
        ck_assert_ptr_nonnull(strstr(work.trouble, "lock timeout"));
        work = make(table);
    }
    ck_assert_uint_eq(work.made, 1);
    return work;
}

START_TEST(writers_go_on_meanwhile)
{
    struct writer writers[3] = {0};
    writers_start(writers, 3);
    for (int round = 0; round < ROUNDS; round++) {
        sql(root, "DROP TABLE tenant.%s", name_of("tenant_audit", "now() + interval '2 months'"));
        make_in_the_end("tenant_audit");
    }
    writers_end(writers, 3);
}
END_TEST

/* The present month was missing: its rows are on their way to the default partition when it is made. */
START_TEST(writers_meet_the_partition_that_was_missing)
{
    struct writer writers[3] = {0};
    const char *month = name_of("tenant_audit", "now()");
    uint64_t moved = 0;
    writers_start(writers, 3);
    for (int round = 0; round < ROUNDS; round++) {
        sql(root, "BEGIN; LOCK TABLE tenant.tenants IN SHARE ROW EXCLUSIVE MODE; ALTER TABLE tenant.tenant_audit "
                  "DETACH PARTITION tenant.%s; INSERT INTO tenant.tenant_audit SELECT * FROM tenant.%s; DROP TABLE "
                  "tenant.%s; COMMIT",
            month, month, month);
        moved += make_in_the_end("tenant_audit").moved;
    }
    writers_end(writers, 3);
    ck_assert_uint_gt(moved, ROUNDS);
    ck_assert_int_eq(rows_in("tenant_audit_default"), 0);
}
END_TEST

/* --- an older database ---------------------------------------------------------------------------------------- */

#define FINGERPRINTS                                                                               \
    "SELECT (SELECT count(*) || ' ' || md5(string_agg(s::text, E'\\n' ORDER BY s.id)) FROM "       \
    "tenant.outbox_sent s) || ' ' || (SELECT count(*) || ' ' || md5(string_agg(a::text, E'\\n' "   \
    "ORDER BY a.id)) FROM tenant.tenant_audit a)"

static void migrate_to(int count)
{
    struct history history;
    struct folder folder;
    char url[URL_SIZE];
    history_read(&history);
    folder_make(&folder, &history, count);
    url_with(url, env("STACK_MIGRATE_URL"), 0, DATABASE);
    int rc = migrate_run(&rig.ctx, url, folder.path, not_told, NULL);
    folder_remove(&folder);
    expect_rc(&rig.ctx, rc, OK);
}

START_TEST(rows_survive_the_migration_and_the_way_back)
{
    static const char *const times[] = {"now()",
                                        "now() - interval '2 days'",
                                        "now() - interval '400 days'",
                                        "now() + interval '3 days'",
                                        "now() + interval '40 days'",
                                        "now() + interval '9 years'"};
    migrate_to(BEFORE);
    relay = open_as("STACK_RELAY_URL");
    app = open_as("STACK_DATABASE_URL");
    tenants_make();
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        send(times[i], 50);
        audit(times[i], 50);
    }
    const char *before = arena_printf(rig.ctx.arena, "%s", sql(root, FINGERPRINTS));
    migrate_to(BEFORE + 1);
    ck_assert_str_eq(sql(root, FINGERPRINTS), before);
    ck_assert_int_eq(rows_in("outbox_sent_before"), 150);
    ck_assert_int_eq(rows_in(name_of("outbox_sent", times[3])), 50);
    ck_assert_int_eq(rows_in("outbox_sent_default"), 100);
    ck_assert_int_eq(rows_in("tenant_audit_default"), 50);
    ck_assert_int_eq(rows_in(name_of("tenant_audit", times[4])), 50);
    sql(app, "SELECT set_config('app.tenant_id', '%s', false)", tenant);
    ck_assert_str_eq(sql(app, "SELECT count(*) FROM tenant.tenant_audit"), "301");
    expect_rc(&rig.ctx, role_checked(LOGIN_APP, "STACK_DATABASE_URL"), OK);
    expect_rc(&rig.ctx, role_checked(LOGIN_RELAY, "STACK_RELAY_URL"), OK);
    char url[URL_SIZE];
    url_with(url, env("STACK_MIGRATE_URL"), 0, DATABASE);
    PGconn *migrator = sql_open(url);
    const char *script = file_read(rig.ctx.arena, "migrations/compensate/0006_partitions.sql");
    ck_assert_str_eq(sql_try(migrator, NULL, 0, script), "00000");
    PQfinish(migrator);
    ck_assert_str_eq(sql(root, FINGERPRINTS), before);
    migrate_to(BEFORE + 1);
    ck_assert_str_eq(sql(root, FINGERPRINTS), before);
    store_close(store);
    PQfinish(app);
    PQfinish(relay);
}
END_TEST

Suite *suite_store_partitions_it(void);
Suite *suite_store_partitions_it(void)
{
    Suite *suite = suite_create("store_partitions");
    TCase *tests = tcase_create("partitions");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, rows_find_their_partition);
    tcase_add_test(tests, no_insert_fails_for_want_of_a_partition);
    tcase_add_test(tests, what_is_missing_is_made);
    tcase_add_test(tests, days_ahead_end_at_the_first_gap);
    tcase_add_test(tests, rows_of_the_default_partition_move_into_a_new_one);
    tcase_add_test(tests, many_rows_of_the_default_partition_stay);
    tcase_add_test(tests, old_partitions_go_and_younger_ones_stay);
    tcase_add_test(tests, audit_stays_for_ever_unless_configured);
    tcase_add_test(tests, retention_has_a_floor);
    tcase_add_test(tests, relays_at_once_make_each_once);
    tcase_add_test(tests, upkeep_gives_way_to_traffic);
    tcase_add_test(tests, writers_go_on_meanwhile);
    tcase_add_test(tests, writers_meet_the_partition_that_was_missing);
    suite_add_tcase(suite, tests);
    TCase *older = tcase_create("older");
    tcase_add_checked_fixture(older, empty_setup, empty_teardown);
    tcase_set_timeout(older, 60);
    tcase_add_test(older, rows_survive_the_migration_and_the_way_back);
    suite_add_tcase(suite, older);
    return suite;
}
