/* What is told of a message that is not framed as it must be, alike for the one of a unary call and for those
 * of a stream. */
#include "rpc/call_int.h"
#include "rpc/rpc_int.h"

#include "gen/errors.h"

/* Only the size and the number of messages are the client's to mend and thus refusals: "Request cardinality
 * violation (method requires exactly one request but client sent some other number of requests) |
 * UNIMPLEMENTED" (gRPC's statuscodes.md).  The rest are clients that break the protocol, and their operators
 * find the text in our log, not in the answer. */
int call_framing_fault(struct running_call *running, enum framing_result result)
{
    struct ctx *ctx = &running->call.ctx;
    switch (result) {
    case FRAMING_OK:
        return OK;
    case FRAMING_TOO_LARGE:
        rpc_metrics_limit(running->worker->metrics->set, "message_bytes");
        return MESSAGE_TOO_LARGE;
    case FRAMING_BAD_FLAG:
        return FAULT(ctx, FAULT_PROTOCOL, "a message whose flag is neither 0 nor 1");
    case FRAMING_COMPRESSED: /* INTERNAL by compression.md: nothing says how to read it */
        return FAULT(ctx, FAULT_PROTOCOL, "a compressed message without grpc-encoding");
    case FRAMING_EXTRA:
        return REQUEST_CARDINALITY;
    }
    return FAULT(ctx, FAULT_INTERNAL, "framing result %d", (int)result);
}

/* It is ours to keep: stock clients take no more, and would blame the connection. */
int call_response_fault(struct running_call *running, size_t size)
{
    if (size <= running->worker->limits.response_bytes)
        return OK;
    rpc_metrics_limit(running->worker->metrics->set, "response_bytes");
    return FAULT(&running->call.ctx, FAULT_INTERNAL, "the response has %zu bytes or more", size);
}
