/* One unary call on a channel: request headers, the message, and what came back.
 *
 *    submit ──> flush and pump until the stream is closed ──> judge ──> take_message
 *                     │ deadline, cancellation                │ no grpc-status: from HTTP or the reset
 *                     └──> RST_STREAM(CANCEL), the channel is unusable
 *
 * Called by tenantctl and by tests against the server; must never hand out a message without
 * status 0. */
#include "client/channel_int.h"

#include "rpc/coding.h"
#include "rpc/framing.h"

#include <assert.h>
#include <stdlib.h>

/* as the server's own default (limits.deadline_default): no call waits for ever */
#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S)
/* the eight fields of every request, and the caller's */
#define FIELDS_MAX (CLIENT_METADATA_MAX + 8)

static int perform(struct client_call *call, const struct rpc_method *method,
                   const ProtobufCMessage *in);
static int submit(struct client_call *call, const struct rpc_method *method, uint64_t timeout_ns);
static void add(nghttp2_nv *item, const char *name, struct slice value);
static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                            uint32_t *flags, nghttp2_data_source *source, void *user);
static int judge(struct client_call *call);
static int take_message(struct client_call *call, const struct rpc_method *method,
                        ProtobufCMessage **out);
static int status_of_http(int http_status);
static int status_of_reset(uint32_t code);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user);
static void take_field(struct client_exchange *exchange, struct slice name, struct slice value);
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user);
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user);
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user);

/* The ctx's deadline is narrowed for the call and put back whatever happens. */
int client_unary(struct client_call *call, const struct rpc_method *method,
                 const ProtobufCMessage *in, ProtobufCMessage **out)
{
    struct client_channel *channel = call->channel;
    assert(in->descriptor == method->request && !method->client_streaming);
    assert(channel->exchange.call == NULL); /* one call at a time */
    if (channel->unusable)
        return FAULT(call->ctx, FAULT_IO, "the connection is gone");
    uint64_t own_deadline = call->ctx->deadline_ns;
    uint64_t timeout = call->timeout_ns == 0 ? TIMEOUT_DEFAULT_NS : call->timeout_ns;
    call->ctx->deadline_ns = ctx_deadline_within(call->ctx, timeout);
    call->status = -1;
    call->message = "";
    call->answer_count = 0;
    int rc = perform(call, method, in);
    call->ctx->deadline_ns = own_deadline;
    channel->exchange.call = NULL;
    TRY(rc);
    TRY(judge(call));
    return call->status == 0 ? take_message(call, method, out) : OK;
}

struct slice client_answer(const struct client_call *call, const char *key)
{
    for (size_t i = 0; i < call->answer_count; i++) {
        if (strcmp(call->answer[i].key, key) == 0)
            return call->answer[i].value;
    }
    return slice_make(NULL, 0);
}

/* `framed` lives on this frame: nghttp2 reads it by read_request() until the stream is closed
 * or given up. */
static int perform(struct client_call *call, const struct rpc_method *method,
                   const ProtobufCMessage *in)
{
    struct client_channel *channel = call->channel;
    struct client_exchange *exchange = &channel->exchange;
    size_t size = protobuf_c_message_get_packed_size(in);
    uint8_t *message = arena_alloc_raw(call->ctx->arena, size);
    protobuf_c_message_pack(in, message);
    struct buf framed = BUF_EMPTY;
    framing_put(&framed, slice_make(message, size));
    /* its memory is kept from call to call */
    buf_clear(&exchange->body);
    *exchange = (struct client_exchange){
        .call = call, .request = buf_slice(&framed), .body = exchange->body};
    uint64_t deadline = call->ctx->deadline_ns;
    int rc = submit(call, method, deadline_left(deadline, clock_now()));
    while (rc == OK && !exchange->closed) {
        rc = client_channel_flush(call->ctx, channel, deadline);
        if (rc == OK && !exchange->closed)
            rc = client_channel_pump(call->ctx, channel, deadline);
    }
    if (rc != OK && !channel->unusable && exchange->stream_id > 0) {
        /* the call is over for us: tell the server, and take no more of its answer */
        (void)nghttp2_session_set_stream_user_data(channel->session, exchange->stream_id, NULL);
        (void)nghttp2_submit_rst_stream(channel->session, NGHTTP2_FLAG_NONE, exchange->stream_id,
                                        NGHTTP2_CANCEL);
        channel->unusable = true; /* one call at a time: a late answer must not meet the next call */
    }
    buf_deinit(&framed);
    return rc;
}

