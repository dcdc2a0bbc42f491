/* What makes two requests the same: a digest that does not depend on how a client happened to encode them. */
#ifndef SERVICE_FINGERPRINT_H
#define SERVICE_FINGERPRINT_H

#include "base/arena.h"

#include "tokens/digest.h"

#include <protobuf-c/protobuf-c.h>

/* SHA-256 over the request with the entries of its maps sorted.  protobuf leaves their order open ("map
 * iteration ordering is undefined"), and a client may send a retry with another one. */
void request_fingerprint(struct arena *arena, const ProtobufCMessage *request,
                         uint8_t out[DIGEST_BYTES]);

#endif
