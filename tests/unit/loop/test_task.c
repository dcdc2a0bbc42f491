/* Tasks: starting, ending, the cap; why waits end. */
#include "tasks.h"

#include <stdlib.h>
#include <string.h>

/* --- many -------------------------------------------------------------------------------------------- */

struct crowd {
    size_t started;
    size_t ended;
    size_t awake; /* tasks between two waits at this moment: must be one at most */
    uint64_t sum;
};

static void crowd_member(struct task *task, void *argument)
{
    struct crowd *crowd = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    uint64_t mine = ++crowd->started;
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(crowd->awake++, 0);
        volatile uint64_t square = mine * mine;
        ck_assert_uint_eq(--crowd->awake, 0);
        if (i % 2 == 0)
            task_yield(&ctx);
        else
            ck_assert_int_eq(task_sleep(&ctx, (mine % 7) * NS_PER_MS), WAIT_READY);
        ck_assert_uint_eq(square, mine * mine);
    }
    crowd->sum += mine;
}

static void crowd_end(struct task *task, void *argument)
{
    (void)task;
    ((struct crowd *)argument)->ended++;
}

START_TEST(thousands_of_tasks_keep_their_own_locals)
{
    enum { COUNT = 3000 };
    struct loop *loop = loop_new(COUNT);
    struct crowd crowd = {.started = 0};
    for (int round = 1; round <= 2; round++) { /* the second time on used stacks */
        crowd = (struct crowd){.started = 0};
        for (int i = 0; i < COUNT; i++)
            ck_assert(task_start(loop, crowd_member, &crowd, crowd_end));
        ck_assert_uint_eq(crowd.started, 0); /* nothing runs inside task_start() */
        run_out(loop);
        ck_assert_uint_eq(crowd.ended, COUNT);
        ck_assert_uint_eq(crowd.sum, (uint64_t)COUNT * (COUNT + 1) / 2);
    }
    loop_free(loop);
}
END_TEST

static void sleep_shortly(struct task *task, void *argument)
{
    (void)argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    (void)task_sleep(&ctx, NS_PER_MS);
}

START_TEST(cap_refuses_counts_and_opens_again)
{
    struct loop *loop = loop_new(2);
    ck_assert_uint_eq(task_capacity(loop), 2);
    ck_assert(task_start(loop, sleep_shortly, NULL, NULL));
    ck_assert(task_start(loop, sleep_shortly, NULL, NULL));
    ck_assert(!task_start(loop, sleep_shortly, NULL, NULL));
    ck_assert_uint_eq(task_refusals(loop), 1);
    ck_assert_uint_eq(task_count(loop), 2);
    run_out(loop);
    ck_assert(task_start(loop, sleep_shortly, NULL, NULL));
    run_out(loop);
    ck_assert_uint_eq(task_refusals(loop), 1);
    loop_free(loop);
}
END_TEST

struct nest {
    struct loop *loop;
    struct waitq done;
    unsigned depth;
    unsigned reached;
};

/* Starts a child and waits for it, down to depth 0. */
static void nest_down(struct task *task, void *argument)
{
    struct nest *nest = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    if (nest->depth > 0) {
        struct nest child = {.loop = nest->loop, .depth = nest->depth - 1};
        waitq_init(&child.done);
        ck_assert(task_start(nest->loop, nest_down, &child, NULL));
        void *given = NULL;
        ck_assert_int_eq(waitq_wait(&ctx, &child.done, NO_DEADLINE, &given), WAIT_READY);
        ck_assert_ptr_eq(given, &child);
        nest->reached = child.reached + 1;
    }
    (void)waitq_wake(&nest->done, nest);
}

START_TEST(tasks_wait_for_tasks_that_wait_for_tasks)
{
    struct loop *loop = loop_new(0);
    struct nest top = {.loop = loop, .depth = 300};
    waitq_init(&top.done);
    ck_assert(task_start(loop, nest_down, &top, NULL));
    run_out(loop);
    ck_assert_uint_eq(top.reached, 300);
    loop_free(loop);
}
END_TEST

static void chain_start(struct task *task, void *argument)
{
    unsigned *left = argument;
    if (--*left > 0)
        ck_assert(task_start(task_loop(task), sleep_shortly, left, chain_start));
}

