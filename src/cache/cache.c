/* The room's face: memory first, then Redis; what either says is judged by its rule.
 *
 * CACHE_EPOCH and CACHE_HINT need no clock: an entry in Redis lives for ten minutes, and whether it is still
 * good is found out by whoever reads it.
 *
 * CACHE_AGED.  An item's life begins with its database read, on the clock of the worker that read.  In Redis
 * the moment stands as µs of the node's clock, converted so that it is never later than the truth: from the
 * last answer to TIME, counting from its receipt.  The entry's end (PXAT) is absolute, and the script refuses
 * what is past it, so that a command which waits in the socket of a stopped node does no harm.  A reader asks
 * for TIME after GET and counts the age it finds from before it asked: again never too young. */
#include "cache/cache.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"

#include "cache/cache_int.h"
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
/* Entries that were made together do not end together. */
#define LIFE_JITTER_NS (60 * NS_PER_S)

/* KEYS[1] the key; ARGV[1] the value, ARGV[2] and ARGV[3] its end: 'PXAT' and ms of this node's clock, or 'PX'
 * and ms from now.  Answers 1 stored, 0 a newer one is there, -1 too late.  An entry without an end near by is
 * none of ours and protects nothing. */
static const char store_script[] =
    "local old = redis.pcall('GET', KEYS[1])\n"
    "if type(old) == 'string' and string.sub(old, 1, 4) == 'tc2:' and\n"
    "    string.sub(old, 13, 29) == string.sub(ARGV[1], 13, 29) and\n"
    "    redis.call('PTTL', KEYS[1]) > 0 and redis.call('PTTL', KEYS[1]) <= 660000 then\n"
    "  for at = 30, 86, 8 do\n"
    "    local there = tonumber(string.sub(old, at, at + 7), 16)\n"
    "    local here = tonumber(string.sub(ARGV[1], at, at + 7), 16)\n"
    "    if not there or not here or there < here then break end\n"
    "    if there > here then return 0 end\n"
    "  end\n"
    "end\n"
    "if ARGV[2] == 'PXAT' then\n"
    "  local now = redis.call('TIME')\n"
    "  if now[1] * 1000 + math.floor(now[2] / 1000) >= tonumber(ARGV[3]) then\n"
    "    return -1\n"
    "  end\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[1], ARGV[2], ARGV[3])\n"
    "return 1\n";
_Static_assert(STORED_RULE_AT == 12 && STORED_RANK_AT == 29, "the script compares there");

/* What stands in Redis, and how old it is. */
struct redis_found {
    struct redis_value value;
    struct stored_value stored;
    uint64_t age_ns;
};

static int redis_open(struct ctx *ctx, struct loop *loop, const struct cache_settings *settings,
                      struct cache *cache);
static struct slice key_make(struct ctx *ctx, const char *before, struct slice tag,
                             const char *after);
static bool get_from_memory(struct cache *cache, struct ctx *ctx, struct slice key,
                            const struct cache_want *want, struct cache_found *found);
static bool get_from_redis(struct cache *cache, struct ctx *ctx, struct slice key,
                           const struct cache_want *want, struct cache_found *found);
static bool redis_judge(struct cache *cache, struct slice key, const struct cache_want *want,
                        struct redis_found *there);
static bool age_judge(struct cache *cache, struct redis_found *there);
static bool epoch_judge(struct cache *cache, const struct cache_want *want,
                        struct redis_found *there);
static void refused(struct cache *cache, enum epoch_verdict why);
static void redis_store(struct cache *cache, const struct cache_item *item);
static void store_aged(struct cache *cache, const struct cache_item *item);
static void store_send(struct cache *cache, const struct stored_value *stored, const char *unit,
                       uint64_t end_ms);

int cache_open(struct ctx *ctx, struct loop *loop, const struct cache_settings *settings,
               struct cache **cache)
{
    assert(settings->memory != NULL && settings->metrics != NULL);
    struct cache *opened = xcalloc(1, sizeof *opened);
    opened->memory = settings->memory;
    cache_metrics_init(&opened->counted, settings->metrics);
    flights_init(opened);
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
    flights_deinit(cache);
    redis_cluster_free(cache->redis);
    tls_context_unref(cache->tls);
    free(cache);
}

