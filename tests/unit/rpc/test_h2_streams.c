/* Methods that stream: messages both ways, flow control, ends of every kind. */
#include "h2_talk.h"

#include <string.h>
#include <unistd.h>

/* The numbers of the messages that came; -1 behind the last. */
static size_t numbers_of(const struct exchange *exchange, int *numbers, size_t room)
{
    struct slice bytes = buf_slice(&exchange->body);
    size_t count = 0;
    while (bytes.size > 0) {
        struct framing framing;
        framing_init(&framing, 1u << 22);
        ck_assert_int_eq(framing_take(&framing, &bytes), FRAMING_OK);
        ck_assert(framing_has_message(&framing));
        struct slice packed = buf_slice(&framing.message);
        Google__Rpc__Status *message = google__rpc__status__unpack(NULL, packed.size, packed.data);
        ck_assert_ptr_nonnull(message);
        if (count < room)
            numbers[count] = message->code;
        count++;
        google__rpc__status__free_unpacked(message, NULL);
        framing_deinit(&framing);
    }
    return count;
}

/* --- the server streams ---------------------------------------------------------------------------------- */

START_TEST(a_server_sends_as_many_as_it_likes)
{
    static const int counts[] = {0, 1, 2, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct pair *pair = pair_new(NULL);
        pair_connect(pair);
        struct exchange *exchange = pair_finish(pair, pair_call(pair, "Count", counts[i]));
        int numbers[1000];
        ck_assert_uint_eq(numbers_of(exchange, numbers, 1000), (size_t)counts[i]);
        for (int n = 0; n < counts[i]; n++)
            ck_assert_int_eq(numbers[n], n + 1);
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        ck_assert_int_eq(exchange->blocks, 2); /* headers and trailers, also without a message */
        ck_assert_str_eq(answer_field(exchange, "x-before"), "yes");
        ck_assert_str_eq(answer_field(exchange, "x-after"), "yes");
        ck_assert(!exchange->reset);
        pair_free(pair);
    }
}
END_TEST

START_TEST(an_error_behind_messages_stands_in_the_trailers)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    struct exchange *exchange = pair_finish(pair, pair_call(pair, "Count", -3));
    ck_assert_uint_eq(numbers_of(exchange, NULL, 0), 3);
    ck_assert_int_eq(answer_status(exchange), GRPC_ALREADY_EXISTS);
    ck_assert_ptr_nonnull(strstr(answer_field(exchange, "grpc-message"), "SLUG_TAKEN"));
    ck_assert_ptr_nonnull(answer_field(exchange, "grpc-status-details-bin"));
    ck_assert_int_eq(exchange->blocks, 2);
    pair_free(pair);
}
END_TEST

/* Windows of 64 KiB, and the client gives none back: the handler waits and holds no more than the outbox. */
START_TEST(a_client_that_does_not_read_holds_the_handler)
{
    struct pair *pair = pair_new(NULL);
    pair_connect(pair);
    char *text = xmalloc(10001);
    memset(text, 'x', 10000);
    text[10000] = '\0';
    nghttp2_session_set_local_window_size(pair->client, NGHTTP2_FLAG_NONE, 0, 65535);
    int32_t id = pair_request(pair, "/test.v1.Pair/Count", NULL, pair_message(50, text));
    free(text);
    pair_turns(pair, 20); /* nghttp2's client gives windows back by itself, below */
    struct exchange *exchange = pair_finish(pair, id);
    ck_assert_uint_eq(numbers_of(exchange, NULL, 0), 50);
    pair_free(pair);
}
END_TEST

