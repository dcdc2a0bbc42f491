/* The envelope: what it says, how its two parts merge, and that schema addresses follow the schema. */
#include "events/envelope.h"

#include "events/subjects.h"

#include "gen/pb/tenant/events/v1/envelope.pb-c.h"
#include "gen/pb/tenant/events/v1/tenant_events.pb-c.h"

#include <openssl/evp.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

typedef Tenant__Events__V1__EventEnvelope EventEnvelope;

static const struct event_source source = {
    .service = "tenant-service", .instance = "replica-7", .commit = "abcdef012345"};

struct scene {
    struct ctx ctx;
    struct tenant tenant;
    struct string_pair labels[2];
    struct event event;
};

static void scene_init(struct scene *scene, enum event_kind kind)
{
    *scene = (struct scene){.labels = {{"env", "prod"}, {"team", "núcleo"}}};
    ctx_init(&scene->ctx, NULL, arena_new(0));
    trace_ctx_begin(&scene->ctx.trace,
                    slice_of_str("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    trace_ctx_request_id(&scene->ctx.trace, slice_of_str("req-1234"));
    scene->ctx.caller = "api-gateway";
    scene->tenant = (struct tenant){
        .slug = "acme",
        .display_name = "Acmé",
        .home_region = REGION_EU,
        .labels = {scene->labels, 2},
        .create_time_us = 1700000000123456,
        .update_time_us = 1700000001654321,
        .version = 3,
    };
    ck_assert(
        id_parse(ID_TENANT, slice_of_str("tnt_01HF00000000000000000000AB"), &scene->tenant.id));
    tenant_defaults(&scene->tenant);
    scene->tenant.settings.mfa_required = true;
    scene->event = (struct event){
        .kind = kind,
        .id = uuid_new(),
        .source = &source,
        .tenant = &scene->tenant,
        .changed_fields = TENANT_FIELD_DISPLAY_NAME | TENANT_FIELD_MFA_REQUIRED,
    };
}

static EventEnvelope *unpack(struct scene *scene, struct slice bytes)
{
    EventEnvelope *envelope = tenant__events__v1__event_envelope__unpack(
        arena_protobuf(scene->ctx.arena), bytes.size, bytes.data);
    ck_assert_ptr_nonnull(envelope);
    return envelope;
}

static EventEnvelope *merged(struct scene *scene)
{
    struct buf whole = BUF_EMPTY;
    const struct envelope_position position = {
        .incarnation = 4, .sequence = INT64_MAX, .ingested_us = 1700000002000007};
    buf_put_slice(&whole, envelope_pack(&scene->ctx, &scene->event));
    envelope_append(&whole, &position);
    EventEnvelope *envelope = unpack(scene, buf_slice(&whole));
    buf_deinit(&whole);
    return envelope;
}

START_TEST(all_fields_of_the_envelope)
    {
        struct scene scene;
        char event_id[ID_TEXT_SIZE];
        scene_init(&scene, EVENT_ORG_PROVISIONED);
        id_format(ID_EVENT, &scene.event.id, event_id);
        EventEnvelope *envelope = merged(&scene);
        ck_assert_str_eq(envelope->event_id, event_id);
        ck_assert_str_eq(envelope->event_type, "tenant.org.provisioned");
        ck_assert_uint_eq(envelope->event_version, 1);
        ck_assert_str_eq(envelope->source->service, "tenant-service");
        ck_assert_str_eq(envelope->source->instance, "replica-7");
        ck_assert_str_eq(envelope->source->commit, "abcdef012345");
        ck_assert_int_eq(envelope->occurred_at->seconds, 1700000001);
        ck_assert_int_eq(envelope->occurred_at->nanos, 654321000);
        ck_assert_str_eq(envelope->correlation_id, "req-1234");
        ck_assert_str_eq(envelope->causation_id, "");
        ck_assert_str_eq(envelope->tenant_id, "tnt_01HF00000000000000000000AB");
        ck_assert_str_eq(envelope->partition_key, envelope->tenant_id);
        ck_assert_str_eq(envelope->actor->type, "service");
        ck_assert_str_eq(envelope->actor->id, "api-gateway");
        ck_assert_str_eq(envelope->retention_class, "operational");
        ck_assert_str_eq(envelope->data_residency, "eu");
        ck_assert_uint_eq(
            strncmp(envelope->traceparent, "00-0af7651916cd43dd8448eb211c80319c-", 36), 0);
        arena_free(scene.ctx.arena);
    }
END_TEST

START_TEST(the_relays_part_merges)
    {
        struct scene scene;
        scene_init(&scene, EVENT_ORG_PROVISIONED);
        EventEnvelope *first = unpack(&scene, envelope_pack(&scene.ctx, &scene.event));
        ck_assert_uint_eq(first->sequence, 0);
        ck_assert_uint_eq(first->incarnation, 0);
        ck_assert_ptr_null(first->ingested_at);
        EventEnvelope *envelope = merged(&scene);
        ck_assert_uint_eq(envelope->incarnation, 4);
        ck_assert_uint_eq(envelope->sequence, INT64_MAX);
        ck_assert_int_eq(envelope->ingested_at->seconds, 1700000002);
        ck_assert_int_eq(envelope->ingested_at->nanos, 7000);
        ck_assert_str_eq(envelope->event_type, first->event_type);
        ck_assert_uint_eq(envelope->base.n_unknown_fields, 0);
        arena_free(scene.ctx.arena);
    }
END_TEST

START_TEST(provisioned_holds_the_tenant)
    {
        struct scene scene;
        scene_init(&scene, EVENT_ORG_PROVISIONED);
        EventEnvelope *envelope = merged(&scene);
        Tenant__Events__V1__OrgProvisioned *payload = tenant__events__v1__org_provisioned__unpack(
            arena_protobuf(scene.ctx.arena), envelope->payload.len, envelope->payload.data);
        ck_assert_ptr_nonnull(payload);
        const Tenant__V1__Tenant *tenant = payload->tenant;
        ck_assert_str_eq(tenant->tenant_id, envelope->tenant_id);
        ck_assert_str_eq(tenant->slug, "acme");
        ck_assert_str_eq(tenant->display_name, "Acmé");
        ck_assert_int_eq(tenant->type, TENANT__V1__TENANT_TYPE__TENANT_TYPE_ORG);
        ck_assert_int_eq(tenant->status, TENANT__V1__TENANT_STATUS__TENANT_STATUS_TRIAL);
        ck_assert_str_eq(tenant->home_region, "eu");
        ck_assert_uint_eq(tenant->n_labels, 2);
        ck_assert_str_eq(tenant->labels[1]->value, "núcleo");
        ck_assert(tenant->settings->mfa_required);
        ck_assert_str_eq(tenant->settings->default_locale, "en");
        ck_assert_str_eq(tenant->etag, "\"3\"");
        arena_free(scene.ctx.arena);
    }
END_TEST

START_TEST(updated_names_what_changed)
    {
        struct scene scene;
        scene_init(&scene, EVENT_ORG_UPDATED);
        EventEnvelope *envelope = merged(&scene);
        ck_assert_str_eq(envelope->event_type, "tenant.org.updated");
        Tenant__Events__V1__OrgUpdated *payload = tenant__events__v1__org_updated__unpack(
            arena_protobuf(scene.ctx.arena), envelope->payload.len, envelope->payload.data);
        ck_assert_ptr_nonnull(payload);
        ck_assert_uint_eq(payload->n_changed_fields, 2);
        ck_assert_str_eq(payload->changed_fields[0], "display_name");
        ck_assert_str_eq(payload->changed_fields[1], "settings.mfa_required");
        arena_free(scene.ctx.arena);
    }
END_TEST

START_TEST(a_changed_plan_tells_its_cause)
    {
        struct scene scene;
        scene_init(&scene, EVENT_ORG_PLAN_CHANGED);
        const char *addons[] = {"seats"};
        const struct tenant_plan previous = {.plan_id = "plan_old", .addons = {addons, 1}};
        const struct tenant_plan none = {.plan_id = ""};
        scene.tenant.plan.plan_id = "plan_new";
        scene.event.previous_plan = &previous;
        scene.event.cause = "evt_of_billing";
        EventEnvelope *envelope = unpack(&scene, envelope_pack(&scene.ctx, &scene.event));
        ck_assert_str_eq(envelope->event_type, "tenant.org.plan_changed");
        ck_assert_str_eq(envelope->causation_id, "evt_of_billing");
        Tenant__Events__V1__OrgPlanChanged *payload = tenant__events__v1__org_plan_changed__unpack(
            arena_protobuf(scene.ctx.arena), envelope->payload.len, envelope->payload.data);
        ck_assert_ptr_nonnull(payload);
        ck_assert_str_eq(payload->cause_event_id, "evt_of_billing");
        ck_assert_str_eq(payload->previous_plan->plan_id, "plan_old");
        ck_assert_str_eq(payload->previous_plan->addons[0], "seats");
        ck_assert_str_eq(payload->plan->plan_id, "plan_new");
        ck_assert_str_eq(payload->tenant->plan->plan_id, "plan_new");
        scene.tenant.plan = none;
        scene.event.previous_plan = &none;
        envelope = unpack(&scene, envelope_pack(&scene.ctx, &scene.event));
        payload = tenant__events__v1__org_plan_changed__unpack(
            arena_protobuf(scene.ctx.arena), envelope->payload.len, envelope->payload.data);
        ck_assert(payload->plan == NULL && payload->previous_plan == NULL);
        arena_free(scene.ctx.arena);
    }
END_TEST

START_TEST(work_of_our_own_has_ourselves_as_actor)
    {
        struct scene scene;
        scene_init(&scene, EVENT_ORG_UPDATED);
        scene.ctx.caller = NULL;
        scene.ctx.trace = (struct trace_ctx){.trace_id = ""};
        EventEnvelope *envelope = merged(&scene);
        ck_assert_str_eq(envelope->actor->id, "tenant-service");
        ck_assert_str_eq(envelope->traceparent, "");
        ck_assert_str_eq(envelope->correlation_id, "");
        arena_free(scene.ctx.arena);
    }
END_TEST

/* --- schema addresses: SHA-256 of the canonical text of docs/events-wire.md --------------------------- */

struct types {
    const void *items[64]; /* message or enum descriptors */
    const char *names[64];
    bool is_enum[64];
    size_t count;
};

static void types_gather(struct types *types, const ProtobufCMessageDescriptor *message);

static bool types_add(struct types *types, const void *item, const char *name, bool is_enum)
{
    for (size_t i = 0; i < types->count; i++) {
        if (types->items[i] == item)
            return false;
    }
    size_t place = types->count++;
    ck_assert_uint_lt(place, 64);
    for (; place > 0 && strcmp(types->names[place - 1], name) > 0; place--) {
        types->items[place] = types->items[place - 1];
        types->names[place] = types->names[place - 1];
        types->is_enum[place] = types->is_enum[place - 1];
    }
    types->items[place] = item;
    types->names[place] = name;
    types->is_enum[place] = is_enum;
    return true;
}

static void types_gather(struct types *types, const ProtobufCMessageDescriptor *message)
{
    if (!types_add(types, message, message->name, false))
        return;
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            types_gather(types, field->descriptor);
        if (field->type == PROTOBUF_C_TYPE_ENUM)
            types_add(types, field->descriptor,
                      ((const ProtobufCEnumDescriptor *)field->descriptor)->name, true);
    }
}

static const char *field_type_name(const ProtobufCFieldDescriptor *field)
{
    static const char *const names[] = {"int32",    "sint32", "sfixed32", "int64",  "sint64",
                                        "sfixed64", "uint32", "fixed32",  "uint64", "fixed64",
                                        "float",    "double", "bool",     "enum",   "string",
                                        "bytes",    "message"};
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return ((const ProtobufCMessageDescriptor *)field->descriptor)->name;
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return ((const ProtobufCEnumDescriptor *)field->descriptor)->name;
    return names[field->type];
}

static void type_text(struct buf *text, const struct types *types, size_t index)
{
    if (types->is_enum[index]) {
        const ProtobufCEnumDescriptor *descriptor = types->items[index];
        buf_printf(text, "enum %s\n", descriptor->name);
        for (unsigned i = 0; i < descriptor->n_values; i++)
            buf_printf(text, "%d %s\n", descriptor->values[i].value, descriptor->values[i].name);
        return;
    }
    const ProtobufCMessageDescriptor *descriptor = types->items[index];
    buf_printf(text, "message %s\n", descriptor->name);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        buf_printf(text, "%u %s%s %s\n", field->id,
                   field->label == PROTOBUF_C_LABEL_REPEATED ? "repeated " : "",
                   field_type_name(field), field->name);
    }
}

