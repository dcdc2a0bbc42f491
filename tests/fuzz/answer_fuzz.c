/* A server's frames as the client's call sees them: a unary call or a stream that takes messages.  Whatever comes, the
 * call ends, its status is one of gRPC's, and it is a success only if the server's last block said so.
 *
 * Input: one byte of kind (how many messages are taken; with its lowest bit they may be compressed), then steps of a
 * head and a body: two bits of what (HEADERS, DATA, any frame, a wait), one bit END_STREAM, five of a size.  The body of
 * HEADERS is "name:value\n" lines, that of any frame its type, its flags
 * and its payload. */
#include "base/alloc.h"

#include "client/channel_int.h"
#include "client/stream.h"
#include "rpc/status.h"

#include "gen/pb/grpc/health/v1/health.pb-c.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())
#define BLOCK_MAX 8192 /* the size's bits times 256, and a bit more */

/* What the server sends, and what it may be taken for.  One per run. */
struct play {
    struct slice left;
    bool said_ok; /* a block with END_STREAM had a grpc-status of 0 */
};
static struct play play;

static bool play_step(struct client_connection *connection);

static const struct rpc_method method = {
    .path = "/grpc.health.v1.Health/Check",
    .no_side_effects = true,
    .request = &grpc__health__v1__health_check_request__descriptor,
    .response = &grpc__health__v1__health_check_response__descriptor,
};

/* --- the connection's part, without a socket -------------------------------------------------------- */

void client_connection_flush(struct client_connection *connection)
{
    const uint8_t *bytes;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(connection->session, &bytes)) > 0)
        continue;
    if (size < 0 || (nghttp2_session_want_read(connection->session) == 0 &&
                     nghttp2_session_want_write(connection->session) == 0))
        connection->over = true;
}

void client_connection_look(struct client_connection *connection)
{
    client_connection_flush(connection);
}

void client_connection_end(struct client_connection *connection, enum fault_kind kind,
                           const char *format, ...)
{
    (void)kind;
    (void)format;
    connection->over = true;
}

int client_connection_fault(struct ctx *ctx, const struct client_connection *connection)
{
    EXPECT(connection->over);
    return FAULT(ctx, FAULT_IO, "over");
}

int client_connection_wait(struct ctx *ctx, struct client_connection *connection,
                           struct waitq *queue, uint64_t deadline_ns)
{
    (void)queue;
    (void)deadline_ns;
    EXPECT(!connection->over);
    if (!play_step(connection))
        return FAULT(ctx, FAULT_TIMEOUT, "no more");
    client_connection_flush(connection);
    return OK;
}

void client_connection_unref(struct client_connection *connection)
{
    EXPECT(connection->references > 1);
    connection->references--;
}

int channel_connection(struct client_call *call, uint64_t deadline_ns,
                       struct client_connection **connection)
{
    (void)call;
    (void)deadline_ns;
    (void)connection;
    abort();
}

void channel_look(struct client_channel *channel)
{
    EXPECT(channel->connection == NULL);
}

void channel_ping_less(struct client_channel *channel, struct client_connection *connection)
{
    (void)channel;
    connection->too_many_pings = false;
}

/* --- the server ------------------------------------------------------------------------------------- */

static void put_frame(struct buf *out, uint8_t type, uint8_t flags, struct slice payload)
{
    const uint8_t head[9] = {
        (uint8_t)(payload.size >> 16),
        (uint8_t)(payload.size >> 8),
        (uint8_t)payload.size,
        type,
        flags,
        0,
        0,
        0,
        type == NGHTTP2_SETTINGS || type == NGHTTP2_PING || type == NGHTTP2_GOAWAY ? 0 : 1};
    buf_put(out, head, sizeof head);
    buf_put_slice(out, payload);
}

/* A string of HPACK without Huffman coding; at most 126 bytes. */
static void put_string(struct buf *out, struct slice text)
{
    size_t size = text.size < 126 ? text.size : 126;
    buf_put_byte(out, (uint8_t)size);
    buf_put(out, text.data, size);
}

static bool is_zero(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '0')
            return false;
    }
    return text.size == 1 || text.size == 2;
}

