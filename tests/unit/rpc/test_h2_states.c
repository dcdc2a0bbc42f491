/* Frames that a stream's state, or RFC 9113's text on a frame, forbids. */
#include "h2_script.h"

static void put_data(struct buf *out, uint32_t id, uint8_t flags)
{
    raw_frame(out, NGHTTP2_DATA, flags, id, slice_make("test", 4));
}

/* RFC 9113 section 6.1: "If a DATA frame is received whose stream is not in the "open" or "half-closed (local)"
 * state, the recipient MUST respond with a stream error of type STREAM_CLOSED." */
START_TEST(test_data_after_reset)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        put_number(&script.bytes, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
        put_data(&script.bytes, 1, NGHTTP2_FLAG_END_STREAM);
        play(&script);
        check_goaway(&script, NGHTTP2_STREAM_CLOSED, "closed_stream");
        finish(&script);
    }
END_TEST

START_TEST(test_data_after_answer)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Nothing", NGHTTP2_FLAG_END_STREAM);
        play(&script);
        check_alive(&script);
        ck_assert_int_eq(answer_status(pair_exchange(script.pair, 1)), GRPC_UNIMPLEMENTED);
        put_data(&script.bytes, 1, NGHTTP2_FLAG_END_STREAM);
        play(&script);
        check_goaway(&script, NGHTTP2_STREAM_CLOSED, "closed_stream");
        finish(&script);
    }
END_TEST

/* RFC 9113 section 5.1: an endpoint that sent RST_STREAM must tolerate what the peer had under way. */
START_TEST(test_data_after_our_reset)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        put_number(&script.bytes, NGHTTP2_WINDOW_UPDATE, 1, INT32_MAX);
        play(&script);
        ck_assert(pair_exchange(script.pair, 1)->reset);
        put_data(&script.bytes, 1, 0);
        put_data(&script.bytes, 1, NGHTTP2_FLAG_END_STREAM);
        play(&script);
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* A request's trailers, with one field that goes into HPACK's table. */
static void put_trailers(struct buf *out, uint32_t id)
{
    static const char field[] = "\x40\xAx-echo-bin\4cXV4"; /* "qux" */
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
              slice_make(field, sizeof field - 1));
}

/* The table has to be what the client thinks it is. */
static void put_call_by_table(struct buf *out, uint32_t id)
{
    struct buf block = BUF_EMPTY;
    raw_block(&block, "/test.v1.Pair/Echo", NULL);
    buf_put_byte(&block, 0x80 | 62);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_slice(&block));
    struct buf *body = pair_message(1, "");
    raw_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, buf_slice(body));
    pair_drop_body(body);
    buf_deinit(&block);
}

/* Found by review: the same of HEADERS, which ended the connection. */
START_TEST(test_trailers_after_our_reset)
    {
        for (int how = 0; how < 2;
             how++) { /* an error of the stream; an answer before the request */
            struct script script;
            begin(&script, NULL);
            raw_headers(&script.bytes, 1, how == 0 ? "/test.v1.Pair/Echo" : "/test.v1.Pair/Nothing",
                        0);
            if (how == 0)
                put_number(&script.bytes, NGHTTP2_WINDOW_UPDATE, 1, INT32_MAX);
            play(&script);
            ck_assert(h2_sweep(script.pair->h2, clock_now() + NS_PER_S));
            pair_send(script.pair);
            ck_assert(pair_exchange(script.pair, 1)->reset);
            put_data(&script.bytes, 1, 0);
            put_trailers(&script.bytes, 1);
            play(&script);
            check_alive(&script);
            ck_assert(h2_sweep(script.pair->h2, clock_now() + 6 * NS_PER_S));
            put_call_by_table(&script.bytes, 3);
            play(&script);
            const struct exchange *answer = pair_finish(script.pair, 3);
            ck_assert_str_eq(answer_field(answer, "x-echo-bin"), "cXV4");
            check_alive(&script);
            /* they were the end of it */
            put_trailers(&script.bytes, 1);
            play(&script);
            check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "stream_order");
            finish(&script);
        }
    }
END_TEST

/* Nothing can be under way of a request that was whole. */
START_TEST(test_trailers_of_a_whole_request_after_our_reset)
    {
        struct script script;
        begin(&script, NULL);
        put_call(&script.bytes, 1, "/test.v1.Pair/Sleep", 1000);
        put_number(&script.bytes, NGHTTP2_WINDOW_UPDATE, 1, INT32_MAX);
        play(&script);
        ck_assert(pair_exchange(script.pair, 1)->reset);
        put_trailers(&script.bytes, 1);
        play(&script);
        check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "stream_order");
        finish(&script);
    }
END_TEST

/* RFC 9113 section 6.1: "If the length of the padding is the length of the frame payload or greater, the
 * recipient MUST treat this as a connection error of type PROTOCOL_ERROR."  Also when the answer, and the reset
 * behind it, were faster than the frame; and however the bytes are split. */
START_TEST(test_padding_that_does_not_fit)
    {
        for (int how = 0; how < 4; how++) {
            struct script script;
            begin(&script, NULL);
            raw_headers(&script.bytes, 1, "/test.v1.Pair/Nothing", 0);
            play(&script);
            ck_assert_int_eq(answer_status(pair_exchange(script.pair, 1)), GRPC_UNIMPLEMENTED);
            if (how >= 2) {
                ck_assert(h2_sweep(script.pair->h2, clock_now() + NS_PER_S));
                pair_send(script.pair);
            }
            ck_assert(pair_exchange(script.pair, 1)->reset == (how >= 2));
            check_alive(&script);
            raw_frame(&script.bytes, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1,
                      slice_make("\5test!", how % 2 == 0 ? 6 : 5));
            play(&script);
            if (how % 2 == 0)
                check_alive(&script);
            else
                check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "invalid_frame");
            finish(&script);
        }
    }
