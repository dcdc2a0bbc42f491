/* SuspendTenant, ReactivateTenant and CloseTenant: a tenant goes from one state to another (the table of
 * domain/tenant.c says from which). */
#include "base/clock.h"

#include "loop/task.h"
#include "service/tenant_message.h"
#include "service/tenant_write.h"
#include "service/tenants.h"
#include "store/tenant_store.h"

#include "gen/errors.h"

/* What the three requests have in common. */
struct transition {
    struct call *call;
    const ProtobufCMessage *request;
    const char *etag;
    const char *reason;
    bool validate_only;
    enum tenant_status to;
    enum event_kind event;
    bool revokes;               /* something that was allowed is not any more */
    ProtobufCMessage *reply;    /* the response … */
    Tenant__V1__Tenant **place; /* … and its tenant */
};

static int change_status(const struct transition *transition);
static int check_transition(const struct transition *transition, const struct tenant *tenant);
static int wait_for_caches(struct call *call);

int tenants_suspend(struct call *call, const Tenant__V1__SuspendTenantRequest *in,
                    Tenant__V1__SuspendTenantResponse *out)
{
    return change_status(&(struct transition){
        .call = call,
        .request = &in->base,
        .etag = in->etag,
        .reason = in->reason,
        .validate_only = in->validate_only,
        .to = TENANT_SUSPENDED,
        .event = EVENT_ORG_SUSPENDED,
        .revokes = true,
        .reply = &out->base,
        .place = &out->tenant,
    });
}

int tenants_reactivate(struct call *call, const Tenant__V1__ReactivateTenantRequest *in,
                       Tenant__V1__ReactivateTenantResponse *out)
{
    return change_status(&(struct transition){
        .call = call,
        .request = &in->base,
        .etag = in->etag,
        .reason = in->reason,
        .validate_only = in->validate_only,
        .to = TENANT_ACTIVE,
        .event = EVENT_ORG_REACTIVATED,
        .reply = &out->base,
        .place = &out->tenant,
    });
}

int tenants_close(struct call *call, const Tenant__V1__CloseTenantRequest *in,
                  Tenant__V1__CloseTenantResponse *out)
{
    return change_status(&(struct transition){
        .call = call,
        .request = &in->base,
        .etag = in->etag,
        .reason = in->reason,
        .validate_only = in->validate_only,
        .to = TENANT_CLOSED,
        .event = EVENT_ORG_CLOSED,
        .revokes = true,
        .reply = &out->base,
        .place = &out->tenant,
    });
}

static int change_status(const struct transition *transition)
{
    struct call *call = transition->call;
    const char *rule = tenant_reason_rule(transition->reason);
    if (rule != NULL)
        return call_refuse_field(call, INVALID_ARGUMENT, "reason", rule);

    AUTO(write_end) struct write write;
    struct tenant tenant;
    TRY(write_begin(call, transition->request, transition->validate_only, &write));
    TRY(tenant_store_lock(write.tx, &call->tenant, &tenant));
    if (write_is_replay(&write))
        return write_replay(&write);
    TRY(check_transition(transition, &tenant));

    enum tenant_status previous = tenant.status;
    tenant.status = transition->to;
    tenant_touch(&tenant, clock_wall() / NS_PER_US);
    *transition->place = tenant_to_message(call->ctx.arena, &tenant);
    if (transition->validate_only)
        return OK;
    tenant_store_update(write.tx, &tenant);
    const struct tenant_change change = {
        .kind = transition->event,
        .tenant = &tenant,
        .message = *transition->place,
        .old_slug = tenant.slug,
        .previous = previous,
        .reason = transition->reason,
    };
    TRY(tenant_save(&write, &change, transition->reply));
    return transition->revokes ? wait_for_caches(call) : OK;
}

static int check_transition(const struct transition *transition, const struct tenant *tenant)
{
    struct call *call = transition->call;
    const struct service_env *env = call->service;
    if (tenant->home_region != env->region)
        return tenant_refuse_region(call, tenant->home_region);
    TRY(tenant_check_etag(call, transition->etag, tenant));
    if (tenant_status_may_become(tenant->status, transition->to))
        return OK;
    (void)call_refuse_with(call, INVALID_STATUS_TRANSITION, "to",
                           tenant_status_name(transition->to));
    return call_refuse_with(call, INVALID_STATUS_TRANSITION, "status",
                            tenant_status_name(tenant->status));
}

/* A replica may answer from its caches for freshness_ns after a commit.  Once that has passed, a suspension
 * that returned is true everywhere.  A caller whose deadline is shorter learns that it was passed; the change
 * is made. */
static int wait_for_caches(struct call *call)
{
    const struct service_env *env = call->service;
    return wait_fault(&call->ctx, task_sleep(&call->ctx, env->freshness_ns),
                      "older answers to end everywhere");
}
