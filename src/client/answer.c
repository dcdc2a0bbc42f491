/* The answer's fields and the call's status; see answer.h.  Must never make a success of what a server did
 * not call one. */
#include "client/answer.h"

#include "rpc/coding.h"
#include "rpc/request_headers.h"
#include "rpc/status.h"

#include <nghttp2/nghttp2.h>

#include <assert.h>

#define FIELD_OVERHEAD 32 /* RFC 9113 section 6.5.2: how a header list's size is counted */

static void take_binary(struct answer *answer, struct client_call *call, const char *key,
                        struct slice value);
static void keep(struct answer *answer, struct client_call *call, const char *key,
                 struct slice value);
static void take_encodings(struct answer *answer, struct slice names);
static bool is_grpc_type(struct slice type);
static int status_of_http(int http_status);
static int status_of_reset(uint32_t code);
static void set_status(struct client_call *call, int status, const char *message);

/* Informational answers ("103 Early Hints") are not the answer: their fields are dropped.  A status counts
 * only where it ends the stream: "Status must be sent in Trailers even if the status code is OK". */
bool answer_take_field(struct answer *answer, struct client_call *call, bool last,
                       const struct slice field[2])
{
    struct slice name = field[0], value = field[1];
    struct arena *arena = call->ctx->arena;
    answer->header_bytes += name.size + value.size + FIELD_OVERHEAD;
    answer->overflown = answer->overflown || answer->header_bytes > CLIENT_HEADER_BYTES_MAX;
    bool informational = answer->http_status >= 100 && answer->http_status < 200;
    if (slice_is(name, ":status")) {
        answer->http_status = 0;
        for (size_t i = 0; i < value.size && i < 3; i++)
            answer->http_status = answer->http_status * 10 + (value.data[i] - '0');
    } else if (informational) {
        return !answer->overflown;
    } else if (slice_is(name, "content-type")) {
        answer->is_grpc = is_grpc_type(value);
        keep(answer, call, "content-type", value);
    } else if (slice_is(name, "grpc-status")) {
#ifdef PLANTED_BUG /* for tests/fuzz: a status counts wherever it stands */
        last = true;
#endif
        answer->has_status = last;
        answer->status = answer_parse_status(value);
    } else if (slice_is(name, "grpc-message")) {
        answer->message = percent_decode(arena, value);
    } else if (slice_is(name, "grpc-status-details-bin")) {
        if (!base64_decode(arena, value, &call->details))
            answer->bad_field = "grpc-status-details-bin";
    } else {
        if (slice_is(name, "grpc-encoding"))
            answer->is_gzip = slice_is(value, "gzip");
        if (slice_is(name, "grpc-accept-encoding"))
            take_encodings(answer, value);
        const char *key = arena_strndup(arena, name.data, name.size);
        if (name.size > 4 && memcmp(name.data + name.size - 4, "-bin", 4) == 0)
            take_binary(answer, call, key, value);
        else
            keep(answer, call, key, value);
    }
    return !answer->overflown;
}

/* An answer that is not gRPC's comes from something between us and the service; of it HTTP's status alone
 * counts. */
void answer_judge(const struct answer *answer, struct client_call *call)
{
    struct arena *arena = call->ctx->arena;
    if (call->unsendable)
        set_status(call, GRPC_RESOURCE_EXHAUSTED, "the request's metadata is too large to be sent");
    else if (answer->too_large)
        set_status(call, GRPC_RESOURCE_EXHAUSTED, "the answer is larger than a message may be");
    else if (answer->overflown)
        set_status(call, GRPC_RESOURCE_EXHAUSTED, "the answer's metadata is too large");
    else if (answer->bad_field != NULL)
        set_status(call, GRPC_INTERNAL,
                   arena_printf(arena, "%s of the answer is not base64", answer->bad_field));
    else if (answer->is_grpc && answer->has_status && answer->status == GRPC_OK && answer->cut)
        set_status(call, GRPC_INTERNAL, "the answer ended within a message");
    else if (answer->is_grpc && answer->has_status)
        set_status(call, answer->status, answer->message == NULL ? "" : answer->message);
    else if (answer->http_status != 0 && answer->http_status != 200)
        set_status(call, status_of_http(answer->http_status),
                   arena_printf(arena, "HTTP status %d", answer->http_status));
    else if (answer->was_reset) /* with NO_ERROR as well: a success would have said so */
        set_status(call, status_of_reset(answer->close_code),
                   arena_printf(arena, "the stream was reset: %s",
                                nghttp2_http2_strerror(answer->close_code)));
    else if (!answer->is_grpc)
        set_status(call, GRPC_UNKNOWN, "the answer's content-type is not gRPC's");
    else
        set_status(call, GRPC_UNKNOWN, "the answer ended without grpc-status");
}

int answer_parse_status(struct slice text)
{
    int status = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == 2)
            return GRPC_UNKNOWN;
        status = status * 10 + (text.data[i] - '0');
    }
    return text.size == 0 || status >= GRPC_CODE_COUNT ? GRPC_UNKNOWN : status;
}

/* "implementations must be prepared to see … multiple values separated by a comma" */
static void take_binary(struct answer *answer, struct client_call *call, const char *key,
                        struct slice value)
{
    while (true) {
        const uint8_t *comma = value.size == 0 ? NULL : memchr(value.data, ',', value.size);
        size_t size = comma == NULL ? value.size : (size_t)(comma - value.data);
        struct slice decoded = slice_of_str("");
        if (size > 0 && !base64_decode(call->ctx->arena, slice_make(value.data, size), &decoded))
            answer->bad_field = key;
        keep(answer, call, key, decoded);
        if (comma == NULL)
            return;
        value = slice_skip(value, size + 1);
    }
}

static void keep(struct answer *answer, struct client_call *call, const char *key,
                 struct slice value)
{
    if (call->answer_count == CLIENT_METADATA_MAX) {
        answer->overflown = true;
        return;
    }
    const char *kept = arena_strndup(call->ctx->arena, value.data, value.size);
    call->answer[call->answer_count++] =
        (struct client_field){.key = key, .value = slice_make(kept, value.size)};
}

/* RFC 9110 section 5.3: the lines of one name are one list. */
static void take_encodings(struct answer *answer, struct slice names)
{
    answer->knows_gzip = answer->knows_gzip || header_list_has(names, "gzip");
    answer->knows_no_gzip = !answer->knows_gzip;
}

/* "Content-Type → "content-type" "application/grpc" [("+proto" / "+json" / {custom})]" */
static bool is_grpc_type(struct slice type)
{
    static const char prefix[] = "application/grpc";
    size_t size = sizeof prefix - 1;
    if (type.size < size || memcmp(type.data, prefix, size) != 0)
        return false;
    return type.size == size || type.data[size] == '+' || type.data[size] == ';';
}

/* http-grpc-status-mapping.md: for answers that lack grpc-status only, which proxies make. */
static int status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping": errors of HTTP/2 and the status each one means. */
static int status_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return GRPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return GRPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

static void set_status(struct client_call *call, int status, const char *message)
{
    assert(status >= 0 && status < GRPC_CODE_COUNT);
    call->status = status;
    call->message = message;
}
