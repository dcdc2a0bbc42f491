/* Watches the heads of the frames that a client sends, for what the library tells nobody: DATA on a stream
 * that the client itself had ended, padding that does not fit into DATA of a stream that we have ended, and
 * the sizes of header blocks, for it decodes those of refused, reset and malformed requests too.
 * Remembers which streams we have reset: what was under way must be tolerated (RFC 9113 section 5.1). */
#ifndef RPC_H2_WIRE_H
#define RPC_H2_WIRE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEAD 9        /* RFC 9113 section 4.1 */
#define WIRE_ENDED_KEPT 32 /* streams; an older one's stray DATA is dropped in silence */
#define WIRE_RESET_KEPT 128 /* more than a client may have open by default */

struct h2_wire {
    size_t block_max;      /* bytes of a header block, all its frames together */
    size_t block_size;     /* of the last one, as far as its frames have begun … */
    bool block_ends;       /* … the last of which has */
    uint64_t blocks_bytes; /* of all before it */
    size_t preface_taken;
    size_t payload_left;
    size_t head_size; /* bytes of an unfinished head … */
    uint8_t head[WIRE_HEAD];
    bool padded;                     /* the next payload byte is the length of the padding */
    uint32_t ended[WIRE_ENDED_KEPT]; /* a ring of stream identifiers; 0: none */
    uint32_t ended_next;
    uint32_t reset[WIRE_RESET_KEPT]; /* the same of streams that we ended before the client did */
    uint32_t reset_next;
};

enum wire_result {
    WIRE_OK,
    WIRE_AFTER_END,   /* DATA on a stream that the client had ended by END_STREAM or RST_STREAM */
    WIRE_BAD_PADDING, /* DATA with padding as long as its payload, or longer */
    WIRE_LARGE_BLOCK, /* a header block beyond block_max */
};

/* Takes the next received bytes, however split.  Not OK: what came before the offence, and the frame's head,
 * are in `legal`, an upper bound. */
enum wire_result h2_wire_take(struct h2_wire *wire, struct slice bytes, size_t *legal);
/* The bytes of all header blocks that have come to their end. */
uint64_t h2_wire_blocks(const struct h2_wire *wire);
/* We send RST_STREAM: the request's trailers may be under way, unless it was whole. */
void h2_wire_reset(struct h2_wire *wire, uint32_t id);
/* Whether HEADERS on a stream that is no more are such trailers.  True once: they are the end. */
bool h2_wire_take_trailers(struct h2_wire *wire, uint32_t id);

#endif
