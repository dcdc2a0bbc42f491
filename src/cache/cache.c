/* The room's face: memory first, then Redis; what either says is judged by age and version.
 *
 * Ages.  An item's life begins with its database read, on the clock of the worker that read.  In Redis the
 * moment stands as µs of the node's clock, converted so that it is never later than the truth: from the last
 * answer to TIME, counting from its receipt.  The entry's end (PXAT) is absolute, and the script refuses
 * what is past it, so that a command which waits in the socket of a stopped node does no harm.  A reader asks
 * for TIME after GET and counts the age it finds from before it asked: again never too young. */
#include "cache/cache.h"

#include "base/alloc.h"
#include "base/clock.h"

#include "cache/cache_metrics.h"
#include "cache/memory.h"
#include "cache/redis_cluster.h"
#include "cache/stored_value.h"
#include "tls/tls.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OP_TIMEOUT_NS (10 * NS_PER_MS)
/* How far the wall clocks of two replicas may be apart before the shared cache does without them. */
#define WALL_SKEW_US INT64_C(1000000)

struct cache {
    struct cache_memory *memory;
    struct redis_cluster *redis; /* NULL: memory only */
    struct tls_context *tls;     /* referenced; NULL: none */
    struct cache_metrics counted;
};

/* KEYS[1] the key; ARGV[1] the value, ARGV[2] its end in ms of this node's clock.  An entry without an end
 * near by is none of ours and protects nothing. */
static const char store_script[] =
    "local old = redis.pcall('GET', KEYS[1])\n"
    "if type(old) == 'string' and string.sub(old, 1, 4) == 'tc1:' and\n"
    "    redis.call('PTTL', KEYS[1]) > 0 and redis.call('PTTL', KEYS[1]) <= 60000 then\n"
    "  local high = tonumber(string.sub(old, 13, 20), 16)\n"
    "  local low = tonumber(string.sub(old, 21, 28), 16)\n"
    "  local new_high = tonumber(string.sub(ARGV[1], 13, 20), 16)\n"
    "  local new_low = tonumber(string.sub(ARGV[1], 21, 28), 16)\n"
    "  if high and low and (high > new_high or high == new_high and low > new_low) then\n"
    "    return 0\n"
    "  end\n"
    "end\n"
    "local now = redis.call('TIME')\n"
    "if now[1] * 1000 + math.floor(now[2] / 1000) >= tonumber(ARGV[2]) then\n"
    "  return -1\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])\n"
    "return 1\n";
_Static_assert(STORED_VERSION_AT == 12, "the script reads the version there");

static int redis_open(struct ctx *ctx, struct loop *loop, const struct cache_settings *settings,
                      struct cache *cache);
static struct slice key_make(struct ctx *ctx, const char *before, struct slice tag,
                             const char *after);
static bool get_from_memory(struct cache *cache, struct ctx *ctx, struct slice key,
                            struct cache_found *found);
static bool get_from_redis(struct cache *cache, struct ctx *ctx, struct slice key,
                           struct cache_found *found);
static bool item_judge(struct cache *cache, const struct redis_value *value, struct slice key,
                       struct cache_item *item);
static void redis_store(struct cache *cache, const struct cache_item *item);

int cache_open(struct ctx *ctx, struct loop *loop, const struct cache_settings *settings,
               struct cache **cache)
{
    assert(settings->memory != NULL && settings->metrics != NULL);
    struct cache *opened = xcalloc(1, sizeof *opened);
    opened->memory = settings->memory;
    cache_metrics_init(&opened->counted, settings->metrics);
    bool shared = settings->redis_url != NULL && settings->redis_url[0] != '\0';
    int result = shared ? redis_open(ctx, loop, settings, opened) : OK;
    if (result != OK) {
        cache_close(opened);
        return result;
    }
    *cache = opened;
    return OK;
}

void cache_close(struct cache *cache)
{
    if (cache == NULL)
        return;
    redis_cluster_free(cache->redis);
    tls_context_unref(cache->tls);
    free(cache);
}

bool cache_is_whole(const struct cache *cache)
{
    return cache->redis == NULL || redis_cluster_is_whole(cache->redis);
}

struct slice cache_key_profile(struct ctx *ctx, struct slice tenant_id)
{
    return key_make(ctx, "tenants/{", tenant_id, "}/profile");
}

struct slice cache_key_slug(struct ctx *ctx, struct slice slug)
{
    return key_make(ctx, "slugs/{", slug, "}");
}

bool cache_get(struct cache *cache, struct ctx *ctx, struct slice key, struct cache_found *found)
{
    if (get_from_memory(cache, ctx, key, found)) {
        metric_inc(cache->counted.lookups[LOOKUP_MEMORY]);
        return true;
    }
    if (cache->redis != NULL && get_from_redis(cache, ctx, key, found)) {
        metric_inc(cache->counted.lookups[LOOKUP_REDIS]);
        return true;
    }
    metric_inc(cache->counted.lookups[LOOKUP_MISS]);
    return false;
}

void cache_put(struct cache *cache, const struct cache_item *item)
{
    switch (memory_put(cache->memory, item)) {
    case MEMORY_KEPT:
    case MEMORY_NOT_KEPT:
        redis_store(cache, item);
        return;
    case MEMORY_OLDER:
        metric_inc(cache->counted.puts[PUT_OLDER]);
        return;
    case MEMORY_STALE:
        metric_inc(cache->counted.puts[PUT_STALE]);
        return;
    }
}

void cache_written(struct cache *cache, const struct cache_item *item)
{
    memory_written(cache->memory, item);
    redis_store(cache, item);
}

