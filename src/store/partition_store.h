/* Tables in partitions by time: sent events by day, the audit by month.  For the relay login alone (TX_RELAY).
 *
 * The database's own functions make and drop partitions; how long they stay stands in
 * tenant.partition_retention.  Every function is a transaction of its own, one round trip, and *suspends*;
 * refusals and faults are those of tx_commit().  Any of them may be repeated at any time. */
#ifndef STORE_PARTITION_STORE_H
#define STORE_PARTITION_STORE_H

#include "store/relay_store.h"

enum partitioned { PARTITIONED_SENT, PARTITIONED_AUDIT };
#define PARTITIONED_COUNT 2

/* "outbox_sent": the table, for logs and metrics. */
const char *partitioned_name(enum partitioned table);

/* of the default partition, in one call; as in the function */
#define PARTITION_DELETED_MAX 10000

/* What was done for one table. */
struct partition_work {
    uint64_t made;       /* partitions */
    uint64_t moved;      /* rows of the default partition that a new one took over */
    uint64_t dropped;    /* partitions past their retention */
    uint64_t deleted;    /* rows of the default partition past their retention */
    uint64_t failed;     /* partitions that could not be made or dropped: try again */
    uint64_t days_ahead; /* partitions reach this far without a gap */
    const char *trouble; /* why the last one failed, in the ctx's arena; "" when none did */
};

/* Makes what is missing of the coming weeks; `out` has PARTITIONED_COUNT elements.  While another relay is at
 * it, only looks. */
int partition_store_make(const struct relay_caller *caller, struct partition_work *out) MUST_CHECK;
/* Drops what is past its retention, by whole partitions; `out` as above. */
int partition_store_drop(const struct relay_caller *caller, struct partition_work *out) MUST_CHECK;

extern const struct stmt_list partition_statements; /* relay */

#endif
