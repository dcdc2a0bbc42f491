/* A loop of looks.  A look that fails changes nothing: the view ages until caches stop answering from it, and
 * the next look asks for everything since the last that succeeded.  A database that was taken back in time, or
 * is another one, voids the view at once and is looked at from the beginning. */
#include "service/epoch_feed.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

#include "cache/epoch_view.h"
#include "store/epoch_store.h"
#include "store/store.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFAULT_FRESHNESS_NS (200 * NS_PER_MS)
#define DEFAULT_CHANGES 8192
#define RECONNECT_NS NS_PER_S /* for a look that has to connect first */
#define PAUSE_CAP_NS NS_PER_S
#define LOG_EVERY_NS (10 * NS_PER_S)

enum look_result {
    LOOK_APPLIED,
    LOOK_OVERFLOWED, /* too many changes: everything read before is to be read again */
    LOOK_REWOUND,    /* the database went back or is another one: likewise */
    LOOK_RECOVERING, /* it is a standby, which cannot vouch for anything */
    LOOK_FAILED,
    LOOK_RESULT_COUNT
};

struct epoch_feed {
    struct epoch_feed_settings settings;
    struct ctx ctx;
    struct store *store;
    char *snapshot;   /* of the last look; NULL: begin anew */
    unsigned failures; /* in a row */
    bool was_fresh;
    pthread_t thread;
    int wake_fd;
    _Atomic bool stopping;
    struct log_interval logged;
    struct metric *looks[LOOK_RESULT_COUNT];
    struct metric *changes;
    struct metric *seconds;
    struct metric *age;
    struct metric *fresh;
};

static const struct metric_family looks_family = {
    .name = "tenant_epoch_feed_looks_total",
    .help = "Looks at the tenants' epochs by what came of them.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family changes_family = {
    .name = "tenant_epoch_feed_changes_total",
    .help = "Changes of tenants that looks have brought.",
    .kind = METRIC_COUNTER};
static const double look_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1};
static const struct metric_family seconds_family = {
    .name = "tenant_epoch_feed_seconds",
    .help = "Time that one look took.",
    .kind = METRIC_HISTOGRAM,
    .buckets = look_bounds,
    .bucket_count = sizeof look_bounds / sizeof look_bounds[0]};
static const double age_bounds[] = {0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.5, 1, 10, 60};
static const struct metric_family age_family = {
    .name = "tenant_epoch_view_age_seconds",
    .help = "Age of the view of epochs when a look ended; above the freshness no cache answers.",
    .kind = METRIC_HISTOGRAM,
    .buckets = age_bounds,
    .bucket_count = sizeof age_bounds / sizeof age_bounds[0]};
static const struct metric_family fresh_family = {
    .name = "tenant_epoch_view_fresh",
    .help = "1 while caches may answer from the view of epochs.",
    .kind = METRIC_GAUGE};

static const char *const result_names[LOOK_RESULT_COUNT] = {"applied", "overflowed", "rewound",
                                                            "recovering", "failed"};

static int feed_open(struct epoch_feed *feed, struct ctx *ctx, struct metrics *metrics);
static void feed_metrics_init(struct epoch_feed *feed, struct metrics *metrics);
static void feed_free(struct epoch_feed *feed);
static void *feed_main(void *argument);
static enum look_result feed_look(struct epoch_feed *feed);
static int look_read(struct epoch_feed *feed, struct epoch_rows *rows);
static enum look_result look_apply(struct epoch_feed *feed, const struct epoch_rows *rows,
                                   uint64_t t0_ns);
static void look_note(struct epoch_feed *feed, enum look_result result);
static void feed_pause(struct epoch_feed *feed, uint64_t began_ns);

int epoch_feed_start(struct ctx *ctx, const struct epoch_feed_settings *settings,
                     struct metrics *metrics, struct epoch_feed **out)
{
    struct epoch_feed *feed = xcalloc(1, sizeof *feed);
    struct epoch_feed_settings *own = &feed->settings;
    *own = *settings;
    own->freshness_ns = own->freshness_ns == 0 ? DEFAULT_FRESHNESS_NS : own->freshness_ns;
    own->interval_ns = own->interval_ns == 0 ? own->freshness_ns / 4 : own->interval_ns;
    own->changes = own->changes == 0 ? DEFAULT_CHANGES : own->changes;
    feed->wake_fd = -1;
    int rc = feed_open(feed, ctx, metrics);
    if (rc != OK) {
        feed_free(feed);
        return rc;
    }
    *out = feed;
    return OK;
}

void epoch_feed_stop(struct epoch_feed *feed)
{
    if (feed == NULL)
        return;
    atomic_store(&feed->stopping, true);
    uint64_t one = 1;
    ssize_t written = write(feed->wake_fd, &one, sizeof one);
    assert(written == (ssize_t)sizeof one);
    pthread_join(feed->thread, NULL);
    feed_free(feed);
}

static int feed_open(struct epoch_feed *feed, struct ctx *ctx, struct metrics *metrics)
{
    const struct store_settings store = {
        .urls = {[LOGIN_PLATFORM] = feed->settings.platform_url},
        .passwords = {[LOGIN_PLATFORM] = feed->settings.platform_password},
        .sizes = {[LOGIN_PLATFORM] = 1},
        .connect_timeout_ns = RECONNECT_NS,
    };
    ctx_init(&feed->ctx, ctx->log, arena_new(0));
    feed->ctx.method = "epoch feed";
    feed_metrics_init(feed, metrics);
    TRY(store_open(ctx, NULL, &store, NULL, &feed->store));
    feed->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (feed->wake_fd < 0 || pthread_create(&feed->thread, NULL, feed_main, feed) != 0)
        return FAULT(ctx, FAULT_INTERNAL, "the feed of epochs gets no thread");
    return OK;
}

