/* What is an event and what only looks like one; what settings are refused. */
#include "consumer/event.h"
#include "consumer/settings.h"

#include "events/subjects.h"

#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char id_of_tenant[ID_TEXT_SIZE];
static char id_of_event[ID_TEXT_SIZE];
static struct arena *arena;

static void setup(void)
{
    struct uuid tenant = uuid_new();
    struct uuid event = uuid_new();
    id_format(ID_TENANT, &tenant, id_of_tenant);
    id_format(ID_EVENT, &event, id_of_event);
    arena = arena_new(1 << 20);
}

static void teardown(void)
{
    arena_free(arena);
}

static unsigned partition(void)
{
    struct uuid tenant;
    ck_assert(id_parse(ID_TENANT, slice_of_str(id_of_tenant), &tenant));
    return partition_of(&tenant);
}

static Tenant__Events__V1__EventEnvelope good(void)
{
    static char type[] = "tenant.org.updated";
    Tenant__Events__V1__EventEnvelope envelope;
    tenant__events__v1__event_envelope__init(&envelope);
    envelope.event_id = id_of_event;
    envelope.event_type = type;
    envelope.event_version = 1;
    envelope.tenant_id = id_of_tenant;
    envelope.incarnation = 2;
    envelope.sequence = 41;
    return envelope;
}

static struct event_view unpacked(const Tenant__Events__V1__EventEnvelope *envelope,
                                  const struct event_headers *headers)
{
    uint8_t bytes[2048];
    struct event_view view = {.event = {.partition = partition()}, .arena = arena};
    size_t size = tenant__events__v1__event_envelope__pack(envelope, bytes);
    uint8_t *own = arena_alloc_raw(arena, size + 1);
    memcpy(own, bytes, size);
    event_unpack(&view, slice_make(own, size), headers);
    return view;
}

START_TEST(a_good_one_shows_what_it_is)
    {
        Tenant__Events__V1__OrgUpdated payload;
        uint8_t bytes[256];
        Tenant__Events__V1__EventEnvelope envelope = good();
        char field[] = "slug";
        char *fields[] = {field};
        tenant__events__v1__org_updated__init(&payload);
        payload.n_changed_fields = 1;
        payload.changed_fields = fields;
        envelope.payload.data = bytes;
        envelope.payload.len = tenant__events__v1__org_updated__pack(&payload, bytes);
        struct event_view view = unpacked(&envelope, NULL);
        ck_assert(view.form == EVENT_GOOD && view.fault == NULL);
        ck_assert_str_eq(view.event.tenant_id, id_of_tenant);
        ck_assert_str_eq(view.event.id, id_of_event);
        ck_assert_uint_eq(view.event.at.incarnation, 2);
        ck_assert_uint_eq(view.event.at.sequence, 41);
        const ProtobufCMessage *message = tenant_event_payload(&view.event);
        ck_assert_ptr_eq(message->descriptor, &tenant__events__v1__org_updated__descriptor);
        ck_assert_ptr_eq(tenant_event_payload(&view.event), message);
        ck_assert_str_eq(((const Tenant__Events__V1__OrgUpdated *)message)->changed_fields[0], "slug");
        ck_assert(tenant_event_header(&view.event, "Event-Type") == NULL);
    }
END_TEST

START_TEST(a_payload_that_is_none_is_no_payload)
    {
        uint8_t junk[] = {0xff, 0xff, 0xff};
        Tenant__Events__V1__EventEnvelope envelope = good();
        envelope.payload.data = junk;
        envelope.payload.len = sizeof junk;
        struct event_view view = unpacked(&envelope, NULL);
        ck_assert(view.form == EVENT_GOOD);
        ck_assert(tenant_event_payload(&view.event) == NULL);
        envelope.event_version = 9;
        view = unpacked(&envelope, NULL);
        ck_assert(tenant_event_payload(&view.event) == NULL);
    }
END_TEST

START_TEST(one_spelling_of_a_tenant)
    {
        Tenant__Events__V1__EventEnvelope envelope = good();
        char lower[ID_TEXT_SIZE];
        for (size_t i = 0; i < sizeof lower; i++)
            lower[i] = (char)(id_of_tenant[i] >= 'A' && id_of_tenant[i] <= 'Z' ? id_of_tenant[i] + 32
                                                                               : id_of_tenant[i]);
        envelope.tenant_id = lower;
        struct event_view view = unpacked(&envelope, NULL);
        ck_assert(view.form == EVENT_GOOD);
        ck_assert_str_eq(view.event.tenant_id, id_of_tenant);
    }
