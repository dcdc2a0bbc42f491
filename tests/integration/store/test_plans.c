/* How every statement is carried out, under its own login with row-level security, on tables with some thousand
 * rows: by the index it was written for, and never by reading a whole table that grows.  The statements come
 * from the registered lists: one without a plan here fails.
 *
 * Unnamed statements are planned for the values they run with, so each case is planned with its values; those
 * whose plan must not depend on values are planned without them as well. */
#include "tests/integration/store/registered.h"
#include "tests/integration/store/rig.h"

#define DATABASE "it_store_plans"
#define ROWS 6000
#define MINE "'00000000-0000-7000-8000-000000001234'"

static struct rig rig;
static PGconn *logins[LOGIN_COUNT];

/* --- what is expected ------------------------------------------------------------------------------------ */

/* Planned without values as well: the plan is the same. */
#define ALWAYS 1
/* May read the outbox from end to end: it counts it, up to its limit. */
#define COUNTS 2

/* May read all tenants: see migrations/0007_list_filters.sql. */
#define UPDATE_TIME 4

struct plan {
    const char *stmt;
    const char *values;  /* as SQL; NULL: none */
    const char *index;   /* words that the plan must have; NULL: it touches no table that grows */
    const char *another; /* as well */
    unsigned flags;
};

/* region, status, type, plan, slug, its prefix, name, its prefix, labels */
#define NO_FILTER "'eu', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
/* create_time from, to, update_time from, to */
#define NO_TIMES "NULL, NULL, NULL, NULL"
#define FIRST_PAGE "NULL, NULL, 51"
/* The rows come in the index's order: no sort between it and the limit. */
#define IN_ORDER "Limit\n  ->  Index Scan using "
#define IN_REVERSE "Limit\n  ->  Index Scan Backward using "
#define BEHIND_KEY "Index Cond: ((home_region = 'eu'::text) AND (ROW("
#define BOTH_WAYS(order, index)                                                                    \
    {"tenant.list." order, NO_FILTER ", " NO_TIMES ", " FIRST_PAGE, IN_ORDER index, NULL, 0},      \
        {"tenant.list." order "_desc", NO_FILTER ", " NO_TIMES ", " FIRST_PAGE, IN_REVERSE index,  \
         NULL, 0}
#define NEXT_PAGE(order, key, index)                                                               \
    {"tenant.list." order, NO_FILTER ", " NO_TIMES ", " key ", " MINE ", 51", IN_ORDER index,      \
     BEHIND_KEY, 0},                                                                               \
        {"tenant.list." order "_desc", NO_FILTER ", " NO_TIMES ", " key ", " MINE ", 51",          \
         IN_REVERSE index, BEHIND_KEY, 0}
#define FILTERED(order, filter, times, index)                                                      \
    {"tenant.list." order, filter ", " times ", " FIRST_PAGE, index, NULL, 0}

/* more keys than the outbox has rows of a shard */
#define MANY "array_fill(1::bigint, '{5000}')"

