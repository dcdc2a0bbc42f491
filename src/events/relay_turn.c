/* One round of the relay over all shards that it holds.  Called by the relay's loop.
 *
 * Windows of all shards are in flight together; one that waits for its stream holds up the others for a
 * slice at most. */
#include "events/relay_int.h"

#include "events/group_stream.h"

#include "base/random.h"

#include <assert.h>

#define DATABASE_PATIENCE_NS (5 * NS_PER_S)
#define RECEIVE_PATIENCE_NS (5 * NS_PER_S)
/* how long a turn waits for acknowledgements while nothing else can be done: new rows wait no
 * longer */
#define SLICE_NS (20 * NS_PER_MS)
#define OVERLAP_EVENTS_MIN 2000 /* in flight; fewer are settled together */
#define BATCH_BYTES_DEFAULT (UINT64_C(8) << 20)
#define GROUPS_EVERY_NS (60 * NS_PER_S)
#define GROUPS_AGAIN_NS (1 * NS_PER_S)
#define GROUPS_REFUSED_NS (180 * NS_PER_S)
#define GROUPS_PATIENCE_NS (2 * NS_PER_S)
/* Asking streams may take a while, and events of the others wait. */
#define RESOLVE_SLICE_NS (25 * NS_PER_MS)

static bool shards_resolve(struct relay *relay);
static bool shards_refill(struct relay *relay);
static void groups_check(struct relay *relay);
static void acks_wait(struct relay *relay, const struct outbox_batch *in_hand);
static unsigned windows_to_leave(const struct relay *relay);
static void acks_collect(struct relay *relay, unsigned leave, uint64_t deadline_ns);
static unsigned windows_open(const struct relay *relay);
static bool shard_is_open(const struct shard *shard);
static void ack_take(struct relay *relay, const struct jetstream_reply *reply);
static bool windows_close(struct relay *relay, struct sent_keys *sent);
static void window_count(struct relay *relay, const struct shard *shard);
static void exchange_begin(struct relay *relay, const struct sent_keys *sent, uint16_t reading,
                           struct outbox_exchange *out);
static uint16_t shards_to_read(const struct relay *relay, const struct sent_keys *sent,
                               const struct outbox_batch *in_hand);
static bool may_send(const struct relay *relay, const struct shard *shard);
static void batch_send(struct relay *relay, const struct outbox_batch *batch);
static void exchange_end(struct relay *relay, struct outbox_exchange *exchange);
static bool batch_is_of_now(const struct relay *relay, const struct outbox_batch *batch);
static void windows_end(struct relay *relay, bool settled);
static void leavers_give_up(struct relay *relay);

/* Leases first: rows are only read for shards that are still ours.  `js` is looked at again
 * after each step, because any of them may find the connection lost.
 *
 * Rows in hand are sent in this turn or never: their memory ends with it, and they are read again. */
bool relay_turn(struct relay *relay)
{
    const struct outbox_batch in_hand = relay->batch;
    relay->batch = (struct outbox_batch){.count = 0};
    relay_lease_tick(relay);
    bool known = relay_server_check(relay);
    relay_upkeep(relay);
    if (!relay_broker_ready(relay) || (!known && windows_open(relay) == 0))
        return false;
    bool moved = shards_resolve(relay);
    groups_check(relay);
    if (relay->js != NULL)
        relay_letters(relay);
    if (relay->js != NULL && shards_refill(relay))
        moved = true;
    struct outbox_exchange exchange = {.settling = 0};
    struct sent_keys sent = {.count = 0};
    if (relay->js != NULL)
        acks_wait(relay, &in_hand);
    if (windows_close(relay, &sent))
        moved = true;
    exchange_begin(relay, &sent, shards_to_read(relay, &sent, &in_hand), &exchange);
    if (relay->js != NULL)
        batch_send(relay, &in_hand);
    exchange_end(relay, &exchange);
    leavers_give_up(relay);
    return moved || relay->batch.count > 0;
}

