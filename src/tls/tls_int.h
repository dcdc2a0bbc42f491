/* The tls room's own: what context and stream share. */
#ifndef TLS_TLS_INT_H
#define TLS_TLS_INT_H

#include "tls/tls.h"

#include <openssl/ssl.h>

#include <pthread.h>
#include <stdatomic.h>

#define TLS_ALPN_MAX 32
#define TLS_ERROR_SIZE 192

/* Const after tls_context_new() but for the count, the keys and their end. */
struct tls_context {
    atomic_size_t references;
    pthread_mutex_t lock;             /* over `ssl`; held to take a reference or to put another */
    SSL_CTX *ssl;                     /* const itself: replaced as a whole */
    BIO_METHOD *socket;               /* send/recv without SIGPIPE */
    bool server;
    unsigned char alpn[TLS_ALPN_MAX]; /* wire form: length, bytes */
    size_t alpn_size;                 /* 0: none */
    _Atomic int64_t not_after;        /* of the own leaf */
};

/* One thread's.  Must not move: the BIO points to it. */
struct tls_stream {
    struct tls_context *context; /* a reference */
    SSL *ssl;
    int fd;
    int socket_errno;    /* of the last failed send or recv; 0: none */
    bool socket_ended;   /* recv said end of file */
    bool socket_dry;     /* in this call, recv brought less than was asked for */
    bool ready;          /* the handshake is done */
    bool failed;         /* OpenSSL allows no call on the connection any more */
    bool cut_off;        /* failed because the socket ended: reads say TLS_CLOSED */
    const char *label;   /* of the error */
    char error[TLS_ERROR_SIZE];
    char *peer_uri;      /* owned; NULL: none or not exactly one */
    int64_t peer_not_after;
};

/* The keys in force, for SSL_CTX_free().  Any thread. */
SSL_CTX *tls_context_keys(struct tls_context *context);

/* The BIO_METHOD of all streams of a context; its BIOs' data is the stream. */
BIO_METHOD *tls_socket_method(void);
/* Records an error that OpenSSL does not know of.  `label` is a constant. */
void tls_stream_fail(struct tls_stream *stream, const char *label, const char *text);

/* The certificate's one URI if it is printable ASCII, for free(); NULL otherwise. */
char *peer_name_uri(const X509 *certificate);
/* Seconds since 1970; INT64_MIN for a time that cannot be read: long past. */
int64_t certificate_time(const ASN1_TIME *time);

#endif
