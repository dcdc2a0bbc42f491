/* What Connect asks of a request's metadata, and its way to tell an error
 * (https://connectrpc.com/docs/protocol). */
#ifndef RPC_CONNECT_H
#define RPC_CONNECT_H

#include "rpc/status.h"

#include "base/buf.h"

struct running_call;

/* Protocol version and, of a GET, the query.  Refusals: METADATA_INVALID, MESSAGE_TOO_LARGE. */
int connect_check(struct running_call *call) MUST_CHECK;

/* connect_error.c */
/* The HTTP status of a unary answer: 200 for OK. */
int connect_http_status(enum grpc_code code);
/* "not_found"; of OK there is none (asserted). */
const char *connect_code_name(enum grpc_code code);
/* Appends {"code":…,"message":…,"details":[…]}.  `arena` holds what is needed meanwhile. */
void connect_error_put(struct buf *out, struct arena *arena, const struct status *status);

#endif
