/* Between the wire's Tenant message and the domain's tenant, and the form in which tenants are cached. */
#ifndef SERVICE_TENANT_MESSAGE_H
#define SERVICE_TENANT_MESSAGE_H

#include "domain/tenant.h"
#include "rpc/call.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

/* Takes what a client may set (slug, names, type, plan, labels, settings); ignores output-only fields
 * (AIP-203: "the service must ignore it").  Strings stay the message's; maps are sorted copies in the
 * call's arena.  Reports what cannot be represented (a map key sent twice, an unknown type) as field
 * violations with the path below `prefix`; returns how many. home_region is left to the caller. */
size_t tenant_from_message(struct call *call, const Tenant__V1__Tenant *message,
                           struct tenant *tenant);

/* Fills `message` from the tenant; strings and maps are shared with it or live in the arena. */
Tenant__V1__Tenant *tenant_to_message(struct arena *arena, const struct tenant *tenant);

/* Clears what callers other than the platform operator may not see in a lookup: leaves tenant_id, slug,
 * display_name, type, home_region and status. */
void tenant_message_public(Tenant__V1__Tenant *message);

/* The bits of fields that an update without a mask means: "equivalent to all fields that are populated"
 * (AIP-134). */
unsigned tenant_message_populated(const Tenant__V1__Tenant *message);

/* The entity tag of a version: a quoted opaque string (RFC 9110 section 8.8.3). */
char *tenant_etag(struct arena *arena, int64_t version);

/* The bytes kept in caches: the packed message.  In the arena. */
struct slice tenant_message_pack(struct arena *arena, const Tenant__V1__Tenant *message);
/* NULL when the bytes are not a Tenant message of tenant `id`. */
Tenant__V1__Tenant *tenant_message_unpack(struct arena *arena, struct slice bytes,
                                          const struct uuid *id);

#endif
