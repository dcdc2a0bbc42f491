/* The public face of the room, include/tenant/client.h, over channel.h: faults become status codes, and
 * what an answer consists of lives in an arena of its own.
 *
 * Plain threads only: C programs have no tasks of ours. */
#include "client/channel.h"

#include "base/alloc.h"

#include "client/stream.h"
#include "rpc/status.h"
#include "tenant/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TENANT_UNAUTHENTICATED == GRPC_CODE_COUNT - 1, "the codes are gRPC's");

#define METADATA_OF_CALLERS 24

struct tenant_client {
    struct client_channel *channel;
};

struct tenant_answer {
    struct ctx ctx;
    struct client_call call;
    struct client_retry retry;
    enum tenant_code code;
    const char *message;
    const char *reason;
    ProtobufCMessage *response;
};

struct tenant_stream {
    struct tenant_answer *answer;
    struct rpc_method method;
    struct client_stream *stream; /* NULL: it could not begin, or failed */
    struct arena *arena;          /* of the message that was received last */
    bool over;
};

static uint64_t keepalive_of(const struct tenant_client_options *options);
static struct tenant_answer *answer_new(struct tenant_client *client,
                                        const struct tenant_call *call);
static void add_fields(struct client_call *inner, const struct tenant_call *call);
static void add_text(struct client_call *inner, const char *key, const char *value);
static void settle(struct tenant_answer *answer, int rc);
static enum tenant_code code_of_fault(enum fault_kind kind);
static bool settle_stream(struct tenant_stream *stream, int rc);

struct tenant_client *tenant_client_new(const struct tenant_client_options *options)
{
    if (options->address == NULL || options->cert_file == NULL || options->key_file == NULL ||
        options->ca_file == NULL)
        return NULL;
    const struct client_settings settings = {
        .address = options->address,
        .cert_file = options->cert_file,
        .key_file = options->key_file,
        .ca_file = options->ca_file,
        .server_name = options->server_name,
        .connect_timeout_ns = options->connect_timeout_ms * NS_PER_MS,
        .keepalive_ns = keepalive_of(options),
    };
    struct tenant_client *client = xcalloc(1, sizeof *client);
    client->channel = client_channel_new(&settings);
    return client;
}

static uint64_t keepalive_of(const struct tenant_client_options *options)
{
    uint64_t pause = options->keepalive_ms * NS_PER_MS;
    return pause > 0 && pause < CLIENT_KEEPALIVE_MIN_NS ? CLIENT_KEEPALIVE_MIN_NS : pause;
}

void tenant_client_compress(struct tenant_client *client, unsigned from)
{
    client_channel_compress(client->channel, from);
}

void tenant_client_free(struct tenant_client *client)
{
    if (client == NULL)
        return;
    client_channel_free(client->channel);
    free(client);
}

/* lint-allow parameters: see client.h */
struct tenant_answer *tenant_client_call(struct tenant_client *client,
                                         const struct tenant_call *call, const char *path,
                                         const ProtobufCMessage *request,
                                         const ProtobufCMessageDescriptor *response)
{
    struct tenant_answer *answer = answer_new(client, call);
    const struct rpc_method method = {
        .path = path, .request = request->descriptor, .response = response};
    settle(answer, client_unary(&answer->call, &method, request, &answer->response));
    return answer;
}

void tenant_answer_free(struct tenant_answer *answer)
{
    if (answer == NULL)
        return;
    arena_free(answer->ctx.arena);
    free(answer);
}

enum tenant_code tenant_answer_code(const struct tenant_answer *answer)
{
    return answer->code;
}

const char *tenant_answer_message(const struct tenant_answer *answer)
{
    return answer->message;
}

const char *tenant_answer_reason(const struct tenant_answer *answer)
{
    return answer->reason;
}

const ProtobufCMessage *tenant_answer_response(const struct tenant_answer *answer)
{
    return answer->response;
}

const void *tenant_answer_field(const struct tenant_answer *answer, const char *key, size_t *size)
{
    struct slice value = client_answer(&answer->call, key);
    if (value.data == NULL)
        return NULL;
    if (size != NULL)
        *size = value.size;
    return arena_strndup(answer->ctx.arena, value.data, value.size);
}

const void *tenant_answer_details(const struct tenant_answer *answer, size_t *size)
{
    if (size != NULL)
        *size = answer->call.details.size;
    return answer->call.details.size == 0 ? NULL : answer->call.details.data;
}

unsigned tenant_answer_attempts(const struct tenant_answer *answer)
{
    return answer->call.attempts;
}

