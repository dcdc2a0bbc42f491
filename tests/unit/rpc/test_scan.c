/* The scan on hand-made bytes and on packed requests with every byte mutated.  Whatever it passes,
 * protobuf-c must unpack. */
#include "rpc/scan.h"

#include "base/buf.h"
#include "base/random.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include "tests/fuzz/sample_message.h"

#include <check.h>
#include <stdlib.h>

#define WIRE(literal) slice_make(literal, sizeof(literal) - 1)
#define CREATE (&tenant__v1__create_tenant_request__descriptor)

/* Scans a copy of exactly its size and checks the promise about protobuf-c. */
static enum scan_result scan(const ProtobufCMessageDescriptor *type, struct slice bytes,
                             char path[SCAN_PATH_SIZE])
{
    uint8_t *copy = malloc(bytes.size + (bytes.size == 0));
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    struct scan_report report;
    memset(&report, 'x', sizeof report);
    enum scan_result result = scan_message(type, slice_make(copy, bytes.size), &report);
    memcpy(path, report.path, SCAN_PATH_SIZE);
    ck_assert_uint_le(report.fields, SCAN_FIELDS_MAX);
    ck_assert_ptr_nonnull(memchr(path, 0, SCAN_PATH_SIZE));
    if (result == SCAN_OK) {
        ck_assert_str_eq(path, "");
        ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, bytes.size, copy);
        ck_assert_ptr_nonnull(message);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    free(copy);
    return result;
}

static void scan_is(struct slice bytes, enum scan_result expected, const char *expected_path)
{
    char path[SCAN_PATH_SIZE];
    ck_assert_int_eq(scan(&sample_descriptor, bytes, path), expected);
    ck_assert_str_eq(path, expected_path);
}

static void varint_put(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_put_byte(out, (uint8_t)(value | 0x80));
    buf_put_byte(out, (uint8_t)value);
}

static void tag_put(struct buf *out, uint32_t number, unsigned wire)
{
    varint_put(out, (uint64_t)number << 3 | wire);
}

static void field_put(struct buf *out, uint32_t number, struct slice payload)
{
    tag_put(out, number, 2);
    varint_put(out, payload.size);
    buf_put_slice(out, payload);
}

START_TEST(tags_are_checked)
    {
        scan_is(WIRE(""), SCAN_OK, "");
        scan_is(WIRE("\x00\x00"), SCAN_MALFORMED, "");          /* field number 0 */
        scan_is(WIRE("\x80\x00\x00"), SCAN_MALFORMED, "");      /* the same, longer */
        scan_is(WIRE("\x08"), SCAN_MALFORMED, "");              /* no value */
        scan_is(WIRE("\x80"), SCAN_MALFORMED, "");              /* half a tag */
        scan_is(WIRE("\x88\x80\x80\x80\x00\x01"), SCAN_OK, ""); /* field 1 in five bytes */
        scan_is(WIRE("\x88\x80\x80\x80\x80\x00\x01"), SCAN_MALFORMED, "");
        scan_is(WIRE("\xf8\xff\xff\xff\x0f\x01"), SCAN_OK, ""); /* 2^29-1, unknown */
        scan_is(WIRE("\xf8\xff\xff\xff\x1f\x01"), SCAN_MALFORMED, "");
    }
END_TEST

START_TEST(groups_and_unknown_wire_types_are_refused)
    {
        for (uint32_t number = 1; number <= 130; number++) {
            for (unsigned wire = 3; wire < 8; wire += wire == 4 ? 2 : 1) {
                struct buf out = BUF_EMPTY;
                tag_put(&out, number, wire);
                buf_put(&out, "\0\0\0\0\0\0\0\0", 8);
                scan_is(buf_slice(&out), SCAN_MALFORMED, "");
                buf_deinit(&out);
            }
        }
    }
END_TEST

