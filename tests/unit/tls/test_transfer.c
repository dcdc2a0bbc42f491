/* Bytes in both directions: small sockets, clean and abrupt ends, waits of tasks and plain threads. */
#include "base/clock.h"

#include "loop/task.h"
#include "pair.h"

#include <pthread.h>

#define LARGE ((size_t)3 * 1024 * 1024 + 17)

static struct pair pair;

static void set_up(void)
{
    pair_init(&pair);
}

static void tear_down(void)
{
    pair_deinit(&pair);
}

static void shrink_sockets(void)
{
    int size = 1; /* the kernel's minimum */
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(setsockopt(pair.fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
        ck_assert_int_eq(setsockopt(pair.fds[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    }
}

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static unsigned char *large_new(void)
{
    unsigned char *bytes = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = pattern(i);
    return bytes;
}

static void expect_pattern(const unsigned char *bytes, size_t from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != pattern(from + i))
            ck_abort_msg("byte %zu differs", from + i);
    }
}

START_TEST(large_bodies_cross_small_sockets_with_a_moving_buffer)
{
    pair_open(&pair);
    shrink_sockets();
    unsigned char *bytes = large_new();
    unsigned char got[5000];
    size_t sent = 0, received = 0, blocked = 0;
    while (received < LARGE) {
        size_t count = 0;
        while (sent < LARGE) {
            size_t size = LARGE - sent < 40000 ? LARGE - sent : 40000;
            unsigned char *moved = malloc(size); /* another address at each try */
            memcpy(moved, bytes + sent, size);
            enum tls_status status = tls_stream_write(pair.client, moved, size, &count);
            free(moved);
            if (status != TLS_OK) {
                ck_assert_int_eq(status, TLS_WANT_WRITE);
                blocked++;
                break;
            }
            sent += count;
        }
        for (;;) {
            enum tls_status status = tls_stream_read(pair.server, got, sizeof got, &count);
            if (status != TLS_OK) {
                ck_assert_int_eq(status, TLS_WANT_READ);
                break;
            }
            ck_assert_uint_gt(count, 0);
            expect_pattern(got, received, count);
            received += count;
        }
    }
    ck_assert_uint_eq(received, LARGE);
    ck_assert_uint_gt(blocked, 10);
    free(bytes);
}
END_TEST

START_TEST(pending_bytes_are_told)
{
    pair_open(&pair);
    size_t count = 0;
    ck_assert(!tls_stream_has_pending(pair.server));
    ck_assert_int_eq(tls_stream_write(pair.client, "hello", 5, &count), TLS_OK);
    ck_assert_uint_eq(count, 5);
    char got[8] = "";
    ck_assert_int_eq(tls_stream_read(pair.server, got, 2, &count), TLS_OK);
    ck_assert_uint_eq(count, 2);
    ck_assert(tls_stream_has_pending(pair.server));
    ck_assert_int_eq(tls_stream_read(pair.server, got + 2, 6, &count), TLS_OK);
    ck_assert_uint_eq(count, 3);
    ck_assert_str_eq(got, "hello");
    ck_assert(!tls_stream_has_pending(pair.server));
    ck_assert_int_eq(tls_stream_read(pair.server, got, 2, &count), TLS_WANT_READ);
}
END_TEST

START_TEST(a_clean_end_lets_what_was_sent_arrive)
{
    pair_open(&pair);
    size_t count = 0;
    char got[8] = "";
    ck_assert_int_eq(tls_stream_write(pair.client, "bye", 3, &count), TLS_OK);
    tls_stream_shutdown(pair.client);
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_OK);
    ck_assert_str_eq(got, "bye");
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_CLOSED);
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_CLOSED);
    ck_assert_str_eq(tls_stream_error(pair.server), "no error");
    /* half closed: the other direction still works */
    ck_assert_int_eq(tls_stream_write(pair.server, "ok", 2, &count), TLS_OK);
    ck_assert_int_eq(tls_stream_read(pair.client, got, sizeof got, &count), TLS_OK);
    ck_assert_uint_eq(count, 2);
    tls_stream_shutdown(pair.server);
    ck_assert_int_eq(tls_stream_read(pair.client, got, sizeof got, &count), TLS_CLOSED);
}
END_TEST

START_TEST(an_abrupt_end_is_told_apart_and_raises_no_signal)
{
    pair_open(&pair);
    size_t count = 0;
    char got[8];
    close_end(&pair.fds[1]);
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_CLOSED);
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_CLOSED);
    ck_assert_ptr_nonnull(strstr(tls_stream_error(pair.server), "without close_notify"));
    ck_assert_int_eq(tls_stream_write(pair.server, "x", 1, &count), TLS_FAILED);
    tls_stream_shutdown(pair.server);
}
END_TEST

