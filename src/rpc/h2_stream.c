/* A stream from its first frame to its last, and what is done with all that have news.
 *
 *    open ──headers──> started ──message whole──> dispatched ──answer submitted──> answered ──> closed
 *                         │                 │                                       ^
 *                         │ refused         └─ held: no handler slot, or answers unsent
 *                         └─────────────────────────────────────────────────────────┘
 *
 * The arena holds the headers and then the call.  It goes back to the worker when the stream
 * closes, unless a task still runs in it: then the task has it. */
#include "rpc/h2.h"

#include "base/alloc.h"

#include "rpc/rpc_int.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdlib.h>

static struct h2_stream *stream_take(struct rpc_worker *worker);
static void stream_give(struct rpc_worker *worker, struct h2_stream *stream);
static void stream_leave_call(struct h2_stream *stream);
static void flow_free(struct h2_stream *stream);
static bool client_streams(const struct h2_stream *stream);
static void process_stream(struct h2_stream *stream);
static void give_windows(struct h2_stream *stream);
static bool is_small_so_far(const struct h2_stream *stream);
static void wake_waiting(struct h2 *h2);
static struct h2_turn_share *turn_share(struct h2 *h2);
static bool may_start(struct h2 *h2);
static const char *standing_limit(const struct h2 *h2);
static const char *limit_in_the_way(struct h2 *h2);

/* The framing's limit is the default one until the path is known (dispatch_find_method). */
struct h2_stream *h2_stream_open(struct h2 *h2, int32_t id)
{
    struct h2_stream *stream = stream_take(h2->worker);
    stream->h2 = h2;
    stream->id = id;
    stream->arena = worker_arena_take(h2->worker);
    stream->headers = arena_alloc(stream->arena, sizeof *stream->headers);
    stream->begun_ns = clock_tick();
    stream->progress_ns = stream->begun_ns;
    stream->framing.limit = h2->worker->limits.message_bytes;
    stream->framing.may_compress = false;
    list_push_back(&h2->streams, &stream->node);
    metric_gauge_add(h2->worker->metrics->streams, 1);
    int rc = nghttp2_session_set_stream_user_data(h2->session, id, stream);
    assert(rc == 0);
    h2->recent = stream;
    return stream;
}

/* The library keeps a hash table; most look-ups are for the stream of the one before. */
struct h2_stream *h2_stream_find(struct h2 *h2, int32_t id)
{
    if (h2->recent != NULL && h2->recent->id == id)
        return h2->recent;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(h2->session, id);
    if (stream != NULL)
        h2->recent = stream;
    return stream;
}

/* The library drops its own stream right after (no_closed_streams), so nothing can find this one again.
 * Called by the library for every end of a stream, by h2_free() for those that are left.  Gives
 * back all the stream counts for: places in lists, reserved bytes, unsent bytes. */
void h2_stream_close(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    if (h2->recent == stream)
        h2->recent = NULL;
    if (!stream->end_sent)
        traffic_count(h2->traffic, TRAFFIC_STREAMS_FAILED);
    list_remove(&h2->streams, &stream->node);
    list_remove(&h2->ready, &stream->ready_node);
    list_remove(&h2->held, &stream->held_node);
    h2_stream_drop_message(stream);
    assert(h2->queued >= stream->reply.size - stream->reply_sent);
    h2->queued -= stream->reply.size - stream->reply_sent;
    flow_free(stream);
    stream_leave_call(stream);
    if (list_is_empty(&h2->streams))
        h2->idle_since_ns = clock_now();
    metric_gauge_add(h2->worker->metrics->streams, -1);
    stream_give(h2->worker, stream);
}

/* A running call and its arena are the task's; else they go with the stream. */
static void stream_leave_call(struct h2_stream *stream)
{
    struct running_call *call = stream->call;
    if (call != NULL && call->running) {
        call_leave_stream(call);
        return;
    }
    if (call != NULL && !call->reported) { /* gone before its handler ran */
        struct status status;
        status_of_result(&call->call.ctx, CANCELLED, NULL, &status);
        call_finished(call, &status, clock_now());
    }
    if (call != NULL)
        call_free(call);
    else if (stream->arena != NULL)
        worker_arena_give(stream->h2->worker, stream->arena);
}

