/* A worker thread: one loop with its own connections, caches and counters.  What it opens it also closes, on
 * its own thread.
 *
 *    main:    worker_start ─────── worker_drain ────────────────────────── worker_join
 *    worker:        └─ loop_run ─────── on_order ─ calls end ─ on_drained ─── parts closed ─┘ */
#include "main/app.h"

#include "base/alloc.h"

#include "cache/cache.h"
#include "ops/otlp.h"
#include "service/channelz.h"
#include "service/health.h"
#include "service/reflection.h"
#include "service/restrictions.h"
#include "service/served.h"
#include "service/tenants.h"
#include "store/store.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TICK_NS NS_PER_S
#define PROBE_NS NS_PER_S /* longest wait for the database's answer to a probe */
/* for some twenty tenants; longer waits for the database come back with the next probe */
#define PUT_BACK_NS (5 * NS_PER_S)
#define PUT_BACK_LINES_NS (60 * NS_PER_S)
#define ORDERS_SIZE 4

static int open_parts(struct worker_thread *worker, struct ctx *ctx);
static int open_store(struct worker_thread *worker, struct ctx *ctx);
static int open_cache(struct worker_thread *worker, struct ctx *ctx);
static void open_rpc(struct worker_thread *worker);
static void *worker_run(void *argument);
static void on_order(void *owner, void *message);
static void take_policy(struct worker_thread *worker);
static void close_parts(struct worker_thread *worker);
static void on_drained(void *owner);
static void on_tick(void *owner);
static void probe_database(struct task *task, void *argument);
static void put_back(struct worker_thread *worker, struct ctx *ctx);
static void on_probe_end(struct task *task, void *argument);

/* Everything is opened by the main thread before the loop runs: a fault stops the start with its reason. */
int worker_start(struct worker_thread *worker, struct serve *serve, unsigned number)
{
    worker->serve = serve;
    worker->number = number;
    worker->metrics = metrics_new();
    worker->policy = worker_policy_new(serve->app->config);
    worker->loop = loop_new(serve->app->config->server.max_tasks);
    TRY(open_parts(worker, &serve->app->ctx));
    if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0)
        return FAULT(&serve->app->ctx, FAULT_INTERNAL, "no thread can be made");
    return OK;
}

void worker_drain(struct worker_thread *worker)
{
    bool posted = mailbox_post(worker->orders, worker);
    assert(posted); /* one order in a worker's life */
}

/* A worker that never ran is taken apart here; one that did has taken itself apart. */
void worker_join(struct worker_thread *worker)
{
    if (worker->loop == NULL)
        return;
    if (worker->thread != 0) {
        if (!worker->serve->stopping)
            worker_drain(worker);
        pthread_join(worker->thread, NULL);
    } else {
        close_parts(worker);
    }
    worker_policy_free(worker->policy);
    worker_policy_free(atomic_load(&worker->next));
}

struct worker_policy *worker_policy_new(const struct config *config)
{
    struct worker_policy *policy = xcalloc(1, sizeof *policy);
    wiring_limits(config, &policy->limits);
    for (size_t i = 0; i < CONFIG_IDENTITIES; i++) {
        policy->identities[i].name = config->identities[i].name;
        policy->identities[i].uri = xstrdup(config->identities[i].uri);
    }
    policy->drain_grace_ns = config->server.drain_grace_ns;
    policy->consistency_wait_ns = config->reads.consistency_wait_ns;
    policy->idempotency_ttl_ns = config->writes.key_ttl_ns;
    policy->trace_threshold = trace_threshold(config->telemetry.trace_ratio / 1e9);
    policy->redis_url = xstrdup(config->redis.url);
    return policy;
}

void worker_policy_free(struct worker_policy *policy)
{
    if (policy == NULL)
        return;
    for (size_t i = 0; i < CONFIG_IDENTITIES; i++)
        free((void *)(uintptr_t)policy->identities[i].uri);
    free(policy->redis_url);
    free(policy);
}

/* One that the worker has not taken yet is overtaken: its order is still under way and finds this one. */
void worker_set_policy(struct worker_thread *worker, struct worker_policy *policy)
{
    struct worker_policy *overtaken = atomic_exchange(&worker->next, policy);
    if (overtaken != NULL) {
        worker_policy_free(overtaken);
        return;
    }
    bool posted = mailbox_post(worker->orders, &worker->next);
    assert(posted); /* at most one such order and one to drain */
}

