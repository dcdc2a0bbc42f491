/* How metric series are kept; for metrics.c and metrics_text.c only. */
#ifndef BASE_METRICS_INT_H
#define BASE_METRICS_INT_H

#include "base/metrics.h"

#include <pthread.h>

#define TRACE_ID_SIZE 33

/* The last traced observation that fell into a bucket. */
struct metric_exemplar {
    _Atomic uint64_t due_ns; /* clock_now() time from which on it may be replaced */
    char trace_id[TRACE_ID_SIZE];
    double value;
    uint64_t wall_ns;
};

struct metric {
    const struct metric_family *family;
    char *values[METRIC_LABELS_MAX];   /* owned */
    _Atomic uint64_t value;            /* counter, gauge (as int64_t) or number of observations */
    _Atomic uint64_t sum_bits;         /* histogram: the double's bits */
    _Atomic uint64_t *bucket_hits;     /* histogram: per bucket, not cumulated; +Inf last */
    struct metric_exemplar *exemplars; /* histogram: per bucket; NULL without */
    pthread_mutex_t exemplar_lock;     /* over them but due_ns; taken once a second and bucket */
};

struct metrics {
    pthread_mutex_t lock; /* guards the array, not the values */
    struct metric **series;
    size_t count;
    size_t room;
};

/* Copies the bucket's exemplar when it is newer than *newest. */
void metric_exemplar_newer(struct metric *metric, size_t bucket, struct metric_exemplar *newest);
bool metric_same_labels(const struct metric *metric, const char *const *values);

#endif
