/* A server that answers as a test says, on a thread of its own: TLS with a client certificate, nghttp2, and one
 * function per request.  What it saw is read through scripted_count() and scripted_await(). */
#ifndef TESTS_UNIT_CLIENT_SCRIPTED_H
#define TESTS_UNIT_CLIENT_SCRIPTED_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#include "client/channel.h"
#include "loop/task.h"
#include "tests/unit/tls/certs.h"
#include "tls/tls.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#define PATIENCE_NS (10 * NS_PER_S)

enum seen {
    SEEN_CONNECTION,
    SEEN_HEADERS,
    SEEN_REQUEST,
    SEEN_RESET,
    SEEN_PING,
    SEEN_PING_ACK,
    SEEN_GOAWAY,
    SEEN_KINDS
};

struct scripted;

/* Runs on the server's thread, for the headers of a request (`whole` false) and for its end. */
typedef void scripted_answer(struct scripted *server, int32_t stream, bool whole);

struct scripted {
    char folder[64];
    int listener;
    char address[32];
    pthread_t thread;
    scripted_answer *answer;
    nghttp2_settings_entry settings[4]; /* the server's */
    size_t setting_count;
    /* the server thread's own */
    nghttp2_session *session;
    unsigned requests; /* whole ones, over all connections */
    bool hangs_up;     /* after what is queued was written */
    unsigned slams;    /* so many connections end behind their handshake */
    unsigned leaves;   /* so many get a GOAWAY with the SETTINGS */
    bool is_deaf;      /* neither reads nor answers any more */
    bool floods;       /* writes frames of an unknown type, and nothing else any more */
    struct buf bodies; /* of answers under way, kept to the end */
    /* of both threads */
    pthread_mutex_t lock;
    bool stops;
    unsigned seen[SEEN_KINDS];
    bool forget;         /* the next request is the first again */
    int32_t window_left; /* of the first stream, at the last request */
    uint32_t reset_code; /* of the last RST_STREAM */
    size_t body_size;    /* DATA bytes of all requests */
    struct buf fields;   /* "name: value\n" of the last request … */
    struct buf body;     /* … and its DATA */
};

enum reply_rest { REPLY_ENDS, REPLY_GOES_ON, REPLY_IS_RESET, REPLY_IS_REFUSED };

struct reply {
    const char *fields;   /* "name: value\n…", the ":status" first */
    struct slice body;    /* must live until the server has stopped */
    const char *trailers; /* NULL: none */
    enum reply_rest rest; /* what follows the body */
};

static inline void scripted_note(struct scripted *server, enum seen kind)
{
    pthread_mutex_lock(&server->lock);
    server->seen[kind]++;
    pthread_mutex_unlock(&server->lock);
}

static inline unsigned scripted_count(struct scripted *server, enum seen kind)
{
    pthread_mutex_lock(&server->lock);
    unsigned count = server->seen[kind];
    pthread_mutex_unlock(&server->lock);
    return count;
}

static inline void scripted_await(struct scripted *server, enum seen kind, unsigned count)
{
    uint64_t end = clock_now() + PATIENCE_NS;
    while (scripted_count(server, kind) < count) {
        ck_assert_msg(clock_now() < end, "never saw %u of kind %d", count, (int)kind);
        (void)poll(NULL, 0, 2);
    }
}

/* Bytes that the first stream may still send, as the last request came. */
static inline int32_t scripted_window_left(struct scripted *server)
{
    pthread_mutex_lock(&server->lock);
    int32_t left = server->window_left;
    pthread_mutex_unlock(&server->lock);
    return left;
}

/* The last request's field holds; "" when it had none. */
static inline bool scripted_saw_field(struct scripted *server, const char *line)
{
    pthread_mutex_lock(&server->lock);
    bool found = strstr(buf_str(&server->fields), line) != NULL;
    pthread_mutex_unlock(&server->lock);
    return found;
}

/* --- answering (the server's thread) ------------------------------------------------------------------ */

static inline size_t scripted_fields(const char *text, nghttp2_nv *fields, char *copy)
{
    size_t count = 0;
    strcpy(copy, text);
    for (char *line = copy; *line != '\0';) {
        char *end = strchr(line, '\n');
        *end = '\0';
        char *colon = strstr(line + 1, ": ");
        fields[count++] = (nghttp2_nv){.name = (uint8_t *)line,
                                       .namelen = (size_t)(colon - line),
                                       .value = (uint8_t *)colon + 2,
                                       .valuelen = strlen(colon + 2)};
        line = end + 1;
    }
    return count;
}

