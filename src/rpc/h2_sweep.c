/* What has to happen to a session because time passes: called by the connection every 50 ms.
 *
 * Who is to blame for a standstill is decided here.  A client is slow while it owes bytes of a unary request or
 * of a message that it has begun, or takes none of an answer.  One that owes nothing may be silent for as long
 * as it likes, and nobody is blamed for waiting for us. */
#include "rpc/h2.h"

#include "rpc/rpc_int.h"

#include <assert.h>
#include <math.h>

#define REST_PATIENCE_NS (100 * NS_PER_MS)
#define SHUTDOWN_NOTICE_NS NS_PER_S /* how long the notice may take to be seen */

static bool peer_is_there(struct h2 *h2, uint64_t now_ns);
static void finish_shutdown(struct h2 *h2, uint64_t now_ns);
static void sweep_stream(struct h2_stream *stream, uint64_t now_ns);
static bool owes_bytes(const struct h2_stream *stream);
static bool is_slow(struct h2_stream *stream, bool owes, uint64_t now_ns);
static bool is_read_slowly(struct h2_stream *stream, uint64_t now_ns);
static double pace_measure(struct h2_pace *pace, uint64_t bytes, uint64_t window_ns,
                           uint64_t now_ns);
static void refuse_rest(struct h2_stream *stream, uint64_t now_ns);
static void reset_stalled(struct h2_stream *stream, const char *limit);
static void drop_stalled_answers(struct h2 *h2, uint64_t now_ns);
static size_t stalled_bytes(const struct h2_stream *stream, uint64_t now_ns);
static size_t unsent_bytes(const struct h2_stream *stream);
static uint64_t standstill(const struct h2_stream *stream, uint64_t now_ns);
static void note_windows(struct h2 *h2);

/* One pass over at most `concurrent_streams` streams, and one more for answers. */
bool h2_sweep(struct h2 *h2, uint64_t now_ns)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    if (h2->shutting_down && !h2->goaway_final)
        finish_shutdown(h2, now_ns);
    if (h2->header_block_ns != 0 && now_ns - h2->header_block_ns > limits->headers_timeout_ns) {
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "headers_timeout");
        return false;
    }
    struct list_node *next = NULL;
    for (struct list_node *node = list_first(&h2->streams); node != NULL; node = next) {
        next = list_next(&h2->streams, node);
        sweep_stream(list_entry(node, struct h2_stream, node), now_ns);
    }
    drop_stalled_answers(h2, now_ns);
    note_windows(h2);
    bool idle = list_is_empty(&h2->streams) && list_is_empty(&h2->running_calls);
    if (idle && now_ns - h2->idle_since_ns > limits->idle_ns)
        h2_retire(h2, "idle");
    return peer_is_there(h2, now_ns) && !h2->failed;
}

/* A peer that vanished while it owes nothing, as one that watches does, is seen in no other way.  Any byte is
 * an answer (gRPC's keepalive). */
static bool peer_is_there(struct h2 *h2, uint64_t now_ns)
{
    static const uint8_t payload[8] = "present";
    const struct rpc_limits *limits = &h2->worker->limits;
    if (h2->asked_ns != 0) {
        if (now_ns < deadline_after(h2->asked_ns, limits->keepalive_timeout_ns))
            return true;
        rpc_metrics_limit(h2->worker->metrics->set, "keepalive_timeout");
        return false;
    }
    if (limits->keepalive_ns == 0 ||
        now_ns < deadline_after(h2->received_ns, limits->keepalive_ns))
        return true;
    h2->asked_ns = now_ns;
    (void)nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, payload);
    h2->wants_flush(h2->owner);
    return true;
}

void h2_retire(struct h2 *h2, const char *limit)
{
    if (h2->shutting_down)
        return;
    rpc_metrics_limit(h2->worker->metrics->set, limit);
    h2_shutdown(h2);
}

