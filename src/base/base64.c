/* Base 64; see base64.h.  Pure: texts come from strangers, and nothing is read behind their end. */
#include "base/base64.h"

#include <assert.h>

#define ALPHABETS (BASE64_STANDARD | BASE64_URL)
#define ENDS (BASE64_PADDED | BASE64_UNPADDED)

static size_t digits_of(struct slice text, unsigned forms);
static int digit_value(uint8_t byte, unsigned forms);

void base64_put(struct buf *out, struct slice bytes, unsigned form)
{
    static const char standard[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert(__builtin_popcount(form & ALPHABETS) == 1 && __builtin_popcount(form & ENDS) == 1);
    const char *alphabet = form & BASE64_URL ? url : standard;
    uint8_t *place = buf_reserve(out, (bytes.size + 2) / 3 * 4);
    if (place == NULL)
        return;
    size_t size = 0;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < count ? bytes.data[i + k] : 0u);
        for (size_t k = 0; k <= count; k++)
            place[size++] = (uint8_t)alphabet[group >> (18 - 6 * k) & 63];
        for (size_t k = count; k < 3 && (form & BASE64_PADDED); k++)
            place[size++] = '=';
    }
    buf_commit(out, size);
}

size_t base64_room(size_t text_size)
{
    return text_size / 4 * 3 + text_size % 4;
}

bool base64_read(struct slice text, unsigned forms, uint8_t *out, size_t *size)
{
    assert((forms & ALPHABETS) != 0 && (forms & ENDS) != 0);
    size_t digits = digits_of(text, forms);
    if (digits == SIZE_MAX)
        return false;
    size_t count = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = digit_value(text.data[i], forms);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[count++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    assert(count <= base64_room(text.size));
    if (bits != 0)
        return false;
    *size = count;
    return true;
}

/* Without the padding; SIZE_MAX: no text of these forms has such a size. */
static size_t digits_of(struct slice text, unsigned forms)
{
    size_t size = text.size;
#ifdef PLANTED_BASE64_BUG /* for tests/fuzz: padding counts wherever a text ends */
    bool padded = size > 0 && text.data[size - 1] == '=';
#else
    bool padded = size > 0 && size % 4 == 0 && text.data[size - 1] == '=';
#endif
    if (padded)
        size -= text.data[size - 2] == '=' ? 2 : 1;
    if (size % 4 == 1)
        return SIZE_MAX;
    if (size % 4 != 0 && !(forms & (padded ? BASE64_PADDED : BASE64_UNPADDED)))
        return SIZE_MAX;
    return size;
}

static int digit_value(uint8_t byte, unsigned forms)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    if ((forms & BASE64_STANDARD) && (byte == '+' || byte == '/'))
        return byte == '+' ? 62 : 63;
    if ((forms & BASE64_URL) && (byte == '-' || byte == '_'))
        return byte == '-' ? 62 : 63;
    return -1;
}

bool base64_take(struct arena *arena, struct slice text, unsigned forms, struct slice *bytes)
{
    uint8_t *out = arena_alloc_raw(arena, base64_room(text.size) + 1);
    size_t size;
    if (!base64_read(text, forms, out, &size))
        return false;
    *bytes = slice_make(out, size);
    return true;
}
