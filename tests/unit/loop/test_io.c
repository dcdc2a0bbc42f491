/* Descriptors: for callbacks, for a waiting task, for plain threads. */
#include "tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A pair of non-blocking sockets and the loop that watches the first. */
struct pair {
    struct loop *loop;
    int ours;
    int theirs;
    struct io *io;
    unsigned calls;
    unsigned events; /* of the last call */
    bool close_at_once;
};

static void pair_open(struct pair *pair)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    *pair = (struct pair){.loop = loop_new(0), .ours = fds[0], .theirs = fds[1]};
    pair->io = io_open(pair->loop, pair->ours);
    ck_assert_int_eq(io_fd(pair->io), pair->ours);
}

static void pair_close(struct pair *pair)
{
    io_close(pair->io);
    close(pair->ours);
    if (pair->theirs >= 0)
        close(pair->theirs);
    loop_free(pair->loop);
}

static void send_byte(int fd)
{
    ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
}

static void on_event(void *owner, unsigned events)
{
    struct pair *pair = owner;
    pair->calls++;
    pair->events = events;
    if (!pair->close_at_once)
        return;
    io_close(pair->io);
    close(pair->ours); /* "the descriptor may be closed right after" */
    pair->io = NULL;
}

/* How many turns the loop makes in `ms` milliseconds: a loop that spins makes thousands. */
static unsigned turns_in(struct loop *loop, unsigned ms)
{
    unsigned turns = 0;
    for (uint64_t end = clock_now() + ms * NS_PER_MS; clock_now() < end; turns++)
        loop_turn(loop, 20 * NS_PER_MS);
    return turns;
}

START_TEST(callback_is_level_triggered_and_pauses)
{
    struct pair pair;
    pair_open(&pair);
    io_watch(pair.io, IO_READ, on_event, &pair);
    loop_turn(pair.loop, 5 * NS_PER_MS);
    ck_assert_uint_eq(pair.calls, 0);
    send_byte(pair.theirs);
    loop_turn(pair.loop, NS_PER_S);
    loop_turn(pair.loop, NS_PER_S);
    ck_assert_uint_eq(pair.calls, 2); /* nobody read: it is told again */
    ck_assert_uint_eq(pair.events, IO_READ);
    io_watch(pair.io, IO_NONE, on_event, &pair);
    ck_assert_uint_lt(turns_in(pair.loop, 60), 20);
    ck_assert_uint_eq(pair.calls, 2);
    io_watch(pair.io, IO_READ | IO_WRITE, on_event, &pair);
    loop_turn(pair.loop, NS_PER_S);
    ck_assert_uint_eq(pair.calls, 3);
    ck_assert_uint_eq(pair.events, IO_READ | IO_WRITE);
    pair_close(&pair);
}
END_TEST

START_TEST(io_may_be_closed_in_its_own_callback)
{
    struct pair pair;
    pair_open(&pair);
    pair.close_at_once = true;
    io_watch(pair.io, IO_READ | IO_WRITE, on_event, &pair);
    send_byte(pair.theirs);
    for (int i = 0; i < 3; i++)
        loop_turn(pair.loop, 5 * NS_PER_MS);
    ck_assert_uint_eq(pair.calls, 1);
    ck_assert_ptr_null(pair.io);
    close(pair.theirs);
    loop_free(pair.loop);
}
END_TEST

START_TEST(neighbours_may_close_each_other_in_one_turn)
{
    struct pair first, second;
    pair_open(&first);
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    second = (struct pair){.loop = first.loop, .ours = fds[0], .theirs = fds[1]};
    second.io = io_open(first.loop, second.ours);
    first.close_at_once = second.close_at_once = true;
    /* each callback closes the other's: whichever is first is the only one */
    io_watch(first.io, IO_READ, on_event, &second);
    io_watch(second.io, IO_READ, on_event, &first);
    send_byte(first.theirs);
    send_byte(second.theirs);
    loop_turn(first.loop, NS_PER_S);
    ck_assert_uint_eq(first.calls + second.calls, 1);
    struct pair *left = first.io != NULL ? &first : &second;
    io_close(left->io);
    close(left->ours);
    close(first.theirs);
    close(second.theirs);
    loop_free(first.loop);
}
END_TEST

struct waiting {
    struct pair *pair;
    struct task *task;
    struct ctx ctx;
    unsigned events;
    uint64_t deadline_ns;
    unsigned rounds; /* waits and reads this often */
    unsigned done;
    bool ended;
    enum wait_result result;
};

