/* Numbers and base 64 on random values, against libc: the shortest text, the exact whole number. */
#include "protojson/text.h"

#include "base/random.h"
#include "base/result.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 20000

static uint64_t random_u64(void)
{
    uint64_t bits;
    random_bytes(&bits, sizeof bits);
    return bits;
}

/* The digits of a number's text before its exponent, without zeros around them. */
static size_t digits_of(const char *text)
{
    size_t count = 0;
    size_t zeros = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text == '0') {
            zeros += count > 0;
        } else if (text_is_digit((uint8_t)*text)) {
            count += 1 + zeros;
            zeros = 0;
        }
    }
    return count;
}

/* No text of one digit fewer may be the same number. */
static void double_is_shortest(double value)
{
    AUTO(buf_deinit) struct buf out = BUF_EMPTY;
    text_put_double(&out, value);
    const char *text = buf_str(&out);
    ck_assert_msg(strtod(text, NULL) == value, "%s is not %.17g", text, value);
    ck_assert_uint_eq(text_number_size(buf_slice(&out)), buf_size(&out));
    size_t digits = digits_of(text);
    if (digits < 2)
        return;
    char shorter[64];
    snprintf(shorter, sizeof shorter, "%.*e", (int)digits - 2, value);
    ck_assert_msg(strtod(shorter, NULL) != value, "%s is longer than %s", text, shorter);
}

START_TEST(doubles_have_their_shortest_text)
    {
        double_is_shortest(0.1);
        double_is_shortest(5e-324);
        double_is_shortest(9007199254740993.0);
        for (int i = 0; i < ROUNDS; i++) {
            uint64_t bits = random_u64();
            double value;
            memcpy(&value, &bits, sizeof value);
            if (isfinite(value))
                double_is_shortest(value);
            double_is_shortest((double)(int64_t)random_u64() / 1000);
        }
    }
END_TEST

START_TEST(floats_come_back)
    {
        AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
        for (int i = 0; i < ROUNDS; i++) {
            uint32_t bits = (uint32_t)random_u64();
            float value;
            memcpy(&value, &bits, sizeof value);
            if (!isfinite(value))
                continue;
            AUTO(buf_deinit) struct buf out = BUF_EMPTY;
            text_put_float(&out, value);
            float back = 1;
            ck_assert(text_float(arena, buf_slice(&out), &back));
            ck_assert_msg(memcmp(&back, &value, sizeof value) == 0, "%s", buf_str(&out));
            ck_assert_uint_le(digits_of(buf_str(&out)), 9);
        }
    }
END_TEST

/* The same number with its point somewhere else. */
START_TEST(whole_numbers_are_exact_in_every_form)
    {
        for (int i = 0; i < ROUNDS; i++) {
            uint64_t number = random_u64() >> random_u64() % 64;
            char digits[32];
            int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
            int point = (int)(random_u64() % (unsigned)size);
            char text[80];
            if (point == 0)
                snprintf(text, sizeof text, "-0.000%se%d", digits, size + 3);
            else
                snprintf(text, sizeof text, "-%.*s.%s000E+%d", point, digits, digits + point,
                         size - point);
            struct whole value;
            ck_assert_msg(text_whole(slice_of_str(text), &value) == WHOLE_OK, "%s", text);
            ck_assert_msg(value.size == number && value.negative, "%s", text);
        }
    }
END_TEST

START_TEST(fractions_and_large_numbers_are_told_apart)
    {
        static const struct {
            const char *text;
            enum whole_result result;
        } cases[] = {
            {"0.1", WHOLE_FRACTION},
            {"15e-2", WHOLE_FRACTION},
            {"1e-400000000000000000000", WHOLE_FRACTION},
            {"18446744073709551615.5", WHOLE_FRACTION},
            {"18446744073709551616", WHOLE_TOO_LARGE},
            {"184467440737095516150", WHOLE_TOO_LARGE},
            {"1e20", WHOLE_TOO_LARGE},
            {"1e400000000000000000000", WHOLE_TOO_LARGE},
            {"18446744073709551615", WHOLE_OK},
            {"1844674407370955161500e-2", WHOLE_OK},
            {"0.0e-99999999999", WHOLE_OK},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct whole value;
            enum whole_result result = text_whole(slice_of_str(cases[i].text), &value);
            ck_assert_msg(result == cases[i].result, "%s: %d", cases[i].text, result);
        }
    }
END_TEST

START_TEST(base64_comes_back_from_both_alphabets)
    {
        AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
        for (size_t size = 0; size < 200; size++) {
            uint8_t bytes[200];
            random_bytes(bytes, size);
            AUTO(buf_deinit) struct buf out = BUF_EMPTY;
            text_put_base64(&out, slice_make(bytes, size));
            ck_assert_uint_eq(buf_size(&out), (size + 2) / 3 * 4);
            struct slice back;
            ck_assert(text_base64(arena, buf_slice(&out), &back));
            ck_assert(slice_equal(back, slice_make(bytes, size)));
            struct slice text = buf_slice(&out);
            uint8_t *url = arena_alloc(arena, text.size + 1);
            for (size_t i = 0; i < text.size; i++)
                url[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
            ck_assert(text_base64(arena, slice_make(url, (size * 4 + 2) / 3), &back));
            ck_assert(slice_equal(back, slice_make(bytes, size)));
        }
    }
END_TEST

START_TEST(every_code_point_is_utf8_and_nothing_else)
    {
        for (uint32_t point = 0; point < 0x110000; point++) {
            uint8_t bytes[4];
            size_t size = text_utf8_put(point, bytes);
            bool surrogate = point >= 0xd800 && point < 0xe000;
            ck_assert(text_is_utf8(slice_make(bytes, size)) != surrogate);
            ck_assert(size == 1 || !text_is_utf8(slice_make(bytes, size - 1)));
        }
    }
END_TEST

Suite *suite_protojson_text(void);

Suite *suite_protojson_text(void)
{
    Suite *suite = suite_create("protojson/text");
    TCase *cases = tcase_create("texts");
    tcase_set_timeout(cases, 120); /* under sanitizers on a busy machine */
    tcase_add_test(cases, doubles_have_their_shortest_text);
    tcase_add_test(cases, floats_come_back);
    tcase_add_test(cases, whole_numbers_are_exact_in_every_form);
    tcase_add_test(cases, fractions_and_large_numbers_are_told_apart);
    tcase_add_test(cases, base64_comes_back_from_both_alphabets);
    tcase_add_test(cases, every_code_point_is_utf8_and_nothing_else);
    suite_add_tcase(suite, cases);
    return suite;
}
