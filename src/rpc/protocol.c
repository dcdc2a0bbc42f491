/* Called once for every request, when its headers are complete: gRPC comes first in the table. */
#include "rpc/protocol.h"

#include <assert.h>
#include <strings.h>

struct media_type {
    const char *text;
    struct dialect dialect;
};

/* Connect's unary protocol answers what it was asked in; gRPC's two short forms are protobuf. */
static const struct media_type media_types[] = {
    {"application/grpc", {PROTOCOL_GRPC, CODEC_PROTO}},
    {"application/grpc+proto", {PROTOCOL_GRPC, CODEC_PROTO}},
    {"application/grpc+json", {PROTOCOL_GRPC, CODEC_JSON}},
    {"application/json", {PROTOCOL_CONNECT_UNARY, CODEC_JSON}},
    {"application/proto", {PROTOCOL_CONNECT_UNARY, CODEC_PROTO}},
    {"application/grpc-web", {PROTOCOL_GRPC_WEB, CODEC_PROTO}},
    {"application/grpc-web+proto", {PROTOCOL_GRPC_WEB, CODEC_PROTO}},
    {"application/grpc-web+json", {PROTOCOL_GRPC_WEB, CODEC_JSON}},
    {"application/connect+json", {PROTOCOL_CONNECT_STREAM, CODEC_JSON}},
    {"application/connect+proto", {PROTOCOL_CONNECT_STREAM, CODEC_PROTO}},
};
#define MEDIA_TYPES (sizeof media_types / sizeof media_types[0])

#define ACCEPT_GRPC                                                                                \
    "application/grpc, application/grpc+proto, application/grpc+json, "                            \
    "application/grpc-web, application/grpc-web+proto, application/grpc-web+json"
#define ACCEPT_UNARY ACCEPT_GRPC ", application/json, application/proto"
#define ACCEPT_STREAM ACCEPT_GRPC ", application/connect+json, application/connect+proto"

static struct http_refusal refuse_method(const struct rpc_method *method);
static struct http_refusal refuse_type(const struct rpc_method *method);
static const struct media_type *type_find(struct slice content_type);
static bool parameters_fit(const struct media_type *type, struct slice parameters);
static bool fits_kind(const struct rpc_method *method, enum protocol protocol);
static bool method_streams(const struct rpc_method *method);
static bool may_be_got(const struct rpc_method *method);

/* "If Content-Type does not begin with "application/grpc", gRPC servers SHOULD respond with HTTP status of
 * 415" (PROTOCOL-HTTP2.md); Connect says the same of types it does not know. */
struct http_refusal protocol_of_request(const struct rpc_method *method, struct slice http_method,
                                        struct slice content_type, struct dialect *dialect)
{
    if (slice_is(http_method, "GET") && may_be_got(method)) {
        *dialect = (struct dialect){PROTOCOL_CONNECT_GET, CODEC_PROTO};
        return (struct http_refusal){0};
    }
    if (!slice_is(http_method, "POST"))
        return refuse_method(method);
    const struct media_type *type = type_find(content_type);
    if (type == NULL || !fits_kind(method, type->dialect.protocol))
        return refuse_type(method);
    *dialect = type->dialect;
    return (struct http_refusal){0};
}

const char *protocol_content_type(const struct dialect *dialect)
{
    bool json = dialect->codec == CODEC_JSON;
    switch (dialect->protocol) {
    case PROTOCOL_GRPC:
        return json ? "application/grpc+json" : "application/grpc";
    case PROTOCOL_GRPC_WEB:
        return json ? "application/grpc-web+json" : "application/grpc-web+proto";
    case PROTOCOL_CONNECT_UNARY:
    case PROTOCOL_CONNECT_GET:
        return json ? "application/json" : "application/proto";
    case PROTOCOL_CONNECT_STREAM:
        return json ? "application/connect+json" : "application/connect+proto";
    }
    assert(false);
    return NULL;
}

