/* ~ The consumer of other services' events; see inbound.h.
 *
 * A turn of the loop fetches and handles for a slice of time, then looks at what is parked.  An event is
 * acknowledged when it has taken effect, was found to need none, is parked, or lies in the stream of dead
 * letters: never before. */
#include "inbound/inbound_int.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"

#include "events/subjects.h"

#include "gen/errors.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#define SLICE_NS (50 * NS_PER_MS)
#define PAUSE_MS 50
#define STATEMENT_NS (3 * NS_PER_S)
#define CONNECT_NS (2 * NS_PER_S)
#define EFFECT_NS (10 * NS_PER_S)
#define BACKOFF_FLOOR_NS (100 * NS_PER_MS)
#define BACKOFF_CAP_NS (10 * NS_PER_S)
#define LOG_EVERY_NS (10 * NS_PER_S)
/* what the events in hand may unpack to: a few messages of a megabyte */
#define ARENA_MAX (64u << 20)
#define CONFLICT_ROUNDS 3
#define AGAIN_NS NS_PER_S

static int open_store(struct inbound *inbound, struct metrics *metrics);
static void inbound_free(struct inbound *inbound);
static void *inbound_main(void *argument);
static void turn(struct inbound *inbound);
static uint64_t key_of(struct inbound *inbound, const struct inbound_event *event);
static int apply(struct inbound *inbound, struct inbound_event *event,
                 enum inbound_outcome *outcome);
static int early(struct inbound *inbound, struct inbound_event *event,
                 enum inbound_outcome *outcome);
static bool is_conflict(int rc);

int inbound_start(const struct inbound_settings *settings, struct metrics *metrics,
                  const struct log *log, struct inbound **out)
{
    struct inbound *inbound = xcalloc(1, sizeof *inbound);
    inbound->settings = settings;
    inbound->log = log;
    ctx_init(&inbound->ctx, log, arena_new(ARENA_MAX));
    inbound->ctx.method = "inbound";
    inbound_metrics_init(&inbound->metrics, metrics);
    metric_gauge_set(inbound->metrics.parked_max, (int64_t)settings->parked_max);
    fetch_init(inbound);
    int rc = open_store(inbound, metrics);
    if (rc == OK && pthread_create(&inbound->thread, NULL, inbound_main, inbound) != 0)
        rc = FAULT(&inbound->ctx, FAULT_INTERNAL, "no thread for the consumer");
    if (rc != OK) {
        log_error(&inbound->ctx, "inbound.not_started",
                  KV_STR("reason", ctx_fault_text(&inbound->ctx)));
        inbound_free(inbound);
        return rc;
    }
    *out = inbound;
    return OK;
}

/* Each wait of the thread ends by itself within seconds. */
void inbound_stop(struct inbound *inbound)
{
    if (inbound == NULL)
        return;
    atomic_store(&inbound->stopping, true);
    int joined = pthread_join(inbound->thread, NULL);
    assert(joined == 0);
    inbound_free(inbound);
}

struct ctx *inbound_step(struct inbound *inbound, uint64_t duration_ns)
{
    inbound->ctx.deadline_ns = deadline_after(clock_now(), duration_ns);
    return &inbound->ctx;
}

void inbound_failed(struct inbound *inbound, enum inbound_error error, const char *detail)
{
    static const char *const kinds[INBOUND_ERROR_COUNT] = {"database", "broker", "stream", "event"};
    uint64_t held = 0;
    metric_inc(inbound->metrics.errors[error]);
    if (log_interval_due(&inbound->intervals[error], LOG_EVERY_NS, &held))
        log_warn(&inbound->ctx, "inbound.waits", KV_STR("kind", kinds[error]),
                 KV_STR("detail", detail), KV_INT("suppressed", held));
}

int inbound_handle(struct inbound *inbound, struct inbound_event *event,
                   enum inbound_outcome *outcome)
{
    struct ctx *ctx = &inbound->ctx;
    const struct billing_reader reader = {
        .arena = ctx->arena,
        .region = inbound->settings->region,
        .now_us = clock_wall() / NS_PER_US,
    };
    billing_read(&reader, event->body, &event->read);
    ctx->caller = BILLING_CONSUMER;
    trace_ctx_begin(&ctx->trace, slice_of_str(event->traceparent));
    trace_ctx_request_id(&ctx->trace, slice_of_str(event->read.correlation_id));
    ctx->tenant_id[0] = '\0';
    if (!uuid_is_nil(&event->read.tenant_id))
        id_format(ID_TENANT, &event->read.tenant_id, ctx->tenant_id);
    event->key = key_of(inbound, event);
    *outcome = INBOUND_DEAD;
    if (attempts_is_lettered(&inbound->attempts, event->key))
        return OK;
    int rc = OK;
    switch (event->read.kind) {
    case BILLING_IGNORED:
        *outcome = INBOUND_IGNORED;
        break;
    case BILLING_BROKEN:
        if (!letter_store(inbound, event, "MALFORMED", event->read.fault))
            rc = FAULT(ctx, FAULT_BROKER, "a dead letter cannot be stored");
        break;
    case BILLING_NEWS:
        rc = event->read.not_before_us > reader.now_us ? early(inbound, event, outcome)
                                                       : apply(inbound, event, outcome);
        break;
    }
    if (rc == OK && *outcome != INBOUND_DEAD) {
        metric_inc(inbound->metrics.outcomes[*outcome]);
        attempts_forget(&inbound->attempts, event->key);
    }
    return rc;
}

