/* What a handshake has proven, kept for whoever asks from another thread: the stream itself is its thread's. */
#include "base/alloc.h"
#include "base/buf.h"

#include "tls/tls_int.h"

#include <assert.h>
#include <stdlib.h>

struct tls_proof {
    const char *cipher; /* OpenSSL's constant */
    X509 *own;          /* a reference */
    X509 *peer;         /* a reference */
};

struct tls_proof *tls_proof_new(const struct tls_stream *stream)
{
    assert(stream->ready);
    struct tls_proof *proof = xcalloc(1, sizeof *proof);
    proof->cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(stream->ssl));
    proof->own = SSL_get_certificate(stream->ssl);
    proof->peer = SSL_get1_peer_certificate(stream->ssl);
    assert(proof->own != NULL && proof->peer != NULL && proof->cipher != NULL);
    X509_up_ref(proof->own);
    return proof;
}

void tls_proof_free(struct tls_proof *proof)
{
    if (proof == NULL)
        return;
    X509_free(proof->own);
    X509_free(proof->peer);
    free(proof);
}

const char *tls_proof_cipher(const struct tls_proof *proof)
{
    return proof->cipher;
}

/* Both were read from bytes that OpenSSL keeps: they are copied, not encoded again. */
void tls_proof_certificate(const struct tls_proof *proof, bool peer, struct buf *der)
{
    const X509 *certificate = peer ? proof->peer : proof->own;
    int size = i2d_X509(certificate, NULL);
    assert(size > 0);
    uint8_t *place = buf_reserve(der, (size_t)size);
    int written = i2d_X509(certificate, &place);
    assert(written == size);
    buf_commit(der, (size_t)size);
}
