/* Messages to and from gzip.  Called with bytes of strangers; must never write beyond its limit. */
#include "rpc/gzip.h"

#include <zlib.h>

#include <assert.h>

#define CHUNK ((size_t)16 << 10)
#define FORMAT_GZIP 16 /* added to the window's bits: zlib.h, inflateInit2 */
#define WINDOW_BITS_MIN 9
#define WINDOW_BITS_MAX 15

static bool inflate_some(z_stream *stream, size_t limit, struct buf *out, enum gzip_result *result);
static int window_bits(size_t size);

enum gzip_result gzip_inflate(struct slice bytes, size_t limit, struct buf *out)
{
    enum gzip_result result = GZIP_MALFORMED;
    z_stream stream = {.avail_in = (uInt)bytes.size};
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes.data;
    assert(bytes.size <= UINT32_MAX);
    int rc = inflateInit2(&stream, WINDOW_BITS_MAX + FORMAT_GZIP);
    assert(rc == Z_OK);
    size_t begun = buf_size(out);
    while (inflate_some(&stream, begun + limit, out, &result))
        ;
    (void)inflateEnd(&stream);
    return result;
}

/* False: *result is final.  "A gzip file consists of a series of members" (RFC 1952 section 2.2): the next one
 * begins where one ends. */
static bool inflate_some(z_stream *stream, size_t limit, struct buf *out, enum gzip_result *result)
{
    size_t left = limit - buf_size(out);
    size_t room = left + 1 < CHUNK ? left + 1 : CHUNK; /* one more shows that the limit is passed */
    uint8_t *place = buf_reserve(out, room);
    stream->next_out = place;
    stream->avail_out = (uInt)room;
    int rc = inflate(stream, Z_NO_FLUSH);
    size_t made = room - stream->avail_out;
#ifdef PLANTED_BUG /* for tests/fuzz: the limit is looked at a chunk too late */
    left += CHUNK;
#endif
    if (made > left) {
        *result = GZIP_TOO_LARGE;
        return false;
    }
    buf_commit(out, made);
    if (rc == Z_STREAM_END && stream->avail_in == 0) {
        *result = GZIP_OK;
        return false;
    }
    if (rc == Z_STREAM_END)
        return inflateReset(stream) == Z_OK;
    bool stuck = made == 0 && stream->avail_in == 0; /* cut short */
    return rc == Z_OK && !stuck;
}

/* Fast rather than small: it is done for callers who ask, on their own region's network.  A window as large as
 * the message needs keeps zlib's memory at a few KiB for small ones. */
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

static int window_bits(size_t size)
{
    int bits = WINDOW_BITS_MIN;
    while (bits < WINDOW_BITS_MAX && (size_t)1 << bits < size)
        bits++;
    return bits;
}
