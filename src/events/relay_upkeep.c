/* What the relay does beside sending: counts the backlog, deletes what expired, keeps the partitions of sent
 * events and of the audit ahead of time.  Called by relay_turn(), also while NATS is away: the backlog's age
 * must be seen just then. */
#include "events/relay_int.h"

#include "base/random.h"

#define UPKEEP_PATIENCE_NS (5 * NS_PER_S)
#define STATS_EVERY_NS (2 * NS_PER_S)
#define COUNT_MAX 1000000
#define COUNT_SHARE 20
#define PRUNE_EVERY_NS (60 * NS_PER_S)
/* Relays that started together drift apart by the jitter. */
#define PARTITIONS_EVERY_NS (3600 * NS_PER_S)
#define PARTITIONS_AGAIN_NS (60 * NS_PER_S)
#define DAYS_AHEAD_MIN 7

static void backlog_look(struct relay *relay);
static void partitions_keep(struct relay *relay);
static bool partitions_work(struct relay *relay, bool making);
static bool work_count(struct relay *relay, bool making, const struct partition_work *work);

void relay_upkeep(struct relay *relay)
{
    uint64_t now = clock_now();
    if (!relay_database_ready(relay))
        return;
    if (now >= relay->partitions_due_ns)
        partitions_keep(relay);
    if (now >= relay->stats_due_ns)
        backlog_look(relay);
    if (now >= relay->prune_due_ns) {
        const struct relay_caller caller = relay_caller(relay, UPKEEP_PATIENCE_NS);
        relay->prune_due_ns = deadline_after(now, PRUNE_EVERY_NS);
        (void)relay_database_did(relay, relay_store_prune(&caller));
    }
}

/* Counting a large backlog takes from the time for sending it: it may have a twentieth of it. */
static void backlog_look(struct relay *relay)
{
    const struct relay_caller caller = relay_caller(relay, UPKEEP_PATIENCE_NS);
    uint64_t began = clock_now();
    bool counting = began >= relay->count_due_ns;
    uint64_t pending = relay->stats.pending;
    relay->stats_due_ns = deadline_after(began, STATS_EVERY_NS);
    int rc = relay_store_stats(&caller, counting ? COUNT_MAX : 0, &relay->stats);
    if (counting)
        relay->count_due_ns = deadline_after(began, COUNT_SHARE * (clock_now() - began));
    if (!relay_database_did(relay, rc))
        return;
    if (!counting)
        relay->stats.pending = pending;
    metric_gauge_set(relay->metrics.pending, (int64_t)relay->stats.pending);
    metric_gauge_set(relay->metrics.unlettered, (int64_t)relay->stats.unlettered);
    metric_gauge_set(relay->metrics.oldest_age, (int64_t)(relay->stats.oldest_age_us / 1000000));
}

/* New ones first: what is dropped can wait, an insert cannot.  After a failure soon again. */
static void partitions_keep(struct relay *relay)
{
    bool made = partitions_work(relay, true);
    bool dropped = partitions_work(relay, false);
    uint64_t pause = made && dropped ? PARTITIONS_EVERY_NS : PARTITIONS_AGAIN_NS;
    relay->partitions_due_ns =
        deadline_after(clock_now(), pause - pause / 4 + random_below(pause / 2));
}

/* True when nothing is left to be done. */
static bool partitions_work(struct relay *relay, bool making)
{
    struct partition_work work[PARTITIONED_COUNT];
    const struct relay_caller caller = relay_caller(relay, UPKEEP_PATIENCE_NS);
    int rc = making ? partition_store_make(&caller, work) : partition_store_drop(&caller, work);
    if (!relay_database_did(relay, rc)) {
        for (unsigned table = 0; table < PARTITIONED_COUNT; table++)
            metric_inc(relay->metrics.partitions[table].failed);
        return false;
    }
    return work_count(relay, making, work);
}

static bool work_count(struct relay *relay, bool making, const struct partition_work *work)
{
    bool done = true;
    for (unsigned table = 0; table < PARTITIONED_COUNT; table++, work++) {
        const struct partition_series *series = &relay->metrics.partitions[table];
        const char *name = partitioned_name((enum partitioned)table);
        metric_add(series->made, work->made);
        metric_add(series->dropped, work->dropped);
        metric_add(series->failed, work->failed);
        metric_add(series->strays, work->moved + work->deleted);
        if (making)
            metric_gauge_set(series->days_ahead, (int64_t)work->days_ahead);
        if (work->made + work->moved + work->dropped + work->deleted > 0)
            log_info(&relay->ctx, "relay.partitions", KV_STR("table", name),
                     KV_INT("made", work->made), KV_INT("dropped", work->dropped),
                     KV_INT("moved_rows", work->moved), KV_INT("deleted_rows", work->deleted));
        if (work->failed > 0)
            log_warn(&relay->ctx, "relay.partitions_left", KV_STR("table", name),
                     KV_INT("failed", work->failed), KV_STR("detail", work->trouble));
        bool near = making && work->days_ahead < DAYS_AHEAD_MIN; /* another relay may be at it */
        done = done && !near && work->failed == 0 && work->deleted < PARTITION_DELETED_MAX;
    }
    return done;
}
