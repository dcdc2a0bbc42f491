/* The table in this process: bounded, least recently used goes first, shared by all workers.
 *
 * Shared, because "on the process that wrote never older than the write" must hold for every worker the
 * moment cache_written() returns.  Sharded, each with a lock held for a look-up and a copy only. */
#ifndef CACHE_MEMORY_H
#define CACHE_MEMORY_H

#include "base/arena.h"

#include "cache/cache.h"
#include "cache/epoch_view.h"

#include <stdbool.h>
#include <stdint.h>

#define MEMORY_LIFE_NS (600 * NS_PER_S) /* of what no age limits */

struct memory_ask {
    struct slice key;
    const struct cache_want *want;
    struct arena *arena; /* for the value */
};

struct memory_hit {
    struct slice value; /* in the arena */
    uint64_t version;
    enum cache_rule rule;
    uint64_t age_ns;
    enum epoch_verdict why; /* the one that is set when it is refused */
};

enum memory_answer {
    MEMORY_HIT,
    MEMORY_MISS,
    MEMORY_REFUSED,  /* the view does not vouch for it: hit->why */
    MEMORY_TOO_EARLY /* of an earlier epoch than was asked for */
};

enum memory_verdict {
    MEMORY_KEPT,
    MEMORY_NOT_KEPT, /* sound, but too large */
    MEMORY_OLDER,    /* older than what this process knows or wrote: may not be answered with */
    MEMORY_STALE,    /* older than max_age, or read in another era: likewise */
};

enum memory_answer memory_get(struct cache_memory *memory, const struct memory_ask *ask,
                              struct memory_hit *hit);
/* What a read of this process's database found … */
enum memory_verdict memory_put(struct cache_memory *memory, const struct cache_item *item);
/* … or another process's, in `era`, at a time that is not known (read_began_ns 0) but for CACHE_AGED. */
enum memory_verdict memory_put_shared(struct cache_memory *memory, const struct cache_item *item,
                                      uint64_t era);
void memory_written(struct cache_memory *memory, const struct cache_item *item);
void memory_forget(struct cache_memory *memory, struct slice key);

uint64_t memory_max_age_ns(const struct cache_memory *memory);
struct epoch_view *memory_view(const struct cache_memory *memory); /* may be NULL */
/* Over all shards; for tests and metrics. */
void memory_usage(struct cache_memory *memory, size_t *entries, size_t *bytes);

#endif
