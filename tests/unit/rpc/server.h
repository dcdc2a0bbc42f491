/* A worker behind a listener on loopback, with a CA of its own, and clients over real sockets; all on one
 * thread, in turns. */
#ifndef TESTS_UNIT_RPC_SERVER_H
#define TESTS_UNIT_RPC_SERVER_H

#include "h2_pair.h"

#include "tests/unit/tls/certs.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

struct server {
    struct pair *pair;
    struct log log;
    struct ctx ctx;
    char folder[64];
    struct tls_context *tls;        /* the server's */
    struct tls_context *client_tls; /* with a client certificate */
    struct tls_context *naked_tls;  /* of a client whose certificate another CA signed */
    struct rpc_listener *listener;
    bool drained;
};

/* A client over a socket. */
struct remote {
    struct server *server;
    int fd;
    struct tls_stream *tls;
    bool shaken;
    bool ended; /* the server closed */
};

static inline void server_files(struct server *server)
{
    ck_assert_ptr_nonnull(mkdtemp(server->folder));
    struct issued ca = cert_make("test CA", &(struct cert_spec){.is_ca = true}, NULL);
    struct issued other = cert_make("other CA", &(struct cert_spec){.is_ca = true}, NULL);
    const struct cert_spec leaf = {.san = "DNS:localhost,IP:127.0.0.1,URI:spiffe://test/admin",
                                   .eku = "serverAuth,clientAuth"};
    struct issued own = cert_make("leaf", &leaf, &ca);
    struct issued wrong = cert_make("wrong", &leaf, &other);
    cert_save(&ca, server->folder, "ca");
    cert_save(&other, server->folder, "other");
    cert_save(&own, server->folder, "leaf");
    cert_save(&wrong, server->folder, "wrong");
    cert_drop(&ca);
    cert_drop(&other);
    cert_drop(&own);
    cert_drop(&wrong);
}

/* Trusts the CA of that name. */
static inline struct tls_context *server_trusting(struct server *server, const char *authority,
                                                  const char *leaf, bool serves)
{
    char cert[128], key[128], ca[128], name[64];
    snprintf(name, sizeof name, "%s.pem", leaf);
    cert_path(cert, server->folder, name);
    snprintf(name, sizeof name, "%s.key", leaf);
    cert_path(key, server->folder, name);
    snprintf(name, sizeof name, "%s.pem", authority);
    const struct tls_settings settings = {.cert_file = cert,
                                          .key_file = key,
                                          .ca_file = cert_path(ca, server->folder, name),
                                          .alpn = "h2",
                                          .server = serves};
    struct tls_context *context = NULL;
    int rc = tls_context_new(&server->ctx, &settings, &context);
    ck_assert_msg(rc == OK, "%s", ctx_fault_text(&server->ctx));
    return context;
}

static inline struct tls_context *server_context(struct server *server, const char *leaf,
                                                 bool serves)
{
    return server_trusting(server, "ca", leaf, serves);
}

static inline void server_listen(struct server *server, struct loop *loop,
                                 const struct rpc_limits *limits)
{
    const struct rpc_listener_settings settings = {.address = "127.0.0.1",
                                                   .workers = &server->pair->worker,
                                                   .worker_count = 1,
                                                   .tls = server->tls,
                                                   .shared = server->pair->shared,
                                                   .metrics = server->pair->metrics,
                                                   .log = &server->log,
                                                   .limits = limits};
    int rc = rpc_listener_open(&server->ctx, loop, &settings, &server->listener);
    ck_assert_msg(rc == OK, "%s", ctx_fault_text(&server->ctx));
}

static inline void server_open(struct server *server, const struct rpc_limits *limits)
{
    *server = (struct server){.folder = "/tmp/rpc-test-XXXXXX",
                              .log = {.fd = open("/dev/null", O_WRONLY)}};
    ctx_init(&server->ctx, NULL, NULL);
    server_files(server);
    server->tls = server_context(server, "leaf", true);
    server->client_tls = server_context(server, "leaf", false);
    server->naked_tls = server_context(server, "wrong", false);
    server->pair = pair_make(limits, &server->log);
    server_listen(server, server->pair->loop, &server->pair->worker->limits);
    ck_assert_uint_gt(rpc_listener_port(server->listener), 0);
}

/* At the door or through it. */
static inline size_t server_connections(struct server *server)
{
    struct metric *entrants = rpc_metrics_entrants(server->pair->metrics);
    return (size_t)metric_gauge(entrants) + rpc_worker_connections(server->pair->worker);
}

static inline void server_on_drained(void *owner)
{
    ((struct server *)owner)->drained = true;
}

/* Turns until the worker has said that nothing is left; fails after five seconds. */
static inline void server_wait_drained(struct server *server)
{
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    while (!server->drained) {
        loop_turn(server->pair->loop, NS_PER_MS);
        ck_assert_msg(clock_now() < limit, "never drained");
    }
}

