/* What is fetched from: the partitions' streams and the letters that were sent back.  Called by the loop. */
#include "consumer/consumer_int.h"

#include "base/random.h"

#include "events/dead_letter.h"

#include <assert.h>
#include <stdio.h>

#define ASK_SLICE_NS (50 * NS_PER_MS)
#define ASK_PATIENCE_NS (300 * NS_PER_MS) /* twice and four times that, where it was not enough */
#define PULL_PATIENCE_NS (5 * NS_PER_S)
/* Short, because a pull that is under way keeps a partition from being handed over. */
#define PULL_EXPIRES_NS NS_PER_S
#define PULL_LEAST_NS (100 * NS_PER_MS)
/* beyond the server's own limit: its answer was lost */
#define PULL_SILENCE_NS (2 * NS_PER_S)
/* One that was seen for certain counts twice. */
#define SILENCES_MAX 4
#define PULL_BYTES (4u << 20)
#define PAYLOAD_KNOWN_MAX (64u << 20) /* NATS's own limit */
#define POSTPONE_FLOOR_NS (100 * NS_PER_MS)
#define POSTPONE_CAP_NS (5 * NS_PER_S)
#define LATE_NS (2 * NS_PER_S)
#define LOOK_EVERY_NS NS_PER_S

static bool is_to_be_asked(const struct source *source, uint64_t now);
static bool ask(struct tenant_consumer *consumer, struct source *source);
static struct ctx *ask_step(struct tenant_consumer *consumer, const struct source *source);
static bool ensure(struct tenant_consumer *consumer, struct source *source);
static void inherit(const struct tenant_consumer *consumer, struct source *source,
                    const struct pull_consumer_state *state);
static void inherited_came(struct source *source, uint64_t stream_seq);
static void postpone(struct tenant_consumer *consumer, struct source *source, const char *why);
static bool look(struct tenant_consumer *consumer, struct source *source);
static void pulls_expire(struct tenant_consumer *consumer, uint64_t now);
static void pulls_tick(struct tenant_consumer *consumer, struct source *source);
static bool pull_start(struct tenant_consumer *consumer, struct source *source, struct pull *pull);
static unsigned batch_size(const struct tenant_consumer *consumer);
static struct pull *pull_oldest(struct source *source);

void sources_init(struct tenant_consumer *consumer)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    static const enum deliver_from starts[] = {
        [TENANT_START_ALL] = DELIVER_ALL,
        [TENANT_START_NEW] = DELIVER_NEW,
        [TENANT_START_TIME] = DELIVER_TIME,
        [TENANT_START_SEQUENCE] = DELIVER_SEQUENCE,
    };
    snprintf(consumer->requeue_name, sizeof consumer->requeue_name, "%s_requeue", settings->group);
    snprintf(consumer->requeue_filter, sizeof consumer->requeue_filter, "TENANT.DLQ.requeue.%s.>",
             settings->group);
    for (unsigned i = 0; i < SOURCE_COUNT; i++) {
        struct source *source = &consumer->sources[i];
        bool letters = i == SOURCE_REQUEUED;
        if (letters)
            snprintf(source->stream, sizeof source->stream, DEAD_LETTER_STREAM);
        else
            stream_name(i, source->stream);
        id_map_init(&source->inherited, sizeof(struct uuid));
        source->consumer = (struct pull_consumer){
            .stream = source->stream,
            .name = letters ? consumer->requeue_name : settings->group,
            .filter = letters ? consumer->requeue_filter : NULL,
            .from = letters ? DELIVER_ALL : starts[settings->start],
            .from_value = letters ? 0 : settings->start_value,
            .is_durable = true,
            .ack_wait_ns = settings->ack_wait_ms * NS_PER_MS,
            .max_ack_pending = settings->max_ack_pending,
        };
    }
}

void sources_deinit(struct tenant_consumer *consumer)
{
    for (unsigned i = 0; i < SOURCE_COUNT; i++)
        id_map_deinit(&consumer->sources[i].inherited);
}

