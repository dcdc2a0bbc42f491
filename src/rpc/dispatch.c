/* From a request's headers and bytes to its handler.
 *
 * What metadata can tell is checked before anything of the body is looked at; the body is scanned and
 * unpacked on the loop's own stack; only a request that passed all of it costs a task.
 *
 *    headers --> make_call --> steps' enter --> message whole --> run_checks --> task runs --> answered
 *                                   |                                  |
 *                                   '-------- refused: answered -------'
 *
 * In each of these states the deadline answers at once (dispatch_expire); a task that runs is
 * then cancelled, owns the call with its arena, and frees both at its end.  So it does after a
 * reset.
 *
 * Exactly one answer leaves per call: `answered` of the stream guards the wire, `reported` of
 * the call guards counters and log. */
#include "rpc/dispatch.h"

#include "base/alloc.h"

#include "rpc/codec.h"
#include "rpc/coding.h"
#include "rpc/connect.h"
#include "rpc/h2.h"
#include "rpc/rpc_int.h"
#include "rpc/stream_share.h"

#include "gen/errors.h"

#include <assert.h>

#define SHOWN_PATH_MAX 200 /* bytes of an unknown path in our logs */

static bool method_streams(const struct rpc_method *method);
static bool streaming_place_take(struct running_call *call, struct h2 *h2);
static void streaming_place_give(struct running_call *call);
static struct slice path_without_query(struct slice path);
static void take_query(struct h2_stream *stream, struct slice path);
static size_t announced_size(const struct request_headers *headers);
static void make_call(struct h2_stream *stream);
static int enter(struct running_call *call);
static int take_place(struct running_call *call);
static int take_identity(struct running_call *call);
static int take_deadline(struct running_call *call);
static bool take_timeout(const struct running_call *call, uint64_t *duration_ns);
static int take_trace(struct running_call *call);
static void sample(struct running_call *call);
static int pass_gate(struct running_call *call);
static int take_encoding(struct running_call *call);
static struct slice sent_encoding(const struct request_headers *headers, enum protocol protocol,
                                  const struct connect_get *get);
static int message_fault(const struct h2_stream *stream);
static int run_checks(struct running_call *call, struct h2_stream *stream);
static void run_handler(struct task *task, void *argument);
static int pack_reply(struct running_call *call, const ProtobufCMessage *message);
static int pack_json_reply(struct running_call *call, const ProtobufCMessage *message);
static void frame_reply(struct running_call *call, uint8_t *bytes, size_t size);
static void on_handler_end(struct task *task, void *argument);
static void answer_result(struct h2_stream *stream, int result, uint64_t now_ns);

const struct call_step call_steps[] = {
    {.name = "limits",
     .enter = take_place,
     .done = "of the connection before there is a call: h2_callbacks.c, h2_stream.c"},
    {.name = "identity", .enter = take_identity, .always = true},
    {.name = "deadline", .enter = take_deadline},
    {.name = "tracing", .enter = take_trace, .leave = call_trace, .always = true},
    {.name = "gate", .enter = pass_gate},
    {.name = "handler",
     .done = "in a task, once its request is whole and passed the tenant match: run_handler()"},
    {.name = "status",
     .done = "of what handler or steps above returned: answer_result(), status.c"},
    {.name = "metrics", .leave = call_count},
    {.name = "log", .leave = call_log},
};
const size_t call_step_count = sizeof call_steps / sizeof call_steps[0];

/* Linear: a worker serves a few dozen methods, and comparing sizes first settles most of them. */
struct method_slot *dispatch_find(const struct rpc_worker *worker, struct slice path)
{
    for (size_t i = 0; i < worker->slot_count; i++) {
        struct method_slot *slot = &worker->slots[i];
        if (slot->path.size == path.size && memcmp(slot->path.data, path.data, path.size) == 0)
            return slot;
    }
    return NULL;
}

