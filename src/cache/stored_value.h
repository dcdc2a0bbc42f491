/* What stands in Redis under a key: the value, and before it what makes it safe to believe.
 *
 *   "tc2:" | checksum 8 | rule 1 | era 16 | incarnation 16 | counter 16 | version 16 | xmin 16 | began 16 |
 *   wall 16 | key size 4 | key | value                                                  (digits: lower hex)
 *
 * checksum  FNV-1a 32 of all that follows
 * rule      a, h or e: CACHE_AGED, _HINT, _EPOCH; what follows is 0 where the rule does not need it
 * era, incarnation, counter, xmin  the epoch that it shows, as epoch_view.h has them
 * version   of the value.  The script that stores keeps the entry whose digits from incarnation to xmin
 *           are the higher, among those of one rule and era
 * began     when its database read began, µs of THIS NODE'S clock, never later than the truth
 * wall      the same moment on the writer's clock, µs: a second opinion, in case the node's clock was
 *           set back
 * key       the value answers for this key only */
#ifndef CACHE_STORED_VALUE_H
#define CACHE_STORED_VALUE_H

#include "base/buf.h"
#include "base/slice.h"

#include "cache/cache.h"
#include "cache/epoch_view.h"

#include <stdbool.h>
#include <stdint.h>

#define STORED_MAGIC "tc2:"
#define STORED_HEAD_SIZE 129
#define STORED_RULE_AT 12 /* of rule and era: the script compares only what has the same … */
#define STORED_RANK_AT 29 /* … and keeps the higher of these 64 digits */

struct stored_value {
    enum cache_rule rule;
    struct epoch_stamp stamp; /* of CACHE_EPOCH */
    uint64_t version;
    uint64_t began_us; /* of CACHE_AGED; node's clock … */
    uint64_t wall_us;  /* … and writer's */
    struct slice key;
    struct slice value;
};

void stored_value_encode(const struct stored_value *stored, struct buf *out);

/* Slices point into `bytes`.  False: not ours, damaged, or of another key. */
bool stored_value_decode(struct slice bytes, struct slice key, struct stored_value *stored);

#endif
