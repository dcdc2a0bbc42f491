/* Messages to and from gzip.  Called with bytes of strangers; must never write beyond its limit. */
#include "rpc/gzip.h"

#include <libdeflate.h>
#include <zlib.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_GZIP 16 /* added to the window's bits: zlib.h, deflateInit2 */
#define WINDOW_BITS_MIN 9
#define WINDOW_BITS_MAX 15
#define TRAILER_SIZE 8 /* CRC32 and ISIZE */
#define STEP_BYTES ((size_t)16 << 10)
#define STEP_ROOM ((size_t)64 << 10)
#define PADDING_FREE (STEP_BYTES / 2)

static const uint8_t gzip_magic[] = {0x1f, 0x8b, Z_DEFLATED}; /* RFC 1952 section 2.3 */

static enum gzip_result inflate_whole(struct slice bytes, size_t limit, struct buf *out);
static enum gzip_result inflate_member(struct libdeflate_decompressor *inflater,
                                       struct slice *bytes, size_t left, struct buf *out);
static enum gzip_result inflate_into(struct libdeflate_decompressor *inflater, struct slice *bytes,
                                     size_t room, struct buf *out);
static size_t announced_size(struct slice bytes);
static enum gzip_result inflate_in_steps(struct slice bytes, size_t limit, struct buf *out);
static bool is_padded(size_t taken, size_t made);
static enum gzip_result step(z_stream *stream, size_t left, struct buf *out, bool *ended);
static int window_bits(size_t size);

enum gzip_result gzip_inflate(struct slice bytes, size_t limit, struct buf *out)
{
    return bytes.size > GZIP_WHOLE_MAX ? inflate_in_steps(bytes, limit, out)
                                       : inflate_whole(bytes, limit, out);
}

/* "A gzip file consists of a series of members" (RFC 1952 section 2.2): the next one begins where one
 * ends. */
static enum gzip_result inflate_whole(struct slice bytes, size_t limit, struct buf *out)
{
    struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
    if (inflater == NULL)
        abort(); /* no memory */
    size_t begun = buf_size(out);
    enum gzip_result result;
    do
        result = inflate_member(inflater, &bytes, limit - (buf_size(out) - begun), out);
    while (result == GZIP_OK && bytes.size > 0);
    libdeflate_free_decompressor(inflater);
    return result;
}

/* With the room that the end of the bytes announces: right for one member that does not lie, and else the
 * limit is the room. */
static enum gzip_result inflate_member(struct libdeflate_decompressor *inflater,
                                       struct slice *bytes, size_t left, struct buf *out)
{
    size_t announced = announced_size(*bytes);
    enum gzip_result result =
        inflate_into(inflater, bytes, announced < left ? announced : left, out);
    if (result == GZIP_TOO_LARGE && announced < left)
        result = inflate_into(inflater, bytes, left, out);
    return result;
}

static enum gzip_result inflate_into(struct libdeflate_decompressor *inflater, struct slice *bytes,
                                     size_t room, struct buf *out)
{
    uint8_t *place = buf_reserve(out, room + 1); /* never 0: an empty content has a place too */
    size_t taken = 0, made = 0;
#if defined PLANTED_BUG && !defined GZIP_IS_SOUND /* for tests/fuzz: looked at a byte too late */
    room++;
#endif
    switch (libdeflate_gzip_decompress_ex(inflater, bytes->data, bytes->size, place, room, &taken,
                                          &made)) {
    case LIBDEFLATE_SUCCESS:
        break;
    case LIBDEFLATE_INSUFFICIENT_SPACE:
        return GZIP_TOO_LARGE;
    case LIBDEFLATE_BAD_DATA:
    case LIBDEFLATE_SHORT_OUTPUT:
        return GZIP_MALFORMED;
    }
    assert(taken > 0 && taken <= bytes->size);
    buf_commit(out, made);
    *bytes = slice_skip(*bytes, taken);
    return GZIP_OK;
}

/* ISIZE: "the size of the original (uncompressed) input data modulo 2^32" of the last member. */
static size_t announced_size(struct slice bytes)
{
    if (bytes.size < TRAILER_SIZE)
        return 0;
    const uint8_t *size = bytes.data + bytes.size - 4;
    return size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
}

