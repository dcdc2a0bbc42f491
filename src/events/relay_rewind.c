/* A database that was taken back in time: restored from a copy, or failed over to a standby that was behind.
 * Called by relay_turn.c and relay_resolve.c.
 *
 * Sequences would be given a second time with another content, and consumers would drop the new events as
 * repetitions.  So the incarnation grows, for the whole database, once.  Two things give a rewind away: the
 * server is another, or on another timeline, than the one on which the database was last seen; or a stream
 * holds events that the database does not know.  Each stream is then compared before anything is sent into it:
 * every event behind the newest one that was settled is either known, or lost.  What a tenant lost is noted,
 * and an event that tells of it becomes its first of the new incarnation, before the unsent ones.
 *
 * The restored server need not have broken any connection of ours: its time of start comes with every read of
 * unsent rows, and rows of a server that was not looked at are not sent. */
#include "events/relay_int.h"

#include "events/rewound.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define REWIND_PATIENCE_NS (5 * NS_PER_S)

static void rewind_report(struct relay *relay, enum rewind_sign sign, int shard);
static bool incarnation_raise(struct relay *relay, struct shard *shard, int64_t least);
static struct losses losses_gather(struct relay *relay, struct shard *shard,
                                   const struct stored_events *events, const bool *unknown);
static struct loss *loss_of(struct losses *losses, const struct stored_event *event);
static void status_take(struct relay *relay, struct shard *shard, const struct stored_event *event,
                        struct loss *loss);
static bool loss_announce(struct relay *relay, struct shard *shard, const struct loss *loss);

const char *rewind_sign_name(enum rewind_sign sign)
{
    static const char *const names[REWIND_SIGN_COUNT] = {
        [REWIND_BY_SERVER] = "server",
        [REWIND_BY_STREAM] = "stream",
    };
    assert(sign < REWIND_SIGN_COUNT);
    return names[sign];
}

bool relay_server_check(struct relay *relay)
{
    struct server_look look;
    if (relay->server_known)
        return true;
    if (!relay_database_ready(relay))
        return false;
    const struct relay_caller caller = relay_caller(relay, REWIND_PATIENCE_NS);
    if (!relay_database_did(relay, rewind_store_look(&caller, &look)))
        return false;
    relay->server_known = true;
    relay->server_started_us = look.started_us;
    if (look.grew)
        rewind_report(relay, REWIND_BY_SERVER, -1);
    relay_incarnation_is(relay, look.incarnation);
    return true;
}

void relay_server_doubt(struct relay *relay)
{
    relay->server_known = false;
    relay->doubts++;
}

void relay_incarnation_is(struct relay *relay, int64_t incarnation)
{
    if (incarnation == relay->incarnation)
        return;
    log_info(&relay->ctx, "relay.incarnation", KV_INT("incarnation", incarnation),
             KV_INT("before", relay->incarnation));
    relay->incarnation = incarnation;
    relay->doubts++;
    metric_gauge_set(relay->metrics.incarnation, incarnation);
}

/* Unknown events are seen twice: first they make the incarnation grow, then, from the beginning of the
 * comparison, they are noted under it. */
bool shard_losses_note(struct relay *relay, struct shard *shard, const struct stored_events *events)
{
    struct shard_scan *scan = &shard->scan;
    int64_t greatest = 0;
    size_t lost = 0;
    bool *unknown = arena_alloc(relay->ctx.arena, (events->count + 1) * sizeof *unknown);
    const struct relay_caller caller = relay_caller(relay, REWIND_PATIENCE_NS);
    int rc = rewind_store_unknown(&caller, events, scan->anchored, unknown);
    if (!relay_database_did(relay, rc))
        return false;
    for (size_t i = 0; i < events->count; i++) {
        lost += unknown[i];
        if (unknown[i] && events->items[i].incarnation > greatest)
            greatest = events->items[i].incarnation;
    }
    if (lost == 0)
        return true;
    if (!scan->rewinding || greatest >= scan->installed)
        return incarnation_raise(relay, shard, greatest);
    struct losses losses = losses_gather(relay, shard, events, unknown);
    const struct relay_caller again = relay_caller(relay, REWIND_PATIENCE_NS);
    rc = rewind_store_note(&again, shard->number, scan->installed, &losses);
    if (!relay_database_did(relay, rc))
        return false;
    metric_add(relay->metrics.lost, lost);
    return true;
}

bool shard_unknown_found(struct relay *relay, struct shard *shard, const struct stored_event *event)
{
    return incarnation_raise(relay, shard, event->incarnation);
}

/* Some at a time: leases want to be renewed. */
bool shard_losses_announce(struct relay *relay, struct shard *shard)
{
    struct shard_scan *scan = &shard->scan;
    struct losses losses = {0};
    const struct relay_caller caller = relay_caller(relay, REWIND_PATIENCE_NS);
    int rc = rewind_store_unannounced(&caller, shard->number, scan->installed, &losses);
    if (!relay_database_did(relay, rc))
        return false;
    for (size_t i = 0; i < losses.count; i++) {
        if (!loss_announce(relay, shard, &losses.items[i]))
            return false;
    }
    if (losses.count > 0)
        return true;
    const struct relay_caller again = relay_caller(relay, REWIND_PATIENCE_NS);
    if (!relay_database_did(relay, rewind_store_compared(&again, shard->number, scan->installed)))
        return false;
    scan->rewinding = false;
    return true;
}

