/* Which shards this relay holds.  Called by the relay's turns.  A lease is for efficiency only: a relay that
 * slept through its end is stopped by the streams. */
#include "events/relay_int.h"

#include "events/lease_plan.h"

#include "base/random.h"

#define LEASE_PATIENCE_NS (3 * NS_PER_S)
/* a failed renewal is repeated for two thirds of the time before others may take the shards */
#define RENEWALS_PER_TTL 3

static void leases_renew(struct relay *relay, uint64_t now);
static void leases_follow(struct relay *relay, const struct relay_leases *leases);
static void plan_follow(struct relay *relay, const struct relay_leases *leases);
static void shards_claim(struct relay *relay, uint16_t wanted);
static void shards_release(struct relay *relay, uint16_t surplus);

/* Renewal first: a lease that ended by our own clock while a stream was slow to answer, and that
 * nobody took, is still ours, and so is what we know of its stream.  Only who cannot ask gives up by
 * the clock: whoever holds the lease now has been told by the database. */
void relay_lease_tick(struct relay *relay)
{
    uint64_t now = clock_now();
    if (now >= relay->lease_due_ns && relay_database_ready(relay))
        leases_renew(relay, now);
    if (now < relay->lease_end_ns)
        return;
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++)
        shard_give_up(shard);
}

void relay_lease_leave(struct relay *relay)
{
    uint16_t held = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        held |= (uint16_t)(relay->shards[i].state != SHARD_FOREIGN ? 1u << i : 0);
        shard_give_up(&relay->shards[i]);
    }
    if (!relay_database_ready(relay))
        return;
    const struct relay_caller caller = relay_caller(relay, LEASE_PATIENCE_NS);
    (void)relay_database_did(relay, relay_store_release(&caller, held, true));
}

static void leases_renew(struct relay *relay, uint64_t now)
{
    struct relay_leases leases;
    uint64_t ttl = relay_lease_ttl(relay);
    const struct relay_caller caller = relay_caller(relay, LEASE_PATIENCE_NS);
    if (!relay_database_did(relay, relay_store_renew(&caller, &leases)))
        return;
    /* Counted from before the question, so that our end comes before the database's. */
    relay->lease_end_ns = deadline_after(now, ttl);
    relay->lease_due_ns = deadline_after(now, ttl / RENEWALS_PER_TTL);
    leases_follow(relay, &leases);
    plan_follow(relay, &leases);
}

/* A lease that went and came back between two looks is as good as kept: if somebody else
 * published in between, the stream's sequence says so. */
static void leases_follow(struct relay *relay, const struct relay_leases *leases)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct shard *shard = &relay->shards[i];
        bool ours = strcmp(leases->owners[i], relay->settings->instance) == 0;
        if (ours && shard->state == SHARD_FOREIGN)
            shard->state = SHARD_UNKNOWN;
        if (ours)
            shard->leaving = false;
        if (!ours && shard->state != SHARD_FOREIGN)
            shard_give_up(shard);
    }
}

/* A random start keeps relays that plan at the same moment from claiming the same free shards. */
static void plan_follow(struct relay *relay, const struct relay_leases *leases)
{
    unsigned start = (unsigned)random_below(PARTITION_COUNT);
    const struct lease_plan plan = lease_plan_make(leases, relay->settings->instance, start);
    if (plan.take != 0)
        shards_claim(relay, plan.take);
    if (plan.release != 0)
        shards_release(relay, plan.release);
}

static void shards_claim(struct relay *relay, uint16_t wanted)
{
    uint16_t claimed = 0;
    const struct relay_caller caller = relay_caller(relay, LEASE_PATIENCE_NS);
    if (!relay_database_did(relay, relay_store_claim(&caller, wanted, &claimed)))
        return;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if ((claimed >> i & 1) == 0)
            continue;
        if (relay->shards[i].state == SHARD_FOREIGN)
            relay->shards[i].state = SHARD_UNKNOWN;
        relay->shards[i].leaving = false;
        metric_inc(relay->metrics.takeovers);
    }
    log_info(&relay->ctx, "relay.claimed", KV_INT("shards", __builtin_popcount(claimed)),
             KV_INT("wanted", __builtin_popcount(wanted)));
}

/* A shard with a window in flight waits for the next time. */
static void shards_release(struct relay *relay, uint16_t surplus)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (relay->shards[i].state == SHARD_SENT)
            surplus &= (uint16_t) ~(1u << i);
    }
    if (surplus == 0)
        return;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if ((surplus >> i & 1) != 0)
            shard_give_up(&relay->shards[i]);
    }
    const struct relay_caller caller = relay_caller(relay, LEASE_PATIENCE_NS);
    (void)relay_database_did(relay, relay_store_release(&caller, surplus, false));
    log_info(&relay->ctx, "relay.released", KV_INT("shards", __builtin_popcount(surplus)));
}
