/* What a relay does with one shard: ask its stream, send a window, recover.  Called by relay_turn.c; a
 * shard's trouble never becomes another shard's. */
#include "events/relay_wire_int.h"

#include "events/withheld.h"

#include "base/alloc.h"
#include "base/random.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEND_PATIENCE_NS (5 * NS_PER_S)
#define ACK_PATIENCE_NS (5 * NS_PER_S)
#define POSTPONE_FLOOR_NS (50 * NS_PER_MS)
#define POSTPONE_CAP_NS (5 * NS_PER_S)
static size_t rows_that_fit(struct relay *relay, const struct outbox_row *rows, size_t count);
static void unsendable_refuse(struct relay *relay, struct shard *shard,
                              const struct outbox_row *row);
static struct rejection size_rejection(const struct shard *shard);
static void window_send(struct relay *relay, struct shard *shard, const struct outbox_row *rows);
static void cause_report(struct relay *relay, const struct shard *shard);
static struct sent_event sent_event_of(struct relay *relay, const struct outbox_row *row);

/* Taken as far as it fits; what is behind an event that does not fit waits for it. */
void shard_send(struct relay *relay, struct shard *shard, const struct outbox_row *rows,
                size_t count)
{
    assert(shard->state == SHARD_READY && count > 0 && relay->inbox != NULL);
    if (shard_withholds(relay, shard, &rows[0])) {
        shard_withhold(relay, shard, &rows[0]);
        return;
    }
    size_t fitting = rows_that_fit(relay, rows, count);
    if (fitting == 0) {
        unsendable_refuse(relay, shard, &rows[0]);
        return;
    }
    shard->tombstone = withheld_is(&rows[0]);
    shard->refilling = false;
    shard_window(relay, shard, rows, fitting);
}

/* The deadline counts from the end of the sending: a slow link must not eat the time for the
 * answers. */
void shard_window(struct relay *relay, struct shard *shard, const struct outbox_row *rows,
                  size_t count)
{
    shard->window.state = WINDOW_EMPTY;
    window_begin(&shard->window, ++relay->generation, shard->stream_seq, count);
    shard->state = SHARD_SENT;
    window_send(relay, shard, rows);
    shard->deadline_ns = deadline_after(clock_now(), relay->settings->ack_timeout_ns != 0
                                                         ? relay->settings->ack_timeout_ns
                                                         : ACK_PATIENCE_NS);
}

void shard_recover(struct relay *relay, struct shard *shard)
{
    const struct window *window = &shard->window;
    assert(shard->state == SHARD_SENT && window->state != WINDOW_DONE);
    shard_doubt(shard);
    bool too_large = window->state == WINDOW_BROKEN && window->cause == ACK_TOO_LARGE;
    /* The ones before it are stored; once these are settled it stands first and alone is to blame. */
    const struct rejection rejection = too_large ? size_rejection(shard) : (struct rejection){0};
    if (too_large && window->cause_index == 0 && shard->refilling)
        shard_refill_refused(relay, shard, &rejection);
    else if (too_large && window->cause_index == 0)
        shard_refused(relay, shard, shard->sent[0].id, &rejection);
    if (too_large && !shard->refilling)
        return;
    cause_report(relay, shard);
    /* The first attempt after a fence or a lost answer comes at once. */
    if (shard->failures > 0)
        shard_postpone(shard);
    shard->failures += shard->failures == 0;
}

void shard_ready(struct shard *shard)
{
    shard->state = SHARD_READY;
    shard->offered = false;
    shard->refill_refused = false;
}

/* Whatever was being compared is begun anew. */
void shard_doubt(struct shard *shard)
{
    assert(shard->state != SHARD_FOREIGN);
    shard->state = SHARD_UNKNOWN;
    shard->scan = (struct shard_scan){.begun = false};
}

/* Jittered, so that sixteen shards that failed together do not come back together. */
void shard_postpone(struct shard *shard)
{
    uint64_t pause = backoff_ns(shard->failures, POSTPONE_FLOOR_NS, POSTPONE_CAP_NS);
    if (shard->failures < 16)
        shard->failures++;
    shard->not_before_ns = deadline_after(clock_now(), pause);
}

/* May be called in any state and again. */
void shard_give_up(struct shard *shard)
{
    shard->leaving = shard->state == SHARD_SENT;
    if (shard->leaving)
        return;
    shard->state = SHARD_FOREIGN;
    shard->window.state = WINDOW_EMPTY;
    shard->scan = (struct shard_scan){.begun = false};
    shard->failures = 0;
    shard->not_before_ns = 0;
    shard->stopped = false;
    shard->refill_refused = false;
    shard->suspect = (struct suspect){.id = 0};
}

