/* Timers, deferred work, the order of a turn, the watchdog's figures. */
#include "tasks.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct tick {
    struct loop *loop;
    struct timer *timer;
    uint64_t deadline_ns;
    uint64_t fired_ns;
    unsigned fired;
    unsigned again;  /* re-arms this often from the callback … */
    uint64_t gap_ns; /* … after this long; 0: in the past */
    bool frees;
    char *trail; /* what happened, a letter each */
    char letter;
};

static void leave_letter(char *trail, char letter)
{
    while (*trail != '\0')
        trail++;
    *trail = letter;
}

static void on_tick(void *owner)
{
    struct tick *tick = owner;
    ck_assert(tick->frees || !timer_is_set(tick->timer)); /* one shot */
    tick->fired++;
    tick->fired_ns = clock_now();
    if (tick->trail != NULL)
        leave_letter(tick->trail, tick->letter);
    if (tick->again > 0) {
        tick->again--;
        timer_set(tick->timer, tick->gap_ns == 0 ? 1 : clock_now() + tick->gap_ns);
    }
    if (tick->frees) {
        timer_free(tick->timer);
        tick->timer = NULL;
    }
}

static void tick_arm(struct tick *tick, struct loop *loop, uint64_t after_ns)
{
    tick->loop = loop;
    tick->timer = timer_new(loop, on_tick, tick);
    tick->deadline_ns = clock_now() + after_ns;
    timer_set(tick->timer, tick->deadline_ns);
    ck_assert(timer_is_set(tick->timer));
}

static void turn_for(struct loop *loop, unsigned ms)
{
    for (uint64_t end = clock_now() + ms * NS_PER_MS; clock_now() < end;)
        loop_turn(loop, end - clock_now());
}

START_TEST(timers_fire_in_order_never_early_and_once)
{
    enum { COUNT = 200 };
    struct loop *loop = loop_new(0);
    struct tick ticks[COUNT] = {0};
    srand(7);
    for (int i = 0; i < COUNT; i++)
        tick_arm(&ticks[i], loop, (uint64_t)(rand() % 80) * NS_PER_MS + NS_PER_MS / 3);
    turn_for(loop, 120);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(ticks[i].fired, 1);
        ck_assert_uint_ge(ticks[i].fired_ns, ticks[i].deadline_ns);
        for (int k = 0; k < COUNT; k++)
            if (ticks[i].deadline_ns + 2 * NS_PER_MS < ticks[k].deadline_ns)
                ck_assert_uint_le(ticks[i].fired_ns, ticks[k].fired_ns);
        timer_free(ticks[i].timer);
    }
    timer_free(NULL);
    loop_free(loop);
}
END_TEST

START_TEST(timer_moves_earlier_later_and_off)
{
    struct loop *loop = loop_new(0);
    struct tick earlier = {0}, later = {0}, off = {0};
    tick_arm(&earlier, loop, 10 * NS_PER_S);
    tick_arm(&later, loop, 5 * NS_PER_MS);
    tick_arm(&off, loop, 5 * NS_PER_MS);
    timer_set(earlier.timer, clock_now() + 10 * NS_PER_MS);
    timer_set(later.timer, clock_now() + 10 * NS_PER_S);
    timer_set(off.timer, NO_DEADLINE);
    ck_assert(!timer_is_set(off.timer));
    turn_for(loop, 50);
    ck_assert_uint_eq(earlier.fired, 1);
    ck_assert_uint_eq(later.fired, 0);
    ck_assert_uint_eq(off.fired, 0);
    timer_free(earlier.timer);
    timer_free(later.timer); /* armed */
    timer_free(off.timer);
    loop_free(loop);
}
END_TEST

START_TEST(timer_rearms_and_is_freed_in_its_callback)
{
    struct loop *loop = loop_new(0);
    struct tick repeating = {.again = 5, .gap_ns = 2 * NS_PER_MS}, freed = {.frees = true};
    tick_arm(&repeating, loop, NS_PER_MS);
    tick_arm(&freed, loop, NS_PER_MS);
    turn_for(loop, 60);
    ck_assert_uint_eq(repeating.fired, 6);
    ck_assert_uint_eq(freed.fired, 1);
    ck_assert_ptr_null(freed.timer);
    timer_free(repeating.timer);
    loop_free(loop);
}
END_TEST

