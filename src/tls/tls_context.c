/* Keys, trust and rules of one side.  Made at start and again when certificates are renewed; streams keep
 * the keys they began with.  Never weaker than TLS 1.3 with certificates on both sides. */
#include "base/alloc.h"
#include "base/clock.h"

#include "tls/tls_int.h"

#include <openssl/err.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEER_CHAIN_MAX (32L * 1024) /* bytes of certificates a peer may send */

static int context_load(struct ctx *ctx, struct tls_context *context,
                        const struct tls_settings *settings);
static int load_leaf(struct ctx *ctx, struct tls_context *context, const char *file);
static int check_leaf_period(struct ctx *ctx, const X509 *leaf, const char *file);
static int load_key(struct ctx *ctx, struct tls_context *context,
                    const struct tls_settings *settings);
static void set_rules(struct tls_context *context);
static void set_alpn(struct tls_context *context, const char *alpn);
static void set_callbacks(SSL_CTX *ssl, struct tls_context *context);
static int refuse_password(char *out, int size, int writing, void *owner);
static int on_client_hello(SSL *ssl, int *alert, void *owner);
static int on_alpn_offer(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                         const unsigned char *offer, unsigned offer_size, void *owner);

int tls_context_new(struct ctx *ctx, const struct tls_settings *settings,
                    struct tls_context **context)
{
    assert(settings->cert_file != NULL && settings->key_file != NULL && settings->ca_file != NULL);
    struct tls_context *made = xcalloc(1, sizeof *made);
    atomic_init(&made->references, 1);
    int rc = pthread_mutex_init(&made->lock, NULL);
    assert(rc == 0);
    made->server = settings->server;
    ERR_clear_error();
    made->ssl = SSL_CTX_new(settings->server ? TLS_server_method() : TLS_client_method());
    made->socket = tls_socket_method();
    if (made->ssl == NULL || made->socket == NULL)
        abort(); /* no memory */
    set_rules(made);
    set_alpn(made, settings->alpn);
    rc = context_load(ctx, made, settings);
    if (rc != OK) {
        tls_context_unref(made);
        return rc;
    }
    *context = made;
    return OK;
}

/* Any thread. */
struct tls_context *tls_context_ref(struct tls_context *context)
{
    size_t before = atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    assert(before > 0);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL)
        return;
    size_t before = atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    SSL_CTX_free(context->ssl);
    pthread_mutex_destroy(&context->lock);
    BIO_meth_free(context->socket);
    free(context);
}

/* The two change places, and the old keys go with `fresh`, or with the last stream that uses them.  The
 * callbacks must know `context`: `fresh` ends here. */
void tls_context_replace(struct tls_context *context, struct tls_context *fresh)
{
    assert(context != fresh && atomic_load(&fresh->references) == 1);
    assert(context->server == fresh->server && context->alpn_size == fresh->alpn_size);
    assert(memcmp(context->alpn, fresh->alpn, context->alpn_size) == 0);
    set_callbacks(fresh->ssl, context);
    pthread_mutex_lock(&context->lock);
    SSL_CTX *old = context->ssl;
    context->ssl = fresh->ssl;
    context->ends = fresh->ends;
    pthread_mutex_unlock(&context->lock);
    atomic_fetch_add(&context->generation, 1); /* after: who sees it finds the new trust */
    fresh->ssl = old;
    tls_context_unref(fresh);
}

void tls_context_ends(struct tls_context *context, struct tls_ends *ends)
{
    pthread_mutex_lock(&context->lock);
    *ends = context->ends;
    pthread_mutex_unlock(&context->lock);
}

SSL_CTX *tls_context_keys(struct tls_context *context)
{
    pthread_mutex_lock(&context->lock);
    SSL_CTX *keys = context->ssl;
    int referenced = SSL_CTX_up_ref(keys);
    pthread_mutex_unlock(&context->lock);
    assert(referenced);
    return keys;
}

static int context_load(struct ctx *ctx, struct tls_context *context,
                        const struct tls_settings *settings)
{
    TRY(load_leaf(ctx, context, settings->cert_file));
    TRY(load_key(ctx, context, settings));
    return tls_trust_load(ctx, context, settings);
}

static int load_leaf(struct ctx *ctx, struct tls_context *context, const char *file)
{
    TRY(tls_check_readable(ctx, "certificate", file));
    if (SSL_CTX_use_certificate_chain_file(context->ssl, file) != 1)
        return FAULT(ctx, FAULT_TLS, "certificate %s: not usable as PEM certificates: %s", file,
                     tls_openssl_reason());
    const X509 *leaf = SSL_CTX_get0_certificate(context->ssl);
    assert(leaf != NULL);
    TRY(check_leaf_period(ctx, leaf, file));
    context->ends.leaf = certificate_time(X509_get0_notAfter(leaf));
    return OK;
}