/* lint-allow parameters: see client.h */
struct tenant_stream *tenant_client_stream(struct tenant_client *client,
                                           const struct tenant_call *call, const char *path,
                                           const ProtobufCMessageDescriptor *request,
                                           const ProtobufCMessageDescriptor *response)
{
    struct tenant_stream *stream = xcalloc(1, sizeof *stream);
    stream->answer = answer_new(client, call);
    stream->arena = arena_new(0);
    stream->method = (struct rpc_method){.path = path,
                                         .client_streaming = true,
                                         .server_streaming = true,
                                         .request = request,
                                         .response = response};
    (void)settle_stream(
        stream, client_stream_open(&stream->answer->call, &stream->method, &stream->stream));
    return stream;
}

bool tenant_stream_send(struct tenant_stream *stream, const ProtobufCMessage *message)
{
    return !stream->over && !stream->stream->output_ended &&
           settle_stream(stream, client_stream_send(stream->stream, message));
}

void tenant_stream_send_end(struct tenant_stream *stream)
{
    if (!stream->over)
        client_stream_send_end(stream->stream);
}

const ProtobufCMessage *tenant_stream_receive(struct tenant_stream *stream)
{
    if (stream->over)
        return NULL;
    ProtobufCMessage *message = NULL;
    arena_reset(stream->arena);
    if (!settle_stream(stream, client_stream_receive(stream->stream, stream->arena, &message)))
        return NULL;
    if (message == NULL) {
        settle(stream->answer, OK);
        stream->over = true;
    }
    return message;
}

struct tenant_answer *tenant_stream_end(struct tenant_stream *stream)
{
    struct tenant_answer *answer = stream->answer;
    if (!stream->over) {
        answer->code = TENANT_CANCELLED;
        answer->message = "given up by the caller";
    }
    client_stream_close(stream->stream);
    arena_free(stream->arena);
    free(stream);
    return answer;
}

static struct tenant_answer *answer_new(struct tenant_client *client,
                                        const struct tenant_call *call)
{
    struct tenant_answer *answer = xcalloc(1, sizeof *answer);
    ctx_init(&answer->ctx, NULL, arena_new(0));
    answer->message = answer->reason = "";
    answer->retry = client_retry_default;
    if (call->attempts_max > 0)
        answer->retry.attempts_max = call->attempts_max;
    answer->call = (struct client_call){
        .ctx = &answer->ctx,
        .channel = client->channel,
        .timeout_ns = call->timeout_ms == TENANT_NO_TIMEOUT ? CLIENT_NO_TIMEOUT
                                                            : call->timeout_ms * NS_PER_MS,
        .waits_for_ready = call->waits_for_ready,
        .is_repeatable = call->is_repeatable,
        .compress_from = call->is_uncompressed ? CLIENT_COMPRESS_NONE : 0,
        .retry = &answer->retry,
    };
    add_fields(&answer->call, call);
    return answer;
}

static void add_fields(struct client_call *inner, const struct tenant_call *call)
{
    add_text(inner, "x-tenant-id", call->tenant_id);
    add_text(inner, "idempotency-key", call->idempotency_key);
    add_text(inner, "x-consistency-token", call->consistency_token);
    assert(call->metadata_count <= METADATA_OF_CALLERS);
    for (size_t i = 0; i < call->metadata_count; i++)
        inner->metadata[inner->metadata_count++] = (struct client_field){
            .key = call->metadata[i].key,
            .value = slice_make(call->metadata[i].value, call->metadata[i].size)};
}

static void add_text(struct client_call *inner, const char *key, const char *value)
{
    if (value != NULL)
        inner->metadata[inner->metadata_count++] =
            (struct client_field){.key = key, .value = slice_of_str(value)};
}

/* What a fault says is for the caller's log: it may name files and addresses of its own. */
static void settle(struct tenant_answer *answer, int rc)
{
    if (rc != OK) {
        answer->code = code_of_fault(answer->ctx.fault.kind);
        answer->message = arena_strdup(answer->ctx.arena, answer->ctx.fault.text);
        return;
    }
    answer->code = (enum tenant_code)answer->call.status;
    answer->message = answer->call.message;
    answer->reason = client_reason(&answer->call);
}

static enum tenant_code code_of_fault(enum fault_kind kind)
{
    switch (kind) {
    case FAULT_TIMEOUT:
        return TENANT_DEADLINE_EXCEEDED;
    case FAULT_CANCELLED:
        return TENANT_CANCELLED;
    case FAULT_IO:
    case FAULT_TLS:
    case FAULT_CONFIG:
        return TENANT_UNAVAILABLE;
    case FAULT_INTERNAL:
    case FAULT_DATABASE:
    case FAULT_CACHE:
    case FAULT_BROKER:
    case FAULT_PROTOCOL:
        return TENANT_INTERNAL;
    }
    return TENANT_UNKNOWN;
}

/* False: the call is over by a fault. */
static bool settle_stream(struct tenant_stream *stream, int rc)
{
    if (rc == OK)
        return true;
    settle(stream->answer, rc);
    stream->over = true;
    return false;
}
