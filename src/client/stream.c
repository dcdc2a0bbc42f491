/* One call on a connection: request headers, messages both ways, and the status.
 *
 *    stream_open ──> send … send_end            (DATA is fetched by on_read as windows allow)
 *               └──> receive … receive ──> answer_judge
 *    revive: what no handler has seen, on another stream with all that was sent
 *    close: RST_STREAM for what is not over; the connection goes on
 *
 * Called by unary.c and by callers of streaming methods; must never hand out a message that is not whole. */
#include "client/stream.h"

#include "base/alloc.h"

#include "client/channel_int.h"
#include "rpc/coding.h"
#include "rpc/gzip.h"
#include "rpc/status.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S) /* as the server's own (limits.deadline_default) */
#define SEND_BUFFER (64u << 10)
#define FIELDS_MAX (CLIENT_METADATA_MAX + 11) /* the eleven of a request, and the caller's */
#define PREVIOUS_TEXT_SIZE 12                 /* a count of attempts */

static size_t compress_from(const struct client_call *call,
                            const struct client_connection *connection);
static int submit(struct client_stream *stream);
static void put_message(struct client_stream *stream, const ProtobufCMessage *message);
static void look(const struct client_stream *stream);
static void end_output(struct client_stream *stream);
static void resume(struct client_stream *stream);
static size_t put_fields(struct client_stream *stream, const char *timeout, const char *previous,
                         nghttp2_nv *fields);
static void previous_format(const struct client_call *call, char text[PREVIOUS_TEXT_SIZE]);
static struct slice metadata_text(struct client_call *call, const struct client_field *field);
static void put_field(nghttp2_nv *item, const char *name, struct slice value);
static void attach(struct client_stream *stream, struct client_connection *connection);
static void detach(struct client_stream *stream);
static int revive(struct client_stream *stream);
static int move(struct client_stream *stream);
static size_t unsent_size(const struct client_stream *stream);
static bool is_lost(const struct client_stream *stream);
static int in_time(struct client_stream *stream);
static int stream_wait(struct client_stream *stream);
static int take_input(struct client_stream *stream);
static int take_message(struct client_stream *stream, struct arena *arena,
                        ProtobufCMessage **message);
static int finish(struct client_stream *stream);

int client_stream_open(struct client_call *call, const struct rpc_method *method,
                       struct client_stream **stream)
{
    call_begin(call);
    call_reset(call);
    call->attempts = 1;
    uint64_t deadline = call_deadline(call);
    struct client_connection *connection = NULL;
    TRY(channel_connection(call, deadline, &connection));
    TRY(stream_open(call, connection, method, deadline, stream));
    (*stream)->keeps = true;
    return OK;
}

int client_stream_begin(struct client_call *call, const struct rpc_method *method,
                        const ProtobufCMessage *in, struct client_stream **stream)
{
    assert(!method->client_streaming);
    TRY(client_stream_open(call, method, stream));
    stream_send_whole(*stream, in);
    return OK;
}

/* lint-allow parameters: see stream.h */
int stream_open(struct client_call *call, struct client_connection *connection,
                const struct rpc_method *method, uint64_t deadline_ns, struct client_stream **out)
{
    struct client_stream *stream = xcalloc(1, sizeof *stream);
    stream->call = call;
    stream->method = method;
    stream->deadline_ns = deadline_ns;
    framing_init(&stream->framing, CLIENT_MESSAGE_MAX);
    waitq_init(&stream->queue);
    attach(stream, connection);
    stream->compress_from = compress_from(call, connection);
    int rc = submit(stream);
    if (rc != OK) {
        client_stream_close(stream);
        return rc;
    }
    *out = stream;
    return OK;
}

/* Once per stream: what it keeps to send again may be compressed already. */
static size_t compress_from(const struct client_call *call,
                            const struct client_connection *connection)
{
    size_t from = call->compress_from != 0 ? call->compress_from
                                           : call->channel->settings.compress_from;
    bool none = from == CLIENT_COMPRESS_NONE || call->goes_plain || connection->knows_no_gzip;
    return none ? 0 : from;
}

