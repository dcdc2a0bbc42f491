/* Billing's events as bytes: what is read, what is passed over, what nobody can read. */
#include "inbound/billing.h"

#include "gen/pb/billing/events/v1/subscription_events.pb-c.h"
#include "gen/pb/tenant/events/v1/envelope.pb-c.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NOW_US UINT64_C(1800000000000000)

typedef Tenant__Events__V1__EventEnvelope Envelope;

static struct arena *arena;
static char tenant_id[ID_TEXT_SIZE];
static Google__Protobuf__Timestamp when;

static void setup(void)
{
    struct uuid id = uuid_new();
    arena = arena_new(1 << 20);
    id_format(ID_TENANT, &id, tenant_id);
    google__protobuf__timestamp__init(&when);
    when.seconds = NOW_US / 1000000 - 60;
    when.nanos = 5000;
}

static void teardown(void)
{
    arena_free(arena);
}

static char *text(const char *constant)
{
    return arena_strdup(arena, constant);
}

static Envelope envelope_of(const char *type, const ProtobufCMessage *payload)
{
    Envelope envelope;
    tenant__events__v1__event_envelope__init(&envelope);
    envelope.event_id = text("evt_1");
    envelope.event_type = text(type);
    envelope.event_version = 1;
    envelope.tenant_id = tenant_id;
    envelope.correlation_id = text("req-1");
    envelope.occurred_at = &when;
    envelope.payload.data = arena_alloc_raw(arena, protobuf_c_message_get_packed_size(payload) + 1);
    envelope.payload.len = protobuf_c_message_pack(payload, envelope.payload.data);
    return envelope;
}

static struct billing_event read_of(const Envelope *envelope)
{
    size_t size = tenant__events__v1__event_envelope__get_packed_size(envelope);
    uint8_t *bytes = arena_alloc_raw(arena, size + 1);
    const struct billing_reader reader = {arena, REGION_EU, NOW_US};
    struct billing_event event;
    tenant__events__v1__event_envelope__pack(envelope, bytes);
    billing_read(&reader, slice_make(bytes, size), &event);
    ck_assert((event.kind == BILLING_BROKEN) == (event.fault != NULL));
    return event;
}

static Billing__Events__V1__SubscriptionCreated created(void)
{
    Billing__Events__V1__SubscriptionCreated message;
    billing__events__v1__subscription_created__init(&message);
    message.subscription_id = text("sub_1");
    message.tenant_id = tenant_id;
    message.plan_id = text("plan_starter");
    message.state = text("trialing");
    return message;
}

START_TEST(the_three_steps)
    {
        Billing__Events__V1__SubscriptionCreated first = created();
        Envelope envelope = envelope_of("billing.subscription.created", &first.base);
        struct billing_event event = read_of(&envelope);
        ck_assert(event.kind == BILLING_NEWS);
        ck_assert_str_eq(event.event_id, "evt_1");
        ck_assert_str_eq(event.correlation_id, "req-1");
        ck_assert(event.news.step == SUBSCRIPTION_CREATED);
        ck_assert_str_eq(event.news.plan_id, "plan_starter");
        ck_assert_uint_eq(event.news.at_us, (NOW_US / 1000000 - 60) * 1000000 + 5);

        Billing__Events__V1__SubscriptionChanged second;
        billing__events__v1__subscription_changed__init(&second);
        second.subscription_id = first.subscription_id;
        second.tenant_id = tenant_id;
        second.new_state = text("active");
        second.changed_at = &when;
        envelope = envelope_of("billing.subscription.changed", &second.base);
        event = read_of(&envelope);
        ck_assert(event.kind == BILLING_NEWS && event.news.step == SUBSCRIPTION_CHANGED);
        ck_assert_str_eq(event.news.plan_id, "");
        ck_assert_str_eq(event.news.state, "active");

        Billing__Events__V1__SubscriptionCanceled third;
        Google__Protobuf__Timestamp end = when;
        billing__events__v1__subscription_canceled__init(&third);
        third.subscription_id = first.subscription_id;
        third.tenant_id = tenant_id;
        third.canceled_at = &when;
        end.seconds += 3600;
        third.effective_at = &end;
        envelope = envelope_of("billing.subscription.canceled", &third.base);
        event = read_of(&envelope);
        ck_assert(event.kind == BILLING_NEWS && event.news.step == SUBSCRIPTION_CANCELED);
        ck_assert_uint_eq(event.not_before_us, event.news.at_us + UINT64_C(3600000000));
        end.seconds += 500 * 86400;
        envelope = envelope_of("billing.subscription.canceled", &third.base);
        ck_assert_str_eq(read_of(&envelope).fault, "effective_at is more than 400 days away");
    }
END_TEST

START_TEST(what_is_not_ours_is_passed_over)
    {
        Billing__Events__V1__SubscriptionCreated message = created();
        Envelope envelope = envelope_of("billing.subscription.renewed", &message.base);
        ck_assert(read_of(&envelope).kind == BILLING_IGNORED);
        envelope = envelope_of("billing.subscription.created", &message.base);
        envelope.event_version = 2;
        ck_assert(read_of(&envelope).kind == BILLING_IGNORED);
        envelope.event_version = 1;
        envelope.data_residency = text("us");
        ck_assert(read_of(&envelope).kind == BILLING_IGNORED);
        envelope.data_residency = text("eu");
        ck_assert(read_of(&envelope).kind == BILLING_NEWS);
        envelope.data_residency = text("moon");
        ck_assert(read_of(&envelope).kind == BILLING_NEWS);
    }
END_TEST

static void expect_broken(const Envelope *envelope, const char *begins)
{
    const struct billing_event event = read_of(envelope);
    ck_assert_msg(event.kind == BILLING_BROKEN && strncmp(event.fault, begins, strlen(begins)) == 0, "%s: %s",
                  begins, event.fault);
}

START_TEST(what_nobody_can_read_is_told)
    {
        Billing__Events__V1__SubscriptionCreated message = created();
        Envelope envelope = envelope_of("billing.subscription.created", &message.base);
        struct billing_event event;
        const struct billing_reader reader = {arena, REGION_EU, NOW_US};
        billing_read(&reader, slice_make("\xff", 1), &event);
        ck_assert_str_eq(event.fault, "the body is no envelope");
        envelope.event_id = text("");
        expect_broken(&envelope, "event_id");
        envelope.event_id = text("a b");
        expect_broken(&envelope, "event_id");
        envelope.event_id = text("evt_1");
        envelope.tenant_id = text("org_1");
        expect_broken(&envelope, "tenant_id");
        envelope.tenant_id = tenant_id;
        envelope.occurred_at = NULL;
        expect_broken(&envelope, "the time");
        envelope.occurred_at = &when;
        envelope.payload.len = 1;
        expect_broken(&envelope, "the payload is no SubscriptionCreated");
        message.tenant_id = text("tnt_00000000000000000000000000");
        envelope = envelope_of("billing.subscription.created", &message.base);
        expect_broken(&envelope, "the payload's tenant_id");
        message.tenant_id = tenant_id;
        message.plan_id = text("gold");
        envelope = envelope_of("billing.subscription.created", &message.base);
        expect_broken(&envelope, "plan_id");
    }
END_TEST

Suite *suite_inbound_billing(void);
Suite *suite_inbound_billing(void)
{
    Suite *suite = suite_create("inbound_billing");
    TCase *tcase = tcase_create("events");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_three_steps);
    tcase_add_test(tcase, what_is_not_ours_is_passed_over);
    tcase_add_test(tcase, what_nobody_can_read_is_told);
    suite_add_tcase(suite, tcase);
    return suite;
}
