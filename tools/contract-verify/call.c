/* Calls by path and bytes.  See call.h.
 *
 * The client speaks of messages that protobuf-c describes.  A message type without a single field is enough
 * for it: whatever a message holds are unknown fields, which are kept as they are. */
#include "call.h"

#include <protobuf-c/protobuf-c.h>

#include <string.h>

static void raw_init(ProtobufCMessage *message);
static ProtobufCMessage *raw_of(struct ctx *ctx, struct slice bytes);
static struct slice bytes_of(struct ctx *ctx, const ProtobufCMessage *message);
static int exchange(struct client_stream *stream, const struct interaction *interaction,
                    const struct outgoing *outgoing, struct incoming *incoming);
static int receive(struct client_stream *stream, struct incoming *incoming, bool *over);

static const ProtobufCMessageDescriptor raw_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "message",
    .short_name = "message",
    .c_name = "Message",
    .package_name = "",
    .sizeof_message = sizeof(ProtobufCMessage),
    .message_init = raw_init,
};

static void raw_init(ProtobufCMessage *message)
{
    *message = (ProtobufCMessage)PROTOBUF_C_MESSAGE_INIT(&raw_descriptor);
}

static ProtobufCMessage *raw_of(struct ctx *ctx, struct slice bytes)
{
    return protobuf_c_message_unpack(&raw_descriptor, arena_protobuf(ctx->arena), bytes.size,
                                     bytes.data);
}

static struct slice bytes_of(struct ctx *ctx, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc_raw(ctx->arena, size + 1);
    return slice_make(bytes, protobuf_c_message_pack(message, bytes));
}

int call_perform(struct ctx *ctx, struct client_channel *channel,
                 const struct interaction *interaction, const struct outgoing *outgoing,
                 struct incoming *incoming)
{
    const struct rpc_method method = {
        .path = interaction->path,
        .service = interaction->service,
        .name = interaction->method,
        .client_streaming = interaction->client_streaming,
        .server_streaming = interaction->server_streaming,
        .request = &raw_descriptor,
        .response = &raw_descriptor,
    };
    *incoming = (struct incoming){.call = {.ctx = ctx,
                                           .channel = channel,
                                           .timeout_ns = outgoing->timeout_ns,
                                           .metadata_count = outgoing->metadata_count}};
    for (size_t i = 0; i < outgoing->metadata_count; i++)
        incoming->call.metadata[i] = outgoing->metadata[i];
    size_t room = interaction->response_count + 2;
    incoming->messages = arena_alloc(ctx->arena, room * sizeof incoming->messages[0]);
    struct client_stream *stream = NULL;
    TRY(client_stream_open(&incoming->call, &method, &stream));
    int rc = exchange(stream, interaction, outgoing, incoming);
    client_stream_close(stream);
    if (rc == FAULT_TIMEOUT) {
        incoming->is_late = true;
        return OK;
    }
    return rc;
}

static int exchange(struct client_stream *stream, const struct interaction *interaction,
                    const struct outgoing *outgoing, struct incoming *incoming)
{
    struct ctx *ctx = incoming->call.ctx;
    bool over = false;
    for (size_t i = 0; i < outgoing->count && !over; i++) {
        const ProtobufCMessage *message = raw_of(ctx, outgoing->messages[i]);
        if (message == NULL)
            return FAULT(ctx, FAULT_CONFIG, "request %zu is too large or not protobuf", i);
        TRY(client_stream_send(stream, message));
        bool waits = interaction->in_turn && i + 1 < outgoing->count &&
                     incoming->count < interaction->response_count;
        if (waits)
            TRY(receive(stream, incoming, &over));
    }
    if (!interaction->left_open || !interaction->client_streaming)
        client_stream_send_end(stream);
    /* one more than expected is enough to tell that there are too many */
    size_t most = interaction->response_count + (interaction->left_open ? 0 : 1);
    while (!over && incoming->count < most)
        TRY(receive(stream, incoming, &over));
    incoming->has_status = over;
    return OK;
}

static int receive(struct client_stream *stream, struct incoming *incoming, bool *over)
{
    ProtobufCMessage *message = NULL;
    struct ctx *ctx = incoming->call.ctx;
    TRY(client_stream_receive(stream, ctx->arena, &message));
    *over = message == NULL;
    if (message != NULL)
        incoming->messages[incoming->count++] = bytes_of(ctx, message);
    return OK;
}
