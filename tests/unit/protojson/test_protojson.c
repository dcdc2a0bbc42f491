/* Both directions on messages in memory: what the comparison in tests/protojson, which sees packed messages only,
 * cannot look at: memory, limits, faults, presence, a small stack. */
#include "protojson/protojson.h"

#include "base/alloc.h"

#include "gen/errors.h"
#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"
#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include "tests/fuzz/sample_message.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define SMALL_STACK                                                                                \
    (16 * 1024 + 16384) /* PTHREAD_STACK_MIN is 16 KiB, and the library's own needs */

static const ProtobufCMessageDescriptor *const known[] = {
    &google__rpc__error_info__descriptor,
    &google__protobuf__any__descriptor,
    &google__protobuf__timestamp__descriptor,
};
static const struct protojson_types any_types = {.types = known, .count = 3};

static struct arena *arena;
static struct ctx ctx;

static void set_up(void)
{
    arena = arena_new(1 << 20);
    ctx_init(&ctx, NULL, arena);
}

static void tear_down(void)
{
    arena_free(arena);
}

/* From memory of its own size, so that a byte read too far is seen. */
static int parse(const ProtobufCMessageDescriptor *type, struct slice json, bool ignore,
                 struct protojson_parsed *parsed)
{
    struct protojson_parse_options options = {.any_types = &any_types, .ignore_unknown = ignore};
    uint8_t *copy = malloc(json.size + (json.size == 0));
    ck_assert_ptr_nonnull(copy);
    if (json.size > 0)
        memcpy(copy, json.data, json.size);
    int result = protojson_parse(&ctx, type, slice_make(copy, json.size), &options, parsed);
    free(copy);
    return result;
}

static void *parsed_ok(const ProtobufCMessageDescriptor *type, const char *json)
{
    struct protojson_parsed parsed;
    int result = parse(type, slice_of_str(json), false, &parsed);
    ck_assert_msg(result == OK, "%s: \"%s\": %s", json, parsed.path, parsed.rule);
    ck_assert_ptr_eq(parsed.message->descriptor, type);
    return parsed.message;
}

static const char *printed(const void *message, bool defaults)
{
    struct protojson_print_options options = {.any_types = &any_types, .defaults = defaults};
    AUTO(buf_deinit) struct buf out = BUF_EMPTY;
    int result = protojson_print(&ctx, message, &options, &out);
    ck_assert_msg(result == OK, "%s", ctx.fault.text);
    return arena_strdup(arena, buf_str(&out));
}

static void prints_not(const void *message, const char *fault)
{
    struct protojson_print_options options = {.any_types = &any_types};
    AUTO(buf_deinit) struct buf out = BUF_EMPTY;
    ck_assert_int_eq(protojson_print(&ctx, message, &options, &out), FAULT_INTERNAL);
    ck_assert_str_eq(ctx.fault.text, fault);
}

START_TEST(a_message_borrows_nothing_from_its_text)
    {
        Tenant__V1__Tenant *tenant = parsed_ok(
            &tenant__v1__tenant__descriptor,
            "{\"slug\":\"s\",\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"plan\":{\"addons\":[\"x\",\"y\"]},"
            "\"createTime\":\"1970-01-01T00:00:01.5Z\",\"status\":\"TENANT_STATUS_ACTIVE\"}");
        ck_assert_str_eq(tenant->slug, "s");
        ck_assert_str_eq(tenant->display_name, "");
        ck_assert_uint_eq(tenant->n_labels, 2);
        ck_assert_str_eq(tenant->labels[1]->key, "b");
        ck_assert_str_eq(tenant->labels[1]->value, "2");
        ck_assert_uint_eq(tenant->plan->n_addons, 2);
        ck_assert_str_eq(tenant->plan->addons[0], "x");
        ck_assert_int_eq(tenant->create_time->seconds, 1);
        ck_assert_int_eq(tenant->create_time->nanos, 500000000);
        ck_assert_int_eq(tenant->status, TENANT__V1__TENANT_STATUS__TENANT_STATUS_ACTIVE);
        ck_assert_ptr_null(tenant->settings);
    }
END_TEST