void cache_forget(struct cache *cache, struct slice key)
{
    memory_forget(cache->memory, key);
}

static int redis_open(struct ctx *ctx, struct loop *loop, const struct cache_settings *settings,
                      struct cache *cache)
{
    struct redis_url url;
    TRY(redis_url_parse(ctx, slice_of_str(settings->redis_url), &url));
    if (url.tls && settings->tls == NULL)
        return FAULT(ctx, FAULT_CONFIG,
                     "redis.url is rediss://, which needs tls.cert_file, "
                     "tls.key_file and tls.ca_file");
    if (url.tls)
        cache->tls = tls_context_ref(settings->tls);
    cache->redis = redis_cluster_new(&(struct redis_cluster_settings){
        .loop = loop,
        .url = &url,
        .tls = cache->tls,
        .script = store_script,
        .op_timeout_ns = settings->op_timeout_ns == 0 ? OP_TIMEOUT_NS : settings->op_timeout_ns,
        .counted = &cache->counted,
        .log = settings->log,
    });
    return OK;
}

/* A brace inside the tag would move the key to another slot, or into another tenant's name space. */
static struct slice key_make(struct ctx *ctx, const char *before, struct slice tag,
                             const char *after)
{
    assert(tag.size > 0 && tag.size <= CACHE_KEY_MAX - 32);
    assert(memchr(tag.data, '{', tag.size) == NULL && memchr(tag.data, '}', tag.size) == NULL);
    char *text =
        arena_printf(ctx->arena, "%s%.*s%s", before, (int)tag.size, (const char *)tag.data, after);
    return slice_of_str(text);
}

static bool get_from_memory(struct cache *cache, struct ctx *ctx, struct slice key,
                            struct cache_found *found)
{
    struct memory_hit hit;
    if (!memory_get(cache->memory, key, ctx->arena, &hit))
        return false;
    *found = (struct cache_found){
        .value = hit.value, .version = hit.version, .source = CACHE_MEMORY, .age_ns = hit.age_ns};
    return true;
}

static bool get_from_redis(struct cache *cache, struct ctx *ctx, struct slice key,
                           struct cache_found *found)
{
    struct redis_value value;
    struct cache_item item;
    if (redis_cluster_get(cache->redis, ctx, key, &value) != OK || !value.exists ||
        !item_judge(cache, &value, key, &item))
        return false;
    switch (memory_put(cache->memory, &item)) {
    case MEMORY_KEPT:
    case MEMORY_NOT_KEPT:
        break;
    case MEMORY_OLDER: /* it may be that what is newer can be given */
        return get_from_memory(cache, ctx, key, found);
    case MEMORY_STALE:
        return false;
    }
    *found = (struct cache_found){.value = item.value,
                                  .version = item.version,
                                  .source = CACHE_REDIS,
                                  .age_ns = clock_now() - item.read_began_ns};
    return true;
}

/* Turns what Redis holds into an item on our clock. */
static bool item_judge(struct cache *cache, const struct redis_value *value, struct slice key,
                       struct cache_item *item)
{
    struct stored_value stored;
    if (!stored_value_decode(value->bytes, key, &stored)) {
        metric_inc(cache->counted.troubles[TROUBLE_VALUE]);
        return false;
    }
    uint64_t max_age_us = memory_max_age_ns(cache->memory) / NS_PER_US;
    int64_t age_us = (int64_t)(value->time_us + 1 - stored.began_us); /* TIME is rounded down */
    int64_t wall_age_us = (int64_t)(clock_wall() / NS_PER_US - stored.wall_us);
    if (age_us < 0 || wall_age_us < -WALL_SKEW_US ||
        wall_age_us > (int64_t)max_age_us + WALL_SKEW_US) {
        metric_inc(cache->counted.troubles[TROUBLE_CLOCK]);
        return false;
    }
    if ((uint64_t)age_us >= max_age_us || (uint64_t)age_us * NS_PER_US > value->asked_ns)
        return false;
    *item = (struct cache_item){.key = key,
                                .value = stored.value,
                                .version = stored.version,
                                .read_began_ns = value->asked_ns - (uint64_t)age_us * NS_PER_US};
    return true;
}

static void redis_store(struct cache *cache, const struct cache_item *item)
{
    struct metric **puts = cache->counted.puts;
    enum cache_put_fate why = PUT_LARGE;
    if (cache->redis == NULL)
        return;
    uint64_t now = clock_now();
    uint64_t age = now - item->read_began_ns;
    struct stored_value stored = {.version = item->version,
                                  .wall_us = (clock_wall() - age) / NS_PER_US,
                                  .key = item->key,
                                  .value = item->value};
    if (item->value.size <= CACHE_VALUE_MAX)
        stored.began_us =
            redis_cluster_clock_at(cache->redis, item->key, item->read_began_ns, &why);
    if (stored.began_us == 0) {
        metric_inc(puts[why]);
        return;
    }
    if (age >= memory_max_age_ns(cache->memory)) {
        metric_inc(puts[PUT_STALE]);
        return;
    }
    struct buf bytes = BUF_EMPTY;
    char end[24];
    uint64_t end_us = stored.began_us + memory_max_age_ns(cache->memory) / NS_PER_US;
    int size = snprintf(end, sizeof end, "%" PRIu64, end_us / 1000);
    stored_value_encode(&stored, &bytes);
    redis_cluster_store(cache->redis, item->key,
                        (struct slice[]){buf_slice(&bytes), slice_make(end, (size_t)size)}, 2);
    buf_deinit(&bytes);
}