START_TEST(on_end_runs_on_the_loop_and_may_start_tasks)
{
    struct loop *loop = loop_new(1); /* the ended task no longer counts */
    unsigned left = 20;
    ck_assert(task_start(loop, sleep_shortly, &left, chain_start));
    run_out(loop);
    ck_assert_uint_eq(left, 0);
    loop_free(loop);
}
END_TEST

/* --- deadlines and cancellation -------------------------------------------------------------------- */

static void probe_sleep(struct task *task, void *argument)
{
    struct probe *probe = argument;
    probe_begin(probe, task);
    uint64_t began = clock_now();
    probe->result = task_sleep(&probe->ctx, probe->duration_ns);
    probe->took_ns = clock_now() - began;
    probe->running = false;
}

START_TEST(wait_ends_at_the_earlier_of_both_deadlines)
{
    struct loop *loop = loop_new(0);
    for (int ctx_first = 0; ctx_first < 2; ctx_first++) {
        struct probe probe;
        probe_init(&probe);
        uint64_t now = clock_now();
        probe.deadline_ns = now + (ctx_first ? 10 * NS_PER_S : 30 * NS_PER_MS);
        probe.ctx_deadline_ns = now + (ctx_first ? 30 * NS_PER_MS : 10 * NS_PER_S);
        ck_assert(task_start(loop, probe_queue, &probe, NULL));
        run_out(loop);
        ck_assert_int_eq(probe.result, WAIT_TIMEOUT);
        ck_assert_uint_ge(clock_now(), now + 30 * NS_PER_MS); /* never early */
        ck_assert_uint_lt(probe.took_ns, NS_PER_S);
        ck_assert_uint_eq(waitq_size(&probe.queue), 0);
    }
    loop_free(loop);
}
END_TEST

START_TEST(deadline_in_the_past_ends_the_wait_soon)
{
    struct loop *loop = loop_new(0);
    struct probe probe;
    probe_init(&probe);
    probe.deadline_ns = 1;
    ck_assert(task_start(loop, probe_queue, &probe, NULL));
    run_out(loop);
    ck_assert_int_eq(probe.result, WAIT_TIMEOUT);
    ck_assert_uint_lt(probe.took_ns, 500 * NS_PER_MS);
    loop_free(loop);
}
END_TEST

START_TEST(sleep_tells_apart_slept_out_deadline_and_cancelled)
{
    struct loop *loop = loop_new(0);
    struct probe out, late, cut;
    probe_init(&out);
    probe_init(&late);
    probe_init(&cut);
    out.duration_ns = 20 * NS_PER_MS;
    late.duration_ns = cut.duration_ns = 20 * NS_PER_S;
    late.ctx_deadline_ns = clock_now() + 20 * NS_PER_MS;
    ck_assert(task_start(loop, probe_sleep, &out, NULL));
    ck_assert(task_start(loop, probe_sleep, &late, NULL));
    ck_assert(task_start(loop, probe_sleep, &cut, NULL));
    loop_turn(loop, 0);
    ck_assert(cut.running);
    task_cancel(cut.task);
    ck_assert(cut.running); /* waking is never synchronous */
    run_out(loop);
    ck_assert_int_eq(out.result, WAIT_READY);
    ck_assert_uint_ge(out.took_ns, 20 * NS_PER_MS);
    ck_assert_int_eq(late.result, WAIT_TIMEOUT);
    ck_assert_int_eq(cut.result, WAIT_CANCELLED);
    ck_assert_uint_lt(cut.took_ns, NS_PER_S);
    loop_free(loop);
}
END_TEST

struct sticky {
    struct task *task;
    enum wait_result results[4];
};

static void cancel_self_and_wait(struct task *task, void *argument)
{
    struct sticky *sticky = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    task_cancel(task); /* before the wait */
    ck_assert(task_is_cancelled(task));
    struct waitq queue;
    waitq_init(&queue);
    sticky->results[0] = task_sleep(&ctx, NS_PER_S);
    sticky->results[1] = waitq_wait(&ctx, &queue, NO_DEADLINE, NULL);
    task_shield(&ctx, true);
    sticky->results[2] = task_sleep(&ctx, 10 * NS_PER_MS); /* ignores it */
    task_shield(&ctx, false);
    sticky->results[3] = task_sleep(&ctx, NS_PER_S); /* and it is still there */
    ck_assert_uint_eq(waitq_size(&queue), 0);
}

