/* What all envelopes of ours have, whoever makes them: a change's own, a tombstone, the relay's news.  Strings
 * that are given are shared with the envelope; everything else lives in the arena.  Pure. */
#ifndef EVENTS_ENVELOPE_PARTS_H
#define EVENTS_ENVELOPE_PARTS_H

#include "events/envelope.h"

#include "gen/pb/tenant/events/v1/envelope.pb-c.h"

/* The event's id and its tenant's; the tenant is the partition key, too. */
void envelope_put_ids(struct arena *arena, Tenant__Events__V1__EventEnvelope *envelope,
                      const struct uuid *event_id, const struct uuid *tenant_id);
void envelope_put_type(Tenant__Events__V1__EventEnvelope *envelope, const struct event_type *type);
/* Who produced it, and which service made it happen. */
void envelope_put_source(struct arena *arena, Tenant__Events__V1__EventEnvelope *envelope,
                         const struct event_source *source, const char *actor);

#endif
