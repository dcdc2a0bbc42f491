/* Messages from other threads: order, bound, nothing lost. */
#include "tasks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, MESSAGES = 5000 };

struct post {
    unsigned thread;
    unsigned number;
};

struct office {
    struct loop *loop;
    struct mailbox *mailbox;
    unsigned next[THREADS]; /* the number each thread's next message must have */
    unsigned received;
    unsigned stop_after; /* 0: never */
    atomic_uint refused;
};

struct poster {
    struct office *office;
    unsigned thread;
    struct post *posts;
};

static void on_post(void *owner, void *message)
{
    struct office *office = owner;
    const struct post *post = message;
    ck_assert_uint_eq(post->number, office->next[post->thread]++);
    office->received++;
    if (office->received == office->stop_after)
        loop_stop(office->loop);
}

static void *post_all(void *argument)
{
    struct poster *poster = argument;
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct post *post = &poster->posts[i];
        *post = (struct post){.thread = poster->thread, .number = i};
        while (!mailbox_post(poster->office->mailbox, post)) {
            atomic_fetch_add(&poster->office->refused, 1);
            usleep(50);
        }
    }
    return NULL;
}

START_TEST(threads_post_under_load_in_order_without_loss)
{
    struct office office = {.loop = loop_new(0), .stop_after = THREADS * MESSAGES};
    office.mailbox = mailbox_open(office.loop, 16, on_post, &office); /* small: it will be full */
    pthread_t threads[THREADS];
    struct poster posters[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){&office, i, calloc(MESSAGES, sizeof(struct post))};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    loop_run(office.loop);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(office.next[i], MESSAGES);
        free(posters[i].posts);
    }
    ck_assert_uint_gt(atomic_load(&office.refused), 0); /* the bound was met */
    mailbox_close(office.mailbox);
    loop_free(office.loop);
}
END_TEST

START_TEST(full_mailbox_refuses_and_closing_delivers_the_rest)
{
    struct office office = {.loop = loop_new(0)};
    office.mailbox = mailbox_open(office.loop, 4, on_post, &office);
    struct post posts[5];
    for (unsigned i = 0; i < 5; i++) {
        posts[i] = (struct post){.number = i};
        ck_assert(mailbox_post(office.mailbox, &posts[i]) == (i < 4));
    }
    ck_assert_uint_eq(office.received, 0); /* never inside mailbox_post() */
    loop_turn(office.loop, NS_PER_S);
    ck_assert_uint_eq(office.received, 4);
    ck_assert(mailbox_post(office.mailbox, &posts[4]));
    mailbox_close(office.mailbox);
    ck_assert_uint_eq(office.received, 5);
    mailbox_close(NULL);
    loop_free(office.loop);
}
END_TEST

static void close_on_first(void *owner, void *message)
{
    (void)message;
    struct office *office = owner;
    office->received++;
    struct mailbox *mailbox = office->mailbox;
    office->mailbox = NULL;
    mailbox_close(mailbox); /* NULL at the second message */
}

START_TEST(mailbox_may_be_closed_in_its_own_callback)
{
    struct office office = {.loop = loop_new(0)};
    office.mailbox = mailbox_open(office.loop, 8, close_on_first, &office);
    struct post post = {0};
    for (int i = 0; i < 5; i++)
        ck_assert(mailbox_post(office.mailbox, &post));
    loop_turn(office.loop, NS_PER_S);
    ck_assert_uint_eq(office.received, 5); /* each once */
    loop_turn(office.loop, 0);
    loop_free(office.loop);
}
END_TEST

static void post_again(void *owner, void *message)
{
    struct office *office = owner;
    office->received++;
    ck_assert(mailbox_post(office->mailbox, message));
}

START_TEST(messages_that_breed_do_not_hold_the_loop)
{
    struct office office = {.loop = loop_new(0)};
    office.mailbox = mailbox_open(office.loop, 8, post_again, &office);
    struct post post = {0};
    ck_assert(mailbox_post(office.mailbox, &post));
    for (unsigned turn = 1; turn <= 5; turn++) {
        unsigned before = office.received;
        loop_turn(office.loop, NS_PER_S);
        ck_assert_uint_gt(office.received, before);
        ck_assert_uint_le(office.received, before + 8);
    }
    /* closing would deliver for ever: the owner stops first */
    exit(0);
}
END_TEST

static void *run_loop(void *loop)
{
    loop_run(loop);
    return NULL;
}

struct visit {
    struct waitq queue;
    _Atomic bool waits; /* the next message will find the task in the queue */
    unsigned served;
};

static void served_task(struct task *task, void *argument)
{
    struct visit *visit = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    atomic_store(&visit->waits, true);
    ck_assert_int_eq(waitq_wait(&ctx, &visit->queue, NO_DEADLINE, NULL), WAIT_READY);
    ck_assert_int_eq(task_sleep(&ctx, NS_PER_MS), WAIT_READY);
    visit->served++;
    loop_stop(task_loop(task));
}

static void on_visit(void *owner, void *message)
{
    struct office *office = owner;
    struct visit *visit = message;
    office->received++;
    if (office->received == 1)
        ck_assert(task_start(office->loop, served_task, visit, NULL));
    else
        ck_assert(waitq_wake(&visit->queue, NULL));
}

/* A worker's loop is made by the main thread and run by its own, then freed by the main thread. */
START_TEST(loop_runs_tasks_on_a_thread_that_did_not_make_it)
{
    for (int round = 0; round < 3; round++) {
        struct office office = {.loop = loop_new(0)};
        office.mailbox = mailbox_open(office.loop, 8, on_visit, &office);
        struct visit visit = {.served = 0};
        waitq_init(&visit.queue);
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, office.loop), 0);
        ck_assert(mailbox_post(office.mailbox, &visit));
        while (!atomic_load(&visit.waits))
            usleep(1000);
        ck_assert(mailbox_post(office.mailbox, &visit));
        pthread_join(thread, NULL);
        ck_assert_uint_eq(visit.served, 1);
        mailbox_close(office.mailbox);
        loop_free(office.loop);
    }
}
END_TEST

Suite *suite_loop_mailbox(void);
Suite *suite_loop_mailbox(void)
{
    Suite *suite = suite_create("loop/mailbox");
    TCase *messages = tcase_create("messages");
    tcase_set_timeout(messages, 60);
    tcase_add_test(messages, threads_post_under_load_in_order_without_loss);
    tcase_add_test(messages, full_mailbox_refuses_and_closing_delivers_the_rest);
    tcase_add_test(messages, mailbox_may_be_closed_in_its_own_callback);
    tcase_add_exit_test(messages, messages_that_breed_do_not_hold_the_loop, 0);
    tcase_add_test(messages, loop_runs_tasks_on_a_thread_that_did_not_make_it);
    suite_add_tcase(suite, messages);
    return suite;
}
