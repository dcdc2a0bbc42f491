/* Compressed messages on calls: who gets which answer, and what a client may not do with it. */
#include "h2_pair.h"

#include "rpc/gzip.h"

#include <string.h>

static const struct extra gzip_both[] = {
    {"grpc-encoding", "gzip"}, {"grpc-accept-encoding", "identity, gzip"}, {NULL, NULL}};
static const struct extra gzip_silent[] = {{"grpc-encoding", "gzip"}, {NULL, NULL}};
static const struct extra gzip_one_way[] = {
    {"grpc-encoding", "gzip"}, {"grpc-accept-encoding", "identity,deflate"}, {NULL, NULL}};
static const struct extra gzip_accepted[] = {{"grpc-accept-encoding", "identity, deflate, gzip"},
                                             {NULL, NULL}};

static struct pair *connected(void)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    return pair;
}

/* A framed message, compressed, on the heap. */
static struct buf *compressed(struct buf *framed)
{
    struct buf packed = BUF_EMPTY;
    struct buf *body = xcalloc(1, sizeof *body);
    gzip_deflate(slice_skip(buf_slice(framed), FRAME_PREFIX_SIZE), &packed);
    framing_put(body, buf_slice(&packed));
    body->data[body->start] = FRAME_COMPRESSED;
    buf_deinit(&packed);
    pair_drop_body(framed);
    return body;
}

static struct buf *long_message(int code, size_t size)
{
    char *text = xcalloc(1, size + 1);
    memset(text, 'x', size);
    struct buf *body = pair_message(code, text);
    free(text);
    return body;
}

static struct exchange *ask(struct pair *pair, const char *method, const struct extra *extras,
                            struct buf *body)
{
    char path[64];
    snprintf(path, sizeof path, "/test.v1.Pair/%s", method);
    return pair_finish(pair, pair_request(pair, path, extras, body));
}

/* The next message of `bytes` and whether it came compressed. */
static Google__Rpc__Status *message_take(struct slice *bytes, bool *was_compressed)
{
    struct framing framing;
    struct buf plain = BUF_EMPTY;
    framing_init(&framing, 1u << 22);
    framing.may_compress = true;
    ck_assert_int_eq(framing_take(&framing, bytes), FRAMING_OK);
    ck_assert(framing_has_message(&framing));
    *was_compressed = framing_is_compressed(&framing);
    if (*was_compressed)
        ck_assert_int_eq(gzip_inflate(buf_slice(&framing.message), 1u << 22, &plain), GZIP_OK);
    else
        buf_put_slice(&plain, buf_slice(&framing.message));
    Google__Rpc__Status *message =
        google__rpc__status__unpack(NULL, buf_size(&plain), buf_slice(&plain).data);
    ck_assert_ptr_nonnull(message);
    framing_deinit(&framing);
    buf_deinit(&plain);
    return message;
}

/* The first message of the answer. */
static Google__Rpc__Status *first_of(const struct exchange *exchange, bool *was_compressed)
{
    struct slice bytes = buf_slice(&exchange->body);
    return message_take(&bytes, was_compressed);
}

static void check_echo(const struct exchange *exchange, size_t size, bool wants_compressed)
{
    bool was_compressed;
    ck_assert_int_eq(answer_status(exchange), GRPC_OK);
    Google__Rpc__Status *message = first_of(exchange, &was_compressed);
    ck_assert_uint_eq(strlen(message->message), size);
    ck_assert_int_eq(was_compressed, wants_compressed);
    const char *encoding = answer_field(exchange, "grpc-encoding");
    ck_assert(wants_compressed ? encoding != NULL && strcmp(encoding, "gzip") == 0
                               : encoding == NULL);
    google__rpc__status__free_unpacked(message, NULL);
}

START_TEST(who_compresses_is_answered_so)
    {
        struct pair *pair = connected();
        check_echo(ask(pair, "Echo", gzip_both, compressed(long_message(1, 5000))), 5000, true);
        check_echo(ask(pair, "Echo", gzip_silent, compressed(long_message(1, 5000))), 5000, true);
        /* the flag says it for each message: an uncompressed one is as good */
        check_echo(ask(pair, "Echo", gzip_both, long_message(1, 5000)), 5000, true);
        /* what would not get smaller is sent as it is */
        check_echo(ask(pair, "Echo", gzip_both, compressed(long_message(1, 3))), 3, false);
        pair_free(pair);
    }