static void put_headers(struct buf *out, struct slice lines, bool ends)
{
    struct buf block = BUF_EMPTY;
    bool ok = false;
    while (lines.size > 0) {
        const uint8_t *newline = memchr(lines.data, '\n', lines.size);
        struct slice line =
            slice_make(lines.data, newline == NULL ? lines.size : (size_t)(newline - lines.data));
        lines = slice_skip(lines, line.size + (newline != NULL));
        const uint8_t *colon = line.size < 2 ? NULL : memchr(line.data + 1, ':', line.size - 1);
        if (colon == NULL)
            continue;
        struct slice name = slice_make(line.data, (size_t)(colon - line.data));
        struct slice value = slice_skip(line, name.size + 1);
        buf_put_byte(&block, 0x10); /* "Literal Header Field Never Indexed -- New Name" */
        put_string(&block, name);
        put_string(&block, value);
        ok = ok || (slice_is(name, "grpc-status") && is_zero(value));
    }
    play.said_ok = play.said_ok || (ends && ok);
    put_frame(out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (ends ? NGHTTP2_FLAG_END_STREAM : 0),
              buf_slice(&block));
    buf_deinit(&block);
}

static bool play_step(struct client_connection *connection)
{
    if (play.left.size == 0)
        return false;
    uint8_t head = play.left.data[0];
    play.left = slice_skip(play.left, 1);
    size_t size = (size_t)(head & 31) * 8;
    size = size < play.left.size ? size : play.left.size;
    struct slice body = slice_make(play.left.data, size);
    play.left = slice_skip(play.left, size);
    bool ends = (head & 0x20) != 0;
    struct buf frames = BUF_EMPTY;
    switch (head >> 6) {
    case 0:
        put_headers(&frames, body, ends);
        break;
    case 1:
        put_frame(&frames, NGHTTP2_DATA, ends ? NGHTTP2_FLAG_END_STREAM : 0, body);
        break;
    case 2:
        if (size >= 2 && body.data[0] != NGHTTP2_HEADERS && body.data[0] != NGHTTP2_CONTINUATION)
            put_frame(&frames, body.data[0], body.data[1], slice_skip(body, 2));
        break;
    default:
        break;
    }
    struct slice bytes = buf_slice(&frames);
    if (bytes.size > 0 && nghttp2_session_mem_recv(connection->session, bytes.data, bytes.size) !=
                              (ssize_t)bytes.size)
        connection->over = true;
    buf_deinit(&frames);
    return true;
}

static nghttp2_session *session_new(struct client_connection *connection)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_session *session = NULL;
    EXPECT(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    stream_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    EXPECT(nghttp2_session_client_new2(&session, callbacks, connection, option) == 0);
    EXPECT(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return session;
}

static void call_check(struct client_call *call, int rc, const ProtobufCMessage *message)
{
    EXPECT(call->status >= -1 && call->status < GRPC_CODE_COUNT && call->message != NULL);
    EXPECT(call->answer_count <= CLIENT_METADATA_MAX);
    EXPECT(rc != OK || call->status >= 0 || message != NULL);
    EXPECT(call->status != GRPC_OK || play.said_ok);
    struct client_retry retry = client_retry_default;
    uint64_t pause = 0;
    call->retry = &retry;
    call->attempts = 1;
    if (retry_is_due(call, &method, rc, &pause))
        EXPECT(pause <= (uint64_t)3601 * 1000 * NS_PER_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena *arena = arena_new(1 << 20);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    struct client_channel channel = {.retry_tokens = RETRY_TOKENS_MAX};
    static char authority[] = "localhost:1";
    struct client_connection *connection = xcalloc(1, sizeof *connection);
    connection->references = 1;
    connection->authority = authority;
    list_init(&connection->streams);
    connection->session = session_new(connection);
    client_connection_flush(connection);
    static const uint8_t settings[9] = {0, 0, 0,
                                        NGHTTP2_SETTINGS}; /* "the server connection preface" */
    EXPECT(nghttp2_session_mem_recv(connection->session, settings, 9) == 9);
    play = (struct play){.left = slice_make(data + 1, size - 1)};
    struct client_call call = {.ctx = &ctx, .channel = &channel, .compress_from = data[0] & 1};
    call_reset(&call);
    Grpc__Health__V1__HealthCheckRequest in = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct client_stream *stream = NULL;
    ProtobufCMessage *message = NULL;
    int rc = stream_open(&call, connection, &method, NO_DEADLINE, &stream);
    EXPECT(rc == OK);
    stream_send_whole(stream, &in.base);
    unsigned most = data[0];
    do
        rc = client_stream_receive(stream, arena, &message);
    while (rc == OK && message != NULL && most-- > 0);
    call_check(&call, rc, message);
    client_stream_close(stream);
    nghttp2_session_del(connection->session);
    free(connection);
    arena_free(arena);
    return 0;
}
