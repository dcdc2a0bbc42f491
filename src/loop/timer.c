/* One-shot timers. */
#include "base/alloc.h"
#include "base/clock.h"
#include "loop/loop_int.h"

#include <assert.h>
#include <stdlib.h>

struct timer {
    uv_timer_t uv;
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
        loop_timer_arm(&timer->uv, deadline_ns, on_timer);
}

bool timer_is_set(const struct timer *timer)
{
    return timer->deadline_ns != NO_DEADLINE;
}

void timer_free(struct timer *timer)
{
    if (timer != NULL)
        uv_close((uv_handle_t *)&timer->uv, on_closed);
}

static void on_timer(uv_timer_t *uv)
{
    struct timer *timer = uv->data;
    if (deadline_left(timer->deadline_ns, clock_now()) > 0) {
        loop_timer_arm(uv, timer->deadline_ns, on_timer);
        return;
    }
    timer->deadline_ns = NO_DEADLINE;
    timer->callback(timer->owner);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}
