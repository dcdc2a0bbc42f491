/* What nghttp2 tells of streams.  The callbacks record and wake; they decide nothing.  A stream that was
 * given up has no user data any more. */
#include "client/stream.h"

#include <string.h>

#define SENDER_WAKES (32u << 10) /* bytes left of a sender's buffer when it may go on */

static struct client_stream *stream_of(nghttp2_session *session, int32_t id);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user);
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user);
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user);
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static void take_goaway(struct client_connection *connection, const nghttp2_goaway *goaway);
static void leave_unsent(struct client_stream *stream);
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user);
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user);

void stream_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
}

void streams_wake(struct client_connection *connection)
{
    struct list *streams = &connection->streams;
    for (struct list_node *node = list_first(streams); node != NULL;
         node = list_next(streams, node))
        (void)waitq_wake_all(&list_entry(node, struct client_stream, node)->queue, NULL);
}

/* lint-allow parameters: nghttp2's type */
ssize_t stream_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                    uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    (void)user;
    struct client_stream *stream = stream_of(session, id);
    if (stream == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* given up: there are no bytes any more */
    struct slice bytes = slice_skip(buf_slice(&stream->output), stream->in_frames);
    size_t count = bytes.size < size ? bytes.size : size;
    if (count == 0 && !stream->output_ended)
        return NGHTTP2_ERR_DEFERRED;
    if (count > 0)
        memcpy(out, bytes.data, count);
    stream->in_frames += count;
    if (!stream->keeps) {
        buf_consume(&stream->output, stream->in_frames);
        stream->in_frames = 0;
    } else if (stream->in_frames > CLIENT_KEPT_MAX) {
        stream_commit(stream);
    }
    if (bytes.size == count && stream->output_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (bytes.size - count <= SENDER_WAKES)
        (void)waitq_wake_all(&stream->queue, NULL);
    return (ssize_t)count;
}

static struct client_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* lint-allow parameters: nghttp2's type */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    struct client_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    const struct slice field[2] = {slice_make(name, name_size), slice_make(value, value_size)};
    stream_commit(stream);
    bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool taken = answer_take_field(&stream->answer, stream->call, last, field);
    if (!taken)
        (void)waitq_wake_all(&stream->queue, NULL);
    return taken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Bytes that nobody will take are given back to the connection's window at once. */
/* lint-allow parameters: nghttp2's type */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user)
{
    (void)flags;
    (void)user;
    struct client_stream *stream = stream_of(session, id);
    if (stream == NULL || !stream->answer.is_grpc) {
        (void)nghttp2_session_consume(session, id, size);
        return 0;
    }
    buf_put(&stream->input, data, size);
    (void)waitq_wake_all(&stream->queue, NULL);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)user;
    struct client_stream *stream = stream_of(session, id);
    if (stream == NULL)
        return 0;
    stream->closed = true;
    /* a GOAWAY without our stream, or no room: "can be retried" (RFC 9113 section 6.8, 8.7), unless an answer
     * had begun in spite of that */
    struct client_call *call = stream->call;
    bool refused = code == NGHTTP2_REFUSED_STREAM && stream->answer.header_bytes == 0 &&
                   !call->unsendable;
    call->unsent = !stream->sent && !call->unsendable;
    call->unprocessed = refused || call->unsent;
    stream->answer.was_reset = call->unprocessed || !stream->answered;
    stream->answer.close_code = call->unprocessed ? NGHTTP2_REFUSED_STREAM : code;
    (void)waitq_wake_all(&stream->queue, NULL);
    return 0;
}

/* A GOAWAY lets calls in flight end when their streams are among those still served; the others nghttp2
 * closes as refused.  The next call needs another connection. */
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client_connection *connection = user;
    if (frame->hd.type == NGHTTP2_SETTINGS)
        connection->greeted = true;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        take_goaway(connection, &frame->goaway);
    bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct client_stream *stream = ends ? stream_of(session, frame->hd.stream_id) : NULL;
    if (stream == NULL)
        return 0;
    stream->answered = true;
    (void)waitq_wake_all(&stream->queue, NULL);
    return 0;
}

static void take_goaway(struct client_connection *connection, const nghttp2_goaway *goaway)
{
    static const char why[] = "too_many_pings";
    connection->going_away = true;
    struct list *streams = &connection->streams;
    for (struct list_node *node = list_first(streams); node != NULL;
         node = list_next(streams, node)) {
        struct client_stream *stream = list_entry(node, struct client_stream, node);
        if (!stream->closed && stream->id > 0 &&
            nghttp2_session_find_stream(connection->session, stream->id) == NULL)
            leave_unsent(stream);
    }
    if (goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM &&
        goaway->opaque_data_len == sizeof why - 1 &&
        memcmp(goaway->opaque_data, why, sizeof why - 1) == 0)
        connection->too_many_pings = true;
}

/* A request that waits in nghttp2 for room has no stream yet.  It will not get any more, but nghttp2 finds
 * out only when another one ends, which may be a watch: it goes elsewhere at once. */
static void leave_unsent(struct client_stream *stream)
{
    stream->closed = stream->answer.was_reset = true;
    stream->answer.close_code = NGHTTP2_REFUSED_STREAM;
    stream->call->unsent = stream->call->unprocessed = true;
    (void)waitq_wake_all(&stream->queue, NULL);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct client_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream != NULL)
        stream->sent = true;
    return 0;
}

/* Before on_stream_close(), whose REFUSED_STREAM is nghttp2's own.  A session that is ending may take the
 * request on another connection; headers beyond what nghttp2 sends (64 KiB) will not become fewer there. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user)
{
    (void)user;
    if (frame->hd.type != NGHTTP2_HEADERS || error != NGHTTP2_ERR_FRAME_SIZE_ERROR)
        return 0;
    struct client_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream != NULL)
        stream->call->unsendable = true;
    return 0;
}