void source_hold(struct tenant_consumer *consumer, unsigned number)
{
    struct source *source = &consumer->sources[number];
    source->leaving = false;
    if (source->held)
        return;
    source->held = source->inherits = true;
    source->ready = false;
    /* Until inherit(): a pull of an earlier time may bring events of which others were given back. */
    source->inherited_seq = UINT64_MAX;
    source->inherited_count = UINT64_MAX;
    source->floor_seq = 0;
    source->failures = source->silences = 0;
    source->not_before_ns = 0;
    atomic_store(&source->shown_held, true);
}

bool source_leave(struct tenant_consumer *consumer, unsigned number)
{
    struct source *source = &consumer->sources[number];
    source->leaving = true;
    return pull_oldest(source) == NULL;
}

void source_drop(struct tenant_consumer *consumer, unsigned number)
{
    struct source *source = &consumer->sources[number];
    source->held = source->leaving = source->ready = false;
    atomic_store(&source->shown_held, false);
    positions_forget(consumer, number);
    waiting_forget(consumer, number);
}

void sources_reset(struct tenant_consumer *consumer)
{
    for (struct source *source = consumer->sources; source < consumer->sources + SOURCE_COUNT;
         source++) {
        memset(source->pulls, 0, sizeof source->pulls);
        source->ready = false;
        source->inherits = true;
        source->not_before_ns = 0;
    }
}

/* Asking servers takes a while, and the events of all partitions wait: so a turn has a slice for it, the next
 * one begins behind whoever did not answer, and half of the time is for events. */
void sources_tick(struct tenant_consumer *consumer)
{
    uint64_t now = clock_now();
    bool may_ask = now >= consumer->asks_due_ns;
    unsigned first = consumer->first_source;
    pulls_expire(consumer, now);
    for (unsigned i = 0; i < SOURCE_COUNT && broker_is_up(consumer); i++) {
        unsigned number = (first + i) % SOURCE_COUNT;
        struct source *source = &consumer->sources[number];
        if (!source->held || now < source->not_before_ns)
            continue;
        if (may_ask && is_to_be_asked(source, now)) {
            if (!ask(consumer, source))
                consumer->first_source = (number + 1) % SOURCE_COUNT;
            uint64_t end = clock_now();
            may_ask = end - now < ASK_SLICE_NS;
            consumer->asks_due_ns = may_ask ? 0 : end + (end - now);
        }
        if (source->ready && broker_is_up(consumer))
            pulls_tick(consumer, source);
    }
}

static bool is_to_be_asked(const struct source *source, uint64_t now)
{
    return !source->ready || (source->inherited_seq != 0 && now >= source->look_due_ns);
}

static bool ask(struct tenant_consumer *consumer, struct source *source)
{
    return source->ready ? look(consumer, source) : ensure(consumer, source);
}

/* Nobody answers for a consumer that has no leader. */
static struct ctx *ask_step(struct tenant_consumer *consumer, const struct source *source)
{
    uint64_t patience = ASK_PATIENCE_NS << (source->failures < 2 ? source->failures : 2);
    uint64_t part = consumer->settings.lease_ttl_ms * NS_PER_MS / 2;
    return consumer_step(consumer, patience < part ? patience : part);
}

/* "TENANT_07" or "TENANT_DLQ". */
unsigned source_of(const struct tenant_consumer *consumer,
                   const struct jetstream_delivery *delivery)
{
    struct slice name = delivery->place.stream;
    if (slice_is(name, DEAD_LETTER_STREAM))
        return slice_is(delivery->place.consumer, consumer->requeue_name) ? SOURCE_REQUEUED
                                                                          : SOURCE_COUNT;
    if (name.size != STREAM_NAME_SIZE - 1 ||
        !slice_is(delivery->place.consumer, consumer->settings.group))
        return SOURCE_COUNT;
    unsigned number = (unsigned)(name.data[name.size - 2] - '0') * 10 +
                      (unsigned)(name.data[name.size - 1] - '0');
    return number < PARTITION_COUNT && slice_is(name, consumer->sources[number].stream)
               ? number
               : SOURCE_COUNT;
}

size_t source_pull_bytes(const struct tenant_consumer *consumer)
{
    size_t payload = jetstream_max_payload(consumer->js);
    size_t two = payload > PAYLOAD_KNOWN_MAX ? 0 : 2 * payload;
    return two > PULL_BYTES ? two : PULL_BYTES;
}

