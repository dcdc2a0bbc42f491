/* The cluster client against scripted nodes: the ordinary course, redirects, what may be believed. */
#include "tests/unit/cache/redis_bench.h"

/* --- the ordinary course ----------------------------------------------------------------------- */

START_TEST(greets_and_learns_the_map)
{
    open_cache("default:p%40ss@");
    ck_assert(!cache_is_whole(cache));
    ck_assert(!get(KEY).hit);
    turn_until(cache_is_whole(cache));
    ck_assert_str_eq(first.password, "p@ss");
    ck_assert_uint_eq(first.loads, 1);
    ck_assert_uint_eq(first.connections, 1);
    ck_assert_uint_ge(errors("unreachable"), 1);
    ck_assert_uint_eq(counted("tenant_cache_redis_nodes_ready"), 1);
}
END_TEST

static bool renew(const char *login, unsigned port)
{
    struct ctx ctx;
    char url[96];
    ctx_init(&ctx, NULL, arena);
    snprintf(url, sizeof url, "redis://%s127.0.0.1:%u", login, port);
    return cache_renew_password(cache, &ctx, url);
}

START_TEST(a_renewed_password_is_for_the_next_connection)
{
    open_cache("default:old@");
    turn_until(cache_is_whole(cache));
    ck_assert(!renew("default:new@", first.port == 1 ? 2 : 1));
    ck_assert(!renew("other:new@", first.port));
    ck_assert(!renew("", first.port));
    ck_assert(!renew("default:%zz@", first.port));
    ck_assert(renew("default:new@", first.port));
    ck_assert(cache_is_whole(cache));
    ck_assert_uint_eq(first.connections, 1);
    ck_assert_str_eq(first.password, "old");
    fake_hang_up(&first);
    turn_until(first.connections == 2 && cache_is_whole(cache));
    ck_assert_str_eq(first.password, "new");
}
END_TEST

START_TEST(a_password_neither_comes_nor_goes)
{
    open_whole();
    ck_assert(!renew("default:new@", first.port));
    ck_assert(!renew("", first.port));
    ck_assert(cache_is_whole(cache));
}
END_TEST

START_TEST(what_is_put_is_found_by_another_process)
{
    open_whole();
    struct cache_item made = item("value", 7);
    cache_put(cache, &made);
    turn_until(puts_counted("stored") == 1);
    uint64_t wall_ms = clock_wall() / NS_PER_MS;
    ck_assert(first.end_ms > wall_ms + 1000 && first.end_ms <= wall_ms + 2000);
    ck_assert_int_eq(get(KEY).found.source, CACHE_MEMORY);
    struct cache_memory *others = memory;
    cache_close(cache);
    memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = 2 * NS_PER_S});
    open_whole();
    uint64_t age = clock_now() - made.read_began_ns;
    struct look look = get(KEY);
    ck_assert(look.hit);
    ck_assert(look.found.age_ns >= age && look.found.age_ns < age + NS_PER_S);
    ck_assert_int_eq(look.found.source, CACHE_REDIS);
    ck_assert(slice_is(look.found.value, "value"));
    ck_assert_uint_eq(look.found.version, 7);
    ck_assert_int_eq(get(KEY).found.source, CACHE_MEMORY);
    cache_memory_free(others);
}
END_TEST

START_TEST(answers_may_trickle)
{
    open_whole();
    plant(&first, KEY, KEY, 1, 1000, 1000);
    first.trickle = true;
    struct look look;
    start(&look, KEY);
    turn_until(look.over);
    ck_assert(look.hit || errors("timeout") > 0); /* 230 bytes in as many turns */
    first.trickle = false;
    turn_until(get(KEY).hit);
}
END_TEST

START_TEST(many_tasks_share_the_connection)
{
    static struct look looks[300];
    open_whole();
    plant(&first, KEY, KEY, 1, 1000, 1000);
    for (size_t i = 0; i < 300; i++)
        start(&looks[i], i % 2 == 0 ? KEY : "slugs/{none}");
    for (size_t i = 0; i < 300; i++)
        turn_until(looks[i].over);
    for (size_t i = 0; i < 300; i++)
        ck_assert_msg(looks[i].hit == (i % 2 == 0), "%zu after %llu us", i,
                      (unsigned long long)looks[i].took_ns / 1000);
    ck_assert_uint_eq(first.connections, 1);
    ck_assert_uint_eq(counted("tenant_cache_redis_in_flight"), 0);
}
END_TEST

/* --- values that may not be believed ----------------------------------------------------------- */

START_TEST(foreign_and_damaged_values_are_misses)
{
    open_whole();
    plant(&first, KEY, "tenants/{tnt_b}/profile", 1, 1000, 1000);
    ck_assert(!get(KEY).hit);
    ck_assert_uint_eq(errors("value"), 1);
    fake_keep(&first, slice_of_str(KEY), slice_of_str("{\"json\": true}"));
    ck_assert(!get(KEY).hit);
    ck_assert_uint_eq(errors("value"), 2);
    plant(&first, KEY, KEY, 1, 1000, 1000);
    ck_assert(get(KEY).hit);
}
END_TEST