struct reply_body {
    struct reply reply;
    size_t sent;
};

static inline ssize_t scripted_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                                    uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)user;
    struct reply_body *body = source->ptr;
    size_t left = body->reply.body.size - body->sent;
    size_t count = left < size ? left : size;
    if (count > 0)
        memcpy(out, body->reply.body.data + body->sent, count);
    body->sent += count;
    if (count == left && body->reply.rest == REPLY_IS_RESET) /* leaves after this frame */
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    if (count == left && body->reply.rest == REPLY_IS_REFUSED)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    if (count == 0 && body->reply.rest != REPLY_ENDS)
        return NGHTTP2_ERR_DEFERRED;
    if (count < left || body->reply.rest != REPLY_ENDS)
        return (ssize_t)count;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (body->reply.trailers != NULL) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_nv fields[48];
        char copy[32768];
        size_t fields_count = scripted_fields(body->reply.trailers, fields, copy);
        ck_assert_int_eq(nghttp2_submit_trailer(session, id, fields, fields_count), 0);
    }
    return (ssize_t)count;
}

static inline void scripted_reply(struct scripted *server, int32_t id, struct reply reply)
{
    nghttp2_nv fields[48];
    char copy[32768];
    size_t count = scripted_fields(reply.fields, fields, copy);
    bool headers_only = reply.body.size == 0 && reply.trailers == NULL && reply.rest == REPLY_ENDS;
    struct reply_body *body = xcalloc(1, sizeof *body); /* freed by scripted_stop() */
    body->reply = reply;
    buf_put(&server->bodies, &body, sizeof body);
    nghttp2_data_provider provider = {.source.ptr = body, .read_callback = scripted_read};
    ck_assert_int_eq(nghttp2_submit_response(server->session, id, fields, count,
                                             headers_only ? NULL : &provider),
                     0);
}

#define GRPC_FIELDS ":status: 200\ncontent-type: application/grpc\n"
#define TRAILERS_OK "grpc-status: 0\n"
/* a HealthCheckResponse with status SERVING */
#define SERVING_MESSAGE "\0\0\0\0\2\x08\1"

static inline struct slice serving(void)
{
    return slice_make(SERVING_MESSAGE, sizeof SERVING_MESSAGE - 1);
}

static inline void answer_well(struct scripted *server, int32_t id, bool whole)
{
    if (whole)
        scripted_reply(server, id, (struct reply){GRPC_FIELDS, serving(), TRAILERS_OK, REPLY_ENDS});
}

/* --- the thread ------------------------------------------------------------------------------------- */

static inline int scripted_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                     const uint8_t *name, size_t name_size, const uint8_t *value,
                                     size_t value_size, uint8_t flags, void *user)
{
    (void)session;
    (void)frame;
    (void)flags;
    struct scripted *server = user;
    pthread_mutex_lock(&server->lock);
    buf_printf(&server->fields, "%.*s: %.*s\n", (int)name_size, (const char *)name, (int)value_size,
               (const char *)value);
    pthread_mutex_unlock(&server->lock);
    return 0;
}

static inline int scripted_on_begin(nghttp2_session *session, const nghttp2_frame *frame,
                                    void *user)
{
    (void)session;
    (void)frame;
    struct scripted *server = user;
    pthread_mutex_lock(&server->lock);
    buf_clear(&server->fields);
    buf_clear(&server->body);
    pthread_mutex_unlock(&server->lock);
    return 0;
}

static inline int scripted_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                                   const uint8_t *data, size_t size, void *user)
{
    (void)session;
    (void)flags;
    (void)id;
    struct scripted *server = user;
    pthread_mutex_lock(&server->lock);
    server->body_size += size;
    buf_put(&server->body, data, size);
    pthread_mutex_unlock(&server->lock);
    return 0;
}

