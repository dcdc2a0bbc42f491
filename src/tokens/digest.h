/* SHA-256 over bytes that come in parts. */
#ifndef TOKENS_DIGEST_H
#define TOKENS_DIGEST_H

#include "base/slice.h"

#include <stdint.h>

#define DIGEST_BYTES 32

struct digest {
    void *state; /* owned until digest_end() */
};

void digest_begin(struct digest *digest);
void digest_put(struct digest *digest, struct slice bytes);
void digest_end(struct digest *digest, uint8_t out[DIGEST_BYTES]);

#endif
