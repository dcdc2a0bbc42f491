/* The exporter's work, as straight-line code:
 *
 *    await_batch ──> collect ──> export_batch ──> settle ──> await_batch …
 *        512 spans, 5 s, or the end
 *
 * A batch stays in the rings while it is sent: they are all the memory there is, and a collector that is away
 * fills them.  Must never hold up a writer, and never forget a span uncounted. */
#include "base/clock.h"

#include "ops/health.h"
#include "ops/otlp_int.h"
#include "ops/otlp_message.h"

#include "gen/rpc/trace_service.h"
#include "rpc/status.h"

#include <assert.h>

/* Intervals and attempts are those of OpenTelemetry's batch processor and exporters. */
#define INTERVAL_NS (5 * NS_PER_S)
#define EXPORT_NS (10 * NS_PER_S)
#define BACKOFF_MAX_NS (5 * NS_PER_S)
/* A connection that was quiet for so long is asked as a batch begins, and one that does not answer leaves
 * time to send the batch on another.  Collectors want 5 minutes between PINGs "without data": every answer
 * is data, and a call without one has one PING before the channel is given up. */
#define KEEPALIVE_NS CLIENT_KEEPALIVE_MIN_NS
#define KEEPALIVE_TIMEOUT_NS (3 * NS_PER_S)
#define DELAY_MAX_NS (60 * NS_PER_S) /* of what a collector may ask for */
#define SAY_EVERY_NS (60 * NS_PER_S)

/* What OTLP calls retryable; RESOURCE_EXHAUSTED is with RetryInfo alone, which the client heeds by itself. */
static const struct client_retry retry_policy = {
    .attempts_max = 5,
    .pause_first_ns = NS_PER_S / 2,
    .pause_max_ns = BACKOFF_MAX_NS,
    .codes = 1u << GRPC_CANCELLED | 1u << GRPC_DEADLINE_EXCEEDED | 1u << GRPC_ABORTED |
             1u << GRPC_OUT_OF_RANGE | 1u << GRPC_UNAVAILABLE | 1u << GRPC_DATA_LOSS,
};

static void await_batch(struct otlp *otlp);
static size_t count_waiting(const struct otlp *otlp);
static void collect(struct otlp *otlp);
static void forget(struct otlp *otlp);
static void export_batch(struct otlp *otlp);
static void channel_renew(struct otlp *otlp);
static bool pause_attempts(void *owner, unsigned attempt, uint64_t ns);
static void settle_taken(
    struct otlp *otlp,
    const Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess *partial);
static void settle_lost(struct otlp *otlp, const struct client_call *call, int rc);
static bool note_pause(struct otlp *otlp, const struct client_call *call);
static void count(struct otlp *otlp, enum otlp_result result, size_t spans);
static void say(struct otlp *otlp, const char *event, const char *status, const char *text);

void otlp_export(struct task *task, void *argument)
{
    struct otlp *otlp = argument;
    otlp->ctx.task = task;
    otlp->retry = retry_policy;
    otlp->retry.pause = pause_attempts;
    otlp->retry.owner = otlp;
    do {
        await_batch(otlp);
        collect(otlp);
        if (otlp->batch_size > 0)
            export_batch(otlp);
    } while (!task_is_cancelled(task) &&
             !(atomic_load(&otlp->stopping) && count_waiting(otlp) == 0));
    size_t left = 0;
    for (collect(otlp); otlp->batch_size > 0; collect(otlp)) {
        left += otlp->batch_size;
        forget(otlp);
    }
    count(otlp, OTLP_DROPPED_SHUTDOWN, left);
    otlp->ctx.task = NULL;
}

/* Writers wake us with every 512th span only: those of several of them may make a batch without a word. */
static void await_batch(struct otlp *otlp)
{
    otlp->due_ns = deadline_after(clock_now(), INTERVAL_NS);
    for (;;) {
        size_t waiting = count_waiting(otlp);
        metric_gauge_set(otlp->metrics.queued, (int64_t)waiting);
        if (atomic_load(&otlp->stopping))
            return;
        uint64_t now = clock_now();
        uint64_t next = otlp_next_look(otlp, waiting, now);
        if (next <= now || !otlp_wait(otlp, next))
            return;
    }
}