static void wait_and_read(struct task *task, void *argument)
{
    struct waiting *waiting = argument;
    waiting->task = task;
    ctx_of(&waiting->ctx, task);
    for (; waiting->done < waiting->rounds; waiting->done++) {
        waiting->result = task_wait_io(&waiting->ctx, waiting->pair->io, waiting->events,
                                       waiting->deadline_ns);
        if (waiting->result != WAIT_READY)
            break;
        char byte;
        if (waiting->events & IO_READ)
            (void)recv(waiting->pair->ours, &byte, 1, 0);
    }
    waiting->ended = true;
}

static void waiting_start(struct waiting *waiting, struct pair *pair, unsigned events)
{
    *waiting = (struct waiting){
        .pair = pair, .events = events, .deadline_ns = NO_DEADLINE, .rounds = 1};
    ck_assert(task_start(pair->loop, wait_and_read, waiting, NULL));
    loop_turn(pair->loop, 0);
}

START_TEST(task_waits_for_a_byte)
{
    struct pair pair;
    pair_open(&pair);
    struct waiting waiting;
    waiting_start(&waiting, &pair, IO_READ);
    ck_assert(!waiting.ended);
    send_byte(pair.theirs);
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_READY);
    waiting_start(&waiting, &pair, IO_WRITE);
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_READY);
    pair_close(&pair);
}
END_TEST

START_TEST(task_wait_times_out_and_is_cancelled)
{
    struct pair pair;
    pair_open(&pair);
    struct waiting waiting = {.pair = &pair, .events = IO_READ, .rounds = 1};
    waiting.deadline_ns = clock_now() + 20 * NS_PER_MS;
    ck_assert(task_start(pair.loop, wait_and_read, &waiting, NULL));
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_TIMEOUT);
    waiting_start(&waiting, &pair, IO_READ);
    task_cancel(waiting.task);
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_CANCELLED);
    /* what came in between is not lost for the next */
    send_byte(pair.theirs);
    waiting_start(&waiting, &pair, IO_READ);
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_READY);
    pair_close(&pair);
}
END_TEST

START_TEST(closing_wakes_the_waiter_as_cancelled)
{
    struct pair pair;
    pair_open(&pair);
    struct waiting waiting;
    waiting_start(&waiting, &pair, IO_READ);
    send_byte(pair.theirs); /* even with something to read */
    io_close(pair.io);
    close(pair.ours);
    ck_assert(!waiting.ended);
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_CANCELLED);
    close(pair.theirs);
    loop_free(pair.loop);
}
END_TEST

START_TEST(end_of_file_and_errors_end_every_wait)
{
    for (unsigned events = IO_READ; events <= (IO_READ | IO_WRITE); events++) {
        struct pair pair;
        pair_open(&pair);
        struct waiting waiting;
        if (events == IO_WRITE) /* full, or it would be ready at once */
            while (send(pair.ours, "xxxxxxxxxxxxxxxx", 16, MSG_NOSIGNAL) > 0)
                continue;
        waiting_start(&waiting, &pair, events);
        close(pair.theirs);
        pair.theirs = -1;
        run_out(pair.loop);
        ck_assert_int_eq(waiting.result, WAIT_READY);
        /* an error makes libuv stop watching: the next wait must be told all the same */
        waiting_start(&waiting, &pair, events);
        run_out(pair.loop);
        ck_assert_int_eq(waiting.result, WAIT_READY);
        pair_close(&pair);
    }
}
END_TEST

START_TEST(refused_connection_is_told_to_waiter_and_callback)
{
    struct loop *loop = loop_new(0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0); /* no listen() */
    for (int with_task = 0; with_task < 2; with_task++) {
        struct pair pair = {.loop = loop};
        pair.ours = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int rc = connect(pair.ours, (struct sockaddr *)&address, size);
        ck_assert(rc == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
        pair.io = io_open(loop, pair.ours);
        struct waiting waiting = {.result = WAIT_TIMEOUT};
        if (with_task) {
            waiting_start(&waiting, &pair, IO_WRITE);
            run_out(loop);
            ck_assert_int_eq(waiting.result, WAIT_READY);
        } else {
            io_watch(pair.io, IO_WRITE, on_event, &pair);
            for (int i = 0; i < 3; i++) /* again and again until somebody asks for the error */
                loop_turn(loop, 50 * NS_PER_MS);
            ck_assert_uint_ge(pair.calls, 2);
        }
        io_close(pair.io);
        close(pair.ours);
    }
    close(listener);
    loop_free(loop);
}
END_TEST

START_TEST(many_waits_on_one_io_never_spin_between)
{
    struct pair pair;
    pair_open(&pair);
    struct waiting waiting;
    waiting_start(&waiting, &pair, IO_READ);
    waiting.rounds = 500;
    for (int i = 0; i < 500; i++) {
        send_byte(pair.theirs);
        loop_turn(pair.loop, NS_PER_S);
    }
    run_out(pair.loop);
    ck_assert_uint_eq(waiting.done, 500);
    send_byte(pair.theirs); /* readable, still armed, and nobody there */
    ck_assert_uint_lt(turns_in(pair.loop, 60), 20);
    waiting_start(&waiting, &pair, IO_READ);
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_READY);
    pair_close(&pair);
}
END_TEST

