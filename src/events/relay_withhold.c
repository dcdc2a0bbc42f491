/* Events that are refused for themselves: too large for the server or the stream, or with a subject that is
 * none of ours.  Called by relay_shard.c.
 *
 * Nothing overtakes an event, so such a one would hold up its shard for ever.  It is withheld: its original
 * goes to outbox_dead, a tombstone takes its place in the outbox, the shard goes on.  This is for ever, while
 * a limit may have been set too low for a moment, so the event must stand first in the shard and be refused
 * WITHHOLD_REFUSALS times, over at least settings->withhold_after_ns.  A tombstone is never withheld: if even
 * that is refused, the shard stands still until an operator acts. */
#include "events/relay_int.h"

#include "events/withheld.h"

#include "store/dead_store.h"

#include <inttypes.h>
#include <stdio.h>

/* One rejection might be an accident, two the same accident; five spread evenly are a state. */
#define WITHHOLD_REFUSALS 5
#define WITHHOLD_AFTER_DEFAULT_NS (120 * NS_PER_S)
#define BURY_PATIENCE_NS (5 * NS_PER_S)

static const char *const cause_names[REFUSED_FOR_COUNT] = {
    [REFUSED_FOR_SIZE] = "TOO_LARGE",
    [REFUSED_FOR_SUBJECT] = "FOREIGN_SUBJECT",
};

static uint64_t withhold_after(const struct relay *relay);
static bool is_guilty(const struct relay *relay, const struct suspect *suspect, uint64_t now);
static void buried(struct relay *relay, struct shard *shard, const struct outbox_row *row);

const char *refused_for_name(enum refused_for what_for)
{
    return cause_names[what_for];
}

/* The looks are spread so that the last one falls on the end of the time. */
void shard_refused(struct relay *relay, struct shard *shard, int64_t id,
                   const struct rejection *rejection)
{
    struct suspect *suspect = &shard->suspect;
    uint64_t now = clock_now();
    char text[ID_TEXT_SIZE];
    char detail[256];
    if (suspect->id != id)
        *suspect = (struct suspect){.id = id, .since_ns = now};
    suspect->refusals++;
    suspect->rejection = *rejection;
    id_format(ID_EVENT, &rejection->msg_id, text);
    snprintf(detail, sizeof detail, "%s is not taken: %s", text, rejection->detail);
    relay_failed(relay, RELAY_ERROR_STOPPED, (int)shard->number, detail);
    shard->stopped = true;
    shard->state = SHARD_UNKNOWN;
    uint64_t pause = is_guilty(relay, suspect, now) && !rejection->tombstone
                         ? 0
                         : withhold_after(relay) / (WITHHOLD_REFUSALS - 1);
    shard->not_before_ns = deadline_after(now, pause);
}

bool shard_withholds(const struct relay *relay, const struct shard *shard,
                     const struct outbox_row *first)
{
    return shard->suspect.id == first->id && !withheld_is(first) &&
           is_guilty(relay, &shard->suspect, clock_now());
}

/* Stays READY: the stream has not moved, and the next read brings the tombstone. */
void shard_withhold(struct relay *relay, struct shard *shard, const struct outbox_row *row)
{
    const struct rejection *rejection = &shard->suspect.rejection;
    const struct withheld_reason reason = {
        .cause = cause_names[rejection->what_for],
        .detail = rejection->detail,
    };
    const struct dead_event event = {
        .shard = shard->number,
        .id = row->id,
        .cause = reason.cause,
        .detail = reason.detail,
        .subject = withheld_subject(),
        .envelope = withheld_pack(relay->ctx.arena, row, &reason),
    };
    bool done = false;
    const struct relay_caller caller = relay_caller(relay, BURY_PATIENCE_NS);
    if (!relay_database_did(relay, dead_store_bury(&caller, &event, &done)))
        return;
    if (done)
        buried(relay, shard, row);
    shard->suspect = (struct suspect){.id = 0};
    shard->stopped = false;
}

static uint64_t withhold_after(const struct relay *relay)
{
    return relay->settings->withhold_after_ns != 0 ? relay->settings->withhold_after_ns
                                                   : WITHHOLD_AFTER_DEFAULT_NS;
}

static bool is_guilty(const struct relay *relay, const struct suspect *suspect, uint64_t now)
{
    return suspect->refusals >= WITHHOLD_REFUSALS &&
           now - suspect->since_ns >= withhold_after(relay);
}

static void buried(struct relay *relay, struct shard *shard, const struct outbox_row *row)
{
    const struct rejection *rejection = &shard->suspect.rejection;
    char event[ID_TEXT_SIZE];
    char tenant[ID_TEXT_SIZE];
    id_format(ID_EVENT, &row->msg_id, event);
    id_format(ID_TENANT, &row->tenant_id, tenant);
    metric_inc(relay->metrics.withheld[rejection->what_for]);
    log_error(&relay->ctx, "relay.withheld", KV_STR("event_id", event), KV_STR("tenant", tenant),
              KV_STR("subject", row->subject), KV_INT("sequence", row->seq),
              KV_INT("shard", shard->number), KV_STR("cause", cause_names[rejection->what_for]),
              KV_STR("detail", rejection->detail));
    relay->stats.unlettered++;
    relay->letters_due_ns = 0;
}