/* The server serves pulls in the order in which they came. */
void source_took(struct source *source, const struct jetstream_delivery *delivery)
{
    struct pull *pull = pull_oldest(source);
    atomic_store_explicit(&source->pending, delivery->place.pending, memory_order_relaxed);
    inherited_came(source, delivery->place.stream_seq);
    source->silences = 0;
    if (pull == NULL)
        return;
    pull->left--;
    pull->deadline_ns = deadline_after(clock_tick(), PULL_EXPIRES_NS + PULL_SILENCE_NS);
    if (pull->left == 0)
        pull->tag = 0;
}

/* Expired ones are asked for again by the next tick.  Whatever else it was, the consumer is looked at anew. */
void source_status(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery)
{
    for (struct source *source = consumer->sources; source < consumer->sources + SOURCE_COUNT;
         source++) {
        for (struct pull *pull = source->pulls; pull < source->pulls + PULLS; pull++) {
            if (pull->tag != delivery->tag || pull->tag == 0)
                continue;
            source->silences = 0;
            if (delivery->status == PULL_HEARTBEAT)
                return;
            pull->tag = 0;
            if (delivery->status != PULL_EXPIRED && delivery->status != PULL_NO_MESSAGES)
                postpone(consumer, source, delivery->description);
            return;
        }
    }
}

/* What members before gave out and nobody acknowledged may still be in somebody's hands. */
static bool ensure(struct tenant_consumer *consumer, struct source *source)
{
    struct pull_consumer_state state;
    struct ctx *ctx = ask_step(consumer, source);
    if (pull_consumer_ensure(ctx, consumer->js, &source->consumer, &state) != OK) {
        postpone(consumer, source, ctx_fault_text(ctx));
        return false;
    }
    if (state.is_missing) {
        postpone(consumer, source, "there is no such stream");
        return false;
    }
    source->ready = true;
    source->failures = 0;
    source->served_ns = clock_now();
    if (source->inherits || state.created)
        inherit(consumer, source, &state);
    source->inherits = false;
    atomic_store_explicit(&source->pending, state.pending, memory_order_relaxed);
    return true;
}

/* The last of it comes when its time to be acknowledged is over, or the longest pause between two attempts. */
static void inherit(const struct tenant_consumer *consumer, struct source *source,
                    const struct pull_consumer_state *state)
{
    const struct tenant_consumer_settings *settings = &consumer->settings;
    uint64_t now = clock_now();
    unsigned longest_ms = settings->ack_wait_ms;
    for (size_t i = 0; i < settings->backoff_count; i++)
        longest_ms = settings->backoff_ms[i] > longest_ms ? settings->backoff_ms[i] : longest_ms;
    id_map_deinit(&source->inherited);
    source->inherited_seq = state->ack_pending == 0 ? 0 : state->delivered_seq;
    source->inherited_count = state->ack_pending;
    source->inherited_end_ns = deadline_after(now, source_latest_ns(longest_ms));
    source->floor_seq = state->floor_seq;
    source->look_due_ns = deadline_after(now, LOOK_EVERY_NS);
}

uint64_t source_latest_ns(unsigned duration_ms)
{
    return duration_ms * NS_PER_MS / 4 * 5 + LATE_NS;
}

/* Each message counts once, however often it comes. */
static void inherited_came(struct source *source, uint64_t stream_seq)
{
    struct uuid id = {{0}};
    if (source->inherited_seq == 0 || stream_seq > source->inherited_seq)
        return;
    memcpy(id.bytes, &stream_seq, sizeof stream_seq);
    (void)id_map_put(&source->inherited, &id);
    if (source->inherited.count >= source->inherited_count)
        source->inherited_seq = 0;
}

bool source_may_begin(const struct source *source, uint64_t stream_seq)
{
    return source->inherited_seq == 0 || source->floor_seq + 1 >= stream_seq;
}

/* Said once, then counted. */
static void postpone(struct tenant_consumer *consumer, struct source *source, const char *why)
{
    uint64_t pause = backoff_ns(source->failures, POSTPONE_FLOOR_NS, POSTPONE_CAP_NS);
    consumer_count(consumer, COUNT_BROKER_FAILURES);
    if (source->failures == 2)
        consumer_notice(consumer, 1, "%s: %s", source->stream, why);
    source->failures += source->failures < 16;
    source->ready = false;
    source->not_before_ns = deadline_after(clock_now(), pause);
}

