/* Feeds one unary call's bytes to the framing, split as the input says, and compares with the whole.
 *
 * Input: one byte of limit (times 8), one byte that seeds the sizes of the parts, then the bytes. */
#include "rpc/framing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

/* A part in memory of its own size: a byte too far is seen. */
static enum framing_result part_feed(struct framing *framing, const uint8_t *bytes, size_t size)
{
    uint8_t *part = malloc(size == 0 ? 1 : size);
    EXPECT(part != NULL);
    memcpy(part, bytes, size);
    enum framing_result result = framing_feed(framing, slice_make(part, size));
    free(part);
    return result;
}

static void state_check(const struct framing *framing)
{
    size_t got = buf_size(&framing->message);
    EXPECT(got <= framing->limit);
    EXPECT(!(framing_has_message(framing) && framing_is_cut(framing)));
    EXPECT(!framing_has_message(framing) || framing_missing(framing) == 0);
    EXPECT(!framing_has_message(framing) || got == framing->message_size);
}

static enum framing_result parts_feed(struct framing *framing, struct slice bytes, unsigned seed)
{
    enum framing_result result = FRAMING_OK;
    for (size_t at = 0; at < bytes.size && result == FRAMING_OK;) {
        size_t part = seed % 7;
        seed = seed * 1103515245u + 12345u;
        seed ^= seed >> 16;
        if (part > bytes.size - at)
            part = bytes.size - at;
        result = part_feed(framing, bytes.data + at, part);
        state_check(framing);
        at += part;
    }
    return result;
}

/* What was read and put again is what came. */
static void message_put_again(const struct framing *framing, struct slice bytes)
{
    struct buf out = BUF_EMPTY;
    framing_put(&out, buf_slice(&framing->message));
    EXPECT(slice_equal(buf_slice(&out), bytes));
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice bytes = slice_make(data + 2, size - 2);
    struct framing whole;
    struct framing split;
    framing_init(&whole, (size_t)data[0] * 8);
    framing_init(&split, (size_t)data[0] * 8);
    enum framing_result one = part_feed(&whole, bytes.data, bytes.size);
    state_check(&whole);
    EXPECT(parts_feed(&split, bytes, data[1] + 1u) == one);
    EXPECT(framing_has_message(&whole) == framing_has_message(&split));
    EXPECT(framing_missing(&whole) == framing_missing(&split));
    EXPECT(slice_equal(buf_slice(&whole.message), buf_slice(&split.message)));
    if (framing_has_message(&whole))
        message_put_again(&whole, bytes);
    framing_deinit(&whole);
    framing_deinit(&split);
    return 0;
}
