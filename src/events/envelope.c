/* The envelope of every event.  Called by outbox.c inside the business transaction, and by the relay. */
#include "events/envelope.h"

#include "events/envelope_parts.h"
#include "events/subjects.h"
#include "events/tenant_payload.h"

#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

#include <assert.h>
#include <stdlib.h>

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;

static struct slice payload_pack(struct arena *arena, const struct event *event);
static struct slice provisioned_pack(struct arena *arena, const struct tenant *tenant);
static struct slice updated_pack(struct arena *arena, const struct event *event);
static struct slice status_pack(struct arena *arena, const struct event *event);
static struct slice plan_pack(struct arena *arena, const struct event *event);
static void origin_put(EventEnvelope *envelope, const struct ctx *ctx, const struct event *event);

const struct event_type *event_type_of(enum event_kind kind)
{
    static const struct event_type *const types[EVENT_KIND_COUNT] = {
        [EVENT_ORG_PROVISIONED] = &event_org_provisioned_v1,
        [EVENT_ORG_UPDATED] = &event_org_updated_v1,
        [EVENT_ORG_SUSPENDED] = &event_org_suspended_v1,
        [EVENT_ORG_REACTIVATED] = &event_org_reactivated_v1,
        [EVENT_ORG_CLOSED] = &event_org_closed_v1,
        [EVENT_ORG_PLAN_CHANGED] = &event_org_plan_changed_v1,
    };
    assert(kind < EVENT_KIND_COUNT);
    return types[kind];
}

/* Called inside the transaction that changes the tenant, so occurred_at is that row's own time. */
struct slice envelope_pack(const struct ctx *ctx, const struct event *event)
{
    EventEnvelope envelope;
    assert(event->tenant != NULL && event->source != NULL && !uuid_is_nil(&event->id));
    tenant__events__v1__event_envelope__init(&envelope);
    envelope_put_ids(ctx->arena, &envelope, &event->id, &event->tenant->id);
    envelope_put_type(&envelope, event_type_of(event->kind));
    origin_put(&envelope, ctx, event);
    envelope.data_residency = pb_text(region_name(event->tenant->home_region));
    envelope.occurred_at = pb_time(ctx->arena, event->tenant->update_time_us);
    pb_bytes(ctx->arena, payload_pack(ctx->arena, event), &envelope.payload);
    return pb_pack(ctx->arena, &envelope.base);
}

/* Proto3 leaves zeroes out, so the appended fields are exactly the four set here. */
void envelope_append(struct buf *envelope, const struct envelope_position *position)
{
    EventEnvelope tail;
    Google__Protobuf__Timestamp ingested;
    assert(position->incarnation > 0 && position->sequence > 0);
    tenant__events__v1__event_envelope__init(&tail);
    google__protobuf__timestamp__init(&ingested);
    ingested.seconds = (int64_t)(position->ingested_us / 1000000);
    ingested.nanos = (int32_t)(position->ingested_us % 1000000 * 1000);
    tail.ingested_at = &ingested;
    tail.incarnation = (uint64_t)position->incarnation;
    tail.sequence = (uint64_t)position->sequence;
    tail.consistency_token = pb_text(position->consistency_token);
    size_t size = tenant__events__v1__event_envelope__get_packed_size(&tail);
    uint8_t *room = buf_reserve(envelope, size);
    assert(room != NULL);
    buf_commit(envelope, tenant__events__v1__event_envelope__pack(&tail, room));
}

/* No `default`: a new kind without a payload must not compile. */
static struct slice payload_pack(struct arena *arena, const struct event *event)
{
    switch (event->kind) {
    case EVENT_ORG_PROVISIONED:
        return provisioned_pack(arena, event->tenant);
    case EVENT_ORG_UPDATED:
        return updated_pack(arena, event);
    case EVENT_ORG_SUSPENDED:
    case EVENT_ORG_REACTIVATED:
    case EVENT_ORG_CLOSED:
        return status_pack(arena, event);
    case EVENT_ORG_PLAN_CHANGED:
        return plan_pack(arena, event);
    }
    abort();
}

static struct slice provisioned_pack(struct arena *arena, const struct tenant *tenant)
{
    Tenant__Events__V1__OrgProvisioned message;
    tenant__events__v1__org_provisioned__init(&message);
    message.tenant = tenant_payload(arena, tenant);
    return pb_pack(arena, &message.base);
}

static struct slice updated_pack(struct arena *arena, const struct event *event)
{
    Tenant__Events__V1__OrgUpdated message;
    const char *paths[TENANT_FIELD_COUNT];
    tenant__events__v1__org_updated__init(&message);
    size_t count = tenant_field_paths(event->changed_fields, paths);
    message.tenant = tenant_payload(arena, event->tenant);
    message.n_changed_fields = count;
    message.changed_fields = arena_alloc(arena, count * sizeof *message.changed_fields);
    for (size_t i = 0; i < count; i++)
        message.changed_fields[i] = pb_text(paths[i]);
    return pb_pack(arena, &message.base);
}

/* The three payloads have the same fields under the same numbers, so one struct serves: only the names
 * differ. */
static struct slice status_pack(struct arena *arena, const struct event *event)
{
    Tenant__Events__V1__OrgSuspended message;
    assert(event->reason != NULL);
    tenant__events__v1__org_suspended__init(&message);
    message.tenant = tenant_payload(arena, event->tenant);
    message.previous_status = (Tenant__V1__TenantStatus)(event->previous + 1);
    message.reason = pb_text(event->reason);
    return pb_pack(arena, &message.base);
}

static struct slice plan_pack(struct arena *arena, const struct event *event)
{
    Tenant__Events__V1__OrgPlanChanged message;
    assert(event->previous_plan != NULL && event->cause != NULL);
    tenant__events__v1__org_plan_changed__init(&message);
    message.tenant = tenant_payload(arena, event->tenant);
    message.previous_plan = plan_payload(arena, event->previous_plan);
    message.plan = message.tenant->plan;
    message.cause_event_id = pb_text(event->cause);
    return pb_pack(arena, &message.base);
}

/* The actor is who called, by the name of its certificate; our own jobs act as the service. */
static void origin_put(EventEnvelope *envelope, const struct ctx *ctx, const struct event *event)
{
    envelope_put_source(ctx->arena, envelope, event->source,
                        ctx->caller != NULL ? ctx->caller : event->source->service);
    envelope->correlation_id = pb_text(ctx->trace.request_id);
    if (event->cause != NULL)
        envelope->causation_id = pb_text(event->cause);
    if (ctx->trace.trace_id[0] != '\0') {
        envelope->traceparent = arena_alloc(ctx->arena, TRACEPARENT_SIZE);
        trace_ctx_format(&ctx->trace, envelope->traceparent);
    }
}
