/* Metrics: counters, gauges and histograms with bounded labels, in the Prometheus text format.
 *
 * Each worker and thread has a set of its own (no shared cache lines on the hot path); rendering adds
 * the sets up.  Series are found once, at start or at first use, and kept by pointer: updating one is a
 * relaxed atomic operation. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 4

/* A declaration; const and static in the room that counts it. */
struct metric_family {
    const char *name; /* base units, "_total" for counters */
    const char *help; /* one sentence */
    enum metric_kind kind;
    const char *labels[METRIC_LABELS_MAX]; /* label names; unused ones NULL */
    const double *buckets;                 /* histogram: ascending upper bounds … */
    size_t bucket_count;                   /* … and how many; +Inf is added by itself */
    bool has_exemplars;                    /* histogram: traced observations are kept */
};

struct metric;
struct metrics;

struct metrics *metrics_new(void); /* owner: the caller; thread-safe */
void metrics_free(struct metrics *metrics);

/* The series with these label values (as many as the family has labels; NULL when it has none): found
 * or made, with value 0.  Valid until metrics_free. */
struct metric *metrics_series(struct metrics *metrics, const struct metric_family *family,
                              const char *const *label_values);

void metric_add(struct metric *metric, uint64_t amount);      /* counter */
void metric_gauge_add(struct metric *metric, int64_t change); /* gauge; sets add up */
void metric_gauge_set(struct metric *metric, int64_t value);  /* gauge written by one thread only */
void metric_observe(struct metric *metric, double value);     /* histogram */
/* The same, and keeps `trace_id` (32 hex digits) as the bucket's exemplar, at most once a second: OpenMetrics
 * shows it, so that a slow bucket leads to the trace of a call that fell into it.  "" keeps nothing. */
void metric_observe_traced(struct metric *metric, double value, const char *trace_id);
uint64_t metric_value(const struct metric *metric); /* counter or histogram count */
int64_t metric_gauge(const struct metric *metric);

static inline void metric_inc(struct metric *metric)
{
    metric_add(metric, 1);
}

/* Default buckets for request durations in seconds: 100 µs … 10 s. */
#define METRIC_SECONDS_BUCKETS 16
extern const double metric_seconds_buckets[METRIC_SECONDS_BUCKETS];
extern const size_t metric_seconds_bucket_count;

enum metrics_format {
    METRICS_PROMETHEUS, /* text exposition format 0.0.4 */
    METRICS_OPENMETRICS /* OpenMetrics 1.0: with exemplars; the caller ends the whole with "# EOF\n" */
};

/* The sum of `count` sets, families sorted by name. */
void metrics_render(struct metrics *const *sets, size_t count, enum metrics_format format,
                    struct buf *out);
/* The HELP and TYPE lines of one family, for figures that are kept elsewhere. */
void metrics_render_head(struct buf *out, enum metrics_format format,
                         const struct metric_family *family);

#endif
