/* Between a call and protojson.  A walk's memory is taken from an arena that is given back at once: a stream of
 * a million messages must not fill the call's. */
#include "rpc/codec.h"

#include "protojson/protojson.h"

#include "rpc/rpc_int.h"
#include "rpc/scan.h"

#include <assert.h>

static int print_limited(struct running_call *call, const ProtobufCMessage *message,
                         struct buf *text);

/* Unknown members are skipped, as protobuf skips unknown fields: an older server serves a newer client. */
int codec_parse_json(struct running_call *call, struct slice bytes, struct arena *arena,
                     ProtobufCMessage **message)
{
    struct ctx *ctx = &call->call.ctx;
    const struct protojson_parse_options options = {
        .any_types = call->worker->any_types,
        .ignore_unknown = true,
        .elements_max = SCAN_FIELDS_MAX,
    };
    struct protojson_parsed parsed;
    struct arena *own = ctx->arena;
    ctx->arena = arena;
    int rc = protojson_parse(ctx, call->call.method->request, bytes, &options, &parsed);
    ctx->arena = own;
    if (rc > OK)
        return call_refuse_field(&call->call, rc, parsed.path, parsed.rule);
    TRY(rc);
    *message = parsed.message;
    return OK;
}

int codec_print_json(struct running_call *call, const ProtobufCMessage *message, struct buf *out)
{
    struct ctx *ctx = &call->call.ctx;
    struct buf text = {.limit = call->worker->limits.response_bytes};
    struct arena *own = ctx->arena;
    ctx->arena = worker_arena_take(call->worker);
    int rc = print_limited(call, message, &text);
    worker_arena_give(call->worker, ctx->arena);
    ctx->arena = own;
    if (rc == OK)
        buf_put_slice(out, buf_slice(&text));
    buf_deinit(&text);
    return rc;
}

static int print_limited(struct running_call *call, const ProtobufCMessage *message,
                         struct buf *text)
{
    const struct protojson_print_options options = {.any_types = call->worker->any_types};
    TRY(protojson_print(&call->call.ctx, message, &options, text));
    return text->overflown ? call_response_fault(call, text->limit + 1) : OK;
}