static void expect_address(const struct event_type *type)
{
    struct types types = {.count = 0};
    struct buf text = BUF_EMPTY;
    types_gather(&types, type->payload);
    for (size_t i = 0; i < types.count; i++)
        type_text(&text, &types, i);
    unsigned char digest[32];
    char hex[65];
    ck_assert_int_eq(
        EVP_Digest(buf_slice(&text).data, buf_slice(&text).size, digest, NULL, EVP_sha256(), NULL),
        1);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    const char *address = strstr(type->schema_uri, "#sha256-");
    ck_assert_ptr_nonnull(address);
    ck_assert_msg(strcmp(address + strlen("#sha256-"), hex) == 0, "%s has the hash %s of\n%s",
                  type->payload->name, hex, buf_str(&text));
    buf_deinit(&text);
}

/* The generator reads the protos' descriptors, this test protobuf-c's: two ways to the same text. */
START_TEST(schema_addresses_follow_the_schema)
    {
        ck_assert_uint_ge(event_type_count, EVENT_KIND_COUNT);
        for (size_t i = 0; i < event_type_count; i++)
            expect_address(event_types[i]);
    }
END_TEST

START_TEST(kinds_are_released_and_the_table_is_sorted)
    {
        for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
            const struct event_type *type = event_type_of(kind);
            ck_assert(!type->draft);
            ck_assert_ptr_eq(event_type_find(type->name, type->version), type);
            ck_assert_ptr_null(event_type_find(type->name, type->version + 1));
            ck_assert_ptr_nonnull(strstr(EVENT_TYPE_NAMES, type->name));
        }
        for (size_t i = 1; i < event_type_count; i++)
            ck_assert_int_lt(strcmp(event_types[i - 1]->subject, event_types[i]->subject), 0);
        ck_assert_ptr_null(event_type_find("tenant.org", 1));
    }
