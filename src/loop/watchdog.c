/* The watchdog of slices: who held the CPU, and on which way.
 *
 * A task cannot be interrupted, so it is asked where it stands when it lets go: the frames below that wait
 * are those that ran for too long, or called what did (Tarantool's slice idea). */
#include "base/clock.h"

#include "loop/loop_int.h"

#include <assert.h>
#include <execinfo.h>

#define FRAMES_MAX 24

void loop_watch_slices(struct loop *loop, uint64_t limit_ns, slow_slice_callback *callback,
                       void *owner)
{
    void *frame;
    (void)backtrace(&frame, 1); /* loads the unwinder now and not in a task that is late already */
    loop->slice_limit_ns = limit_ns;
    loop->on_slow = callback;
    loop->slow_owner = owner;
}

uint64_t task_end_time(const struct loop *loop)
{
    return loop->slice_began_ns;
}

void slice_end(struct loop *loop)
{
    assert(loop->current != NULL);
    uint64_t now = clock_now();
    uint64_t ns = now - loop->slice_began_ns;
    loop->slice_began_ns = now; /* the next task's turn begins: one reading serves both */
    if (loop->on_slow == NULL || ns <= loop->slice_limit_ns)
        return;
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX);
    const struct slow_slice slice = {ns, frames, count < 0 ? 0 : (size_t)count};
    loop->on_slow(loop->slow_owner, &slice);
    loop->slice_began_ns = clock_now();
}