/* How many rows from the first can go out together.  Stops at the first that does not fit:
 * sending those behind it would reorder a tenant's events. */
static size_t rows_that_fit(struct relay *relay, const struct outbox_row *rows, size_t count)
{
    size_t fitting = 0;
    while (fitting < count && fitting < WINDOW_MAX &&
           wire_event_judge(relay, &rows[fitting]) == WIRE_FITS)
        fitting++;
    return fitting;
}

/* The first row cannot even be sent. */
static void unsendable_refuse(struct relay *relay, struct shard *shard,
                              const struct outbox_row *row)
{
    const struct rejection rejection = shard_rejection(relay, row);
    shard_refused(relay, shard, row->id, &rejection);
}

struct rejection shard_rejection(struct relay *relay, const struct outbox_row *row)
{
    bool foreign = wire_event_judge(relay, row) == WIRE_FOREIGN;
    struct rejection rejection = {
        .what_for = foreign ? REFUSED_FOR_SUBJECT : REFUSED_FOR_SIZE,
        .msg_id = row->msg_id,
        .tombstone = withheld_is(row),
    };
    if (foreign)
        snprintf(rejection.detail, sizeof rejection.detail, "no subject of ours: %.80s",
                 row->subject);
    else
        snprintf(rejection.detail, sizeof rejection.detail,
                 "%zu bytes beside its headers, and the server takes %zu", row->payload.size,
                 jetstream_max_payload(relay->js));
    return rejection;
}

/* The stream refused the first message of the window. */
static struct rejection size_rejection(const struct shard *shard)
{
    struct rejection rejection = {
        .what_for = REFUSED_FOR_SIZE,
        .msg_id = shard->sent[0].msg_id,
        .tombstone = shard->tombstone,
    };
    snprintf(rejection.detail, sizeof rejection.detail,
             "the stream refuses its size, error %" PRIu64, shard->window.cause_err_code);
    return rejection;
}

/* A send that fails breaks the window: what was sent before it may be stored, what comes after
 * must not go out. */
static void window_send(struct relay *relay, struct shard *shard, const struct outbox_row *rows)
{
    struct window *window = &shard->window;
    struct ctx *ctx = relay_step(relay, SEND_PATIENCE_NS);
    struct wire_event *wire = wire_event_new(relay);
    for (size_t i = 0; i < window->count && window->state == WINDOW_OPEN; i++) {
        assert(rows[i].shard == shard->number);
        shard->sent[i] = sent_event_of(relay, &rows[i]);
        wire_event_fill(wire, &rows[i], i == 0 ? NULL : &rows[i - 1], window_expected(window, i));
        if (jetstream_send(ctx, relay->inbox, &wire->message, window_tag(window, i)) != OK)
            window_break(window, i, ACK_REFUSED);
    }
    wire_event_free(wire);
}

static void cause_report(struct relay *relay, const struct shard *shard)
{
    static const enum relay_error errors[ACK_KIND_COUNT] = {
        [ACK_STORED] = RELAY_ERROR_TIMEOUT,      [ACK_FENCED] = RELAY_ERROR_FENCED,
        [ACK_DUPLICATE] = RELAY_ERROR_DUPLICATE, [ACK_TOO_LARGE] = RELAY_ERROR_STOPPED,
        [ACK_REFUSED] = RELAY_ERROR_REFUSED,     [ACK_STRANGE] = RELAY_ERROR_STRANGE,
    };
    const struct window *window = &shard->window;
    enum ack_kind cause = window->state == WINDOW_BROKEN ? window->cause : ACK_STORED;
    char detail[128];
    snprintf(detail, sizeof detail, "%zu of %zu acknowledged; message %zu: %s, error %" PRIu64,
             window->acked, window->count, window->cause_index,
             cause == ACK_STORED ? "no answer" : ack_kind_name(cause), window->cause_err_code);
    relay_failed(relay, errors[cause], (int)shard->number, detail);
    if (cause != ACK_FENCED)
        return;
    metric_inc(relay->metrics.fenced);
    relay->lease_due_ns = 0; /* perhaps the shard is another's by now */
}

static struct sent_event sent_event_of(struct relay *relay, const struct outbox_row *row)
{
    return (struct sent_event){
        .id = row->id,
        .msg_id = row->msg_id,
        .created_us = row->created_us,
        .published = relay_metrics_published(&relay->metrics, row->subject, &row->tenant_id),
    };
}
