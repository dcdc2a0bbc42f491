/* The rpc room's series.
 *
 * Names and labels are those of the platform's dashboards ("http" for every request protocol)
 * and must not change without them.  A tenant's id is never a label: it is hashed into 64
 * buckets, which bounds the number of series. */
#include "rpc/rpc_metrics.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>

static const struct metric_family requests_family = {
    .name = "tenant_http_requests_total",
    .help = "Finished calls.",
    .kind = METRIC_COUNTER,
    .labels = {"route", "method", "status", "tenant_id_hash"},
};
static const struct metric_family errors_family = {
    .name = "tenant_http_errors_total",
    .help = "Finished calls that were not OK, by reason of the error catalogue.",
    .kind = METRIC_COUNTER,
    .labels = {"route", "error_code", "tenant_id_hash"},
};
static const struct metric_family limits_family = {
    .name = "tenant_rpc_limit_hits_total",
    .help = "Times a connection or a request ran into a limit.",
    .kind = METRIC_COUNTER,
    .labels = {"limit"},
};
static const struct metric_family handshake_family = {
    .name = "tenant_tls_handshake_failures_total",
    .help = "TLS handshakes that failed.",
    .kind = METRIC_COUNTER,
    .labels = {"reason"},
};
static const struct metric_family distrusted_family = {
    .name = "tenant_tls_peers_dropped_total",
    .help =
        "Connections ended because renewed CAs or revocation lists no longer let their peer in.",
    .kind = METRIC_COUNTER,
    .labels = {"reason"},
};
static const struct metric_family connections_family = {
    .name = "tenant_rpc_connections", .help = "Open connections.", .kind = METRIC_GAUGE};
static const struct metric_family entrants_family = {
    .name = "tenant_rpc_entrants",
    .help = "Connections before the end of their TLS handshake.",
    .kind = METRIC_GAUGE};
static const struct metric_family streams_family = {
    .name = "tenant_rpc_streams", .help = "Open HTTP/2 streams.", .kind = METRIC_GAUGE};
static const struct metric_family running_family = {
    .name = "tenant_rpc_running_handlers", .help = "Handlers running.", .kind = METRIC_GAUGE};
static const struct metric_family held_family = {
    .name = "tenant_rpc_connection_bytes",
    .help = "Memory that connections hold, estimated; limits.connection_memory is its limit.",
    .kind = METRIC_GAUGE};
static const struct metric_family accepted_family = {
    .name = "tenant_rpc_connections_accepted_total",
    .help = "Connections taken over by a worker: probes, and those whose handshake succeeded.",
    .kind = METRIC_COUNTER};
static const struct metric_family probes_family = {
    .name = "tenant_rpc_probes_total", .help = "Plain health probes.", .kind = METRIC_COUNTER};
static const struct metric_family received_family = {.name = "tenant_rpc_received_bytes_total",
                                                     .help = "Bytes received after decryption.",
                                                     .kind = METRIC_COUNTER};
static const struct metric_family sent_family = {.name = "tenant_rpc_sent_bytes_total",
                                                 .help = "Bytes sent before encryption.",
                                                 .kind = METRIC_COUNTER};
static const struct metric_family tasks_refused_family = {
    .name = "tenant_rpc_tasks_refused_total",
    .help = "Calls refused because all tasks of the worker were running.",
    .kind = METRIC_COUNTER};

static const struct metric_family handlers_family = {
    .name = "tenant_rpc_handlers_started_total",
    .help = "Handlers that began: calls reset before they cost anything are not among them.",
    .kind = METRIC_COUNTER};

static const struct metric_family seconds_family = {
    .name = "tenant_http_request_duration_seconds",
    .help = "Time from a call's headers to its status.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"route", "method", "tenant_id_hash"},
    .buckets = metric_seconds_buckets,
    .bucket_count = METRIC_SECONDS_BUCKETS,
    .has_exemplars = true,
};

const struct metric_family *const rpc_metric_families[] = {
    &requests_family,
    &errors_family,
    &limits_family,
    &handshake_family,
    &distrusted_family,
    &connections_family,
    &entrants_family,
    &streams_family,
    &running_family,
    &accepted_family,
    &probes_family,
    &received_family,
    &sent_family,
    &tasks_refused_family,
    &seconds_family,
    &held_family,
    &handlers_family,
    NULL,
};

