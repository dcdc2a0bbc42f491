/* What Redis says about where slots are: the answer to CLUSTER SLOTS, and MOVED and ASK. */
#ifndef CACHE_SLOT_MAP_H
#define CACHE_SLOT_MAP_H

#include "cache/key_slot.h"
#include "cache/redis_reply.h"
#include "cache/redis_url.h"

#include <stdbool.h>

struct slot_range {
    uint16_t first;
    uint16_t last; /* inclusive, below KEY_SLOTS */
    struct redis_address master;
};

/* One element of CLUSTER SLOTS: [first, last, [host, port, id, …], replicas…].  An empty or null host means
 * "where you asked": `asked`.  False: nonsense, or a host that is no address. */
bool slot_range_read(const struct redis_reply *element, const struct redis_address *asked,
                     struct slot_range *range);

struct slot_redirect {
    bool ask; /* this once; else MOVED: from now on */
    uint16_t slot;
    struct redis_address target;
};

/* "MOVED 3999 127.0.0.1:6381"; an empty host means `asked`.  False: another kind of reply, or nonsense. */
bool slot_redirect_read(const struct redis_reply *reply, const struct redis_address *asked,
                        struct slot_redirect *redirect);

#endif
