/* What nghttp2 tells us.  These functions record and count; whatever has to be done is done by h2_process()
 * after the library has returned.  Budgets that a peer exceeds end the session here, because submitting a
 * GOAWAY is allowed in callbacks while sending and receiving are not. */
#include "rpc/h2.h"
#include "rpc/rpc_int.h"

#include <assert.h>

#define GOAWAY_BYTES_MAX 1024
#define FIELD_OVERHEAD 32 /* RFC 9113 section 10.5.1: "an overhead of 32 octets for each field" */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user);
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user);
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_size, const uint8_t *value,
                             size_t value_size, uint8_t flags, void *user);
static const char *count_header(struct h2_stream *stream, size_t size);
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user);
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user);
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user);
static void take_request_end(struct h2 *h2, const nghttp2_frame *frame);
static void take_ping(struct h2 *h2, const nghttp2_frame *frame);
static void take_settings(struct h2 *h2, const nghttp2_frame *frame);
static int read_on(const struct h2 *h2);
static void take_new_stream(struct h2 *h2, int32_t id);
static void take_late_headers(struct h2 *h2, uint32_t id);
static void take_reset(struct h2 *h2);
static void note_goaway(struct h2 *h2, uint32_t error);
static void note_reset(struct h2 *h2, const nghttp2_frame *frame);
static void check_frame_budgets(struct h2 *h2, const nghttp2_frame_hd *head);
static uint64_t tiny_frames(const struct h2_budgets *budgets);
static void check_windows(struct h2 *h2, const nghttp2_frame_hd *head);
static int on_extension_chunk(nghttp2_session *session, const nghttp2_frame_hd *head,
                              const uint8_t *data, size_t size, void *user);
static int on_extension_end(nghttp2_session *session, void **payload, const nghttp2_frame_hd *head,
                            void *user);

void h2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, on_extension_chunk);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_extension_end);
}

void h2_give_up(struct h2 *h2, uint32_t error, const char *limit)
{
    if (h2->failed)
        return;
    rpc_metrics_limit(h2->worker->metrics->set, limit);
    /* gRPC proposal A8 gives this one its words: clients then ask half as often */
    h2->end_reason = strcmp(limit, "pings") == 0 ? "too_many_pings" : limit;
    h2_end(h2, error);
}

void h2_end(struct h2 *h2, uint32_t error)
{
    if (h2->failed)
        return;
    h2->failed = true;
    h2->end_error = error;
    if (!h2->receiving) /* else h2_receive() does it */
        h2_say_end(h2);
}

/* The library's own end of a session has no room for our debug data, but lets nothing of what is queued out any
 * more: so it is asked for both, and its own GOAWAY, behind ours, is never sent (h2_send). */
void h2_say_end(struct h2 *h2)
{
    const char *reason = h2->end_reason;
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, h2->end_error,
                                (const uint8_t *)reason, reason == NULL ? 0 : strlen(reason));
    (void)nghttp2_session_terminate_session(h2->session, h2->end_error);
}

/* What every callback of receiving returns.  The library must not read on once the connection is given up: some
 * of its paths do so even after its own GOAWAY, and abort at the next malformed frame (CVE-2026-27135). */
