/* What the service layer counts. */
#ifndef SERVICE_SERVICE_METRICS_H
#define SERVICE_SERVICE_METRICS_H

#include "base/metrics.h"

/* What became of a call with an idempotency key. */
enum key_outcome { KEY_FIRST, KEY_REPLAYED, KEY_MISMATCH };
#define KEY_OUTCOME_COUNT 3
/* What became of a COMMIT without an answer. */
enum resolution { RESOLVED_COMMITTED, RESOLVED_NOTHING, RESOLVED_UNKNOWN };
#define RESOLUTION_COUNT 3
/* What became of a read with a consistency token. */
enum consistency_outcome { CONSISTENCY_MET, CONSISTENCY_GAVE_UP, CONSISTENCY_FORGED };
#define CONSISTENCY_OUTCOME_COUNT 3

/* The worker's series; written by its thread alone. */
struct service_metrics {
    struct metric *keys[KEY_OUTCOME_COUNT];
    struct metric *resolutions[RESOLUTION_COUNT];
    struct metric *consistency[CONSISTENCY_OUTCOME_COUNT];
    struct metric *page_tokens_refused;
    struct metric *restricted_again;
};

void service_metrics_init(struct service_metrics *series, struct metrics *metrics);

#endif
