/* A database of its own for tests of partitions: two tenants, rows at any time, and what the functions told. */
#ifndef TESTS_STORE_PARTITIONS_H
#define TESTS_STORE_PARTITIONS_H

#include "tests/integration/store/folder.h"

#include "gen/errors.h"
#include "store/partition_store.h"

#define DATABASE "it_store_partitions"
#define LOCK_KEY "7307211900261124" /* of the functions */

static struct rig rig;
static PGconn *root; /* superuser in the database */
static PGconn *relay;
static PGconn *app;
static struct store *store;
static const char *tenant; /* one with a row in `tenants` */
static const char *another;

static inline PGconn *open_as(const char *name)
{
    char url[URL_SIZE];
    url_direct(url, name, DATABASE);
    PGconn *pq = sql_open(url);
    sql(pq, "SET timezone = 'UTC'");
    return pq;
}

static inline void tenants_make(void)
{
    char url[URL_SIZE];
    url_direct(url, "STACK_DATABASE_URL", DATABASE);
    store = store_for(&rig.ctx, NULL, url, NULL);
    struct tenant first = tenant_sample(rig.ctx.arena);
    struct tenant second = tenant_sample(rig.ctx.arena);
    expect_rc(&rig.ctx, create(store, &rig.ctx, &first), OK);
    expect_rc(&rig.ctx, create(store, &rig.ctx, &second), OK);
    tenant = uuid_of(rig.ctx.arena, &first.id);
    another = uuid_of(rig.ctx.arena, &second.id);
}

static inline void empty_setup(void)
{
    rig_open(&rig);
    database_create(rig.root, DATABASE);
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    root = sql_open(url);
    sql(root, "SET timezone = 'UTC'");
}

static inline void setup(void)
{
    empty_setup();
    database_migrate(&rig.ctx, DATABASE);
    relay = open_as("STACK_RELAY_URL");
    app = open_as("STACK_DATABASE_URL");
    tenants_make();
}

static inline void empty_teardown(void)
{
    PQfinish(root);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

static inline void teardown(void)
{
    store_close(store);
    PQfinish(app);
    PQfinish(relay);
    empty_teardown();
}

/* --- rows and what the functions tell ---------------------------------------------------------------------- */

/* Sends `count` events at a time given as SQL, as the relay's login. */
static inline void send(const char *at, int count)
{
    sql(relay,
        "INSERT INTO tenant.outbox_sent (shard, id, tenant_id, seq, incarnation, msg_id, subject, payload, "
        "traceparent, created_at, sent_at, stream_seq) SELECT 1, n, '%s', n, 1, gen_random_uuid(), 's', 'p', "
        "'', now(), %s, n FROM generate_series(1, %d) n",
        tenant, at, count);
}

/* Audits at a time given as SQL, with the app's login. */
static inline void audit(const char *at, int count)
{
    sql(app,
        "BEGIN; SET LOCAL app.tenant_id = '%s'; INSERT INTO tenant.tenant_audit (tenant_id, id, at, actor, "
        "action, version) SELECT '%s', gen_random_uuid(), %s, 'a', 'tenant.update', n FROM "
        "generate_series(1, %d) n; COMMIT",
        tenant, tenant, at, count);
}

static inline struct partition_work work_of(const char *function, const char *table)
{
    bool makes = strcmp(function, "partitions_make") == 0;
    char first[16], second[16], failed[16], ahead[16];
    const char *row = sql(
        relay,
        "SELECT concat_ws(' ', %s, failed, %s, trouble) FROM tenant.%s() WHERE parent = '%s'",
        makes ? "made, moved" : "dropped, deleted", makes ? "days_ahead" : "0", function, table);
    int text = 0;
    ck_assert_int_eq(sscanf(row, "%15s %15s %15s %15s %n", first, second, failed, ahead, &text), 4);
    uint64_t one = strtoull(first, NULL, 10);
    uint64_t two = strtoull(second, NULL, 10);
    return (struct partition_work){
        .made = makes ? one : 0,
        .moved = makes ? two : 0,
        .dropped = makes ? 0 : one,
        .deleted = makes ? 0 : two,
        .failed = strtoull(failed, NULL, 10),
        .days_ahead = strtoull(ahead, NULL, 10),
        .trouble = arena_printf(rig.ctx.arena, "%s", row + text),
    };
}

static inline struct partition_work make(const char *table)
{
    return work_of("partitions_make", table);
}

static inline struct partition_work drop(const char *table)
{
    return work_of("partitions_drop", table);
}

static inline const char *name_of(const char *table, const char *at)
{
    bool daily = strcmp(table, "outbox_sent") == 0;
    return arena_printf(rig.ctx.arena, "%s",
                        sql(root, "SELECT '%s_' || to_char((%s) AT TIME ZONE 'UTC', '%s')", table,
                            at, daily ? "YYYYMMDD" : "YYYYMM"));
}

static inline long rows_in(const char *partition)
{
    return strtol(sql(root, "SELECT count(*) FROM tenant.%s", partition), NULL, 10);
}

static inline bool is_there(const char *partition)
{
    return sql(root, "SELECT to_regclass('tenant.%s') IS NOT NULL", partition)[0] == 't';
}

/* A day or a month, made by hand as an older run would have. */
static inline void partition_add(const char *table, const char *at)
{
    const char *name = name_of(table, at);
    const char *unit = strcmp(table, "outbox_sent") == 0 ? "day" : "month";
    const char *from =
        arena_printf(rig.ctx.arena, "%s", sql(root, "SELECT date_trunc('%s', %s)", unit, at));
    const char *to = arena_printf(
        rig.ctx.arena, "%s", sql(root, "SELECT '%s'::timestamptz + interval '1 %s'", from, unit));
    sql(root, "CREATE TABLE tenant.%s PARTITION OF tenant.%s FOR VALUES FROM ('%s') TO ('%s')",
        name, table, from, to);
    sql(root, "ALTER TABLE tenant.%s OWNER TO tenant_owner", name);
}

static inline void partitions_drop_all(const char *table)
{
    sql(root,
        "DO $$ DECLARE p regclass; BEGIN FOR p IN SELECT inhrelid FROM pg_inherits JOIN pg_class c ON c.oid = "
        "inhrelid WHERE inhparent = 'tenant.%s'::regclass AND pg_get_expr(relpartbound, c.oid) <> 'DEFAULT' "
        "LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$",
        table);
}

static inline void expect_refused(PGconn *pq, const char *state, const char *text)
{
    const char *got = sql_try(pq, NULL, 0, text);
    ck_assert_msg(strcmp(got, state) == 0, "%s: %s", text, got);
}

static inline int role_checked(enum store_login login, const char *name)
{
    char url[URL_SIZE];
    struct store *checked = NULL;
    url_direct(url, name, DATABASE);
    const struct store_settings settings = {.urls = {url, url, url}};
    ck_assert_int_eq(store_open(&rig.ctx, NULL, &settings, NULL, &checked), OK);
    int rc = role_check(checked, &rig.ctx, login, "url");
    store_close(checked);
    return rc;
}

#endif
