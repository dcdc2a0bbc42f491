/* The table in memory: bounds, ages, versions, floors. */
#include "base/clock.h"
#include "base/metrics.h"
#include "cache/memory.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct cache_memory *memory;
static struct arena *arena;

static void open_memory(size_t entries, size_t bytes, uint64_t max_age_ns)
{
    memory = cache_memory_new(&(struct cache_memory_settings){
        .entries = entries, .bytes = bytes, .max_age_ns = max_age_ns});
    arena = arena_new(0);
}

static void close_memory(void)
{
    cache_memory_free(memory);
    arena_free(arena);
}

static struct cache_item item(const char *key, const char *value, uint64_t version, uint64_t began)
{
    return (struct cache_item){.key = slice_of_str(key),
                               .value = slice_of_str(value),
                               .version = version,
                               .read_began_ns = began};
}

static enum memory_verdict put(const char *key, const char *value, uint64_t version, uint64_t began)
{
    struct cache_item made = item(key, value, version, began);
    return memory_put(memory, &made);
}

static void written(const char *key, const char *value, uint64_t version, uint64_t began)
{
    struct cache_item made = item(key, value, version, began);
    memory_written(memory, &made);
}

static bool get(const char *key, struct memory_hit *hit)
{
    return memory_get(memory, &(struct memory_ask){slice_of_str(key), NULL, arena}, hit) ==
           MEMORY_HIT;
}

/* 0: not found. */
static uint64_t version_of(const char *key)
{
    struct memory_hit hit = {.version = 0};
    return get(key, &hit) ? hit.version : 0;
}

static void sleep_ns(uint64_t duration)
{
    struct timespec time = {.tv_sec = (time_t)(duration / NS_PER_S),
                            .tv_nsec = (long)(duration % NS_PER_S)};
    nanosleep(&time, NULL);
}

START_TEST(what_is_put_is_found)
{
    open_memory(0, 0, 3600 * NS_PER_S);
    uint64_t began = clock_now();
    ck_assert_int_eq(put("k", "one", 1, began), MEMORY_KEPT);
    struct memory_hit hit;
    ck_assert(get("k", &hit));
    ck_assert(slice_is(hit.value, "one"));
    ck_assert_uint_eq(hit.version, 1);
    ck_assert(hit.age_ns <= clock_now() - began);
    ck_assert(!get("K", &hit));
    ck_assert_int_eq(put("k", "a longer one", 2, clock_now()), MEMORY_KEPT);
    ck_assert_int_eq(put("empty", "", 2, clock_now()), MEMORY_KEPT);
    ck_assert(get("k", &hit));
    ck_assert(slice_is(hit.value, "a longer one"));
    ck_assert(get("empty", &hit));
    ck_assert_uint_eq(hit.value.size, 0);
    size_t entries = 0;
    size_t bytes = 0;
    memory_usage(memory, &entries, &bytes);
    ck_assert_uint_eq(entries, 2);
    close_memory();
}
END_TEST

START_TEST(age_counts_from_the_read_not_from_the_put)
{
    open_memory(0, 0, 100 * NS_PER_MS);
    uint64_t now = clock_now();
    ck_assert_int_eq(put("old", "v", 1, now - 100 * NS_PER_MS), MEMORY_STALE);
    ck_assert_uint_eq(version_of("old"), 0);
    ck_assert_int_eq(put("k", "v", 1, now - 50 * NS_PER_MS), MEMORY_KEPT);
    sleep_ns(60 * NS_PER_MS);
    ck_assert_uint_eq(version_of("k"), 0);
    /* stale, it does not hinder: a database restored to an earlier state must be readable */
    ck_assert_int_eq(put("k", "v", 9, clock_now() - 99 * NS_PER_MS), MEMORY_KEPT);
    sleep_ns(2 * NS_PER_MS);
    ck_assert_int_eq(put("k", "v", 8, clock_now()), MEMORY_KEPT);
    close_memory();
}
END_TEST

START_TEST(an_older_version_never_replaces_a_newer_one)
{
    open_memory(0, 0, 3600 * NS_PER_S);
    uint64_t now = clock_now();
    ck_assert_int_eq(put("k", "five", 5, now), MEMORY_KEPT);
    ck_assert_int_eq(put("k", "four", 4, clock_now()), MEMORY_OLDER);
    ck_assert_uint_eq(version_of("k"), 5);
    ck_assert_int_eq(put("k", "six", 6, now), MEMORY_KEPT);
    ck_assert_uint_eq(version_of("k"), 6);
    close_memory();
}
END_TEST

