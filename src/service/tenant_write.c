/* Checks and commits of tenant changes; see tenant_write.h. */
#include "service/tenant_write.h"

#include "base/clock.h"

#include "events/outbox.h"
#include "service/tenant_cache.h"
#include "service/tenant_message.h"

#include "gen/errors.h"

#include <assert.h>

struct violations {
    struct call *call;
    size_t plan;  /* of the plan */
    size_t other; /* of anything else */
};

static int take_region(struct call *call, const char *text, struct tenant *tenant);
static void report(void *owner, const char *field, const char *rule);
static void append_audit(struct write *write, const struct tenant_change *change);
static int commit(struct write *write, const struct tenant_change *change,
                  const ProtobufCMessage *reply);

int tenant_check_create(struct call *call, const Tenant__V1__Tenant *message, struct tenant *tenant)
{
    const struct service_env *env = call->service;
    *tenant = (struct tenant){.status = TENANT_TRIAL, .version = 1};
    size_t broken = tenant_from_message(call, message, tenant);
    broken += tenant_refuse_reserved(call, tenant);
    int region = take_region(call, message->home_region, tenant);
    int rules = tenant_check_rules(call, tenant, broken + (region != OK));
    if (region == INVALID_REGION)
        return region;
    TRY(rules);
    if (tenant->home_region != env->region)
        return tenant_refuse_region(call, tenant->home_region);
    return OK;
}

int tenant_check_rules(struct call *call, const struct tenant *tenant, size_t broken)
{
    struct violations violations = {.call = call, .other = broken};
    (void)tenant_validate(tenant, report, &violations);
    if (violations.other > 0)
        return INVALID_ARGUMENT;
    return violations.plan > 0 ? INVALID_PLAN : OK;
}

int tenant_refuse_region(struct call *call, enum region home)
{
    return call_refuse_with(call, WRONG_REGION, "home_region", region_name(home));
}

size_t tenant_refuse_reserved(struct call *call, const struct tenant *tenant)
{
    if (!tenant_slug_is_reserved(tenant->slug))
        return 0;
    (void)call_refuse_field(call, INVALID_ARGUMENT, "tenant.slug",
                            "is reserved for the platform itself");
    return 1;
}

int tenant_check_etag(struct call *call, const char *etag, const struct tenant *tenant)
{
    const char *current = tenant_etag(call->ctx.arena, tenant->version);
    if (etag[0] == '\0' || strcmp(etag, current) == 0)
        return OK;
    return call_refuse_with(call, VERSION_CONFLICT, "etag", current);
}

int tenant_save(struct write *write, const struct tenant_change *change,
                const ProtobufCMessage *reply)
{
    const struct service_env *env = write->call->service;
    append_audit(write, change);
    assert(env->source != NULL);
    const struct event event = {
        .kind = change->kind,
        .source = env->source,
        .tenant = change->tenant,
        .changed_fields = change->fields,
        .previous = change->previous,
        .reason = change->reason,
    };
    TRY(outbox_append(write->tx, &event, &write->point));
    return commit(write, change, reply);
}

static int take_region(struct call *call, const char *text, struct tenant *tenant)
{
    if (text[0] == '\0')
        return call_refuse_field(call, INVALID_ARGUMENT, "tenant.home_region", "must be set");
    if (!region_parse(slice_of_str(text), &tenant->home_region))
        return call_refuse_field(call, INVALID_REGION, "tenant.home_region",
                                 "must be us, eu, me or ap");
    return OK;
}

static void report(void *owner, const char *field, const char *rule)
{
    struct violations *violations = owner;
    bool plan = strncmp(field, "plan.", 5) == 0;
    violations->plan += plan;
    violations->other += !plan;
    char *path = arena_printf(violations->call->ctx.arena, "tenant.%s", field);
    (void)call_refuse_field(violations->call, plan ? INVALID_PLAN : INVALID_ARGUMENT, path, rule);
}

/* An operator's change is also platform access (decisions: "audited as platform access"). */
static void append_audit(struct write *write, const struct tenant_change *change)
{
    static const char *const actions[EVENT_KIND_COUNT] = {
        [EVENT_ORG_PROVISIONED] = "tenant.create",
        [EVENT_ORG_UPDATED] = "tenant.update",
        [EVENT_ORG_SUSPENDED] = "tenant.suspend",
        [EVENT_ORG_CLOSED] = "tenant.close",
        [EVENT_ORG_REACTIVATED] = "tenant.reactivate",
        [EVENT_ORG_PLAN_CHANGED] = "tenant.plan_change",
    };
    const char *paths[TENANT_FIELD_COUNT];
    const char *status = "status";
    struct audit_entry *entry = &write->audit;
    bool by_status = change->reason != NULL;
    entry->action = actions[change->kind];
    entry->reason = by_status ? change->reason : "";
    entry->changed = by_status ? &status : paths;
    entry->changed_count = by_status ? 1 : tenant_field_paths(change->fields, paths);
    entry->version = change->tenant->version;
    audit_store_append(write->tx, entry);
    if (strcmp(write->call->caller, "admin") == 0)
        platform_audit_append(write->tx, entry->action, write->call->ctx.tenant_id);
}

/* The caches learn of it before the caller does; of a commit whose fate is unknown they learn that they know
 * nothing. */
static int commit(struct write *write, const struct tenant_change *change,
                  const ProtobufCMessage *reply)
{
    struct call *call = write->call;
    const struct service_env *env = call->service;
    uint64_t began = clock_now();
    int rc = write_commit(write, reply);
    if (rc == OK)
        tenant_cache_written(call, &(struct tenant_written){
                                       .tenant = change->tenant,
                                       .message = change->message,
                                       .seen = &write->at.seen,
                                       .old_slug = change->old_slug,
                                       .began_ns = began,
                                   });
    else
        tenant_cache_forget(call, change->tenant, change->old_slug);
    if ((rc == OK || rc == COMMIT_UNCERTAIN) && env->wake_relay != NULL)
        env->wake_relay(env->relay);
    return rc;
}
