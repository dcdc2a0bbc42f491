/* Length-prefixed messages, split at every place and at every limit. */
#include "rpc/framing.h"

#include "base/random.h"

#include <check.h>
#include <stdlib.h>

/* Feeds a copy of its own size, so that the sanitizer sees a byte too far. */
static enum framing_result feed(struct framing *framing, const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    memcpy(copy, bytes, size);
    enum framing_result result = framing_feed(framing, slice_make(copy, size));
    free(copy);
    return result;
}

START_TEST(a_message_may_be_split_anywhere)
    {
        static const char wire[] = "\0\0\0\0\x0bhello world";
        size_t size = sizeof wire - 1;
        for (size_t first = 0; first <= size; first++) {
            for (size_t second = first; second <= size; second++) {
                struct framing framing;
                framing_init(&framing, 11);
                ck_assert(!framing_has_message(&framing));
                ck_assert(!framing_is_cut(&framing));
                ck_assert_int_eq(feed(&framing, wire, first), FRAMING_OK);
                ck_assert_int_eq(framing_has_message(&framing), first == size);
                ck_assert_int_eq(framing_is_cut(&framing), first > 0 && first < size);
                ck_assert_uint_eq(framing_missing(&framing), first < 5 ? 0 : size - first);
                ck_assert_int_eq(feed(&framing, wire + first, second - first), FRAMING_OK);
                ck_assert_int_eq(feed(&framing, wire + second, size - second), FRAMING_OK);
                ck_assert(framing_has_message(&framing));
                ck_assert(!framing_is_cut(&framing));
                ck_assert_uint_eq(framing_missing(&framing), 0);
                ck_assert(slice_is(buf_slice(&framing.message), "hello world"));
                framing_deinit(&framing);
            }
        }
    }
END_TEST

START_TEST(an_empty_message_is_a_message)
    {
        struct framing framing;
        framing_init(&framing, 0);
        ck_assert_int_eq(framing_feed(&framing, (struct slice){0}), FRAMING_OK);
        ck_assert(!framing_has_message(&framing));
        ck_assert_int_eq(feed(&framing, "\0\0\0\0", 4), FRAMING_OK);
        ck_assert(!framing_has_message(&framing));
        ck_assert(framing_is_cut(&framing));
        ck_assert_int_eq(feed(&framing, "\0", 1), FRAMING_OK);
        ck_assert(framing_has_message(&framing));
        ck_assert_int_eq(feed(&framing, "", 0), FRAMING_OK);
        ck_assert(framing_has_message(&framing));
        ck_assert_uint_eq(buf_size(&framing.message), 0);
        framing_deinit(&framing);
    }
END_TEST

START_TEST(the_limit_is_exact_and_costs_no_memory)
    {
        static const size_t limits[] = {0, 1, 255, 256, 65535, 65536, 1048576, UINT32_MAX - 1};
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
            for (size_t over = 0; over < 2; over++) {
                size_t size = limits[i] + over;
                const uint8_t prefix[5] = {0, (uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                           (uint8_t)(size >> 8), (uint8_t)size};
                struct framing framing;
                framing_init(&framing, limits[i]);
                ck_assert_int_eq(feed(&framing, prefix, 5),
                                 over == 0 ? FRAMING_OK : FRAMING_TOO_LARGE);
                ck_assert_uint_eq(framing.message.room, 0);
                ck_assert_uint_eq(framing_missing(&framing), over == 0 ? size : 0);
                ck_assert_int_eq(framing.failed, over == 1);
                ck_assert(over == 0 || !framing_has_message(&framing));
                ck_assert(over == 0 || !framing_is_cut(&framing));
                framing_deinit(&framing);
            }
        }
    }
END_TEST

START_TEST(every_flag_but_zero_is_refused_at_once)
    {
        for (unsigned flag = 0; flag < 256; flag++) {
            const uint8_t byte = (uint8_t)flag;
            struct framing framing;
            framing_init(&framing, 100);
            ck_assert_int_eq(feed(&framing, &byte, 1), flag == 0   ? FRAMING_OK
                                                       : flag == 1 ? FRAMING_COMPRESSED
                                                                   : FRAMING_BAD_FLAG);
            ck_assert_int_eq(framing.failed, flag != 0);
            framing_deinit(&framing);
        }
    }
END_TEST