static int read_on(const struct h2 *h2)
{
    return h2->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* RFC 9113 section 5.1.1: "The identifier of a newly established stream MUST be numerically greater than all
 * streams that the initiating endpoint has opened or reserved."  nghttp2 1.52 lets smaller ones pass. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user)
{
    struct h2 *h2 = user;
    /* any other frame means that the block before it has ended */
    if (head->type != NGHTTP2_CONTINUATION)
        h2->header_block_ns = 0;
    if (head->type == NGHTTP2_HEADERS && head->stream_id > 0) {
        h2->header_block_ns = clock_tick();
        if (head->stream_id > h2->highest_stream)
            take_new_stream(h2, head->stream_id);
        else if (nghttp2_session_find_stream(session, head->stream_id) == NULL)
            take_late_headers(h2, (uint32_t)head->stream_id);
    }
    /* RFC 9113 section 6.3: a PRIORITY frame on stream 0x00 is a connection error of type PROTOCOL_ERROR.
     * The library ignores all of them once RFC 7540's priorities are declined. */
    if (head->type == NGHTTP2_PRIORITY && head->stream_id == 0)
        h2_give_up(h2, NGHTTP2_PROTOCOL_ERROR, "invalid_frame");
    if (head->type == NGHTTP2_DATA)
        check_windows(h2, head);
    check_frame_budgets(h2, head);
    return read_on(h2);
}

/* RFC 9113 section 6.9.1: "A sender MUST NOT send a flow-controlled frame with a length that exceeds the space
 * available".  A stream that does is reset by the library; here it is counted. */
static void check_windows(struct h2 *h2, const nghttp2_frame_hd *head)
{
    int32_t room = nghttp2_session_get_local_window_size(h2->session);
    int32_t of_stream = nghttp2_session_get_stream_local_window_size(h2->session, head->stream_id);
    if (room < 0 || head->length > (size_t)room)
        h2_give_up(h2, NGHTTP2_FLOW_CONTROL_ERROR, "connection_window");
    else if (of_stream >= 0 && head->length > (size_t)of_stream) /* else it is not open */
        rpc_metrics_limit(h2->worker->metrics->set, "stream_window");
}

/* The library refuses one too many; here it is counted. */
static void take_new_stream(struct h2 *h2, int32_t id)
{
    h2->highest_stream = id;
    h2->streams_begun++;
    if (h2->streams.count >= h2->concurrent_streams)
        rpc_metrics_limit(h2->worker->metrics->set, "concurrent_streams");
}

/* RFC 9113 section 5.4.2: "The peer that sends the RST_STREAM frame MUST be prepared to receive any frames that
 * were sent or enqueued for sending by the remote peer."  The library reads the block for HPACK's sake and
 * tells nobody, so its end would not be seen here. */
static void take_late_headers(struct h2 *h2, uint32_t id)
{
    if (h2_wire_take_trailers(&h2->wire, id))
        h2->header_block_ns = 0;
    else
        h2_give_up(h2, NGHTTP2_PROTOCOL_ERROR, "stream_order");
}

/* Measured against what the peer did of use: requests it made and frames of ours that it took.
 * A flood of frames without either ends the connection; a long-lived busy one never gets near, and neither
 * does one that uploads. */
static void check_frame_budgets(struct h2 *h2, const nghttp2_frame_hd *head)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    struct h2_budgets *budgets = &h2->budgets;
    if (head->type == NGHTTP2_DATA) {
        budgets->data_frames++;
        budgets->data_bytes += head->length;
    } else {
        budgets->frames++;
    }
    if (budgets->frames + tiny_frames(budgets) >
        20 * (budgets->requests + budgets->data_sent) + limits->control_frames)
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "control_frames");
    switch (head->type) {
    case NGHTTP2_SETTINGS:
        if (!(head->flags & NGHTTP2_FLAG_ACK) &&
            !budget_take(&budgets->settings, limits->settings_per_10s,
                         limits->settings_per_10s / 10.0, clock_now()))
            h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "settings_per_10s");
        return;
    case NGHTTP2_WINDOW_UPDATE:
        if (++budgets->window_updates >
            10 * (budgets->data_sent + budgets->requests) + limits->window_updates)
            h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "window_updates");
        return;
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PING:
    case NGHTTP2_CONTINUATION:
        return;
    case NGHTTP2_GOAWAY: /* the library makes room for its words, which nobody reads */
        if (head->length > GOAWAY_BYTES_MAX)
            h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "goaway_bytes");
        return;
    default: /* PRIORITY and unknown types */
        if (++budgets->priorities > limits->priority_frames + 10 * budgets->requests)
            h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "priority_frames");
        return;
    }
}

/* DATA pays for itself by what it carries: on average as much as the prefix of a message, or it is a flood.  A
 * window may end anywhere, so that a few bytes are no offence in one frame. */
static uint64_t tiny_frames(const struct h2_budgets *budgets)
{
    uint64_t paid = budgets->data_bytes / FRAME_PREFIX_SIZE;
    return budgets->data_frames > paid ? budgets->data_frames - paid : 0;
}

/* Counted before the library knows whether the headers are sound: malformed requests use up
 * requests_per_connection as well. */
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    h2->budgets.requests++;
    h2->request_count++;
    traffic_count_at(h2->traffic, TRAFFIC_STREAMS, LAST_STREAM, h2->received_ns);
    (void)h2_stream_open(h2, frame->hd.stream_id);
    return 0;
}

/* A request whose headers outgrow a limit costs the peer its connection: HPACK lets a few bytes on the wire
 * become megabytes here. */
/* lint-allow parameters: nghttp2's type */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)session;
    (void)flags;
    struct h2 *h2 = user;
    struct h2_stream *stream = h2_stream_find(h2, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    const char *limit = count_header(stream, name_size + value_size);
    if (limit != NULL) {
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, limit);
        return read_on(h2);
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0; /* request trailers: counted, not kept */
    request_headers_add(stream->headers, stream->arena, slice_make(name, name_size),
                        slice_make(value, value_size));
    return 0;
}

