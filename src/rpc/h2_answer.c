/* Answers: headers, message, trailers.  "Response → (Response-Headers *Length-Prefixed-Message Trailers) /
 * Trailers-Only" (PROTOCOL-HTTP2.md). */
#include "rpc/h2.h"

#include "base/alloc.h"

#include "rpc/coding.h"
#include "rpc/connect.h"
#include "rpc/ending.h"
#include "rpc/rpc_int.h"

#include <assert.h>

/* headers and trailers of the handler in one block (Trailers-Only), and at most 12 of our own */
#define FIELDS_MAX (2 * CALL_HEADERS_MAX + 12)

#define BORROWED (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

/* Header fields being put together; texts live until the library has copied them. */
struct fields {
    nghttp2_nv items[FIELDS_MAX];
    size_t count;
    struct arena *arena;
    bool borrowed; /* the texts live as long as the stream: the library need not copy them */
};

static void add(struct fields *fields, const char *name, struct slice value);
static void add_list(struct fields *fields, const struct call_header_list *list);
static bool varies(const char *name);
static void add_text(struct fields *fields, const char *name, const char *value);
static void add_response_headers(struct fields *fields, const struct running_call *call);
static void add_status(struct fields *fields, const struct running_call *call,
                       const struct status *status);
static void add_connect_headers(struct fields *fields, const struct running_call *call,
                                const struct status *status);
static void submit_with_message(struct h2_stream *stream, const struct running_call *call);
static void submit_body(struct h2_stream *stream, const struct status *status);
static void flow_begin(struct h2_stream *stream);
static void flow_finish(struct h2_stream *stream, const struct status *status);
static void flow_resume(struct h2_stream *stream);
static ssize_t read_flow(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user);
static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *user);

/* A status that is not OK goes out as Trailers-Only, one HEADERS frame with END_STREAM, even
 * when the handler had filled a response. */
void h2_answer(struct h2_stream *stream, const struct status *status, uint64_t now_ns)
{
    struct h2 *h2 = stream->h2;
    struct running_call *call = stream->call;
    assert(!stream->answered && call != NULL);
    stream->answered = true;
    stream->progress_ns = now_ns;
    h2_stream_drop_message(stream);
    if (stream->flow != NULL && (stream->flow->begun || status->code == GRPC_OK) &&
        call->call.method->server_streaming) {
        flow_finish(stream, status);
    } else if (call->dialect.protocol != PROTOCOL_GRPC) {
        submit_body(stream, status);
    } else if (status->code == GRPC_OK) {
        submit_with_message(stream, call);
    } else {
        struct fields fields = {.arena = call->arena};
        add_response_headers(&fields, call);
        add_status(&fields, call, status);
        (void)nghttp2_submit_response(h2->session, stream->id, fields.items, fields.count, NULL);
    }
    call_finished(call, status, now_ns);
    h2->wants_flush(h2->owner);
}

/* An answer to what is no request of a protocol spoken here: no grpc-status, as the gRPC specification asks. */
void h2_answer_http(struct h2_stream *stream, const struct http_refusal *refusal)
{
    assert(!stream->answered && stream->call == NULL);
    stream->answered = true;
    stream->progress_ns = clock_now();
    struct fields fields = {.arena = stream->arena};
    add_text(&fields, ":status", arena_printf(stream->arena, "%d", refusal->status));
    if (refusal->allow != NULL)
        add_text(&fields, "allow", refusal->allow);
    if (refusal->accept_post != NULL)
        add_text(&fields, "accept-post", refusal->accept_post);
    (void)nghttp2_submit_response(stream->h2->session, stream->id, fields.items, fields.count,
                                  NULL);
    stream->h2->wants_flush(stream->h2->owner);
}

static void submit_with_message(struct h2_stream *stream, const struct running_call *call)
{
    struct h2 *h2 = stream->h2;
    stream->reply = call->reply;
    h2->queued += stream->reply.size;
    struct fields fields = {.arena = call->arena, .borrowed = true};
    add_response_headers(&fields, call);
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_reply};
    (void)nghttp2_submit_response(h2->session, stream->id, fields.items, fields.count, &provider);
}

/* gRPC-Web and Connect end within the body: message and ending are a flow that begins and finishes at once.
 * They lie in its outbox, because the call may be gone before they are sent (dispatch_expire). */
