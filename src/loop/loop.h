/* The event loop of one thread: descriptors, timers, work for the end of the turn, messages from other
 * threads.  The only room that knows libuv; a simulated loop can take its place at link time.
 *
 * All functions but mailbox_post() belong to the loop's own thread.  Callbacks run on the loop's own
 * stack, never inside the call that caused them, and may not wait. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/list.h"
#include "base/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* A loop with a task scheduler that runs at most `max_tasks` tasks at once (0: 2048). */
struct loop *loop_new(size_t max_tasks);
/* Every io, timer and mailbox must be closed and every task ended (asserted).  Waits for lookups of names that
 * were given up and whose thread has begun.  Accepts NULL. */
void loop_free(struct loop *loop);

/* Runs until loop_stop().  Each turn: poll, callbacks, ready tasks, deferred work. */
void loop_run(struct loop *loop);
/* One turn; waits at most `timeout_ns`.  For tests. */
void loop_turn(struct loop *loop, uint64_t timeout_ns);
/* Makes loop_run() return at the end of this turn. */
void loop_stop(struct loop *loop);
/* Turns that have ended. */
uint64_t loop_turns(const struct loop *loop);
/* The monotonic time of this turn, in ns: cheaper than clock_now(), at most one turn old. */
uint64_t loop_now(const struct loop *loop);

/* The longest turn since the last call, ns, without the time spent waiting: the watchdog's figure. */
uint64_t loop_lag_take(struct loop *loop);
/* A task that kept all others of its thread from running. */
struct slow_slice {
    uint64_t ns;         /* from its resumption to its wait or end */
    void *const *frames; /* return addresses from that wait outwards; borrowed */
    size_t frame_count;
};
/* Runs on the task's stack: may log and count, must not wait. */
typedef void slow_slice_callback(void *owner, const struct slow_slice *slice);
/* Reports every task that holds the CPU for longer than `limit_ns` at once, when it lets go; a NULL
 * callback ends that.  Takes the frames only then: a task in time costs nothing. */
void loop_watch_slices(struct loop *loop, uint64_t limit_ns, slow_slice_callback *callback,
                       void *owner);

/* --- descriptors -------------------------------------------------------------------------------- */

enum io_events { IO_NONE = 0, IO_READ = 1, IO_WRITE = 2 };

struct io;

/* `events` is what is ready (errors show as both bits: the next read or write tells). */
typedef void io_callback(void *owner, unsigned events);

/* Watches a non-blocking descriptor that the caller owns.  The struct is freed by io_close(). */
struct io *io_open(struct loop *loop, int fd);
/* Calls `callback(owner, events)` on the loop while any of `events` is ready (level-triggered).
 * IO_NONE pauses. Cheap to call again with the same value. */
void io_watch(struct io *io, unsigned events, io_callback *callback, void *owner);
/* Stops watching; the descriptor may be closed right after.  No callback comes any more.  Tasks waiting on
 * it are woken as cancelled.  Accepts NULL. */
void io_close(struct io *io);
int io_fd(const struct io *io);

/* --- timers ------------------------------------------------------------------------------------- */

typedef void timer_callback(void *owner);

struct timer; /* heap; one shot */

struct timer *timer_new(struct loop *loop, timer_callback *callback, void *owner);
/* (Re)arms for a clock_now() time; NO_DEADLINE disarms.  Never fires early; at most a millisecond late, when
 * the loop is free.  From a timer's own callback a time that has passed means the next turn. */
void timer_set(struct timer *timer, uint64_t deadline_ns);
bool timer_is_set(const struct timer *timer);
void timer_free(struct timer *timer); /* accepts NULL */

/* --- end of turn -------------------------------------------------------------------------------- */

typedef void deferred_callback(void *owner);

/* Runs once at the end of the current turn, before the next poll.  Embedded in its owner, who must not
 * go away before it ran or loop_defer_cancel() was called.  Deferring what is already deferred does
 * nothing. */
struct deferred {
    struct list_node node;
    deferred_callback *callback;
    void *owner;
};
void loop_defer(struct loop *loop, struct deferred *deferred);
void loop_defer_cancel(struct loop *loop, struct deferred *deferred);

/* --- messages from other threads ------------------------------------------------------------------ */

struct mailbox;

/* Runs on the loop's thread for each message, in order. */
typedef void mailbox_callback(void *owner, void *message);

/* A bounded queue into this loop. */
struct mailbox *mailbox_open(struct loop *loop, size_t capacity, mailbox_callback *callback,
                             void *owner);
/* From any thread; false when full (the message stays the caller's). */
bool mailbox_post(struct mailbox *mailbox, void *message);
/* On the loop's thread, when no thread posts any more; unread messages are handed to the callback first.
 * Accepts NULL. */
void mailbox_close(struct mailbox *mailbox);

#endif
