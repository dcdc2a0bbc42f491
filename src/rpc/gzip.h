/* gzip (RFC 1952) for messages: whole in, whole out, never more than a limit.  Over zlib. */
#ifndef RPC_GZIP_H
#define RPC_GZIP_H

#include "base/buf.h"

enum gzip_result {
    GZIP_OK,
    GZIP_TOO_LARGE, /* the content has more than `limit` bytes */
    GZIP_MALFORMED, /* not gzip, cut short, a wrong check sum, or bytes behind its end */
};

/* Appends the content of all members.  Memory grows with what comes out, up to `limit` and 64 KiB of zlib's
 * own: a small message that would become a huge one costs no more than one of `limit` bytes.  What was
 * appended before a failure stays. */
enum gzip_result gzip_inflate(struct slice bytes, size_t limit, struct buf *out);

/* Appends `bytes` as one member. */
void gzip_deflate(struct slice bytes, struct buf *out);

#endif
