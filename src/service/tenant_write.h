/* What creating and updating tenants share: the checks and the one transaction that keeps change, audit and
 * event together. */
#ifndef SERVICE_TENANT_WRITE_H
#define SERVICE_TENANT_WRITE_H

#include "events/envelope.h"
#include "service/write.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

/* The new tenant that a request describes, with defaults; without id and times.  Reports every broken rule.
 * Refusals: INVALID_ARGUMENT, INVALID_REGION, INVALID_PLAN, WRONG_REGION. */
int tenant_check_create(struct call *call, const Tenant__V1__Tenant *message,
                        struct tenant *tenant) MUST_CHECK;
/* The domain's rules; `broken` counts violations that were reported before.  Refusals: INVALID_ARGUMENT, or
 * INVALID_PLAN when nothing but the plan is wrong. */
int tenant_check_rules(struct call *call, const struct tenant *tenant, size_t broken) MUST_CHECK;
/* WRONG_REGION with the region in the metadata. */
int tenant_refuse_region(struct call *call, enum region home);

/* Reports a slug that the platform keeps for itself; for whoever takes one now, as the list may grow.
 * Returns the number of violations. */
size_t tenant_refuse_reserved(struct call *call, const struct tenant *tenant);
/* VERSION_CONFLICT with the current etag, unless `etag` is empty or still the tenant's. */
int tenant_check_etag(struct call *call, const char *etag, const struct tenant *tenant) MUST_CHECK;

/* A change that is about to be kept. */
struct tenant_change {
    enum event_kind kind;
    const struct tenant *tenant;       /* after the change */
    const Tenant__V1__Tenant *message; /* the same */
    unsigned fields;                   /* EVENT_ORG_UPDATED: bits of what changed */
    const char *old_slug;              /* NULL for a new tenant */
    enum tenant_status previous;       /* status changes: the one before … */
    const char *reason;                /* … and why */
};

/* Behind the queued insertion or update: audit, event, the answer under its key, COMMIT; then caches and relay.
 * `reply` is the whole response message.  Suspends.  Refusals: SLUG_TAKEN and those of write_commit(). */
int tenant_save(struct write *write, const struct tenant_change *change,
                const ProtobufCMessage *reply) MUST_CHECK;

#endif
