/* What the rpc room counts, by the platform's names (blueprint section 13).
 *
 * Belongs to one worker's thread: the sets are added up when /metrics is rendered. */
#ifndef RPC_RPC_METRICS_H
#define RPC_RPC_METRICS_H

#include "base/id.h"
#include "base/metrics.h"
#include "base/tenant_bucket.h"

#include "rpc/status.h"

struct rpc_method;

#define CALL_BUCKETS (TENANT_BUCKETS + 1) /* the last one, "-", is of calls without a tenant */

/* The series of one method on one worker, found at first use. */
/* Some 9 KiB of pointers per method, most of them never used: an array costs no search on the
 * hot path. */
struct method_metrics {
    const char *route;
    struct metric *requests[GRPC_CODE_COUNT][CALL_BUCKETS];
    struct metric *seconds[CALL_BUCKETS];
};

struct rpc_metrics {
    struct metrics *set;
    struct metric *connections; /* gauge */
    struct metric *streams;     /* gauge */
    struct metric *running;     /* gauge: handlers */
    struct metric *held_bytes;  /* gauge */
    struct metric *accepted;
    struct metric *probes;
    struct metric *received_bytes;
    struct metric *sent_bytes;
    struct metric *tasks_refused;
    struct metric *handlers_started;
    struct method_metrics unknown; /* calls of no method of ours */
};

/* Owner: the worker.  The set must outlive it. */
struct rpc_metrics *rpc_metrics_new(struct metrics *set);
void rpc_metrics_free(struct rpc_metrics *metrics);

/* One more hit of a limit: tenant_rpc_limit_hits_total{limit}. */
void rpc_metrics_limit(struct metrics *set, const char *limit);
/* The gauges tenant_rpc_entrants and tenant_rpc_connection_bytes of a set that is no worker's. */
struct metric *rpc_metrics_entrants(struct metrics *set);
struct metric *rpc_metrics_held_bytes(struct metrics *set);
/* tenant_tls_handshake_failures_total{reason}. */
void rpc_metrics_handshake_failed(struct metrics *set, const char *reason);
/* tenant_tls_peers_dropped_total{reason}. */
void rpc_metrics_peer_dropped(struct metrics *set, const char *reason);
/* What rpc_metrics_call() needs to know; borrowed for the call. */
struct call_outcome {
    struct method_metrics *method;
    const struct uuid *tenant; /* nil: none, or not checked */
    const struct status *status;
    double seconds;
    const char *trace_id; /* kept as an exemplar; "" when there is none */
};

/* A finished call.  Once per call, whatever its end (running_call.reported). */
void rpc_metrics_call(struct rpc_metrics *metrics, const struct call_outcome *outcome);

/* All families of this room, NULL-terminated: for the documentation. */
extern const struct metric_family *const rpc_metric_families[];

#endif
