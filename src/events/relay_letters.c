/* Dead letters of withheld events.  Called by the relay's turns while there is a connection.
 *
 * An original stays unlettered in the database until the stream of dead letters has acknowledged its letter, so
 * a letter may be late but is not lost; its Nats-Msg-Id keeps a repetition out. */
#include "events/relay_wire_int.h"

#include "events/dead_letter.h"
#include "events/jetstream_api.h"
#include "events/window.h"

#include "store/dead_store.h"

#include <inttypes.h>
#include <stdio.h>

#define LETTERS_EVERY_NS (2 * NS_PER_S)
/* For all letters of a round together: windows wait meanwhile, and leases are not renewed. */
#define LETTERS_PATIENCE_NS (2 * NS_PER_S)
#define LOOK_PATIENCE_NS (3 * NS_PER_S)
#define COUNT_EVERY_NS (30 * NS_PER_S)

static bool stream_ready(struct relay *relay);
static void letters_count(struct relay *relay);
static int counts_ask(struct ctx *ctx, struct jetstream *js, struct dead_letter_counts *out);
static void letters_send(struct relay *relay, const struct dead_batch *batch, uint64_t deadline_ns);
static int letter_send(struct relay *relay, struct jetstream_inbox *inbox,
                       const struct dead_row *dead, enum ack_kind *ack);
static int message_send(struct ctx *ctx, struct jetstream_inbox *inbox,
                        const struct jetstream_message *message, enum ack_kind *ack);
static struct slice number_text(struct arena *arena, int64_t number);
static uint16_t shards_held(const struct relay *relay);

/* The stream is looked at once per connection, letters or not: consumers listen there too. */
void relay_letters(struct relay *relay)
{
    uint64_t now = clock_now();
    if (now < relay->letters_due_ns || !relay_database_ready(relay))
        return;
    relay->letters_due_ns = deadline_after(now, LETTERS_EVERY_NS);
    if (!stream_ready(relay))
        return;
    if (now >= relay->letters_count_due_ns)
        letters_count(relay);
    if (relay->stats.unlettered == 0)
        return;
    struct dead_batch batch = {0};
    const struct relay_caller caller = relay_caller(relay, LETTERS_PATIENCE_NS);
    int rc = dead_store_unlettered(&caller, shards_held(relay), &batch);
    if (relay_database_did(relay, rc) && batch.count > 0)
        letters_send(relay, &batch, deadline_after(now, LETTERS_PATIENCE_NS));
}

static bool stream_ready(struct relay *relay)
{
    struct stream_state state;
    if (relay->letters_checked)
        return true;
    struct ctx *ctx = relay_step(relay, LOOK_PATIENCE_NS);
    int rc = stream_look_dead_letters(ctx, relay->js, relay->settings->streams.replicas, &state);
    relay->letters_checked = relay_stream_did(relay, DEAD_LETTER_STREAM, rc, &state);
    return relay->letters_checked;
}

/* A stream that is gone is made again by the next look. */
static void letters_count(struct relay *relay)
{
    struct dead_letter_counts counts;
    struct ctx *ctx = relay_step(relay, LETTERS_PATIENCE_NS);
    relay->letters_count_due_ns = deadline_after(clock_now(), COUNT_EVERY_NS);
    if (counts_ask(ctx, relay->js, &counts) != OK) {
        relay_failed(relay, RELAY_ERROR_STREAM, -1, ctx_fault_text(ctx));
        relay->letters_checked = false;
        return;
    }
    metric_gauge_set(relay->metrics.dead_letters[0], (int64_t)counts.of_relay);
    metric_gauge_set(relay->metrics.dead_letters[1], (int64_t)counts.of_consumers);
}

/* The server knows the number of each subject, and no message is read. */
static int counts_ask(struct ctx *ctx, struct jetstream *js, struct dead_letter_counts *out)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    uint64_t err_code = 0;
    const struct slice question =
        slice_of_str("{\"subjects_filter\":\"" DEAD_LETTER_SUBJECTS "\"}");
    TRY(jetstream_api(ctx, js, "STREAM.INFO." DEAD_LETTER_STREAM, question, &reply, &err_code));
    if (err_code != 0)
        return FAULT(ctx, FAULT_BROKER, DEAD_LETTER_STREAM ": error %" PRIu64, err_code);
    if (!dead_letter_counts_read(buf_slice(&reply), out))
        return FAULT(ctx, FAULT_PROTOCOL, "no numbers in the answer to STREAM.INFO");
    return OK;
}

