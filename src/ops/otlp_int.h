/* The exporter's inside, for otlp.c (its thread) and otlp_export.c (its batches). */
#ifndef OPS_OTLP_INT_H
#define OPS_OTLP_INT_H

#include "ops/otlp.h"

#include "base/log.h"

#include "client/channel.h"
#include "loop/loop.h"
#include "loop/task.h"

#include <pthread.h>
#include <stdatomic.h>

#define OTLP_BATCH_MAX 512

enum otlp_result {
    OTLP_EXPORTED,
    OTLP_DROPPED_QUEUE,       /* no room in a ring */
    OTLP_DROPPED_REFUSED,     /* the collector will never take them */
    OTLP_DROPPED_UNAVAILABLE, /* it did not in time */
    OTLP_DROPPED_SHUTDOWN,    /* left over at the end */
    OTLP_RESULT_COUNT
};

struct otlp_metrics {
    struct metric *spans[OTLP_RESULT_COUNT];
    struct metric *seconds;
    struct metric *queued;
};

/* The task's, but for what says otherwise. */
struct otlp {
    char *address; /* "host:port"; const, like resource and rings */
    struct otlp_resource resource;
    struct span_ring **rings;
    size_t ring_count;
    struct otlp_metrics metrics;
    struct dependency *dependency; /* NULL: nobody looks */

    size_t first_ring; /* of the next batch: each has its turn */
    size_t *taken;     /* of each ring, by the present batch */
    const struct span *batch[OTLP_BATCH_MAX];
    size_t batch_size;
    struct otlp_files *files;       /* of the channel; owned */
    struct client_channel *channel; /* NULL: to be made */
    struct client_retry retry;
    uint64_t due_ns;        /* of a batch that is not full */
    uint64_t not_before_ns; /* of the next call, when the collector asked for a pause */
    bool failing;           /* the last call came to nothing */
    struct log_interval said;

    struct loop *loop; /* the thread's, as all that is on it */
    struct io *wake_io;
    struct waitq woken;      /* the task, while it waits for spans or between attempts */
    struct timer *end_timer; /* set by the stop */
    struct ctx ctx;          /* ctx.task is NULL before it runs and after it ended */
    pthread_t thread;
    bool started; /* the thread */

    int wake_fd;                             /* any thread's */
    _Atomic bool stopping;                   /* likewise */
    _Atomic(struct otlp_files *) next_files; /* not in use yet; owned */
};

/* The task's function: until the end. */
void otlp_export(struct task *task, void *otlp);
/* When to look at the rings again, in which so many spans wait; no later than now: they go. */
uint64_t otlp_next_look(struct otlp *otlp, size_t waiting, uint64_t now_ns);
/* Waits for the thread to be woken, or until then; false: the task is cancelled.  Suspends. */
bool otlp_wait(struct otlp *otlp, uint64_t deadline_ns) MUST_CHECK;
/* Owner: the caller. */
struct otlp_files *otlp_files_new(const struct otlp_files *files);
void otlp_files_free(struct otlp_files *files); /* accepts NULL */

#endif
