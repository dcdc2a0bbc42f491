/* Restrictions put back; see restrictions.h.  Called by the first worker, once a second.
 *
 * Only what is stricter than the restored state is done again: a tenant that was reactivated by a lost event
 * stays suspended until somebody decides.  Nothing here brings back other lost changes. */
#include "service/restrictions.h"

#include "base/clock.h"
#include "base/log.h"

#include "events/outbox.h"
#include "service/tenant_write.h"
#include "store/audit_store.h"
#include "store/restriction_store.h"
#include "store/store.h"
#include "store/tenant_store.h"

#include "gen/errors.h"

/* for a tenant whose row somebody else has locked */
#define ONE_NS (200 * NS_PER_MS)

static int put_back(struct ctx *ctx, const struct service_env *env,
                    const struct restriction *restriction);
static int change_queue(struct tx *tx, const struct service_env *env, struct tenant *tenant,
                        enum tenant_status status, const char *reason);
static void tell(struct ctx *ctx, const struct tenant *tenant, const char *reason);

int restrictions_put_back(struct ctx *ctx, const struct service_env *env)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct restrictions open;
    TRY(tx_begin(env->store, ctx, TX_PLATFORM_READ, NULL, &tx));
    TRY(restriction_store_open(tx, &open));
    uint64_t end_ns = ctx->deadline_ns;
    int rc = OK;
    for (size_t i = 0; i < open.count && clock_now() < end_ns; i++) {
        ctx->deadline_ns = end_ns;
        ctx->deadline_ns = ctx_deadline_within(ctx, ONE_NS);
        int one = put_back(ctx, env, &open.items[i]);
        rc = one == OK ? rc : one; /* the others do not wait for it */
    }
    ctx->deadline_ns = end_ns;
    return rc;
}

/* A tenant that the database does not have any more needs no restriction. */
static int put_back(struct ctx *ctx, const struct service_env *env,
                    const struct restriction *restriction)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct tenant tenant;
    enum tenant_status status = TENANT_SUSPENDED;
    const char *reason = "";
    bool found = false;
    TRY(tx_begin(env->store, ctx, TX_WRITE, &restriction->tenant_id, &tx));
    TRY(restriction_store_take(tx, restriction, &found, &status, &reason));
    if (!found)
        return OK;
    int rc = tenant_store_lock(tx, &restriction->tenant_id, &tenant);
    if (rc != TENANT_NOT_FOUND)
        TRY(rc);
    bool stricter = rc == OK && tenant_status_may_become(tenant.status, status);
    restriction_store_done(tx, restriction);
    if (stricter)
        TRY(change_queue(tx, env, &tenant, status, reason));
    TRY(tx_commit(tx));
    if (!stricter)
        return OK;
    metric_inc(env->metrics.restricted_again);
    tell(ctx, &tenant, reason);
    if (env->wake_relay != NULL)
        env->wake_relay(env->relay);
    return OK;
}

static int change_queue(struct tx *tx, const struct service_env *env, struct tenant *tenant,
                        enum tenant_status status, const char *reason)
{
    static const char *const changed[] = {"status"};
    bool closed = status == TENANT_CLOSED;
    enum tenant_status previous = tenant->status;
    tenant->status = status;
    tenant_touch(tenant, clock_wall() / NS_PER_US);
    tenant_store_update(tx, tenant);
    const struct audit_entry audit = {
        .id = uuid_new(),
        .at_us = tenant->update_time_us,
        .tenant_id = tenant->id,
        .action = closed ? "tenant.close_again" : "tenant.suspend_again",
        .reason = reason,
        .changed = changed,
        .changed_count = 1,
        .version = tenant->version,
    };
    audit_store_append(tx, &audit);
    const struct event event = {
        .kind = closed ? EVENT_ORG_CLOSED : EVENT_ORG_SUSPENDED,
        .source = env->source,
        .tenant = tenant,
        .previous = previous,
        .reason = reason,
    };
    return outbox_append(tx, &event, NULL);
}

static void tell(struct ctx *ctx, const struct tenant *tenant, const char *reason)
{
    char id[ID_TEXT_SIZE];
    id_format(ID_TENANT, &tenant->id, id);
    log_warn(ctx, "tenant.restricted_again", KV_STR("tenant", id),
             KV_STR("status", tenant_status_name(tenant->status)), KV_STR("reason", reason));
}
