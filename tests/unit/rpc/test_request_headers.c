/* Request headers: known and other names, several of a name, many, and copies that stand alone. */
#include "rpc/request_headers.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct arena *arena;
static struct request_headers headers;

static void begin(void)
{
    arena = arena_new(0);
    headers = (struct request_headers){.other_count = 0};
}

static void end(void)
{
    arena_free(arena);
}

/* Out of buffers that are overwritten right after. */
static void put(const char *name, const char *value)
{
    char name_copy[64];
    char value_copy[64];
    snprintf(name_copy, sizeof name_copy, "%s", name);
    snprintf(value_copy, sizeof value_copy, "%s", value);
    request_headers_add(&headers, arena, slice_of_str(name_copy), slice_of_str(value_copy));
    memset(name_copy, 'x', sizeof name_copy);
    memset(value_copy, 'x', sizeof value_copy);
}

static void expect(const char *name, const char *value)
{
    struct slice found = request_headers_find(&headers, slice_of_str(name));
    ck_assert_msg(slice_is(found, value), "%s: \"%.*s\"", name, (int)found.size,
                  (const char *)found.data);
    ck_assert_int_eq(found.data[found.size], 0);
}

START_TEST(what_was_sent_is_found)
    {
        static const char *const names[] = {
            ":method",
            ":path",
            ":scheme",
            ":authority",
            "content-type",
            "grpc-timeout",
            "traceparent",
            "grpc-encoding",
            "idempotency-key",
            "x-request-id",
            "x-tenant-id",
            "te",
            "user-agent",
            "x-consistency-token",
            "x",
            "grpc-accept-encoding",
        };
        enum { COUNT = sizeof names / sizeof names[0] };
        for (size_t i = 0; i < COUNT; i++)
            put(names[i], names[COUNT - 1 - i]);
        for (size_t i = 0; i < COUNT; i++)
            expect(names[i], names[COUNT - 1 - i]);
        ck_assert(slice_is(headers.known[HEADER_METHOD], "grpc-accept-encoding"));
        ck_assert(slice_is(headers.known[HEADER_TENANT_ID], "grpc-timeout"));
        ck_assert_uint_eq(headers.other_count, COUNT - HEADER_NAMES);
    }
END_TEST

START_TEST(lists_are_split_at_commas)
    {
        static const char *const with[] = {"gzip", "identity,gzip", "identity, gzip ", " gzip,x",
                                           ",gzip", "identity,\tgzip\t"};
        static const char *const without[] = {"",      ",",     "gzi",          "gzip2",
                                              "xgzip", "gz ip", "identity;gzip"};
        for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
            ck_assert_msg(header_list_has(slice_of_str(with[i]), "gzip"), "%s", with[i]);
        for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
            ck_assert_msg(!header_list_has(slice_of_str(without[i]), "gzip"), "%s", without[i]);
        ck_assert(!header_list_has(slice_make(NULL, 0), "gzip"));
    }
END_TEST

START_TEST(what_was_not_sent_is_absent_and_the_empty_is_not)
    {
        ck_assert_ptr_null(request_headers_find(&headers, slice_of_str("traceparent")).data);
        ck_assert_ptr_null(request_headers_find(&headers, slice_of_str("x-other")).data);
        put("traceparent", "");
        put("x-other", "");
        expect("traceparent", "");
        expect("x-other", "");
        ck_assert_ptr_null(request_headers_find(&headers, slice_of_str("x-othe")).data);
        ck_assert_ptr_null(request_headers_find(&headers, slice_of_str("x-tenant-ie")).data);
    }
END_TEST

START_TEST(the_first_of_several_counts)
    {
        put("x-tenant-id", "first");
        put("x-tenant-id", "second");
        put("x-other", "first");
        put("x-other", "second");
        put("grpc-timeout", "");
        put("grpc-timeout", "1S");
        expect("x-tenant-id", "first");
        expect("x-other", "first");
        expect("grpc-timeout", "");
    }
END_TEST

START_TEST(many_others_are_kept_in_order)
    {
        char name[32];
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "x-%d", i);
            put(name, name + 2);
        }
        ck_assert_uint_eq(headers.other_count, 1000);
        for (int i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "x-%d", i);
            expect(name, name + 2);
            ck_assert(slice_is(headers.others[i].name, name));
        }
    }
END_TEST

Suite *suite_rpc_request_headers(void);
Suite *suite_rpc_request_headers(void)
{
    Suite *suite = suite_create("rpc/request_headers");
    TCase *tcase = tcase_create("request_headers");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, what_was_sent_is_found);
    tcase_add_test(tcase, lists_are_split_at_commas);
    tcase_add_test(tcase, what_was_not_sent_is_absent_and_the_empty_is_not);
    tcase_add_test(tcase, the_first_of_several_counts);
    tcase_add_test(tcase, many_others_are_kept_in_order);
    suite_add_tcase(suite, tcase);
    return suite;
}
