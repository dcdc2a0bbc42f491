/* Series tables: one set per thread, found by family and label values. */
#include "base/metrics.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics_int.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

const double metric_seconds_buckets[METRIC_SECONDS_BUCKETS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
const size_t metric_seconds_bucket_count = sizeof metric_seconds_buckets /
                                           sizeof metric_seconds_buckets[0];

static struct metric *series_find(struct metrics *metrics, const struct metric_family *family,
                                  const char *const *values);
static struct metric *series_make(struct metrics *metrics, const struct metric_family *family,
                                  const char *const *values);
static void exemplar_put(struct metric *metric, size_t bucket, double value, const char *trace_id);
static void double_add(_Atomic uint64_t *bits, double amount);

struct metrics *metrics_new(void)
{
    struct metrics *metrics = xcalloc(1, sizeof *metrics);
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (size_t i = 0; i < metrics->count; i++) {
        struct metric *metric = metrics->series[i];
        for (size_t k = 0; k < METRIC_LABELS_MAX; k++)
            free(metric->values[k]);
        free(metric->bucket_hits);
        if (metric->exemplars != NULL)
            pthread_mutex_destroy(&metric->exemplar_lock);
        free(metric->exemplars);
        free(metric);
    }
    free(metrics->series);
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

struct metric *metrics_series(struct metrics *metrics, const struct metric_family *family,
                              const char *const *label_values)
{
    pthread_mutex_lock(&metrics->lock);
    struct metric *metric = series_find(metrics, family, label_values);
    if (metric == NULL)
        metric = series_make(metrics, family, label_values);
    pthread_mutex_unlock(&metrics->lock);
    return metric;
}

void metric_add(struct metric *metric, uint64_t amount)
{
    atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

void metric_gauge_add(struct metric *metric, int64_t change)
{
    atomic_fetch_add_explicit(&metric->value, (uint64_t)change, memory_order_relaxed);
}

void metric_gauge_set(struct metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, (uint64_t)value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value)
{
    metric_observe_traced(metric, value, "");
}

void metric_observe_traced(struct metric *metric, double value, const char *trace_id)
{
    const struct metric_family *family = metric->family;
    assert(family->kind == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < family->bucket_count && value > family->buckets[bucket])
        bucket++;
    if (trace_id[0] != '\0' && metric->exemplars != NULL)
        exemplar_put(metric, bucket, value, trace_id);
    atomic_fetch_add_explicit(&metric->bucket_hits[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->value, 1, memory_order_relaxed);
    double_add(&metric->sum_bits, value);
}

/* One exemplar a second and bucket is enough to find a trace, and keeps the lock off the hot path. */
static void exemplar_put(struct metric *metric, size_t bucket, double value, const char *trace_id)
{
    struct metric_exemplar *exemplar = &metric->exemplars[bucket];
    uint64_t now = clock_tick();
    if (now < atomic_load_explicit(&exemplar->due_ns, memory_order_relaxed))
        return;
    pthread_mutex_lock(&metric->exemplar_lock);
    atomic_store_explicit(&exemplar->due_ns, now + NS_PER_S, memory_order_relaxed);
    snprintf(exemplar->trace_id, sizeof exemplar->trace_id, "%s", trace_id);
    exemplar->value = value;
    exemplar->wall_ns = clock_wall();
    pthread_mutex_unlock(&metric->exemplar_lock);
}

void metric_exemplar_newer(struct metric *metric, size_t bucket, struct metric_exemplar *newest)
{
    const struct metric_exemplar *exemplar = &metric->exemplars[bucket];
    pthread_mutex_lock(&metric->exemplar_lock);
    if (exemplar->wall_ns > newest->wall_ns) {
        memcpy(newest->trace_id, exemplar->trace_id, sizeof newest->trace_id);
        newest->value = exemplar->value;
        newest->wall_ns = exemplar->wall_ns;
    }
    pthread_mutex_unlock(&metric->exemplar_lock);
}

uint64_t metric_value(const struct metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

int64_t metric_gauge(const struct metric *metric)
{
    return (int64_t)metric_value(metric);
}

bool metric_same_labels(const struct metric *metric, const char *const *values)
{
    for (size_t k = 0; k < METRIC_LABELS_MAX && metric->family->labels[k] != NULL; k++) {
        if (strcmp(metric->values[k], values[k]) != 0)
            return false;
    }
    return true;
}

/* Linear: series are looked up once and kept; a set holds some hundreds. */
static struct metric *series_find(struct metrics *metrics, const struct metric_family *family,
                                  const char *const *values)
{
    for (size_t i = 0; i < metrics->count; i++) {
        struct metric *metric = metrics->series[i];
        if (metric->family == family && metric_same_labels(metric, values))
            return metric;
    }
    return NULL;
}

static struct metric *series_make(struct metrics *metrics, const struct metric_family *family,
                                  const char *const *values)
{
    struct metric *metric = xcalloc(1, sizeof *metric);
    metric->family = family;
    for (size_t k = 0; k < METRIC_LABELS_MAX && family->labels[k] != NULL; k++)
        metric->values[k] = xstrdup(values[k]);
    if (family->kind == METRIC_HISTOGRAM)
        metric->bucket_hits = xcalloc(family->bucket_count + 1, sizeof *metric->bucket_hits);
    if (family->kind == METRIC_HISTOGRAM && family->has_exemplars) {
        metric->exemplars = xcalloc(family->bucket_count + 1, sizeof *metric->exemplars);
        int rc = pthread_mutex_init(&metric->exemplar_lock, NULL);
        assert(rc == 0);
    }
    if (metrics->count == metrics->room) {
        metrics->room = metrics->room == 0 ? 32 : metrics->room * 2;
        metrics->series = xrealloc(metrics->series, metrics->room * sizeof *metrics->series);
    }
    metrics->series[metrics->count++] = metric;
    return metric;
}

static void double_add(_Atomic uint64_t *bits, double amount)
{
    uint64_t before = atomic_load_explicit(bits, memory_order_relaxed);
    uint64_t after;
    do {
        double sum;
        memcpy(&sum, &before, sizeof sum);
        sum += amount;
        memcpy(&after, &sum, sizeof after);
    } while (!atomic_compare_exchange_weak_explicit(bits, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
}
