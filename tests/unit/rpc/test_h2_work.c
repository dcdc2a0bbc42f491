/* The limits on work: streams, handlers, turns, queues, room for messages, stalls, and the session's end. */
#include "h2_script.h"

/* Refused while the client may not know the limit; an error of the connection once it has acknowledged it. */
START_TEST(test_too_many_streams)
    {
        for (int acked = 0; acked < 2; acked++) {
            struct script script;
            begin(&script, NULL);
            play(&script);
            if (acked == 1)
                raw_frame(&script.bytes, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0,
                          slice_make(NULL, 0));
            for (uint32_t i = 0; i < 100; i++)
                raw_headers(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 0);
            play(&script);
            check_alive(&script);
            raw_headers(&script.bytes, 201, "/test.v1.Pair/Echo", 0);
            play(&script);
            ck_assert_uint_eq(pair_limit(script.pair, "concurrent_streams"), 1);
            if (acked == 1)
                ck_assert_uint_eq(script.pair->goaway_error, NGHTTP2_PROTOCOL_ERROR);
            else
                ck_assert_uint_eq(pair_exchange(script.pair, 201)->reset_error,
                                  NGHTTP2_REFUSED_STREAM);
            finish(&script);
        }
    }
END_TEST

/* Resets do not free a handler's slot; held requests start in order when handlers end. */
START_TEST(test_running_handlers)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.running_handlers = 3;
        struct script script;
        begin(&script, &limits);
        for (uint32_t i = 0; i < 3; i++)
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Stubborn", 150);
        play(&script);
        pair_turns(script.pair, 2);
        for (uint32_t i = 0; i < 3; i++)
            put_number(&script.bytes, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
        for (uint32_t i = 3; i < 10; i++)
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 1);
        play(&script);
        pair_turns(script.pair, 5);
        ck_assert_int_eq(script.pair->invocations, 3);
        ck_assert_uint_eq(script.pair->h2->held.count, 7);
        ck_assert_uint_eq(pair_limit(script.pair, "running_handlers"), 1);
        for (uint32_t i = 3; i < 10; i++)
            ck_assert_int_eq(answer_status(pair_finish(script.pair, 1 + 2 * (int32_t)i)), GRPC_OK);
        ck_assert_uint_eq(script.pair->h2->held.count, 0);
        finish(&script);
    }
END_TEST

/* A held request may be reset, lose its deadline, or lose its connection. */
START_TEST(test_held_requests_that_end)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.running_handlers = 1;
        struct script script;
        begin(&script, &limits);
        for (uint32_t i = 0; i < 5; i++)
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Stubborn", 100);
        play(&script);
        ck_assert_uint_eq(script.pair->h2->held.count, 4);
        put_number(&script.bytes, NGHTTP2_RST_STREAM, 5, NGHTTP2_CANCEL);
        put_number(&script.bytes, NGHTTP2_RST_STREAM, 3, NGHTTP2_CANCEL);
        play(&script);
        ck_assert_uint_eq(script.pair->h2->held.count, 2);
        ck_assert_uint_eq(script.pair->h2->ready.count, 0);
        ck_assert_int_eq(answer_status(pair_finish(script.pair, 1)), GRPC_OK);
        (void)h2_sweep(script.pair->h2, clock_now() + 11 * NS_PER_S);
        pair_send(script.pair);
        ck_assert_int_eq(answer_status(pair_exchange(script.pair, 9)), GRPC_DEADLINE_EXCEEDED);
        ck_assert_uint_eq(script.pair->h2->held.count, 0);
        put_call(&script.bytes, 11, "/test.v1.Pair/Echo", 1);
        put_call(&script.bytes, 13, "/test.v1.Pair/Echo", 1);
        play(&script);
        finish(&script);
    }
END_TEST

START_TEST(test_requests_per_turn)
    {
        struct script script;
        begin(&script, NULL);
        for (uint32_t i = 0; i < 80; i++)
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 1);
        /* in however many reads they come: a turn has several */
        struct slice all = buf_slice(&script.bytes);
        for (size_t part = all.size / 4 + 1; all.size > 0; all = slice_skip(all, part)) {
            part = part < all.size ? part : all.size;
            pair_feed(script.pair, slice_make(all.data, part));
        }
        buf_clear(&script.bytes);
        loop_turn(script.pair->loop, 0);
        ck_assert_int_eq(script.pair->invocations, 32);
        pair_send(script.pair);
        loop_turn(script.pair->loop, 0);
        ck_assert_int_eq(script.pair->invocations, 64);
        pair_turns(script.pair, 3);
        ck_assert_int_eq(script.pair->invocations, 80);
        ck_assert_uint_eq(pair_limit(script.pair, "requests_per_turn"), 1);
        finish(&script);
    }