static const struct plan plans[] = {
    /* tenants by the app */
    {"tenant.get", MINE, "Index Scan using tenants_pkey", "Index Scan using authz_epoch_pkey", ALWAYS},
    {"tenant.lock", MINE, "Index Scan using tenants_pkey", NULL, ALWAYS},
    {"tenant.insert",
     MINE ", 'new', 'New', 'org', 'eu', 'trial', 'free', '{}', '{a,b}', 'en', '{}', false, false, false, '{}', "
          "now(), now(), 1",
     "Insert on tenants", NULL, ALWAYS},
    {"tenant.update",
     MINE ", 2, 'new', 'New', 'org', 'trial', 'free', '{}', '{a,b}', 'en', '{}', false, false, false, '{}', now()",
     "Index Scan using tenants_pkey", NULL, ALWAYS},
    {"audit.insert", MINE ", " MINE ", now(), 'a', 'a', '', '{}', 1, '', ''", "Insert on tenant_audit", NULL,
     ALWAYS},
    {"audit.find", MINE ", " MINE ", now()", "Index Scan using tenant_audit_", NULL, 0},
    {"platform_audit.insert", MINE ", now(), 'a', 'a', '', '', ''", "Insert on platform_audit", NULL, ALWAYS},
    {"outbox.append", MINE ", 1, " MINE ", 's', 'p', ''", "Insert on outbox",
     "Conflict Arbiter Indexes: tenant_seq_pkey", ALWAYS},
    {"outbox.point", MINE, "Index Scan using tenant_seq_pkey", "Index Scan using authz_epoch_pkey", ALWAYS},
    {"idempotency.try_lock", "1", NULL, NULL, ALWAYS},
    {"idempotency.lock", "1", NULL, NULL, ALWAYS},
    {"idempotency.find", "'p', 'm', 'key 1234'", "Index Scan using idempotency_pkey", NULL, ALWAYS},
    {"idempotency.insert", "'p', 'm', 'new', sha256('x'), '', 1", "Index Scan using tenant_seq_pkey",
     "Conflict Arbiter Indexes: idempotency_pkey", ALWAYS},
    {"platform_idempotency.find", "'p', 'm', 'key 1234'", "Index Scan using platform_idempotency_pkey", NULL,
     ALWAYS},
    {"platform_idempotency.insert", "'p', 'm', 'new', sha256('x'), " MINE ", 1",
     "Conflict Arbiter Indexes: platform_idempotency_pkey", NULL, ALWAYS},
    {"slug.take", "'eu', 'slug-1234', " MINE, "Index Scan using slug_reservations_", NULL, ALWAYS},
    {"slug.release", "'eu', 'slug-1234', " MINE, "Conflict Arbiter Indexes: slug_reservations_taken", NULL, ALWAYS},
    {"slug.forget", MINE ", 10", "using slug_reservations_tenant", NULL, 0},
    {"inbox.note", MINE ", 'c', 'event'", "Conflict Arbiter Indexes: inbox_pkey", NULL, ALWAYS},
    {"subscription.find", MINE ", 100", "using subscription_pkey", NULL, ALWAYS},
    {"subscription.put", MINE ", 's', 'p', 'm', 'active', false, 'm', now()",
     "Conflict Arbiter Indexes: subscription_pkey", NULL, ALWAYS},
    {"schema.version", NULL, NULL, NULL, 0},
    {"role.excess", "'{}', '{}'", NULL, NULL, 0},

    /* tenants by the platform */
    {"tenant.find_slug", "'slug-1234', 'eu'", "Index Scan using tenants_slug", "Index Scan using authz_epoch_pkey",
     ALWAYS},
    {"tenant.epoch", MINE, "Index Scan using authz_epoch_pkey", NULL, ALWAYS},
    BOTH_WAYS("create_time", "tenants_by_create_time"),
    BOTH_WAYS("slug", "tenants_by_slug"),
    BOTH_WAYS("display_name", "tenants_by_display_name"),
    NEXT_PAGE("create_time", "now() - interval '1000 minutes'", "tenants_by_create_time"),
    NEXT_PAGE("slug", "'slug-1234'", "tenants_by_slug"),
    NEXT_PAGE("display_name", "'Name 1234'", "tenants_by_display_name"),
    FILTERED("create_time", "'eu', 'closed', NULL, NULL, NULL, NULL, NULL, NULL, NULL", NO_TIMES,
             "Index Scan using tenants_by_status"),
    FILTERED("create_time", "'eu', NULL, 'provider', NULL, NULL, NULL, NULL, NULL, NULL", NO_TIMES,
             IN_ORDER "tenants_by_type"),
    FILTERED("create_time_desc", "'eu', NULL, NULL, 'rare', NULL, NULL, NULL, NULL, NULL", NO_TIMES,
             IN_REVERSE "tenants_by_plan"),
    FILTERED("slug", "'eu', NULL, NULL, 'rare', NULL, NULL, NULL, NULL, NULL", NO_TIMES, "tenants_by_plan"),
    FILTERED("create_time", "'eu', NULL, NULL, NULL, 'slug-1234', NULL, NULL, NULL, NULL", NO_TIMES,
             "Index Scan using tenants_by_slug"),
    FILTERED("create_time", "'eu', NULL, NULL, NULL, NULL, 'slug-123', NULL, NULL, NULL", NO_TIMES,
             "Scan using tenants_by_slug"),
    FILTERED("slug", "'eu', NULL, NULL, NULL, NULL, 'slug-123', NULL, NULL, NULL", NO_TIMES,
             "Index Scan using tenants_by_slug"),
    FILTERED("create_time", "'eu', NULL, NULL, NULL, NULL, NULL, 'Name 1234', NULL, NULL", NO_TIMES,
             "Index Scan using tenants_by_display_name"),
    FILTERED("display_name", "'eu', NULL, NULL, NULL, NULL, NULL, NULL, 'Name 123', NULL", NO_TIMES,
             "Index Scan using tenants_by_display_name"),
    FILTERED("create_time", "'eu', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{number,1234}'", NO_TIMES,
             "Bitmap Index Scan on tenants_labels"),
    FILTERED("create_time", NO_FILTER, "now() - interval '30 minutes', now(), NULL, NULL",
             "Index Scan using tenants_by_create_time"),
    {"tenant.list.create_time", NO_FILTER ", NULL, NULL, now() - interval '1 minute', NULL, " FIRST_PAGE,
     "update_time >= ", NULL, UPDATE_TIME},

    /* the epoch feed */
    {"epoch.look", "NULL, 10001", "Index Scan Backward using authz_epoch_feed", NULL, 0},
    {"epoch.look", "'900000000:900000000:', 10001", "using authz_epoch_feed",
     "Index Cond: (xid >= ", 0},

    /* the relay */
    {"relay.unsent", "'{0,1,2,3}', 100, 1048576", "Index Scan using outbox_pkey", NULL, ALWAYS},
    {"relay.settle", MANY ", " MANY ", " MANY, "Index Scan using outbox_pkey", "Insert on outbox_sent", 0},
    {"relay.settle", "'{1,1,1}', '{1,2,3}', '{7,8,9}'", "Index Scan using outbox_pkey", "Insert on outbox_sent",
     ALWAYS},
    {"relay.settle", MANY ", " MANY ", " MANY, "Tid Scan on outbox o", NULL, ALWAYS},
    {"relay.settle_stored",
     "1, array_fill(" MINE "::text, '{5000}'), " MANY ", " MANY ", array_fill(" MINE "::text, '{5000}'), " MANY,
     "Index Scan using outbox_tenant_id_incarnation_seq_key", "Insert on outbox_sent", 0},
    {"relay.settle_stored", "1, ARRAY[" MINE "], '{1}', '{1234}', ARRAY[" MINE "], '{7}'",
     "Index Scan using outbox_tenant_id_incarnation_seq_key", "Insert on outbox_sent", ALWAYS},
    {"relay.settle_stored", "1, ARRAY[" MINE "], '{1}', '{1234}', ARRAY[" MINE "], '{7}'", "Tid Scan on outbox o", NULL,
     ALWAYS},
    {"relay.announce", "'relay', 1", "Conflict Arbiter Indexes: relay_owner_pkey", NULL, ALWAYS},
    {"relay.renew", "'relay', 1", NULL, NULL, ALWAYS},
    {"relay.leases", NULL, NULL, NULL, ALWAYS},
    {"relay.owners", "'relay'", NULL, NULL, ALWAYS},
    {"relay.claim", "'relay', 1, '{1,2}'", NULL, NULL, ALWAYS},
    {"relay.release", "'relay', '{1,2}'", NULL, NULL, ALWAYS},
    {"relay.leave", "'relay'", NULL, NULL, ALWAYS},
    {"relay.stats", "1000000", "Index Scan using outbox_pkey", NULL, COUNTS},
    {"relay.owners_prune", NULL, NULL, NULL, ALWAYS},
    {"relay.dead_forget", "1000", "using outbox_dead_old", NULL, ALWAYS},
    {"restriction.open", NULL, NULL, NULL, ALWAYS},
    {"restriction.take", MINE ", 2", NULL, NULL, ALWAYS},
    {"restriction.done", MINE ", 2", NULL, NULL, ALWAYS},
    {"rewind.look", NULL, NULL, NULL, ALWAYS},
    {"rewind.raise", "1, 2", NULL, NULL, ALWAYS},
    {"rewind.installed", NULL, NULL, NULL, ALWAYS},
    {"rewind.unknown",
     "array_fill(" MINE "::text, '{5000}'), " MANY ", " MANY ", array_fill(" MINE "::text, '{5000}'), true",
     "outbox_tenant_id_incarnation_seq_key", "using outbox_sent_20", 0},
    {"rewind.note", "1, 2, ARRAY[" MINE "], '{1}', '{1}', '{2}', '{closed}', '{x}'",
     "Conflict Arbiter Indexes: rewound_pkey", NULL, 0},
    {"rewind.unannounced", "1, 2", NULL, NULL, 0},
    {"rewind.counter_lock", MINE, "Index Scan using tenant_seq_pkey", NULL, ALWAYS},
    {"rewind.announced", MINE ", 2", NULL, NULL, 0},
    {"rewind.renumber_away", MINE ", 2", "outbox_tenant_id_incarnation_seq_key", NULL, ALWAYS},
    {"rewind.renumber_back", MINE ", 2", "outbox_tenant_id_incarnation_seq_key", NULL, ALWAYS},
    {"rewind.announce", "1, " MINE ", 2, " MINE ", 's', 'p'", "Insert on outbox", "Index Scan using authz_epoch_pkey",
     ALWAYS},
    {"rewind.compared", "1, 2", NULL, NULL, ALWAYS},
    {"refill.newest_sent", "1", "using outbox_sent_20", "Limit\n  ->  Merge Append", ALWAYS},
    {"refill.anchor", "1, 86400, 7", "using outbox_sent_20", "Merge Append", 0},
    {"refill.stream_note", "1, '', 1, 2", NULL, NULL, ALWAYS},
    {"refill.find", MINE ", 1, 1, " MINE, "using outbox_sent_20", "outbox_tenant_id_incarnation_seq_key", ALWAYS},
    {"refill.missing", "1, 70000, 5, 86400, 10, 1000000", "using outbox_sent_20", "Merge Append", 0},
    {"refill.note", "1, " MANY ", " MANY ", " MANY ", now(), now()", "using outbox_sent_20", NULL, 0},
    {"dead.bury", "1, 1234, 'TOO_LARGE', '', 's', '\\x00', 'relay'", "Index Scan using outbox_pkey", "Insert on outbox_dead", ALWAYS},
    {"dead.unlettered", "'{1,2}'", "outbox_dead_unlettered", NULL, 0},
    {"dead.lettered", "1, 1234", "Index Scan using outbox_dead_", NULL, ALWAYS},
    {"relay.keys_expire", "20000", "using idempotency_expiry", NULL, 0},
    {"relay.platform_keys_expire", "20000", "using platform_idempotency_expiry", NULL, 0},
    {"parked.put", MINE ", 'c', 'event', 's', '', '', 'S', 1, 1, 10000", "Insert on inbox_parked", NULL, 0},
    {"parked.take", "'c', 1, 8", "using inbox_parked_due", "using inbox_parked_pkey", 0},
    {"parked.put_off", MINE ", 'c', 'event', 1", "using inbox_parked_pkey", NULL, ALWAYS},
    {"parked.remove", MINE ", 'c', 'event'", "using inbox_parked_pkey", NULL, ALWAYS},
    {"parked.count", "'c', 10000", NULL, NULL, 0},
    {"inbox.prune", "20000", "using inbox_received", NULL, 0},
    {"partitions.make", NULL, NULL, NULL, ALWAYS},
    {"partitions.drop", NULL, NULL, NULL, ALWAYS},
};
#define PLANS (sizeof plans / sizeof plans[0])

