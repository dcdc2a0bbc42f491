/* A scanner for the few JSON values the relay needs from JetStream.  Called by the JetStream adapter's
 * parts only.
 *
 * Values are slices of the text: nothing is copied or unescaped until it is asked for.  It
 * skips what it does not need by counting brackets and is no validator, which the server's
 * answers do not need.  Whatever the bytes, it reads no byte outside them, uses no recursion
 * and at most one pass per member asked for. */
#include "events/json_scan.h"

#include "base/base64.h"
#include "base/result.h"

#include <assert.h>

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static bool member_find(struct slice object, struct slice key, struct slice *value);
static struct cursor cursor_of(struct slice text);
static void space_skip(struct cursor *cursor);
static bool take(struct cursor *cursor, uint8_t byte);
static bool value_skip(struct cursor *cursor, struct slice *value);
static bool string_skip(struct cursor *cursor, struct slice *value);
static bool nested_skip(struct cursor *cursor);
static bool escape_decode(struct cursor *cursor, struct buf *out);
static bool hex4_decode(struct cursor *cursor, uint32_t *out);
static void utf8_put(struct buf *out, uint32_t code);

/* `path` is ours and has no empty part; a member's name is compared as it is written,
 * unescaped. */
bool json_scan_member(struct slice object, const char *path, struct slice *value)
{
    struct slice rest = slice_of_str(path);
    struct slice found = object;
    for (;;) {
        const uint8_t *dot = memchr(rest.data, '.', rest.size);
        size_t length = dot == NULL ? rest.size : (size_t)(dot - rest.data);
        if (!member_find(found, slice_make(rest.data, length), &found))
            return false;
        if (dot == NULL) {
            *value = found;
            return true;
        }
        rest = slice_skip(rest, length + 1);
    }
}

/* An object's text begins with its bracket, and the rest of one with a comma. */
bool json_scan_next(struct slice *rest, struct slice *name, struct slice *value)
{
    struct cursor cursor = cursor_of(*rest);
    if (!take(&cursor, '{') && !take(&cursor, ','))
        return false;
    space_skip(&cursor);
    if (!string_skip(&cursor, name) || !take(&cursor, ':') || !value_skip(&cursor, value))
        return false;
    *rest = slice_make(cursor.at, (size_t)(cursor.end - cursor.at));
    return true;
}

/* 20 digits hold UINT64_MAX; fractions and exponents are refused, because sequences have none. */
bool json_scan_uint(struct slice value, uint64_t *out)
{
    uint64_t number = 0;
    if (value.size == 0 || value.size > 20)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(value.data[i] - '0'), &number))
            return false;
    }
    *out = number;
    return true;
}

/* INT64_MIN is refused, which no sequence of ours can be. */
bool json_scan_int(struct slice value, int64_t *out)
{
    bool negative = value.size > 0 && value.data[0] == '-';
    uint64_t size = 0;
    if (!json_scan_uint(negative ? slice_skip(value, 1) : value, &size) || size > INT64_MAX)
        return false;
    *out = negative ? -(int64_t)size : (int64_t)size;
    return true;
}

bool json_scan_bool(struct slice value, bool *out)
{
    if (!slice_is(value, "true") && !slice_is(value, "false"))
        return false;
    *out = value.size == strlen("true");
    return true;
}

/* The caller bounds `out`: over its limit the answer is false, and what came so far stays in
 * it. */
bool json_scan_string(struct slice value, struct buf *out)
{
    if (value.size < 2 || value.data[0] != '"' || value.data[value.size - 1] != '"')
        return false;
    struct cursor cursor = cursor_of(slice_make(value.data + 1, value.size - 2));
    while (cursor.at < cursor.end) {
        uint8_t byte = *cursor.at++;
        if (byte == '"')
            return false;
        if (byte != '\\')
            buf_put_byte(out, byte);
        if (byte == '\\' && !escape_decode(&cursor, out))
            return false;
    }
    return !out->overflown;
}

/* One byte is kept for the terminator.  A NUL in the text (\u0000) is copied: it shortens what
 * C sees. */
bool json_scan_text(struct slice value, char *out, size_t size)
{
    assert(size > 0);
    AUTO(buf_deinit) struct buf text = {.limit = size - 1};
    if (!json_scan_string(value, &text))
        return false;
    struct slice bytes = buf_slice(&text);
    if (bytes.size > 0)
        memcpy(out, bytes.data, bytes.size);
    out[bytes.size] = '\0';
    return true;
}

/* False for an index beyond the end and for what is no array, without a difference. */
bool json_scan_element(struct slice array, size_t index, struct slice *value)
{
    struct cursor cursor = cursor_of(array);
    struct slice element;
    if (!take(&cursor, '['))
        return false;
    for (size_t i = 0;; i++) {
        if (!value_skip(&cursor, &element))
            return false;
        if (i == index) {
            *value = element;
            return true;
        }
        if (!take(&cursor, ','))
            return false;
    }
}

/* Go's encoding/json, which writes the server's []byte, uses StdEncoding: padded, rest bits zero. */
bool json_scan_base64_decode(struct slice text, struct buf *out)
{
    uint8_t *place = buf_reserve(out, base64_room(text.size));
    size_t size;
    if (place == NULL || !base64_read(text, BASE64_STANDARD | BASE64_PADDED, place, &size))
        return false;
    buf_commit(out, size);
    return true;
}

