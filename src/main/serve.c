/*~ A serving process: what it is made of, in the order it is put together and taken apart.
 *
 * The main thread accepts, shakes hands, watches signals and waits; workers answer calls, each with a loop,
 * connections and caches of its own; the relay ships events, and the consumer applies those of others, on
 * threads of their own.  SIGTERM: say "not ready", stop accepting, let every connection finish, then take down
 * what is left. */
#include "main/app.h"

#include "main/certificates.h"
#include "main/tracing.h"

#include "base/alloc.h"

#include "cache/cache.h"
#include "cache/epoch_view.h"
#include "events/relay.h"
#include "inbound/inbound.h"
#include "ops/ops.h"
#include "ops/otlp.h"
#include "service/epoch_feed.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_NS NS_PER_S
#define CPUS_MAX 256
#define DOOR_NICE 5 /* a third of a worker's share where both want one processor */

static int serve_open(struct serve *serve);
static int open_epochs(struct serve *serve);
static int open_workers(struct serve *serve);
static int open_ports(struct serve *serve);
static void serve_close(struct serve *serve);
static void stand_behind(void);
static void announce(const struct serve *serve);
static int watch_signals(struct serve *serve);
static void on_signal(void *owner, unsigned events);
static void on_report(void *owner, void *message);
static void on_tick(void *owner);
static void begin_stop(struct serve *serve);
static unsigned count_cpus(void);

int command_serve(struct app *app)
{
    int status = app_configure(app, CONFIG_FOR_SERVE);
    if (status != OK)
        return status;
    struct serve serve = {.app = app, .signal_fd = -1};
    serve.worker_count = app->config->server.workers > 0 ? app->config->server.workers
                                                         : count_cpus();
    int rc = serve_open(&serve);
    if (rc == OK) {
        stand_behind();
        announce(&serve);
        loop_run(serve.loop);
    } else {
        status = app_fail(app, &app->ctx);
    }
    serve_close(&serve);
    return status;
}

/* The ports come last: whoever can connect finds everything behind them open.  A fault stops
 * the start, and serve_close() takes apart what there is. */
static int serve_open(struct serve *serve)
{
    struct app *app = serve->app;
    serve->loop = loop_new(1);
    serve->metrics = metrics_new();
    reload_metrics_init(&serve->reload, serve->metrics);
    serve->health = health_new();
    serve->shared = rpc_shared_new();
    serve->sets = xcalloc(serve->worker_count + 1, sizeof(struct metrics *));
    serve->workers = xcalloc(serve->worker_count, sizeof *serve->workers);
    serve->lags = xcalloc(serve->worker_count, sizeof *serve->lags);
    serve->reports = mailbox_open(serve->loop, CPUS_MAX, on_report, serve);
    TRY(watch_signals(serve));
    TRY(certificates_open(serve));
    TRY(startup_check_database(app, serve->metrics, false));
    health_set(serve->health, HEALTH_SCHEMA_OK, true);
    TRY(wiring_passwords(app));
    TRY(wiring_token_keys(app));
    serve->source = wiring_source(app);
    if (app->config->relay.enabled && !app->options.no_relay)
        TRY(wiring_relay(app, serve->metrics, &serve->relay));
    if (wiring_consumes(app))
        TRY(wiring_inbound(serve));
    TRY(tracing_open(serve));
    TRY(open_epochs(serve));
    TRY(open_workers(serve));
    TRY(open_ports(serve));
    serve->tick = timer_new(serve->loop, on_tick, serve);
    timer_set(serve->tick, clock_now());
    health_set(serve->health, HEALTH_LISTENING, true);
    health_set(serve->health, HEALTH_STARTED, true);
    return OK;
}

static int open_epochs(struct serve *serve)
{
    const struct config *config = serve->app->config;
    const struct epoch_view_settings view = {
        .freshness_ns = config->cache.max_age_ns,
        .metrics = serve->metrics,
    };
    serve->epochs = epoch_view_new(&view);
    const struct epoch_feed_settings feed = {
        .platform_url = config->database.platform_url,
        .platform_password = serve->app->passwords[LOGIN_PLATFORM],
        .view = serve->epochs,
        .freshness_ns = config->cache.max_age_ns,
        .interval_ns = config->cache.epoch_interval_ns,
    };
    return epoch_feed_start(&serve->app->ctx, &feed, serve->metrics, &serve->epoch_feed);
}

/* Memory first: all workers' caches share it. */
static int open_workers(struct serve *serve)
{
    const struct config_cache *cache = &serve->app->config->cache;
    const struct cache_memory_settings memory = {
        .entries = cache->memory_entries,
        .bytes = cache->memory_bytes,
        .max_age_ns = cache->max_age_ns,
        .view = serve->epochs,
        .metrics = serve->metrics,
    };
    serve->memory = cache_memory_new(&memory);
    for (unsigned i = 0; i < serve->worker_count; i++)
        TRY(worker_start(&serve->workers[i], serve, i));
    return OK;
}

/* The operations port opens before the listener: a probe answers "not ready" while the start
 * goes on. */