END_TEST

START_TEST(what_is_wrong_is_told)
    {
        char empty[] = "", other[] = "org_01J00000000000000000000000";
        for (int wrong = 0; wrong < 8; wrong++) {
            Tenant__Events__V1__EventEnvelope envelope = good();
            if (wrong == 0)
                envelope.tenant_id = empty;
            if (wrong == 1)
                envelope.tenant_id = other;
            if (wrong == 2)
                envelope.event_id = id_of_tenant;
            if (wrong == 3)
                envelope.event_type = empty;
            if (wrong == 4)
                envelope.event_version = 0;
            if (wrong == 5)
                envelope.sequence = 0;
            if (wrong == 6)
                envelope.incarnation = 0;
            if (wrong == 7)
                envelope.sequence = UINT64_C(1) << 63;
            struct event_view view = unpacked(&envelope, NULL);
            ck_assert_msg(view.form == EVENT_NAMELESS, "case %d", wrong);
            ck_assert(view.fault != NULL && view.fault[0] != '\0');
        }
    }
END_TEST

START_TEST(another_partitions_tenant_is_refused)
    {
        Tenant__Events__V1__EventEnvelope envelope = good();
        uint8_t bytes[512];
        size_t size = tenant__events__v1__event_envelope__pack(&envelope, bytes);
        struct event_view view = {.event = {.partition = (partition() + 1) % 16}, .arena = arena};
        event_unpack(&view, slice_make(bytes, size), NULL);
        ck_assert(view.form == EVENT_NAMELESS);
    }
END_TEST

START_TEST(headers_name_the_place_of_a_broken_one)
    {
        const struct event_headers headers = {id_of_tenant, "17", "3"};
        struct event_view view = {.event = {.partition = partition()}, .arena = arena};
        event_unpack(&view, slice_make("\xff\xff", 2), &headers);
        ck_assert(view.form == EVENT_MALFORMED);
        ck_assert_uint_eq(view.event.at.sequence, 17);
        ck_assert_uint_eq(view.event.at.incarnation, 3);
        ck_assert_str_eq(view.event.tenant_id, id_of_tenant);
        const struct event_headers wrong[] = {{NULL, "17", "3"},          {id_of_tenant, NULL, "3"},
                                              {id_of_tenant, "17", NULL}, {id_of_tenant, "0", "3"},
                                              {id_of_tenant, "17", "-3"}, {"x", "17", "3"},
                                              {id_of_tenant, "99999999999999999999", "3"}};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            event_unpack(&view, slice_make("\xff\xff", 2), &wrong[i]);
            ck_assert_msg(view.form == EVENT_NAMELESS, "case %zu", i);
        }
    }
END_TEST

static enum tenant_outcome handle(void *context, const struct tenant_event *event,
                                  struct tenant_reason *reason)
{
    (void)context;
    (void)event;
    (void)reason;
    return TENANT_EVENT_DONE;
}

static int load(void *context, const char *tenant_id, struct tenant_position *position)
{
    (void)context;
    (void)tenant_id;
    (void)position;
    return 0;
}

static void refused(const struct tenant_consumer_settings *settings, const char *word)
{
    struct tenant_consumer_settings out;
    struct tenant_consumer_error error = {.text = ""};
    ck_assert_msg(!settings_take(settings, arena, &out, &error), "%s was taken", word);
    ck_assert_msg(strncmp(error.text, word, strlen(word)) == 0, "%s: %s", word, error.text);
}

