/* What a consumer of tenant/events.h has done and how far it is behind. */
#ifndef TENANT_EVENTS_METRICS_H
#define TENANT_EVENTS_METRICS_H

#include "tenant/events.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TENANT_PARTITIONS 16

struct tenant_partition_state {
    bool is_held;     /* by this member */
    uint64_t pending; /* events not fetched yet, as of the last one that was */
    uint64_t age_ns;  /* how old the event is that was handled last; 0 when nothing is pending */
};

/* Counters since tenant_consumer_new(). */
struct tenant_consumer_snapshot {
    size_t size; /* set by the caller: sizeof(struct tenant_consumer_snapshot) */
    bool is_connected;
    uint64_t done;        /* events that the handler did */
    uint64_t old;         /* delivered again though their position was kept */
    uint64_t retried;     /* attempts that are to be repeated */
    uint64_t dead;        /* events that became dead letters */
    uint64_t waited;      /* deliveries sent back because an earlier event of the tenant waits */
    uint64_t gaps;        /* tenants of whom an event was found to be missing */
    uint64_t gap_alarms;  /* calls of the gap alarm */
    uint64_t stale;       /* positions that somebody else had moved */
    uint64_t requeued;    /* dead letters sent back by an operator and done */
    uint64_t redelivered; /* deliveries that were not the first */
    uint64_t foreign;     /* deliveries of partitions that were given up meanwhile */
    uint64_t callback_failures; /* of load and store */
    uint64_t broker_failures;
    uint64_t connects;
    uint64_t takeovers; /* partitions claimed */
    uint64_t waiting;   /* tenants whose events wait now */
    struct tenant_partition_state partitions[TENANT_PARTITIONS];
};

/* Any thread, at any time between new and free. */
void tenant_consumer_snapshot(const struct tenant_consumer *consumer,
                              struct tenant_consumer_snapshot *snapshot);

/* The snapshot in Prometheus's text format 0.0.4, all series labelled with the group.  Like snprintf():
 * returns the length of the whole text, writes at most `size` bytes with the terminator. */
size_t tenant_consumer_metrics(const struct tenant_consumer *consumer, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