static void rewind_report(struct relay *relay, enum rewind_sign sign, int shard)
{
    metric_inc(relay->metrics.rewinds[sign]);
    log_error(&relay->ctx, "relay.database_was_taken_back",
              KV_STR("found_by", rewind_sign_name(sign)), KV_INT("shard", shard));
}

/* Always false: whatever was compared counts no more. */
static bool incarnation_raise(struct relay *relay, struct shard *shard, int64_t least)
{
    const struct incarnation_raise raise = {.seen = shard->scan.installed, .least = least};
    int64_t installed = 0;
    bool grew = false;
    const struct relay_caller caller = relay_caller(relay, REWIND_PATIENCE_NS);
    if (!relay_database_did(relay, rewind_store_raise(&caller, &raise, &installed, &grew)))
        return false;
    if (grew)
        rewind_report(relay, REWIND_BY_STREAM, (int)shard->number);
    relay_incarnation_is(relay, installed);
    return false;
}

static struct losses losses_gather(struct relay *relay, struct shard *shard,
                                   const struct stored_events *events, const bool *unknown)
{
    struct losses losses = {arena_alloc(relay->ctx.arena, events->count * sizeof *losses.items), 0};
    for (size_t i = 0; i < events->count; i++) {
        const struct stored_event *event = &events->items[i];
        if (!unknown[i])
            continue;
        struct loss *loss = loss_of(&losses, event);
        if (event->incarnation < loss->incarnation)
            continue; /* of an earlier rewind, which was told then */
        if (event->incarnation > loss->incarnation)
            *loss = (struct loss){event->tenant_id, event->incarnation, event->seq,
                                  event->seq,       loss->status,       loss->reason};
        loss->from = event->seq < loss->from ? event->seq : loss->from;
        loss->to = event->seq > loss->to ? event->seq : loss->to;
        status_take(relay, shard, event, loss);
    }
    return losses;
}

static struct loss *loss_of(struct losses *losses, const struct stored_event *event)
{
    for (size_t i = 0; i < losses->count; i++) {
        if (uuid_equal(&losses->items[i].tenant_id, &event->tenant_id))
            return &losses->items[i];
    }
    losses->items[losses->count] = (struct loss){
        .tenant_id = event->tenant_id,
        .incarnation = event->incarnation,
        .from = event->seq,
        .to = event->seq,
    };
    return &losses->items[losses->count++];
}

/* What the tenant was by its last lost event that says so.  A reason that cannot be had is none. */
static void status_take(struct relay *relay, struct shard *shard, const struct stored_event *event,
                        struct loss *loss)
{
    static const char *const names[] = {
        [STORED_SUSPENDED] = "suspended",
        [STORED_REACTIVATED] = "",
        [STORED_CLOSED] = "closed",
    };
    if (event->says == STORED_SAYS_NOTHING)
        return;
    loss->status = names[event->says];
    loss->reason = "";
    if (event->says == STORED_REACTIVATED)
        return;
    AUTO(buf_deinit) struct buf body = BUF_EMPTY;
    struct ctx *ctx = relay_step(relay, REWIND_PATIENCE_NS);
    if (stream_body(ctx, relay->js, shard->number, event->stream_seq, &body) == OK)
        loss->reason = rewound_reason(relay->ctx.arena, buf_slice(&body));
}

static bool loss_announce(struct relay *relay, struct shard *shard, const struct loss *loss)
{
    const struct rewound_event event = {
        .id = uuid_new(),
        .loss = loss,
        .source = relay->settings->source,
        .region = relay->settings->region,
        .time_us = clock_wall() / NS_PER_US,
    };
    const struct announcement announcement = {
        .shard = shard->number,
        .installed = shard->scan.installed,
        .tenant_id = loss->tenant_id,
        .msg_id = event.id,
        .subject = rewound_subject(),
        .envelope = rewound_pack(relay->ctx.arena, &event),
    };
    char tenant[ID_TEXT_SIZE];
    const struct relay_caller caller = relay_caller(relay, REWIND_PATIENCE_NS);
    if (!relay_database_did(relay, rewind_store_announce(&caller, &announcement)))
        return false;
    id_format(ID_TENANT, &loss->tenant_id, tenant);
    metric_inc(relay->metrics.rewound_tenants);
    log_error(&relay->ctx, "relay.tenant_lost_events", KV_STR("tenant", tenant),
              KV_INT("incarnation", announcement.installed), KV_INT("lost_from", loss->from),
              KV_INT("lost_to", loss->to), KV_STR("ended", loss->status));
    return true;
}
