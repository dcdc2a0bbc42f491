/* Leaves an event in the transaction that changes a tenant: both happen or neither. */
#ifndef EVENTS_OUTBOX_H
#define EVENTS_OUTBOX_H

#include "events/envelope.h"

#include "base/result.h"

#include "store/tx.h"

/* Call last in the transaction: the statement takes the lock on the tenant's sequence.  Queued only, so the
 * event travels in the same pipeline as the COMMIT; after the commit wake the relay.  Refusal:
 * INVALID_ARGUMENT when the tenant is so large that its event could never be sent. */
int outbox_append_provisioned(struct tx *tx, const struct event_source *source,
                              const struct tenant *tenant) MUST_CHECK;
/* changed_fields: the enum tenant_field bits that tenant_apply() returned. */
int outbox_append_updated(struct tx *tx, const struct event_source *source,
                          const struct tenant *tenant, unsigned changed_fields) MUST_CHECK;

#endif
