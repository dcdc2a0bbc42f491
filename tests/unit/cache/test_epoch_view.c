/* The view of changes: what it lets pass, what it must not, and what its bounds cost. */
#include "base/clock.h"
#include "base/metrics.h"

#include "cache/epoch_view.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ERA 77

static struct epoch_view *view;

static struct uuid tenant(unsigned number)
{
    struct uuid made = {.bytes = {1}};
    memcpy(made.bytes + 8, &number, sizeof number);
    return made;
}

static void open_view(size_t tenants)
{
    view = epoch_view_new(
        &(struct epoch_view_settings){.freshness_ns = 3600 * NS_PER_S, .tenants = tenants});
}

static struct epoch_look look_of(uint64_t xmin, uint64_t xmax)
{
    return (struct epoch_look){
        .t0_ns = clock_boot(), .era = ERA, .xmin = xmin, .xmax = xmax, .complete = true};
}

static enum epoch_applied apply(struct epoch_look look, const struct epoch_change *changes,
                                size_t count)
{
    look.changes = changes;
    look.count = count;
    return epoch_view_apply(view, &look);
}

static void begin_at(uint64_t xmin)
{
    struct epoch_look look = look_of(xmin, xmin);
    look.first = true;
    look.base = xmin;
    ck_assert_int_eq(apply(look, NULL, 0), EPOCH_APPLIED);
}

static void change_seen(unsigned number, int64_t counter, uint64_t xmin, uint64_t xmax)
{
    struct epoch_change change = {tenant(number), {1, counter}};
    ck_assert_int_eq(apply(look_of(xmin, xmax), &change, 1), EPOCH_APPLIED);
}

static uint64_t era_now(void)
{
    uint64_t era = 0;
    ck_assert(epoch_view_era(view, clock_now(), &era));
    return era;
}

static enum epoch_verdict judge(unsigned number, int64_t counter, uint64_t xmin)
{
    struct uuid id = tenant(number);
    struct epoch_stamp stamp = {.era = era_now(), .seen = {{1, counter}, xmin}};
    uint64_t age = 0;
    return epoch_view_judge(view, &id, &stamp, &age);
}

START_TEST(without_a_look_nothing_is_good)
{
    struct uuid id = tenant(1);
    struct epoch_stamp stamp = {.seen = {{9, 9}, UINT64_MAX}};
    uint64_t age = 0;
    uint64_t era = 0;
    open_view(0);
    ck_assert_int_eq(epoch_view_judge(view, &id, &stamp, &age), EPOCH_VIEW_STALE);
    ck_assert(!epoch_view_era(view, clock_now(), &era));
    ck_assert(!epoch_view_is_fresh(view));
    ck_assert_uint_eq(epoch_view_age(view), UINT64_MAX);
    epoch_view_raise(view, &id, (struct epoch){1, 1});
    ck_assert_int_eq(epoch_view_judge(view, &id, &stamp, &age), EPOCH_VIEW_STALE);
    epoch_view_free(view);
    epoch_view_free(NULL);
}
END_TEST

START_TEST(what_is_not_known_to_have_changed_is_good)
{
    open_view(0);
    begin_at(100);
    ck_assert_int_eq(judge(1, 5, 100), EPOCH_GOOD);
    ck_assert_int_eq(judge(1, 5, 99), EPOCH_BELOW_BASE);
    ck_assert_int_eq(judge(1, 0, 4000), EPOCH_GOOD); /* a tenant without an epoch */
    change_seen(1, 6, 103, 105);
    ck_assert_int_eq(judge(1, 5, 100), EPOCH_OLDER);
    ck_assert_int_eq(judge(1, 6, 100), EPOCH_GOOD);
    ck_assert_int_eq(judge(1, 7, 100), EPOCH_GOOD);
    ck_assert_int_eq(judge(2, 5, 100), EPOCH_GOOD);
    ck_assert_uint_eq(epoch_view_base(view), 100);
    epoch_view_free(view);
}
END_TEST

