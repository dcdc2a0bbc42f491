/* Base 64 of RFC 4648: one coder, of which each protocol says which forms it writes and reads. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>

/* What a text may look like. */
#define BASE64_STANDARD 1u /* section 4: '+' and '/' */
#define BASE64_URL 2u      /* section 5: '-' and '_' */
#define BASE64_PADDED 4u   /* '=' fills up the last group of four */
#define BASE64_UNPADDED 8u

/* `form`: one alphabet, padded or unpadded.  All or nothing, as every put to a buffer. */
void base64_put(struct buf *out, struct slice bytes, unsigned form);

/* Bytes that base64_read() may write for a text of this size. */
size_t base64_room(size_t text_size);

/* Reads a text of any of the `forms`.  False: it is none; what stands in `out` then says nothing.  The bits
 * that no byte takes must be zero: a text has one spelling in each form (RFC 4648 section 3.5). */
bool base64_read(struct slice text, unsigned forms, uint8_t *out, size_t *size);

/* The same into the arena; *bytes is untouched when it is false. */
bool base64_take(struct arena *arena, struct slice text, unsigned forms, struct slice *bytes);

#endif
