/* Clients that read slowly: what they may hold, and for how long. */
#include "h2_script.h"

#define ANSWER 60000

/* Answers of 60 KB for a client with a window of nothing. */
static void ask(struct script *script, uint32_t count)
{
    begin(script, NULL);
    raw_frame(&script->bytes, NGHTTP2_SETTINGS, 0, 0, slice_make("\0\4\0\0\0\0", 6));
    for (uint32_t i = 0; i < count; i++)
        put_call(&script->bytes, 1 + 2 * i, "/test.v1.Pair/Large", ANSWER);
    play(script);
    while (script->pair->finished < (int)count)
        pair_turn(script->pair);
    pair_send(script->pair);
    ck_assert_uint_ge(script->pair->h2->queued, ANSWER * count);
}

/* A window for `bytes` of each answer, as if it were that late. */
static void read_some(struct script *script, uint32_t count, uint32_t bytes, uint64_t now_ns)
{
    struct pair *pair = script->pair;
    put_number(&script->bytes, NGHTTP2_WINDOW_UPDATE, 0, count * bytes);
    for (uint32_t i = 0; i < count; i++) {
        if (!pair_exchange(pair, (int32_t)(1 + 2 * i))->closed)
            put_number(&script->bytes, NGHTTP2_WINDOW_UPDATE, 1 + 2 * i, bytes);
    }
    play(script);
    for (struct list_node *node = list_first(&pair->h2->streams); node != NULL;
         node = list_next(&pair->h2->streams, node))
        list_entry(node, struct h2_stream, node)->progress_ns = now_ns;
    ck_assert(h2_sweep(pair->h2, now_ns));
    pair_send(pair);
}

/* Found by review: a byte now and then was progress, and 1.8 MB lay here until the connection was old. */
START_TEST(test_a_byte_now_and_then)
    {
        struct script script;
        ask(&script, 30);
        uint64_t begun = clock_now();
        for (uint64_t second = 0; second <= 12; second += 4)
            read_some(&script, 30, 1, begun + second * NS_PER_S);
        ck_assert_uint_eq(script.pair->h2->queued, 0);
        ck_assert_uint_eq(pair_limit(script.pair, "write_rate"), 30);
        ck_assert_uint_eq(pair_exchange(script.pair, 1)->reset_error, NGHTTP2_CANCEL);
        check_alive(&script);
        finish(&script);
    }
END_TEST

/* 2 KiB a second is slow and allowed, and so are the last bytes, however few. */
START_TEST(test_a_slow_reader)
    {
        struct script script;
        ask(&script, 3);
        uint64_t begun = clock_now();
        for (uint64_t second = 0; second < 31; second++)
            read_some(&script, 3, 2048, begun + second * NS_PER_S);
        ck_assert_uint_eq(script.pair->h2->queued, 0);
        for (int32_t id = 1; id < 7; id += 2)
            ck_assert_int_eq(answer_status(pair_exchange(script.pair, id)), GRPC_OK);
        ck_assert_uint_eq(pair_limit(script.pair, "write_rate"), 0);
        finish(&script);
    }
END_TEST

/* The same of a stream of messages: few bytes a second, but no fewer than there are. */
START_TEST(test_a_stream_of_small_messages)
    {
        struct script script;
        begin(&script, NULL);
        raw_headers(&script.bytes, 1, "/test.v1.Pair/Chat", 0);
        play(&script);
        pair_turns(script.pair, 2);
        struct h2_stream *stream = h2_stream_find(script.pair->h2, 1);
        uint64_t now = clock_now();
        for (int i = 0; i < 30; i++) {
            struct buf *body = pair_message(1, "tick");
            raw_frame(&script.bytes, NGHTTP2_DATA, 0, 1, buf_slice(body));
            pair_drop_body(body);
            pair_raw(script.pair, &script.bytes);
            loop_turn(script.pair->loop, 0);
            ck_assert_uint_gt(buf_size(&stream->flow->outbox), 0);
            stream->progress_ns = now += NS_PER_S;
            ck_assert(h2_sweep(script.pair->h2, now)); /* just as it lies there */
            pair_send(script.pair);
        }
        ck_assert(!pair_exchange(script.pair, 1)->reset);
        ck_assert_uint_eq(pair_limit(script.pair, "write_rate"), 0);
        finish(&script);
    }
END_TEST

Suite *suite_rpc_h2_readers(void);
Suite *suite_rpc_h2_readers(void)
{
    Suite *suite = suite_create("rpc_h2_readers");
    TCase *tests = tcase_create("readers");
    tcase_add_test(tests, test_a_byte_now_and_then);
    tcase_add_test(tests, test_a_slow_reader);
    tcase_add_test(tests, test_a_stream_of_small_messages);
    suite_add_tcase(suite, tests);
    return suite;
}
