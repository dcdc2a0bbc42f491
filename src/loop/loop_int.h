/* The loop room's own: how loops, tasks and waits fit together.
 *
 *    task_start ──> READY ──loop_run_tasks──> RUNNING ──task_suspend──> WAITING
 *                     ^                        │                        │
 *                     └──────── task_wake ─────┼────────────────────────┘
 *                                              └──the function returned──> ENDED, kept as a spare
 *
 * One task runs at a time, on the loop's thread; whoever is not a task runs on the loop's own
 * stack. */
#ifndef LOOP_LOOP_INT_H
#define LOOP_LOOP_INT_H

#include "loop/loop.h"
#include "loop/switch.h"
#include "loop/task.h"

#include <uv.h>

/* Owned by its thread.  libuv's handles are members: the loop must not move. */
struct loop {
    uv_loop_t uv;
    uv_check_t turn_end;   /* runs after poll and its callbacks: tasks, then deferred work */
    uv_idle_t keep_going;  /* active while work is ready, so that poll does not wait */
    uv_timer_t turn_limit; /* loop_turn(): ends the wait */
    struct list ready;     /* tasks to run */
    struct list deferred;  /* end-of-turn work */
    struct task *current;  /* the running task; NULL on the loop's own stack */
    struct switch_context main_context; /* the loop's own stack while a task runs */
    size_t task_count;                  /* started and not ended */
    size_t task_capacity;
    struct list spare_tasks;      /* ended, with stack and timer, kept for the next */
    size_t lookups;               /* of names, under way on libuv's threads; see resolve.c */
    uint64_t task_refusals;       /* task_start() calls that met the cap */
    bool in_timers;               /* a timer's callback runs: see loop_timer_arm() */
    uint64_t turns;               /* that have ended */
    uint64_t turn_end_ns;         /* when the last turn ended, and … */
    uint64_t idle_ns;             /* … libuv's idle time then */
    uint64_t lag_ns;              /* the longest turn since loop_lag_take() */
    uint64_t slice_began_ns;      /* when the current task was resumed, or the last let go */
    uint64_t slice_limit_ns;      /* a longer slice is reported */
    slow_slice_callback *on_slow; /* NULL: nobody wants to know */
    void *slow_owner;
};

/* A task waiting in task_wait_io(); on that task's stack.  The io points to it while the wait
 * lasts, and lets go of it before the stack frame goes away. */
struct io_wait {
    struct task *task;
    bool ready;  /* the event came */
    bool closed; /* the io was closed meanwhile */
};

/* One watcher per descriptor, for a callback or one task or both at once.  Freed by libuv's
 * close callback, a turn after io_close(). */
struct io {
    struct loop *loop; /* NULL: a plain thread's */
    int fd;
    uv_poll_t poll;  /* unused on a plain thread */
    unsigned armed;  /* IO_ bits libuv watches now */
    unsigned wanted; /* IO_ bits the callback is for */
    io_callback *callback;
    void *owner;
    struct io_wait *waiter; /* NULL when nobody waits */
    unsigned waiter_events;
    bool closing;
};

/* WAITING is the only state from which task_wake() does something: waking twice is waking once. */
enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_ENDED };

/* Reused from one life to the next with its stack and timer; function, argument and flags are
 * set anew. */
struct task {
    struct list_node node; /* on loop->ready while TASK_READY, on spare_tasks between two lives */
    struct loop *loop;
    struct stack *stack;
    struct switch_context context;
    task_function *function;
    task_function *on_end; /* on the loop's stack; may be NULL */
    void *argument;
    enum task_state state;
    bool cancelled; /* sticky */
    bool shielded;
    bool timed_out;       /* the wait's timer fired */
    uint64_t deadline_ns; /* of the wait */
    uv_timer_t timer;
};

/* Puts a waiting task on the ready list; nothing happens when it is ready already. */
void task_wake(struct task *task);
/* Gives up the CPU until something wakes the task or the deadline's timer fires.  Says nothing
 * about why it came back: the caller looks again, with task_wait_over(), in a loop. */
void task_suspend(struct task *task, uint64_t deadline_ns);
/* True when the wait has ended: what was waited for came (`done` wins), cancellation, or the
 * deadline.  Takes the timer's mark; a shielded task does not see its cancellation. */
bool task_wait_over(struct task *task, bool done, enum wait_result *result);
/* Runs ready tasks, each once; those woken meanwhile run in the next turn.  On the loop's own
 * stack only. */
void loop_run_tasks(struct loop *loop);
/* Reports the running task when it held the CPU for too long.  Call on its own stack, just before it
 * lets go. */
void slice_end(struct loop *loop);
/* Makes the next poll not wait because something is ready. */
void loop_keep_going(struct loop *loop);
/* Arms `timer` for a clock_now() time, rounded up to libuv's milliseconds: never early.
 * Replaces what was armed before. */
void loop_timer_arm(struct loop *loop, uv_timer_t *timer, uint64_t deadline_ns,
                    uv_timer_cb callback);
/* Makes libuv watch what callback and waiter want. */
void io_arm(struct io *io);
/* Closes the timers of spare tasks and frees their stacks; for loop_free(). */
void loop_drop_spare_tasks(struct loop *loop);

#endif
