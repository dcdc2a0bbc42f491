/* Hostile clients by byte scripts: each flood ends with GOAWAY and its counter, and honest clients do not run
 * into the limits. */
#include "h2_script.h"

/* The library would keep as much as a frame may have. */
START_TEST(test_last_words_are_short)
    {
        struct script script;
        char words[1024] = {0};
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_GOAWAY, 0, 0, slice_make(words, 1024));
        play(&script);
        ck_assert_uint_eq(pair_limit(script.pair, "goaway_bytes"), 0);
        finish(&script);
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_GOAWAY, 0, 0, slice_make(words, 1024));
        raw_frame(&script.bytes, NGHTTP2_GOAWAY, 0, 0, slice_make((char[1025]){0}, 1025));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "goaway_bytes");
        finish(&script);
    }
END_TEST

/* CVE-2023-44487.  What counts is that handlers do not pile up, and that it ends. */
START_TEST(test_rapid_reset)
    {
        struct script script;
        begin(&script, NULL);
        for (uint32_t i = 0; i < 250 && !script.pair->ended; i++) {
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Stubborn", 300);
            put_number(&script.bytes, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
            play(&script);
            loop_turn(script.pair->loop, 0);
            ck_assert_uint_le(script.pair->worker->running_calls, 100);
        }
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "client_resets");
        finish(&script);
    }
END_TEST

/* A batch client whose deadlines pass drops streams by the hundred: it may have a budget of its own. */
START_TEST(test_resets_of_an_identity)
    {
        for (uint32_t allowed = 0; allowed < 2; allowed++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.client_resets_burst = 10;
            limits.client_resets_rate = 1;
            limits.identities[0] = (struct rpc_identity_limits){
                .identity = allowed ? "admin" : "other", .client_resets_burst = 100};
            struct script script;
            begin(&script, &limits);
            for (uint32_t i = 0; i < 60; i++) {
                put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 1);
                put_number(&script.bytes, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
            }
            play(&script);
            if (allowed)
                check_alive(&script);
            else
                check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "client_resets");
            finish(&script);
        }
    }
END_TEST

START_TEST(test_resets_within_the_budget)
    {
        struct script script;
        begin(&script, NULL);
        for (uint32_t i = 0; i < 150; i++) {
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Sleep", 1000);
            put_number(&script.bytes, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
            play(&script);
            loop_turn(script.pair->loop, 0);
        }
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* CVE-2025-8671: the ways to make us send a reset.  What else is against the protocol ends the connection. */
static void put_content_length_lie(struct buf *out, uint32_t id)
{
    const struct extra extras[] = {{"content-length", "3"}, {NULL, NULL}};
    struct buf block = BUF_EMPTY;
    raw_block(&block, "/test.v1.Pair/Echo", extras);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_slice(&block));
    raw_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, slice_make("\0\0\0\0\0", 5));
    buf_deinit(&block);
}

static void put_window_overflow(struct buf *out, uint32_t id)
{
    raw_headers(out, id, "/test.v1.Pair/Echo", 0);
    put_number(out, NGHTTP2_WINDOW_UPDATE, id, 0x7FFFFFFF);
}

/* RFC 9113 section 8.1: trailers end the stream … */
static void put_trailers_without_end(struct buf *out, uint32_t id)
{
    raw_headers(out, id, "/test.v1.Pair/Echo", 0);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, slice_make("\0\1x\1y", 5));
}

/* … and have no pseudo-header fields. */
static void put_path_in_trailers(struct buf *out, uint32_t id)
{
    raw_headers(out, id, "/test.v1.Pair/Echo", 0);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
              slice_make("\0\5:path\1/", 9));
}

static void put_malformed_field(struct buf *out, uint32_t id)
{
    struct buf block = BUF_EMPTY;
    raw_block(&block, "/test.v1.Pair/Echo", NULL);
    buf_put(&block, "\0\1X\1y", 5);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
              buf_slice(&block));
    buf_deinit(&block);
}

static void make_resets(void (*put)(struct buf *out, uint32_t id))
{
    struct script script;
    begin(&script, NULL);
    uint32_t sent = 0;
    for (; sent < 120 && !script.pair->ended; sent++) {
        put(&script.bytes, 1 + 2 * sent);
        play(&script);
    }
    ck_assert_uint_ge(sent, 100);
    check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "server_resets");
    finish(&script);
}

START_TEST(test_made_you_reset)
    {
        static void (*const ways[])(struct buf *, uint32_t) = {
            put_content_length_lie, put_window_overflow, put_trailers_without_end,
            put_path_in_trailers, put_malformed_field};
        make_resets(ways[_i]);
    }
END_TEST

START_TEST(test_stream_order)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 5, "/test.v1.Pair/Echo", 0);
        raw_headers(&script.bytes, 3, "/test.v1.Pair/Echo", 0);
        play(&script);
        check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "stream_order");
        finish(&script);
    }
