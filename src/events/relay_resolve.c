/* What a stream holds, compared with what the database sent into it.  Called by relay_turn.c before anything is
 * sent, after every doubt, and once a minute for each shard.
 *
 * The newest event that was sent and settled is the anchor.  If it is in its place in the stream, that has all
 * that was sent: windows are stored and settled in order.  Whatever lies behind it was stored and not
 * settled, one window or two, and is settled now.  If it is not in its place, the stream lost its end: it was
 * restored from a copy, wiped or made anew.  Then the stream's newest event is looked for among the sent ones;
 * all that was sent behind that one is put back (relay_refill.c), before anything newer is sent. */
#include "events/relay_int.h"

#include "base/alloc.h"
#include "base/random.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_PATIENCE_NS (3 * NS_PER_S)
/* two windows, 2000 messages by 32 in flight, and one statement */
#define SCAN_PATIENCE_NS (10 * NS_PER_S)
/* Of the rows that no acknowledgement settled, all are among the last window's messages; one more window
 * is for a relay that died while it settled them. */
#define SCAN_STEP (2 * WINDOW_MAX)
/* An operator's or a disk's doing is found within a minute even when no connection breaks. */
#define RECONCILE_DEFAULT_NS (60 * NS_PER_S)

static bool scan_begin(struct relay *relay, struct shard *shard);
static bool look(struct relay *relay, struct shard *shard, struct stream_state *state);
static bool anchor_ask(struct relay *relay, struct shard *shard, const struct stream_state *state,
                       struct stream_anchor *anchor);
static bool anchor_check(struct relay *relay, struct shard *shard,
                         const struct stream_anchor *anchor, bool *in_place);
static bool newest_place(struct relay *relay, struct shard *shard, const struct stream_state *state,
                         const struct stream_anchor *anchor);
static bool newest_read(struct relay *relay, struct shard *shard, const struct stream_state *state,
                        struct stored_event *newest);
static void end_lost(struct shard *shard, const struct stream_anchor *anchor,
                     struct sent_mark mark);
static void scan_from(struct shard *shard, uint64_t first);
static bool scan_step(struct relay *relay, struct shard *shard);
static void scan_end(struct relay *relay, struct shard *shard);
static void drift_report(struct relay *relay, struct shard *shard,
                         const struct stream_state *state);
static void gaps_report(struct relay *relay, struct shard *shard, const struct stream_state *state,
                        const struct stream_anchor *anchor);
static bool stream_did(struct relay *relay, struct shard *shard, int rc);

void shard_resolve(struct relay *relay, struct shard *shard)
{
    struct shard_scan *scan = &shard->scan;
    assert(shard->state == SHARD_UNKNOWN && relay->js != NULL);
    bool went = scan->begun || scan_begin(relay, shard);
    if (went && scan->next <= scan->last)
        went = scan_step(relay, shard);
    if (went && scan->next > scan->last && scan->rewinding)
        went = shard_losses_announce(relay, shard);
    if (!went) {
        scan->begun = false;
        shard_postpone(shard);
    } else if (scan->next > scan->last && !scan->rewinding) {
        scan_end(relay, shard);
    }
}

static bool scan_begin(struct relay *relay, struct shard *shard)
{
    struct stream_state state;
    struct stream_anchor anchor;
    bool in_place = false;
    shard->scan = (struct shard_scan){.next = 1};
    if (!look(relay, shard, &state) || !anchor_ask(relay, shard, &state, &anchor) ||
        !anchor_check(relay, shard, &anchor, &in_place))
        return false;
    gaps_report(relay, shard, &state, &anchor);
    relay_incarnation_is(relay, anchor.installed);
    shard->scan.installed = anchor.installed;
    shard->scan.rewinding = anchor.compared < anchor.installed;
    shard->scan.anchored = in_place;
    if (in_place)
        scan_from(shard, anchor.sent.stream_seq + 1);
    else if (!newest_place(relay, shard, &state, &anchor))
        return false;
    if (shard->scan.rewinding && !in_place)
        scan_from(shard, 1);
    shard->doubts = relay->doubts;
    shard->scan.begun = true;
    return true;
}

/* False: the shard has to wait, for the stream cannot be asked or must not be used. */
static bool look(struct relay *relay, struct shard *shard, struct stream_state *state)
{
    struct ctx *ctx = relay_step(relay, LOOK_PATIENCE_NS);
    int rc = stream_look(ctx, relay->js, shard->number, &relay->settings->streams, state);
    if (rc == OK)
        drift_report(relay, shard, state);
    if (rc == OK && !state->usable) {
        relay_failed(relay, RELAY_ERROR_STREAM, (int)shard->number, state->drift);
        return false;
    }
    shard->scan.facts = state->facts;
    return stream_did(relay, shard, rc);
}