static void flow_free(struct h2_stream *stream)
{
    struct h2_flow *flow = TAKE(stream->flow);
    if (flow == NULL)
        return;
    assert(stream->h2->queued >= buf_size(&flow->outbox));
    assert(stream->h2->buffered >= buf_size(&flow->inbox));
    stream->h2->queued -= buf_size(&flow->outbox);
    stream->h2->buffered -= buf_size(&flow->inbox);
    buf_deinit(&flow->outbox);
    buf_deinit(&flow->inbox);
    if (flow->end != NULL)
        worker_arena_give(stream->h2->worker, flow->end);
    free(flow);
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
    /* Always given back, or streams that wait for room would starve those that have it.  What they can
     * hold is bounded all the same: a window each, and the reserved large messages. */
    if (h2->connection_unacked > 0) {
        (void)nghttp2_session_consume_connection(h2->session, h2->connection_unacked);
        h2->connection_unacked = 0;
    }
}

/* First come, first served: a request that came later never overtakes, or a busy client's
 * oldest call would wait for its deadline. */
void h2_turn(struct h2 *h2)
{
    while (!list_is_empty(&h2->held) && may_start(h2)) {
        struct list_node *node = list_pop_front(&h2->held);
        struct h2_stream *stream = list_entry(node, struct h2_stream, held_node);
        turn_share(h2)->started++;
        dispatch_message(stream);
    }
}

/* A handler's end, or the peer's reading, wakes those that are held for other reasons. */
bool h2_waits_for_turn(const struct h2 *h2)
{
    return !list_is_empty(&h2->held) && standing_limit(h2) == NULL;
}

/* One step at most per news; may be called when nothing is to do.  After dispatch_* the stream
 * is still open: the library closes it only when frames are sent or received. */
static void process_stream(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    if (!client_streams(stream))
        give_windows(stream);
    else if (stream->dispatched && stream->call != NULL && stream->call->running)
        (void)waitq_wake(&stream->call->readable, NULL);
    bool held = list_is_linked(&stream->held_node);
    if (stream->answered || stream->dispatched || held || !stream->headers_done)
        return;
    if (!stream->started) {
        stream->started = true;
        dispatch_headers(stream);
        if (stream->answered)
            return;
    }
    bool whole = stream->ended || stream->framing_error != FRAMING_OK || client_streams(stream);
    if (!whole)
        return;
    if (!may_start(h2) || !list_is_empty(&h2->held)) {
        if (list_is_empty(&h2->held)) /* once for all that will stand in this line */
            rpc_metrics_limit(h2->worker->metrics->set, limit_in_the_way(h2));
        list_push_back(&h2->held, &stream->held_node);
        h2->wants_flush(h2->owner); /* comes back at the end of the turn */
        return;
    }
    turn_share(h2)->started++;
    dispatch_message(stream);
}

static bool client_streams(const struct h2_stream *stream)
{
    return stream->flow != NULL && stream->slot != NULL && stream->slot->method->client_streaming;
}

/* Window goes back as bytes enter the message buffer; a message larger than one window only
 * when it fits into what the connection may hold, in order of arrival. Nothing is given for
 * bytes that nobody will read: the client's sending then stops after one window. */
static void give_windows(struct h2_stream *stream)
{
    if (stream->unacked == 0 || stream->ended)
        return;
    bool unread = stream->answered || stream->framing_error != FRAMING_OK;
    bool whole = framing_missing(&stream->framing) == 0 && !stream->framing.bare;
    if (unread || whole || is_small_so_far(stream) || !h2_stream_may_grow(stream))
        return;
    (void)nghttp2_session_consume_stream(stream->h2->session, stream->id, stream->unacked);
    stream->unacked = 0;
}

/* A bare body that does not tell its size asks for room only when the first window runs out: most never do. */
static bool is_small_so_far(const struct h2_stream *stream)
{
    return stream->framing.bare &&
           buf_size(&stream->framing.message) < stream->h2->stream_window / 2;
}

/* Two of the largest messages at once per connection.  Only the first in line is let in,
 * however small the next one is, so that a large one is not starved by a stream of smaller
 * ones. */
