/* What the store's integration tests share: the stack's logins, SQL as other logins, tenants to work on,
 * databases of their own. */
#ifndef TESTS_STORE_RIG_H
#define TESTS_STORE_RIG_H

#include "base/random.h"

#include "store/audit_store.h"
#include "store/migrate.h"
#include "store/outbox_store.h"
#include "store/startup_checks.h"
#include "store/store.h"
#include "store/tenant_store.h"

#include <libpq-fe.h>

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URL_SIZE 1024

struct rig {
    struct ctx ctx;
    PGconn *root; /* superuser, direct */
};

static inline const char *env(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set: source a stack's stack.env", name);
    return value;
}

/* --- plain SQL ------------------------------------------------------------------------------------ */

static inline PGconn *sql_open(const char *url)
{
    PGconn *pq = PQconnectdb(url);
    ck_assert_msg(PQstatus(pq) == CONNECTION_OK, "%s", PQerrorMessage(pq));
    PQclear(PQexec(pq, "SET client_min_messages = error"));
    return pq;
}

/* Runs statements; the last one's first cell ("" when there is none) into `cell`; its SQLSTATE ("00000"
 * when all is well) is returned. */
static inline const char *sql_try(PGconn *pq, char *cell, size_t size, const char *text)
{
    static char state[6];
    PGresult *result = PQexec(pq, text);
    const char *error = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(state, sizeof state, "%s", error == NULL ? "00000" : error);
    if (cell != NULL)
        snprintf(cell, size, "%s",
                 PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return state;
}

/* The same with a format; must succeed.  The answer is valid until the next call. */
static inline const char *sql(PGconn *pq, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline const char *sql(PGconn *pq, const char *format, ...)
{
    static char cell[65536];
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ck_assert_int_lt(length, (int)sizeof text);
    const char *state = sql_try(pq, cell, sizeof cell, text);
    ck_assert_msg(strcmp(state, "00000") == 0, "%s: %s", text, PQerrorMessage(pq));
    return cell;
}

static inline long sql_count(PGconn *pq, const char *from_where)
{
    return strtol(sql(pq, "SELECT count(*) FROM %s", from_where), NULL, 10);
}

/* --- URLs and databases ------------------------------------------------------------------------------ */

/* The URL with another port (0: the same) and database (NULL: the same). */
static inline void url_with(char out[URL_SIZE], const char *url, int port, const char *database)
{
    char user[64], password[64], host[64], old_port[8], old_database[64], rest[320];
    ck_assert_int_eq(sscanf(url, "postgresql://%63[^:]:%63[^@]@%63[^:]:%7[^/]/%63[^?]?%319s", user,
                            password, host, old_port, old_database, rest),
                     6);
    if (port != 0)
        snprintf(old_port, sizeof old_port, "%d", port);
    snprintf(out, URL_SIZE, "postgresql://%s:%s@%s:%s/%s?%s", user, password, host, old_port,
             database == NULL ? old_database : database, rest);
}

static inline int url_port(const char *url)
{
    int port = 0;
    ck_assert_int_eq(sscanf(url, "postgresql://%*[^@]@%*[^:]:%d", &port), 1);
    return port;
}

/* A login's URL directly at PostgreSQL, not through PgBouncer. */
static inline void url_direct(char out[URL_SIZE], const char *name, const char *database)
{
    url_with(out, env(name), url_port(env("STACK_MIGRATE_URL")), database);
}

static inline void not_told(void *owner, int version, const char *name, bool applied_now)
{
    (void)owner;
    (void)version;
    (void)name;
    (void)applied_now;
}

/* An empty database as migrations/bootstrap/roles.sql leaves one. */
static inline void database_create(PGconn *root, const char *name)
{
    sql(root, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    sql(root, "CREATE DATABASE %s OWNER tenant_owner", name);
    sql(root, "REVOKE ALL ON DATABASE %s FROM PUBLIC", name);
    sql(root, "GRANT CONNECT ON DATABASE %s TO tenant_migrator, tenant_app, tenant_relay, "
              "tenant_platform", name);
    sql(root, "ALTER ROLE tenant_migrator IN DATABASE %s SET role TO 'tenant_owner'", name);
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, name);
    PGconn *there = sql_open(url);
    sql(there, "REVOKE ALL ON SCHEMA public FROM PUBLIC");
    sql(there, "GRANT USAGE ON SCHEMA public TO tenant_owner, tenant_migrator, tenant_app, "
               "tenant_relay, tenant_platform");
    PQfinish(there);
}

static inline void database_drop(PGconn *root, const char *name)
{
    sql(root, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
}

static inline void database_migrate(struct ctx *ctx, const char *name)
{
    char url[URL_SIZE];
    url_with(url, env("STACK_MIGRATE_URL"), 0, name);
    int rc = migrate_run(ctx, url, "migrations", not_told, NULL);
    ck_assert_msg(rc == OK, "%s", ctx_fault_text(ctx));
}

/* --- stores and tenants ------------------------------------------------------------------------------- */

static inline void rig_open(struct rig *rig)
{
    ctx_init(&rig->ctx, NULL, arena_new(0));
    rig->root = sql_open(env("STACK_SUPERUSER_URL"));
}

/* The events of these tests are no envelopes: no relay of a later suite may publish them. */
static inline void events_drop(PGconn *root)
{
    const char *drop = "DELETE FROM tenant.outbox WHERE payload = 'payload'::bytea";
    if (strcmp(sql_try(root, NULL, 0, drop), "00000") == 0)
        return;
    PQreset(root); /* the test has restarted the server */
    (void)sql_try(root, NULL, 0, drop);
}

static inline void rig_close(struct rig *rig)
{
    events_drop(rig->root);
    PQfinish(rig->root);
    arena_free(rig->ctx.arena);
}

static inline struct store_settings store_defaults(const char *app_url)
{
    return (struct store_settings){
        .urls = {[LOGIN_APP] = app_url,
                 [LOGIN_PLATFORM] = env("STACK_PLATFORM_URL"),
                 [LOGIN_RELAY] = env("STACK_RELAY_URL")},
        .sizes = {2, 1, 1},
        .queue = 16,
    };
}

static inline struct store *store_for(struct ctx *ctx, struct loop *loop, const char *app_url,
                                      struct metrics *metrics)
{
    struct store_settings settings = store_defaults(app_url);
    struct store *store = NULL;
    ck_assert_int_eq(store_open(ctx, loop, &settings, metrics, &store), OK);
    return store;
}

static inline void expect_rc(struct ctx *ctx, int rc, int expected)
{
    ck_assert_msg(rc == expected, "got %d, expected %d: %s", rc, expected, ctx->fault.text);
}

/* A tenant with a slug of its own; texts live in the arena. */
static inline struct tenant tenant_sample(struct arena *arena)
{
    struct uuid salt = uuid_new();
    struct tenant tenant = {
        .id = uuid_new(),
        .slug = arena_printf(arena, "it-%02x%02x%02x%02x%02x%02x", salt.bytes[10], salt.bytes[11],
                             salt.bytes[12], salt.bytes[13], salt.bytes[14], salt.bytes[15]),
        .display_name = "Sample",
        .home_region = REGION_EU,
        .create_time_us = clock_wall() / NS_PER_US,
        .version = 1,
    };
    tenant_defaults(&tenant);
    tenant.update_time_us = tenant.create_time_us;
    return tenant;
}

/* Queues what a change leaves behind: audit and event. */
static inline void change_queue(struct tx *tx, const struct tenant *tenant, const char *action)
{
    struct audit_entry entry = {.id = uuid_new(),
                                .at_us = clock_wall() / NS_PER_US,
                                .tenant_id = tenant->id,
                                .action = action,
                                .reason = "",
                                .version = tenant->version};
    audit_store_append(tx, &entry);
    struct outbox_event event = {
        .tenant_id = tenant->id,
        .msg_id = uuid_new(),
        .shard = tenant->id.bytes[15] % 16,
        .subject = "tenant.org.updated.v1",
        .payload = slice_of_str("payload"),
        .traceparent = "",
    };
    outbox_store_append(tx, &event, NULL);
}

/* CreateTenant's transaction. */
static inline int create(struct store *store, struct ctx *ctx, const struct tenant *tenant)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    TRY(tx_begin(store, ctx, TX_WRITE, &tenant->id, &tx));
    tenant_store_insert(tx, tenant);
    change_queue(tx, tenant, "tenant.create");
    return tx_commit(tx);
}

/* UpdateTenant's transaction: a new name. */
static inline int rename_to(struct store *store, struct ctx *ctx, const struct uuid *id,
                            const char *name)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct tenant tenant;
    TRY(tx_begin(store, ctx, TX_WRITE, id, &tx));
    TRY(tenant_store_lock(tx, id, &tenant));
    tenant.display_name = name;
    tenant.version++;
    tenant.update_time_us++;
    tenant_store_update(tx, &tenant);
    change_queue(tx, &tenant, "tenant.update");
    return tx_commit(tx);
}

static inline int get(struct store *store, struct ctx *ctx, const struct uuid *id,
                      struct tenant *tenant)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct epoch_seen seen;
    TRY(tx_begin(store, ctx, TX_READ, id, &tx));
    return tenant_store_get(tx, id, tenant, &seen);
}

