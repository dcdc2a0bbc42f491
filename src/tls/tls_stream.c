/* One connection: bytes in and out of OpenSSL over a socket that somebody else watches.  Never blocks,
 * never raises a signal, never lets one connection's errors show up on another (OpenSSL's error queue
 * belongs to the thread, so it is emptied before each call). */
#include "base/alloc.h"

#include "tls/tls_int.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct tls_stream *stream_new(struct tls_context *context, int fd);
static bool expect_name(SSL *ssl, const char *name);
static bool finish_handshake(struct tls_stream *stream);
static void begin_call(struct tls_stream *stream);
static enum tls_status judge(struct tls_stream *stream, int result);
static enum tls_status judge_socket(struct tls_stream *stream);
static enum tls_status judge_protocol(struct tls_stream *stream);
static const char *label_of_reason(int reason);
static const char *label_of_alert(int alert);
static void on_message(int written, int version, int type, const void *bytes, size_t size, SSL *ssl,
                       void *owner);
static int socket_write(BIO *bio, const char *bytes, size_t size, size_t *count);
static int socket_read(BIO *bio, char *bytes, size_t size, size_t *count);
static long socket_control(BIO *bio, int command, long number, void *pointer);

struct tls_stream *tls_stream_accept(struct tls_context *context, int fd)
{
    assert(context->server);
    struct tls_stream *stream = stream_new(context, fd);
    SSL_set_accept_state(stream->ssl);
    return stream;
}

struct tls_stream *tls_stream_connect(struct tls_context *context, int fd, const char *name)
{
    assert(!context->server && name != NULL && name[0] != '\0'); /* an empty name would match all */
    struct tls_stream *stream = stream_new(context, fd);
    SSL_set_connect_state(stream->ssl);
    ERR_clear_error();
    if (!expect_name(stream->ssl, name))
        tls_stream_fail(stream, "other", "the peer's name cannot stand in a certificate");
    return stream;
}

void tls_stream_free(struct tls_stream *stream)
{
    if (stream == NULL)
        return;
    SSL_free(stream->ssl);
    tls_context_unref(stream->context);
    free(stream->peer_uri);
    free(stream);
}

/* May be called again after TLS_OK, and after a failure says the same again. */
enum tls_status tls_stream_handshake(struct tls_stream *stream)
{
    if (stream->failed)
        return TLS_FAILED;
    if (stream->ready)
        return TLS_OK;
    begin_call(stream);
    int result = SSL_do_handshake(stream->ssl);
    if (result != 1) {
        enum tls_status status = judge(stream, result);
        if (status == TLS_CLOSED)
            tls_stream_fail(stream, "reset", "the peer ended the connection during the handshake");
        return status == TLS_CLOSED ? TLS_FAILED : status;
    }
    return finish_handshake(stream) ? TLS_OK : TLS_FAILED;
}

/* A socket that ended without close_notify reads as TLS_CLOSED, once and for ever: the
 * protocols above frame their messages and see for themselves what was cut short. */
enum tls_status tls_stream_read(struct tls_stream *stream, void *bytes, size_t size, size_t *count)
{
    assert(stream->ready || stream->failed);
    assert(size > 0);
    if (stream->failed)
        return stream->cut_off ? TLS_CLOSED : TLS_FAILED;
    begin_call(stream);
    size_t got = 0;
    int result = SSL_read_ex(stream->ssl, bytes, size, &got);
    if (stream->updates > stream->updates_max) {
        tls_stream_fail(stream, "flood", "the peer changes its keys too often");
        return TLS_FAILED;
    }
    if (result != 1)
        return judge(stream, result);
    assert(got > 0 && got <= size);
    *count = got;
    return TLS_OK;
}

void tls_stream_allow_updates(struct tls_stream *stream, uint32_t count)
{
    stream->updates_max = count;
}

/* TLS_OK may have moved a part only (SSL_MODE_ENABLE_PARTIAL_WRITE).  At most one record, 16
 * KiB, per call. */
enum tls_status tls_stream_write(struct tls_stream *stream, const void *bytes, size_t size,
                                 size_t *count)
{
    assert(stream->ready || stream->failed);
    assert(size > 0);
    if (stream->failed)
        return TLS_FAILED;
    begin_call(stream);
    size_t put = 0;
    int result = SSL_write_ex(stream->ssl, bytes, size, &put);
    if (result != 1)
        return judge(stream, result);
    assert(put > 0 && put <= size);
    *count = put;
    return TLS_OK;
}

/* RFC 8446 section 6.1: close_notify "notifies the recipient that the sender will not send any
 * more messages on this connection". */
