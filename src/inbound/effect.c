/* What a subscription event does, all in one transaction: the note in the inbox, the subscription, the
 * tenant's plan, the audit, the event of our own.  Called for new and for parked events. */
#include "inbound/inbound_int.h"

#include "events/outbox.h"
#include "events/relay.h"
#include "store/audit_store.h"
#include "store/subscription_store.h"
#include "store/tenant_store.h"

#include "gen/errors.h"

#include <string.h>

#define ACTION "tenant.plan_change"

/* What the transaction has read. */
struct scene {
    struct tx *tx;
    const struct billing_event *event;
    struct tenant tenant;
    struct subscription *subscriptions; /* with room for one more */
    size_t count;
};

static int scene_read(struct scene *scene, enum inbound_outcome *outcome, bool *over);
static int change(struct inbound *inbound, struct scene *scene, enum inbound_outcome *outcome);
static bool take_news(struct scene *scene, struct subscription **taken);
static int plan_change(struct inbound *inbound, struct scene *scene, const char *plan_id);
static void audit(struct scene *scene, unsigned fields);

/* A COMMIT of unknown fate is an event to be tried again: its note tells what became of it. */
int effect_apply(struct inbound *inbound, struct ctx *ctx, const struct billing_event *event,
                 enum inbound_outcome *outcome)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    bool over = false;
    TRY(tx_begin(inbound->store, ctx, TX_WRITE, &event->tenant_id, &tx));
    struct scene scene = {.tx = tx, .event = event};
    TRY(scene_read(&scene, outcome, &over));
    if (over) {
        tx_rollback(tx); /* else the connection goes with it */
        return OK;
    }
    if (scene.tenant.home_region != inbound->settings->region ||
        scene.tenant.status == TENANT_CLOSED)
        *outcome = INBOUND_IGNORED;
    else
        TRY(change(inbound, &scene, outcome));
    TRY(tx_commit(tx));
    if (*outcome == INBOUND_APPLIED)
        relay_wake(inbound->settings->relay);
    return OK;
}

/* The note first: a replica that has the same event waits for it.  *over: nothing is to be committed. */
static int scene_read(struct scene *scene, enum inbound_outcome *outcome, bool *over)
{
    const struct billing_event *event = scene->event;
    const struct inbox_key key = {
        .tenant_id = event->tenant_id,
        .consumer = BILLING_CONSUMER,
        .event_id = event->event_id,
    };
    struct rows noted;
    struct rows subscriptions;
    inbox_store_note(scene->tx, &key, &noted);
    int rc = tenant_store_lock(scene->tx, &event->tenant_id, &scene->tenant);
    *over = true;
    if (rc == TENANT_NOT_FOUND || rc == OK)
        *outcome = noted.count == 0 ? INBOUND_DUPLICATE : INBOUND_EARLY;
    if (rc == TENANT_NOT_FOUND || (rc == OK && noted.count == 0))
        return OK;
    TRY(rc);
    *over = false;
    /* Behind the lock: what another replica was just writing must be seen. */
    subscription_store_find(scene->tx, &event->tenant_id, &subscriptions);
    TRY(tx_run(scene->tx));
    return subscription_store_read(scene->tx, &subscriptions, &scene->subscriptions, &scene->count);
}

/* The tenant's plan follows only where billing's own view of it changes: what an operator has set meanwhile
 * stays until then. */
static int change(struct inbound *inbound, struct scene *scene, enum inbound_outcome *outcome)
{
    struct subscription *taken = NULL;
    const char *before = subscriptions_plan(scene->subscriptions, scene->count);
    bool known = scene->count > 0;
    if (!take_news(scene, &taken)) {
        *outcome = INBOUND_STALE;
        return OK;
    }
    subscription_store_put(scene->tx, &scene->event->tenant_id, taken);
    const char *after = subscriptions_plan(scene->subscriptions, scene->count);
    bool same = (known && strcmp(before, after) == 0) ||
                strcmp(scene->tenant.plan.plan_id, after) == 0 || (!known && after[0] == '\0');
    *outcome = same ? INBOUND_NOTED : INBOUND_APPLIED;
    return same ? OK : plan_change(inbound, scene, after);
}

/* False: all of it is older than what is known. */
static bool take_news(struct scene *scene, struct subscription **taken)
{
    const struct subscription_news *news = &scene->event->news;
    struct arena *arena = tx_ctx(scene->tx)->arena;
    bool changed = false;
    size_t i = 0;
    while (i < scene->count && strcmp(scene->subscriptions[i].id, news->subscription_id) != 0)
        i++;
    *taken = &scene->subscriptions[i];
    **taken = subscription_after(arena, i < scene->count ? *taken : NULL, news, &changed);
    scene->count += i == scene->count;
    return changed;
}

/* Add-ons belong to a plan: without one there are none. */
static int plan_change(struct inbound *inbound, struct scene *scene, const char *plan_id)
{
    struct tenant *tenant = &scene->tenant;
    const struct tenant_plan previous = tenant->plan;
    unsigned fields = TENANT_FIELD_PLAN_ID;
    tenant->plan.plan_id = plan_id;
    if (plan_id[0] == '\0' && tenant->plan.addons.count > 0) {
        fields |= TENANT_FIELD_PLAN_ADDONS;
        tenant->plan.addons.count = 0;
    }
    tenant_touch(tenant, clock_wall() / NS_PER_US);
    tenant_store_update(scene->tx, tenant);
    audit(scene, fields);
    const struct event event = {
        .kind = EVENT_ORG_PLAN_CHANGED,
        .source = inbound->settings->source,
        .tenant = tenant,
        .previous_plan = &previous,
        .cause = scene->event->event_id,
    };
    return outbox_append(scene->tx, &event, NULL);
}

static void audit(struct scene *scene, unsigned fields)
{
    const char *paths[TENANT_FIELD_COUNT];
    const struct audit_entry entry = {
        .id = uuid_new(),
        .at_us = scene->tenant.update_time_us,
        .tenant_id = scene->tenant.id,
        .action = ACTION,
        .reason = scene->event->news.state,
        .changed_count = tenant_field_paths(fields, paths),
        .changed = paths,
        .version = scene->tenant.version,
    };
    audit_store_append(scene->tx, &entry);
}