bool cache_renew_password(struct cache *cache, struct ctx *ctx, const char *redis_url)
{
    struct redis_url url;
    if (cache->redis == NULL || redis_url_parse(ctx, slice_of_str(redis_url), &url) != OK)
        return false;
    return redis_cluster_renew_password(cache->redis, &url);
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

/* Nothing is asked of Redis that no answer could be believed of. */
bool cache_get(struct cache *cache, struct ctx *ctx, struct slice key,
               const struct cache_want *want, struct cache_found *found)
{
    const struct epoch_view *view = memory_view(cache->memory);
    if (get_from_memory(cache, ctx, key, want, found)) {
        metric_inc(cache->counted.lookups[LOOKUP_MEMORY]);
        return true;
    }
    bool of_use = want == NULL || (view != NULL && epoch_view_is_fresh(view));
    if (of_use && cache->redis != NULL && get_from_redis(cache, ctx, key, want, found)) {
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

void cache_reject(struct cache *cache, struct slice key)
{
    metric_inc(cache->counted.troubles[TROUBLE_VALUE]);
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
    size_t head = strlen(before), tail = strlen(after);
    char *text = arena_alloc_raw(ctx->arena, head + tag.size + tail); /* on the hot path: no printf */
    memcpy(text, before, head);
    memcpy(text + head, tag.data, tag.size);
    memcpy(text + head + tag.size, after, tail);
    return slice_make(text, head + tag.size + tail);
}

static bool get_from_memory(struct cache *cache, struct ctx *ctx, struct slice key,
                            const struct cache_want *want, struct cache_found *found)
{
    struct memory_hit hit;
    const struct memory_ask ask = {key, want, ctx->arena};
    switch (memory_get(cache->memory, &ask, &hit)) {
    case MEMORY_HIT:
        break;
    case MEMORY_MISS:
        return false;
    case MEMORY_REFUSED:
        refused(cache, hit.why);
        return false;
    case MEMORY_TOO_EARLY:
        metric_inc(cache->counted.refusals[REFUSED_TOO_EARLY]);
        return false;
    }
    *found = (struct cache_found){.value = hit.value,
                                  .version = hit.version,
                                  .source = CACHE_MEMORY,
                                  .rule = hit.rule,
                                  .age_ns = hit.age_ns};
    return true;
}

static bool get_from_redis(struct cache *cache, struct ctx *ctx, struct slice key,
                           const struct cache_want *want, struct cache_found *found)
{
    struct redis_found there;
    const struct stored_value *stored = &there.stored;
    if (redis_cluster_get(cache->redis, ctx, key, &there.value) != OK || !there.value.exists ||
        !redis_judge(cache, key, want, &there))
        return false;
    struct cache_item item = {.key = key,
                              .value = stored->value,
                              .version = stored->version,
                              .rule = stored->rule,
                              .seen = stored->stamp.seen};
    if (stored->rule == CACHE_AGED)
        item.read_began_ns = clock_now() - there.age_ns;
    switch (memory_put_shared(cache->memory, &item, stored->stamp.era)) {
    case MEMORY_KEPT:
    case MEMORY_NOT_KEPT:
        break;
    case MEMORY_OLDER: /* it may be that what is newer can be given */
        return get_from_memory(cache, ctx, key, want, found);
    case MEMORY_STALE:
        return false;
    }
    *found = (struct cache_found){.value = stored->value,
                                  .version = stored->version,
                                  .source = CACHE_REDIS,
                                  .rule = stored->rule,
                                  .age_ns = there.age_ns};
    return true;
}

/* Whether what Redis holds may be given, and how old it is.  No key has values of epochs and others. */
static bool redis_judge(struct cache *cache, struct slice key, const struct cache_want *want,
                        struct redis_found *there)
{
    if (!stored_value_decode(there->value.bytes, key, &there->stored) ||
        (want != NULL) != (there->stored.rule == CACHE_EPOCH)) {
        metric_inc(cache->counted.troubles[TROUBLE_VALUE]);
        return false;
    }
    switch (there->stored.rule) {
    case CACHE_AGED:
        return age_judge(cache, there);
    case CACHE_HINT:
        there->age_ns = 0;
        return true;
    case CACHE_EPOCH:
        return epoch_judge(cache, want, there);
    }
    abort();
}

/* The age by the node's clock, counted from before we asked. */
static bool age_judge(struct cache *cache, struct redis_found *there)
{
    uint64_t max_age_us = memory_max_age_ns(cache->memory) / NS_PER_US;
    uint64_t asked_ns = there->value.asked_ns;
    int64_t age_us =
        (int64_t)(there->value.time_us + 1 - there->stored.began_us); /* TIME is rounded down */
    int64_t wall_age_us = (int64_t)(clock_wall() / NS_PER_US - there->stored.wall_us);
    if (age_us < 0 || wall_age_us < -WALL_SKEW_US ||
        wall_age_us > (int64_t)max_age_us + WALL_SKEW_US) {
        metric_inc(cache->counted.troubles[TROUBLE_CLOCK]);
        return false;
    }
    if ((uint64_t)age_us >= max_age_us || (uint64_t)age_us * NS_PER_US > asked_ns)
        return false;
    there->age_ns = (uint64_t)age_us * NS_PER_US + clock_now() - asked_ns;
    return true;
}

static bool epoch_judge(struct cache *cache, const struct cache_want *want,
                        struct redis_found *there)
{
    const struct epoch_stamp *stamp = &there->stored.stamp;
    struct epoch_view *view = memory_view(cache->memory);
    assert(view != NULL);
    if (epoch_compare(stamp->seen.epoch, want->at_least) < 0) {
        metric_inc(cache->counted.refusals[REFUSED_TOO_EARLY]);
        return false;
    }
    enum epoch_verdict why = epoch_view_judge(view, &want->tenant, stamp, &there->age_ns);
    if (why == EPOCH_GOOD)
        return true;
    refused(cache, why);
    return false;
}

static void refused(struct cache *cache, enum epoch_verdict why)
{
    static const enum cache_refusal refusals[EPOCH_VERDICT_COUNT] = {
        [EPOCH_VIEW_STALE] = REFUSED_VIEW_STALE,
        [EPOCH_OLDER] = REFUSED_OLDER,
        [EPOCH_BELOW_BASE] = REFUSED_BELOW_BASE,
        [EPOCH_OTHER_ERA] = REFUSED_OTHER_ERA,
    };
    assert(why != EPOCH_GOOD);
    metric_inc(cache->counted.refusals[refusals[why]]);
}

static void redis_store(struct cache *cache, const struct cache_item *item)
{
    struct stored_value stored = {
        .rule = item->rule, .version = item->version, .key = item->key, .value = item->value};
    if (cache->redis == NULL)
        return;
    if (item->value.size > CACHE_VALUE_MAX) {
        metric_inc(cache->counted.puts[PUT_LARGE]);
        return;
    }
    if (item->rule == CACHE_AGED) {
        store_aged(cache, item);
        return;
    }
    stored.stamp.seen = item->seen;
    struct epoch_view *view = memory_view(cache->memory);
    if (item->rule == CACHE_EPOCH &&
        (view == NULL || !epoch_view_era(view, item->read_began_ns, &stored.stamp.era))) {
        metric_inc(cache->counted.puts[PUT_STALE]);
        return;
    }
    store_send(cache, &stored, "PX", (MEMORY_LIFE_NS - random_below(LIFE_JITTER_NS)) / NS_PER_MS);
}

static void store_aged(struct cache *cache, const struct cache_item *item)
{
    struct metric **puts = cache->counted.puts;
    enum cache_put_fate why = PUT_UNREACHABLE;
    uint64_t age = clock_now() - item->read_began_ns;
    const struct stored_value stored = {
        .rule = item->rule,
        .version = item->version,
        .began_us = redis_cluster_clock_at(cache->redis, item->key, item->read_began_ns, &why),
        .wall_us = (clock_wall() - age) / NS_PER_US,
        .key = item->key,
        .value = item->value,
    };
    if (stored.began_us == 0) {
        metric_inc(puts[why]);
        return;
    }
    if (age >= memory_max_age_ns(cache->memory)) {
        metric_inc(puts[PUT_STALE]);
        return;
    }
    uint64_t end_us = stored.began_us + memory_max_age_ns(cache->memory) / NS_PER_US;
    store_send(cache, &stored, "PXAT", end_us / 1000);
}

static void store_send(struct cache *cache, const struct stored_value *stored, const char *unit,
                       uint64_t end_ms)
{
    struct buf bytes = BUF_EMPTY;
    char end[24];
    int size = snprintf(end, sizeof end, "%" PRIu64, end_ms);
    stored_value_encode(stored, &bytes);
    redis_cluster_store(
        cache->redis, stored->key,
        (struct slice[]){buf_slice(&bytes), slice_of_str(unit), slice_make(end, (size_t)size)}, 3);
    buf_deinit(&bytes);
}
