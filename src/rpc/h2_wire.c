/* Frame heads as they come, before the library sees them.  h2_session.c calls this; nothing is judged here but
 * what the library does not look at, so that a frame it refuses is still its to refuse. */
#include "rpc/h2_wire.h"

#include <nghttp2/nghttp2.h>

#include <assert.h>
#include <string.h>

static bool padding_fits(struct h2_wire *wire, uint8_t length);
static enum wire_result take_head(struct h2_wire *wire);
static bool block_fits(struct h2_wire *wire, uint8_t type, uint8_t flags);
static uint32_t *find(uint32_t *ids, size_t count, uint32_t id);

enum wire_result h2_wire_take(struct h2_wire *wire, struct slice bytes, size_t *legal)
{
    const uint8_t *data = (const uint8_t *)bytes.data;
    size_t at = NGHTTP2_CLIENT_MAGIC_LEN - wire->preface_taken;
    at = at < bytes.size ? at : bytes.size;
    wire->preface_taken += at;
    while (at < bytes.size) {
        size_t left = bytes.size - at;
        if (wire->padded && !padding_fits(wire, data[at])) {
            *legal = at;
            return WIRE_BAD_PADDING;
        }
        if (wire->payload_left > 0) {
            size_t step = wire->payload_left < left ? wire->payload_left : left;
            wire->payload_left -= step;
            at += step;
            continue;
        }
        assert(wire->head_size < WIRE_HEAD);
        size_t missing = WIRE_HEAD - wire->head_size;
        size_t step = missing < left ? missing : left;
        memcpy(wire->head + wire->head_size, data + at, step);
        wire->head_size += step;
        at += step;
        enum wire_result result = wire->head_size == WIRE_HEAD ? take_head(wire) : WIRE_OK;
        if (result != WIRE_OK) {
            *legal = at;
            return result;
        }
    }
    return WIRE_OK;
}

/* RFC 9113 section 6.1: "If the length of the padding is the length of the frame payload or greater, the
 * recipient MUST treat this as a connection error of type PROTOCOL_ERROR." */
static bool padding_fits(struct h2_wire *wire, uint8_t length)
{
    wire->padded = false;
    return length < wire->payload_left;
}

static enum wire_result take_head(struct h2_wire *wire)
{
    const uint8_t *head = wire->head;
    uint8_t type = head[3];
    uint32_t id = ((uint32_t)head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
                  (uint32_t)head[7] << 8 | head[8];
    wire->payload_left = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    wire->head_size = 0;
    if (!block_fits(wire, type, head[4]))
        return WIRE_LARGE_BLOCK;
    if (id == 0)
        return WIRE_OK;
    if (type == NGHTTP2_DATA && find(wire->ended, WIRE_ENDED_KEPT, id) != NULL)
        return WIRE_AFTER_END;
    wire->padded = type == NGHTTP2_DATA && (head[4] & NGHTTP2_FLAG_PADDED) != 0 &&
                   wire->payload_left > 0;
    bool carries_end = type == NGHTTP2_DATA || type == NGHTTP2_HEADERS;
    if (type == NGHTTP2_RST_STREAM || (carries_end && (head[4] & NGHTTP2_FLAG_END_STREAM) != 0))
        wire->ended[wire->ended_next++ % WIRE_ENDED_KEPT] = id;
    return WIRE_OK;
}

/* A block ends where another frame begins: only CONTINUATION may follow before that. */
static bool block_fits(struct h2_wire *wire, uint8_t type, uint8_t flags)
{
    if (type != NGHTTP2_CONTINUATION) {
        wire->blocks_bytes += wire->block_size;
        wire->block_size = 0;
    }
    if (type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION) {
        wire->block_size += wire->payload_left;
        wire->block_ends = (flags & NGHTTP2_FLAG_END_HEADERS) != 0;
    }
    return wire->block_size <= wire->block_max;
}

uint64_t h2_wire_blocks(const struct h2_wire *wire)
{
    bool over = wire->block_ends && wire->payload_left == 0;
    return wire->blocks_bytes + (over ? wire->block_size : 0);
}

void h2_wire_reset(struct h2_wire *wire, uint32_t id)
{
    if (find(wire->ended, WIRE_ENDED_KEPT, id) == NULL)
        wire->reset[wire->reset_next++ % WIRE_RESET_KEPT] = id;
}

bool h2_wire_take_trailers(struct h2_wire *wire, uint32_t id)
{
    uint32_t *place = find(wire->reset, WIRE_RESET_KEPT, id);
    if (place == NULL)
        return false;
    *place = 0;
    return true;
}

static uint32_t *find(uint32_t *ids, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return &ids[i];
    }
    return NULL;
}
