/* What the view of epochs vouches for, in memory and behind scripted Redis nodes. */
#include "tests/unit/cache/redis_bench.h"

#include "cache/epoch_view.h"

#define SLUG "slugs/{acme}"

static struct epoch_view *view;
static const struct uuid tenant = {.bytes = {1, 2, 3}};
static const struct cache_want want = {.tenant = {.bytes = {1, 2, 3}}};

static void look_at(uint64_t era, uint64_t xmin, int64_t counter)
{
    struct epoch_change change = {tenant, {1, counter}};
    struct epoch_look look = {.t0_ns = clock_boot(),
                              .era = era,
                              .xmin = xmin,
                              .xmax = xmin + 10,
                              .complete = true,
                              .changes = &change,
                              .count = counter == 0 ? 0 : 1};
    if (epoch_view_apply(view, &look) == EPOCH_APPLIED)
        return;
    look.first = true;
    look.base = xmin;
    ck_assert_int_eq(epoch_view_apply(view, &look), EPOCH_APPLIED);
}

static void set_up_view(void)
{
    set_up();
    cache_memory_free(memory);
    view = epoch_view_new(&(struct epoch_view_settings){.freshness_ns = 3600 * NS_PER_S});
    look_at(7, 100, 0);
    memory = cache_memory_new(
        &(struct cache_memory_settings){.max_age_ns = 2 * NS_PER_S, .view = view});
}

static void tear_down_view(void)
{
    tear_down();
    epoch_view_free(view);
}

static void new_process(void)
{
    cache_close(cache);
    cache_memory_free(memory);
    memory = cache_memory_new(
        &(struct cache_memory_settings){.max_age_ns = 2 * NS_PER_S, .view = view});
    open_whole();
}

static uint64_t refused_for(const char *reason)
{
    char series[96];
    snprintf(series, sizeof series, "tenant_cache_refusals_total{reason=\"%s\"}", reason);
    return counted(series);
}

static struct look get_wanted(const struct cache_want *wanted)
{
    struct look look = {.key = KEY, .want = wanted};
    ck_assert(task_start(loop, look_up, &look, NULL));
    turn_until(look.over);
    return look;
}

static struct cache_item profile(const char *value, int64_t counter, uint64_t xmin)
{
    struct cache_item made = item(value, (uint64_t)counter);
    made.rule = CACHE_EPOCH;
    made.tenant = tenant;
    made.seen = (struct epoch_seen){{1, counter}, xmin};
    return made;
}

static void put_profile(const char *value, int64_t counter, uint64_t xmin)
{
    struct cache_item made = profile(value, counter, xmin);
    cache_put(cache, &made);
}

/* What another replica left in Redis. */
static void plant_profile(struct fake_redis *fake, int64_t counter, uint64_t xmin)
{
    uint64_t era = 0;
    ck_assert(epoch_view_era(view, clock_now(), &era));
    struct buf bytes = BUF_EMPTY;
    stored_value_encode(&(struct stored_value){.rule = CACHE_EPOCH,
                                               .stamp = {era, {{1, counter}, xmin}},
                                               .version = (uint64_t)counter,
                                               .key = slice_of_str(KEY),
                                               .value = slice_of_str("planted")},
                        &bytes);
    fake_keep(fake, slice_of_str(KEY), buf_slice(&bytes));
    buf_deinit(&bytes);
}

START_TEST(an_entry_lives_until_its_tenant_changes)
{
    open_whole();
    put_profile("five", 5, 100);
    struct look look = get_wanted(&want);
    ck_assert(look.hit && look.found.source == CACHE_MEMORY && look.found.rule == CACHE_EPOCH);
    ck_assert(slice_is(look.found.value, "five"));
    ck_assert_uint_lt(look.found.age_ns, 3600 * NS_PER_S);
    look_at(7, 101, 6);
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(refused_for("older"), 2); /* in memory and in Redis */
    put_profile("five again", 5, 101);         /* a read that was overtaken */
    ck_assert(!get_wanted(&want).hit);
    put_profile("six", 6, 101);
    ck_assert(slice_is(get_wanted(&want).found.value, "six"));
}
END_TEST

START_TEST(other_processes_find_it_in_redis)
{
    open_whole();
    put_profile("five", 5, 100);
    turn_until(puts_counted("stored") == 1);
    ck_assert(first.relative && first.end_ms > 530000 && first.end_ms <= 600000);
    new_process();
    struct look look = get_wanted(&want);
    ck_assert(look.hit && look.found.source == CACHE_REDIS && look.found.version == 5);
    ck_assert_int_eq(get_wanted(&want).found.source, CACHE_MEMORY);
    new_process();
    look_at(7, 101, 6);
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(refused_for("older"), 1);
}
END_TEST

START_TEST(what_redis_says_is_judged_like_the_rest)
{
    open_whole();
    plant_profile(&first, 5, 99); /* who knows what has happened since */
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(refused_for("below_base"), 1);
    plant_profile(&first, 5, 100);
    look_at(8, 200, 0); /* another server */
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(refused_for("other_era"), 1);
    plant_profile(&first, 5, 200);
    ck_assert(get_wanted(&want).hit);
    ck_assert_uint_eq(errors("value"), 0);
}
END_TEST

