/* Hashes that leave the process are named algorithms; the table hash is keyed per process. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

/* FNV-1a, 32 bits (draft-eastlake-fnv): the partition function of our events. */
uint32_t hash_fnv1a32(struct slice bytes);

/* SipHash-2-4 with a key drawn at process start: for tables fed by foreign bytes, never stored. */
uint64_t hash_table(struct slice bytes);

#endif
