/* gzip with a limit: what comes back, what is refused, what it may cost. */
#include "rpc/gzip.h"

#include <check.h>
#include <stdlib.h>

static void fill(struct buf *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf_put_byte(text, (uint8_t)("tenants"[i % 7] + (int)(i / 1000 % 3)));
}

static enum gzip_result inflated(const struct buf *packed, size_t limit, struct buf *out)
{
    buf_clear(out);
    return gzip_inflate(buf_slice(packed), limit, out);
}

START_TEST(what_was_deflated_comes_back)
    {
        static const size_t sizes[] = {0, 1, 100, 511, 512, 513, 16384, 65536, 1000000};
        struct buf out = BUF_EMPTY;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct buf text = BUF_EMPTY;
            struct buf packed = BUF_EMPTY;
            fill(&text, sizes[i]);
            gzip_deflate(buf_slice(&text), &packed);
            ck_assert_int_eq(inflated(&packed, sizes[i], &out), GZIP_OK);
            ck_assert(slice_equal(buf_slice(&out), buf_slice(&text)));
            if (sizes[i] > 0)
                ck_assert_int_eq(inflated(&packed, sizes[i] - 1, &out), GZIP_TOO_LARGE);
            buf_deinit(&text);
            buf_deinit(&packed);
        }
        buf_deinit(&out);
    }
END_TEST

/* 1 GiB of zeros in a megabyte: what is allocated follows the limit. */
START_TEST(a_bomb_is_defused_at_the_limit)
    {
        struct buf zeros = BUF_EMPTY;
        struct buf packed = BUF_EMPTY;
        struct buf out = BUF_EMPTY;
        memset(buf_reserve(&zeros, 1 << 20), 0, 1 << 20);
        buf_commit(&zeros, 1 << 20);
        for (int i = 0; i < 64; i++) /* members: their content is one after the other */
            gzip_deflate(buf_slice(&zeros), &packed);
        ck_assert_int_eq(inflated(&packed, 10000, &out), GZIP_TOO_LARGE);
        ck_assert_uint_le(buf_size(&out), 10000);
        ck_assert_uint_le(out.room, 65536);
        ck_assert_int_eq(inflated(&packed, 64 << 20, &out), GZIP_OK);
        ck_assert_uint_eq(buf_size(&out), 64 << 20);
        buf_deinit(&zeros);
        buf_deinit(&packed);
        buf_deinit(&out);
    }
END_TEST

/* Members without content: 20 bytes each that give nothing. */
static void pad(struct buf *packed, size_t size)
{
    while (buf_size(packed) < size)
        gzip_deflate(slice_make("", 0), packed);
}

/* What is larger than its content was made to cost time: it costs as much as its first steps. */
START_TEST(padding_is_refused_where_it_costs)
    {
        struct buf packed = BUF_EMPTY;
        struct buf out = BUF_EMPTY;
        pad(&packed, GZIP_WHOLE_MAX - 20);
        ck_assert_uint_le(buf_size(&packed), GZIP_WHOLE_MAX);
        ck_assert_int_eq(inflated(&packed, 1 << 20, &out), GZIP_OK);
        ck_assert_uint_eq(buf_size(&out), 0);
        pad(&packed, 1 << 20);
        ck_assert_int_eq(inflated(&packed, 1 << 20, &out), GZIP_PADDED);
        /* behind as much content as hides half of it */
        struct buf noise = BUF_EMPTY, mixed = BUF_EMPTY;
        for (uint32_t i = 0, x = 1; i < 100000; i++, x = x * 1664525 + 1013904223)
            buf_put_byte(&noise, (uint8_t)(x >> 24));
        gzip_deflate(buf_slice(&noise), &mixed);
        ck_assert_uint_gt(buf_size(&mixed), 100000); /* nothing to be gained: it is stored */
        ck_assert_int_eq(inflated(&mixed, 100000, &out), GZIP_OK);
        ck_assert(slice_equal(buf_slice(&out), buf_slice(&noise)));
        ck_assert_int_eq(inflated(&mixed, 99999, &out), GZIP_TOO_LARGE);
        pad(&mixed, 200000);
        ck_assert_int_eq(inflated(&mixed, 1 << 20, &out), GZIP_PADDED);
        buf_deinit(&noise);
        buf_deinit(&mixed);
        buf_deinit(&packed);
        buf_deinit(&out);
    }
END_TEST