static inline void server_close(struct server *server)
{
    rpc_listener_close(server->listener);
    if (!server->pair->worker->draining)
        rpc_worker_drain(server->pair->worker, 0, server_on_drained, server);
    server_wait_drained(server);
    ck_assert_uint_eq(rpc_worker_connections(server->pair->worker), 0);
    loop_turn(server->pair->loop, 0);
    pair_free(server->pair);
    tls_context_unref(server->tls);
    tls_context_unref(server->client_tls);
    tls_context_unref(server->naked_tls);
    close(server->log.fd);
    DIR *folder = opendir(server->folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    ck_assert_int_eq(rmdir(server->folder), 0);
}

static inline void remote_dial_from(struct remote *remote, struct server *server, uint32_t from)
{
    *remote = (struct remote){.server = server};
    remote->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    ck_assert_int_eq(bind(remote->fd, (struct sockaddr *)&own, sizeof own), 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rpc_listener_port(server->listener)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(connect(remote->fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(fcntl(remote->fd, F_SETFL, O_NONBLOCK), 0);
}

static inline void remote_dial(struct remote *remote, struct server *server)
{
    remote_dial_from(remote, server, INADDR_LOOPBACK);
}

/* With the first byte of a handshake, of which no more comes: who says nothing makes way. */
static inline void remote_dial_talking(struct remote *remote, struct server *server)
{
    remote_dial(remote, server);
    ck_assert_int_eq(send(remote->fd, "\x16", 1, MSG_NOSIGNAL), 1);
}

static inline void remote_secure(struct remote *remote, struct tls_context *context)
{
    remote->tls = tls_stream_connect(context, remote->fd, "localhost");
}

static inline void remote_close(struct remote *remote)
{
    tls_stream_free(remote->tls);
    if (remote->fd >= 0)
        close(remote->fd);
    remote->fd = -1;
    remote->tls = NULL;
}

/* The client's handshake, one turn at a time.  False: it failed or the server closed. */
static inline bool remote_shake(struct remote *remote)
{
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    while (!remote->shaken && clock_now() < limit) {
        enum tls_status status = tls_stream_handshake(remote->tls);
        if (status == TLS_CLOSED || status == TLS_FAILED)
            return false;
        remote->shaken = status == TLS_OK;
        loop_turn(remote->server->pair->loop, NS_PER_MS);
    }
    return remote->shaken;
}

/* Reads what there is: frames for the client session, or nothing at all where that is NULL. */
static inline size_t remote_read(struct remote *remote)
{
    uint8_t bytes[16384];
    size_t all = 0;
    size_t count = 0;
    enum tls_status status;
    while ((status = tls_stream_read(remote->tls, bytes, sizeof bytes, &count)) == TLS_OK) {
        all += count;
        nghttp2_session *client = remote->server->pair->client;
        if (client != NULL)
            ck_assert_int_eq(nghttp2_session_mem_recv(client, bytes, count), (ssize_t)count);
        else
            buf_put(&remote->server->pair->to_client, bytes, count);
    }
    remote->ended = remote->ended || status == TLS_CLOSED || status == TLS_FAILED;
    return all;
}

static inline void remote_write(struct remote *remote, struct slice bytes)
{
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    while (bytes.size > 0 && clock_now() < limit) {
        size_t count = 0;
        enum tls_status status = tls_stream_write(remote->tls, bytes.data, bytes.size, &count);
        if (status == TLS_CLOSED || status == TLS_FAILED)
            return;
        bytes = slice_skip(bytes, status == TLS_OK ? count : 0);
        if (status != TLS_OK)
            loop_turn(remote->server->pair->loop, NS_PER_MS);
    }
    ck_assert_uint_eq(bytes.size, 0);
}

/* One turn of both sides. */
static inline void remote_turn(struct remote *remote)
{
    nghttp2_session *client = remote->server->pair->client;
    const uint8_t *bytes;
    ssize_t size;
    while (client != NULL && !remote->ended &&
           (size = nghttp2_session_mem_send(client, &bytes)) > 0)
        remote_write(remote, slice_make(bytes, (size_t)size));
    loop_turn(remote->server->pair->loop, NS_PER_MS);
    (void)remote_read(remote);
}

/* Until the worker's next sweep has surely been. */
static inline void remote_weigh(struct remote *remote)
{
    uint64_t until = clock_now() + 150 * NS_PER_MS;
    while (clock_now() < until)
        remote_turn(remote);
}

static inline struct exchange *remote_finish(struct remote *remote, int32_t id)
{
    struct exchange *exchange = pair_exchange(remote->server->pair, id);
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    while (!exchange->closed && !remote->ended) {
        remote_turn(remote);
        ck_assert_msg(clock_now() < limit, "stream %d never closed", id);
    }
    return exchange;
}

static inline void remote_wait_end(struct remote *remote)
{
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    while (!remote->ended) {
        remote_turn(remote);
        ck_assert_msg(clock_now() < limit, "the server never closed");
    }
}

/* Plain bytes until the server closes; the answer is in `out`, zero-terminated. */
static inline void remote_plain(struct remote *remote, const char *text, char *out, size_t room)
{
    size_t size = strlen(text);
    if (size > 0)
        ck_assert_int_eq(send(remote->fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
    size_t end = 0;
    uint64_t limit = clock_now() + 5 * NS_PER_S;
    while (clock_now() < limit) {
        loop_turn(remote->server->pair->loop, NS_PER_MS);
        ssize_t got = recv(remote->fd, out + end, room - 1 - end, 0);
        if (got > 0)
            end += (size_t)got;
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
    }
    out[end] = '\0';
}

/* A client that is connected, secured and has its session. */
static inline void remote_open(struct remote *remote, struct server *server)
{
    remote_dial(remote, server);
    remote_secure(remote, server->client_tls);
    ck_assert(remote_shake(remote));
    pair_connect(server->pair);
}

#endif
