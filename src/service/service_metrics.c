/* The service layer's series. */
#include "service/service_metrics.h"

static const struct metric_family keys_family = {
    .name = "tenant_idempotency_keys_total",
    .help = "Writes with an idempotency key, by what became of them.",
    .kind = METRIC_COUNTER,
    .labels = {"result"},
};
static const struct metric_family resolutions_family = {
    .name = "tenant_commit_resolutions_total",
    .help = "Commits without an answer, by what asking for their audit row said.",
    .kind = METRIC_COUNTER,
    .labels = {"result"},
};
static const struct metric_family consistency_family = {
    .name = "tenant_consistency_tokens_total",
    .help = "Reads with a consistency token, by what became of them.",
    .kind = METRIC_COUNTER,
    .labels = {"result"},
};
static const struct metric_family page_tokens_family = {
    .name = "tenant_page_tokens_refused_total",
    .help = "Page tokens that were not ours or belonged to another question.",
    .kind = METRIC_COUNTER,
};

static const struct metric_family restricted_again_family = {
    .name = "tenant_restrictions_put_back_total",
    .help =
        "Tenants suspended or closed again: a rewind of the database had lost their restriction.",
    .kind = METRIC_COUNTER,
};

void service_metrics_init(struct service_metrics *series, struct metrics *metrics)
{
    static const char *const keys[KEY_OUTCOME_COUNT] = {
        [KEY_FIRST] = "first",
        [KEY_REPLAYED] = "replayed",
        [KEY_MISMATCH] = "mismatch",
    };
    static const char *const resolutions[RESOLUTION_COUNT] = {
        [RESOLVED_COMMITTED] = "committed",
        [RESOLVED_NOTHING] = "not_committed",
        [RESOLVED_UNKNOWN] = "unknown",
    };
    static const char *const outcomes[CONSISTENCY_OUTCOME_COUNT] = {
        [CONSISTENCY_MET] = "met",
        [CONSISTENCY_GAVE_UP] = "gave_up",
        [CONSISTENCY_FORGED] = "refused",
    };
    for (int i = 0; i < KEY_OUTCOME_COUNT; i++)
        series->keys[i] = metrics_series(metrics, &keys_family, &keys[i]);
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        series->resolutions[i] = metrics_series(metrics, &resolutions_family, &resolutions[i]);
    for (int i = 0; i < CONSISTENCY_OUTCOME_COUNT; i++)
        series->consistency[i] = metrics_series(metrics, &consistency_family, &outcomes[i]);
    series->page_tokens_refused = metrics_series(metrics, &page_tokens_family, NULL);
    series->restricted_again = metrics_series(metrics, &restricted_again_family, NULL);
}