/* --- tables that have grown --------------------------------------------------------------------------------- */

static const char *const growing[] = {
    "tenants",     "tenant_audit",         "tenant_seq",        "outbox", "outbox_sent", "authz_epoch",
    "outbox_dead", "idempotency",          "platform_idempotency", "slug_reservations", "inbox", "subscription",
};

#define EACH "FROM generate_series(1, %d) n CROSS JOIN LATERAL (SELECT ('00000000-0000-7000-8000-' || " \
             "lpad(n::text, 12, '0'))::uuid AS id) t"

/* Nine of ten tenants live in one region; one of a hundred is closed, a provider, on a rare plan.  A few keys
 * have run out. */
static void fill(PGconn *root)
{
    sql(root, "INSERT INTO tenant.tenants (id, slug, display_name, type, plan_id, home_region, status, labels, "
              "create_time, update_time, version) SELECT id, 'slug-' || n, 'Name ' || n, CASE WHEN n %% 100 = 3 THEN "
              "'provider' ELSE 'org' END, CASE WHEN n %% 100 = 7 THEN 'rare' ELSE 'free' END, CASE WHEN n %% 10 = 0 THEN 'us' "
              "ELSE 'eu' END, CASE WHEN n %% 100 = 1 THEN 'closed' ELSE 'active' END, jsonb_build_object('number', "
              "n::text), now() - n * interval '1 minute', now() - n * interval '1 second', 1 " EACH, ROWS);
    sql(root, "INSERT INTO tenant.tenant_seq SELECT id, 1, 1 " EACH, ROWS);
    sql(root, "INSERT INTO tenant.authz_epoch SELECT id, 1, 1, n::text::xid8 " EACH, ROWS);
    sql(root, "INSERT INTO tenant.slug_reservations SELECT 'eu', 'slug-' || n, id " EACH, ROWS);
    sql(root, "INSERT INTO tenant.tenant_audit SELECT id, id, date_trunc('month', now()) + (n %% 6) * interval '1 "
              "month', 'a', 'a', '', '{}', 1 " EACH, ROWS);
    sql(root, "INSERT INTO tenant.outbox (shard, tenant_id, seq, incarnation, msg_id, subject, payload) SELECT "
              "n %% 16, id, 1, 1, id, 's', repeat('p', 300)::bytea " EACH, ROWS);
    sql(root, "INSERT INTO tenant.outbox_sent SELECT n %% 16, n, id, 1, 1, id, 's', repeat('p', 300)::bytea, '', "
              "now(), now() + (n / 16 %% 16) * interval '1 day', n, 1 " EACH, ROWS);
    sql(root, "INSERT INTO tenant.outbox_dead SELECT n %% 16, n, id, 1, 1, 1, id, 's', repeat('p', 300)::bytea, '', "
              "now(), 'TOO_LARGE', '', now(), CASE WHEN n > 20 THEN now() - n * interval '10 minutes' END " EACH, ROWS);
    sql(root, "INSERT INTO tenant.idempotency SELECT id, 'p', 'm', 'key ' || n, sha256('x'), repeat('r', "
              "300)::bytea, 1, 1, 1, now(), now() + (n - 60) * interval '1 minute' " EACH, ROWS);
    sql(root, "INSERT INTO tenant.platform_idempotency SELECT 'p', 'm', 'key ' || n, sha256('x'), id, now(), now() + "
              "(n - 60) * interval '1 minute' " EACH, ROWS);
    sql(root, "INSERT INTO tenant.inbox SELECT id, 'c', 'event ' || n, CASE WHEN n <= 60 THEN now() - "
              "interval '41 days' ELSE now() END " EACH, ROWS);
    sql(root, "INSERT INTO tenant.inbox_parked SELECT id, 'c', 'event ' || n, 's', repeat('b', 300)::bytea, '', 'S', n, "
              "1, now() + n * interval '1 minute', now() " EACH, ROWS);
    sql(root, "INSERT INTO tenant.subscription SELECT id, 'sub_' || n, 'plan_a', 'm', 'active', false, 'm', now(), now() "
              EACH, ROWS);
    sql(root, "ANALYZE");
}

