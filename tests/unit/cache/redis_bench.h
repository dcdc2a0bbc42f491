/* One cache on its loop, two scripted nodes, and look-ups as tasks. */
#ifndef TESTS_REDIS_BENCH_H
#define TESTS_REDIS_BENCH_H

#include "base/metrics.h"
#include "cache/cache.h"
#include "cache/memory.h"
#include "cache/stored_value.h"
#include "loop/task.h"
#include "tests/unit/cache/fake_redis.h"

#ifdef __SANITIZE_THREAD__
#define OP_NS (200 * NS_PER_MS)
#else
#define OP_NS (40 * NS_PER_MS) /* of the tests: the machine may be busy */
#endif
#define KEY "tenants/{tnt_a}/profile"

static struct loop *loop;
static struct metrics *metrics;
static struct cache_memory *memory;
static struct cache *cache;
static struct arena *arena;
static struct fake_redis first, second;

static inline void set_up(void)
{
    loop = loop_new(1024);
    metrics = metrics_new();
    arena = arena_new(0);
    memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = 2 * NS_PER_S});
    fake_open(&first, loop);
    fake_open(&second, loop);
}

static inline void tear_down(void)
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

static inline uint64_t counted(const char *series)
{
    struct buf text = BUF_EMPTY;
    metrics_render(&metrics, 1, METRICS_PROMETHEUS, &text);
    char line[128];
    snprintf(line, sizeof line, "\n%s ", series);
    const char *found = strstr(buf_str(&text), line);
    uint64_t value = found == NULL ? 0 : strtoull(found + strlen(line), NULL, 10);
    buf_deinit(&text);
    return value;
}

static inline uint64_t errors(const char *kind)
{
    char series[96];
    snprintf(series, sizeof series, "tenant_cache_redis_errors_total{kind=\"%s\"}", kind);
    return counted(series);
}

static inline uint64_t puts_counted(const char *result)
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

static inline void turn_for(uint64_t duration_ns)
{
    for (uint64_t end = clock_now() + duration_ns; clock_now() < end;)
        loop_turn(loop, NS_PER_MS);
}

static inline void open_cache(const char *password)
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

static inline void open_whole(void)
{
    open_cache("");
    turn_until(cache_is_whole(cache));
}

/* --- look-ups as tasks ------------------------------------------------------------------------- */

struct look {
    const char *key;
    const struct cache_want *want;
    bool over, hit;
    struct cache_found found;
    uint64_t took_ns;
    struct task *task;
};

static inline void look_up(struct task *task, void *argument)
{
    struct look *look = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ctx.task = task;
    look->task = task;
    uint64_t began = clock_now();
    look->hit = cache_get(cache, &ctx, slice_of_str(look->key), look->want, &look->found);
    look->took_ns = clock_now() - began;
    look->over = true;
}

static inline void start(struct look *look, const char *key)
{
    *look = (struct look){.key = key};
    ck_assert(task_start(loop, look_up, look, NULL));
}

static inline struct look get(const char *key)
{
    struct look look;
    start(&look, key);
    turn_until(look.over);
    return look;
}

static inline struct cache_item item(const char *value, uint64_t version)
{
    return (struct cache_item){.key = slice_of_str(KEY),
                               .value = slice_of_str(value),
                               .version = version,
                               .read_began_ns = clock_now()};
}

/* What another replica left in Redis. */
static inline void plant(struct fake_redis *fake, const char *key, const char *named,
                         uint64_t version, int64_t age_us, int64_t wall_age_us)
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

#endif