START_TEST(varints_have_at_most_ten_bytes)
    {
        scan_is(WIRE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), SCAN_OK, "");
        scan_is(WIRE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), SCAN_OK, "");
        scan_is(WIRE("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), SCAN_MALFORMED, "");
        scan_is(WIRE("\x08\x80\x80"), SCAN_MALFORMED, "");
    }
END_TEST

START_TEST(lengths_stay_inside)
    {
        scan_is(WIRE("\x7a\x03"
                     "abc"),
                SCAN_OK, "");
        scan_is(WIRE("\x7a\x04"
                     "abc"),
                SCAN_MALFORMED, "");
        scan_is(WIRE("\x7a\xff\xff\xff\xff\x07"
                     "abc"),
                SCAN_MALFORMED, "");
        scan_is(WIRE("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                     "abc"),
                SCAN_MALFORMED, "");
        scan_is(WIRE("\x7a\x83\x80\x80\x80\x00"
                     "abc"),
                SCAN_OK, ""); /* 3 in five bytes */
        scan_is(WIRE("\x7a\x83\x80\x80\x80\x80\x00"
                     "abc"),
                SCAN_MALFORMED, "");
        scan_is(WIRE("\x55\x01\x02\x03"), SCAN_MALFORMED, ""); /* 3 of 4 bytes */
        scan_is(WIRE("\x51\x01\x02\x03\x04\x05\x06\x07"), SCAN_MALFORMED, "");
    }
END_TEST

/* Every type with every wire type: plain fields take exactly their own, repeated numbers also packed. */
START_TEST(the_wire_type_is_the_fields)
    {
        static const unsigned own[SAMPLE_TYPES] = {0, 0, 5, 0, 0, 1, 0, 5, 0,
                                                   1, 5, 1, 0, 0, 2, 2, 2};
        for (unsigned type = 0; type < SAMPLE_TYPES; type++) {
            for (unsigned wire = 0; wire < 6; wire += wire == 2 ? 3 : 1) {
                for (int plain = 0; plain < 2; plain++) {
                    struct buf out = BUF_EMPTY;
                    tag_put(&out, (plain ? SAMPLE_PLAIN_FIRST : 1) + type, wire);
                    buf_put(&out, "\0\0\0\0\0\0\0\0", wire == 5 ? 4 : wire == 1 ? 8 : 1);
                    bool good = wire == own[type] || (!plain && wire == 2);
                    char path[SCAN_PATH_SIZE];
                    enum scan_result result = scan(&sample_descriptor, buf_slice(&out), path);
                    ck_assert_int_eq(result, good ? SCAN_OK : SCAN_MALFORMED);
                    const char *name = sample_fields[plain ? SAMPLE_TYPES + type : type].name;
                    ck_assert(good || strncmp(path, name, strlen(name)) == 0);
                    buf_deinit(&out);
                }
            }
        }
    }
END_TEST

START_TEST(packed_numbers_are_whole)
    {
        scan_is(WIRE("\x0a\x03\x01\x80\x01"), SCAN_OK, "");
        scan_is(WIRE("\x0a\x03\x01\x80\x80"), SCAN_MALFORMED, "many_int32[0]");
        scan_is(WIRE("\x08\x01\x0a\x01\x80"), SCAN_MALFORMED, "many_int32[1]");
        scan_is(WIRE("\x52\x08\0\0\0\0\0\0\0\0"), SCAN_OK, "");
        scan_is(WIRE("\x52\x09\0\0\0\0\0\0\0\0\0"), SCAN_MALFORMED, "many_fixed64[0]");
        scan_is(WIRE("\x42\x08\0\0\0\0\0\0\0\0"), SCAN_OK, "");
        scan_is(WIRE("\x42\x06\0\0\0\0\0\0"), SCAN_MALFORMED, "many_fixed32[0]");
        scan_is(WIRE("\x6a\x02\x01\x00"), SCAN_OK, "");
        scan_is(WIRE("\x6a\x02\x01\x02"), SCAN_MALFORMED, "many_bool[0]");
    }
END_TEST

START_TEST(strings_are_utf8_without_nul)
    {
        static const struct {
            const char *text;
            enum scan_result result;
        } rows[] = {
            {"plain", SCAN_OK},
            {"\xc2\x80", SCAN_OK},
            {"\xdf\xbf", SCAN_OK},
            {"\xe0\xa0\x80", SCAN_OK},
            {"\xed\x9f\xbf", SCAN_OK},
            {"\xee\x80\x80", SCAN_OK},
            {"\xef\xbf\xbf", SCAN_OK},
            {"\xf0\x90\x80\x80", SCAN_OK},
            {"\xf4\x8f\xbf\xbf", SCAN_OK},
            {"\x80", SCAN_BAD_UTF8},
            {"\xbf", SCAN_BAD_UTF8},
            {"\xc0\x80", SCAN_BAD_UTF8}, /* overlong NUL */
            {"\xc1\xbf", SCAN_BAD_UTF8},
            {"\xc2", SCAN_BAD_UTF8},
            {"\xc2"
             "a",
             SCAN_BAD_UTF8},
            {"\xe0\x9f\xbf", SCAN_BAD_UTF8}, /* overlong */
            {"\xe2\x82", SCAN_BAD_UTF8},
            {"\xe2\x82"
             "a",
             SCAN_BAD_UTF8},
            {"\xed\xa0\x80", SCAN_BAD_UTF8},     /* a surrogate */
            {"\xf0\x8f\xbf\xbf", SCAN_BAD_UTF8}, /* overlong */
            {"\xf0\x90\x80", SCAN_BAD_UTF8},
            {"\xf0\x90\x80"
             "a",
             SCAN_BAD_UTF8},
            {"\xf4\x90\x80\x80", SCAN_BAD_UTF8}, /* above U+10FFFF */
            {"\xf5\x80\x80\x80", SCAN_BAD_UTF8},
            {"\xff", SCAN_BAD_UTF8},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct buf out = BUF_EMPTY;
            field_put(&out, 115, slice_of_str(rows[i].text));
            scan_is(buf_slice(&out), rows[i].result, rows[i].result == SCAN_OK ? "" : "one_string");
            buf_clear(&out);
            field_put(&out, 116, slice_of_str(rows[i].text)); /* bytes may be anything */
            scan_is(buf_slice(&out), SCAN_OK, "");
            buf_deinit(&out);
        }
        scan_is(WIRE("\x7a\x03"
                     "a\0b"),
                SCAN_NUL, "many_string[0]");
        scan_is(WIRE("\x7a\x01"
                     "a"
                     "\x7a\x01\0"),
                SCAN_NUL, "many_string[1]");
    }
END_TEST

static void nested_put(struct buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        struct buf outer = BUF_EMPTY;
        field_put(&outer, 117, buf_slice(out));
        buf_deinit(out);
        *out = outer;
    }
}

START_TEST(nesting_is_bounded)
    {
        char expected[SCAN_PATH_SIZE * 2] = "one_message";
        for (unsigned depth = 0; depth < 40; depth++) {
            struct buf out = BUF_EMPTY;
            nested_put(&out, depth);
            char path[SCAN_PATH_SIZE];
            enum scan_result result = scan(&sample_descriptor, buf_slice(&out), path);
            ck_assert_int_eq(result, depth <= SCAN_DEPTH_MAX ? SCAN_OK : SCAN_TOO_DEEP);
            if (result == SCAN_TOO_DEEP) { /* whole segments as far as there is room */
                ck_assert_int_eq(strncmp(path, "one_message.one_message.", 24), 0);
                ck_assert_uint_eq((strlen(path) + 1) % (strlen(expected) + 1), 0);
                ck_assert_uint_ge(strlen(path), SCAN_PATH_SIZE - 13);
            }
            buf_deinit(&out);
        }
        struct buf bomb = BUF_EMPTY; /* deep enough to end any stack */
        for (int i = 0; i < 100000; i++)
            buf_put(&bomb, "\x8a\x01\x80\x80\x01", 5);
        char path[SCAN_PATH_SIZE];
        ck_assert_int_ne(scan(&sample_descriptor, buf_slice(&bomb), path), SCAN_OK);
        buf_deinit(&bomb);
    }
END_TEST

START_TEST(fields_and_elements_are_counted_together)
    {
        for (size_t over = 0; over < 2; over++) {
            struct buf out = BUF_EMPTY;
            for (size_t i = 0; i < SCAN_FIELDS_MAX + over; i++)
                buf_put(&out, "\xa0\x06\x01", 3); /* field 100: unknown */
            scan_is(buf_slice(&out), over == 0 ? SCAN_OK : SCAN_TOO_MANY, "");
            buf_clear(&out);

            struct buf packed = BUF_EMPTY;
            for (size_t i = 0; i < SCAN_FIELDS_MAX - 1 + over; i++)
                buf_put_byte(&packed, 1);
            for (uint32_t number = 1; number <= 13; number += 12) { /* int32 and bool */
                field_put(&out, number, buf_slice(&packed));
                scan_is(buf_slice(&out), over == 0 ? SCAN_OK : SCAN_TOO_MANY,
                        over == 0     ? ""
                        : number == 1 ? "many_int32[0]"
                                      : "many_bool[0]");
                buf_clear(&out);
            }
            buf_deinit(&packed);

            for (size_t i = 0; i < SCAN_FIELDS_MAX / 2; i++) /* two each */
                field_put(&out, 17, WIRE("\x08\x01"));
            if (over == 1)
                buf_put(&out, "\x08\x01", 2);
            scan_is(buf_slice(&out), over == 0 ? SCAN_OK : SCAN_TOO_MANY,
                    over == 0 ? "" : "many_int32[0]");
            buf_deinit(&out);
        }
    }
END_TEST

static struct slice request_pack(void)
{
    Tenant__V1__Plan plan;
    tenant__v1__plan__init(&plan);
    plan.plan_id = "plan_pro";
    plan.addons = (char *[]){"sms", "fax"};
    plan.n_addons = 2;
    Tenant__V1__Tenant__LabelsEntry labels[3];
    Tenant__V1__Tenant__LabelsEntry *list[3];
    for (int i = 0; i < 3; i++) {
        tenant__v1__tenant__labels_entry__init(&labels[i]);
        labels[i].key = "key";
        labels[i].value = "value";
        list[i] = &labels[i];
    }
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = -1;
    time.nanos = 999999999;
    Tenant__V1__Tenant tenant;
    tenant__v1__tenant__init(&tenant);
    tenant.slug = "acme";
    tenant.display_name = "Ärzte";
    tenant.home_region = "eu";
    tenant.plan = &plan;
    tenant.n_labels = 3;
    tenant.labels = list;
    tenant.create_time = &time;
    Tenant__V1__CreateTenantRequest request = TENANT__V1__CREATE_TENANT_REQUEST__INIT;
    request.tenant = &tenant;
    request.validate_only = 1;
    size_t size = protobuf_c_message_get_packed_size(&request.base);
    uint8_t *bytes = malloc(size);
    protobuf_c_message_pack(&request.base, bytes);
    return slice_make(bytes, size);
}

START_TEST(paths_name_the_place)
    {
        struct slice packed = request_pack();
        uint8_t *bytes = (uint8_t *)(uintptr_t)packed.data;
        char path[SCAN_PATH_SIZE];
        ck_assert_int_eq(scan(CREATE, packed, path), SCAN_OK);
        static const struct {
            const char *text;
            int occurrence;
            const char *path;
        } rows[] = {
            {"acme", 0, "tenant.slug"},
            {"plan_pro", 0, "tenant.plan.plan_id"},
            {"fax", 0, "tenant.plan.addons[1]"},
            {"key", 0, "tenant.labels[0].key"},
            {"value", 2, "tenant.labels[2].value"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            uint8_t *at = bytes;
            for (int k = 0; k <= rows[i].occurrence; k++) {
                at = memmem(at + 1, packed.size - (size_t)(at + 1 - bytes), rows[i].text,
                            strlen(rows[i].text));
                ck_assert_ptr_nonnull(at);
            }
            uint8_t was = *at;
            *at = 0xff;
            ck_assert_int_eq(scan(CREATE, packed, path), SCAN_BAD_UTF8);
            ck_assert_str_eq(path, rows[i].path);
            *at = 0;
            ck_assert_int_eq(scan(CREATE, packed, path), SCAN_NUL);
            ck_assert_str_eq(path, rows[i].path);
            *at = was;
        }
        free(bytes);
    }
END_TEST

START_TEST(every_byte_may_be_any_other)
    {
        struct slice packed = request_pack();
        uint8_t *bytes = (uint8_t *)(uintptr_t)packed.data;
        char path[SCAN_PATH_SIZE];
        size_t seen[SCAN_TWICE + 1] = {0};
        for (size_t i = 0; i < packed.size; i++) {
            uint8_t was = bytes[i];
            for (unsigned value = 0; value < 256; value++) {
                bytes[i] = (uint8_t)value;
                seen[scan(CREATE, packed, path)]++;
            }
            bytes[i] = was;
            scan(CREATE, slice_make(bytes, i), path); /* cut */
        }
        ck_assert_uint_gt(seen[SCAN_OK], 1000);
        ck_assert_uint_gt(seen[SCAN_MALFORMED], 1000);
        ck_assert_uint_gt(seen[SCAN_BAD_UTF8], 1000);
        ck_assert_uint_gt(seen[SCAN_NUL], 10);
        ck_assert_uint_gt(seen[SCAN_TWICE], 0);
        free(bytes);
    }
END_TEST

START_TEST(random_bytes_never_fool_the_scan)
    {
        static const uint8_t likely[] = {0x08, 0x0a, 0x7a, 0x82, 0x8a, 0x01,
                                         0x6a, 0x52, 2,    0x80, 0xff};
        size_t passed = 0;
        for (int i = 0; i < 100000; i++) {
            uint8_t bytes[24];
            random_bytes(bytes, sizeof bytes);
            for (size_t k = 0; k < sizeof bytes; k++) {
                if (bytes[k] & 1)
                    bytes[k] = likely[bytes[k] % sizeof likely];
            }
            char path[SCAN_PATH_SIZE];
            size_t size = (size_t)random_below(sizeof bytes + 1);
            passed += scan(&sample_descriptor, slice_make(bytes, size), path) == SCAN_OK;
        }
        ck_assert_uint_gt(passed, 1000);
    }
END_TEST

/* protobuf-c would answer for the second part with the first one's type forgotten. */
START_TEST(a_message_in_parts_is_refused)
    {
        char path[SCAN_PATH_SIZE];
        const struct slice parts = WIRE("\x0a\x02\x20\x02\x0a\x03\x12\x01x"); /* type, then slug */
        ck_assert_int_eq(scan(CREATE, parts, path), SCAN_TWICE);
        ck_assert_str_eq(path, "tenant");
        const struct slice inside = WIRE("\x0a\x04\x32\x00\x32\x00"); /* the plan */
        ck_assert_int_eq(scan(CREATE, inside, path), SCAN_TWICE);
        ck_assert_str_eq(path, "tenant.plan");
        const struct slice one =
            WIRE("\x0a\x05\x20\x02\x12\x01x\x70\x01\x70\x00"); /* scalars may repeat */
        ck_assert_int_eq(scan(CREATE, one, path), SCAN_OK);
        struct buf many = BUF_EMPTY;
        field_put(&many, 1 + PROTOBUF_C_TYPE_MESSAGE, WIRE("")); /* a list's */
        field_put(&many, 1 + PROTOBUF_C_TYPE_MESSAGE, WIRE(""));
        field_put(&many, SAMPLE_PLAIN_FIRST + PROTOBUF_C_TYPE_MESSAGE, WIRE(""));
        scan_is(buf_slice(&many), SCAN_OK, "");
        field_put(&many, SAMPLE_PLAIN_FIRST + PROTOBUF_C_TYPE_MESSAGE, WIRE(""));
        scan_is(buf_slice(&many), SCAN_TWICE, "one_message");
        buf_deinit(&many);
    }
END_TEST

START_TEST(every_result_has_a_rule)
    {
        ck_assert_str_eq(scan_rule(SCAN_BAD_UTF8), "must be UTF-8");
        ck_assert_str_eq(scan_rule(SCAN_OK), "");
        for (int a = SCAN_MALFORMED; a <= SCAN_TWICE; a++) {
            ck_assert_int_eq(strncmp(scan_rule((enum scan_result)a), "must ", 5), 0);
            for (int b = SCAN_MALFORMED; b < a; b++)
                ck_assert_str_ne(scan_rule((enum scan_result)a), scan_rule((enum scan_result)b));
        }
    }
END_TEST

Suite *suite_rpc_scan(void);
Suite *suite_rpc_scan(void)
{
    Suite *suite = suite_create("rpc/scan");
    TCase *tcase = tcase_create("scan");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, tags_are_checked);
    tcase_add_test(tcase, groups_and_unknown_wire_types_are_refused);
    tcase_add_test(tcase, varints_have_at_most_ten_bytes);
    tcase_add_test(tcase, lengths_stay_inside);
    tcase_add_test(tcase, the_wire_type_is_the_fields);
    tcase_add_test(tcase, packed_numbers_are_whole);
    tcase_add_test(tcase, strings_are_utf8_without_nul);
    tcase_add_test(tcase, nesting_is_bounded);
    tcase_add_test(tcase, fields_and_elements_are_counted_together);
    tcase_add_test(tcase, paths_name_the_place);
    tcase_add_test(tcase, every_byte_may_be_any_other);
    tcase_add_test(tcase, random_bytes_never_fool_the_scan);
    tcase_add_test(tcase, a_message_in_parts_is_refused);
    tcase_add_test(tcase, every_result_has_a_rule);
    suite_add_tcase(suite, tcase);
    return suite;
}
