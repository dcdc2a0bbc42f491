/* Checks and commits of tenant changes; see tenant_write.h. */
#include "service/tenant_write.h"

#include "base/clock.h"

#include "events/outbox.h"
#include "service/tenant_cache.h"
#include "service/tenant_message.h"
#include "store/audit_store.h"

#include "gen/errors.h"

#include <assert.h>

struct violations {
    struct call *call;
    size_t plan;  /* of the plan */
    size_t other; /* of anything else */
};

static int take_region(struct call *call, const char *text, struct tenant *tenant);
static void report(void *owner, const char *field, const char *rule);
static void append_audit(struct call *call, struct tx *tx, const struct tenant *tenant,
                         const char *action, const struct string_list *changed);
static int commit(struct call *call, struct tx *tx, const struct tenant_change *change);

int tenant_check_create(struct call *call, const Tenant__V1__Tenant *message,
                        struct tenant *tenant)
{
    const struct service_env *env = call->service;
    *tenant = (struct tenant){.status = TENANT_TRIAL, .version = 1};
    size_t broken = tenant_from_message(call, message, tenant);
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

int tenant_save_created(struct call *call, struct tx *tx, const struct tenant *tenant,
                        const Tenant__V1__Tenant *message)
{
    const struct service_env *env = call->service;
    const struct string_list nothing = {NULL, 0};
    append_audit(call, tx, tenant, "tenant.create", &nothing);
    TRY(outbox_append_provisioned(tx, env->source, tenant));
    const struct tenant_change change = {tenant, message, 0, NULL};
    return commit(call, tx, &change);
}

int tenant_save_updated(struct call *call, struct tx *tx, const struct tenant_change *change)
{
    const struct service_env *env = call->service;
    const char *paths[TENANT_FIELD_COUNT];
    const struct string_list changed = {paths, tenant_field_paths(change->fields, paths)};
    append_audit(call, tx, change->tenant, "tenant.update", &changed);
    TRY(outbox_append_updated(tx, env->source, change->tenant, change->fields));
    return commit(call, tx, change);
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
static void append_audit(struct call *call, struct tx *tx, const struct tenant *tenant,
                         const char *action, const struct string_list *changed)
{
    const struct audit_entry entry = {
        .tenant_id = tenant->id,
        .action = action,
        .reason = "",
        .changed = changed->items,
        .changed_count = changed->count,
        .version = tenant->version,
    };
    audit_store_append(tx, &entry);
    if (strcmp(call->caller, "admin") == 0)
        platform_audit_append(tx, action, call->ctx.tenant_id);
}

/* The caches learn of it before the caller does; of a commit whose fate is unknown they learn that they know
 * nothing. */
static int commit(struct call *call, struct tx *tx, const struct tenant_change *change)
{
    const struct service_env *env = call->service;
    assert(env->source != NULL);
    uint64_t began = clock_now();
    int rc = tx_commit(tx);
    if (rc == OK)
        tenant_cache_written(call, change->tenant, change->message, change->old_slug, began);
    else if (rc == COMMIT_UNCERTAIN)
        tenant_cache_forget(call, change->tenant, change->old_slug);
    if ((rc == OK || rc == COMMIT_UNCERTAIN) && env->wake_relay != NULL)
        env->wake_relay(env->relay);
    return rc;
}
