/* Events on their way: one row in the same transaction as the change it tells of, with the tenant's next
 * sequence number. */
#ifndef STORE_OUTBOX_STORE_H
#define STORE_OUTBOX_STORE_H

#include "base/id.h"

#include "store/tx.h"

struct outbox_event {
    struct uuid tenant_id;
    struct uuid msg_id;      /* the event's id */
    unsigned shard;          /* its partition, 0 to 15 */
    const char *subject;     /* without the partition: "tenant.org.updated.v1" */
    struct slice payload;    /* the envelope without sequence and incarnation: the relay appends them */
    const char *traceparent; /* "" when there is none */
};

/* Queues the statement that takes the tenant's next sequence number and stores the event under it.  Queue it
 * last: the lock on the tenant's counter is then held for the COMMIT only. */
void outbox_store_append(struct tx *tx, const struct outbox_event *event);

extern const struct stmt_list outbox_statements; /* app */

#endif