const char *inbound_detail(struct inbound *inbound, int rc)
{
    const struct error_entry *refusal = rc > 0 ? error_lookup(rc) : NULL;
    return refusal != NULL ? refusal->reason : ctx_fault_text(&inbound->ctx);
}

struct inbound_failure inbound_judge(struct inbound *inbound, const struct inbound_event *event,
                                     int rc)
{
    struct inbound_failure failure = {
        .wait_ns = AGAIN_NS,
        .detail = inbound_detail(inbound, rc),
    };
    if (failure_is_own(rc)) {
        unsigned failed = attempts_failed(&inbound->attempts, event->key);
        inbound_failed(inbound, INBOUND_ERROR_EVENT, failure.detail);
        failure.is_last = failed >= ATTEMPTS_MAX;
        failure.wait_ns = attempts_wait_ns(failed);
        return failure;
    }
    inbound_failed(inbound, rc == FAULT_BROKER ? INBOUND_ERROR_BROKER : INBOUND_ERROR_DATABASE,
                   failure.detail);
    inbound->paused_until_ns =
        deadline_after(clock_now(), backoff_ns(inbound->pauses, BACKOFF_FLOOR_NS, BACKOFF_CAP_NS));
    inbound->pauses += inbound->pauses < 16;
    return failure;
}

static int open_store(struct inbound *inbound, struct metrics *metrics)
{
    const struct inbound_settings *settings = inbound->settings;
    const struct store_settings store = {
        .urls = {[LOGIN_APP] = settings->app_url, [LOGIN_RELAY] = settings->relay_url},
        .passwords =
            {[LOGIN_APP] = settings->app_password, [LOGIN_RELAY] = settings->relay_password},
        .sizes = {[LOGIN_APP] = 1, [LOGIN_RELAY] = 1},
        .connect_timeout_ns = CONNECT_NS,
        .statement_timeout_ns = STATEMENT_NS,
    };
    return store_open(inbound_step(inbound, EFFECT_NS), NULL, &store, metrics, &inbound->store);
}

static void inbound_free(struct inbound *inbound)
{
    fetch_close(inbound);
    store_close(inbound->store);
    arena_free(inbound->ctx.arena);
    free(inbound);
}

static void *inbound_main(void *argument)
{
    struct inbound *inbound = argument;
    pthread_setname_np(pthread_self(), "inbound");
    log_info(&inbound->ctx, "inbound.started", KV_STR("stream", inbound->settings->billing_stream));
    while (!atomic_load(&inbound->stopping))
        turn(inbound);
    fetch_return(inbound);
    log_info(&inbound->ctx, "inbound.stopped", KV_STR("stream", inbound->settings->billing_stream));
    return NULL;
}

static void turn(struct inbound *inbound)
{
    uint64_t now = clock_now();
    arena_reset(inbound->ctx.arena);
    if (now < inbound->paused_until_ns || !fetch_ready(inbound)) {
        poll(NULL, 0, PAUSE_MS);
        return;
    }
    fetch_run(inbound, deadline_after(now, SLICE_NS));
    if (clock_now() >= inbound->paused_until_ns)
        parking_tick(inbound);
}

/* A delivery, or what is parked: one that was sent back is not the one whose letter it was. */
static uint64_t key_of(struct inbound *inbound, const struct inbound_event *event)
{
    const char *text = arena_printf(inbound->ctx.arena, "%d %" PRIu64 " %s %s", event->is_requeued,
                                    event->place, inbound->ctx.tenant_id, event->read.event_id);
    uint64_t key = hash_table(slice_of_str(text));
    return key == 0 ? 1 : key;
}

/* Who lost a race tries again at once, behind the one who won. */
static int apply(struct inbound *inbound, struct inbound_event *event,
                 enum inbound_outcome *outcome)
{
    int rc = CONCURRENT_CHANGE;
    for (int round = 0; round < CONFLICT_ROUNDS && is_conflict(rc); round++)
        rc = effect_apply(inbound, inbound_step(inbound, EFFECT_NS), &event->read, outcome);
    TRY(rc);
    inbound->pauses = 0;
    return *outcome == INBOUND_EARLY ? early(inbound, event, outcome) : OK;
}

/* One that is parked stays there; the caller puts it off. */
static int early(struct inbound *inbound, struct inbound_event *event,
                 enum inbound_outcome *outcome)
{
    bool parked = true;
    *outcome = INBOUND_EARLY;
    if (event->parked_us == 0)
        TRY(parking_put(inbound, event, &parked));
    event->stays = !parked;
    return OK;
}

static bool is_conflict(int rc)
{
    return rc == CONCURRENT_CHANGE || rc == VERSION_CONFLICT || rc == COMMIT_UNCERTAIN;
}
