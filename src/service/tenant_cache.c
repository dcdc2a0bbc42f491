/* What the caches keep of tenants; see tenant_cache.h. */
#include "service/tenant_cache.h"

#include "cache/cache.h"
#include "service/tenant_message.h"

#include "gen/errors.h"

#include <assert.h>
#include <string.h>

#define ABSENT "none"   /* the value of a slug that nobody has */
#define DECIMAL_SIZE 20 /* digits of the largest number of 64 bits */

static bool profile_have(struct call *call, struct slice key, const struct cache_want *want,
                         struct cache_found *found);
static bool begins_with_id(struct slice tenant, const char *id);
static struct slice get_reply(struct arena *arena, struct slice tenant);
static Tenant__V1__Tenant *profile_find(struct call *call, struct slice key,
                                        const struct cache_want *want, struct cache_found *found);
static int slug_find(struct call *call, const char *slug, struct slice key,
                     Tenant__V1__Tenant **tenant);
static struct slice profile_key(struct call *call, const struct uuid *id);
static struct cache_item profile_item(struct call *call, const struct tenant *tenant,
                                      const Tenant__V1__Tenant *message,
                                      const struct epoch_seen *seen);
static void put_slug(struct call *call, const char *slug, const struct tenant *tenant,
                     uint64_t began_ns, bool written);
static void answer_from_cache(struct call *call, const struct cache_found *found);
static void answer_source(struct call *call, const char *source, uint64_t age_ns);
static struct slice decimal(uint64_t number, char digits[DECIMAL_SIZE]);

bool tenant_cache_answer(struct call *call, struct epoch at_least, struct cache_flight *flight)
{
    const struct service_env *env = call->service;
    const struct cache_want want = {.tenant = call->tenant, .at_least = at_least};
    struct slice key = cache_key_profile(&call->ctx, slice_of_str(call->ctx.tenant_id));
    struct cache_found found;
    bool there = profile_have(call, key, &want, &found);
    if (!there && cache_flight_join(env->cache, &call->ctx, key, flight))
        there = profile_have(call, key, &want, &found);
    if (!there)
        return false;
    call->stored_reply = get_reply(call->ctx.arena, found.value);
    call->has_stored_reply = true;
    answer_from_cache(call, &found);
    return true;
}

int tenant_cache_lookup(struct call *call, const char *slug, struct cache_flight *flight,
                        Tenant__V1__Tenant **tenant)
{
    const struct service_env *env = call->service;
    struct slice key = cache_key_slug(&call->ctx, slice_of_str(slug));
    TRY(slug_find(call, slug, key, tenant));
    if (*tenant == NULL && cache_flight_join(env->cache, &call->ctx, key, flight))
        TRY(slug_find(call, slug, key, tenant));
    return OK;
}

