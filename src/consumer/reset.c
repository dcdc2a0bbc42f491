/* A group that begins anew.  See tenant/events_replay.h. */
#include "consumer/consumer_int.h"

#include "tenant/events_replay.h"

#include <poll.h>
#include <stdio.h>

#define ASK_PATIENCE_NS (5 * NS_PER_S)
#define LOOK_EVERY_MS 100

static enum tenant_consumer_result claim_all(struct tenant_consumer *consumer);
static enum tenant_consumer_result claim_once(struct tenant_consumer *consumer, bool *claimed);
static enum tenant_consumer_result consumers_remake(struct tenant_consumer *consumer);
static enum tenant_consumer_result result_of(enum group_claim claim);

/* While this one has all partitions, a member that starts waits for its share. */
enum tenant_consumer_result tenant_consumer_reset(const struct tenant_consumer_settings *settings,
                                                  struct tenant_consumer_error *error)
{
    struct tenant_consumer_error ignored;
    struct tenant_consumer *consumer = NULL;
    error = error == NULL ? &ignored : error;
    if (tenant_consumer_new(settings, &consumer, error) != TENANT_CONSUMER_OK)
        return TENANT_CONSUMER_INVALID;
    enum tenant_consumer_result result = broker_ready(consumer) ? claim_all(consumer)
                                                                : TENANT_CONSUMER_BROKER;
    if (result == TENANT_CONSUMER_OK)
        result = consumers_remake(consumer);
    if (result == TENANT_CONSUMER_BUSY)
        snprintf(error->text, sizeof error->text, "the group has living members");
    if (result == TENANT_CONSUMER_BROKER)
        snprintf(error->text, sizeof error->text, "%s", consumer->ctx.fault.text);
    if (broker_is_up(consumer))
        group_leave(consumer);
    tenant_consumer_free(consumer);
    return result;
}

/* Until those who seem to live are found to be dead, or one of them beats. */
static enum tenant_consumer_result claim_all(struct tenant_consumer *consumer)
{
    bool claimed = false;
    enum tenant_consumer_result result = TENANT_CONSUMER_OK;
    for (;;) {
        result = claim_once(consumer, &claimed);
        if (result != TENANT_CONSUMER_OK || claimed)
            return result;
        poll(NULL, 0, LOOK_EVERY_MS);
    }
}

static enum tenant_consumer_result claim_once(struct tenant_consumer *consumer, bool *claimed)
{
    enum group_claim claim = group_claim_all(consumer);
    *claimed = claim == GROUP_CLAIMED;
    return result_of(claim);
}

static enum tenant_consumer_result result_of(enum group_claim claim)
{
    switch (claim) {
    case GROUP_CLAIMED:
    case GROUP_WAIT:
        return TENANT_CONSUMER_OK;
    case GROUP_ALIVE:
        return TENANT_CONSUMER_BUSY;
    case GROUP_FAILED:
        return TENANT_CONSUMER_BROKER;
    }
    return TENANT_CONSUMER_BROKER;
}

/* A stream that is not there yet gets its consumer from the first member that meets it.  A server may be slow
 * for longer than a lease: whoever is waiting for the partitions must not take us for dead, and if he has, what
 * is his now is left alone. */
static enum tenant_consumer_result consumers_remake(struct tenant_consumer *consumer)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct pull_consumer_state state;
        enum tenant_consumer_result kept = result_of(group_keep_all(consumer));
        if (kept != TENANT_CONSUMER_OK)
            return kept;
        const struct pull_consumer *wish = &consumer->sources[i].consumer;
        struct ctx *ctx = consumer_step(consumer, ASK_PATIENCE_NS);
        if (pull_consumer_delete(ctx, consumer->js, wish) != OK ||
            pull_consumer_ensure(ctx, consumer->js, wish, &state) != OK)
            return TENANT_CONSUMER_BROKER;
    }
    return TENANT_CONSUMER_OK;
}
