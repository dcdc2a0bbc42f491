/* What the tests of tasks share: a context for a task, running a loop out, a task that waits once. */
#ifndef TESTS_LOOP_TASKS_H
#define TESTS_LOOP_TASKS_H

#include "base/clock.h"

#include "loop/task.h"

#include <check.h>

static inline void ctx_of(struct ctx *ctx, struct task *task)
{
    ctx_init(ctx, NULL, NULL);
    ctx->task = task;
}

/* Turns the loop until no task is left; fails after twenty seconds: three thousand stacks under TSan on a busy
 * machine take five. */
static inline void run_out(struct loop *loop)
{
    uint64_t limit = clock_now() + 20 * NS_PER_S;
    while (task_count(loop) > 0) {
        loop_turn(loop, 50 * NS_PER_MS);
        ck_assert_msg(clock_now() < limit, "%zu tasks never ended", task_count(loop));
    }
}

struct probe {
    struct task *task;
    struct ctx ctx;
    uint64_t deadline_ns;     /* of the wait */
    uint64_t ctx_deadline_ns; /* of the work */
    uint64_t duration_ns;     /* task_sleep() */
    bool shielded;
    bool running;
    enum wait_result result;
    uint64_t took_ns;
    struct waitq queue;
    void *given;
};

static inline void probe_init(struct probe *probe)
{
    *probe = (struct probe){.deadline_ns = NO_DEADLINE, .ctx_deadline_ns = NO_DEADLINE};
    waitq_init(&probe->queue);
}

static inline void probe_begin(struct probe *probe, struct task *task)
{
    probe->task = task;
    probe->running = true;
    ctx_of(&probe->ctx, task);
    probe->ctx.deadline_ns = probe->ctx_deadline_ns;
    task_shield(&probe->ctx, probe->shielded);
}

static inline void probe_queue(struct task *task, void *argument)
{
    struct probe *probe = argument;
    probe_begin(probe, task);
    uint64_t began = clock_now();
    probe->result = waitq_wait(&probe->ctx, &probe->queue, probe->deadline_ns, &probe->given);
    probe->took_ns = clock_now() - began;
    probe->running = false;
}

#endif
