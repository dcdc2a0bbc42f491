/* A whole call as bytes: each cut of it, and each with one byte changed to each other value.  Whatever that makes of it,
 * nothing of it stays when the client says nothing more, and the next client is served. */
#include "h2_pair.h"

#define LATER_NS (11 * NS_PER_S)  /* than any patience with a request but the deadline … */
#define LATEST_NS (31 * NS_PER_S) /* … and than that */
#define TURNS 4

/* A client whose connection may be anything: its answers are looked at only as far as frames go. */
struct client {
    struct pair *pair;
    bool over;     /* the server closes the connection */
    bool answered; /* with a message and trailers, whatever they say */
    size_t goaways;
};

static void whole_call(struct buf *bytes)
{
    raw_preface(bytes);
    raw_headers(bytes, 1, "/test.v1.Pair/Echo", 0);
    struct buf *body = pair_message(7, "hello");
    raw_frame(bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, buf_slice(body));
    pair_drop_body(body);
}

/* raw_take() has a place for each of a few streams; here a stream's number may be any. */
static void take_answers(struct client *client, struct slice bytes)
{
    bool has_data = false;
    for (struct raw_seen frame; raw_next(&bytes, &frame);) {
        client->goaways += frame.type == NGHTTP2_GOAWAY;
        has_data = has_data || frame.type == NGHTTP2_DATA;
        if (frame.type == NGHTTP2_HEADERS && (frame.flags & NGHTTP2_FLAG_END_STREAM) && has_data)
            client->answered = true;
    }
}

static void turns(struct client *client)
{
    struct pair *pair = client->pair;
    for (int i = 0; i < TURNS; i++) {
        loop_turn(pair->loop, 0);
        h2_turn(pair->h2);
        if (!h2_send(pair->h2, &pair->to_client, SIZE_MAX / 2) || h2_is_over(pair->h2))
            client->over = true;
        take_answers(client, buf_slice(&pair->to_client));
        buf_clear(&pair->to_client);
    }
}

static void sweep(struct client *client, uint64_t ahead_ns)
{
    if (!client->over && !h2_sweep(client->pair->h2, clock_now() + ahead_ns))
        client->over = true;
    turns(client);
}

/* One connection from its first byte until nothing is left of what it asked. */
static struct client tell(struct pair *pair, struct slice bytes)
{
    struct client client = {.pair = pair};
    pair->h2 = h2_new(pair->worker, pair->caller, pair, pair_wants_flush);
    client.over = !h2_receive(pair->h2, bytes);
    turns(&client);
    for (uint64_t ahead_ns = LATER_NS; ahead_ns <= 2 * LATEST_NS; ahead_ns += LATER_NS)
        sweep(&client, ahead_ns);
    ck_assert_msg(client.over || list_is_empty(&pair->h2->streams), "a stream stays open");
    pair_drop(pair);
    return client;
}

static void check_served(struct pair *pair, struct slice whole)
{
    int before = pair->invocations;
    struct client client = tell(pair, whole);
    ck_assert(client.answered);
    ck_assert_uint_eq(client.goaways, 0);
    ck_assert_int_eq(pair->invocations, before + 1);
}

START_TEST(test_each_cut)
    {
        struct pair *pair = pair_make(NULL, NULL);
        struct buf whole = BUF_EMPTY;
        whole_call(&whole);
        for (size_t size = 0; size < buf_size(&whole); size++) {
            struct client client = tell(pair, slice_make(buf_slice(&whole).data, size));
            ck_assert_msg(!client.answered, "answered after %zu bytes", size);
        }
        ck_assert_int_eq(pair->invocations, 0);
        check_served(pair, buf_slice(&whole));
        buf_deinit(&whole);
        pair_free(pair);
    }
END_TEST

/* Of each byte some values must be noticed: were all taken for good, nothing would be looked at. */
START_TEST(test_each_byte)
    {
        struct pair *pair = pair_make(NULL, NULL);
        struct buf whole = BUF_EMPTY;
        whole_call(&whole);
        size_t size = buf_size(&whole), noticed = 0;
        uint8_t *bytes = xcalloc(1, size);
        memcpy(bytes, buf_slice(&whole).data, size);
        for (size_t place = 0; place < size; place++) {
            uint8_t good = bytes[place];
            for (unsigned change = 1; change <= 0xff; change++) {
                bytes[place] = (uint8_t)(good ^ change);
                struct client client = tell(pair, slice_make(bytes, size));
                noticed += !client.answered || client.goaways > 0;
            }
            bytes[place] = good;
            check_served(pair, buf_slice(&whole));
        }
        ck_assert_uint_gt(noticed, size * 0xff / 2);
        free(bytes);
        buf_deinit(&whole);
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_h2_damage(void);
Suite *suite_rpc_h2_damage(void)
{
    Suite *suite = suite_create("rpc_h2_damage");
    TCase *tests = tcase_create("damage");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, test_each_cut);
    tcase_add_test(tests, test_each_byte);
    suite_add_tcase(suite, tests);
    return suite;
}
