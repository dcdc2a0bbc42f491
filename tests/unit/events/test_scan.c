/* What the relay reads out of a NATS server's answers: JSON values, base 64, headers, and its own NKey. */
#include "events/json_scan.h"
#include "events/nkey.h"
#include "events/stream.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define INFO                                                                                       \
    "{\"type\":\"io.nats.jetstream.api.v1.stream_info_response\",\"config\":{\"name\":\"T\","      \
    "\"subjects\":[\"tenant.*.*.*.00\"],\"max_age\":2592000000000000,\"x\":\"a\\\"}]\"},"          \
    "\"state\":{\"messages\":0,\"first_seq\":1,\"last_seq\":18446744073709551615},\"neg\":-5}"

static struct slice member(const char *object, const char *path)
{
    struct slice value = slice_make(NULL, 0);
    if (!json_scan_member(slice_of_str(object), path, &value))
        return slice_make(NULL, 0);
    return value;
}

START_TEST(members_are_found_at_any_depth)
    {
        uint64_t number = 0;
        int64_t signed_number = 0;
        ck_assert(slice_is(member(INFO, "config.subjects"), "[\"tenant.*.*.*.00\"]"));
        ck_assert(json_scan_uint(member(INFO, "state.last_seq"), &number));
        ck_assert_uint_eq(number, UINT64_MAX);
        ck_assert(json_scan_int(member(INFO, "neg"), &signed_number));
        ck_assert_int_eq(signed_number, -5);
        ck_assert_uint_eq(member(INFO, "state.none").size, 0);
        ck_assert_uint_eq(member(INFO, "config.name.deeper").size, 0);
        ck_assert_uint_eq(member(INFO, "first_seq").size, 0);
    }
END_TEST

START_TEST(every_prefix_is_survived)
    {
        /* Each prefix lies in memory of its own size, so that ASan sees a read beyond it. */
        for (size_t size = 0; size < strlen(INFO); size++) {
            char *copy = malloc(size == 0 ? 1 : size);
            memcpy(copy, INFO, size);
            struct slice value;
            ck_assert(!json_scan_member(slice_make(copy, size), "state.neg", &value));
            (void)json_scan_member(slice_make(copy, size), "neg", &value);
            free(copy);
        }
    }
END_TEST

START_TEST(numbers_are_exact_or_refused)
    {
        static const char *const wrong[] = {"",  "-1",   "1.5", "1e3", "18446744073709551616",
                                            "x", "\"1\""};
        uint64_t number = 7;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert(!json_scan_uint(slice_of_str(wrong[i]), &number));
        ck_assert_uint_eq(number, 7);
    }
END_TEST

START_TEST(strings_are_decoded)
    {
        char text[32];
        ck_assert(json_scan_text(slice_of_str("\"a\\n\\u00e9\\ud83d\\ude00\\/\""), text, sizeof text));
        ck_assert_str_eq(text, "a\né😀/");
        static const char *const wrong[] = {
            "\"",          "x",       "\"\\u12\"", "\"\\ud800\"",
            "\"\\udc00\"", "\"\\q\"", "\"a\"b\"",  "\"\\ud800\\u0041\""};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(!json_scan_text(slice_of_str(wrong[i]), text, sizeof text), "taken: %s",
                          wrong[i]);
        char tiny[3];
        ck_assert(!json_scan_text(slice_of_str("\"abc\""), tiny, sizeof tiny));
    }
END_TEST

START_TEST(base64_round_trip)
    {
        static const struct {
            const char *text;
            const char *bytes;
        } known[] = {
            {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}};
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            struct buf out = BUF_EMPTY;
            ck_assert(json_scan_base64_decode(slice_of_str(known[i].text), &out));
            ck_assert(slice_is(buf_slice(&out), known[i].bytes));
            buf_deinit(&out);
        }
        static const char *const wrong[] = {"Z", "Zg=", "Z===", "Zm9v!mFy", "====", "Zg==Zg=="};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            struct buf out = BUF_EMPTY;
            ck_assert_msg(!json_scan_base64_decode(slice_of_str(wrong[i]), &out), "taken: %s", wrong[i]);
            buf_deinit(&out);
        }
    }
