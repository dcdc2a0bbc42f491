/* Families and their fixed label values. */
#include "cache/cache_metrics.h"

static const struct metric_family lookups_family = {
    .name = "tenant_cache_lookups_total",
    .help = "Look-ups by where the value was found.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family puts_family = {.name = "tenant_cache_puts_total",
                                                 .help = "Values offered to Redis by their fate.",
                                                 .kind = METRIC_COUNTER,
                                                 .labels = {"result"}};
static const struct metric_family troubles_family = {
    .name = "tenant_cache_redis_errors_total",
    .help = "What went wrong with Redis; each is a miss for its caller.",
    .kind = METRIC_COUNTER,
    .labels = {"kind"}};
static const struct metric_family redirects_family = {.name = "tenant_cache_redis_redirects_total",
                                                      .help = "MOVED and ASK answers.",
                                                      .kind = METRIC_COUNTER,
                                                      .labels = {"kind"}};
static const struct metric_family refusals_family = {
    .name = "tenant_cache_refusals_total",
    .help = "Entries that were found and not given, by what the view of epochs held against them.",
    .kind = METRIC_COUNTER,
    .labels = {"reason"}};
static const struct metric_family coalesced_family = {
    .name = "tenant_cache_coalesced_total",
    .help = "Misses that waited for another reader of the same key.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family ready_family = {.name = "tenant_cache_redis_nodes_ready",
                                                  .help = "Connections to Redis nodes in use.",
                                                  .kind = METRIC_GAUGE};
static const struct metric_family open_family = {
    .name = "tenant_cache_redis_breakers_open",
    .help = "Redis nodes that are left alone for a while.",
    .kind = METRIC_GAUGE};
static const struct metric_family openings_family = {
    .name = "tenant_cache_redis_breaker_openings_total",
    .help = "Times that a Redis node began to be left alone.",
    .kind = METRIC_COUNTER};
static const struct metric_family in_flight_family = {
    .name = "tenant_cache_redis_in_flight",
    .help = "Requests queued or sent to Redis and not yet answered.",
    .kind = METRIC_GAUGE};

static const double round_trip_bounds[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001,
                                           0.0025,  0.005,  0.01,    0.025,  0.1};
static const struct metric_family round_trip_family = {
    .name = "tenant_cache_redis_seconds",
    .help = "Time from queueing a request for Redis to its last answer.",
    .kind = METRIC_HISTOGRAM,
    .buckets = round_trip_bounds,
    .bucket_count = sizeof round_trip_bounds / sizeof round_trip_bounds[0]};

static const char *const lookup_names[LOOKUP_COUNT] = {"memory", "redis", "miss"};
static const char *const put_names[PUT_COUNT] = {"stored",      "older", "stale", "large",
                                                 "unreachable", "full",  "clock", "failed"};
static const char *const trouble_names[TROUBLE_COUNT] = {
    "connect", "tls",       "greeting",    "lost",     "protocol", "oversize",
    "timeout", "loading",   "clusterdown", "tryagain", "refused",  "unreachable",
    "full",    "redirects", "type",        "value",    "clock",    "map"};
static const char *const refusal_names[REFUSED_COUNT] = {"view_stale", "older", "below_base",
                                                         "other_era", "too_early"};
static const char *const coalesced_names[FLIGHT_COUNT] = {"followed", "left"};
static const char *const redirect_names[REDIRECT_COUNT] = {"moved", "ask"};

struct names {
    const char *const *texts;
    size_t count;
};

#define NAMES(texts) ((struct names){(texts), sizeof(texts) / sizeof *(texts)})

static void series(struct metrics *metrics, const struct metric_family *family, struct names names,
                   struct metric **out);

void cache_metrics_init(struct cache_metrics *counted, struct metrics *metrics)
{
    series(metrics, &lookups_family, NAMES(lookup_names), counted->lookups);
    series(metrics, &puts_family, NAMES(put_names), counted->puts);
    series(metrics, &troubles_family, NAMES(trouble_names), counted->troubles);
    series(metrics, &redirects_family, NAMES(redirect_names), counted->redirects);
    series(metrics, &refusals_family, NAMES(refusal_names), counted->refusals);
    series(metrics, &coalesced_family, NAMES(coalesced_names), counted->coalesced);
    counted->round_trip = metrics_series(metrics, &round_trip_family, NULL);
    counted->nodes_ready = metrics_series(metrics, &ready_family, NULL);
    counted->breakers_open = metrics_series(metrics, &open_family, NULL);
    counted->openings = metrics_series(metrics, &openings_family, NULL);
    counted->in_flight = metrics_series(metrics, &in_flight_family, NULL);
}

const char *cache_trouble_name(enum cache_trouble trouble)
{
    return trouble_names[trouble];
}

static void series(struct metrics *metrics, const struct metric_family *family, struct names names,
                   struct metric **out)
{
    for (size_t i = 0; i < names.count; i++)
        out[i] = metrics_series(metrics, family, &names.texts[i]);
}
