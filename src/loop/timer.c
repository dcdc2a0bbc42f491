/* One-shot timers. */
#include "base/alloc.h"
#include "base/clock.h"

#include "loop/loop_int.h"

#include <assert.h>
#include <stdlib.h>

struct timer {
    uv_timer_t uv;
    struct loop *loop;
    timer_callback *callback;
    void *owner;
    uint64_t deadline_ns; /* NO_DEADLINE: not armed */
};

static void on_timer(uv_timer_t *uv);
static void on_closed(uv_handle_t *handle);

struct timer *timer_new(struct loop *loop, timer_callback *callback, void *owner)
{
    assert(callback != NULL);
    struct timer *timer = xcalloc(1, sizeof *timer);
    timer->loop = loop;
    timer->callback = callback;
    timer->owner = owner;
    timer->deadline_ns = NO_DEADLINE;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    return timer;
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    if (deadline_ns == NO_DEADLINE)
        uv_timer_stop(&timer->uv);
    else
        loop_timer_arm(timer->loop, &timer->uv, deadline_ns, on_timer);
}

bool timer_is_set(const struct timer *timer)
{
    return timer->deadline_ns != NO_DEADLINE;
}

/* The memory goes with libuv's close callback: freeing from within the timer's own callback is
 * allowed. */
void timer_free(struct timer *timer)
{
    if (timer != NULL)
        uv_close((uv_handle_t *)&timer->uv, on_closed);
}

/* Disarmed before the callback, so that it may arm the timer again.  `in_timers` is for
 * loop_timer_arm(). */
static void on_timer(uv_timer_t *uv)
{
    struct timer *timer = uv->data;
    struct loop *loop = timer->loop;
    timer->deadline_ns = NO_DEADLINE;
    loop->in_timers = true;
    timer->callback(timer->owner); /* may free the timer */
    loop->in_timers = false;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}
