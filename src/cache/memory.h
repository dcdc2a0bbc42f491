/* The table in this process: bounded, least recently used goes first, shared by all workers.
 *
 * Shared, because "on the process that wrote never older than the write" must hold for every worker the
 * moment cache_written() returns.  Sharded, each with a lock held for a look-up and a copy only. */
#ifndef CACHE_MEMORY_H
#define CACHE_MEMORY_H

#include "base/arena.h"

#include "cache/cache.h"

#include <stdbool.h>
#include <stdint.h>

struct memory_hit {
    struct slice value; /* in the arena */
    uint64_t version;
    uint64_t age_ns;
};

enum memory_verdict {
    MEMORY_KEPT,
    MEMORY_NOT_KEPT, /* sound, but too large */
    MEMORY_OLDER,    /* older than what this process knows or wrote: may not be answered with */
    MEMORY_STALE,    /* older than max_age: likewise */
};

bool memory_get(struct cache_memory *memory, struct slice key, struct arena *arena,
                struct memory_hit *hit);
enum memory_verdict memory_put(struct cache_memory *memory, const struct cache_item *item);
void memory_written(struct cache_memory *memory, const struct cache_item *item);
void memory_forget(struct cache_memory *memory, struct slice key);

uint64_t memory_max_age_ns(const struct cache_memory *memory);
/* Over all shards; for tests and metrics. */
void memory_usage(struct cache_memory *memory, size_t *entries, size_t *bytes);

#endif