static bool anchor_ask(struct relay *relay, struct shard *shard, const struct stream_state *state,
                       struct stream_anchor *anchor)
{
    const struct anchor_question question = {
        .shard = shard->number,
        .facts = &state->facts,
        .max_age_s = relay->settings->streams.max_age_s,
    };
    const struct relay_caller caller = relay_caller(relay, LOOK_PATIENCE_NS);
    return relay_database_ready(relay) &&
           relay_database_did(relay, refill_store_anchor(&caller, &question, anchor));
}

/* In its place: under the sequence that it was stored under, and the same event. */
static bool anchor_check(struct relay *relay, struct shard *shard,
                         const struct stream_anchor *anchor, bool *in_place)
{
    struct stored_event item;
    struct stored_events read = {.shard = shard->number, .items = &item};
    const struct stream_facts *facts = &shard->scan.facts;
    uint64_t seq = anchor->sent.stream_seq;
    *in_place = false;
    if (!anchor->has_sent || seq < facts->first_seq || seq > facts->last_seq)
        return true;
    struct ctx *ctx = relay_step(relay, LOOK_PATIENCE_NS);
    if (!stream_did(relay, shard, stream_messages(ctx, relay->js, &seq, 1, &read)))
        return false;
    *in_place = read.count == 1 && stored_event_is(&item, &anchor->sent);
    return true;
}

/* No anchor, or not in its place. */
static bool newest_place(struct relay *relay, struct shard *shard, const struct stream_state *state,
                         const struct stream_anchor *anchor)
{
    struct stored_event newest;
    enum event_knowledge knowledge = EVENT_FORGOTTEN;
    struct sent_mark mark = SENT_MARK_BEGIN;
    if (!newest_read(relay, shard, state, &newest))
        return false;
    if (newest.stream_seq > 0) {
        const struct relay_caller caller = relay_caller(relay, LOOK_PATIENCE_NS);
        int rc = refill_store_find(&caller, &newest, &knowledge, &mark);
        if (!relay_database_did(relay, rc))
            return false;
    }
    switch (knowledge) {
    case EVENT_SENT:
        end_lost(shard, anchor, mark);
        break;
    case EVENT_FORGOTTEN:
        if (anchor->has_sent)
            end_lost(shard, anchor, SENT_MARK_BEGIN);
        break;
    case EVENT_UNSENT: {
        uint64_t last = shard->scan.facts.last_seq;
        scan_from(shard, last > SCAN_STEP ? last - SCAN_STEP + 1 : 1);
        break;
    }
    case EVENT_UNKNOWN:
        if (!shard->scan.rewinding)
            return shard_unknown_found(relay, shard, &newest);
        if (anchor->has_sent)
            end_lost(shard, anchor, SENT_MARK_BEGIN);
        break;
    }
    return true;
}

/* stream_seq 0: there is none.  A message of others may lie behind it: operators and tests can publish too. */
static bool newest_read(struct relay *relay, struct shard *shard, const struct stream_state *state,
                        struct stored_event *newest)
{
    const struct stream_facts *facts = &state->facts;
    bool found = false;
    *newest = (struct stored_event){.stream_seq = 0};
    if (state->messages == 0)
        return true;
    struct ctx *ctx = relay_step(relay, LOOK_PATIENCE_NS);
    int rc = stream_newest(ctx, relay->js, shard->number, newest, &found);
    if (rc != OK || found)
        return stream_did(relay, shard, rc);
    size_t span = (size_t)(facts->last_seq - facts->first_seq + 1);
    span = span < SCAN_STEP ? span : SCAN_STEP;
    struct stored_events tail = {.shard = shard->number};
    tail.items = xcalloc(span, sizeof *tail.items);
    ctx = relay_step(relay, SCAN_PATIENCE_NS);
    rc = stream_messages_from(ctx, relay->js, facts->last_seq - span + 1, span, &tail);
    if (rc == OK && tail.count > 0)
        *newest = tail.items[tail.count - 1];
    free(tail.items);
    return stream_did(relay, shard, rc);
}

/* How much should come back is known only as far as the look before tells: a stream that was made anew should
 * have begun where the old one did. */