void relay_drain(struct relay *relay, uint64_t deadline_ns)
{
    while (relay->js != NULL && windows_open(relay) > 0 && clock_now() < deadline_ns) {
        struct outbox_exchange exchange = {.settling = 0};
        struct sent_keys sent = {.count = 0};
        acks_collect(relay, 0, deadline_ns);
        windows_close(relay, &sent);
        exchange_begin(relay, &sent, 0, &exchange);
        exchange_end(relay, &exchange);
        leavers_give_up(relay);
    }
}

/* Before the first event waits, so that it does not wait for it.  A shard that was looked at a while ago is
 * looked at again. */
static bool shards_resolve(struct relay *relay)
{
    uint64_t now = clock_now();
    uint64_t end = deadline_after(now, RESOLVE_SLICE_NS);
    bool moved = false;
    for (unsigned i = 0; i < PARTITION_COUNT && relay->js != NULL && clock_now() < end; i++) {
        struct shard *shard = &relay->shards[(relay->first_shard + i) % PARTITION_COUNT];
        bool stands = shard->state == SHARD_READY || shard->state == SHARD_REFILLING;
        bool due = shard->state == SHARD_READY && now >= shard->look_due_ns;
        if (due || (stands && shard->doubts != relay->doubts))
            shard_doubt(shard);
        if (shard->state != SHARD_UNKNOWN || now < shard->not_before_ns || !relay->server_known ||
            !relay_database_ready(relay))
            continue;
        shard_resolve(relay, shard);
        relay_lease_tick(relay); /* asking streams may outlast a lease */
        moved = true;
    }
    return moved;
}

static bool shards_refill(struct relay *relay)
{
    uint64_t now = clock_now();
    bool moved = false;
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++) {
        if (shard->state != SHARD_REFILLING || now < shard->not_before_ns ||
            shard->doubts != relay->doubts || !relay_database_ready(relay))
            continue;
        shard_refill(relay, shard);
        relay_lease_tick(relay);
        moved = true;
    }
    return moved;
}

/* Consumers may not make streams, so the stream of their groups' records is made here.  A question that gets no
 * answer, as where the right to ask is missing, holds up all shards: it is asked ever more seldom.  So is one
 * for a change; without it the stream serves as it is. */
static void groups_check(struct relay *relay)
{
    uint64_t now = clock_now();
    if (relay->js == NULL || now < relay->groups_due_ns)
        return;
    struct stream_state state;
    struct ctx *ctx = relay_step(relay, GROUPS_PATIENCE_NS);
    int rc = stream_look_groups(ctx, relay->js, relay->settings->streams.replicas, &state);
    uint64_t pause = GROUPS_EVERY_NS;
    if (relay_stream_did(relay, GROUP_STREAM, rc, &state)) {
        relay->groups_failures = 0;
        pause = state.refused ? GROUPS_REFUSED_NS : GROUPS_EVERY_NS;
    } else {
        pause = backoff_ns(relay->groups_failures, GROUPS_AGAIN_NS, GROUPS_EVERY_NS);
        relay->groups_failures += relay->groups_failures < 16;
    }
    relay->groups_due_ns = deadline_after(clock_now(), pause);
}

/* Rows in hand do not wait for others' answers. */
static void acks_wait(struct relay *relay, const struct outbox_batch *in_hand)
{
    uint64_t now = clock_now();
    if (in_hand->count > 0)
        acks_collect(relay, 0, now);
    else
        acks_collect(relay, windows_to_leave(relay), deadline_after(now, SLICE_NS));
}

/* Half may stay open when there is much, so that streams store while the database settles what they have
 * stored and reads what comes next.  None when there is little: a transaction more would only make it
 * late.  And none once the time of one is over, because answers that have come count. */
static unsigned windows_to_leave(const struct relay *relay)
{
    uint64_t now = clock_now();
    size_t events = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        const struct shard *shard = &relay->shards[i];
        if (!shard_is_open(shard))
            continue;
        if (now >= shard->deadline_ns)
            return 0;
        events += shard->window.count;
    }
    return events < OVERLAP_EVENTS_MIN ? 0 : windows_open(relay) / 2;
}

