/* The inbound thread's connection: fetches from billing's stream and from the letters that were sent back.
 * Called by the loop. */
#include "inbound/inbound_int.h"

#include "base/random.h"

#include <stdio.h>

#define PATIENCE_NS (5 * NS_PER_S)
#define BACKOFF_FLOOR_NS (100 * NS_PER_MS)
#define BACKOFF_CAP_NS (5 * NS_PER_S)
#define MISSING_PAUSE_NS (5 * NS_PER_S)
#define ACK_WAIT_NS (30 * NS_PER_S)
/* Those that are too early and find no room count, and who is behind them must be fetched all the same. */
#define MAX_ACK_PENDING 4096
#define BATCH 32
#define BATCH_BYTES (4u << 20)
#define EXPIRES_NS NS_PER_S
#define SILENCE_NS (2 * NS_PER_S)
#define RETURN_NS (300 * NS_PER_MS)
#define NO_ROOM_NS (30 * NS_PER_S)
#define NO_ROOM_CAP_NS (600 * NS_PER_S)
#define REQUEUED_NAME INBOUND_GROUP "_requeue"
#define REQUEUED_FILTER "TENANT.DLQ.requeue." INBOUND_GROUP ".>"

static void lost(struct inbound *inbound, const char *detail);
static void pulls_tick(struct inbound *inbound);
static bool ensure(struct inbound *inbound, struct fetch_source *source);
static void postpone(struct inbound *inbound, struct fetch_source *source, uint64_t pause_ns);
static void take(struct inbound *inbound, const struct jetstream_delivery *delivery);
static uint64_t no_room_ns(const struct inbound_event *event);
static void status_take(struct inbound *inbound, const struct jetstream_delivery *delivery);
static bool event_of(struct inbound *inbound, const struct jetstream_delivery *delivery,
                     struct inbound_event *event);
static bool letter_of(struct inbound *inbound, const struct jetstream_delivery *delivery,
                      struct inbound_event *event);
static const char *text_of(struct arena *arena, struct slice bytes);
static bool header_find(const void *from, const char *name, struct slice *value);
static void answer(struct inbound *inbound, const char *reply, enum jetstream_verdict verdict,
                   uint64_t delay_ns);

void fetch_init(struct inbound *inbound)
{
    const struct pull_consumer billing = {
        .stream = inbound->settings->billing_stream,
        .name = INBOUND_GROUP,
        .filter = BILLING_FILTER,
        .from = DELIVER_ALL,
        .is_durable = true,
        .ack_wait_ns = ACK_WAIT_NS,
        .max_ack_pending = MAX_ACK_PENDING,
    };
    struct pull_consumer requeued = billing;
    requeued.stream = DEAD_LETTER_STREAM;
    requeued.name = REQUEUED_NAME;
    requeued.filter = REQUEUED_FILTER;
    inbound->sources[FETCH_BILLING].consumer = billing;
    inbound->sources[FETCH_REQUEUED].consumer = requeued;
}

bool fetch_ready(struct inbound *inbound)
{
    if (inbound->js != NULL && !inbound->broken && jetstream_is_open(inbound->js))
        return true;
    if (inbound->js != NULL && !inbound->broken)
        lost(inbound, "the connection was closed");
    fetch_close(inbound);
    if (clock_now() < inbound->connect_due_ns)
        return false;
    struct ctx *ctx = inbound_step(inbound, PATIENCE_NS);
    int rc = jetstream_open(ctx, &inbound->settings->nats, &inbound->js);
    if (rc == OK)
        rc = jetstream_inbox_open(ctx, inbound->js, &inbound->inbox);
    if (rc == OK)
        rc = jetstream_inbox_open(ctx, inbound->js, &inbound->replies);
    if (rc != OK) {
        lost(inbound, ctx_fault_text(ctx));
        return false;
    }
    inbound->connect_failures = 0;
    metric_gauge_set(inbound->metrics.broker_up, 1);
    return true;
}

void fetch_close(struct inbound *inbound)
{
    jetstream_inbox_close(inbound->inbox);
    jetstream_inbox_close(inbound->replies);
    jetstream_close(inbound->js);
    inbound->inbox = inbound->replies = NULL;
    inbound->js = NULL;
    inbound->broken = false;
}