START_TEST(the_outbox_is_bounded)
{
    struct pair *pair = pair_new(NULL);
    nghttp2_option *option = NULL;
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
    nghttp2_session_client_new2(&pair->client, callbacks, pair, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_submit_settings(pair->client, NGHTTP2_FLAG_NONE, NULL, 0);
    char *text = xmalloc(10001);
    memset(text, 'x', 10000);
    text[10000] = '\0';
    int32_t id = pair_request(pair, "/test.v1.Pair/Count", NULL, pair_message(100, text));
    free(text);
    pair_turns(pair, 50);
    struct exchange *exchange = pair_exchange(pair, id);
    ck_assert_uint_le(buf_size(&exchange->body), 65535);
    ck_assert_uint_le(pair->h2->queued, FLOW_OUTBOX_MAX + 10100);
    ck_assert_uint_ge(pair->h2->queued, FLOW_OUTBOX_MAX);
    ck_assert_int_eq(pair->finished, 0);
    size_t given = 0;
    while (!exchange->closed) { /* now it reads */
        size_t came = buf_size(&exchange->body);
        nghttp2_session_consume(pair->client, id, came - given);
        given = came;
        pair_turns(pair, 2);
        ck_assert_uint_le(pair->h2->queued, FLOW_OUTBOX_MAX + 10100);
    }
    ck_assert_uint_eq(numbers_of(exchange, NULL, 0), 100);
    ck_assert_uint_eq(pair->h2->queued, 0);
    pair_free(pair);
}
END_TEST

/* --- the client streams ------------------------------------------------------------------------------------ */

START_TEST(a_client_sends_as_many_as_it_likes)
{
    static const int counts[] = {0, 1, 2, 40};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct pair *pair = pair_new(NULL);
        struct talk talk;
        int number = 0;
        pair_connect(pair);
        talk_open(&talk, pair, "Sum", NULL);
        pair_turns(pair, 2);
        ck_assert_int_eq(pair->invocations, 1); /* it does not wait for the first message */
        for (int n = 1; n <= counts[i]; n++)
            talk_say(&talk, n);
        ck_assert_int_eq(pair->finished, 0);
        struct exchange *exchange = talk_end(&talk);
        ck_assert_uint_eq(numbers_of(exchange, &number, 1), 1);
        ck_assert_int_eq(number, counts[i] * (counts[i] + 1) / 2);
        ck_assert_int_eq(answer_status(exchange), GRPC_OK);
        ck_assert_uint_eq(pair->h2->buffered, 0);
        pair_free(pair);
    }
}
END_TEST

/* All in one frame, and cut after every byte. */
START_TEST(messages_may_be_cut_anywhere)
{
    for (size_t step = 1; step < 40; step++) {
        struct pair *pair = pair_new(NULL);
        struct talk talk;
        int numbers[8];
        pair_connect(pair);
        talk_open(&talk, pair, "Chat", NULL);
        struct buf all = BUF_EMPTY;
        for (int n = 1; n <= 8; n++) {
            struct buf *message = pair_message(n, "hello");
            buf_put_slice(&all, buf_slice(message));
            pair_drop_body(message);
        }
        while (buf_size(&all) > 0) {
            size_t size = buf_size(&all) < step ? buf_size(&all) : step;
            buf_put(&talk.out, buf_slice(&all).data, size);
            buf_consume(&all, size);
            talk_resume(&talk);
        }
        buf_deinit(&all);
        struct exchange *exchange = talk_end(&talk);
        ck_assert_uint_eq(numbers_of(exchange, numbers, 8), 8);
        for (int n = 0; n < 8; n++)
            ck_assert_int_eq(numbers[n], n + 1);
        pair_free(pair);
    }
}
END_TEST

START_TEST(each_message_is_answered_when_it_comes)
{
    struct pair *pair = pair_new(NULL);
    struct talk talk;
    pair_connect(pair);
    talk_open(&talk, pair, "Chat", NULL);
    for (int n = 1; n <= 5; n++) {
        talk_say(&talk, n);
        pair_turns(pair, 3);
        ck_assert_uint_eq(numbers_of(pair_exchange(pair, talk.id), NULL, 0), (size_t)n);
    }
    ck_assert_int_eq(answer_status(talk_end(&talk)), GRPC_OK);
    pair_free(pair);
}
END_TEST

