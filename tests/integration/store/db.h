/* One store on the stack's PgBouncer, with its metrics, and a superuser who looks on from the side.
 *
 * Every test has tenants of its own, so suites and earlier runs on the same stack do not meet. */
#ifndef TESTS_STORE_DB_H
#define TESTS_STORE_DB_H

#include "tests/integration/store/rig.h"

#include "base/metrics.h"

#include "gen/errors.h"

#include <string.h>
#include <sys/wait.h>

struct db {
    struct rig rig;
    struct metrics *metrics;
    struct store *store;
};

static struct db db;

static inline void db_open(struct loop *loop, const struct store_settings *settings)
{
    db = (struct db){.metrics = metrics_new()};
    rig_open(&db.rig);
    db.rig.ctx.caller = "store-test";
    ck_assert_msg(store_open(&db.rig.ctx, loop, settings, db.metrics, &db.store) == OK, "%s",
                  ctx_fault_text(&db.rig.ctx));
}

static inline void db_close(void)
{
    store_close(db.store);
    metrics_free(db.metrics);
    rig_close(&db.rig);
}

/* What the superuser sees: the first cell, valid until the next call. */
static inline const char *see(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *see(const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ck_assert_int_lt(size, (int)sizeof text);
    return sql(db.rig.root, "%s", text);
}

static inline const char *text_of(const struct uuid *id)
{
    return uuid_of(db.rig.ctx.arena, id);
}

/* How many rows of the table the tenant has. */
static inline long rows_of(const char *table, const struct uuid *tenant)
{
    return strtol(see("SELECT count(*) FROM tenant.%s WHERE %s = '%s'", table,
                      strcmp(table, "tenants") == 0 ? "id" : "tenant_id", text_of(tenant)),
                  NULL, 10);
}

static inline long open_transactions(void)
{
    return sql_count(db.rig.root, "pg_stat_activity WHERE usename = 'tenant_app' AND "
                                  "datname = current_database() AND xact_start IS NOT NULL");
}

/* Ends sessions of the app login at the server; how many. */
static inline long terminate(const char *where)
{
    return strtol(see("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = "
                      "'tenant_app' AND datname = current_database() AND %s", where),
                  NULL, 10);
}

/* The value of a series as it is rendered. */
static inline long counted(const char *series)
{
    struct buf text = BUF_EMPTY;
    metrics_render(&db.metrics, 1, METRICS_PROMETHEUS, &text);
    char line[160];
    snprintf(line, sizeof line, "\n%s ", series);
    const char *at = strstr(buf_str(&text), line);
    ck_assert_msg(at != NULL, "no series %s", series);
    long value = strtol(at + strlen(line), NULL, 10);
    buf_deinit(&text);
    return value;
}

/* --- short forms for this store ---------------------------------------------------------------------- */

static inline struct tenant tenant_made(void)
{
    return tenant_sample(db.rig.ctx.arena);
}

static inline int add(const struct tenant *tenant)
{
    return create(db.store, &db.rig.ctx, tenant);
}

static inline int look(const struct uuid *id, struct tenant *out)
{
    return get(db.store, &db.rig.ctx, id, out);
}

static inline void queue_event(struct tx *tx, const struct uuid *tenant)
{
    const struct outbox_event event = {
        .tenant_id = *tenant,
        .msg_id = uuid_new(),
        .shard = tenant->bytes[15] % 16,
        .subject = "tenant.org.updated.v1",
        .payload = slice_of_str("payload"),
        .traceparent = "",
    };
    outbox_store_append(tx, &event, NULL);
}

/* A statement that takes its time: milliseconds. */
static const struct stmt nap = {
    .name = "test.nap",
    .text = "SELECT pg_sleep($1 / 1000.0)::text AS slept",
    .param_count = 1,
    .columns = {"slept", NULL},
};

static inline void queue_nap(struct tx *tx, int ms)
{
    tx_queue(tx, &nap, &(struct sql_value){.type = SQL_INT8, .number = ms}, NULL);
}

/* --- the servers -------------------------------------------------------------------------------------- */

/* Stops, kills, pauses … one server of the stack (tools/stack). */
static inline void server(const char *name, const char *action)
{
    char command[256];
    snprintf(command, sizeof command, "tools/stack server '%s' %s %s >/dev/null 2>&1",
             env("TENANT_STACK"), name, action);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("bash", "bash", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "%s %s: status %d", name, action, status);
}

#define wait_for(condition, seconds)                                                               \
    do {                                                                                           \
        uint64_t end_ = deadline_after(clock_now(), (seconds)*NS_PER_S);                           \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_now() < end_, "not within %d s: %s", (int)(seconds), #condition);  \
            usleep(20000);                                                                         \
        }                                                                                          \
    } while (0)

#endif
