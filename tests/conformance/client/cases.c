/* The cases themselves; see cases.h.  Sizes, texts and expectations are those of the descriptions. */
#include "cases.h"

#include "base/alloc.h"
#include "gen/rpc/test_service.h"
#include "loop/task.h"
#include "rpc/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(truth)                                                                              \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s: %s:%d: not %s; fault: %s\n", interop->name, __FILE__, __LINE__,   \
                    #truth, interop->ctx->fault.file == NULL ? "" : interop->ctx->fault.text);     \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

typedef Grpc__Testing__StreamingOutputCallResponse Output;

static const uint32_t request_sizes[] = {27182, 8, 1828, 45904};
static const int32_t response_sizes[] = {31415, 9, 2653, 58979};
#define SIZES (sizeof request_sizes / sizeof request_sizes[0])
static uint8_t zeros[271828];

static struct client_call call_of(const struct interop *interop)
{
    return (struct client_call){
        .ctx = interop->ctx, .channel = interop->channel, .timeout_ns = 30 * NS_PER_S};
}

static Grpc__Testing__Payload payload_of(size_t size)
{
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
    payload.body = (ProtobufCBinaryData){.len = size, .data = zeros};
    return payload;
}

static bool is_payload(const Grpc__Testing__Payload *payload, size_t size)
{
    return payload != NULL && payload->body.len == size &&
           (size == 0 || memcmp(payload->body.data, zeros, size < sizeof zeros ? size : sizeof zeros) == 0);
}

static bool empty_unary(struct interop *interop)
{
    struct client_call call = call_of(interop);
    Grpc__Testing__Empty in = GRPC__TESTING__EMPTY__INIT, *out = NULL;
    EXPECT(test_service_empty_call(&call, &in, &out) == OK);
    EXPECT(call.status == GRPC_OK && out != NULL && out->base.n_unknown_fields == 0);
    return true;
}

bool large_unary(struct interop *interop)
{
    struct client_call call = call_of(interop);
    Grpc__Testing__Payload payload = payload_of(271828);
    Grpc__Testing__SimpleRequest in = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *out = NULL;
    in.response_size = 314159;
    in.payload = &payload;
    EXPECT(test_service_unary_call(&call, &in, &out) == OK);
    EXPECT(call.status == GRPC_OK && is_payload(out->payload, 314159));
    return true;
}

/* One unary call that says whether it is compressed.  The probe says so and is not. */
static struct client_call compressed_unary(struct interop *interop, bool expected, bool sent)
{
    struct client_call call = call_of(interop);
    Grpc__Testing__Payload payload = payload_of(271828);
    Grpc__Testing__BoolValue expects = GRPC__TESTING__BOOL_VALUE__INIT;
    Grpc__Testing__SimpleRequest in = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *out = NULL;
    expects.value = expected;
    in.expect_compressed = &expects;
    in.response_size = 314159;
    in.payload = &payload;
    call.compress_from = sent ? 1024 : 0;
    if (test_service_unary_call(&call, &in, &out) != OK ||
        (call.status == GRPC_OK && !is_payload(out->payload, 314159)))
        call.status = -1;
    return call;
}

static bool client_compressed_unary(struct interop *interop)
{
    EXPECT(compressed_unary(interop, true, false).status == GRPC_INVALID_ARGUMENT);
    EXPECT(compressed_unary(interop, true, true).status == GRPC_OK);
    EXPECT(compressed_unary(interop, false, false).status == GRPC_OK);
    return true;
}

/* The answer is compressed too. */
static bool large_unary_gzip(struct interop *interop)
{
    struct client_call call = call_of(interop);
    Grpc__Testing__Payload payload = payload_of(271828);
    Grpc__Testing__SimpleRequest in = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *out = NULL;
    in.response_size = 314159;
    in.payload = &payload;
    call.compress_from = 1024;
    EXPECT(test_service_unary_call(&call, &in, &out) == OK);
    EXPECT(call.status == GRPC_OK && is_payload(out->payload, 314159));
    EXPECT(slice_is(client_answer(&call, "grpc-encoding"), "gzip"));
    return true;
}

/* gzip is accepted, and nothing is sent that is large enough for it. */
#define ONLY_ACCEPTED 1000000