/* The first member of that name wins.  Members before it are skipped, so what lies near the
 * front is cheap. */
static bool member_find(struct slice object, struct slice key, struct slice *value)
{
    struct cursor cursor = cursor_of(object);
    struct slice name;
    struct slice content;
    if (!take(&cursor, '{'))
        return false;
    do {
        space_skip(&cursor);
        if (!string_skip(&cursor, &name) || !take(&cursor, ':') || !value_skip(&cursor, &content))
            return false;
        if (slice_equal(slice_make(name.data + 1, name.size - 2), key)) {
            *value = content;
            return true;
        }
    } while (take(&cursor, ','));
    return false;
}

/* NULL + 0 is undefined in C, and an empty payload has no data. */
static struct cursor cursor_of(struct slice text)
{
    return (struct cursor){.at = text.data,
                           .end = text.data == NULL ? NULL : text.data + text.size};
}

static void space_skip(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\n' || *cursor->at == '\r'))
        cursor->at++;
}

static bool take(struct cursor *cursor, uint8_t byte)
{
    space_skip(cursor);
    if (cursor->at == cursor->end || *cursor->at != byte)
        return false;
    cursor->at++;
    return true;
}

/* Numbers and words are whatever stands before the next comma, bracket or space. */
static bool value_skip(struct cursor *cursor, struct slice *value)
{
    space_skip(cursor);
    if (cursor->at == cursor->end)
        return false;
    const uint8_t *start = cursor->at;
    if (*start == '"')
        return string_skip(cursor, value);
    if (*start == '{' || *start == '[') {
        if (!nested_skip(cursor))
            return false;
    } else {
        while (cursor->at < cursor->end && memchr(",]} \t\r\n", *cursor->at, 7) == NULL)
            cursor->at++;
    }
    *value = slice_make(start, (size_t)(cursor->at - start));
    return value->size > 0;
}

/* With its quotes. */
/* An escape's second byte is passed over whatever it is: \" is all that matters for finding the
 * end. */
static bool string_skip(struct cursor *cursor, struct slice *value)
{
    const uint8_t *start = cursor->at;
    if (start == cursor->end || *start != '"')
        return false;
    for (const uint8_t *at = start + 1; at < cursor->end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '"') {
            cursor->at = at + 1;
            *value = slice_make(start, (size_t)(cursor->at - start));
            return true;
        }
    }
    return false;
}

/* An object or array, by counting brackets outside strings. */
/* A counter instead of recursion: depth costs no stack.  Brackets of both kinds count as one. */
static bool nested_skip(struct cursor *cursor)
{
    size_t depth = 0;
    struct slice text;
    while (cursor->at < cursor->end) {
        uint8_t byte = *cursor->at;
        if (byte == '"') {
            if (!string_skip(cursor, &text))
                return false;
            continue;
        }
        cursor->at++;
        if (byte == '{' || byte == '[')
            depth++;
        if ((byte == '}' || byte == ']') && --depth == 0)
            return true;
    }
    return false;
}

/* RFC 8259 section 7: a character outside the basic plane is "a 12-character sequence, encoding
 * the UTF-16 surrogate pair"; half of one is refused. */
static bool escape_decode(struct cursor *cursor, struct buf *out)
{
    static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (cursor->at == cursor->end)
        return false;
    uint8_t letter = *cursor->at++;
    for (const char *pair = plain; *pair != '\0'; pair += 2) {
        if (letter == (uint8_t)pair[0]) {
            buf_put_byte(out, (uint8_t)pair[1]);
            return true;
        }
    }
    uint32_t code = 0;
    uint32_t low = 0;
    if (letter != 'u' || !hex4_decode(cursor, &code))
        return false;
    if (code >= 0xDC00 && code <= 0xDFFF)
        return false;
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (cursor->end - cursor->at < 6 || cursor->at[0] != '\\' || cursor->at[1] != 'u')
            return false;
        cursor->at += 2;
        if (!hex4_decode(cursor, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    utf8_put(out, code);
    return true;
}

static bool hex4_decode(struct cursor *cursor, uint32_t *out)
{
    uint32_t code = 0;
    if (cursor->end - cursor->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = *cursor->at++;
        if (byte >= '0' && byte <= '9')
            code = code << 4 | (uint32_t)(byte - '0');
        else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
            code = code << 4 | (uint32_t)((byte | 0x20) - 'a' + 10);
        else
            return false;
    }
    *out = code;
    return true;
}

/* At most U+10FFFF, which is what a surrogate pair can say. */
static void utf8_put(struct buf *out, uint32_t code)
{
    if (code < 0x80) {
        buf_put_byte(out, (uint8_t)code);
        return;
    }
    if (code < 0x800) {
        buf_put_byte(out, (uint8_t)(0xC0 | code >> 6));
    } else if (code < 0x10000) {
        buf_put_byte(out, (uint8_t)(0xE0 | code >> 12));
        buf_put_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3F)));
    } else {
        buf_put_byte(out, (uint8_t)(0xF0 | code >> 18));
        buf_put_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3F)));
        buf_put_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3F)));
    }
    buf_put_byte(out, (uint8_t)(0x80 | (code & 0x3F)));
}
