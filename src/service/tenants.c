/*~ tenant.v1.TenantService: create, get, look up and update tenants.
 *
 * Reads go memory → Redis → PostgreSQL; a write is one transaction that holds the change, the audit row and the
 * event.  What a caller may do was decided before (gate.c). */
#include "service/tenants.h"

#include "base/clock.h"

#include "service/consistency.h"
#include "service/tenant_cache.h"
#include "service/tenant_message.h"
#include "service/tenant_write.h"
#include "store/slug_store.h"
#include "store/tenant_list_store.h"
#include "store/tenant_store.h"

#include "gen/errors.h"

#include <assert.h>

static int tenants_create(struct call *call, const Tenant__V1__CreateTenantRequest *in,
                          Tenant__V1__CreateTenantResponse *out);
static int tenants_get(struct call *call, const Tenant__V1__GetTenantRequest *in,
                       Tenant__V1__GetTenantResponse *out);
static int tenants_lookup(struct call *call, const Tenant__V1__LookupTenantRequest *in,
                          Tenant__V1__LookupTenantResponse *out);
static int tenants_update(struct call *call, const Tenant__V1__UpdateTenantRequest *in,
                          Tenant__V1__UpdateTenantResponse *out);
static int get_stored(struct call *call, Tenant__V1__Tenant **message, struct epoch_seen *seen);
static int lookup_stored(struct call *call, const char *slug, struct consistency_floor *floor,
                         Tenant__V1__Tenant **tenant);
static int look_up_once(struct call *call, const char *slug, const struct consistency_floor *floor,
                        Tenant__V1__Tenant **tenant, struct epoch *seen);
static int check_update(struct call *call, const Tenant__V1__UpdateTenantRequest *in,
                        struct tenant *patch, unsigned *fields);
static int check_unchanged(struct call *call, const Tenant__V1__Tenant *wanted, unsigned fields,
                           const struct tenant *stored);

const struct tenant_service_server tenant_handlers = {
    .create_tenant = tenants_create,
    .get_tenant = tenants_get,
    .lookup_tenant = tenants_lookup,
    .update_tenant = tenants_update,
    .list_tenants = tenants_list,
    .suspend_tenant = tenants_suspend,
    .reactivate_tenant = tenants_reactivate,
    .close_tenant = tenants_close,
};

/* Creates a tenant in this region, in trial.  Refusals: INVALID_ARGUMENT, INVALID_REGION, INVALID_PLAN,
 * WRONG_REGION, SLUG_TAKEN. */
static int tenants_create(struct call *call, const Tenant__V1__CreateTenantRequest *in,
                          Tenant__V1__CreateTenantResponse *out)
{
    if (in->tenant == NULL)
        return call_refuse_field(call, INVALID_ARGUMENT, "tenant", "must be set");
    struct tenant tenant;
    TRY(tenant_check_create(call, in->tenant, &tenant));
    tenant.id = uuid_new();
    tenant.create_time_us = clock_wall() / NS_PER_US;
    tenant.update_time_us = tenant.create_time_us;
    call->tenant = tenant.id;
    id_format(ID_TENANT, &tenant.id, call->ctx.tenant_id);
    out->tenant = tenant_to_message(call->ctx.arena, &tenant);

    AUTO(write_end) struct write write;
    TRY(write_begin_platform(call, &in->base, in->validate_only, &write));
    if (write.keyed)
        TRY(tx_run(write.tx));
    if (write_is_replay(&write))
        return write_replay(&write);
    tenant_store_insert(write.tx, &tenant);
    slug_store_take(write.tx, &tenant);
    if (in->validate_only)
        return tx_run(write.tx); /* finds a taken slug; rolled back */
    const struct tenant_change change = {
        .kind = EVENT_ORG_PROVISIONED, .tenant = &tenant, .message = out->tenant};
    return tenant_save(&write, &change, &out->base);
}

