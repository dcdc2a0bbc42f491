/* The tls room's own: what context and stream share. */
#ifndef TLS_TLS_INT_H
#define TLS_TLS_INT_H

#include "tls/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <pthread.h>
#include <stdatomic.h>

#define TLS_ALPN_MAX 32
#define TLS_ERROR_SIZE 192

/* Const after tls_context_new() but for the count, the keys and what is told of them. */
struct tls_context {
    atomic_size_t references;
    pthread_mutex_t lock; /* over `ssl` and `ends`; held to take or to put them */
    SSL_CTX *ssl;         /* const itself: replaced as a whole */
    BIO_METHOD *socket;   /* send/recv without SIGPIPE */
    bool server;
    unsigned char alpn[TLS_ALPN_MAX]; /* wire form: length, bytes */
    size_t alpn_size;                 /* 0: none */
    struct tls_ends ends;             /* of `ssl` */
    atomic_uint_least64_t generation; /* one more with each replacement, after it */
};

/* One thread's.  Must not move: the BIO points to it. */
struct tls_stream {
    struct tls_context *context; /* a reference */
    SSL *ssl;
    int fd;
    int socket_errno;  /* of the last failed send or recv; 0: none */
    bool socket_ended; /* recv said end of file */
    bool socket_dry;   /* in this call, recv brought less than was asked for */
    bool updated;      /* in this call, a message of TLS itself came */
    bool ready;        /* the handshake is done */
    bool failed;       /* OpenSSL allows no call on the connection any more */
    bool cut_off;      /* failed because the socket ended: reads say TLS_CLOSED */
    uint32_t updates;  /* messages of TLS itself after the handshake … */
    uint32_t updates_max;
    const char *label; /* of the error */
    char error[TLS_ERROR_SIZE];
    char *peer_uri; /* owned; NULL: none or not exactly one */
    int64_t peer_not_after;
    uint64_t generation; /* of the trust that the peer was verified by, or an earlier one */
};

/* The keys in force, for SSL_CTX_free().  Any thread. */
SSL_CTX *tls_context_keys(struct tls_context *context);

/* tls_trust.c: loads what peers are verified against, and when it ends.  Fault: TLS naming the file. */
int tls_trust_load(struct ctx *ctx, struct tls_context *context,
                   const struct tls_settings *settings) MUST_CHECK;
/* The callback of SSL_CTX_set_verify(). */
int tls_trust_judge(int verified, X509_STORE_CTX *checking);
/* Intermediates between a leaf and our root. */
#define TLS_VERIFY_DEPTH 3
/* Whose certificates a side takes: those of the other. */
static inline int tls_peer_purpose(const struct tls_context *context)
{
    return context->server ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
}

/* Fault: TLS naming the file, which cannot be read or is empty. */
int tls_check_readable(struct ctx *ctx, const char *what, const char *file) MUST_CHECK;
/* Of the oldest error in OpenSSL's queue: the file's own, not what the layers above made of it. */
const char *tls_openssl_reason(void);

/* The BIO_METHOD of all streams of a context; its BIOs' data is the stream. */
BIO_METHOD *tls_socket_method(void);
/* Records an error that OpenSSL does not know of.  `label` is a constant. */
void tls_stream_fail(struct tls_stream *stream, const char *label, const char *text);

/* The certificate's one URI if it is printable ASCII, for free(); NULL otherwise. */
char *peer_name_uri(const X509 *certificate);
/* Seconds since 1970; INT64_MIN for a time that cannot be read: long past. */
int64_t certificate_time(const ASN1_TIME *time);

#endif