START_TEST(age_is_judged_on_reading)
{
    open_whole();
    plant(&first, KEY, KEY, 1, 2000001, 2000001);
    ck_assert(!get(KEY).hit);
    plant(&first, KEY, KEY, 1, 1500000, 1500000);
    struct look look = get(KEY);
    ck_assert(look.hit);
    ck_assert_uint_ge(look.found.age_ns, 1500 * NS_PER_MS);
    turn_for(510 * NS_PER_MS); /* memory took its age over, too */
    ck_assert(!get(KEY).hit);
    ck_assert_uint_eq(errors("clock"), 0);
}
END_TEST

START_TEST(a_clock_that_was_set_back_is_noticed)
{
    open_whole();
    plant(&first, KEY, KEY, 1, 1000, 4000000); /* young by the node's clock only */
    ck_assert(!get(KEY).hit);
    plant(&first, KEY, KEY, 1, -1000000, 1000); /* read in the node's future */
    ck_assert(!get(KEY).hit);
    plant(&first, KEY, KEY, 1, 1000, -2000000); /* read in our future */
    ck_assert(!get(KEY).hit);
    ck_assert_uint_eq(errors("clock"), 3);
}
END_TEST

START_TEST(the_nodes_clock_may_be_anywhere)
{
    first.clock_us = INT64_C(-86400) * 1000000;
    open_whole();
    struct cache_item made = item("value", 7);
    cache_put(cache, &made);
    turn_until(puts_counted("stored") == 1);
    uint64_t node_ms = clock_wall() / NS_PER_MS - 86400000;
    ck_assert(first.end_ms > node_ms + 1000 && first.end_ms <= node_ms + 2000);
    cache_memory_free(memory);
    cache_close(cache);
    memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = 2 * NS_PER_S});
    open_whole();
    ck_assert(get(KEY).hit);
}
END_TEST

START_TEST(what_was_written_here_is_never_undone_from_redis)
{
    open_whole();
    plant(&first, KEY, KEY, 4, 1000, 1000);
    struct cache_item made = item("mine", 5);
    first.store_answer = ":-1\r\n";
    cache_written(cache, &made);
    struct look look = get(KEY);
    ck_assert(look.hit && look.found.version == 5);
    turn_until(puts_counted("stale") == 1);
    cache_forget(cache, slice_of_str(KEY));
    ck_assert(!get(KEY).hit); /* Redis still says 4 */
    ck_assert_uint_ge(first.gets, 1);
    plant(&first, KEY, KEY, 5, 0, 0);
    turn_for(5 * NS_PER_MS);
    plant(&first, KEY, KEY, 6, 0, 0); /* read after we forgot */
    ck_assert_uint_eq(get(KEY).found.version, 6);
}
END_TEST

/* --- redirects --------------------------------------------------------------------------------- */

static void redirect_to(struct fake_redis *from, const char *code, uint16_t port, char text[64])
{
    snprintf(text, 64, "-%s 15495 127.0.0.1:%u\r\n", code, port);
    from->raw = text;
    from->raw_size = strlen(text);
}

START_TEST(moved_is_followed_and_remembered)
{
    char text[64];
    char slots[64];
    open_whole();
    redirect_to(&first, "MOVED", second.port, text);
    snprintf(slots, sizeof slots, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%u\r\n",
             second.port);
    first.slots_answer = slots;
    ck_assert(
        !get("slugs/{a}").hit); /* its node is not connected yet, and nobody waits for that */
    ck_assert_uint_eq(counted("tenant_cache_redis_redirects_total{kind=\"moved\"}"), 1);
    turn_until(second.loads == 1);
    turn_for(20 * NS_PER_MS);
    unsigned gets = first.gets;
    ck_assert(!get("slugs/{a}").hit);
    ck_assert_uint_eq(first.gets, gets);
    ck_assert_uint_eq(second.gets, 1);
    turn_until(cache_is_whole(cache) &&
               first.fd < 0); /* the map was asked again, the node let go */
    plant(&second, "slugs/{a}", "slugs/{a}", 3, 0, 0);
    ck_assert_uint_eq(get("slugs/{a}").found.version, 3);
}
END_TEST

START_TEST(ask_is_followed_once)
{
    char text[64];
    open_whole();
    redirect_to(&first, "ASK", second.port, text);
    ck_assert(!get("slugs/{a}").hit);
    turn_until(second.loads == 1);
    turn_for(20 * NS_PER_MS);
    plant(&second, "slugs/{a}", "slugs/{a}", 3, 0, 0);
    ck_assert_uint_eq(get("slugs/{a}").found.version, 3);
    ck_assert_uint_eq(second.askings, 1);
    unsigned gets = first.gets;
    cache_forget(cache, slice_of_str("slugs/{a}"));
    ck_assert(!get("slugs/{a}").hit);
    ck_assert_uint_eq(first.gets, gets + 1); /* the first node still has the slot */
}
END_TEST

