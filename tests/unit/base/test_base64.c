/* Base 64 against RFC 4648's vectors, in every form, and against itself. */
#include "base/base64.h"

#include <check.h>

#define ALL_FORMS (BASE64_STANDARD | BASE64_URL | BASE64_PADDED | BASE64_UNPADDED)

static bool is_read(const char *text, unsigned forms, const char *meant)
{
    uint8_t out[64];
    size_t size = SIZE_MAX;
    ck_assert_uint_le(base64_room(strlen(text)), sizeof out);
    if (!base64_read(slice_of_str(text), forms, out, &size)) {
        ck_assert_uint_eq(size, SIZE_MAX);
        return false;
    }
    ck_assert_msg(slice_is(slice_make(out, size), meant), "%s", text);
    return true;
}

/* RFC 4648 section 10. */
START_TEST(the_published_vectors)
    {
        static const struct {
            const char *bytes;
            const char *padded;
            const char *bare;
        } vectors[] = {
            {"", "", ""},
            {"f", "Zg==", "Zg"},
            {"fo", "Zm8=", "Zm8"},
            {"foo", "Zm9v", "Zm9v"},
            {"foob", "Zm9vYg==", "Zm9vYg"},
            {"fooba", "Zm9vYmE=", "Zm9vYmE"},
            {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
            {"\xff\xff\xfe", "///+", "///+"},
        };
        for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
            struct buf out = BUF_EMPTY;
            base64_put(&out, slice_of_str(vectors[i].bytes), BASE64_STANDARD | BASE64_PADDED);
            ck_assert(slice_is(buf_slice(&out), vectors[i].padded));
            buf_clear(&out);
            base64_put(&out, slice_of_str(vectors[i].bytes), BASE64_STANDARD | BASE64_UNPADDED);
            ck_assert(slice_is(buf_slice(&out), vectors[i].bare));
            buf_deinit(&out);
            ck_assert(
                is_read(vectors[i].padded, BASE64_STANDARD | BASE64_PADDED, vectors[i].bytes));
            ck_assert(
                is_read(vectors[i].bare, BASE64_STANDARD | BASE64_UNPADDED, vectors[i].bytes));
            bool whole = strlen(vectors[i].bare) % 4 == 0;
            ck_assert_int_eq(
                is_read(vectors[i].padded, BASE64_STANDARD | BASE64_UNPADDED, vectors[i].bytes),
                whole);
            ck_assert_int_eq(
                is_read(vectors[i].bare, BASE64_STANDARD | BASE64_PADDED, vectors[i].bytes), whole);
        }
    }
END_TEST

START_TEST(every_size_comes_back_in_every_form)
    {
        static const unsigned forms[] = {
            BASE64_STANDARD | BASE64_PADDED,
            BASE64_STANDARD | BASE64_UNPADDED,
            BASE64_URL | BASE64_PADDED,
            BASE64_URL | BASE64_UNPADDED,
        };
        struct arena *arena = arena_new(0);
        uint8_t bytes[256];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(i * 167 + 13);
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            for (size_t size = 0; size <= sizeof bytes; size++) {
                struct buf text = BUF_EMPTY;
                struct slice back = {NULL, 0};
                base64_put(&text, slice_make(bytes, size), forms[f]);
                ck_assert(base64_take(arena, buf_slice(&text), forms[f], &back));
                ck_assert(slice_equal(back, slice_make(bytes, size)));
                ck_assert(base64_take(arena, buf_slice(&text), ALL_FORMS, &back));
                ck_assert(slice_equal(back, slice_make(bytes, size)));
                buf_deinit(&text);
            }
        }
        arena_free(arena);
    }
END_TEST

START_TEST(each_alphabet_has_64_digits)
    {
        for (unsigned byte = 0; byte < 256; byte++) {
            char group[] = "AAAA";
            group[1] = (char)byte;
            uint8_t out[3];
            size_t size;
            struct slice text = slice_make(group, 4);
            bool common = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                          (byte >= '0' && byte <= '9');
            bool standard = common || byte == '+' || byte == '/';
            bool url = common || byte == '-' || byte == '_';
            ck_assert_int_eq(base64_read(text, BASE64_STANDARD | BASE64_PADDED, out, &size),
                             standard);
            ck_assert_int_eq(base64_read(text, BASE64_URL | BASE64_PADDED, out, &size), url);
            ck_assert_int_eq(base64_read(text, ALL_FORMS, out, &size), standard || url);
        }
    }
END_TEST

START_TEST(what_is_none_is_refused_and_touches_nothing)
    {
        static const char *const wrong[] = {
            "Z",     "Zg=",   "Z===", "====",  "=",     "==",         "Zg==Zg==",
            "Zg===", "Zm8==", "=Zg=", "Zm9v=", "Zm9vY", "Zm 9v",      "Zm9v\n",
            "Zh==",  "Zh",    "Zm9=", "Zm9",   "Zg=A",  "\xc3\xa4zz",
        };
        struct arena *arena = arena_new(0);
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            struct slice bytes = slice_of_str("untouched");
            ck_assert_msg(!base64_take(arena, slice_of_str(wrong[i]), ALL_FORMS, &bytes), "%s",
                          wrong[i]);
            ck_assert(slice_is(bytes, "untouched"));
        }
        arena_free(arena);
    }
END_TEST

START_TEST(a_bounded_buffer_takes_all_or_nothing)
    {
        struct buf out = {.limit = 7};
        base64_put(&out, slice_of_str("foob"), BASE64_STANDARD | BASE64_PADDED);
        ck_assert(out.overflown);
        ck_assert_uint_eq(buf_size(&out), 0);
        buf_deinit(&out);
    }
END_TEST

Suite *suite_base_base64(void);
Suite *suite_base_base64(void)
{
    Suite *suite = suite_create("base/base64");
    TCase *tcase = tcase_create("base64");
    tcase_add_test(tcase, the_published_vectors);
    tcase_add_test(tcase, every_size_comes_back_in_every_form);
    tcase_add_test(tcase, each_alphabet_has_64_digits);
    tcase_add_test(tcase, what_is_none_is_refused_and_touches_nothing);
    tcase_add_test(tcase, a_bounded_buffer_takes_all_or_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