/* PROTOCOL-HTTP2.md: "te" is "used to detect incompatible proxies"; custom metadata comes
 * behind the call's definition.  Fields are copied by the library. */
static int submit(struct client_call *call, const struct rpc_method *method, uint64_t timeout_ns)
{
    struct client_channel *channel = call->channel;
    char timeout[TIMEOUT_TEXT_SIZE];
    timeout_format(timeout_ns, timeout);
    nghttp2_nv fields[FIELDS_MAX];
    size_t count = 0;
    add(&fields[count++], ":method", slice_of_str("POST"));
    add(&fields[count++], ":scheme", slice_of_str("https"));
    add(&fields[count++], ":authority", slice_of_str(channel->authority));
    add(&fields[count++], ":path", slice_of_str(method->path));
    add(&fields[count++], "te", slice_of_str("trailers"));
    add(&fields[count++], "grpc-timeout", slice_of_str(timeout));
    add(&fields[count++], "content-type", slice_of_str("application/grpc"));
    add(&fields[count++], "user-agent", slice_of_str("libtenant/" TENANT_VERSION));
    assert(call->metadata_count <= CLIENT_METADATA_MAX);
    for (size_t i = 0; i < call->metadata_count; i++)
        add(&fields[count++], call->metadata[i].key, call->metadata[i].value);
    nghttp2_data_provider provider = {.source.ptr = &channel->exchange,
                                      .read_callback = read_request};
    int32_t id = nghttp2_submit_request(channel->session, NULL, fields, count, &provider,
                                        &channel->exchange);
    if (id < 0) {
        channel->unusable = true;
        return FAULT(call->ctx, FAULT_PROTOCOL, "HTTP/2: %s", nghttp2_strerror(id));
    }
    channel->exchange.stream_id = id;
    return OK;
}

/* nghttp2's struct is not const although it only reads: the union casts without hiding a write. */
static void add(nghttp2_nv *item, const char *name, struct slice value)
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

/* lint-allow parameters: nghttp2's type */
static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)user;
    struct client_exchange *exchange = source->ptr;
    size_t count = exchange->request.size < size ? exchange->request.size : size;
    memcpy(out, exchange->request.data, count);
    exchange->request = slice_skip(exchange->request, count);
    if (exchange->request.size == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
}

/* grpc-status when it came; else what HTTP or the reset tells (http-grpc-status-mapping.md). */
static int judge(struct client_call *call)
{
    struct client_exchange *exchange = &call->channel->exchange;
    if (exchange->headers_overflown)
        return FAULT(call->ctx, FAULT_PROTOCOL, "the answer's metadata is too large");
    if (exchange->has_status)
        return OK;
    if (exchange->http_status != 0 && exchange->http_status != 200) {
        call->status = status_of_http(exchange->http_status);
        call->message = arena_printf(call->ctx->arena, "HTTP status %d", exchange->http_status);
        return OK;
    }
    if (exchange->close_code != NGHTTP2_NO_ERROR) {
        call->status = status_of_reset(exchange->close_code);
        call->message = arena_printf(call->ctx->arena, "the stream was reset: %s",
                                     nghttp2_http2_strerror(exchange->close_code));
        return OK;
    }
    return FAULT(call->ctx, FAULT_PROTOCOL, "the answer has no grpc-status");
}

/* A unary answer has exactly one message.  Unpacked without scan_message(): the server is
 * authenticated, and protobuf-c's recursion is bounded by the type, which must not contain
 * itself. */
