/* Descriptors on the loop, for callbacks and for one waiting task. */
#include "base/alloc.h"
#include "base/clock.h"

#include "loop/loop_int.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

static void on_poll(uv_poll_t *poll, int status, int events);
static void io_disarm(struct io *io);
static void on_closed(uv_handle_t *handle);
static enum wait_result poll_plainly(const struct io *io, unsigned events, uint64_t deadline_ns);

/* The descriptor must be non-blocking and watched by nobody else: libuv allows one poll handle
 * per descriptor. */
struct io *io_open(struct loop *loop, int fd)
{
    assert(fd >= 0);
    struct io *io = xcalloc(1, sizeof *io);
    io->loop = loop;
    io->fd = fd;
    if (loop == NULL)
        return io;
    int rc = uv_poll_init(&loop->uv, &io->poll, fd);
    assert(rc == 0); /* a descriptor that cannot be polled, or is watched already */
    io->poll.data = io;
    return io;
}

void io_watch(struct io *io, unsigned events, io_callback *callback, void *owner)
{
    assert(!io->closing && io->loop != NULL);
    io->wanted = events;
    io->callback = callback;
    io->owner = owner;
    io_arm(io);
}

void io_close(struct io *io)
{
    if (io == NULL)
        return;
    assert(!io->closing);
    if (io->loop == NULL) {
        free(io);
        return;
    }
    /* a task that waits must not touch the io again: it is told through its own io_wait */
    io->closing = true;
    if (io->waiter != NULL) {
        io->waiter->closed = true;
        task_wake(io->waiter->task);
        io->waiter = NULL;
    }
    uv_close((uv_handle_t *)&io->poll, on_closed);
}

int io_fd(const struct io *io)
{
    return io->fd;
}

/* A watch that nobody needs any more stays armed until it fires once: most waits ask for the same again,
 * and arming costs a system call. */
void io_arm(struct io *io)
{
    unsigned needed = io->wanted | (io->waiter != NULL ? io->waiter_events : 0u);
    if ((needed & ~io->armed) == 0)
        return;
    io->armed = needed;
    int rc = uv_poll_start(&io->poll, (int)needed, on_poll);
    assert(rc == 0);
}

/* One waiting task per io (asserted).  A wait that ends by its deadline or cancellation leaves
 * the descriptor armed; see io_arm(). */
enum wait_result task_wait_io(struct ctx *ctx, struct io *io, unsigned events,
                              uint64_t deadline_ns)
{
    uint64_t deadline = ctx_deadline_before(ctx, deadline_ns);
    if (ctx->task == NULL)
        return poll_plainly(io, events, deadline);
    assert(io->waiter == NULL && !io->closing);
    struct task *task = ctx->task;
    struct io_wait wait = {.task = task};
    io->waiter = &wait;
    io->waiter_events = events;
    io_arm(io);
    enum wait_result result;
    while (!task_wait_over(task, wait.ready || wait.closed, &result))
        task_suspend(task, deadline);
    if (wait.closed)
        return WAIT_CANCELLED;
    io->waiter = NULL;
    return result;
}

/* The callback may close the io: `closing` is looked at before anything else is done with it. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct io *io = poll->data;
    unsigned ready = (unsigned)events & (IO_READ | IO_WRITE);
    bool used = false;
    if (status < 0) { /* libuv has stopped watching */
        io->armed = IO_NONE;
        ready = IO_READ | IO_WRITE;
    }
    if (io->waiter != NULL && (ready & io->waiter_events) != 0) {
        io->waiter->ready = true;
        task_wake(io->waiter->task);
        used = true;
    }
    if (io->callback != NULL && (ready & io->wanted) != 0) {
        io->callback(io->owner, ready & io->wanted);
        used = true;
    }
    if (io->closing)
        return;
    if (!used)
        io_disarm(io);
    io_arm(io);
}

/* An event came that nobody is there for: watching on would spin. */
static void io_disarm(struct io *io)
{
    io->armed = IO_NONE;
    int rc = uv_poll_stop(&io->poll);
    assert(rc == 0);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* POLLERR and POLLHUP count as ready: the next read or write tells. */
static enum wait_result poll_plainly(const struct io *io, unsigned events, uint64_t deadline_ns)
{
    struct pollfd poll_fd = {.fd = io->fd};
    if ((events & IO_READ) != 0)
        poll_fd.events |= POLLIN;
    if ((events & IO_WRITE) != 0)
        poll_fd.events |= POLLOUT;
    for (;;) {
        int rc = poll(&poll_fd, 1, deadline_poll_ms(deadline_ns, clock_now()));
        if (rc > 0)
            return WAIT_READY;
        if (rc == 0 && deadline_left(deadline_ns, clock_now()) == 0)
            return WAIT_TIMEOUT;
        assert(rc == 0 || errno == EINTR);
    }
}