START_TEST(an_incarnation_counts_more_than_its_counter)
{
    struct epoch_change change = {tenant(1), {2, 1}};
    open_view(0);
    begin_at(100);
    ck_assert_int_eq(apply(look_of(101, 101), &change, 1), EPOCH_APPLIED);
    ck_assert_int_eq(judge(1, 5000, 100), EPOCH_OLDER);
    epoch_view_free(view);
}
END_TEST

START_TEST(a_look_counts_from_before_it_was_sent)
{
    view = epoch_view_new(&(struct epoch_view_settings){.freshness_ns = 60 * NS_PER_MS});
    begin_at(100);
    struct epoch_look look = look_of(100, 100);
    look.t0_ns -= 40 * NS_PER_MS;
    struct uuid id = tenant(1);
    struct epoch_stamp stamp = {.era = era_now(), .seen = {{1, 1}, 100}};
    uint64_t age = 0;
    ck_assert_int_eq(apply(look, NULL, 0), EPOCH_APPLIED);
    if (epoch_view_judge(view, &id, &stamp, &age) == EPOCH_GOOD) /* a busy machine may be late */
        ck_assert(age >= 40 * NS_PER_MS && age < 60 * NS_PER_MS);
    nanosleep(&(struct timespec){.tv_nsec = 25 * NS_PER_MS}, NULL);
    ck_assert_int_eq(epoch_view_judge(view, &id, &stamp, &age), EPOCH_VIEW_STALE);
    ck_assert(!epoch_view_is_fresh(view));
    begin_at(100);
    epoch_view_void(view);
    ck_assert_int_eq(epoch_view_judge(view, &id, &stamp, &age), EPOCH_VIEW_STALE);
    epoch_view_free(view);
}
END_TEST

START_TEST(a_commit_counts_at_once_and_never_extends)
{
    struct uuid id = tenant(1);
    open_view(0);
    begin_at(100);
    epoch_view_raise(view, &id, (struct epoch){1, 6});
    ck_assert_int_eq(judge(1, 5, 100), EPOCH_OLDER);
    epoch_view_raise(view, &id, (struct epoch){1, 4}); /* told in the wrong order */
    ck_assert_int_eq(judge(1, 5, 100), EPOCH_OLDER);
    change_seen(1, 5, 101, 101); /* a look from before it */
    ck_assert_int_eq(judge(1, 5, 100), EPOCH_OLDER);
    epoch_view_void(view);
    epoch_view_raise(view, &id, (struct epoch){1, 7});
    ck_assert_int_eq(judge(1, 7, 200), EPOCH_VIEW_STALE);
    epoch_view_free(view);
}
END_TEST

START_TEST(too_many_changes_raise_the_base)
{
    open_view(0);
    begin_at(100);
    change_seen(1, 6, 101, 110);
    struct epoch_look look = look_of(105, 120);
    look.complete = false;
    ck_assert_int_eq(apply(look, NULL, 0), EPOCH_APPLIED);
    ck_assert_uint_eq(epoch_view_base(view), 120);
    ck_assert_int_eq(judge(2, 5, 119), EPOCH_BELOW_BASE);
    ck_assert_int_eq(judge(2, 5, 120), EPOCH_GOOD);
    ck_assert_int_eq(judge(1, 5, 120), EPOCH_OLDER);
    epoch_view_free(view);
}
END_TEST