static int take_message(struct client_call *call, const struct rpc_method *method,
                        ProtobufCMessage **out)
{
    struct slice body = buf_slice(&call->channel->exchange.body);
    struct framing framing;
    framing_init(&framing, CLIENT_MESSAGE_MAX);
    enum framing_result framed = framing_feed(&framing, body);
    ProtobufCMessage *message = NULL;
    if (framed == FRAMING_OK && framing_has_message(&framing)) {
        struct slice bytes = buf_slice(&framing.message);
        message = protobuf_c_message_unpack(method->response, arena_protobuf(call->ctx->arena),
                                            bytes.size, bytes.data);
    }
    framing_deinit(&framing);
    if (message == NULL)
        return FAULT(call->ctx, FAULT_PROTOCOL, "the answer is not a %s", method->response->name);
    *out = message;
    return OK;
}

/* http-grpc-status-mapping.md: for answers that lack grpc-status only, which proxies make. */
static int status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return 13;
    case 401:
        return 16;
    case 403:
        return 7;
    case 404:
        return 12;
    case 429:
    case 502:
    case 503:
    case 504:
        return 14;
    default:
        return 2;
    }
}

/* PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping": errors of HTTP/2 and the status each one means. */
static int status_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return 14;
    case NGHTTP2_CANCEL:
        return 1;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return 8;
    case NGHTTP2_INADEQUATE_SECURITY:
        return 7;
    default:
        return 13;
    }
}

/* Only the one stream of the channel's exchange is looked at; a stream given up has no user
 * data any more. */
void client_unary_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
}

/* lint-allow parameters: nghttp2's type */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    struct client_exchange *exchange =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (exchange == NULL || exchange->call == NULL)
        return 0;
    exchange->header_bytes += name_size + value_size + 32;
    if (exchange->header_bytes > CLIENT_HEADER_BYTES_MAX ||
        exchange->call->answer_count == CLIENT_METADATA_MAX) {
        exchange->headers_overflown = true;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    take_field(exchange, slice_make(name, name_size), slice_make(value, value_size));
    return 0;
}

/* Initial metadata and trailers alike; of a status that comes twice the last one counts. */
static void take_field(struct client_exchange *exchange, struct slice name, struct slice value)
{
    struct client_call *call = exchange->call;
    struct arena *arena = call->ctx->arena;
    struct slice kept = slice_make(arena_strndup(arena, value.data, value.size), value.size);
    if (slice_is(name, ":status")) {
        exchange->http_status = (int)strtol((const char *)kept.data, NULL, 10);
    } else if (slice_is(name, "grpc-status")) {
        exchange->has_status = true;
        call->status = (int)strtol((const char *)kept.data, NULL, 10);
    } else if (slice_is(name, "grpc-message")) {
        call->message = percent_decode(arena, value);
    } else if (slice_is(name, "grpc-status-details-bin")) {
        (void)base64_decode(arena, value, &call->details);
    } else {
        call->answer[call->answer_count++] = (struct client_field){
            .key = arena_strndup(arena, name.data, name.size), .value = kept};
    }
}

/* The buffer's limit ends the session, not the call alone: a server that sends more than it may
 * is broken. */
/* lint-allow parameters: nghttp2's type */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user)
{
    (void)flags;
    (void)user;
    struct client_exchange *exchange = nghttp2_session_get_stream_user_data(session, id);
    if (exchange == NULL || exchange->call == NULL)
        return 0;
    buf_put(&exchange->body, data, size);
    return exchange->body.overflown ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)user;
    struct client_exchange *exchange = nghttp2_session_get_stream_user_data(session, id);
    if (exchange == NULL || exchange->stream_id != id)
        return 0;
    /* ends the loop of perform() */
    exchange->closed = true;
    exchange->close_code = code;
    return 0;
}

/* A GOAWAY during a call lets that call end (its stream may be among those still served); the
 * next one opens another channel. */
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct client_channel *channel = user;
    if (frame->hd.type == NGHTTP2_GOAWAY && channel->exchange.call == NULL)
        channel->unusable = true;
    return 0;
}
