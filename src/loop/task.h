/* Tasks: stackful coroutines that read as straight-line code and wait on the loop.
 *
 * A task stays on its loop's thread.  It gives up the CPU only in the functions below that take a ctx;
 * each returns why it came back.  Woken tasks go on the ready list and run later in the turn, never
 * inside the call that woke them.  With ctx->task == NULL (a plain thread) the same functions block in
 * poll(2), so tools, the relay and tests use the same code.
 *
 * Stacks are 64 KiB with a guard page, pooled. */
#ifndef LOOP_TASK_H
#define LOOP_TASK_H

#include "base/ctx.h"

#include "loop/loop.h"

struct task;

enum wait_result {
    WAIT_READY,     /* what was waited for happened */
    WAIT_TIMEOUT,   /* the deadline passed first */
    WAIT_CANCELLED, /* task_cancel() was called, now or before the wait */
};

typedef void task_function(struct task *task, void *argument);

/* Starts a task at the end of this turn's callbacks.  `on_end` (may be NULL) runs on the loop's stack
 * after the function returned.  False: the cap of running tasks is reached (counted). */
bool task_start(struct loop *loop, task_function *function, void *argument,
                task_function *on_end);
/* The task's current or next wait returns WAIT_CANCELLED, and so do all later ones. */
void task_cancel(struct task *task);
bool task_is_cancelled(const struct task *task);
/* While shielded, waits ignore cancellation (a COMMIT must learn its fate); deadlines still count. */
void task_shield(struct ctx *ctx, bool shielded);

struct loop *task_loop(const struct task *task);
/* Tasks started and not yet ended. */
size_t task_count(const struct loop *loop);
size_t task_capacity(const struct loop *loop);
/* How often task_start() said no. */
uint64_t task_refusals(const struct loop *loop);
/* In a task's on_end: clock_now() as it was when the task returned, without another reading. */
uint64_t task_end_time(const struct loop *loop);
/* Stack bytes left in the running task; a large number on a plain thread. */
size_t task_stack_left(const struct ctx *ctx);

/* Waits until one of `events` (IO_READ | IO_WRITE) is ready.  `io` is the watch; on a plain thread it
 * may have been opened without a loop (io_open(NULL, fd)).  The wait ends at the earlier of
 * deadline_ns and ctx->deadline_ns.  Suspends. */
enum wait_result task_wait_io(struct ctx *ctx, struct io *io, unsigned events,
                              uint64_t deadline_ns);

/* Suspends for a duration (or until cancelled or the ctx deadline). WAIT_READY: slept it all. */
enum wait_result task_sleep(struct ctx *ctx, uint64_t duration_ns);

/* Lets other ready tasks run.  Suspends. */
void task_yield(struct ctx *ctx);

/* WAIT_TIMEOUT and WAIT_CANCELLED as faults (FAULT_TIMEOUT, FAULT_CANCELLED); WAIT_READY as OK. */
int wait_fault(struct ctx *ctx, enum wait_result result, const char *what) MUST_CHECK;

/* --- waiting for each other ----------------------------------------------------------------------- */

/* A FIFO of tasks of ONE loop.  Hand over: the waker gives what it has to the first waiter. */
struct waitq {
    struct list waiters;
};

/* One waiting task; lives on the waiter's stack. */
struct waiter {
    struct list_node node;
    struct task *task;
    void *given;  /* what waitq_wake() handed over */
    bool woken;
};

void waitq_init(struct waitq *queue);
/* Waits for a waitq_wake(); *given (may be NULL) gets what was handed over.  If the wait ends for
 * another reason nothing was handed over.  Tasks only.  Suspends. */
enum wait_result waitq_wait(struct ctx *ctx, struct waitq *queue, uint64_t deadline_ns,
                            void **given);
/* Wakes the first waiter and hands it `given`.  False: nobody waits. */
bool waitq_wake(struct waitq *queue, void *given);
/* Wakes all with the same `given`; returns how many. */
size_t waitq_wake_all(struct waitq *queue, void *given);
static inline size_t waitq_size(const struct waitq *queue)
{
    return queue->waiters.count;
}

#endif
