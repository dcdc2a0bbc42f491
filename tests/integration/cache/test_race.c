/* The promise of freshness against a model database, with a node that is stopped again and again. */
#include "tests/integration/cache/replicas.h"

#define RACERS 18
#define RACE_KEYS 4
#define RACE_NS (4 * NS_PER_S)
#define RACE_AGE_NS (200 * NS_PER_MS)

/* A database of four rows; two replicas that read and write it through their caches, a third that does so
 * without Redis, so that what the others hold there is not corrected; and a node that is stopped again and
 * again.  Every answer is checked against what the database held. */
struct race {
    uint64_t version[RACE_KEYS];       /* committed */
    uint64_t since_ns[RACE_KEYS][512]; /* when each version was committed */
    uint64_t acknowledged[3][RACE_KEYS];
    unsigned served, from_redis, stale, undone;
    bool over;
    unsigned running;
};

struct racer {
    struct race *race;
    struct replica *replica;
    unsigned replica_index;
    unsigned seed;
};

static void race_read(struct racer *racer, struct ctx *ctx, unsigned k, struct slice key)
{
    struct race *race = racer->race;
    struct cache_found found;
    uint64_t floor = race->acknowledged[racer->replica_index][k];
    uint64_t asked = clock_now();
    if (!cache_get(racer->replica->cache, ctx, key, NULL, &found)) {
        uint64_t began = clock_now();
        uint64_t version = race->version[k];
        task_sleep(ctx, rand_r(&racer->seed) % 60 * NS_PER_MS); /* the database's answer travels */
        cache_put(racer->replica->cache, &(struct cache_item){.key = key,
                                                              .value = slice_of_str("row"),
                                                              .version = version,
                                                              .read_began_ns = began});
        return;
    }
    race->served++;
    race->from_redis += found.source == CACHE_REDIS;
    if (found.version < floor)
        race->undone++;
    if (found.version < race->version[k] &&
        asked > race->since_ns[k][found.version + 1] + RACE_AGE_NS)
        race->stale++;
}

/* The COMMIT travels, takes effect, and its answer travels. */
static void race_write(struct racer *racer, struct ctx *ctx, unsigned k, struct slice key)
{
    struct race *race = racer->race;
    uint64_t sent = clock_now();
    task_sleep(ctx, rand_r(&racer->seed) % 260 * NS_PER_MS);
    uint64_t version = ++race->version[k];
    ck_assert_uint_lt(version, 511);
    race->since_ns[k][version] = clock_now();
    task_sleep(ctx, rand_r(&racer->seed) % 8 * NS_PER_MS);
    cache_written(racer->replica->cache, &(struct cache_item){.key = key,
                                                              .value = slice_of_str("row"),
                                                              .version = version,
                                                              .read_began_ns = sent});
    uint64_t *acknowledged = &race->acknowledged[racer->replica_index][k];
    if (*acknowledged < version)
        *acknowledged = version;
}

static void race_run(struct task *task, void *argument)
{
    struct racer *racer = argument;
    struct arena *own = arena_new(0);
    while (!racer->race->over) {
        struct ctx ctx;
        arena_reset(own);
        ctx_init(&ctx, NULL, own);
        ctx.task = task;
        unsigned k = (unsigned)rand_r(&racer->seed) % RACE_KEYS;
        struct slice key = slice_of_str(key_of_node(1 + (int)k % 3, 2000 + k));
        if (rand_r(&racer->seed) % 40 == 0)
            race_write(racer, &ctx, k, key);
        else
            race_read(racer, &ctx, k, key);
        task_sleep(&ctx, (uint64_t)(rand_r(&racer->seed) % 10) * NS_PER_MS);
    }
    arena_free(own);
    racer->race->running--;
}

static struct replica c;

START_TEST(no_answer_is_older_than_promised)
{
    static struct race race;
    struct racer racers[RACERS];
    struct replica *replicas[] = {&a, &b, &c};
    race = (struct race){.running = RACERS};
    c = (struct replica){.metrics = metrics_new()};
    c.memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = RACE_AGE_NS});
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ck_assert_int_eq(
        cache_open(&ctx, loop,
                   &(struct cache_settings){.memory = c.memory, .metrics = c.metrics}, &c.cache),
        OK);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.race = &race,
                                   .replica = replicas[i % 3],
                                   .replica_index = i % 3,
                                   .seed = i + 1};
        ck_assert(task_start(loop, race_run, &racers[i], NULL));
    }
    uint64_t end = clock_now() + RACE_NS;
    while (clock_now() < end) {
        turn_for(500 * NS_PER_MS);
        server("redis-2", "pause");
        turn_for(250 * NS_PER_MS);
        server("redis-2", "resume");
    }
    race.over = true;
    turn_until(race.running == 0);
    ck_assert_uint_gt(race.served, 100);
    ck_assert_uint_gt(race.from_redis, 0);
    ck_assert_uint_eq(race.stale, 0);
    ck_assert_uint_eq(race.undone, 0);
    replica_close(&c);
}
END_TEST

static void set_up_short(void)
{
    set_up_with(RACE_AGE_NS);
}

Suite *suite_cache_race_it(void);
Suite *suite_cache_race_it(void)
{
    Suite *suite = suite_create("cache/race (integration)");
    TCase *race = tcase_create("race");
    tcase_add_unchecked_fixture(race, NULL, mend);
    tcase_add_checked_fixture(race, set_up_short, tear_down);
    tcase_set_timeout(race, 60);
    tcase_add_test(race, no_answer_is_older_than_promised);
    suite_add_tcase(suite, race);
    return suite;
}