/* Large ones go another way: cut, changed, with something behind, and in members. */
START_TEST(large_ones_are_judged_alike)
    {
        struct buf noise = BUF_EMPTY, packed = BUF_EMPTY, out = BUF_EMPTY;
        for (uint32_t i = 0, x = 7; i < 40000; i++, x = x * 1664525 + 1013904223)
            buf_put_byte(&noise, (uint8_t)(x >> 24));
        for (int i = 0; i < 3; i++)
            gzip_deflate(buf_slice(&noise), &packed);
        struct slice whole = buf_slice(&packed);
        ck_assert_int_eq(inflated(&packed, 120000, &out), GZIP_OK);
        ck_assert_uint_eq(buf_size(&out), 120000);
        ck_assert_int_eq(memcmp(buf_slice(&out).data + 80000, buf_slice(&noise).data, 40000), 0);
        ck_assert_int_eq(inflated(&packed, 119999, &out), GZIP_TOO_LARGE);
        ck_assert_uint_le(buf_size(&out), 119999);
        for (size_t size = GZIP_WHOLE_MAX + 1; size < whole.size; size += 997) {
            buf_clear(&out);
            bool at_end_of_member = size % (whole.size / 3) == 0;
            enum gzip_result result = gzip_inflate(slice_make(whole.data, size), 120000, &out);
            /* what the end says of the size may be anything */
            ck_assert(result == (at_end_of_member ? GZIP_OK : GZIP_MALFORMED) ||
                      (result == GZIP_TOO_LARGE && !at_end_of_member));
        }
        for (size_t i = 0; i < whole.size; i += 499) {
            packed.data[packed.start + i] ^= 0x10;
            ck_assert_int_ne(inflated(&packed, 120000, &out), GZIP_PADDED);
            packed.data[packed.start + i] ^= 0x10;
        }
        packed.data[packed.start + whole.size - 1] ^= 0x10; /* its size: 256 MiB, it says */
        ck_assert_int_eq(inflated(&packed, 120000, &out), GZIP_TOO_LARGE);
        ck_assert_uint_eq(out.room > 0 ? buf_size(&out) : 0, 0);
        packed.data[packed.start] ^= 1; /* of what is no gzip nothing is believed */
        ck_assert_int_eq(inflated(&packed, 120000, &out), GZIP_MALFORMED);
        packed.data[packed.start] ^= 1;
        packed.data[packed.start + whole.size - 1] ^= 0x10;
        packed.data[packed.start + whole.size - 6] ^= 1; /* its check sum */
        ck_assert_int_eq(inflated(&packed, 120000, &out), GZIP_MALFORMED);
        packed.data[packed.start + whole.size - 6] ^= 1;
        buf_put_byte(&packed, 'x');
        ck_assert_int_ne(inflated(&packed, 120000, &out), GZIP_OK);
        buf_deinit(&noise);
        buf_deinit(&packed);
        buf_deinit(&out);
    }
END_TEST

/* Every cut, and every byte changed, of a small one: refused or, where the byte says nothing, the same. */
START_TEST(what_is_not_gzip_is_refused)
    {
        struct buf text = BUF_EMPTY;
        struct buf packed = BUF_EMPTY;
        struct buf out = BUF_EMPTY;
        fill(&text, 600);
        gzip_deflate(buf_slice(&text), &packed);
        struct slice whole = buf_slice(&packed);
        for (size_t size = 0; size < whole.size; size++) {
            buf_clear(&out);
            ck_assert_int_eq(gzip_inflate(slice_make(whole.data, size), 1000, &out),
                             GZIP_MALFORMED);
        }
        for (size_t i = 0; i < whole.size; i++) {
            packed.data[packed.start + i] ^= 0x10;
            enum gzip_result result = inflated(&packed, 1000, &out);
            ck_assert(result != GZIP_OK || slice_equal(buf_slice(&out), buf_slice(&text)));
            packed.data[packed.start + i] ^= 0x10;
        }
        buf_put_byte(&packed, 'x');
        ck_assert_int_eq(inflated(&packed, 1000, &out), GZIP_MALFORMED);
        buf_deinit(&text);
        buf_deinit(&packed);
        buf_deinit(&out);
    }
END_TEST

Suite *suite_rpc_gzip(void);
Suite *suite_rpc_gzip(void)
{
    Suite *suite = suite_create("rpc/gzip");
    TCase *cases = tcase_create("gzip");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, what_was_deflated_comes_back);
    tcase_add_test(cases, a_bomb_is_defused_at_the_limit);
    tcase_add_test(cases, padding_is_refused_where_it_costs);
    tcase_add_test(cases, large_ones_are_judged_alike);
    tcase_add_test(cases, what_is_not_gzip_is_refused);
    suite_add_tcase(suite, cases);
    return suite;
}