void dispatch_find_method(struct h2_stream *stream)
{
    assert(stream->slot == NULL && stream->framing.prefix_size == 0);
    const struct slice *known = stream->headers->known;
    struct slice path = known[HEADER_PATH];
    if (slice_is(known[HEADER_METHOD], "GET"))
        path = path_without_query(path);
    stream->slot = dispatch_find(stream->h2->worker, path);
    if (stream->slot != NULL)
        stream->framing.limit =
            method_message_bytes(stream->slot->method, &stream->h2->worker->limits);
    if (stream->slot != NULL && method_streams(stream->slot->method))
        stream->flow = xcalloc(1, sizeof *stream->flow);
    stream->refusal = protocol_of_request(stream->slot == NULL ? NULL : stream->slot->method,
                                          known[HEADER_METHOD], known[HEADER_CONTENT_TYPE],
                                          &stream->dialect);
    if (stream->refusal.status != 0)
        return;
    if (stream->dialect.protocol == PROTOCOL_CONNECT_GET)
        take_query(stream, path);
    struct slice encoding = sent_encoding(stream->headers, stream->dialect.protocol, stream->get);
    stream->framing.may_compress = slice_is(encoding, "gzip");
    if (protocol_is_bare(stream->dialect.protocol))
        stream->framing_error = framing_set_bare(&stream->framing, announced_size(stream->headers));
}

/* A refusal of the metadata is answered before the body has come: what of it still arrives is
 * dropped by the session and never buffered. */
void dispatch_headers(struct h2_stream *stream)
{
    if (stream->refusal.status != 0) {
        rpc_metrics_limit(stream->h2->worker->metrics->set, "not_grpc");
        h2_answer_http(stream, &stream->refusal);
        return;
    }
    make_call(stream);
    struct running_call *call = stream->call;
    call->result = enter(call);
    if (call->result != OK)
        answer_result(stream, call->result, clock_now());
}

/* The caller has counted it as started in this turn.  A refusal here has cost no task and no
 * stack. */
void dispatch_message(struct h2_stream *stream)
{
    struct running_call *call = stream->call;
    assert(call != NULL && !stream->dispatched && !stream->answered);
    stream->dispatched = true;
    int result = call->result;
    if (result == OK)
        result = run_checks(call, stream);
    if (result != OK) {
        answer_result(stream, result, clock_now());
        return;
    }
    struct h2 *h2 = stream->h2;
    bool streams = method_streams(call->call.method);
    bool has_place = !streams || streaming_place_take(call, h2);
    if (!has_place || !task_start(h2->worker->loop, run_handler, call, on_handler_end)) {
        if (streams && has_place)
            streaming_place_give(call);
        metric_inc(h2->worker->metrics->tasks_refused);
        answer_result(stream, OVERLOADED, clock_now());
        return;
    }
    call->running = true;
    list_push_back(&h2->running_calls, &call->running_node);
    h2->worker->running_calls++;
    metric_gauge_add(h2->worker->metrics->running, 1);
}

/* However few places there are, one identity leaves half of them to the others. */
static bool streaming_place_take(struct running_call *call, struct h2 *h2)
{
    struct rpc_worker *worker = h2->worker;
    size_t half = (worker->streaming_calls_max + 1) / 2;
    uint32_t most = worker->limits.streaming_per_identity;
    if (worker->streaming_calls >= worker->streaming_calls_max)
        return false;
    if (h2->share != NULL && !stream_share_take(h2->share, most < half ? most : (uint32_t)half)) {
        rpc_metrics_limit(worker->metrics->set, "streaming_per_identity");
        return false;
    }
    call->share = h2->share;
    worker->streaming_calls++;
    return true;
}

static void streaming_place_give(struct running_call *call)
{
    call->worker->streaming_calls--;
    if (call->share != NULL)
        stream_share_give(TAKE(call->share));
}

/* The client learns of its deadline in time even when a handler hangs in a wait that is
 * shielded (a COMMIT): the answer goes out of an arena that from here on belongs to the task,
 * which frees it at its end. */
