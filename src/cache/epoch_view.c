/* Shards of two tables each, a young and an old generation; readers hold one shard's lock for one look-up.
 *
 * Why an entry that is judged good is good: say it was read in a snapshot with xmin >= base, and a change C of
 * its tenant was committed before the last look's t0.  If C's id is below the entry's xmin, the entry's
 * snapshot saw it.  If not, C's id is at least base, and the first look whose snapshot saw C has brought it:
 * the looks follow each other without a gap, whatever the order of ids and commits.  So either the entry shows
 * C, or the view knows an epoch above the entry's.
 *
 * Forgetting.  When the young tables are full the old ones are dropped.  All that was in them was seen by the
 * look that was current when they ceased to be young, so its ids are below that look's xmax: base becomes
 * that, before the tables are emptied. */
#include "cache/epoch_view.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_FRESHNESS_NS (200 * NS_PER_MS)
#define DEFAULT_TENANTS 65536
#define SHARDS 64
#define TENANTS_TO_SHARD 4096 /* smaller views stay whole */
#define SHARD_GAP 44

struct slot {
    struct uuid tenant; /* nil: empty */
    struct epoch epoch;
};

struct shard {
    pthread_mutex_t lock;
    struct slot *tables[2]; /* [view->young] and the old one; open addressing */
    size_t counts[2];
    unsigned young;
    uint8_t apart[SHARD_GAP]; /* from the next one's cache line */
};

struct epoch_view {
    uint64_t freshness_ns;
    size_t shard_count;
    size_t shard_tenants;  /* bound of one table */
    size_t mask;           /* its slots - 1 */
    _Atomic uint64_t t0;   /* clock_boot() of the last look; 0: the view is void */
    _Atomic uint64_t base; /* changes with ids from here on are known */
    _Atomic uint64_t era;
    _Atomic uint64_t era_since; /* clock_now() when that era was first seen; 0: none was */
    pthread_mutex_t telling;    /* guards what follows, and the order of generations */
    uint64_t server_era;        /* as the last look said */
    uint64_t rewinds;           /* times that the server went back within its own era */
    uint64_t xmin, xmax;        /* of the last look */
    uint64_t old_xmax;          /* ids in the old tables are below */
    struct metric *known_metric; /* may be NULL */
    struct metric *drops_metric;
    struct slot *slots; /* all tables */
    struct shard shards[SHARDS];
};

static const struct metric_family known_family = {
    .name = "tenant_epoch_view_tenants",
    .help = "Tenants whose newest change the process keeps in mind.",
    .kind = METRIC_GAUGE};
static const struct metric_family drops_family = {
    .name = "tenant_epoch_view_drops_total",
    .help = "Times that the older half of the known changes was dropped to make room.",
    .kind = METRIC_COUNTER};

static uint64_t tenant_hash(const struct uuid *tenant);
static struct shard *shard_of(struct epoch_view *view, uint64_t hash);
static const struct slot *known_of(const struct epoch_view *view, const struct shard *shard,
                                   uint64_t hash, const struct uuid *tenant);
static struct slot *slot_of(const struct epoch_view *view, struct slot *table, uint64_t hash,
                            const struct uuid *tenant);
static bool learn(struct epoch_view *view, const struct uuid *tenant, struct epoch epoch);
static void learn_with_room(struct epoch_view *view, const struct uuid *tenant,
                            struct epoch epoch);
static bool is_rewound(const struct epoch_view *view, const struct epoch_look *look);
static void begin(struct epoch_view *view, const struct epoch_look *look);
static void base_raise(struct epoch_view *view, uint64_t xid);
static void generation_turn(struct epoch_view *view);
static void table_clear(struct epoch_view *view, struct shard *shard, unsigned which);
static uint64_t era_mix(uint64_t server_era, uint64_t rewinds);
static void gauge_add(struct metric *metric, int64_t change);

struct epoch_view *epoch_view_new(const struct epoch_view_settings *settings)
{
    struct epoch_view *view = xcalloc(1, sizeof *view);
    size_t tenants = settings->tenants == 0 ? DEFAULT_TENANTS : settings->tenants;
    view->freshness_ns =
        settings->freshness_ns == 0 ? DEFAULT_FRESHNESS_NS : settings->freshness_ns;
    view->shard_count = tenants < TENANTS_TO_SHARD ? 1 : SHARDS;
    view->shard_tenants = tenants / view->shard_count / 2;
    assert(view->shard_tenants > 0);
    size_t slots = 4;
    while (slots < view->shard_tenants * 2)
        slots *= 2;
    view->mask = slots - 1;
    view->slots = xcalloc(view->shard_count * 2 * slots, sizeof *view->slots);
    pthread_mutex_init(&view->telling, NULL);
    for (size_t i = 0; i < view->shard_count; i++) {
        pthread_mutex_init(&view->shards[i].lock, NULL);
        view->shards[i].tables[0] = view->slots + i * 2 * slots;
        view->shards[i].tables[1] = view->slots + (i * 2 + 1) * slots;
    }
    if (settings->metrics != NULL) {
        view->known_metric = metrics_series(settings->metrics, &known_family, NULL);
        view->drops_metric = metrics_series(settings->metrics, &drops_family, NULL);
    }
    return view;
}