void call_begin(struct client_call *call)
{
    call->attempts = call->transparent = 0;
    call->was_refused = call->goes_plain = false;
}

void call_reset(struct client_call *call)
{
    call->status = -1;
    call->message = "";
    call->details = slice_make(NULL, 0);
    call->answer_count = 0;
    call->unprocessed = call->unsent = call->unsendable = call->knows_no_gzip = false;
}

uint64_t call_deadline(const struct client_call *call)
{
    if (call->timeout_ns == CLIENT_NO_TIMEOUT)
        return call->ctx->deadline_ns;
    uint64_t timeout = call->timeout_ns == 0 ? TIMEOUT_DEFAULT_NS : call->timeout_ns;
    return ctx_deadline_within(call->ctx, timeout);
}

struct slice client_answer(const struct client_call *call, const char *key)
{
    for (size_t i = 0; i < call->answer_count; i++) {
        if (strcmp(call->answer[i].key, key) == 0)
            return call->answer[i].value;
    }
    return slice_make(NULL, 0);
}

int client_stream_send(struct client_stream *stream, const ProtobufCMessage *message)
{
    assert(!stream->output_ended);
    look(stream);
    TRY(revive(stream));
    if (stream_is_over(stream))
        return OK;
    put_message(stream, message);
    resume(stream);
    while (unsent_size(stream) > SEND_BUFFER && !stream_is_over(stream)) {
        TRY(in_time(stream));
        if (!stream_is_over(stream))
            TRY(stream_wait(stream));
        TRY(revive(stream));
    }
    return OK;
}

void stream_send_whole(struct client_stream *stream, const ProtobufCMessage *message)
{
    assert(!stream->output_ended);
    put_message(stream, message);
    end_output(stream);
}

/* A thread that only sends does not wait, and so does not read: an answer that came before the server hung
 * up would be lost to the write that fails. */
static void look(const struct client_stream *stream)
{
    if (stream->connection != NULL && stream->connection->loop == NULL)
        client_connection_look(stream->connection);
}

static void put_message(struct client_stream *stream, const ProtobufCMessage *message)
{
    assert(message->descriptor == stream->method->request);
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *place = buf_reserve(&stream->output, FRAME_PREFIX_SIZE + size);
    protobuf_c_message_pack(message, place + FRAME_PREFIX_SIZE);
    bool smaller = stream->compress_from > 0 && !stream->spares && size >= stream->compress_from &&
                   gzip_shrink(place + FRAME_PREFIX_SIZE, &size);
    framing_prefix(place, smaller ? FRAME_COMPRESSED : FRAME_PLAIN, size);
    buf_commit(&stream->output, FRAME_PREFIX_SIZE + size);
}

void client_stream_compress(struct client_stream *stream, bool wanted)
{
    stream->spares = !wanted;
}

void client_stream_send_end(struct client_stream *stream)
{
    if (stream->output_ended)
        return;
    look(stream);
    end_output(stream);
}

static void end_output(struct client_stream *stream)
{
    stream->output_ended = true;
    if (!stream_is_over(stream))
        resume(stream);
}

/* nghttp2 asks for a stream's bytes again only when it is told to. */
static void resume(struct client_stream *stream)
{
    (void)nghttp2_session_resume_data(stream->connection->session, stream->id);
    client_connection_flush(stream->connection);
}

/* Messages first: those that came whole before the end are the caller's whatever the status is. */
int client_stream_receive(struct client_stream *stream, struct arena *arena,
                          ProtobufCMessage **message)
{
    *message = NULL;
    for (;;) {
        TRY(in_time(stream));
        TRY(take_input(stream));
        if (framing_has_message(&stream->framing))
            return take_message(stream, arena, message);
        TRY(revive(stream));
        if (stream_is_over(stream) || stream->answer.overflown)
            return finish(stream);
        client_connection_flush(stream->connection); /* windows given back */
        if (!stream_is_over(stream))
            TRY(stream_wait(stream));
    }
}

