/* The store: one per worker, relay or tool thread; pools of connections for the three logins.
 *
 * Connections are opened in the background when somebody needs them, kept for a while, dropped at once
 * when broken, and replaced with growing pauses.  While no connection can be had, every taker is refused
 * immediately (DATABASE_UNAVAILABLE) instead of waiting a time-out each.  With a loop everything happens
 * on its thread; without one (plain threads) a connection is opened by whoever needs it, blocking in
 * poll(2) until the deadline. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/tx.h"

#include "base/ctx.h"
#include "base/metrics.h"

struct loop;
struct pg_password;
struct store;

struct store_settings {
    const char *urls[LOGIN_COUNT];  /* libpq URLs; NULL: this login is not used here */
    struct pg_password *passwords[LOGIN_COUNT]; /* instead of the URLs' own, outlive the store; or NULL */
    uint32_t sizes[LOGIN_COUNT];    /* connections at most; 0: 1 */
    uint32_t queue;                 /* waiters per pool; more are refused at once; 0: none may wait */
    uint64_t connect_timeout_ns;    /* 0: 2 s */
    uint64_t statement_timeout_ns;  /* upper bound; a nearer deadline of the work wins; 0: 5 s */
    uint64_t max_age_ns;            /* a connection's life, shortened by up to a tenth; 0: 30 min */
};

/* Parses the URLs and makes empty pools; connects to nothing.  A host name is looked up here, and again
 * on a thread of its own after a failed connect: give an address (hostaddr, or a numeric host) where
 * start must not depend on DNS.  `loop` NULL: for a plain thread.  `metrics` may be NULL.
 * Fault: CONFIG for a URL that libpq does not accept, names several hosts, or a name nobody knows. */
int store_open(struct ctx *ctx, struct loop *loop, const struct store_settings *settings,
               struct metrics *metrics, struct store **store) MUST_CHECK;
/* Every tx must be freed.  Closes all connections.  Accepts NULL. */
void store_close(struct store *store);

/* What the last failed connect of a login said, for probes and logs; "" when the last one succeeded. */
const char *store_trouble(const struct store *store, enum store_login login);

/* --- schema ------------------------------------------------------------------------------------- */

/* The version that this program's statements need.  A newer schema is accepted: migrations only add
 * what older programs do not miss until nobody runs them. */
#define STORE_SCHEMA_VERSION 9

/* The newest applied migration, 0 for none; `mode` is TX_CATALOG or TX_RELAY.  Suspends.
 * Refusals and faults of tx_run(). */
int schema_version_read(struct store *store, struct ctx *ctx, enum tx_mode mode,
                        int *version) MUST_CHECK;
/* Fault CONFIG, naming both versions, when the schema is older than needed.  Suspends. */
int schema_version_check(struct store *store, struct ctx *ctx, enum tx_mode mode) MUST_CHECK;

#endif
