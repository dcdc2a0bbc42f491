/* What stands in Redis under a key: the value, and before it what makes it safe to believe.
 *
 *   "tc1:" | checksum 8 | version 16 | began 16 | wall 16 | key size 4 | key | value      (digits: lower hex)
 *
 * checksum  FNV-1a 32 of all that follows
 * version   of the value; the script that stores compares it
 * began     when its database read began, µs of THIS NODE'S clock, never later than the truth
 * wall      the same moment on the writer's clock, µs: a second opinion, in case the node's clock was
 *           set back
 * key       the value answers for this key only */
#ifndef CACHE_STORED_VALUE_H
#define CACHE_STORED_VALUE_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define STORED_MAGIC "tc1:"
#define STORED_HEAD_SIZE 64
#define STORED_VERSION_AT 12 /* offset of the version's digits */

struct stored_value {
    uint64_t version;
    uint64_t began_us; /* node's clock */
    uint64_t wall_us;  /* writer's clock */
    struct slice key;
    struct slice value;
};

void stored_value_encode(const struct stored_value *stored, struct buf *out);

/* Slices point into `bytes`.  False: not ours, damaged, or of another key. */
bool stored_value_decode(struct slice bytes, struct slice key, struct stored_value *stored);

#endif
