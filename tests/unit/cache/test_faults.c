/* The cluster client against nodes that misbehave: what they may do to us, and what it costs. */
#include "tests/unit/cache/redis_bench.h"

/* --- nodes that misbehave ---------------------------------------------------------------------- */

static void expect_miss_and_recovery(const char *kind)
{
    ck_assert(!get(KEY).hit);
    ck_assert_uint_eq(errors(kind), 1);
    first.raw = NULL;
    plant(&first, KEY, KEY, 1, 1000, 1000);
    turn_until(cache_is_whole(cache));
    ck_assert_uint_eq(first.connections, 2);
    ck_assert(get(KEY).hit);
}

START_TEST(garbage_ends_the_connection)
{
    open_whole();
    first.raw = "HTTP/1.1 200 OK\r\n\r\n";
    first.raw_size = strlen(first.raw);
    expect_miss_and_recovery("protocol");
}
END_TEST

START_TEST(a_huge_value_ends_the_connection)
{
    char *bytes = malloc(REDIS_STRING_BYTES * 2);
    memset(bytes, 'x', REDIS_STRING_BYTES * 2);
    memcpy(bytes, "$4000000\r\n", 10);
    open_whole();
    first.raw = bytes;
    first.raw_size = REDIS_STRING_BYTES * 2;
    struct look look = get(KEY);
    ck_assert(!look.hit);
    turn_until(errors("oversize") == 1);
    free(bytes);
}
END_TEST

START_TEST(answers_that_nobody_asked_for_end_the_connection)
{
    open_whole();
    first.raw = "$-1\r\n*2\r\n$1\r\n1\r\n$1\r\n1\r\n+hello\r\n";
    first.raw_size = strlen(first.raw);
    (void)get(KEY);
    turn_until(errors("protocol") == 1);
}
END_TEST

START_TEST(a_connection_lost_wakes_all)
{
    static struct look looks[50];
    open_whole();
    first.close_on_get = true;
    for (size_t i = 0; i < 50; i++)
        start(&looks[i], KEY);
    for (size_t i = 0; i < 50; i++) {
        turn_until(looks[i].over);
        ck_assert(!looks[i].hit);
    }
    ck_assert_uint_eq(errors("lost"), 1);
    ck_assert_uint_eq(counted("tenant_cache_redis_in_flight"), 0);
    first.close_on_get = false;
    turn_until(cache_is_whole(cache));
}
END_TEST

START_TEST(answers_of_a_wrong_type_are_misses)
{
    static const char *const answers[] = {":1\r\n", "*0\r\n", "+OK\r\n",
                                          "-WRONGTYPE Operation against a key\r\n"};
    open_whole();
    for (size_t i = 0; i < 4; i++) {
        first.raw = answers[i];
        first.raw_size = strlen(answers[i]);
        for (int k = 0; k < 10; k++) /* this speaks against the key, not the node */
            ck_assert(!get(KEY).hit);
        ck_assert_uint_eq(errors("type"), (i + 1) * 10);
    }
    ck_assert(cache_is_whole(cache));
    ck_assert_uint_eq(first.connections, 1);
}
END_TEST

START_TEST(errors_in_a_row_open_the_breaker)
{
    static const char *const answers[] = {
        "-LOADING Redis is loading\r\n", "-CLUSTERDOWN The cluster is down\r\n",
        "-TRYAGAIN Multiple keys\r\n", "-ERR other\r\n", "-LOADING Redis is loading\r\n"};
    open_whole();
    for (size_t i = 0; i < 5; i++) {
        ck_assert(cache_is_whole(cache));
        first.raw = answers[i];
        first.raw_size = strlen(answers[i]);
        ck_assert(!get(KEY).hit);
    }
    ck_assert_uint_eq(errors("loading"), 2);
    ck_assert_uint_eq(errors("clusterdown"), 1);
    ck_assert_uint_eq(errors("tryagain"), 1);
    ck_assert_uint_eq(errors("refused"), 1);
    ck_assert_uint_eq(counted("tenant_cache_redis_breakers_open"), 1);
    unsigned asked = first.gets;
    for (int i = 0; i < 100; i++)
        ck_assert(!get(KEY).hit);
    ck_assert_uint_eq(first.gets, asked); /* nothing was sent */
    first.raw = NULL;
    turn_until(cache_is_whole(cache));
    ck_assert_uint_eq(counted("tenant_cache_redis_breakers_open"), 0);
    ck_assert_uint_eq(counted("tenant_cache_redis_breaker_openings_total"), 1);
}
END_TEST

START_TEST(a_stopped_node_costs_three_slow_calls)
{
    open_whole();
    fake_silence(&first, true);
    unsigned slow = 0;
    for (int i = 0; i < 200; i++) {
        struct look look = get(KEY);
        ck_assert(!look.hit);
        slow += look.took_ns >= OP_NS / 2;
    }
    ck_assert_uint_le(slow, 3);
    ck_assert_uint_ge(errors("timeout"), 3);
    ck_assert_uint_ge(errors("unreachable"), 190);
    fake_silence(&first, false);
    plant(&first, KEY, KEY, 1, 0, 0);
    turn_until(cache_is_whole(cache));
    plant(&first, KEY, KEY, 1, 0, 0);
    ck_assert(get(KEY).hit);
}
END_TEST