START_TEST(the_same_version_keeps_its_latest_read)
{
    open_memory(0, 0, 3600 * NS_PER_S);
    uint64_t now = clock_now();
    put("k", "v", 5, now);
    ck_assert_int_eq(put("k", "v", 5, now - NS_PER_S), MEMORY_KEPT);
    struct memory_hit hit;
    ck_assert(get("k", &hit));
    ck_assert(hit.age_ns < NS_PER_S);
    close_memory();
}
END_TEST

START_TEST(after_a_write_nothing_older_is_taken)
{
    open_memory(0, 0, 3600 * NS_PER_S);
    uint64_t before = clock_now();
    put("k", "four", 4, before);
    written("k", "five", 5, clock_now());
    ck_assert_uint_eq(version_of("k"), 5);
    ck_assert_int_eq(put("k", "four", 4, before), MEMORY_OLDER);
    ck_assert_int_eq(put("k", "four", 4, clock_now()), MEMORY_OLDER);
    /* two writers, told in the wrong order */
    written("k", "seven", 7, clock_now());
    written("k", "six", 6, clock_now());
    ck_assert_uint_eq(version_of("k"), 7);
    ck_assert_int_eq(put("k", "six", 6, clock_now()), MEMORY_OLDER);
    ck_assert_int_eq(put("k", "eight", 8, clock_now()), MEMORY_KEPT);
    close_memory();
}
END_TEST

START_TEST(a_floor_holds_without_a_value)
{
    open_memory(0, 1024 * 1024, 3600 * NS_PER_S);
    char *large = malloc(300 * 1024);
    memset(large, 'x', 300 * 1024 - 1);
    large[300 * 1024 - 1] = '\0';
    put("k", "four", 4, clock_now());
    written("k", large, 5,
            clock_now()); /* too large to be kept: the old one must go all the same */
    ck_assert_uint_eq(version_of("k"), 0);
    ck_assert_int_eq(put("k", "four", 4, clock_now()), MEMORY_OLDER);
    ck_assert_int_eq(put("k", large, 5, clock_now()), MEMORY_NOT_KEPT);
    put("j", "one", 1, clock_now());
    ck_assert_int_eq(put("j", large, 2, clock_now()), MEMORY_NOT_KEPT);
    ck_assert_uint_eq(version_of("j"), 0);
    free(large);
    close_memory();
}
END_TEST

START_TEST(what_is_forgotten_must_be_read_again)
{
    open_memory(0, 0, 3600 * NS_PER_S);
    uint64_t before = clock_now();
    put("k", "four", 4, before);
    memory_forget(memory, slice_of_str("k"));
    ck_assert_uint_eq(version_of("k"), 0);
    ck_assert_int_eq(put("k", "nine", 9, before), MEMORY_OLDER); /* read before: who knows */
    written("k", "five", 5, before); /* a commit sent before may be the older of the two */
    ck_assert_uint_eq(version_of("k"), 0);
    ck_assert_int_eq(put("k", "five", 5, clock_now()), MEMORY_KEPT);
    ck_assert_uint_eq(version_of("k"), 5);
    memory_forget(memory, slice_of_str("unknown"));
    ck_assert_int_eq(put("unknown", "v", 1, before), MEMORY_OLDER);
    close_memory();
}
END_TEST

START_TEST(entries_are_bounded_and_the_least_used_goes)
{
    open_memory(4, 0, 3600 * NS_PER_S);
    put("a", "v", 1, clock_now());
    put("b", "v", 1, clock_now());
    put("c", "v", 1, clock_now());
    put("d", "v", 1, clock_now());
    ck_assert_uint_eq(version_of("a"), 1); /* used: now b is the oldest */
    put("e", "v", 1, clock_now());
    size_t entries = 0;
    size_t bytes = 0;
    memory_usage(memory, &entries, &bytes);
    ck_assert_uint_eq(entries, 4);
    ck_assert_uint_eq(version_of("b"), 0);
    ck_assert_uint_eq(version_of("a"), 1);
    ck_assert_uint_eq(version_of("e"), 1);
    close_memory();
}
END_TEST

