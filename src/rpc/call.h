/* One RPC as its handler sees it: who calls, until when, what came, what goes back.
 *
 * The call lives in its task; the HTTP/2 stream only holds a weak pointer to it.  A handler fills its
 * response and returns OK, a refusal of gen/errors.h (possibly after call_refuse_* added details), or a
 * fault.  Everything it allocates comes from call->ctx.arena. */
#ifndef RPC_CALL_H
#define RPC_CALL_H

#include "base/ctx.h"
#include "base/id.h"
#include "base/method.h"
#include "base/slice.h"

struct call_details; /* rpc room's own: error details gathered so far */
struct call_wire;    /* rpc room's own: the stream's side */

struct call {
    struct ctx ctx;                  /* the task's context: deadline, arena, ids */
    const struct rpc_method *method; /* what was called */
    void *service;                   /* the worker's environment of this service's handlers */
    const char *caller;              /* identity name from the certificate; "stranger" if unknown */
    bool has_tenant_header;          /* x-tenant-id was sent (and is well-formed) */
    struct uuid tenant_header;       /* its value */
    struct uuid tenant;              /* the checked tenant of this call; nil for platform methods */
    struct slice idempotency_key;    /* as sent; {NULL, 0} when absent */
    bool has_stored_reply;           /* the handler answers with stored_reply … */
    struct slice stored_reply;       /* … a packed response message, instead of its `out` */
    struct call_details *details;    /* see call_refuse_field; NULL while there are none */
    struct call_wire *wire;          /* NULL once the client went away */
};

/* A metadata value of the request: ASCII as sent, "-bin" keys decoded. The first value when several
 * were sent; {NULL, 0} when absent.  `key` is lower-case. */
struct slice call_metadata(const struct call *call, const char *key);

/* Adds to the initial metadata of the answer (before it is sent).  Copies the value; the key is a
 * constant. "-bin" values are encoded here. Keys that begin with "grpc-" or ":" are refused (asserted). */
void call_set_header(struct call *call, const char *key, struct slice value);
/* Adds to the trailers. */
void call_set_trailer(struct call *call, const char *key, struct slice value);

/* Whether messages of the answer are compressed (gzip), for a client that understands it; those that would not
 * get smaller never are.  At first: as the client does with its own.  On a stream it must be on before the
 * first call_send() to be possible at all. */
void call_compress(struct call *call, bool wanted);

/* Whether the message that the handler got last had come compressed. */
bool call_was_compressed(const struct call *call);

/* --- methods that stream -------------------------------------------------------------------------- */

/* Waits for the client's next message.  OK: *message lives until the next call_receive() or the
 * call's end; NULL: the client has sent all of them.  Refusals: as for a unary request,
 * MESSAGE_TOO_LARGE among them; return them.  Faults: FAULT_CANCELLED, FAULT_TIMEOUT,
 * FAULT_PROTOCOL.  Only where the client streams.  Suspends. */
int call_receive(struct call *call, const ProtobufCMessage **message) MUST_CHECK;
/* Sends one message; the first one sends the initial metadata before it.  Waits while the client
 * takes less than it is sent (64 KiB unsent).  The message is packed before it returns.  Faults:
 * FAULT_CANCELLED, FAULT_TIMEOUT, FAULT_INTERNAL (too large).  Only where the server streams.
 * Suspends. */
int call_send(struct call *call, const ProtobufCMessage *message) MUST_CHECK;

/* Refusal helpers: record details for the status (google.rpc, AIP-193) and return `reason`.
 * The texts are copied into the arena. */

/* A violated rule of one field: BadRequest.FieldViolation{field, description}.  May be called several
 * times; all violations travel.  field: "tenant.slug". */
int call_refuse_field(struct call *call, int reason, const char *field, const char *rule);
/* Adds ErrorInfo.metadata[key] = value. */
int call_refuse_with(struct call *call, int reason, const char *key, const char *value);
/* Adds RetryInfo{retry_delay}. */
int call_refuse_retry(struct call *call, int reason, uint64_t delay_ns);
/* A status that is not of our catalogue, for who passes on what another service said: a code of gRPC other than
 * OK and a text of at most 512 bytes, which goes out as it is.  Returns what the handler must return. */
int call_refuse_status(struct call *call, int code, const char *message);
/* Adds a detail to such a status: what a google.protobuf.Any holds.  Copies both; at most 8 (asserted). */
void call_refuse_detail(struct call *call, const char *type_url, struct slice value);
/* How many field violations were recorded. */
size_t call_violations(const struct call *call);

#endif
