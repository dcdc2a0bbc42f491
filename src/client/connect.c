/* How a connection comes to be: address, socket, TLS.  Called by client_connection_open(); the only place
 * of the room that makes descriptors. */
#include "client/connect.h"

#include "base/alloc.h"

#include "loop/resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int address_split(struct ctx *ctx, const char *address, char **host, char **port);
static int connect_any(struct ctx *ctx, struct client_connection *connection,
                       const struct addrinfo *places, uint64_t deadline_ns);
static int connect_one(struct ctx *ctx, struct client_connection *connection,
                       const struct addrinfo *place, uint64_t deadline_ns);
static int await_connected(struct ctx *ctx, struct io *io, uint64_t deadline_ns);
static int secure(struct ctx *ctx, struct client_connection *connection,
                  const struct client_settings *settings, const char *name, uint64_t deadline_ns);

int connect_secured(struct ctx *ctx, struct client_connection *connection,
                    const struct client_settings *settings, uint64_t deadline_ns)
{
    AUTO(auto_free) char *host = NULL;
    AUTO(auto_free) char *port = NULL;
    TRY(address_split(ctx, settings->address, &host, &port));
    struct addrinfo *places = NULL;
    TRY(resolve_stream(ctx, host, port, deadline_ns, &places));
    int rc = connect_any(ctx, connection, places, deadline_ns);
    freeaddrinfo(places);
    TRY(rc);
    const char *name = settings->server_name != NULL ? settings->server_name : host;
    return secure(ctx, connection, settings, name, deadline_ns);
}

void connect_drop(struct client_connection *connection)
{
    io_close(TAKE(connection->io));
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

/* "host:port" or "[v6]:port": the last colon separates. */
static int address_split(struct ctx *ctx, const char *address, char **host, char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0')
        return FAULT(ctx, FAULT_CONFIG, "address \"%s\": expected HOST:PORT", address);
    size_t size = (size_t)(colon - address);
    bool bracketed = address[0] == '[' && colon[-1] == ']';
    *host = bracketed ? xstrndup(address + 1, size - 2) : xstrndup(address, size);
    *port = xstrdup(colon + 1);
    return OK;
}

/* An address that swallows packets must leave time for those behind it.  The fault of the last one is
 * told. */
static int connect_any(struct ctx *ctx, struct client_connection *connection,
                       const struct addrinfo *places, uint64_t deadline_ns)
{
    size_t left = 0;
    for (const struct addrinfo *place = places; place != NULL; place = place->ai_next)
        left++;
    int rc = FAULT_IO;
    for (const struct addrinfo *place = places; place != NULL; place = place->ai_next) {
        uint64_t now = clock_now();
        uint64_t share = deadline_left(deadline_ns, now) / left--;
        rc = connect_one(ctx, connection, place, deadline_after(now, share));
        if (rc == OK || ctx->fault.kind == FAULT_CANCELLED)
            return rc;
    }
    return rc;
}

/* The io goes before its descriptor is closed: the next socket may get the same number. */
static int connect_one(struct ctx *ctx, struct client_connection *connection,
                       const struct addrinfo *place, uint64_t deadline_ns)
{
    connect_drop(connection);
    int fd = socket(place->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FAULT(ctx, FAULT_IO, "socket: %s", strerror(errno));
    connection->fd = fd;
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    /* gRFC A18: bytes that nobody acknowledges end the connection when keepalive would */
    unsigned patience = (unsigned)(connection->keepalive_timeout_ns / NS_PER_MS);
    if (connection->keepalive_ns != 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
    connection->io = io_open(connection->loop, fd);
    if (connect(fd, place->ai_addr, place->ai_addrlen) == 0)
        return OK;
    if (errno != EINPROGRESS)
        return FAULT(ctx, FAULT_IO, "connect: %s", strerror(errno));
    return await_connected(ctx, connection->io, deadline_ns);
}

/* Writable says only that connect(2) has ended: SO_ERROR says how. */
static int await_connected(struct ctx *ctx, struct io *io, uint64_t deadline_ns)
{
    TRY(wait_fault(ctx, task_wait_io(ctx, io, IO_WRITE, deadline_ns), "connect"));
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(io_fd(io), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
        return FAULT(ctx, FAULT_IO, "connect: %s", strerror(error));
    return OK;
}

/* A context per connection: certificates are read anew, so that a renewed one is used at the next connect. */
static int secure(struct ctx *ctx, struct client_connection *connection,
                  const struct client_settings *settings, const char *name, uint64_t deadline_ns)
{
    struct tls_settings tls = {
        .cert_file = settings->cert_file,
        .key_file = settings->key_file,
        .ca_file = settings->ca_file,
        .crl_file = settings->crl_file,
        .alpn = "h2",
    };
    TRY(tls_context_new(ctx, &tls, &connection->tls));
    connection->stream = tls_stream_connect(connection->tls, connection->fd, name);
    return tls_handshake_wait(ctx, connection->stream, connection->io, deadline_ns);
}
