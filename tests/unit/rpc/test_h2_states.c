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

Suite *suite_rpc_h2_states(void);
Suite *suite_rpc_h2_states(void)
{
    Suite *suite = suite_create("rpc_h2_states");
    TCase *tests = tcase_create("states");
    tcase_add_test(tests, test_data_after_reset);
    tcase_add_test(tests, test_data_after_answer);
    tcase_add_test(tests, test_data_after_our_reset);
    tcase_add_test(tests, test_priority_on_the_connection);
    suite_add_tcase(suite, tests);
    return suite;
}
