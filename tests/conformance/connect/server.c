/* The Connect conformance suite's server under test: its process protocol on the product's transport.
 *
 * Reads a ServerCompatRequest from its input, serves on loopback, says where on its output, and ends with
 * SIGTERM (https://github.com/connectrpc/conformance, "Testing Servers").  What it links of the product is loop,
 * tls, protojson and rpc as they are, with the default limits but the message size that the suite asks for. */
#include "service.h"

#include "base/log.h"

#include "rpc/rpc.h"

#include "connectrpc/conformance/v1/server_compat.pb-c.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t)1 << 20)

typedef Connectrpc__Conformance__V1__ServerCompatRequest ServerRequest;
typedef Connectrpc__Conformance__V1__ServerCompatResponse ServerResponse;

struct server {
    struct loop *loop;
    struct metrics *metrics;
    struct rpc_shared *shared;
    struct tls_context *tls;
    struct rpc_worker *worker;
    struct rpc_listener *listener;
    struct log log;
    struct io *signals;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "connect-server: %s: %s\n", what, why);
    exit(1);
}

/* --- the process protocol: 4 bytes of size, big-endian, then the message --------------------------------- */

static void read_all(uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = read(STDIN_FILENO, bytes, size);
        if (got <= 0)
            die("input", got == 0 ? "ends early" : strerror(errno));
        bytes += got;
        size -= (size_t)got;
    }
}

static ServerRequest *request_read(void)
{
    uint8_t head[4];
    read_all(head, sizeof head);
    size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (size > REQUEST_MAX)
        die("input", "too large");
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        die("input", "no memory");
    read_all(bytes, size);
    ServerRequest *request =
        connectrpc__conformance__v1__server_compat_request__unpack(NULL, size, bytes);
    if (request == NULL)
        die("input", "not a ServerCompatRequest");
    free(bytes);
    return request;
}

static void response_write(const ServerResponse *response)
{
    size_t size = connectrpc__conformance__v1__server_compat_response__get_packed_size(response);
    uint8_t *bytes = malloc(4 + size);
    if (bytes == NULL)
        die("output", "no memory");
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(size >> (24 - 8 * i));
    connectrpc__conformance__v1__server_compat_response__pack(response, bytes + 4);
    if (write(STDOUT_FILENO, bytes, 4 + size) != (ssize_t)(4 + size))
        die("output", strerror(errno));
    free(bytes);
}

/* --- serving ---------------------------------------------------------------------------------------------- */

static void file_write(const char *path, ProtobufCBinaryData bytes)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes.data, 1, bytes.len, file) != bytes.len || fclose(file) != 0)
        die(path, strerror(errno));
}

/* The product reads its keys from files.  The client's certificate is its own CA. */
static struct tls_context *tls_make(struct ctx *ctx, const ServerRequest *request)
{
    char folder[] = "/tmp/connect-server-XXXXXX";
    char cert[64], key[64], ca[64];
    if (!request->use_tls || request->server_creds == NULL || request->client_tls_cert.len == 0)
        die("request", "TLS with client certificates is all that is served");
    if (mkdtemp(folder) == NULL)
        die("folder", strerror(errno));
    snprintf(cert, sizeof cert, "%s/leaf.pem", folder);
    snprintf(key, sizeof key, "%s/leaf.key", folder);
    snprintf(ca, sizeof ca, "%s/ca.pem", folder);
    file_write(cert, request->server_creds->cert);
    file_write(key, request->server_creds->key);
    file_write(ca, request->client_tls_cert);
    const struct tls_settings settings = {
        .cert_file = cert, .key_file = key, .ca_file = ca, .alpn = "h2", .server = true};
    struct tls_context *tls = NULL;
    int rc = tls_context_new(ctx, &settings, &tls);
    (void)unlink(cert);
    (void)unlink(key);
    (void)unlink(ca);
    (void)rmdir(folder);
    if (rc != OK)
        die("TLS", ctx_fault_text(ctx));
    return tls;
}

static const char *identity(void *owner, const char *uri)
{
    (void)owner;
    (void)uri;
    return "reference-client";
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

static void server_open(struct server *server, struct ctx *ctx, const ServerRequest *request)
{
    *server = (struct server){.loop = loop_new(0),
                              .metrics = metrics_new(),
                              .shared = rpc_shared_new(),
                              .log = {.fd = STDERR_FILENO}};
    server->tls = tls_make(ctx, request);
    struct rpc_limits limits = rpc_limits_default;
    if (request->message_receive_limit > 0)
        limits.message_bytes = request->message_receive_limit;
    const struct rpc_registration registration = {&conformance_service, NULL, NULL};
    const struct rpc_worker_settings settings = {
        .loop = server->loop,
        .log = &server->log,
        .shared = server->shared,
        .metrics = server->metrics,
        .limits = limits,
        .hooks = {.identity = identity, .gate = gate, .match = match, .probe = probe},
        .any_types = &conformance_types,
        .plain_refusals = true,
        .registrations = &registration,
        .registration_count = 1,
    };
    server->worker = rpc_worker_open(&settings);
    const struct rpc_listener_settings listening = {
        .address = "127.0.0.1",
        .workers = &server->worker,
        .worker_count = 1,
        .tls = server->tls,
        .shared = server->shared,
        .metrics = server->metrics,
        .log = &server->log,
        .limits = &limits};
    if (rpc_listener_open(ctx, server->loop, &listening, &server->listener) != OK)
        die("listener", ctx_fault_text(ctx));
}

static void on_drained(void *owner)
{
    loop_stop(((struct server *)owner)->loop);
}

/* Only SIGTERM comes here. */
static void on_signal(void *owner, unsigned events)
{
    (void)events;
    struct server *server = owner;
    struct signalfd_siginfo info;
    if (read(io_fd(server->signals), &info, sizeof info) == sizeof info)
        rpc_worker_drain(server->worker, NS_PER_S, on_drained, server);
}

/* Before any thread or socket is there. */
static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        die("signalfd", strerror(errno));
    return fd;
}

static void server_close(struct server *server)
{
    rpc_listener_close(server->listener);
    loop_turn(server->loop, 0);
    rpc_worker_close(server->worker);
    tls_context_unref(server->tls);
    rpc_shared_free(server->shared);
    metrics_free(server->metrics);
    loop_free(server->loop);
}

int main(void)
{
    struct ctx ctx;
    struct server server;
    struct arena *arena = arena_new(0);
    int signals = signals_open();
    ctx_init(&ctx, NULL, arena);
    ServerRequest *request = request_read();
    server_open(&server, &ctx, request);
    char host[] = "127.0.0.1";
    ServerResponse response = CONNECTRPC__CONFORMANCE__V1__SERVER_COMPAT_RESPONSE__INIT;
    response.host = host;
    response.port = rpc_listener_port(server.listener);
    response.pem_cert = request->server_creds->cert;
    response_write(&response);
    connectrpc__conformance__v1__server_compat_request__free_unpacked(request, NULL);
    server.signals = io_open(server.loop, signals);
    io_watch(server.signals, IO_READ, on_signal, &server);
    loop_run(server.loop);
    io_close(server.signals);
    close(signals);
    server_close(&server);
    arena_free(arena);
    return 0;
}