void worker_settings_store(const struct app *app, struct store_settings *settings)
{
    const struct config *config = app->config;
    *settings = (struct store_settings){
        .urls =
            {[LOGIN_APP] = config->database.url, [LOGIN_PLATFORM] = config->database.platform_url},
        .passwords = {[LOGIN_APP] = app->passwords[LOGIN_APP],
                      [LOGIN_PLATFORM] = app->passwords[LOGIN_PLATFORM]},
        .sizes = {[LOGIN_APP] = config->database.pool_size,
                  [LOGIN_PLATFORM] = config->database.platform_pool_size},
        .queue = config->database.queue,
        .connect_timeout_ns = config->database.connect_timeout_ns,
        .statement_timeout_ns = config->database.statement_timeout_ns,
    };
}

static int open_parts(struct worker_thread *worker, struct ctx *ctx)
{
    struct serve *serve = worker->serve;
    worker->orders = mailbox_open(worker->loop, ORDERS_SIZE, on_order, worker);
    worker->tick = timer_new(worker->loop, on_tick, worker);
    timer_set(worker->tick, deadline_after(clock_now(), TICK_NS));
    watchdog_start(worker);
    worker->database = health_dependency(serve->health, "database");
    worker->redis = health_dependency(serve->health, "redis");
    TRY(open_store(worker, ctx));
    TRY(open_cache(worker, ctx));
    open_rpc(worker);
    return OK;
}

static int open_store(struct worker_thread *worker, struct ctx *ctx)
{
    struct store_settings settings;
    worker_settings_store(worker->serve->app, &settings);
    return store_open(ctx, worker->loop, &settings, worker->metrics, &worker->store);
}

static int open_cache(struct worker_thread *worker, struct ctx *ctx)
{
    struct serve *serve = worker->serve;
    const struct cache_settings settings = {
        .redis_url = serve->app->config->redis.url,
        .tls = serve->client_tls,
        .memory = serve->memory,
        .op_timeout_ns = serve->app->config->redis.op_timeout_ns,
        .metrics = worker->metrics,
        .log = &serve->app->log,
    };
    return cache_open(ctx, worker->loop, &settings, &worker->cache);
}

static void open_rpc(struct worker_thread *worker)
{
    struct serve *serve = worker->serve;
    wiring_env(serve, worker);
    const struct rpc_registration registrations[] = {
        {&tenant_service_rpc, &tenant_handlers, &worker->env},
        {&health_rpc, &health_handlers, &worker->env},
        {&server_reflection_rpc, &reflection_handlers, &worker->env},
        {&server_reflection_v1alpha_rpc, &reflection_v1alpha_handlers, &worker->env},
        {&channelz_rpc, &channelz_handlers, &worker->env},
    };
    static_assert(sizeof registrations / sizeof registrations[0] == SERVED_COUNT,
                  "health and reflection name what is registered");
    struct rpc_worker_settings settings = {
        .loop = worker->loop,
        .shared = serve->shared,
        .metrics = worker->metrics,
        .log = &serve->app->log,
        .registrations = registrations,
        .registration_count = sizeof registrations / sizeof registrations[0],
    };
    settings.limits = worker->policy->limits;
    settings.spans = serve->otlp == NULL ? NULL : otlp_ring(serve->otlp, worker->number);
    settings.trace_threshold = worker->policy->trace_threshold;
    wiring_hooks(worker, &settings.hooks);
    worker->rpc = rpc_worker_open(&settings);
}

/* What the thread used it also closes: io, timers and libpq's sockets belong to its loop. */
static void *worker_run(void *argument)
{
    struct worker_thread *worker = argument;
    loop_run(worker->loop);
    while (worker->probing) /* it holds a connection of the store that is about to go */
        loop_turn(worker->loop, PROBE_NS);
    close_parts(worker);
    return NULL;
}

static void close_parts(struct worker_thread *worker)
{
    timer_free(worker->tick);
    mailbox_close(worker->orders);
    rpc_worker_close(worker->rpc);
    cache_close(worker->cache);
    store_close(worker->store);
    loop_free(worker->loop);
}

