/* Parts of envelopes; see envelope_parts.h.  Called by envelope.c, withheld.c and rewound.c. */
#include "events/envelope_parts.h"

#include "events/tenant_payload.h"

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;

void envelope_put_ids(struct arena *arena, EventEnvelope *envelope, const struct uuid *event_id,
                      const struct uuid *tenant_id)
{
    envelope->event_id = arena_alloc(arena, ID_TEXT_SIZE);
    envelope->tenant_id = arena_alloc(arena, ID_TEXT_SIZE);
    id_format(ID_EVENT, event_id, envelope->event_id);
    id_format(ID_TENANT, tenant_id, envelope->tenant_id);
    envelope->partition_key = envelope->tenant_id;
}

void envelope_put_type(EventEnvelope *envelope, const struct event_type *type)
{
    envelope->event_type = pb_text(type->name);
    envelope->event_version = type->version;
    envelope->schema_uri = pb_text(type->schema_uri);
    envelope->retention_class = pb_text(type->retention_class);
}

void envelope_put_source(struct arena *arena, EventEnvelope *envelope,
                         const struct event_source *source, const char *actor)
{
    envelope->source = arena_alloc(arena, sizeof *envelope->source);
    envelope->actor = arena_alloc(arena, sizeof *envelope->actor);
    tenant__events__v1__event_source__init(envelope->source);
    tenant__events__v1__event_actor__init(envelope->actor);
    envelope->source->service = pb_text(source->service);
    envelope->source->instance = pb_text(source->instance);
    envelope->source->commit = pb_text(source->commit);
    envelope->actor->type = pb_text("service");
    envelope->actor->id = pb_text(actor);
}
