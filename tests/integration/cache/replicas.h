/* Two replicas of the service's cache on a real cluster, and hands to move, stop and kill its nodes.
 *
 * Needs a stack: TENANT_STACK (or STACK_NAME) names it, STACK_REDIS_URL and STACK_PKI are from its env file. */
#ifndef TESTS_REPLICAS_H
#define TESTS_REPLICAS_H

#include "base/clock.h"
#include "base/metrics.h"

#include "cache/cache.h"
#include "cache/key_slot.h"
#include "cache/memory.h"
#include "loop/task.h"
#include "tls/tls.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OP_NS (100 * NS_PER_MS) /* generous: loaded machines and sanitizers */
#define AGE_NS (2 * NS_PER_S)

/* One replica of the service. */
struct replica {
    struct metrics *metrics;
    struct cache_memory *memory;
    struct cache *cache;
};

static struct loop *loop;
static struct arena *arena;
static struct tls_context *tls;
static struct replica a, b;

static inline const char *env(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set: source a stack's stack.env", name);
    return value;
}

static inline const char *stack_name(void)
{
    const char *name = getenv("TENANT_STACK");
    return name != NULL ? name : env("STACK_NAME");
}

/* --- the stack -------------------------------------------------------------------------------- */

static inline int tool(const char *const *words)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) != NULL)
            execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return status;
}

static inline void server(const char *name, const char *action)
{
    int status =
        tool((const char *const[]){"tools/stack", "server", stack_name(), name, action, NULL});
    ck_assert_msg(status == 0, "tools/stack server %s %s ended with %d", name, action, status);
}

static inline unsigned node_port(int node)
{
    const char *place = strrchr(env("STACK_REDIS_URL"), '@') + 1;
    for (int i = 1; i < node; i++)
        place = strchr(place, ',') + 1;
    return (unsigned)strtoul(strchr(place, ':') + 1, NULL, 10);
}

/* redis-cli on a node (1 to 3); the output into `out`. */
static inline void cli(int node, char *out, size_t size, const char *command)
{
    char line[2048];
    const char *url = env("STACK_REDIS_URL");
    const char *secret = strstr(url, "://:") + 4;
    snprintf(line, sizeof line,
             "REDISCLI_AUTH='%.*s' redis-cli -h 127.0.0.1 -p %u --tls --cacert '%s/ca.pem' --cert "
             "'%s/admin.pem' --key '%s/admin.key' %s 2>&1",
             (int)(strrchr(url, '@') - secret), secret, node_port(node), env("STACK_PKI"),
             env("STACK_PKI"), env("STACK_PKI"), command);
    FILE *pipe = popen(line, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t used = fread(out, 1, size - 1, pipe);
    out[used] = '\0';
    pclose(pipe);
    while (used > 0 && (out[used - 1] == '\n' || out[used - 1] == '\r'))
        out[--used] = '\0';
}

static inline void cli_ok(int node, const char *command)
{
    char out[256];
    cli(node, out, sizeof out, command);
    ck_assert_msg(strcmp(out, "OK") == 0, "%s: %s", command, out);
}

/* --- replicas --------------------------------------------------------------------------------- */

static inline void replica_open(struct replica *replica, uint64_t max_age_ns,
                                uint64_t op_timeout_ns)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    replica->metrics = metrics_new();
    replica->memory = cache_memory_new(&(struct cache_memory_settings){.max_age_ns = max_age_ns});
    ck_assert_int_eq(cache_open(&ctx, loop,
                                &(struct cache_settings){.redis_url = env("STACK_REDIS_URL"),
                                                         .tls = tls,
                                                         .memory = replica->memory,
                                                         .op_timeout_ns = op_timeout_ns,
                                                         .metrics = replica->metrics},
                                &replica->cache),
                     OK);
}

static inline void replica_close(struct replica *replica)
{
    cache_close(replica->cache);
    cache_memory_free(replica->memory);
    metrics_free(replica->metrics);
}