END_TEST

/* A client that reads no answers gets no new ones made. */
START_TEST(test_queued_answers)
    {
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make("\0\4\0\0\0\0", 6));
        for (uint32_t i = 0; i < 30; i++)
            put_call(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Large", 100000);
        play(&script);
        for (int i = 0; i < 20; i++) {
            loop_turn(script.pair->loop, 0);
            pair_send(script.pair);
        }
        ck_assert_uint_ge(script.pair->h2->queued, 256 << 10);
        /* those of one turn were let in together; the rest waits */
        int before = script.pair->invocations;
        put_call(&script.bytes, 61, "/test.v1.Pair/Echo", 1);
        play(&script);
        pair_turns(script.pair, 3);
        ck_assert_int_eq(script.pair->invocations, before);
        ck_assert_uint_eq(pair_limit(script.pair, "queued_response_bytes"), 1);
        for (uint32_t i = 0; i < 30; i++)
            put_number(&script.bytes, NGHTTP2_RST_STREAM, 1 + 2 * i, NGHTTP2_CANCEL);
        play(&script);
        pair_turns(script.pair, 3);
        ck_assert_int_eq(script.pair->invocations, before + 1);
        finish(&script);
    }
END_TEST

START_TEST(test_header_block_timeout)
    {
        struct script script;
        begin(&script, NULL);
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Echo", NULL);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, 0, 1, buf_slice(&block));
        play(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 4 * NS_PER_S));
        ck_assert(!h2_sweep(script.pair->h2, clock_now() + 6 * NS_PER_S));
        pair_send(script.pair);
        check_goaway(&script, NGHTTP2_ENHANCE_YOUR_CALM, "headers_timeout");
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

START_TEST(test_body_stall)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.body_progress_ns = 2 * NS_PER_S;
        struct script script;
        begin(&script, &limits);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("\0\0\0\0\5ab", 7));
        play(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + NS_PER_S));
        pair_send(script.pair);
        ck_assert(!pair_exchange(script.pair, 1)->reset);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 3 * NS_PER_S));
        pair_send(script.pair);
        ck_assert_uint_eq(pair_exchange(script.pair, 1)->reset_error, NGHTTP2_CANCEL);
        ck_assert_uint_eq(pair_limit(script.pair, "body_progress"), 1);
        check_alive(&script);
        finish(&script);
    }
END_TEST

START_TEST(test_answer_stall)
    {
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make("\0\4\0\0\0\0", 6));
        put_call(&script.bytes, 1, "/test.v1.Pair/Echo", 1);
        play(&script);
        pair_turns(script.pair, 2);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 9 * NS_PER_S));
        pair_send(script.pair);
        ck_assert(!pair_exchange(script.pair, 1)->reset);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 11 * NS_PER_S));
        pair_send(script.pair);
        ck_assert_uint_eq(pair_exchange(script.pair, 1)->reset_error, NGHTTP2_CANCEL);
        ck_assert_uint_eq(script.pair->h2->queued, 0);
        finish(&script);
    }
END_TEST

