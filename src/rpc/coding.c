/* Metadata coding, used for every call's headers and trailers.  Pure: input comes from strangers, so
 * nothing here may trust a length or fail in another way than by saying so. */
#include "rpc/coding.h"

#include "base/base64.h"
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>

/* PROTOCOL-HTTP2.md: "positive integer as ASCII string of at most 8 digits" */
#define TIMEOUT_DIGITS_MAX 8
#define TIMEOUT_MS_DIGITS_MAX 10
#define TIMEOUT_VALUE_MAX UINT64_C(99999999)

struct timeout_unit {
    char letter;
    uint64_t ns;
};

/* Largest first: the first unit that fits gives the fewest digits. */
static const struct timeout_unit timeout_units[] = {
    {'H', 3600 * NS_PER_S}, {'M', 60 * NS_PER_S}, {'S', NS_PER_S},
    {'m', NS_PER_MS},       {'u', NS_PER_US},     {'n', 1},
};
#define TIMEOUT_UNIT_COUNT (sizeof timeout_units / sizeof timeout_units[0])

static bool is_plain(uint8_t byte);
static int hex_value(uint8_t byte);
static bool escape_read(struct slice text, size_t at, uint8_t *byte);
static uint64_t unit_of_letter(uint8_t letter);
static uint64_t divide_up(uint64_t value, uint64_t by);

void percent_encode(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (is_plain(byte)) {
            buf_put_byte(out, byte);
            continue;
        }
        const char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        buf_put(out, escape, sizeof escape);
    }
}

char *percent_decode(struct arena *arena, struct slice text)
{
    char *out = arena_alloc_raw(arena, text.size + 1);
    size_t end = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (escape_read(text, i, &byte))
            i += 2;
        out[end++] = (char)byte;
    }
    assert(end <= text.size);
    out[end] = '\0';
    return out;
}

/* PROTOCOL-HTTP2.md: Percent-Byte-Unencoded is "%x20-%x24 / %x26-%x7E", space and VCHAR without
 * the percent. */
static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '%';
}

/* An escape at `at`.  "%00" does not count as one: the zero would hide the rest of the text, and the
 * message must not be thrown away. */
static bool escape_read(struct slice text, size_t at, uint8_t *byte)
{
#ifdef PLANTED_BUG /* for tests/fuzz: an escape may be cut off by the end */
    const size_t needed = 2;
#else
    const size_t needed = 3;
#endif
    if (text.data[at] != '%' || text.size - at < needed)
        return false;
    int high = hex_value(text.data[at + 1]);
    int low = hex_value(text.data[at + 2]);
    if (high < 0 || low < 0 || high + low == 0)
        return false;
    *byte = (uint8_t)(high << 4 | low);
    return true;
}

/* Lower case too: the grammar has 0-9 A-F, but a decoder that is strict loses a message. */
static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* PROTOCOL-HTTP2.md: "Implementations MUST accept padded and un-padded values and should emit
 * un-padded values." */
void base64_encode(struct buf *out, struct slice bytes)
{
    base64_put(out, bytes, BASE64_STANDARD | BASE64_UNPADDED);
}

bool base64_decode(struct arena *arena, struct slice text, struct slice *out)
{
    return base64_take(arena, text, BASE64_STANDARD | BASE64_PADDED | BASE64_UNPADDED, out);
}

/* "0n" is taken as it stands although the grammar says positive: such a call has expired, and
 * says so. */
bool timeout_parse(struct slice text, uint64_t *duration_ns)
{
#ifdef PLANTED_TIMEOUT_BUG /* for tests/fuzz: a digit too many passes */
    const size_t most = TIMEOUT_DIGITS_MAX + 2;
#else
    const size_t most = TIMEOUT_DIGITS_MAX + 1;
#endif
    if (text.size < 2 || text.size > most)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    uint64_t unit = unit_of_letter(text.data[text.size - 1]);
    if (unit == 0)
        return false;
    if (__builtin_mul_overflow(value, unit, duration_ns))
        *duration_ns = UINT64_MAX;
    return true;
}

/* "Timeout-Milliseconds → {positive integer as ASCII string of at most 10 digits}" (Connect).  Again 0 has
 * expired. */
bool timeout_ms_parse(struct slice text, uint64_t *duration_ns)
{
    if (text.size == 0 || text.size > TIMEOUT_MS_DIGITS_MAX)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *duration_ns = value * NS_PER_MS;
    return true;
}

static uint64_t unit_of_letter(uint8_t letter)
{
    for (size_t i = 0; i < TIMEOUT_UNIT_COUNT; i++) {
        if (timeout_units[i].letter == (char)letter)
            return timeout_units[i].ns;
    }
    return 0;
}

/* Rounded up, because a timeout that shrinks by rounding at every hop ends calls early. */
void timeout_format(uint64_t duration_ns, char out[TIMEOUT_TEXT_SIZE])
{
    size_t chosen = TIMEOUT_UNIT_COUNT;
    for (size_t i = 0; i < TIMEOUT_UNIT_COUNT && duration_ns > 0; i++) {
        uint64_t ns = timeout_units[i].ns;
        if (duration_ns % ns == 0 && duration_ns / ns <= TIMEOUT_VALUE_MAX) {
            chosen = i;
            break;
        }
        /* Not exact: the finest unit that still fits wastes least. */
        if (divide_up(duration_ns, ns) <= TIMEOUT_VALUE_MAX)
            chosen = i;
    }
    if (duration_ns == 0)
        chosen = TIMEOUT_UNIT_COUNT - 1;
    assert(chosen < TIMEOUT_UNIT_COUNT); /* UINT64_MAX is 5124096 hours */
    unsigned value = (unsigned)divide_up(duration_ns, timeout_units[chosen].ns);
    int size = snprintf(out, TIMEOUT_TEXT_SIZE, "%u%c", value, timeout_units[chosen].letter);
    assert(size > 0 && size <= TIMEOUT_DIGITS_MAX + 1);
}

static uint64_t divide_up(uint64_t value, uint64_t by)
{
    return value / by + (value % by != 0 ? 1 : 0);
}
