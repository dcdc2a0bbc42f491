/* Statements: the only SQL that runs.  One const struct per statement, its text in one place beside the
 * aggregate it serves, never built from strings.  A test prepares every registered one against the
 * migrated schema and compares its parameters and columns. */
#ifndef STORE_STMT_H
#define STORE_STMT_H

#include <stddef.h>

#define STMT_PARAMS_MAX 24
#define STMT_COLUMNS_MAX 24

/* A column for `struct epoch_seen`: what the statement's snapshot has certainly seen. */
#define SNAPSHOT_XMIN "pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS snapshot_xmin"

struct stmt {
    const char *name;                          /* "tenant.get", for logs and tests */
    const char *text;                          /* unnamed when it runs: PgBouncer pools sessions */
    size_t param_count;                        /* $1 … $n */
    const char *columns[STMT_COLUMNS_MAX + 1]; /* of its rows, in order; NULL ends them */
    const char *unique_constraint;             /* breaking this one is an answer, … */
    int unique_refusal;                        /* … namely this refusal */
    int guard_refusal; /* when the text divides by the number of rows it changed and that is none */
};

/* Which login may run a list's statements. */
enum store_login { LOGIN_APP, LOGIN_PLATFORM, LOGIN_RELAY };
#define LOGIN_COUNT 3

/* With each transaction of the relay.  Its queues are empty nearly always, and so are the statistics that
 * PostgreSQL has of them when an outage fills one: it then believes in a handful of rows, and would rather
 * gather all of a shard's backlog by a bitmap and sort it than go along the index to the first thousand. */
#define RELAY_PLANNER "set_config('enable_bitmapscan', 'off', true)"

struct stmt_list {
    const struct stmt *const *items;
    size_t count;
    enum store_login login; /* whose grants must suffice */
};

/* Statements of tenants; those of other aggregates stand in their headers. */
extern const struct stmt_list tenant_statements;          /* app */
extern const struct stmt_list tenant_platform_statements; /* platform */

#endif