/* Ten answers of 60 KB that nobody takes: after half of write_stall only 256 KiB of them are kept, the youngest. */
START_TEST(test_stalled_answers_are_bounded)
    {
        struct script script;
        begin(&script, NULL);
        raw_frame(&script.bytes, NGHTTP2_SETTINGS, 0, 0, slice_make("\0\4\0\0\0\0", 6));
        for (uint32_t id = 1; id < 20; id += 2)
            put_call(&script.bytes, id, "/test.v1.Pair/Large", 60000);
        play(&script);
        /* beyond queued_response_bytes requests are held: all were started before */
        pair_turns(script.pair, 20);
        size_t queued = script.pair->h2->queued;
        ck_assert_uint_gt(queued, 300000);
        (void)h2_sweep(script.pair->h2, clock_now() + 4 * NS_PER_S);
        pair_send(script.pair);
        ck_assert_uint_eq(script.pair->h2->queued, queued);
        (void)h2_sweep(script.pair->h2, clock_now() + 6 * NS_PER_S);
        pair_send(script.pair);
        size_t left = script.pair->h2->queued;
        ck_assert_uint_le(left, 256u << 10);
        ck_assert_uint_gt(left, (256u << 10) - 61000);
        ck_assert(pair_exchange(script.pair, 1)->reset);
        ck_assert_uint_eq(pair_exchange(script.pair, 1)->reset_error, NGHTTP2_CANCEL);
        ck_assert_uint_eq(pair_limit(script.pair, "stalled_bytes"), (queued - left) / 60000);
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* One byte a second: it progresses, and never gets there. */
START_TEST(test_body_rate)
    {
        struct script script;
        begin(&script, NULL);
        const struct extra patient[] = {{"grpc-timeout", "29S"}, {NULL, NULL}};
        struct buf block = BUF_EMPTY;
        raw_block(&block, "/test.v1.Pair/Echo", patient);
        raw_frame(&script.bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, buf_slice(&block));
        raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("\0\0\0\1\0", 5));
        play(&script);
        uint64_t begun = clock_now();
        struct h2_stream *stream = h2_stream_find(script.pair->h2, 1);
        uint64_t second = 0;
        while (!pair_exchange(script.pair, 1)->reset && second < 20) {
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("x", 1));
            play(&script);
            stream->progress_ns = begun + second * NS_PER_S;
            (void)h2_sweep(script.pair->h2, begun + second * NS_PER_S);
            pair_send(script.pair);
            second++;
        }
        ck_assert_uint_eq(second, 11);
        ck_assert_uint_eq(pair_limit(script.pair, "body_rate"), 1);
        ck_assert_uint_eq(pair_exchange(script.pair, 1)->reset_error, NGHTTP2_CANCEL);
        buf_deinit(&block);
        finish(&script);
    }
END_TEST

/* 2 KiB a second is slow and allowed. */
START_TEST(test_a_slow_body_may_come)
    {
        struct script script;
        begin(&script, NULL);
        uint8_t bytes[2048] = {0};
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Echo", 0);
        raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make("\0\0\1\0\0", 5));
        play(&script);
        struct h2_stream *stream = h2_stream_find(script.pair->h2, 1);
        stream->call->call.ctx.deadline_ns = NO_DEADLINE;
        uint64_t begun = clock_now();
        for (uint64_t second = 0; second < 30; second++) {
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, slice_make(bytes, sizeof bytes));
            play(&script);
            stream->progress_ns = begun + second * NS_PER_S;
            (void)h2_sweep(script.pair->h2, begun + second * NS_PER_S);
            pair_send(script.pair);
            ck_assert(!pair_exchange(script.pair, 1)->reset);
        }
        finish(&script);
    }
END_TEST

/* Announcing much and sending little reserves room; those who wait for it are not blamed, and those who go
 * away give it back. */
START_TEST(test_room_for_large_messages)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.body_progress_ns = 2 * NS_PER_S;
        struct script script;
        begin(&script, &limits);
        size_t cap = 2 * (size_t)(3u << 20);
        uint32_t granted = (uint32_t)(cap / (1u << 20));
        for (uint32_t i = 0; i < granted + 2; i++) {
            raw_headers(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 0);
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1 + 2 * i, slice_make("\0\0\x10\0\0x", 6));
        }
        play(&script);
        ck_assert_uint_eq(script.pair->h2->reserved, cap);
        ck_assert_uint_eq(script.pair->h2->waiting.count, 2);
        put_number(&script.bytes, NGHTTP2_RST_STREAM, 1 + 2 * (granted + 1), NGHTTP2_CANCEL);
        play(&script);
        ck_assert_uint_eq(script.pair->h2->waiting.count, 1);
        put_number(&script.bytes, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
        play(&script);
        ck_assert_uint_eq(script.pair->h2->waiting.count, 0);
        ck_assert_uint_eq(script.pair->h2->reserved, cap);
        finish(&script);
    }
END_TEST

START_TEST(test_waiting_for_room_is_no_stall)
    {
        struct rpc_limits limits = rpc_limits_default;
        limits.body_progress_ns = 2 * NS_PER_S;
        struct script script;
        begin(&script, &limits);
        for (uint32_t i = 0; i < 7; i++) {
            raw_headers(&script.bytes, 1 + 2 * i, "/test.v1.Pair/Echo", 0);
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1 + 2 * i, slice_make("\0\0\x10\0\0x", 6));
        }
        play(&script);
        ck_assert_uint_eq(script.pair->h2->waiting.count, 1);
        (void)h2_sweep(script.pair->h2, clock_now() + 3 * NS_PER_S);
        pair_send(script.pair);
        for (int32_t id = 1; id < 13; id += 2)
            ck_assert(pair_exchange(script.pair, id)->reset);
        ck_assert(!pair_exchange(script.pair, 13)->reset);
        ck_assert_uint_eq(script.pair->h2->waiting.count, 0);
        finish(&script);
    }
