/* How an answer ends where HTTP's trailers are not used: gRPC-Web's trailer frame, Connect's end-stream
 * envelope, a unary error's JSON. */
#ifndef RPC_ENDING_H
#define RPC_ENDING_H

#include "base/buf.h"

#include "rpc/status.h"

struct running_call;

/* Appends what stands in the body behind the messages; nothing for a Connect unary answer that is OK.  Not for
 * gRPC (asserted). */
void ending_put(struct buf *out, const struct running_call *call, const struct status *status);
/* RetryInfo as seconds for retry-after (RFC 9110 section 10.2.3: whole ones); in the arena, NULL: none. */
const char *ending_retry_after(struct arena *arena, const struct status *status);
/* Milliseconds for grpc-retry-pushback-ms (gRPC proposal A6) where the server cannot take the call now; anew at
 * each call.  In the arena, NULL: none. */
const char *ending_retry_pushback(struct arena *arena, const struct status *status);

#endif