static int open_ports(struct serve *serve)
{
    struct app *app = serve->app;
    const struct config *config = app->config;
    struct rpc_worker **workers = arena_alloc(app->arena, serve->worker_count * sizeof *workers);
    serve->sets[0] = serve->metrics;
    for (unsigned i = 0; i < serve->worker_count; i++) {
        workers[i] = serve->workers[i].rpc;
        serve->sets[i + 1] = serve->workers[i].metrics;
    }
    const struct ops_settings ops = {
        .address = config->ops.address,
        .port = config->ops.port,
        .health = serve->health,
        .sets = serve->sets,
        .set_count = serve->worker_count + 1,
        .lags = serve->lags,
        .lag_count = serve->worker_count,
        .build = {.version = TENANT_VERSION, .commit = version_commit},
    };
    TRY(ops_start(&app->ctx, &ops, &serve->ops));
    struct rpc_limits limits;
    wiring_limits(config, &limits);
    const struct rpc_listener_settings listener = {
        .address = config->server.address,
        .port = config->server.port,
        .workers = workers,
        .worker_count = serve->worker_count,
        .tls = serve->server_tls,
        .shared = serve->shared,
        .metrics = serve->metrics,
        .log = &app->log,
        .limits = &limits,
    };
    return rpc_listener_open(&app->ctx, serve->loop, &listener, &serve->listener);
}

/* This thread's loop does the handshakes: who is in comes before who wants in.  After the start, because
 * threads inherit it from who makes them.  Where it is not allowed the kernel shares evenly. */
static void stand_behind(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), DOOR_NICE);
}

/* The one line that scripts wait for, on standard output; logs go to standard error. */
static void announce(const struct serve *serve)
{
    const struct config *config = serve->app->config;
    printf("ready: grpc %s:%u ops %s:%u\n", config->server.address,
           rpc_listener_port(serve->listener), config->ops.address, ops_port(serve->ops));
    fflush(stdout);
    log_on_info(&serve->app->log, "service.ready", KV_INT("workers", serve->worker_count),
                KV_STR("instance", serve->app->instance), KV_STR("commit", version_commit));
}

/* What was opened, in the opposite order; also after a start that failed half-way.  Workers
 * before relay and exporter: their last commits still wake the one, their last spans go out with the
 * other.  Metrics go after their users. */
static void serve_close(struct serve *serve)
{
    rpc_listener_close(serve->listener);
    for (unsigned i = 0; serve->workers != NULL && i < serve->worker_count; i++)
        worker_join(&serve->workers[i]);
    inbound_stop(serve->inbound);
    relay_stop(serve->relay);
    otlp_stop(serve->otlp);
    epoch_feed_stop(serve->epoch_feed);
    ops_stop(serve->ops);
    timer_free(serve->tick);
    certificates_close(serve->certificates);
    mailbox_close(serve->reports);
    io_close(serve->signal_io);
    if (serve->signal_fd >= 0)
        close(serve->signal_fd);
    for (unsigned i = 0; serve->workers != NULL && i < serve->worker_count; i++)
        metrics_free(serve->workers[i].metrics);
    loop_free(serve->loop);
    cache_memory_free(serve->memory);
    epoch_view_free(serve->epochs);
    tls_context_unref(serve->server_tls);
    tls_context_unref(serve->client_tls);
    rpc_shared_free(serve->shared);
    health_free(serve->health);
    metrics_free(serve->metrics);
    free(serve->workers);
    free(serve->sets);
    free(serve->lags);
}

/* Blocked before any thread is made, so that every thread inherits it and only the descriptor tells. */
static int watch_signals(struct serve *serve)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    serve->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (serve->signal_fd < 0)
        return FAULT(&serve->app->ctx, FAULT_IO, "signalfd");
    serve->signal_io = io_open(serve->loop, serve->signal_fd);
    io_watch(serve->signal_io, IO_READ, on_signal, serve);
    return OK;
}

static void on_signal(void *owner, unsigned events)
{
    (void)events;
    struct serve *serve = owner;
    struct signalfd_siginfo info;
    while (read(serve->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        log_on_info(&serve->app->log, "service.signal", KV_INT("signal", info.ssi_signo));
        if (info.ssi_signo == SIGHUP) {
            if (!serve->stopping)
                app_reload(serve->app, serve, &serve->reload);
            continue;
        }
        if (serve->stopping)
            _exit(EXIT_BROKEN); /* asked twice: at once */
        begin_stop(serve);
    }
}

/* "Not ready" first: no probe may say "ready" while the port is closed. */
static void begin_stop(struct serve *serve)
{
    serve->stopping = true;
    health_set(serve->health, HEALTH_DRAINING, true);
    health_set(serve->health, HEALTH_LISTENING, false);
    rpc_listener_close(TAKE(serve->listener));
    for (unsigned i = 0; i < serve->worker_count; i++)
        worker_drain(&serve->workers[i]);
}

/* The main loop ends when the last worker has reported; each does so once. */
static void on_report(void *owner, void *message)
{
    (void)message;
    struct serve *serve = owner;
    assert(serve->drained < serve->worker_count);
    if (++serve->drained == serve->worker_count)
        loop_stop(serve->loop);
}

/* What the relay's thread knows, for the probes' body. */
static void on_tick(void *owner)
{
    struct serve *serve = owner;
    struct dependency *nats = health_dependency(serve->health, "nats");
    if (serve->relay == NULL) {
        dependency_set(nats, DEPENDENCY_OFF, NULL);
    } else {
        struct relay_status status;
        relay_status(serve->relay, &status);
        dependency_set(nats, status.broker_up ? DEPENDENCY_UP : DEPENDENCY_DOWN,
                       status.broker_up ? NULL : "not connected; events wait in the outbox");
    }
    if (!serve->stopping)
        timer_set(serve->tick, deadline_after(clock_now(), TICK_NS));
}

/* Those online, which in a container is the host's number: set server.workers where a quota is
 * smaller. */
static unsigned count_cpus(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 1 : cpus > CPUS_MAX ? CPUS_MAX : (unsigned)cpus;
}
