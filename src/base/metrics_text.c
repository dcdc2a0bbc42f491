/* The sum of several sets as text: Prometheus' exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) or OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/), which differ in two things that we use: the
 * name of a counter's family has no "_total" there, and bucket lines carry exemplars. */
#include "base/alloc.h"
#include "base/metrics_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Series of one family and label values, added up over the sets. */
struct total {
    const struct metric *sample; /* gives family and labels */
    uint64_t value;
    double sum;
    uint64_t *hits;                    /* owned; histogram only */
    struct metric_exemplar *exemplars; /* owned; histograms that have them */
};

struct totals {
    struct total *items;
    size_t count;
    size_t room;
};

static void totals_add(struct totals *totals, struct metric *metric);
static struct total *totals_find(struct totals *totals, const struct metric *metric);
static int total_compare(const void *a, const void *b);
static void put_series(struct buf *out, enum metrics_format format, const struct total *total);
static void put_histogram(struct buf *out, enum metrics_format format, const struct total *total);
static void put_exemplar(struct buf *out, const struct metric_exemplar *exemplar);
static void put_labels(struct buf *out, const struct metric *metric, const char *bound);

void metrics_render(struct metrics *const *sets, size_t count, enum metrics_format format,
                    struct buf *out)
{
    struct totals totals = {0};
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&sets[i]->lock);
        for (size_t k = 0; k < sets[i]->count; k++)
            totals_add(&totals, sets[i]->series[k]);
        pthread_mutex_unlock(&sets[i]->lock);
    }
    if (totals.count > 0)
        qsort(totals.items, totals.count, sizeof *totals.items, total_compare);
    const char *name = "";
    for (size_t i = 0; i < totals.count; i++) {
        struct total *total = &totals.items[i];
        const struct metric_family *family = total->sample->family;
        if (strcmp(name, family->name) != 0)
            metrics_render_head(out, format, family);
        name = family->name;
        put_series(out, format, total);
        free(total->hits);
        free(total->exemplars);
    }
    free(totals.items);
}

static void totals_add(struct totals *totals, struct metric *metric)
{
    struct total *total = totals_find(totals, metric);
    total->value += metric_value(metric);
    if (metric->family->kind != METRIC_HISTOGRAM)
        return;
    uint64_t bits = atomic_load_explicit(&metric->sum_bits, memory_order_relaxed);
    double sum;
    memcpy(&sum, &bits, sizeof sum);
    total->sum += sum;
    for (size_t b = 0; b <= metric->family->bucket_count; b++)
        total->hits[b] += atomic_load_explicit(&metric->bucket_hits[b], memory_order_relaxed);
    for (size_t b = 0; total->exemplars != NULL && b <= metric->family->bucket_count; b++)
        metric_exemplar_newer(metric, b, &total->exemplars[b]);
}

static struct total *totals_find(struct totals *totals, const struct metric *metric)
{
    for (size_t i = 0; i < totals->count; i++) {
        const struct metric *sample = totals->items[i].sample;
        bool same = strcmp(sample->family->name, metric->family->name) == 0;
        if (same && metric_same_labels(sample, (const char *const *)metric->values))
            return &totals->items[i];
    }
    if (totals->count == totals->room) {
        totals->room = totals->room == 0 ? 64 : totals->room * 2;
        totals->items = xrealloc(totals->items, totals->room * sizeof *totals->items);
    }
    struct total *total = &totals->items[totals->count++];
    *total = (struct total){.sample = metric};
    if (metric->family->kind == METRIC_HISTOGRAM)
        total->hits = xcalloc(metric->family->bucket_count + 1, sizeof *total->hits);
    if (metric->exemplars != NULL)
        total->exemplars = xcalloc(metric->family->bucket_count + 1, sizeof *total->exemplars);
    return total;
}

static int total_compare(const void *a, const void *b)
{
    const struct metric *left = ((const struct total *)a)->sample;
    const struct metric *right = ((const struct total *)b)->sample;
    int order = strcmp(left->family->name, right->family->name);
    for (size_t k = 0; order == 0 && k < METRIC_LABELS_MAX && left->values[k] != NULL; k++)
        order = strcmp(left->values[k], right->values[k]);
    return order;
}

/* "The MetricFamily name of a counter does not have the _total suffix" (OpenMetrics, Counter). */
void metrics_render_head(struct buf *out, enum metrics_format format,
                         const struct metric_family *family)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    int size = (int)strlen(family->name);
    if (format == METRICS_OPENMETRICS && family->kind == METRIC_COUNTER)
        size -= (int)strlen("_total");
    buf_printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", size, family->name, family->help, size,
               family->name, kinds[family->kind]);
}

static void put_series(struct buf *out, enum metrics_format format, const struct total *total)
{
    const struct metric_family *family = total->sample->family;
    switch (family->kind) {
    case METRIC_COUNTER:
        buf_put_str(out, family->name);
        put_labels(out, total->sample, NULL);
        buf_printf(out, " %llu\n", (unsigned long long)total->value);
        return;
    case METRIC_GAUGE:
        buf_put_str(out, family->name);
        put_labels(out, total->sample, NULL);
        buf_printf(out, " %lld\n", (long long)(int64_t)total->value);
        return;
    case METRIC_HISTOGRAM:
        put_histogram(out, format, total);
        return;
    }
}

/* The count is that of the +Inf bucket, so that a scrape between two additions stays consistent. */
static void put_histogram(struct buf *out, enum metrics_format format, const struct total *total)
{
    const struct metric_family *family = total->sample->family;
    uint64_t cumulated = 0;
    for (size_t b = 0; b <= family->bucket_count; b++) {
        char bound[32] = "+Inf";
        if (b < family->bucket_count)
            snprintf(bound, sizeof bound, "%g", family->buckets[b]);
        cumulated += total->hits[b];
        buf_printf(out, "%s_bucket", family->name);
        put_labels(out, total->sample, bound);
        buf_printf(out, " %llu", (unsigned long long)cumulated);
        if (format == METRICS_OPENMETRICS && total->exemplars != NULL)
            put_exemplar(out, &total->exemplars[b]);
        buf_put_byte(out, '\n');
    }
    buf_printf(out, "%s_sum", family->name);
    put_labels(out, total->sample, NULL);
    buf_printf(out, " %.9g\n%s_count", total->sum, family->name);
    put_labels(out, total->sample, NULL);
    buf_printf(out, " %llu\n", (unsigned long long)cumulated);
}

static void put_exemplar(struct buf *out, const struct metric_exemplar *exemplar)
{
    if (exemplar->trace_id[0] != '\0')
        buf_printf(out, " # {trace_id=\"%s\"} %.9g %.3f", exemplar->trace_id, exemplar->value,
                   (double)exemplar->wall_ns / 1e9);
}

static void put_labels(struct buf *out, const struct metric *metric, const char *bound)
{
    const char *separator = "{";
    for (size_t k = 0; k < METRIC_LABELS_MAX && metric->family->labels[k] != NULL; k++) {
        buf_printf(out, "%s%s=\"", separator, metric->family->labels[k]);
        for (const char *c = metric->values[k]; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                buf_put_byte(out, '\\');
            if (*c == '\n')
                buf_put_str(out, "\\n");
            else
                buf_put_byte(out, (uint8_t)*c);
        }
        buf_put_byte(out, '"');
        separator = ",";
    }
    if (bound != NULL) {
        buf_printf(out, "%sle=\"%s\"", separator, bound);
        separator = ",";
    }
    if (*separator == ',')
        buf_put_byte(out, '}');
}
