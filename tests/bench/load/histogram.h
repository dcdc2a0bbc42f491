/* Latencies in logarithmic buckets, 64 to a power of two: each figure is within 1.6 % of the truth.
 * Used by the programs of tests/bench/ alone. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    unsigned shift = 0;
    while ((value >> shift) >= (2u << HISTOGRAM_SUB_BITS))
        shift++;
    uint64_t bucket = ((uint64_t)shift << HISTOGRAM_SUB_BITS) + (value >> shift);
    histogram->buckets[bucket]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

/* The middle of the bucket in which the share (0 to 1) of all values ends; 0 when there are none. */
static inline uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (histogram->buckets[i] == 0 || seen < wanted)
            continue;
        uint64_t full = UINT64_C(1) << HISTOGRAM_SUB_BITS;
        if (i < 2 * full)
            return i;
        uint64_t shift = i / full - 1;
        return ((i - shift * full) << shift) + ((UINT64_C(1) << shift) >> 1);
    }
    return 0;
}

#endif