START_TEST(each_key_has_its_own_kind)
{
    open_whole();
    plant(&first, KEY, KEY, 1, 1000, 1000); /* young, but nobody vouches for it */
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(errors("value"), 1);
    plant_profile(&first, 5, 100);
    ck_assert(!get(KEY).hit); /* asked for as a slug would be */
    ck_assert_uint_eq(errors("value"), 2);
    struct cache_item made = item("aged", 9);
    cache_put(cache, &made);
    ck_assert(get(KEY).hit);
}
END_TEST

START_TEST(a_token_may_ask_for_more)
{
    struct cache_want more = want;
    more.at_least = (struct epoch){1, 6};
    open_whole();
    put_profile("five", 5, 100);
    ck_assert(get_wanted(&want).hit);
    ck_assert(!get_wanted(&more).hit);
    ck_assert_uint_eq(refused_for("too_early"), 2);
    plant_profile(&first, 6, 100); /* newer than what memory has */
    struct look look = get_wanted(&more);
    ck_assert(look.hit && look.found.version == 6 && look.found.source == CACHE_REDIS);
    more.at_least = (struct epoch){2, 1};
    ck_assert(!get_wanted(&more).hit);
}
END_TEST

START_TEST(without_a_fresh_view_nothing_is_asked)
{
    open_whole();
    put_profile("five", 5, 100);
    turn_until(puts_counted("stored") == 1);
    unsigned gets = first.gets;
    epoch_view_void(view);
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(refused_for("view_stale"), 1);
    ck_assert_uint_eq(first.gets, gets);
    look_at(7, 103, 0);
    ck_assert(get_wanted(&want).hit); /* it was not lost */
}
END_TEST

START_TEST(a_commit_outdates_what_is_anywhere)
{
    open_whole();
    plant_profile(&first, 5, 100);
    ck_assert(get_wanted(&want).hit);
    struct cache_item made = profile("six", 6, 100);
    first.store_answer = ":0\r\n"; /* and Redis does not learn it */
    cache_written(cache, &made);
    ck_assert(slice_is(get_wanted(&want).found.value, "six"));
    put_profile("five", 5, 104);
    ck_assert(slice_is(get_wanted(&want).found.value, "six"));
    cache_memory_free(memory); /* as if it had to make room */
    cache_close(cache);
    memory = cache_memory_new(&(struct cache_memory_settings){.view = view});
    open_whole();
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(refused_for("older"), 1);
}
END_TEST

START_TEST(an_uncertain_commit_hides_all_for_a_while)
{
    cache_memory_free(memory);
    memory = cache_memory_new(
        &(struct cache_memory_settings){.max_age_ns = 50 * NS_PER_MS, .view = view});
    open_whole();
    plant_profile(&first, 5, 100);
    ck_assert(get_wanted(&want).hit);
    cache_forget(cache, slice_of_str(KEY));
    ck_assert(!get_wanted(&want).hit);
    turn_for(110 * NS_PER_MS); /* by then the feed has told */
    ck_assert(get_wanted(&want).hit);
}
END_TEST

START_TEST(hints_and_absences_share_a_key)
{
    struct cache_item none = item("none", 0);
    struct cache_item hint = item("tnt_a", 500);
    none.key = hint.key = slice_of_str(SLUG);
    hint.rule = CACHE_HINT;
    open_whole();
    cache_put(cache, &none);
    ck_assert_int_eq(get(SLUG).found.rule, CACHE_AGED);
    cache_put(cache, &hint);
    ck_assert_int_eq(get(SLUG).found.rule, CACHE_HINT);
    turn_until(first.stores == 2);
    ck_assert(first.relative);
    hint.version = 499;
    cache_put(cache, &hint);
    ck_assert_uint_eq(get(SLUG).found.version, 500);
    none.read_began_ns = clock_now(); /* the tenant took another slug */
    cache_put(cache, &none);
    ck_assert_int_eq(get(SLUG).found.rule, CACHE_AGED);
    hint.version = 600;
    cache_written(cache, &hint);
    none.read_began_ns = clock_now(); /* nobody had it a moment ago, elsewhere */
    cache_put(cache, &none);
    ck_assert_int_eq(get(SLUG).found.rule, CACHE_HINT);
}
END_TEST

START_TEST(what_cannot_be_read_is_dropped)
{
    open_whole();
    plant_profile(&first, 5, 100);
    ck_assert(get_wanted(&want).hit);
    cache_reject(cache, slice_of_str(KEY));
    ck_assert_uint_eq(errors("value"), 1);
    ck_assert(!get_wanted(&want).hit);
    put_profile("five", 5, 100);
    ck_assert(slice_is(get_wanted(&want).found.value, "five"));
}
END_TEST

START_TEST(without_a_view_nothing_is_vouched_for)
{
    cache_memory_free(memory);
    memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = NS_PER_S});
    open_whole();
    put_profile("five", 5, 100);
    struct cache_item made = profile("six", 6, 100);
    cache_written(cache, &made);
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(first.stores, 0);
}
END_TEST

