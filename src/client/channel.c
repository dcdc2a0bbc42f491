/* The connection of a client channel: address, TCP, TLS, HTTP/2 session.  Called by tenantctl; must never
 * look at a message's content.
 *
 *    getaddrinfo ──> TCP, one address after the other ──> TLS 1.3 with "h2" ──> session, SETTINGS sent
 *
 * No state is kept for a reconnect: a channel that is unusable is closed, and its owner opens
 * another. */
#include "client/channel_int.h"

#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_NS (5 * NS_PER_S)
/* an answer may have 4 MiB: the library gives the window back as data arrive */
#define STREAM_WINDOW (1 << 20)

static int address_split(struct ctx *ctx, const char *address, char **host, char **port);
static int channel_connect(struct ctx *ctx, struct client_channel *channel, const char *host,
                           const char *port, uint64_t deadline_ns);
static int connect_one(struct ctx *ctx, struct client_channel *channel,
                       const struct addrinfo *place, uint64_t deadline_ns);
static int channel_secure(struct ctx *ctx, struct client_channel *channel,
                          const struct client_settings *settings, const char *name,
                          uint64_t deadline_ns);
static void session_begin(struct client_channel *channel);

/* The deadline covers name, TCP and TLS together; getaddrinfo(3) alone does not keep to it. */
int client_channel_open(struct ctx *ctx, const struct client_settings *settings,
                        struct client_channel **out)
{
    uint64_t timeout = settings->connect_timeout_ns;
    uint64_t deadline = ctx_deadline_within(ctx, timeout == 0 ? CONNECT_TIMEOUT_NS : timeout);
    AUTO(auto_free) char *host = NULL;
    AUTO(auto_free) char *port = NULL;
    TRY(address_split(ctx, settings->address, &host, &port));
    struct client_channel *channel = xcalloc(1, sizeof *channel);
    channel->fd = -1;
    channel->authority = xstrdup(settings->address);
    const char *name = settings->server_name != NULL ? settings->server_name : host;
    int rc = channel_connect(ctx, channel, host, port, deadline);
    if (rc == OK)
        rc = channel_secure(ctx, channel, settings, name, deadline);
    if (rc != OK) {
        client_channel_close(channel);
        return rc;
    }
    session_begin(channel);
    *out = channel;
    return OK;
}

void client_channel_close(struct client_channel *channel)
{
    if (channel == NULL)
        return;
    if (channel->session != NULL && !channel->unusable) {
        (void)nghttp2_session_terminate_session(channel->session, NGHTTP2_NO_ERROR);
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(channel->session, &bytes);
        size_t written;
        if (size > 0)
            (void)tls_stream_write(channel->stream, bytes, (size_t)size, &written);
        tls_stream_shutdown(channel->stream);
    }
    nghttp2_session_del(channel->session);
    tls_stream_free(channel->stream);
    tls_context_unref(channel->tls);
    io_close(channel->io);
    if (channel->fd >= 0)
        close(channel->fd);
    buf_deinit(&channel->exchange.body);
    free(channel->authority);
    free(channel);
}

bool client_channel_is_usable(const struct client_channel *channel)
{
    return !channel->unusable && !channel->going_away;
}

int client_channel_flush(struct ctx *ctx, struct client_channel *channel, uint64_t deadline_ns)
{
    for (;;) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(channel->session, &bytes);
        if (size < 0) {
            channel->unusable = true;
            return FAULT(ctx, FAULT_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)size));
        }
        if (size == 0)
            return OK;
        int rc =
            tls_write_wait(ctx, channel->stream, channel->io, bytes, (size_t)size, deadline_ns);
        if (rc != OK) { /* part of a frame may be out: nothing sensible can follow */
            channel->unusable = true;
            return rc;
        }
    }
}