bool h2_stream_may_grow(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    size_t size = stream->framing.message_size;
    if (size + FRAME_PREFIX_SIZE <= h2->stream_window || stream->reserved > 0)
        return true;
    if (!list_is_linked(&stream->room_node))
        list_push_back(&h2->waiting, &stream->room_node);
    bool first = list_first(&h2->waiting) == &stream->room_node;
    /* alone it always fits: it may be larger than a limit that was lowered meanwhile */
    bool fits = h2->reserved == 0 || h2->reserved + size <= 2 * h2->worker->largest_message;
    if (!first || !fits)
        return false;
    list_remove(&h2->waiting, &stream->room_node);
    h2->reserved += size;
    stream->reserved = size;
    wake_waiting(h2);
    return true;
}

/* The first in the line looks whether it fits now. */
static void wake_waiting(struct h2 *h2)
{
    struct list_node *node = list_first(&h2->waiting);
    if (node != NULL)
        h2_stream_ready(list_entry(node, struct h2_stream, room_node));
}

/* A message is decoded whole, whatever it costs: what is above the share is made up for in the turns after it,
 * which others then have without this connection. */
static struct h2_turn_share *turn_share(struct h2 *h2)
{
    const uint64_t number = loop_turns(h2->worker->loop), passed = number - h2->turn.number;
    const size_t each = h2->worker->limits.decoded_per_turn, owed = h2->turn.decoded;
    if (passed > 0) {
        bool is_paid = owed <= each || owed / each < passed;
        h2->turn =
            (struct h2_turn_share){.number = number, .decoded = is_paid ? 0 : owed - each * passed};
    }
    return &h2->turn;
}

void h2_charge(struct h2 *h2, size_t bytes)
{
    turn_share(h2)->decoded += bytes;
}

/* Tasks come before held requests in a turn and would take the share in each, so those have every other one.
 * Of several streams each reads in its turn: who must wait does so behind those that wait already. */
bool h2_may_read(struct h2 *h2, struct running_call *running)
{
    const struct h2_turn_share *share = turn_share(h2);
    const struct list_node *first = list_first(&h2->readers);
    bool mine = first == NULL || first == &running->reader_node;
    bool given_up = h2_waits_for_turn(h2) && share->number % 2 == 1;
    if (mine && !given_up && share->decoded < h2->worker->limits.decoded_per_turn) {
        list_remove(&h2->readers, &running->reader_node);
        return true;
    }
    if (!list_is_linked(&running->reader_node)) {
        list_push_back(&h2->readers, &running->reader_node);
        rpc_metrics_limit(h2->worker->metrics->set, "decoded_per_turn");
    }
    return false;
}

static bool may_start(struct h2 *h2)
{
    return limit_in_the_way(h2) == NULL;
}

/* `queued` holds back a client that asks and does not read: its answers would pile up here. */
static const char *standing_limit(const struct h2 *h2)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    if (h2->running_calls.count >= limits->running_handlers)
        return "running_handlers";
    return h2->queued >= limits->queued_response_bytes ? "queued_response_bytes" : NULL;
}

static const char *limit_in_the_way(struct h2 *h2)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    const char *standing = standing_limit(h2);
    if (standing != NULL)
        return standing;
    const struct h2_turn_share *share = turn_share(h2);
    if (share->decoded >= limits->decoded_per_turn)
        return "decoded_per_turn";
    return share->started < limits->requests_per_turn ? NULL : "requests_per_turn";
}

void h2_stream_drop_message(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    assert(h2->buffered >= buf_size(&stream->framing.message));
    assert(h2->reserved >= stream->reserved);
    h2->buffered -= buf_size(&stream->framing.message);
    framing_recycle(&stream->framing);
    list_remove(&h2->waiting, &stream->room_node);
    h2->reserved -= stream->reserved;
    stream->reserved = 0;
    wake_waiting(h2);
}

/* Streams come and go with every call: the struct is kept, and zeroed at each new life but for its small
 * buffer. */
static struct h2_stream *stream_take(struct rpc_worker *worker)
{
    struct list_node *node = list_pop_front(&worker->spare_streams);
    if (node == NULL)
        return xcalloc(1, sizeof(struct h2_stream));
    struct h2_stream *stream = list_entry(node, struct h2_stream, node);
    struct framing recycled = stream->framing;
    *stream = (struct h2_stream){.framing = recycled};
    return stream;
}

void stream_free(struct h2_stream *stream)
{
    framing_deinit(&stream->framing);
    free(stream);
}

static void stream_give(struct rpc_worker *worker, struct h2_stream *stream)
{
    if (worker->spare_streams.count >= STREAMS_SPARE)
        stream_free(stream);
    else
        list_push_front(&worker->spare_streams, &stream->node);
}
