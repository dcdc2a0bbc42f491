/* Sockets, with the tls room on top.
 *
 * The same five results with and without TLS, so that the link above has one way of reading
 * them. */
#include "cache/redis_wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t socket_address(const struct redis_address *address,
                                struct sockaddr_storage *storage);
static enum tls_status plain_status(struct redis_wire *wire, ssize_t moved,
                                    enum tls_status when_full, size_t *count);

/* The address is numeric: a look-up would block the loop. */
bool redis_wire_open(struct redis_wire *wire, struct loop *loop,
                     const struct redis_address *address, struct tls_context *tls)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = socket_address(address, &storage);
    *wire = REDIS_WIRE_CLOSED;
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        wire->saved_errno = errno;
        return false;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&storage, size) != 0 && errno != EINPROGRESS) {
        wire->saved_errno = errno;
        close(fd);
        return false;
    }
    wire->fd = fd;
    wire->io = io_open(loop, fd);
    if (tls != NULL)
        wire->stream = tls_stream_connect(tls, fd, address->host);
    return true;
}

/* close_notify only on a connection that was open: before that nobody would understand it. */
void redis_wire_close(struct redis_wire *wire)
{
    if (wire->fd < 0)
        return;
    if (wire->stream != NULL && wire->opened)
        tls_stream_shutdown(wire->stream);
    tls_stream_free(wire->stream);
    io_close(wire->io);
    close(wire->fd);
    *wire = REDIS_WIRE_CLOSED;
}

/* After each event of the socket until TLS_OK.  SO_ERROR tells how connect(2) ended, once. */
enum tls_status redis_wire_step(struct redis_wire *wire)
{
    assert(wire->fd >= 0);
    if (!wire->connected) {
        socklen_t size = sizeof wire->saved_errno;
        if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &wire->saved_errno, &size) != 0)
            wire->saved_errno = errno;
        if (wire->saved_errno != 0)
            return TLS_FAILED;
        wire->connected = true;
    }
    enum tls_status status = wire->stream == NULL ? TLS_OK : tls_stream_handshake(wire->stream);
    wire->opened = status == TLS_OK;
    return status;
}

enum tls_status redis_wire_read(struct redis_wire *wire, void *bytes, size_t size, size_t *count)
{
    if (wire->stream != NULL)
        return tls_stream_read(wire->stream, bytes, size, count);
    ssize_t got = recv(wire->fd, bytes, size, 0);
    if (got == 0)
        return TLS_CLOSED;
    return plain_status(wire, got, TLS_WANT_READ, count);
}

enum tls_status redis_wire_write(struct redis_wire *wire, const void *bytes, size_t size,
                                 size_t *count)
{
    if (wire->stream != NULL)
        return tls_stream_write(wire->stream, bytes, size, count);
    return plain_status(wire, send(wire->fd, bytes, size, MSG_NOSIGNAL), TLS_WANT_WRITE, count);
}

const char *redis_wire_error(const struct redis_wire *wire)
{
    if (wire->saved_errno != 0)
        return strerrordesc_np(wire->saved_errno);
    return wire->stream == NULL ? "connection closed" : tls_stream_error(wire->stream);
}

static socklen_t socket_address(const struct redis_address *address,
                                struct sockaddr_storage *storage)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
    if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;
    int valid = inet_pton(AF_INET6, address->host, &v6->sin6_addr);
    assert(valid == 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address->port);
    return sizeof *v6;
}

/* 0 from send(2) cannot be for a size above 0; 0 from recv(2) was handled before. */
static enum tls_status plain_status(struct redis_wire *wire, ssize_t moved,
                                    enum tls_status when_full, size_t *count)
{
    if (moved > 0) {
        *count = (size_t)moved;
        return TLS_OK;
    }
    if (moved < 0 && (errno == EAGAIN || errno == EINTR))
        return when_full;
    wire->saved_errno = errno;
    return TLS_FAILED;
}