void dispatch_expire(struct h2_stream *stream)
{
    struct running_call *call = stream->call;
    assert(call != NULL && !stream->answered);
    stream->dispatched = true;
    list_remove(&stream->h2->held, &stream->held_node);
    answer_result(stream, DEADLINE_EXCEEDED, clock_now());
    if (!call->running)
        return;
    stream->call = NULL; /* with the arena it is the task's alone from here */
    stream->arena = NULL;
    call_leave_stream(call);
}

void call_free(struct running_call *call)
{
    struct rpc_worker *worker = call->worker;
    struct arena *arena = call->arena;
    if (call->message_arena != NULL)
        worker_arena_give(worker, call->message_arena);
    worker_arena_give(worker, arena);
}

void call_leave_stream(struct running_call *call)
{
    assert(call->running);
    if (call->h2 != NULL)
        list_remove(&call->h2->readers, &call->reader_node);
    call->stream = NULL;
    call->call.wire = NULL;
    /* NULL before its first turn: run_handler() then sees that the stream is gone */
    if (call->task != NULL)
        task_cancel(call->task);
}

static bool method_streams(const struct rpc_method *method)
{
    return method->client_streaming || method->server_streaming;
}

/* What stands before the first question mark: :path has both (RFC 9113 section 8.3.1). */
static struct slice path_without_query(struct slice path)
{
    const uint8_t *mark = path.size == 0 ? NULL : memchr(path.data, '?', path.size);
    return mark == NULL ? path : slice_make(path.data, (size_t)(mark - path.data));
}

/* An unknown encoding is refused as an unknown content type is; what else is wrong is a Connect error. */
static void take_query(struct h2_stream *stream, struct slice path)
{
    struct slice query = slice_skip(stream->headers->known[HEADER_PATH], path.size);
    if (query.size > 0)
        query = slice_skip(query, 1);
    struct connect_get *get = arena_alloc(stream->arena, sizeof *get);
    get->fault = connect_query_parse(stream->arena, query, &get->query);
    if (get->fault.is_type)
        stream->refusal = (struct http_refusal){.status = 415};
    if (get->fault.parameter == NULL)
        stream->dialect.codec = get->query.codec;
    stream->get = get;
}

/* SIZE_MAX: not told.  The library has read it as a number and holds the body to it; one that would not fit
 * saturates. */
static size_t announced_size(const struct request_headers *headers)
{
    struct slice text = request_headers_find(headers, slice_of_str("content-length"));
    size_t size = 0;
    for (size_t i = 0; i < text.size && size < SIZE_MAX / 100; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return SIZE_MAX;
        size = size * 10 + (size_t)(text.data[i] - '0');
    }
    return text.size == 0 ? SIZE_MAX : size;
}

/* All of the call lies in the stream's arena, the slices of the fields too: they live as long
 * as the call and need no copies. */
static void make_call(struct h2_stream *stream)
{
    struct h2 *h2 = stream->h2;
    assert(stream->call == NULL && stream->arena != NULL);
    struct running_call *call = arena_alloc(stream->arena, sizeof *call);
    call->worker = h2->worker;
    call->h2 = h2;
    call->stream = stream;
    call->arena = stream->arena;
    call->metadata = stream->headers;
    call->dialect = stream->dialect;
    call->get = stream->get;
    call->began_ns = h2->received_ns;
    traffic_count(h2->traffic, TRAFFIC_CALLS);
    ctx_init(&call->call.ctx, h2->worker->log, call->arena);
    call->call.wire = (struct call_wire *)(void *)stream;
    call->call.idempotency_key = stream->headers->known[HEADER_IDEMPOTENCY_KEY];
    struct slice path = stream->headers->known[HEADER_PATH];
    size_t shown = path.size < SHOWN_PATH_MAX ? path.size : SHOWN_PATH_MAX;
    call->slot = stream->slot;
    call->call.ctx.method = call->slot != NULL ? call->slot->method->path
                                               : arena_strndup(call->arena, path.data, shown);
    stream->call = call;
}