void fetch_run(struct inbound *inbound, uint64_t deadline_ns)
{
    struct jetstream_delivery delivery;
    pulls_tick(inbound);
    while (!inbound->broken && !atomic_load(&inbound->stopping)) {
        bool received = false;
        struct ctx *ctx = inbound_step(inbound, PATIENCE_NS);
        if (jetstream_fetch(ctx, inbound->inbox, deadline_ns, &delivery, &received) != OK) {
            lost(inbound, ctx_fault_text(ctx));
            return;
        }
        if (!received)
            return;
        take(inbound, &delivery);
        uint64_t now = clock_now();
        if (now >= deadline_ns || now < inbound->paused_until_ns)
            return;
    }
}

void fetch_return(struct inbound *inbound)
{
    struct jetstream_delivery delivery;
    bool received = true;
    if (inbound->js == NULL || inbound->broken)
        return;
    struct ctx *ctx = inbound_step(inbound, RETURN_NS);
    uint64_t deadline = ctx->deadline_ns;
    int rc = jetstream_inbox_drain(ctx, inbound->inbox);
    while (rc == OK && received) {
        rc = jetstream_fetch(ctx, inbound->inbox, deadline, &delivery, &received);
        if (rc == OK && received && delivery.status == PULL_MESSAGE)
            answer(inbound, delivery.reply, ACK_AGAIN, 0);
    }
    if (jetstream_flush(inbound_step(inbound, PATIENCE_NS), inbound->js) != OK)
        metric_inc(
            inbound->metrics.errors[INBOUND_ERROR_BROKER]); /* delivered again, and found done */
}

/* Closed before the next turn only: the event in hand may lie in the connection's memory. */
static void lost(struct inbound *inbound, const char *detail)
{
    inbound_failed(inbound, INBOUND_ERROR_BROKER, detail);
    inbound->broken = true;
    metric_gauge_set(inbound->metrics.broker_up, 0);
    for (struct fetch_source *source = inbound->sources; source < inbound->sources + FETCH_PLACES;
         source++) {
        source->ready = false;
        source->pull_tag = 0;
        source->not_before_ns = 0;
    }
    uint64_t pause = backoff_ns(inbound->connect_failures, BACKOFF_FLOOR_NS, BACKOFF_CAP_NS);
    inbound->connect_failures += inbound->connect_failures < 16;
    inbound->connect_due_ns = deadline_after(clock_now(), pause);
}

static void pulls_tick(struct inbound *inbound)
{
    for (struct fetch_source *source = inbound->sources; source < inbound->sources + FETCH_PLACES;
         source++) {
        uint64_t now = clock_now();
        if (source->pull_tag != 0 && now >= source->pull_deadline_ns) {
            source->pull_tag = 0;
            source->ready = false; /* nobody serves it: is its consumer there? */
        }
        if (inbound->broken || source->pull_tag != 0 || now < source->not_before_ns ||
            (!source->ready && !ensure(inbound, source)))
            continue;
        const struct jetstream_pull pull = {
            .stream = source->consumer.stream,
            .consumer = source->consumer.name,
            .batch = BATCH,
            .max_bytes = BATCH_BYTES,
            .expires_ns = EXPIRES_NS,
        };
        struct ctx *ctx = inbound_step(inbound, PATIENCE_NS);
        source->pull_tag = ++inbound->next_tag;
        source->pull_left = BATCH;
        source->pull_deadline_ns = deadline_after(now, EXPIRES_NS + SILENCE_NS);
        if (jetstream_pull(ctx, inbound->inbox, &pull, source->pull_tag) != OK)
            lost(inbound, ctx_fault_text(ctx));
    }
}

/* A stream that is not there is another team's to make, or the relay's; nobody needs to hear of it often. */
static bool ensure(struct inbound *inbound, struct fetch_source *source)
{
    struct pull_consumer_state state;
    struct ctx *ctx = inbound_step(inbound, PATIENCE_NS);
    if (pull_consumer_ensure(ctx, inbound->js, &source->consumer, &state) != OK) {
        inbound_failed(inbound, INBOUND_ERROR_STREAM, ctx_fault_text(ctx));
        postpone(inbound, source, 0);
        return false;
    }
    if (state.is_missing) {
        metric_inc(inbound->metrics.errors[INBOUND_ERROR_STREAM]);
        postpone(inbound, source, MISSING_PAUSE_NS);
        return false;
    }
    if (source == &inbound->sources[FETCH_BILLING])
        metric_gauge_set(inbound->metrics.pending, (int64_t)state.pending);
    source->ready = true;
    source->failures = 0;
    return true;
}

static void postpone(struct inbound *inbound, struct fetch_source *source, uint64_t pause_ns)
{
    (void)inbound;
    if (pause_ns == 0)
        pause_ns = backoff_ns(source->failures, BACKOFF_FLOOR_NS, BACKOFF_CAP_NS);
    source->failures += source->failures < 16;
    source->ready = false;
    source->not_before_ns = deadline_after(clock_now(), pause_ns);
}

