/* One connection of the load generator: TLS 1.3 with a client certificate, ALPN h2, `streams` unary
 * gRPC calls in flight; every answer is checked before the next call begins. */
#include "load.h"

#include <openssl/err.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX (16 * 1024)

struct stream {
    struct connection *connection;
    const struct request *request;
    uint64_t began;
    size_t sent;          /* bytes of the body */
    size_t got;           /* bytes of the answer */
    uint8_t prefix[5];
    int http_status;
    int grpc_status;      /* -1: none seen */
    char message[96];     /* grpc-message */
};

struct connection {
    struct load *load;
    SSL *ssl;
    int fd;
    nghttp2_session *session;
    int open;             /* calls in flight */
    bool goaway;
    bool wants_write;     /* the socket took no more */
    uint8_t out[OUT_MAX];
    size_t out_size;
    size_t out_sent;
};

static int dial(struct load *load);
static bool shake_hands(struct connection *connection);
static void session_make(struct connection *connection);
static void begin_calls(struct connection *connection);
static void begin_call(struct connection *connection);
static bool take_input(struct connection *connection);
static bool give_output(struct connection *connection);
static bool gather(struct connection *connection);
static ssize_t on_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *owner);
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *owner);
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t size, void *owner);
static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *owner);
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner);
static void judge(struct load *load, const struct stream *stream, uint32_t code);

struct connection *connection_open(struct load *load)
{
    int fd = dial(load);
    if (fd < 0) {
        load_error(load, "connect: %s", strerror(errno));
        return NULL;
    }
    struct connection *connection = calloc(1, sizeof *connection);
    connection->load = load;
    connection->fd = fd;
    connection->ssl = SSL_new(load->tls);
    SSL_set_fd(connection->ssl, fd);
    if (!shake_hands(connection)) {
        connection_close(connection);
        return NULL;
    }
    session_make(connection);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event);
    return connection;
}

void connection_close(struct connection *connection)
{
    if (connection == NULL)
        return;
    nghttp2_session_del(connection->session);
    SSL_free(connection->ssl);
    close(connection->fd);
    free(connection);
}

bool connection_turn(struct connection *connection)
{
    if (!take_input(connection))
        return false;
    begin_calls(connection);
    return give_output(connection);
}

bool connection_is_spent(const struct connection *connection)
{
    return connection->open == 0 && (connection->goaway || 
           !nghttp2_session_check_request_allowed(connection->session));
}

int connection_fd(const struct connection *connection)
{
    return connection->fd;
}

static int dial(struct load *load)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    if (getaddrinfo(load->host, load->port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static bool shake_hands(struct connection *connection)
{
    struct load *load = connection->load;
    if (SSL_connect(connection->ssl) != 1) {
        load_error(load, "handshake: %s", ERR_reason_error_string(ERR_get_error()));
        return false;
    }
    const unsigned char *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(connection->ssl, &chosen, &size);
    if (size != 2 || memcmp(chosen, "h2", 2) != 0) {
        load_error(load, "the server chose no h2");
        return false;
    }
    return fcntl(connection->fd, F_SETFL, O_NONBLOCK) == 0;
}

static void session_make(struct connection *connection)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_client_new(&connection->session, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20},
    };
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, 16 << 20);
}

static void begin_calls(struct connection *connection)
{
    struct load *load = connection->load;
    while (!load->idle && !load->stopping && !connection->goaway &&
           connection->open < load->streams && call_is_due(load) &&
           (load->count == 0 || load->issued < load->count) &&
           nghttp2_session_check_request_allowed(connection->session))
        begin_call(connection);
}

#define NV(name, value)                                                                            \
    ((nghttp2_nv){(uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), 0})

static void begin_call(struct connection *connection)
{
    struct load *load = connection->load;
    const struct request *request = &load->requests[load->next_request++ % load->request_count];
    struct stream *stream = calloc(1, sizeof *stream);
    *stream = (struct stream){.connection = connection, .request = request, .grpc_status = -1};
    nghttp2_nv headers[7 + HEADERS_MAX] = {
        NV(":method", "POST"),      NV(":scheme", "https"),
        NV(":path", load->path),    NV(":authority", "localhost"),
        NV("te", "trailers"),       NV("content-type", "application/grpc"),
        NV("user-agent", "bench/1"),
    };
    memcpy(headers + 7, request->headers, request->header_count * sizeof headers[0]);
    const nghttp2_data_provider body = {.source.ptr = stream, .read_callback = on_body};
    stream->began = call_due_ns(load);
    int32_t id = nghttp2_submit_request(connection->session, NULL, headers,
                                        7 + request->header_count, &body, stream);
    if (id < 0) {
        load_error(load, "submit: %s", nghttp2_strerror(id));
        free(stream);
        connection->goaway = true;
        return;
    }
    connection->open++;
    load->in_flight++;
    load->issued++;
}

