/* After a rewind of the database: tenants that had been suspended or closed, by events that were lost, are so
 * again. */
#ifndef SERVICE_RESTRICTIONS_H
#define SERVICE_RESTRICTIONS_H

#include "service/service.h"

/* Puts back some of the restrictions that relays noted, each in a transaction of its own with audit and event,
 * as the service itself.  Cheap when there is nothing to do.  May be called by many replicas at once: each
 * restriction is put back once.  Refusals and faults are those of tx_commit(); what was not dealt with comes
 * the next time.  Suspends. */
int restrictions_put_back(struct ctx *ctx, const struct service_env *env) MUST_CHECK;

#endif
