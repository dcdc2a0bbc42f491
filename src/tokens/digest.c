/* SHA-256 of OpenSSL. */
#include "tokens/digest.h"

#include <openssl/evp.h>

#include <assert.h>

void digest_begin(struct digest *digest)
{
    digest->state = EVP_MD_CTX_new();
    int rc = EVP_DigestInit_ex(digest->state, EVP_sha256(), NULL);
    assert(rc == 1);
}

void digest_put(struct digest *digest, struct slice bytes)
{
    int rc = EVP_DigestUpdate(digest->state, bytes.data, bytes.size);
    assert(rc == 1);
}

void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES])
{
    unsigned size = 0;
    int rc = EVP_DigestFinal_ex(digest->state, out, &size);
    assert(rc == 1 && size == DIGEST_BYTES);
    EVP_MD_CTX_free(digest->state);
    digest->state = NULL;
}