START_TEST(a_byte_after_the_message_is_too_many)
    {
        static const char wire[] = "\0\0\0\0\2ab\0";
        for (size_t split = 0; split <= 8; split++) {
            struct framing framing;
            framing_init(&framing, 100);
            enum framing_result first = feed(&framing, wire, split);
            ck_assert_int_eq(first, split < 8 ? FRAMING_OK : FRAMING_EXTRA);
            if (split < 8)
                ck_assert_int_eq(feed(&framing, wire + split, 8 - split), FRAMING_EXTRA);
            ck_assert(framing.failed);
            ck_assert(!framing_has_message(&framing));
            framing_deinit(&framing);
        }
    }
END_TEST

START_TEST(feeding_after_an_error_is_a_bug)
    {
        struct framing framing;
        framing_init(&framing, 100);
        ck_assert_int_eq(feed(&framing, "\2", 1), FRAMING_BAD_FLAG);
        framing_feed(&framing, slice_of_str("x"));
    }
END_TEST

START_TEST(what_is_put_is_read_again)
    {
        static const size_t sizes[] = {0, 1, 254, 255, 256, 65535, 65536, 300000};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t size = sizes[i];
            uint8_t *bytes = malloc(size + 1);
            random_bytes(bytes, size);
            struct buf out = BUF_EMPTY;
            framing_put(&out, slice_make(bytes, size));
            ck_assert_uint_eq(buf_size(&out), size + FRAME_PREFIX_SIZE);
            struct framing framing;
            framing_init(&framing, size);
            while (buf_size(&out) > 0) {
                size_t part = 1 + (size_t)random_below(16384);
                if (part > buf_size(&out))
                    part = buf_size(&out);
                ck_assert_int_eq(feed(&framing, buf_slice(&out).data, part), FRAMING_OK);
                buf_consume(&out, part);
            }
            ck_assert(framing_has_message(&framing));
            ck_assert(slice_equal(buf_slice(&framing.message), slice_make(bytes, size)));
            framing_deinit(&framing);
            buf_deinit(&out);
            free(bytes);
        }
    }
END_TEST

START_TEST(a_full_buffer_gets_no_half_frame)
    {
        struct buf out = {.limit = 9};
        framing_put(&out, slice_of_str("abcd"));
        ck_assert(!out.overflown);
        ck_assert_uint_eq(buf_size(&out), 9);
        framing_put(&out, (struct slice){0});
        ck_assert(out.overflown);
        ck_assert_uint_eq(buf_size(&out), 9);
        buf_deinit(&out);
    }
END_TEST

START_TEST(a_recycled_one_begins_anew)
{
    struct framing framing;
    static const size_t sizes[] = {11, 10000, 3};
    char message[10005] = {0};
    framing_init(&framing, 20000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        message[3] = (char)(sizes[i] >> 8);
        message[4] = (char)sizes[i];
        framing.limit = sizes[i];
        ck_assert_int_eq(feed(&framing, message, sizes[i]), FRAMING_OK); /* but five bytes */
        ck_assert(framing_is_cut(&framing));
        framing_recycle(&framing);
        framing.limit = sizes[i];
        ck_assert(!framing_is_cut(&framing));
        ck_assert_uint_eq(buf_size(&framing.message), 0);
        ck_assert_uint_le(framing.message.room, 512); /* a large one is not kept */
        ck_assert_int_eq(feed(&framing, message, sizes[i] + 5), FRAMING_OK);
        ck_assert(framing_has_message(&framing));
        ck_assert_int_eq(feed(&framing, "x", 1), FRAMING_EXTRA);
        framing_recycle(&framing); /* also after an error */
    }
    framing_deinit(&framing);
}
END_TEST

Suite *suite_rpc_framing(void);
Suite *suite_rpc_framing(void)
{
    Suite *suite = suite_create("rpc/framing");
    TCase *tcase = tcase_create("framing");
    tcase_add_test(tcase, a_message_may_be_split_anywhere);
    tcase_add_test(tcase, an_empty_message_is_a_message);
    tcase_add_test(tcase, the_limit_is_exact_and_costs_no_memory);
    tcase_add_test(tcase, every_flag_but_zero_is_refused_at_once);
    tcase_add_test(tcase, a_byte_after_the_message_is_too_many);
    tcase_add_test_raise_signal(tcase, feeding_after_an_error_is_a_bug, 6 /* SIGABRT */);
    tcase_add_test(tcase, what_is_put_is_read_again);
    tcase_add_test(tcase, a_recycled_one_begins_anew);
    tcase_add_test(tcase, a_full_buffer_gets_no_half_frame);
    suite_add_tcase(suite, tcase);
    return suite;
}