static bool look(struct tenant_consumer *consumer, struct source *source)
{
    struct pull_consumer_state state;
    struct ctx *ctx = ask_step(consumer, source);
    if (pull_consumer_look(ctx, consumer->js, &source->consumer, &state) != OK ||
        state.is_missing) {
        postpone(consumer, source, "its consumer cannot be asked");
        return false;
    }
    uint64_t now = clock_now();
    source->floor_seq = state.floor_seq;
    source->look_due_ns = deadline_after(now, LOOK_EVERY_NS);
    if (state.floor_seq >= source->inherited_seq || now >= source->inherited_end_ns)
        source->inherited_seq = 0;
    return true;
}

/* Whoever did not come to what was said knows of no silence: only an inbox that was empty well behind the
 * server's own limit tells for certain. */
static void pulls_expire(struct tenant_consumer *consumer, uint64_t now)
{
    for (struct source *source = consumer->sources; source < consumer->sources + SOURCE_COUNT;
         source++) {
        for (struct pull *pull = source->pulls; pull < source->pulls + PULLS; pull++) {
            if (pull->tag == 0 || now < pull->deadline_ns)
                continue;
            bool seen = consumer->emptied_ns + PULL_SILENCE_NS / 2 >= pull->deadline_ns;
            source->silences += seen ? 2 : 1;
            source->served_ns = now;
            pull->tag = 0;
        }
        if (source->silences >= SILENCES_MAX) {
            source->silences = 0;
            source->ready = false; /* is its consumer still there? */
        }
    }
}

/* The second pull is asked for when the first is half over, so that the server never waits for us. */
static void pulls_tick(struct tenant_consumer *consumer, struct source *source)
{
    unsigned left = 0;
    for (struct pull *pull = source->pulls; pull < source->pulls + PULLS; pull++)
        left += pull->tag != 0 ? pull->left : 0;
    if (source->leaving || left > batch_size(consumer) / 2)
        return;
    for (struct pull *pull = source->pulls; pull < source->pulls + PULLS; pull++) {
        if (pull->tag == 0) {
            (void)pull_start(consumer, source, pull);
            return;
        }
    }
}

/* A pull ends before the lease does: what the server gives out later goes to whoever has it then. */
static bool pull_start(struct tenant_consumer *consumer, struct source *source, struct pull *pull)
{
    uint64_t now = clock_now();
    uint64_t left = deadline_left(consumer->group.lease_end_ns, now);
    const struct jetstream_pull ask = {
        .stream = source->stream,
        .consumer = source->consumer.name,
        .batch = batch_size(consumer),
        .max_bytes = source_pull_bytes(consumer),
        .expires_ns = left < PULL_EXPIRES_NS ? left : PULL_EXPIRES_NS,
    };
    if (left < PULL_LEAST_NS)
        return false;
    struct ctx *ctx = consumer_step(consumer, PULL_PATIENCE_NS);
    *pull = (struct pull){
        .tag = ++consumer->next_tag,
        .left = ask.batch,
        .deadline_ns = deadline_after(now, ask.expires_ns + PULL_SILENCE_NS),
    };
    if (jetstream_pull(ctx, consumer->inbox, &ask, pull->tag) == OK)
        return true;
    broker_lost(consumer, ctx_fault_text(ctx));
    return false;
}

/* So few that all that can be waiting here are handled in half of the time for acknowledging them. */
static unsigned batch_size(const struct tenant_consumer *consumer)
{
    unsigned held = 0;
    for (unsigned i = 0; i < SOURCE_COUNT; i++)
        held += consumer->sources[i].held;
    uint64_t per_event = consumer->handler_ns + 1;
    uint64_t fitting = consumer->settings.ack_wait_ms * NS_PER_MS / 2 / per_event /
                       (PULLS * (held == 0 ? 1 : held));
    if (fitting == 0)
        return 1;
    return fitting < consumer->settings.batch ? (unsigned)fitting : consumer->settings.batch;
}

static struct pull *pull_oldest(struct source *source)
{
    struct pull *oldest = NULL;
    for (struct pull *pull = source->pulls; pull < source->pulls + PULLS; pull++) {
        if (pull->tag != 0 && (oldest == NULL || pull->tag < oldest->tag))
            oldest = pull;
    }
    return oldest;
}