START_TEST(bytes_are_bounded)
{
    struct metrics *metrics = metrics_new();
    memory = cache_memory_new(&(struct cache_memory_settings){.entries = 5000,
                                                              .bytes = 16 * 8192,
                                                              .max_age_ns = 3600 * NS_PER_S,
                                                              .metrics = metrics});
    arena = arena_new(0);
    char value[1000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        ck_assert_int_eq(put(key, value, 1, clock_now()), MEMORY_KEPT);
        size_t entries = 0;
        size_t bytes = 0;
        memory_usage(memory, &entries, &bytes);
        ck_assert_uint_le(bytes, 16 * 8192);
    }
    struct buf text = BUF_EMPTY;
    char line[64];
    size_t entries = 0;
    size_t bytes = 0;
    memory_usage(memory, &entries, &bytes);
    metrics_render(&metrics, 1, METRICS_PROMETHEUS, &text);
    snprintf(line, sizeof line, "\ntenant_cache_memory_bytes %zu\n", bytes);
    ck_assert_ptr_nonnull(strstr(buf_str(&text), line));
    snprintf(line, sizeof line, "\ntenant_cache_memory_evictions_total %zu\n", 5000 - entries);
    ck_assert_ptr_nonnull(strstr(buf_str(&text), line));
    buf_deinit(&text);
    close_memory();
    metrics_free(metrics);
}
END_TEST

/* The bound may cost misses, never the promise. */
START_TEST(a_floor_that_made_room_is_not_lost)
{
    open_memory(2, 0, 3600 * NS_PER_S);
    uint64_t before = clock_now();
    written("k", "five", 5, clock_now());
    uint64_t between = clock_now();
    put("a", "v", 1, clock_now());
    put("b", "v", 1, clock_now());
    ck_assert_uint_eq(version_of("k"), 0);
    ck_assert_int_eq(put("k", "four", 4, before), MEMORY_OLDER);
    ck_assert_int_eq(put("k", "five", 5, between), MEMORY_KEPT);
    ck_assert_int_eq(put("other", "v", 1, before), MEMORY_OLDER); /* the price */
    close_memory();
}
END_TEST

/* --- many threads ------------------------------------------------------------------------------ */

#define WRITES 20000

struct race {
    _Atomic uint64_t committed; /* what cache_written() has returned for */
    _Atomic bool over;
    _Atomic uint64_t found;
    _Atomic uint64_t wrong;
};

static void *race_read(void *argument)
{
    struct race *race = argument;
    struct arena *own = arena_new(0);
    for (uint64_t i = 1; !race->over; i++) {
        uint64_t began = clock_now();
        uint64_t floor = race->committed;
        struct memory_hit hit;
        arena_reset(own);
        if (memory_get(memory, &(struct memory_ask){slice_of_str("k"), NULL, own}, &hit) ==
            MEMORY_HIT) {
            race->found++;
            if (hit.version < floor || !slice_is(hit.value, "value"))
                race->wrong++;
        }
        struct cache_item stale = item("k", "value", floor > 2 ? floor - 2 : 0, began);
        (void)memory_put(memory, &stale); /* a read that was overtaken */
    }
    arena_free(own);
    return NULL;
}

START_TEST(readers_never_see_less_than_was_written)
{
    open_memory(0, 0, 3600 * NS_PER_S);
    struct race race = {0};
    pthread_t readers[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, race_read, &race);
    for (uint64_t version = 1; version <= WRITES; version++) {
        written("k", "value", version, clock_now());
        race.committed = version;
    }
    while (race.found == 0) /* on a busy machine they may not have had a turn yet */
        sched_yield();
    race.over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    ck_assert_uint_eq(race.wrong, 0);
    ck_assert_uint_eq(version_of("k"), WRITES);
    close_memory();
}
END_TEST

Suite *suite_cache_memory(void);
Suite *suite_cache_memory(void)
{
    Suite *suite = suite_create("cache/memory");
    TCase *tcase = tcase_create("memory");
    tcase_add_test(tcase, what_is_put_is_found);
    tcase_add_test(tcase, age_counts_from_the_read_not_from_the_put);
    tcase_add_test(tcase, an_older_version_never_replaces_a_newer_one);
    tcase_add_test(tcase, the_same_version_keeps_its_latest_read);
    tcase_add_test(tcase, after_a_write_nothing_older_is_taken);
    tcase_add_test(tcase, a_floor_holds_without_a_value);
    tcase_add_test(tcase, what_is_forgotten_must_be_read_again);
    tcase_add_test(tcase, entries_are_bounded_and_the_least_used_goes);
    tcase_add_test(tcase, bytes_are_bounded);
    tcase_add_test(tcase, a_floor_that_made_room_is_not_lost);
    tcase_add_test(tcase, readers_never_see_less_than_was_written);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    return suite;
}
