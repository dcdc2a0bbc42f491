/* Tombstones: small whatever the original was, and true to where it came from. */
#include "events/tenant_payload.h"
#include "events/withheld.h"

#include "gen/events.h"
#include "gen/pb/tenant/events/v1/envelope.pb-c.h"
#include "gen/pb/tenant/events/v1/withheld_event.pb-c.h"

#include <check.h>
#include <stdlib.h>

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;
typedef Tenant__Events__V1__EventWithheld EventWithheld;

static struct arena *arena;
static struct outbox_row row;
static const struct withheld_reason reason = {"TOO_LARGE", "1200000 bytes, and the server takes 1048576"};

static void set_up(void)
{
    arena = arena_new(0);
    row = (struct outbox_row){
        .shard = 3,
        .seq = 7,
        .incarnation = 2,
        .tenant_id = {{1, 2, 3}},
        .msg_id = {{4, 5, 6}},
        .subject = "tenant.org.updated.v12",
        .created_us = UINT64_C(1763884800123456),
    };
}

static void tear_down(void)
{
    arena_free(arena);
}

static void original_is(char *request, char *instance)
{
    EventEnvelope envelope;
    Tenant__Events__V1__EventSource source;
    Tenant__Events__V1__EventActor actor;
    tenant__events__v1__event_envelope__init(&envelope);
    tenant__events__v1__event_source__init(&source);
    tenant__events__v1__event_actor__init(&actor);
    source.service = pb_text("tenant-service");
    source.instance = instance;
    actor.type = pb_text("service");
    actor.id = pb_text("api-gateway");
    envelope.event_type = pb_text("tenant.org.updated");
    envelope.event_version = 12;
    envelope.correlation_id = request;
    envelope.data_residency = pb_text("eu");
    envelope.occurred_at = pb_time(arena, 1763884800000000);
    envelope.source = &source;
    envelope.actor = &actor;
    envelope.payload.len = 2000000;
    envelope.payload.data = arena_alloc(arena, envelope.payload.len);
    row.payload = pb_pack(arena, &envelope.base);
}

static EventEnvelope *tombstone(EventWithheld **payload)
{
    struct slice bytes = withheld_pack(arena, &row, &reason);
    ck_assert_uint_lt(bytes.size, 2048);
    EventEnvelope *envelope =
        tenant__events__v1__event_envelope__unpack(arena_protobuf(arena), bytes.size, bytes.data);
    ck_assert_ptr_nonnull(envelope);
    *payload = tenant__events__v1__event_withheld__unpack(arena_protobuf(arena), envelope->payload.len,
                                                          envelope->payload.data);
    ck_assert_ptr_nonnull(*payload);
    ck_assert_str_eq(envelope->event_type, "tenant.event.withheld");
    ck_assert_uint_eq(envelope->event_version, 1);
    ck_assert_str_eq(envelope->schema_uri, event_event_withheld_v1.schema_uri);
    ck_assert_str_eq(envelope->retention_class, "operational");
    char text[ID_TEXT_SIZE];
    id_format(ID_EVENT, &row.msg_id, text);
    ck_assert_str_eq(envelope->event_id, text);
    id_format(ID_TENANT, &row.tenant_id, text);
    ck_assert_str_eq(envelope->tenant_id, text);
    ck_assert_str_eq(envelope->partition_key, text);
    ck_assert_uint_eq(envelope->sequence, 0); /* the relay appends it */
    ck_assert_str_eq((*payload)->cause, "TOO_LARGE");
    ck_assert_str_eq((*payload)->detail, reason.detail);
    return envelope;
}

START_TEST(it_tells_where_the_original_came_from)
    {
        EventWithheld *payload = NULL;
        original_is(pb_text("req-1"), pb_text("host:1"));
        const EventEnvelope *envelope = tombstone(&payload);
        ck_assert_str_eq(payload->event_type, "tenant.org.updated");
        ck_assert_uint_eq(payload->event_version, 12);
        ck_assert_str_eq(envelope->correlation_id, "req-1");
        ck_assert_str_eq(envelope->data_residency, "eu");
        ck_assert_str_eq(envelope->source->instance, "host:1");
        ck_assert_str_eq(envelope->actor->id, "api-gateway");
        ck_assert_int_eq(envelope->occurred_at->seconds, 1763884800);
        ck_assert_int_eq(envelope->occurred_at->nanos, 0);
    }
END_TEST

START_TEST(what_is_too_long_is_left_out)
    {
        EventWithheld *payload = NULL;
        char *endless = arena_alloc(arena, 100001);
        memset(endless, 'x', 100000);
        original_is(endless, endless);
        const EventEnvelope *envelope = tombstone(&payload);
        ck_assert_str_eq(envelope->correlation_id, "");
        ck_assert_str_eq(envelope->source->instance, "");
        ck_assert_str_eq(envelope->actor->id, "api-gateway");
    }
END_TEST

START_TEST(an_original_that_cannot_be_read_has_one_too)
    {
        EventWithheld *payload = NULL;
        char subject[5001];
        memset(subject, 's', sizeof subject - 1);
        subject[sizeof subject - 1] = '\0';
        row.payload = slice_of_str("\xff\xff no protobuf");
        row.subject = subject;
        const EventEnvelope *envelope = tombstone(&payload);
        ck_assert_uint_eq(strlen(payload->event_type), 256);
        ck_assert_uint_eq(payload->event_version, 0);
        ck_assert_ptr_null(envelope->source);
        ck_assert_int_eq(envelope->occurred_at->seconds, 1763884800);
        ck_assert_int_eq(envelope->occurred_at->nanos, 123456000);
    }
END_TEST

START_TEST(it_is_known_by_its_subject)
    {
        ck_assert(!withheld_is(&row));
        row.subject = "tenant.event.withheld.v1";
        ck_assert(withheld_is(&row));
        ck_assert_str_eq(withheld_subject(), row.subject);
    }
END_TEST

Suite *suite_events_withheld(void);
Suite *suite_events_withheld(void)
{
    Suite *suite = suite_create("events_withheld");
    TCase *tests = tcase_create("withheld");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, it_tells_where_the_original_came_from);
    tcase_add_test(tests, what_is_too_long_is_left_out);
    tcase_add_test(tests, an_original_that_cannot_be_read_has_one_too);
    tcase_add_test(tests, it_is_known_by_its_subject);
    suite_add_tcase(suite, tests);
    return suite;
}
