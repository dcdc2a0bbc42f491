/* What the inbound thread counts. */
#include "inbound/inbound_int.h"

static const struct metric_family events = {
    .name = "tenant_inbound_events_total",
    .help = "Events of other services, by what became of them.",
    .kind = METRIC_COUNTER,
    .labels = {"consumer", "outcome"},
};
static const struct metric_family errors = {
    .name = "tenant_inbound_errors_total",
    .help = "What kept events of other services from being applied, by kind.",
    .kind = METRIC_COUNTER,
    .labels = {"consumer", "kind"},
};
static const struct metric_family parked = {
    .name = "tenant_inbound_parked_events",
    .help = "Events that came before their tenant or their time, over all replicas.",
    .kind = METRIC_GAUGE,
    .labels = {"consumer"},
};
static const struct metric_family parked_age = {
    .name = "tenant_inbound_parked_age_seconds",
    .help = "How long the oldest parked event has been parked; 0 when there is none.",
    .kind = METRIC_GAUGE,
    .labels = {"consumer"},
};
static const struct metric_family parked_max = {
    .name = "tenant_inbound_parked_limit",
    .help = "Events that may be parked (consumers.parked_max); more stay in their stream.",
    .kind = METRIC_GAUGE,
    .labels = {"consumer"},
};
static const struct metric_family overdue = {
    .name = "tenant_inbound_overdue_seconds",
    .help =
        "How long the parked event that was due first has waited to be tried; 0 when none is due.",
    .kind = METRIC_GAUGE,
    .labels = {"consumer"},
};
static const struct metric_family pending = {
    .name = "tenant_inbound_pending_events",
    .help = "Events in the other service's stream that no replica has fetched, as last heard.",
    .kind = METRIC_GAUGE,
    .labels = {"consumer"},
};
static const struct metric_family broker_up = {
    .name = "tenant_inbound_broker_up",
    .help = "1 while the consumer of other services' events is connected to NATS.",
    .kind = METRIC_GAUGE,
};

const struct metric_family *const inbound_metric_families[] = {
    &events, &errors, &parked, &parked_age, &parked_max, &overdue, &pending, &broker_up, NULL};

void inbound_metrics_init(struct inbound_metrics *metrics, struct metrics *set)
{
    static const char *const outcomes[INBOUND_OUTCOME_COUNT] = {
        "applied", "noted", "stale", "duplicate", "ignored", "early", "dead"};
    static const char *const kinds[INBOUND_ERROR_COUNT] = {"database", "broker", "stream", "event"};
    const char *labels[] = {BILLING_CONSUMER, ""};
    for (size_t i = 0; i < INBOUND_OUTCOME_COUNT; i++) {
        labels[1] = outcomes[i];
        metrics->outcomes[i] = metrics_series(set, &events, labels);
    }
    for (size_t i = 0; i < INBOUND_ERROR_COUNT; i++) {
        labels[1] = kinds[i];
        metrics->errors[i] = metrics_series(set, &errors, labels);
    }
    metrics->parked = metrics_series(set, &parked, labels);
    metrics->parked_age = metrics_series(set, &parked_age, labels);
    metrics->parked_max = metrics_series(set, &parked_max, labels);
    metrics->overdue = metrics_series(set, &overdue, labels);
    metrics->pending = metrics_series(set, &pending, labels);
    metrics->broker_up = metrics_series(set, &broker_up, NULL);
}