static void submit_body(struct h2_stream *stream, const struct status *status)
{
    struct running_call *call = stream->call;
    if (stream->flow == NULL)
        stream->flow = xcalloc(1, sizeof *stream->flow);
    struct h2_flow *flow = stream->flow;
    assert(!flow->begun && buf_size(&flow->outbox) == 0);
    if (status->code == GRPC_OK)
        buf_put_slice(&flow->outbox, call->reply);
    ending_put(&flow->outbox, call, status);
    stream->h2->queued += buf_size(&flow->outbox);
    flow->begun = true;
    flow->finished = true;
    struct fields fields = {.arena = call->arena};
    if (protocol_is_bare(call->dialect.protocol)) {
        add_connect_headers(&fields, call, status);
        add_text(&fields, "content-length",
                 arena_printf(call->arena, "%zu", buf_size(&flow->outbox)));
    } else {
        add_response_headers(&fields, call);
    }
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_flow};
    (void)nghttp2_submit_response(stream->h2->session, stream->id, fields.items, fields.count,
                                  &provider);
}

/* Pulled by the library as flow control allows.  NO_END_STREAM, because the trailers end it.  With its last
 * byte the reply leaves `queued`, though the connection's own buffer may still hold it (OUT_CHUNK). */
/* lint-allow parameters: nghttp2's type */
static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)user;
    struct h2_stream *stream = source->ptr;
    assert(stream->reply_sent <= stream->reply.size);
    size_t left = stream->reply.size - stream->reply_sent;
    size_t count = left < size ? left : size;
    memcpy(out, stream->reply.data + stream->reply_sent, count);
    stream->reply_sent += count;
    stream->answer_bytes += count;
    stream->progress_ns = clock_tick();
    stream->h2->queued -= count;
    if (count < left)
        return (ssize_t)count;
    traffic_count_at(stream->h2->traffic, TRAFFIC_SENT, LAST_SENT, stream->progress_ns);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    struct fields fields = {.arena = stream->call->arena, .borrowed = true};
    static const struct status ok = {.code = GRPC_OK, .message = ""};
    add_status(&fields, stream->call, &ok);
    if (nghttp2_submit_trailer(session, id, fields.items, fields.count) != 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return (ssize_t)count;
}

void h2_flow_sent(struct h2_stream *stream, size_t size)
{
    stream->h2->queued += size;
    traffic_count_at(stream->h2->traffic, TRAFFIC_SENT, LAST_SENT, clock_tick());
    if (buf_size(&stream->flow->outbox) == size) /* it was empty: from now on it has to move */
        stream->progress_ns = clock_now();
    if (!stream->flow->begun)
        flow_begin(stream);
    flow_resume(stream);
}

/* The texts are copied by the library: the call may be gone before they are sent. */
static void flow_begin(struct h2_stream *stream)
{
    struct fields fields = {.arena = stream->call->arena};
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_flow};
    stream->flow->begun = true;
    add_response_headers(&fields, stream->call);
    (void)nghttp2_submit_response(stream->h2->session, stream->id, fields.items, fields.count,
                                  &provider);
}

/* The trailers wait until the outbox is empty, which may be long after the call is gone: they are put together
 * in an arena of the stream's. */
static void flow_finish(struct h2_stream *stream, const struct status *status)
{
    struct h2_flow *flow = stream->flow;
    assert(!flow->finished);
    if (!flow->begun)
        flow_begin(stream);
    if (stream->dialect.protocol != PROTOCOL_GRPC) {
        size_t before = buf_size(&flow->outbox);
        ending_put(&flow->outbox, stream->call, status);
        stream->h2->queued += buf_size(&flow->outbox) - before;
        flow->finished = true;
        flow_resume(stream);
        return;
    }
    flow->end = worker_arena_take(stream->h2->worker);
    struct fields fields = {.arena = flow->end};
    add_status(&fields, stream->call, status);
    flow->trailers = arena_alloc(flow->end, fields.count * sizeof *flow->trailers);
    flow->trailer_count = fields.count;
    for (size_t i = 0; i < fields.count; i++) {
        nghttp2_nv *field = &flow->trailers[i];
        *field = fields.items[i];
        field->name = (uint8_t *)arena_strndup(flow->end, field->name, field->namelen);
        field->value = (uint8_t *)arena_strndup(flow->end, field->value, field->valuelen);
    }
    flow->finished = true;
    flow_resume(stream);
}

static void flow_resume(struct h2_stream *stream)
{
    if (stream->flow->deferred)
        (void)nghttp2_session_resume_data(stream->h2->session, stream->id);
    stream->flow->deferred = false;
    stream->h2->wants_flush(stream->h2->owner);
}

/* As read_reply(), for as many messages as the handler sends. */
/* lint-allow parameters: nghttp2's type */
static ssize_t read_flow(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)user;
    struct h2_stream *stream = source->ptr;
    struct h2_flow *flow = stream->flow;
    size_t left = buf_size(&flow->outbox);
    size_t count = left < size ? left : size;
    if (count > 0) {
        memcpy(out, buf_slice(&flow->outbox).data, count);
        buf_consume(&flow->outbox, count);
        stream->h2->queued -= count;
        stream->answer_bytes += count;
        stream->progress_ns = clock_tick();
    }
    if (left - count < FLOW_OUTBOX_MAX / 2 && stream->call != NULL && stream->call->running)
        (void)waitq_wake(&stream->call->writable, NULL);
    if (count < left)
        return (ssize_t)count;
    if (flow->finished && flow->trailer_count == 0) { /* the body has said it all */
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)count;
    }
    if (flow->finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, flow->trailers, flow->trailer_count) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        return (ssize_t)count;
    }
    if (count == 0) {
        flow->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)count;
}

