/* The floor: what nghttp2 and OpenSSL alone cost for an answer of a given length.  One thread, epoll, the
 * service's TLS settings (1.3, certificates on both sides, ALPN h2, no tickets); when a request has ended
 * it is answered with fixed bytes, whatever it said.  Nothing is looked at, checked, limited, logged or
 * counted.
 *
 *     floor PKI-FOLDER MESSAGE-BYTES [--read-ahead]
 *
 * Prints `ready PORT`; ends with SIGTERM.  Links nothing of the service. */
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX (16 * 1024)

struct floor {
    SSL_CTX *tls;
    int listener;
    int epoll;
    bool read_ahead;
    uint8_t *answer; /* prefix and message */
    size_t answer_size;
};

struct connection {
    struct floor *floor;
    SSL *ssl;
    int fd;
    bool shaken;
    nghttp2_session *session;
    uint8_t out[OUT_MAX];
    size_t out_size;
    size_t out_sent;
};

static SSL_CTX *tls_make(const char *pki);
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *offer, unsigned offer_size, void *owner);
static int listen_somewhere(int *port);
static void accept_all(struct floor *floor);
static bool serve(struct connection *connection);
static bool take_input(struct connection *connection);
static bool give_output(struct connection *connection);
static bool gather(struct connection *connection);
static nghttp2_session *session_make(struct connection *connection);
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner);
static ssize_t on_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *owner);
static void connection_end(struct connection *connection);

int main(int argc, char **argv)
{
    struct floor floor = {.read_ahead = argc > 3 && strcmp(argv[3], "--read-ahead") == 0};
    long size = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
    int port = 0;
    if (size < 0 || size > OUT_MAX / 2) {
        fprintf(stderr, "usage: floor PKI-FOLDER MESSAGE-BYTES [--read-ahead]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    floor.answer_size = (size_t)size + 5;
    floor.answer = malloc(floor.answer_size);
    memset(floor.answer, 'x', floor.answer_size);
    memcpy(floor.answer, (uint8_t[]){0, 0, 0, (uint8_t)(size >> 8), (uint8_t)size}, 5);
    floor.tls = tls_make(argv[1]);
    floor.listener = listen_somewhere(&port);
    floor.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (floor.tls == NULL || floor.listener < 0)
        return 1;
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(floor.epoll, EPOLL_CTL_ADD, floor.listener, &event);
    printf("ready %d\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(floor.epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(&floor);
            else if (!serve(events[i].data.ptr))
                connection_end(events[i].data.ptr);
        }
    }
}

static SSL_CTX *tls_make(const char *pki)
{
    char cert[512], key[512], ca[512];
    snprintf(cert, sizeof cert, "%s/tenant-service.pem", pki);
    snprintf(key, sizeof key, "%s/tenant-service.key", pki);
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    bool done = SSL_CTX_use_certificate_chain_file(tls, cert) == 1 &&
                SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_load_verify_file(tls, ca) == 1 &&
                SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) == 1 &&
                SSL_CTX_set1_groups_list(tls, "X25519:P-256") == 1 &&
                SSL_CTX_set_num_tickets(tls, 0) == 1;
    if (!done) {
        ERR_print_errors_fp(stderr);
        return NULL;
    }
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_alpn_select_cb(tls, on_alpn, NULL);
    return tls;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *offer, unsigned offer_size, void *owner)
{
    (void)ssl, (void)owner;
    unsigned char *chosen = NULL;
    int found = SSL_select_next_proto(&chosen, out_size, (const unsigned char *)"\x02h2", 3, offer,
                                      offer_size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int listen_somewhere(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        perror("listen");
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static void accept_all(struct floor *floor)
{
    int fd, on = 1;
    while ((fd = accept4(floor->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        *connection = (struct connection){.floor = floor, .fd = fd, .ssl = SSL_new(floor->tls)};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        SSL_set_fd(connection->ssl, fd);
        SSL_set_accept_state(connection->ssl);
        SSL_set_read_ahead(connection->ssl, floor->read_ahead);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
        epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static bool serve(struct connection *connection)
{
    if (!connection->shaken) {
        ERR_clear_error();
        int result = SSL_do_handshake(connection->ssl);
        if (result != 1) {
            int error = SSL_get_error(connection->ssl, result);
            return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
        }
        connection->shaken = true;
        connection->session = session_make(connection);
    }
    return take_input(connection) && give_output(connection);
}

static bool take_input(struct connection *connection)
{
    uint8_t bytes[OUT_MAX];
    for (;;) {
        ERR_clear_error();
        int got = SSL_read(connection->ssl, bytes, sizeof bytes);
        if (got <= 0)
            return SSL_get_error(connection->ssl, got) == SSL_ERROR_WANT_READ;
        if (nghttp2_session_mem_recv(connection->session, bytes, (size_t)got) < 0)
            return false;
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

/* As many frames as fit into one record. */
static bool gather(struct connection *connection)
{
    connection->out_size = connection->out_sent = 0;
    while (connection->out_size < OUT_MAX / 4) {
        const uint8_t *bytes;
        ssize_t size = nghttp2_session_mem_send(connection->session, &bytes);
        if (size <= 0 || connection->out_size + (size_t)size > OUT_MAX)
            break;
        memcpy(connection->out + connection->out_size, bytes, (size_t)size);
        connection->out_size += (size_t)size;
    }
    return connection->out_size > 0;
}

static nghttp2_session *session_make(struct connection *connection)
{
    nghttp2_session *session = NULL;
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_option *option;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_session_server_new2(&session, callbacks, connection, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
                                               {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);
    return session;
}

#define NV(name, value)                                                                            \
    {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                   \
     NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *owner)
{
    (void)owner;
    bool request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!request || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    static const nghttp2_nv headers[] = {NV(":status", "200"),
                                         NV("content-type", "application/grpc")};
    const nghttp2_data_provider answer = {.read_callback = on_answer};
    return nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &answer);
}

static ssize_t on_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *owner)
{
    (void)source;
    const struct floor *floor = ((struct connection *)owner)->floor;
    if (room < floor->answer_size) /* the clients' windows are larger than any answer */
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(to, floor->answer, floor->answer_size);
    static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
    nghttp2_submit_trailer(session, id, trailers, 1);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return (ssize_t)floor->answer_size;
}

static void connection_end(struct connection *connection)
{
    nghttp2_session_del(connection->session);
    SSL_free(connection->ssl);
    close(connection->fd);
    free(connection);
}
