/* Hash table with chains, one list in order of use per shard.
 *
 * What the view of epochs judges is judged when it is read; in the table it only ages out.  Of two such values
 * the one that has seen more stays, so the order in which reads arrive does not matter.
 *
 * The floor.  A write that the view does not judge leaves a floor in its key's entry: for as long as anything
 * read before the write could still count as fresh, only values of that version or a later one, or read after
 * it, are taken or given.  When a floor must make room, its moment becomes the shard's: then, as long as the
 * floor would have stood, nothing read before it is taken for any key of the shard.  So the bound on memory
 * never breaks the promise, it only costs a few misses. */
#include "cache/memory.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define DEFAULT_ENTRIES 8192
#define DEFAULT_BYTES ((size_t)16 * 1024 * 1024)
#define DEFAULT_MAX_AGE_NS (200 * NS_PER_MS)
#define SHARDS 16
#define ENTRIES_TO_SHARD 1024 /* smaller tables stay whole */

struct entry {
    struct entry *next;      /* in its chain */
    struct list_node use;    /* in the shard's order of use */
    uint64_t hash;           /* of the key */
    uint64_t version;        /* of the value */
    enum cache_rule rule;    /* how long it is good */
    struct epoch_stamp stamp; /* CACHE_EPOCH: what it has seen */
    uint64_t began_ns;       /* CACHE_AGED: when the value's read began; else when it was kept */
    bool has_value;          /* false: only a floor */
    uint64_t floor_version;  /* valid until floor_until_ns: what was written, 0: unknown … */
    uint64_t floor_ns;       /* … when it was known to be written … */
    uint64_t forgotten_ns;   /* … and what was read before this is refused whatever its version */
    uint64_t floor_until_ns; /* 0: no floor */
    size_t key_size;
    size_t value_size;
    size_t room;     /* bytes behind the struct */
    uint8_t bytes[]; /* key, value */
};

/* Of floors that made room: what was read before `before_ns` is refused until `until_ns`. */
struct distrust {
    uint64_t before_ns;
    uint64_t until_ns;
};

struct shard {
    pthread_mutex_t lock;
    struct entry **chains;
    size_t mask;          /* chains - 1 */
    struct list use;      /* most recent first */
    size_t bytes;         /* of all entries */
    struct distrust written;   /* where the view does not judge */
    struct distrust forgotten; /* for every value */
};

/* An item, and the era of the database that it was read in. */
struct offer {
    const struct cache_item *item;
    uint64_t era;
};

struct cache_memory {
    size_t shard_count;
    size_t shard_entries; /* bounds of each shard */
    size_t shard_bytes;
    uint64_t max_age_ns;
    struct epoch_view *view;       /* may be NULL */
    struct metric *entries_metric; /* may be NULL */
    struct metric *bytes_metric;
    struct metric *evictions_metric;
    struct shard shards[SHARDS];
};

static const struct metric_family entries_family = {.name = "tenant_cache_memory_entries",
                                                    .help = "Entries in the process's cache table.",
                                                    .kind = METRIC_GAUGE};
static const struct metric_family bytes_family = {.name = "tenant_cache_memory_bytes",
                                                  .help = "Bytes in the process's cache table.",
                                                  .kind = METRIC_GAUGE};
static const struct metric_family evictions_family = {
    .name = "tenant_cache_memory_evictions_total",
    .help = "Entries that made room for others before they were replaced.",
    .kind = METRIC_COUNTER};

static void shard_init(struct shard *shard, size_t entries);
static void shard_deinit(struct cache_memory *memory, struct shard *shard);
static struct shard *shard_of(struct cache_memory *memory, uint64_t hash);
static enum memory_answer answer_of(const struct cache_memory *memory, const struct entry *entry,
                                    const struct cache_want *want, struct memory_hit *hit);
static enum memory_verdict put(struct cache_memory *memory, const struct cache_item *item,
                               uint64_t era);
static enum memory_verdict judge(const struct cache_memory *memory, const struct shard *shard,
                                 const struct entry *entry, const struct offer *offer);
static bool is_outdone(const struct cache_memory *memory, const struct entry *entry,
                       const struct offer *offer, uint64_t now_ns);
static int rank_compare(const struct entry *entry, const struct offer *offer);
static bool is_too_large(const struct cache_memory *memory, const struct cache_item *item);
static bool is_alive(const struct cache_memory *memory, const struct entry *entry,
                     uint64_t now_ns);
