/* The relay's two servers: when to ask them again after a failure.  Called by the other relay files.
 *
 * Both back off on their own: without NATS leases are kept and the backlog is counted, without
 * the database what is in flight is still collected. */
#include "events/relay_int.h"

#include "base/random.h"

#include "gen/errors.h"

#include <assert.h>

#define CONNECT_PATIENCE_NS (5 * NS_PER_S)
#define BACKOFF_FLOOR_NS (100 * NS_PER_MS)
#define BACKOFF_CAP_NS (5 * NS_PER_S)
#define LEASE_TTL_DEFAULT_NS (5 * NS_PER_S)

static uint64_t backoff_until(unsigned *failures);

uint64_t relay_lease_ttl(const struct relay *relay)
{
    return relay->settings->lease_ttl_ns != 0 ? relay->settings->lease_ttl_ns
                                              : LEASE_TTL_DEFAULT_NS;
}

/* The deadline is that of the relay's one ctx: a caller is good for the next statement only. */
struct relay_caller relay_caller(struct relay *relay, uint64_t duration_ns)
{
    return (struct relay_caller){
        .store = relay->store,
        .ctx = relay_step(relay, duration_ns),
        .owner = relay->settings->instance,
        .ttl_ns = relay_lease_ttl(relay),
    };
}

bool relay_database_ready(const struct relay *relay)
{
    return clock_now() >= relay->database_due_ns;
}

bool relay_database_did(struct relay *relay, int rc)
{
    if (rc == OK) {
        relay->database_failures = 0;
        relay->database_due_ns = 0;
        return true;
    }
    const struct error_entry *refusal = rc > 0 ? error_lookup(rc) : NULL;
    const char *trouble = store_trouble(relay->store, LOGIN_RELAY);
    const char *detail = rc < 0             ? ctx_fault_text(&relay->ctx)
                         : *trouble != '\0' ? trouble
                         : refusal != NULL  ? refusal->reason
                                            : "refused";
    relay_failed(relay, RELAY_ERROR_DATABASE, -1, detail);
    relay->database_due_ns = backoff_until(&relay->database_failures);
    return false;
}

/* The first turn after a connect finds every shard UNKNOWN (relay_broker_lost), so nothing is
 * sent on trust. */
bool relay_broker_ready(struct relay *relay)
{
    if (relay->js != NULL && jetstream_is_open(relay->js))
        return true;
    if (relay->js != NULL)
        relay_broker_lost(relay, "the connection was closed");
    if (clock_now() < relay->broker_due_ns)
        return false;
    struct ctx *ctx = relay_step(relay, CONNECT_PATIENCE_NS);
    int rc = jetstream_open(ctx, &relay->settings->nats, &relay->js);
    if (rc == OK)
        rc = jetstream_inbox_open(ctx, relay->js, &relay->inbox);
    if (rc != OK) {
        relay_broker_lost(relay, ctx_fault_text(ctx));
        return false;
    }
    relay->broker_failures = 0;
    metric_gauge_set(relay->metrics.broker_up, 1);
    return true;
}

void relay_broker_lost(struct relay *relay, const char *detail)
{
    relay_failed(relay, RELAY_ERROR_CONNECT, -1, detail);
    jetstream_inbox_close(relay->inbox);
    jetstream_close(relay->js);
    relay->inbox = NULL;
    relay->js = NULL;
    relay->letters_checked = false;
    relay->letters_due_ns = 0;
    relay->letters_count_due_ns = 0;
    if (relay->groups_failures == 0) /* else it held up the shards */
        relay->groups_due_ns = 0;
    metric_gauge_set(relay->metrics.broker_up, 0);
    relay->broker_due_ns = backoff_until(&relay->broker_failures);
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++) {
        if (shard->state == SHARD_FOREIGN)
            continue;
        shard_doubt(shard);
        shard->window.state = WINDOW_EMPTY;
    }
}

/* The exponent stops growing at 16, far above the cap, so that it cannot overflow. */
static uint64_t backoff_until(unsigned *failures)
{
    uint64_t pause = backoff_ns(*failures, BACKOFF_FLOOR_NS, BACKOFF_CAP_NS);
    *failures += *failures < 16;
    return deadline_after(clock_now(), pause);
}
