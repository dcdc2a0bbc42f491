/* What came too early: kept in the database, tried again when it is due.  Called by the loop.
 *
 * Whoever takes parked events puts them off first: a replica that dies with them in hand delays them by the
 * lease. */
#include "inbound/inbound_int.h"

#include "base/random.h"

#include "store/tx.h"

#define PATIENCE_NS (5 * NS_PER_S)
/* Replicas that began together would go on looking together, one of them always first. */
#define LOOK_FLOOR_NS (500 * NS_PER_MS)
#define LOOK_SPREAD_NS NS_PER_S
#define PRUNE_EVERY_NS (3600 * NS_PER_S)
#define AT_ONCE 8
#define LEASE_US UINT64_C(60000000)
#define US_PER_S UINT64_C(1000000)
#define FIRST_US US_PER_S
#define LONGEST_US (600 * US_PER_S)

static struct parked_caller caller_of(struct inbound *inbound);
static uint64_t delay_us(const struct inbound_event *event, uint64_t now_us);
static void try_again(struct inbound *inbound, const struct parked_event *parked);
static bool bury(struct inbound *inbound, const struct inbound_event *event, const char *cause,
                 const char *detail);
static bool database_did(struct inbound *inbound, int rc);
static bool is_late(const struct inbound *inbound, const struct inbound_event *event);
static void count(struct inbound *inbound);
static int64_t seconds_since(uint64_t time_us);

int parking_put(struct inbound *inbound, const struct inbound_event *event, bool *parked)
{
    const struct parked_caller caller = caller_of(inbound);
    const struct parked_event row = {
        .key = {.tenant_id = event->read.tenant_id,
                .consumer = BILLING_CONSUMER,
                .event_id = event->read.event_id},
        .subject = event->subject,
        .body = event->body,
        .traceparent = event->traceparent,
        .stream = event->stream,
        .stream_seq = event->stream_seq,
        .due_in_us = delay_us(event, clock_wall() / NS_PER_US),
    };
    return parked_store_put(&caller, &row, inbound->settings->parked_max, parked);
}

void parking_tick(struct inbound *inbound)
{
    uint64_t now = clock_now();
    if (now < inbound->parked_due_ns)
        return;
    struct parked_events due = {.count = 0};
    const struct parked_caller caller = caller_of(inbound);
    inbound->parked_due_ns = deadline_after(now, LOOK_FLOOR_NS + random_below(LOOK_SPREAD_NS));
    if (!database_did(inbound, parked_store_take(&caller, LEASE_US, AT_ONCE, &due)))
        return;
    for (size_t i = 0; i < due.count && !inbound->broken; i++)
        try_again(inbound, &due.items[i]);
    if (due.count == AT_ONCE)
        inbound->parked_due_ns = 0; /* there may be more */
    count(inbound);
    if (now < inbound->prune_due_ns)
        return;
    inbound->prune_due_ns = deadline_after(now, PRUNE_EVERY_NS);
    const struct parked_caller pruner = caller_of(inbound);
    database_did(inbound, inbox_store_prune(&pruner));
}

static struct parked_caller caller_of(struct inbound *inbound)
{
    return (struct parked_caller){
        .store = inbound->store,
        .ctx = inbound_step(inbound, PATIENCE_NS),
        .consumer = BILLING_CONSUMER,
    };
}

/* Until its time has come; else soon at first, because a tenant that is being made comes soon or never. */
static uint64_t delay_us(const struct inbound_event *event, uint64_t now_us)
{
    if (event->read.not_before_us > now_us)
        return event->read.not_before_us - now_us;
    uint64_t tries = event->parked_us == 0 ? 0 : event->tries;
    uint64_t delay = FIRST_US << (tries > 10 ? 10 : tries);
    return delay < LONGEST_US ? delay : LONGEST_US;
}

static void try_again(struct inbound *inbound, const struct parked_event *parked)
{
    enum inbound_outcome outcome = INBOUND_EARLY;
    struct inbound_event event = {
        .body = parked->body,
        .subject = parked->subject,
        .traceparent = parked->traceparent,
        .stream = parked->stream,
        .stream_seq = parked->stream_seq,
        .tries = parked->attempts,
        .place = parked->parked_us,
        .parked_us = parked->parked_us,
        .row = &parked->key,
    };
    int rc = inbound_handle(inbound, &event, &outcome);
    if (rc == OK && outcome != INBOUND_EARLY) {
        const struct parked_caller caller = caller_of(inbound);
        database_did(inbound, parked_store_remove(&caller, event.row));
        return;
    }
    struct inbound_failure failure = {.is_last = is_late(inbound, &event)};
    const char *cause = "TENANT_NOT_FOUND";
    if (rc != OK) {
        failure = inbound_judge(inbound, &event, rc);
        cause = "HANDLER_FAILED";
    } else {
        failure.wait_ns = delay_us(&event, clock_wall() / NS_PER_US) * NS_PER_US;
        failure.detail = "the tenant did not come";
    }
    if (failure.is_last && bury(inbound, &event, cause, failure.detail))
        return;
    const struct parked_caller caller = caller_of(inbound);
    database_did(inbound, parked_store_put_off(&caller, event.row, failure.wait_ns / NS_PER_US));
}

/* An event that stays parked might take effect after all, and its letter would be wrong.  So the row is deleted
 * before the letter is stored, and the deletion committed after it.  If that fails, this process knows the
 * event for dead; another replica does not, and may still apply it. */
static bool bury(struct inbound *inbound, const struct inbound_event *event, const char *cause,
                 const char *detail)
{
    AUTO(tx_free_ptr) struct tx *removal = NULL;
    const struct parked_caller caller = caller_of(inbound);
    if (!database_did(inbound, parked_store_remove_begin(&caller, event->row, &removal)))
        return false;
    bool stored = letter_store(inbound, event, cause, detail);
    inbound_step(inbound, PATIENCE_NS);
    if (stored)
        return database_did(inbound, tx_commit(removal));
    tx_rollback(removal);
    return false;
}

static bool database_did(struct inbound *inbound, int rc)
{
    if (rc != OK)
        inbound_failed(inbound, INBOUND_ERROR_DATABASE, inbound_detail(inbound, rc));
    return rc == OK;
}

/* The time in which a tenant must come begins when the event could take effect. */
static bool is_late(const struct inbound *inbound, const struct inbound_event *event)
{
    uint64_t since_us = event->read.not_before_us > event->parked_us ? event->read.not_before_us
                                                                     : event->parked_us;
    uint64_t end_us = since_us + inbound->settings->park_for_ns / NS_PER_US;
    return clock_wall() / NS_PER_US >= end_us;
}

static void count(struct inbound *inbound)
{
    struct parked_count parked;
    const struct parked_caller caller = caller_of(inbound);
    if (!database_did(inbound, parked_store_count(&caller, inbound->settings->parked_max, &parked)))
        return;
    metric_gauge_set(inbound->metrics.parked, (int64_t)parked.count);
    metric_gauge_set(inbound->metrics.parked_age, seconds_since(parked.oldest_us));
    metric_gauge_set(inbound->metrics.overdue, seconds_since(parked.first_due_us));
}

/* 0 for a time that is none, or has not come. */
static int64_t seconds_since(uint64_t time_us)
{
    uint64_t now_us = clock_wall() / NS_PER_US;
    return time_us == 0 || time_us > now_us ? 0 : (int64_t)((now_us - time_us) / US_PER_S);
}