/* What the handler does not read stays with the client: one window, no more. */
START_TEST(an_unread_client_is_held)
{
    struct rpc_limits limits = rpc_limits_default;
    limits.running_handlers = 1;
    struct pair *pair = pair_new(&limits);
    struct talk talk;
    pair_connect(pair);
    int32_t busy = pair_call(pair, "Sleep", 300);
    pair_turns(pair, 2);
    talk_open(&talk, pair, "Sum", NULL); /* held: the one handler sleeps */
    for (int n = 0; n < 8000; n++) {
        struct buf *message = pair_message(0, "12345678901234567890");
        buf_put_slice(&talk.out, buf_slice(message));
        pair_drop_body(message);
    }
    talk_resume(&talk);
    pair_turns(pair, 10);
    ck_assert_uint_le(pair->h2->buffered, 64u << 10);
    ck_assert_uint_gt(buf_size(&talk.out), 100000);
    ck_assert_int_eq(answer_status(pair_finish(pair, busy)), GRPC_OK);
    ck_assert_int_eq(answer_status(talk_end(&talk)), GRPC_OK);
    pair_free(pair);
}
END_TEST

START_TEST(a_handler_may_stop_reading)
{
    struct pair *pair = pair_new(NULL);
    struct talk talk;
    int number = 0;
    pair_connect(pair);
    talk_open(&talk, pair, "Sum", NULL);
    talk_say(&talk, 600);
    talk_say(&talk, 600);
    pair_turns(pair, 5);
    struct exchange *exchange = pair_finish(pair, talk.id);
    ck_assert_uint_eq(numbers_of(exchange, &number, 1), 1);
    ck_assert_int_eq(number, 1200);
    ck_assert_int_eq(answer_status(exchange), GRPC_OK);
    ck_assert(exchange->reset); /* RFC 9113 section 8.1: NO_ERROR, stop sending */
    ck_assert_uint_eq(exchange->reset_error, NGHTTP2_NO_ERROR);
    buf_deinit(&talk.out);
    pair_free(pair);
}
END_TEST