/* RFC 9113 section 6.8: the notice with the largest id tells the peer to stop opening streams;
 * what it had already sent is still served; then comes the GOAWAY with the true last id.  The
 * ping behind the notice tells when the peer has seen it; a peer that does not answer gets a
 * second. */
static void finish_shutdown(struct h2 *h2, uint64_t now_ns)
{
    if (h2->shutdown_ns != 0 && now_ns - h2->shutdown_ns < SHUTDOWN_NOTICE_NS)
        return;
    h2->goaway_final = true;
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    h2->wants_flush(h2->owner);
}

static void sweep_stream(struct h2_stream *stream, uint64_t now_ns)
{
    const struct rpc_limits *limits = &stream->h2->worker->limits;
    if (stream->given_up)
        return;
    if (stream->rest_unwanted) {
        refuse_rest(stream, now_ns);
        return;
    }
    uint64_t still = standstill(stream, now_ns);
    bool unsent = unsent_bytes(stream) > 0;
    if ((stream->answered || unsent) && still > limits->write_stall_ns) {
        reset_stalled(stream, "write_stall");
        return;
    }
    if (is_read_slowly(stream, now_ns)) {
        reset_stalled(stream, "write_rate");
        return;
    }
    /* headers still coming: headers_timeout watches those; or answered as plain HTTP */
    if (stream->answered || stream->call == NULL)
        return;
    bool owes = owes_bytes(stream);
    if (deadline_left(stream->call->call.ctx.deadline_ns, now_ns) == 0)
        dispatch_expire(stream);
    else if (owes && still > limits->body_progress_ns)
        reset_stalled(stream, "body_progress");
    else if (is_slow(stream, owes, now_ns))
        reset_stalled(stream, "body_rate");
}

/* The client has begun what it does not go on with.  Of a method whose client streams only the message counts
 * that the handler waits for: between messages, and while bytes lie here unread, nothing is owed. */
static bool owes_bytes(const struct h2_stream *stream)
{
    if (stream->ended || list_is_linked(&stream->held_node) || list_is_linked(&stream->room_node))
        return false;
    if (!stream->dispatched)
        return true;
    return stream->flow != NULL && buf_size(&stream->flow->inbox) == 0 &&
           framing_is_cut(&stream->framing);
}

/* Measured over windows of body_progress, the first of which begins with the first bytes: a message that is
 * whole within one of them may come as slowly as it likes.  Each message has windows of its own. */
static bool is_slow(struct h2_stream *stream, bool owes, uint64_t now_ns)
{
    const struct rpc_limits *limits = &stream->h2->worker->limits;
    struct h2_pace *pace = &stream->coming;
    if (!owes || (pace->since_ns == 0 && stream->body_bytes == pace->bytes)) {
        *pace = (struct h2_pace){.bytes = stream->body_bytes};
        return false;
    }
    return pace_measure(pace, stream->body_bytes, limits->body_progress_ns, now_ns) <
           (double)limits->body_rate;
}

/* The same of an answer, over windows of write_stall: a byte of window now and then is progress, and keeps the
 * answer here all the same.  Who takes all that was there at a window's begin is fast enough. */
static bool is_read_slowly(struct h2_stream *stream, uint64_t now_ns)
{
    const struct rpc_limits *limits = &stream->h2->worker->limits;
    struct h2_pace *pace = &stream->going;
    size_t unsent = unsent_bytes(stream);
    if (pace->since_ns == 0 || unsent == 0 || stream->answer_bytes >= stream->going_goal) {
        *pace =
            (struct h2_pace){.since_ns = unsent > 0 ? now_ns : 0, .bytes = stream->answer_bytes};
        stream->going_goal = stream->answer_bytes + unsent;
        return false;
    }
    double rate = pace_measure(pace, stream->answer_bytes, limits->write_stall_ns, now_ns);
    return rate < (double)limits->write_rate;
}