static void end_lost(struct shard *shard, const struct stream_anchor *anchor, struct sent_mark mark)
{
    struct shard_scan *scan = &shard->scan;
    const struct stream_facts *before = &anchor->before;
    bool same = strcmp(before->created, scan->facts.created) == 0;
    scan->lost = true;
    scan->mark = mark;
    if (mark.sent_no >= 0)
        scan->boundary = (uint64_t)mark.stream_seq + 1;
    else if (before->created[0] != '\0')
        scan->boundary = same ? scan->facts.last_seq + 1 : before->first_seq;
    scan->end = before->last_seq;
}

static void scan_from(struct shard *shard, uint64_t first)
{
    struct shard_scan *scan = &shard->scan;
    scan->next = first > scan->facts.first_seq ? first : scan->facts.first_seq;
    scan->last = scan->facts.last_seq;
}

/* Rows that are in the stream although no acknowledgement told us.  This must come before sending: a
 * duplicate answer consumes no sequence, and after the duplicate window the stream would take them
 * again.  An event that is no such row should not be there: relay_rewind.c asks further. */
static bool scan_step(struct relay *relay, struct shard *shard)
{
    struct shard_scan *scan = &shard->scan;
    struct stored_events found = {.shard = shard->number};
    uint64_t left = scan->last - scan->next + 1;
    size_t count = left < SCAN_STEP ? (size_t)left : SCAN_STEP;
    size_t moved = 0;
    found.items = xcalloc(count, sizeof *found.items);
    struct ctx *ctx = relay_step(relay, SCAN_PATIENCE_NS);
    bool done =
        stream_did(relay, shard, stream_messages_from(ctx, relay->js, scan->next, count, &found));
    if (done && found.count > 0) {
        const struct relay_caller caller = relay_caller(relay, SCAN_PATIENCE_NS);
        done = relay_database_did(relay, relay_store_settle_stored(&caller, &found, &moved));
    }
    metric_add(relay->metrics.settled_late, moved);
    if (done && moved < found.count)
        done = shard_losses_note(relay, shard, &found);
    free(found.items);
    scan->next += count;
    return done;
}

/* Relays that started together look at different times. */
static void scan_end(struct relay *relay, struct shard *shard)
{
    struct shard_scan *scan = &shard->scan;
    uint64_t every = relay->settings->reconcile_ns != 0 ? relay->settings->reconcile_ns
                                                        : RECONCILE_DEFAULT_NS;
    uint64_t pause = every - every / 4 + random_below(every / 2);
    shard->stream_seq = scan->facts.last_seq;
    shard->look_due_ns = deadline_after(clock_now(), pause);
    shard->refill = (struct shard_refill){.after = scan->mark};
    shard_ready(shard);
    if (scan->lost)
        shard->state = SHARD_REFILLING;
    scan->begun = false;
}

/* Per shard once a minute: an operator's wrong setting lasts for hours. */
static void drift_report(struct relay *relay, struct shard *shard, const struct stream_state *state)
{
    uint64_t held = 0;
    if (state->drift[0] == '\0' || !log_interval_due(&shard->drift, 60 * NS_PER_S, &held))
        return;
    char name[STREAM_NAME_SIZE];
    stream_name(shard->number, name);
    log_warn(&relay->ctx, "relay.stream_differs", KV_STR("stream", name),
             KV_STR("difference", state->drift), KV_BOOL("usable", state->usable),
             KV_INT("suppressed", held));
}

/* What is gone from the beginning, although it is younger than the stream's age, or from the middle cannot be
 * put back in order: behind it lie newer events.  Every sequence between first and last has its message as long
 * as there are that many messages. */
static void gaps_report(struct relay *relay, struct shard *shard, const struct stream_state *state,
                        const struct stream_anchor *anchor)
{
    const struct stream_facts *facts = &state->facts;
    uint64_t held = 0;
    uint64_t span = state->messages == 0 ? 0 : facts->last_seq - facts->first_seq + 1;
    uint64_t taken = span > state->messages ? span - state->messages : 0;
    uint64_t cut = state->messages == 0 ? 0 : anchor->cut; /* else the end is lost */
    shard->missing = taken + cut;
    if (shard->missing == 0 || !log_interval_due(&shard->gaps, 600 * NS_PER_S, &held))
        return;
    char name[STREAM_NAME_SIZE];
    stream_name(shard->number, name);
    log_error(&relay->ctx, "relay.stream_has_gaps", KV_STR("stream", name),
              KV_INT("taken_from_the_middle", taken), KV_INT("cut_off_the_beginning", cut),
              KV_INT("suppressed", held));
}

static bool stream_did(struct relay *relay, struct shard *shard, int rc)
{
    if (rc != OK)
        relay_failed(relay, RELAY_ERROR_STREAM, (int)shard->number, ctx_fault_text(&relay->ctx));
    return rc == OK;
}