static inline int scripted_on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                                    void *user)
{
    struct scripted *server = user;
    bool acknowledges = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        pthread_mutex_lock(&server->lock);
        server->reset_code = frame->rst_stream.error_code;
        pthread_mutex_unlock(&server->lock);
        scripted_note(server, SEEN_RESET);
    }
    if (frame->hd.type == NGHTTP2_PING)
        scripted_note(server, acknowledges ? SEEN_PING_ACK : SEEN_PING);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        scripted_note(server, SEEN_GOAWAY);
    if (frame->hd.type == NGHTTP2_HEADERS) {
        scripted_note(server, SEEN_HEADERS);
        server->answer(server, frame->hd.stream_id, false);
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        pthread_mutex_lock(&server->lock);
        server->requests = server->forget ? 1 : server->requests + 1;
        server->forget = false;
        server->window_left = nghttp2_session_get_stream_remote_window_size(session, 1);
        pthread_mutex_unlock(&server->lock);
        scripted_note(server, SEEN_REQUEST);
        server->answer(server, frame->hd.stream_id, true);
    }
    return 0;
}

static inline bool scripted_stops(struct scripted *server)
{
    pthread_mutex_lock(&server->lock);
    bool stops = server->stops;
    pthread_mutex_unlock(&server->lock);
    return stops;
}

static inline bool scripted_write(struct scripted *server, struct ctx *ctx,
                                  struct tls_stream *stream, struct io *io)
{
    const uint8_t *bytes;
    ssize_t size;
    while ((size = nghttp2_session_mem_send(server->session, &bytes)) > 0) {
        if (tls_write_wait(ctx, stream, io, bytes, (size_t)size, clock_now() + PATIENCE_NS) != OK)
            return false;
    }
    return size == 0;
}

/* Until the client has had enough of it. */
static inline void scripted_flood(struct scripted *server, struct ctx *ctx,
                                  struct tls_stream *stream, struct io *io)
{
    static const uint8_t frame[] = {0, 0, 0, 0xfa, 0, 0, 0, 0, 0};
    uint8_t frames[1800 * sizeof frame];
    for (size_t at = 0; at < sizeof frames; at += sizeof frame)
        memcpy(frames + at, frame, sizeof frame);
    int rc = OK;
    while (rc == OK && !scripted_stops(server))
        rc = tls_write_wait(ctx, stream, io, frames, sizeof frames, clock_now() + NS_PER_S);
}

/* Until either side ends it, or the test does. */
static inline void scripted_talk(struct scripted *server, struct ctx *ctx,
                                 struct tls_stream *stream, struct io *io)
{
    uint8_t bytes[4096];
    while (scripted_write(server, ctx, stream, io) && !server->hangs_up &&
           !scripted_stops(server)) {
        size_t count = 0;
        if (server->floods) {
            scripted_flood(server, ctx, stream, io);
            return;
        }
        if (server->is_deaf) { /* until the client has had enough */
            if (poll(&(struct pollfd){.fd = io_fd(io), .events = POLLRDHUP}, 1, 5) > 0)
                return;
            continue;
        }
        enum tls_status status = tls_stream_read(stream, bytes, sizeof bytes, &count);
        if (status == TLS_WANT_READ || status == TLS_WANT_WRITE)
            (void)poll(&(struct pollfd){.fd = io_fd(io), .events = POLLIN}, 1, 5);
        else if (status != TLS_OK)
            return;
        else if (nghttp2_session_mem_recv(server->session, bytes, count) != (ssize_t)count)
            return;
    }
}

/* Closing a socket with unread bytes resets it, which may cost the peer what was sent last. */
static inline void scripted_linger(int fd)
{
    char bytes[4096];
    (void)shutdown(fd, SHUT_WR);
    while (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100) > 0 &&
           recv(fd, bytes, sizeof bytes, 0) > 0)
        continue;
}

static inline void scripted_serve(struct scripted *server, struct tls_context *tls, int fd)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    struct io *io = io_open(NULL, fd);
    struct tls_stream *stream = tls_stream_accept(tls, fd);
    bool secured = tls_handshake_wait(&ctx, stream, io, clock_now() + PATIENCE_NS) == OK;
    if (secured && server->slams > 0) {
        server->slams--;
        scripted_note(server, SEEN_CONNECTION);
        scripted_linger(fd);
    } else if (secured) {
        nghttp2_session_callbacks *callbacks = NULL;
        ck_assert_int_eq(nghttp2_session_callbacks_new(&callbacks), 0);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, scripted_on_header);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, scripted_on_begin);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, scripted_on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, scripted_on_frame);
        ck_assert_int_eq(nghttp2_session_server_new(&server->session, callbacks, server), 0);
        nghttp2_session_callbacks_del(callbacks);
        (void)nghttp2_submit_settings(server->session, NGHTTP2_FLAG_NONE, server->settings,
                                      server->setting_count);
        if (server->leaves > 0) {
            server->leaves--;
            (void)nghttp2_submit_goaway(server->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR,
                                        NULL, 0);
        }
        scripted_note(server, SEEN_CONNECTION);
        server->hangs_up = server->is_deaf = server->floods = false;
        scripted_talk(server, &ctx, stream, io);
        nghttp2_session_del(server->session);
        scripted_linger(fd);
    }
    tls_stream_free(stream);
    io_close(io);
    close(fd);
}