END_TEST

START_TEST(nobody_else_pays_for_it)
    {
        struct pair *pair = connected();
        check_echo(ask(pair, "Echo", gzip_accepted, long_message(1, 5000)), 5000, false);
        check_echo(ask(pair, "Echo", gzip_one_way, compressed(long_message(1, 5000))), 5000, false);
        pair_free(pair);
    }
END_TEST

/* For a client that accepts gzip and sends plain: gRPC's server_compressed_unary.  Nobody gets what he cannot read. */
START_TEST(the_handler_may_choose)
    {
        struct pair *pair = connected();
        check_echo(ask(pair, "Choose", gzip_accepted, long_message(1, 5000)), 5000, true);
        check_echo(ask(pair, "Choose", gzip_accepted, long_message(0, 5000)), 5000, false);
        check_echo(ask(pair, "Choose", gzip_both, compressed(long_message(0, 5000))), 5000, false);
        check_echo(ask(pair, "Choose", gzip_one_way, compressed(long_message(1, 5000))), 5000, false);
        check_echo(ask(pair, "Choose", NULL, long_message(1, 5000)), 5000, false);
        pair_free(pair);
    }
END_TEST

/* And server_compressed_streaming: the encoding is that of the call, the flag each message's own. */
START_TEST(the_handler_may_choose_for_each_message)
    {
        struct pair *pair = connected();
        struct exchange *exchange = ask(pair, "Alternate", gzip_accepted, long_message(4, 5000));
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        ck_assert_str_eq(answer_field(exchange, "grpc-encoding"), "gzip");
        struct slice bytes = buf_slice(&exchange->body);
        for (int i = 0; i < 4; i++) {
            bool was_compressed;
            Google__Rpc__Status *message = message_take(&bytes, &was_compressed);
            ck_assert_uint_eq(strlen(message->message), 5000);
            ck_assert_int_eq(was_compressed, i % 2 == 0);
            google__rpc__status__free_unpacked(message, NULL);
        }
        ck_assert_uint_eq(bytes.size, 0);
        pair_free(pair);
    }
END_TEST

static struct exchange *ask_raw(struct pair *pair, const void *bytes, size_t size)
{
    struct buf *body = xcalloc(1, sizeof *body);
    buf_put(body, bytes, size);
    return ask(pair, "Echo", gzip_both, body);
}

START_TEST(a_bomb_is_too_large)
    {
        struct pair *pair = connected();
        struct buf *bomb = compressed(long_message(1, 2u << 20));
        ck_assert_uint_lt(buf_size(bomb), 20000);
        struct exchange *exchange = ask(pair, "Echo", gzip_both, bomb);
        ck_assert_int_eq(answer_status(exchange), GRPC_RESOURCE_EXHAUSTED);
        ck_assert_int_eq(pair_limit(pair, "inflated_bytes"), 1);
        /* the method's own limit */
        exchange = ask(pair, "Small", gzip_both, compressed(long_message(1, 101)));
        ck_assert_int_eq(answer_status(exchange), GRPC_RESOURCE_EXHAUSTED);
        check_echo(ask(pair, "Import", gzip_both, compressed(long_message(1, 2u << 20))), 2u << 20,
                   true);
        pair_free(pair);
    }
END_TEST

START_TEST(broken_ones_are_internal)
    {
        struct pair *pair = connected();
        ck_assert_int_eq(answer_status(ask_raw(pair, "\1\0\0\0\3abc", 8)), GRPC_INTERNAL);
        ck_assert_int_eq(answer_status(ask_raw(pair, "\2\0\0\0\0", 5)), GRPC_INTERNAL);
        struct buf *cut = compressed(long_message(1, 500));
        cut->end--;
        cut->data[cut->start + 4]--;
        ck_assert_int_eq(answer_status(ask(pair, "Echo", gzip_both, cut)), GRPC_INTERNAL);
        /* no bytes are no message in gzip, but stock clients send an empty one like this */
        ck_assert_int_eq(answer_status(ask_raw(pair, "\1\0\0\0\0", 5)), GRPC_OK);
        pair_free(pair);
    }
END_TEST

