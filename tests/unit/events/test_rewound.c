/* What consumers are told of a rewind, and what lost events say. */
#include "events/rewound.h"
#include "events/tenant_payload.h"

#include "gen/events.h"
#include "gen/pb/tenant/events/v1/envelope.pb-c.h"
#include "gen/pb/tenant/events/v1/rewound_event.pb-c.h"
#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

#include <check.h>
#include <stdlib.h>

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_free(arena);
}

START_TEST(the_event_tells_what_is_void)
    {
        const struct event_source source = {"tenant-service", "host:1", "abc"};
        const struct loss loss = {
            .tenant_id = {{1, 2, 3}}, .incarnation = 4, .from = 51, .to = 60, .status = "closed"};
        const struct rewound_event event = {
            .id = {{9}},
            .loss = &loss,
            .source = &source,
            .region = "me",
            .time_us = UINT64_C(1763884800123456),
        };
        struct slice bytes = rewound_pack(arena, &event);
        const Tenant__Events__V1__EventEnvelope *envelope =
            tenant__events__v1__event_envelope__unpack(arena_protobuf(arena), bytes.size, bytes.data);
        ck_assert_ptr_nonnull(envelope);
        char text[ID_TEXT_SIZE];
        ck_assert_str_eq(envelope->event_type, "tenant.log.rewound");
        ck_assert_uint_eq(envelope->event_version, 1);
        ck_assert_str_eq(rewound_subject(), "tenant.log.rewound.v1");
        ck_assert_str_eq(envelope->schema_uri, event_log_rewound_v1.schema_uri);
        ck_assert_str_eq(envelope->retention_class, "operational");
        ck_assert_str_eq(envelope->data_residency, "me");
        ck_assert_str_eq(envelope->source->instance, "host:1");
        ck_assert_str_eq(envelope->actor->id, "tenant-service");
        ck_assert_int_eq(envelope->occurred_at->nanos, 123456000);
        id_format(ID_EVENT, &event.id, text);
        ck_assert_str_eq(envelope->event_id, text);
        id_format(ID_TENANT, &loss.tenant_id, text);
        ck_assert_str_eq(envelope->tenant_id, text);
        ck_assert_str_eq(envelope->partition_key, text);
        const Tenant__Events__V1__LogRewound *payload = tenant__events__v1__log_rewound__unpack(
            arena_protobuf(arena), envelope->payload.len, envelope->payload.data);
        ck_assert_uint_eq(payload->previous_incarnation, 4);
        ck_assert_uint_eq(payload->last_valid_sequence, 50);
        ck_assert_uint_eq(payload->lost_from, 51);
        ck_assert_uint_eq(payload->lost_to, 60);
    }
END_TEST

static struct slice status_event(const char *type, char *reason)
{
    Tenant__Events__V1__EventEnvelope envelope;
    Tenant__Events__V1__OrgSuspended payload;
    tenant__events__v1__event_envelope__init(&envelope);
    tenant__events__v1__org_suspended__init(&payload);
    payload.reason = reason;
    envelope.event_type = pb_text(type);
    pb_bytes(arena, pb_pack(arena, &payload.base), &envelope.payload);
    return pb_pack(arena, &envelope.base);
}

START_TEST(reasons_of_lost_restrictions)
    {
        ck_assert_str_eq(rewound_reason(arena, status_event("tenant.org.suspended", pb_text("unpaid"))), "unpaid");
        ck_assert_str_eq(rewound_reason(arena, status_event("tenant.org.closed", pb_text("left"))), "left");
        ck_assert_str_eq(rewound_reason(arena, status_event("tenant.org.updated", pb_text("x"))), "");
        ck_assert_str_eq(rewound_reason(arena, slice_of_str("\xff\xffnothing")), "");
        ck_assert_str_eq(rewound_reason(arena, slice_make(NULL, 0)), "");
        char *endless = arena_alloc(arena, 2001);
        for (size_t i = 0; i < 2000; i += 2)
            memcpy(endless + i, "é", 2);
        ck_assert_uint_eq(strlen(rewound_reason(arena, status_event("tenant.org.suspended", endless))), 512);
        memmove(endless + 1, endless, 1999);
        endless[0] = 'x'; /* the limit falls into a character now */
        ck_assert_uint_eq(strlen(rewound_reason(arena, status_event("tenant.org.suspended", endless))), 511);
    }
END_TEST

Suite *suite_events_rewound(void);
Suite *suite_events_rewound(void)
{
    Suite *suite = suite_create("events_rewound");
    TCase *tests = tcase_create("rewound");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_event_tells_what_is_void);
    tcase_add_test(tests, reasons_of_lost_restrictions);
    suite_add_tcase(suite, tests);
    return suite;
}
