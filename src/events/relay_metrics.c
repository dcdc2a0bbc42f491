/* What the relay counts.  Called by the relay's thread.
 *
 * The series are made at relay_start().  A process has one relay, so each gauge has one writer. */
#include "events/relay_int.h"

#include "base/tenant_bucket.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* from a quiet system's few milliseconds to a broker that was away for a minute */
static const double lag_buckets[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60};

static const struct metric_family published = {
    .name = "tenant_nats_events_published_total",
    .help = "Events stored in JetStream by this relay.",
    .kind = METRIC_COUNTER,
    .labels = {"subject", "tenant_id_hash"},
};
static const struct metric_family errors = {
    .name = "tenant_relay_errors_total",
    .help = "What kept the relay from sending, by kind.",
    .kind = METRIC_COUNTER,
    .labels = {"kind"},
};
static const struct metric_family fenced = {
    .name = "tenant_relay_fenced_publishes_total",
    .help = "Windows that a stream refused because another relay had published.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family pending = {
    .name = "tenant_outbox_pending_events",
    .help =
        "Committed events not yet acknowledged by JetStream, over all partitions; a large backlog "
        "is counted more seldom.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family oldest_age = {
    .name = "tenant_outbox_oldest_age_seconds",
    .help = "Age of the oldest unsent event; 0 when there is none.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family leases = {
    .name = "tenant_relay_leases",
    .help = "Partitions that this relay holds.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family stopped = {
    .name = "tenant_relay_stopped_partitions",
    .help =
        "Partitions that stand still because of an event, new or to be put back, that is refused "
        "for itself.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family withheld = {
    .name = "tenant_relay_withheld_events_total",
    .help = "Events that no stream takes and that a tombstone took the place of, by cause.",
    .kind = METRIC_COUNTER,
    .labels = {"cause"},
};
static const struct metric_family letters = {
    .name = "tenant_relay_dead_letters_total",
    .help = "Dead letters of withheld events that were stored.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family unlettered = {
    .name = "tenant_outbox_dead_unlettered",
    .help = "Withheld events whose dead letter is not stored yet.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family dead_letters = {
    .name = "tenant_dead_letters",
    .help =
        "Dead letters in TENANT_DLQ, as last heard, by who gave the event up: relay or consumer. "
        "One that is sent back or dropped is gone.",
    .kind = METRIC_GAUGE,
    .labels = {"from"},
};
static const struct metric_family takeovers = {
    .name = "tenant_relay_takeovers_total",
    .help = "Leases claimed by this relay.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family partitions_made = {
    .name = "tenant_partitions_made_total",
    .help = "Partitions made ahead of time by this relay.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};
static const struct metric_family partitions_dropped = {
    .name = "tenant_partitions_dropped_total",
    .help = "Partitions dropped by this relay after their retention.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};
static const struct metric_family partitions_failed = {
    .name = "tenant_partition_failures_total",
    .help = "Partitions that could not be made or dropped in time; tried again in a minute.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};
static const struct metric_family partition_strays = {
    .name = "tenant_partition_strays_total",
    .help =
        "Rows that no partition had taken, moved into a new one or deleted after their retention.",
    .kind = METRIC_COUNTER,
    .labels = {"table"},
};
static const struct metric_family partition_days_ahead = {
    .name = "tenant_partition_days_ahead",
    .help =
        "Days from now on for which there are partitions without a gap; fewer than 7 need a look.",
    .kind = METRIC_GAUGE,
    .labels = {"table"},
};
static const struct metric_family settled_late = {
    .name = "tenant_relay_stored_unacknowledged_total",
    .help = "Events that a stream held although no acknowledgement had come.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family refilled = {
    .name = "tenant_relay_refilled_events_total",
    .help = "Sent events that a stream had lost and that were put back.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family unrefillable = {
    .name = "tenant_relay_unrefillable_events_total",
    .help = "Events that a stream lost and that are older than sent events are kept.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family missing = {
    .name = "tenant_relay_missing_events",
    .help = "Events gone from the beginning or the middle of the held streams before their time: "
            "they cannot be put back in order.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family incarnation = {
    .name = "tenant_database_incarnation",
    .help = "Grows each time that the database is found to have been taken back in time.",
    .kind = METRIC_GAUGE,
};
static const struct metric_family rewinds = {
    .name = "tenant_database_rewinds_total",
    .help = "Times that this relay made the incarnation grow, by what gave the rewind away.",
    .kind = METRIC_COUNTER,
    .labels = {"found_by"},
};
static const struct metric_family lost = {
    .name = "tenant_database_lost_events_total",
    .help = "Events found in the streams that the database does not know any more.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family rewound_tenants = {
    .name = "tenant_database_rewound_tenants_total",
    .help = "Tenants whose consumers were told of lost events.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family lag = {
    .name = "tenant_relay_lag_seconds",
    .help = "From the event's insertion to its acknowledgement.",
    .kind = METRIC_HISTOGRAM,
    .buckets = lag_buckets,
    .bucket_count = sizeof lag_buckets / sizeof lag_buckets[0],
};
static const struct metric_family windows = {
    .name = "tenant_relay_windows_total",
    .help = "Windows of events acknowledged in full.",
    .kind = METRIC_COUNTER,
};
static const struct metric_family broker_up = {
    .name = "tenant_relay_broker_connected",
    .help = "1 while the relay is connected to NATS.",
    .kind = METRIC_GAUGE,
};

const struct metric_family *const events_metric_families[] = {
    &published,
    &errors,
    &fenced,
    &pending,
    &oldest_age,
    &leases,
    &stopped,
    &withheld,
    &letters,
    &unlettered,
    &dead_letters,
    &takeovers,
    &lag,
    &settled_late,
    &refilled,
    &unrefillable,
    &missing,
    &incarnation,
    &rewinds,
    &lost,
    &rewound_tenants,
    &windows,
    &broker_up,
    &partitions_made,
    &partitions_dropped,
    &partitions_failed,
    &partition_strays,
    &partition_days_ahead,
    NULL,
};

static struct metric *series_find(struct relay_metrics *metrics, const char *subject,
                                  unsigned bucket);

void relay_metrics_init(struct relay_metrics *metrics, struct metrics *set)
{
    *metrics = (struct relay_metrics){
        .set = set,
        .fenced = metrics_series(set, &fenced, NULL),
        .pending = metrics_series(set, &pending, NULL),
        .oldest_age = metrics_series(set, &oldest_age, NULL),
        .leases = metrics_series(set, &leases, NULL),
        .stopped = metrics_series(set, &stopped, NULL),
        .letters = metrics_series(set, &letters, NULL),
        .unlettered = metrics_series(set, &unlettered, NULL),
        .takeovers = metrics_series(set, &takeovers, NULL),
        .settled_late = metrics_series(set, &settled_late, NULL),
        .refilled = metrics_series(set, &refilled, NULL),
        .unrefillable = metrics_series(set, &unrefillable, NULL),
        .missing = metrics_series(set, &missing, NULL),
        .incarnation = metrics_series(set, &incarnation, NULL),
        .lost = metrics_series(set, &lost, NULL),
        .rewound_tenants = metrics_series(set, &rewound_tenants, NULL),
        .lag = metrics_series(set, &lag, NULL),
        .windows = metrics_series(set, &windows, NULL),
        .broker_up = metrics_series(set, &broker_up, NULL),
    };
    for (unsigned i = 0; i < 2; i++) {
        static const char *const from[] = {"relay", "consumer"};
        metrics->dead_letters[i] = metrics_series(set, &dead_letters, &from[i]);
    }
    for (unsigned error = 0; error < RELAY_ERROR_COUNT; error++) {
        const char *kind = relay_error_name((enum relay_error)error);
        metrics->errors[error] = metrics_series(set, &errors, &kind);
    }
    for (unsigned i = 0; i < REFUSED_FOR_COUNT; i++) {
        const char *cause = refused_for_name((enum refused_for)i);
        metrics->withheld[i] = metrics_series(set, &withheld, &cause);
    }
    for (unsigned i = 0; i < REWIND_SIGN_COUNT; i++) {
        const char *sign = rewind_sign_name((enum rewind_sign)i);
        metrics->rewinds[i] = metrics_series(set, &rewinds, &sign);
    }
    for (unsigned table = 0; table < PARTITIONED_COUNT; table++) {
        const char *name = partitioned_name((enum partitioned)table);
        metrics->partitions[table] = (struct partition_series){
            .made = metrics_series(set, &partitions_made, &name),
            .dropped = metrics_series(set, &partitions_dropped, &name),
            .failed = metrics_series(set, &partitions_failed, &name),
            .strays = metrics_series(set, &partition_strays, &name),
            .days_ahead = metrics_series(set, &partition_days_ahead, &name),
        };
    }
}

/* By bucket of the tenant's id, never by the id: 64 series per subject at most. */
struct metric *relay_metrics_published(struct relay_metrics *metrics, const char *subject,
                                       const struct uuid *tenant_id)
{
    unsigned bucket = tenant_bucket(tenant_id);
    for (struct published_series *series = metrics->published;
         series < metrics->published + PUBLISHED_SUBJECTS; series++) {
        if (series->subject[0] == '\0')
            snprintf(series->subject, sizeof series->subject, "%s", subject);
        if (strcmp(series->subject, subject) != 0)
            continue;
        if (series->buckets[bucket] == NULL)
            series->buckets[bucket] = series_find(metrics, subject, bucket);
        return series->buckets[bucket];
    }
    return series_find(metrics, subject, bucket);
}

/* Label values: dashboards and alerts know them. */
const char *relay_error_name(enum relay_error error)
{
    static const char *const names[RELAY_ERROR_COUNT] = {
        [RELAY_ERROR_DATABASE] = "database", [RELAY_ERROR_CONNECT] = "connect",
        [RELAY_ERROR_STREAM] = "stream",     [RELAY_ERROR_TIMEOUT] = "timeout",
        [RELAY_ERROR_FENCED] = "fenced",     [RELAY_ERROR_DUPLICATE] = "duplicate",
        [RELAY_ERROR_REFUSED] = "refused",   [RELAY_ERROR_STOPPED] = "stopped",
        [RELAY_ERROR_STRANGE] = "strange",
    };
    assert(error < RELAY_ERROR_COUNT);
    return names[error];
}

static struct metric *series_find(struct relay_metrics *metrics, const char *subject,
                                  unsigned bucket)
{
    char text[TENANT_BUCKET_TEXT];
    tenant_bucket_format(bucket, text);
    const char *const values[] = {subject, text};
    return metrics_series(metrics->set, &published, values);
}