START_TEST(a_stopped_node_is_found_before_anybody_asks)
{
    open_whole();
    fake_silence(&first, true);
    turn_until(counted("tenant_cache_redis_breakers_open") == 1);
    struct look look = get(KEY);
    ck_assert(!look.hit);
    ck_assert_uint_lt(look.took_ns, OP_NS / 2);
}
END_TEST

START_TEST(late_answers_are_dropped_in_order)
{
    open_whole();
    plant(&first, "slugs/{a}", "slugs/{a}", 1, 0, 0);
    plant(&first, "slugs/{b}", "slugs/{b}", 2, 0, 0);
    first.hold = true;
    ck_assert(!get("slugs/{a}").hit);
    ck_assert_uint_eq(errors("timeout"), 1);
    struct look looks[8]; /* one of them has the stack that the first one had */
    fake_silence(&first, true);
    for (size_t i = 0; i < 8; i++)
        start(&looks[i], "slugs/{b}");
    turn_for(2 * NS_PER_MS);
    first.hold = false;
    fake_send(&first); /* only the late one */
    turn_for(5 * NS_PER_MS);
    for (size_t i = 0; i < 8; i++)
        ck_assert(!looks[i].over);
    fake_silence(&first, false);
    for (size_t i = 0; i < 8; i++) {
        turn_until(looks[i].over);
        ck_assert(looks[i].hit);
        ck_assert_uint_eq(looks[i].found.version, 2);
    }
}
END_TEST

START_TEST(a_task_may_leave_before_its_answer)
{
    open_whole();
    plant(&first, KEY, KEY, 1, 0, 0);
    first.hold = true;
    struct look look;
    start(&look, KEY);
    turn_until(first.gets == 1);
    task_cancel(look.task);
    turn_until(look.over);
    ck_assert(!look.hit);
    first.hold = false;
    fake_send(&first);
    turn_until(counted("tenant_cache_redis_in_flight") == 0);
    ck_assert(get(KEY).hit);
    /* cancelled in the very turn in which the answer is there */
    memory_forget(memory, slice_of_str(KEY));
    for (int i = 0; i < 20; i++) {
        start(&look, "slugs/{none}");
        turn_until(look.task != NULL);
        for (int k = 0; k < i; k++)
            loop_turn(loop, 0);
        if (!look.over)
            task_cancel(look.task);
        turn_until(look.over);
    }
    ck_assert(cache_is_whole(cache));
}
END_TEST

START_TEST(the_queue_is_bounded)
{
    static struct look looks[600];
    open_whole();
    first.hold = true;
    for (size_t i = 0; i < 600; i++)
        start(&looks[i], "slugs/{none}");
    for (size_t i = 0; i < 600; i++)
        turn_until(looks[i].over);
    ck_assert_uint_ge(errors("full"), 600 - 512);
    ck_assert_uint_le(errors("full"), 600 - 511); /* the connection's own TIME may be under way */
    ck_assert_uint_eq(counted("tenant_cache_lookups_total{result=\"miss\"}"), 600);
    ck_assert_uint_eq(counted("tenant_cache_redis_in_flight"),
                      0); /* the breaker ended the wait */
}
END_TEST

START_TEST(a_refused_password_is_tried_again_later)
{
    first.auth_answer = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    open_cache(":bad@");
    turn_until(errors("greeting") >= 2);
    ck_assert(!cache_is_whole(cache));
    first.auth_answer = NULL;
    turn_until(cache_is_whole(cache));
}
END_TEST

START_TEST(nonsense_for_a_map_changes_nothing)
{
    first.slots_answer =
        "*2\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n*1\r\n:5\r\n";
    open_cache("");
    turn_until(errors("map") == 1);
    ck_assert(!cache_is_whole(cache));
    ck_assert(!get(KEY).hit);
    first.slots_answer = NULL;
    turn_until(cache_is_whole(cache));
}
END_TEST

Suite *suite_cache_faults(void);
Suite *suite_cache_faults(void)
{
    Suite *suite = suite_create("cache/faults");
    TCase *tcase = tcase_create("faults");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, garbage_ends_the_connection);
    tcase_add_test(tcase, a_huge_value_ends_the_connection);
    tcase_add_test(tcase, answers_that_nobody_asked_for_end_the_connection);
    tcase_add_test(tcase, a_connection_lost_wakes_all);
    tcase_add_test(tcase, answers_of_a_wrong_type_are_misses);
    tcase_add_test(tcase, errors_in_a_row_open_the_breaker);
    tcase_add_test(tcase, a_stopped_node_costs_three_slow_calls);
    tcase_add_test(tcase, a_stopped_node_is_found_before_anybody_asks);
    tcase_add_test(tcase, late_answers_are_dropped_in_order);
    tcase_add_test(tcase, a_task_may_leave_before_its_answer);
    tcase_add_test(tcase, the_queue_is_bounded);
    tcase_add_test(tcase, a_refused_password_is_tried_again_later);
    tcase_add_test(tcase, nonsense_for_a_map_changes_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