/* Forgetting may only cost misses: what is forgotten lies below the base. */
START_TEST(what_is_forgotten_is_below_the_base)
{
    struct metrics *metrics = metrics_new();
    view = epoch_view_new(&(struct epoch_view_settings){
        .freshness_ns = 3600 * NS_PER_S, .tenants = 16, .metrics = metrics});
    begin_at(100);
    for (unsigned i = 0; i < 1000; i++) { /* one change a look, by id 100 + i */
        change_seen(i, 9, 101 + i, 101 + i);
        for (unsigned k = 0; k <= i; k++) /* an entry read just before its change */
            ck_assert_int_ne(judge(k, 8, 100 + k), EPOCH_GOOD);
        ck_assert_int_eq(judge(i, 9, 101 + i), EPOCH_GOOD);
    }
    ck_assert_uint_ge(epoch_view_base(view), 1000);
    ck_assert_uint_le(epoch_view_base(view), 1100);
    struct buf text = BUF_EMPTY;
    metrics_render(&metrics, 1, METRICS_PROMETHEUS, &text);
    const char *known = strstr(buf_str(&text), "\ntenant_epoch_view_tenants ");
    ck_assert_ptr_nonnull(known);
    ck_assert_int_le(atoi(strchr(known + 1, ' ')), 16);
    ck_assert_ptr_nonnull(strstr(buf_str(&text), "\ntenant_epoch_view_drops_total 124\n"));
    buf_deinit(&text);
    epoch_view_free(view);
    metrics_free(metrics);
}
END_TEST

START_TEST(a_tenant_that_changes_often_takes_one_place)
{
    open_view(16);
    begin_at(100);
    for (unsigned i = 0; i < 1000; i++)
        change_seen(i % 7, i, 101 + i, 101 + i);
    ck_assert_uint_eq(epoch_view_base(view), 100);
    ck_assert_int_eq(judge(999 % 7, 998, 1099), EPOCH_OLDER);
    epoch_view_free(view);
}
END_TEST

START_TEST(a_look_of_many_changes_turns_generations)
{
    enum { COUNT = 30000 };
    struct epoch_change *changes = malloc(COUNT * sizeof *changes);
    open_view(8192);
    begin_at(100);
    for (unsigned i = 0; i < COUNT; i++)
        changes[i] = (struct epoch_change){tenant(i), {1, 2}};
    ck_assert_int_eq(apply(look_of(500, 40000), changes, COUNT), EPOCH_APPLIED);
    ck_assert_uint_eq(epoch_view_base(view), 40000); /* some of this very look were dropped */
    for (unsigned i = 0; i < COUNT; i++)
        ck_assert_int_ne(judge(i, 1, 39999), EPOCH_GOOD);
    free(changes);
    epoch_view_free(view);
}
END_TEST

START_TEST(a_database_that_went_back_voids_everything)
{
    open_view(0);
    begin_at(100);
    uint64_t era = era_now();
    uint64_t before = clock_now();
    change_seen(1, 6, 110, 110);
    ck_assert_int_eq(apply(look_of(109, 110), NULL, 0), EPOCH_REWOUND);
    ck_assert_int_eq(judge(2, 1, 200), EPOCH_VIEW_STALE);
    struct epoch_look look = look_of(109, 110);
    look.first = true;
    look.base = 109;
    ck_assert_int_eq(apply(look, NULL, 0), EPOCH_APPLIED);
    ck_assert_uint_ne(era_now(), era);
    ck_assert(!epoch_view_era(view, before, &era)); /* read from who knows which */
    ck_assert_int_eq(judge(1, 5, 109), EPOCH_GOOD);  /* the change was undone */
    struct epoch_stamp stamp = {.era = era, .seen = {{1, 9}, 500}};
    struct uuid id = tenant(1);
    uint64_t age = 0;
    ck_assert_int_eq(epoch_view_judge(view, &id, &stamp, &age), EPOCH_OTHER_ERA);
    epoch_view_free(view);
}
END_TEST

START_TEST(another_server_voids_everything_even_if_its_ids_are_later)
{
    open_view(0);
    begin_at(100);
    uint64_t era = era_now();
    struct epoch_look look = look_of(500, 500);
    look.era = ERA + 1;
    ck_assert_int_eq(apply(look, NULL, 0), EPOCH_REWOUND);
    look.first = true;
    look.base = 480; /* it may know more than its snapshot's open transactions need */
    ck_assert_int_eq(apply(look, NULL, 0), EPOCH_APPLIED);
    ck_assert_uint_ne(era_now(), era);
    ck_assert_uint_eq(epoch_view_base(view), 480);
    ck_assert_int_eq(judge(1, 1, 480), EPOCH_GOOD);
    ck_assert_int_eq(judge(1, 1, 479), EPOCH_BELOW_BASE);
    epoch_view_free(view);
}
END_TEST