/* The message's flag is the client's own business: that it is as the encoding says is a unit test's. */
static bool server_compressed_unary(struct interop *interop)
{
    for (int wanted = 1; wanted >= 0; wanted--) {
        struct client_call call = call_of(interop);
        Grpc__Testing__Payload payload = payload_of(271828);
        Grpc__Testing__BoolValue compressed = GRPC__TESTING__BOOL_VALUE__INIT;
        Grpc__Testing__SimpleRequest in = GRPC__TESTING__SIMPLE_REQUEST__INIT;
        Grpc__Testing__SimpleResponse *out = NULL;
        compressed.value = wanted;
        in.response_compressed = &compressed;
        in.response_size = 314159;
        in.payload = &payload;
        call.compress_from = ONLY_ACCEPTED;
        EXPECT(test_service_unary_call(&call, &in, &out) == OK);
        EXPECT(call.status == GRPC_OK && is_payload(out->payload, 314159));
        EXPECT(slice_is(client_answer(&call, "grpc-encoding"), "gzip") == (wanted == 1));
    }
    return true;
}

static bool server_compressed_streaming(struct interop *interop)
{
    static const int32_t sizes[] = {31415, 92653};
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Grpc__Testing__BoolValue compressed[2];
    Grpc__Testing__ResponseParameters parameters[2], *list[2];
    for (size_t i = 0; i < 2; i++) {
        compressed[i] = (Grpc__Testing__BoolValue)GRPC__TESTING__BOOL_VALUE__INIT;
        compressed[i].value = i == 0;
        parameters[i] = (Grpc__Testing__ResponseParameters)GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
        parameters[i].size = sizes[i];
        parameters[i].compressed = &compressed[i];
        list[i] = &parameters[i];
    }
    Grpc__Testing__StreamingOutputCallRequest in =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    in.n_response_parameters = 2;
    in.response_parameters = list;
    Output *out = NULL;
    call.compress_from = ONLY_ACCEPTED;
    EXPECT(test_service_streaming_output_call_open(&call, &in, &stream) == OK);
    for (size_t i = 0; i < 2; i++) {
        EXPECT(test_service_streaming_output_call_next(stream, interop->ctx->arena, &out) == OK);
        EXPECT(out != NULL && is_payload(out->payload, (size_t)sizes[i]));
    }
    EXPECT(test_service_streaming_output_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call.status == GRPC_OK);
    EXPECT(slice_is(client_answer(&call, "grpc-encoding"), "gzip"));
    client_stream_close(stream);
    return true;
}

static int put_input(struct client_stream *stream, size_t size, bool compressed)
{
    Grpc__Testing__Payload payload = payload_of(size);
    Grpc__Testing__BoolValue expects = GRPC__TESTING__BOOL_VALUE__INIT;
    Grpc__Testing__StreamingInputCallRequest in =
        GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    expects.value = compressed;
    in.expect_compressed = &expects;
    in.payload = &payload;
    client_stream_compress(stream, compressed);
    return test_service_streaming_input_call_put(stream, &in);
}

/* The one answer to an upload, and its end. */
static bool sum_is(struct interop *interop, const struct client_call *call,
                   struct client_stream *stream, int size)
{
    Grpc__Testing__StreamingInputCallResponse *out = NULL;
    client_stream_send_end(stream);
    EXPECT(test_service_streaming_input_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out != NULL && out->aggregated_payload_size == size);
    EXPECT(test_service_streaming_input_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call->status == GRPC_OK);
    client_stream_close(stream);
    return true;
}

static bool client_compressed_streaming(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    call.compress_from = 1024;
    EXPECT(test_service_streaming_input_call_open(&call, &stream) == OK);
    EXPECT(put_input(stream, 27182, true) == OK);
    EXPECT(put_input(stream, 45904, false) == OK);
    return sum_is(interop, &call, stream, 73086);
}

static bool client_streaming(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    EXPECT(test_service_streaming_input_call_open(&call, &stream) == OK);
    for (size_t i = 0; i < SIZES; i++) {
        Grpc__Testing__Payload payload = payload_of(request_sizes[i]);
        Grpc__Testing__StreamingInputCallRequest in =
            GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
        in.payload = &payload;
        EXPECT(test_service_streaming_input_call_put(stream, &in) == OK);
    }
    return sum_is(interop, &call, stream, 74922);
}

static bool server_streaming(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Grpc__Testing__ResponseParameters parameters[SIZES], *list[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        parameters[i] = (Grpc__Testing__ResponseParameters)GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
        parameters[i].size = response_sizes[i];
        list[i] = &parameters[i];
    }
    Grpc__Testing__StreamingOutputCallRequest in =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    in.n_response_parameters = SIZES;
    in.response_parameters = list;
    Output *out = NULL;
    EXPECT(test_service_streaming_output_call_open(&call, &in, &stream) == OK);
    for (size_t i = 0; i < SIZES; i++) {
        EXPECT(test_service_streaming_output_call_next(stream, interop->ctx->arena, &out) == OK);
        EXPECT(out != NULL && is_payload(out->payload, (size_t)response_sizes[i]));
    }
    EXPECT(test_service_streaming_output_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call.status == GRPC_OK);
    client_stream_close(stream);
    return true;
}