START_TEST(redirects_in_a_circle_end)
{
    char there[64];
    char back[64];
    open_whole();
    redirect_to(&first, "ASK", second.port, there);
    redirect_to(&second, "ASK", first.port, back);
    (void)get("slugs/{a}");
    turn_until(second.loads == 1);
    turn_for(20 * NS_PER_MS);
    ck_assert(!get("slugs/{a}").hit);
    ck_assert_uint_eq(errors("redirects"), 1);
}
END_TEST

/* --- stores ------------------------------------------------------------------------------------ */

START_TEST(stores_do_not_wait_and_their_fate_is_counted)
{
    static const struct {
        const char *answer;
        const char *fate;
    } cases[] = {{":0\r\n", "older"},
                 {":-1\r\n", "stale"},
                 {"-MOVED 15495 127.0.0.1:1\r\n", "failed"},
                 {"+what\r\n", "failed"}};
    struct cache_item made = item("early", 1);
    open_cache("");
    cache_put(cache, &made);
    ck_assert_uint_eq(puts_counted("unreachable"), 1);
    turn_until(cache_is_whole(cache));
    for (size_t i = 0; i < 4; i++) {
        uint64_t before = puts_counted(cases[i].fate);
        first.store_answer = cases[i].answer;
        made = item("value", 2 + i);
        made.key = slice_of_str("slugs/{s}");
        cache_put(cache, &made);
        ck_assert_uint_eq(puts_counted(cases[i].fate), before);
        turn_until(puts_counted(cases[i].fate) == before + 1);
        turn_until(cache_is_whole(cache));
    }
    made.read_began_ns = clock_now() - 3 * NS_PER_S;
    cache_put(cache, &made);
    ck_assert_uint_eq(puts_counted("stale"), 2);
}
END_TEST

START_TEST(a_lost_script_is_loaded_again)
{
    open_whole();
    first.store_answer = "-NOSCRIPT No matching script\r\n";
    struct cache_item made = item("value", 1);
    cache_put(cache, &made);
    turn_until(first.loads == 2);
    first.store_answer = NULL;
    made = item("value", 2);
    cache_put(cache, &made);
    turn_until(puts_counted("stored") == 1);
    ck_assert_uint_eq(first.connections, 1);
}
END_TEST

START_TEST(without_redis_memory_serves)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ck_assert_int_eq(cache_open(&ctx, loop,
                                &(struct cache_settings){
                                    .redis_url = "", .memory = memory, .metrics = metrics},
                                &cache),
                     OK);
    ck_assert(cache_is_whole(cache));
    ck_assert(!get(KEY).hit);
    struct cache_item made = item("value", 1);
    cache_put(cache, &made);
    ck_assert(get(KEY).hit);
    struct cache *none = NULL;
    ck_assert_int_eq(cache_open(&ctx, loop,
                                &(struct cache_settings){.redis_url = "rediss://:x@127.0.0.1:1",
                                                         .memory = memory,
                                                         .metrics = metrics},
                                &none),
                     FAULT_CONFIG);
    ck_assert_ptr_null(none);
    ck_assert(slice_is(cache_key_profile(&ctx, slice_of_str("tnt_a")), KEY));
    ck_assert(slice_is(cache_key_slug(&ctx, slice_of_str("acme")), "slugs/{acme}"));
}
END_TEST

Suite *suite_cache_redis(void);
Suite *suite_cache_redis(void)
{
    Suite *suite = suite_create("cache/redis");
    TCase *tcase = tcase_create("redis");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, greets_and_learns_the_map);
    tcase_add_test(tcase, a_renewed_password_is_for_the_next_connection);
    tcase_add_test(tcase, a_password_neither_comes_nor_goes);
    tcase_add_test(tcase, what_is_put_is_found_by_another_process);
    tcase_add_test(tcase, answers_may_trickle);
    tcase_add_test(tcase, many_tasks_share_the_connection);
    tcase_add_test(tcase, foreign_and_damaged_values_are_misses);
    tcase_add_test(tcase, age_is_judged_on_reading);
    tcase_add_test(tcase, a_clock_that_was_set_back_is_noticed);
    tcase_add_test(tcase, the_nodes_clock_may_be_anywhere);
    tcase_add_test(tcase, what_was_written_here_is_never_undone_from_redis);
    tcase_add_test(tcase, moved_is_followed_and_remembered);
    tcase_add_test(tcase, ask_is_followed_once);
    tcase_add_test(tcase, redirects_in_a_circle_end);
    tcase_add_test(tcase, stores_do_not_wait_and_their_fate_is_counted);
    tcase_add_test(tcase, a_lost_script_is_loaded_again);
    tcase_add_test(tcase, without_redis_memory_serves);
    suite_add_tcase(suite, tcase);
    return suite;
}
