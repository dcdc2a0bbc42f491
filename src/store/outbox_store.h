/* Events on their way: one row in the same transaction as the change it tells of, with the tenant's next
 * sequence number. */
#ifndef STORE_OUTBOX_STORE_H
#define STORE_OUTBOX_STORE_H

#include "base/epoch.h"
#include "base/id.h"

#include "store/tx.h"

struct outbox_event {
    struct uuid tenant_id;
    struct uuid msg_id;  /* the event's id */
    unsigned shard;      /* its partition, 0 to 15 */
    const char *subject; /* without the partition: "tenant.org.updated.v1" */
    struct slice
        payload; /* the envelope without sequence and incarnation: the relay appends them */
    const char *traceparent; /* "" when there is none */
};

/* Queues the statement that takes the tenant's next sequence number, raises its epoch and stores the event
 * under both.  Queue it behind the change: the locks on the tenant's counters are then held for the COMMIT
 * only. `point` (may be NULL) is read by outbox_store_read_point() after the run. */
void outbox_store_append(struct tx *tx, const struct outbox_event *event, struct rows *point);

/* How far a tenant has come: what a consistency token stands for. */
struct outbox_point {
    int64_t sequence; /* 0: no event yet */
    struct epoch_seen seen;
};

/* Queues the question where the tenant is now. */
void outbox_store_point(struct tx *tx, const struct uuid *tenant, struct rows *point);
/* All zero when the tenant has no counter yet. */
int outbox_store_read_point(struct tx *tx, const struct rows *rows,
                            struct outbox_point *point) MUST_CHECK;

extern const struct stmt_list outbox_statements; /* app */

#endif
