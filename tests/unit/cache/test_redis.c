/* The cluster client against scripted nodes: what they may do to us, and what it costs. */
#include "base/metrics.h"
#include "cache/cache.h"
#include "cache/memory.h"
#include "cache/stored_value.h"
#include "loop/task.h"
#include "tests/unit/cache/fake_redis.h"

#define OP_NS (40 * NS_PER_MS) /* of the tests: the machine may be busy */
#define KEY "tenants/{tnt_a}/profile"

static struct loop *loop;
static struct metrics *metrics;
static struct cache_memory *memory;
static struct cache *cache;
static struct arena *arena;
static struct fake_redis first, second;

static void set_up(void)
{
    loop = loop_new(1024);
    metrics = metrics_new();
    arena = arena_new(0);
    memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = 2 * NS_PER_S});
    fake_open(&first, loop);
    fake_open(&second, loop);
}

static void tear_down(void)
{
    cache_close(cache);
    cache = NULL;
    fake_close(&first);
    fake_close(&second);
    loop_turn(loop, NS_PER_MS);
    loop_free(loop);
    cache_memory_free(memory);
    arena_free(arena);
    metrics_free(metrics);
}

static uint64_t counted(const char *series)
{
    struct buf text = BUF_EMPTY;
    metrics_render(&metrics, 1, &text);
    char line[128];
    snprintf(line, sizeof line, "\n%s ", series);
    const char *found = strstr(buf_str(&text), line);
    uint64_t value = found == NULL ? 0 : strtoull(found + strlen(line), NULL, 10);
    buf_deinit(&text);
    return value;
}

static uint64_t errors(const char *kind)
{
    char series[96];
    snprintf(series, sizeof series, "tenant_cache_redis_errors_total{kind=\"%s\"}", kind);
    return counted(series);
}

static uint64_t puts_counted(const char *result)
{
    char series[96];
    snprintf(series, sizeof series, "tenant_cache_puts_total{result=\"%s\"}", result);
    return counted(series);
}

/* Turns until `condition` or five seconds. */
#define turn_until(condition)                                                                      \
    do {                                                                                           \
        uint64_t limit_ = clock_now() + 5 * NS_PER_S;                                              \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_now() < limit_, "waited in vain for " #condition);                 \
            loop_turn(loop, NS_PER_MS);                                                            \
        }                                                                                          \
    } while (0)

static void turn_for(uint64_t duration_ns)
{
    for (uint64_t end = clock_now() + duration_ns; clock_now() < end;)
        loop_turn(loop, NS_PER_MS);
}

static void open_cache(const char *password)
{
    struct ctx ctx;
    char url[96];
    ctx_init(&ctx, NULL, arena);
    snprintf(url, sizeof url, "redis://%s127.0.0.1:%u", password, first.port);
    ck_assert_int_eq(cache_open(&ctx, loop,
                                &(struct cache_settings){.redis_url = url,
                                                         .memory = memory,
                                                         .op_timeout_ns = OP_NS,
                                                         .metrics = metrics},
                                &cache),
                     OK);
}

static void open_whole(void)
{
    open_cache("");
    turn_until(cache_is_whole(cache));
}

/* --- look-ups as tasks ------------------------------------------------------------------------- */

struct look {
    const char *key;
    bool over, hit;
    struct cache_found found;
    uint64_t took_ns;
    struct task *task;
};

static void look_up(struct task *task, void *argument)
{
    struct look *look = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ctx.task = task;
    look->task = task;
    uint64_t began = clock_now();
    look->hit = cache_get(cache, &ctx, slice_of_str(look->key), &look->found);
    look->took_ns = clock_now() - began;
    look->over = true;
}

static void start(struct look *look, const char *key)
{
    *look = (struct look){.key = key};
    ck_assert(task_start(loop, look_up, look, NULL));
}

static struct look get(const char *key)
{
    struct look look;
    start(&look, key);
    turn_until(look.over);
    return look;
}

static struct cache_item item(const char *value, uint64_t version)
{
    return (struct cache_item){.key = slice_of_str(KEY),
                               .value = slice_of_str(value),
                               .version = version,
                               .read_began_ns = clock_now()};
}

/* What another replica left in Redis. */
static void plant(struct fake_redis *fake, const char *key, const char *named, uint64_t version,
                  int64_t age_us, int64_t wall_age_us)
{
    uint64_t now = clock_wall() / 1000;
    struct buf bytes = BUF_EMPTY;
    stored_value_encode(&(struct stored_value){.version = version,
                                               .began_us = now - (uint64_t)age_us,
                                               .wall_us = now - (uint64_t)wall_age_us,
                                               .key = slice_of_str(named),
                                               .value = slice_of_str("planted")},
                        &bytes);
    fake_keep(fake, slice_of_str(key), buf_slice(&bytes));
    buf_deinit(&bytes);
}

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
        struct look look;
        start(&look, "slugs/{b}");
        turn_for(2 * NS_PER_MS);
        first.hold = false;
        fake_send(&first);
        turn_until(look.over);
        ck_assert(look.hit);
        ck_assert_uint_eq(look.found.version, 2);
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
        ck_assert_uint_eq(errors("full"), 600 - 512);
        ck_assert_uint_eq(counted("tenant_cache_lookups_total{result=\"miss\"}"), 600);
        ck_assert_uint_eq(counted("tenant_cache_redis_in_flight"),
                          0); /* the breaker ended the wait */
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
            !get("slugs/{x}").hit); /* its node is not connected yet, and nobody waits for that */
        ck_assert_uint_eq(counted("tenant_cache_redis_redirects_total{kind=\"moved\"}"), 1);
        turn_until(second.loads == 1);
        plant(&second, "slugs/{x}", "slugs/{x}", 3, 0, 0);
        turn_until(cache_is_whole(cache) &&
                   first.fd < 0); /* the map was asked again, the node let go */
        plant(&second, "slugs/{x}", "slugs/{x}", 3, 0, 0);
        ck_assert_uint_eq(get("slugs/{x}").found.version, 3);
    }
END_TEST

START_TEST(ask_is_followed_once)
    {
        char text[64];
        open_whole();
        redirect_to(&first, "ASK", second.port, text);
        ck_assert(!get("slugs/{x}").hit);
        turn_until(second.loads == 1);
        turn_for(20 * NS_PER_MS);
        plant(&second, "slugs/{x}", "slugs/{x}", 3, 0, 0);
        ck_assert_uint_eq(get("slugs/{x}").found.version, 3);
        ck_assert_uint_eq(second.askings, 1);
        unsigned gets = first.gets;
        cache_forget(cache, slice_of_str("slugs/{x}"));
        ck_assert(!get("slugs/{x}").hit);
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
        (void)get("slugs/{x}");
        turn_until(second.loads == 1);
        turn_for(20 * NS_PER_MS);
        ck_assert(!get("slugs/{x}").hit);
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

static void add_conduct(Suite *suite)
{
    TCase *tcase = tcase_create("conduct");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, greets_and_learns_the_map);
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
}

static void add_misconduct(Suite *suite)
{
    TCase *tcase = tcase_create("misconduct");
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
}

Suite *suite_cache_redis(void);
Suite *suite_cache_redis(void)
{
    Suite *suite = suite_create("cache/redis");
    add_conduct(suite);
    add_misconduct(suite);
    return suite;
}