START_TEST(lists_of_every_length_keep_their_elements)
    {
        for (size_t count = 0; count <= 70; count++) {
            AUTO(buf_deinit) struct buf json = BUF_EMPTY;
            buf_put_str(&json, "{\"many_int64\":[");
            for (size_t i = 0; i < count; i++)
                buf_printf(&json, "%s\"%zu\"", i == 0 ? "" : ",", i);
            buf_put_str(&json, "]}");
            struct sample *sample = parsed_ok(&sample_descriptor, buf_str(&json));
            ck_assert_uint_eq(sample->counts[PROTOBUF_C_TYPE_INT64], count);
            const int64_t *items = sample->lists[PROTOBUF_C_TYPE_INT64];
            for (size_t i = 0; i < count; i++)
                ck_assert_int_eq(items[i], (int64_t)i);
        }
    }
END_TEST

START_TEST(signs_of_zero_and_the_largest_float_survive)
    {
        struct sample *sample =
            parsed_ok(&sample_descriptor, "{\"oneDouble\":-0.0,\"oneFloat\":3.4028235e38}");
        double zero;
        float largest;
        memcpy(&zero, &sample->slots[PROTOBUF_C_TYPE_DOUBLE], sizeof zero);
        memcpy(&largest, &sample->slots[PROTOBUF_C_TYPE_FLOAT], sizeof largest);
        ck_assert(zero == 0 && signbit(zero));
        ck_assert(largest == FLT_MAX);
        ck_assert_str_eq(printed(sample, false), "{\"oneFloat\":3.4028235e+38,\"oneDouble\":-0.0}");
    }
END_TEST

START_TEST(unknown_members_are_skipped_when_asked)
    {
        struct protojson_parsed parsed;
        struct slice json = slice_of_str(
            "{\"x\":{\"a\":[1,{\"b\":[]},\"\\u00e9\"],\"c\":{}},\"slug\":\"s\",\"y\":null,"
            "\"status\":\"TENANT_STATUS_LATER\",\"z\":-1.5e3}");
        ck_assert_int_eq(parse(&tenant__v1__tenant__descriptor, json, true, &parsed), OK);
        const Tenant__V1__Tenant *tenant = (const Tenant__V1__Tenant *)parsed.message;
        ck_assert_str_eq(tenant->slug, "s");
        ck_assert_int_eq(tenant->status, 0);
        ck_assert_int_eq(parse(&tenant__v1__tenant__descriptor, json, false, &parsed),
                         MESSAGE_MALFORMED);
        ck_assert_str_eq(parsed.path, "x");
    }
END_TEST

START_TEST(what_is_skipped_must_be_json)
    {
        static const char *const broken[] = {
            "{\"x\":[1,}",         "{\"x\":{\"a\" 1}}", "{\"x\":[}]", "{\"x\":tru}",  "{\"x\":[1",
            "{\"x\":\"\\ud800\"}", "{\"x\":{1:1}}",     "{\"x\":}",   "{\"x\":[1 2]}"};
        for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
            struct protojson_parsed parsed;
            int result =
                parse(&tenant__v1__tenant__descriptor, slice_of_str(broken[i]), true, &parsed);
            ck_assert_msg(result == MESSAGE_MALFORMED, "%s", broken[i]);
        }
    }
END_TEST

START_TEST(skipped_depth_and_elements_are_limited)
    {
        struct protojson_parsed parsed;
        for (unsigned depth = 60; depth < 70; depth++) {
            AUTO(buf_deinit) struct buf json = BUF_EMPTY;
            buf_put_str(&json, "{\"x\":");
            for (unsigned i = 0; i < depth; i++)
                buf_put_byte(&json, '[');
            for (unsigned i = 0; i < depth; i++)
                buf_put_byte(&json, ']');
            buf_put_byte(&json, '}');
            int result = parse(&tenant__v1__tenant__descriptor, buf_slice(&json), true, &parsed);
            ck_assert_int_eq(result, depth < PROTOJSON_DEPTH_MAX ? OK : MESSAGE_TOO_COMPLEX);
        }
        AUTO(buf_deinit) struct buf json = BUF_EMPTY;
        buf_put_str(&json, "{\"x\":[0");
        for (unsigned i = 0; i < PROTOJSON_ELEMENTS_MAX; i++)
            buf_put_str(&json, ",0");
        buf_put_str(&json, "]}");
        int result = parse(&tenant__v1__tenant__descriptor, buf_slice(&json), true, &parsed);
        ck_assert_int_eq(result, MESSAGE_TOO_COMPLEX);
        struct protojson_parse_options options = {.ignore_unknown = true};
        for (options.elements_max = 3; options.elements_max < 5; options.elements_max++) {
            result = protojson_parse(&ctx, &tenant__v1__tenant__descriptor,
                                     slice_of_str("{\"x\":[1,2],\"y\":3}"), &options, &parsed);
            ck_assert_int_eq(result, options.elements_max < 4 ? MESSAGE_TOO_COMPLEX : OK);
            if (result != OK)
                ck_assert_str_eq(parsed.rule, "must not come after 3 other members and elements");
        }
    }
