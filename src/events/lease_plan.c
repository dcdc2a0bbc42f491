/* Fair shares.  Called by the relay each time it renews its leases.
 *
 * With n relays alive everybody ends between floor(16/n) and ceil(16/n) shards: claim free ones up to the
 * ceiling, release what is above it, and release one above the floor while somebody is below it. */
#include "events/lease_plan.h"

#include <assert.h>
#include <string.h>

static size_t shards_count(const struct lease_table *table, const char *owner);

struct lease_plan lease_plan_make(const struct lease_table *table, const char *self, unsigned start)
{
    assert(table->live_owners >= 1 && self[0] != '\0');
    size_t floor = PARTITION_COUNT / table->live_owners;
    size_t ceiling = (PARTITION_COUNT + table->live_owners - 1) / table->live_owners;
    size_t mine = shards_count(table, self);
    size_t free_ones = shards_count(table, "");
    size_t keep = ceiling;
    if (free_ones == 0 && table->poorest < floor)
        keep = floor > 0 && mine > floor ? mine - 1 : mine;
    if (keep > ceiling)
        keep = ceiling;
    struct lease_plan plan = {0};
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        unsigned shard = (start + i) % PARTITION_COUNT;
        const char *owner = table->shards[shard].owner;
        if (owner[0] == '\0' && mine < ceiling) {
            plan.take |= (uint16_t)(1u << shard);
            mine++;
        } else if (strcmp(owner, self) == 0 && mine > keep) {
            plan.release |= (uint16_t)(1u << shard);
            mine--;
        }
    }
    return plan;
}

static size_t shards_count(const struct lease_table *table, const char *owner)
{
    size_t count = 0;
    for (unsigned shard = 0; shard < PARTITION_COUNT; shard++)
        count += strcmp(table->shards[shard].owner, owner) == 0;
    return count;
}
