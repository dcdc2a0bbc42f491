/* gRPC's length-prefixed messages, taken from bytes that arrive split anywhere.
 *
 * "Length-Prefixed-Message → Compressed-Flag Message-Length Message" (PROTOCOL-HTTP2.md).  The reader is
 * told the limit and refuses an announced length above it before it allocates anything. */
#ifndef RPC_FRAMING_H
#define RPC_FRAMING_H

#include "base/buf.h"

#define FRAME_PREFIX_SIZE 5
#define FRAME_PLAIN 0
#define FRAME_COMPRESSED 1 /* the first byte of a prefix: "Compressed-Flag" */

enum framing_result {
    FRAMING_OK,         /* bytes were taken; look at framing_has_message() */
    FRAMING_TOO_LARGE,  /* the announced length is above the limit */
    FRAMING_BAD_FLAG,   /* the flag byte is neither 0 nor 1 */
    FRAMING_COMPRESSED, /* the flag is 1 and no encoding was declared */
    FRAMING_EXTRA,      /* a second message on a unary call */
};

/* Reads the one message of a unary call. */
struct framing {
    bool bare; /* without prefix: the message is the whole body */
    uint8_t prefix[FRAME_PREFIX_SIZE];
    size_t prefix_size;  /* bytes of it that have come */
    size_t message_size; /* announced, valid once the prefix is whole */
    struct buf message;  /* bytes of the message so far */
    size_t limit;        /* bytes a message may have, compressed or not */
    bool may_compress;   /* the flag may be 1: an encoding was declared */
    bool failed;         /* sticky: an error was returned */
};

void framing_init(struct framing *framing, size_t limit);
void framing_deinit(struct framing *framing);
/* From now on the whole body is one message: `announced` bytes, or SIZE_MAX when its size was not told;
 * compressed if an encoding was declared.  Before anything was fed. */
enum framing_result framing_set_bare(struct framing *framing, size_t announced);
/* As after framing_init(): ready for the next message under the same limit; a small buffer is kept. */
void framing_recycle(struct framing *framing);

/* Takes bytes of DATA frames.  After an error nothing more may be fed. */
enum framing_result framing_feed(struct framing *framing, struct slice bytes);
/* The same for one message of several: takes what belongs to it and leaves the rest in *bytes. */
enum framing_result framing_take(struct framing *framing, struct slice *bytes);
/* The five bytes before a message of this size; flags: FRAME_PLAIN, FRAME_COMPRESSED, or a protocol's own. */
void framing_prefix(uint8_t prefix[FRAME_PREFIX_SIZE], uint8_t flags, size_t size);
/* The whole message is there (it may be empty); of a bare one, if the body has ended. */
bool framing_has_message(const struct framing *framing);
/* Of a whole message: its flag was 1. */
bool framing_is_compressed(const struct framing *framing);
/* Some bytes have come and the message is not whole: END_STREAM now means it was cut short. */
bool framing_is_cut(const struct framing *framing);
/* Bytes still missing of what was announced; 0 before the prefix is whole and when the message is. */
size_t framing_missing(const struct framing *framing);

/* Appends prefix and message for sending. */
void framing_put(struct buf *out, struct slice message);

#endif
