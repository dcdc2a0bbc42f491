/* gzip (RFC 1952) for messages: whole in, whole out, never more than a limit.  Over libdeflate, which
 * inflates several times as fast as zlib, and zlib, which deflates small messages with less memory and inflates
 * large ones step by step: blocks without content cost 50 ns a byte and give nothing. */
#ifndef RPC_GZIP_H
#define RPC_GZIP_H

#include "base/buf.h"

enum gzip_result {
    GZIP_OK,
    GZIP_TOO_LARGE, /* the content has more than `limit` bytes */
    GZIP_PADDED,    /* more than GZIP_WHOLE_MAX bytes, and less than three quarters of it content */
    GZIP_MALFORMED, /* not gzip, cut short, a wrong check sum, or bytes behind its end */
};

/* Up to here a message is inflated at once, whatever it is. */
#define GZIP_WHOLE_MAX ((size_t)32 << 10)
/* What a compressed byte costs at most, in bytes of content: for budgets. */
#define GZIP_WEIGHT 16

/* Appends the content of all members.  `out` grows by what the bytes announce, up to `limit`: a small
 * message that would become a huge one costs no more than one of `limit` bytes.  Members before one that
 * fails stay.  The header's own check sum (FHCRC) may be passed over. */
enum gzip_result gzip_inflate(struct slice bytes, size_t limit, struct buf *out);

/* Appends `bytes` as one member. */
void gzip_deflate(struct slice bytes, struct buf *out);
/* Replaces the `*size` bytes at `place` by a member of them and sets *size.  False: it would not be smaller,
 * and nothing has changed. */
bool gzip_shrink(uint8_t *place, size_t *size);

#endif
