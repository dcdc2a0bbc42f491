/* Tombstones; see withheld.h.  Called by the relay when it gives an event up. */
#include "events/withheld.h"

#include "events/subjects.h"
#include "events/envelope_parts.h"
#include "events/tenant_payload.h"

#include "gen/events.h"
#include "gen/pb/tenant/events/v1/withheld_event.pb-c.h"

/* of what is taken over: our own values are far below */
#define TEXT_MAX 256

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;

static void origin_keep(EventEnvelope *envelope, const EventEnvelope *original);
static struct slice payload_pack(struct arena *arena, const struct outbox_row *row,
                                 const struct withheld_reason *reason);
static char *shortened(char *text);

const char *withheld_subject(void)
{
    return event_event_withheld_v1.subject;
}

bool withheld_is(const struct outbox_row *row)
{
    return strcmp(row->subject, withheld_subject()) == 0;
}

/* An original that cannot be read leaves what the row knows. */
struct slice withheld_pack(struct arena *arena, const struct outbox_row *row,
                           const struct withheld_reason *reason)
{
    EventEnvelope envelope;
    tenant__events__v1__event_envelope__init(&envelope);
    const EventEnvelope *original = tenant__events__v1__event_envelope__unpack(
        arena_protobuf(arena), row->payload.size, row->payload.data);
    envelope.occurred_at = pb_time(arena, row->created_us);
    if (original != NULL)
        origin_keep(&envelope, original);
    envelope_put_ids(arena, &envelope, &row->msg_id, &row->tenant_id);
    envelope_put_type(&envelope, &event_event_withheld_v1);
    pb_bytes(arena, payload_pack(arena, row, reason), &envelope.payload);
    return pb_pack(arena, &envelope.base);
}

static void origin_keep(EventEnvelope *envelope, const EventEnvelope *original)
{
    if (original->source != NULL) {
        envelope->source = original->source;
        envelope->source->service = shortened(original->source->service);
        envelope->source->instance = shortened(original->source->instance);
        envelope->source->commit = shortened(original->source->commit);
    }
    if (original->actor != NULL) {
        envelope->actor = original->actor;
        envelope->actor->type = shortened(original->actor->type);
        envelope->actor->id = shortened(original->actor->id);
    }
    if (original->occurred_at != NULL)
        envelope->occurred_at = original->occurred_at;
    envelope->correlation_id = shortened(original->correlation_id);
    envelope->causation_id = shortened(original->causation_id);
    envelope->data_residency = shortened(original->data_residency);
    envelope->traceparent = shortened(original->traceparent);
}

static struct slice payload_pack(struct arena *arena, const struct outbox_row *row,
                                 const struct withheld_reason *reason)
{
    Tenant__Events__V1__EventWithheld message;
    char *type = arena_alloc(arena, SUBJECT_SIZE);
    unsigned version = 0;
    tenant__events__v1__event_withheld__init(&message);
    if (!event_subject_split(row->subject, type, &version))
        type = arena_strndup(arena, row->subject, strnlen(row->subject, TEXT_MAX));
    message.event_type = type;
    message.event_version = version;
    message.cause = pb_text(reason->cause);
    message.detail = pb_text(reason->detail);
    return pb_pack(arena, &message.base);
}

/* Half a text would be a wrong one. */
static char *shortened(char *text)
{
    return strnlen(text, TEXT_MAX + 1) > TEXT_MAX ? pb_text("") : text;
}
