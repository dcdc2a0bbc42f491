/* One row of the table says how each payload is read; see event_output.h. */
#include "event_output.h"

#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

/* What the payloads have in common, whichever they are. */
struct payload {
    const void *message;              /* NULL: unknown type or broken */
    const Tenant__V1__Tenant *tenant; /* NULL: the message has none */
    Tenant__V1__TenantStatus previous;
    const char *reason;
    char *const *changed;
    size_t changed_count;
};

static struct payload payload_read(struct arena *arena,
                                   const Tenant__Events__V1__EventEnvelope *envelope);
static void payload_state(struct payload *payload, const Tenant__Events__V1__OrgSuspended *state);
static const char *detail_of(struct arena *arena,
                             const Tenant__Events__V1__EventEnvelope *envelope);
static json_t *event_json(struct arena *arena, const struct seen_event *event);

void event_print(const struct cli *cli, const struct seen_event *event)
{
    if (cli->form != FORM_TABLE) {
        output_line(cli, event_json(cli->arena, event));
        return;
    }
    const Tenant__Events__V1__EventEnvelope *envelope = event->envelope;
    char at[CLOCK_TEXT_SIZE];
    clock_format(event->occurred_ns, at);
    fprintf(cli->out, "%s  %s.v%u  %s  seq %llu  by %s  %s\n", at,
            text_clean(cli->arena, envelope->event_type), envelope->event_version,
            text_clean(cli->arena, envelope->tenant_id), (unsigned long long)envelope->sequence,
            envelope->actor == NULL ? "?" : text_clean(cli->arena, envelope->actor->id),
            text_clean(cli->arena, detail_of(cli->arena, envelope)));
}

static struct payload payload_read(struct arena *arena,
                                   const Tenant__Events__V1__EventEnvelope *envelope)
{
    ProtobufCAllocator *memory = arena_protobuf(arena);
    const uint8_t *data = envelope->payload.data;
    size_t size = envelope->payload.len;
    struct payload payload = {.message = NULL};
    if (strcmp(envelope->event_type, "tenant.org.provisioned") == 0) {
        const Tenant__Events__V1__OrgProvisioned *made =
            tenant__events__v1__org_provisioned__unpack(memory, size, data);
        if (made != NULL)
            payload = (struct payload){.message = made, .tenant = made->tenant};
    } else if (strcmp(envelope->event_type, "tenant.org.updated") == 0) {
        const Tenant__Events__V1__OrgUpdated *updated =
            tenant__events__v1__org_updated__unpack(memory, size, data);
        if (updated != NULL)
            payload = (struct payload){.message = updated,
                                       .tenant = updated->tenant,
                                       .changed = updated->changed_fields,
                                       .changed_count = updated->n_changed_fields};
    } else if (strcmp(envelope->event_type, "tenant.org.suspended") == 0 ||
               strcmp(envelope->event_type, "tenant.org.reactivated") == 0 ||
               strcmp(envelope->event_type, "tenant.org.closed") == 0) {
        payload_state(&payload, tenant__events__v1__org_suspended__unpack(memory, size, data));
    }
    return payload;
}

/* The three changes of state have the same fields under the same numbers. */
static void payload_state(struct payload *payload, const Tenant__Events__V1__OrgSuspended *state)
{
    if (state == NULL)
        return;
    payload->message = state;
    payload->tenant = state->tenant;
    payload->previous = state->previous_status;
    payload->reason = state->reason;
}

static const char *status_name(Tenant__V1__TenantStatus status)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&tenant__v1__tenant_status__descriptor, (int)status);
    return value == NULL ? "?" : value->name;
}

static const char *detail_of(struct arena *arena, const Tenant__Events__V1__EventEnvelope *envelope)
{
    const struct payload payload = payload_read(arena, envelope);
    if (payload.tenant == NULL)
        return "";
    if (payload.reason != NULL)
        return arena_printf(arena, "was %s%s%s", status_name(payload.previous),
                            payload.reason[0] == '\0' ? "" : ": ", payload.reason);
    if (payload.changed_count == 0)
        return arena_printf(arena, "slug %s", payload.tenant->slug);
    const char *text = "changed";
    for (size_t i = 0; i < payload.changed_count; i++)
        text = arena_printf(arena, "%s %s", text, payload.changed[i]);
    return text;
}

static json_t *event_json(struct arena *arena, const struct seen_event *event)
{
    const Tenant__Events__V1__EventEnvelope *e = event->envelope;
    char at[CLOCK_TEXT_SIZE];
    clock_format(event->occurred_ns, at);
    json_t *object = json_pack(
        "{s:s, s:I, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "subject",
        event->subject, "streamSequence", (json_int_t)event->stream_seq, "eventId", e->event_id,
        "eventType", e->event_type, "eventVersion", (int)e->event_version, "schemaUri",
        e->schema_uri, "occurredAt", at, "correlationId", e->correlation_id, "tenantId",
        e->tenant_id, "retentionClass", e->retention_class, "dataResidency", e->data_residency,
        "incarnation", (json_int_t)e->incarnation, "sequence", (json_int_t)e->sequence);
    if (e->consistency_token != NULL && e->consistency_token[0] != '\0')
        json_object_set_new(object, "consistencyToken", json_string(e->consistency_token));
    if (e->actor != NULL)
        json_object_set_new(object, "actor",
                            json_pack("{s:s, s:s}", "type", e->actor->type, "id", e->actor->id));
    const struct payload payload = payload_read(arena, e);
    json_object_set_new(object, "payload",
                        payload.message == NULL ? json_object()
                                                : message_json(arena, payload.message));
    return object;
}
