/* A message from its bytes to its struct and back: inflated, scanned, unpacked; packed, compressed, framed.
 * Unary and streaming methods share it. */
#include "rpc/call_int.h"
#include "rpc/codec.h"
#include "rpc/framing.h"
#include "rpc/gzip.h"
#include "rpc/rpc_int.h"
#include "rpc/scan.h"

#include "gen/errors.h"

#include <assert.h>

/* What a field, or a byte of JSON, costs to read, and a byte to compress, in bytes that are only copied. */
#define FIELD_WEIGHT 64
#define JSON_WEIGHT 16
#define DEFLATE_WEIGHT 32
#define INFLATED_KEPT                                                                              \
    ((size_t)2 << 20) /* twice the largest message by default: buffers grow by doubling */

static void charge(struct running_call *call, size_t bytes);
static int inflated(struct running_call *call, struct slice bytes, size_t limit, struct buf *out);
static int decoded(struct running_call *call, struct slice bytes, struct arena *arena,
                   ProtobufCMessage **message);
static int unpacked(struct running_call *call, struct slice bytes, struct arena *arena,
                    ProtobufCMessage **message);

int call_message_take(struct running_call *call, const struct framing *framing, struct arena *arena,
                      ProtobufCMessage **message)
{
    assert(framing_has_message(framing));
    struct slice bytes = call->get != NULL ? call->get->query.message
                                           : buf_slice(&framing->message);
    call->was_compressed = framing_is_compressed(framing);
    if (!call->was_compressed || bytes.size == 0) {
        charge(call, bytes.size);
        return decoded(call, bytes, arena, message);
    }
    /* Not of its own: for a bomb the kernel's work on fresh pages was four times zlib's. */
    struct buf *plain = &call->worker->inflated;
    assert(buf_size(plain) == 0);
    int rc = inflated(call, bytes, framing->limit, plain);
    size_t cost = rc == OK ? buf_size(plain) : framing->limit;
    charge(call, cost > GZIP_WEIGHT * bytes.size ? cost : GZIP_WEIGHT * bytes.size);
    if (rc == OK)
        rc = decoded(call, buf_slice(plain), arena, message);
    buf_clear(plain);
    if (plain->room > INFLATED_KEPT)
        buf_deinit(plain);
    return rc;
}

/* The connection's next message waits for the next turn when its share is used up.  What was refused has
 * cost its limit at the most. */
static void charge(struct running_call *call, size_t bytes)
{
    if (call->h2 != NULL)
        h2_charge(call->h2, bytes);
}

/* The limit is the one for messages that come as they are: compressing must not get around it. */
static int inflated(struct running_call *call, struct slice bytes, size_t limit, struct buf *out)
{
    switch (gzip_inflate(bytes, limit, out)) {
    case GZIP_OK:
        break;
    case GZIP_TOO_LARGE:
        rpc_metrics_limit(call->worker->metrics->set, "inflated_bytes");
        return MESSAGE_TOO_LARGE;
    case GZIP_PADDED:
        rpc_metrics_limit(call->worker->metrics->set, "compressed_padding");
        return MESSAGE_TOO_COMPLEX;
    case GZIP_MALFORMED:
        return FAULT(&call->call.ctx, FAULT_PROTOCOL, "a compressed message that is not gzip");
    }
    return OK;
}

static int decoded(struct running_call *call, struct slice bytes, struct arena *arena,
                   ProtobufCMessage **message)
{
    bool json = call->dialect.codec == CODEC_JSON;
    charge(call, json ? JSON_WEIGHT * bytes.size : 0);
    TRY(json ? codec_parse_json(call, bytes, arena, message)
             : unpacked(call, bytes, arena, message));
    if (call->h2 != NULL)
        traffic_count_at(call->h2->traffic, TRAFFIC_RECEIVED, LAST_RECEIVED, call->h2->received_ns);
    return OK;
}

/* scan_message() before the unpacking, whose recursion and allocation it bounds.  protobuf-c's NULL does not
 * say why; a full arena is the one cause that the scan cannot exclude. */
static int unpacked(struct running_call *call, struct slice bytes, struct arena *arena,
                    ProtobufCMessage **message)
{
    const ProtobufCMessageDescriptor *type = call->call.method->request;
    struct scan_report report;
    enum scan_result scan = scan_message(type, bytes, &report);
    charge(call, FIELD_WEIGHT * report.fields);
    switch (scan) {
    case SCAN_OK:
        break;
    case SCAN_TOO_DEEP:
    case SCAN_TOO_MANY:
        return call_refuse_field(&call->call, MESSAGE_TOO_COMPLEX, report.path, scan_rule(scan));
    case SCAN_MALFORMED:
    case SCAN_BAD_UTF8:
    case SCAN_NUL:
    case SCAN_TWICE:
        return call_refuse_field(&call->call, MESSAGE_MALFORMED, report.path, scan_rule(scan));
    }
    *message = protobuf_c_message_unpack(type, arena_protobuf(arena), bytes.size, bytes.data);
    if (*message == NULL)
        return arena_is_full(arena) ? MESSAGE_TOO_COMPLEX : MESSAGE_MALFORMED;
    return OK;
}

size_t call_message_frame(struct running_call *call, uint8_t *place, size_t size)
{
    bool smaller = false;
    if (call->compresses && size > 0) {
        charge(call, DEFLATE_WEIGHT * size);
        smaller = gzip_shrink(place + FRAME_PREFIX_SIZE, &size);
    }
    framing_prefix(place, smaller ? FRAME_COMPRESSED : FRAME_PLAIN, size);
    return FRAME_PREFIX_SIZE + size;
}