static void setup(void)
{
    static const char *const names[LOGIN_COUNT] = {
        [LOGIN_APP] = "STACK_DATABASE_URL",
        [LOGIN_PLATFORM] = "STACK_PLATFORM_URL",
        [LOGIN_RELAY] = "STACK_RELAY_URL",
    };
    char url[URL_SIZE];
    rig_open(&rig);
    database_create(rig.root, DATABASE);
    database_migrate(&rig.ctx, DATABASE);
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    PGconn *root = sql_open(url);
    fill(root);
    PQfinish(root);
    for (int login = 0; login < LOGIN_COUNT; login++) {
        url_direct(url, names[login], DATABASE);
        logins[login] = sql_open(url);
        sql(logins[login], "SELECT set_config('app.tenant_id', " MINE ", false)");
    }
}

static void teardown(void)
{
    for (int login = 0; login < LOGIN_COUNT; login++)
        PQfinish(logins[login]);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

/* --- plans --------------------------------------------------------------------------------------------------- */

static const struct stmt *stmt_find(const char *name, enum store_login *login)
{
    for (size_t l = 0; l < REGISTERED; l++) {
        const struct stmt_list *list = registered[l].list;
        for (size_t i = 0; i < list->count; i++) {
            *login = list->login;
            if (strcmp(list->items[i]->name, name) == 0)
                return list->items[i];
        }
    }
    ck_abort_msg("%s is registered nowhere", name);
    return NULL;
}

static const char *explained(const struct plan *plan, const char *mode)
{
    enum store_login login;
    const struct stmt *stmt = stmt_find(plan->stmt, &login);
    PGconn *pq = logins[login];
    sql(pq, "DEALLOCATE ALL");
    sql(pq, "SET plan_cache_mode = %s", mode);
    const char *text = arena_printf(rig.ctx.arena, "PREPARE planned AS %s", stmt->text);
    ck_assert_msg(strcmp(sql_try(pq, NULL, 0, text), "00000") == 0, "%s: %s", stmt->name, PQerrorMessage(pq));
    text = arena_printf(rig.ctx.arena, "EXPLAIN (COSTS OFF) EXECUTE planned%s%s%s", plan->values == NULL ? "" : "(",
                        plan->values == NULL ? "" : plan->values, plan->values == NULL ? "" : ")");
    PGresult *result = PQexec(pq, text);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", text, PQerrorMessage(pq));
    const char *lines = "";
    for (int i = 0; i < PQntuples(result); i++)
        lines = arena_printf(rig.ctx.arena, "%s%s\n", lines, PQgetvalue(result, i, 0));
    PQclear(result);
    return lines;
}

/* The table itself, or one of its partitions. */
static bool is_growing(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof growing / sizeof growing[0]; i++) {
        size_t length = strlen(growing[i]);
        bool partition = size > length + 1 && name[length] == '_' && strchr("0123456789d", name[length + 1]) != NULL;
        if (strncmp(growing[i], name, length) == 0 && (size == length || partition))
            return true;
    }
    return false;
}