static void take(struct inbound *inbound, const struct jetstream_delivery *delivery)
{
    struct inbound_event event;
    enum inbound_outcome outcome = INBOUND_IGNORED;
    if (delivery->status != PULL_MESSAGE) {
        status_take(inbound, delivery);
        return;
    }
    arena_reset(inbound->ctx.arena);
    if (!event_of(inbound, delivery, &event)) {
        answer(inbound, delivery->reply, ACK_GIVEN_UP, 0);
        return;
    }
    int rc = inbound_handle(inbound, &event, &outcome);
    if (rc == OK) {
        answer(inbound, delivery->reply, event.stays ? ACK_AGAIN : ACK_DONE, no_room_ns(&event));
        return;
    }
    const struct inbound_failure failure = inbound_judge(inbound, &event, rc);
    bool over = failure.is_last && letter_store(inbound, &event, "HANDLER_FAILED", failure.detail);
    answer(inbound, delivery->reply, over ? ACK_DONE : ACK_AGAIN, failure.wait_ns);
}

/* The more often, the longer: thousands of them must leave time for the others. */
static uint64_t no_room_ns(const struct inbound_event *event)
{
    return backoff_ns((unsigned)(event->tries < 16 ? event->tries : 16), NO_ROOM_NS,
                      NO_ROOM_CAP_NS);
}

static void status_take(struct inbound *inbound, const struct jetstream_delivery *delivery)
{
    for (struct fetch_source *source = inbound->sources; source < inbound->sources + FETCH_PLACES;
         source++) {
        if (source->pull_tag != delivery->tag || delivery->status == PULL_HEARTBEAT)
            continue;
        source->pull_tag = 0;
        if (delivery->status != PULL_EXPIRED && delivery->status != PULL_NO_MESSAGES)
            postpone(inbound, source, 0);
    }
}

/* False: a message to the requeued letters that is none. */
static bool event_of(struct inbound *inbound, const struct jetstream_delivery *delivery,
                     struct inbound_event *event)
{
    bool requeued = slice_is(delivery->place.stream, DEAD_LETTER_STREAM);
    struct fetch_source *source = &inbound->sources[requeued ? FETCH_REQUEUED : FETCH_BILLING];
    if (source->pull_tag != 0 && --source->pull_left == 0)
        source->pull_tag = 0;
    if (!requeued)
        metric_gauge_set(inbound->metrics.pending, (int64_t)delivery->place.pending);
    const char *traceparent = jetstream_header(inbound->inbox, HEADER_TRACEPARENT);
    *event = (struct inbound_event){
        .body = delivery->payload,
        .subject = delivery->subject,
        .traceparent = traceparent == NULL ? "" : traceparent,
        .stream = source->consumer.stream,
        .stream_seq = delivery->place.stream_seq,
        .place = delivery->place.stream_seq,
        .tries = delivery->place.delivered,
        .is_requeued = requeued,
    };
    return !requeued || letter_of(inbound, delivery, event);
}

/* One that was sent back is what its letter says of the original. */
static bool letter_of(struct inbound *inbound, const struct jetstream_delivery *delivery,
                      struct inbound_event *event)
{
    struct arena *arena = inbound->ctx.arena;
    const struct dead_letter *letter = &event->letter;
    const struct header_source headers = {.find = header_find, .from = inbound->inbox};
    if (!dead_letter_parse(slice_of_str(delivery->subject), headers, &event->letter) ||
        letter->kind != DEAD_LETTER_REQUEUED || !slice_is(letter->consumer, INBOUND_GROUP))
        return false;
    event->subject = text_of(arena, letter->subject);
    event->stream = text_of(arena, letter->stream);
    event->stream_seq = letter->stream_seq;
    return true;
}

static const char *text_of(struct arena *arena, struct slice bytes)
{
    return bytes.size == 0 ? "" : arena_strndup(arena, bytes.data, bytes.size);
}

static bool header_find(const void *from, const char *name, struct slice *value)
{
    const char *text = jetstream_header(from, name);
    if (text == NULL)
        return false;
    *value = slice_of_str(text);
    return true;
}

static void answer(struct inbound *inbound, const char *reply, enum jetstream_verdict verdict,
                   uint64_t delay_ns)
{
    if (inbound->broken)
        return;
    struct ctx *ctx = inbound_step(inbound, PATIENCE_NS);
    if (jetstream_ack(ctx, inbound->js, reply, verdict, delay_ns) != OK)
        lost(inbound, ctx_fault_text(ctx));
}