void tenant_cache_put(struct call *call, const struct tenant *tenant,
                      const Tenant__V1__Tenant *message, const struct epoch_seen *seen,
                      uint64_t began_ns)
{
    const struct service_env *env = call->service;
    assert(tenant->home_region == env->region);
    struct cache_item item = profile_item(call, tenant, message, seen);
    item.read_began_ns = began_ns;
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
    struct cache_item item = profile_item(call, tenant, written->message, written->seen);
    item.read_began_ns = written->began_ns;
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

/* What memory holds was packed here, or came from Redis and is being looked at by another worker just now: so
 * that not even then a caller sees another tenant, the message must begin with the tenant's own id. */
static bool profile_have(struct call *call, struct slice key, const struct cache_want *want,
                         struct cache_found *found)
{
    const struct service_env *env = call->service;
    if (!cache_get(env->cache, &call->ctx, key, want, found))
        return false;
    if (found->source == CACHE_MEMORY && begins_with_id(found->value, call->ctx.tenant_id))
        return true;
    bool good = tenant_message_unpack(call->ctx.arena, found->value, &want->tenant) != NULL;
    if (!good)
        cache_reject(env->cache, key);
    return good;
}

/* Tenant{ tenant_id = 1 }: the tag, the length, the text; the order in which messages are packed. */
static bool begins_with_id(struct slice tenant, const char *id)
{
    static const uint8_t head[] = {1 << 3 | 2, ID_TEXT_SIZE - 1};
    return tenant.size >= sizeof head + ID_TEXT_SIZE - 1 &&
           memcmp(tenant.data, head, sizeof head) == 0 &&
           memcmp(tenant.data + sizeof head, id, ID_TEXT_SIZE - 1) == 0;
}

/* GetTenantResponse{ tenant = 1 } around the packed tenant: the tag, the length as a varint, the bytes. */
static struct slice get_reply(struct arena *arena, struct slice tenant)
{
    uint8_t *bytes = arena_alloc_raw(arena, tenant.size + 11);
    size_t size = 0;
    bytes[size++] = 1 << 3 | 2;
    size_t left = tenant.size;
    for (; left > 0x7F; left >>= 7)
        bytes[size++] = (uint8_t)(left | 0x80);
    bytes[size++] = (uint8_t)left;
    memcpy(bytes + size, tenant.data, tenant.size);
    return slice_make(bytes, size + tenant.size);
}

static Tenant__V1__Tenant *profile_find(struct call *call, struct slice key,
                                        const struct cache_want *want, struct cache_found *found)
{
    const struct service_env *env = call->service;
    if (!cache_get(env->cache, &call->ctx, key, want, found))
        return NULL;
    Tenant__V1__Tenant *tenant =
        tenant_message_unpack(call->ctx.arena, found->value, &want->tenant);
    if (tenant == NULL)
        cache_reject(env->cache, key);
    return tenant;
}

/* An id is a hint only: what counts is whether the tenant has the slug now. */
static int slug_find(struct call *call, const char *slug, struct slice key,
                     Tenant__V1__Tenant **tenant)
{
    const struct service_env *env = call->service;
    struct cache_found found;
    struct cache_want want = {.at_least = {0, 0}};
    if (!cache_get(env->cache, &call->ctx, key, NULL, &found))
        return OK;
    if (found.rule == CACHE_AGED && slice_is(found.value, ABSENT))
        return TENANT_NOT_FOUND;
    if (found.rule != CACHE_HINT || !id_parse(ID_TENANT, found.value, &want.tenant)) {
        cache_reject(env->cache, key);
        return OK;
    }
    Tenant__V1__Tenant *cached = profile_find(call, profile_key(call, &want.tenant), &want, &found);
    if (cached == NULL)
        return OK;
    if (strcmp(cached->slug, slug) != 0) { /* it has moved on to another slug */
        cache_forget(env->cache, key);
        return OK;
    }
    *tenant = cached;
    answer_from_cache(call, &found);
    return OK;
}

static struct slice profile_key(struct call *call, const struct uuid *id)
{
    char text[ID_TEXT_SIZE];
    id_format(ID_TENANT, id, text);
    return cache_key_profile(&call->ctx, slice_of_str(text));
}

static struct cache_item profile_item(struct call *call, const struct tenant *tenant,
                                      const Tenant__V1__Tenant *message,
                                      const struct epoch_seen *seen)
{
    return (struct cache_item){
        .key = profile_key(call, &tenant->id),
        .value = tenant_message_pack(call->ctx.arena, message),
        .version = (uint64_t)tenant->version,
        .rule = CACHE_EPOCH,
        .tenant = tenant->id,
        .seen = *seen,
    };
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
        .rule = tenant == NULL ? CACHE_AGED : CACHE_HINT,
    };
    if (written)
        cache_written(env->cache, &item);
    else
        cache_put(env->cache, &item);
}

static void answer_from_cache(struct call *call, const struct cache_found *found)
{
    answer_source(call, found->source == CACHE_MEMORY ? "memory" : "redis", found->age_ns);
}

static void answer_source(struct call *call, const char *source, uint64_t age_ns)
{
    char digits[DECIMAL_SIZE];
    call_set_header(call, "x-source", slice_of_str(source));
    call_set_header(call, "x-staleness-ms", decimal(age_ns / NS_PER_MS, digits));
}

/* In front of `digits`' end.  No printf: it took 2 % of an answer from memory. */
static struct slice decimal(uint64_t number, char digits[DECIMAL_SIZE])
{
    size_t first = DECIMAL_SIZE;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return slice_make(digits + first, DECIMAL_SIZE - first);
}
