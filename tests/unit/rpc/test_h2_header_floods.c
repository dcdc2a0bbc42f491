/* Header blocks that cost more than they should, by byte scripts: each ends with GOAWAY and its counter. */
#include "h2_script.h"

/* A request's headers with `count` more fields. */
static void put_many_fields(struct buf *out, uint32_t id, int count)
{
    struct buf block = BUF_EMPTY;
    raw_block(&block, "/test.v1.Pair/Echo", NULL);
    for (int i = 0; i < count; i++)
        buf_put(&block, "\0\1x\1y", 5);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_slice(&block));
    buf_deinit(&block);
}

START_TEST(test_header_fields)
    {
        struct script script;
        begin(&script, NULL);
        put_many_fields(&script.bytes, 1, 64 - 6);
        play(&script);
        check_alive(&script);
        put_many_fields(&script.bytes, 3, 64 - 6 + 1);
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_fields");
        finish(&script);
    }
END_TEST

/* CVE-2026-49975: one entry of the dynamic table, then one byte per copy of it. */
START_TEST(test_header_bomb)
    {
        struct script script;
        begin(&script, NULL);
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Echo", NULL);
        buf_put(&block, "\x40\1x\x7F\xA1\x1E",
                6); /* literal, indexed, value of 127 + 3873 = 4000 bytes */
        uint8_t value[4000];
        memset(value, 'v', sizeof value);
        buf_put(&block, value, sizeof value);
        for (int i = 0; i < 10000; i++)
            buf_put_byte(&block, 0x80 | 62);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, buf_slice(&block));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_bytes");
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

/* The same behind a field that is no HTTP: the library shows nobody what it decodes after that. */
static void put_malformed_bomb(struct script *script, uint32_t id, struct slice first, int copies)
{
    struct buf block = BUF_EMPTY;
    raw_block(&block, "/test.v1.Pair/Echo", NULL);
    buf_put_slice(&block, first);
    for (int i = 0; i < copies; i++)
        buf_put_byte(&block, 0x80 | 62);
    raw_frame(&script->bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_slice(&block));
    buf_deinit(&block);
}

static const struct slice malformed[] = {
    {(const uint8_t *)"\x40\1x\4v\1vv", 8}, /* the callback is asked */
    {(const uint8_t *)"\x40\1X\1v", 5},     /* it is not */
};

/* Found by an audit: the connection lived, and a hundred such blocks of 80 KiB were decoded, 2 ms each. */
START_TEST(test_header_bomb_of_malformed_fields)
    {
        struct script script;
        begin(&script, NULL);
        put_malformed_bomb(&script, 1, malformed[_i], 10000);
        play(&script);
        ck_assert(pair_exchange(script.pair, 1)->reset);
        ck_assert(list_is_empty(&script.pair->h2->streams));
        /* and the connection does not die of it later */
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 6 * NS_PER_S));
        check_alive(&script);
        put_malformed_bomb(&script, 3, malformed[_i], 10000);
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_bytes");
        ck_assert_str_eq(script.pair->goaway_text, "header_bytes");
        finish(&script);
    }
END_TEST

/* Who only does not know better has as many as the budget of resets lets pass. */
START_TEST(test_small_malformed_requests)
    {
        struct script script;
        begin(&script, NULL);
        for (uint32_t i = 0; i < 90; i++)
            put_malformed_bomb(&script, 1 + 2 * i, malformed[_i], 0);
        play(&script);
        ck_assert(pair_exchange(script.pair, 179)->reset);
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* Its end need not come. */
START_TEST(test_malformed_block_in_pieces)
    {
        static uint8_t copies[16000];
        memset(copies, 0x80 | 62, sizeof copies);
        struct script script;
        begin(&script, NULL);
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Echo", NULL);
        buf_put_slice(&block, malformed[_i]);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, 0, 1, buf_slice(&block));
        raw_frame(&script.bytes, NGHTTP2_CONTINUATION, 0, 1, slice_make(copies, 16000));
        play(&script);
        check_alive(&script);
        raw_frame(&script.bytes, NGHTTP2_CONTINUATION, 0, 1, slice_make(copies, 1000));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_bytes");
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

/* Nor does the library show the block of a stream that was one too many. */
START_TEST(test_refused_block_in_pieces)
    {
        static uint8_t copies[16000];
        memset(copies, 0x80 | 2, sizeof copies);
        struct rpc_limits limits = rpc_limits_default;
        limits.concurrent_streams = 1;
        struct script script;
        begin(&script, &limits);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, 0, 3, slice_make(copies, 16000));
        play(&script);
        check_alive(&script);
        raw_frame(&script.bytes, NGHTTP2_CONTINUATION, 0, 3, slice_make(copies, 1000));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_bytes");
        finish(&script);
    }
END_TEST

