/* Putting back what a stream lost, from the rows that were sent, in the order in which they were.  Called by
 * relay_turn.c for shards whose stream lost its end; nothing newer is sent meanwhile, and the chain fences.
 *
 * Interrupted, it goes on where it was: the stream's newest event tells how far it is.  A row whose message
 * is in the stream after all is passed over, so whatever misled us, nothing is there twice.  A server that
 * still knows a lost message's id (it was deleted within the duplicate window) refuses it until the window has
 * passed: the shard waits. */
#include "events/relay_wire_int.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>

#define READ_PATIENCE_NS (5 * NS_PER_S)
#define PRESENT_PATIENCE_NS (10 * NS_PER_S)
#define REFILL_BYTES (UINT64_C(4) << 20)

static bool rows_present(struct relay *relay, struct shard *shard, const struct refill_batch *batch,
                         bool *present);
static void rows_send(struct relay *relay, struct shard *shard, const struct refill_row *rows,
                      size_t count);
static void begin_report(struct relay *relay, struct shard *shard,
                         const struct refill_batch *batch);
static void refill_end(struct relay *relay, struct shard *shard);

void shard_refill(struct relay *relay, struct shard *shard)
{
    struct refill_batch batch = {0};
    const struct refill_read read = {
        .shard = shard->number,
        .after = shard->refill.after,
        .max_age_s = relay->settings->streams.max_age_s,
        .rows_max = relay->settings->window,
        .payload_max = REFILL_BYTES,
    };
    assert(shard->state == SHARD_REFILLING && relay->js != NULL);
    const struct relay_caller caller = relay_caller(relay, READ_PATIENCE_NS);
    if (!relay_database_did(relay, refill_store_read(&caller, &read, &batch)))
        return;
    if (!shard->refill.begun)
        begin_report(relay, shard, &batch);
    if (batch.count == 0) {
        refill_end(relay, shard);
        return;
    }
    bool *present = arena_alloc(relay->ctx.arena, batch.count * sizeof *present);
    if (!rows_present(relay, shard, &batch, present)) {
        shard_postpone(shard);
        return;
    }
    size_t first = 0;
    while (first < batch.count && present[first])
        shard->refill.after = batch.rows[first++].mark;
    size_t end = first;
    while (end < batch.count && !present[end])
        end++;
    if (end > first)
        rows_send(relay, shard, batch.rows + first, end - first);
}

/* The rows know where they are now; if that cannot be noted, the stream's newest event tells it. */
void shard_refilled(struct relay *relay, struct shard *shard)
{
    size_t count = shard->window.count;
    assert(shard->state == SHARD_SENT && shard->refilling && shard->window.state == WINDOW_DONE);
    struct refilled_key *keys = arena_alloc_raw(relay->ctx.arena, count * sizeof *keys);
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct refilled_key){shard->sent[i].sent_at_us, shard->sent[i].id,
                                        window_seq(&shard->window, i)};
    metric_add(relay->metrics.refilled, count);
    shard->stream_seq = shard->window.base_seq + count;
    shard->window.state = WINDOW_EMPTY;
    shard->failures = 0;
    shard->refill_refused = false;
    shard->refill.count += count;
    shard->refill.after = shard->refill.sent;
    shard->state = SHARD_REFILLING;
    const struct relay_caller caller = relay_caller(relay, READ_PATIENCE_NS);
    if (!relay_database_did(relay, refill_store_note(&caller, shard->number, keys, count)))
        shard_doubt(shard);
}

/* Told once; the counters of each refusal are the callers'. */
void shard_refill_refused(struct relay *relay, struct shard *shard,
                          const struct rejection *rejection)
{
    char name[STREAM_NAME_SIZE];
    char event[ID_TEXT_SIZE];
    if (shard->refill_refused)
        return;
    shard->refill_refused = true;
    stream_name(shard->number, name);
    id_format(ID_EVENT, &rejection->msg_id, event);
    log_error(&relay->ctx, "relay.refill_refused", KV_STR("stream", name),
              KV_STR("event_id", event), KV_STR("detail", rejection->detail),
              KV_INT("put_back", shard->refill.count));
}

