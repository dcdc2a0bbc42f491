/*~ The one way to run SQL: a transaction that knows its tenant.
 *
 *     AUTO(tx_free_ptr) struct tx *tx = NULL;
 *     TRY(tx_begin(store, ctx, TX_WRITE, &tenant_id, &tx));
 *     tx_queue(tx, &tenant_lock, values, &rows);
 *     TRY(tx_run(tx));                        // BEGIN + set_config + SELECT: one round trip
 *     tx_queue(tx, &tenant_update, …); tx_queue(tx, &audit_insert, …); …
 *     TRY(tx_commit(tx));                     // UPDATE + INSERT + … + COMMIT: one round trip
 *
 * tx_begin() sends nothing.  The first run takes a connection and sends BEGIN, the tenant, the time-out
 * and the queued statements in one pipeline of unnamed statements, as PgBouncer's transaction mode needs.
 * Freeing an open tx rolls back in the background and never waits.  Waits on a tx wait for nothing but
 * the database. */
#ifndef STORE_TX_H
#define STORE_TX_H

#include "store/row.h"
#include "store/stmt.h"
#include "store/value.h"

#include "base/ctx.h"

struct store;
struct tx;

/* A transaction reads or writes one tenant's rows, or is one of the explicit exceptions. */
enum tx_mode {
    TX_READ,          /* app login, read only; its one run ends it: COMMIT travels along */
    TX_WRITE,         /* app login */
    TX_CATALOG,       /* app login without a tenant: sees no tenant's rows; ends like TX_READ */
    TX_PLATFORM_READ, /* platform login: every tenant's row; ends like TX_READ */
    TX_PLATFORM,      /* platform login, for the record of platform access */
    TX_RELAY,         /* relay login: outbox tables alone */
};

/* `tenant` is needed by TX_READ and TX_WRITE, and must be NULL for the others (asserted).  The ctx must
 * outlive the tx.  Fault: TIMEOUT when so little of the deadline is left that asking is no use. */
int tx_begin(struct store *store, struct ctx *ctx, enum tx_mode mode, const struct uuid *tenant,
             struct tx **tx) MUST_CHECK;

/* Adds a statement with stmt->param_count values to the next run.  `rows` (may be NULL) is filled by the
 * run when it succeeds.  Does not suspend. */
void tx_queue(struct tx *tx, const struct stmt *stmt, const struct sql_value *values,
              struct rows *rows);

/* Sends what is queued and collects the answers.  After anything but OK nothing was changed and the tx
 * can only be freed.
 * Refusals: the statements' own (SLUG_TAKEN, VERSION_CONFLICT, …); CONCURRENT_CHANGE (deadlock, lock
 * time-out, serialization: a retry of the whole transaction may succeed); OVERLOADED (the queue for a
 * connection is full); DATABASE_UNAVAILABLE (no connection can be had now).
 * Faults: TIMEOUT, CANCELLED, DATABASE, INTERNAL.  Suspends. */
int tx_run(struct tx *tx) MUST_CHECK;

/* tx_run() with COMMIT as the pipeline's last statement.  Three outcomes: OK: committed; COMMIT_UNCERTAIN:
 * COMMIT was sent and no answer came, the transaction may or may not have happened; anything else: not
 * committed.  Shielded from cancellation, bounded by the deadline.  Rows stay readable.  Suspends. */
int tx_commit(struct tx *tx) MUST_CHECK;

/* The halves of tx_commit(), for who has something else to do while the server works.  Begin sends, and
 * suspends for a connection and until all has gone out; after OK it must be ended, by the end half or by
 * tx_free(), which does not learn how it went.  What is between them is bounded by the caller: the server
 * holds the statements' locks. */
int tx_commit_begin(struct tx *tx) MUST_CHECK;
int tx_commit_end(struct tx *tx) MUST_CHECK;

/* From now on a failed run keeps its connection, so that tx_rollback() can end the transaction before
 * the caller goes on. */
void tx_end_yourself(struct tx *tx);
/* Rolls back what is not committed and waits for it: afterwards the transaction's locks are free.
 * What cannot be waited for (deadline, cancellation, lost connection) is left to tx_free().  Suspends. */
void tx_rollback(struct tx *tx);

/* Rolls back what is not committed, in the background.  Accepts NULL, never suspends. */
void tx_free(struct tx *tx);
void tx_free_ptr(struct tx **tx); /* for AUTO */

struct ctx *tx_ctx(const struct tx *tx);
enum tx_mode tx_mode(const struct tx *tx);

#endif