static bool is_distrusted(const struct distrust *distrust, const struct cache_item *item,
                          uint64_t now_ns);
static bool has_floor(const struct entry *entry, uint64_t now_ns);
static void floor_raise(struct cache_memory *memory, struct shard *shard,
                        const struct cache_item *item, uint64_t now_ns);
static void keep(struct cache_memory *memory, struct shard *shard, struct entry *entry,
                 const struct offer *offer);
static void floor_clear(struct entry *entry);
static void floor_set(const struct cache_memory *memory, struct entry *entry, uint64_t now_ns);
static struct entry *entry_find(struct shard *shard, uint64_t hash, struct slice key);
static struct entry *entry_make(struct cache_memory *memory, struct shard *shard, struct slice key,
                                size_t value_size);
static void entry_replace(struct cache_memory *memory, struct shard *shard, struct entry *old,
                          struct entry *new);
static void entry_drop(struct cache_memory *memory, struct shard *shard, struct entry *entry);
static void make_room(struct cache_memory *memory, struct shard *shard);
static size_t entry_size(const struct entry *entry);
static void gauge_change(struct metric *metric, int64_t change);

struct cache_memory *cache_memory_new(const struct cache_memory_settings *settings)
{
    struct cache_memory *memory = xcalloc(1, sizeof *memory);
    size_t entries = settings->entries == 0 ? DEFAULT_ENTRIES : settings->entries;
    size_t bytes = settings->bytes == 0 ? DEFAULT_BYTES : settings->bytes;
    memory->max_age_ns = settings->max_age_ns == 0 ? DEFAULT_MAX_AGE_NS : settings->max_age_ns;
    memory->view = settings->view;
    memory->shard_count = entries < ENTRIES_TO_SHARD ? 1 : SHARDS;
    memory->shard_entries = entries / memory->shard_count;
    memory->shard_bytes = bytes / memory->shard_count;
    if (settings->metrics != NULL) {
        memory->entries_metric = metrics_series(settings->metrics, &entries_family, NULL);
        memory->bytes_metric = metrics_series(settings->metrics, &bytes_family, NULL);
        memory->evictions_metric = metrics_series(settings->metrics, &evictions_family, NULL);
    }
    for (size_t i = 0; i < memory->shard_count; i++)
        shard_init(&memory->shards[i], memory->shard_entries);
    return memory;
}

void cache_memory_free(struct cache_memory *memory)
{
    if (memory == NULL)
        return;
    for (size_t i = 0; i < memory->shard_count; i++)
        shard_deinit(memory, &memory->shards[i]);
    free(memory);
}

enum memory_answer memory_get(struct cache_memory *memory, const struct memory_ask *ask,
                              struct memory_hit *hit)
{
    uint64_t hash = hash_table(ask->key);
    struct shard *shard = shard_of(memory, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, ask->key);
    enum memory_answer answer = answer_of(memory, entry, ask->want, hit);
    if (answer == MEMORY_HIT) {
        uint8_t *copy = arena_alloc_raw(ask->arena, entry->value_size + 1);
        memcpy(copy, entry->bytes + entry->key_size, entry->value_size);
        hit->value = slice_make(copy, entry->value_size);
        list_remove(&shard->use, &entry->use);
        list_push_front(&shard->use, &entry->use);
    }
    pthread_mutex_unlock(&shard->lock);
    return answer;
}

enum memory_verdict memory_put(struct cache_memory *memory, const struct cache_item *item)
{
    uint64_t era = 0;
    if (item->rule == CACHE_EPOCH &&
        (memory->view == NULL || !epoch_view_era(memory->view, item->read_began_ns, &era)))
        return MEMORY_STALE;
    return put(memory, item, era);
}

enum memory_verdict memory_put_shared(struct cache_memory *memory, const struct cache_item *item,
                                      uint64_t era)
{
    return put(memory, item, era);
}