START_TEST(settings_get_defaults_or_a_reason)
    {
        struct tenant_consumer_settings good_ones = TENANT_CONSUMER_SETTINGS;
        struct tenant_consumer_settings out;
        struct tenant_consumer_error error;
        good_ones.url = "tls://nats:4222";
        good_ones.group = "sync";
        good_ones.handle = handle;
        ck_assert_msg(settings_take(&good_ones, arena, &out, &error), "%s", error.text);
        ck_assert_uint_eq(out.batch, 512);
        ck_assert_uint_eq(out.attempts_max, 10);
        ck_assert_uint_eq(out.backoff_count, 5);
        ck_assert_str_eq(error.text, "");
#define WRONG(member, value)                                                                       \
    do {                                                                                           \
        struct tenant_consumer_settings wrong = good_ones;                                         \
        wrong.member = value;                                                                      \
        refused(&wrong, #member);                                                                  \
    } while (0)
        WRONG(url, NULL);
        WRONG(url, "");
        WRONG(group, NULL);
        WRONG(group, "relay");
        WRONG(group, "a.b");
        WRONG(group, "a b");
        WRONG(member, "a>b");
        WRONG(handle, NULL);
        WRONG(load, load);
        WRONG(handler_keeps_positions, true);
        WRONG(batch, 4096);
        WRONG(max_ack_pending, 10);
        WRONG(ack_wait_ms, 10);
        WRONG(lease_ttl_ms, 10);
        WRONG(attempts_max, 100000);
        WRONG(gap_alarm_ms, 1);
        WRONG(positions_max, 10);
        WRONG(start, (enum tenant_start)9);
        WRONG(size, 8);
#undef WRONG
        struct tenant_consumer_settings wrong = good_ones;
        wrong.start = TENANT_START_TIME;
        refused(&wrong, "start_value");
        wrong = good_ones;
        wrong.cert_file = "x.pem";
        refused(&wrong, "cert_file");
        unsigned steps[] = {100, 0};
        wrong = good_ones;
        wrong.backoff_ms = steps;
        refused(&wrong, "backoff_count");
        wrong.backoff_count = 2;
        refused(&wrong, "backoff_ms");
    }
END_TEST

START_TEST(settings_of_other_versions)
    {
        struct {
            struct tenant_consumer_settings known;
            uint64_t newer;
        } longer = {.known = TENANT_CONSUMER_SETTINGS};
        struct tenant_consumer_settings out;
        struct tenant_consumer_error error;
        longer.known.url = "tls://nats:4222";
        longer.known.group = "sync";
        longer.known.handle = handle;
        longer.known.gap_alarm_ms = 5000;
        longer.known.size = sizeof longer;
        ck_assert(settings_take(&longer.known, arena, &out, &error));
        longer.newer = 1;
        refused(&longer.known, "size");
        /* One that was compiled before gap_alarm_ms was there. */
        longer.known.size = offsetof(struct tenant_consumer_settings, gap_alarm_ms);
        ck_assert(settings_take(&longer.known, arena, &out, &error));
        ck_assert_uint_eq(out.gap_alarm_ms, 30000);
    }
END_TEST

START_TEST(a_partition_for_the_spelling_of_events_only)
    {
        char text[ID_TEXT_SIZE + 1];
        unsigned found = 99;
        ck_assert(tenant_partition_of(id_of_tenant, &found));
        ck_assert_uint_eq(found, partition());
        found = 99;
        ck_assert(!tenant_partition_of(NULL, &found));
        ck_assert(!tenant_partition_of("", &found));
        ck_assert(!tenant_partition_of(id_of_event, &found));
        snprintf(text, sizeof text, "%s0", id_of_tenant);
        ck_assert(!tenant_partition_of(text, &found));
        snprintf(text, sizeof text, "ten_%s", id_of_tenant + 4);
        ck_assert(!tenant_partition_of(text, &found));
        snprintf(text, sizeof text, "tnt_0000000000000000000000000a");
        ck_assert(!tenant_partition_of(text, &found));
        ck_assert_uint_eq(found, 99);
        text[ID_TEXT_SIZE - 2] = 'A';
        ck_assert(tenant_partition_of(text, &found));
    }
END_TEST

Suite *suite_consumer_event(void);
Suite *suite_consumer_event(void)
{
    Suite *suite = suite_create("consumer_event");
    TCase *tcase = tcase_create("events");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_good_one_shows_what_it_is);
    tcase_add_test(tcase, a_payload_that_is_none_is_no_payload);
    tcase_add_test(tcase, one_spelling_of_a_tenant);
    tcase_add_test(tcase, what_is_wrong_is_told);
    tcase_add_test(tcase, another_partitions_tenant_is_refused);
    tcase_add_test(tcase, headers_name_the_place_of_a_broken_one);
    tcase_add_test(tcase, a_partition_for_the_spelling_of_events_only);
    tcase_add_test(tcase, settings_get_defaults_or_a_reason);
    tcase_add_test(tcase, settings_of_other_versions);
    suite_add_tcase(suite, tcase);
    return suite;
}