void client_stream_close(struct client_stream *stream)
{
    if (stream == NULL)
        return;
    assert(stream->queue.waiters.count == 0);
    if (stream->connection != NULL)
        detach(stream);
    buf_deinit(&stream->output);
    buf_deinit(&stream->input);
    framing_deinit(&stream->framing);
    free(stream);
}

static void attach(struct client_stream *stream, struct client_connection *connection)
{
    stream->connection = connection;
    connection->references++;
    list_push_back(&connection->streams, &stream->node);
}

/* The server is told at once, because the next call may be far.  The stream forgets us, so that what still
 * comes of it meets nobody; what nobody took is given back to the connection's window. */
static void detach(struct client_stream *stream)
{
    struct client_connection *connection = stream->connection;
    list_remove(&connection->streams, &stream->node);
    channel_ping_less(stream->call->channel, connection);
    if (!connection->over && stream->id > 0) {
        uint32_t code = stream->answered ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL;
        (void)nghttp2_session_consume_connection(connection->session, buf_size(&stream->input));
        (void)nghttp2_session_set_stream_user_data(connection->session, stream->id, NULL);
        if (!stream->closed)
            (void)nghttp2_submit_rst_stream(connection->session, NGHTTP2_FLAG_NONE, stream->id,
                                            code);
        client_connection_flush(connection);
    }
    client_connection_unref(TAKE(stream->connection));
}

void stream_commit(struct client_stream *stream)
{
    if (!stream->keeps)
        return;
    stream->keeps = false;
    buf_consume(&stream->output, stream->in_frames);
    stream->in_frames = 0;
}

/* Where the call cannot be made again its end stays as it is, for client_stream_receive(). */
static int revive(struct client_stream *stream)
{
    struct client_call *call = stream->call;
    uint64_t pause = 0;
    while (stream->keeps && stream_is_over(stream)) {
        if (is_lost(stream))
            call->unprocessed = call->unsent = !stream->sent;
        enum wait_result waited = WAIT_TIMEOUT;
        if (retry_is_transparent(call, &pause))
            waited = retry_pause(call, pause, stream->deadline_ns);
        int rc = OK;
        if (waited == WAIT_READY)
            rc = move(stream);
        else if (waited == WAIT_CANCELLED)
            rc = wait_fault(call->ctx, waited, "the next attempt");
        if (waited != WAIT_READY || rc != OK) {
            stream_commit(stream);
            return rc;
        }
    }
    return OK;
}

/* The old connection may end as soon as its last stream has gone.  A failed connect leaves a refused one. */
static int move(struct client_stream *stream)
{
    struct client_connection *connection = NULL;
    detach(stream);
    stream->closed = stream->answer.was_reset = true;
    stream->answer.close_code = NGHTTP2_REFUSED_STREAM;
    call_reset(stream->call);
    stream->call->attempts++;
    TRY(channel_connection(stream->call, stream->deadline_ns, &connection));
    buf_clear(&stream->input);
    framing_recycle(&stream->framing);
    stream->answer = (struct answer){.http_status = 0};
    stream->id = 0;
    stream->sent = stream->answered = stream->closed = false;
    stream->in_frames = 0;
    attach(stream, connection);
    TRY(submit(stream));
    client_connection_flush(connection);
    return OK;
}

static size_t unsent_size(const struct client_stream *stream)
{
    return buf_size(&stream->output) - stream->in_frames;
}

/* PROTOCOL-HTTP2.md: "te" is "used to detect incompatible proxies"; custom metadata comes behind the call's
 * definition.  Fields are copied by the library. */