/* Only places that the stream can have are asked for; the answers come in the order of the rows. */
static bool rows_present(struct relay *relay, struct shard *shard, const struct refill_batch *batch,
                         bool *present)
{
    const struct stream_facts *facts = &shard->scan.facts;
    struct stored_events found = {.shard = shard->number};
    uint64_t *seqs = xcalloc(batch->count, sizeof *seqs);
    size_t asked = 0;
    found.items = xcalloc(batch->count, sizeof *found.items);
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t seq = (uint64_t)batch->rows[i].mark.stream_seq;
        present[i] = false;
        if (seq >= facts->first_seq && seq <= shard->stream_seq)
            seqs[asked++] = seq;
    }
    struct ctx *ctx = relay_step(relay, PRESENT_PATIENCE_NS);
    int rc = stream_messages(ctx, relay->js, seqs, asked, &found);
    for (size_t i = 0, next = 0; rc == OK && i < batch->count && next < found.count; i++) {
        if (found.items[next].stream_seq != (uint64_t)batch->rows[i].mark.stream_seq)
            continue;
        present[i] = uuid_equal(&found.items[next++].msg_id, &batch->rows[i].event.msg_id);
    }
    if (rc != OK)
        relay_failed(relay, RELAY_ERROR_STREAM, (int)shard->number, ctx_fault_text(ctx));
    free(found.items);
    free(seqs);
    return rc == OK;
}

/* What was taken once and is not now (a limit was lowered) holds up its shard for as long as that lasts: it
 * cannot become a tombstone, for consumers may have it. */
static void rows_send(struct relay *relay, struct shard *shard, const struct refill_row *rows,
                      size_t count)
{
    struct outbox_row *events = arena_alloc(relay->ctx.arena, count * sizeof *events);
    size_t fitting = 0;
    while (fitting < count && fitting < relay->settings->window &&
           wire_event_judge(relay, &rows[fitting].event) == WIRE_FITS) {
        events[fitting] = rows[fitting].event;
        fitting++;
    }
    if (fitting == 0) {
        const struct rejection rejection = shard_rejection(relay, &rows[0].event);
        relay_failed(relay, RELAY_ERROR_STOPPED, (int)shard->number, rejection.detail);
        shard_refill_refused(relay, shard, &rejection);
        shard_postpone(shard);
        return;
    }
    shard->refilling = true;
    shard->refill.sent = rows[fitting - 1].mark;
    shard_window(relay, shard, events, fitting);
    for (size_t i = 0; i < fitting; i++)
        shard->sent[i].sent_at_us = rows[i].sent_at_us;
}

/* What lay between the place where the loss begins and the first row is older than sent events are kept. */
static void begin_report(struct relay *relay, struct shard *shard, const struct refill_batch *batch)
{
    const struct shard_scan *scan = &shard->scan;
    uint64_t first = batch->count > 0 ? (uint64_t)batch->rows[0].mark.stream_seq : scan->end + 1;
    uint64_t gone = scan->boundary > 0 && first > scan->boundary ? first - scan->boundary : 0;
    char name[STREAM_NAME_SIZE];
    shard->refill.begun = true;
    metric_add(relay->metrics.unrefillable, gone);
    if (batch->count == 0 && gone == 0)
        return; /* all that was sent is older than the stream's age */
    stream_name(shard->number, name);
    log_error(&relay->ctx, "relay.stream_lost_its_end", KV_STR("stream", name),
              KV_STR("created", scan->facts.created), KV_INT("last_seq", scan->facts.last_seq),
              KV_INT("gone_for_ever", gone));
}

static void refill_end(struct relay *relay, struct shard *shard)
{
    char name[STREAM_NAME_SIZE];
    stream_name(shard->number, name);
    if (shard->refill.count > 0)
        log_info(&relay->ctx, "relay.stream_refilled", KV_STR("stream", name),
                 KV_INT("events", shard->refill.count), KV_INT("last_seq", shard->stream_seq));
    shard_ready(shard);
}