/* RFC 9113 section 8.1.1: a malformed field makes the request malformed.  Counted before that, because a
 * bomb may be made of such fields too. */
/* lint-allow parameters: nghttp2's type */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_size, const uint8_t *value,
                             size_t value_size, uint8_t flags, void *user)
{
    (void)session;
    (void)name;
    (void)value;
    (void)flags;
    struct h2 *h2 = user;
    struct h2_stream *stream = h2_stream_find(h2, frame->hd.stream_id);
    const char *limit = stream == NULL ? NULL : count_header(stream, name_size + value_size);
    if (limit != NULL)
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, limit);
    h2->header_block_ns = 0;
    return h2->failed ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* The limit that this field goes over; NULL: none. */
static const char *count_header(struct h2_stream *stream, size_t size)
{
    const struct rpc_limits *limits = &stream->h2->worker->limits;
    stream->header_bytes += size + FIELD_OVERHEAD;
    if (stream->field_count++ >= limits->header_fields)
        return "header_fields";
    if (size > limits->header_field_bytes)
        return "header_field_bytes";
    return stream->header_bytes > limits->header_bytes ? "header_bytes" : NULL;
}

/* Only whole and valid frames come here; the bytes of a DATA frame were given to on_data()
 * before. */
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        take_request_end(h2, frame);
        break;
    case NGHTTP2_PING:
        take_ping(h2, frame);
        break;
    case NGHTTP2_SETTINGS:
        take_settings(h2, frame);
        break;
    case NGHTTP2_RST_STREAM:
        take_reset(h2);
        break;
    default:
        break;
    }
    return read_on(h2);
}

/* A second HEADERS frame is the request's trailers: gRPC sends none, HTTP/2 allows them, they
 * end the stream. */
static void take_request_end(struct h2 *h2, const nghttp2_frame *frame)
{
    struct h2_stream *stream = h2_stream_find(h2, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        h2->header_block_ns = 0;
        h2->shown_blocks_bytes += frame->hd.length; /* with its CONTINUATIONs */
    }
    if (stream == NULL)
        return;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->headers_done) {
        stream->headers_done = true;
        dispatch_find_method(stream);
    }
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    stream->ended = stream->ended || end;
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !end &&
        ++stream->empty_data > h2->worker->limits.empty_data)
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "empty_data");
    h2_stream_ready(stream);
}

/* CVE-2023-44487.  The library has a limit of its own, but ends the session as if the error were ours. */
static void take_reset(struct h2 *h2)
{
    struct identity_limits own = limits_of_identity(&h2->worker->limits, h2->caller);
    if (!budget_take(&h2->budgets.client_resets, own.client_resets_burst, own.client_resets_rate,
                     clock_now()))
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "client_resets");
}

/* gRPC's rule (proposal A8): a ping costs little, many without work are abuse. */
static void take_ping(struct h2 *h2, const nghttp2_frame *frame)
{
    struct h2_budgets *budgets = &h2->budgets;
    const struct rpc_limits *limits = &h2->worker->limits;
    uint64_t now = clock_now();
    if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
        bool of_notice = memcmp(frame->ping.opaque_data, H2_GOODBYE, 8) == 0;
        if (of_notice && h2->shutting_down && !h2->goaway_final)
            h2->shutdown_ns =
                0; /* the peer has seen the notice: the next sweep sends the last GOAWAY */
        return;
    }
    bool early = budgets->last_ping_ns != 0 &&
                 now - budgets->last_ping_ns < limits->ping_interval_ns;
    bool working = !list_is_empty(&h2->streams) || budgets->data_since_ping > 0;
    budgets->last_ping_ns = now;
    budgets->data_since_ping = 0;
    if (!early || working)
        budgets->ping_strikes = working ? 0 : budgets->ping_strikes;
    else if (++budgets->ping_strikes > limits->ping_strikes)
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "pings");
}

/* Both are awaited under preface_timeout: a client that does not speak HTTP/2 after its
 * handshake is gone in seconds (connection_sweep). */
static void take_settings(struct h2 *h2, const nghttp2_frame *frame)
{
    if (frame->hd.flags & NGHTTP2_FLAG_ACK)
        h2->settings_acked = true;
    else
        h2->preface_done = true;
}

