/* What is told of a message that is not framed as it must be, alike for the one of a unary call and for those
 * of a stream. */
#include "rpc/call_int.h"

#include "gen/errors.h"

/* Only the size and the number of messages are the client's to mend and thus refusals: "Request cardinality
 * violation (method requires exactly one request but client sent some other number of requests) |
 * UNIMPLEMENTED" (gRPC's statuscodes.md).  The rest are clients that break the protocol, and their operators
 * find the text in our log, not in the answer. */
int call_framing_fault(struct ctx *ctx, enum framing_result result)
{
    switch (result) {
    case FRAMING_OK:
        return OK;
    case FRAMING_TOO_LARGE:
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