/* One tenant by its id.  Refusals: TENANT_NOT_FOUND, WRONG_REGION. */
static int tenants_get(struct call *call, const Tenant__V1__GetTenantRequest *in,
                       Tenant__V1__GetTenantResponse *out)
{
    (void)in; /* the tenant match has parsed its one field into call->tenant */
    struct consistency_floor floor;
    TRY(consistency_floor(call, &floor));
    AUTO(cache_flight_end) struct cache_flight flight = CACHE_FLIGHT_NONE;
    if (tenant_cache_answer(call, floor.epoch, &flight))
        return OK;
    for (bool again = true; again;) {
        struct epoch_seen seen;
        TRY(get_stored(call, &out->tenant, &seen));
        TRY(consistency_reached(call, &floor, seen.epoch, &again));
    }
    answer_from_primary(call);
    return OK;
}

/* Any tenant by its slug; others than the operator get its public fields.  Refusals: INVALID_ARGUMENT,
 * TENANT_NOT_FOUND, WRONG_REGION. */
static int tenants_lookup(struct call *call, const Tenant__V1__LookupTenantRequest *in,
                          Tenant__V1__LookupTenantResponse *out)
{
    const char *rule = tenant_slug_rule(slice_of_str(in->slug));
    if (rule != NULL)
        return call_refuse_field(call, INVALID_ARGUMENT, "slug", rule);
    struct consistency_floor floor;
    TRY(consistency_floor(call, &floor));
    AUTO(cache_flight_end) struct cache_flight flight = CACHE_FLIGHT_NONE;
    if (!floor.asked) /* which tenant has the slug is not of one tenant's epoch */
        TRY(tenant_cache_lookup(call, in->slug, &flight, &out->tenant));
    if (out->tenant == NULL)
        TRY(lookup_stored(call, in->slug, &floor, &out->tenant));
    if (strcmp(call->caller, "admin") != 0)
        tenant_message_public(out->tenant);
    return OK;
}

/* Changes the named fields of one tenant.  Refusals: INVALID_ARGUMENT, INVALID_PLAN, TENANT_NOT_FOUND,
 * WRONG_REGION, VERSION_CONFLICT, HOME_REGION_IMMUTABLE, SLUG_TAKEN. */
static int tenants_update(struct call *call, const Tenant__V1__UpdateTenantRequest *in,
                          Tenant__V1__UpdateTenantResponse *out)
{
    struct tenant patch;
    unsigned fields = 0;
    TRY(check_update(call, in, &patch, &fields));

    AUTO(write_end) struct write write;
    struct tenant tenant;
    TRY(write_begin(call, &in->base, in->validate_only, &write));
    TRY(tenant_store_lock(write.tx, &call->tenant, &tenant));
    if (write_is_replay(&write))
        return write_replay(&write);
    TRY(check_unchanged(call, in->tenant, fields, &tenant));

    const char *old_slug = tenant.slug;
    unsigned changed = tenant_apply(&tenant, &patch, fields);
    bool renamed = (changed & TENANT_FIELD_SLUG) != 0;
    TRY(tenant_check_rules(call, &tenant, renamed ? tenant_refuse_reserved(call, &tenant) : 0));
    if (changed == 0) { /* not a change: no new version, no event */
        out->tenant = tenant_to_message(call->ctx.arena, &tenant);
        return in->validate_only ? OK : write_commit(&write, &out->base);
    }
    tenant_touch(&tenant, clock_wall() / NS_PER_US);
    out->tenant = tenant_to_message(call->ctx.arena, &tenant);
    tenant_store_update(write.tx, &tenant);
    if (renamed) {
        slug_store_release(write.tx, &tenant, old_slug);
        slug_store_take(write.tx, &tenant);
    }
    if (in->validate_only)
        return tx_run(write.tx); /* finds a taken slug; rolled back */
    const struct tenant_change change = {
        .kind = EVENT_ORG_UPDATED,
        .tenant = &tenant,
        .message = out->tenant,
        .fields = changed,
        .old_slug = old_slug,
    };
    return tenant_save(&write, &change, &out->base);
}

