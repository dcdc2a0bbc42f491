/* Reads billing's events; see billing.h.  Called for every message of the stream. */
#include "inbound/billing.h"

#include "gen/pb/billing/events/v1/subscription_events.pb-c.h"
#include "gen/pb/tenant/events/v1/envelope.pb-c.h"

#include <string.h>

#define US_PER_S UINT64_C(1000000)
#define FAR_US (400 * 86400 * US_PER_S)
#define EVENT_ID_MAX 128

typedef Tenant__Events__V1__EventEnvelope
    Envelope; /* the platform's F01: the same numbers everywhere */

static const char *envelope_rule(const Envelope *envelope, struct billing_event *out);
static bool is_foreign(const Envelope *envelope, enum region region);
static const char *payload_read(struct arena *arena, const Envelope *envelope,
                                struct billing_event *out);
static const char *created_read(struct arena *arena, const Envelope *envelope,
                                struct billing_event *out);
static const char *changed_read(struct arena *arena, const Envelope *envelope,
                                struct billing_event *out);
static const char *canceled_read(struct arena *arena, const Envelope *envelope,
                                 struct billing_event *out);
static ProtobufCMessage *unpack(struct arena *arena, const ProtobufCMessageDescriptor *type,
                                struct slice bytes);
static const char *tenant_check(const char *tenant_id, const struct billing_event *out);
static uint64_t time_us(const Google__Protobuf__Timestamp *time);

void billing_read(const struct billing_reader *reader, struct slice bytes,
                  struct billing_event *out)
{
    struct arena *arena = reader->arena;
    *out = (struct billing_event){.kind = BILLING_BROKEN, .event_id = "", .correlation_id = ""};
    const Envelope *envelope =
        (const Envelope *)unpack(arena, &tenant__events__v1__event_envelope__descriptor, bytes);
    out->fault = envelope == NULL ? "the body is no envelope" : envelope_rule(envelope, out);
    if (out->fault != NULL)
        return;
    out->kind = BILLING_IGNORED;
    if (envelope->event_version != 1 || is_foreign(envelope, reader->region))
        return;
    out->kind = BILLING_NEWS;
    out->fault = payload_read(arena, envelope, out);
    if (out->fault == NULL && out->kind == BILLING_NEWS)
        out->fault = subscription_news_rule(&out->news);
    if (out->fault == NULL && out->not_before_us > reader->now_us + FAR_US)
        out->fault = "effective_at is more than 400 days away";
    if (out->fault != NULL)
        out->kind = BILLING_BROKEN;
}

/* An id is the key of the inbox and part of a header: any plain text may be one. */
static const char *envelope_rule(const Envelope *envelope, struct billing_event *out)
{
    const char *id = envelope->event_id;
    size_t length = strnlen(id, EVENT_ID_MAX + 1);
    bool plain = length > 0 && length <= EVENT_ID_MAX;
    for (size_t i = 0; plain && i < length; i++)
        plain = id[i] > ' ' && id[i] <= '~';
    if (!plain)
        return "event_id must be 1 to 128 printable characters without blanks";
    out->event_id = envelope->event_id;
    out->correlation_id = envelope->correlation_id;
    if (!id_parse(ID_TENANT, slice_of_str(envelope->tenant_id), &out->tenant_id))
        return "tenant_id is no tenant's id";
    return NULL;
}

/* Each region's service gets the whole stream and takes its own. */
static bool is_foreign(const Envelope *envelope, enum region region)
{
    enum region home;
    return region_parse(slice_of_str(envelope->data_residency), &home) && home != region;
}

static const char *payload_read(struct arena *arena, const Envelope *envelope,
                                struct billing_event *out)
{
    const char *type = envelope->event_type;
    out->news.event_id = out->event_id;
    if (strcmp(type, "billing.subscription.created") == 0)
        return created_read(arena, envelope, out);
    if (strcmp(type, "billing.subscription.changed") == 0)
        return changed_read(arena, envelope, out);
    if (strcmp(type, "billing.subscription.canceled") == 0)
        return canceled_read(arena, envelope, out);
    out->kind = BILLING_IGNORED;
    return NULL;
}

/* The payload has no time of its own: the envelope's is when it happened. */
static const char *created_read(struct arena *arena, const Envelope *envelope,
                                struct billing_event *out)
{
    const Billing__Events__V1__SubscriptionCreated *created =
        (const Billing__Events__V1__SubscriptionCreated *)unpack(
            arena, &billing__events__v1__subscription_created__descriptor,
            slice_make(envelope->payload.data, envelope->payload.len));
    if (created == NULL)
        return "the payload is no SubscriptionCreated";
    out->news.step = SUBSCRIPTION_CREATED;
    out->news.subscription_id = created->subscription_id;
    out->news.plan_id = created->plan_id;
    out->news.state = created->state;
    out->news.at_us = time_us(envelope->occurred_at);
    return tenant_check(created->tenant_id, out);
}

static const char *changed_read(struct arena *arena, const Envelope *envelope,
                                struct billing_event *out)
{
    const Billing__Events__V1__SubscriptionChanged *changed =
        (const Billing__Events__V1__SubscriptionChanged *)unpack(
            arena, &billing__events__v1__subscription_changed__descriptor,
            slice_make(envelope->payload.data, envelope->payload.len));
    if (changed == NULL)
        return "the payload is no SubscriptionChanged";
    out->news.step = SUBSCRIPTION_CHANGED;
    out->news.subscription_id = changed->subscription_id;
    out->news.plan_id = changed->plan_id;
    out->news.state = changed->new_state;
    out->news.at_us = time_us(changed->changed_at);
    return tenant_check(changed->tenant_id, out);
}

static const char *canceled_read(struct arena *arena, const Envelope *envelope,
                                 struct billing_event *out)
{
    const Billing__Events__V1__SubscriptionCanceled *canceled =
        (const Billing__Events__V1__SubscriptionCanceled *)unpack(
            arena, &billing__events__v1__subscription_canceled__descriptor,
            slice_make(envelope->payload.data, envelope->payload.len));
    if (canceled == NULL)
        return "the payload is no SubscriptionCanceled";
    out->news.step = SUBSCRIPTION_CANCELED;
    out->news.subscription_id = canceled->subscription_id;
    out->news.plan_id = "";
    out->news.state = "canceled";
    out->news.at_us = time_us(canceled->canceled_at);
    out->not_before_us = time_us(canceled->effective_at);
    return tenant_check(canceled->tenant_id, out);
}

/* Into the arena, which is bounded.  Empty bytes may be a message. */
static ProtobufCMessage *unpack(struct arena *arena, const ProtobufCMessageDescriptor *type,
                                struct slice bytes)
{
    return protobuf_c_message_unpack(type, arena_protobuf(arena), bytes.size, bytes.data);
}

static const char *tenant_check(const char *tenant_id, const struct billing_event *out)
{
    struct uuid id;
    bool same = id_parse(ID_TENANT, slice_of_str(tenant_id), &id) &&
                uuid_equal(&id, &out->tenant_id);
    return same ? NULL : "the payload's tenant_id is not the envelope's";
}

/* 0 for none and for times before 1970 or behind the year 9999. */
static uint64_t time_us(const Google__Protobuf__Timestamp *time)
{
    if (time == NULL || time->seconds < 0 || time->seconds > INT64_C(253402300799) ||
        time->nanos < 0 || time->nanos > 999999999)
        return 0;
    return (uint64_t)time->seconds * US_PER_S + (uint64_t)time->nanos / 1000;
}
