/* One unary call on a channel: request headers, the message, and what came back.
 *
 *    submit ──> flush and pump until the stream has ended ──> answer_judge ──> take_message
 *                     │ deadline, cancellation, or more than a message may have
 *                     └──> give_up: RST_STREAM; the channel goes on
 *
 * Called by tenantctl and by tests against the server; must never hand out a message without
 * status 0. */
#include "client/channel_int.h"

#include "rpc/coding.h"
#include "rpc/framing.h"
#include "rpc/status.h"

#include <assert.h>

/* as the server's own default (limits.deadline_default): no call waits for ever */
#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S)
/* the eight fields of every request, and the caller's */
#define FIELDS_MAX (CLIENT_METADATA_MAX + 8)

static int perform(struct client_call *call, const struct rpc_method *method,
                   const ProtobufCMessage *in);
static int submit(struct client_call *call, const struct rpc_method *method, uint64_t timeout_ns);
static struct slice metadata_text(struct client_call *call, const struct client_field *field);
static void add(nghttp2_nv *item, const char *name, struct slice value);
static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                            uint32_t *flags, nghttp2_data_source *source, void *user);
static bool exchange_is_over(const struct client_exchange *exchange);
static void give_up(struct client_call *call, uint32_t code);
static int take_message(struct client_call *call, const struct rpc_method *method,
                        ProtobufCMessage **out);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user);
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
    if (!client_channel_is_usable(channel))
        return FAULT(call->ctx, FAULT_IO, "the connection is gone");
    uint64_t own_deadline = call->ctx->deadline_ns;
    uint64_t timeout = call->timeout_ns == 0 ? TIMEOUT_DEFAULT_NS : call->timeout_ns;
    call->ctx->deadline_ns = ctx_deadline_within(call->ctx, timeout);
    call->status = -1;
    call->message = "";
    call->answer_count = 0;
    call->unprocessed = false;
    int rc = perform(call, method, in);
    call->ctx->deadline_ns = own_deadline;
    channel->exchange.call = NULL;
    TRY(rc);
    answer_judge(&channel->exchange.answer, call);
    return call->status == GRPC_OK ? take_message(call, method, out) : OK;
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
    while (rc == OK && !exchange_is_over(exchange)) {
        rc = client_channel_flush(call->ctx, channel, deadline);
        if (rc == OK && !exchange_is_over(exchange))
            rc = client_channel_pump(call->ctx, channel, deadline);
    }
    if (!exchange->closed && exchange->stream_id > 0)
        give_up(call, exchange->answered ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    buf_deinit(&framed);
    return rc;
}

/* Answered whole while our side was still sending counts: the server needs no more of the request. */
static bool exchange_is_over(const struct client_exchange *exchange)
{
    return exchange->closed || exchange->answered || exchange->answer.too_large;
}

/* The call is over for us: tell the server now, because the next call may be far.  The stream forgets its
 * exchange, so that what still comes of it meets nobody.  A channel that cannot even take this is lost. */
static void give_up(struct client_call *call, uint32_t code)
{
    struct client_channel *channel = call->channel;
    int32_t id = channel->exchange.stream_id;
    if (channel->unusable)
        return;
    struct fault first = call->ctx->fault;
    (void)nghttp2_session_set_stream_user_data(channel->session, id, NULL);
    if (nghttp2_submit_rst_stream(channel->session, NGHTTP2_FLAG_NONE, id, code) != 0 ||
        client_channel_flush(call->ctx, channel, call->ctx->deadline_ns) != OK)
        channel->unusable = true;
    call->ctx->fault = first; /* why the call ended is what its caller is told */
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
        add(&fields[count++], call->metadata[i].key, metadata_text(call, &call->metadata[i]));
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
    text.data = (const uint8_t *)kept;
    buf_deinit(&coded);
    return text;
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
    (void)user;
    struct client_exchange *exchange = source->ptr;
    if (nghttp2_session_get_stream_user_data(session, id) != exchange)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* given up: the request's bytes are gone */
    size_t count = exchange->request.size < size ? exchange->request.size : size;
    memcpy(out, exchange->request.data, count);
    exchange->request = slice_skip(exchange->request, count);
    if (exchange->request.size == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)count;
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
    const struct slice field[2] = {slice_make(name, name_size), slice_make(value, value_size)};
    bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    return answer_take_field(&exchange->answer, exchange->call, last, field)
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Beyond the limit the call ends, and what still comes is dropped: perform() resets the stream. */
/* lint-allow parameters: nghttp2's type */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t size, void *user)
{
    (void)flags;
    (void)user;
    struct client_exchange *exchange = nghttp2_session_get_stream_user_data(session, id);
    if (exchange == NULL || exchange->call == NULL)
        return 0;
    if (!exchange->answer.too_large)
        buf_put(&exchange->body, data, size);
    exchange->answer.too_large = exchange->body.overflown;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)user;
    struct client_exchange *exchange = nghttp2_session_get_stream_user_data(session, id);
    if (exchange == NULL || exchange->stream_id != id)
        return 0;
    /* ends the loop of perform() */
    exchange->closed = true;
    exchange->answer.close_code = code;
    if (exchange->call != NULL)
        exchange->call->unprocessed = code == NGHTTP2_REFUSED_STREAM;
    return 0;
}

/* A GOAWAY lets the call in flight end when its stream is among those still served; if not, nghttp2 closes
 * it as refused ("can be retried", RFC 9113 section 6.8).  The next call needs another channel. */
static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client_channel *channel = user;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        channel->going_away = true;
    if (frame->hd.stream_id == 0 || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct client_exchange *exchange =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool ends = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (exchange != NULL && ends)
        exchange->answered = true;
    return 0;
}
