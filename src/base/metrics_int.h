/* How metric series are kept; for metrics.c and metrics_text.c only. */
#ifndef BASE_METRICS_INT_H
#define BASE_METRICS_INT_H

#include "base/metrics.h"

#include <pthread.h>

struct metric {
    const struct metric_family *family;
    char *values[METRIC_LABELS_MAX]; /* owned */
    _Atomic uint64_t value;          /* counter, gauge (as int64_t) or number of observations */
    _Atomic uint64_t sum_bits;       /* histogram: the double's bits */
    _Atomic uint64_t *bucket_hits;   /* histogram: per bucket, not cumulated; +Inf last */
};

struct metrics {
    pthread_mutex_t lock;  /* guards the array, not the values */
    struct metric **series;
    size_t count;
    size_t room;
};

bool metric_same_labels(const struct metric *metric, const char *const *values);

#endif