/* One after the other: withheld events are rare. */
static void letters_send(struct relay *relay, const struct dead_batch *batch, uint64_t deadline_ns)
{
    struct jetstream_inbox *inbox = NULL;
    struct ctx *ctx = relay_step(relay, LETTERS_PATIENCE_NS);
    int rc = jetstream_inbox_open(ctx, relay->js, &inbox);
    for (size_t i = 0; rc == OK && i < batch->count && clock_now() < deadline_ns; i++) {
        const struct dead_row *dead = &batch->rows[i];
        enum ack_kind ack = ACK_REFUSED;
        relay->ctx.deadline_ns = deadline_ns;
        rc = letter_send(relay, inbox, dead, &ack);
        if (rc != OK)
            break;
        if (ack != ACK_STORED && ack != ACK_DUPLICATE) {
            relay_failed(relay, RELAY_ERROR_STREAM, (int)dead->event.shard,
                         "a dead letter was not stored");
            relay->letters_checked = false;
            continue;
        }
        const struct relay_caller caller = relay_caller(relay, LETTERS_PATIENCE_NS);
        if (!relay_database_did(relay,
                                dead_store_lettered(&caller, dead->event.shard, dead->event.id)))
            break;
        metric_inc(relay->metrics.letters);
        relay->stats.unlettered -= relay->stats.unlettered > 0;
    }
    if (rc != OK)
        relay_failed(relay, RELAY_ERROR_STREAM, -1, ctx_fault_text(&relay->ctx));
    jetstream_inbox_close(inbox);
}

/* A stream whose own limit is below the server's gets the letter without its body. */
static int letter_send(struct relay *relay, struct jetstream_inbox *inbox,
                       const struct dead_row *dead, enum ack_kind *ack)
{
    struct arena *arena = relay->ctx.arena;
    const struct outbox_row *row = &dead->event;
    char *ids = arena_alloc(arena, (size_t)2 * ID_TEXT_SIZE);
    char *subject = arena_alloc(arena, SUBJECT_SIZE);
    struct wire_event *wire = wire_event_new(relay);
    id_format(ID_EVENT, &row->msg_id, ids);
    id_format(ID_TENANT, &row->tenant_id, ids + ID_TEXT_SIZE);
    if (!subject_with_partition(row->subject, row->shard, subject))
        snprintf(subject, SUBJECT_SIZE, "%s", row->subject);
    struct dead_letter letter = {
        .kind = DEAD_LETTER_OF_RELAY,
        .partition = row->shard,
        .consumer = slice_of_str(DEAD_LETTER_RELAY),
        .event_id = slice_of_str(ids),
        .event_type = slice_of_str(row->subject),
        .tenant_id = slice_of_str(ids + ID_TEXT_SIZE),
        .tenant_seq = number_text(arena, row->seq),
        .incarnation = number_text(arena, row->incarnation),
        .traceparent = slice_of_str(row->traceparent),
        .cause = slice_of_str(dead->cause),
        .detail = slice_of_str(dead->detail),
        .subject = slice_of_str(subject),
        .time_us = dead->died_us,
        .body = wire_event_body(wire, row),
    };
    struct jetstream_message message;
    dead_letter_message(arena, &letter, jetstream_max_payload(relay->js), &message);
    int rc = message_send(&relay->ctx, inbox, &message, ack);
    if (rc == OK && *ack == ACK_TOO_LARGE && !letter.body_omitted) {
        dead_letter_message(arena, &letter, 0, &message);
        rc = message_send(&relay->ctx, inbox, &message, ack);
    }
    wire_event_free(wire);
    return rc;
}

static int message_send(struct ctx *ctx, struct jetstream_inbox *inbox,
                        const struct jetstream_message *message, enum ack_kind *ack)
{
    struct jetstream_reply reply;
    bool received = false;
    uint64_t seq = 0;
    uint64_t err_code = 0;
    TRY(jetstream_send(ctx, inbox, message, 0));
    TRY(jetstream_receive(ctx, inbox, ctx->deadline_ns, &reply, &received));
    if (!received)
        return FAULT(ctx, FAULT_TIMEOUT, "%s: no answer", message->subject);
    *ack = reply.no_responders ? ACK_REFUSED : ack_parse(reply.payload, &seq, &err_code);
    return OK;
}

static struct slice number_text(struct arena *arena, int64_t number)
{
    return slice_of_str(arena_printf(arena, "%" PRId64, number));
}

static uint16_t shards_held(const struct relay *relay)
{
    uint16_t held = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        held |= (uint16_t)(relay->shards[i].state != SHARD_FOREIGN ? 1u << i : 0);
    return held;
}
