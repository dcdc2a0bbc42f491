/*~ The relay: how a committed event reaches JetStream exactly once and in order.
 *
 * Per shard, with its stream TENANT_nn:
 *   1. ask the stream for its last sequence S and its newest messages, and settle rows that are there;
 *   2. read up to a window of unsent rows, always from the lowest id;
 *   3. send them all; row k expects S + k, and the row before it as the stream's last message;
 *   4. when all are acknowledged, move them to outbox_sent in one statement; S grows; go to 2;
 *   5. on any error, missing answer or wrong sequence go to 1.
 * Nothing after a refused message can have been stored, and step 1 asks the log itself, so nothing is lost,
 * doubled or reordered, however long the outage and whoever else believes to own the shard.
 *
 * The steps are in relay_shard.c, the rounds in relay_turn.c, the leases in relay_lease.c.  This file has
 * the thread.  Started by main; never called by a request but for relay_wake(). */
#include "events/relay_int.h"

#include "base/alloc.h"
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The pause doubles between these two while nothing moves.  The cap is what an event committed
 * by another process waits at most; one of this process wakes the relay at once. */
#define IDLE_FLOOR_NS (2 * NS_PER_MS)
#define IDLE_CAP_NS (50 * NS_PER_MS)
#define DRAIN_NS (2 * NS_PER_S)
#define LOG_EVERY_NS (10 * NS_PER_S)
#define CONNECT_TIMEOUT_NS (2 * NS_PER_S)
#define STATEMENT_TIMEOUT_NS (5 * NS_PER_S)

static int settings_check(struct ctx *ctx, const struct relay_settings *settings);
static int database_open(struct relay *relay, struct metrics *metrics);
static void relay_free(struct relay *relay);
static void *relay_main(void *argument);
static void arenas_turn(struct relay *relay);
static void relay_pause(struct relay *relay, uint64_t duration_ns);
static void status_publish(struct relay *relay);

/* The arenas have no cap: a turn's memory is bounded by batch_bytes and the windows, and they are
 * reset in turn. */
int relay_start(const struct relay_settings *settings, struct metrics *metrics,
                const struct log *log, struct relay **out)
{
    struct relay *relay = xcalloc(1, sizeof *relay);
    relay->settings = settings;
    relay->log = log;
    relay->wake_fd = -1;
    pthread_mutex_init(&relay->status_lock, NULL);
    ctx_init(&relay->ctx, log, arena_new(0));
    relay->other_arena = arena_new(0);
    relay->ctx.method = "relay";
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        relay->shards[i].number = i;
        relay->shards[i].sent = xcalloc(WINDOW_MAX, sizeof *relay->shards[i].sent);
    }
    int rc = settings_check(&relay->ctx, settings);
    if (rc == OK)
        rc = database_open(relay, metrics);
    if (rc == OK) {
        relay_metrics_init(&relay->metrics, metrics);
        relay->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (relay->wake_fd < 0 || pthread_create(&relay->thread, NULL, relay_main, relay) != 0)
            rc = FAULT(&relay->ctx, FAULT_INTERNAL, "no thread for the relay");
    }
    if (rc != OK) {
        log_error(&relay->ctx, "relay.not_started", KV_STR("reason", ctx_fault_text(&relay->ctx)));
        relay_free(relay);
        return rc;
    }
    *out = relay;
    return OK;
}

/* One system call per turn of the relay, however many requests commit: the flag is set by the
 * first of them. */