/* The first refusal stands.  Steps behind it are left out, but for those that the answer and the log need. */
static int enter(struct running_call *call)
{
    int result = OK;
    for (size_t i = 0; i < call_step_count; i++) {
        const struct call_step *step = &call_steps[i];
        if (step->enter == NULL || (result != OK && !step->always))
            continue;
        int own = step->enter(call);
        result = result == OK ? own : result;
    }
    return result;
}

/* Without a task left, or on a greedy connection when memory is used up, nothing of the request is worth
 * looking at.  Whether there is a task when it is whole, is seen again by dispatch_message(). */
static int take_place(struct running_call *call)
{
    const struct rpc_worker *worker = call->worker;
    const struct loop *loop = worker->loop;
    if (shared_memory_is_used_up(worker->shared, worker->limits.connection_memory,
                                 call->h2->memory)) {
        rpc_metrics_limit(worker->metrics->set, "connection_memory");
        return OVERLOADED;
    }
    if (task_count(loop) < task_capacity(loop))
        return OK;
    metric_inc(call->worker->metrics->tasks_refused);
    return OVERLOADED;
}

/* Who calls: the name that the connection's certificate stands for, as of now. */
static int take_identity(struct running_call *call)
{
    call->call.caller = call->h2->caller;
    call->call.ctx.caller = call->h2->caller;
    return OK;
}

static int take_trace(struct running_call *call)
{
    const struct slice *known = call->metadata->known;
    trace_ctx_begin(&call->call.ctx.trace, known[HEADER_TRACEPARENT]);
    trace_ctx_request_id(&call->call.ctx.trace, known[HEADER_REQUEST_ID]);
    if (call->worker->spans != NULL)
        sample(call);
    return OK;
}

static void sample(struct running_call *call)
{
    struct ctx *ctx = &call->call.ctx;
    trace_ctx_sample(&ctx->trace, call->worker->trace_threshold);
    if (ctx->trace.flags == TRACE_SAMPLED)
        ctx->spans = call->worker->spans;
}

/* In the order of cost: method, encoding, then the program's gate. */
static int pass_gate(struct running_call *call)
{
    struct call *face = &call->call;
    if (call->slot == NULL)
        return METHOD_UNKNOWN;
    face->method = call->slot->method;
    face->service = call->slot->registration->environment;
    if (face->method->invoke == NULL)
        return METHOD_UNKNOWN;
    if (protocol_is_connect(call->dialect.protocol))
        TRY(connect_check(call));
    TRY(take_encoding(call));
    return call->worker->hooks.gate(face);
}

/* Nobody who does not compress pays for it: answers are compressed for who does, unless it says that it cannot
 * read that. */
static int take_encoding(struct running_call *call)
{
    struct slice encoding = sent_encoding(call->metadata, call->dialect.protocol, call->get);
    struct slice accepted = request_headers_find(
        call->metadata, slice_of_str(protocol_encoding_names(call->dialect.protocol)->accepted));
    bool gzip = slice_is(encoding, "gzip");
    if (encoding.size > 0 && !gzip && !slice_is(encoding, "identity"))
        return COMPRESSION_UNSUPPORTED;
    call->client_inflates = accepted.data == NULL ? gzip : header_list_has(accepted, "gzip");
    call->compresses = gzip && call->client_inflates;
    return OK;
}

/* A GET says it in its query. */
static struct slice sent_encoding(const struct request_headers *headers, enum protocol protocol,
                                  const struct connect_get *get)
{
    if (get != NULL)
        return get->query.compression;
    return request_headers_find(headers, slice_of_str(protocol_encoding_names(protocol)->sent));
}

/* Streams may last as long as their connection, whose age is limited.
 * gRPC: "If Timeout is omitted a server should assume an infinite timeout" (PROTOCOL-HTTP2.md).
 * We assume the method's own: a wait without end would hold a task and a database connection.
 * A refused call gets a deadline too, because the sweep and answer_result() look at it. */
