/* The cache on a real cluster: slots, moves, stopped, killed and restarted nodes, late and racing stores.
 *
 * Values are counted, not timed: a busy machine may miss, but never find what is stale. */
#include "tests/integration/cache/replicas.h"

static void set_up(void)
{
    set_up_with(AGE_NS);
}

START_TEST(set_and_get_across_all_nodes)
{
    static char keys[600][40];
    unsigned nodes[3] = {0};
    for (unsigned i = 0; i < 600; i++) {
        snprintf(keys[i], sizeof keys[i], "tenants/{tnt_%u}/profile", i);
        nodes[key_slot(slice_of_str(keys[i])) * 3 / KEY_SLOTS]++;
        put(&a, keys[i], keys[i], i + 1);
        if (i % 50 == 49)
            turn_for(5 * NS_PER_MS);
    }
    ck_assert(nodes[0] > 100 && nodes[1] > 100 && nodes[2] > 100);
    turn_until(stored(&a) == 600);
    unsigned found = 0;
    for (unsigned i = 500; i < 600; i++) {
        struct look look = get(&b, keys[i]);
        found += look.hit;
        ck_assert(!look.hit ||
                  (slice_is(look.found.value, keys[i]) && look.found.version == i + 1 &&
                   look.found.source == CACHE_REDIS));
    }
    ck_assert_uint_ge(found, 90);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_errors_total{kind=\"value\"}"), 0);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_errors_total{kind=\"clock\"}"), 0);
}
END_TEST

START_TEST(values_of_all_sizes)
{
    char *value = malloc(CACHE_VALUE_MAX + 2);
    memset(value, 'v', CACHE_VALUE_MAX + 1);
    value[CACHE_VALUE_MAX + 1] = '\0';
    put(&a, "slugs/{over}", value, 1);
    ck_assert_uint_eq(counted(&a, "tenant_cache_puts_total{result=\"large\"}"), 1);
    value[CACHE_VALUE_MAX] = '\0';
    put(&a, "slugs/{full}", value, 1);
    put(&a, "slugs/{empty}", "", 1);
    turn_until(stored(&a) == 2);
    struct look look = get(&b, "slugs/{full}");
    ck_assert(look.hit && look.found.value.size == CACHE_VALUE_MAX);
    look = get(&b, "slugs/{empty}");
    ck_assert(look.hit && look.found.value.size == 0);
    ck_assert(!get(&b, "slugs/{over}").hit);
    free(value);
}
END_TEST

START_TEST(entries_end_by_themselves)
{
    char out[256];
    char command[128];
    const char *key = key_of_node(1, 1);
    put(&a, key, "value", 1);
    turn_until(stored(&a) == 1);
    snprintf(command, sizeof command, "PTTL '%s'", key);
    cli(1, out, sizeof out, command);
    long left = strtol(out, NULL, 10);
    ck_assert_msg(left > 0 && left <= (long)(AGE_NS / NS_PER_MS), "PTTL %s", out);
    turn_for(AGE_NS);
    ck_assert(!get(&b, key).hit);
    ck_assert(!get(&a, key).hit);
    snprintf(command, sizeof command, "EXISTS '%s'", key);
    cli(1, out, sizeof out, command);
    ck_assert_str_eq(out, "0");
}
END_TEST

/* Two replicas put versions in any order: Redis must end with the newest. */
START_TEST(an_older_version_never_replaces_a_newer_one)
{
    for (unsigned round = 1; round <= 30; round++) {
        const char *key = key_of_node((int)(round % 3) + 1, 1000 + round);
        bool first = round % 2 == 0;
        put(first ? &a : &b, key, "new", 2 * round + 1);
        put(first ? &b : &a, key, "old", 2 * round);
        put(first ? &a : &b, key, "new", 2 * round + 1);
        turn_until(counted(&a, "tenant_cache_redis_in_flight") +
                       counted(&b, "tenant_cache_redis_in_flight") ==
                   0);
        char out[512];
        char command[128];
        snprintf(command, sizeof command, "GETRANGE '%s' 61 76", key);
        cli((int)(round % 3) + 1, out, sizeof out, command);
        char wanted[20];
        snprintf(wanted, sizeof wanted, "\"%016x\"", 2 * round + 1);
        ck_assert_msg(strncmp(out, wanted + 1, 16) == 0, "%s, wanted %s", out, wanted);
    }
    ck_assert_uint_ge(counted(&a, "tenant_cache_puts_total{result=\"older\"}") +
                          counted(&b, "tenant_cache_puts_total{result=\"older\"}"),
                      1);
}
END_TEST

START_TEST(a_write_is_never_undone_by_what_redis_holds)
{
    const char *key = key_of_node(2, 2);
    put(&b, key, "old", 4);
    turn_until(stored(&b) == 1);
    cache_written(a.cache, &(struct cache_item){.key = slice_of_str(key),
                                                .value = slice_of_str("new"),
                                                .version = 5,
                                                .read_began_ns = clock_now()});
    ck_assert_uint_eq(get(&a, key).found.version, 5);
    cache_forget(a.cache, slice_of_str(key));
    ck_assert(!get(&a, key).hit); /* Redis holds 5, read before the uncertain commit */
    put(&a, key, "newest", 6);
    ck_assert_uint_eq(get(&a, key).found.version, 6);
}
END_TEST