/* The view is told first: from then on no worker takes an older state for good, wherever it finds it. */
void memory_written(struct cache_memory *memory, const struct cache_item *item)
{
    struct offer offer = {.item = item};
    bool known = true;
    if (item->rule == CACHE_EPOCH) {
        known = memory->view != NULL;
        if (known)
            epoch_view_raise(memory->view, &item->tenant, item->seen.epoch);
        known = known && epoch_view_era(memory->view, item->read_began_ns, &offer.era);
    }
    uint64_t hash = hash_table(item->key);
    struct shard *shard = shard_of(memory, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, item->key);
    uint64_t now = clock_now();
    if (!known && entry != NULL)
        entry->has_value = false;
    if (known && !is_outdone(memory, entry, &offer, now))
        keep(memory, shard, entry, &offer);
    if (!known || item->rule != CACHE_EPOCH)
        floor_raise(memory, shard, item, now);
    pthread_mutex_unlock(&shard->lock);
}

void memory_forget(struct cache_memory *memory, struct slice key)
{
    uint64_t hash = hash_table(key);
    struct shard *shard = shard_of(memory, hash);
    pthread_mutex_lock(&shard->lock);
    uint64_t now = clock_now();
    struct entry *entry = entry_find(shard, hash, key);
    if (entry == NULL)
        entry = entry_make(memory, shard, key, 0);
    if (!has_floor(entry, now))
        floor_clear(entry);
    entry->has_value = false;
    entry->forgotten_ns = now;
    floor_set(memory, entry, now);
    make_room(memory, shard);
    pthread_mutex_unlock(&shard->lock);
}

uint64_t memory_max_age_ns(const struct cache_memory *memory)
{
    return memory->max_age_ns;
}

struct epoch_view *memory_view(const struct cache_memory *memory)
{
    return memory->view;
}

void memory_usage(struct cache_memory *memory, size_t *entries, size_t *bytes)
{
    size_t all_entries = 0;
    size_t all_bytes = 0;
    for (size_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[i];
        pthread_mutex_lock(&shard->lock);
        all_entries += shard->use.count;
        all_bytes += shard->bytes;
        pthread_mutex_unlock(&shard->lock);
    }
    *entries = all_entries;
    *bytes = all_bytes;
}

static void shard_init(struct shard *shard, size_t entries)
{
    size_t chains = 16;
    while (chains < entries)
        chains *= 2;
    pthread_mutex_init(&shard->lock, NULL);
    shard->chains = xcalloc(chains, sizeof(struct entry *));
    shard->mask = chains - 1;
    list_init(&shard->use);
}

static void shard_deinit(struct cache_memory *memory, struct shard *shard)
{
    for (struct list_node *node = list_first(&shard->use); node != NULL;
         node = list_first(&shard->use))
        entry_drop(memory, shard, list_entry(node, struct entry, use));
    assert(shard->bytes == 0);
    free(shard->chains);
    pthread_mutex_destroy(&shard->lock);
}

/* The chain is chosen by the low bits. */
static struct shard *shard_of(struct cache_memory *memory, uint64_t hash)
{
    return &memory->shards[(hash >> 56) % memory->shard_count];
}

static enum memory_answer answer_of(const struct cache_memory *memory, const struct entry *entry,
                                    const struct cache_want *want, struct memory_hit *hit)
{
    if (entry == NULL || !entry->has_value)
        return MEMORY_MISS;
    /* what the view judges lives for minutes: the kernel's tick tells that well enough */
    uint64_t now = entry->rule == CACHE_EPOCH ? clock_tick() : clock_now();
    if (!is_alive(memory, entry, now))
        return MEMORY_MISS;
    if ((want != NULL) != (entry->rule == CACHE_EPOCH))
        return MEMORY_MISS;
    uint64_t age = now - entry->began_ns;
    if (want != NULL && memory->view == NULL)
        return MEMORY_MISS;
    if (want != NULL && epoch_compare(entry->stamp.seen.epoch, want->at_least) < 0)
        return MEMORY_TOO_EARLY;
    if (want != NULL) {
        hit->why = epoch_view_judge(memory->view, &want->tenant, &entry->stamp, &age);
        if (hit->why != EPOCH_GOOD)
            return MEMORY_REFUSED;
    }
    *hit = (struct memory_hit){.version = entry->version, .rule = entry->rule, .age_ns = age};
    return MEMORY_HIT;
}