static void note_clean_start(struct task *task, void *argument)
{
    *(bool *)argument = !task_is_cancelled(task);
}

START_TEST(cancellation_is_sticky_until_the_task_ends)
{
    struct loop *loop = loop_new(0);
    struct sticky sticky;
    ck_assert(task_start(loop, cancel_self_and_wait, &sticky, NULL));
    run_out(loop);
    ck_assert_int_eq(sticky.results[0], WAIT_CANCELLED);
    ck_assert_int_eq(sticky.results[1], WAIT_CANCELLED);
    ck_assert_int_eq(sticky.results[2], WAIT_READY);
    ck_assert_int_eq(sticky.results[3], WAIT_CANCELLED);
    bool clean = false;
    ck_assert(task_start(loop, note_clean_start, &clean, NULL)); /* the same struct, a new life */
    run_out(loop);
    ck_assert(clean);
    loop_free(loop);
}
END_TEST

START_TEST(shielded_wait_ignores_cancel_but_not_its_deadline)
{
    struct loop *loop = loop_new(0);
    struct probe probe;
    probe_init(&probe);
    probe.shielded = true;
    probe.deadline_ns = clock_now() + 60 * NS_PER_MS;
    ck_assert(task_start(loop, probe_queue, &probe, NULL));
    loop_turn(loop, 0);
    task_cancel(probe.task);
    loop_turn(loop, 10 * NS_PER_MS);
    ck_assert(probe.running);
    run_out(loop);
    ck_assert_int_eq(probe.result, WAIT_TIMEOUT);
    loop_free(loop);
}
END_TEST

START_TEST(shielded_wait_still_gets_what_it_waits_for)
{
    struct loop *loop = loop_new(0);
    struct probe probe;
    probe_init(&probe);
    probe.shielded = true;
    ck_assert(task_start(loop, probe_queue, &probe, NULL));
    loop_turn(loop, 0);
    task_cancel(probe.task);
    loop_turn(loop, 0);
    ck_assert(waitq_wake(&probe.queue, &probe));
    run_out(loop);
    ck_assert_int_eq(probe.result, WAIT_READY);
    ck_assert_ptr_eq(probe.given, &probe);
    loop_free(loop);
}
END_TEST

START_TEST(wait_fault_names_what_was_waited_for)
{
    struct ctx ctx;
    ctx_of(&ctx, NULL);
    ck_assert_int_eq(wait_fault(&ctx, WAIT_READY, "pool"), OK);
    ck_assert_int_eq(wait_fault(&ctx, WAIT_TIMEOUT, "pool"), FAULT_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(ctx_fault_text(&ctx), "pool"));
    ck_assert_int_eq(wait_fault(&ctx, WAIT_CANCELLED, "pool"), FAULT_CANCELLED);
}
END_TEST

Suite *suite_loop_task(void);
Suite *suite_loop_task(void)
{
    Suite *suite = suite_create("loop/task");
    TCase *life = tcase_create("life");
    tcase_set_timeout(life, 60);
    tcase_add_test(life, thousands_of_tasks_keep_their_own_locals);
    tcase_add_test(life, cap_refuses_counts_and_opens_again);
    tcase_add_test(life, tasks_wait_for_tasks_that_wait_for_tasks);
    tcase_add_test(life, on_end_runs_on_the_loop_and_may_start_tasks);
    suite_add_tcase(suite, life);
    TCase *waits = tcase_create("waits");
    tcase_set_timeout(waits, 30);
    tcase_add_test(waits, wait_ends_at_the_earlier_of_both_deadlines);
    tcase_add_test(waits, deadline_in_the_past_ends_the_wait_soon);
    tcase_add_test(waits, sleep_tells_apart_slept_out_deadline_and_cancelled);
    tcase_add_test(waits, cancellation_is_sticky_until_the_task_ends);
    tcase_add_test(waits, shielded_wait_ignores_cancel_but_not_its_deadline);
    tcase_add_test(waits, shielded_wait_still_gets_what_it_waits_for);
    tcase_add_test(waits, wait_fault_names_what_was_waited_for);
    suite_add_tcase(suite, waits);
    return suite;
}
