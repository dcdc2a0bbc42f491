/* Messages as JSON, for calls whose dialect says so.  Neither suspends. */
#ifndef RPC_CODEC_H
#define RPC_CODEC_H

#include "base/buf.h"

#include "rpc/call_int.h"

/* The message, from JSON, in `arena`.  Refusals: MESSAGE_MALFORMED,
 * MESSAGE_TOO_COMPLEX, with the field. */
int codec_parse_json(struct running_call *call, struct slice bytes, struct arena *arena,
                     ProtobufCMessage **message) MUST_CHECK;
/* Appends the message as JSON.  Fault INTERNAL: it has no JSON or is larger than an answer may be; `out` is
 * unchanged then. */
int codec_print_json(struct running_call *call, const ProtobufCMessage *message,
                     struct buf *out) MUST_CHECK;

#endif