static int take_deadline(struct running_call *call)
{
    const struct rpc_limits *limits = &call->worker->limits;
    bool streams = call->slot != NULL && method_streams(call->slot->method);
    uint64_t duration = streams ? NO_DEADLINE : limits->deadline_default_ns;
    if (call->slot != NULL && call->slot->method->policy.default_deadline_ms > 0)
        duration = call->slot->method->policy.default_deadline_ms * NS_PER_MS;
    bool well_formed = take_timeout(call, &duration);
    if (duration > limits->deadline_cap_ns && !streams)
        duration = limits->deadline_cap_ns;
    call->call.ctx.deadline_ns = deadline_after(call->began_ns, duration);
    if (!well_formed && protocol_is_connect(call->dialect.protocol))
        return call_refuse_field(&call->call, METADATA_INVALID, "connect-timeout-ms",
                                 "must be 1 to 10 digits");
    if (!well_formed)
        return call_refuse_field(&call->call, METADATA_INVALID, "grpc-timeout",
                                 "must be 1 to 8 digits and a unit of H, M, S, m, u or n");
    return OK;
}

/* False: malformed.  *duration_ns stays as it is when none was sent. */
static bool take_timeout(const struct running_call *call, uint64_t *duration_ns)
{
    bool connect = protocol_is_connect(call->dialect.protocol);
    struct slice text = call_timeout_asked(call);
    if (text.data == NULL)
        return true;
    return connect ? timeout_ms_parse(text, duration_ns) : timeout_parse(text, duration_ns);
}

/* After END_STREAM or a framing error: checks what came, up to the handler. The cheapest first;
 * scan_message() before the unpacking, whose recursion and allocation it bounds.  The framing's
 * buffer goes as soon as the message lies unpacked in the arena: a running call need not hold
 * both. */
static int run_checks(struct running_call *call, struct h2_stream *stream)
{
    bool client_streams = call->call.method->client_streaming;
    if (!client_streams)
        TRY(message_fault(stream));
    /* the tick is late by a little: what slips through meets its deadline at its first wait */
    if (deadline_left(call->call.ctx.deadline_ns, clock_tick()) == 0)
        return DEADLINE_EXCEEDED;
    if (stream->flow != NULL)
        call_stream_init(call);
    if (client_streams) /* each message is checked when the handler asks for it */
        return OK;
    ProtobufCMessage *message = NULL;
    TRY(call_message_take(call, &stream->framing, call->arena, &message));
    h2_stream_drop_message(stream);
    call->request = message;
    return call->worker->hooks.match(&call->call, message);
}

/* OK: the one message is there. */
static int message_fault(const struct h2_stream *stream)
{
    struct ctx *ctx = &stream->call->call.ctx;
    TRY(call_framing_fault(stream->call, stream->framing_error));
    if (framing_has_message(&stream->framing))
        return OK;
    if (!framing_is_cut(&stream->framing))
        return REQUEST_CARDINALITY;
    return FAULT(ctx, FAULT_PROTOCOL, "the stream ended before a whole message had come");
}

/* On the task's own stack of 64 KiB.  Suspends wherever the handler does; after that the stream
 * may be gone, so everything from here on is reached through the call only. */
static void run_handler(struct task *task, void *argument)
{
    struct running_call *call = argument;
    assert(call->running && call->task == NULL);
    struct call *face = &call->call;
    face->ctx.task = task;
    call->task = task;
    if (call->stream == NULL) { /* a reset between the request and this first turn of the task */
        call->result = FAULT(&face->ctx, FAULT_CANCELLED, "the client went away");
        return;
    }
    metric_inc(call->worker->metrics->handlers_started);
    ProtobufCMessage *out = NULL;
    if (!face->method->server_streaming) {
        out = arena_alloc(call->arena, face->method->response->sizeof_message);
        protobuf_c_message_init(face->method->response, out);
    }
    call->result = face->method->invoke(call->slot->registration->server, face, call->request, out);
    if (call->result == OK && out != NULL)
        call->result = pack_reply(call, out);
}

/* Packed in the task, so that a large answer is charged to it and not to the loop's own work.
 * A stored reply (idempotency) goes out byte for byte as it was first sent. */
