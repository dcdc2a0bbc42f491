/* grpc.testing.TestService on the product's transport: the server of gRPC's interoperability cases.
 *
 *     interop-server PKI-FOLDER [CONNECTIONS]
 *
 * Prints `ready PORT`; ends with SIGTERM.  What it links of the product is loop, tls and rpc as they are, with the
 * default limits, but for CONNECTIONS of one identity; only the handlers are the test's. */
#include "rpc/rpc.h"

#include "gen/rpc/test_service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ECHO_INITIAL "x-grpc-test-echo-initial"
#define ECHO_TRAILING "x-grpc-test-echo-trailing-bin"

static int empty_call(struct call *call, const Grpc__Testing__Empty *in, Grpc__Testing__Empty *out);
static int unary_call(struct call *call, const Grpc__Testing__SimpleRequest *in,
                      Grpc__Testing__SimpleResponse *out);
static int streaming_output_call(struct call *call,
                                 const Grpc__Testing__StreamingOutputCallRequest *in);
static int streaming_input_call(struct call *call, Grpc__Testing__StreamingInputCallResponse *out);
static int full_duplex_call(struct call *call);
static int half_duplex_call(struct call *call);

static const struct test_service_server handlers = {
    .empty_call = empty_call,
    .unary_call = unary_call,
    .streaming_output_call = streaming_output_call,
    .streaming_input_call = streaming_input_call,
    .full_duplex_call = full_duplex_call,
    .half_duplex_call = half_duplex_call,
};

/* --- handlers ------------------------------------------------------------------------------------------- */

/* custom_metadata: what came goes back. */
static void echo_metadata(struct call *call)
{
    struct slice initial = call_metadata(call, ECHO_INITIAL);
    struct slice trailing = call_metadata(call, ECHO_TRAILING);
    if (initial.data != NULL)
        call_set_header(call, ECHO_INITIAL, initial);
    if (trailing.data != NULL)
        call_set_trailer(call, ECHO_TRAILING, trailing);
}

static int echo_status(struct call *call, const Grpc__Testing__EchoStatus *status)
{
    if (status == NULL || status->code == 0)
        return OK;
    return call_refuse_status(call, status->code, status->message);
}

static int check_compressed(struct call *call, const Grpc__Testing__BoolValue *expected)
{
    if (expected == NULL || expected->value == call_was_compressed(call))
        return OK;
    return call_refuse_status(call, 3,
                              expected->value ? "the message was to be compressed"
                                              : "the message was not to be compressed");
}

/* Zeros, as in the reference servers. */
static Grpc__Testing__Payload *payload_make(struct call *call, int32_t size)
{
    Grpc__Testing__Payload *payload = arena_alloc(call->ctx.arena, sizeof *payload);
    grpc__testing__payload__init(payload);
    payload->body.len = (size_t)size;
    payload->body.data = arena_alloc(call->ctx.arena, (size_t)size + 1);
    return payload;
}

static int empty_call(struct call *call, const Grpc__Testing__Empty *in, Grpc__Testing__Empty *out)
{
    (void)in;
    (void)out;
    echo_metadata(call);
    return OK;
}

static int unary_call(struct call *call, const Grpc__Testing__SimpleRequest *in,
                      Grpc__Testing__SimpleResponse *out)
{
    echo_metadata(call);
    TRY(check_compressed(call, in->expect_compressed));
    TRY(echo_status(call, in->response_status));
    if (in->response_size < 0)
        return call_refuse_status(call, 3, "response_size is negative");
    if (in->response_compressed != NULL)
        call_compress(call, in->response_compressed->value);
    out->payload = payload_make(call, in->response_size);
    return OK;
}

/* One answer after the other, each after its pause.  The payload is borrowed by call_send() only. */
static int answer_all(struct call *call, const Grpc__Testing__StreamingOutputCallRequest *in)
{
    for (size_t i = 0; i < in->n_response_parameters; i++) {
        const Grpc__Testing__ResponseParameters *wanted = in->response_parameters[i];
        if (wanted->interval_us > 0)
            TRY(wait_fault(&call->ctx,
                           task_sleep(&call->ctx, (uint64_t)wanted->interval_us * NS_PER_US),
                           "pause"));
        if (wanted->size < 0)
            return call_refuse_status(call, 3, "size is negative");
        Grpc__Testing__StreamingOutputCallResponse message =
            GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
        Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;
        payload.body.len = (size_t)wanted->size;
        payload.body.data = calloc(1, (size_t)wanted->size + 1);
        message.payload = &payload;
        if (wanted->compressed != NULL)
            call_compress(call, wanted->compressed->value);
        int rc = call_send(call, &message.base);
        free(payload.body.data);
        TRY(rc);
    }
    return OK;
}

static int streaming_output_call(struct call *call,
                                 const Grpc__Testing__StreamingOutputCallRequest *in)
{
    echo_metadata(call);
    for (size_t i = 0; i < in->n_response_parameters;
         i++) { /* the encoding is said before the first */
        const Grpc__Testing__BoolValue *compressed = in->response_parameters[i]->compressed;
        if (compressed != NULL && compressed->value)
            call_compress(call, true);
    }
    TRY(echo_status(call, in->response_status));
    return answer_all(call, in);
}

static int streaming_input_call(struct call *call, Grpc__Testing__StreamingInputCallResponse *out)
{
    echo_metadata(call);
    const Grpc__Testing__StreamingInputCallRequest *in = NULL;
    for (;;) {
        TRY(test_service_streaming_input_call_receive(call, &in));
        if (in == NULL)
            return OK;
        TRY(check_compressed(call, in->expect_compressed));
        if (in->payload != NULL)
            out->aggregated_payload_size += (int32_t)in->payload->body.len;
    }
}