static enum memory_verdict put(struct cache_memory *memory, const struct cache_item *item,
                               uint64_t era)
{
    const struct offer offer = {.item = item, .era = era};
    uint64_t hash = hash_table(item->key);
    struct shard *shard = shard_of(memory, hash);
    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, item->key);
    enum memory_verdict verdict = judge(memory, shard, entry, &offer);
    if (verdict == MEMORY_KEPT || verdict == MEMORY_NOT_KEPT)
        keep(memory, shard, entry, &offer);
    pthread_mutex_unlock(&shard->lock);
    return verdict;
}

static enum memory_verdict judge(const struct cache_memory *memory, const struct shard *shard,
                                 const struct entry *entry, const struct offer *offer)
{
    const struct cache_item *item = offer->item;
    uint64_t now = clock_now();
    assert(item->read_began_ns <= now);
    if (item->rule == CACHE_AGED && now - item->read_began_ns >= memory->max_age_ns)
        return MEMORY_STALE;
    if (is_distrusted(&shard->forgotten, item, now) ||
        (item->rule != CACHE_EPOCH && is_distrusted(&shard->written, item, now)))
        return MEMORY_OLDER;
    if (is_outdone(memory, entry, offer, now))
        return MEMORY_OLDER;
    return is_too_large(memory, item) ? MEMORY_NOT_KEPT : MEMORY_KEPT;
}

/* Whether more is known about the key than what the offer says. */
static bool is_outdone(const struct cache_memory *memory, const struct entry *entry,
                       const struct offer *offer, uint64_t now_ns)
{
    const struct cache_item *item = offer->item;
    if (entry == NULL)
        return false;
    if (has_floor(entry, now_ns) &&
        (item->version < entry->floor_version || item->read_began_ns < entry->forgotten_ns))
        return true;
    return entry->has_value && is_alive(memory, entry, now_ns) && rank_compare(entry, offer) > 0;
}

/* Above 0: the entry has seen more.  What follows different rules, or is of different eras, does not compare:
 * the later offer wins. */
static int rank_compare(const struct entry *entry, const struct offer *offer)
{
    const struct cache_item *item = offer->item;
    if (entry->rule != item->rule || entry->stamp.era != offer->era)
        return -1;
    int epochs = entry->rule == CACHE_EPOCH
                     ? epoch_compare(entry->stamp.seen.epoch, item->seen.epoch)
                     : 0;
    if (epochs != 0)
        return epochs;
    return entry->version == item->version ? 0 : entry->version < item->version ? -1 : 1;
}

static bool is_too_large(const struct cache_memory *memory, const struct cache_item *item)
{
    return item->value.size > CACHE_VALUE_MAX || item->value.size > memory->shard_bytes / 8;
}

static bool is_alive(const struct cache_memory *memory, const struct entry *entry, uint64_t now_ns)
{
    uint64_t life = entry->rule == CACHE_AGED ? memory->max_age_ns : MEMORY_LIFE_NS;
    return now_ns < deadline_after(entry->began_ns, life);
}

static bool is_distrusted(const struct distrust *distrust, const struct cache_item *item,
                          uint64_t now_ns)
{
    return now_ns < distrust->until_ns && item->read_began_ns < distrust->before_ns;
}

static bool has_floor(const struct entry *entry, uint64_t now_ns)
{
    return now_ns < entry->floor_until_ns;
}

static void floor_raise(struct cache_memory *memory, struct shard *shard,
                        const struct cache_item *item, uint64_t now_ns)
{
    struct entry *entry = entry_find(shard, hash_table(item->key), item->key);
    if (entry == NULL)
        entry = entry_make(memory, shard, item->key, 0);
    if (!has_floor(entry, now_ns))
        floor_clear(entry);
    if (item->version > entry->floor_version)
        entry->floor_version = item->version;
    floor_set(memory, entry, now_ns);
    make_room(memory, shard);
}