/* libuv 1.44 runs timers until none is due: one that re-arms in the past must not hold the loop. */
START_TEST(timer_that_rearms_in_the_past_lets_the_loop_turn)
{
    struct loop *loop = loop_new(0);
    struct tick tick = {.again = 1000000};
    tick_arm(&tick, loop, 0);
    unsigned turns = 0;
    for (uint64_t end = clock_now() + 30 * NS_PER_MS; clock_now() < end; turns++)
        loop_turn(loop, NS_PER_MS);
    ck_assert_uint_gt(turns, 2);
    ck_assert_uint_gt(tick.fired, 2);
    ck_assert_uint_lt(tick.fired, 1000);
    timer_free(tick.timer);
    loop_free(loop);
}
END_TEST

/* --- deferred work --------------------------------------------------------------------------------- */

struct chore {
    struct deferred deferred;
    struct loop *loop;
    unsigned ran;
    unsigned again;
    struct chore *cancels;
    char *trail;
    char letter;
};

static void on_chore(void *owner)
{
    struct chore *chore = owner;
    chore->ran++;
    if (chore->trail != NULL)
        leave_letter(chore->trail, chore->letter);
    if (chore->cancels != NULL)
        loop_defer_cancel(chore->loop, &chore->cancels->deferred);
    if (chore->again > 0) {
        chore->again--;
        loop_defer(chore->loop, &chore->deferred);
    }
}

static void chore_defer(struct chore *chore, struct loop *loop)
{
    chore->loop = loop;
    chore->deferred.callback = on_chore;
    chore->deferred.owner = chore;
    loop_defer(loop, &chore->deferred);
}

START_TEST(deferred_work_runs_once_at_the_end_of_the_turn)
{
    struct loop *loop = loop_new(0);
    struct chore chore = {.ran = 0};
    chore_defer(&chore, loop);
    chore_defer(&chore, loop); /* is deferred already */
    ck_assert_uint_eq(chore.ran, 0);
    uint64_t began = clock_now();
    loop_turn(loop, 5 * NS_PER_S); /* and the poll does not wait meanwhile */
    ck_assert_uint_eq(chore.ran, 1);
    ck_assert_uint_lt(clock_now() - began, NS_PER_S);
    loop_turn(loop, 0);
    ck_assert_uint_eq(chore.ran, 1);
    loop_free(loop);
}
END_TEST

START_TEST(deferred_work_defers_itself_to_the_next_turn)
{
    struct loop *loop = loop_new(0);
    struct chore chore = {.again = 3};
    chore_defer(&chore, loop);
    for (unsigned turn = 1; turn <= 4; turn++) {
        loop_turn(loop, NS_PER_S);
        ck_assert_uint_eq(chore.ran, turn);
    }
    loop_free(loop);
}
END_TEST

START_TEST(deferred_work_is_cancelled_before_and_by_its_neighbour)
{
    struct loop *loop = loop_new(0);
    struct chore never = {.ran = 0}, second = {.ran = 0}, third = {.ran = 0};
    struct chore first = {.cancels = &second};
    chore_defer(&never, loop);
    chore_defer(&first, loop);
    chore_defer(&second, loop);
    chore_defer(&third, loop);
    loop_defer_cancel(loop, &never.deferred);
    loop_defer_cancel(loop, &never.deferred); /* on no list: nothing */
    loop_turn(loop, 0);
    ck_assert_uint_eq(never.ran, 0);
    ck_assert_uint_eq(first.ran, 1);
    ck_assert_uint_eq(second.ran, 0);
    ck_assert_uint_eq(third.ran, 1);
    loop_free(loop);
}
END_TEST

/* --- the turn ---------------------------------------------------------------------------------------- */

struct scene {
    struct loop *loop;
    struct chore chore;
    struct waitq queue;
    char trail[16];
};

static void scene_task(struct task *task, void *argument)
{
    struct scene *scene = argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    (void)waitq_wait(&ctx, &scene->queue, NO_DEADLINE, NULL);
    leave_letter(scene->trail, 't');
}

static void scene_io(void *owner, unsigned events)
{
    (void)events;
    struct scene *scene = owner;
    chore_defer(&scene->chore, scene->loop);
    (void)waitq_wake(&scene->queue, NULL);
    leave_letter(scene->trail, 'c');
}

START_TEST(turn_runs_callbacks_then_tasks_then_deferred)
{
    struct scene scene = {.loop = loop_new(0)};
    scene.chore.trail = scene.trail;
    scene.chore.letter = 'd';
    waitq_init(&scene.queue);
    ck_assert(task_start(scene.loop, scene_task, &scene, NULL));
    loop_turn(scene.loop, 0);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    struct io *io = io_open(scene.loop, fds[0]);
    io_watch(io, IO_READ, scene_io, &scene);
    loop_turn(scene.loop, NS_PER_S);
    ck_assert_str_eq(scene.trail, "ctd");
    io_close(io);
    close(fds[0]);
    close(fds[1]);
    loop_free(scene.loop);
}
END_TEST