END_TEST

START_TEST(test_padding_in_single_bytes)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        raw_frame(&script.bytes, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, slice_make("\3\0\0\0", 4));
        raw_frame(&script.bytes, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, slice_make("\4\0\0\0", 4));
        struct h2_wire wire = {.block_max = 1000};
        struct slice bytes = buf_slice(&script.bytes);
        size_t at = 0;
        size_t legal = 0;
        enum wire_result result = WIRE_OK;
        while (result == WIRE_OK && at < bytes.size)
            result = h2_wire_take(&wire, slice_make(bytes.data + at++, 1), &legal);
        ck_assert_int_eq(result, WIRE_BAD_PADDING);
        ck_assert_uint_eq(at, bytes.size - 3); /* the length of the second frame's padding */
        finish(&script);
    }
END_TEST

/* A client that ends its request within a moment gets no RST_STREAM at all. */
START_TEST(test_the_rest_of_a_refused_request)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Nothing", 0);
        raw_headers(&script.bytes, 3, "/test.v1.Pair/Nothing", 0);
        play(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now()));
        put_data(&script.bytes, 1, NGHTTP2_FLAG_END_STREAM);
        play(&script);
        ck_assert(!pair_exchange(script.pair, 3)->reset);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + NS_PER_S));
        pair_send(script.pair);
        ck_assert(!pair_exchange(script.pair, 1)->reset);
        ck_assert(pair_exchange(script.pair, 3)->reset);
        ck_assert_uint_eq(pair_exchange(script.pair, 3)->reset_error, NGHTTP2_NO_ERROR);
        ck_assert(list_is_empty(&script.pair->h2->streams));
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* RFC 9113 section 6.3: "If a PRIORITY frame is received with a stream identifier of 0x00, the recipient MUST
 * respond with a connection error of type PROTOCOL_ERROR." */
START_TEST(test_priority_on_the_connection)
    {
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_PRIORITY, 0, 0, slice_make("\0\0\0\0\xff", 5));
        play(&script);
        check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "invalid_frame");
        finish(&script);
    }
END_TEST

/* What came behind the frame that ended the connection, in the same read, is not judged any more: the library would
 * go on reading after our GOAWAY, and abort at a frame of a wrong size (CVE-2026-27135). */
START_TEST(test_a_bad_frame_behind_the_end)
    {
        static const struct {
            uint8_t type;
            uint8_t flags;
            const char *payload;
            size_t size;
        } bad[] = {
            {NGHTTP2_SETTINGS, 0, "short", 5},
            {NGHTTP2_PING, 0, "short", 5},
            {NGHTTP2_GOAWAY, 0, "short", 5},
            {NGHTTP2_WINDOW_UPDATE, 0, "short", 5},
            {NGHTTP2_PRIORITY, 0, "bad", 3},
            {NGHTTP2_RST_STREAM, 0, "short", 5},
            {NGHTTP2_HEADERS, NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_END_HEADERS, "\xff", 1},
            {NGHTTP2_HEADERS, NGHTTP2_FLAG_PRIORITY | NGHTTP2_FLAG_END_HEADERS, "bad", 3},
            {NGHTTP2_CONTINUATION, 0, "bad", 3},
            {NGHTTP2_PUSH_PROMISE, 0, "bad", 3},
            {NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, "", 0},
        };
        struct rpc_limits limits = rpc_limits_default;
        limits.empty_data = 2;
        for (size_t i = 0; i < 3 * (sizeof bad / sizeof bad[0]); i++) {
            struct script script;
            begin(&script, &limits);
            raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
            for (int empty = 0; empty < 4; empty++)
                raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("", 0));
            raw_frame(&script.bytes, bad[i / 3].type, bad[i / 3].flags, i % 3,
                      slice_make(bad[i / 3].payload, bad[i / 3].size));
            play(&script);
            check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, NULL);
            ck_assert_uint_eq(pair_limit(script.pair, "empty_data"), 1);
            ck_assert_int_eq(script.pair->goaways, 1);
            finish(&script);
        }
    }
END_TEST

Suite *suite_rpc_h2_states(void);
Suite *suite_rpc_h2_states(void)
{
    Suite *suite = suite_create("rpc_h2_states");
    TCase *tests = tcase_create("states");
    tcase_add_test(tests, test_data_after_reset);
    tcase_add_test(tests, test_data_after_answer);
    tcase_add_test(tests, test_data_after_our_reset);
    tcase_add_test(tests, test_trailers_after_our_reset);
    tcase_add_test(tests, test_trailers_of_a_whole_request_after_our_reset);
    tcase_add_test(tests, test_padding_that_does_not_fit);
    tcase_add_test(tests, test_padding_in_single_bytes);
    tcase_add_test(tests, test_the_rest_of_a_refused_request);
    tcase_add_test(tests, test_priority_on_the_connection);
    tcase_add_test(tests, test_a_bad_frame_behind_the_end);
    suite_add_tcase(suite, tests);
    return suite;
}
