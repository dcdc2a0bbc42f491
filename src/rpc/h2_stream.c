/* A stream from its first frame to its last, and what is done with all that have news. */
#include "rpc/h2.h"

#include "base/alloc.h"
#include "rpc/rpc_int.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdlib.h>

#define STREAM_WINDOW (64u << 10)

static struct h2_stream *stream_take(struct rpc_worker *worker);
static void stream_give(struct rpc_worker *worker, struct h2_stream *stream);
static void process_stream(struct h2_stream *stream);
static void give_windows(struct h2_stream *stream);
static bool may_grow(struct h2_stream *stream);
static bool may_start(const struct h2 *h2);

struct h2_stream *h2_stream_open(struct h2 *h2, int32_t id)
{
    struct h2_stream *stream = stream_take(h2->worker);
    stream->h2 = h2;
    stream->id = id;
    stream->arena = worker_arena_take(h2->worker);
    stream->fields = arena_alloc_raw(
        stream->arena, h2->worker->limits.header_fields * sizeof *stream->fields);
    stream->begun_ns = clock_now();
    stream->progress_ns = stream->begun_ns;
    framing_init(&stream->framing, h2->worker->limits.message_bytes);
    list_push_back(&h2->streams, &stream->node);
    metric_gauge_add(h2->worker->metrics->streams, 1);
    int rc = nghttp2_session_set_stream_user_data(h2->session, id, stream);
    assert(rc == 0);
    return stream;
}

void h2_stream_close(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    list_remove(&h2->streams, &stream->node);
    list_remove(&h2->ready, &stream->ready_node);
    list_remove(&h2->held, &stream->ready_node);
    (void)nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
    h2_stream_drop_message(stream);
    h2->queued -= stream->reply.size - stream->reply_sent;
    struct running_call *call = stream->call;
    if (call != NULL && call->task != NULL) { /* the task owns it and frees it when it ends */
        call->stream = NULL;
        call->call.wire = NULL;
        task_cancel(call->task);
    } else if (call != NULL && !stream->answered) { /* gone before its handler ran */
        struct status status;
        status_of_result(&call->call.ctx, CANCELLED, NULL, &status);
        call_finished(call, &status);
        worker_arena_give(h2->worker, call->arena);
    } else if (call != NULL) {
        worker_arena_give(h2->worker, call->arena);
    } else {
        worker_arena_give(h2->worker, stream->arena);
    }
    if (list_is_empty(&h2->streams))
        h2->idle_since_ns = clock_now();
    metric_gauge_add(h2->worker->metrics->streams, -1);
    stream_give(h2->worker, stream);
}

void h2_stream_ready(struct h2_stream *stream)
{
    if (!list_is_linked(&stream->ready_node))
        list_push_back(&stream->h2->ready, &stream->ready_node);
}

void h2_process(struct h2 *h2)
{
    for (struct list_node *node; (node = list_pop_front(&h2->ready)) != NULL;)
        process_stream(list_entry(node, struct h2_stream, ready_node));
    size_t cap = 2 * h2->worker->limits.message_bytes;
    if (h2->connection_unacked > 0 && h2->buffered < cap) {
        (void)nghttp2_session_consume_connection(h2->session, h2->connection_unacked);
        h2->connection_unacked = 0;
    }
}

void h2_start_held(struct h2 *h2)
{
    while (!list_is_empty(&h2->held) && may_start(h2)) {
        struct list_node *node = list_pop_front(&h2->held);
        struct h2_stream *stream = list_entry(node, struct h2_stream, ready_node);
        h2->started_this_turn++;
        dispatch_message(stream);
    }
}

static void process_stream(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    if (stream->rest_unwanted) { /* RFC 9113 section 8.1: a server may ask to stop with NO_ERROR */
        stream->rest_unwanted = false;
        if (!stream->ended)
            (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream->id,
                                            NGHTTP2_NO_ERROR);
        return;
    }
    give_windows(stream);
    if (stream->answered || stream->dispatched || !stream->headers_done)
        return;
    if (!stream->started) {
        stream->started = true;
        dispatch_headers(stream);
        if (stream->answered)
            return;
    }
    bool whole = stream->ended || stream->framing_error != FRAMING_OK;
    if (!whole)
        return;
    if (!may_start(h2)) {
        list_push_back(&h2->held, &stream->ready_node);
        h2->wants_flush(h2->owner); /* comes back at the end of the turn */
        return;
    }
    h2->started_this_turn++;
    dispatch_message(stream);
}

/* Window goes back as bytes enter the message buffer; a message larger than one window only when it fits
 * into what the connection may hold, in order of arrival. */
static void give_windows(struct h2_stream *stream)
{
    if (stream->unacked == 0 || stream->ended)
        return;
    bool unread = stream->answered || stream->framing_error != FRAMING_OK;
    if (unread || framing_missing(&stream->framing) == 0 || !may_grow(stream))
        return;
    (void)nghttp2_session_consume_stream(stream->h2->session, stream->id, stream->unacked);
    stream->unacked = 0;
}

static bool may_grow(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    size_t size = stream->framing.message_size;
    if (size + FRAME_PREFIX_SIZE <= STREAM_WINDOW || stream->reserved > 0)
        return true;
    size_t cap = 2 * h2->worker->limits.message_bytes;
    if (h2->reserved + size > cap)
        return false;
    h2->reserved += size;
    stream->reserved = size;
    return true;
}

static bool may_start(const struct h2 *h2)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    return h2->running_calls.count < limits->running_handlers &&
           h2->started_this_turn < limits->requests_per_turn &&
           h2->queued < limits->queued_response_bytes;
}

void h2_stream_drop_message(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    h2->buffered -= buf_size(&stream->framing.message);
    framing_deinit(&stream->framing);
    if (stream->reserved == 0)
        return;
    h2->reserved -= stream->reserved;
    stream->reserved = 0;
    /* somebody may be waiting for the room, first come first served */
    for (struct list_node *node = list_first(&h2->streams); node != NULL;
         node = list_next(&h2->streams, node)) {
        struct h2_stream *waiting = list_entry(node, struct h2_stream, node);
        if (waiting->unacked > 0 && !waiting->dispatched)
            h2_stream_ready(waiting);
    }
}

static struct h2_stream *stream_take(struct rpc_worker *worker)
{
    struct list_node *node = list_pop_front(&worker->spare_streams);
    struct h2_stream *stream =
        node == NULL ? xmalloc(sizeof *stream) : list_entry(node, struct h2_stream, node);
    *stream = (struct h2_stream){.id = 0};
    return stream;
}

static void stream_give(struct rpc_worker *worker, struct h2_stream *stream)
{
    if (worker->spare_streams.count >= STREAMS_SPARE)
        free(stream);
    else
        list_push_front(&worker->spare_streams, &stream->node);
}