static int pack_reply(struct running_call *call, const ProtobufCMessage *message)
{
    if (call->dialect.codec == CODEC_JSON)
        return pack_json_reply(call, message);
    struct slice stored = call->call.stored_reply;
    bool is_stored = call->call.has_stored_reply;
    size_t size = is_stored ? stored.size : protobuf_c_message_get_packed_size(message);
    TRY(call_response_fault(call, size));
    uint8_t *bytes = arena_alloc_raw(call->arena, FRAME_PREFIX_SIZE + size);
    if (is_stored) {
        memcpy(bytes + FRAME_PREFIX_SIZE, stored.data, size);
    } else {
        size_t packed = protobuf_c_message_pack(message, bytes + FRAME_PREFIX_SIZE);
        assert(packed == size);
    }
    frame_reply(call, bytes, size);
    return OK;
}

/* Of a stored reply the bytes are protobuf's, whatever the first request was written in. */
static int pack_json_reply(struct running_call *call, const ProtobufCMessage *message)
{
    struct slice stored = call->call.stored_reply;
    if (call->call.has_stored_reply)
        message = protobuf_c_message_unpack(call->call.method->response,
                                            arena_protobuf(call->arena), stored.size, stored.data);
    if (message == NULL)
        return FAULT(&call->call.ctx, FAULT_INTERNAL, "a stored reply cannot be read");
    struct buf text = BUF_EMPTY;
    int rc = codec_print_json(call, message, &text);
    if (rc == OK) {
        uint8_t *bytes = arena_alloc_raw(call->arena, FRAME_PREFIX_SIZE + buf_size(&text));
        memcpy(bytes + FRAME_PREFIX_SIZE, buf_slice(&text).data, buf_size(&text));
        frame_reply(call, bytes, buf_size(&text));
    }
    buf_deinit(&text);
    return rc;
}

/* The message of `size` bytes stands behind room for its prefix. */
static void frame_reply(struct running_call *call, uint8_t *bytes, size_t size)
{
    size_t skipped = protocol_is_bare(call->dialect.protocol) ? FRAME_PREFIX_SIZE : 0;
    size_t framed = call_message_frame(call, bytes, size);
    call->reply = slice_skip(slice_make(bytes, framed), skipped);
    call->sends_gzip = bytes[0] == FRAME_COMPRESSED;
}

/* On the loop's stack, when the task is over. The connection may be gone (call->h2 is NULL
 * then), or only the stream. */
static void on_handler_end(struct task *task, void *argument)
{
    (void)task;
    struct running_call *call = argument;
    assert(call->running && call->worker->running_calls > 0);
    struct rpc_worker *worker = call->worker;
    uint64_t now = task_end_time(worker->loop);
    call->running = false;
    call->task = NULL;
    call->call.ctx.task = NULL;
    worker->running_calls--;
    if (method_streams(call->call.method))
        streaming_place_give(call);
    metric_gauge_add(worker->metrics->running, -1);
    struct h2 *h2 = call->h2;
    if (h2 != NULL)
        list_remove(&h2->running_calls, &call->running_node);
    if (call->stream != NULL) {
        answer_result(call->stream, call->result, now);
    } else { /* nobody waits for the answer any more */
        struct status status;
        status_of_result(&call->call.ctx, call->result, call->call.details, &status);
        if (!call->reported)
            call_finished(call, &status, now);
        call_free(call);
    }
    if (h2 != NULL)
        h2->wants_flush(h2->owner); /* held requests may start now */
}

static void answer_result(struct h2_stream *stream, int result, uint64_t now_ns)
{
    struct running_call *call = stream->call;
    struct ctx *ctx = &call->call.ctx;
    /* whatever a late handler's last wait was for, what the client has to know is that time is up */
    if (result < OK && deadline_left(ctx->deadline_ns, now_ns) == 0)
        result = DEADLINE_EXCEEDED;
    struct status status;
    status_of_result(ctx, result, call->call.details, &status);
    if (call->worker->plain_refusals && !status.passed_on)
        status.details = slice_make(NULL, 0);
    h2_answer(stream, &status, now_ns);
}