/* --- threads -------------------------------------------------------------------------------------- */

#define COMMITS 20000

struct race {
    _Atomic int64_t told; /* epoch_view_raise() has returned for it */
    _Atomic bool over;
    _Atomic uint64_t good, wrong;
};

static void *race_judge(void *argument)
{
    struct race *race = argument;
    struct uuid id = tenant(3);
    while (!race->over) {
        int64_t floor = race->told;
        if (floor == 0)
            continue;
        /* read just before the change that was told, whose id is 100 + floor */
        struct epoch_stamp stamp = {.era = era_now(),
                                    .seen = {{1, floor - 1}, 100 + (uint64_t)floor}};
        uint64_t age = 0;
        race->wrong += epoch_view_judge(view, &id, &stamp, &age) == EPOCH_GOOD;
        stamp.seen = (struct epoch_seen){{1, INT64_MAX}, UINT64_MAX};
        race->good += epoch_view_judge(view, &id, &stamp, &age) == EPOCH_GOOD;
    }
    return NULL;
}

/* Judges while changes are told and generations turn. */
START_TEST(no_judge_is_behind_what_was_told)
{
    struct race race = {0};
    struct uuid id = tenant(3);
    pthread_t judges[2];
    open_view(64);
    begin_at(100);
    for (int i = 0; i < 2; i++)
        pthread_create(&judges[i], NULL, race_judge, &race);
    for (int64_t i = 1; i <= COMMITS; i++) {
        epoch_view_raise(view, &id, (struct epoch){1, i});
        race.told = i;
        struct epoch_change changes[] = {{id, {1, i}}, {tenant(100 + (unsigned)i % 500), {1, i}}};
        uint64_t next = 101 + (uint64_t)i;
        ck_assert_int_eq(apply(look_of(next, next), changes, 2), EPOCH_APPLIED);
    }
    while (race.good == 0) /* a busy machine may start them late */
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    race.over = true;
    for (int i = 0; i < 2; i++)
        pthread_join(judges[i], NULL);
    ck_assert_uint_eq(race.wrong, 0);
    ck_assert_uint_gt(race.good, 0);
    epoch_view_free(view);
}
END_TEST

/* --- a model of the database ------------------------------------------------------------------------ */

/* Transactions take ids in one order and commit in another; looks and entries see snapshots.  `cursor` looks as
 * one would at first thought: everything above the highest id seen so far. */
#define IDS 4000
#define TENANTS 12
#define RUNNING 8

struct model {
    unsigned seed;
    uint64_t next;
    uint64_t running[RUNNING]; /* 0: none */
    int64_t epoch[TENANTS];    /* the one row of each … */
    uint64_t xid[TENANTS];     /* … and who wrote it */
};

static unsigned chance(struct model *model, unsigned below)
{
    return (unsigned)rand_r(&model->seed) % below;
}

static uint64_t xmin_of(const struct model *model)
{
    uint64_t xmin = model->next;
    for (unsigned i = 0; i < RUNNING; i++) {
        if (model->running[i] != 0 && model->running[i] < xmin)
            xmin = model->running[i];
    }
    return xmin;
}

/* A slot begins (takes an id, locks nothing yet) or commits (bumps a tenant and is seen at once). */
static void model_step(struct model *model)
{
    uint64_t *slot = &model->running[chance(model, RUNNING)];
    if (*slot == 0) {
        *slot = model->next++;
        return;
    }
    unsigned k = chance(model, TENANTS);
    model->epoch[k]++;
    model->xid[k] = *slot;
    *slot = 0;
}

