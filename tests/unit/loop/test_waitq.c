/* Waiting for each other: order, hand-over, nothing lost. */
#include "tasks.h"

#include <stdlib.h>
#include <unistd.h>

struct line {
    struct waitq queue;
    bool tickets; /* what is given is the number of the place */
    int arrived;
    int order[64];
    int served;
};

static void stand_in_line(struct task *task, void *argument)
{
    struct line *line = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    int place = line->arrived++;
    void *given = NULL;
    ck_assert_int_eq(waitq_wait(&ctx, &line->queue, NO_DEADLINE, &given), WAIT_READY);
    if (line->tickets)
        ck_assert_int_eq(*(int *)given, place); /* the first to come got the first */
    line->order[line->served++] = place;
}

START_TEST(queue_is_first_come_first_served)
{
    struct loop *loop = loop_new(0);
    struct line line = {.tickets = true};
    waitq_init(&line.queue);
    ck_assert(!waitq_wake(&line.queue, NULL)); /* nobody waits */
    int tickets[64];
    for (int i = 0; i < 64; i++)
        ck_assert(task_start(loop, stand_in_line, &line, NULL));
    loop_turn(loop, 0);
    ck_assert_uint_eq(waitq_size(&line.queue), 64);
    for (int i = 0; i < 64; i++) {
        tickets[i] = i;
        ck_assert(waitq_wake(&line.queue, &tickets[i]));
    }
    ck_assert_int_eq(line.served, 0);
    run_out(loop);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(line.order[i], i);
    loop_free(loop);
}
END_TEST

START_TEST(wake_all_gives_the_same_to_everybody)
{
    struct loop *loop = loop_new(0);
    struct line line = {.served = 0};
    waitq_init(&line.queue);
    for (int i = 0; i < 10; i++)
        ck_assert(task_start(loop, stand_in_line, &line, NULL));
    loop_turn(loop, 0);
    int shared = 7;
    ck_assert_uint_eq(waitq_wake_all(&line.queue, &shared), 10);
    ck_assert_uint_eq(waitq_wake_all(&line.queue, &shared), 0);
    run_out(loop);
    ck_assert_int_eq(line.served, 10);
    loop_free(loop);
}
END_TEST

/* What was handed over is never lost, whatever else happens before the waiter runs. */
START_TEST(hand_over_wins_over_cancel_and_deadline)
{
    struct loop *loop = loop_new(0);
    int thing = 1;
    for (int rival = 0; rival < 3; rival++) {
        struct probe probe;
        probe_init(&probe);
        if (rival == 2)
            probe.deadline_ns = clock_now() + 20 * NS_PER_MS;
        ck_assert(task_start(loop, probe_queue, &probe, NULL));
        loop_turn(loop, 0);
        if (rival == 1)
            task_cancel(probe.task);
        if (rival == 2) /* both the timer and the gift come before the task runs */
            usleep(40 * 1000);
        ck_assert(waitq_wake(&probe.queue, &thing));
        if (rival == 0)
            task_cancel(probe.task);
        run_out(loop);
        ck_assert_int_eq(probe.result, WAIT_READY);
        ck_assert_ptr_eq(probe.given, &thing);
    }
    loop_free(loop);
}
END_TEST

struct pool {
    struct waitq queue;
    bool free;
    struct task *youngest; /* the last that began to wait and has not come back */
    unsigned uses, timeouts, cancels;
};

static void use_pool(struct task *task, void *argument)
{
    struct pool *pool = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    uint64_t wait = (uint64_t)(rand() % 4) * NS_PER_MS;
    if (!pool->free) {
        pool->youngest = task;
        enum wait_result result = waitq_wait(&ctx, &pool->queue, clock_now() + wait, NULL);
        if (pool->youngest == task)
            pool->youngest = NULL;
        pool->timeouts += result == WAIT_TIMEOUT;
        pool->cancels += result == WAIT_CANCELLED;
        if (result != WAIT_READY)
            return;
    }
    pool->free = false;
    pool->uses++;
    task_shield(&ctx, true);
    (void)task_sleep(&ctx, (uint64_t)(rand() % 2) * NS_PER_MS);
    if (!waitq_wake(&pool->queue, pool))
        pool->free = true;
}

START_TEST(resource_survives_a_storm_of_timeouts_and_cancels)
{
    struct loop *loop = loop_new(0);
    struct pool pool = {.free = true};
    waitq_init(&pool.queue);
    srand(42);
    for (int i = 0; i < 2000; i++) {
        ck_assert(task_start(loop, use_pool, &pool, NULL));
        if (i % 5 != 0)
            continue;
        loop_turn(loop, NS_PER_MS);
        if (pool.youngest != NULL && i % 3 == 0)
            task_cancel(pool.youngest);
        usleep(200);
    }
    run_out(loop);
    ck_assert(pool.free); /* it came back */
    ck_assert_uint_eq(waitq_size(&pool.queue), 0);
    ck_assert_uint_gt(pool.uses, 10);
    ck_assert_uint_gt(pool.timeouts, 10);
    ck_assert_uint_gt(pool.cancels, 10);
    loop_free(loop);
}
END_TEST

Suite *suite_loop_waitq(void);
Suite *suite_loop_waitq(void)
{
    Suite *suite = suite_create("loop/waitq");
    TCase *queues = tcase_create("queues");
    tcase_set_timeout(queues, 60);
    tcase_add_test(queues, queue_is_first_come_first_served);
    tcase_add_test(queues, wake_all_gives_the_same_to_everybody);
    tcase_add_test(queues, hand_over_wins_over_cancel_and_deadline);
    tcase_add_test(queues, resource_survives_a_storm_of_timeouts_and_cancels);
    suite_add_tcase(suite, queues);
    return suite;
}