END_TEST

START_TEST(a_full_arena_refuses)
    {
        AUTO(arena_free_ptr) struct arena *small = arena_new(8192);
        struct ctx own;
        ctx_init(&own, NULL, small);
        struct protojson_parse_options options = {.ignore_unknown = false};
        struct protojson_parsed parsed;
        AUTO(buf_deinit) struct buf json = BUF_EMPTY;
        buf_put_str(&json, "{\"manyMessage\":[{}");
        for (unsigned i = 0; i < 1000; i++)
            buf_put_str(&json, ",{}");
        buf_put_str(&json, "]}");
        int result = protojson_parse(&own, &sample_descriptor, buf_slice(&json), &options, &parsed);
        ck_assert_int_eq(result, MESSAGE_TOO_COMPLEX);
        ck_assert_str_eq(parsed.rule, "must take less memory");
        ck_assert_uint_lt(arena_used(small), 32768);
    }
END_TEST

/* Frames of a walk are in the arena: the deepest document needs no more stack than "{}". */
static void *deep_run(void *unused)
{
    struct protojson_parsed parsed;
    AUTO(buf_deinit) struct buf json = BUF_EMPTY;
    for (unsigned i = 1; i < PROTOJSON_DEPTH_MAX; i++)
        buf_put_str(&json, "{\"oneMessage\":");
    buf_put_str(&json, "{}");
    for (unsigned i = 1; i < PROTOJSON_DEPTH_MAX; i++)
        buf_put_byte(&json, '}');
    ck_assert_int_eq(parse(&sample_descriptor, buf_slice(&json), false, &parsed), OK);
    ck_assert_str_eq(printed(parsed.message, false), buf_str(&json));
    return unused;
}

