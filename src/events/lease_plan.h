/* Which shards a relay should hold: a fair share among the relays that live.  Pure arithmetic. */
#ifndef EVENTS_LEASE_PLAN_H
#define EVENTS_LEASE_PLAN_H

#include "events/subjects.h"

#include <stddef.h>
#include <stdint.h>

#define LEASE_OWNER_SIZE 80 /* an instance's name with its terminator */

struct lease_view {
    char owner[LEASE_OWNER_SIZE]; /* "" when nobody holds it, or the lease has run out */
};

/* Everything that is known of the leases at one moment. */
struct lease_table {
    struct lease_view shards[PARTITION_COUNT];
    size_t live_owners; /* relays alive, the asking one included: at least 1 */
    size_t poorest;     /* shards of the living relay that has fewest, the asking one left out;
                         * PARTITION_COUNT when there is no other */
};

/* Bit i: shard i. */
struct lease_plan {
    uint16_t take;    /* free ones to claim */
    uint16_t release; /* own ones to give up, for relays that have too few */
};

/* `start` chooses where claiming begins, so that relays starting together rarely want the same. */
struct lease_plan lease_plan_make(const struct lease_table *table, const char *self, unsigned start);

#endif
