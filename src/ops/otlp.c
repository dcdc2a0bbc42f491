/* The exporter's thread: a loop with one task on it, so that a stop can end whatever the task waits for.
 *
 *    writers ── span_commit ── wake ──> on_wake ──> the task (otlp_export.c)
 *    otlp_stop ── stopping, wake ──> on_wake ── end_timer ──> on_end: task_cancel */
#include "ops/otlp.h"

#include "base/alloc.h"
#include "base/clock.h"

#include "ops/otlp_int.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_SIZE 2048
#define FLUSH_NS (3 * NS_PER_S)
#define FLUSH_IN_VAIN_NS (NS_PER_S / 2)
#define DEFAULT_PORT "4317"
#define SCHEME "https://"
#define TASKS_MAX 1

static const struct metric_family spans_family = {
    .name = "tenant_otlp_spans_total",
    .help = "Spans of sampled calls: exported, or dropped because a queue was full, because the "
            "collector refused them or did not take them in time, or because the process ended.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family seconds_family = {
    .name = "tenant_otlp_export_seconds",
    .help = "Time that a batch of spans took, with all attempts.",
    .kind = METRIC_HISTOGRAM,
    .buckets = metric_seconds_buckets,
    .bucket_count = METRIC_SECONDS_BUCKETS};
static const struct metric_family queued_family = {.name = "tenant_otlp_queued_spans",
                                                   .help = "Spans that wait to be exported.",
                                                   .kind = METRIC_GAUGE};

static const char *const result_names[OTLP_RESULT_COUNT] = {
    "exported", "dropped_queue", "dropped_refused", "dropped_unavailable", "dropped_shutdown"};

static int address_of(struct ctx *ctx, const char *endpoint, char **address);
static bool is_port(const char *text);
static struct otlp *otlp_new(const struct ctx *ctx, const struct otlp_settings *settings);
static void metrics_find(struct otlp_metrics *found, struct metrics *metrics);
static bool otlp_open(struct otlp *otlp);
static void otlp_free(struct otlp *otlp);
static void wake(void *owner);
static void *otlp_main(void *argument);
static void on_wake(void *owner, unsigned events);
static void on_end(void *owner);
static void on_task_end(struct task *task, void *argument);

int otlp_start(struct ctx *ctx, const struct otlp_settings *settings, struct otlp **out)
{
    char *address = NULL;
    TRY(address_of(ctx, settings->endpoint, &address));
    struct otlp *otlp = otlp_new(ctx, settings);
    otlp->address = address;
    if (!otlp_open(otlp)) {
        otlp_free(otlp);
        return FAULT(ctx, FAULT_INTERNAL, "no thread for the exporter of spans");
    }
    *out = otlp;
    return OK;
}

struct span_ring *otlp_ring(struct otlp *otlp, size_t writer)
{
    assert(writer < otlp->ring_count);
    return otlp->rings[writer];
}

/* Files that the task has not taken yet are overtaken. */
void otlp_reconnect(struct otlp *otlp, const struct otlp_files *files)
{
    otlp_files_free(atomic_exchange(&otlp->next_files, otlp_files_new(files)));
}

void otlp_stop(struct otlp *otlp)
{
    if (otlp == NULL)
        return;
    atomic_store(&otlp->stopping, true);
    wake(otlp);
    int joined = pthread_join(otlp->thread, NULL);
    assert(joined == 0);
    otlp_free(otlp);
}

bool otlp_wait(struct otlp *otlp, uint64_t deadline_ns)
{
    return waitq_wait(&otlp->ctx, &otlp->woken, deadline_ns, NULL) != WAIT_CANCELLED;
}

struct otlp_files *otlp_files_new(const struct otlp_files *files)
{
    struct otlp_files *copy = xmalloc(sizeof *copy);
    *copy = (struct otlp_files){
        .cert_file = xstrdup(files->cert_file),
        .key_file = xstrdup(files->key_file),
        .ca_file = xstrdup(files->ca_file),
        .crl_file = xstrdup(files->crl_file),
    };
    return copy;
}

void otlp_files_free(struct otlp_files *files)
{
    if (files == NULL)
        return;
    auto_free(&files->cert_file);
    auto_free(&files->key_file);
    auto_free(&files->ca_file);
    auto_free(&files->crl_file);
    free(files);
}

