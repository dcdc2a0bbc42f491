/* What HTTP/2 lets a server announce: HPACK's table, frames and windows.  Each is what the limits say, the client is
 * told, and who goes beyond it is stopped. */
#include "connect_pair.h"
#include "h2_script.h"

/* A session whose client has read our SETTINGS: from here on they hold. */
static void begin_told(struct script *script, const struct rpc_limits *limits)
{
    begin(script, limits);
    play(script);
    raw_frame(&script->bytes, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, slice_make("", 0));
    play(script);
    check_alive(script);
}

/* A call of Sleep with a message of that size or a little more, in frames of at most `frame` bytes. */
static void put_long_call(struct buf *out, uint32_t id, size_t size, size_t frame)
{
    char *text = xcalloc(1, size + 1);
    memset(text, 'w', size);
    struct buf *body = pair_message(1, text);
    struct slice rest = buf_slice(body);
    raw_headers(out, id, "/test.v1.Pair/Sleep", 0);
    while (rest.size > 0) {
        size_t step = rest.size < frame ? rest.size : frame;
        raw_frame(out, NGHTTP2_DATA, step == rest.size ? NGHTTP2_FLAG_END_STREAM : 0, id,
                  slice_make(rest.data, step));
        rest = slice_skip(rest, step);
    }
    pair_drop_body(body);
    free(text);
}

static void check_answered(struct script *script, int32_t id)
{
    play(script);
    ck_assert_int_eq(answer_status(pair_finish(script->pair, id)), GRPC_OK);
    check_alive(script);
}

START_TEST(the_client_is_told)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.header_table_bytes = 1000;
        limits.frame_bytes = 20000;
        limits.stream_window = 300000;
        limits.connection_window = 3000000;
        struct pair *pair = pair_new(&limits);
        pair_connect(pair);
        pair_turns(pair, 3);
        const struct {
            nghttp2_settings_id id;
            uint32_t value;
        } told[] = {{NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 1000},
                    {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 20000},
                    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 300000}};
        for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
            ck_assert_uint_eq(nghttp2_session_get_remote_settings(pair->client, told[i].id),
                              told[i].value);
        ck_assert_int_eq(nghttp2_session_get_remote_window_size(pair->client), 3000000);
        ck_assert_int_eq(answer_status(pair_finish(pair, pair_call(pair, "Echo", 1))), GRPC_OK);
        pair_free(pair);
    }
END_TEST

/* To the byte, and not before the client has said that it knows (RFC 9113 section 6.5.3). */
START_TEST(frames_as_large_as_allowed)
    {
        static const size_t sizes[] = {16u << 10, 40000};
        for (size_t i = 0; i < 2; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.frame_bytes = sizes[i];
            struct script script;
            begin_told(&script, &limits);
            put_long_call(&script.bytes, 1, 50000, sizes[i]);
            check_answered(&script, 1);
            put_long_call(&script.bytes, 3, 50000, sizes[i] + 1);
            play(&script);
            check_goaway(&script, NGHTTP2_FRAME_SIZE_ERROR, NULL);
            ck_assert_uint_eq(pair_limit(script.pair, "frame_size"), 1);
            finish(&script);
        }
    }
END_TEST

/* 150,000 bytes at once, before anybody has looked at them: no window can have been given back. */
START_TEST(a_streams_window)
    {
        static const size_t windows[] = {64u << 10, 256u << 10};
        for (size_t i = 0; i < 2; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.stream_window = windows[i];
            struct script script;
            begin_told(&script, &limits);
            put_long_call(&script.bytes, 1, 150000, 16u << 10);
            if (i == 1) {
                check_answered(&script, 1);
                ck_assert_uint_eq(pair_limit(script.pair, "stream_window"), 0);
            } else {
                play(&script);
                struct exchange *exchange = pair_exchange(script.pair, 1);
                ck_assert(exchange->reset);
                ck_assert_uint_eq(exchange->reset_error, NGHTTP2_FLOW_CONTROL_ERROR);
                ck_assert_uint_ge(pair_limit(script.pair, "stream_window"), 1);
                check_alive(&script);
            }
            finish(&script);
        }
    }
END_TEST

/* Three streams of 50,000 bytes at once, each within its own. */
START_TEST(a_connections_window)
    {
        static const size_t windows[] = {64u << 10, 256u << 10};
        for (size_t i = 0; i < 2; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.connection_window = windows[i];
            struct script script;
            begin_told(&script, &limits);
            for (uint32_t id = 1; id <= 5; id += 2)
                put_long_call(&script.bytes, id, 50000, 16u << 10);
            if (i == 1) {
                for (int32_t id = 1; id <= 5; id += 2)
                    check_answered(&script, id);
            } else {
                play(&script);
                check_goaway(&script, NGHTTP2_FLOW_CONTROL_ERROR, "connection_window");
                ck_assert_str_eq(script.pair->goaway_text, "connection_window");
                ck_assert_uint_eq(pair_limit(script.pair, "connection_window"), 1);
            }
            finish(&script);
        }
    }
END_TEST