START_TEST(poison_is_never_served)
{
    char command[256];
    const char *key = key_of_node(3, 3);
    const char *other = key_of_node(3, 4);
    put(&a, other, "foreign", 1);
    turn_until(stored(&a) == 1);
    char bytes[1024];
    snprintf(command, sizeof command, "GET '%s'", other);
    cli(3, bytes, sizeof bytes, command);
    char set[2048];
    snprintf(set, sizeof set, "SET '%s' '%s'", key, bytes);
    cli_ok(3, set);
    ck_assert(!get(&b, key).hit);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_errors_total{kind=\"value\"}"), 1);
    snprintf(command, sizeof command, "DEL '%s'", key);
    char out[64];
    cli(3, out, sizeof out, command);
    snprintf(command, sizeof command, "LPUSH '%s' x", key);
    cli(3, out, sizeof out, command);
    ck_assert(!get(&b, key).hit);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_errors_total{kind=\"type\"}"), 1);
    put(&b, key, "right", 1); /* and it is replaced, whatever its type and end were */
    turn_until(stored(&b) == 1);
    struct look look = get(&a, key);
    ck_assert(look.hit && slice_is(look.found.value, "right"));
}
END_TEST

START_TEST(lost_scripts_come_back)
{
    for (int node = 1; node <= 3; node++)
        cli_ok(node, "SCRIPT FLUSH");
    const char *key = key_of_node(1, 5);
    put(&a, key, "lost", 1);
    turn_until(counted(&a, "tenant_cache_puts_total{result=\"failed\"}") == 1);
    turn_until(counted(&a, "tenant_cache_redis_in_flight") == 0);
    put(&a, key, "kept", 2);
    turn_until(stored(&a) == 1);
}
END_TEST

/* --- moving slots ------------------------------------------------------------------------------- */

static void slot_give(unsigned slot, int from, int to)
{
    char id[2][64];
    char command[160];
    cli(from, id[0], 64, "CLUSTER MYID");
    cli(to, id[1], 64, "CLUSTER MYID");
    for (int node = 1; node <= 3; node++) {
        snprintf(command, sizeof command, "CLUSTER SETSLOT %u NODE %s", slot, id[1]);
        cli_ok(node, command);
    }
}

START_TEST(a_moved_slot_is_followed)
{
    const char *key = key_of_node(1, 6);
    unsigned slot = key_slot(slice_of_str(key));
    slot_give(slot, 2, 1); /* should an earlier run have left it there */
    ck_assert(!get(&a, key).hit);
    ck_assert(!get(&b, key).hit);
    uint64_t before = counted(&a, "tenant_cache_redis_redirects_total{kind=\"moved\"}");
    slot_give(slot, 1, 2);
    put(&a, key, "nowhere", 1); /* learns the move, stores nothing */
    turn_until(counted(&a, "tenant_cache_redis_redirects_total{kind=\"moved\"}") > before);
    put(&a, key, "there", 2);
    turn_until(stored(&a) == 1);
    struct look look = get(&b, key); /* one call: asks, is redirected, finds */
    ck_assert(look.hit);
    ck_assert(slice_is(look.found.value, "there"));
    ck_assert_uint_ge(counted(&b, "tenant_cache_redis_redirects_total{kind=\"moved\"}"), 1);
    char out[64];
    cli(2, out, sizeof out, "FLUSHALL");
    slot_give(slot, 2, 1);
    ck_assert(!get(&b, "slugs/{any}").hit);
}
END_TEST

START_TEST(a_slot_being_moved_is_asked_for)
{
    char id[2][64];
    char command[160];
    const char *key = key_of_node(1, 7);
    unsigned slot = key_slot(slice_of_str(key));
    cli(1, id[0], 64, "CLUSTER MYID");
    cli(2, id[1], 64, "CLUSTER MYID");
    snprintf(command, sizeof command, "CLUSTER SETSLOT %u IMPORTING %s", slot, id[0]);
    cli_ok(2, command);
    snprintf(command, sizeof command, "CLUSTER SETSLOT %u MIGRATING %s", slot, id[1]);
    cli_ok(1, command);
    ck_assert(!get(&b, key).hit);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_redirects_total{kind=\"ask\"}"), 1);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_errors_total{kind=\"refused\"}"), 0);
    snprintf(command, sizeof command, "CLUSTER SETSLOT %u STABLE", slot);
    cli_ok(1, command);
    cli_ok(2, command);
}
END_TEST

/* --- nodes that stop and die ---------------------------------------------------------------------- */

