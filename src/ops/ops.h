/* The ops port: metrics and health for Prometheus, Kubernetes and people, over plain HTTP/1.1.
 *
 * One thread of libmicrohttpd; it reads atomics and locks only for moments, so a scrape never delays a
 * request.  Nothing here is secret and nothing here can change anything. */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "base/ctx.h"
#include "base/metrics.h"
#include "base/result.h"

#include "ops/health.h"
#include "ops/process.h"

#include <stddef.h>
#include <stdint.h>

/* Everything pointed to outlives the ops; strings are copied where they are kept. */
struct ops_settings {
    const char *address;         /* numeric IP, v4 or v6 */
    uint16_t port;               /* 0: any free one */
    struct health *health;       /* for /health/… */
    struct metrics *const *sets; /* for /metrics, added up */
    size_t set_count;
    struct loop_lag *lags; /* one per worker; may be NULL when lag_count is 0 */
    size_t lag_count;
    struct build build; /* for tenant_build_info */
};

struct ops;

/* Listens and serves until ops_stop(): GET and HEAD of /metrics and /health/live|ready|startup.  At most
 * 32 connections, 10 s of silence each.  Fault: FAULT_IO, which says that the port is in use if it is. */
int ops_start(struct ctx *ctx, const struct ops_settings *settings, struct ops **ops) MUST_CHECK;
/* The port that is listened on. */
uint16_t ops_port(const struct ops *ops);
/* Closes all connections and ends the thread.  Accepts NULL. */
void ops_stop(struct ops *ops);

#endif
