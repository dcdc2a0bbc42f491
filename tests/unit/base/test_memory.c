/* arena, buf and slice. */
#include "base/arena.h"
#include "base/buf.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>

START_TEST(arena_memory_is_zeroed_aligned_and_separate)
{
    struct arena *arena = arena_new(0);
    uint8_t *previous = NULL;
    for (size_t i = 1; i < 3000; i += 7) {
        uint8_t *memory = arena_alloc(arena, i);
        ck_assert_uint_eq((uintptr_t)memory % 16, 0);
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_eq(memory[k], 0);
        memset(memory, 0xAB, i);
        if (previous != NULL)
            ck_assert_uint_eq(previous[0], 0xAB);
        previous = memory;
    }
    arena_free(arena);
}
END_TEST

START_TEST(arena_cap_is_sticky_and_stops_protobuf_only)
{
    struct arena *arena = arena_new(1000);
    ck_assert(!arena_is_full(arena));
    ProtobufCAllocator *allocator = arena_protobuf(arena);
    ck_assert_ptr_nonnull(allocator->alloc(allocator->allocator_data, 900));
    ck_assert_ptr_null(allocator->alloc(allocator->allocator_data, 200));
    ck_assert(arena_is_full(arena));
    ck_assert_ptr_null(allocator->alloc(allocator->allocator_data, 1));
    ck_assert_str_eq(arena_printf(arena, "still %s", "works"), "still works");
    arena_reset(arena);
    ck_assert(!arena_is_full(arena));
    ck_assert_uint_eq(arena_used(arena), 0);
    arena_free(arena);
}
END_TEST

START_TEST(arena_serves_large_requests)
{
    struct arena *arena = arena_new(0);
    uint8_t *large = arena_alloc(arena, 1 << 20);
    large[(1 << 20) - 1] = 7;
    ck_assert_uint_ge(arena_used(arena), 1 << 20);
    ck_assert_str_eq(arena_strndup(arena, "abcdef", 3), "abc");
    arena_free(arena);
}
END_TEST

START_TEST(buf_grows_consumes_and_moves)
{
    struct buf buf = BUF_EMPTY;
    char expected[20000];
    size_t expected_size = 0;
    size_t dropped = 0;
    for (unsigned i = 0; i < 2000; i++) {
        char text[16];
        int length = snprintf(text, sizeof text, "%u,", i);
        memcpy(expected + expected_size, text, (size_t)length);
        expected_size += (size_t)length;
        buf_put_str(&buf, text);
        if (i % 3 == 0) {
            buf_consume(&buf, 2);
            dropped += 2;
        }
    }
    ck_assert(slice_equal(buf_slice(&buf), slice_make(expected + dropped, expected_size - dropped)));
    buf_deinit(&buf);
}
END_TEST

START_TEST(buf_limit_drops_and_remembers)
{
    struct buf buf = {.limit = 10};
    buf_put_str(&buf, "123456789");
    ck_assert(!buf.overflown);
    buf_put_str(&buf, "ab");
    ck_assert(buf.overflown);
    ck_assert_str_eq(buf_str(&buf), "123456789");
    buf_consume(&buf, 5);
    buf_put_str(&buf, "ab");
    ck_assert_str_eq(buf_str(&buf), "6789ab");
    ck_assert(buf.overflown);
    buf_clear(&buf);
    ck_assert(!buf.overflown);
    buf_deinit(&buf);
}
END_TEST

static void check_json(const void *bytes, size_t size, const char *expected)
{
    struct buf buf = BUF_EMPTY;
    buf_put_json_escaped(&buf, slice_make(bytes, size));
    ck_assert_str_eq(buf_str(&buf), expected);
    buf_deinit(&buf);
}

START_TEST(json_escapes)
{
    check_json("a\"b\\c\n\x01\x7f", 8, "a\\\"b\\\\c\\u000a\\u0001\\u007f");
    check_json("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x8E\x89", 15,
               "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x8E\x89");
    check_json("a\0b", 3, "a\\u0000b");
}
END_TEST

START_TEST(json_replaces_what_is_not_utf8)
{
    check_json("\xC0\x80", 2, "\xEF\xBF\xBD\xEF\xBF\xBD");                     /* overlong NUL */
    check_json("\xED\xA0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");     /* surrogate */
    check_json("\xF4\x90\x80\x80", 4, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    check_json("x\xE2\x82", 3, "x\xEF\xBF\xBD\xEF\xBF\xBD");                   /* cut short */
    check_json("\x80y", 2, "\xEF\xBF\xBDy");
}
END_TEST

START_TEST(slices_compare_by_content)
{
    ck_assert(slice_equal(slice_make(NULL, 0), slice_of_str("")));
    ck_assert(slice_is(slice_of_str("abc"), "abc"));
    ck_assert(!slice_is(slice_of_str("abc"), "ab"));
    ck_assert(slice_starts_with(slice_of_str("tnt_x"), "tnt_"));
    ck_assert(!slice_starts_with(slice_of_str("tn"), "tnt_"));
    ck_assert(slice_is(slice_skip(slice_of_str("abc"), 2), "c"));
}
END_TEST

Suite *suite_base_memory(void);
Suite *suite_base_memory(void)
{
    Suite *suite = suite_create("base/memory");
    TCase *tcase = tcase_create("memory");
    tcase_add_test(tcase, arena_memory_is_zeroed_aligned_and_separate);
    tcase_add_test(tcase, arena_cap_is_sticky_and_stops_protobuf_only);
    tcase_add_test(tcase, arena_serves_large_requests);
    tcase_add_test(tcase, buf_grows_consumes_and_moves);
    tcase_add_test(tcase, buf_limit_drops_and_remembers);
    tcase_add_test(tcase, json_escapes);
    tcase_add_test(tcase, json_replaces_what_is_not_utf8);
    tcase_add_test(tcase, slices_compare_by_content);
    suite_add_tcase(suite, tcase);
    return suite;
}