static void expect_no_whole_table(const struct plan *plan, const char *lines)
{
    static const char scan[] = "Seq Scan on ";
    for (const char *at = lines; (at = strstr(at, scan)) != NULL;) {
        at += strlen(scan);
        size_t size = strcspn(at, " \n");
        bool allowed = ((plan->flags & COUNTS) != 0 && strncmp(at, "outbox\n", 7) == 0) ||
                       ((plan->flags & UPDATE_TIME) != 0 && strncmp(at, "tenants\n", 8) == 0);
        ck_assert_msg(allowed || !is_growing(at, size), "%s reads all of %.*s:\n%.3000s", plan->stmt, (int)size, at,
                      lines);
    }
}

/* Returns the plan. */
static const char *expect_plan(const struct plan *plan, const char *mode)
{
    const char *lines = explained(plan, mode);
    const char *words[] = {plan->index, plan->another};
    for (size_t i = 0; i < 2; i++)
        ck_assert_msg(words[i] == NULL || strstr(lines, words[i]) != NULL, "%s (%s) without \"%s\":\n%.3000s",
                      plan->stmt, mode, words[i], lines);
    expect_no_whole_table(plan, lines);
    return lines;
}

START_TEST(every_statement_takes_its_index)
{
    for (size_t i = 0; i < PLANS; i++) {
        expect_plan(&plans[i], "force_custom_plan");
        if ((plans[i].flags & ALWAYS) != 0)
            expect_plan(&plans[i], "force_generic_plan");
    }
}
END_TEST

