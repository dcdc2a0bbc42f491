/* Percent, base64 and timeout coding against published vectors and against themselves. */
#include "rpc/coding.h"

#include "base/clock.h"
#include "base/random.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice text_of(const char *text)
{
    return slice_of_str(text);
}

static void percent_is(const char *plain, size_t size, const char *coded)
{
    struct buf out = BUF_EMPTY;
    percent_encode(&out, slice_make(plain, size));
    ck_assert_str_eq(buf_str(&out), coded);
    struct arena *arena = arena_new(0);
    ck_assert_str_eq(percent_decode(arena, text_of(coded)), plain);
    arena_free(arena);
    buf_deinit(&out);
}

START_TEST(percent_matches_the_vectors_of_grpc)
    {
        /* test/core/slice/percent_encoding_test.cc of grpc/grpc, the compatible set */
        static const char *const pairs[][2] = {
            {"", ""},
            {"abc", "abc"},
            {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"},
            {"\x01", "%01"},
            {"%", "%25"},
            {"%2", "%252"},
            {"\x0f", "%0F"},
            {"\n", "%0A"},
            {"\x7f", "%7F"},
            {"\t\nHello\r\n", "%09%0AHello%0D%0A"},
            {"a b!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "a b!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"},
            {"\xe2\x82\xac", "%E2%82%AC"},
            {"my favorite character is \xe2\x98\xba", "my favorite character is %E2%98%BA"},
        };
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
            percent_is(pairs[i][0], strlen(pairs[i][0]), pairs[i][1]);
    }
END_TEST

START_TEST(percent_codes_every_byte)
    {
        for (unsigned byte = 1; byte < 256; byte++) {
            const char plain[2] = {(char)byte, 0};
            char coded[4];
            bool is_plain = (byte >= 0x20 && byte <= 0x24) || (byte >= 0x26 && byte <= 0x7e);
            snprintf(coded, sizeof coded, is_plain ? "%c" : "%%%02X", byte);
            percent_is(plain, 1, coded);
        }
        struct buf out = BUF_EMPTY;
        percent_encode(&out, slice_make("a\0b", 3));
        ck_assert_str_eq(buf_str(&out), "a%00b");
        buf_deinit(&out);
    }
END_TEST

START_TEST(percent_keeps_what_is_no_escape)
    {
        static const char *const pairs[][2] = {
            {"%", "%"},         {"%A", "%A"},
            {"%A%", "%A%"},     {"%AG", "%AG"},
            {"%G0", "%G0"},     {"%%41", "%A"},
            {"%41%4", "A%4"},   {"%00", "%00"},
            {"a%00b", "a%00b"}, {"%e2%82%AC", "\xe2\x82\xac"},
            {"%2541", "%41"},   {"\xff\x80", "\xff\x80"},
            {"% 1", "% 1"},     {"%-1", "%-1"},
        };
        struct arena *arena = arena_new(0);
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
            ck_assert_str_eq(percent_decode(arena, text_of(pairs[i][0])), pairs[i][1]);
        ck_assert_str_eq(percent_decode(arena, (struct slice){0}), "");
        arena_free(arena);
    }
END_TEST

START_TEST(base64_matches_rfc_4648)
    {
        static const char *const vectors[][3] = {
            {"", "", ""},
            {"f", "Zg", "Zg=="},
            {"fo", "Zm8", "Zm8="},
            {"foo", "Zm9v", "Zm9v"},
            {"foob", "Zm9vYg", "Zm9vYg=="},
            {"fooba", "Zm9vYmE", "Zm9vYmE="},
            {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
            {"\xfb\xff\xbf", "+/+/", "+/+/"},
        };
        struct arena *arena = arena_new(0);
        for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
            struct buf out = BUF_EMPTY;
            base64_encode(&out, text_of(vectors[i][0]));
            ck_assert_str_eq(buf_str(&out), vectors[i][1]);
            buf_deinit(&out);
            for (int form = 1; form < 3; form++) {
                struct slice back = {0};
                ck_assert(base64_decode(arena, text_of(vectors[i][form]), &back));
                ck_assert(slice_is(back, vectors[i][0]));
            }
        }
        arena_free(arena);
    }
END_TEST

START_TEST(base64_round_trips_every_size)
    {
        for (size_t size = 0; size < 200; size++) {
            uint8_t *bytes = malloc(size + (size == 0));
            random_bytes(bytes, size);
            struct buf out = BUF_EMPTY;
            base64_encode(&out, slice_make(bytes, size));
            ck_assert_uint_eq(buf_size(&out), (size * 4 + 2) / 3);
            struct arena *arena = arena_new(0);
            struct slice back = {0};
            ck_assert(base64_decode(arena, buf_slice(&out), &back));
            ck_assert(slice_equal(back, slice_make(bytes, size)));
            arena_free(arena);
            buf_deinit(&out);
            free(bytes);
        }
    }
END_TEST

START_TEST(base64_refuses_what_is_not_base64)
    {
        static const char *const wrong[] =
            {
                "A",        "=",     "==",    "===",   "====",  "A===",     "AA=",
                "AA=A",     "A=AA",  "Zg===", "Zg=",   "Zm8==", "Zm9v=",    "Zm9v==",
                "Zm9v====", "Zm9vY", "Zm 8",  "Zm8\n", "-_-_",  "Zg==Zg==", "Zm9\xff",
                "Zh",       "Zh==",  "Zm9",   "Zm9=", /* left-over bits that are not zero */
            };
        struct arena *arena = arena_new(0);
        struct slice out = text_of("untouched");
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(!base64_decode(arena, text_of(wrong[i]), &out), "%s", wrong[i]);
        ck_assert(slice_is(out, "untouched"));
        arena_free(arena);
    }
END_TEST

START_TEST(base64_knows_exactly_64_digits)
    {
        static const char digits[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        struct arena *arena = arena_new(0);
        for (int byte = 0; byte < 256; byte++) {
            const uint8_t group[4] = {'A', 'A', 'A', (uint8_t)byte};
            struct slice out = {0};
            const char *digit = byte == 0 ? NULL : strchr(digits, byte);
            bool padding = byte == '=';
            ck_assert_int_eq(base64_decode(arena, slice_make(group, 4), &out),
                             digit != NULL || padding);
            if (digit != NULL) {
                ck_assert_uint_eq(out.size, 3);
                ck_assert_int_eq(out.data[2], (int)(digit - digits));
            }
        }
        arena_free(arena);
    }
END_TEST

START_TEST(timeouts_are_read)
    {
        static const struct {
            const char *text;
            uint64_t ns;
        } rows[] = {
            {"1n", 1},
            {"1u", 1000},
            {"1m", NS_PER_MS},
            {"1S", NS_PER_S},
            {"1M", 60 * NS_PER_S},
            {"1H", 3600 * NS_PER_S},
            {"0S", 0},
            {"00000005S", 5 * NS_PER_S},
            {"99999999n", 99999999},
            {"99999999S", 99999999 * NS_PER_S},
            {"5124095H", UINT64_C(5124095) * 3600 * NS_PER_S},
            {"5124096H", UINT64_MAX}, /* the first that is too much */
            {"99999999H", UINT64_MAX},
            {"99999999M", UINT64_C(99999999) * 60 * NS_PER_S},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            uint64_t ns = 7;
            ck_assert_msg(timeout_parse(text_of(rows[i].text), &ns), "%s", rows[i].text);
            ck_assert_uint_eq(ns, rows[i].ns);
        }
    }
END_TEST

START_TEST(timeouts_that_are_malformed_are_refused)
    {
        static const char *const wrong[] = {"",           "S",    "1",   "1s",   "1h",
                                            "100000000n", "-1S",  "+1S", " 1S",  "1 S",
                                            "1S ",        "1.5S", "1SS", "0x1S", "1\xff"};
        uint64_t ns = 42;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(!timeout_parse(text_of(wrong[i]), &ns), "%s", wrong[i]);
        ck_assert(!timeout_parse(slice_make("1\0", 2), &ns));
        ck_assert_uint_eq(ns, 42);
    }
END_TEST

START_TEST(timeouts_are_written_short_and_never_too_small)
    {
        static const struct {
            uint64_t ns;
            const char *text;
        } rows[] = {
            {0, "0n"},
            {1, "1n"},
            {1000, "1u"},
            {1500, "1500n"},
            {5 * NS_PER_S, "5S"},
            {60 * NS_PER_S, "1M"},
            {90 * NS_PER_S, "90S"},
            {7200 * NS_PER_S, "2H"},
            {1500 * NS_PER_MS, "1500m"},
            {99999999, "99999999n"},
            {100000001, "100001u"}, /* nine digits of nanoseconds: rounded up */
            {99999999 * NS_PER_S + 1, "1666667M"},
            {UINT64_MAX, "5124096H"},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            char text[TIMEOUT_TEXT_SIZE];
            timeout_format(rows[i].ns, text);
            ck_assert_str_eq(text, rows[i].text);
        }
        for (int i = 0; i < 20000; i++) {
            uint64_t ns = 0;
            random_bytes(&ns, sizeof ns);
            ns >>= random_below(64);
            char text[TIMEOUT_TEXT_SIZE];
            timeout_format(ns, text);
            uint64_t back = 0;
            ck_assert(timeout_parse(text_of(text), &back));
            ck_assert_uint_ge(back, ns);
            if (ns < UINT64_MAX / 2 / 60)
                ck_assert_uint_le(back - ns,
                                  ns / 1000); /* 5 digits at the least when it is rounded */
        }
    }
END_TEST

Suite *suite_rpc_coding(void);
Suite *suite_rpc_coding(void)
{
    Suite *suite = suite_create("rpc/coding");
    TCase *tcase = tcase_create("coding");
    tcase_add_test(tcase, percent_matches_the_vectors_of_grpc);
    tcase_add_test(tcase, percent_codes_every_byte);
    tcase_add_test(tcase, percent_keeps_what_is_no_escape);
    tcase_add_test(tcase, base64_matches_rfc_4648);
    tcase_add_test(tcase, base64_round_trips_every_size);
    tcase_add_test(tcase, base64_refuses_what_is_not_base64);
    tcase_add_test(tcase, base64_knows_exactly_64_digits);
    tcase_add_test(tcase, timeouts_are_read);
    tcase_add_test(tcase, timeouts_that_are_malformed_are_refused);
    tcase_add_test(tcase, timeouts_are_written_short_and_never_too_small);
    suite_add_tcase(suite, tcase);
    return suite;
}
