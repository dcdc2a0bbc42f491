/* Tenants whose events wait: for an attempt that failed to be repeated, or for an event that did not come.
 *
 * Nothing is kept of the waiting events but the lowest one's place: all of them are with the server, which
 * delivers them again. */
#include "consumer/consumer_int.h"

#include "base/random.h"

static void alarm(struct tenant_consumer *consumer, struct waiting *waiting, uint64_t now);

/* Within 10 %, so that what failed together does not come back together. */
uint64_t waiting_pause_ns(const struct tenant_consumer *consumer, unsigned attempts)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    size_t step = attempts == 0 ? 0 : attempts - 1;
    if (step >= settings->backoff_count)
        step = settings->backoff_count - 1;
    uint64_t pause = settings->backoff_ms[step] * NS_PER_MS;
    return pause - pause / 10 + random_below(pause / 5 + 1);
}

/* One that waited for a gap and came to its turn waits for itself from now on. */
struct waiting *waiting_put(struct tenant_consumer *consumer, const struct event_view *view)
{
    struct waiting *waiting = id_map_put(&consumer->waiting, &view->tenant);
    struct tenant_position missed = waiting->missed;
    if (position_compare(view->event.at, missed) <= 0)
        missed = (struct tenant_position){0, 0};
    if (position_compare(waiting->at, view->event.at) != 0) {
        *waiting = (struct waiting){.tenant = view->tenant,
                                    .source = view->source,
                                    .at = view->event.at,
                                    .since_ns = clock_now(),
                                    .alarm_ns = NO_DEADLINE};
    }
    waiting->missed = missed;
    return waiting;
}

/* What is said of an accepted gap, and of attempts, is said of one event alone. */
struct waiting *waiting_move(struct tenant_consumer *consumer, const struct event_view *view)
{
    const struct waiting *known = id_map_find(&consumer->waiting, &view->tenant);
    if (known == NULL)
        return waiting_put(consumer, view);
    const struct waiting before = *known;
    struct waiting *waiting = waiting_put(consumer, view);
    waiting->since_ns = before.since_ns;
    waiting->alarm_ns = before.alarm_ns;
    if (before.missed.incarnation == 0 && position_compare(view->event.at, before.at) > 0)
        waiting->missed = before.at;
    return waiting;
}

void waiting_mark(struct tenant_consumer *consumer, const struct event_view *view)
{
    const struct waiting *known = id_map_find(&consumer->waiting, &view->tenant);
    if (known != NULL && position_compare(view->event.at, known->at) > 0)
        return;
    struct waiting *waiting = waiting_put(consumer, view);
    uint64_t now = clock_now();
    if (waiting->not_before_ns < now)
        waiting->not_before_ns = now;
}

void waiting_passed(struct tenant_consumer *consumer, const struct uuid *tenant,
                    struct tenant_position at)
{
    const struct waiting *waiting = id_map_find(&consumer->waiting, tenant);
    if (waiting != NULL && position_compare(at, waiting->at) >= 0)
        id_map_remove(&consumer->waiting, tenant);
}

/* Late by more than the server is.  Nothing is taken in a pause, nothing comes while nobody serves the source;
 * and what a lost connection had brought counts as delivered, so that it is a whole ack_wait away. */
bool waiting_is_lost(const struct tenant_consumer *consumer, const struct waiting *waiting)
{
    uint64_t since = waiting->not_before_ns;
    if (since < consumer->paused_until_ns)
        since = consumer->paused_until_ns;
    if (since < consumer->connected_ns)
        since = consumer->connected_ns;
    if (since < consumer->sources[waiting->source].served_ns)
        since = consumer->sources[waiting->source].served_ns;
    return clock_now() > deadline_after(since, source_latest_ns(consumer->settings.ack_wait_ms));
}

void waiting_alarms(struct tenant_consumer *consumer)
{
    uint64_t now = clock_now();
    size_t cursor = 0;
    atomic_store(&consumer->waiting_count, consumer->waiting.count);
    for (struct waiting *waiting = id_map_next(&consumer->waiting, &cursor); waiting != NULL;
         waiting = id_map_next(&consumer->waiting, &cursor)) {
        if (waiting->attempts == 0 && !waiting->is_accepted && now >= waiting->alarm_ns)
            alarm(consumer, waiting, now);
    }
}

void waiting_forget(struct tenant_consumer *consumer, unsigned source)
{
    struct id_map kept;
    size_t cursor = 0;
    id_map_init(&kept, sizeof(struct waiting));
    for (struct waiting *waiting = id_map_next(&consumer->waiting, &cursor); waiting != NULL;
         waiting = id_map_next(&consumer->waiting, &cursor)) {
        if (waiting->source == source)
            continue;
        struct waiting *copy = id_map_put(&kept, &waiting->tenant);
        *copy = *waiting;
    }
    id_map_deinit(&consumer->waiting);
    consumer->waiting = kept;
}

static void alarm(struct tenant_consumer *consumer, struct waiting *waiting, uint64_t now)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    char tenant_id[ID_TEXT_SIZE];
    id_format(ID_TENANT, &waiting->tenant, tenant_id);
    const struct tenant_gap gap = {
        .tenant_id = tenant_id,
        .partition = waiting->source,
        .last = waiting->last,
        .found = waiting->at,
        .since_ns = now - waiting->since_ns,
    };
    waiting->alarm_ns = deadline_after(now, settings->gap_alarm_ms * NS_PER_MS);
    consumer_count(consumer, COUNT_GAP_ALARMS);
    consumer_notice(
        consumer, 2, "%s: event %llu of incarnation %llu came, but not the one behind %llu",
        tenant_id, (unsigned long long)gap.found.sequence,
        (unsigned long long)gap.found.incarnation, (unsigned long long)gap.last.sequence);
    if (settings->gap != NULL && settings->gap(settings->context, &gap))
        waiting->is_accepted = true;
}