void epoch_view_free(struct epoch_view *view)
{
    if (view == NULL)
        return;
    for (size_t i = 0; i < view->shard_count; i++)
        pthread_mutex_destroy(&view->shards[i].lock);
    pthread_mutex_destroy(&view->telling);
    free(view->slots);
    free(view);
}

/* --- asking ------------------------------------------------------------------------------------- */

/* The order matters: t0 before the shard, because a look fills the shards before it publishes t0; base and era
 * with the shard's lock held, because they change before a shard is emptied. */
enum epoch_verdict epoch_view_judge(struct epoch_view *view, const struct uuid *tenant,
                                    const struct epoch_stamp *stamp, uint64_t *age_ns)
{
    uint64_t t0 = atomic_load_explicit(&view->t0, memory_order_acquire);
    uint64_t now = clock_boot();
    if (t0 == 0 || now - t0 >= view->freshness_ns)
        return EPOCH_VIEW_STALE;
    uint64_t hash = tenant_hash(tenant);
    struct shard *shard = shard_of(view, hash);
    pthread_mutex_lock(&shard->lock);
    const struct slot *known = known_of(view, shard, hash, tenant);
    bool older = known != NULL && epoch_compare(stamp->seen.epoch, known->epoch) < 0;
    uint64_t base = atomic_load_explicit(&view->base, memory_order_relaxed);
    uint64_t era = atomic_load_explicit(&view->era, memory_order_relaxed);
    pthread_mutex_unlock(&shard->lock);
    if (stamp->era != era)
        return EPOCH_OTHER_ERA;
    if (stamp->seen.xmin < base)
        return EPOCH_BELOW_BASE;
    if (older)
        return EPOCH_OLDER;
    *age_ns = now - t0;
    return EPOCH_GOOD;
}

bool epoch_view_era(const struct epoch_view *view, uint64_t read_began_ns, uint64_t *era)
{
    uint64_t found = atomic_load_explicit(&view->era, memory_order_acquire);
    uint64_t since = atomic_load_explicit(&view->era_since, memory_order_acquire);
    if (since == 0 || read_began_ns < since)
        return false;
    *era = found;
    return true;
}

bool epoch_view_is_fresh(const struct epoch_view *view)
{
    return epoch_view_age(view) < view->freshness_ns;
}

uint64_t epoch_view_age(const struct epoch_view *view)
{
    uint64_t t0 = atomic_load_explicit(&view->t0, memory_order_acquire);
    return t0 == 0 ? UINT64_MAX : clock_boot() - t0;
}

uint64_t epoch_view_base(const struct epoch_view *view)
{
    return atomic_load_explicit(&view->base, memory_order_relaxed);
}

/* --- telling ------------------------------------------------------------------------------------ */

void epoch_view_raise(struct epoch_view *view, const struct uuid *tenant, struct epoch epoch)
{
    if (learn(view, tenant, epoch))
        return;
    pthread_mutex_lock(&view->telling);
    learn_with_room(view, tenant, epoch);
    pthread_mutex_unlock(&view->telling);
}

enum epoch_applied epoch_view_apply(struct epoch_view *view, const struct epoch_look *look)
{
    assert(look->xmin > 0 && look->xmin <= look->xmax);
    pthread_mutex_lock(&view->telling);
    if (!look->first && is_rewound(view, look)) {
        atomic_store_explicit(&view->t0, 0, memory_order_release);
        pthread_mutex_unlock(&view->telling);
        return EPOCH_REWOUND;
    }
    if (look->first)
        begin(view, look);
    view->xmin = look->xmin;
    view->xmax = look->xmax;
    if (!look->complete)
        base_raise(view, look->xmax);
    for (size_t i = 0; look->complete && i < look->count; i++)
        learn_with_room(view, &look->changes[i].tenant, look->changes[i].epoch);
    atomic_store_explicit(&view->t0, look->t0_ns, memory_order_release);
    pthread_mutex_unlock(&view->telling);
    return EPOCH_APPLIED;
}

void epoch_view_void(struct epoch_view *view)
{
    pthread_mutex_lock(&view->telling);
    atomic_store_explicit(&view->t0, 0, memory_order_release);
    pthread_mutex_unlock(&view->telling);
}

static bool is_rewound(const struct epoch_view *view, const struct epoch_look *look)
{
    return look->era != view->server_era || look->xmin < view->xmin || look->xmax < view->xmax;
}

/* A start without a look before.  What was known stays known if it can still be true: a commit of this
 * process may have been told after the look's snapshot. */