END_TEST

START_TEST(test_settings_flood)
    {
        struct script script;
        begin(&script, NULL);
        for (int i = 0; i < 9; i++)
            raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
        play(&script);
        check_alive(&script);
        ck_assert_uint_eq(script.pair->settings_acks, 10);
        for (int i = 0; i < 2; i++)
            raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "settings_per_10s");
        finish(&script);
    }
END_TEST

/* Found by review: a limit below 10 was a rate of 0 in whole numbers, and never came back. */
START_TEST(test_settings_come_back)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.settings_per_10s = 5;
        struct script script;
        begin(&script, &limits);
        for (int i = 0; i < 4; i++)
            raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
        play(&script);
        for (int i = 0; i < 3; i++) {
            script.pair->h2->budgets.settings.at_ns -= 2 * NS_PER_S; /* so long ago it was */
            raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
            play(&script);
            check_alive(&script);
        }
        raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "settings_per_10s");
        finish(&script);
    }
END_TEST

START_TEST(test_settings_entries)
    {
        struct script script;
        begin(&script, NULL);
        uint8_t payload[33 * 6] = {0};
        for (size_t i = 0; i < 33; i++)
            payload[6 * i + 1] = 9;
        raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make(payload, sizeof payload));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "settings_entries");
        finish(&script);
    }
END_TEST

/* Found by review: what the library ends a connection for by itself was counted nowhere. */
START_TEST(test_frame_size)
    {
        static const uint8_t large[(16 << 10) + 1];
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make(large, sizeof large));
        play(&script);
        check_goaway(&script, NGHTTP2_FRAME_SIZE_ERROR, "frame_size");
        ck_assert_uint_eq(pair_limit(script.pair, "frame_size"), 1);
        finish(&script);
    }
END_TEST

START_TEST(test_compression)
    {
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
                  slice_make("\xFF\xFF\xFF", 3)); /* an index beyond all tables */
        play(&script);
        check_goaway(&script, NGHTTP2_COMPRESSION_ERROR, "compression");
        finish(&script);
    }
END_TEST

START_TEST(test_unexpected_frame)
    {
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1,
                  slice_make(NULL, 0));
        play(&script);
        check_goaway(&script, NGHTTP2_PROTOCOL_ERROR, "protocol");
        ck_assert_uint_eq(pair_limit(script.pair, "protocol"), 1);
        finish(&script);
    }
END_TEST

START_TEST(test_ping_strikes)
    {
        struct script script;
        begin(&script, NULL);
        for (int i = 0; i < 3; i++)
            put_ping(&script.bytes);
        play(&script);
        check_alive(&script);
        ck_assert_uint_eq(script.pair->pings, 3);
        put_ping(&script.bytes);
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "pings");
        /* gRPC proposal A8: by this clients know that they are to ask half as often */
        ck_assert_str_eq(script.pair->goaway_text, "too_many_pings");
        ck_assert_int_eq(script.pair->goaways, 1);
        finish(&script);
    }
END_TEST

/* gRPC clients measure the path with a ping after data: as often as they get any. */
START_TEST(test_pings_with_work)
    {
        struct script script;
        begin(&script, NULL);
        for (uint32_t i = 0; i < 30; i++) {
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 1);
            play(&script);
            pair_turns(script.pair, 2);
            put_ping(&script.bytes);
        }
        play(&script);
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* Pings whose answers are never read: the queue of answers is bounded. */
START_TEST(test_unread_acks)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        for (int i = 0; i < 120; i++)
            put_ping(&script.bytes);
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "outbound_acks");
        finish(&script);
    }
END_TEST

START_TEST(test_empty_data)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        for (int i = 0; i < 10; i++)
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make(NULL, 0));
        play(&script);
        check_alive(&script);
        raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make(NULL, 0));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "empty_data");
        finish(&script);
    }
END_TEST

START_TEST(test_priority_and_unknown_frames)
    {
        static const uint8_t types[] = {NGHTTP2_PRIORITY, 0x42};
        for (size_t k = 0; k < 2; k++) {
            struct script script;
            begin(&script, NULL);
            for (uint32_t i = 0; i < 100; i++)
                raw_frame(&script.bytes, types[k], 0, 2 * i + 1, slice_make("\0\0\0\0\1", 5));
            play(&script);
            check_alive(&script);
            raw_frame(&script.bytes, types[k], 0, 1, slice_make("\0\0\0\0\1", 5));
            play(&script);
            check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "priority_frames");
            finish(&script);
        }
    }
END_TEST

