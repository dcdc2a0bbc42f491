/* Errors as Connect's JSON; called for every refused Connect call.  Must never fail: what cannot be told in
 * details is told by code and message. */
#include "rpc/connect.h"

#include "rpc/coding.h"

#include "gen/pb/google/rpc/status.pb-c.h"

#include <assert.h>

struct connect_code {
    const char *name;
    int http_status;
};

/* "Error Codes" of the Connect protocol. */
static const struct connect_code codes[GRPC_CODE_COUNT] = {
    [GRPC_OK] = {NULL, 200},
    [GRPC_CANCELLED] = {"canceled", 499},
    [GRPC_UNKNOWN] = {"unknown", 500},
    [GRPC_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [GRPC_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
    [GRPC_NOT_FOUND] = {"not_found", 404},
    [GRPC_ALREADY_EXISTS] = {"already_exists", 409},
    [GRPC_PERMISSION_DENIED] = {"permission_denied", 403},
    [GRPC_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [GRPC_FAILED_PRECONDITION] = {"failed_precondition", 400},
    [GRPC_ABORTED] = {"aborted", 409},
    [GRPC_OUT_OF_RANGE] = {"out_of_range", 400},
    [GRPC_UNIMPLEMENTED] = {"unimplemented", 501},
    [GRPC_INTERNAL] = {"internal", 500},
    [GRPC_UNAVAILABLE] = {"unavailable", 503},
    [GRPC_DATA_LOSS] = {"data_loss", 500},
    [GRPC_UNAUTHENTICATED] = {"unauthenticated", 401},
};

static void details_put(struct buf *out, struct arena *arena, struct slice packed);
static void detail_put(struct buf *out, const Google__Protobuf__Any *detail);

int connect_http_status(enum grpc_code code)
{
    assert((unsigned)code < GRPC_CODE_COUNT);
    return codes[code].http_status;
}

const char *connect_code_name(enum grpc_code code)
{
    assert((unsigned)code < GRPC_CODE_COUNT && code != GRPC_OK);
    return codes[code].name;
}

void connect_error_put(struct buf *out, struct arena *arena, const struct status *status)
{
    buf_printf(out, "{\"code\":\"%s\",\"message\":\"", connect_code_name(status->code));
    buf_put_json_escaped(out, slice_of_str(status->message));
    buf_put_str(out, "\"");
    details_put(out, arena, status->details);
    buf_put_str(out, "}");
}

/* The details lie packed as a google.rpc.Status, which is how gRPC sends them. */
static void details_put(struct buf *out, struct arena *arena, struct slice packed)
{
    Google__Rpc__Status *status =
        google__rpc__status__unpack(arena_protobuf(arena), packed.size, packed.data);
    if (status == NULL || status->n_details == 0) /* NULL: the call has used up its arena */
        return;
    buf_put_str(out, ",\"details\":[");
    for (size_t i = 0; i < status->n_details; i++) {
        if (i > 0)
            buf_put_str(out, ",");
        detail_put(out, status->details[i]);
    }
    buf_put_str(out, "]");
}

/* "type" is the name behind the last slash of an Any's URL; "value" base64 without padding. */
static void detail_put(struct buf *out, const Google__Protobuf__Any *detail)
{
    const char *slash = strrchr(detail->type_url, '/');
    buf_put_str(out, "{\"type\":\"");
    buf_put_json_escaped(out, slice_of_str(slash == NULL ? detail->type_url : slash + 1));
    buf_put_str(out, "\",\"value\":\"");
    base64_encode(out, slice_make(detail->value.data, detail->value.len));
    buf_put_str(out, "\"}");
}
