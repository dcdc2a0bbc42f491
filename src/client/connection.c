/* The connection's steps: read what came, let nghttp2 act, write what fits; see connection.h.
 *
 *    on_ready (loop) ──┐
 *    connection_wait ──┴──> connection_drive ──> nghttp2 ──> stream.c's callbacks ──> waiting calls
 *
 * Its faults end it for good: who wants to go on opens another. */
#include "client/connection.h"

#include "base/alloc.h"

#include "client/answer.h"
#include "client/connect.h"
#include "client/stream.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* frames gathered for one write: a TLS record holds as much */
#define GATHER_SIZE 16384
/* Bytes that a stream may have under way, and all streams together: the room for a fast link.  They are given
 * back as messages are taken, so a caller who takes none holds no more than a window. */
#define STREAM_WINDOW (256 << 10)
#define CONNECTION_WINDOW (4 << 20)
/* Bytes of all else, read in one go: a hundred answers' headers and trailers fit, however large. */
#define UNBOUNDED_MAX (4 << 20)

static void session_begin(struct client_connection *connection);
static void on_ready(void *owner, unsigned events);
static void read_all(struct client_connection *connection);
static bool feed(struct client_connection *connection, size_t size);
static void end_by_tls(struct client_connection *connection, const char *what);
static void write_all(struct client_connection *connection);
static bool gather(struct client_connection *connection);
static void set_watch(struct client_connection *connection);
static uint64_t keepalive_due(const struct client_connection *connection);
static bool has_calls(const struct client_connection *connection);
static void on_timer(void *owner);

int client_connection_open(struct ctx *ctx, const struct client_settings *settings,
                           uint64_t deadline_ns, struct client_connection **out)
{
    struct client_connection *connection = xcalloc(1, sizeof *connection);
    connection->references = 1;
    connection->loop = ctx->task == NULL ? NULL : task_loop(ctx->task);
    connection->fd = -1;
    connection->authority = xstrdup(settings->address);
    connection->keepalive_ns = settings->keepalive_ns;
    connection->keepalive_timeout_ns = settings->keepalive_timeout_ns;
    list_init(&connection->streams);
    int rc = connect_secured(ctx, connection, settings, deadline_ns);
    if (rc != OK) {
        connection->over = true;
        client_connection_unref(connection);
        return rc;
    }
    session_begin(connection);
    connection->heard_ns = clock_now();
    if (connection->loop != NULL)
        connection->timer = timer_new(connection->loop, on_timer, connection);
    client_connection_drive(connection);
    *out = connection;
    return OK;
}

void client_connection_unref(struct client_connection *connection)
{
    if (connection == NULL || --connection->references > 0)
        return;
    assert(list_is_empty(&connection->streams));
    if (!connection->over) {
        (void)nghttp2_session_terminate_session(connection->session, NGHTTP2_NO_ERROR);
        write_all(connection);
        tls_stream_shutdown(connection->stream);
    }
    timer_free(connection->timer);
    nghttp2_session_del(connection->session);
    tls_stream_free(connection->stream);
    tls_context_unref(connection->tls);
    connect_drop(connection);
    buf_deinit(&connection->output);
    free(connection->authority);
    free(connection);
}

bool client_connection_is_usable(const struct client_connection *connection)
{
    return !connection->over && !connection->going_away &&
           nghttp2_session_check_request_allowed(connection->session) != 0;
}

void client_connection_drive(struct client_connection *connection)
{
    if (!connection->over)
        read_all(connection);
    client_connection_flush(connection);
}

/* The session is done after a GOAWAY once no stream is left: the server's, or ours about what it sent. */
void client_connection_flush(struct client_connection *connection)
{
    if (!connection->over)
        write_all(connection);
    if (!connection->over && nghttp2_session_want_read(connection->session) == 0 &&
        nghttp2_session_want_write(connection->session) == 0 &&
        buf_size(&connection->output) == 0) {
        bool theirs = connection->going_away;
        client_connection_end(connection, theirs ? FAULT_IO : FAULT_PROTOCOL,
                              theirs ? "the server ended the connection"
                                     : "the server broke HTTP/2");
    }
    set_watch(connection);
}

void client_connection_end(struct client_connection *connection, enum fault_kind kind,
                           const char *format, ...)
{
    if (connection->over)
        return;
    connection->over = true;
    connection->over_kind = kind;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(connection->over_text, sizeof connection->over_text, format, arguments);
    va_end(arguments);
    set_watch(connection);
    streams_wake(connection);
}

int client_connection_fault(struct ctx *ctx, const struct client_connection *connection)
{
    assert(connection->over);
    return FAULT(ctx, connection->over_kind, "%s", connection->over_text);
}

int client_connection_wait(struct ctx *ctx, struct client_connection *connection,
                           struct waitq *queue, uint64_t deadline_ns)
{
    if (connection->loop != NULL)
        return wait_fault(ctx, waitq_wait(ctx, queue, deadline_ns, NULL), "the answer");
    assert(ctx->task == NULL);
    uint64_t due = keepalive_due(connection);
    uint64_t end = due < deadline_ns ? due : deadline_ns;
    enum wait_result result = task_wait_io(ctx, connection->io, connection->wants | IO_READ, end);
    if (result == WAIT_TIMEOUT && end == due && deadline_left(ctx->deadline_ns, clock_now()) > 0)
        result = WAIT_READY; /* a look at the keepalive, not the end of the call's time */
    TRY(wait_fault(ctx, result, "the answer"));
    client_connection_look(connection);
    return OK;
}