/* A read from before the view knew the database it reads now. */
START_TEST(a_read_of_another_era_is_not_kept)
{
    struct cache_item made = profile("five", 5, 300);
    open_whole();
    look_at(8, 300, 0);
    cache_put(cache, &made);
    ck_assert(!get_wanted(&want).hit);
    ck_assert_uint_eq(puts_counted("stale"), 1);
    cache_written(cache, &made);
    ck_assert(!get_wanted(&want).hit);
    made.read_began_ns = clock_now();
    cache_put(cache, &made);
    ck_assert(get_wanted(&want).hit);
}
END_TEST

/* --- one reader for many -------------------------------------------------------------------------- */

struct reader {
    bool fails;
    uint64_t takes_ns;
    unsigned *reads;
    bool hit, over;
};

static void read_through(struct task *task, void *argument)
{
    struct reader *reader = argument;
    struct ctx ctx;
    struct cache_found found;
    ctx_init(&ctx, NULL, arena);
    ctx.task = task;
    ctx.deadline_ns = clock_now() + 2 * NS_PER_S;
    struct cache_flight flight = CACHE_FLIGHT_NONE;
    reader->hit = cache_get(cache, &ctx, slice_of_str(KEY), &want, &found);
    if (!reader->hit && cache_flight_join(cache, &ctx, slice_of_str(KEY), &flight))
        reader->hit = cache_get(cache, &ctx, slice_of_str(KEY), &want, &found);
    if (!reader->hit) {
        ++*reader->reads;
        (void)task_sleep(&ctx, reader->takes_ns);
        if (!reader->fails)
            put_profile("read", 5, 100);
    }
    cache_flight_end(&flight);
    reader->over = true;
}

static unsigned read_by_many(bool fails, uint64_t takes_ns)
{
    static struct reader readers[50];
    unsigned reads = 0;
    open_whole();
    for (unsigned i = 0; i < 50; i++) {
        readers[i] = (struct reader){.fails = fails && i == 0, .takes_ns = takes_ns, .reads = &reads};
        ck_assert(task_start(loop, read_through, &readers[i], NULL));
    }
    for (unsigned i = 0; i < 50; i++)
        turn_until(readers[i].over);
    return reads;
}

START_TEST(one_reads_and_the_others_wait)
{
    ck_assert_uint_eq(read_by_many(false, 30 * NS_PER_MS), 1);
    ck_assert_uint_eq(counted("tenant_cache_coalesced_total{result=\"followed\"}"), 49);
}
END_TEST

START_TEST(a_reader_that_fails_wakes_all)
{
    uint64_t began = clock_now();
    ck_assert_uint_eq(read_by_many(true, 30 * NS_PER_MS), 50);
    ck_assert_uint_lt(clock_now() - began, NS_PER_S);
}
END_TEST

START_TEST(nobody_waits_for_long)
{
    ck_assert_uint_eq(read_by_many(false, NS_PER_S), 50);
    ck_assert_uint_eq(counted("tenant_cache_coalesced_total{result=\"left\"}"), 49);
}
END_TEST

START_TEST(nobody_waits_for_what_would_not_be_found)
{
    epoch_view_void(view);
    ck_assert_uint_eq(read_by_many(false, 30 * NS_PER_MS), 50);
    ck_assert_uint_eq(counted("tenant_cache_coalesced_total{result=\"followed\"}"), 0);
}
END_TEST

Suite *suite_cache_epochs(void);
Suite *suite_cache_epochs(void)
{
    Suite *suite = suite_create("cache/epochs");
    TCase *tcase = tcase_create("epochs");
    tcase_add_checked_fixture(tcase, set_up_view, tear_down_view);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, an_entry_lives_until_its_tenant_changes);
    tcase_add_test(tcase, other_processes_find_it_in_redis);
    tcase_add_test(tcase, what_redis_says_is_judged_like_the_rest);
    tcase_add_test(tcase, each_key_has_its_own_kind);
    tcase_add_test(tcase, a_token_may_ask_for_more);
    tcase_add_test(tcase, without_a_fresh_view_nothing_is_asked);
    tcase_add_test(tcase, a_commit_outdates_what_is_anywhere);
    tcase_add_test(tcase, an_uncertain_commit_hides_all_for_a_while);
    tcase_add_test(tcase, hints_and_absences_share_a_key);
    tcase_add_test(tcase, what_cannot_be_read_is_dropped);
    tcase_add_test(tcase, without_a_view_nothing_is_vouched_for);
    tcase_add_test(tcase, a_read_of_another_era_is_not_kept);
    tcase_add_test(tcase, one_reads_and_the_others_wait);
    tcase_add_test(tcase, a_reader_that_fails_wakes_all);
    tcase_add_test(tcase, nobody_waits_for_long);
    tcase_add_test(tcase, nobody_waits_for_what_would_not_be_found);
    suite_add_tcase(suite, tcase);
    return suite;
}
