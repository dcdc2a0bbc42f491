/* tenant.log.rewound.v1; see rewound.h.  Called by the relay after a rewind. */
#include "events/rewound.h"

#include "events/envelope_parts.h"
#include "events/tenant_payload.h"

#include "gen/events.h"
#include "gen/pb/tenant/events/v1/rewound_event.pb-c.h"
#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

#include <assert.h>

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;

static struct slice payload_pack(struct arena *arena, const struct loss *loss);

const char *rewound_subject(void)
{
    return event_log_rewound_v1.subject;
}

/* Nobody called for it: the service itself acts. */
struct slice rewound_pack(struct arena *arena, const struct rewound_event *event)
{
    EventEnvelope envelope;
    tenant__events__v1__event_envelope__init(&envelope);
    envelope_put_ids(arena, &envelope, &event->id, &event->loss->tenant_id);
    envelope_put_type(&envelope, &event_log_rewound_v1);
    envelope_put_source(arena, &envelope, event->source, event->source->service);
    envelope.data_residency = pb_text(event->region);
    envelope.occurred_at = pb_time(arena, event->time_us);
    pb_bytes(arena, payload_pack(arena, event->loss), &envelope.payload);
    return pb_pack(arena, &envelope.base);
}

/* The payloads of both events have the reason under the same number: see envelope.c. */
const char *rewound_reason(struct arena *arena, struct slice envelope)
{
    const EventEnvelope *whole = tenant__events__v1__event_envelope__unpack(
        arena_protobuf(arena), envelope.size, envelope.data);
    if (whole == NULL || (strcmp(whole->event_type, event_org_suspended_v1.name) != 0 &&
                          strcmp(whole->event_type, event_org_closed_v1.name) != 0))
        return "";
    const Tenant__Events__V1__OrgSuspended *payload = tenant__events__v1__org_suspended__unpack(
        arena_protobuf(arena), whole->payload.len, whole->payload.data);
    if (payload == NULL)
        return "";
    size_t size = strnlen(payload->reason, REWOUND_REASON_MAX + 1);
    if (size > REWOUND_REASON_MAX) {
        size = REWOUND_REASON_MAX;
        while (size > 0 && ((uint8_t)payload->reason[size] & 0xC0) == 0x80)
            size--;
    }
    return arena_strndup(arena, payload->reason, size);
}

static struct slice payload_pack(struct arena *arena, const struct loss *loss)
{
    Tenant__Events__V1__LogRewound message;
    assert(loss->incarnation > 0 && loss->from > 0 && loss->to >= loss->from);
    tenant__events__v1__log_rewound__init(&message);
    message.previous_incarnation = (uint64_t)loss->incarnation;
    message.last_valid_sequence = (uint64_t)loss->from - 1;
    message.lost_from = (uint64_t)loss->from;
    message.lost_to = (uint64_t)loss->to;
    return pb_pack(arena, &message.base);
}