/* Takes the value over, or forgets the one that it outdates when it is too large to be kept. */
static void keep(struct cache_memory *memory, struct shard *shard, struct entry *entry,
                 const struct offer *offer)
{
    const struct cache_item *item = offer->item;
    if (is_too_large(memory, item)) {
        if (entry != NULL)
            entry->has_value = false;
        return;
    }
    bool same = entry != NULL && entry->has_value && rank_compare(entry, offer) == 0;
    if (same && item->rule == CACHE_AGED && entry->began_ns >= item->read_began_ns)
        return;
    if (same && item->rule == CACHE_EPOCH && entry->stamp.seen.xmin > item->seen.xmin)
        return;
    if (entry == NULL || entry->room < item->key.size + item->value.size) {
        struct entry *larger = entry_make(memory, shard, item->key, item->value.size);
        entry_replace(memory, shard, entry, larger);
        entry = larger;
    }
    if (item->value.size > 0)
        memcpy(entry->bytes + entry->key_size, item->value.data, item->value.size);
    entry->value_size = item->value.size;
    entry->version = item->version;
    entry->rule = item->rule;
    entry->stamp = (struct epoch_stamp){.era = offer->era, .seen = item->seen};
    entry->began_ns = item->rule == CACHE_AGED ? item->read_began_ns : clock_now();
    entry->has_value = true;
    list_remove(&shard->use, &entry->use);
    list_push_front(&shard->use, &entry->use);
    make_room(memory, shard);
}

static void floor_clear(struct entry *entry)
{
    entry->floor_version = 0;
    entry->forgotten_ns = 0;
}

/* Twice max_age: once until everything read before `now_ns` is stale, once in reserve. */
static void floor_set(const struct cache_memory *memory, struct entry *entry, uint64_t now_ns)
{
    entry->floor_ns = now_ns;
    entry->floor_until_ns = now_ns + 2 * memory->max_age_ns;
}

static struct entry *entry_find(struct shard *shard, uint64_t hash, struct slice key)
{
    for (struct entry *entry = shard->chains[hash & shard->mask]; entry != NULL;
         entry = entry->next) {
        if (entry->hash == hash && slice_equal(slice_make(entry->bytes, entry->key_size), key))
            return entry;
    }
    return NULL;
}

/* In front of the chain: it hides an older one of the same key, which the caller drops. */
static struct entry *entry_make(struct cache_memory *memory, struct shard *shard, struct slice key,
                                size_t value_size)
{
    assert(key.size > 0 && key.size <= CACHE_KEY_MAX);
    struct entry *entry = xmalloc(sizeof *entry + key.size + value_size);
    *entry = (struct entry){
        .hash = hash_table(key), .key_size = key.size, .room = key.size + value_size};
    memcpy(entry->bytes, key.data, key.size);
    struct entry **chain = &shard->chains[entry->hash & shard->mask];
    entry->next = *chain;
    *chain = entry;
    list_push_front(&shard->use, &entry->use);
    shard->bytes += entry_size(entry);
    gauge_change(memory->entries_metric, 1);
    gauge_change(memory->bytes_metric, (int64_t)entry_size(entry));
    return entry;
}

/* The floor moves; `old` may be NULL. */
static void entry_replace(struct cache_memory *memory, struct shard *shard, struct entry *old,
                          struct entry *new)
{
    if (old == NULL)
        return;
    new->floor_version = old->floor_version;
    new->floor_ns = old->floor_ns;
    new->forgotten_ns = old->forgotten_ns;
    new->floor_until_ns = old->floor_until_ns;
    entry_drop(memory, shard, old);
}

static void entry_drop(struct cache_memory *memory, struct shard *shard, struct entry *entry)
{
    struct entry **link = &shard->chains[entry->hash & shard->mask];
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    list_remove(&shard->use, &entry->use);
    assert(shard->bytes >= entry_size(entry));
    shard->bytes -= entry_size(entry);
    gauge_change(memory->entries_metric, -1);
    gauge_change(memory->bytes_metric, -(int64_t)entry_size(entry));
    free(entry);
}

static void make_room(struct cache_memory *memory, struct shard *shard)
{
    uint64_t now = clock_now();
    while (shard->use.count > memory->shard_entries ||
           (shard->bytes > memory->shard_bytes && shard->use.count > 1)) {
        struct entry *last = list_entry(list_last(&shard->use), struct entry, use);
        struct distrust *left = last->forgotten_ns != 0 ? &shard->forgotten : &shard->written;
        if (has_floor(last, now) && last->floor_ns > left->before_ns)
            *left = (struct distrust){last->floor_ns, last->floor_until_ns};
        entry_drop(memory, shard, last);
        if (memory->evictions_metric != NULL)
            metric_inc(memory->evictions_metric);
    }
}

static size_t entry_size(const struct entry *entry)
{
    return sizeof *entry + entry->room;
}

static void gauge_change(struct metric *metric, int64_t change)
{
    if (metric != NULL)
        metric_gauge_add(metric, change);
}
