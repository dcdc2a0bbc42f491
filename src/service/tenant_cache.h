/* What the caches keep of tenants: the packed Tenant message under its id, and the id under its slug.
 *
 * Only tenants of the own region are kept.  A profile is answered with while no later epoch of its tenant is
 * known; an id found under a slug counts when the profile still has that slug; "none" counts for `max_age`
 * (cache/cache.h).  Whatever is wrong with an entry makes it "not found". */
#ifndef SERVICE_TENANT_CACHE_H
#define SERVICE_TENANT_CACHE_H

#include "service/service.h"

#include "base/epoch.h"

#include "cache/cache.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

/* GetTenant's answer, of call->tenant, from memory or Redis, with x-source and x-staleness-ms set, as
 * call->stored_reply, which costs neither unpacking nor packing.  False when the tenant has to be read from
 * the database.  Then `flight` may lead: others who miss it wait until the caller's cache_flight_end().
 * at_least: what is of an earlier epoch is not found.  Suspends. */
bool tenant_cache_answer(struct call *call, struct epoch at_least, struct cache_flight *flight);
/* The tenant by slug: *tenant is NULL when the database has to be asked.  Refusal: TENANT_NOT_FOUND, when the
 * caches know that there is none.  Suspends. */
int tenant_cache_lookup(struct call *call, const char *slug, struct cache_flight *flight,
                        Tenant__V1__Tenant **tenant) MUST_CHECK;

/* What a read that began at `began_ns` has found … */
void tenant_cache_put(struct call *call, const struct tenant *tenant,
                      const Tenant__V1__Tenant *message, const struct epoch_seen *seen,
                      uint64_t began_ns);
/* … or has not. */
void tenant_cache_put_absent(struct call *call, const char *slug, uint64_t began_ns);

/* What a commit has made of a tenant. */
struct tenant_written {
    const struct tenant *tenant;
    const Tenant__V1__Tenant *message;
    const struct epoch_seen *seen; /* the commit's own */
    const char *old_slug;          /* what the slug was before; NULL for a new tenant */
    uint64_t began_ns;             /* clock_now() before the COMMIT was sent */
};
/* After a commit, before its answer: nothing older is found here any more. */
void tenant_cache_written(struct call *call, const struct tenant_written *written);
/* After a commit of unknown outcome. */
void tenant_cache_forget(struct call *call, const struct tenant *tenant, const char *old_slug);

/* Sets x-source: primary and x-staleness-ms: 0. */
void answer_from_primary(struct call *call);

#endif