/* Returns as soon as no more than `leave` windows are open. */
static void acks_collect(struct relay *relay, unsigned leave, uint64_t deadline_ns)
{
    struct jetstream_reply reply;
    /* Answers that are there already count even when their time is over. */
    while (windows_open(relay) > leave) {
        bool received = false;
        struct ctx *ctx = relay_step(relay, RECEIVE_PATIENCE_NS);
        if (jetstream_receive(ctx, relay->inbox, deadline_ns, &reply, &received) != OK) {
            relay_broker_lost(relay, ctx_fault_text(ctx));
            return;
        }
        if (!received)
            return;
        ack_take(relay, &reply);
    }
}

static unsigned windows_open(const struct relay *relay)
{
    unsigned open = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        open += shard_is_open(&relay->shards[i]);
    return open;
}

static bool shard_is_open(const struct shard *shard)
{
    return shard->state == SHARD_SENT && shard->window.state == WINDOW_OPEN;
}

/* Answers to windows that were given up find no taker. */
static void ack_take(struct relay *relay, const struct jetstream_reply *reply)
{
    size_t index = 0;
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++) {
        if (shard->state != SHARD_SENT || !window_tag_matches(&shard->window, reply->tag, &index))
            continue;
        if (!reply->no_responders)
            window_take(&shard->window, index, reply->payload);
        else if (shard->window.state == WINDOW_OPEN)
            window_break(&shard->window, index, ACK_REFUSED);
        return;
    }
}

/* Settles the windows that are complete and recovers those that cannot become it. */
static bool windows_close(struct relay *relay, struct sent_keys *sent)
{
    struct sent_key *keys = NULL;
    size_t count = 0;
    uint64_t now = clock_now();
    bool moved = false;
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++) {
        if (shard->state != SHARD_SENT)
            continue;
        moved = true;
        if (shard->window.state == WINDOW_BROKEN ||
            (shard_is_open(shard) && now >= shard->deadline_ns))
            shard_recover(relay, shard);
        if (shard->state != SHARD_SENT || shard->window.state != WINDOW_DONE)
            continue;
        if (shard->refilling) {
            shard_refilled(relay, shard);
            continue;
        }
        if (keys == NULL)
            keys = arena_alloc_raw(relay->ctx.arena,
                                   (size_t)PARTITION_COUNT * WINDOW_MAX * sizeof *keys);
        window_count(relay, shard);
        for (size_t i = 0; i < shard->window.count; i++)
            keys[count++] =
                (struct sent_key){shard->number, shard->sent[i].id, window_seq(&shard->window, i)};
    }
    assert(count <= (size_t)PARTITION_COUNT * WINDOW_MAX);
    *sent = (struct sent_keys){keys, count};
    return moved;
}

static void exchange_begin(struct relay *relay, const struct sent_keys *sent, uint16_t reading,
                           struct outbox_exchange *out)
{
    uint64_t bytes = relay->settings->batch_bytes != 0 ? relay->settings->batch_bytes
                                                       : BATCH_BYTES_DEFAULT;
    if (sent->count == 0 && reading == 0)
        return;
    unsigned shards = (unsigned)__builtin_popcount(reading);
    const struct outbox_read read = {
        .shards = reading,
        .rows_max = relay->settings->window,
        .payload_max = shards == 0 ? 0 : bytes / shards,
    };
    const struct relay_caller caller = relay_caller(relay, DATABASE_PATIENCE_NS);
    int rc = relay_store_exchange_begin(&caller, sent, &read, out);
    if (rc != OK) {
        (void)relay_database_did(relay, rc);
        windows_end(relay, false);
    }
}

/* Always read from the lowest id: a tenant's event may be committed late under an id below those that were
 * sent already, and a reader that goes on from the highest would send the tenant's next event first.  So only
 * of shards that have nothing in flight and nothing in hand, or whose window is settled in the same breath. */
static uint16_t shards_to_read(const struct relay *relay, const struct sent_keys *sent,
                               const struct outbox_batch *in_hand)
{
    uint16_t reading = 0;
    if (!relay->server_known || !relay_database_ready(relay))
        return 0;
    for (size_t i = 0; i < sent->count; i++)
        reading |= (uint16_t)(1u << sent->items[i].shard);
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (may_send(relay, &relay->shards[i]))
            reading |= (uint16_t)(1u << i);
    }
    for (size_t i = 0; i < in_hand->count; i++) {
        if (relay->shards[in_hand->rows[i].shard].offered)
            reading &= (uint16_t) ~(1u << in_hand->rows[i].shard);
    }
    return reading;
}

