/* Which method a path names on this worker. */
#ifndef RPC_DISPATCH_H
#define RPC_DISPATCH_H

#include "base/method.h"

#include "rpc/rpc_metrics.h"

struct rpc_worker;
struct rpc_registration;

/* A method as this worker serves it. */
struct method_slot {
    const struct rpc_method *method;
    const struct rpc_registration *registration;
    struct slice path; /* of the method: compared byte for byte */
    struct method_metrics metrics;
};

/* NULL when no registered service has that path.  The slot lives as long as the worker. */
struct method_slot *dispatch_find(const struct rpc_worker *worker, struct slice path);

#endif