/* "grpc-accept-encoding" tells clients that have not compressed yet what is understood here. */
static void add_response_headers(struct fields *fields, const struct running_call *call)
{
    add_text(fields, ":status", "200");
    const struct encoding_names *names = protocol_encoding_names(call->dialect.protocol);
    add_text(fields, "content-type", protocol_content_type(&call->dialect));
    add_text(fields, names->accepted, "identity,gzip");
    if (call->sends_gzip)
        add_text(fields, names->sent, "gzip");
    add_text(fields, "x-request-id", call->call.ctx.trace.request_id);
    add_list(fields, &call->headers);
}

static void add_status(struct fields *fields, const struct running_call *call,
                       const struct status *status)
{
    struct arena *arena = fields->arena;
    bool good = status->code == GRPC_OK;
    add_text(fields, "grpc-status", good ? "0" : arena_printf(arena, "%d", (int)status->code));
    if (!good) {
        struct buf message = BUF_EMPTY;
        percent_encode(&message, slice_of_str(status->message));
        add_text(fields, "grpc-message", arena_strdup(arena, buf_str(&message)));
        buf_clear(&message);
        base64_encode(&message, status->details);
        if (status->details.size > 0)
            add_text(fields, "grpc-status-details-bin", arena_strdup(arena, buf_str(&message)));
        buf_deinit(&message);
    }
    const char *retry_after = ending_retry_after(arena, status);
    if (retry_after != NULL)
        add_text(fields, "retry-after", retry_after);
    const char *pushback = ending_retry_pushback(arena, status);
    if (pushback != NULL)
        add_text(fields, "grpc-retry-pushback-ms", pushback);
    add_list(fields, &call->trailers);
}

/* A Connect unary answer: trailers are headers with a prefix, an error is JSON whatever was asked in.  It
 * depends on the caller's certificate, which no Vary can name: a GET's must not be kept by caches. */
static void add_connect_headers(struct fields *fields, const struct running_call *call,
                                const struct status *status)
{
    bool good = status->code == GRPC_OK;
    int http_status = call->slot == NULL ? 404 : connect_http_status(status->code);
    add_text(fields, ":status", arena_printf(fields->arena, "%d", http_status));
    add_text(fields, "content-type",
             good ? protocol_content_type(&call->dialect) : "application/json");
    if (good && call->sends_gzip)
        add_text(fields, "content-encoding", "gzip");
    if (status->code == GRPC_UNIMPLEMENTED) /* "the server SHOULD include … accept-encoding" */
        add_text(fields, "accept-encoding", "identity,gzip");
    if (call->dialect.protocol == PROTOCOL_CONNECT_GET)
        add_text(fields, "cache-control", "no-store");
    const char *retry_after = ending_retry_after(fields->arena, status);
    if (retry_after != NULL)
        add_text(fields, "retry-after", retry_after);
    add_text(fields, "x-request-id", call->call.ctx.trace.request_id);
    add_list(fields, &call->headers);
    for (size_t i = 0; i < call->trailers.count; i++)
        add(fields, arena_printf(fields->arena, "trailer-%s", call->trailers.items[i].key),
            call->trailers.items[i].value);
}

static void add_list(struct fields *fields, const struct call_header_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        add(fields, list->items[i].key, list->items[i].value);
}

static void add_text(struct fields *fields, const char *name, const char *value)
{
    add(fields, name, slice_of_str(value));
}

/* Not borrowed in an answer whose call may be freed before it is sent (dispatch_expire). */
static void add(struct fields *fields, const char *name, struct slice value)
{
    assert(fields->count < FIELDS_MAX);
    union {
        const void *in;
        uint8_t *out;
    } name_cast = {.in = name}, value_cast = {.in = value.data};
    fields->items[fields->count++] = (nghttp2_nv){
        .name = name_cast.out,
        .namelen = strlen(name),
        .value = value_cast.out,
        .valuelen = value.size,
        .flags = (uint8_t)((fields->borrowed ? BORROWED : NGHTTP2_NV_FLAG_NONE) |
                           (varies(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)),
    };
}

/* In HPACK's table such a field would be of no use and drive the useful ones out (RFC 7541 section 6.2.3). */
static bool varies(const char *name)
{
    static const char *const names[] = {"x-request-id", "x-staleness-ms", "x-consistency-token"};
    for (size_t i = 0; name[0] == 'x' && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}