static int submit(struct client_stream *stream)
{
    struct client_connection *connection = stream->connection;
    char timeout[TIMEOUT_TEXT_SIZE] = "";
    if (stream->deadline_ns != NO_DEADLINE)
        timeout_format(deadline_left(stream->deadline_ns, clock_now()), timeout);
    char previous[PREVIOUS_TEXT_SIZE];
    previous_format(stream->call, previous);
    nghttp2_nv fields[FIELDS_MAX];
    size_t count = put_fields(stream, timeout, previous, fields);
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = stream_read};
    int32_t id =
        nghttp2_submit_request(connection->session, NULL, fields, count, &provider, stream);
    if (id < 0) {
        client_connection_end(connection, FAULT_PROTOCOL, "HTTP/2: %s", nghttp2_strerror(id));
        return client_connection_fault(stream->call->ctx, connection);
    }
    stream->id = id;
    return OK;
}

/* gRPC proposal A6: "it will not be present on the first RPC, will be 1 for second RPC, and so on".  Attempts
 * that no handler has seen do not count. */
static void previous_format(const struct client_call *call, char text[PREVIOUS_TEXT_SIZE])
{
    unsigned seen = call->attempts - call->transparent;
    text[0] = '\0';
    if (seen > 1)
        snprintf(text, PREVIOUS_TEXT_SIZE, "%u", seen - 1);
}

static size_t put_fields(struct client_stream *stream, const char *timeout, const char *previous,
                         nghttp2_nv *fields)
{
    struct client_call *call = stream->call;
    size_t count = 0;
    put_field(&fields[count++], ":method", slice_of_str("POST"));
    put_field(&fields[count++], ":scheme", slice_of_str("https"));
    put_field(&fields[count++], ":authority", slice_of_str(stream->connection->authority));
    put_field(&fields[count++], ":path", slice_of_str(stream->method->path));
    put_field(&fields[count++], "te", slice_of_str("trailers"));
    if (timeout[0] != '\0')
        put_field(&fields[count++], "grpc-timeout", slice_of_str(timeout));
    if (previous[0] != '\0')
        put_field(&fields[count++], "grpc-previous-rpc-attempts", slice_of_str(previous));
    put_field(&fields[count++], "content-type", slice_of_str("application/grpc"));
    put_field(&fields[count++], "user-agent", slice_of_str("libtenant/" TENANT_VERSION));
    if (stream->compress_from > 0) {
        put_field(&fields[count++], "grpc-encoding", slice_of_str("gzip"));
        put_field(&fields[count++], "grpc-accept-encoding", slice_of_str("identity,gzip"));
    }
    assert(call->metadata_count <= CLIENT_METADATA_MAX);
    for (size_t i = 0; i < call->metadata_count; i++)
        put_field(&fields[count++], call->metadata[i].key, metadata_text(call, &call->metadata[i]));
    return count;
}

/* "-bin" values travel as base64 (PROTOCOL-HTTP2.md, "Binary-Header"). */
static struct slice metadata_text(struct client_call *call, const struct client_field *field)
{
    size_t size = strlen(field->key);
    if (size <= 4 || strcmp(field->key + size - 4, "-bin") != 0)
        return field->value;
    struct buf coded = BUF_EMPTY;
    base64_encode(&coded, field->value);
    struct slice text = buf_slice(&coded);
    const char *kept = arena_strndup(call->ctx->arena, text.data, text.size);
    buf_deinit(&coded);
    return slice_make(kept, text.size);
}

/* nghttp2's struct is not const although it only reads: the union casts without hiding a write. */
static void put_field(nghttp2_nv *item, const char *name, struct slice value)
{
    union {
        const void *in;
        uint8_t *out;
    } name_cast = {.in = name}, value_cast = {.in = value.data};
    *item = (nghttp2_nv){.name = name_cast.out,
                         .namelen = strlen(name),
                         .value = value_cast.out,
                         .valuelen = value.size};
}

/* Without a word about this stream. */
static bool is_lost(const struct client_stream *stream)
{
    return !stream->closed && !stream->answered && stream->connection->over;
}

/* A server that does not count the deadline, and always has something to say, would keep its caller for ever.
 * Who was away reads before it judges: an answer that came whole is the caller's. */
static int in_time(struct client_stream *stream)
{
    if (stream_is_over(stream) || deadline_left(stream->deadline_ns, clock_now()) > 0)
        return OK;
    look(stream);
    return stream_is_over(stream) ? OK : wait_fault(stream->call->ctx, WAIT_TIMEOUT, "the answer");
}