END_TEST

START_TEST(headers_of_a_stored_message)
    {
        const char *block = "NATS/1.0\r\nNats-Msg-Id: evt_00000000000000000000000001\r\n"
                            "Tenant-Id:tnt_00000000000000000000000002\r\nTenant-Sequence: 42\r\n"
                            "Tenant-Incarnation: 3\r\n\r\n";
        struct stored_event message = {0};
        ck_assert(stored_event_parse(slice_of_str(block), 9, &message));
        ck_assert_uint_eq(message.stream_seq, 9);
        ck_assert_int_eq(message.seq, 42);
        ck_assert_int_eq(message.incarnation, 3);
        ck_assert_uint_eq(message.msg_id.bytes[15], 1);
        ck_assert_uint_eq(message.tenant_id.bytes[15], 2);
        struct slice value;
        ck_assert(!nats_header_find(slice_of_str(block), "Tenant", &value));
        ck_assert(!nats_header_find(slice_of_str("NATS/1.0\r\nTenant-Id: x"), "Tenant-Id", &value));
        ck_assert(!stored_event_parse(slice_of_str("NATS/1.0\r\n\r\n"), 9, &message));
        ck_assert_int_eq(message.says, STORED_SAYS_NOTHING);
        static const struct {
            const char *type;
            enum stored_says says;
        } types[] = {{"tenant.org.suspended.v1", STORED_SUSPENDED},
                     {"tenant.org.reactivated.v1", STORED_REACTIVATED},
                     {"tenant.org.closed.v1", STORED_CLOSED},
                     {"tenant.org.updated.v1", STORED_SAYS_NOTHING}};
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            char typed[512];
            snprintf(typed, sizeof typed, "NATS/1.0\r\nEvent-Type: %s\r\n%s", types[i].type,
                     block + strlen("NATS/1.0\r\n"));
            ck_assert(stored_event_parse(slice_of_str(typed), 9, &message));
            ck_assert_int_eq(message.says, types[i].says);
        }
    }
END_TEST

START_TEST(public_key_of_a_seed)
    {
        /* From the NKey specification's test of nats-server: seed and key of one user. */
        const char *seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n";
        char public_key[NKEY_PUBLIC_SIZE];
        struct ctx ctx;
        ctx_init(&ctx, NULL, NULL);
        ck_assert_int_eq(nkey_public_of(&ctx, slice_of_str(seed), public_key), OK);
        ck_assert_str_eq(public_key, "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4");
    }
END_TEST

START_TEST(broken_seeds_are_refused_without_being_shown)
    {
        static const char *const wrong[] = {
            "",
            "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3V",
            "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VA",
            "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
            "suacssl3uahudxkfsnvuzrf5uhpmwz6bfdtj7m6usdxiednppqyyycu3vy",
        };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            char public_key[NKEY_PUBLIC_SIZE];
            struct ctx ctx;
            ctx_init(&ctx, NULL, NULL);
            ck_assert_int_eq(nkey_public_of(&ctx, slice_of_str(wrong[i]), public_key),
                             FAULT_CONFIG);
            ck_assert_ptr_null(strstr(ctx.fault.text, "SUACSSL"));
        }
    }
END_TEST

Suite *suite_events_scan(void);
Suite *suite_events_scan(void)
{
    Suite *suite = suite_create("events_scan");
    TCase *tests = tcase_create("scan");
    tcase_add_test(tests, members_are_found_at_any_depth);
    tcase_add_test(tests, every_prefix_is_survived);
    tcase_add_test(tests, numbers_are_exact_or_refused);
    tcase_add_test(tests, strings_are_decoded);
    tcase_add_test(tests, base64_round_trip);
    tcase_add_test(tests, headers_of_a_stored_message);
    tcase_add_test(tests, public_key_of_a_seed);
    tcase_add_test(tests, broken_seeds_are_refused_without_being_shown);
    suite_add_tcase(suite, tests);
    return suite;
}
