/* What the caches keep of tenants; see tenant_cache.h. */
#include "service/tenant_cache.h"

#include "cache/cache.h"
#include "service/tenant_message.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdio.h>

#define ABSENT "none" /* the value of a slug that nobody has */

static struct slice profile_key(struct call *call, const struct uuid *id);
static void put_slug(struct call *call, const char *slug, const struct tenant *tenant,
                     uint64_t began_ns, bool written);
static void answer_source(struct call *call, const char *source, uint64_t age_ns);

Tenant__V1__Tenant *tenant_cache_get(struct call *call, const struct uuid *id,
                                     struct epoch at_least)
{
    const struct service_env *env = call->service;
    struct cache_found found;
    if (at_least.counter != 0)
        return NULL; /* entries do not know their epoch */
    if (!cache_get(env->cache, &call->ctx, profile_key(call, id), &found))
        return NULL;
    Tenant__V1__Tenant *tenant = tenant_message_unpack(call->ctx.arena, found.value, id);
    if (tenant != NULL)
        answer_source(call, found.source == CACHE_MEMORY ? "memory" : "redis", found.age_ns);
    return tenant;
}

int tenant_cache_lookup(struct call *call, const char *slug, Tenant__V1__Tenant **tenant)
{
    const struct service_env *env = call->service;
    struct cache_found found;
    struct slice key = cache_key_slug(&call->ctx, slice_of_str(slug));
    if (!cache_get(env->cache, &call->ctx, key, &found))
        return OK;
    if (slice_is(found.value, ABSENT))
        return TENANT_NOT_FOUND;
    struct uuid id;
    if (!id_parse(ID_TENANT, found.value, &id))
        return OK;
    Tenant__V1__Tenant *cached = tenant_cache_get(call, &id, (struct epoch){0, 0});
    if (cached != NULL && strcmp(cached->slug, slug) == 0) /* it may have moved on to another slug */
        *tenant = cached;
    return OK;
}

void tenant_cache_put(struct call *call, const struct tenant *tenant,
                      const Tenant__V1__Tenant *message, const struct epoch_seen *seen,
                      uint64_t began_ns)
{
    (void)seen;
    const struct service_env *env = call->service;
    assert(tenant->home_region == env->region);
    const struct cache_item item = {
        .key = profile_key(call, &tenant->id),
        .value = tenant_message_pack(call->ctx.arena, message),
        .version = (uint64_t)tenant->version,
        .read_began_ns = began_ns,
    };
    cache_put(env->cache, &item);
    put_slug(call, tenant->slug, tenant, began_ns, false);
}

void tenant_cache_put_absent(struct call *call, const char *slug, uint64_t began_ns)
{
    put_slug(call, slug, NULL, began_ns, false);
}

void tenant_cache_written(struct call *call, const struct tenant_written *written)
{
    const struct service_env *env = call->service;
    const struct tenant *tenant = written->tenant;
    const struct cache_item item = {
        .key = profile_key(call, &tenant->id),
        .value = tenant_message_pack(call->ctx.arena, written->message),
        .version = (uint64_t)tenant->version,
        .read_began_ns = written->began_ns,
    };
    cache_written(env->cache, &item);
    put_slug(call, tenant->slug, tenant, written->began_ns, true);
    if (written->old_slug != NULL && strcmp(written->old_slug, tenant->slug) != 0)
        cache_forget(env->cache, cache_key_slug(&call->ctx, slice_of_str(written->old_slug)));
}

void tenant_cache_forget(struct call *call, const struct tenant *tenant, const char *old_slug)
{
    const struct service_env *env = call->service;
    cache_forget(env->cache, profile_key(call, &tenant->id));
    cache_forget(env->cache, cache_key_slug(&call->ctx, slice_of_str(tenant->slug)));
    if (old_slug != NULL)
        cache_forget(env->cache, cache_key_slug(&call->ctx, slice_of_str(old_slug)));
}

void answer_from_primary(struct call *call)
{
    answer_source(call, "primary", 0);
}

static struct slice profile_key(struct call *call, const struct uuid *id)
{
    char text[ID_TEXT_SIZE];
    id_format(ID_TENANT, id, text);
    return cache_key_profile(&call->ctx, slice_of_str(text));
}

/* A slug passes from tenant to tenant, so its versions are the times of the changes; "none" has none. */
static void put_slug(struct call *call, const char *slug, const struct tenant *tenant,
                     uint64_t began_ns, bool written)
{
    const struct service_env *env = call->service;
    char id[ID_TEXT_SIZE] = ABSENT;
    if (tenant != NULL)
        id_format(ID_TENANT, &tenant->id, id);
    const struct cache_item item = {
        .key = cache_key_slug(&call->ctx, slice_of_str(slug)),
        .value = slice_of_str(id),
        .version = tenant == NULL ? 0 : tenant->update_time_us,
        .read_began_ns = began_ns,
    };
    if (written)
        cache_written(env->cache, &item);
    else
        cache_put(env->cache, &item);
}

/* Headers are set once: a slug found in memory whose tenant came from Redis came from Redis. */
static void answer_source(struct call *call, const char *source, uint64_t age_ns)
{
    char age[24];
    snprintf(age, sizeof age, "%llu", (unsigned long long)(age_ns / NS_PER_MS));
    call_set_header(call, "x-source", slice_of_str(source));
    call_set_header(call, "x-staleness-ms", slice_of_str(age));
}