/* What is empty nearly always has been counted as empty when it fills: its pages with no row in them.  The
 * relay's statements go along the index all the same, and none compares every row of the outbox with all that
 * it was given. */
START_TEST(queues_counted_as_empty_are_read_by_their_index)
{
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    PGconn *root = sql_open(url);
#define QUEUES "oid IN (SELECT oid FROM pg_class WHERE relnamespace = 'tenant'::regnamespace AND relkind = 'r' AND " \
               "(relname IN ('outbox', 'outbox_dead') OR relname LIKE 'outbox_sent%%'))"
    sql(root, "UPDATE pg_class SET reltuples = 0 WHERE relpages > 0 AND " QUEUES);
    sql(root, "DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE " QUEUES ")");
    PQfinish(root);
    sql(logins[LOGIN_RELAY], "BEGIN");
    sql(logins[LOGIN_RELAY], "SELECT " RELAY_PLANNER);
    for (size_t i = 0; i < PLANS; i++) {
        enum store_login login;
        (void)stmt_find(plans[i].stmt, &login);
        if (login != LOGIN_RELAY)
            continue;
        const char *lines = expect_plan(&plans[i], "force_custom_plan");
        ck_assert_msg(strstr(lines, "Join Filter:") == NULL, "%s compares all with all:\n%.3000s", plans[i].stmt,
                      lines);
    }
    sql(logins[LOGIN_RELAY], "ROLLBACK");
}
END_TEST