void relay_wake(struct relay *relay)
{
    if (relay == NULL || atomic_exchange_explicit(&relay->woken, true, memory_order_acq_rel))
        return;
    const uint64_t one = 1;
    ssize_t written = write(relay->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

/* Each wait of the thread ends by itself within seconds, so the join does. */
void relay_stop(struct relay *relay)
{
    if (relay == NULL)
        return;
    atomic_store(&relay->stopping, true);
    relay_wake(relay);
    int joined = pthread_join(relay->thread, NULL);
    assert(joined == 0);
    relay_free(relay);
}

void relay_status(struct relay *relay, struct relay_status *out)
{
    pthread_mutex_lock(&relay->status_lock);
    *out = relay->status;
    pthread_mutex_unlock(&relay->status_lock);
}

/* Counted always; the log gets one line per kind and interval with the number that it stands
 * for. */
void relay_failed(struct relay *relay, enum relay_error error, int shard, const char *detail)
{
    uint64_t held = 0;
    metric_inc(relay->metrics.errors[error]);
    if (!log_interval_due(&relay->intervals[error], LOG_EVERY_NS, &held))
        return;
    log_error(&relay->ctx, "relay.failed", KV_STR("kind", relay_error_name(error)),
              KV_INT("shard", shard), KV_STR("detail", detail), KV_INT("suppressed", held));
}

bool relay_stream_did(struct relay *relay, const char *name, int rc,
                      const struct stream_state *state)
{
    char detail[32 + STREAM_DRIFT_SIZE];
    if (rc != OK) {
        relay_failed(relay, RELAY_ERROR_STREAM, -1, ctx_fault_text(&relay->ctx));
        return false;
    }
    if (!state->usable) {
        snprintf(detail, sizeof detail, "%s: %s", name, state->drift);
        relay_failed(relay, RELAY_ERROR_STREAM, -1, detail);
    } else if (state->drift[0] != '\0') {
        log_warn(&relay->ctx, "relay.stream_differs", KV_STR("stream", name),
                 KV_STR("difference", state->drift), KV_BOOL("usable", true));
    }
    return state->usable;
}

struct ctx *relay_step(struct relay *relay, uint64_t duration_ns)
{
    relay->ctx.deadline_ns = deadline_after(clock_now(), duration_ns);
    return &relay->ctx;
}

static int settings_check(struct ctx *ctx, const struct relay_settings *settings)
{
    size_t name = settings->instance == NULL ? 0 : strlen(settings->instance);
    if (name == 0 || name >= RELAY_OWNER_SIZE)
        return FAULT(ctx, FAULT_CONFIG, "the relay's instance name has %zu characters, not 1 to %d",
                     name, RELAY_OWNER_SIZE - 1);
    if (settings->window == 0 || settings->window > WINDOW_MAX)
        return FAULT(ctx, FAULT_CONFIG, "relay.window is %u, not 1 to %d", settings->window,
                     WINDOW_MAX);
    if (settings->streams.replicas == 0 || settings->streams.max_age_s == 0)
        return FAULT(ctx, FAULT_CONFIG, "streams need at least one replica and an age");
    if (settings->source == NULL || settings->region == NULL)
        return FAULT(ctx, FAULT_CONFIG, "the relay's own events need a source and a region");
    if (settings->nats.url == NULL || settings->database_url == NULL)
        return FAULT(ctx, FAULT_CONFIG, "the relay needs database.relay_url and nats.url");
    return OK;
}

/* Opens no connection yet: a database that is down does not keep the process from starting. */
static int database_open(struct relay *relay, struct metrics *metrics)
{
    const struct store_settings settings = {
        .urls = {[LOGIN_RELAY] = relay->settings->database_url},
        .passwords = {[LOGIN_RELAY] = relay->settings->database_password},
        .sizes = {[LOGIN_RELAY] = 1},
        .connect_timeout_ns = CONNECT_TIMEOUT_NS,
        .statement_timeout_ns = STATEMENT_TIMEOUT_NS,
    };
    return store_open(relay_step(relay, STATEMENT_TIMEOUT_NS), NULL, &settings, metrics,
                      &relay->store);
}

static void relay_free(struct relay *relay)
{
    jetstream_inbox_close(relay->inbox);
    jetstream_close(relay->js);
    store_close(relay->store);
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        free(relay->shards[i].sent);
    arena_free(relay->ctx.arena);
    arena_free(relay->other_arena);
    if (relay->wake_fd >= 0)
        close(relay->wake_fd);
    pthread_mutex_destroy(&relay->status_lock);
    free(relay);
}

/* The only thread that touches shards, the inbox and the store of the relay. */
static void *relay_main(void *argument)
{
    struct relay *relay = argument;
    uint64_t idle = IDLE_FLOOR_NS;
    pthread_setname_np(pthread_self(), "relay");
    log_info(&relay->ctx, "relay.started", KV_STR("instance", relay->settings->instance));
    while (!atomic_load(&relay->stopping)) {
        arenas_turn(relay);
        bool moved = relay_turn(relay);
        status_publish(relay);
        idle = moved ? IDLE_FLOOR_NS : idle;
        if (moved)
            continue;
        relay_pause(relay, idle);
        idle = 2 * idle < IDLE_CAP_NS ? 2 * idle : IDLE_CAP_NS;
    }
    relay_drain(relay, deadline_after(clock_now(), DRAIN_NS));
    relay_lease_leave(relay);
    log_info(&relay->ctx, "relay.stopped", KV_INT("published", relay->published));
    return NULL;
}

/* What a turn allocates lasts until the end of the next one. */
static void arenas_turn(struct relay *relay)
{
    struct arena *oldest = relay->other_arena;
    relay->other_arena = relay->ctx.arena;
    relay->ctx.arena = oldest;
    arena_reset(oldest);
}

/* Until something was committed in this process, or the time to look for what others committed. */
static void relay_pause(struct relay *relay, uint64_t duration_ns)
{
    struct pollfd wake = {.fd = relay->wake_fd, .events = POLLIN};
    uint64_t count = 0;
    int ms = deadline_poll_ms(deadline_after(clock_now(), duration_ns), clock_now());
    if (poll(&wake, 1, ms) <= 0)
        return;
    /* The flag last: whoever finds it still set committed before the turn that follows. */
    ssize_t taken = read(relay->wake_fd, &count, sizeof count);
    (void)taken;
    atomic_store_explicit(&relay->woken, false, memory_order_release);
}

/* A copy under the lock, so that health and admin never wait for the relay's own waits. */
static void status_publish(struct relay *relay)
{
    struct relay_status status = {
        .database_up = relay->database_failures == 0,
        .broker_up = relay->js != NULL,
        .pending = relay->stats.pending,
        .oldest_age_us = relay->stats.oldest_age_us,
        .published = relay->published,
    };
    uint64_t missing = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        bool ours = relay->shards[i].state != SHARD_FOREIGN;
        status.leases += ours;
        status.stopped += relay->shards[i].stopped || relay->shards[i].refill_refused;
        missing += ours ? relay->shards[i].missing : 0;
    }
    metric_gauge_set(relay->metrics.missing, (int64_t)missing);
    metric_gauge_set(relay->metrics.leases, status.leases);
    metric_gauge_set(relay->metrics.stopped, status.stopped);
    pthread_mutex_lock(&relay->status_lock);
    relay->status = status;
    pthread_mutex_unlock(&relay->status_lock);
}