/* Larger than a frame may be is that first of all. */
START_TEST(test_a_frame_too_large_for_a_block)
    {
        static const uint8_t large[(16 << 10) + 1];
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
                  slice_make(large, sizeof large));
        play(&script);
        check_goaway(&script, NGHTTP2_FRAME_SIZE_ERROR, "frame_size");
        ck_assert_int_eq(script.pair->goaways, 1);
        finish(&script);
    }
END_TEST

/* What callbacks have seen is no waste: many blocks with CONTINUATIONs. */
START_TEST(test_many_large_blocks)
    {
        struct script script;
        begin(&script, NULL);
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Nothing", NULL);
        uint8_t field[6 + 4000] = "\0\1x\x7F\xA1\x1E";
        memset(field + 6, 'v', 4000);
        for (uint32_t i = 0; i < 60; i++) {
            raw_frame(&script.bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1 + 2 * i,
                      buf_slice(&block));
            for (int k = 0; k < 3; k++)
                raw_frame(&script.bytes, NGHTTP2_CONTINUATION, k == 2 ? NGHTTP2_FLAG_END_HEADERS : 0,
                          1 + 2 * i, slice_make(field, sizeof field));
            play(&script);
        }
        check_alive(&script);
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

START_TEST(test_one_large_field)
    {
        struct script script;
        begin(&script, NULL);
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Echo", NULL);
        buf_put(&block, "\0\1x\x7F\xA1\x45", 6); /* 127 + 8865 */
        for (int i = 0; i < 127 + 0x21 + (0x45 << 7); i++)
            buf_put_byte(&block, 'v');
        raw_frame(&script.bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, buf_slice(&block));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_field_bytes");
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

static void put_trailers(struct buf *out, uint32_t id, struct slice block)
{
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, block);
}

/* Found by an audit: as many as header_bytes has room for were let pass. */
START_TEST(test_request_trailers_are_counted)
    {
        struct script script;
        begin(&script, NULL);
        struct buf block = BUF_EMPTY;
        for (int i = 0; i < 64 - 6; i++)
            buf_put(&block, "\0\1x\1y", 5);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        put_trailers(&script.bytes, 1, buf_slice(&block));
        play(&script);
        check_alive(&script);
        buf_put(&block, "\0\1x\1y", 5);
        raw_headers(&script.bytes, 3, "/test.v1.Pair/Echo", 0);
        put_trailers(&script.bytes, 3, buf_slice(&block));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_fields");
        ck_assert_str_eq(script.pair->goaway_text, "header_fields");
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

START_TEST(test_bytes_of_trailers_are_counted)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        struct buf block = BUF_EMPTY;
        uint8_t value[4000];
        memset(value, 'v', sizeof value);
        buf_put(&block, "\x40\1x\x7F\xA1\x1E", 6); /* 4000 bytes, and four times again */
        buf_put(&block, value, sizeof value);
        buf_put_str(&block, "\xBE\xBE\xBE\xBE");
        put_trailers(&script.bytes, 1, buf_slice(&block));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "header_bytes");
        ck_assert_str_eq(script.pair->goaway_text, "header_bytes");
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

static void put_continuations(struct buf *out, int count)
{
    struct buf block = BUF_EMPTY;
    raw_block(&block, "/test.v1.Pair/Echo", NULL);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, buf_slice(&block));
    for (int i = 1; i <= count; i++)
        raw_frame(out, NGHTTP2_CONTINUATION, i == count ? NGHTTP2_FLAG_END_HEADERS : 0, 1,
                  slice_make("\0\1x\1y", 5));
    buf_deinit(&block);
}

START_TEST(test_continuations)
    {
        struct script script;
        begin(&script, NULL);
        put_continuations(&script.bytes, 4);
        play(&script);
        check_alive(&script);
        finish(&script);
        begin(&script, NULL);
        put_continuations(&script.bytes, 6);
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "continuations");
        finish(&script);
    }
END_TEST

Suite *suite_rpc_h2_header_floods(void);
Suite *suite_rpc_h2_header_floods(void)
{
    Suite *suite = suite_create("rpc_h2_header_floods");
    TCase *tests = tcase_create("header floods");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, test_header_fields);
    tcase_add_test(tests, test_header_bomb);
    tcase_add_loop_test(tests, test_header_bomb_of_malformed_fields, 0, 2);
    tcase_add_loop_test(tests, test_small_malformed_requests, 0, 2);
    tcase_add_loop_test(tests, test_malformed_block_in_pieces, 0, 2);
    tcase_add_test(tests, test_refused_block_in_pieces);
    tcase_add_test(tests, test_a_frame_too_large_for_a_block);
    tcase_add_test(tests, test_many_large_blocks);
    tcase_add_test(tests, test_one_large_field);
    tcase_add_test(tests, test_request_trailers_are_counted);
    tcase_add_test(tests, test_bytes_of_trailers_are_counted);
    tcase_add_test(tests, test_continuations);
    suite_add_tcase(suite, tests);
    return suite;
}