void tls_stream_shutdown(struct tls_stream *stream)
{
    if (stream->failed || !stream->ready)
        return;
    begin_call(stream);
    (void)SSL_shutdown(stream->ssl); /* the peer's own close_notify is not waited for */
    ERR_clear_error();
}

bool tls_stream_is_dry(const struct tls_stream *stream)
{
    return stream->socket_dry && !tls_stream_has_pending(stream);
}

bool tls_stream_has_pending(const struct tls_stream *stream)
{
    return SSL_has_pending(stream->ssl) == 1;
}

const char *tls_stream_error(const struct tls_stream *stream)
{
    return stream->error[0] == '\0' ? "no error" : stream->error;
}

const char *tls_stream_error_label(const struct tls_stream *stream)
{
    return stream->label == NULL ? "other" : stream->label;
}

const char *tls_stream_peer_uri(struct tls_stream *stream)
{
    return stream->peer_uri;
}

int64_t tls_stream_peer_not_after(const struct tls_stream *stream)
{
    return stream->peer_not_after;
}

/* From here no call reaches OpenSSL any more.  `text` is copied. */
void tls_stream_fail(struct tls_stream *stream, const char *label, const char *text)
{
    stream->failed = true;
    stream->label = label;
    (void)snprintf(stream->error, sizeof stream->error, "%s", text);
}

BIO_METHOD *tls_socket_method(void)
{
    /* no index of its own: OpenSSL has few of them and takes none back */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tenant socket");
    if (method == NULL)
        return NULL;
    BIO_meth_set_write_ex(method, socket_write);
    BIO_meth_set_read_ex(method, socket_read);
    BIO_meth_set_ctrl(method, socket_control);
    return method;
}

/* A BIO of our own, because OpenSSL's socket BIO writes without MSG_NOSIGNAL. */
static struct tls_stream *stream_new(struct tls_context *context, int fd)
{
    assert(fd >= 0);
    struct tls_stream *stream = xcalloc(1, sizeof *stream);
    stream->context = tls_context_ref(context);
    stream->fd = fd;
    stream->updates_max = TLS_UPDATES_DEFAULT;
    stream->generation = atomic_load(&context->generation); /* before the keys: at worst too old */
    SSL_CTX *keys = tls_context_keys(context);
    stream->ssl = SSL_new(keys); /* holds the keys by itself */
    SSL_CTX_free(keys);
    BIO *bio = BIO_new(context->socket);
    if (stream->ssl == NULL || bio == NULL)
        abort(); /* no memory */
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio); /* owns it from here */
    return stream;
}

/* A name goes into SNI, an address must not (RFC 6066 section 3).  The subject's common name is
 * never looked at. */
static bool expect_name(SSL *ssl, const char *name)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    AUTO(auto_free) char *own = xstrdup(name); /* OpenSSL's macro takes no const */
    return SSL_set1_host(ssl, name) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, own) == 1;
}

/* A server may ignore our ALPN offer, which OpenSSL accepts.  What is asserted was demanded by
 * set_rules(): the identity of a peer must never rest on a certificate that was not verified. */
static bool finish_handshake(struct tls_stream *stream)
{
    const struct tls_context *context = stream->context;
    const unsigned char *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(stream->ssl, &chosen, &size);
    if (context->alpn_size > 0 &&
        (size + 1 != context->alpn_size || memcmp(chosen, context->alpn + 1, size) != 0)) {
        tls_stream_fail(stream, "alpn", "the peer chose no application protocol");
        return false;
    }
    const X509 *leaf = SSL_get0_peer_certificate(stream->ssl);
    assert(leaf != NULL && SSL_get_verify_result(stream->ssl) == X509_V_OK);
    assert(SSL_version(stream->ssl) == TLS1_3_VERSION);
    stream->peer_uri = peer_name_uri(leaf);
    stream->peer_not_after = certificate_time(X509_get0_notAfter(leaf));
    SSL_set_msg_callback(stream->ssl, on_message);
    SSL_set_msg_callback_arg(stream->ssl, stream);
    stream->ready = true;
    return true;
}

/* The error queue belongs to the thread: what another connection left there would be taken for
 * ours. */
static void begin_call(struct tls_stream *stream)
{
    stream->socket_dry = false;
    stream->updated = false;
    ERR_clear_error();
    stream->socket_errno = 0;
}

/* SSL_get_error() must follow the call at once: it looks at the thread's queue too. */
static enum tls_status judge(struct tls_stream *stream, int result)
{
    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    case SSL_ERROR_SYSCALL:
        return judge_socket(stream);
    case SSL_ERROR_SSL:
        return judge_protocol(stream);
    }
    abort(); /* no callback of ours asks OpenSSL to wait */
}

