/* Whom we trust: the CAs, their revocation lists, and the judgement over a peer, also over one that was let in
 * before they changed. */
#include "base/clock.h"

#include "tls/tls_int.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static int load_authorities(struct ctx *ctx, struct tls_context *context, const char *file);
static int check_authorities(struct ctx *ctx, struct tls_context *context, const char *file);
static int load_lists(struct ctx *ctx, struct tls_context *context, const char *file);
static int take_list(struct ctx *ctx, struct tls_context *context, X509_CRL *list,
                     const char *file);
static int check_signature(struct ctx *ctx, const X509_STORE *store, X509_CRL *list,
                           const char *file);
static int check_cover(struct ctx *ctx, const X509_STORE *store, const char *file);
static bool has_list(const STACK_OF(X509_OBJECT) * objects, const X509 *authority);
static const char *common_name(const X509_NAME *name, char out[64]);
static void note_end(int64_t *first, int64_t end);
static int64_t now_s(void);

int tls_trust_load(struct ctx *ctx, struct tls_context *context,
                   const struct tls_settings *settings)
{
    TRY(load_authorities(ctx, context, settings->ca_file));
    TRY(check_authorities(ctx, context, settings->ca_file));
    if (settings->crl_file == NULL)
        return OK;
    return load_lists(ctx, context, settings->crl_file);
}

/* A list whose next issue is late says no less of those that stand in it, and refusing everybody until the
 * next one comes would make an outage of a late list.  Its age is a metric. */
int tls_trust_judge(int verified, X509_STORE_CTX *checking)
{
    if (verified || X509_STORE_CTX_get_error(checking) != X509_V_ERR_CRL_HAS_EXPIRED)
        return verified;
    X509_STORE_CTX_set_error(checking, X509_V_OK);
    return 1;
}

bool tls_stream_is_outdated(const struct tls_stream *stream)
{
    return stream->ready && stream->generation != atomic_load(&stream->context->generation);
}

/* The rules are those of set_rules() (tls_context.c): depth and purpose; the lists are in the store. */
const char *tls_stream_distrust(struct tls_stream *stream)
{
    assert(stream->ready);
    stream->generation = atomic_load(&stream->context->generation);
    ERR_clear_error();
    SSL_CTX *keys = tls_context_keys(stream->context);
    X509 *leaf = SSL_get0_peer_certificate(stream->ssl);
    X509_STORE_CTX *checking = X509_STORE_CTX_new();
    if (checking == NULL || X509_STORE_CTX_init(checking, SSL_CTX_get_cert_store(keys), leaf,
                                                SSL_get_peer_cert_chain(stream->ssl)) != 1)
        abort(); /* no memory */
    X509_STORE_CTX_set_depth(checking, TLS_VERIFY_DEPTH);
    int purposed = X509_STORE_CTX_set_purpose(checking, tls_peer_purpose(stream->context));
    assert(purposed == 1);
    X509_STORE_CTX_set_verify_cb(checking, tls_trust_judge);
    bool trusted = X509_verify_cert(checking) == 1;
    int error = X509_STORE_CTX_get_error(checking);
    X509_STORE_CTX_free(checking);
    SSL_CTX_free(keys);
    ERR_clear_error();
    if (trusted)
        return NULL;
    return error == X509_V_ERR_CERT_REVOKED       ? "revoked"
           : error == X509_V_ERR_CERT_HAS_EXPIRED ? "expired"
                                                  : "untrusted";
}

/* A server also tells clients whose certificates it takes, so that they can choose one. */
static int load_authorities(struct ctx *ctx, struct tls_context *context, const char *file)
{
    TRY(tls_check_readable(ctx, "CA", file));
    if (SSL_CTX_load_verify_file(context->ssl, file) != 1)
        return FAULT(ctx, FAULT_TLS, "CA %s: not usable as PEM certificates: %s", file,
                     tls_openssl_reason());
    if (!context->server)
        return OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
    if (names == NULL)
        return FAULT(ctx, FAULT_TLS, "CA %s: no certificate names: %s", file, tls_openssl_reason());
    SSL_CTX_set_client_CA_list(context->ssl, names);
    return OK;
}