START_TEST(test_window_updates)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.window_updates = 300;
        struct script script;
        begin(&script, &limits);
        for (int i = 0; i < 300; i++)
            put_number(&script.bytes, NGHTTP2_WINDOW_UPDATE, 0, 1);
        play(&script);
        check_alive(&script);
        put_number(&script.bytes, NGHTTP2_WINDOW_UPDATE, 0, 1);
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "window_updates");
        ck_assert_str_eq(script.pair->goaway_text, "window_updates");
        finish(&script);
    }
END_TEST

START_TEST(test_control_frames)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.control_frames = 50;
        struct script script;
        begin(&script, &limits);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        play(&script);
        for (int i = 0; i < 80; i++) {
            put_ping(&script.bytes);
            play(&script);
        }
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "control_frames");
        finish(&script);
    }
END_TEST

/* Found by review: each DATA frame counted like a PING, and a stream of messages earned nothing by them. */
START_TEST(test_a_long_stream_of_small_messages)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Sum", 0);
        for (int i = 0; i < 30; i++) {
            for (int k = 0; k < 1000; k++)
                raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("\0\0\0\0\0", 5));
            play(&script);
            pair_turns(script.pair, 2);
            check_alive(&script);
        }
        raw_frame(&script.bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, slice_make(NULL, 0));
        play(&script);
        ck_assert_int_eq(answer_status(pair_finish(script.pair, 1)), GRPC_OK);
        finish(&script);
    }
END_TEST

START_TEST(test_many_large_uploads)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.control_frames = 100;
        struct pair *pair = pair_new(&limits);
        pair_connect(pair);
        char *text = xcalloc(1, 2000001);
        memset(text, 'x', 2000000);
        for (int i = 0; i < 20; i++) {
            int32_t id = pair_request(pair, "/test.v1.Pair/Import", NULL, pair_message(i, text));
            ck_assert_int_eq(answer_status(pair_finish(pair, id)), GRPC_OK);
        }
        ck_assert(!pair->goaway);
        ck_assert_uint_eq(pair_limit(pair, "control_frames"), 0);
        free(text);
        pair_free(pair);
    }
END_TEST

/* Less than the prefix of a message in each, as no client of gRPC writes them but where a window ends. */
START_TEST(test_tiny_data)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.control_frames = 500;
        struct script script;
        begin(&script, &limits);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("\0\0\0\xFF\xFF", 5));
        for (int i = 0; i < 600; i++)
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("x", 1));
        play(&script);
        check_alive(&script);
        for (int i = 0; i < 100; i++)
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("x", 1));
        play(&script);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "control_frames");
        finish(&script);
    }
END_TEST

START_TEST(test_bad_prefaces)
    {
        for (size_t size = 0; size < NGHTTP2_CLIENT_MAGIC_LEN; size++) {
            struct pair *pair = pair_new(NULL);
            struct buf bytes = BUF_EMPTY;
            buf_put(&bytes, NGHTTP2_CLIENT_MAGIC, size);
            buf_put_str(&bytes, "\x01GET / HTTP/1.1\r\n\r\n and more than the magic");
            pair_raw(pair, &bytes);
            pair_send(pair);
            ck_assert(pair->ended);
            ck_assert_uint_eq(pair->goaway_error, NGHTTP2_PROTOCOL_ERROR);
            ck_assert_uint_eq(pair_limit(pair, "bad_preface"), 1);
            buf_deinit(&bytes);
            pair_free(pair);
        }
    }
END_TEST

Suite *suite_rpc_h2_floods(void);
Suite *suite_rpc_h2_floods(void)
{
    Suite *suite = suite_create("rpc_h2_floods");
    TCase *tests = tcase_create("floods");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, test_last_words_are_short);
    tcase_add_test(tests, test_rapid_reset);
    tcase_add_test(tests, test_resets_of_an_identity);
    tcase_add_test(tests, test_resets_within_the_budget);
    tcase_add_loop_test(tests, test_made_you_reset, 0, 5);
    tcase_add_test(tests, test_stream_order);
    tcase_add_test(tests, test_settings_flood);
    tcase_add_test(tests, test_settings_come_back);
    tcase_add_test(tests, test_settings_entries);
    tcase_add_test(tests, test_frame_size);
    tcase_add_test(tests, test_compression);
    tcase_add_test(tests, test_unexpected_frame);
    tcase_add_test(tests, test_ping_strikes);
    tcase_add_test(tests, test_pings_with_work);
    tcase_add_test(tests, test_unread_acks);
    tcase_add_test(tests, test_empty_data);
    tcase_add_test(tests, test_priority_and_unknown_frames);
    tcase_add_test(tests, test_window_updates);
    tcase_add_test(tests, test_control_frames);
    tcase_add_test(tests, test_a_long_stream_of_small_messages);
    tcase_add_test(tests, test_many_large_uploads);
    tcase_add_test(tests, test_tiny_data);
    tcase_add_test(tests, test_bad_prefaces);
    suite_add_tcase(suite, tests);
    return suite;
}