END_TEST

START_TEST(types_subjects_and_addresses_agree)
    {
        for (size_t i = 0; i < event_type_count; i++) {
            const struct event_type *type = event_types[i];
            char subject[SUBJECT_SIZE], placed[SUBJECT_SIZE], address[SUBJECT_SIZE];
            event_subject(type->name, type->version, subject);
            ck_assert_str_eq(subject, type->subject);
            ck_assert(subject_with_partition(type->subject, 0, placed));
            char aggregate[32], event[32];
            ck_assert_int_eq(sscanf(type->name, "tenant.%31[^.].%31s", aggregate, event), 2);
            snprintf(address, sizeof address, "schemas://tenant-service/%s/%s/v%u#sha256-",
                     aggregate, event, type->version);
            ck_assert_int_eq(strncmp(type->schema_uri, address, strlen(address)), 0);
        }
    }
END_TEST

Suite *suite_events_envelope(void);
Suite *suite_events_envelope(void)
{
    Suite *suite = suite_create("events_envelope");
    TCase *tests = tcase_create("envelope");
    tcase_add_test(tests, all_fields_of_the_envelope);
    tcase_add_test(tests, the_relays_part_merges);
    tcase_add_test(tests, provisioned_holds_the_tenant);
    tcase_add_test(tests, updated_names_what_changed);
    tcase_add_test(tests, a_changed_plan_tells_its_cause);
    tcase_add_test(tests, work_of_our_own_has_ourselves_as_actor);
    tcase_add_test(tests, schema_addresses_follow_the_schema);
    tcase_add_test(tests, kinds_are_released_and_the_table_is_sorted);
    tcase_add_test(tests, types_subjects_and_addresses_agree);
    suite_add_tcase(suite, tests);
    return suite;
}