/* One message there, one of `size` bytes wanted back. */
static int ping(struct client_stream *stream, size_t request_size, int32_t size)
{
    Grpc__Testing__Payload payload = payload_of(request_size);
    Grpc__Testing__ResponseParameters parameters = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
    Grpc__Testing__ResponseParameters *list[] = {&parameters};
    Grpc__Testing__StreamingOutputCallRequest in =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    parameters.size = size;
    in.n_response_parameters = 1;
    in.response_parameters = list;
    in.payload = &payload;
    return test_service_full_duplex_call_put(stream, &in);
}

static bool ping_pong(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    EXPECT(test_service_full_duplex_call_open(&call, &stream) == OK);
    for (size_t i = 0; i < SIZES; i++) {
        EXPECT(ping(stream, request_sizes[i], response_sizes[i]) == OK);
        EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
        EXPECT(out != NULL && is_payload(out->payload, (size_t)response_sizes[i]));
    }
    client_stream_send_end(stream);
    EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call.status == GRPC_OK);
    client_stream_close(stream);
    return true;
}

/* All is asked before anything is answered. */
static bool half_duplex(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    EXPECT(test_service_half_duplex_call_open(&call, &stream) == OK);
    for (size_t i = 0; i < SIZES; i++)
        EXPECT(ping(stream, 0, response_sizes[i]) == OK);
    client_stream_send_end(stream);
    for (size_t i = 0; i < SIZES; i++) {
        EXPECT(test_service_half_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
        EXPECT(out != NULL && is_payload(out->payload, (size_t)response_sizes[i]));
    }
    EXPECT(test_service_half_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call.status == GRPC_OK);
    client_stream_close(stream);
    return true;
}

static bool empty_stream(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    EXPECT(test_service_full_duplex_call_open(&call, &stream) == OK);
    client_stream_send_end(stream);
    EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call.status == GRPC_OK);
    client_stream_close(stream);
    return true;
}

static void add_custom(struct client_call *call)
{
    call->metadata[call->metadata_count++] = (struct client_field){
        "x-grpc-test-echo-initial", slice_of_str("test_initial_metadata_value")};
    call->metadata[call->metadata_count++] = (struct client_field){
        "x-grpc-test-echo-trailing-bin", slice_make("\xab\xab\xab", 3)};
}

static bool has_custom(const struct client_call *call)
{
    return slice_is(client_answer(call, "x-grpc-test-echo-initial"), "test_initial_metadata_value") &&
           slice_is(client_answer(call, "x-grpc-test-echo-trailing-bin"), "\xab\xab\xab");
}

static bool custom_metadata(struct interop *interop)
{
    struct client_call call = call_of(interop);
    Grpc__Testing__SimpleRequest in = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *answer = NULL;
    in.response_size = 314159;
    add_custom(&call);
    EXPECT(test_service_unary_call(&call, &in, &answer) == OK);
    EXPECT(call.status == GRPC_OK && has_custom(&call));
    struct client_call talk = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    add_custom(&talk);
    EXPECT(test_service_full_duplex_call_open(&talk, &stream) == OK);
    EXPECT(ping(stream, 271828, 314159) == OK);
    client_stream_send_end(stream);
    EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK && out != NULL);
    EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && talk.status == GRPC_OK && has_custom(&talk));
    client_stream_close(stream);
    return true;
}

static bool echoes_status(struct interop *interop, int code, char *text)
{
    struct client_call call = call_of(interop);
    Grpc__Testing__EchoStatus status = GRPC__TESTING__ECHO_STATUS__INIT;
    Grpc__Testing__SimpleRequest in = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__SimpleResponse *out = NULL;
    status.code = code;
    status.message = text;
    in.response_status = &status;
    EXPECT(test_service_unary_call(&call, &in, &out) == OK);
    EXPECT(call.status == code && strcmp(call.message, text) == 0 && out == NULL);
    return true;
}

static bool status_code_and_message(struct interop *interop)
{
    static char text[] = "test status message";
    if (!echoes_status(interop, GRPC_UNKNOWN, text))
        return false;
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    Grpc__Testing__EchoStatus status = GRPC__TESTING__ECHO_STATUS__INIT;
    Grpc__Testing__StreamingOutputCallRequest in =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    status.code = GRPC_UNKNOWN;
    status.message = text;
    in.response_status = &status;
    EXPECT(test_service_full_duplex_call_open(&call, &stream) == OK);
    EXPECT(test_service_full_duplex_call_put(stream, &in) == OK);
    client_stream_send_end(stream);
    EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out == NULL && call.status == GRPC_UNKNOWN && strcmp(call.message, text) == 0);
    client_stream_close(stream);
    return true;
}

