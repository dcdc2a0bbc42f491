/* Figures for the caller.  Called from any thread: reads what the consumer's thread counts. */
#include "base/buf.h"

#include "consumer/consumer_int.h"
#include "tenant/events_metrics.h"

#include <inttypes.h>
#include <string.h>

struct figure {
    const char *name;
    const char *help;
    size_t offset;
    bool is_gauge;
};

#define FIGURE(name, member, help, gauge)                                                          \
    {                                                                                              \
        "tenant_consumer_" name, help, offsetof(struct tenant_consumer_snapshot, member), gauge    \
    }

static const struct figure figures[] = {
    FIGURE("done_total", done, "Events that the handler did.", false),
    FIGURE("old_total", old, "Events delivered again though their position was kept.", false),
    FIGURE("retried_total", retried, "Attempts that are to be repeated.", false),
    FIGURE("dead_total", dead, "Events that became dead letters.", false),
    FIGURE("waited_total", waited, "Deliveries sent back behind a waiting event.", false),
    FIGURE("gaps_total", gaps, "Gaps found in tenants' sequences.", false),
    FIGURE("gap_alarms_total", gap_alarms, "Alarms about gaps that stay.", false),
    FIGURE("stale_total", stale, "Positions that somebody else had moved.", false),
    FIGURE("requeued_total", requeued, "Dead letters sent back and done.", false),
    FIGURE("redelivered_total", redelivered, "Deliveries that were not the first.", false),
    FIGURE("foreign_total", foreign, "Deliveries of partitions given up meanwhile.", false),
    FIGURE("callback_failures_total", callback_failures, "Failures of load and store.", false),
    FIGURE("broker_failures_total", broker_failures, "Failures of NATS.", false),
    FIGURE("connects_total", connects, "Connections made to NATS.", false),
    FIGURE("takeovers_total", takeovers, "Partitions claimed.", false),
    FIGURE("waiting_tenants", waiting, "Tenants whose events wait.", true),
};
#define FIGURE_COUNT (sizeof figures / sizeof figures[0])

static void fill(const struct tenant_consumer *consumer, struct tenant_consumer_snapshot *out);
static void partition_fill(const struct source *source, uint64_t now_ns,
                           struct tenant_partition_state *out);
static void partitions_put(struct buf *text, const char *group,
                           const struct tenant_consumer_snapshot *snapshot);
static void head_put(struct buf *text, const char *name, const char *help, bool is_gauge);

/* A caller compiled with an older header has a shorter struct. */
void tenant_consumer_snapshot(const struct tenant_consumer *consumer,
                              struct tenant_consumer_snapshot *snapshot)
{
    struct tenant_consumer_snapshot all = {.size = snapshot->size};
    fill(consumer, &all);
    memcpy(snapshot, &all, snapshot->size < sizeof all ? snapshot->size : sizeof all);
}

size_t tenant_consumer_metrics(const struct tenant_consumer *consumer, char *out, size_t size)
{
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    struct tenant_consumer_snapshot snapshot = {.size = sizeof snapshot};
    const char *group = consumer->settings.group;
    fill(consumer, &snapshot);
    for (const struct figure *figure = figures; figure < figures + FIGURE_COUNT; figure++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)&snapshot + figure->offset, sizeof value);
        head_put(&text, figure->name, figure->help, figure->is_gauge);
        buf_printf(&text, "%s{group=\"%s\"} %" PRIu64 "\n", figure->name, group, value);
    }
    head_put(&text, "tenant_consumer_connected", "1 while connected to NATS.", true);
    buf_printf(&text, "tenant_consumer_connected{group=\"%s\"} %d\n", group, snapshot.is_connected);
    partitions_put(&text, group, &snapshot);
    size_t length = buf_size(&text);
    if (size > 0) {
        size_t shown = length < size ? length : size - 1;
        memcpy(out, buf_slice(&text).data, shown);
        out[shown] = '\0';
    }
    return length;
}

/* The counters stand in the order of the snapshot's members. */
static void fill(const struct tenant_consumer *consumer, struct tenant_consumer_snapshot *out)
{
    uint64_t now_ns = clock_wall();
    _Static_assert(COUNTER_COUNT == FIGURE_COUNT - 1, "a figure for each counter");
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        uint64_t value = atomic_load_explicit(&consumer->counters[i], memory_order_relaxed);
        memcpy((char *)out + figures[i].offset, &value, sizeof value);
    }
    out->is_connected = atomic_load(&consumer->connected);
    out->waiting = atomic_load(&consumer->waiting_count);
    for (size_t i = 0; i < TENANT_PARTITIONS; i++)
        partition_fill(&consumer->sources[i], now_ns, &out->partitions[i]);
}

static void partition_fill(const struct source *source, uint64_t now_ns,
                           struct tenant_partition_state *out)
{
    uint64_t stored_ns = atomic_load_explicit(&source->stored_ns, memory_order_relaxed);
    out->is_held = atomic_load(&source->shown_held);
    if (!out->is_held)
        return;
    out->pending = atomic_load_explicit(&source->pending, memory_order_relaxed);
    if (out->pending > 0 && stored_ns != 0 && now_ns > stored_ns)
        out->age_ns = now_ns - stored_ns;
}

/* Only what this member holds: the sum over all members of a group then counts each partition once. */
static void partitions_put(struct buf *text, const char *group,
                           const struct tenant_consumer_snapshot *snapshot)
{
    head_put(text, "tenant_consumer_pending_events", "Events not fetched yet.", true);
    for (unsigned i = 0; i < TENANT_PARTITIONS; i++) {
        if (snapshot->partitions[i].is_held)
            buf_printf(text,
                       "tenant_consumer_pending_events{group=\"%s\",partition=\"%02u\"} %" PRIu64
                       "\n",
                       group, i, snapshot->partitions[i].pending);
    }
    head_put(text, "tenant_consumer_lag_seconds",
             "Age of the event handled last, while more are pending.", true);
    for (unsigned i = 0; i < TENANT_PARTITIONS; i++) {
        if (snapshot->partitions[i].is_held)
            buf_printf(text, "tenant_consumer_lag_seconds{group=\"%s\",partition=\"%02u\"} %.3f\n",
                       group, i, (double)snapshot->partitions[i].age_ns / 1e9);
    }
}

static void head_put(struct buf *text, const char *name, const char *help, bool is_gauge)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
               is_gauge ? "gauge" : "counter");
}