START_TEST(callback_and_waiter_share_one_io)
{
    struct pair pair;
    pair_open(&pair);
    struct waiting waiting;
    io_watch(pair.io, IO_READ, on_event, &pair);
    while (send(pair.ours, "xxxxxxxxxxxxxxxx", 16, MSG_NOSIGNAL) > 0)
        continue;
    waiting_start(&waiting, &pair, IO_WRITE);
    ck_assert(!waiting.ended);
    send_byte(pair.theirs);
    loop_turn(pair.loop, NS_PER_S);
    ck_assert_uint_ge(pair.calls, 1);
    ck_assert(!waiting.ended);
    io_watch(pair.io, IO_NONE, on_event, &pair);
    char sink[4096];
    while (recv(pair.theirs, sink, sizeof sink, 0) > 0)
        continue;
    run_out(pair.loop);
    ck_assert_int_eq(waiting.result, WAIT_READY);
    pair_close(&pair);
}
END_TEST

static void two_on_one(void)
{
    struct pair pair;
    pair_open(&pair);
    struct waiting first, second;
    waiting_start(&first, &pair, IO_READ);
    waiting_start(&second, &pair, IO_READ);
}

START_TEST(two_tasks_on_one_io_are_a_bug)
{
    two_on_one(); /* asserts: the case expects SIGABRT */
}
END_TEST

static void *write_later(void *argument)
{
    usleep(30 * 1000);
    send_byte(*(int *)argument);
    return NULL;
}

START_TEST(plain_thread_blocks_in_poll)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct io *io = io_open(NULL, fds[0]);
    struct ctx ctx;
    ctx_of(&ctx, NULL);
    uint64_t began = clock_now();
    ck_assert_int_eq(task_wait_io(&ctx, io, IO_READ, began + 20 * NS_PER_MS), WAIT_TIMEOUT);
    ck_assert_uint_ge(clock_now(), began + 20 * NS_PER_MS);
    ctx.deadline_ns = clock_now() + 20 * NS_PER_MS;
    ck_assert_int_eq(task_wait_io(&ctx, io, IO_READ, NO_DEADLINE), WAIT_TIMEOUT);
    ck_assert_int_eq(task_sleep(&ctx, NS_PER_S), WAIT_TIMEOUT);
    ctx.deadline_ns = NO_DEADLINE;
    ck_assert_int_eq(task_wait_io(&ctx, io, IO_WRITE, NO_DEADLINE), WAIT_READY);
    pthread_t writer;
    ck_assert_int_eq(pthread_create(&writer, NULL, write_later, &fds[1]), 0);
    ck_assert_int_eq(task_wait_io(&ctx, io, IO_READ, NO_DEADLINE), WAIT_READY);
    pthread_join(writer, NULL);
    began = clock_now();
    ck_assert_int_eq(task_sleep(&ctx, 10 * NS_PER_MS), WAIT_READY);
    ck_assert_uint_ge(clock_now(), began + 10 * NS_PER_MS);
    task_yield(&ctx); /* nothing to yield to */
    task_shield(&ctx, true);
    io_close(io);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

Suite *suite_loop_io(void);
Suite *suite_loop_io(void)
{
    Suite *suite = suite_create("loop/io");
    TCase *callbacks = tcase_create("callbacks");
    tcase_set_timeout(callbacks, 30);
    tcase_add_test(callbacks, callback_is_level_triggered_and_pauses);
    tcase_add_test(callbacks, io_may_be_closed_in_its_own_callback);
    tcase_add_test(callbacks, neighbours_may_close_each_other_in_one_turn);
    suite_add_tcase(suite, callbacks);
    TCase *waits = tcase_create("waits");
    tcase_set_timeout(waits, 30);
    tcase_add_test(waits, task_waits_for_a_byte);
    tcase_add_test(waits, task_wait_times_out_and_is_cancelled);
    tcase_add_test(waits, closing_wakes_the_waiter_as_cancelled);
    tcase_add_test(waits, end_of_file_and_errors_end_every_wait);
    tcase_add_test(waits, refused_connection_is_told_to_waiter_and_callback);
    tcase_add_test(waits, many_waits_on_one_io_never_spin_between);
    tcase_add_test(waits, callback_and_waiter_share_one_io);
    tcase_add_test_raise_signal(waits, two_tasks_on_one_io_are_a_bug, SIGABRT);
    tcase_add_test(waits, plain_thread_blocks_in_poll);
    suite_add_tcase(suite, waits);
    return suite;
}
