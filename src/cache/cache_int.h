/* A worker's cache from inside, and the readings under way in it.  Of this room alone. */
#ifndef CACHE_CACHE_INT_H
#define CACHE_CACHE_INT_H

#include "cache/cache.h"
#include "cache/cache_metrics.h"

#define FLIGHT_CHAINS 64

struct redis_cluster;

struct cache {
    struct cache_memory *memory;
    struct redis_cluster *redis; /* NULL: memory only */
    struct tls_context *tls;     /* referenced; NULL: none */
    struct cache_metrics counted;
    struct list flights[FLIGHT_CHAINS]; /* by the key's hash; of those that lead */
};

void flights_init(struct cache *cache);
void flights_deinit(struct cache *cache);

#endif