static void feed_metrics_init(struct epoch_feed *feed, struct metrics *metrics)
{
    for (size_t i = 0; i < LOOK_RESULT_COUNT; i++)
        feed->looks[i] = metrics_series(metrics, &looks_family, &result_names[i]);
    feed->changes = metrics_series(metrics, &changes_family, NULL);
    feed->seconds = metrics_series(metrics, &seconds_family, NULL);
    feed->age = metrics_series(metrics, &age_family, NULL);
    feed->fresh = metrics_series(metrics, &fresh_family, NULL);
}

static void feed_free(struct epoch_feed *feed)
{
    store_close(feed->store);
    if (feed->wake_fd >= 0)
        close(feed->wake_fd);
    arena_free(feed->ctx.arena);
    free(feed->snapshot);
    free(feed);
}

static void *feed_main(void *argument)
{
    struct epoch_feed *feed = argument;
    pthread_setname_np(pthread_self(), "epoch-feed");
    while (!atomic_load(&feed->stopping)) {
        uint64_t began = clock_now();
        enum look_result result = feed_look(feed);
        look_note(feed, result);
        metric_observe(feed->seconds, (double)(clock_now() - began) / (double)NS_PER_S);
        bool failed = result == LOOK_FAILED || result == LOOK_RECOVERING;
        feed->failures = failed ? feed->failures + 1 : 0;
        if (result != LOOK_REWOUND && feed->failures != 1)
            feed_pause(feed, began);
    }
    epoch_view_void(feed->settings.view);
    return NULL;
}

/* t0 is taken before anything is sent: what commits later cannot have been seen. */
static enum look_result feed_look(struct epoch_feed *feed)
{
    struct epoch_rows rows;
    bool connected = feed->failures == 0 && feed->snapshot != NULL;
    uint64_t time = connected ? feed->settings.freshness_ns / 2 : RECONNECT_NS;
    arena_reset(feed->ctx.arena);
    feed->ctx.deadline_ns = deadline_after(clock_now(), time);
    uint64_t t0 = clock_boot();
    if (look_read(feed, &rows) != OK)
        return LOOK_FAILED;
    return rows.recovering ? LOOK_RECOVERING : look_apply(feed, &rows, t0);
}

static int look_read(struct epoch_feed *feed, struct epoch_rows *rows)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    TRY(tx_begin(feed->store, &feed->ctx, TX_PLATFORM_READ, NULL, &tx));
    return epoch_store_look(tx, feed->snapshot, feed->settings.changes, rows);
}

static enum look_result look_apply(struct epoch_feed *feed, const struct epoch_rows *rows,
                                   uint64_t t0_ns)
{
    struct epoch_change *changes =
        arena_alloc(feed->ctx.arena, (rows->count + 1) * sizeof *changes);
    for (size_t i = 0; i < rows->count; i++)
        changes[i] = (struct epoch_change){rows->items[i].tenant_id, rows->items[i].epoch};
    const struct epoch_look look = {
        .t0_ns = t0_ns,
        .era = rows->era,
        .xmin = rows->xmin,
        .xmax = rows->xmax,
        .first = feed->snapshot == NULL,
        .base = rows->base,
        .complete = rows->complete,
        .changes = changes,
        .count = rows->count,
    };
    enum epoch_applied applied = epoch_view_apply(feed->settings.view, &look);
    free(TAKE(feed->snapshot));
    if (applied == EPOCH_REWOUND)
        return LOOK_REWOUND;
    feed->snapshot = xstrdup(rows->snapshot);
    metric_add(feed->changes, rows->count);
    return rows->complete ? LOOK_APPLIED : LOOK_OVERFLOWED;
}

/* One line when caches cease to answer, and when they do again. */
static void look_note(struct epoch_feed *feed, enum look_result result)
{
    uint64_t suppressed = 0;
    uint64_t age = epoch_view_age(feed->settings.view);
    bool fresh = age < feed->settings.freshness_ns;
    metric_inc(feed->looks[result]);
    metric_gauge_set(feed->fresh, fresh);
    if (age != UINT64_MAX)
        metric_observe(feed->age, (double)age / (double)NS_PER_S);
    if (result == LOOK_REWOUND || result == LOOK_OVERFLOWED)
        log_warn(&feed->ctx, "epoch_feed.began_anew", KV_STR("reason", result_names[result]));
    if (fresh && !feed->was_fresh)
        log_info(&feed->ctx, "epoch_feed.fresh", KV_INT("failures", feed->failures));
    if (!fresh && (feed->was_fresh || log_interval_due(&feed->logged, LOG_EVERY_NS, &suppressed)))
        log_warn(&feed->ctx, "epoch_feed.stale", KV_STR("result", result_names[result]),
                 KV_STR("fault", ctx_fault_text(&feed->ctx)), KV_INT("suppressed", suppressed));
    feed->was_fresh = fresh;
}

/* To the next look, counted from the start of this one; longer and by chance while the database is gone. */
static void feed_pause(struct epoch_feed *feed, uint64_t began_ns)
{
    uint64_t pause = feed->settings.interval_ns;
    for (unsigned i = 1; i < feed->failures && pause < PAUSE_CAP_NS; i++)
        pause *= 2;
    if (feed->failures > 0) {
        pause = pause < PAUSE_CAP_NS ? pause : PAUSE_CAP_NS;
        pause = pause / 2 + random_below(pause / 2 + 1);
    }
    struct pollfd wake = {.fd = feed->wake_fd, .events = POLLIN};
    uint64_t until = deadline_after(began_ns, pause);
    (void)poll(&wake, 1, deadline_poll_ms(until, clock_now()));
}