static inline void *scripted_run(void *argument)
{
    struct scripted *server = argument;
    struct ctx ctx;
    ctx_init(&ctx, NULL, NULL);
    char cert[128], key[128], ca[128];
    struct tls_settings settings = {.cert_file = cert_path(cert, server->folder, "leaf.pem"),
                                    .key_file = cert_path(key, server->folder, "leaf.key"),
                                    .ca_file = cert_path(ca, server->folder, "ca.pem"),
                                    .alpn = "h2",
                                    .server = true};
    struct tls_context *tls = NULL;
    ck_assert_int_eq(tls_context_new(&ctx, &settings, &tls), OK);
    while (!scripted_stops(server)) {
        if (poll(&(struct pollfd){.fd = server->listener, .events = POLLIN}, 1, 5) <= 0)
            continue;
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        int yes = 1; /* or small frames wait for the client's delayed acknowledgements */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        scripted_serve(server, tls, fd);
    }
    tls_context_unref(tls);
    return NULL;
}

static inline void scripted_files(struct scripted *server)
{
    ck_assert_ptr_nonnull(mkdtemp(server->folder));
    struct issued ca = cert_make("test CA", &(struct cert_spec){.is_ca = true}, NULL);
    const struct cert_spec leaf = {.san = "DNS:localhost,IP:127.0.0.1,URI:spiffe://test/admin",
                                   .eku = "serverAuth,clientAuth"};
    struct issued own = cert_make("leaf", &leaf, &ca);
    cert_save(&ca, server->folder, "ca");
    cert_save(&own, server->folder, "leaf");
    cert_save_list(&(struct list_spec){.authority = &ca}, server->folder, "nobody");
    cert_save_list(&(struct list_spec){.authority = &ca, .revoked = own.cert}, server->folder,
                   "revoked");
    cert_drop(&ca);
    cert_drop(&own);
}

/* Listens; connections that come before scripted_start() wait in the kernel. */
static inline void scripted_init(struct scripted *server)
{
    *server = (struct scripted){.folder = "/tmp/client-test-XXXXXX", .answer = answer_well};
    pthread_mutex_init(&server->lock, NULL);
    scripted_files(server);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    ck_assert_int_eq(bind(server->listener, (struct sockaddr *)&place, size), 0);
    ck_assert_int_eq(listen(server->listener, 16), 0);
    ck_assert_int_eq(getsockname(server->listener, (struct sockaddr *)&place, &size), 0);
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", ntohs(place.sin_port));
}

static inline void scripted_start(struct scripted *server)
{
    ck_assert_int_eq(pthread_create(&server->thread, NULL, scripted_run, server), 0);
}

static inline void scripted_stop(struct scripted *server)
{
    pthread_mutex_lock(&server->lock);
    server->stops = true;
    pthread_mutex_unlock(&server->lock);
    ck_assert_int_eq(pthread_join(server->thread, NULL), 0);
}

static inline void scripted_deinit(struct scripted *server)
{
    struct slice bodies = buf_slice(&server->bodies);
    for (size_t at = 0; at < bodies.size; at += sizeof(void *)) {
        void *body;
        memcpy(&body, bodies.data + at, sizeof body);
        free(body);
    }
    buf_deinit(&server->bodies);
    buf_deinit(&server->fields);
    buf_deinit(&server->body);
    if (server->listener >= 0)
        close(server->listener);
    DIR *folder = opendir(server->folder);
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    ck_assert_int_eq(rmdir(server->folder), 0);
}

/* --- the client ------------------------------------------------------------------------------------- */

static inline struct client_channel *scripted_channel(struct scripted *server,
                                                      struct client_settings settings)
{
    static char cert[128], key[128], ca[128];
    if (settings.address == NULL)
        settings.address = server->address;
    settings.cert_file = cert_path(cert, server->folder, "leaf.pem");
    settings.key_file = cert_path(key, server->folder, "leaf.key");
    settings.ca_file = cert_path(ca, server->folder, "ca.pem");
    return client_channel_new(&settings);
}

#endif