/* lint-allow parameters: nghttp2's type */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user)
{
    (void)session;
    (void)flags;
    struct h2 *h2 = user;
    h2->connection_unacked += size;
    struct h2_stream *stream = h2_stream_find(h2, id);
    if (stream == NULL)
        return 0;
    stream->unacked += size;
    stream->body_bytes += size;
    stream->progress_ns = clock_tick();
    if (stream->answered || stream->framing_error != FRAMING_OK)
        return 0; /* nobody will read it */
    if (stream->flow != NULL && stream->slot->method->client_streaming) {
        buf_put(&stream->flow->inbox, data, size); /* at most a window: see h2_flow.h */
        h2->buffered += size;
#ifdef PLANTED_SESSION_BUG /* for tests/fuzz: padded data is counted twice by one, and given back once */
        h2->buffered += (flags & NGHTTP2_FLAG_PADDED) != 0;
#endif
        h2_stream_ready(stream);
        return 0;
    }
    size_t before = buf_size(&stream->framing.message);
    stream->framing_error = framing_feed(&stream->framing, slice_make(data, size));
    h2->buffered += buf_size(&stream->framing.message) - before;
    h2_stream_ready(stream);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    (void)session;
    (void)error;
    struct h2_stream *stream = h2_stream_find(user, id);
    if (stream != NULL)
        h2_stream_close(stream);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h2 = user;
    uint8_t type = frame->hd.type;
    if (type == NGHTTP2_RST_STREAM)
        note_reset(h2, frame);
    if (type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
        traffic_count(h2->traffic, TRAFFIC_PINGS);
    if (type == NGHTTP2_GOAWAY)
        note_goaway(h2, frame->goaway.error_code);
    if (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS)
        return 0;
    h2->budgets.data_sent++;
    h2->budgets.data_since_ping++;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct h2_stream *stream = h2_stream_find(h2, frame->hd.stream_id);
    if (stream != NULL) {
        stream->end_sent = true;
        traffic_count(h2->traffic, TRAFFIC_STREAMS_OK);
    }
    if (stream != NULL && !stream->ended) {
        stream->rest_unwanted = true;
        stream->end_sent_ns = clock_tick();
    }
    return 0;
}

/* Ours, whose limit is counted, or the library's own, for what it finds and tells in no other way.  Its
 * ENHANCE_YOUR_CALM is for a SETTINGS frame alone.  INADEQUATE_SECURITY is ours alone, to a peer that is
 * trusted no longer (drop_distrusted): what has changed is the trust, and the peer has done nothing. */
static void note_goaway(struct h2 *h2, uint32_t error)
{
    if (error == NGHTTP2_NO_ERROR)
        return;
    if (error != NGHTTP2_INADEQUATE_SECURITY)
        h2->offended = true;
    if (h2->failed && error == h2->end_error) {
        h2->end_said = true;
        return;
    }
    const char *limit = "protocol";
    if (error == NGHTTP2_ENHANCE_YOUR_CALM)
        limit = "settings_entries";
    else if (error == NGHTTP2_FRAME_SIZE_ERROR)
        limit = "frame_size";
    else if (error == NGHTTP2_COMPRESSION_ERROR)
        limit = "compression";
    rpc_metrics_limit(h2->worker->metrics->set, limit);
}

/* Resets that the peer tricks us into sending (CVE-2025-8671) are budgeted like its own. */
static void note_reset(struct h2 *h2, const nghttp2_frame *frame)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    const struct h2_stream *stream = h2_stream_find(h2, frame->hd.stream_id);
    if (stream == NULL || !stream->ended)
        h2_wire_reset(&h2->wire, (uint32_t)frame->hd.stream_id);
    if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        !budget_take(&h2->budgets.server_resets, limits->server_resets_burst,
                     limits->server_resets_rate, clock_now()))
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "server_resets");
}

/* The library answers it with RST_STREAM or GOAWAY by itself, which on_frame_send() budgets. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user)
{
    (void)session;
    (void)error;
    struct h2 *h2 = user;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h2->header_block_ns = 0;
    rpc_metrics_limit(h2->worker->metrics->set, "invalid_frame");
    return 0;
}

/* Frames of unknown types must be ignored (RFC 9113 section 5.5); the library hides them from on_begin_frame
 * unless somebody asks for their payload. */
/* lint-allow parameters: nghttp2's type */
static int on_extension_chunk(nghttp2_session *session, const nghttp2_frame_hd *head,
                              const uint8_t *data, size_t size, void *user)
{
    (void)session;
    (void)head;
    (void)data;
    (void)size;
    (void)user;
    return 0;
}

static int on_extension_end(nghttp2_session *session, void **payload, const nghttp2_frame_hd *head,
                            void *user)
{
    (void)session;
    (void)payload;
    (void)head;
    (void)user;
    return NGHTTP2_ERR_CANCEL; /* dropped */
}
