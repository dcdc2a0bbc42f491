/* The end of a call: counted always; logged when it wrote, was refused, failed or was slow, and else for a
 * sample of at most 100 lines per second and worker. */
#include "rpc/rpc_int.h"

#include <assert.h>

#define SLOW_NS (500 * NS_PER_MS)
#define SAMPLED_LINES_PER_S 100

static const char *deadline_limit(const struct running_call *call);
static double seconds_of(const struct running_call *call, uint64_t now_ns);
static bool is_worth_a_line(struct rpc_worker *worker, const struct running_call *call,
                            const struct status *status, uint64_t now_ns);

void call_finished(struct running_call *call, const struct status *status, uint64_t now_ns)
{
    assert(!call->reported);
    call->reported = true;
    for (size_t i = 0; i < call_step_count; i++) {
        if (call_steps[i].leave != NULL)
            call_steps[i].leave(call, status, now_ns);
    }
}

void call_count(struct running_call *call, const struct status *status, uint64_t now_ns)
{
    struct rpc_worker *worker = call->worker;
    enum traffic_count end = status->code == GRPC_OK ? TRAFFIC_CALLS_OK : TRAFFIC_CALLS_FAILED;
    if (call->h2 != NULL)
        traffic_count(call->h2->traffic, end);
    else
        sockets_count_late(rpc_shared_sockets(worker->shared), end);
    rpc_metrics_call(worker->metrics, &(struct call_outcome){
                                          .method = call->slot != NULL ? &call->slot->metrics
                                                                       : &worker->metrics->unknown,
                                          .tenant = &call->call.tenant,
                                          .status = status,
                                          .seconds = seconds_of(call, now_ns),
                                          .trace_id = call->call.ctx.trace.trace_id,
                                      });
    const char *limit = status->code == GRPC_DEADLINE_EXCEEDED ? deadline_limit(call) : NULL;
    if (limit != NULL)
        rpc_metrics_limit(worker->metrics->set, limit);
}

/* What set the deadline that has passed; NULL: the client. */
static const char *deadline_limit(const struct running_call *call)
{
    const struct rpc_limits *limits = &call->worker->limits;
    if (call->call.ctx.deadline_ns == NO_DEADLINE || call->metadata == NULL)
        return NULL;
    if (call->call.ctx.deadline_ns == deadline_after(call->began_ns, limits->deadline_cap_ns))
        return "deadline_cap";
    return call_timeout_asked(call).data == NULL ? "deadline_default" : NULL;
}

void call_log(struct running_call *call, const struct status *status, uint64_t now_ns)
{
    if (!is_worth_a_line(call->worker, call, status, now_ns))
        return;
    struct call *face = &call->call;
    const char *reason = status->reason == NULL ? "" : status->reason;
    enum log_level level =
        status->code == GRPC_INTERNAL || status->code == GRPC_UNAVAILABLE ? LOG_ERROR : LOG_INFO;
    const struct log_field fields[] = {
        KV_STR("status", grpc_code_name((int)status->code)),
        KV_STR("protocol", protocol_name(call->dialect.protocol)),
        KV_DOUBLE("seconds", seconds_of(call, now_ns)),
        KV_STR("reason", reason),
        KV_STR("fault", call->result < OK ? ctx_fault_text(&face->ctx) : ""),
        {.key = NULL},
    };
    log_line(&face->ctx, level, "rpc.call", fields);
}

static double seconds_of(const struct running_call *call, uint64_t now_ns)
{
    return (double)(now_ns - call->began_ns) / (double)NS_PER_S;
}

/* Writes are logged for the audit's sake, failures for the operator's; reads at tens of
 * thousands a second would be a log nobody can pay for.  The window is not aligned: it begins
 * with the first read after a second. */
static bool is_worth_a_line(struct rpc_worker *worker, const struct running_call *call,
                            const struct status *status, uint64_t now_ns)
{
    const struct rpc_method *method = call->call.method;
    bool writes = method != NULL && method->policy.access == METHOD_ACCESS_WRITE;
    if (writes || status->code != GRPC_OK || now_ns - call->began_ns > SLOW_NS)
        return true;
    if (now_ns - worker->log_window_ns > NS_PER_S) {
        worker->log_window_ns = now_ns;
        worker->log_lines = 0;
    }
    return worker->log_lines++ < SAMPLED_LINES_PER_S;
}
