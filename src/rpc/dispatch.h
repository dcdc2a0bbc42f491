/* Which method a path names on this worker. */
#ifndef RPC_DISPATCH_H
#define RPC_DISPATCH_H

#include "base/method.h"

#include "rpc/rpc_metrics.h"

struct rpc_worker;
struct rpc_registration;
struct running_call;
struct status;

/* A method as this worker serves it. */
struct method_slot {
    const struct rpc_method *method;
    const struct rpc_registration *registration;
    struct slice path; /* of the method: compared byte for byte */
    struct method_metrics metrics;
};

/* One of the steps that every call goes through, in the order of this table and no other. */
struct call_step {
    const char *name;
    /* Before the handler: OK, or why the call is refused. */
    int (*enter)(struct running_call *call);
    /* After it: the call's one end, at `now_ns` (clock_now()). */
    void (*leave)(struct running_call *call, const struct status *status, uint64_t now_ns);
    bool always;      /* entered by a call that is refused already, too */
    const char *done; /* where it is done, or the rest of it: for the reader */
};
extern const struct call_step call_steps[];
extern const size_t call_step_count;

/* NULL when no registered service has that path.  The slot lives as long as the worker. */
struct method_slot *dispatch_find(const struct rpc_worker *worker, struct slice path);

#endif