START_TEST(broken_messages_end_the_call)
{
    static const struct {
        const char *bytes;
        size_t size;
        int status;
    } cases[] = {
        {"\1\0\0\0\0", 5, GRPC_INTERNAL},             /* compressed */
        {"\2\0\0\0\0", 5, GRPC_INTERNAL},             /* no such flag */
        {"\0\x7f\0\0\0", 5, GRPC_RESOURCE_EXHAUSTED}, /* too large */
        {"\0\0\0\0\2\xff\xff", 7, GRPC_INVALID_ARGUMENT},
        {"\0\0\0\0\5\1", 6, GRPC_INTERNAL}, /* cut off by the end */
        {"\0\0", 2, GRPC_INTERNAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair *pair = pair_new(NULL);
        struct talk talk;
        pair_connect(pair);
        talk_open(&talk, pair, "Chat", NULL);
        talk_say(&talk, 1);
        buf_put(&talk.out, cases[i].bytes, cases[i].size);
        struct exchange *exchange = talk_end(&talk);
        ck_assert_msg(answer_status(exchange) == cases[i].status, "case %zu: %d", i,
                      answer_status(exchange));
        ck_assert_uint_eq(numbers_of(exchange, NULL, 0), 1); /* what came before was served */
        pair_free(pair);
    }
}
END_TEST

/* For who operates such a client: the log says which rule it broke.  Both are INTERNAL on the wire. */
START_TEST(broken_flags_are_told_apart)
{
    static const struct {
        const char *prefix;
        const char *text;
    } cases[] = {
        {"\1\0\0\0\0", "a compressed message without grpc-encoding"},
        {"\2\0\0\0\0", "a message whose flag is neither 0 nor 1"},
        {"\x80\0\0\0\0", "a message whose flag is neither 0 nor 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int pipe_fds[2];
        ck_assert_int_eq(pipe(pipe_fds), 0);
        struct log log = {.fd = pipe_fds[1]};
        struct pair *pair = pair_make(NULL, &log);
        pair->h2 = h2_new(pair->worker, pair->caller, pair, pair_wants_flush);
        struct talk talk;
        pair_connect(pair);
        talk_open(&talk, pair, "Chat", NULL);
        buf_put(&talk.out, cases[i].prefix, 5);
        ck_assert_int_eq(answer_status(talk_end(&talk)), GRPC_INTERNAL);
        pair_free(pair);
        close(pipe_fds[1]);
        char lines[8192] = "";
        ssize_t got = read(pipe_fds[0], lines, sizeof lines - 1);
        ck_assert_int_gt(got, 0);
        ck_assert_msg(strstr(lines, cases[i].text) != NULL, "case %zu: %s", i, lines);
        close(pipe_fds[0]);
    }
}
END_TEST

/* --- ends ------------------------------------------------------------------------------------------------------ */

START_TEST(a_reset_cancels_the_wait_for_a_message)
{
    struct pair *pair = pair_new(NULL);
    struct talk talk;
    pair_connect(pair);
    talk_open(&talk, pair, "Chat", NULL);
    talk_say(&talk, 1);
    nghttp2_submit_rst_stream(pair->client, NGHTTP2_FLAG_NONE, talk.id, NGHTTP2_CANCEL);
    pair_turns(pair, 5);
    ck_assert_int_eq(pair->finished, 1);
    ck_assert_int_eq(pair->cancelled, 1);
    buf_deinit(&talk.out);
    pair_free(pair);
}
END_TEST

START_TEST(a_lost_connection_cancels_both_ways)
{
    struct pair *pair = pair_new(NULL);
    struct talk talks[3];
    pair_connect(pair);
    for (int i = 0; i < 3; i++) {
        talk_open(&talks[i], pair, i == 0 ? "Sum" : "Chat", NULL);
        talk_say(&talks[i], 1);
    }
    pair_drop(pair);
    for (int i = 0; i < 5; i++)
        loop_turn(pair->loop, NS_PER_MS);
    ck_assert_int_eq(pair->finished, 3);
    ck_assert_int_eq(pair->cancelled, 3);
    for (int i = 0; i < 3; i++)
        buf_deinit(&talks[i].out);
    pair_free(pair);
}
END_TEST

/* Before the first message a refusal alone; behind messages in the trailers. */
START_TEST(a_deadline_ends_streams)
{
    for (int said = 0; said < 2; said++) {
        struct pair *pair = pair_new(NULL);
        struct talk talk;
        pair_connect(pair);
        talk_open(&talk, pair, "Chat", (const struct extra[]){{"grpc-timeout", "150m"}, {NULL, NULL}});
        if (said > 0)
            talk_say(&talk, 1);
        struct exchange *exchange = pair_finish(pair, talk.id);
        ck_assert_int_eq(answer_status(exchange), GRPC_DEADLINE_EXCEEDED);
        ck_assert_int_eq(exchange->blocks, said + 1);
        ck_assert_uint_eq(numbers_of(exchange, NULL, 0), (size_t)said);
        buf_deinit(&talk.out);
        pair_free(pair);
    }
}
END_TEST

/* A stream without a deadline lasts: neither the default nor the cap of unary calls holds for it. */
START_TEST(a_quiet_stream_stays)
{
    struct pair *pair = pair_new(NULL);
    struct talk talk;
    pair_connect(pair);
    talk_open(&talk, pair, "Chat", NULL);
    talk_say(&talk, 1);
    (void)h2_sweep(pair->h2, clock_now() + 3600 * NS_PER_S);
    pair_turns(pair, 3);
    ck_assert(!pair_exchange(pair, talk.id)->closed);
    talk_say(&talk, 2);
    ck_assert_int_eq(answer_status(talk_end(&talk)), GRPC_OK);
    pair_free(pair);
}
END_TEST

/* Of a stream whose client sends as it likes a message that was begun is owed: first it must move, then fast. */
START_TEST(a_message_that_was_begun_must_come)
{
    struct pair *pair = pair_new(NULL);
    struct talk talk;
    pair_connect(pair);
    talk_open(&talk, pair, "Chat", NULL);
    talk_say(&talk, 1);
    buf_put(&talk.out, "\0\0\0\1\0abc", 8);
    talk_resume(&talk);
    (void)h2_sweep(pair->h2, clock_now() + 9 * NS_PER_S);
    pair_turns(pair, 3);
    ck_assert(!pair_exchange(pair, talk.id)->closed);
    (void)h2_sweep(pair->h2, clock_now() + 11 * NS_PER_S);
    pair_turns(pair, 3);
    ck_assert(pair_exchange(pair, talk.id)->reset);
    ck_assert_uint_eq(pair_limit(pair, "body_progress"), 1);
    buf_deinit(&talk.out);
    pair_free(pair);
}
END_TEST

/* Small messages a long time apart: each is whole at once, and the time between them is nobody's. */
START_TEST(small_messages_may_come_seldom)
{
    struct pair *pair = pair_new(NULL);
    struct talk talk;
    pair_connect(pair);
    talk_open(&talk, pair, "Chat", NULL);
    uint64_t begun = clock_now();
    struct h2_stream *stream = NULL;
    for (uint64_t i = 0; i < 20; i++) {
        talk_say(&talk, (int)i + 1);
        /* the first bytes of the next one come with it, as of a client that writes whole blocks */
        buf_put(&talk.out, "\0\0\0", 3);
        talk_resume(&talk);
        stream = h2_stream_find(pair->h2, talk.id);
        stream->progress_ns = begun + i * 8 * NS_PER_S;
        (void)h2_sweep(pair->h2, begun + i * 8 * NS_PER_S);
        pair_turns(pair, 2);
        ck_assert_msg(!pair_exchange(pair, talk.id)->closed, "message %d", (int)i);
        struct buf *rest = pair_message(0, "x");
        struct slice bytes = slice_skip(buf_slice(rest), 3);
        buf_put_slice(&talk.out, bytes);
        pair_drop_body(rest);
        talk_resume(&talk);
    }
    ck_assert_int_eq(answer_status(talk_end(&talk)), GRPC_OK);
    ck_assert_uint_eq(pair_limit(pair, "body_rate") + pair_limit(pair, "body_progress"), 0);
    pair_free(pair);
}
END_TEST

START_TEST(the_gate_is_asked_before_and_the_match_for_each_message)
{
    static const char *const where[] = {"gate", "match"};
    for (int i = 0; i < 2; i++) {
        struct pair *pair = pair_new(NULL);
        struct talk talk;
        pair_connect(pair);
        talk_open(&talk, pair, "Chat", (const struct extra[]){{"x-forbid", where[i]}, {NULL, NULL}});
        talk_say(&talk, 1);
        struct exchange *exchange = talk_end(&talk);
        ck_assert_int_eq(answer_status(exchange), GRPC_PERMISSION_DENIED);
        ck_assert_int_eq(pair->invocations, i);
        pair_free(pair);
    }
}
END_TEST

Suite *suite_rpc_h2_streams(void);
Suite *suite_rpc_h2_streams(void)
{
    Suite *suite = suite_create("rpc_h2_streams");
    TCase *tcase = tcase_create("streams");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_server_sends_as_many_as_it_likes);
    tcase_add_test(tcase, an_error_behind_messages_stands_in_the_trailers);
    tcase_add_test(tcase, a_client_that_does_not_read_holds_the_handler);
    tcase_add_test(tcase, the_outbox_is_bounded);
    tcase_add_test(tcase, a_client_sends_as_many_as_it_likes);
    tcase_add_test(tcase, messages_may_be_cut_anywhere);
    tcase_add_test(tcase, each_message_is_answered_when_it_comes);
    tcase_add_test(tcase, an_unread_client_is_held);
    tcase_add_test(tcase, a_handler_may_stop_reading);
    tcase_add_test(tcase, broken_messages_end_the_call);
    tcase_add_test(tcase, broken_flags_are_told_apart);
    tcase_add_test(tcase, a_reset_cancels_the_wait_for_a_message);
    tcase_add_test(tcase, a_lost_connection_cancels_both_ways);
    tcase_add_test(tcase, a_deadline_ends_streams);
    tcase_add_test(tcase, a_quiet_stream_stays);
    tcase_add_test(tcase, a_message_that_was_begun_must_come);
    tcase_add_test(tcase, small_messages_may_come_seldom);
    tcase_add_test(tcase, the_gate_is_asked_before_and_the_match_for_each_message);
    suite_add_tcase(suite, tcase);
    return suite;
}
