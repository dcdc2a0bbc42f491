/* Streaming calls as handlers see them: call_receive() and call_send() wait in the task, like any other wait.
 *
 * After each wait the stream may be gone (reset, deadline, connection): it is looked up anew, and a call
 * without one is cancelled. */
#include "loop/task.h"
#include "rpc/codec.h"
#include "rpc/h2.h"
#include "rpc/rpc_int.h"

#include "gen/errors.h"

#include <assert.h>

static int send_json(struct running_call *running, const ProtobufCMessage *message);
static void send_placed(struct running_call *running, uint8_t *place, size_t size);
static int wait_for_room(struct running_call *running);
static int gone(struct call *call);
static int message_begin(struct running_call *running);
static int message_fill(struct running_call *running, struct h2_stream *stream, bool *whole);
static int message_unpack(struct running_call *running, struct h2_stream *stream,
                          ProtobufCMessage **message);

int call_receive(struct call *call, const ProtobufCMessage **message)
{
    struct running_call *running = running_call_of(call);
    assert(call->method->client_streaming);
    TRY(message_begin(running));
    for (;;) {
        struct h2_stream *stream = running->stream;
        bool whole = false;
        if (stream == NULL)
            return gone(call);
        TRY(message_fill(running, stream, &whole));
        if (whole && !h2_may_read(stream->h2, running)) {
            stream->h2->wants_flush(stream->h2->owner); /* the turn that we leave is for who is held */
            task_yield(&call->ctx);
            continue;
        }
        if (whole) {
            ProtobufCMessage *unpacked = NULL;
            TRY(message_unpack(running, stream, &unpacked));
            *message = unpacked;
            return OK;
        }
        bool empty = buf_size(&stream->flow->inbox) == 0;
        if (stream->ended && empty && framing_is_cut(&stream->framing))
            return FAULT(&call->ctx, FAULT_PROTOCOL, "the stream ended within a message");
        if (stream->ended && empty) {
            *message = NULL;
            return OK;
        }
        TRY(wait_fault(&call->ctx,
                       waitq_wait(&call->ctx, &running->readable, call->ctx.deadline_ns, NULL),
                       "the client's next message"));
    }
}

int call_send(struct call *call, const ProtobufCMessage *message)
{
    struct running_call *running = running_call_of(call);
    assert(call->method->server_streaming && message->descriptor == call->method->response);
    if (running->dialect.codec == CODEC_JSON)
        return send_json(running, message);
    size_t size = protobuf_c_message_get_packed_size(message);
    TRY(call_response_fault(running, size));
    TRY(wait_for_room(running));
    uint8_t *place = buf_reserve(&running->stream->flow->outbox, FRAME_PREFIX_SIZE + size);
    size_t packed = protobuf_c_message_pack(message, place + FRAME_PREFIX_SIZE);
    assert(packed == size);
    send_placed(running, place, size);
    return OK;
}

static int send_json(struct running_call *running, const ProtobufCMessage *message)
{
    TRY(wait_for_room(running));
    struct buf text = BUF_EMPTY;
    int rc = codec_print_json(running, message, &text);
    if (rc == OK) {
        size_t size = buf_size(&text);
        uint8_t *place = buf_reserve(&running->stream->flow->outbox, FRAME_PREFIX_SIZE + size);
        memcpy(place + FRAME_PREFIX_SIZE, buf_slice(&text).data, size);
        send_placed(running, place, size);
    }
    buf_deinit(&text);
    return rc;
}

/* The message stands in the outbox, not yet committed, behind room for its prefix. */
static void send_placed(struct running_call *running, uint8_t *place, size_t size)
{
    struct h2_stream *stream = running->stream;
    if (!stream->flow->begun)
        running->sends_gzip = running->compresses;
    running->compresses = running->compresses && running->sends_gzip;
    size_t framed = call_message_frame(running, place, size);
    buf_commit(&stream->flow->outbox, framed);
    h2_flow_sent(stream, framed);
}

/* After OK there is a stream. */
static int wait_for_room(struct running_call *running)
{
    struct call *call = &running->call;
    while (running->stream != NULL && buf_size(&running->stream->flow->outbox) >= FLOW_OUTBOX_MAX)
        TRY(wait_fault(&call->ctx,
                       waitq_wait(&call->ctx, &running->writable, call->ctx.deadline_ns, NULL),
                       "the client's taking of messages"));
    return running->stream == NULL ? gone(call) : OK;
}

void call_stream_init(struct running_call *running)
{
    waitq_init(&running->readable);
    waitq_init(&running->writable);
}

static int gone(struct call *call)
{
    return FAULT(&call->ctx, FAULT_CANCELLED, "the client went away");
}

/* A message lives until the next one is asked for: a stream of a million of them must not fill the call's
 * arena. */
static int message_begin(struct running_call *running)
{
    if (running->message_arena != NULL)
        worker_arena_give(running->worker, TAKE(running->message_arena));
    running->message_arena = worker_arena_take(running->worker);
    return OK;
}

/* Moves what has come from the inbox into the message, and gives its window back.  A message larger than one
 * window is let in when the connection has room for it, first come first. */
static int message_fill(struct running_call *running, struct h2_stream *stream, bool *whole)
{
    struct h2 *h2 = stream->h2;
    struct buf *inbox = &stream->flow->inbox;
    struct framing *framing = &stream->framing;
    size_t moved = 0;
    if (framing->failed) /* a handler that asks on after a refusal */
        return FAULT(&running->call.ctx, FAULT_PROTOCOL, "the stream was broken before");
    while (buf_size(inbox) > 0 && !framing_has_message(framing) && h2_stream_may_grow(stream)) {
        struct slice bytes = buf_slice(inbox);
        h2->buffered -= buf_size(inbox) + buf_size(&framing->message);
        enum framing_result result = framing_take(framing, &bytes);
        size_t taken = buf_size(inbox) - bytes.size;
        buf_consume(inbox, taken);
        h2->buffered += buf_size(inbox) + buf_size(&framing->message);
        moved += taken;
        TRY(call_framing_fault(running, result));
    }
    if (moved > 0 && !stream->ended) {
        assert(stream->unacked >= moved);
        stream->unacked -= moved;
        (void)nghttp2_session_consume_stream(h2->session, stream->id, moved);
        h2->wants_flush(h2->owner);
    }
    *whole = framing_has_message(framing);
    return OK;
}

/* As a unary request: scanned, unpacked, and held against the caller's rights.  The framing begins anew. */
static int message_unpack(struct running_call *running, struct h2_stream *stream,
                          ProtobufCMessage **message)
{
    TRY(call_message_take(running, &stream->framing, running->message_arena, message));
    h2_stream_drop_message(stream);
    stream->coming = (struct h2_pace){.bytes = stream->body_bytes};
    return running->worker->hooks.match(&running->call, *message);
}
