/* Envelopes.  Called for every message that is handled: what a stream holds is foreign bytes. */
#include "consumer/event.h"

#include "events/json_scan.h"
#include "events/subjects.h"

#include "gen/events.h"

#include <string.h>

static const char *envelope_fault(struct event_view *view,
                                  const Tenant__Events__V1__EventEnvelope *envelope);
static bool headers_read(struct event_view *view, const struct event_headers *headers);
static const char *tenant_text(const struct event_view *view);
static bool is_place(struct tenant_position at);

/* The body is what counts; headers help only to tell whose place a broken one takes. */
void event_unpack(struct event_view *view, struct slice bytes, const struct event_headers *headers)
{
    struct tenant_event *event = &view->event;
    event->bytes = bytes.data;
    event->size = bytes.size;
    const Tenant__Events__V1__EventEnvelope *envelope = tenant__events__v1__event_envelope__unpack(
        arena_protobuf(view->arena), bytes.size, bytes.data);
    view->fault = envelope == NULL ? "the body is no envelope" : envelope_fault(view, envelope);
    if (view->fault == NULL) {
        view->form = EVENT_GOOD;
        event->envelope = envelope;
        event->id = envelope->event_id;
        event->type = envelope->event_type;
        event->version = envelope->event_version;
        event->tenant_id = tenant_text(view);
        event->at = (struct tenant_position){envelope->incarnation, envelope->sequence};
        return;
    }
    event->id = event->type = event->tenant_id = "";
    view->form = headers != NULL && headers_read(view, headers) ? EVENT_MALFORMED : EVENT_NAMELESS;
}

/* Looked up when it is asked for: many handlers decide by the type alone. */
const ProtobufCMessage *tenant_event_payload(const struct tenant_event *event)
{
    /* The handler sees its event as const; what is cached behind it is ours. */
    union {
        const struct tenant_event *shown;
        struct event_view *view;
    } cast = {.shown = event};
    struct event_view *view = cast.view;
    if (!view->payload_tried) {
        const struct event_type *type = event_type_find(event->type, event->version);
        view->payload_tried = true;
        view->payload = type == NULL ? NULL : tenant_event_payload_as(event, type->payload);
    }
    return view->payload;
}

const ProtobufCMessage *tenant_event_payload_as(const struct tenant_event *event,
                                                const ProtobufCMessageDescriptor *type)
{
    const struct event_view *view = (const struct event_view *)event;
    return protobuf_c_message_unpack(type, arena_protobuf(view->arena),
                                     event->envelope->payload.len, event->envelope->payload.data);
}

/* NULL: nothing is wrong. */
static const char *envelope_fault(struct event_view *view,
                                  const Tenant__Events__V1__EventEnvelope *envelope)
{
    struct uuid id;
    if (!id_parse(ID_TENANT, slice_of_str(envelope->tenant_id), &view->tenant))
        return "tenant_id is no tenant's id";
    if (!id_parse(ID_EVENT, slice_of_str(envelope->event_id), &id))
        return "event_id is no event's id";
    if (envelope->event_type[0] == '\0' || envelope->event_version == 0)
        return "the event has no type";
    if (!is_place((struct tenant_position){envelope->incarnation, envelope->sequence}))
        return "the event has no place in its tenant's history";
    if (partition_of(&view->tenant) != view->event.partition)
        return "the tenant belongs to another partition";
    return NULL;
}

static bool headers_read(struct event_view *view, const struct event_headers *headers)
{
    struct tenant_position at;
    if (headers->tenant_id == NULL || headers->sequence == NULL || headers->incarnation == NULL ||
        !id_parse(ID_TENANT, slice_of_str(headers->tenant_id), &view->tenant) ||
        !json_scan_uint(slice_of_str(headers->sequence), &at.sequence) ||
        !json_scan_uint(slice_of_str(headers->incarnation), &at.incarnation) || !is_place(at) ||
        partition_of(&view->tenant) != view->event.partition)
        return false;
    view->event.at = at;
    view->event.tenant_id = tenant_text(view);
    return true;
}

/* One spelling, because callers keep positions under it. */
static const char *tenant_text(const struct event_view *view)
{
    char *text = arena_alloc(view->arena, ID_TEXT_SIZE);
    id_format(ID_TENANT, &view->tenant, text);
    return text;
}

/* Callers keep both numbers as signed ones. */
static bool is_place(struct tenant_position at)
{
    return at.incarnation > 0 && at.incarnation <= INT64_MAX && at.sequence > 0 &&
           at.sequence <= INT64_MAX;
}