/* Bytes per second of the window that ends now, the next one beginning; more than any limit while none ends. */
static double pace_measure(struct h2_pace *pace, uint64_t bytes, uint64_t window_ns,
                           uint64_t now_ns)
{
    if (pace->since_ns == 0)
        pace->since_ns = now_ns;
    uint64_t passed = now_ns > pace->since_ns ? now_ns - pace->since_ns : 0;
    if (passed < window_ns)
        return HUGE_VAL;
    double moved = (double)(bytes - pace->bytes);
    *pace = (struct h2_pace){.since_ns = now_ns, .bytes = bytes};
    return moved * (double)NS_PER_S / (double)passed;
}

/* RFC 9113 section 8.1: a server "MAY request that the client abort transmission of a request without error by
 * sending a RST_STREAM with an error code of NO_ERROR after sending a complete response".  Most clients end the
 * stream by themselves when they read it: a moment's patience spares the frame, and what was under way is still
 * judged as part of an open stream.  It can be no more than the window, which is not given back. */
static void refuse_rest(struct h2_stream *stream, uint64_t now_ns)
{
    if (stream->ended || now_ns < deadline_after(stream->end_sent_ns, REST_PATIENCE_NS))
        return;
    stream->rest_unwanted = false;
    (void)nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id,
                                    NGHTTP2_NO_ERROR);
    stream->h2->wants_flush(stream->h2->owner);
}

/* Once: the frame may have to wait for the socket, through many sweeps. */
static void reset_stalled(struct h2_stream *stream, const char *limit)
{
    assert(!stream->given_up);
    stream->given_up = true;
    rpc_metrics_limit(stream->h2->worker->metrics->set, limit);
    (void)nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id,
                                    NGHTTP2_CANCEL);
    stream->h2->wants_flush(stream->h2->owner);
}

/* A hundred answers that nobody takes must not lie here for all of write_stall: of those that stand still for
 * half of it only so many bytes are kept, and the oldest go first. */
static void drop_stalled_answers(struct h2 *h2, uint64_t now_ns)
{
    size_t limit = h2->worker->limits.stalled_bytes;
    if (h2->queued <= limit)
        return;
    size_t stalled = 0;
    for (struct list_node *node = list_first(&h2->streams); node != NULL;
         node = list_next(&h2->streams, node))
        stalled += stalled_bytes(list_entry(node, struct h2_stream, node), now_ns);
    for (struct list_node *node = list_first(&h2->streams); node != NULL && stalled > limit;
         node = list_next(&h2->streams, node)) {
        struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        size_t bytes = stalled_bytes(stream, now_ns);
        if (bytes == 0)
            continue;
        stalled -= bytes;
        reset_stalled(stream, "stalled_bytes");
    }
}

static size_t stalled_bytes(const struct h2_stream *stream, uint64_t now_ns)
{
    if (stream->given_up ||
        standstill(stream, now_ns) <= stream->h2->worker->limits.write_stall_ns / 2)
        return 0;
    return unsent_bytes(stream);
}

static size_t unsent_bytes(const struct h2_stream *stream)
{
    size_t outbox = stream->flow == NULL ? 0 : buf_size(&stream->flow->outbox);
    return stream->reply.size - stream->reply_sent + outbox;
}

static uint64_t standstill(const struct h2_stream *stream, uint64_t now_ns)
{
    return now_ns > stream->progress_ns ? now_ns - stream->progress_ns : 0;
}

/* For channelz, which may be late by a sweep: only this thread may ask the library. */
static void note_windows(struct h2 *h2)
{
    atomic_store_explicit(&h2->traffic->windows[WINDOW_TO_PEER],
                          nghttp2_session_get_remote_window_size(h2->session),
                          memory_order_relaxed);
    atomic_store_explicit(&h2->traffic->windows[WINDOW_TO_US],
                          nghttp2_session_get_local_window_size(h2->session), memory_order_relaxed);
}