START_TEST(the_deepest_document_fits_a_small_stack)
    {
        pthread_attr_t attributes;
        pthread_t thread;
        ck_assert_int_eq(pthread_attr_init(&attributes), 0);
        ck_assert_int_eq(pthread_attr_setstacksize(&attributes, SMALL_STACK), 0);
        ck_assert_int_eq(pthread_create(&thread, &attributes, deep_run, NULL), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        pthread_attr_destroy(&attributes);
    }
END_TEST

START_TEST(a_message_that_is_too_deep_is_not_printed)
    {
        struct sample samples[PROTOJSON_DEPTH_MAX + 1];
        for (size_t i = 0; i <= PROTOJSON_DEPTH_MAX; i++) {
            samples[i] = (struct sample){.base = {.descriptor = &sample_descriptor}};
            if (i > 0)
                samples[i - 1].slots[PROTOBUF_C_TYPE_MESSAGE].pointer = &samples[i];
        }
        struct protojson_print_options options = {.defaults = false};
        AUTO(buf_deinit) struct buf out = BUF_EMPTY;
        ck_assert_int_eq(protojson_print(&ctx, &samples[0].base, &options, &out), FAULT_INTERNAL);
        ck_assert_int_eq(protojson_print(&ctx, &samples[1].base, &options, &out), OK);
    }
END_TEST

START_TEST(defaults_are_printed_when_asked)
    {
        Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
        ck_assert_str_eq(printed(&status, false), "{}");
        ck_assert_str_eq(printed(&status, true), "{\"code\":0,\"message\":\"\",\"details\":[]}");
        Tenant__V1__Tenant tenant = TENANT__V1__TENANT__INIT;
        ck_assert_ptr_nonnull(strstr(printed(&tenant, true), "\"labels\":{}"));
        ck_assert_ptr_nonnull(
            strstr(printed(&tenant, true), "\"type\":\"TENANT_TYPE_UNSPECIFIED\""));
        ck_assert_ptr_null(strstr(printed(&tenant, true), "createTime"));
    }
END_TEST

START_TEST(details_go_there_and_back)
    {
        static const char json[] =
            "{\"code\":5,\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
            "\"reason\":\"R\",\"metadata\":{\"k\":\"v\"}},{\"@type\":\"x/google.protobuf.Any\","
            "\"value\":{\"@type\":\"x/google.protobuf.Timestamp\",\"value\":\"1970-01-01T00:00:00Z\"}}]}";
        ck_assert_str_eq(printed(parsed_ok(&google__rpc__status__descriptor, json), false), json);
    }
END_TEST

START_TEST(what_has_no_json_is_a_fault)
    {
        char bad[] = "\xff";
        char path[] = "displayName";
        char *paths[] = {path};
        char *label = bad;
        Tenant__V1__Tenant tenant = TENANT__V1__TENANT__INIT;
        Tenant__V1__Tenant__LabelsEntry entry = TENANT__V1__TENANT__LABELS_ENTRY__INIT;
        Tenant__V1__Tenant__LabelsEntry *entries[] = {&entry};
        Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        tenant.slug = bad;
        prints_not(&tenant, "tenant.v1.Tenant as JSON: slug must be UTF-8");
        tenant = (Tenant__V1__Tenant)TENANT__V1__TENANT__INIT;
        entry.value = label;
        tenant.n_labels = 1;
        tenant.labels = entries;
        prints_not(&tenant, "tenant.v1.Tenant as JSON: labels[0] must be UTF-8");
        tenant = (Tenant__V1__Tenant)TENANT__V1__TENANT__INIT;
        time.seconds = 253402300800;
        tenant.create_time = &time;
        prints_not(&tenant,
                   "tenant.v1.Tenant as JSON: createTime must be a time of the years 1 to 9999");
        time = (Google__Protobuf__Timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        time.nanos = -1;
        prints_not(&tenant,
                   "tenant.v1.Tenant as JSON: createTime must be a time of the years 1 to 9999");
        Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
        mask.n_paths = 1;
        mask.paths = paths;
        prints_not(&mask, "google.protobuf.FieldMask as JSON:  must be field paths in snake_case");
        Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
        any.type_url = bad;
        prints_not(&any, "google.protobuf.Any as JSON:  must have a known type");
    }
END_TEST

START_TEST(broken_bytes_of_an_any_are_a_fault)
    {
        char url[] = "x/google.rpc.ErrorInfo";
        uint8_t bytes[] = {0x0a, 0x05, 'a'};
        Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
        any.type_url = url;
        any.value = (ProtobufCBinaryData){.len = sizeof bytes, .data = bytes};
        prints_not(&any, "google.protobuf.Any as JSON:  must hold a message of its type");
    }
END_TEST

START_TEST(an_overflow_of_the_buffer_stays_its_own)
    {
        Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
        status.code = 5;
        struct protojson_print_options options = {.defaults = true};
        AUTO(buf_deinit) struct buf out = {.limit = 10};
        ck_assert_int_eq(protojson_print(&ctx, &status.base, &options, &out), OK);
        ck_assert(out.overflown);
    }
END_TEST

Suite *suite_protojson_protojson(void);

Suite *suite_protojson_protojson(void)
{
    Suite *suite = suite_create("protojson/protojson");
    TCase *cases = tcase_create("messages");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, a_message_borrows_nothing_from_its_text);
    tcase_add_test(cases, lists_of_every_length_keep_their_elements);
    tcase_add_test(cases, signs_of_zero_and_the_largest_float_survive);
    tcase_add_test(cases, unknown_members_are_skipped_when_asked);
    tcase_add_test(cases, what_is_skipped_must_be_json);
    tcase_add_test(cases, skipped_depth_and_elements_are_limited);
    tcase_add_test(cases, a_full_arena_refuses);
    tcase_add_test(cases, the_deepest_document_fits_a_small_stack);
    tcase_add_test(cases, a_message_that_is_too_deep_is_not_printed);
    tcase_add_test(cases, defaults_are_printed_when_asked);
    tcase_add_test(cases, details_go_there_and_back);
    tcase_add_test(cases, what_has_no_json_is_a_fault);
    tcase_add_test(cases, broken_bytes_of_an_any_are_a_fault);
    tcase_add_test(cases, an_overflow_of_the_buffer_stays_its_own);
    suite_add_tcase(suite, cases);
    return suite;
}