/* Whatever the windows are, what is larger comes through, given back as it is read. */
START_TEST(messages_are_larger_than_windows)
    {
        static const size_t windows[][2] = {
            {16u << 10, 64u << 10}, {64u << 10, 64u << 10}, {1u << 20, 1u << 20}};
        char *text = xcalloc(1, 900001);
        memset(text, 'w', 900000);
        for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.stream_window = windows[i][0];
            limits.connection_window = windows[i][1];
            struct pair *pair = pair_new(&limits);
            pair_connect(pair);
            pair_turns(pair, 3);
            int32_t ids[3];
            for (size_t k = 0; k < 3; k++)
                ids[k] = pair_request(pair, "/test.v1.Pair/Sleep", NULL, pair_message(1, text));
            for (size_t k = 0; k < 3; k++)
                ck_assert_int_eq(answer_status(pair_finish(pair, ids[k])), GRPC_OK);
            ck_assert_ptr_nonnull(pair->h2);
            ck_assert_uint_eq(pair->h2->buffered + pair->h2->reserved, 0);
            pair_free(pair);
        }
        free(text);
    }
END_TEST

/* What does not fit into a window waits for room, at whatever size the window is. */
START_TEST(only_what_fits_a_window_needs_no_room)
    {
        static const size_t windows[] = {64u << 10, 256u << 10};
        for (size_t i = 0; i < 2; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.stream_window = windows[i];
            struct script script;
            begin_told(&script, &limits);
            raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("\0\0\1\x86\xa0x", 6));
            play(&script);
            ck_assert_uint_eq(script.pair->h2->reserved, i == 0 ? 100000 : 0);
            check_alive(&script);
            finish(&script);
        }
    }
END_TEST

/* A session goes on with what its client was told: by the new number it would wait for more of a body than the old
 * window lets come. */
START_TEST(a_changed_window_is_for_new_connections)
    {
        struct pair *pair = connected();
        pair_turns(pair, 3);
        struct rpc_limits limits = rpc_limits_default;
        limits.stream_window = 1u << 20;
        rpc_worker_set_limits(pair->worker, &limits);
        char *text = xcalloc(1, 400001);
        memset(text, 'w', 400000);
        memcpy(text, "{\"message\":\"", 12);
        memcpy(text + 400000 - 2, "\"}", 2);
        struct exchange *exchange = post(pair, "Echo", JSON, text_body(text));
        check_field(exchange, ":status", "200");
        ck_assert_uint_eq(buf_size(&exchange->body), 400000);
        ck_assert_uint_eq(nghttp2_session_get_remote_settings(
                              pair->client, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE),
                          64u << 10);
        free(text);
        pair_free(pair);
    }
END_TEST

/* A header block that begins by resizing the table: HPACK, RFC 7541 section 6.3. */
static void put_resized_call(struct buf *out, uint32_t id, struct slice update)
{
    struct buf block = BUF_EMPTY;
    buf_put_slice(&block, update);
    raw_block(&block, "/test.v1.Pair/Echo", NULL);
    raw_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, buf_slice(&block));
    struct buf *body = pair_message(1, "");
    raw_frame(out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, id, buf_slice(body));
    pair_drop_body(body);
    buf_deinit(&block);
}

START_TEST(a_table_as_large_as_allowed)
    {
        const struct slice to_0 = slice_make("\x20", 1);
        const struct slice to_4096 = slice_make("\x3f\xe1\x1f", 3);
        const struct slice to_65536 = slice_make("\x3f\xe1\xff\x03", 4);
        const struct {
            size_t bytes;
            struct slice update;
            bool fits;
        } cases[] = {
            {4096, to_4096, true},     {4096, to_65536, false}, {0, to_0, true},
            {0, to_4096, false},       {0, {NULL, 0}, false}, /* RFC 7541 section 4.2: it must */
            {64u << 10, to_65536, true},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct rpc_limits limits = rpc_limits_default;
            limits.header_table_bytes = cases[i].bytes;
            struct script script;
            begin_told(&script, &limits);
            put_resized_call(&script.bytes, 1, cases[i].update);
            if (cases[i].fits) {
                check_answered(&script, 1);
            } else {
                play(&script);
                check_goaway(&script, NGHTTP2_COMPRESSION_ERROR, NULL);
                ck_assert_uint_eq(pair_limit(script.pair, "compression"), 1);
            }
            finish(&script);
        }
    }
END_TEST

/* A client that cannot keep anything between two requests is served all the same. */
START_TEST(without_a_table)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.header_table_bytes = 0;
        struct pair *pair = pair_new(&limits);
        pair_connect(pair);
        pair_turns(pair, 3);
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(answer_status(pair_finish(pair, pair_call(pair, "Echo", 1))), GRPC_OK);
        ck_assert_uint_eq(nghttp2_session_get_hd_inflate_dynamic_table_size(pair->h2->session), 0);
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_h2_windows(void);
Suite *suite_rpc_h2_windows(void)
{
    Suite *suite = suite_create("rpc_h2_windows");
    TCase *tests = tcase_create("windows");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, the_client_is_told);
    tcase_add_test(tests, frames_as_large_as_allowed);
    tcase_add_test(tests, a_streams_window);
    tcase_add_test(tests, a_connections_window);
    tcase_add_test(tests, messages_are_larger_than_windows);
    tcase_add_test(tests, only_what_fits_a_window_needs_no_room);
    tcase_add_test(tests, a_changed_window_is_for_new_connections);
    tcase_add_test(tests, a_table_as_large_as_allowed);
    tcase_add_test(tests, without_a_table);
    suite_add_tcase(suite, tests);
    return suite;
}