/* While a CA is being renewed the old one may end in the file; when none is left, no peer could come in. */
static int check_authorities(struct ctx *ctx, struct tls_context *context, const char *file)
{
    const STACK_OF(X509_OBJECT) *objects =
        X509_STORE_get0_objects(SSL_CTX_get_cert_store(context->ssl));
    bool usable = false;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (authority == NULL)
            continue;
        /* Decodes its extensions now: the first handshake would do it else, while other threads' handshakes
         * look at the same certificate. */
        (void)X509_check_purpose(authority, -1, 0);
        int64_t end = certificate_time(X509_get0_notAfter(authority));
        usable |= end > now_s() && certificate_time(X509_get0_notBefore(authority)) <= now_s();
        note_end(&context->ends.ca, end);
    }
    if (!usable)
        return FAULT(ctx, FAULT_TLS, "CA %s: expired or not yet valid", file);
    return OK;
}

static int load_lists(struct ctx *ctx, struct tls_context *context, const char *file)
{
    TRY(tls_check_readable(ctx, "CRL", file));
    FILE *stream = fopen(file, "re");
    if (stream == NULL)
        return FAULT(ctx, FAULT_TLS, "CRL %s: cannot be opened", file);
    int rc = OK;
    int count = 0;
    X509_CRL *list = NULL;
    while (rc == OK && (list = PEM_read_X509_CRL(stream, NULL, NULL, NULL)) != NULL) {
        rc = take_list(ctx, context, list, file);
        X509_CRL_free(list);
        count++;
    }
    (void)fclose(stream);
    TRY(rc);
    /* the end of the file reads as a list that does not begin */
    if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return FAULT(ctx, FAULT_TLS, "CRL %s: not usable as PEM revocation lists: %s", file,
                     tls_openssl_reason());
    ERR_clear_error();
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    TRY(check_cover(ctx, store, file));
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return OK;
}

/* A list without a next issue never ends (RFC 5280 section 5.1.2.5 wants one all the same). */
static int take_list(struct ctx *ctx, struct tls_context *context, X509_CRL *list, const char *file)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);
    if (certificate_time(X509_CRL_get0_lastUpdate(list)) > now_s())
        return FAULT(ctx, FAULT_TLS, "CRL %s: not yet valid", file);
    if (next != NULL && certificate_time(next) <= now_s())
        return FAULT(ctx, FAULT_TLS, "CRL %s: expired", file);
    TRY(check_signature(ctx, store, list, file));
    if (X509_STORE_add_crl(store, list) != 1)
        return FAULT(ctx, FAULT_TLS, "CRL %s: cannot be used: %s", file, tls_openssl_reason());
    if (next != NULL)
        note_end(&context->ends.crl, certificate_time(next));
    return OK;
}

/* A list of an intermediate, whose certificate only peers send, is checked when they come. */
static int check_signature(struct ctx *ctx, const X509_STORE *store, X509_CRL *list,
                           const char *file)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    bool named = false;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (authority == NULL ||
            X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) != 0)
            continue;
        named = true;
        if (X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1)
            return OK;
    }
    ERR_clear_error();
    char name[64];
    if (named)
        return FAULT(ctx, FAULT_TLS, "CRL %s: the list of %s is not signed by that CA", file,
                     common_name(X509_CRL_get_issuer(list), name));
    return OK;
}

/* A CA without a list would have every certificate of its refused: better said here than at each handshake. */
static int check_cover(struct ctx *ctx, const X509_STORE *store, const char *file)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        char name[64];
        if (authority != NULL && !has_list(objects, authority))
            return FAULT(ctx, FAULT_TLS, "CRL %s: holds no list of the CA %s", file,
                         common_name(X509_get_subject_name(authority), name));
    }
    return OK;
}

/* By its key too: a CA is often renewed under its old name. */
static bool has_list(const STACK_OF(X509_OBJECT) * objects, const X509 *authority)
{
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509_CRL *list = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
        if (list != NULL &&
            X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(authority)) == 0 &&
            X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1)
            return true;
    }
    return false;
}

/* For a message: "?" when the name has none. */
static const char *common_name(const X509_NAME *name, char out[64])
{
    if (X509_NAME_get_text_by_NID(name, NID_commonName, out, 64) < 0)
        (void)snprintf(out, 64, "?");
    return out;
}

static void note_end(int64_t *first, int64_t end)
{
    if (*first == 0 || end < *first)
        *first = end;
}

static int64_t now_s(void)
{
    return (int64_t)(clock_wall() / NS_PER_S);
}