START_TEST(a_stopped_node_costs_three_slow_calls)
{
    const char *sick = key_of_node(2, 8);
    const char *well = key_of_node(3, 8);
    uint64_t began = clock_now();
    put(&a, well, "value", 1);
    turn_until(stored(&a) == 1);
    server("redis-2", "pause");
    unsigned slow = 0;
    for (int i = 0; i < 100; i++) {
        struct look look = get(&b, sick);
        ck_assert(!look.hit);
        slow += look.took_ns >= OP_NS / 2;
    }
    ck_assert_uint_le(slow, 3);
    struct look look = get(&b, well); /* the others serve on */
    ck_assert(look.hit || clock_now() - began >= AGE_NS);
    ck_assert_uint_eq(counted(&b, "tenant_cache_redis_breakers_open"), 1);
    server("redis-2", "resume");
    turn_until(whole());
    put(&a, sick, "value", 2);
    turn_until(stored(&a) == 2);
    ck_assert(get(&b, sick).hit);
}
END_TEST

/* What waits in a stopped node's socket is executed when it goes on: it must not come to life. */
START_TEST(a_store_that_is_late_is_never_served)
{
    const char *key = key_of_node(2, 9);
    char command[128];
    char out[256];
    server("redis-2", "pause");
    put(&a, key, "late", 1);
    turn_for(AGE_NS + 100 * NS_PER_MS);
    server("redis-2", "resume");
    snprintf(command, sizeof command, "EXISTS '%s'", key);
    for (int i = 0; i < 20; i++) {
        cli(2, out, sizeof out, command);
        ck_assert_str_eq(out, "0");
    }
    turn_until(whole());
    ck_assert(!get(&b, key).hit);
    /* the same, with what is left of its time: it ends when it should, counted from the read */
    unsigned found = 0;
    for (unsigned version = 2; found == 0 && version < 12; version++) { /* a busy machine may resume late */
        turn_until(whole());
        server("redis-2", "pause");
        uint64_t began = clock_now();
        put(&a, key, "late", version);
        turn_for(AGE_NS / 4);
        server("redis-2", "resume");
        while (clock_now() - began < AGE_NS + 500 * NS_PER_MS) {
            struct look look = get(&b, key);
            found += look.hit;
            turn_for(NS_PER_MS);
            ck_assert(!look.hit || clock_now() - began <= AGE_NS + look.took_ns + 100 * NS_PER_MS);
        }
    }
    ck_assert_uint_gt(found, 0);
    ck_assert(!get(&b, key).hit);
}
END_TEST

START_TEST(a_killed_node_comes_back)
{
    const char *sick = key_of_node(3, 10);
    const char *well = key_of_node(1, 10);
    server("redis-3", "kill");
    for (int i = 0; i < 50; i++) {
        struct look look = get(&b, sick);
        ck_assert(!look.hit);
    }
    ck_assert(!cache_is_whole(b.cache));
    put(&a, well, "value", 1);
    turn_until(counted(&a, "tenant_cache_redis_in_flight") == 0);
    server("redis-3", "start");
    turn_until(whole());
    uint64_t before = stored(&a);
    put(&a, sick, "value", 1);
    turn_until(stored(&a) > before);
    ck_assert(get(&b, sick).hit);
}
END_TEST

START_TEST(a_wrong_password_never_becomes_whole)
{
    struct ctx ctx;
    char url[128];
    struct replica c = {.metrics = metrics_new()};
    ctx_init(&ctx, NULL, arena);
    snprintf(url, sizeof url, "rediss://:wrong@127.0.0.1:%u", node_port(1));
    c.memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = AGE_NS});
    ck_assert_int_eq(
        cache_open(&ctx, loop,
                   &(struct cache_settings){
                       .redis_url = url, .tls = tls, .memory = c.memory, .metrics = c.metrics},
                   &c.cache),
        OK);
    turn_until(counted(&c, "tenant_cache_redis_errors_total{kind=\"greeting\"}") >= 2);
    ck_assert(!cache_is_whole(c.cache));
    replica_close(&c);
}
END_TEST

Suite *suite_cache_cluster_it(void);
Suite *suite_cache_cluster_it(void)
{
    Suite *suite = suite_create("cache/cluster (integration)");
    TCase *tcase = tcase_create("cluster");
    tcase_add_unchecked_fixture(tcase, NULL, mend);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, set_and_get_across_all_nodes);
    tcase_add_test(tcase, values_of_all_sizes);
    tcase_add_test(tcase, entries_end_by_themselves);
    tcase_add_test(tcase, an_older_version_never_replaces_a_newer_one);
    tcase_add_test(tcase, a_write_is_never_undone_by_what_redis_holds);
    tcase_add_test(tcase, poison_is_never_served);
    tcase_add_test(tcase, lost_scripts_come_back);
    tcase_add_test(tcase, a_moved_slot_is_followed);
    tcase_add_test(tcase, a_slot_being_moved_is_asked_for);
    tcase_add_test(tcase, a_stopped_node_costs_three_slow_calls);
    tcase_add_test(tcase, a_store_that_is_late_is_never_served);
    tcase_add_test(tcase, a_killed_node_comes_back);
    tcase_add_test(tcase, a_wrong_password_never_becomes_whole);
    suite_add_tcase(suite, tcase);
    return suite;
}