/* The share of entries that a view calls good though their tenant has changed before its last look. */
static unsigned model_run(unsigned seed, bool cursor, unsigned *good)
{
    struct model model = {.seed = seed, .next = 100};
    struct epoch_stamp entries[TENANTS * 4];
    unsigned wrong = 0;
    uint64_t highest = 99;
    open_view(16);
    begin_at(100);
    for (unsigned i = 0; i < TENANTS * 4; i++)
        entries[i] = (struct epoch_stamp){.era = era_now(), .seen = {{1, 0}, 100}};
    bool seen[IDS] = {false};
    while (model.next < IDS - 8) {
        for (unsigned i = 0; i < 6; i++) {
            model_step(&model);
            unsigned e = chance(&model, TENANTS * 4);
            if (chance(&model, 2) == 0)
                entries[e].seen = (struct epoch_seen){{1, model.epoch[e % TENANTS]}, xmin_of(&model)};
        }
        struct epoch_change changes[TENANTS];
        size_t count = 0;
        for (unsigned k = 0; k < TENANTS; k++) {
            bool asked = cursor ? model.xid[k] > highest : !seen[model.xid[k]];
            if (model.epoch[k] > 0 && asked)
                changes[count++] = (struct epoch_change){tenant(k), {1, model.epoch[k]}};
        }
        for (unsigned k = 0; k < TENANTS; k++)
            highest = model.xid[k] > highest ? model.xid[k] : highest;
        /* what this look's snapshot shows as decided, the next one does not ask for */
        for (uint64_t id = 100; id < model.next; id++) {
            seen[id] = true;
            for (unsigned i = 0; i < RUNNING; i++)
                seen[id] = seen[id] && model.running[i] != id;
        }
        ck_assert_int_eq(apply(look_of(xmin_of(&model), model.next), changes, count),
                         EPOCH_APPLIED);
        for (unsigned e = 0; e < TENANTS * 4; e++) {
            struct uuid id = tenant(e % TENANTS);
            uint64_t age = 0;
            if (epoch_view_judge(view, &id, &entries[e], &age) != EPOCH_GOOD)
                continue;
            *good += 1;
            wrong += entries[e].seen.epoch.counter < model.epoch[e % TENANTS];
        }
    }
    epoch_view_free(view);
    return wrong;
}

START_TEST(a_late_committer_is_never_missed)
{
    unsigned good = 0;
    unsigned missed = 0;
    for (unsigned seed = 1; seed <= 20; seed++) {
        ck_assert_uint_eq(model_run(seed, false, &good), 0);
        missed += model_run(seed, true, &good);
    }
    ck_assert_uint_gt(good, 10000);
    ck_assert_uint_gt(missed, 100); /* or the model could not have told */
}
END_TEST

Suite *suite_cache_epoch_view(void);
Suite *suite_cache_epoch_view(void)
{
    Suite *suite = suite_create("cache/epoch_view");
    TCase *tcase = tcase_create("view");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, without_a_look_nothing_is_good);
    tcase_add_test(tcase, what_is_not_known_to_have_changed_is_good);
    tcase_add_test(tcase, an_incarnation_counts_more_than_its_counter);
    tcase_add_test(tcase, a_look_counts_from_before_it_was_sent);
    tcase_add_test(tcase, a_commit_counts_at_once_and_never_extends);
    tcase_add_test(tcase, too_many_changes_raise_the_base);
    tcase_add_test(tcase, what_is_forgotten_is_below_the_base);
    tcase_add_test(tcase, a_tenant_that_changes_often_takes_one_place);
    tcase_add_test(tcase, a_look_of_many_changes_turns_generations);
    tcase_add_test(tcase, a_database_that_went_back_voids_everything);
    tcase_add_test(tcase, another_server_voids_everything_even_if_its_ids_are_later);
    tcase_add_test(tcase, no_judge_is_behind_what_was_told);
    tcase_add_test(tcase, a_late_committer_is_never_missed);
    suite_add_tcase(suite, tcase);
    return suite;
}
