/* Descriptors at awkward moments: left armed, closed under a waiter, opened again at once. */
#include "tasks.h"

#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static int fds[2];

static void set_up(void)
{
    loop = loop_new(16);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void tear_down(void)
{
    loop_free(loop);
    close(fds[0]);
    close(fds[1]);
}

static void send_byte(int fd)
{
    ck_assert_int_eq(write(fd, "x", 1), 1);
}

struct seen {
    struct io *io;
    size_t calls;
    unsigned events;
};

static void on_ready(void *owner, unsigned events)
{
    struct seen *seen = owner;
    seen->calls++;
    seen->events |= events;
}

START_TEST(a_paused_watch_does_not_turn_the_loop)
{
    struct seen seen = {.io = io_open(loop, fds[0])};
    io_watch(seen.io, IO_READ, on_ready, &seen);
    send_byte(fds[1]);
    loop_turn(loop, NS_PER_S);
    io_watch(seen.io, IO_NONE, on_ready, &seen);
    loop_turn(loop, NS_PER_MS); /* the watch that was left armed fires once more and is dropped */
    uint64_t began = clock_now();
    loop_turn(loop, 30 * NS_PER_MS);
    ck_assert_uint_ge(clock_now() - began, 29 * NS_PER_MS);
    ck_assert_uint_eq(seen.calls, 1);
    io_close(seen.io);
}
END_TEST

START_TEST(a_number_may_be_watched_again_right_after_closing)
{
    struct seen seen = {.io = NULL};
    for (size_t i = 0; i < 100; i++) {
        seen.io = io_open(loop, fds[0]);
        io_watch(seen.io, IO_WRITE, on_ready, &seen);
        size_t before = seen.calls;
        loop_turn(loop, NS_PER_S);
        ck_assert_uint_eq(seen.calls, before + 1);
        io_close(seen.io);
    }
}
END_TEST

/* --- a waiting task --------------------------------------------------------------------------------- */

struct reader {
    struct task *task;
    struct io *io;
    uint64_t deadline_ns;
    enum wait_result results[3];
    size_t waits;
    size_t done;
};

static void reader_task(struct task *task, void *argument)
{
    struct reader *reader = argument;
    reader->task = task;
    struct ctx ctx;
    ctx_of(&ctx, task);
    while (reader->done < reader->waits) {
        enum wait_result result = task_wait_io(&ctx, reader->io, IO_READ, reader->deadline_ns);
        reader->results[reader->done] = result;
        char byte;
        if (result == WAIT_READY)
            ck_assert_int_eq(read(io_fd(reader->io), &byte, 1), 1);
        reader->done++;
    }
}

START_TEST(an_event_beside_a_cancellation_is_not_lost)
{
    struct reader reader = {.io = io_open(loop, fds[0]), .deadline_ns = NO_DEADLINE, .waits = 2};
    ck_assert(task_start(loop, reader_task, &reader, NULL));
    loop_turn(loop, 0);
    send_byte(fds[1]);
    task_cancel(reader.task);
    run_out(loop);
    char byte;
    size_t left = read(fds[0], &byte, 1) == 1 ? 1 : 0;
    size_t taken = reader.results[0] == WAIT_READY ? 1 : 0;
    ck_assert_uint_eq(left + taken, 1);
    ck_assert_int_eq(reader.results[1], WAIT_CANCELLED);
    io_close(reader.io);
}
END_TEST

static void close_it(void *owner, unsigned events)
{
    struct reader *reader = owner;
    (void)events;
    io_close(reader->io);
}

/* The waiter's event came first in the same callback: it is told of the close, as the io is gone. */
START_TEST(closing_in_the_callback_of_the_same_event)
{
    struct reader reader = {.io = io_open(loop, fds[0]), .deadline_ns = NO_DEADLINE, .waits = 1};
    io_watch(reader.io, IO_READ, close_it, &reader);
    ck_assert(task_start(loop, reader_task, &reader, NULL));
    loop_turn(loop, 0);
    send_byte(fds[1]);
    run_out(loop);
    ck_assert_int_eq(reader.results[0], WAIT_CANCELLED);
}
END_TEST

Suite *suite_loop_io_edges(void);
Suite *suite_loop_io_edges(void)
{
    Suite *suite = suite_create("loop/io_edges");
    TCase *cases = tcase_create("descriptor");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_set_timeout(cases, 20);
    tcase_add_test(cases, a_paused_watch_does_not_turn_the_loop);
    tcase_add_test(cases, a_number_may_be_watched_again_right_after_closing);
    tcase_add_test(cases, an_event_beside_a_cancellation_is_not_lost);
    tcase_add_test(cases, closing_in_the_callback_of_the_same_event);
    suite_add_tcase(suite, cases);
    return suite;
}