uint64_t otlp_next_look(struct otlp *otlp, size_t waiting, uint64_t now_ns)
{
    bool is_due = waiting >= OTLP_BATCH_MAX || (waiting > 0 && now_ns >= otlp->due_ns);
    if (is_due && now_ns >= otlp->not_before_ns)
        return now_ns;
    if (waiting == 0 && now_ns >= otlp->due_ns)
        otlp->due_ns = deadline_after(now_ns, INTERVAL_NS);
    return is_due ? otlp->not_before_ns : otlp->due_ns;
}

static size_t count_waiting(const struct otlp *otlp)
{
    size_t waiting = 0;
    for (size_t i = 0; i < otlp->ring_count; i++)
        waiting += span_ring_count(otlp->rings[i]);
    return waiting;
}

/* From another ring first each time, so that a busy writer's spans do not keep others' back. */
static void collect(struct otlp *otlp)
{
    otlp->batch_size = 0;
    for (size_t i = 0; i < otlp->ring_count; i++) {
        size_t at = (otlp->first_ring + i) % otlp->ring_count;
        size_t waiting = span_ring_count(otlp->rings[at]);
        size_t room = OTLP_BATCH_MAX - otlp->batch_size;
        otlp->taken[at] = waiting < room ? waiting : room;
        for (size_t k = 0; k < otlp->taken[at]; k++)
            otlp->batch[otlp->batch_size++] = span_ring_at(otlp->rings[at], k);
    }
    otlp->first_ring = (otlp->first_ring + 1) % otlp->ring_count;
}

static void forget(struct otlp *otlp)
{
    for (size_t i = 0; i < otlp->ring_count; i++)
        span_ring_drop(otlp->rings[i], otlp->taken[i]);
    otlp->batch_size = 0;
}

/* A collector that is not there is waited for, as long as the batch may take. */
static void export_batch(struct otlp *otlp)
{
    struct ctx *ctx = &otlp->ctx;
    const struct otlp_batch batch = {
        .spans = otlp->batch,
        .count = otlp->batch_size,
        .resource = &otlp->resource,
        .moment = {.now_ns = clock_now(), .wall_ns = clock_wall()},
    };
    channel_renew(otlp);
    struct client_call *call = arena_alloc(ctx->arena, sizeof *call);
    *call = (struct client_call){
        .ctx = ctx,
        .channel = otlp->channel,
        .timeout_ns = EXPORT_NS,
        .waits_for_ready = true,
        .is_repeatable = true, /* spans have ids */
        .retry = &otlp->retry,
    };
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse *response = NULL;
    int rc = trace_service_export(call, otlp_message_make(ctx->arena, &batch), &response);
    metric_observe(otlp->metrics.seconds,
                   (double)(clock_now() - batch.moment.now_ns) / (double)NS_PER_S);
    if (rc == OK && call->status == GRPC_OK)
        settle_taken(otlp, response->partial_success);
    else
        settle_lost(otlp, call, rc);
    forget(otlp);
    arena_reset(ctx->arena);
}

/* Files that changed are used at once: what was trusted with the old ones may be no longer. */
static void channel_renew(struct otlp *otlp)
{
    struct otlp_files *fresh = atomic_exchange(&otlp->next_files, NULL);
    if (fresh != NULL) {
        otlp_files_free(otlp->files);
        otlp->files = fresh;
        client_channel_free(TAKE(otlp->channel));
    }
    if (otlp->channel != NULL)
        return;
    const struct otlp_files *files = otlp->files;
    const struct client_settings settings = {
        .address = otlp->address,
        .cert_file = files->cert_file,
        .key_file = files->key_file,
        .ca_file = files->ca_file,
        .crl_file = files->crl_file[0] == '\0' ? NULL : files->crl_file,
        .connect_timeout_ns = EXPORT_NS,
        .backoff_max_ns = BACKOFF_MAX_NS,
        .keepalive_ns = KEEPALIVE_NS,
        .keepalive_timeout_ns = KEEPALIVE_TIMEOUT_NS,
    };
    otlp->channel = client_channel_new(&settings);
}

