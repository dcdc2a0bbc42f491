/* The handlers that the suite's reference client calls: each answers what the request tells it to, and says what
 * it has seen (service.proto of the suite).  Straight-line code on call.h; nothing here knows which protocol is
 * spoken, but for the one field that asks whether it was a GET. */
#include "service.h"

#include "loop/task.h"
#include "rpc/call_int.h"
#include "rpc/coding.h"

#include "connectrpc/conformance/v1/service.pb-c.h"
#include "gen/pb/google/protobuf/any.pb-c.h"

#include <stdlib.h>
#include <strings.h>

#define REQUESTS_MAX 128

typedef Connectrpc__Conformance__V1__Header Header;
typedef Connectrpc__Conformance__V1__Error Error;
typedef Connectrpc__Conformance__V1__ConformancePayload Payload;
typedef Connectrpc__Conformance__V1__ConformancePayload__RequestInfo RequestInfo;
typedef Connectrpc__Conformance__V1__ConformancePayload__ConnectGetInfo GetInfo;
typedef Connectrpc__Conformance__V1__UnaryResponseDefinition UnaryDefinition;
typedef Connectrpc__Conformance__V1__StreamResponseDefinition StreamDefinition;
typedef Connectrpc__Conformance__V1__UnaryRequest UnaryRequest;
typedef Connectrpc__Conformance__V1__UnaryResponse UnaryResponse;
typedef Connectrpc__Conformance__V1__IdempotentUnaryRequest IdempotentUnaryRequest;
typedef Connectrpc__Conformance__V1__IdempotentUnaryResponse IdempotentUnaryResponse;
typedef Connectrpc__Conformance__V1__ServerStreamRequest ServerStreamRequest;
typedef Connectrpc__Conformance__V1__ServerStreamResponse ServerStreamResponse;
typedef Connectrpc__Conformance__V1__ClientStreamRequest ClientStreamRequest;
typedef Connectrpc__Conformance__V1__ClientStreamResponse ClientStreamResponse;
typedef Connectrpc__Conformance__V1__BidiStreamRequest BidiStreamRequest;
typedef Connectrpc__Conformance__V1__BidiStreamResponse BidiStreamResponse;

/* The requests of one call, packed. */
struct seen {
    Google__Protobuf__Any *requests[REQUESTS_MAX];
    size_t count;
};

/* --- what was seen ---------------------------------------------------------------------------------------- */

static Google__Protobuf__Any *any_make(struct call *call, const ProtobufCMessage *message)
{
    struct arena *arena = call->ctx.arena;
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof *any);
    google__protobuf__any__init(any);
    any->type_url = arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name);
    any->value.len = protobuf_c_message_get_packed_size(message);
    any->value.data = arena_alloc(arena, any->value.len + 1);
    protobuf_c_message_pack(message, any->value.data);
    return any;
}

static int seen_add(struct call *call, struct seen *seen, const ProtobufCMessage *message)
{
    if (seen->count == REQUESTS_MAX)
        return call_refuse_status(call, GRPC_RESOURCE_EXHAUSTED, "too many requests");
    seen->requests[seen->count++] = any_make(call, message);
    return OK;
}

static Header *header_find(const RequestInfo *info, struct slice name)
{
    for (size_t i = 0; i < info->n_request_headers; i++) {
        if (slice_is(name, info->request_headers[i]->name))
            return info->request_headers[i];
    }
    return NULL;
}

static void header_add(struct call *call, RequestInfo *info, struct slice name, struct slice value)
{
    struct arena *arena = call->ctx.arena;
    const struct request_headers *all = running_call_of(call)->metadata;
    Header *header = header_find(info, name);
    if (header == NULL) {
        header = arena_alloc(arena, sizeof *header);
        connectrpc__conformance__v1__header__init(header);
        header->name = arena_strndup(arena, name.data, name.size);
        header->value = arena_alloc(arena, (all->other_count + 1) * sizeof *header->value);
        info->request_headers[info->n_request_headers++] = header;
    }
    header->value[header->n_value++] = arena_strndup(arena, value.data, value.size);
}