/* No encoder makes data larger by more than a few bytes in a block (RFC 1951 section 3.2.4: stored), so what is
 * larger than its content was made to cost time.  Seen after each step, while it has cost little.  What says
 * itself that it is too large is believed: zlib takes 2 ms to find it out. */
static enum gzip_result inflate_in_steps(struct slice bytes, size_t limit, struct buf *out)
{
    z_stream stream = {.avail_in = 0};
    if (memcmp(bytes.data, gzip_magic, sizeof gzip_magic) == 0 && announced_size(bytes) > limit)
        return GZIP_TOO_LARGE;
    size_t begun = buf_size(out), left = bytes.size;
    bool ended = false;
    enum gzip_result result = GZIP_OK;
    if (inflateInit2(&stream, WINDOW_BITS_MAX + FORMAT_GZIP) != Z_OK)
        abort(); /* no memory */
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes.data;
    while (result == GZIP_OK && left > 0) {
        uInt given = left < STEP_BYTES ? (uInt)left : (uInt)STEP_BYTES;
        stream.avail_in = given;
        if (ended)
            (void)inflateReset(&stream); /* the next member */
        result = step(&stream, limit - (buf_size(out) - begun), out, &ended);
        left -= given - stream.avail_in;
        if (result == GZIP_OK && is_padded(bytes.size - left, buf_size(out) - begun))
            result = GZIP_PADDED;
    }
    (void)inflateEnd(&stream);
    return result == GZIP_OK && !ended ? GZIP_MALFORMED : result;
}

static bool is_padded(size_t taken, size_t made)
{
    return taken > STEP_BYTES && made + PADDING_FREE < taken - taken / 4;
}

/* All that is given, or the rest of a member. */
static enum gzip_result step(z_stream *stream, size_t left, struct buf *out, bool *ended)
{
    int rc = Z_OK;
    *ended = false;
    do {
        size_t room = left < STEP_ROOM ? left + 1 : STEP_ROOM; /* one more tells of too much */
        stream->next_out = buf_reserve(out, room);
        stream->avail_out = (uInt)room;
        rc = inflate(stream, Z_NO_FLUSH);
        size_t made = room - stream->avail_out;
        if (made > left)
            return GZIP_TOO_LARGE;
        buf_commit(out, made);
        left -= made;
    } while (rc == Z_OK && (stream->avail_in > 0 || stream->avail_out == 0));
    *ended = rc == Z_STREAM_END;
    return *ended || rc == Z_OK || rc == Z_BUF_ERROR ? GZIP_OK : GZIP_MALFORMED;
}

/* Fast rather than small: it is done for callers who ask, on their own region's network.  A window as
 * large as the message needs keeps zlib's memory at a few KiB for small ones. */
void gzip_deflate(struct slice bytes, struct buf *out)
{
    z_stream stream = {.avail_in = (uInt)bytes.size};
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes.data;
    assert(bytes.size <= UINT32_MAX);
    int bits = window_bits(bytes.size);
    int rc = deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, bits + FORMAT_GZIP, bits - 7,
                          Z_DEFAULT_STRATEGY);
    assert(rc == Z_OK);
    size_t bound = deflateBound(&stream, bytes.size);
    stream.next_out = buf_reserve(out, bound);
    stream.avail_out = (uInt)bound;
    rc = deflate(&stream, Z_FINISH);
    assert(rc == Z_STREAM_END);
    buf_commit(out, bound - stream.avail_out);
    (void)deflateEnd(&stream);
}

bool gzip_shrink(uint8_t *place, size_t *size)
{
    struct buf smaller = BUF_EMPTY;
    gzip_deflate(slice_make(place, *size), &smaller);
    bool shrinks = buf_size(&smaller) < *size;
    if (shrinks) {
        *size = buf_size(&smaller);
        memcpy(place, buf_slice(&smaller).data, *size);
    }
    buf_deinit(&smaller);
    return shrinks;
}

static int window_bits(size_t size)
{
    int bits = WINDOW_BITS_MIN;
    while (bits < WINDOW_BITS_MAX && (size_t)1 << bits < size)
        bits++;
    return bits;
}
