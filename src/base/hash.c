/* FNV-1a and SipHash-2-4. */
#include "base/hash.h"

#include "base/random.h"

#include <pthread.h>

/* lint-allow global: drawn once per process, never changed after */
static uint64_t sip_key[2];
/* lint-allow global: guards the drawing */
static pthread_once_t sip_key_once = PTHREAD_ONCE_INIT;

static void sip_key_draw(void)
{
    random_bytes(sip_key, sizeof sip_key);
}

/* Public and stable: partitions and metric buckets are computed by it in other languages too.
 * Never for tables whose keys come from strangers. */
uint32_t hash_fnv1a32(struct slice bytes)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes.size; i++) {
        hash ^= bytes.data[i];
        hash *= 16777619u;
    }
    return hash;
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

/* Keyed with random bits of this process: nobody outside can choose keys that collide. */
uint64_t hash_table(struct slice bytes)
{
    pthread_once(&sip_key_once, sip_key_draw);
    struct sip s = {
        .v0 = sip_key[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = sip_key[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = sip_key[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = sip_key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = bytes.size & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, bytes.data + i, 8);
        sip_word(&s, word);
    }
    uint64_t last = (uint64_t)(bytes.size & 0xff) << 56;
    for (size_t i = whole; i < bytes.size; i++)
        last |= (uint64_t)bytes.data[i] << (8 * (i - whole));
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