static bool may_send(const struct relay *relay, const struct shard *shard)
{
    return shard->state == SHARD_READY && clock_now() >= shard->not_before_ns &&
           shard->doubts == relay->doubts;
}

static void batch_send(struct relay *relay, const struct outbox_batch *batch)
{
    size_t starts[PARTITION_COUNT] = {0};
    size_t counts[PARTITION_COUNT] = {0};
    for (size_t i = batch->count; i-- > 0;) {
        assert(batch->rows[i].shard < PARTITION_COUNT);
        starts[batch->rows[i].shard] = i;
        counts[batch->rows[i].shard]++;
    }
    relay->first_shard++;
    for (unsigned i = 0; i < PARTITION_COUNT && relay->js != NULL; i++) {
        unsigned number = (relay->first_shard + i) % PARTITION_COUNT;
        struct shard *shard = &relay->shards[number];
        if (counts[number] == 0)
            continue;
        if (shard->offered && may_send(relay, shard))
            shard_send(relay, shard, batch->rows + starts[number], counts[number]);
    }
}

static void exchange_end(struct relay *relay, struct outbox_exchange *exchange)
{
    struct outbox_batch batch = {.count = 0};
    size_t moved = 0;
    if (exchange->tx == NULL)
        return;
    const struct relay_caller caller = relay_caller(relay, DATABASE_PATIENCE_NS);
    int rc = relay_store_exchange_end(&caller, exchange, &moved, &batch);
    bool did = relay_database_did(relay, rc);
    /* other numbers: somebody else did, or there are no such rows any more */
    windows_end(relay, did && moved == exchange->settling);
    if (!did)
        return;
    if (batch.count > 0 && !batch_is_of_now(relay, &batch)) {
        relay_server_doubt(relay);
        return;
    }
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++)
        shard->offered = shard->state == SHARD_READY && (exchange->reading >> shard->number & 1);
    relay->batch = batch;
}

/* Read from the server that was looked at, and under the incarnation that the streams were compared for. */
static bool batch_is_of_now(const struct relay *relay, const struct outbox_batch *batch)
{
    bool now = batch->server_started_us == relay->server_started_us;
    for (size_t i = 0; now && i < batch->count; i++)
        now = batch->rows[i].incarnation <= relay->incarnation;
    return now;
}

/* Whether the statement worked or not, its windows are over: if not, or if nobody knows, the streams are
 * asked, and their answer settles the rows. */
static void windows_end(struct relay *relay, bool settled)
{
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++) {
        if (shard->state != SHARD_SENT || shard->window.state != WINDOW_DONE)
            continue;
        shard->stream_seq = shard->window.base_seq + shard->window.count;
        shard_ready(shard);
        if (!settled)
            shard_doubt(shard);
        shard->window.state = WINDOW_EMPTY;
        shard->failures = 0;
        shard->stopped = false;
        shard->suspect = (struct suspect){.id = 0};
    }
}

static void leavers_give_up(struct relay *relay)
{
    for (struct shard *shard = relay->shards; shard < relay->shards + PARTITION_COUNT; shard++) {
        if (shard->leaving && shard->state != SHARD_SENT)
            shard_give_up(shard);
    }
}

/* Counted when acknowledged, before the rows are settled: if settling fails, the event is out
 * all the same.  The lag compares the database's clock with ours, so a small negative one
 * counts as 0. */
static void window_count(struct relay *relay, const struct shard *shard)
{
    uint64_t now_us = clock_wall() / NS_PER_US;
    relay->published += shard->window.count;
    metric_inc(relay->metrics.windows);
    for (size_t i = 0; i < shard->window.count; i++) {
        const struct sent_event *event = &shard->sent[i];
        uint64_t age_us = now_us > event->created_us ? now_us - event->created_us : 0;
        metric_inc(event->published);
        metric_observe(relay->metrics.lag, (double)age_us / 1e6);
    }
}
