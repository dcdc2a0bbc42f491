/* Inflates what a stranger sends, and deflates it: never beyond the limit, and what is deflated comes back.
 *
 * Input: two bytes of limit, then the bytes. */
#include "rpc/gzip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t limit = (size_t)data[0] << 8 | data[1];
    struct slice bytes = slice_make(data + 2, size - 2);
    struct buf out = BUF_EMPTY;
    buf_put_str(&out, "before");
    (void)gzip_inflate(bytes, limit, &out);
    EXPECT(buf_size(&out) <= limit + 6);
    EXPECT(out.room <= 4 * (limit + 6) + 65536);
    buf_clear(&out);
    struct buf packed = BUF_EMPTY;
    gzip_deflate(bytes, &packed);
    EXPECT(gzip_inflate(buf_slice(&packed), bytes.size, &out) == GZIP_OK);
    EXPECT(slice_equal(buf_slice(&out), bytes));
    buf_deinit(&packed);
    buf_deinit(&out);
    return 0;
}