/* Reads what is there, once: the caller looks at the exchange before it waits again. */
int client_channel_pump(struct ctx *ctx, struct client_channel *channel, uint64_t deadline_ns)
{
    uint8_t *bytes = channel->input;
    size_t count = 0;
    int rc = tls_read_wait(ctx, channel->stream, channel->io, bytes, CLIENT_READ_SIZE, &count,
                           deadline_ns);
    if (rc != OK) { /* a wait that ends early leaves the connection as it was */
        enum fault_kind kind = ctx->fault.kind;
        channel->unusable = kind != FAULT_TIMEOUT && kind != FAULT_CANCELLED;
        return rc;
    }
    if (count == 0) {
        channel->unusable = true;
        return FAULT(ctx, FAULT_IO, "the server closed the connection");
    }
    ssize_t taken = nghttp2_session_mem_recv(channel->session, bytes, count);
    if (taken != (ssize_t)count) {
        channel->unusable = true;
        return FAULT(ctx, FAULT_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)taken));
    }
    return OK;
}

/* "host:port" or "[v6]:port". */
/* The last colon separates; brackets around an IPv6 address are taken off. */
static int address_split(struct ctx *ctx, const char *address, char **host, char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0')
        return FAULT(ctx, FAULT_CONFIG, "address \"%s\": expected HOST:PORT", address);
    size_t size = (size_t)(colon - address);
    if (address[0] == '[' && colon[-1] == ']')
        *host = xstrndup(address + 1, size - 2);
    else
        *host = xstrndup(address, size);
    *port = xstrdup(colon + 1);
    return OK;
}

/* The fault of the last address is the one told. */
static int channel_connect(struct ctx *ctx, struct client_channel *channel, const char *host,
                           const char *port, uint64_t deadline_ns)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *places = NULL;
    int failed = getaddrinfo(host, port, &hints, &places);
    if (failed != 0)
        return FAULT(ctx, FAULT_CONFIG, "address \"%s:%s\": %s", host, port, gai_strerror(failed));
    int rc = FAULT_IO;
    for (const struct addrinfo *place = places; place != NULL && rc != OK; place = place->ai_next)
        rc = connect_one(ctx, channel, place, deadline_ns);
    freeaddrinfo(places);
    return rc;
}

/* The io goes before its descriptor is closed: the next socket may get the same number. */
static int connect_one(struct ctx *ctx, struct client_channel *channel,
                       const struct addrinfo *place, uint64_t deadline_ns)
{
    io_close(TAKE(channel->io));
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = socket(place->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (channel->fd < 0)
        return FAULT(ctx, FAULT_IO, "socket");
    int yes = 1;
    (void)setsockopt(channel->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    channel->io = io_open(ctx->task == NULL ? NULL : task_loop(ctx->task), channel->fd);
    if (connect(channel->fd, place->ai_addr, place->ai_addrlen) == 0)
        return OK;
    if (errno != EINPROGRESS)
        return FAULT(ctx, FAULT_IO, "connect: %s", strerror(errno));
    TRY(wait_fault(ctx, task_wait_io(ctx, channel->io, IO_WRITE, deadline_ns), "connect"));
    /* writable says only that connect(2) has ended: SO_ERROR says how */
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
        return FAULT(ctx, FAULT_IO, "connect: %s", strerror(error));
    return OK;
}

/* A context per channel: certificates are read anew, so a renewed one is used at the next
 * connect. */
static int channel_secure(struct ctx *ctx, struct client_channel *channel,
                          const struct client_settings *settings, const char *name,
                          uint64_t deadline_ns)
{
    struct tls_settings tls = {
        .cert_file = settings->cert_file,
        .key_file = settings->key_file,
        .ca_file = settings->ca_file,
        .alpn = "h2",
    };
    TRY(tls_context_new(ctx, &tls, &channel->tls));
    channel->stream = tls_stream_connect(channel->tls, channel->fd, name);
    return tls_handshake_wait(ctx, channel->stream, channel->io, deadline_ns);
}

/* Push is off (RFC 9113 section 6.5.2): nothing here could take a pushed answer. */
static void session_begin(struct client_channel *channel)
{
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    client_unary_callbacks(callbacks);
    int rc = nghttp2_session_client_new(&channel->session, callbacks, channel);
    nghttp2_session_callbacks_del(callbacks);
    assert(rc == 0);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CLIENT_HEADER_BYTES_MAX},
    };
    rc = nghttp2_submit_settings(channel->session, NGHTTP2_FLAG_NONE, settings,
                                 sizeof settings / sizeof settings[0]);
    assert(rc == 0);
    channel->exchange.body.limit = CLIENT_MESSAGE_MAX + 5;
}
