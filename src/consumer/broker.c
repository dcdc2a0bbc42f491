/* The consumer's connection.  As with the relay a lost one stays lost, and all that was fetched through it is
 * delivered again: nothing is acknowledged that this connection did not bring. */
#include "consumer/consumer_int.h"

#include "base/random.h"

#define CONNECT_PATIENCE_NS (5 * NS_PER_S)
#define BACKOFF_FLOOR_NS (50 * NS_PER_MS)
#define BACKOFF_CAP_NS (5 * NS_PER_S)
#define ACK_PATIENCE_NS (5 * NS_PER_S)

static int open_all(struct tenant_consumer *consumer, struct ctx *ctx);
static void close_all(struct tenant_consumer *consumer);

bool broker_ready(struct tenant_consumer *consumer)
{
    if (consumer->js != NULL && !consumer->broken && !jetstream_is_open(consumer->js))
        broker_lost(consumer, "the connection was closed");
    if (broker_is_up(consumer))
        return true;
    close_all(consumer);
    if (clock_now() < consumer->connect_due_ns)
        return false;
    struct ctx *ctx = consumer_step(consumer, CONNECT_PATIENCE_NS);
    if (open_all(consumer, ctx) != OK) {
        broker_lost(consumer, ctx_fault_text(ctx));
        return false;
    }
    consumer->connect_failures = 0;
    consumer->connected_ns = clock_now();
    group_reset(consumer);
    consumer_count(consumer, COUNT_CONNECTS);
    atomic_store(&consumer->connected, true);
    consumer_notice(consumer, 0, "connected to NATS");
    return true;
}

bool broker_is_up(const struct tenant_consumer *consumer)
{
    return consumer->js != NULL && !consumer->broken;
}

/* Closed by the next broker_ready() only: the event in hand may still be in the connection's memory. */
void broker_lost(struct tenant_consumer *consumer, const char *detail)
{
    if (consumer->broken)
        return;
    consumer_count(consumer, COUNT_BROKER_FAILURES);
    if (consumer->connect_failures == 0)
        consumer_notice(consumer, 1, "NATS: %s", detail);
    consumer->broken = true;
    atomic_store(&consumer->connected, false);
    sources_reset(consumer);
    /* The exponent stops growing far above the cap. */
    uint64_t pause = backoff_ns(consumer->connect_failures, BACKOFF_FLOOR_NS, BACKOFF_CAP_NS);
    consumer->connect_failures += consumer->connect_failures < 16;
    consumer->connect_due_ns = deadline_after(clock_now(), pause);
}

bool broker_ack(struct tenant_consumer *consumer, const char *reply, enum jetstream_verdict verdict,
                uint64_t delay_ns)
{
    if (!broker_is_up(consumer))
        return false;
    struct ctx *ctx = consumer_step(consumer, ACK_PATIENCE_NS);
    if (jetstream_ack(ctx, consumer->js, reply, verdict, delay_ns) == OK)
        return true;
    broker_lost(consumer, ctx_fault_text(ctx));
    return false;
}

static void close_all(struct tenant_consumer *consumer)
{
    jetstream_inbox_close(consumer->inbox);
    jetstream_inbox_close(consumer->replies);
    jetstream_close(consumer->js);
    consumer->inbox = NULL;
    consumer->replies = NULL;
    consumer->js = NULL;
    consumer->broken = false;
}

static int open_all(struct tenant_consumer *consumer, struct ctx *ctx)
{
    const struct jetstream_settings settings = {
        .url = consumer->settings.url,
        .seed_file = consumer->settings.seed_file,
        .ca_file = consumer->settings.ca_file,
        .cert_file = consumer->settings.cert_file,
        .key_file = consumer->settings.key_file,
        .name = consumer->member,
    };
    TRY(jetstream_open(ctx, &settings, &consumer->js));
    TRY(jetstream_inbox_open(ctx, consumer->js, &consumer->inbox));
    return jetstream_inbox_open(ctx, consumer->js, &consumer->replies);
}