static unsigned call_bucket(const struct uuid *tenant);
static void bucket_text(unsigned bucket, char out[TENANT_BUCKET_TEXT]);

/* The set is the worker's own; series that every call touches are looked up here once. */
struct rpc_metrics *rpc_metrics_new(struct metrics *set)
{
    struct rpc_metrics *metrics = xcalloc(1, sizeof *metrics);
    metrics->set = set;
    metrics->connections = metrics_series(set, &connections_family, NULL);
    metrics->streams = metrics_series(set, &streams_family, NULL);
    metrics->running = metrics_series(set, &running_family, NULL);
    metrics->held_bytes = metrics_series(set, &held_family, NULL);
    metrics->accepted = metrics_series(set, &accepted_family, NULL);
    metrics->probes = metrics_series(set, &probes_family, NULL);
    metrics->received_bytes = metrics_series(set, &received_family, NULL);
    metrics->sent_bytes = metrics_series(set, &sent_family, NULL);
    metrics->tasks_refused = metrics_series(set, &tasks_refused_family, NULL);
    metrics->handlers_started = metrics_series(set, &handlers_family, NULL);
    metrics->unknown.route = "unknown";
    return metrics;
}

void rpc_metrics_free(struct rpc_metrics *metrics)
{
    free(metrics);
}

/* Looked up by name each time: limits are hit seldom, and the caller need not know a handle. */
void rpc_metrics_limit(struct metrics *set, const char *limit)
{
    metric_inc(metrics_series(set, &limits_family, (const char *const[]){limit}));
}

struct metric *rpc_metrics_entrants(struct metrics *set)
{
    return metrics_series(set, &entrants_family, NULL);
}

struct metric *rpc_metrics_held_bytes(struct metrics *set)
{
    return metrics_series(set, &held_family, NULL);
}

void rpc_metrics_handshake_failed(struct metrics *set, const char *reason)
{
    metric_inc(metrics_series(set, &handshake_family, (const char *const[]){reason}));
}

void rpc_metrics_peer_dropped(struct metrics *set, const char *reason)
{
    metric_inc(metrics_series(set, &distrusted_family, (const char *const[]){reason}));
}

/* The two hot series are cached per method, code and bucket; errors take the slow way. */
void rpc_metrics_call(struct rpc_metrics *metrics, const struct call_outcome *outcome)
{
    struct method_metrics *method = outcome->method;
    const struct status *status = outcome->status;
    assert(status->code < GRPC_CODE_COUNT);
    unsigned bucket = call_bucket(outcome->tenant);
    struct metric **requests = &method->requests[status->code][bucket];
    struct metric **duration = &method->seconds[bucket];
    char text[TENANT_BUCKET_TEXT] = "";
    if (*requests == NULL || *duration == NULL || status->code != GRPC_OK)
        bucket_text(bucket, text);
    if (*requests == NULL)
        *requests = metrics_series(
            metrics->set, &requests_family,
            (const char *const[]){method->route, "POST", grpc_code_name((int)status->code), text});
    metric_inc(*requests);
    if (*duration == NULL)
        *duration = metrics_series(metrics->set, &seconds_family,
                                   (const char *const[]){method->route, "POST", text});
    metric_observe_traced(*duration, outcome->seconds, outcome->trace_id);
    if (status->code == GRPC_OK)
        return;
    const char *reason = status->reason == NULL ? grpc_code_name((int)status->code)
                                                : status->reason;
    metric_inc(metrics_series(metrics->set, &errors_family,
                              (const char *const[]){method->route, reason, text}));
}

static unsigned call_bucket(const struct uuid *tenant)
{
    return uuid_is_nil(tenant) ? CALL_BUCKETS - 1 : tenant_bucket(tenant);
}

static void bucket_text(unsigned bucket, char out[TENANT_BUCKET_TEXT])
{
    if (bucket == CALL_BUCKETS - 1)
        memcpy(out, "-", 2);
    else
        tenant_bucket_format(bucket, out);
}