START_TEST(no_statement_is_without_a_plan)
{
    for (size_t l = 0; l < REGISTERED; l++) {
        const struct stmt_list *list = registered[l].list;
        for (size_t i = 0; i < list->count; i++) {
            bool found = false;
            for (size_t p = 0; p < PLANS; p++)
                found = found || strcmp(plans[p].stmt, list->items[i]->name) == 0;
            ck_assert_msg(found, "%s has no plan here", list->items[i]->name);
        }
    }
}
END_TEST

static unsigned occurrences(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

/* One partition is opened, whether the time is known when planning or only when running. */
START_TEST(only_one_partition_is_looked_into)
{
    const struct plan find = {"audit.find", MINE ", " MINE ", now()", "tenant_audit_2", NULL, 0};
    const char *custom = explained(&find, "force_custom_plan");
    ck_assert_uint_eq(occurrences(custom, " on tenant_audit_"), 1);
    const char *generic = explained(&find, "force_generic_plan");
    ck_assert_uint_eq(occurrences(generic, " on tenant_audit_"), 1);
    ck_assert_ptr_nonnull(strstr(generic, "Subplans Removed: 7"));
}
END_TEST

/* The control: without its index each of these reads the table, and the test sees it. */
START_TEST(a_lost_index_is_noticed)
{
    static const char *const lost[][2] = {
        {"tenants_by_create_time", "tenant.list.create_time"},
        {"tenants_by_plan", "tenant.list.create_time_desc"},
        {"tenants_slug", "tenant.find_slug"},
        {"authz_epoch_feed", "epoch.look"},
        {"idempotency_expiry", "relay.keys_expire"},
    };
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    PGconn *root = sql_open(url);
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        unsigned missing = 0;
        sql(root, "DROP INDEX tenant.%s", lost[i][0]);
        for (size_t p = 0; p < PLANS; p++) {
            if (strcmp(plans[p].stmt, lost[i][1]) == 0)
                missing += strstr(explained(&plans[p], "force_custom_plan"), plans[p].index) == NULL;
        }
        ck_assert_msg(missing > 0, "%s without %s", lost[i][1], lost[i][0]);
    }
    PQfinish(root);
}
END_TEST

Suite *suite_store_plans_it(void);
Suite *suite_store_plans_it(void)
{
    Suite *suite = suite_create("store_plans");
    TCase *tests = tcase_create("plans");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_statement_takes_its_index);
    tcase_add_test(tests, queues_counted_as_empty_are_read_by_their_index);
    tcase_add_test(tests, no_statement_is_without_a_plan);
    tcase_add_test(tests, only_one_partition_is_looked_into);
    tcase_add_test(tests, a_lost_index_is_noticed);
    suite_add_tcase(suite, tests);
    return suite;
}
