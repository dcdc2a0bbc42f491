/* What one connection may have of a turn of the loop, and who of it has that: requests, held ones, streams.  A turn is
 * made as a connection makes it: what it reads, then tasks, then the flush with held requests. */
#include "tests/unit/rpc/h2_pair.h"

#include "rpc/framing.h"

#include <string.h>
#include <unistd.h>

#define MESSAGES 300
#define MESSAGE_BYTES 1950 /* of fields that are none of ours: each is charged as 64,350 */
#define SHARE_BYTES ((size_t)120 << 10) /* of a turn: two of them are more */

struct turning {
    struct pair *pair;
    struct deferred flush;
};

static void on_flush(void *owner)
{
    pair_send(((struct turning *)owner)->pair);
}

static struct turning *turning_new(void)
{
    struct turning *turning = xcalloc(1, sizeof *turning);
    struct rpc_limits limits = rpc_limits_default;
    limits.decoded_per_turn = SHARE_BYTES;
    turning->pair = pair_new(&limits);
    pair_connect(turning->pair);
    turning->flush = (struct deferred){.callback = on_flush, .owner = turning};
    return turning;
}

static void turning_free(struct turning *turning)
{
    loop_defer_cancel(turning->pair->loop, &turning->flush);
    pair_free(turning->pair);
    free(turning);
}

static void turn(struct turning *turning)
{
    struct pair *pair = turning->pair;
    const uint8_t *bytes;
    for (ssize_t size; (size = nghttp2_session_mem_send(pair->client, &bytes)) > 0;)
        pair_feed(pair, slice_make(bytes, (size_t)size));
    loop_defer(pair->loop, &turning->flush);
    loop_turn(pair->loop, 0);
}

/* Turns until the stream is closed, and how many. */
static int turns_until(struct turning *turning, int32_t id)
{
    int turns = 0;
    for (; !pair_exchange(turning->pair, id)->closed; turns++) {
        ck_assert_int_lt(turns, 10 * MESSAGES);
        turn(turning);
    }
    return turns;
}

static int32_t begin_stream(struct turning *turning, int messages)
{
    uint8_t fields[MESSAGE_BYTES];
    struct buf *body = xcalloc(1, sizeof *body);
    for (size_t at = 0; at < sizeof fields; at += 2)
        memcpy(fields + at, "\x7a", 2); /* number 15, empty */
    for (int i = 0; i < messages; i++)
        framing_put(body, slice_make(fields, sizeof fields));
    return pair_request(turning->pair, "/test.v1.Pair/Sum", NULL, body);
}

START_TEST(a_stream_leaves_time_to_those_that_are_held)
    {
        struct turning *turning = turning_new();
        int32_t ids[40];
        int32_t stream = begin_stream(turning, MESSAGES);
        for (int i = 0; i < 4; i++)
            turn(turning);
        for (int i = 0; i < 40; i++) /* more than start in a turn */
            ids[i] = pair_call(turning->pair, "Echo", 1);
        ck_assert_int_lt(turns_until(turning, ids[39]), 10);
        ck_assert(!pair_exchange(turning->pair, stream)->closed);
        turns_until(turning, stream);
        turning_free(turning);
    }
END_TEST

START_TEST(streams_take_turns)
    {
        struct turning *turning = turning_new();
        int32_t large = begin_stream(turning, MESSAGES);
        turn(turning);
        int32_t small = begin_stream(turning, 4);
        turns_until(turning, small);
        ck_assert(!pair_exchange(turning->pair, large)->closed);
        turns_until(turning, large);
        turning_free(turning);
    }
END_TEST

/* Who is at the front of the line may go away. */
START_TEST(a_stream_that_is_reset_leaves_the_line)
    {
        struct turning *turning = turning_new();
        int32_t ids[3];
        for (int i = 0; i < 3; i++)
            ids[i] = begin_stream(turning, i == 2 ? 20 : MESSAGES);
        for (int i = 0; i < 5; i++)
            turn(turning);
        ck_assert_uint_gt(turning->pair->h2->readers.count, 0);
        for (int i = 0; i < 2; i++)
            nghttp2_submit_rst_stream(turning->pair->client, 0, ids[i], NGHTTP2_CANCEL);
        turns_until(turning, ids[2]);
        ck_assert_uint_eq(turning->pair->h2->readers.count, 0);
        turning_free(turning);
    }
END_TEST

START_TEST(requests_have_a_share_of_each_turn)
    {
        struct turning *turning = turning_new();
        uint32_t limit = rpc_limits_default.requests_per_turn;
        turn(turning);
        turn(turning);
        for (int i = 0; i < 100; i++)
            (void)pair_call(turning->pair, "Sleep", 20);
        for (uint32_t turns = 1; turns <= 3; turns++) {
            turn(turning);
            ck_assert_uint_eq(turning->pair->h2->running_calls.count, turns * limit);
        }
        turning_free(turning);
    }
END_TEST

Suite *suite_rpc_h2_shares(void);
Suite *suite_rpc_h2_shares(void)
{
    Suite *suite = suite_create("rpc_h2_shares");
    TCase *tests = tcase_create("shares");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_stream_leaves_time_to_those_that_are_held);
    tcase_add_test(tests, streams_take_turns);
    tcase_add_test(tests, a_stream_that_is_reset_leaves_the_line);
    tcase_add_test(tests, requests_have_a_share_of_each_turn);
    suite_add_tcase(suite, tests);
    return suite;
}