/* Until the server's SETTINGS tell its limit one stream may go ahead: more might be too many, and refused.
 * Push is off (RFC 9113 section 6.5.2): nothing here could take a pushed answer.  Windows are given back by
 * stream.c as messages are taken. */
static void session_begin(struct client_connection *connection)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        abort();
    stream_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, 1);
    int rc = nghttp2_session_client_new2(&connection->session, callbacks, connection, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    assert(rc == 0);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CLIENT_HEADER_BYTES_MAX},
    };
    rc = nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings,
                                 sizeof settings / sizeof settings[0]);
    assert(rc == 0);
    rc = nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                               CONNECTION_WINDOW);
    assert(rc == 0);
}

static void on_ready(void *owner, unsigned events)
{
    (void)events;
    client_connection_drive(owner);
}

/* Until the socket is empty.  Windows are given back by callers alone, after this: so DATA is bounded by them,
 * and what no window bounds is a flood when there is so much of it. */
static void read_all(struct client_connection *connection)
{
    connection->wants = IO_READ;
    for (size_t left = CONNECTION_WINDOW + UNBOUNDED_MAX;;) {
        size_t count = 0;
        enum tls_status status =
            tls_stream_read(connection->stream, connection->input, CONNECTION_READ_SIZE, &count);
        if (status == TLS_CLOSED)
            client_connection_end(connection, FAULT_IO, "the server closed the connection");
        if (status == TLS_FAILED)
            end_by_tls(connection, "read");
        if (status == TLS_WANT_WRITE)
            connection->wants |= IO_WRITE;
        if (status != TLS_OK || !feed(connection, count))
            return;
        if (left <= count) {
            client_connection_end(connection, FAULT_PROTOCOL, "the server floods the connection");
            return;
        }
        left -= count;
    }
}

/* False: what came is not HTTP/2. */
static bool feed(struct client_connection *connection, size_t size)
{
    connection->heard_ns = clock_now();
    connection->ping_ns = 0;
    ssize_t taken = nghttp2_session_mem_recv(connection->session, connection->input, size);
    if (taken == (ssize_t)size)
        return true;
    client_connection_end(connection, FAULT_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)taken));
    return false;
}

/* A socket that broke says nothing about certificates: another connection may do. */
static void end_by_tls(struct client_connection *connection, const char *what)
{
    bool lost = strcmp(tls_stream_error_label(connection->stream), "reset") == 0;
    client_connection_end(connection, lost ? FAULT_IO : FAULT_TLS, "%s: %s", what,
                          tls_stream_error(connection->stream));
}

static void write_all(struct client_connection *connection)
{
    while (gather(connection)) {
        size_t put = 0;
        struct slice bytes = buf_slice(&connection->output);
        enum tls_status status = tls_stream_write(connection->stream, bytes.data, bytes.size, &put);
        buf_consume(&connection->output, put);
        if (status == TLS_FAILED || status == TLS_CLOSED)
            end_by_tls(connection, "write");
        if (status == TLS_WANT_WRITE)
            connection->wants |= IO_WRITE;
        if (status != TLS_OK)
            return;
    }
}

/* True: there is something to write.  Bytes that OpenSSL has seen stay in front, as it demands. */
static bool gather(struct client_connection *connection)
{
    while (buf_size(&connection->output) < GATHER_SIZE) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(connection->session, &bytes);
        if (size < 0)
            client_connection_end(connection, FAULT_PROTOCOL, "HTTP/2: %s",
                                  nghttp2_strerror((int)size));
        if (size <= 0)
            break;
        buf_put(&connection->output, bytes, (size_t)size);
    }
    return !connection->over && buf_size(&connection->output) > 0;
}

static void set_watch(struct client_connection *connection)
{
    if (connection->loop == NULL || connection->session == NULL)
        return;
    io_watch(connection->io, connection->over ? IO_NONE : connection->wants, on_ready, connection);
    timer_set(connection->timer, keepalive_due(connection));
}

/* When to look again: PINGs are sent while calls are in flight only ("keepalive_without_calls" is off,
 * gRFC A8), or a server would close us for them. */
static uint64_t keepalive_due(const struct client_connection *connection)
{
    if (connection->over || connection->keepalive_ns == 0)
        return NO_DEADLINE;
    if (connection->ping_ns != 0)
        return connection->ping_ns + connection->keepalive_timeout_ns;
    return has_calls(connection) ? connection->heard_ns + connection->keepalive_ns : NO_DEADLINE;
}

/* In flight: who holds a stream that has ended waits for nothing. */
static bool has_calls(const struct client_connection *connection)
{
    const struct list *streams = &connection->streams;
    for (struct list_node *node = list_first(streams); node != NULL;
         node = list_next(streams, node)) {
        if (!stream_is_over(list_entry(node, struct client_stream, node)))
            return true;
    }
    return false;
}

/* Any byte proves the peer alive, not only the PING's answer; what waits in the socket is read first, for
 * it may be we who were away. */
void client_connection_look(struct client_connection *connection)
{
    client_connection_drive(connection);
    uint64_t now = clock_now();
    if (now < keepalive_due(connection))
        return;
    if (connection->ping_ns != 0) {
        client_connection_end(connection, FAULT_IO, "the server no longer answers (keepalive)");
        return;
    }
    static const uint8_t payload[8] = "alive?";
    (void)nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, payload);
    connection->ping_ns = now;
    client_connection_flush(connection);
}

static void on_timer(void *owner)
{
    client_connection_look(owner);
}
