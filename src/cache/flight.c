/* Many tasks miss the same key at once, one reads it; see cache.h.  Flights live on their readers' stacks. */
#include "base/clock.h"
#include "base/hash.h"

#include "cache/cache_int.h"
#include "cache/epoch_view.h"
#include "cache/memory.h"

#include <assert.h>

/* Longer than a read takes; a reader that is stuck must not hold up the others for their whole deadline. */
#define FOLLOW_NS (500 * NS_PER_MS)

static struct list *chain_of(struct cache *cache, struct slice key);
static struct cache_flight *leader_find(struct list *chain, struct slice key);

void flights_init(struct cache *cache)
{
    for (size_t i = 0; i < FLIGHT_CHAINS; i++)
        list_init(&cache->flights[i]);
}

void flights_deinit(struct cache *cache)
{
    for (size_t i = 0; i < FLIGHT_CHAINS; i++)
        assert(list_is_empty(&cache->flights[i]));
}

bool cache_flight_join(struct cache *cache, struct ctx *ctx, struct slice key,
                       struct cache_flight *flight)
{
    assert(ctx->task != NULL && flight->cache == NULL);
    const struct epoch_view *view = memory_view(cache->memory);
    struct list *chain = chain_of(cache, key);
    struct cache_flight *leader = leader_find(chain, key);
    if (leader == NULL) {
        *flight = (struct cache_flight){.cache = cache, .key = key};
        waitq_init(&flight->followers);
        list_push_back(chain, &flight->node);
        return false;
    }
    if (view == NULL || !epoch_view_is_fresh(view))
        return false;
    uint64_t began = clock_now();
    enum wait_result waited =
        waitq_wait(ctx, &leader->followers, deadline_after(began, FOLLOW_NS), NULL);
    metric_inc(cache->counted.coalesced[waited == WAIT_READY ? FLIGHT_FOLLOWED : FLIGHT_LEFT]);
    return waited == WAIT_READY;
}

void cache_flight_end(struct cache_flight *flight)
{
    if (flight->cache == NULL)
        return;
    list_remove(chain_of(flight->cache, flight->key), &flight->node);
    flight->cache = NULL;
    (void)waitq_wake_all(&flight->followers, NULL);
}

static struct list *chain_of(struct cache *cache, struct slice key)
{
    return &cache->flights[hash_table(key) % FLIGHT_CHAINS];
}

static struct cache_flight *leader_find(struct list *chain, struct slice key)
{
    for (struct list_node *node = list_first(chain); node != NULL; node = list_next(chain, node)) {
        struct cache_flight *flight = list_entry(node, struct cache_flight, node);
        if (slice_equal(flight->key, key))
            return flight;
    }
    return NULL;
}