static bool special_status_message(struct interop *interop)
{
    static char text[] = "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP "
                         "\xf0\x9f\x98\x88\t\n";
    return echoes_status(interop, GRPC_UNKNOWN, text);
}

static bool is_unimplemented(struct interop *interop, const char *path)
{
    struct client_call call = call_of(interop);
    struct rpc_method method = test_service_rpc.methods[0];
    Grpc__Testing__Empty in = GRPC__TESTING__EMPTY__INIT;
    ProtobufCMessage *out = NULL;
    method.path = path;
    EXPECT(client_unary(&call, &method, &in.base, &out) == OK);
    EXPECT(call.status == GRPC_UNIMPLEMENTED && out == NULL);
    return true;
}

static bool unimplemented_method(struct interop *interop)
{
    return is_unimplemented(interop, "/grpc.testing.TestService/UnimplementedCall");
}

static bool unimplemented_service(struct interop *interop)
{
    return is_unimplemented(interop, "/grpc.testing.UnimplementedService/UnimplementedCall");
}

/* The channel goes on after each of them. */
static bool cancel_after_begin(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    EXPECT(test_service_streaming_input_call_open(&call, &stream) == OK);
    client_stream_close(stream);
    return empty_unary(interop);
}

static bool cancel_after_first_response(struct interop *interop)
{
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    EXPECT(test_service_full_duplex_call_open(&call, &stream) == OK);
    EXPECT(ping(stream, 27182, 31415) == OK);
    EXPECT(test_service_full_duplex_call_next(stream, interop->ctx->arena, &out) == OK);
    EXPECT(out != NULL && is_payload(out->payload, 31415));
    client_stream_close(stream);
    return empty_unary(interop);
}

/* The server may have told its own deadline before ours came. */
static bool timeout_on_sleeping_server(struct interop *interop)
{
    EXPECT(client_channel_connect(interop->ctx, interop->channel) == OK);
    struct client_call call = call_of(interop);
    struct client_stream *stream = NULL;
    Output *out = NULL;
    call.timeout_ns = NS_PER_MS;
    EXPECT(test_service_full_duplex_call_open(&call, &stream) == OK);
    int rc = ping(stream, 27182, 31415);
    while (rc == OK) {
        rc = test_service_full_duplex_call_next(stream, interop->ctx->arena, &out);
        if (rc == OK && out == NULL)
            break;
    }
    bool is_late = rc == OK ? call.status == GRPC_DEADLINE_EXCEEDED
                            : interop->ctx->fault.kind == FAULT_TIMEOUT;
    client_stream_close(stream);
    EXPECT(is_late);
    return empty_unary(interop);
}

static bool rpc_soak(struct interop *interop)
{
    for (unsigned i = 0; i < interop->soak; i++) {
        if (!large_unary(interop))
            return false;
        arena_reset(interop->ctx->arena);
    }
    return true;
}

/* "each RPC is performed on a new channel" */
static bool channel_soak(struct interop *interop)
{
    struct interop own = *interop;
    bool passed = true;
    for (unsigned i = 0; i < interop->channels && passed; i++) {
        own.channel = interop_channel(interop->address, interop->folder);
        passed = large_unary(&own);
        client_channel_free(own.channel);
        arena_reset(interop->ctx->arena);
    }
    return passed;
}

const struct interop_case interop_cases[] = {
    {"empty_unary", empty_unary, false},
    {"large_unary", large_unary, false},
    {"large_unary_gzip", large_unary_gzip, true},
    {"client_compressed_unary", client_compressed_unary, true},
    {"client_compressed_streaming", client_compressed_streaming, true},
    {"server_compressed_unary", server_compressed_unary, true},
    {"server_compressed_streaming", server_compressed_streaming, true},
    {"client_streaming", client_streaming, false},
    {"server_streaming", server_streaming, false},
    {"ping_pong", ping_pong, false},
    {"half_duplex", half_duplex, false},
    {"empty_stream", empty_stream, false},
    {"custom_metadata", custom_metadata, false},
    {"status_code_and_message", status_code_and_message, false},
    {"special_status_message", special_status_message, false},
    {"unimplemented_method", unimplemented_method, false},
    {"unimplemented_service", unimplemented_service, false},
    {"cancel_after_begin", cancel_after_begin, false},
    {"cancel_after_first_response", cancel_after_first_response, false},
    {"timeout_on_sleeping_server", timeout_on_sleeping_server, false},
    {"rpc_soak", rpc_soak, false},
    {"channel_soak", channel_soak, false},
    {NULL, NULL, false},
};