/* Between two attempts; the end comes first. */
static bool pause_attempts(void *owner, unsigned attempt, uint64_t ns)
{
    (void)attempt;
    struct otlp *otlp = owner;
    uint64_t end = deadline_after(clock_now(), ns);
    while (!atomic_load(&otlp->stopping) && deadline_left(end, clock_now()) > 0) {
        if (!otlp_wait(otlp, end))
            return false;
    }
    return true;
}

/* "The server MAY … use the partial_success field to convey warnings … even when it fully accepts the
 * request"; what it rejects must not be sent again. */
static void settle_taken(
    struct otlp *otlp,
    const Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess *partial)
{
    int64_t told = partial == NULL ? 0 : partial->rejected_spans;
    size_t rejected = told < 0 ? 0 : (size_t)told;
    rejected = rejected < otlp->batch_size ? rejected : otlp->batch_size;
    count(otlp, OTLP_EXPORTED, otlp->batch_size - rejected);
    count(otlp, OTLP_DROPPED_REFUSED, rejected);
    if (otlp->failing)
        log_info(&otlp->ctx, "otlp.recovered", KV_STR("endpoint", otlp->address));
    otlp->failing = false;
    otlp->not_before_ns = 0;
    if (otlp->dependency != NULL)
        dependency_set(otlp->dependency, DEPENDENCY_UP, NULL);
    if (partial != NULL && (rejected > 0 || partial->error_message[0] != '\0'))
        say(otlp, "otlp.partly_taken", grpc_code_name(GRPC_OK), partial->error_message);
}

/* A connection on which nothing came back in time may be dead without anybody's word. */
static void settle_lost(struct otlp *otlp, const struct client_call *call, int rc)
{
    bool answered = rc == OK;
    bool asks_for_pause = answered && note_pause(otlp, call);
    bool retryable = !answered || asks_for_pause || (retry_policy.codes & 1u << call->status) != 0;
    bool late = answered ? call->status == GRPC_DEADLINE_EXCEEDED
                         : otlp->ctx.fault.kind == FAULT_TIMEOUT;
    if (task_is_cancelled(otlp->ctx.task))
        count(otlp, OTLP_DROPPED_SHUTDOWN, otlp->batch_size);
    else
        count(otlp, retryable ? OTLP_DROPPED_UNAVAILABLE : OTLP_DROPPED_REFUSED, otlp->batch_size);
    const char *text = answered ? call->message : otlp->ctx.fault.text;
    otlp->failing = true;
    if (otlp->dependency != NULL)
        dependency_set(otlp->dependency, DEPENDENCY_DOWN, text);
    say(otlp, "otlp.failed", answered ? grpc_code_name(call->status) : "", text);
    if (late)
        client_channel_free(TAKE(otlp->channel));
}

/* OTLP: "the client … SHOULD wait for at least this much time before the next attempt", whatever is in it. */
static bool note_pause(struct otlp *otlp, const struct client_call *call)
{
    uint64_t delay = 0;
    if (!client_retry_delay(call, &delay))
        return false;
    delay = delay < DELAY_MAX_NS ? delay : DELAY_MAX_NS;
    otlp->not_before_ns = deadline_after(clock_now(), delay);
    return true;
}

static void count(struct otlp *otlp, enum otlp_result result, size_t spans)
{
    metric_add(otlp->metrics.spans[result], spans);
}

/* The text is the collector's, or ours about it. */
static void say(struct otlp *otlp, const char *event, const char *status, const char *text)
{
    uint64_t suppressed = 0;
    if (!log_interval_due(&otlp->said, SAY_EVERY_NS, &suppressed))
        return;
    log_warn(&otlp->ctx, event, KV_STR("endpoint", otlp->address), KV_STR("status", status),
             KV_STR("text", text), KV_INT("spans", otlp->batch_size),
             KV_INT("suppressed", suppressed));
}