static inline uint64_t counted(const struct replica *replica, const char *series)
{
    struct buf text = BUF_EMPTY;
    struct metrics *sets[] = {replica->metrics};
    char line[128];
    metrics_render(sets, 1, METRICS_PROMETHEUS, &text);
    snprintf(line, sizeof line, "\n%s ", series);
    const char *found = strstr(buf_str(&text), line);
    uint64_t value = found == NULL ? 0 : strtoull(found + strlen(line), NULL, 10);
    buf_deinit(&text);
    return value;
}

static inline uint64_t stored(const struct replica *replica)
{
    return counted(replica, "tenant_cache_puts_total{result=\"stored\"}");
}

#define turn_until(condition)                                                                      \
    do {                                                                                           \
        uint64_t limit_ = clock_now() + 20 * NS_PER_S;                                             \
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

static inline bool whole(void)
{
    return cache_is_whole(a.cache) && cache_is_whole(b.cache);
}

static inline void set_up_with(uint64_t max_age_ns)
{
    struct ctx ctx;
    static char files[3][512];
    arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
    snprintf(files[0], 512, "%s/tenant-service.pem", env("STACK_PKI"));
    snprintf(files[1], 512, "%s/tenant-service.key", env("STACK_PKI"));
    snprintf(files[2], 512, "%s/ca.pem", env("STACK_PKI"));
    ck_assert_int_eq(tls_context_new(&ctx,
                                     &(struct tls_settings){.cert_file = files[0],
                                                            .key_file = files[1],
                                                            .ca_file = files[2]},
                                     &tls),
                     OK);
    loop = loop_new(2000);
    replica_open(&a, max_age_ns, OP_NS);
    replica_open(&b, max_age_ns, OP_NS);
    turn_until(whole());
}

static inline void tear_down(void)
{
    replica_close(&a);
    replica_close(&b);
    turn_for(2 * NS_PER_MS);
    loop_free(loop);
    tls_context_unref(tls);
    arena_free(arena);
}

/* Whatever a failed test left behind: the stack serves others, too.  Runs in the runner's own process, which
 * knows nothing of what the tests' processes did. */
static inline void mend(void)
{
    char name[16];
    char out[256];
    if (getenv("STACK_REDIS_URL") == NULL || getenv("STACK_PKI") == NULL)
        return; /* the tests have said so */
    for (int node = 1; node <= 3; node++) {
        snprintf(name, sizeof name, "redis-%d", node);
        (void)tool(
            (const char *const[]){"tools/stack", "server", stack_name(), name, "resume", NULL});
        (void)tool(
            (const char *const[]){"tools/stack", "server", stack_name(), name, "start", NULL});
        cli(node, out, sizeof out, "FLUSHALL");
    }
}

/* --- look-ups ----------------------------------------------------------------------------------- */

struct look {
    struct replica *replica;
    struct slice key;
    bool over, hit;
    struct cache_found found;
    uint64_t took_ns;
};

static inline void look_up(struct task *task, void *argument)
{
    struct look *look = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    ctx.task = task;
    uint64_t began = clock_now();
    look->hit = cache_get(look->replica->cache, &ctx, look->key, NULL, &look->found);
    look->took_ns = clock_now() - began;
    look->over = true;
}

static inline struct look get(struct replica *replica, const char *key)
{
    struct look look = {.replica = replica, .key = slice_of_str(key)};
    ck_assert(task_start(loop, look_up, &look, NULL));
    turn_until(look.over);
    return look;
}

static inline void put(struct replica *replica, const char *key, const char *value,
                       uint64_t version)
{
    cache_put(replica->cache, &(struct cache_item){.key = slice_of_str(key),
                                                   .value = slice_of_str(value),
                                                   .version = version,
                                                   .read_began_ns = clock_now()});
}

/* A slug whose slot is the node's: the stack gives each a third. */
static inline const char *key_of_node(int node, unsigned number)
{
    static const unsigned firsts[] = {0, 5461, 10922, 16384};
    for (unsigned i = 0;; i++) {
        char *key = arena_printf(arena, "slugs/{n%u-%u}", number, i);
        unsigned slot = key_slot(slice_of_str(key));
        if (slot >= firsts[node - 1] && slot < firsts[node])
            return key;
    }
}

#endif