static void stop_loop(void *owner)
{
    loop_stop(((struct tick *)owner)->loop);
}

/* The limit passes between its arming and the poll, as when the thread is preempted there: libuv then runs the
 * timer first, and nothing else would end the poll. */
START_TEST(turn_ends_when_its_limit_passes_before_the_poll)
    {
        struct loop *loop = loop_new(0);
        for (int turns = 0; turns < 200; turns++) {
            while (clock_now() % NS_PER_MS < 999 * NS_PER_US)
                continue;
            loop_turn(loop, 1);
        }
        loop_free(loop);
    }
END_TEST

START_TEST(run_ends_at_stop_and_can_run_again)
{
    struct loop *loop = loop_new(0);
    struct tick tick = {.loop = loop};
    struct timer *timer = timer_new(loop, stop_loop, &tick);
    for (int i = 0; i < 2; i++) {
        uint64_t began = clock_now();
        timer_set(timer, began + 10 * NS_PER_MS);
        loop_run(loop);
        ck_assert_uint_ge(clock_now(), began + 10 * NS_PER_MS);
        uint64_t now = clock_now();
        ck_assert_uint_le(loop_now(loop), now);
        ck_assert_uint_lt(now - loop_now(loop), NS_PER_S);
    }
    timer_free(timer);
    loop_stop(loop); /* a stop that nobody runs into must not keep the loop from closing */
    loop_free(loop);
}
END_TEST

static void burn(uint64_t ns)
{
    for (uint64_t end = clock_now() + ns; clock_now() < end;)
        continue;
}

static void burning_task(struct task *task, void *argument)
{
    (void)task;
    (void)argument;
    burn(20 * NS_PER_MS);
}

static void burning_chore(void *owner)
{
    (void)owner;
    burn(40 * NS_PER_MS);
}

START_TEST(watchdog_sees_work_and_not_waiting)
{
    struct loop *loop = loop_new(0);
    (void)loop_lag_take(loop);
    uint64_t began = clock_now();
    loop_turn(loop, 100 * NS_PER_MS); /* only waits */
    ck_assert_uint_ge(clock_now() - began, 90 * NS_PER_MS);
    ck_assert_uint_lt(loop_lag_take(loop), 50 * NS_PER_MS);
    struct deferred chore = {.callback = burning_chore};
    loop_defer(loop, &chore);
    ck_assert(task_start(loop, burning_task, NULL, NULL));
    loop_turn(loop, 0);
    ck_assert_uint_ge(loop_lag_take(loop), 60 * NS_PER_MS);
    loop_free(loop);
}
END_TEST

static void leak_timer(void)
{
    struct loop *loop = loop_new(0);
    struct tick tick = {0};
    tick_arm(&tick, loop, NS_PER_S);
    loop_free(loop);
}

START_TEST(freeing_a_loop_with_an_open_timer_is_a_bug)
{
    leak_timer(); /* asserts: the case expects SIGABRT, not a hang */
}
END_TEST

Suite *suite_loop_timer(void);
Suite *suite_loop_timer(void)
{
    Suite *suite = suite_create("loop/timer");
    TCase *timers = tcase_create("timers");
    tcase_set_timeout(timers, 30);
    tcase_add_test(timers, timers_fire_in_order_never_early_and_once);
    tcase_add_test(timers, timer_moves_earlier_later_and_off);
    tcase_add_test(timers, timer_rearms_and_is_freed_in_its_callback);
    tcase_add_test(timers, timer_that_rearms_in_the_past_lets_the_loop_turn);
    suite_add_tcase(suite, timers);
    TCase *turns = tcase_create("turns");
    tcase_set_timeout(turns, 30);
    tcase_add_test(turns, deferred_work_runs_once_at_the_end_of_the_turn);
    tcase_add_test(turns, deferred_work_defers_itself_to_the_next_turn);
    tcase_add_test(turns, deferred_work_is_cancelled_before_and_by_its_neighbour);
    tcase_add_test(turns, turn_runs_callbacks_then_tasks_then_deferred);
    tcase_add_test(turns, turn_ends_when_its_limit_passes_before_the_poll);
    tcase_add_test(turns, run_ends_at_stop_and_can_run_again);
    tcase_add_test(turns, watchdog_sees_work_and_not_waiting);
    tcase_add_test_raise_signal(turns, freeing_a_loop_with_an_open_timer_is_a_bug, SIGABRT);
    suite_add_tcase(suite, turns);
    return suite;
}