START_TEST(writing_to_a_gone_peer_fails_without_a_signal)
{
    pair_open(&pair);
    size_t count = 0;
    close_end(&pair.fds[1]);
    ck_assert_int_eq(tls_stream_write(pair.server, "x", 1, &count), TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(pair.server), "reset");
    ck_assert_ptr_nonnull(strstr(tls_stream_error(pair.server), "Broken pipe"));
}
END_TEST

START_TEST(shutting_down_a_full_socket_does_not_block)
{
    pair_open(&pair);
    shrink_sockets();
    static const char block[16384];
    size_t count = 0;
    while (tls_stream_write(pair.client, block, sizeof block, &count) == TLS_OK)
        continue;
    tls_stream_shutdown(pair.client);
}
END_TEST

START_TEST(garbage_in_the_middle_fails_one_stream_only)
{
    pair_open(&pair);
    static const char garbage[64] = "\x17\x03\x03\x00\x20 not what the keys say";
    ck_assert_int_gt(write(pair.fds[1], garbage, sizeof garbage), 0);
    size_t count = 0;
    char got[8];
    ck_assert_int_eq(tls_stream_read(pair.server, got, sizeof got, &count), TLS_FAILED);
    ck_assert_str_eq(tls_stream_error_label(pair.server), "other");
    /* the client's own writes see nothing of the server's error queue */
    ck_assert_int_eq(tls_stream_write(pair.client, "x", 1, &count), TLS_OK);
}
END_TEST

/* --- waits ---------------------------------------------------------------------------------------- */

static void *echo_thread(void *argument)
{
    (void)argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    struct io *io = io_open(NULL, pair.fds[0]);
    uint64_t deadline = deadline_after(clock_now(), 20 * NS_PER_S);
    intptr_t rc = tls_handshake_wait(&ctx, pair.server, io, deadline);
    size_t total = 0;
    static unsigned char bytes[30000];
    for (size_t count = 1; rc == OK && count > 0; total += count) {
        rc = tls_read_wait(&ctx, pair.server, io, bytes, sizeof bytes, &count, deadline);
        if (rc == OK && count > 0)
            rc = tls_write_wait(&ctx, pair.server, io, bytes, count, deadline);
    }
    tls_stream_shutdown(pair.server);
    io_close(io);
    return (void *)(rc == OK && total == LARGE ? OK : (intptr_t)-1);
}

struct half {
    struct io *io;
    unsigned char *bytes;
    size_t received;
    int result;
    size_t ended;
};

static void talk_task(struct task *task, void *argument)
{
    struct half *half = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    ctx.task = task;
    uint64_t deadline = deadline_after(clock_now(), 20 * NS_PER_S);
    half->result = tls_handshake_wait(&ctx, pair.client, half->io, deadline);
    size_t sent = 0;
    unsigned char got[8192];
    while (half->result == OK && half->received < LARGE) {
        size_t size = LARGE - sent < 9000 ? LARGE - sent : 9000;
        half->result = tls_write_wait(&ctx, pair.client, half->io, half->bytes + sent, size, deadline);
        sent += size;
        for (size_t left = size; half->result == OK && left > 0;) {
            size_t count = 0;
            half->result = tls_read_wait(&ctx, pair.client, half->io, got, sizeof got, &count,
                                         deadline);
            expect_pattern(got, half->received, count);
            half->received += count;
            left -= count;
        }
    }
    tls_stream_shutdown(pair.client);
    half->ended = 1;
}

START_TEST(a_task_and_a_thread_talk_over_small_sockets)
{
    pair_serve(&pair, "server", "ca");
    pair_call(&pair, "client", "ca", "h2", "localhost");
    shrink_sockets();
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, echo_thread, NULL), 0);
    struct loop *loop = loop_new(4);
    struct half half = {.io = io_open(loop, pair.fds[1]), .bytes = large_new(), .result = -1};
    ck_assert(task_start(loop, talk_task, &half, NULL));
    while (half.ended == 0)
        loop_turn(loop, NS_PER_S);
    void *result = NULL;
    pthread_join(thread, &result);
    ck_assert_int_eq(half.result, OK);
    ck_assert_uint_eq(half.received, LARGE);
    ck_assert_int_eq((intptr_t)result, OK);
    io_close(half.io);
    loop_turn(loop, 0);
    loop_free(loop);
    free(half.bytes);
}
END_TEST

START_TEST(a_silent_peer_times_out)
{
    pair_serve(&pair, "server", "ca");
    struct io *io = io_open(NULL, pair.fds[0]);
    uint64_t began = clock_now();
    ck_assert_int_eq(tls_handshake_wait(&pair.ctx, pair.server, io, began + 30 * NS_PER_MS),
                     FAULT_TIMEOUT);
    ck_assert_uint_ge(clock_now() - began, 30 * NS_PER_MS);
    ck_assert_str_eq(tls_stream_error_label(pair.server), "timeout");
    ck_assert_int_eq(tls_stream_handshake(pair.server), TLS_FAILED);
    io_close(io);
}
END_TEST

