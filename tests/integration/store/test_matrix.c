/* Row-level security as a matrix made from the catalog: every table × operation × setting of the tenant,
 * in a database of its own.  Then each policy and flag is taken away in turn: the matrix must notice. */
#include "rig.h"

#define DATABASE "it_store_matrix"

static struct rig rig;
static PGconn *root;     /* superuser in the database */
static PGconn *app;
static PGconn *owner;    /* the migrator, as owner */
static PGconn *relay;
static PGconn *platform;
static struct store *store; /* the app login, for the checks at start */
static const char *a;
static const char *b;

struct findings {
    unsigned count;
    unsigned cells;
    char first[256];
};

struct table {
    char name[64];
    char key[64];    /* the tenant column */
    char column[64]; /* one that app may update; "" when none */
    bool select;
    bool insert;
    bool delete;
};

static void finding(struct findings *findings, bool right, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void finding(struct findings *findings, bool right, const char *format, ...)
{
    findings->cells++;
    if (right || findings->count++ > 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(findings->first, sizeof findings->first, format, arguments);
    va_end(arguments);
}

static PGconn *open_as(const char *name)
{
    char url[URL_SIZE];
    url_direct(url, name, DATABASE);
    return sql_open(url);
}

static void seed(const struct tenant *tenant)
{
    expect_rc(&rig.ctx, create(store, &rig.ctx, tenant), OK);
    const char *id = uuid_of(rig.ctx.arena, &tenant->id);
    sql(root,
        "INSERT INTO tenant.outbox_sent SELECT shard, id, tenant_id, seq, incarnation, msg_id, "
        "subject, payload, traceparent, created_at, now(), 1 FROM tenant.outbox WHERE tenant_id = '%s'",
        id);
    sql(root, "INSERT INTO tenant.outbox_dead (shard, id, tenant_id, seq, incarnation, epoch, msg_id, subject, "
              "payload, traceparent, created_at, cause) SELECT shard, id, tenant_id, seq, incarnation, 1, "
              "msg_id, subject, payload, traceparent, created_at, 'TOO_LARGE' FROM tenant.outbox WHERE "
              "tenant_id = '%s'", id);
    sql(root, "INSERT INTO tenant.rewound (tenant_id, incarnation, shard, previous_incarnation, lost_from, lost_to) "
              "VALUES ('%s', 2, 0, 1, 2, 3)", id);
    sql(root, "INSERT INTO tenant.authz_epoch (tenant_id, incarnation, epoch) VALUES ('%s', 1, 1) "
              "ON CONFLICT DO NOTHING", id);
    sql(root, "INSERT INTO tenant.slug_reservations (home_region, slug, tenant_id) VALUES ('eu', '%s', "
              "'%s') ON CONFLICT DO NOTHING", tenant->slug, id);
}

/* Events of other services: one that was applied, one that waits, and what they said. */
static void seed_inbox(const char *id, const char *age)
{
    sql(root, "INSERT INTO tenant.inbox (tenant_id, consumer, event_id, received_at) VALUES ('%s', 'c', 'e', now() - "
              "interval '%s')", id, age);
    sql(root, "INSERT INTO tenant.inbox_parked (tenant_id, consumer, event_id, subject, body, stream, stream_seq, due_at) "
              "VALUES ('%s', 'c', 'e', 's', '', 'S', 1, now())", id);
    sql(root, "INSERT INTO tenant.subscription (tenant_id, subscription_id, state, is_ended, state_mark, began_at) VALUES "
              "('%s', 's', 'active', false, 'm', now())", id);
}

/* The answers of a write: kept, or to be deleted by the relay. */
static void seed_answers(const char *id, const char *expiry)
{
    sql(root, "INSERT INTO tenant.idempotency (tenant_id, principal, method, key, fingerprint, reply, "
              "incarnation, seq, epoch, expires_at) VALUES ('%s', 'p', 'm', 'k', sha256('x'), '', 1, 1, "
              "1, now() + '%s')", id, expiry);
    sql(root, "INSERT INTO tenant.platform_idempotency (principal, method, key, fingerprint, made, "
              "expires_at) VALUES ('p', 'm', '%s', sha256('x'), '%s', now() + '%s')", id, id, expiry);
}

static void setup(void)
{
    rig_open(&rig);
    database_create(rig.root, DATABASE);
    database_migrate(&rig.ctx, DATABASE);
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    root = sql_open(url);
    app = open_as("STACK_DATABASE_URL");
    owner = open_as("STACK_MIGRATE_URL");
    relay = open_as("STACK_RELAY_URL");
    platform = open_as("STACK_PLATFORM_URL");
    url_direct(url, "STACK_DATABASE_URL", DATABASE);
    store = store_for(&rig.ctx, NULL, url, NULL);
    struct tenant first = tenant_sample(rig.ctx.arena);
    struct tenant second = tenant_sample(rig.ctx.arena);
    seed(&first);
    seed(&second);
    a = uuid_of(rig.ctx.arena, &first.id);
    b = uuid_of(rig.ctx.arena, &second.id);
    seed_answers(a, "1 hour");
    seed_answers(b, "-1 hour");
    seed_inbox(a, "39 days");
    seed_inbox(b, "41 days");
}

static void teardown(void)
{
    store_close(store);
    PQfinish(platform);
    PQfinish(relay);
    PQfinish(owner);
    PQfinish(app);
    PQfinish(root);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

/* The tables with a tenant column, from the catalog: a new one is in the matrix by itself.  Partitions bear no
 * rights and have a test of their own. */
static size_t tables_read(struct table *tables, size_t room)
{
    PGresult *result = PQexec(
        root,
        "SELECT c.relname, CASE WHEN c.relname = 'tenants' THEN 'id' ELSE 'tenant_id' END, "
        "coalesce((SELECT min(attname) FROM pg_attribute u WHERE u.attrelid = c.oid AND u.attnum > 0 "
        "AND has_column_privilege('tenant_app', c.oid, u.attnum, 'UPDATE')), ''), "
        "has_table_privilege('tenant_app', c.oid, 'SELECT'), "
        "has_table_privilege('tenant_app', c.oid, 'INSERT'), "
        "has_table_privilege('tenant_app', c.oid, 'DELETE') "
        "FROM pg_class c WHERE c.relnamespace = 'tenant'::regnamespace AND c.relkind IN ('r', 'p') AND "
        "NOT c.relispartition AND (c.relname = 'tenants' OR EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = c.oid AND "
        "t.attname = 'tenant_id')) ORDER BY 1");
    size_t count = (size_t)PQntuples(result);
    ck_assert_uint_le(count, room);
    for (size_t i = 0; i < count; i++) {
        struct table *table = &tables[i];
        snprintf(table->name, sizeof table->name, "%s", PQgetvalue(result, (int)i, 0));
        snprintf(table->key, sizeof table->key, "%s", PQgetvalue(result, (int)i, 1));
        snprintf(table->column, sizeof table->column, "%s", PQgetvalue(result, (int)i, 2));
        table->select = PQgetvalue(result, (int)i, 3)[0] == 't';
        table->insert = PQgetvalue(result, (int)i, 4)[0] == 't';
        table->delete = PQgetvalue(result, (int)i, 5)[0] == 't';
    }
    PQclear(result);
    return count;
}

struct attempt {
    char state[6];
    long rows;
};

/* One statement in a transaction with this tenant (NULL: never set), rolled back. */
static struct attempt attempt(PGconn *pq, const char *tenant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static struct attempt attempt(PGconn *pq, const char *tenant, const char *format, ...)
{
    char text[16384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sql(pq, "BEGIN");
    if (tenant != NULL)
        sql(pq, "SELECT set_config('app.tenant_id', '%s', true)", tenant);
    PGresult *result = PQexec(pq, text);
    const char *error = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    struct attempt made = {.state = "00000"};
    if (error != NULL)
        snprintf(made.state, sizeof made.state, "%s", error);
    made.rows = PQntuples(result) > 0 ? PQntuples(result) : strtol(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    sql(pq, "ROLLBACK");
    return made;
}

/* Which settings there are: what is the tenant, and what may be reached with it. */
static const char *const setting_names[] = {"own", "other", "none", "empty", "malformed"};
#define SETTINGS 5

static const char *setting_value(size_t setting)
{
    const char *values[SETTINGS] = {a, b, NULL, "", "not-a-uuid"};
    return values[setting];
}

static bool is(const struct attempt *made, const char *state)
{
    return strcmp(made->state, state) == 0;
}

/* A malformed tenant may end the statement before the missing right does. */
static bool is_refused(const struct attempt *made, size_t setting)
{
    return is(made, "42501") || (setting == 4 && is(made, "22P02"));
}

/* Rows of tenant A under this setting: reached, out of reach, or an error for the malformed one. */
static void expect_rows(struct findings *findings, const struct table *table, size_t setting,
                        const char *what, struct attempt made)
{
    bool right = setting == 0   ? is(&made, "00000") && made.rows > 0
                 : setting == 4 ? is(&made, "22P02")
                                : is(&made, "00000") && made.rows == 0;
    finding(findings, right, "%s %s as %s: %s, %ld rows", what, table->name, setting_names[setting],
            made.state, made.rows);
}

static void try_insert(struct findings *findings, const struct table *table, size_t setting)
{
    char columns[1024];
    snprintf(columns, sizeof columns, "%s",
             sql(root, "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE "
                       "attrelid = 'tenant.%s'::regclass AND attnum > 0 AND NOT attisdropped",
                 table->name));
    char json[8192];
    snprintf(json, sizeof json, "%s",
             sql(root, "SELECT quote_literal(to_jsonb(t)::text) FROM tenant.%s t WHERE %s = '%s'",
                 table->name, table->key, a));
    static const char *const endings[] = {"", "ON CONFLICT DO NOTHING"};
    for (size_t i = 0; i < 2; i++) {
        struct attempt made =
            attempt(app, setting_value(setting),
                    "INSERT INTO tenant.%s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM "
                    "jsonb_populate_record(NULL::tenant.%s, %s::jsonb) %s",
                    table->name, columns, columns, table->name, json, endings[i]);
        /* the row is there already: a broken unique constraint shows that the policy let it through */
        bool passed = is(&made, "00000") || strncmp(made.state, "23", 2) == 0;
        bool right = !table->insert ? is_refused(&made, setting)
                     : setting == 0 ? passed
                     : setting == 4 ? is(&made, "22P02")
                                    : is(&made, "42501");
        finding(findings, right, "INSERT %s %s as %s: %s", table->name, endings[i],
                setting_names[setting], made.state);
    }
}

static void try_writes(struct findings *findings, const struct table *table, size_t setting)
{
    const char *value = setting_value(setting);
    struct attempt removed = attempt(app, value, "DELETE FROM tenant.%s", table->name);
    if (table->delete && (setting == 0 || setting == 4))
        expect_rows(findings, table, setting, "DELETE", removed);
    else if (table->delete) /* the other tenant's own */
        finding(findings, is(&removed, "00000") && removed.rows == (setting == 1), "DELETE %s as %s: %s",
                table->name, setting_names[setting], removed.state);
    else
        finding(findings, is_refused(&removed, setting), "DELETE %s as %s: %s", table->name,
                setting_names[setting], removed.state);
    struct attempt emptied = attempt(app, value, "TRUNCATE tenant.%s CASCADE", table->name);
    finding(findings, is(&emptied, "42501"), "TRUNCATE %s: %s", table->name, emptied.state);
    struct attempt moved = attempt(app, value, "UPDATE tenant.%s SET %s = '%s' WHERE %s = '%s'",
                                   table->name, table->key, b, table->key, a);
    bool out_of_reach = setting != 0 && is(&moved, "00000") && moved.rows == 0;
    finding(findings, is_refused(&moved, setting) || out_of_reach, "moving %s to another tenant: %s",
            table->name, moved.state);
    if (table->column[0] != '\0')
        expect_rows(findings, table, setting, "UPDATE",
                    attempt(app, value, "UPDATE tenant.%s SET %s = %s WHERE %s = '%s'", table->name,
                            table->column, table->column, table->key, a));
}

/* The owner, who runs backfills, is held to the policy as well. */
static void try_owner(struct findings *findings, const struct table *table, size_t setting)
{
    const char *value = setting_value(setting);
    expect_rows(findings, table, setting, "owner's SELECT",
                attempt(owner, value, "SELECT 1 FROM tenant.%s WHERE %s = '%s'", table->name,
                        table->key, a));
    if (setting == 0) {
        struct attempt moved = attempt(owner, value, "UPDATE tenant.%s SET %s = '%s'", table->name,
                                       table->key, b);
        finding(findings, is(&moved, "42501"), "owner moving %s: %s", table->name, moved.state);
    }
}

static void expect_seen(struct findings *findings, PGconn *pq, const char *rows, long count)
{
    struct attempt seen = attempt(pq, NULL, "SELECT 1 FROM tenant.%s", rows);
    finding(findings, is(&seen, "00000") && seen.rows == count, "%s has %s: %s, %ld rows", PQuser(pq),
            rows, seen.state, seen.rows);
}

static void expect_deleted(struct findings *findings, const char *table, long count)
{
    struct attempt deleted = attempt(relay, NULL, "DELETE FROM tenant.%s", table);
    finding(findings, is(&deleted, "00000") && deleted.rows == count, "relay deletes from %s: %s, %ld",
            table, deleted.state, deleted.rows);
}

/* One command of the relay's in a transaction that is rolled back. */
static void expect_done(struct findings *findings, long count, const char *command)
{
    struct attempt done = attempt(relay, NULL, "%s", command);
    finding(findings, is(&done, "00000") && done.rows == count, "%s: %s, %ld rows", command, done.state,
            done.rows);
}

/* Each of its policies at work, and where it ends. */
static void try_relay(struct findings *findings)
{
    expect_done(findings, 1, "INSERT INTO tenant.outbox_dead (shard, id, tenant_id, seq, incarnation, epoch, "
                             "msg_id, subject, payload, traceparent, created_at, cause) SELECT shard, id + "
                             "1000000, tenant_id, seq, incarnation, epoch, msg_id, subject, payload, "
                             "traceparent, created_at, 'TOO_LARGE' FROM tenant.outbox LIMIT 1");
    expect_done(findings, 2, "UPDATE tenant.outbox_dead SET lettered_at = now()");
    expect_done(findings, 0, "DELETE FROM tenant.outbox_dead");
    sql(root, "UPDATE tenant.outbox_dead SET lettered_at = now() - interval '91 days'");
    expect_done(findings, 0, "UPDATE tenant.outbox_dead SET lettered_at = NULL");
    expect_done(findings, 2, "DELETE FROM tenant.outbox_dead");
    sql(root, "UPDATE tenant.outbox_dead SET lettered_at = NULL");
    expect_done(findings, 1, "INSERT INTO tenant.rewound (tenant_id, incarnation, shard, previous_incarnation, "
                             "lost_from, lost_to) SELECT tenant_id, 9, 0, 1, 1, 1 FROM tenant.outbox LIMIT 1");
    expect_done(findings, 2, "UPDATE tenant.rewound SET announced_at = now()");
    sql(root, "UPDATE tenant.rewound SET announced_at = now()");
    expect_done(findings, 0, "UPDATE tenant.rewound SET lost_to = lost_to + 1");
    sql(root, "UPDATE tenant.rewound SET announced_at = NULL");
    expect_done(findings, 2, "UPDATE tenant.outbox SET seq = seq, incarnation = incarnation, epoch = epoch, "
                             "subject = subject, payload = payload");
    expect_done(findings, 2, "UPDATE tenant.outbox_sent SET stream_seq = stream_seq");
    expect_done(findings, 2, "UPDATE tenant.tenant_seq SET seq = seq, incarnation = incarnation");
    expect_done(findings, 2, "UPDATE tenant.authz_epoch SET epoch = epoch, incarnation = incarnation");
    expect_done(findings, 1, "UPDATE tenant.installation SET incarnation = incarnation");
    expect_done(findings, 2, "UPDATE tenant.inbox_parked SET attempts = attempts + 1, due_at = now()");
    expect_done(findings, 2, "DELETE FROM tenant.inbox_parked");
    expect_done(findings, 1, "DELETE FROM tenant.inbox");
    static const char *const refused[] = {
        "UPDATE tenant.outbox SET tenant_id = tenant_id", "UPDATE tenant.outbox_dead SET payload = ''",
        "UPDATE tenant.tenant_seq SET tenant_id = tenant_id", "DELETE FROM tenant.tenant_seq",
        "INSERT INTO tenant.tenant_seq VALUES (gen_random_uuid(), 1, 1)", "DELETE FROM tenant.authz_epoch",
        "UPDATE tenant.rewound SET applied_at = now()", "DELETE FROM tenant.rewound",
        "DELETE FROM tenant.installation", "UPDATE tenant.outbox_sent SET payload = ''",
        "SELECT * FROM tenant.tenant_audit", "SELECT * FROM tenant.subscription",
        "UPDATE tenant.inbox_parked SET body = ''", "UPDATE tenant.inbox_parked SET tenant_id = tenant_id",
        "INSERT INTO tenant.inbox VALUES (gen_random_uuid(), 'c', 'e')",
        "UPDATE tenant.inbox SET received_at = now()",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct attempt made = attempt(relay, NULL, "%s", refused[i]);
        finding(findings, is(&made, "42501"), "relay: %s: %s", refused[i], made.state);
    }
}

/* Relay and platform see every tenant, each where it may, whatever the setting is; of answers that are kept
 * for repeated keys the relay sees those that ran out. */
static void try_across(struct findings *findings)
{
    expect_seen(findings, relay, "outbox", 2);
    expect_seen(findings, relay, "outbox_sent", 2);
    expect_seen(findings, relay, "outbox_dead", 2);
    expect_seen(findings, relay, "rewound", 2);
    try_relay(findings);
    expect_seen(findings, relay, "inbox", 1);
    expect_seen(findings, relay, "inbox_parked", 2);
    expect_seen(findings, relay, "idempotency", 1);
    expect_seen(findings, relay, "platform_idempotency", 1);
    expect_deleted(findings, "outbox", 2);
    expect_deleted(findings, "idempotency", 1);
    expect_deleted(findings, "platform_idempotency", 1);
    expect_seen(findings, platform, "tenants", 2);
    expect_seen(findings, platform, "authz_epoch", 2);
    expect_seen(findings, platform, "rewound", 2);
    expect_seen(findings, app, "platform_idempotency", 2);
    struct attempt blocked = attempt(relay, NULL, "SELECT 1 FROM tenant.tenants");
    finding(findings, is(&blocked, "42501"), "relay on tenants: %s", blocked.state);
    struct attempt update = attempt(platform, a, "UPDATE tenant.tenants SET display_name = ''");
    finding(findings, is(&update, "42501"), "platform writes: %s", update.state);
}

static struct findings matrix(void)
{
    struct findings findings = {0};
    struct table tables[32];
    size_t count = tables_read(tables, 32);
    for (size_t i = 0; i < count; i++) {
        for (size_t setting = 0; setting < SETTINGS; setting++) {
            const struct table *table = &tables[i];
            struct attempt read =
                attempt(app, setting_value(setting), "SELECT 1 FROM tenant.%s WHERE %s = '%s'",
                        table->name, table->key, a);
            if (table->select)
                expect_rows(&findings, table, setting, "SELECT", read);
            else
                finding(&findings, is_refused(&read, setting), "SELECT %s: %s", table->name, read.state);
            try_insert(&findings, table, setting);
            try_writes(&findings, table, setting);
            try_owner(&findings, table, setting);
        }
    }
    try_across(&findings);
    finding(&findings, role_check(store, &rig.ctx, LOGIN_APP, "database.url") == OK, "%s",
            rig.ctx.fault.text);
    return findings;
}

START_TEST(every_cell_holds)
{
    struct findings findings = matrix();
    ck_assert_msg(findings.count == 0, "%u of %u cells: %s", findings.count, findings.cells,
                  findings.first);
    ck_assert_uint_gt(findings.cells, 150);
}
END_TEST

START_TEST(tables_without_a_tenant_are_on_the_list)
{
    static const char list[] = "installation partition_retention platform_audit platform_idempotency "
                               "relay_lease relay_owner relay_stream schema_migrations";
    ck_assert_str_eq(sql(root, "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c "
                               "WHERE c.relnamespace = 'tenant'::regnamespace AND c.relkind IN ('r', "
                               "'p') AND c.relname <> 'tenants' AND NOT EXISTS (SELECT 1 FROM "
                               "pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id')"),
                     list);
    ck_assert_str_eq(sql(root, "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class c WHERE "
                               "relnamespace = 'tenant'::regnamespace AND relkind = 'r' AND "
                               "obj_description(oid) LIKE 'No tenant column:%%'"),
                     list);
}
END_TEST

START_TEST(there_are_no_ways_around)
{
    ck_assert_int_eq(sql_count(root, "pg_class WHERE relnamespace = 'tenant'::regnamespace AND relkind "
                                     "IN ('v', 'm', 'f')"),
                     0);
    ck_assert_str_eq(sql(root, "SELECT string_agg(oid::regprocedure || ' ' || proowner::regrole || ' ' || "
                               "prosecdef || ' ' || proconfig[1] || ' ' || proacl::text, '; ' ORDER BY "
                               "proname) FROM pg_proc WHERE pronamespace = 'tenant'::regnamespace"),
                     "tenant.partitions_drop() tenant_owner true search_path=pg_catalog, pg_temp "
                     "{tenant_owner=X/tenant_owner,tenant_relay=X/tenant_owner}; "
                     "tenant.partitions_make() tenant_owner true search_path=pg_catalog, pg_temp "
                     "{tenant_owner=X/tenant_owner,tenant_relay=X/tenant_owner}");
    ck_assert_int_eq(sql_count(root, "pg_class c, aclexplode(c.relacl) g WHERE c.relnamespace = "
                                     "'tenant'::regnamespace AND g.grantee = 0"),
                     0);
    ck_assert_int_eq(sql_count(root, "pg_policies WHERE schemaname = 'tenant' AND 'public' = ANY (roles)"),
                     0);
}
END_TEST

/* Takes something away, runs the matrix, puts it back. */
static void mutate(const char *away, const char *back, unsigned *survivors, char *text, size_t size)
{
    sql(root, "%s", away);
    struct findings findings = matrix();
    sql(root, "%s", back);
    if (findings.count == 0 && (*survivors)++ == 0)
        snprintf(text, size, "%s", away);
}

START_TEST(every_lost_policy_is_noticed)
{
    PGresult *policies = PQexec(
        root, "SELECT format('DROP POLICY %I ON tenant.%I', policyname, tablename), "
              "format('CREATE POLICY %I ON tenant.%I AS %s FOR %s TO %s %s %s', policyname, "
              "tablename, permissive, cmd, array_to_string(roles, ', '), "
              "coalesce('USING (' || qual || ')', ''), "
              "coalesce('WITH CHECK (' || with_check || ')', '')) "
              "FROM pg_policies WHERE schemaname = 'tenant' AND NOT (SELECT relispartition FROM "
              "pg_class WHERE oid = ('tenant.' || tablename)::regclass) ORDER BY tablename, policyname");
    ck_assert_int_ge(PQntuples(policies), 13);
    unsigned survivors = 0;
    char text[256] = "";
    for (int i = 0; i < PQntuples(policies); i++)
        mutate(PQgetvalue(policies, i, 0), PQgetvalue(policies, i, 1), &survivors, text, sizeof text);
    PQclear(policies);
    ck_assert_msg(survivors == 0, "%u not noticed: %s", survivors, text);
    ck_assert_uint_eq(matrix().count, 0);
}
END_TEST

#define CHANGE "ALTER TABLE tenant.%s %s ROW LEVEL SECURITY"

START_TEST(every_lost_flag_is_noticed)
{
    struct table tables[32];
    size_t count = tables_read(tables, 32);
    unsigned survivors = 0;
    char text[256] = "";
    for (size_t i = 0; i < count; i++) {
        static const char *const flags[][2] = {{"NO FORCE", "FORCE"}, {"DISABLE", "ENABLE"}};
        for (size_t flag = 0; flag < 2; flag++) {
            mutate(arena_printf(rig.ctx.arena, CHANGE, tables[i].name, flags[flag][0]),
                   arena_printf(rig.ctx.arena, CHANGE, tables[i].name, flags[flag][1]), &survivors,
                   text, sizeof text);
        }
    }
    ck_assert_msg(survivors == 0, "%u not noticed: %s", survivors, text);
}
END_TEST

START_TEST(grants_and_wider_policies_are_noticed)
{
    static const struct {
        const char *away;
        const char *back;
    } cases[] = {
        {"GRANT DELETE ON tenant.tenants TO tenant_app",
         "REVOKE DELETE ON tenant.tenants FROM tenant_app"},
        {"GRANT TRUNCATE ON tenant.outbox TO tenant_app",
         "REVOKE TRUNCATE ON tenant.outbox FROM tenant_app"},
        {"GRANT UPDATE (id) ON tenant.tenants TO tenant_app; ALTER POLICY tenant_only ON "
         "tenant.tenants WITH CHECK (true); ALTER POLICY tenant_rows ON tenant.tenants WITH CHECK "
         "(true)",
         "REVOKE UPDATE (id) ON tenant.tenants FROM tenant_app; ALTER POLICY tenant_only ON "
         "tenant.tenants WITH CHECK (id = nullif(current_setting('app.tenant_id', true), "
         "'')::uuid); ALTER POLICY tenant_rows ON tenant.tenants WITH CHECK (id = "
         "nullif(current_setting('app.tenant_id', true), '')::uuid)"},
        {"ALTER POLICY tenant_only ON tenant.outbox USING (true)",
         "ALTER POLICY tenant_only ON tenant.outbox USING (tenant_id = "
         "nullif(current_setting('app.tenant_id', true), '')::uuid)"},
        {"GRANT SELECT ON tenant.tenants TO tenant_relay; CREATE POLICY wide ON tenant.tenants TO "
         "tenant_relay USING (true)",
         "DROP POLICY wide ON tenant.tenants; REVOKE SELECT ON tenant.tenants FROM tenant_relay"},
        {"CREATE TABLE tenant.open (tenant_id uuid PRIMARY KEY)", "DROP TABLE tenant.open"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned survivors = 0;
        char text[256] = "";
        mutate(cases[i].away, cases[i].back, &survivors, text, sizeof text);
        ck_assert_msg(survivors == 0, "not noticed: %s", text);
    }
    struct findings findings = matrix();
    ck_assert_msg(findings.count == 0, "%s", findings.first);
}
END_TEST

/* What the restrictive policy is for: a later permissive one widens nothing. */
START_TEST(a_later_permissive_policy_widens_nothing)
{
    sql(root, "CREATE POLICY later ON tenant.tenants TO tenant_app, tenant_owner USING (true) WITH "
              "CHECK (true)");
    struct findings findings = matrix();
    ck_assert_msg(findings.count == 0, "%s", findings.first);
}
END_TEST

Suite *suite_store_matrix_it(void);
Suite *suite_store_matrix_it(void)
{
    Suite *suite = suite_create("store_matrix");
    TCase *tests = tcase_create("matrix");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 180);
    tcase_add_test(tests, every_cell_holds);
    tcase_add_test(tests, tables_without_a_tenant_are_on_the_list);
    tcase_add_test(tests, there_are_no_ways_around);
    tcase_add_test(tests, every_lost_policy_is_noticed);
    tcase_add_test(tests, every_lost_flag_is_noticed);
    tcase_add_test(tests, grants_and_wider_policies_are_noticed);
    tcase_add_test(tests, a_later_permissive_policy_widens_nothing);
    suite_add_tcase(suite, tests);
    return suite;
}