static void headers_tell(struct call *call, RequestInfo *info)
{
    const struct request_headers *all = running_call_of(call)->metadata;
    info->request_headers =
        arena_alloc(call->ctx.arena, (all->other_count + 1) * sizeof *info->request_headers);
    for (size_t i = 0; i < all->other_count; i++) {
        if (all->others[i].name.data[0] != ':')
            header_add(call, info, all->others[i].name, all->others[i].value);
    }
    if (all->known[HEADER_CONTENT_TYPE].data != NULL)
        header_add(call, info, slice_of_str("content-type"), all->known[HEADER_CONTENT_TYPE]);
}

/* The service gives every call a deadline; what is told is only what the client asked for. */
static void timeout_tell(struct call *call, RequestInfo *info)
{
    if (call_metadata(call, "grpc-timeout").data == NULL &&
        call_metadata(call, "connect-timeout-ms").data == NULL)
        return;
    uint64_t left = deadline_left(call->ctx.deadline_ns, clock_now());
    info->_timeout_ms_case =
        CONNECTRPC__CONFORMANCE__V1__CONFORMANCE_PAYLOAD__REQUEST_INFO___TIMEOUT_MS_TIMEOUT_MS;
    info->timeout_ms = (int64_t)(left / NS_PER_MS);
}

static RequestInfo *info_make(struct call *call, const struct seen *seen)
{
    struct arena *arena = call->ctx.arena;
    RequestInfo *info = arena_alloc(arena, sizeof *info);
    connectrpc__conformance__v1__conformance_payload__request_info__init(info);
    info->requests = arena_alloc(arena, (seen->count + 1) * sizeof *info->requests);
    memcpy(info->requests, seen->requests, seen->count * sizeof *info->requests);
    info->n_requests = seen->count;
    headers_tell(call, info);
    timeout_tell(call, info);
    if (slice_is(call_metadata(call, ":method"), "GET")) {
        GetInfo *get = arena_alloc(arena, sizeof *get);
        connectrpc__conformance__v1__conformance_payload__connect_get_info__init(get);
        info->connect_get_info = get;
    }
    return info;
}

/* --- what is answered --------------------------------------------------------------------------------------- */

/* Values of "-bin" keys are given as they stand on the wire; call_set_* encodes them. */
static void metadata_set(struct call *call, Header *const *headers, size_t count,
                         void (*set)(struct call *call, const char *key, struct slice value))
{
    for (size_t i = 0; i < count; i++) {
        char *key = arena_strdup(call->ctx.arena, headers[i]->name);
        size_t size = strlen(key);
        for (char *at = key; *at != '\0'; at++)
            *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
        for (size_t k = 0; k < headers[i]->n_value; k++) {
            struct slice value = slice_of_str(headers[i]->value[k]);
            if (size > 4 && strcmp(key + size - 4, "-bin") == 0)
                (void)base64_decode(call->ctx.arena, value, &value);
            set(call, key, value);
        }
    }
}

static int pause_ms(struct call *call, uint32_t duration_ms)
{
    if (duration_ms == 0)
        return OK;
    return wait_fault(&call->ctx, task_sleep(&call->ctx, duration_ms * NS_PER_MS), "the pause");
}

/* With what was seen where nothing else tells it. */
static int error_return(struct call *call, const Error *error, const struct seen *seen)
{
    bool has_message = error->_message_case == CONNECTRPC__CONFORMANCE__V1__ERROR___MESSAGE_MESSAGE;
    int result = call_refuse_status(call, (int)error->code, has_message ? error->message : "");
    for (size_t i = 0; i < error->n_details; i++)
        call_refuse_detail(call, error->details[i]->type_url,
                           slice_make(error->details[i]->value.data, error->details[i]->value.len));
    if (seen != NULL) {
        Google__Protobuf__Any *any = any_make(call, &info_make(call, seen)->base);
        call_refuse_detail(call, any->type_url, slice_make(any->value.data, any->value.len));
    }
    return result;
}

static int unary_answer(struct call *call, const UnaryDefinition *definition,
                        const struct seen *seen, Payload **payload)
{
    *payload = arena_alloc(call->ctx.arena, sizeof **payload);
    connectrpc__conformance__v1__conformance_payload__init(*payload);
    (*payload)->request_info = info_make(call, seen);
    if (definition == NULL)
        return OK;
    metadata_set(call, definition->response_headers, definition->n_response_headers,
                 call_set_header);
    metadata_set(call, definition->response_trailers, definition->n_response_trailers,
                 call_set_trailer);
    TRY(pause_ms(call, definition->response_delay_ms));
    switch (definition->response_case) {
    case CONNECTRPC__CONFORMANCE__V1__UNARY_RESPONSE_DEFINITION__RESPONSE_ERROR:
        return error_return(call, definition->error, seen);
    case CONNECTRPC__CONFORMANCE__V1__UNARY_RESPONSE_DEFINITION__RESPONSE_RESPONSE_DATA:
        (*payload)->data = definition->response_data;
        return OK;
    default:
        return OK;
    }
}

