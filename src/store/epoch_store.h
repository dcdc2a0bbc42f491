/* What changed since the last look, over all tenants: the rows behind the cache's view of epochs. */
#ifndef STORE_EPOCH_STORE_H
#define STORE_EPOCH_STORE_H

#include "base/epoch.h"

#include "store/tx.h"

struct epoch_row {
    struct uuid tenant_id;
    struct epoch epoch;
};

/* One look at tenant.authz_epoch, all of one snapshot.  What it points to lives in the ctx's arena. */
struct epoch_rows {
    const char *snapshot; /* for the next look: what this one saw */
    uint64_t xmin;        /* every lower id is decided */
    uint64_t xmax;        /* this id and higher ones have not begun */
    uint64_t base;        /* of a first look: `items` are all changes of ids from here on */
    uint64_t era;         /* another after a crash, a fail-over or a restore of the server */
    bool recovering;      /* a standby: it says what was, not what is */
    bool complete;        /* false: there were more than `limit` rows, `items` is worth nothing */
    const struct epoch_row *items;
    size_t count;
};

/* TX_PLATFORM_READ.  The epochs of all tenants whose last change the snapshot `before` did not see, in
 * whatever order ids were taken and transactions committed; reads no more than these rows, also while a
 * transaction stays open for hours.  `before` NULL, to begin with: the last `limit` changes.  Suspends.
 * Refusals and faults of tx_run(). */
int epoch_store_look(struct tx *tx, const char *before, size_t limit,
                     struct epoch_rows *rows) MUST_CHECK;

/* "xmin:xmax:id,id,…" as PostgreSQL prints a pg_snapshot; false: it is none. */
bool epoch_snapshot_parse(struct slice text, uint64_t *xmin, uint64_t *xmax);

struct stmt_list;
extern const struct stmt_list epoch_statements; /* platform */

#endif