static bool take_input(struct connection *connection)
{
    uint8_t bytes[OUT_MAX];
    for (;;) {
        ERR_clear_error();
        int got = SSL_read(connection->ssl, bytes, sizeof bytes);
        if (got <= 0)
            return SSL_get_error(connection->ssl, got) == SSL_ERROR_WANT_READ;
        ssize_t taken = nghttp2_session_mem_recv(connection->session, bytes, (size_t)got);
        if (taken < 0) {
            load_error(connection->load, "receive: %s", nghttp2_strerror((int)taken));
            return false;
        }
    }
}

static bool give_output(struct connection *connection)
{
    while (connection->out_sent < connection->out_size || gather(connection)) {
        ERR_clear_error();
        int put = SSL_write(connection->ssl, connection->out + connection->out_sent,
                            (int)(connection->out_size - connection->out_sent));
        if (put <= 0)
            return SSL_get_error(connection->ssl, put) == SSL_ERROR_WANT_WRITE;
        connection->out_sent += (size_t)put;
    }
    return nghttp2_session_want_read(connection->session) ||
           nghttp2_session_want_write(connection->session);
}

/* As many frames as fit, so that one record carries them.  A frame is at most 16 KiB and its header. */
static bool gather(struct connection *connection)
{
    connection->out_size = connection->out_sent = 0;
    while (connection->out_size < OUT_MAX / 2) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(connection->session, &bytes);
        if (size <= 0)
            break;
        if (connection->out_size + (size_t)size > OUT_MAX) {
            load_error(connection->load, "a frame of %zd bytes is too large", size);
            exit(1);
        }
        memcpy(connection->out + connection->out_size, bytes, (size_t)size);
        connection->out_size += (size_t)size;
    }
    return connection->out_size > 0;
}

static ssize_t on_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *owner)
{
    (void)session, (void)id, (void)owner;
    struct stream *stream = source->ptr;
    size_t left = stream->request->size - stream->sent;
    size_t size = left < room ? left : room;
    if (size > OUT_MAX / 4)
        size = OUT_MAX / 4;
    memcpy(to, stream->request->body + stream->sent, size);
    stream->sent += size;
    if (stream->sent == stream->request->size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *owner)
{
    (void)flags, (void)owner;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    char text[16] = "";
    memcpy(text, value, value_size < 15 ? value_size : 15);
    if (name_size == 7 && memcmp(name, ":status", 7) == 0)
        stream->http_status = (int)strtol(text, NULL, 10);
    else if (name_size == 11 && memcmp(name, "grpc-status", 11) == 0)
        stream->grpc_status = (int)strtol(text, NULL, 10);
    else if (name_size == 12 && memcmp(name, "grpc-message", 12) == 0)
        snprintf(stream->message, sizeof stream->message, "%.*s", (int)value_size, value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t size, void *owner)
{
    (void)flags, (void)owner;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    for (size_t i = 0; i < size && stream->got + i < sizeof stream->prefix; i++)
        stream->prefix[stream->got + i] = bytes[i];
    stream->got += size;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *owner)
{
    struct connection *connection = owner;
    struct load *load = connection->load;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL)
        return 0;
    connection->open--;
    load->in_flight--;
    if (code == NGHTTP2_REFUSED_STREAM) { /* RFC 9113 section 8.7: not processed, safe to repeat */
        load->retried++;
        load->issued--;
        connection->goaway = true;
    } else {
        judge(load, stream, code);
    }
    free(stream);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    (void)session;
    struct connection *connection = owner;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        connection->goaway = true;
    return 0;
}

/* An answer counts only when its status is OK and its one message is as long as it says. */
static void judge(struct load *load, const struct stream *stream, uint32_t code)
{
    const uint8_t *p = stream->prefix;
    size_t size = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (code != NGHTTP2_NO_ERROR || stream->http_status != 200 || stream->grpc_status != 0) {
        load_error(load, "call: reset %u, HTTP %d, grpc-status %d %s", code, stream->http_status,
                   stream->grpc_status, stream->message);
        return;
    }
    if (stream->got < 5 || p[0] != 0 || size != stream->got - 5 ||
        (load->expect_bytes >= 0 && size != (size_t)load->expect_bytes)) {
        load_error(load, "call: %zu bytes with a message of %zu, expected %ld", stream->got, size,
                   load->expect_bytes);
        return;
    }
    if (size < load->bytes_min)
        load->bytes_min = size;
    if (size > load->bytes_max)
        load->bytes_max = size;
    if (!load->measuring)
        return;
    load->calls++;
    histogram_add(&load->latency, now_ns() - stream->began);
}
