/*~ Tasks: where straight-line code meets the loop.
 *
 * A task runs until it waits: task_suspend() switches to the loop's own stack.  Whoever makes the wait end
 * puts the task on the ready list; loop_run_tasks() switches back to it at the end of the turn.
 *
 * A wait is always a loop around task_suspend(), because a task may be woken for more reasons
 * than one (a cancellation, a timer, an event that another took).  What decides is the state
 * that task_wait_over() reads. */
#include "loop/task.h"

#include "base/alloc.h"

#include "loop/loop_int.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define SPARE_TASKS 256 /* ended tasks whose stacks are kept: 64 KiB of address space each */

static struct task *task_take(struct loop *loop);
static void task_give(struct task *task);
static void task_entry(void *argument);
static void task_resume(struct task *task);
static void on_timer(uv_timer_t *timer);
static void on_timer_closed(uv_handle_t *handle);
static void task_close(struct task *task);

/* Refuses at the cap instead of queueing: a queue in front of a server that is full only adds
 * waiting to calls that will fail.  The argument must live until on_end ran. */
bool task_start(struct loop *loop, task_function *function, void *argument, task_function *on_end)
{
    if (loop->task_count >= loop->task_capacity) {
        loop->task_refusals++;
        return false;
    }
    loop->task_count++;
    struct task *task = task_take(loop);
    task->function = function;
    task->argument = argument;
    task->on_end = on_end;
    task->cancelled = false;
    task->shielded = false;
    task->state = TASK_WAITING;
    switch_prepare(&task->context, task->stack, task_entry, task);
    task_wake(task);
    return true;
}

/* Nothing is interrupted: the task sees it at its present or next wait, and unwinds by its own
 * returns. */
void task_cancel(struct task *task)
{
    assert(task->state != TASK_ENDED);
    task->cancelled = true;
    task_wake(task);
}

bool task_is_cancelled(const struct task *task)
{
    return task->cancelled;
}

/* The flag is the task's and not counted: shields must not be nested. */
void task_shield(struct ctx *ctx, bool shielded)
{
    if (ctx->task != NULL)
        ctx->task->shielded = shielded;
}

struct loop *task_loop(const struct task *task)
{
    return task->loop;
}

size_t task_count(const struct loop *loop)
{
    return loop->task_count;
}

size_t task_capacity(const struct loop *loop)
{
    return loop->task_capacity;
}

uint64_t task_refusals(const struct loop *loop)
{
    return loop->task_refusals;
}

/* From the frame that asks down to the guard page; stacks grow downwards on all machines we
 * build for. */
size_t task_stack_left(const struct ctx *ctx)
{
    if (ctx->task == NULL)
        return SIZE_MAX;
    const char *here = __builtin_frame_address(0);
    return (size_t)(here - (const char *)ctx->task->stack->base);
}

enum wait_result task_sleep(struct ctx *ctx, uint64_t duration_ns)
{
    uint64_t end = deadline_after(clock_now(), duration_ns);
    uint64_t deadline = end < ctx->deadline_ns ? end : ctx->deadline_ns;
    if (ctx->task == NULL) {
        while (deadline_left(deadline, clock_now()) > 0)
            (void)poll(NULL, 0, deadline_poll_ms(deadline, clock_now()));
        return deadline == end ? WAIT_READY : WAIT_TIMEOUT;
    }
    enum wait_result result;
    ctx->task->timed_out = false;
    while (!task_wait_over(ctx->task, false, &result))
        task_suspend(ctx->task, deadline);
    /* the timer of a sleep is its success, but not when the work's own deadline was the earlier
     * one */
    return result == WAIT_TIMEOUT && deadline == end ? WAIT_READY : result;
}

/* Back in the next turn: loop_run_tasks() runs no more than was ready when it began. */
void task_yield(struct ctx *ctx)
{
    if (ctx->task == NULL)
        return;
    struct task *task = ctx->task;
    assert(task->loop->current == task);
    slice_end(task->loop);
    task->state = TASK_WAITING;
    task_wake(task);
    switch_to(&task->context, &task->loop->main_context);
}

int wait_fault(struct ctx *ctx, enum wait_result result, const char *what)
{
    switch (result) {
    case WAIT_READY:
        return OK;
    case WAIT_TIMEOUT:
        return FAULT(ctx, FAULT_TIMEOUT, "%s: the deadline passed", what);
    case WAIT_CANCELLED:
        return FAULT(ctx, FAULT_CANCELLED, "%s: cancelled", what);
    }
    abort();
}

void waitq_init(struct waitq *queue)
{
    list_init(&queue->waiters);
}

/* The waiter lives on this stack: it leaves the list before the frame goes, whatever ended the
 * wait. */
enum wait_result waitq_wait(struct ctx *ctx, struct waitq *queue, uint64_t deadline_ns,
                            void **given)
{
    assert(ctx->task != NULL);
    uint64_t deadline = ctx_deadline_before(ctx, deadline_ns);
    struct waiter waiter = {.task = ctx->task};
    list_push_back(&queue->waiters, &waiter.node);
    enum wait_result result;
    while (!task_wait_over(ctx->task, waiter.woken, &result))
        task_suspend(ctx->task, deadline);
    if (result != WAIT_READY)
        list_remove(&queue->waiters, &waiter.node);
    else if (given != NULL)
        *given = waiter.given;
    return result;
}