START_TEST(messages_of_streams)
    {
        struct pair *pair = connected();
        struct buf *body = compressed(long_message(20, 3000));
        struct buf *plain = long_message(22, 10);
        buf_put_slice(body, buf_slice(plain));
        pair_drop_body(plain);
        struct exchange *exchange = ask(pair, "Sum", gzip_both, body);
        bool was_compressed;
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        Google__Rpc__Status *sum = first_of(exchange, &was_compressed);
        ck_assert_int_eq(sum->code, 42);
        google__rpc__status__free_unpacked(sum, NULL);

        exchange = ask(pair, "Chat", gzip_both, compressed(long_message(1, 4000)));
        check_echo(exchange, 4000, true);
        exchange = ask(pair, "Chat", gzip_one_way, compressed(long_message(1, 4000)));
        check_echo(exchange, 4000, false);
        exchange = ask(pair, "Sum", gzip_both, compressed(long_message(1, 2u << 20)));
        ck_assert_int_eq(answer_status(exchange), GRPC_RESOURCE_EXHAUSTED);
        pair_free(pair);
    }
END_TEST

/* All that the client has to send, in one turn of the loop, and no flush behind it. */
static void read_all(struct pair *pair)
{
    const uint8_t *bytes;
    for (ssize_t size; (size = nghttp2_session_mem_send(pair->client, &bytes)) > 0;)
        pair_feed(pair, slice_make(bytes, (size_t)size));
    loop_turn(pair->loop, 0);
}

/* A kilobyte that becomes a megabyte costs as much as a hundred small requests: one connection's do not all come before
 * the next connection's, and what one message was above the share the turn after it does without.  tests/hostile found the
 * client's median ten times its quiet value. */
START_TEST(large_ones_take_turns)
    {
        struct pair *pair = connected();
        int32_t ids[5];
        for (int i = 0; i < 5; i++)
            ids[i] = pair_request(pair, "/test.v1.Pair/Refuse", gzip_both,
                                  compressed(long_message(1, 200000)));
        read_all(pair);
        static const int begun_by_then[] = {2, 3, 4, 5}; /* the second goes 138 KB over 256 KiB, the third 76 KB */
        for (size_t turn = 0; turn < 4; turn++) {
            ck_assert_int_eq(pair->invocations, begun_by_then[turn]);
            ck_assert_uint_eq(pair_limit(pair, "decoded_per_turn"), 1);
            pair_send(pair);
            loop_turn(pair->loop, 0);
        }
        for (int i = 0; i < 5; i++)
            ck_assert_int_ne(answer_status(pair_finish(pair, ids[i])), GRPC_OK); /* and no answer's cost */
        pair_free(pair);
    }
END_TEST

/* Five answers of 10 KB, and then one request more: how many were handled in the next turn. */
static int handled_behind(int code, bool compressed_answers)
{
    struct pair *pair = connected();
    int32_t ids[6];
    for (int i = 0; i < 5; i++)
        ids[i] = pair_request(pair, "/test.v1.Pair/Choose", gzip_accepted, long_message(code, 10000));
    read_all(pair);
    ck_assert_int_eq(pair->invocations, 5);
    ids[5] = pair_request(pair, "/test.v1.Pair/Choose", gzip_accepted, long_message(code, 10));
    read_all(pair);
    int handled = pair->invocations;
    for (int i = 0; i < 5; i++)
        check_echo(pair_finish(pair, ids[i]), 10000, compressed_answers);
    ck_assert_int_eq(answer_status(pair_finish(pair, ids[5])), GRPC_OK);
    ck_assert_int_eq(pair->invocations, 6);
    pair_free(pair);
    return handled;
}

/* Who has large answers compressed makes up for it in the turns after. */
START_TEST(compressed_answers_are_charged)
    {
        ck_assert_int_eq(handled_behind(0, false), 6);
        ck_assert_int_eq(handled_behind(1, true), 5);
    }
END_TEST

/* A framed message of so many bytes of gzip members without content. */
static struct buf *padding(size_t size)
{
    struct buf members = BUF_EMPTY;
    struct buf *body = xcalloc(1, sizeof *body);
    while (buf_size(&members) < size)
        gzip_deflate(slice_make("", 0), &members);
    framing_put(body, buf_slice(&members));
    body->data[body->start] = FRAME_COMPRESSED;
    buf_deinit(&members);
    return body;
}

