/* The reader of one length-prefixed message, fed by the HTTP/2 session with whatever DATA frames bring.
 * It must never hold more than was announced, nor announce-sized memory before bytes have come. */
#include "rpc/framing.h"

#include <assert.h>

#define BUFFER_KEPT 512 /* bytes: most requests are smaller */

static enum framing_result prefix_take(struct framing *framing, struct slice *bytes);
static enum framing_result prefix_check(struct framing *framing);
static void message_take(struct framing *framing, struct slice *bytes);
static enum framing_result framing_fail(struct framing *framing, enum framing_result result);
static bool prefix_is_whole(const struct framing *framing);
static size_t smaller(size_t a, size_t b);

void framing_init(struct framing *framing, size_t limit)
{
    *framing = (struct framing){.limit = limit};
}

void framing_deinit(struct framing *framing)
{
    buf_deinit(&framing->message);
    framing->prefix_size = 0;
    framing->message_size = 0;
    framing->failed = false;
}

void framing_recycle(struct framing *framing)
{
    struct buf kept = framing->message;
    if (kept.room > BUFFER_KEPT)
        buf_deinit(&kept);
    else
        buf_clear(&kept);
    *framing = (struct framing){
        .message = kept, .limit = framing->limit, .may_compress = framing->may_compress};
}

/* Without a size the message may become as large as the limit, and room is asked for that. */
enum framing_result framing_set_bare(struct framing *framing, size_t announced)
{
    assert(framing->prefix_size == 0 && !framing->failed);
    if (announced != SIZE_MAX && announced > framing->limit)
        return framing_fail(framing, FRAMING_TOO_LARGE);
    framing->bare = true;
    framing->prefix[0] = framing->may_compress ? FRAME_COMPRESSED : 0;
    framing->prefix_size = FRAME_PREFIX_SIZE;
    framing->message_size = announced != SIZE_MAX ? announced : framing->limit;
    return FRAMING_OK;
}

/* Total over all splits: the same bytes give the same result however DATA frames cut them.  The
 * caller feeds nothing after an error. */
enum framing_result framing_feed(struct framing *framing, struct slice bytes)
{
    enum framing_result result = framing_take(framing, &bytes);
    if (result == FRAMING_OK && bytes.size > 0)
        return framing_fail(framing, framing->bare ? FRAMING_TOO_LARGE : FRAMING_EXTRA);
    return result;
}

enum framing_result framing_take(struct framing *framing, struct slice *bytes)
{
    assert(!framing->failed);
    if (!prefix_is_whole(framing)) {
        enum framing_result result = prefix_take(framing, bytes);
        if (result != FRAMING_OK)
            return framing_fail(framing, result);
    }
    if (prefix_is_whole(framing))
        message_take(framing, bytes);
    return FRAMING_OK;
}

static enum framing_result prefix_take(struct framing *framing, struct slice *bytes)
{
    size_t size = smaller(FRAME_PREFIX_SIZE - framing->prefix_size, bytes->size);
    if (size == 0)
        return FRAMING_OK;
    memcpy(framing->prefix + framing->prefix_size, bytes->data, size);
    framing->prefix_size += size;
    *bytes = slice_skip(*bytes, size);
    return prefix_check(framing);
}

/* The flag is judged as soon as it is there, the length once it is whole. */
static enum framing_result prefix_check(struct framing *framing)
{
    if (framing->prefix[0] == FRAME_COMPRESSED && !framing->may_compress)
        return FRAMING_COMPRESSED;
    if (framing->prefix[0] > FRAME_COMPRESSED)
        return FRAMING_BAD_FLAG;
    if (!prefix_is_whole(framing))
        return FRAMING_OK;
    size_t size = 0;
    for (size_t i = 1; i < FRAME_PREFIX_SIZE; i++)
        size = size << 8 | framing->prefix[i];
    if (size > framing->limit)
        return FRAMING_TOO_LARGE;
    framing->message_size = size;
    return FRAMING_OK;
}

/* The buffer grows with the bytes that came and not with the length announced: "1 MiB" costs a
 * sender its megabyte before it costs us ours. */
static void message_take(struct framing *framing, struct slice *bytes)
{
    size_t size = smaller(framing_missing(framing), bytes->size);
#ifdef PLANTED_BUG /* for tests/fuzz: of a longer message one byte too many is read */
    if (framing->message_size > UINT8_MAX && framing_missing(framing) > bytes->size)
        size = bytes->size + 1;
#endif
    if (size == 0)
        return;
    buf_put(&framing->message, bytes->data, size);
    *bytes = slice_skip(*bytes, size);
    assert(buf_size(&framing->message) <= framing->message_size);
}

/* What has come is of no use any more. */
static enum framing_result framing_fail(struct framing *framing, enum framing_result result)
{
    framing->failed = true;
    buf_deinit(&framing->message);
    return result;
}

bool framing_has_message(const struct framing *framing)
{
    return !framing->failed && prefix_is_whole(framing) &&
           (framing->bare || framing_missing(framing) == 0);
}

bool framing_is_compressed(const struct framing *framing)
{
    assert(framing_has_message(framing));
    return framing->prefix[0] == FRAME_COMPRESSED;
}

bool framing_is_cut(const struct framing *framing)
{
    return !framing->failed && framing->prefix_size > 0 && !framing_has_message(framing);
}

size_t framing_missing(const struct framing *framing)
{
    if (framing->failed || !prefix_is_whole(framing))
        return 0;
    size_t size = buf_size(&framing->message);
    assert(size <= framing->message_size);
    return framing->message_size - size;
}

static bool prefix_is_whole(const struct framing *framing)
{
    assert(framing->prefix_size <= FRAME_PREFIX_SIZE);
    return framing->prefix_size == FRAME_PREFIX_SIZE;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void framing_prefix(uint8_t prefix[FRAME_PREFIX_SIZE], uint8_t flags, size_t size)
{
    assert(size <= UINT32_MAX);
    prefix[0] = flags;
    for (size_t i = 1; i < FRAME_PREFIX_SIZE; i++)
        prefix[i] = (uint8_t)(size >> (8 * (FRAME_PREFIX_SIZE - 1 - i)));
}

void framing_put(struct buf *out, struct slice message)
{
    assert(message.size <= UINT32_MAX);
    /* In one piece: a limit that stops it must not leave a prefix without its message. */
    uint8_t *place = buf_reserve(out, FRAME_PREFIX_SIZE + message.size);
    if (place == NULL)
        return;
    framing_prefix(place, FRAME_PLAIN, message.size);
    if (message.size > 0)
        memcpy(place + FRAME_PREFIX_SIZE, message.data, message.size);
    buf_commit(out, FRAME_PREFIX_SIZE + message.size);
}