END_TEST

/* gRPC's keepalive: a client that vanished while it watches owes nothing and sends nothing. */
START_TEST(test_keepalive)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Chat", 0); /* a stream that may be quiet */
        play(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 119 * NS_PER_S));
        pair_send(script.pair);
        ck_assert_uint_eq(script.pair->pings, 0);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 121 * NS_PER_S));
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 130 * NS_PER_S)); /* asked once */
        pair_send(script.pair);
        ck_assert_uint_eq(script.pair->pings, 1);
        raw_frame(&script.bytes, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, slice_make("present", 8));
        play(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 119 * NS_PER_S));
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 122 * NS_PER_S));
        pair_send(script.pair);
        ck_assert_uint_eq(script.pair->pings, 2);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 141 * NS_PER_S));
        check_alive(&script);
        ck_assert(!h2_sweep(script.pair->h2, clock_now() + 143 * NS_PER_S));
        ck_assert_uint_eq(pair_limit(script.pair, "keepalive_timeout"), 1);
        finish(&script);
    }
END_TEST

/* The answer to a keepalive PING is not the one that the final GOAWAY waits for. */
START_TEST(test_keepalive_while_shutting_down)
    {
        struct script script;
        begin(&script, NULL);
        play(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 121 * NS_PER_S));
        h2_shutdown(script.pair->h2);
        pair_send(script.pair);
        raw_frame(&script.bytes, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, slice_make("present", 8));
        play(&script);
        (void)h2_sweep(script.pair->h2, clock_now());
        pair_send(script.pair);
        ck_assert_int_eq(script.pair->goaways, 1);
        raw_frame(&script.bytes, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, slice_make("goodbye", 8));
        play(&script);
        (void)h2_sweep(script.pair->h2, clock_now());
        pair_send(script.pair);
        ck_assert_int_eq(script.pair->goaways, 2);
        finish(&script);
    }
END_TEST

START_TEST(test_idle_connection)
    {
        struct script script;
        struct rpc_limits limits = rpc_limits_default;
        limits.keepalive_ns = 0;
        begin(&script, &limits);
        put_call(&script.bytes, 1, "/test.v1.Pair/Echo", 1);
        play(&script);
        pair_turns(script.pair, 2);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 200 * NS_PER_S));
        pair_send(script.pair);
        check_alive(&script);
        ck_assert(h2_sweep(script.pair->h2, clock_now() + 301 * NS_PER_S));
        pair_send(script.pair);
        ck_assert_int_eq(script.pair->goaway_last, 0x7FFFFFFF);
        ck_assert_uint_eq(pair_limit(script.pair, "idle"), 1);
        ck_assert_uint_eq(script.pair->pings, 1);
        raw_frame(&script.bytes, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, slice_make("goodbye", 8));
        play(&script);
        (void)h2_sweep(script.pair->h2, clock_now());
        pair_send(script.pair);
        ck_assert_int_eq(script.pair->goaways, 2);
        ck_assert_int_eq(script.pair->goaway_last, 1);
        ck_assert_uint_eq(script.pair->goaway_error, NGHTTP2_NO_ERROR);
        ck_assert(script.pair->ended);
        finish(&script);
    }
END_TEST

/* What was sent before the client saw the notice is served; the last GOAWAY names it. */
START_TEST(test_shutdown_serves_what_was_sent)
    {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        int32_t slow = pair_call(pair, "Sleep", 100);
        pair_turns(pair, 2);
        h2_shutdown(pair->h2);
        int32_t late = pair_call(pair, "Echo", 1); /* the client has not read the notice yet */
        pair_turn(pair);
        ck_assert_int_eq(answer_status(pair_finish(pair, late)), GRPC_OK);
        ck_assert_int_eq(answer_status(pair_finish(pair, slow)), GRPC_OK);
        pair_turns(pair, 2);
        ck_assert_int_eq(pair->goaways, 2);
        ck_assert_int_eq(pair->goaway_last, late);
        ck_assert(pair->ended);
        pair_free(pair);
    }
END_TEST

