/* Kernel randomness, fetched ahead per thread; retry pauses. */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SUPPLY_BYTES 1024

/* Each call of getrandom(2) is a system call and a new key stream in the kernel, and every request needs
 * 40 bytes (docs/performance.md).  A thread's own, so there is nothing to lock; what was handed out is
 * wiped, so that a later look into this memory tells nothing of ids and keys made before. */
struct supply {
    size_t left; /* unused bytes, at the end */
    unsigned char bytes[SUPPLY_BYTES];
    uint64_t names[4]; /* xoshiro256++; all zero: not seeded yet */
};
/* lint-allow global: every caller would have to carry it, and no behaviour depends on it */
static _Thread_local struct supply supply;

static void fetch(void *out, size_t size);
static void forget(void);
static void forget_in_children(void);
static uint64_t next_name(void);
static uint64_t rotate_left(uint64_t value, unsigned bits);

void random_bytes(void *out, size_t size)
{
    if (size > SUPPLY_BYTES / 4) {
        fetch(out, size);
        return;
    }
    if (supply.left < size) {
        fetch(supply.bytes, sizeof supply.bytes);
        supply.left = sizeof supply.bytes;
    }
    unsigned char *next = supply.bytes + sizeof supply.bytes - supply.left;
    memcpy(out, next, size);
    explicit_bzero(next, size);
    supply.left -= size;
}

/* The all-zero state would give zeros for ever. */
void random_name_bytes(void *out, size_t size)
{
    uint64_t *names = supply.names;
    while ((names[0] | names[1] | names[2] | names[3]) == 0)
        fetch(names, sizeof supply.names);
    unsigned char *place = out;
    while (size > 0) {
        uint64_t word = next_name();
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(place, &word, part);
        place += part;
        size -= part;
    }
}

static uint64_t next_name(void)
{
    uint64_t *s = supply.names;
    uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void forget(void)
{
    explicit_bzero(&supply, sizeof supply);
}

/* Without it two children of one process would make the same ids. */
static void forget_in_children(void)
{
    int rc = pthread_atfork(NULL, NULL, forget);
    assert(rc == 0); /* no memory */
}

static void fetch(void *out, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* lint-allow global: guards one registration */
    (void)pthread_once(&once, forget_in_children);
    unsigned char *place = out;
    while (size > 0) {
        ssize_t got = getrandom(place, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        place += got;
        size -= (size_t)got;
    }
}

uint64_t random_below(uint64_t bound)
{
    assert(bound > 0);
    uint64_t usable = UINT64_MAX - UINT64_MAX % bound; /* rejects the biased tail */
    uint64_t value = 0;
    do {
        random_bytes(&value, sizeof value);
    } while (value >= usable);
    return value % bound;
}

/* Full jitter above the floor: those who failed together do not come back together. */
uint64_t backoff_ns(unsigned attempt, uint64_t floor_ns, uint64_t cap_ns)
{
    assert(floor_ns > 0 && cap_ns >= floor_ns);
    uint64_t top = floor_ns;
    for (unsigned i = 0; i < attempt && top < cap_ns; i++)
        top = top > cap_ns / 2 ? cap_ns : top * 2;
    return floor_ns + random_below(top - floor_ns + 1);
}