/* OpenSSL 3 tells an unexpected end of file as SSL_ERROR_SSL, older ones as SSL_ERROR_SYSCALL:
 * both come here. */
static enum tls_status judge_socket(struct tls_stream *stream)
{
    if (stream->socket_ended) { /* whatever an alert sent after it met */
        tls_stream_fail(stream, "reset", "the socket ended without close_notify");
        stream->cut_off = stream->ready; /* before that nothing was open that could close */
        return TLS_CLOSED;
    }
    tls_stream_fail(stream, stream->socket_errno == ETIMEDOUT ? "timeout" : "reset",
                    strerror(stream->socket_errno));
    return TLS_FAILED;
}

static enum tls_status judge_protocol(struct tls_stream *stream)
{
    unsigned long error = ERR_peek_last_error(); /* the outermost: what the handshake made of it */
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return judge_socket(stream);
    const char *text = ERR_reason_error_string(error);
    stream->failed = true;
    stream->label = ERR_GET_LIB(error) == ERR_LIB_SSL ? label_of_reason(reason) : "other";
    if (text == NULL)
        (void)snprintf(stream->error, sizeof stream->error, "OpenSSL error %lx", error);
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        (void)snprintf(stream->error, sizeof stream->error, "%s: %s", text,
                       X509_verify_cert_error_string(SSL_get_verify_result(stream->ssl)));
    else
        (void)snprintf(stream->error, sizeof stream->error, "%s%s", text,
                       reason == SSL_R_CALLBACK_FAILED ? ": no application protocol offered" : "");
    ERR_clear_error();
    return TLS_FAILED;
}

/* Few labels and constant ones: they become a counter's label values. */
static const char *label_of_reason(int reason)
{
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "no_certificate";
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return "verify_failed";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_HTTP_REQUEST:
        return "protocol";
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_CALLBACK_FAILED: /* on_client_hello() is the only callback that can fail */
        return "alpn";
    }
    return reason > SSL_AD_REASON_OFFSET ? label_of_alert(reason - SSL_AD_REASON_OFFSET) : "other";
}

/* What the peer held against us. */
static const char *label_of_alert(int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "no_certificate";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_DECRYPT_ERROR: /* a signature that does not verify */
        return "verify_failed";
    case SSL_AD_PROTOCOL_VERSION:
        return "protocol";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "alpn";
    }
    return "other";
}

/* The only sign of what OpenSSL keeps to itself.  Also called for each record, so it must cost nothing. */
/* lint-allow parameters: the library's callback type */
static void on_message(int written, int version, int type, const void *bytes, size_t size, SSL *ssl,
                       void *owner)
{
    (void)version;
    (void)bytes;
    (void)size;
    if (type != SSL3_RT_HANDSHAKE || written)
        return;
    struct tls_stream *stream = owner;
    stream->updated = true;
    if (++stream->updates > stream->updates_max)
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN); /* it reads no more, not even its buffer */
}

static bool is_retry(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* errno is kept in the stream: by the time judge() runs, other calls may have changed it. */
static int socket_write(BIO *bio, const char *bytes, size_t size, size_t *count)
{
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t put = send(stream->fd, bytes, size, MSG_NOSIGNAL);
    if (put >= 0) {
        *count = (size_t)put;
        return 1;
    }
    if (is_retry(errno))
        BIO_set_retry_write(bio);
    else
        stream->socket_errno = errno;
    return 0;
}

/* A short read has emptied the socket: the next one would say EAGAIN, which costs as much as a read.  What
 * comes in between ends the caller's level-triggered wait at once.  So does what is left behind a KeyUpdate,
 * or OpenSSL would go from one to the next, for as long as a peer sends them, and give no answer.  (Without
 * SSL_MODE_AUTO_RETRY it stops only where a record ends just as its buffer does.) */
static int socket_read(BIO *bio, char *bytes, size_t size, size_t *count)
{
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (stream->socket_dry || stream->updated) {
        BIO_set_retry_read(bio);
        return 0;
    }
    ssize_t got = recv(stream->fd, bytes, size, 0);
    if (got > 0) {
        stream->socket_dry = (size_t)got < size;
        *count = (size_t)got;
        return 1;
    }
    if (got == 0)
        stream->socket_ended = true;
    else if (is_retry(errno))
        BIO_set_retry_read(bio);
    else
        stream->socket_errno = errno;
    return 0;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    const struct tls_stream *stream = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH: /* every send goes out at once */
        return 1;
    case BIO_CTRL_EOF:
        return stream->socket_ended;
    }
    return 0;
}