/* OTLP over gRPC has no path: one that stands there was meant for another protocol. */
static int address_of(struct ctx *ctx, const char *endpoint, char **address)
{
    const size_t scheme = sizeof SCHEME - 1;
    bool secure = strncmp(endpoint, SCHEME, scheme) == 0;
    const char *host = secure ? endpoint + scheme : "";
    size_t size = strcspn(host, "/?#");
    const char *rest = host + size;
    AUTO(auto_free) char *authority = xstrndup(host, size);
    const char *bracket = strrchr(authority, ']');
    const char *colon = strrchr(bracket == NULL ? authority : bracket, ':');
    bool good = size > 0 && strchr(authority, '@') == NULL && colon != authority &&
                (bracket == NULL ? strchr(authority, ':') == colon : authority[0] == '[') &&
                (colon == NULL || is_port(colon + 1)) &&
                (rest[0] == '\0' || strcmp(rest, "/") == 0);
    if (!good)
        return FAULT(ctx, FAULT_CONFIG,
                     "telemetry.otlp_endpoint: expected https://HOST:PORT without anything behind "
                     "it: spans go out by gRPC with mutual TLS");
    *address = colon != NULL ? xstrdup(authority) : NULL;
    if (*address == NULL) {
        struct buf text = BUF_EMPTY;
        buf_printf(&text, "%s:%s", authority, DEFAULT_PORT);
        *address = xstrdup(buf_str(&text));
        buf_deinit(&text);
    }
    return OK;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    long port = digits > 0 && digits < 6 && text[digits] == '\0' ? strtol(text, NULL, 10) : 0;
    return port > 0 && port <= UINT16_MAX;
}

static struct otlp *otlp_new(const struct ctx *ctx, const struct otlp_settings *settings)
{
    struct otlp *otlp = xcalloc(1, sizeof *otlp);
    otlp->resource = settings->resource;
    otlp->files = otlp_files_new(&settings->files);
    otlp->dependency = settings->dependency;
    otlp->wake_fd = -1;
    metrics_find(&otlp->metrics, settings->metrics);
    otlp->ring_count = settings->writers;
    otlp->taken = xcalloc(otlp->ring_count, sizeof *otlp->taken);
    otlp->rings = xcalloc(otlp->ring_count, sizeof *otlp->rings);
    const struct span_ring_settings ring = {
        .size = RING_SIZE,
        .wake_every = OTLP_BATCH_MAX,
        .wake = wake,
        .owner = otlp,
        .dropped = otlp->metrics.spans[OTLP_DROPPED_QUEUE],
    };
    for (size_t i = 0; i < otlp->ring_count; i++)
        otlp->rings[i] = span_ring_new(&ring);
    ctx_init(&otlp->ctx, ctx->log, arena_new(0));
    otlp->ctx.method = "otlp";
    return otlp;
}

static void metrics_find(struct otlp_metrics *found, struct metrics *metrics)
{
    for (size_t i = 0; i < OTLP_RESULT_COUNT; i++)
        found->spans[i] = metrics_series(metrics, &spans_family, &result_names[i]);
    found->seconds = metrics_series(metrics, &seconds_family, NULL);
    found->queued = metrics_series(metrics, &queued_family, NULL);
}

/* Everything is there before the loop runs. */
static bool otlp_open(struct otlp *otlp)
{
    otlp->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (otlp->wake_fd < 0)
        return false;
    otlp->loop = loop_new(TASKS_MAX);
    otlp->wake_io = io_open(otlp->loop, otlp->wake_fd);
    io_watch(otlp->wake_io, IO_READ, on_wake, otlp);
    waitq_init(&otlp->woken);
    otlp->end_timer = timer_new(otlp->loop, on_end, otlp);
    otlp->started = pthread_create(&otlp->thread, NULL, otlp_main, otlp) == 0;
    return otlp->started;
}

static void otlp_free(struct otlp *otlp)
{
    timer_free(otlp->end_timer);
    io_close(otlp->wake_io);
    loop_free(otlp->loop);
    if (otlp->wake_fd >= 0)
        close(otlp->wake_fd);
    for (size_t i = 0; i < otlp->ring_count; i++)
        span_ring_free(otlp->rings[i]);
    otlp_files_free(otlp->files);
    otlp_files_free(atomic_load(&otlp->next_files));
    arena_free(otlp->ctx.arena);
    free(otlp->rings);
    free(otlp->taken);
    free(otlp->address);
    free(otlp);
}

static void wake(void *owner)
{
    struct otlp *otlp = owner;
    const uint64_t one = 1;
    ssize_t written = write(otlp->wake_fd, &one, sizeof one);
    (void)written; /* a full counter wakes as well */
}

static void *otlp_main(void *argument)
{
    struct otlp *otlp = argument;
    pthread_setname_np(pthread_self(), "otlp");
    bool begun = task_start(otlp->loop, otlp_export, otlp, on_task_end);
    assert(begun); /* the only one */
    loop_run(otlp->loop);
    client_channel_free(TAKE(otlp->channel));
    return NULL;
}

static void on_wake(void *owner, unsigned events)
{
    (void)events;
    struct otlp *otlp = owner;
    uint64_t count = 0;
    ssize_t got = read(otlp->wake_fd, &count, sizeof count);
    (void)got;
    if (atomic_load(&otlp->stopping) && !timer_is_set(otlp->end_timer))
        timer_set(otlp->end_timer,
                  deadline_after(clock_now(), otlp->failing ? FLUSH_IN_VAIN_NS : FLUSH_NS));
    (void)waitq_wake_all(&otlp->woken, NULL);
}

static void on_end(void *owner)
{
    struct otlp *otlp = owner;
    if (otlp->ctx.task != NULL)
        task_cancel(otlp->ctx.task);
}

static void on_task_end(struct task *task, void *argument)
{
    (void)task;
    struct otlp *otlp = argument;
    loop_stop(otlp->loop);
}
