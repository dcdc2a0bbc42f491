/* The loop: libuv's phases with tasks and deferred work after each poll.
 *
 *    a turn:  timers ─ poll ─ io and mailbox callbacks ─ ready tasks ─ deferred work ─ closed handles freed
 *
 * uv_check runs right after the poll and its callbacks, which is where tasks and deferred work
 * hook in. */
#include "base/alloc.h"
#include "base/clock.h"

#include "loop/loop_int.h"

#include <assert.h>
#include <stdlib.h>

#define TASKS_DEFAULT 2048
/* One turn closes handles; one more because a pending loop_stop() swallows the first. */
#define CLOSING_TURNS 3

static void on_turn_end(uv_check_t *check);
static void on_keep_going(uv_idle_t *idle);
static void on_turn_limit(uv_timer_t *timer);
static void run_deferred(struct loop *loop);
static void run(struct loop *loop, uv_run_mode mode);
static void note_turn(struct loop *loop);

struct loop *loop_new(size_t max_tasks)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    if (uv_loop_init(&loop->uv) != 0)
        abort(); /* no descriptors left for the poller: nothing can run */
    int rc = uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME);
    assert(rc == 0);
    uv_check_init(&loop->uv, &loop->turn_end);
    uv_idle_init(&loop->uv, &loop->keep_going);
    uv_timer_init(&loop->uv, &loop->turn_limit);
    loop->turn_end.data = loop;
    loop->keep_going.data = loop;
    loop->turn_limit.data = loop;
    uv_check_start(&loop->turn_end, on_turn_end);
    list_init(&loop->ready);
    list_init(&loop->deferred);
    list_init(&loop->spare_tasks);
    loop->task_capacity = max_tasks == 0 ? TASKS_DEFAULT : max_tasks;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    assert(loop->task_count == 0 && loop->current == NULL);
    assert(list_is_empty(&loop->deferred));
    loop_drop_spare_tasks(loop);
    while (loop->lookups > 0) /* given up, and still on a thread: the resolver's own time-out ends it */
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&loop->turn_end, NULL);
    uv_close((uv_handle_t *)&loop->keep_going, NULL);
    uv_close((uv_handle_t *)&loop->turn_limit, NULL);
    for (int turns = 0; turns < CLOSING_TURNS; turns++)
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* something of this loop was not closed */
    free(loop);
}

void loop_run(struct loop *loop)
{
    run(loop, UV_RUN_DEFAULT);
}

void loop_turn(struct loop *loop, uint64_t timeout_ns)
{
    if (timeout_ns == 0) {
        run(loop, UV_RUN_NOWAIT);
        return;
    }
    uint64_t limit = deadline_after(clock_now(), timeout_ns);
    if (limit != NO_DEADLINE)
        loop_timer_arm(loop, &loop->turn_limit, limit, on_turn_limit);
    run(loop, UV_RUN_ONCE);
    uv_timer_stop(&loop->turn_limit);
    if (list_is_empty(&loop->ready) && list_is_empty(&loop->deferred))
        uv_idle_stop(&loop->keep_going); /* which on_turn_limit() may have started behind the poll */
}

/* On the loop's thread only: uv_stop() is not thread-safe.  Others post to a mailbox. */
void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

uint64_t loop_now(const struct loop *loop)
{
    return uv_now(&loop->uv) * NS_PER_MS;
}

uint64_t loop_turns(const struct loop *loop)
{
    return loop->turns;
}

uint64_t loop_lag_take(struct loop *loop)
{
    uint64_t lag = loop->lag_ns;
    loop->lag_ns = 0;
    return lag;
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
    assert(deferred->callback != NULL);
    if (list_is_linked(&deferred->node))
        return;
    list_push_back(&loop->deferred, &deferred->node);
    loop_keep_going(loop);
}

void loop_defer_cancel(struct loop *loop, struct deferred *deferred)
{
    list_remove(&loop->deferred, &deferred->node);
}

void loop_keep_going(struct loop *loop)
{
    if (!uv_is_active((uv_handle_t *)&loop->keep_going))
        uv_idle_start(&loop->keep_going, on_keep_going);
}

/* libuv's clock is CLOCK_MONOTONIC as well, in whole milliseconds and read once a turn: counting from it
 * fires when that clock has reached the rounded-up deadline, so never early. */
void loop_timer_arm(struct loop *loop, uv_timer_t *timer, uint64_t deadline_ns,
                    uv_timer_cb callback)
{
    uint64_t due_ms = deadline_ns / NS_PER_MS + (deadline_ns % NS_PER_MS != 0);
    uint64_t now_ms = uv_now(&loop->uv);
    uint64_t ms = due_ms > now_ms ? due_ms - now_ms : 0;
    if (ms == 0 && loop->in_timers)
        ms =
            1; /* libuv runs timers until none is due: re-arming in the past would never leave it */
    int rc = uv_timer_start(timer, callback, ms, 0);
    assert(rc == 0);
}

/* Deferred work may make tasks ready and tasks may defer: what is left over keeps the poll from
 * waiting. */
static void on_turn_end(uv_check_t *check)
{
    struct loop *loop = check->data;
    loop_run_tasks(loop);
    run_deferred(loop);
    if (list_is_empty(&loop->ready) && list_is_empty(&loop->deferred))
        uv_idle_stop(&loop->keep_going);
    note_turn(loop);
    loop->turns++;
}

static void run(struct loop *loop, uv_run_mode mode)
{
    switch_adopt(&loop->main_context); /* the thread that runs the loop need not have made it */
    loop->turn_end_ns = clock_now();
    loop->idle_ns = uv_metrics_idle_time(&loop->uv);
    (void)uv_run(&loop->uv, mode);
    switch_disown(&loop->main_context);
}

/* A turn is what passed since the last one ended, less the time the poll waited. */
static void note_turn(struct loop *loop)
{
    uint64_t now = clock_now();
    uint64_t idle = uv_metrics_idle_time(&loop->uv);
    uint64_t passed = now - loop->turn_end_ns;
    uint64_t waited = idle - loop->idle_ns;
    uint64_t spent = passed > waited ? passed - waited : 0;
    loop->turn_end_ns = now;
    loop->idle_ns = idle;
    if (spent > loop->lag_ns)
        loop->lag_ns = spent;
}

/* Only what was deferred before this point: work that defers itself again runs in the next turn. */
static void run_deferred(struct loop *loop)
{
    for (size_t left = loop->deferred.count; left > 0; left--) {
        struct list_node *node = list_pop_front(&loop->deferred);
        if (node == NULL) /* cancelled by its neighbour */
            return;
        struct deferred *deferred = list_entry(node, struct deferred, node);
        deferred->callback(deferred->owner);
    }
}

static void on_keep_going(uv_idle_t *idle)
{
    (void)idle; /* being active is the point: libuv polls without waiting */
}

/* Ends the poll that waits, and keeps the one that is still to come from waiting: libuv runs timers before the
 * poll too, and without one nothing might end it. */
static void on_turn_limit(uv_timer_t *timer)
{
    loop_keep_going(timer->data);
}
