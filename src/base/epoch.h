/* How far a tenant has changed, as caches and consistency tokens compare it.
 *
 * Every transaction that changes a tenant raises its epoch in tenant.authz_epoch.  The incarnation grows when
 * the database was taken back in time, so that counters which start anew still compare as later. */
#ifndef BASE_EPOCH_H
#define BASE_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

/* {0, 0}: no change was ever counted (a row older than the table of epochs). */
struct epoch {
    int64_t incarnation;
    int64_t counter;
};

/* An epoch as one snapshot of the primary showed it.  Every transaction that this snapshot did not see has an
 * id of at least `xmin` (pg_snapshot_xmin(): "all transaction IDs less than xmin are either committed and
 * visible, or rolled back and dead"). */
struct epoch_seen {
    struct epoch epoch;
    uint64_t xmin;
};

/* Below 0, 0 or above 0 as `a` is before, equal to or after `b`. */
static inline int epoch_compare(struct epoch a, struct epoch b)
{
    if (a.incarnation != b.incarnation)
        return a.incarnation < b.incarnation ? -1 : 1;
    return a.counter == b.counter ? 0 : a.counter < b.counter ? -1 : 1;
}

#endif
