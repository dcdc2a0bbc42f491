/* Which shards a relay should hold: a fair share among the relays that live.  Pure arithmetic. */
#ifndef EVENTS_LEASE_PLAN_H
#define EVENTS_LEASE_PLAN_H

#include "store/relay_store.h"

#include <stdint.h>

/* Bit i: shard i. */
struct lease_plan {
    uint16_t take;    /* free ones to claim */
    uint16_t release; /* own ones to give up, for relays that have too few */
};

/* `start` chooses where claiming begins, so that relays starting together rarely want the same. */
struct lease_plan lease_plan_make(const struct relay_leases *table, const char *self,
                                  unsigned start);

#endif
