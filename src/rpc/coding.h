/* Percent and base64 coding of metadata, as gRPC over HTTP/2 prescribes
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */
#ifndef RPC_CODING_H
#define RPC_CODING_H

#include "base/arena.h"
#include "base/buf.h"

/* grpc-message: "%" + 2 hex digits for every byte outside %x20-%x24 / %x26-%x7E. */
void percent_encode(struct buf *out, struct slice text);
/* Never fails: "When decoding invalid values, implementations MUST NOT error, and MUST NOT throw away the
 * message"; what is not a valid escape stays as it is.  Zero-terminated, in the arena. */
char *percent_decode(struct arena *arena, struct slice text);

/* Standard alphabet without padding, as gRPC sends "-bin" values. */
void base64_encode(struct buf *out, struct slice bytes);
/* Accepts padded and unpadded.  False: not base64, *out untouched.  In the arena. */
bool base64_decode(struct arena *arena, struct slice text, struct slice *out);

/* A timeout header: 1 to 8 digits and a unit of H M S m u n.  False: malformed.  Saturates. */
bool timeout_parse(struct slice text, uint64_t *duration_ns);
/* Connect's form of it: milliseconds of 1 to 10 digits.  False: malformed. */
bool timeout_ms_parse(struct slice text, uint64_t *duration_ns);
/* The shortest exact or rounded-up form for a duration. */
#define TIMEOUT_TEXT_SIZE 12
void timeout_format(uint64_t duration_ns, char out[TIMEOUT_TEXT_SIZE]);

#endif
