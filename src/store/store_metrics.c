/* What the store counts, by the platform's names (blueprint section 13).
 *
 * Per worker's set; gauges of several workers add up to the process's connections. */
#include "store/pg_cancel.h"
#include "store/store_int.h"

static const struct metric_family active_family = {
    .name = "tenant_db_connections_active",
    .help = "Database connections in use.",
    .kind = METRIC_GAUGE,
    .labels = {"login"}};
static const struct metric_family idle_family = {.name = "tenant_db_connections_idle",
                                                 .help = "Database connections ready for use.",
                                                 .kind = METRIC_GAUGE,
                                                 .labels = {"login"}};
static const struct metric_family waiting_family = {
    .name = "tenant_db_connections_waiting",
    .help = "Calls waiting for a database connection.",
    .kind = METRIC_GAUGE,
    .labels = {"login"}};
static const struct metric_family wait_family = {
    .name = "tenant_db_connection_wait_seconds",
    .help = "How long calls waited for a database connection.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"login"},
    .buckets = metric_seconds_buckets,
    .bucket_count = METRIC_SECONDS_BUCKETS};
static const struct metric_family queue_full_family = {
    .name = "tenant_db_queue_full_total",
    .help = "Calls refused because too many waited for a database connection.",
    .kind = METRIC_COUNTER,
    .labels = {"login"}};
static const struct metric_family connected_family = {
    .name = "tenant_db_connects_total",
    .help = "Database connections opened.",
    .kind = METRIC_COUNTER,
    .labels = {"login"}};
static const struct metric_family failed_family = {
    .name = "tenant_db_connect_failures_total",
    .help = "Database connections that could not be opened.",
    .kind = METRIC_COUNTER,
    .labels = {"login"}};
static const struct metric_family lost_family = {
    .name = "tenant_db_connections_dropped_total",
    .help = "Database connections dropped: lost, broken or old.",
    .kind = METRIC_COUNTER,
    .labels = {"login"}};
static const struct metric_family down_family = {
    .name = "tenant_db_refused_down_total",
    .help = "Calls refused at once because no database connection could be had.",
    .kind = METRIC_COUNTER,
    .labels = {"login"}};
static const struct metric_family commits_family = {
    .name = "tenant_db_commits_total",
    .help = "Commits by outcome: yes, no, uncertain.",
    .kind = METRIC_COUNTER,
    .labels = {"outcome"}};
static const struct metric_family cancels_family = {
    .name = "tenant_db_cancels_total",
    .help = "Cancel requests for statements whose caller had left: sent, failed, dropped.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family pipelines_family = {
    .name = "tenant_db_round_trips_total",
    .help = "Pipelines sent to the database.",
    .kind = METRIC_COUNTER};

static const struct metric_family foreign_family = {
    .name = "tenant_db_foreign_answers_total",
    .help = "Answers that were another client's: the pooler is broken.  Nothing of them was used.",
    .kind = METRIC_COUNTER};

void pool_metrics_init(struct pg_pool *pool, struct metrics *metrics)
{
    static const char *const names[LOGIN_COUNT] = {
        [LOGIN_APP] = "app", [LOGIN_PLATFORM] = "platform", [LOGIN_RELAY] = "relay"};
    const char *labels[] = {names[pool->login]};
    pool->metrics = (struct pool_metrics){
        .active = metrics_series(metrics, &active_family, labels),
        .idle = metrics_series(metrics, &idle_family, labels),
        .waiting = metrics_series(metrics, &waiting_family, labels),
        .wait_seconds = metrics_series(metrics, &wait_family, labels),
        .queue_full = metrics_series(metrics, &queue_full_family, labels),
        .connected = metrics_series(metrics, &connected_family, labels),
        .connect_failed = metrics_series(metrics, &failed_family, labels),
        .lost = metrics_series(metrics, &lost_family, labels),
        .refused_down = metrics_series(metrics, &down_family, labels),
    };
}

void store_metrics_init(struct store *store, struct metrics *metrics)
{
    static const char *const outcomes[COMMIT_OUTCOME_COUNT] = {
        [COMMIT_YES] = "yes", [COMMIT_NO] = "no", [COMMIT_UNKNOWN] = "uncertain"};
    for (int i = 0; i < COMMIT_OUTCOME_COUNT; i++)
        store->commits[i] =
            metrics_series(metrics, &commits_family, (const char *const[]){outcomes[i]});
    store->pipelines = metrics_series(metrics, &pipelines_family, NULL);
    store->foreign_answers = metrics_series(metrics, &foreign_family, NULL);
}

void cancel_metrics_init(struct metrics *metrics, struct metric **results)
{
    static const char *const names[CANCEL_RESULT_COUNT] = {
        [CANCEL_SENT] = "sent", [CANCEL_FAILED] = "failed", [CANCEL_DROPPED] = "dropped"};
    for (int result = 0; result < CANCEL_RESULT_COUNT; result++)
        results[result] =
            metrics_series(metrics, &cancels_family, (const char *const[]){names[result]});
}
