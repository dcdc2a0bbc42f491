/* What an event says; see event_output.h.  Called by the events and dlq commands. */
#include "event_output.h"

#include "base/base64.h"

#include "gen/events.h"
#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"
#include "gen/pb/tenant/events/v1/withheld_event.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;

static const ProtobufCMessage *payload_of(struct arena *arena, const EventEnvelope *envelope);
static const char *detail_of(struct arena *arena, const ProtobufCMessage *payload);
static const char *state_detail(struct arena *arena, const Tenant__Events__V1__OrgSuspended *state);
static const char *withheld_detail(struct arena *arena,
                                   const Tenant__Events__V1__EventWithheld *withheld);
static const char *updated_detail(struct arena *arena,
                                  const Tenant__Events__V1__OrgUpdated *updated);
static const char *status_name(Tenant__V1__TenantStatus status);
static uint64_t time_ns(const Google__Protobuf__Timestamp *time);
static json_t *base64_json(struct arena *arena, struct slice bytes);

bool event_read(struct arena *arena, const struct stored_message *stored, struct seen_event *out)
{
    *out = (struct seen_event){.stored = *stored};
    out->envelope = tenant__events__v1__event_envelope__unpack(
        arena_protobuf(arena), stored->body.size, stored->body.data);
    if (out->envelope == NULL)
        return false;
    out->occurred_ns = time_ns(out->envelope->occurred_at);
    return true;
}

void event_print(const struct cli *cli, const struct seen_event *event)
{
    struct arena *arena = cli->arena;
    if (cli->form != FORM_TABLE) {
        output_line(cli, event_json(arena, event));
        return;
    }
    const EventEnvelope *envelope = event->envelope;
    fprintf(cli->out, "%s  %s.v%u  %s  seq %llu  by %s  %s\n",
            moment_text(arena, event->occurred_ns), text_clean(arena, envelope->event_type),
            envelope->event_version, text_clean(arena, envelope->tenant_id),
            (unsigned long long)envelope->sequence,
            envelope->actor == NULL ? "?" : text_clean(arena, envelope->actor->id),
            text_clean(arena, detail_of(arena, payload_of(arena, envelope))));
}

/* NULL for a type that this program does not know, and for bytes that are not of it. */
static const ProtobufCMessage *payload_of(struct arena *arena, const EventEnvelope *envelope)
{
    const struct event_type *type = event_type_find(envelope->event_type, envelope->event_version);
    return type == NULL ? NULL
                        : protobuf_c_message_unpack(type->payload, arena_protobuf(arena),
                                                    envelope->payload.len, envelope->payload.data);
}

static const char *detail_of(struct arena *arena, const ProtobufCMessage *payload)
{
    const void *message = payload;
    if (payload == NULL)
        return "";
    if (payload->descriptor == &tenant__events__v1__org_updated__descriptor)
        return updated_detail(arena, message);
    if (payload->descriptor == &tenant__events__v1__event_withheld__descriptor)
        return withheld_detail(arena, message);
    if (payload->descriptor == &tenant__events__v1__org_provisioned__descriptor) {
        const Tenant__Events__V1__OrgProvisioned *made = message;
        return made->tenant == NULL ? "" : arena_printf(arena, "slug %s", made->tenant->slug);
    }
    if (payload->descriptor == &tenant__events__v1__org_suspended__descriptor ||
        payload->descriptor == &tenant__events__v1__org_reactivated__descriptor ||
        payload->descriptor == &tenant__events__v1__org_closed__descriptor)
        return state_detail(arena, message);
    return "";
}

/* The three changes of state have the same fields under the same numbers. */
static const char *state_detail(struct arena *arena, const Tenant__Events__V1__OrgSuspended *state)
{
    return arena_printf(arena, "was %s%s%s", status_name(state->previous_status),
                        state->reason[0] == '\0' ? "" : ": ", state->reason);
}

static const char *withheld_detail(struct arena *arena,
                                   const Tenant__Events__V1__EventWithheld *withheld)
{
    return arena_printf(arena, "instead of %s.v%u: %s, %s", withheld->event_type,
                        withheld->event_version, withheld->cause, withheld->detail);
}

static const char *updated_detail(struct arena *arena,
                                  const Tenant__Events__V1__OrgUpdated *updated)
{
    const char *text = "changed";
    for (size_t i = 0; i < updated->n_changed_fields; i++)
        text = arena_printf(arena, "%s %s", text, updated->changed_fields[i]);
    return text;
}