static int unary(const void *server, struct call *call, const ProtobufCMessage *in,
                 ProtobufCMessage *out)
{
    (void)server;
    const UnaryRequest *request = (const void *)in;
    struct seen seen = {.count = 0};
    TRY(seen_add(call, &seen, in));
    return unary_answer(call, request->response_definition, &seen,
                        &((UnaryResponse *)(void *)out)->payload);
}

static int idempotent_unary(const void *server, struct call *call, const ProtobufCMessage *in,
                            ProtobufCMessage *out)
{
    (void)server;
    const IdempotentUnaryRequest *request = (const void *)in;
    struct seen seen = {.count = 0};
    TRY(seen_add(call, &seen, in));
    return unary_answer(call, request->response_definition, &seen,
                        &((IdempotentUnaryResponse *)(void *)out)->payload);
}

/* A received message lives until the next one: the definition is copied by packing it. */
static int client_stream(const void *server, struct call *call, const ProtobufCMessage *in,
                         ProtobufCMessage *out)
{
    (void)server;
    (void)in;
    struct seen seen = {.count = 0};
    const ProtobufCMessage *message = NULL;
    for (;;) {
        TRY(call_receive(call, &message));
        if (message == NULL)
            break;
        TRY(seen_add(call, &seen, message));
    }
    const UnaryDefinition *definition = NULL;
    if (seen.count > 0) {
        const ClientStreamRequest *first =
            connectrpc__conformance__v1__client_stream_request__unpack(
                arena_protobuf(call->ctx.arena), seen.requests[0]->value.len,
                seen.requests[0]->value.data);
        definition = first == NULL ? NULL : first->response_definition;
    }
    return unary_answer(call, definition, &seen, &((ClientStreamResponse *)(void *)out)->payload);
}

/* One message of an answer; `seen` NULL: what was seen is not told again. */
struct step {
    ProtobufCBinaryData data;
    const struct seen *seen;
    bool requests_only;
};

static int payload_send(struct call *call, const struct step *step, ProtobufCMessage *message,
                        Payload **place)
{
    Payload payload = CONNECTRPC__CONFORMANCE__V1__CONFORMANCE_PAYLOAD__INIT;
    RequestInfo info = CONNECTRPC__CONFORMANCE__V1__CONFORMANCE_PAYLOAD__REQUEST_INFO__INIT;
    payload.data = step->data;
    if (step->seen != NULL && !step->requests_only)
        payload.request_info = info_make(call, step->seen);
    if (step->requests_only) {
        info.n_requests = step->seen->count;
        info.requests = (Google__Protobuf__Any **)(uintptr_t)step->seen->requests;
        payload.request_info = &info;
    }
    *place = &payload;
    return call_send(call, message);
}

static int server_stream(const void *server, struct call *call, const ProtobufCMessage *in,
                         ProtobufCMessage *out)
{
    (void)server;
    (void)out;
    const StreamDefinition *definition =
        ((const ServerStreamRequest *)(const void *)in)->response_definition;
    struct seen seen = {.count = 0};
    TRY(seen_add(call, &seen, in));
    if (definition == NULL)
        return OK;
    metadata_set(call, definition->response_headers, definition->n_response_headers,
                 call_set_header);
    metadata_set(call, definition->response_trailers, definition->n_response_trailers,
                 call_set_trailer);
    for (size_t i = 0; i < definition->n_response_data; i++) {
        ServerStreamResponse message = CONNECTRPC__CONFORMANCE__V1__SERVER_STREAM_RESPONSE__INIT;
        const struct step step = {definition->response_data[i], i == 0 ? &seen : NULL, false};
        TRY(pause_ms(call, definition->response_delay_ms));
        TRY(payload_send(call, &step, &message.base, &message.payload));
    }
    if (definition->error == NULL)
        return OK;
    return error_return(call, definition->error, definition->n_response_data == 0 ? &seen : NULL);
}