static void begin(struct epoch_view *view, const struct epoch_look *look)
{
    uint64_t since = atomic_load_explicit(&view->era_since, memory_order_relaxed);
    bool other = since == 0 || is_rewound(view, look);
    atomic_store_explicit(&view->t0, 0, memory_order_release);
    if (!other) {
        base_raise(view, look->base);
        return;
    }
    view->rewinds += since != 0 && look->era == view->server_era;
    view->server_era = look->era;
    atomic_store_explicit(&view->era_since, clock_now(), memory_order_release);
    atomic_store_explicit(&view->era, era_mix(look->era, view->rewinds), memory_order_release);
    atomic_store_explicit(&view->base, look->base, memory_order_release);
    view->old_xmax = look->base;
    for (size_t i = 0; since != 0 && i < view->shard_count; i++) {
        struct shard *shard = &view->shards[i];
        pthread_mutex_lock(&shard->lock);
        table_clear(view, shard, 0);
        table_clear(view, shard, 1);
        pthread_mutex_unlock(&shard->lock);
    }
}

static void base_raise(struct epoch_view *view, uint64_t xid)
{
    if (xid > atomic_load_explicit(&view->base, memory_order_relaxed))
        atomic_store_explicit(&view->base, xid, memory_order_release);
}

/* With `telling` held. */
static void learn_with_room(struct epoch_view *view, const struct uuid *tenant, struct epoch epoch)
{
    if (learn(view, tenant, epoch))
        return;
    generation_turn(view);
    bool learned = learn(view, tenant, epoch);
    assert(learned);
}

/* False: the shard's young table is full. */
static bool learn(struct epoch_view *view, const struct uuid *tenant, struct epoch epoch)
{
    assert(!uuid_is_nil(tenant));
    uint64_t hash = tenant_hash(tenant);
    struct shard *shard = shard_of(view, hash);
    bool room = true;
    pthread_mutex_lock(&shard->lock);
    const struct slot *known = known_of(view, shard, hash, tenant);
    struct slot *slot = slot_of(view, shard->tables[shard->young], hash, tenant);
    if (known != NULL && epoch_compare(known->epoch, epoch) > 0)
        epoch = known->epoch;
    if (known != slot || known == NULL)
        room = shard->counts[shard->young] < view->shard_tenants;
    if (room && uuid_is_nil(&slot->tenant)) {
        shard->counts[shard->young]++;
        slot->tenant = *tenant;
        gauge_add(view->known_metric, 1);
    }
    if (room)
        slot->epoch = epoch;
    pthread_mutex_unlock(&shard->lock);
    return room;
}

/* The young become the old, and the old are forgotten. */
static void generation_turn(struct epoch_view *view)
{
    base_raise(view, view->old_xmax);
    view->old_xmax = view->xmax;
    for (size_t i = 0; i < view->shard_count; i++) {
        struct shard *shard = &view->shards[i];
        pthread_mutex_lock(&shard->lock);
        shard->young = 1 - shard->young;
        table_clear(view, shard, shard->young);
        pthread_mutex_unlock(&shard->lock);
    }
    if (view->drops_metric != NULL)
        metric_inc(view->drops_metric);
}

/* --- tables ------------------------------------------------------------------------------------- */

/* The last bytes of an id are random; nobody outside chooses them.  Ids that somebody numbered differ in the
 * last one alone: it stands in the upper end of what is read here, where one multiplication would leave it. */
static uint64_t tenant_hash(const struct uuid *tenant)
{
    uint64_t tail;
    memcpy(&tail, tenant->bytes + 8, sizeof tail);
    for (int round = 0; round < 2; round++) {
        tail ^= tail >> 32;
        tail *= UINT64_C(0xd6e8feb86659fd93);
    }
    return tail ^ tail >> 32;
}

static struct shard *shard_of(struct epoch_view *view, uint64_t hash)
{
    return &view->shards[(hash >> 48) % view->shard_count];
}

/* NULL: no change is known.  A tenant in both tables is newest in the young one. */
static const struct slot *known_of(const struct epoch_view *view, const struct shard *shard,
                                   uint64_t hash, const struct uuid *tenant)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned which = i == 0 ? shard->young : 1 - shard->young;
        if (shard->counts[which] == 0)
            continue;
        const struct slot *slot = slot_of(view, shard->tables[which], hash, tenant);
        if (!uuid_is_nil(&slot->tenant))
            return slot;
    }
    return NULL;
}

/* The tenant's slot, or the empty one that it would take; tables are at most half full. */
static struct slot *slot_of(const struct epoch_view *view, struct slot *table, uint64_t hash,
                            const struct uuid *tenant)
{
    for (size_t i = hash & view->mask;; i = (i + 1) & view->mask) {
        struct slot *slot = &table[i];
        if (uuid_equal(&slot->tenant, tenant) || uuid_is_nil(&slot->tenant))
            return slot;
    }
}

static void table_clear(struct epoch_view *view, struct shard *shard, unsigned which)
{
    if (shard->counts[which] == 0)
        return;
    gauge_add(view->known_metric, -(int64_t)shard->counts[which]);
    memset(shard->tables[which], 0, (view->mask + 1) * sizeof(struct slot));
    shard->counts[which] = 0;
}

/* Replicas agree on it, as long as they have seen the same. */
static uint64_t era_mix(uint64_t server_era, uint64_t rewinds)
{
    return server_era ^ rewinds * UINT64_C(0x9e3779b97f4a7c15);
}

static void gauge_add(struct metric *metric, int64_t change)
{
    if (metric != NULL)
        metric_gauge_add(metric, change);
}
