/* Inflates what a stranger sends, and deflates it: never beyond the limit, and what is deflated comes back.  What is
 * inflated is what zlib makes of each member.
 *
 * Input: two bytes of limit, then the bytes. */
#include "rpc/gzip.h"

#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

/* Member by member, each with a stream of its own and room for all that may come. */
static enum gzip_result reference(struct slice bytes, size_t limit, uint8_t *out, size_t *size,
                                  bool *odd_header)
{
    *size = 0;
    for (;;) {
        z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)bytes.data,
                           .avail_in = (uInt)bytes.size,
                           .next_out = out + *size,
                           .avail_out = (uInt)(limit + 1 - *size)};
        EXPECT(inflateInit2(&stream, 15 + 16) == Z_OK);
        int rc = inflate(&stream, Z_FINISH);
        *odd_header = *odd_header ||
                      (stream.msg != NULL && strstr(stream.msg, "header crc") != NULL);
        *size += stream.total_out;
        bytes = slice_skip(bytes, bytes.size - stream.avail_in);
        EXPECT(inflateEnd(&stream) == Z_OK);
        if (*size > limit)
            return GZIP_TOO_LARGE;
        if (rc != Z_STREAM_END)
            return GZIP_MALFORMED;
        if (bytes.size == 0)
            return GZIP_OK;
    }
}

static void reference_check(struct slice bytes, size_t limit, enum gzip_result result,
                            struct slice inflated)
{
    uint8_t *expected = malloc(limit + 1);
    size_t size;
    bool odd_header = false; /* its check sum is wrong: zlib alone looks at it */
    EXPECT(expected != NULL);
    enum gzip_result wanted = reference(bytes, limit, expected, &size, &odd_header);
    /* of what is both broken and too large, either may be seen first */
    EXPECT((wanted == GZIP_OK) == (result == GZIP_OK) || odd_header);
    EXPECT(wanted != GZIP_OK || slice_equal(inflated, slice_make(expected, size)));
    free(expected);
}

/* Input as two members, cut where a byte of the limit says. */
static void members_check(struct slice bytes, uint8_t cut)
{
    size_t first = bytes.size == 0 ? 0 : cut % bytes.size;
    struct buf packed = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    gzip_deflate(slice_make(bytes.data, first), &packed);
    gzip_deflate(slice_skip(bytes, first), &packed);
    EXPECT(gzip_inflate(buf_slice(&packed), bytes.size, &out) == GZIP_OK);
    EXPECT(slice_equal(buf_slice(&out), bytes));
    if (bytes.size > 0) {
        buf_clear(&out);
        EXPECT(gzip_inflate(buf_slice(&packed), bytes.size - 1, &out) == GZIP_TOO_LARGE);
    }
    buf_deinit(&packed);
    buf_deinit(&out);
}

/* Behind a member that is stored and larger than what is inflated at once: the bytes go the way of large ones. */
static void large_check(struct slice bytes, size_t limit)
{
    struct buf packed = BUF_EMPTY, noise = BUF_EMPTY, out = BUF_EMPTY;
    for (uint32_t i = 0, x = 1; i < GZIP_WHOLE_MAX + 64; i++, x = x * 1664525 + 1013904223)
        buf_put_byte(&noise, (uint8_t)(x >> 24));
    gzip_deflate(buf_slice(&noise), &packed);
    buf_put_slice(&packed, bytes);
    enum gzip_result result = gzip_inflate(buf_slice(&packed), limit, &out);
    EXPECT(buf_size(&out) <= limit);
    if (result == GZIP_PADDED) /* less than this cannot be */
        EXPECT(buf_size(&out) < buf_size(&packed));
    else
        reference_check(buf_slice(&packed), limit, result, buf_slice(&out));
    buf_deinit(&packed);
    buf_deinit(&noise);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t limit = (size_t)data[0] << 8 | data[1];
    struct slice bytes = slice_make(data + 2, size - 2);
    struct buf out = BUF_EMPTY;
    buf_put_str(&out, "before");
    enum gzip_result result = gzip_inflate(bytes, limit, &out);
    EXPECT(buf_size(&out) <= limit + 6);
    EXPECT(out.room <= 4 * (limit + 6) + 65536);
    reference_check(bytes, limit, result, slice_skip(buf_slice(&out), 6));
    members_check(bytes, data[1]);
    if (data[1] % 4 == 0)
        large_check(bytes, limit + GZIP_WHOLE_MAX + 64);
    buf_clear(&out);
    struct buf packed = BUF_EMPTY;
    gzip_deflate(bytes, &packed);
    EXPECT(gzip_inflate(buf_slice(&packed), bytes.size, &out) == GZIP_OK);
    EXPECT(slice_equal(buf_slice(&out), bytes));
    buf_deinit(&packed);
    buf_deinit(&out);
    return 0;
}