START_TEST(bytes_without_content_are_charged)
    {
        struct pair *pair = connected();
        struct exchange *exchange = ask(pair, "Echo", gzip_both, padding(1u << 19));
        ck_assert_int_eq(answer_status(exchange), GRPC_INVALID_ARGUMENT);
        ck_assert_int_eq(pair_limit(pair, "compressed_padding"), 1);
        pair_turns(pair, 40); /* which the large one has used up */
        /* small ones are let through, and no more than a turn's share of them in a turn */
        int32_t ids[4];
        for (int i = 0; i < 4; i++)
            ids[i] = pair_request(pair, "/test.v1.Pair/Echo", gzip_both, padding(9000));
        int before = pair->invocations;
        read_all(pair);
        ck_assert_int_eq(pair->invocations, before + 2);
        ck_assert_uint_eq(pair_limit(pair, "decoded_per_turn"), 1);
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(answer_status(pair_finish(pair, ids[i])), GRPC_OK);
        pair_free(pair);
    }
END_TEST

/* What takes long to read for its size is charged for that: fields, and JSON. */
START_TEST(reading_is_charged)
    {
        static const struct extra connect_json[] = {{"content-type", "application/json"}, {NULL, NULL}};
        bool json = _i == 1;
        uint8_t bytes[8002];
        struct slice message = slice_make(bytes, json ? 8002 : 1950);
        memset(bytes, ' ', 8000);
        memcpy(bytes + 8000, "{}", 2);
        for (size_t field = 0; !json && field < 1950; field += 2)
            memcpy(bytes + field, "\x7a", 2); /* number 15, empty: none of ours */
        struct pair *pair = connected();
        int32_t ids[6];
        for (int i = 0; i < 6; i++) {
            struct buf *body = xcalloc(1, sizeof *body);
            json ? buf_put_slice(body, message) : framing_put(body, message);
            ids[i] = pair_request(pair, "/test.v1.Pair/Echo", json ? connect_json : gzip_accepted, body);
        }
        read_all(pair);
        ck_assert_int_eq(pair->invocations, json ? 2 : 5); /* 136,034 and 64,350 each: 262,144 are a turn's */
        ck_assert_uint_eq(pair_limit(pair, "decoded_per_turn"), 1);
        for (int i = 0; i < 6; i++)
            ck_assert_ptr_nonnull(pair_finish(pair, ids[i]));
        ck_assert_int_eq(pair->invocations, 6);
        pair_free(pair);
    }
END_TEST

/* Nor those of one stream, which need no request to start. */
START_TEST(messages_of_streams_take_turns)
    {
        struct pair *pair = connected();
        struct buf *body = xcalloc(1, sizeof *body);
        for (int i = 1; i <= 6; i++) {
            struct buf *one = compressed(long_message(i, 200000));
            buf_put_slice(body, buf_slice(one));
            pair_drop_body(one);
        }
        int32_t id = pair_request(pair, "/test.v1.Pair/Sum", gzip_both, body);
        read_all(pair);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(pair->finished, 0); /* two in a turn */
            loop_turn(pair->loop, 0);
        }
        ck_assert_uint_ge(pair_limit(pair, "decoded_per_turn"), 1);
        bool was_compressed;
        struct exchange *exchange = pair_finish(pair, id);
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        Google__Rpc__Status *sum = first_of(exchange, &was_compressed);
        ck_assert_int_eq(sum->code, 21);
        google__rpc__status__free_unpacked(sum, NULL);
        pair_free(pair);
    }
END_TEST

Suite *suite_rpc_h2_gzip(void);
Suite *suite_rpc_h2_gzip(void)
{
    Suite *suite = suite_create("rpc/h2_gzip");
    TCase *cases = tcase_create("compression");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, who_compresses_is_answered_so);
    tcase_add_test(cases, nobody_else_pays_for_it);
    tcase_add_test(cases, the_handler_may_choose);
    tcase_add_test(cases, the_handler_may_choose_for_each_message);
    tcase_add_test(cases, a_bomb_is_too_large);
    tcase_add_test(cases, broken_ones_are_internal);
    tcase_add_test(cases, messages_of_streams);
    tcase_add_test(cases, large_ones_take_turns);
    tcase_add_test(cases, compressed_answers_are_charged);
    tcase_add_loop_test(cases, reading_is_charged, 0, 2);
    tcase_add_test(cases, messages_of_streams_take_turns);
    tcase_add_test(cases, bytes_without_content_are_charged);
    suite_add_tcase(suite, cases);
    return suite;
}