static int full_duplex_call(struct call *call)
{
    echo_metadata(call);
    const Grpc__Testing__StreamingOutputCallRequest *in = NULL;
    for (;;) {
        TRY(test_service_full_duplex_call_receive(call, &in));
        if (in == NULL)
            return OK;
        TRY(echo_status(call, in->response_status));
        TRY(answer_all(call, in));
    }
}

/* All questions first, then all answers. */
static int half_duplex_call(struct call *call)
{
    enum { ANSWERS_MAX = 1000 };
    int32_t sizes[ANSWERS_MAX];
    size_t count = 0;
    const Grpc__Testing__StreamingOutputCallRequest *in = NULL;
    do {
        TRY(test_service_half_duplex_call_receive(call, &in));
        for (size_t i = 0; in != NULL && i < in->n_response_parameters && count < ANSWERS_MAX; i++)
            sizes[count++] = in->response_parameters[i]->size;
    } while (in != NULL);
    for (size_t i = 0; i < count; i++) {
        Grpc__Testing__ResponseParameters one = GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
        Grpc__Testing__ResponseParameters *const list[] = {&one};
        Grpc__Testing__StreamingOutputCallRequest as_request =
            GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
        one.size = sizes[i];
        as_request.n_response_parameters = 1;
        as_request.response_parameters = (Grpc__Testing__ResponseParameters **)(uintptr_t)list;
        TRY(answer_all(call, &as_request));
    }
    return OK;
}

/* --- the server ------------------------------------------------------------------------------------------- */

struct server {
    struct loop *loop;
    struct rpc_worker *worker;
    int signals;
    bool ended;
};

static const char *identity(void *owner, const char *uri)
{
    (void)owner;
    return uri == NULL ? "stranger" : "tester";
}

static int gate(struct call *call)
{
    (void)call;
    return OK;
}

static int match(struct call *call, const ProtobufCMessage *request)
{
    (void)call;
    (void)request;
    return OK;
}

static int probe(void *owner, const char *path, struct buf *body)
{
    (void)owner;
    (void)path;
    (void)body;
    return 404;
}

static void on_drained(void *owner)
{
    struct server *server = owner;
    server->ended = true;
    loop_stop(server->loop);
}

static void on_signal(void *owner, unsigned events)
{
    (void)events;
    struct server *server = owner;
    struct signalfd_siginfo got;
    if (read(server->signals, &got, sizeof got) == (ssize_t)sizeof got)
        rpc_worker_drain(server->worker, NS_PER_S, on_drained, server);
}

static int trust(struct ctx *ctx, const char *pki, struct tls_context **tls)
{
    const struct tls_settings settings = {
        .cert_file = arena_printf(ctx->arena, "%s/tenant-service.pem", pki),
        .key_file = arena_printf(ctx->arena, "%s/tenant-service.key", pki),
        .ca_file = arena_printf(ctx->arena, "%s/ca.pem", pki),
        .alpn = "h2",
        .server = true,
    };
    return tls_context_new(ctx, &settings, tls);
}

static struct rpc_worker *open_worker(struct server *server, struct rpc_shared *shared,
                                      struct metrics *metrics, const struct rpc_limits *limits)
{
    const struct rpc_registration registration = {&test_service_rpc, &handlers, NULL};
    const struct rpc_worker_settings settings = {
        .loop = server->loop,
        .shared = shared,
        .metrics = metrics,
        .limits = *limits,
        .hooks = {.identity = identity, .gate = gate, .match = match, .probe = probe},
        .registrations = &registration,
        .registration_count = 1,
    };
    return rpc_worker_open(&settings);
}

static int serve(struct ctx *ctx, const char *pki, const struct rpc_limits *limits)
{
    struct server server = {.loop = loop_new(0)};
    struct tls_context *tls = NULL;
    struct rpc_listener *listener = NULL;
    TRY(trust(ctx, pki, &tls));
    struct rpc_shared *shared = rpc_shared_new();
    struct metrics *metrics = metrics_new();
    server.worker = open_worker(&server, shared, metrics, limits);
    struct rpc_worker *const workers[] = {server.worker};
    const struct rpc_listener_settings settings = {
        .address = "127.0.0.1",
        .workers = workers,
        .worker_count = 1,
        .tls = tls,
        .shared = shared,
        .metrics = metrics,
        .limits = limits,
    };
    TRY(rpc_listener_open(ctx, server.loop, &settings, &listener));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    server.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct io *io = io_open(server.loop, server.signals);
    io_watch(io, IO_READ, on_signal, &server);
    printf("ready %u\n", rpc_listener_port(listener));
    fflush(stdout);
    loop_run(server.loop);
    io_close(io);
    rpc_listener_close(listener);
    rpc_worker_close(server.worker);
    rpc_shared_free(shared);
    tls_context_unref(tls);
    loop_free(server.loop);
    metrics_free(metrics);
    return OK;
}

int main(int argc, char **argv)
{
    struct rpc_limits limits = rpc_limits_default;
    if (argc == 3)
        limits.connections_per_identity = (uint32_t)strtoul(argv[2], NULL, 10);
    if (argc < 2 || argc > 3 || limits.connections_per_identity == 0) {
        fprintf(stderr, "usage: interop-server PKI-FOLDER [CONNECTIONS]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct ctx ctx;
    struct arena *arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
    int rc = serve(&ctx, argv[1], &limits);
    if (rc != OK)
        fprintf(stderr, "interop-server: %s\n", ctx_fault_text(&ctx));
    arena_free(arena);
    return rc == OK ? 0 : 1;
}
