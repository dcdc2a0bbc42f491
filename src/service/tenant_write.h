/* What creating and updating tenants share: the checks and the one transaction that keeps change, audit and
 * event together. */
#ifndef SERVICE_TENANT_WRITE_H
#define SERVICE_TENANT_WRITE_H

#include "service/service.h"
#include "store/tx.h"

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

/* Behind the queued insertion: audit, event, COMMIT; then caches and relay.  Suspends.  Refusals: SLUG_TAKEN
 * and those of tx_commit(). */
int tenant_save_created(struct call *call, struct tx *tx, const struct tenant *tenant,
                        const Tenant__V1__Tenant *message) MUST_CHECK;

struct tenant_change {
    const struct tenant *tenant;       /* after the change */
    const Tenant__V1__Tenant *message; /* the same */
    unsigned fields;                   /* bits of what changed */
    const char *old_slug;
};

/* The same behind the queued update. */
int tenant_save_updated(struct call *call, struct tx *tx,
                        const struct tenant_change *change) MUST_CHECK;

#endif