/* A client that never answers the ping does not keep us. */
START_TEST(test_shutdown_without_ping_ack)
    {
        struct script script;
        begin(&script, NULL);
        play(&script);
        h2_shutdown(script.pair->h2);
        pair_send(script.pair);
        (void)h2_sweep(script.pair->h2, clock_now());
        pair_send(script.pair);
        ck_assert_int_eq(script.pair->goaways, 1);
        (void)h2_sweep(script.pair->h2, clock_now() + 2 * NS_PER_S);
        pair_send(script.pair);
        ck_assert_int_eq(script.pair->goaways, 2);
        ck_assert(script.pair->ended);
        finish(&script);
    }
END_TEST

/* Not a proof, but a cheap walk through states that nobody thought of; the sanitizers watch. */
static void put_random(struct buf *out, uint32_t id)
{
    static const char *const paths[] = {"/test.v1.Pair/Echo", "/test.v1.Pair/Sleep",
                                        "/test.v1.Pair/Large", "/test.v1.Pair/None"};
    uint32_t target = 1 + 2 * (uint32_t)(rand() % (int)(id / 2 + 1));
    switch (rand() % 8) {
    case 0:
    case 1:
    case 2:
        put_call(out, id, paths[rand() % 4], rand() % 50);
        break;
    case 3:
        raw_headers(out, id, paths[rand() % 4], rand() % 2 ? NGHTTP2_FLAG_END_STREAM : 0);
        break;
    case 4:
        put_number(out, NGHTTP2_RST_STREAM, target, (uint32_t)(rand() % 14));
        break;
    case 5:
        raw_frame(out, NGHTTP2_DATA, rand() % 2 ? NGHTTP2_FLAG_END_STREAM : 0, target,
                  slice_make("\0\0\0\0\2\x08\7", (size_t)(rand() % 8)));
        break;
    case 6:
        put_number(out, NGHTTP2_WINDOW_UPDATE, rand() % 2 ? target : 0, (uint32_t)(rand() % 1000));
        break;
    default:
        put_ping(out);
        break;
    }
}

START_TEST(test_random_scripts)
    {
        srand(20261123);
        for (int round = 0; round < 300; round++) {
            struct script script;
            struct rpc_limits limits = rpc_limits_default;
            limits.running_handlers = 1 + (uint32_t)(rand() % 5);
            limits.requests_per_turn = 1 + (uint32_t)(rand() % 5);
            begin(&script, &limits);
            for (uint32_t i = 0; i < 40; i++)
                put_random(&script.bytes, 1 + 2 * i);
            if (rand() % 2 == 0)
                script.bytes.data[(size_t)rand() % buf_size(&script.bytes)] ^=
                    (uint8_t)(1 << rand() % 8);
            while (buf_size(&script.bytes) > 0 && !script.pair->ended) {
                size_t size = 1 + (size_t)rand() % 200;
                size = size < buf_size(&script.bytes) ? size : buf_size(&script.bytes);
                pair_feed(script.pair, slice_make(buf_slice(&script.bytes).data, size));
                buf_consume(&script.bytes, size);
                if (rand() % 3 == 0)
                    loop_turn(script.pair->loop, 0);
                if (rand() % 3 == 0)
                    pair_send(script.pair);
                if (rand() % 10 == 0)
                    (void)h2_sweep(script.pair->h2,
                                   clock_now() + (uint64_t)(rand() % 12) * NS_PER_S);
            }
            finish(&script);
        }
    }
END_TEST

Suite *suite_rpc_h2_work(void);
Suite *suite_rpc_h2_work(void)
{
    Suite *suite = suite_create("rpc_h2_work");
    TCase *tests = tcase_create("work");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_too_many_streams);
    tcase_add_test(tests, test_running_handlers);
    tcase_add_test(tests, test_held_requests_that_end);
    tcase_add_test(tests, test_requests_per_turn);
    tcase_add_test(tests, test_queued_answers);
    tcase_add_test(tests, test_header_block_timeout);
    tcase_add_test(tests, test_body_stall);
    tcase_add_test(tests, test_answer_stall);
    tcase_add_test(tests, test_stalled_answers_are_bounded);
    tcase_add_test(tests, test_body_rate);
    tcase_add_test(tests, test_a_slow_body_may_come);
    tcase_add_test(tests, test_room_for_large_messages);
    tcase_add_test(tests, test_waiting_for_room_is_no_stall);
    tcase_add_test(tests, test_keepalive);
    tcase_add_test(tests, test_keepalive_while_shutting_down);
    tcase_add_test(tests, test_idle_connection);
    tcase_add_test(tests, test_shutdown_serves_what_was_sent);
    tcase_add_test(tests, test_shutdown_without_ping_ack);
    tcase_add_test(tests, test_random_scripts);
    suite_add_tcase(suite, tests);
    return suite;
}
