/* Fair shares.  Called by the relay each time it renews its leases.
 *
 * With n relays alive everybody ends between floor(16/n) and ceil(16/n) shards: claim free ones up to the
 * ceiling, release what is above it, and release one above the floor while somebody is below it. */
#include "events/lease_plan.h"

#include <assert.h>
#include <string.h>

static size_t shards_count(const struct relay_leases *table, const char *owner);

struct lease_plan lease_plan_make(const struct relay_leases *table, const char *self,
                                  unsigned start)
{
    assert(table->live_owners >= 1 && self[0] != '\0');
    /* 16 shards, 3 relays: floor 5, ceiling 6 */
    size_t floor = OUTBOX_SHARDS / table->live_owners;
    size_t ceiling = (OUTBOX_SHARDS + table->live_owners - 1) / table->live_owners;
    size_t mine = shards_count(table, self);
    size_t free_ones = shards_count(table, "");
    assert(mine + free_ones <= OUTBOX_SHARDS);
    size_t keep = ceiling;
    if (free_ones == 0 && table->poorest < floor)
        keep = floor > 0 && mine > floor ? mine - 1 : mine;
    if (keep > ceiling)
        keep = ceiling;
    struct lease_plan plan = {0};
    for (unsigned i = 0; i < OUTBOX_SHARDS; i++) {
        unsigned shard = (start + i) % OUTBOX_SHARDS;
        const char *owner = table->owners[shard];
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

static size_t shards_count(const struct relay_leases *table, const char *owner)
{
    size_t count = 0;
    for (unsigned shard = 0; shard < OUTBOX_SHARDS; shard++)
        count += strcmp(table->owners[shard], owner) == 0;
    return count;
}
