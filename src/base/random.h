/* Randomness and retry pauses. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Cryptographically strong bytes from getrandom(2), fetched ahead; aborts if the kernel has none.  Any
 * thread; a child after fork() draws its own. */
void random_bytes(void *out, size_t size);
/* Bytes for names that only have to be different, such as trace and request ids: xoshiro256++ (Blackman and
 * Vigna 2021), seeded from getrandom(2) per thread.  Who sees some can tell the next: never for keys, tokens or
 * ids that grant something. */
void random_name_bytes(void *out, size_t size);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(uint64_t bound);

/* Exponential backoff with full jitter: uniform in [floor, min(cap, floor * 2^attempt)].
 * attempt counts from 0.  All in nanoseconds. */
uint64_t backoff_ns(unsigned attempt, uint64_t floor_ns, uint64_t cap_ns);

#endif