static int stream_wait(struct client_stream *stream)
{
    return client_connection_wait(stream->call->ctx, stream->connection, &stream->queue,
                                  stream->deadline_ns);
}

/* Moves bytes on into the message being read, and gives their window back: while a caller takes messages,
 * one of any size comes through. */
static int take_input(struct client_stream *stream)
{
    struct slice bytes = buf_slice(&stream->input);
    if (bytes.size == 0 || framing_has_message(&stream->framing) || !stream->answer.is_grpc)
        return OK;
    size_t before = bytes.size;
    stream->framing.may_compress = stream->compress_from > 0 && stream->answer.is_gzip;
    enum framing_result result = framing_take(&stream->framing, &bytes);
    size_t taken = before - bytes.size;
    (void)nghttp2_session_consume(stream->connection->session, stream->id, taken);
    buf_consume(&stream->input, taken);
    switch (result) {
    case FRAMING_OK:
        return OK;
    case FRAMING_TOO_LARGE:
        stream->answer.too_large = true;
        stream->answer.overflown = true;
        return OK;
    case FRAMING_COMPRESSED: /* nobody asked for it, or nothing says how */
    case FRAMING_BAD_FLAG:
    case FRAMING_EXTRA:
        break;
    }
    return FAULT(stream->call->ctx, FAULT_PROTOCOL, "the answer's message has a bad prefix");
}

/* Unpacked without scan_message(): the server is authenticated, and protobuf-c's recursion is bounded by
 * the type, which must not contain itself. */
static int take_message(struct client_stream *stream, struct arena *arena,
                        ProtobufCMessage **message)
{
    struct slice bytes = buf_slice(&stream->framing.message);
    struct buf plain = BUF_EMPTY;
    enum gzip_result result = GZIP_OK;
    if (framing_is_compressed(&stream->framing) && bytes.size > 0) {
        result = gzip_inflate(bytes, CLIENT_MESSAGE_MAX, &plain);
        bytes = buf_slice(&plain);
    }
    if (result == GZIP_OK)
        *message = protobuf_c_message_unpack(stream->method->response, arena_protobuf(arena),
                                             bytes.size, bytes.data);
    buf_deinit(&plain);
    framing_recycle(&stream->framing);
    if (result == GZIP_TOO_LARGE) {
        stream->answer.too_large = stream->answer.overflown = true;
        return finish(stream);
    }
    if (result != GZIP_OK)
        return FAULT(stream->call->ctx, FAULT_PROTOCOL, "the answer's message is not gzip");
    if (*message == NULL)
        return FAULT(stream->call->ctx, FAULT_PROTOCOL, "the answer is not a %s",
                     stream->method->response->name);
    return OK;
}

/* A connection that broke after the answer was whole has broken nothing. */
static int finish(struct client_stream *stream)
{
    struct client_call *call = stream->call;
    if (is_lost(stream) && !stream->answer.overflown) {
        call->unprocessed = call->unsent = !stream->sent;
        return client_connection_fault(call->ctx, stream->connection);
    }
    if (stream->answer.is_grpc && framing_is_cut(&stream->framing))
        stream->answer.cut = true;
    answer_judge(&stream->answer, call);
    if (stream->answer.knows_no_gzip && stream->connection != NULL)
        stream->connection->knows_no_gzip = true;
    call->knows_no_gzip = stream->answer.knows_no_gzip && stream->compress_from > 0 &&
                          call->status == GRPC_UNIMPLEMENTED;
    /* a server that counts the same deadline may have been the first to act on it */
    bool is_late = deadline_left(stream->deadline_ns, clock_now()) == 0;
    if (is_late && !stream->answer.has_status && stream->answer.close_code == NGHTTP2_CANCEL) {
        call->status = GRPC_DEADLINE_EXCEEDED;
        call->message = "the deadline passed";
    }
    return OK;
}