static int get_stored(struct call *call, Tenant__V1__Tenant **message, struct epoch_seen *seen)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    const struct service_env *env = call->service;
    struct tenant tenant;
    uint64_t began = clock_now();
    TRY(tx_begin(env->store, &call->ctx, TX_READ, &call->tenant, &tx));
    TRY(tenant_store_get(tx, &call->tenant, &tenant, seen));
    if (tenant.home_region != env->region)
        return tenant_refuse_region(call, tenant.home_region);
    *message = tenant_to_message(call->ctx.arena, &tenant);
    tenant_cache_put(call, &tenant, *message, seen, began);
    return OK;
}

static int lookup_stored(struct call *call, const char *slug, struct consistency_floor *floor,
                         Tenant__V1__Tenant **tenant)
{
    int rc = OK;
    for (bool again = true; again;) {
        struct epoch seen = floor->epoch;
        rc = look_up_once(call, slug, floor, tenant, &seen);
        if (rc != OK && rc != TENANT_NOT_FOUND)
            return rc;
        TRY(consistency_reached(call, floor, seen, &again));
    }
    TRY(rc);
    answer_from_primary(call);
    return OK;
}

/* *seen: how far the token's tenant had come, where a token was sent. */
static int look_up_once(struct call *call, const char *slug, const struct consistency_floor *floor,
                        Tenant__V1__Tenant **tenant, struct epoch *seen)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    const struct service_env *env = call->service;
    struct tenant found;
    struct epoch_seen own;
    struct rows epoch;
    uint64_t began = clock_now();
    TRY(tx_begin(env->store, &call->ctx, TX_PLATFORM_READ, NULL, &tx));
    if (floor->asked)
        tenant_store_epoch(tx, &floor->tenant, &epoch);
    int rc = tenant_store_find_slug(tx, slug, env->region, &found, &own);
    if (floor->asked && (rc == OK || rc == TENANT_NOT_FOUND))
        TRY(tenant_store_read_epoch(tx, &epoch, seen));
    if (rc == TENANT_NOT_FOUND)
        tenant_cache_put_absent(call, slug, began);
    TRY(rc);
    if (found.home_region != env->region)
        return tenant_refuse_region(call, found.home_region);
    *tenant = tenant_to_message(call->ctx.arena, &found);
    tenant_cache_put(call, &found, *tenant, &own, began);
    return OK;
}

/* The patch and the fields it means: those of the mask, or without one those that are populated. */
static int check_update(struct call *call, const Tenant__V1__UpdateTenantRequest *in,
                        struct tenant *patch, unsigned *fields)
{
    *patch = (struct tenant){.version = 0};
    assert(in->tenant != NULL); /* the tenant match has found its id */
    size_t broken = tenant_from_message(call, in->tenant, patch);
    *fields = tenant_message_populated(in->tenant);
    if (in->update_mask != NULL && in->update_mask->n_paths > 0) {
        *fields = 0;
        for (size_t i = 0; i < in->update_mask->n_paths; i++) {
            const char *path = in->update_mask->paths[i];
            unsigned named = tenant_field_parse(slice_of_str(path));
            *fields |= named;
            broken += named == 0;
            if (named == 0)
                (void)call_refuse_field(call, INVALID_ARGUMENT, "update_mask",
                                        arena_printf(call->ctx.arena,
                                                     "\"%.80s\" is not a field that can be updated",
                                                     path));
        }
    }
    return broken == 0 ? OK : INVALID_ARGUMENT;
}

/* What must still be, or must not change. */
static int check_unchanged(struct call *call, const Tenant__V1__Tenant *wanted, unsigned fields,
                           const struct tenant *stored)
{
    const struct service_env *env = call->service;
    if (stored->home_region != env->region)
        return tenant_refuse_region(call, stored->home_region);
    TRY(tenant_check_etag(call, wanted->etag, stored));
    if (stored->status == TENANT_CLOSED)
        return call_refuse_with(call, INVALID_STATUS_TRANSITION, "status",
                                tenant_status_name(stored->status));
    bool names_region = (fields & TENANT_FIELD_HOME_REGION) && wanted->home_region[0] != '\0';
    if (names_region && strcmp(wanted->home_region, region_name(stored->home_region)) != 0)
        return call_refuse_field(call, HOME_REGION_IMMUTABLE, "tenant.home_region",
                                 "changes only by a residency migration");
    return OK;
}