const char *protocol_name(enum protocol protocol)
{
    if (protocol_is_connect(protocol))
        return "connect";
    return protocol == PROTOCOL_GRPC_WEB ? "grpc-web" : "grpc";
}

const struct encoding_names *protocol_encoding_names(enum protocol protocol)
{
    static const struct encoding_names grpc = {"grpc-encoding", "grpc-accept-encoding"};
    static const struct encoding_names http = {"content-encoding", "accept-encoding"};
    static const struct encoding_names connect = {"connect-content-encoding",
                                                  "connect-accept-encoding"};
    if (protocol_is_bare(protocol))
        return &http;
    return protocol == PROTOCOL_CONNECT_STREAM ? &connect : &grpc;
}

bool protocol_is_bare(enum protocol protocol)
{
    return protocol == PROTOCOL_CONNECT_UNARY || protocol == PROTOCOL_CONNECT_GET;
}

bool protocol_is_connect(enum protocol protocol)
{
    return protocol_is_bare(protocol) || protocol == PROTOCOL_CONNECT_STREAM;
}

static struct http_refusal refuse_method(const struct rpc_method *method)
{
    return (struct http_refusal){.status = 405, .allow = may_be_got(method) ? "GET, POST" : "POST"};
}

static struct http_refusal refuse_type(const struct rpc_method *method)
{
    bool streams = method != NULL && method_streams(method);
    return (struct http_refusal){.status = 415,
                                 .accept_post = streams ? ACCEPT_STREAM : ACCEPT_UNARY};
}

/* Types and subtypes are case-insensitive (RFC 9110 section 8.3.1). */
static const struct media_type *type_find(struct slice content_type)
{
    const uint8_t *semicolon =
        content_type.size == 0 ? NULL : memchr(content_type.data, ';', content_type.size);
    size_t size = semicolon == NULL ? content_type.size : (size_t)(semicolon - content_type.data);
    struct slice parameters = slice_skip(content_type, size);
    while (size > 0 && content_type.data[size - 1] == ' ')
        size--;
    for (size_t i = 0; i < MEDIA_TYPES; i++) {
        const struct media_type *type = &media_types[i];
        if (strlen(type->text) == size &&
            strncasecmp(type->text, (const char *)content_type.data, size) == 0)
            return parameters_fit(type, parameters) ? type : NULL;
    }
    return NULL;
}

/* gRPC leaves parameters open; of JSON there is one charset, "JSON text … MUST be encoded using UTF-8"
 * (RFC 8259 section 8.1). */
static bool parameters_fit(const struct media_type *type, struct slice parameters)
{
    static const char utf8[] = "charset=utf-8";
    if (type->dialect.codec != CODEC_JSON)
        return true;
    while (parameters.size > 0 && (parameters.data[0] == ';' || parameters.data[0] == ' '))
        parameters = slice_skip(parameters, 1);
    return parameters.size == 0 ||
           (parameters.size == sizeof utf8 - 1 &&
            strncasecmp((const char *)parameters.data, utf8, sizeof utf8 - 1) == 0);
}

/* Connect: "unary RPCs: application/<codec>; streaming RPCs: application/connect+<codec>".  What is asked of a
 * method that nobody knows is answered in the protocol it was asked in. */
static bool fits_kind(const struct rpc_method *method, enum protocol protocol)
{
    if (method == NULL || !protocol_is_connect(protocol))
        return true;
    return method_streams(method) == (protocol == PROTOCOL_CONNECT_STREAM);
}

static bool method_streams(const struct rpc_method *method)
{
    return method->client_streaming || method->server_streaming;
}

/* Connect: "Only unary RPCs annotated with idempotency_level = NO_SIDE_EFFECTS". */
static bool may_be_got(const struct rpc_method *method)
{
    return method != NULL && method->no_side_effects && !method_streams(method);
}