START_TEST(reads_and_writes_time_out_and_may_be_repeated)
{
    pair_open(&pair);
    shrink_sockets();
    struct io *io = io_open(NULL, pair.fds[0]);
    char got[8];
    size_t count = 99;
    ck_assert_int_eq(tls_read_wait(&pair.ctx, pair.server, io, got, sizeof got, &count,
                                   clock_now() + 5 * NS_PER_MS),
                     FAULT_TIMEOUT);
    ck_assert_uint_eq(count, 99); /* written only when it worked */
    pair.ctx.deadline_ns = clock_now() + 5 * NS_PER_MS; /* the work's own, which is the earlier */
    static const char block[200000];
    ck_assert_int_eq(tls_write_wait(&pair.ctx, pair.server, io, block, sizeof block,
                                    clock_now() + 5 * NS_PER_S),
                     FAULT_TIMEOUT);
    pair.ctx.deadline_ns = NO_DEADLINE;
    ck_assert_int_eq(tls_stream_write(pair.client, "late", 4, &count), TLS_OK);
    ck_assert_int_eq(tls_read_wait(&pair.ctx, pair.server, io, got, sizeof got, &count,
                                   clock_now() + NS_PER_S),
                     OK);
    ck_assert_uint_eq(count, 4);
    io_close(io);
}
END_TEST

struct waiting {
    struct io *io;
    struct task *task;
    int result;
    size_t ended;
};

static void reading_task(struct task *task, void *argument)
{
    struct waiting *waiting = argument;
    waiting->task = task;
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    ctx.task = task;
    char byte;
    size_t count = 0;
    waiting->result = tls_read_wait(&ctx, pair.server, waiting->io, &byte, 1, &count, NO_DEADLINE);
    waiting->ended = 1;
}

START_TEST(a_cancelled_task_stops_waiting)
{
    pair_open(&pair);
    struct loop *loop = loop_new(4);
    struct waiting waiting = {.io = io_open(loop, pair.fds[0])};
    ck_assert(task_start(loop, reading_task, &waiting, NULL));
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    ck_assert_uint_eq(waiting.ended, 0);
    task_cancel(waiting.task);
    while (waiting.ended == 0)
        loop_turn(loop, NS_PER_S);
    ck_assert_int_eq(waiting.result, FAULT_CANCELLED);
    io_close(waiting.io);
    loop_free(loop);
}
END_TEST

START_TEST(a_failed_peer_is_a_fault_with_its_text)
{
    pair_serve(&pair, "server", "ca");
    struct io *io = io_open(NULL, pair.fds[0]);
    ck_assert_int_gt(write(pair.fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 0);
    ck_assert_int_eq(tls_handshake_wait(&pair.ctx, pair.server, io, NO_DEADLINE), FAULT_TLS);
    ck_assert_ptr_nonnull(strstr(pair.ctx.fault.text, "http request"));
    io_close(io);
}
END_TEST

Suite *suite_tls_transfer(void);
Suite *suite_tls_transfer(void)
{
    Suite *suite = suite_create("tls/transfer");
    TCase *bytes = tcase_create("bytes");
    tcase_add_checked_fixture(bytes, set_up, tear_down);
    tcase_set_timeout(bytes, 30);
    tcase_add_test(bytes, large_bodies_cross_small_sockets_with_a_moving_buffer);
    tcase_add_test(bytes, pending_bytes_are_told);
    tcase_add_test(bytes, a_clean_end_lets_what_was_sent_arrive);
    tcase_add_test(bytes, an_abrupt_end_is_told_apart_and_raises_no_signal);
    tcase_add_test(bytes, writing_to_a_gone_peer_fails_without_a_signal);
    tcase_add_test(bytes, shutting_down_a_full_socket_does_not_block);
    tcase_add_test(bytes, garbage_in_the_middle_fails_one_stream_only);
    suite_add_tcase(suite, bytes);
    TCase *waits = tcase_create("waits");
    tcase_add_checked_fixture(waits, set_up, tear_down);
    tcase_set_timeout(waits, 30);
    tcase_add_test(waits, a_task_and_a_thread_talk_over_small_sockets);
    tcase_add_test(waits, a_silent_peer_times_out);
    tcase_add_test(waits, reads_and_writes_time_out_and_may_be_repeated);
    tcase_add_test(waits, a_cancelled_task_stops_waiting);
    tcase_add_test(waits, a_failed_peer_is_a_fault_with_its_text);
    suite_add_tcase(suite, waits);
    return suite;
}
