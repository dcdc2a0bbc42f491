/* Leaves an event in the transaction that changes a tenant: both happen or neither. */
#ifndef EVENTS_OUTBOX_H
#define EVENTS_OUTBOX_H

#include "events/envelope.h"

#include "base/result.h"

#include "store/tx.h"

/* Call behind the change: the statement takes the locks on the tenant's counters.  Queued only, so the event
 * travels in the same pipeline as the COMMIT; after the commit wake the relay.  event->id is made here; `point`
 * (may be NULL) then says where the tenant has come to (outbox_store_read_point()).  Refusal: INVALID_ARGUMENT
 * when the tenant is so large that its event could never be sent. */
int outbox_append(struct tx *tx, const struct event *event, struct rows *point) MUST_CHECK;

#endif
