/* The loop: libuv's phases with tasks and deferred work after each poll. */
#include "base/alloc.h"
#include "base/clock.h"
#include "loop/loop_int.h"

#include <assert.h>
#include <stdlib.h>

#define TASKS_DEFAULT 2048

static void on_turn_end(uv_check_t *check);
static void on_keep_going(uv_idle_t *idle);
static void on_turn_limit(uv_timer_t *timer);
static void run_deferred(struct loop *loop);

struct loop *loop_new(size_t max_tasks)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    if (uv_loop_init(&loop->uv) != 0)
        abort(); /* no descriptors left for the poller: nothing can run */
    uv_check_init(&loop->uv, &loop->turn_end);
    uv_idle_init(&loop->uv, &loop->keep_going);
    uv_timer_init(&loop->uv, &loop->turn_limit);
    loop->turn_end.data = loop;
    loop->keep_going.data = loop;
    uv_check_start(&loop->turn_end, on_turn_end);
    list_init(&loop->ready);
    list_init(&loop->deferred);
    list_init(&loop->spare_tasks);
    switch_adopt(&loop->main_context);
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
    uv_close((uv_handle_t *)&loop->turn_end, NULL);
    uv_close((uv_handle_t *)&loop->keep_going, NULL);
    uv_close((uv_handle_t *)&loop->turn_limit, NULL);
    while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0)
        continue;
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* something of this loop was not closed */
    free(loop);
}

void loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_turn(struct loop *loop, uint64_t timeout_ns)
{
    if (timeout_ns == 0) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        return;
    }
    loop_timer_arm(&loop->turn_limit, deadline_after(clock_now(), timeout_ns), on_turn_limit);
    (void)uv_run(&loop->uv, UV_RUN_ONCE);
    uv_timer_stop(&loop->turn_limit);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

uint64_t loop_now(const struct loop *loop)
{
    return uv_now(&loop->uv) * NS_PER_MS;
}

uint64_t loop_lag_take(struct loop *loop)
{
    uint64_t lag = loop->lag_ns;
    loop->lag_ns = 0;
    return lag;
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
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

void loop_timer_arm(uv_timer_t *timer, uint64_t deadline_ns, uv_timer_cb callback)
{
    uint64_t left = deadline_left(deadline_ns, clock_now());
    uint64_t ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
    /* libuv counts from the turn's time, which may lie back: callbacks check and re-arm */
    uv_timer_start(timer, callback, ms, 0);
}

static void on_turn_end(uv_check_t *check)
{
    struct loop *loop = check->data;
    loop_run_tasks(loop);
    run_deferred(loop);
    if (list_is_empty(&loop->ready) && list_is_empty(&loop->deferred))
        uv_idle_stop(&loop->keep_going);
    uint64_t spent = clock_now() - loop_now(loop);
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

static void on_turn_limit(uv_timer_t *timer)
{
    (void)timer;
}