static const char *status_name(Tenant__V1__TenantStatus status)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&tenant__v1__tenant_status__descriptor, (int)status);
    return value == NULL ? "?" : value->name;
}

static uint64_t time_ns(const Google__Protobuf__Timestamp *time)
{
    return time == NULL || time->seconds < 0
               ? 0
               : (uint64_t)time->seconds * NS_PER_S + (uint64_t)time->nanos;
}

const char *moment_text(struct arena *arena, uint64_t wall_ns)
{
    char *text = arena_alloc(arena, CLOCK_TEXT_SIZE);
    clock_format(wall_ns, text);
    return text;
}

/* The envelope's own JSON, with numbers as numbers, the payload decoded and its place in the stream. */
json_t *event_json(struct arena *arena, const struct seen_event *event)
{
    const EventEnvelope *e = event->envelope;
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "subject",
        event->stored.subject, "stream", event->stored.stream, "streamSequence",
        (json_int_t)event->stored.seq, "storedAt", moment_text(arena, event->stored.stored_ns),
        "eventId", e->event_id, "eventType", e->event_type, "eventVersion", (int)e->event_version,
        "schemaUri", e->schema_uri, "occurredAt", moment_text(arena, event->occurred_ns),
        "correlationId", e->correlation_id, "tenantId", e->tenant_id, "retentionClass",
        e->retention_class, "dataResidency", e->data_residency, "incarnation",
        (json_int_t)e->incarnation, "sequence", (json_int_t)e->sequence);
    json_t *rest = message_json(arena, e);
    if (object == NULL) /* a text that is not UTF-8: rest says so */
        return rest;
    json_object_del(rest, "payload");
    json_object_update_missing(object, rest);
    json_decref(rest);
    const ProtobufCMessage *payload = payload_of(arena, e);
    json_object_set_new(object, "payload",
                        payload == NULL ? json_object() : message_json(arena, payload));
    if (payload == NULL)
        json_object_set_new(object, "payloadBytes",
                            base64_json(arena, slice_make(e->payload.data, e->payload.len)));
    return object;
}

static json_t *base64_json(struct arena *arena, struct slice bytes)
{
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    base64_put(&text, bytes, BASE64_STANDARD | BASE64_PADDED);
    return json_string(arena_strndup(arena, text.data, buf_size(&text)));
}

void event_rows(const struct cli *cli, const struct seen_event *event)
{
    struct arena *arena = cli->arena;
    const EventEnvelope *e = event->envelope;
    output_row(cli, "Event", e->event_id);
    output_row(cli, "Type", arena_printf(arena, "%s.v%u", e->event_type, e->event_version));
    output_row(cli, "Tenant", e->tenant_id);
    output_row(cli, "Sequence",
               arena_printf(arena, "%llu, incarnation %llu", (unsigned long long)e->sequence,
                            (unsigned long long)e->incarnation));
    output_row(cli, "Stored",
               arena_printf(arena, "%s:%llu on %s", event->stored.stream,
                            (unsigned long long)event->stored.seq, event->stored.subject));
    output_row(cli, "Occurred", moment_text(arena, event->occurred_ns));
    output_row(cli, "Stored at", moment_text(arena, event->stored.stored_ns));
    if (e->actor != NULL)
        output_row(cli, "Actor", arena_printf(arena, "%s %s", e->actor->type, e->actor->id));
    if (e->source != NULL)
        output_row(cli, "Source",
                   arena_printf(arena, "%s %s %s", e->source->service, e->source->instance,
                                e->source->commit));
    output_row(cli, "Correlation", e->correlation_id);
    output_row(cli, "Trace", e->traceparent);
    output_row(cli, "Token", e->consistency_token);
    output_row(cli, "Schema", e->schema_uri);
    const ProtobufCMessage *payload = payload_of(arena, e);
    if (payload != NULL)
        json_block(cli, message_json(arena, payload));
    else
        output_row(cli, "Payload",
                   arena_printf(arena, "%zu bytes of a type that this version does not know",
                                e->payload.len));
}

/* jansson escapes control characters, so nothing here steers a terminal. */
void json_block(const struct cli *cli, json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2));
    if (text == NULL)
        abort();
    fprintf(cli->out, "\n%s\n", text);
    free(text);
    json_decref(value);
}
