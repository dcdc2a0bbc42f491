/* A unary call: a stream with one message each way, made again where that is safe.
 *
 *    ┌─> a connection ──> stream ──> one message, its end ──> status
 *    └── retry_pause <── retry_is_due
 *
 * Called by generated stubs; must never hand out a message without status 0. */
#include "client/channel_int.h"
#include "client/stream.h"

#include "rpc/status.h"

#include <assert.h>

static int attempt(struct client_call *call, const struct rpc_method *method,
                   const ProtobufCMessage *in, uint64_t deadline_ns, ProtobufCMessage **out);
static int exchange(struct client_stream *stream, const ProtobufCMessage *in,
                    ProtobufCMessage **out);

int client_unary(struct client_call *call, const struct rpc_method *method,
                 const ProtobufCMessage *in, ProtobufCMessage **out)
{
    assert(in->descriptor == method->request);
    assert(!method->client_streaming && !method->server_streaming);
    uint64_t deadline = call_deadline(call);
    call_begin(call);
    for (;;) {
        uint64_t pause = 0;
        call_reset(call);
        call->attempts++;
        int rc = attempt(call, method, in, deadline, out);
        if (rc == OK && call->status == GRPC_OK) {
            retry_note(call, rc);
            return OK;
        }
        struct fault fault =
            call->ctx->fault; /* why the call failed, not why it was not repeated */
        enum wait_result waited = WAIT_TIMEOUT;
        if (retry_is_due(call, method, rc, &pause))
            waited = retry_pause(call, pause, deadline);
        if (waited == WAIT_CANCELLED)
            return wait_fault(call->ctx, waited, "the next attempt");
        if (waited != WAIT_READY) {
            call->ctx->fault = fault;
            return rc;
        }
    }
}

/* lint-allow parameters: a call's five */
static int attempt(struct client_call *call, const struct rpc_method *method,
                   const ProtobufCMessage *in, uint64_t deadline_ns, ProtobufCMessage **out)
{
    struct client_connection *connection = NULL;
    int rc = channel_connection(call, deadline_ns, &connection);
    if (rc != OK) {
        call->unprocessed = true;
        return rc;
    }
    struct client_stream *stream = NULL;
    TRY(stream_open(call, connection, method, deadline_ns, &stream));
    ProtobufCMessage *message = NULL;
    rc = exchange(stream, in, &message);
    client_stream_close(stream);
    TRY(rc);
    if (call->status == GRPC_OK)
        *out = message;
    return OK;
}

/* The request is handed over whole before anything is waited for: the answer may come before its end. */
static int exchange(struct client_stream *stream, const ProtobufCMessage *in,
                    ProtobufCMessage **out)
{
    struct client_call *call = stream->call;
    stream_send_whole(stream, in);
    TRY(client_stream_receive(stream, call->ctx->arena, out));
    if (*out == NULL)
        return call->status == GRPC_OK
                   ? FAULT(call->ctx, FAULT_PROTOCOL, "the answer has no message")
                   : OK;
    ProtobufCMessage *second = NULL;
    TRY(client_stream_receive(stream, call->ctx->arena, &second));
    if (second != NULL)
        return FAULT(call->ctx, FAULT_PROTOCOL, "the answer has more than one message");
    return OK;
}