/* Hand-over, not a signal: between a signal and the waiter's turn somebody else could take the
 * thing, and under load the one who waited longest would wait on. */
bool waitq_wake(struct waitq *queue, void *given)
{
    struct list_node *node = list_pop_front(&queue->waiters);
    if (node == NULL)
        return false;
    struct waiter *waiter = list_entry(node, struct waiter, node);
    assert(!waiter->woken);
    waiter->given = given;
    waiter->woken = true; /* from here the thing is the waiter's, whatever else happens to it */
    task_wake(waiter->task);
    return true;
}

size_t waitq_wake_all(struct waitq *queue, void *given)
{
    size_t count = 0;
    while (waitq_wake(queue, given))
        count++;
    return count;
}

void task_wake(struct task *task)
{
    assert(task->state != TASK_ENDED); /* its struct may serve another by now */
    if (task->state != TASK_WAITING)
        return;
    task->state = TASK_READY;
    list_push_back(&task->loop->ready, &task->node);
    loop_keep_going(task->loop);
}

/* A task that is woken late and past its deadline counts as timed out even if the timer's
 * callback has not run. */
void task_suspend(struct task *task, uint64_t deadline_ns)
{
    assert(task->loop->current == task); /* only the running task can wait */
    slice_end(task->loop);
    task->timed_out = false;
    task->deadline_ns = deadline_ns;
    if (deadline_ns != NO_DEADLINE)
        loop_timer_arm(task->loop, &task->timer, deadline_ns, on_timer);
    task->state = TASK_WAITING;
    switch_to(&task->context, &task->loop->main_context);
    uv_timer_stop(&task->timer);
    if (!task->timed_out && deadline_left(deadline_ns, clock_now()) == 0)
        task->timed_out = true;
}

/* What came in time wins over a cancellation that came together with it: a connection that was
 * handed over must not get lost. */
bool task_wait_over(struct task *task, bool done, enum wait_result *result)
{
    bool timed_out = task->timed_out;
    task->timed_out = false;
    if (done)
        *result = WAIT_READY;
    else if (task->cancelled && !task->shielded)
        *result = WAIT_CANCELLED;
    else if (timed_out)
        *result = WAIT_TIMEOUT;
    else
        return false;
    return true;
}

/* Bounded by what was ready at the start: tasks that wake each other for ever would else keep
 * the poll from running. */
void loop_run_tasks(struct loop *loop)
{
    if (!list_is_empty(&loop->ready))
        loop->slice_began_ns = clock_now();
    for (size_t left = loop->ready.count; left > 0; left--) {
        struct list_node *node = list_pop_front(&loop->ready);
        task_resume(list_entry(node, struct task, node));
    }
}

void loop_drop_spare_tasks(struct loop *loop)
{
    for (struct list_node *node; (node = list_pop_front(&loop->spare_tasks)) != NULL;)
        task_close(list_entry(node, struct task, node));
}

/* on_end runs on the loop's stack and may free what the task worked on; the task itself goes
 * back last. */
static void task_resume(struct task *task)
{
    struct loop *loop = task->loop;
    assert(loop->current == NULL && task->state == TASK_READY);
    loop->current = task;
    task->state = TASK_RUNNING;
    switch_to(&loop->main_context, &task->context);
    loop->current = NULL;
    if (task->state != TASK_ENDED)
        return;
    assert(loop->task_count > 0);
    switch_forget(&task->context);
    loop->task_count--;
    if (task->on_end != NULL)
        task->on_end(task, task->argument);
    task_give(task);
}

/* The first frame of every task's stack; it never returns. */
static void task_entry(void *argument)
{
    struct task *task = argument;
    task->function(task, task->argument);
    slice_end(task->loop);
    task->state = TASK_ENDED;
    switch_away(&task->context, &task->loop->main_context);
}

/* The last one given is taken first: its stack is the most likely to be in the cache. */
static struct task *task_take(struct loop *loop)
{
    struct list_node *node = list_pop_front(&loop->spare_tasks);
    if (node != NULL)
        return list_entry(node, struct task, node);
    struct task *task = xcalloc(1, sizeof *task);
    task->loop = loop;
    task->stack = stack_new();
    uv_timer_init(&loop->uv, &task->timer);
    task->timer.data = task;
    return task;
}

static void task_give(struct task *task)
{
    if (task->loop->spare_tasks.count >= SPARE_TASKS)
        task_close(task);
    else
        list_push_front(&task->loop->spare_tasks, &task->node);
}

static void task_close(struct task *task)
{
    stack_free(TAKE(task->stack));
    uv_close((uv_handle_t *)&task->timer, on_timer_closed);
}

static void on_timer(uv_timer_t *timer)
{
    struct task *task = timer->data;
    task->timed_out = true;
    task_wake(task);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}