static int bidi_send(struct call *call, const StreamDefinition *definition, size_t sent,
                     const struct step *step)
{
    BidiStreamResponse message = CONNECTRPC__CONFORMANCE__V1__BIDI_STREAM_RESPONSE__INIT;
    struct step full = *step;
    full.data = definition->response_data[sent];
    TRY(pause_ms(call, definition->response_delay_ms));
    return payload_send(call, &full, &message.base, &message.payload);
}

/* The first message, which tells how to answer, in the call's own memory. */
static const BidiStreamRequest *bidi_first(struct call *call, const Google__Protobuf__Any *any)
{
    const BidiStreamRequest *first = connectrpc__conformance__v1__bidi_stream_request__unpack(
        arena_protobuf(call->ctx.arena), any->value.len, any->value.data);
    if (first != NULL && first->response_definition != NULL) {
        const StreamDefinition *definition = first->response_definition;
        metadata_set(call, definition->response_headers, definition->n_response_headers,
                     call_set_header);
        metadata_set(call, definition->response_trailers, definition->n_response_trailers,
                     call_set_trailer);
    }
    return first;
}

static int bidi_stream(const void *server, struct call *call, const ProtobufCMessage *in,
                       ProtobufCMessage *out)
{
    (void)server;
    (void)in;
    (void)out;
    struct seen seen = {.count = 0};
    const StreamDefinition *definition = NULL;
    const BidiStreamRequest *first = NULL;
    size_t sent = 0;
    for (;;) {
        const ProtobufCMessage *message = NULL;
        TRY(call_receive(call, &message));
        if (message == NULL)
            break;
        TRY(seen_add(call, &seen, message));
        if (first == NULL) {
            first = bidi_first(call, seen.requests[0]);
            definition = first == NULL ? NULL : first->response_definition;
        }
        if (first == NULL || !first->full_duplex)
            continue;
        if (definition == NULL || sent >= definition->n_response_data)
            break;
        TRY(bidi_send(call, definition, sent,
                      &(struct step){.seen = &seen, .requests_only = sent > 0}));
        sent++;
        seen.count = 0;
    }
    if (definition == NULL)
        return OK;
    for (; sent < definition->n_response_data; sent++)
        TRY(bidi_send(call, definition, sent, &(struct step){.seen = sent == 0 ? &seen : NULL}));
    return definition->error == NULL
               ? OK
               : error_return(call, definition->error, sent == 0 ? &seen : NULL);
}

/* --- the table ------------------------------------------------------------------------------------------------ */

#define PACKAGE "connectrpc.conformance.v1"
#define NAME PACKAGE ".ConformanceService"
#define TYPE(name) &connectrpc__conformance__v1__##name##__descriptor
#define METHOD(NAME_OF, FUNCTION, PREFIX, FROM_CLIENT, FROM_SERVER, IDEMPOTENT)                    \
    {                                                                                              \
        .path = "/" NAME "/" NAME_OF, .service = NAME, .name = NAME_OF,                            \
        .policy = {.access = IDEMPOTENT ? METHOD_ACCESS_READ : METHOD_ACCESS_WRITE},               \
        .client_streaming = FROM_CLIENT, .server_streaming = FROM_SERVER,                          \
        .no_side_effects = IDEMPOTENT, .request = TYPE(PREFIX##_request),                          \
        .response = TYPE(PREFIX##_response), .invoke = FUNCTION,                                   \
    }

static const struct rpc_method methods[] = {
    METHOD("Unary", unary, unary, false, false, false),
    METHOD("IdempotentUnary", idempotent_unary, idempotent_unary, false, false, true),
    METHOD("ServerStream", server_stream, server_stream, false, true, false),
    METHOD("ClientStream", client_stream, client_stream, true, false, false),
    METHOD("BidiStream", bidi_stream, bidi_stream, true, true, false),
    METHOD("Unimplemented", NULL, unimplemented, false, false, false),
};

const struct rpc_service conformance_service = {
    .name = NAME,
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
};

static const ProtobufCMessageDescriptor *const types[] = {
    TYPE(unary_request),
    TYPE(idempotent_unary_request),
    TYPE(server_stream_request),
    TYPE(client_stream_request),
    TYPE(bidi_stream_request),
    TYPE(header),
    TYPE(conformance_payload__request_info),
};
const struct protojson_types conformance_types = {types, sizeof types / sizeof types[0]};