/* Peers would refuse it anyway, at every handshake: better said once, at start, with the file's name. */
static int check_leaf_period(struct ctx *ctx, const X509 *leaf, const char *file)
{
    int64_t now = (int64_t)(clock_wall() / NS_PER_S);
    if (certificate_time(X509_get0_notAfter(leaf)) <= now)
        return FAULT(ctx, FAULT_TLS, "certificate %s: expired", file);
    if (certificate_time(X509_get0_notBefore(leaf)) > now)
        return FAULT(ctx, FAULT_TLS, "certificate %s: not yet valid", file);
    return OK;
}

static int load_key(struct ctx *ctx, struct tls_context *context,
                    const struct tls_settings *settings)
{
    const char *file = settings->key_file;
    TRY(tls_check_readable(ctx, "key", file));
    if (SSL_CTX_use_PrivateKey_file(context->ssl, file, SSL_FILETYPE_PEM) != 1) {
        unsigned long error = ERR_peek_last_error();
        if (ERR_GET_LIB(error) != ERR_LIB_X509)
            return FAULT(ctx, FAULT_TLS, "key %s: not usable as a PEM private key: %s", file,
                         tls_openssl_reason());
    }
    /* also for a key of another type, which OpenSSL would file beside the certificate's */
    if (SSL_CTX_check_private_key(context->ssl) != 1)
        return FAULT(ctx, FAULT_TLS, "key %s: does not match the certificate %s", file,
                     settings->cert_file);
    return OK;
}

/* Before OpenSSL looks: its own errors do not name the file, and an empty one is no error to
 * some of its readers. */
int tls_check_readable(struct ctx *ctx, const char *what, const char *file)
{
    ERR_clear_error();
    FILE *stream = fopen(file, "re");
    int first = stream == NULL ? EOF : fgetc(stream);
    int reason = first != EOF ? 0 : stream == NULL || ferror(stream) ? errno : ENODATA;
    if (stream != NULL)
        fclose(stream);
    if (reason == 0)
        return OK;
    errno = reason;
    return FAULT(ctx, FAULT_TLS, "%s %s: %s", what, file,
                 reason == ENODATA ? "the file is empty" : strerror(reason));
}

/* TLS 1.3 needs no cipher list: all that OpenSSL offers are sound.  No tickets and no early data,
 * because a resumed or replayed start would skip the certificate check.  X25519 first, P-256
 * for FIPS-bound clients. */
static void set_rules(struct tls_context *context)
{
    SSL_CTX *ssl = context->ssl;
    int done = SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set1_groups_list(ssl, "X25519:P-256") == 1 &&
               SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
               SSL_CTX_set_purpose(ssl, tls_peer_purpose(context)) == 1;
    assert(done); /* constants: wrong for all connections or for none */
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ssl, 1); /* one recv for head and body of a record, and for several */
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_trust_judge);
    SSL_CTX_set_verify_depth(ssl, TLS_VERIFY_DEPTH);
    SSL_CTX_set_max_cert_list(ssl, PEER_CHAIN_MAX);
    SSL_CTX_set_default_passwd_cb(ssl, refuse_password);
}

/* RFC 7301 section 3.2: "In the event that the server supports no protocols that the client
 * advertises, then the server SHALL respond with a fatal 'no_application_protocol' alert." */
static void set_alpn(struct tls_context *context, const char *alpn)
{
    if (alpn == NULL)
        return;
    size_t size = strlen(alpn);
    assert(size > 0 && size < TLS_ALPN_MAX);
    context->alpn[0] = (unsigned char)size;
    memcpy(context->alpn + 1, alpn, size);
    context->alpn_size = size + 1;
    if (context->server) {
        set_callbacks(context->ssl, context);
        return;
    }
    unsigned wire_size = (unsigned)context->alpn_size;
    int refused = SSL_CTX_set_alpn_protos(context->ssl, context->alpn, wire_size);
    assert(refused == 0);
}

static void set_callbacks(SSL_CTX *ssl, struct tls_context *context)
{
    if (!context->server || context->alpn_size == 0)
        return;
    SSL_CTX_set_client_hello_cb(ssl, on_client_hello, context);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn_offer, context);
}

const char *tls_openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason == NULL ? "unknown reason" : reason;
}

/* Without this OpenSSL would ask on the terminal for the password of an encrypted key. */
static int refuse_password(char *out, int size, int writing, void *owner)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)owner;
    return -1;
}

/* A client that offers no ALPN at all never reaches on_alpn_offer(). */
static int on_client_hello(SSL *ssl, int *alert, void *owner)
{
    (void)owner;
    const unsigned char *bytes;
    size_t size;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &bytes,
                                  &size) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

/* lint-allow parameters: the library's callback type */
static int on_alpn_offer(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                         const unsigned char *offer, unsigned offer_size, void *owner)
{
    (void)ssl;
    const struct tls_context *context = owner;
    size_t size = context->alpn_size;
    for (unsigned at = 0; at < offer_size; at += 1u + offer[at]) { /* OpenSSL checked the lengths */
        if (offer[at] != context->alpn[0] || memcmp(offer + at, context->alpn, size) != 0)
            continue;
        *out = context->alpn + 1;
        *out_size = context->alpn[0];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
