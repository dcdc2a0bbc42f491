/* The promise of freshness against a model database, with a node that is stopped again and again. */
#include "tests/integration/cache/replicas.h"

#define RACE_KEYS 4
#define RACE_NS (4 * NS_PER_S)
#define RACE_AGE_NS (200 * NS_PER_MS)

/* A database of four rows, two replicas that read and write it through their caches, and a node that is stopped
 * again and again: every answer is checked against what the database held. */
struct race {
    uint64_t version[RACE_KEYS];       /* committed */
    uint64_t since_ns[RACE_KEYS][512]; /* when each version was committed */
    uint64_t acknowledged[2][RACE_KEYS];
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
    if (!cache_get(racer->replica->cache, ctx, key, &found)) {
        uint64_t began = clock_now();
        uint64_t version = race->version[k];
        task_sleep(ctx, rand_r(&racer->seed) % 8 * NS_PER_MS); /* the database's answer travels */
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

static void race_write(struct racer *racer, unsigned k, struct slice key)
{
    struct race *race = racer->race;
    uint64_t sent = clock_now();
    uint64_t version = ++race->version[k];
    ck_assert_uint_lt(version, 511);
    race->since_ns[k][version] = clock_now();
    cache_written(racer->replica->cache, &(struct cache_item){.key = key,
                                                              .value = slice_of_str("row"),
                                                              .version = version,
                                                              .read_began_ns = sent});
    race->acknowledged[racer->replica_index][k] = version;
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
            race_write(racer, k, key);
        else
            race_read(racer, &ctx, k, key);
        task_sleep(&ctx, (uint64_t)(rand_r(&racer->seed) % 10) * NS_PER_MS);
    }
    arena_free(own);
    racer->race->running--;
}

START_TEST(no_answer_is_older_than_promised)
    {
        static struct race race;
        struct racer racers[16];
        race = (struct race){.running = 16};
        for (unsigned i = 0; i < 16; i++) {
            racers[i] = (struct racer){.race = &race,
                                       .replica = i % 2 == 0 ? &a : &b,
                                       .replica_index = i % 2,
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