static void on_order(void *owner, void *message)
{
    struct worker_thread *worker = owner;
    if (message == &worker->next)
        take_policy(worker);
    else
        rpc_worker_drain(worker->rpc, worker->policy->drain_grace_ns, on_drained, worker);
}

/* Calls that wait meanwhile find the new figures when they go on; they are numbers, and each is good. */
static void take_policy(struct worker_thread *worker)
{
    worker_policy_free(worker->policy);
    worker->policy = atomic_exchange(&worker->next, NULL);
    assert(worker->policy != NULL); /* an order is posted for each */
    worker->env.consistency_wait_ns = worker->policy->consistency_wait_ns;
    worker->env.idempotency_ttl_ns = worker->policy->idempotency_ttl_ns;
    rpc_worker_set_limits(worker->rpc, &worker->policy->limits);
    rpc_worker_set_threshold(worker->rpc, worker->policy->trace_threshold);
    rpc_worker_rename(worker->rpc);
    AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
    struct ctx ctx;
    ctx_init(&ctx, &worker->serve->app->log, arena);
    /* other nodes or another user wait for a restart */
    (void)cache_renew_password(worker->cache, &ctx, worker->policy->redis_url);
}

/* Reported before the parts are closed: the main thread then waits in worker_join(). */
static void on_drained(void *owner)
{
    struct worker_thread *worker = owner;
    loop_stop(worker->loop);
    bool posted = mailbox_post(worker->serve->reports, worker);
    assert(posted);
}

/* The first worker tells how its database and Redis are; all tell how long their turns take. */
static void on_tick(void *owner)
{
    struct worker_thread *worker = owner;
    const struct config *config = worker->serve->app->config;
    loop_lag_note(&worker->serve->lags[worker->number], loop_lag_take(worker->loop));
    timer_set(worker->tick, deadline_after(clock_now(), TICK_NS));
    if (worker->number != 0)
        return;
    if (!worker->probing)
        worker->probing = task_start(worker->loop, probe_database, worker, on_probe_end);
    if (config->redis.url[0] == '\0')
        dependency_set(worker->redis, DEPENDENCY_OFF, NULL);
    else if (cache_is_whole(worker->cache))
        dependency_set(worker->redis, DEPENDENCY_UP, NULL);
    else
        dependency_set(worker->redis, DEPENDENCY_DOWN, "answers come from the database");
}

/* One cheap question a second: an idle replica, too, knows whether its database answers and how new its schema
 * is.  A pooler that accepts connections says nothing about the server behind it. */
static void probe_database(struct task *task, void *argument)
{
    struct worker_thread *worker = argument;
    AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
    struct ctx ctx;
    ctx_init(&ctx, &worker->serve->app->log, arena);
    ctx.task = task;
    ctx.method = "probe";
    ctx.deadline_ns = deadline_after(clock_now(), PROBE_NS);
    int version = 0;
    int rc = schema_version_read(worker->store, &ctx, TX_CATALOG, &version);
    if (rc == OK)
        health_set(worker->serve->health, HEALTH_SCHEMA_OK, version >= STORE_SCHEMA_VERSION);
    dependency_set(worker->database, rc == OK ? DEPENDENCY_UP : DEPENDENCY_DOWN,
                   rc == OK ? NULL : "does not answer");
    if (rc == OK)
        put_back(worker, &ctx);
}

/* What a rewind of the database took away.  A failure is told and tried again with the next probe. */
static void put_back(struct worker_thread *worker, struct ctx *ctx)
{
    uint64_t held = 0;
    ctx->method = "restrictions";
    ctx->deadline_ns = deadline_after(clock_now(), PUT_BACK_NS);
    int rc = restrictions_put_back(ctx, &worker->env);
    if (rc == OK || !log_interval_due(&worker->put_back_lines, PUT_BACK_LINES_NS, &held))
        return;
    log_error(ctx, "restrictions.not_put_back",
              KV_STR("detail", rc < 0 ? ctx_fault_text(ctx) : error_lookup(rc)->reason),
              KV_INT("suppressed", held));
}

static void on_probe_end(struct task *task, void *argument)
{
    (void)task;
    struct worker_thread *worker = argument;
    worker->probing = false;
}