static inline const char *uuid_of(struct arena *arena, const struct uuid *id)
{
    char *text = arena_alloc(arena, UUID_TEXT_SIZE);
    uuid_format(id, text);
    return text;
}

/* Events of a tenant wherever they are: unsent or sent. */
static inline long events_of(struct rig *rig, const struct uuid *id)
{
    const char *text = uuid_of(rig->ctx.arena, id);
    return strtol(sql(rig->root,
                      "SELECT (SELECT count(*) FROM tenant.outbox WHERE tenant_id = '%s') + "
                      "(SELECT count(*) FROM tenant.outbox_sent WHERE tenant_id = '%s')",
                      text, text),
                  NULL, 10);
}

static inline long audits_of(struct rig *rig, const struct uuid *id)
{
    return strtol(sql(rig->root, "SELECT count(*) FROM tenant.tenant_audit WHERE tenant_id = '%s'",
                      uuid_of(rig->ctx.arena, id)),
                  NULL, 10);
}

/* Waits until no session of the app login has a transaction open; fails after two seconds. */
static inline void expect_nothing_open(struct rig *rig)
{
    uint64_t limit = clock_now() + 2 * NS_PER_S;
    while (sql_count(rig->root, "pg_stat_activity WHERE usename = 'tenant_app' AND datname = "
                                "current_database() AND xact_start IS NOT NULL") > 0) {
        ck_assert_msg(clock_now() < limit, "a transaction stays open: %s",
                      sql(rig->root, "SELECT state || ': ' || query FROM pg_stat_activity WHERE "
                                     "usename = 'tenant_app' AND xact_start IS NOT NULL"));
        usleep(10000);
    }
}

#endif
