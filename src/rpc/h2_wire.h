/* Watches the heads of the frames that a client sends, for what the library tells nobody: DATA on a stream that
 * the client itself had ended. */
#ifndef RPC_H2_WIRE_H
#define RPC_H2_WIRE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_HEAD 9        /* RFC 9113 section 4.1 */
#define WIRE_ENDED_KEPT 32 /* streams; an older one's stray DATA is dropped in silence */

struct h2_wire {
    size_t preface_taken;
    size_t payload_left;
    size_t head_size; /* bytes of an unfinished head … */
    uint8_t head[WIRE_HEAD];
    uint32_t ended[WIRE_ENDED_KEPT]; /* a ring of stream identifiers; 0: none */
    uint32_t ended_next;
};

/* Takes the next received bytes, however split.  False: a DATA frame came on a stream that had been ended by
 * END_STREAM or RST_STREAM; the bytes up to and with its head are then in `legal`, an upper bound. */
bool h2_wire_take(struct h2_wire *wire, struct slice bytes, size_t *legal);

#endif
