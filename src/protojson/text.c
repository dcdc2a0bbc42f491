/* The texts inside JSON values; see text.h.  Called by both directions; knows neither messages nor tokens. */
#include "protojson/text.h"

#include "base/base64.h"
#include "base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BUFFER 64 /* longer numbers go through the arena */
#define EXPONENT_MAX 100000000
#define DIGITS_DOUBLE 17 /* enough for every double, as 9 are for every float */
#define DIGITS_FLOAT 9

static size_t digits_size(struct slice text, size_t at);
static long exponent_read(struct slice text);
static const char *number_copy(struct arena *arena, struct slice number, char *small);
static void number_put(struct buf *out, const char *text);
static uint8_t upper(uint8_t byte);

bool text_is_utf8(struct slice text)
{
    for (text = slice_skip(text, utf8_ascii(text)); text.size > 0;
         text = slice_skip(text, utf8_ascii(text))) {
        size_t size = utf8_length(text);
        if (size == 0)
            return false;
        text = slice_skip(text, size);
    }
    return true;
}

size_t text_utf8_put(uint32_t point, uint8_t *out)
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (point & 0x3F));
        point >>= 6;
    }
    out[0] = (uint8_t)(heads[size] | point);
    return size;
}

/* RFC 8259 section 6. */
size_t text_number_size(struct slice text)
{
    size_t at = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    size_t digits = digits_size(text, at);
    if (digits == 0 || (digits > 1 && text.data[at] == '0'))
        return 0;
    at += digits;
    if (at < text.size && text.data[at] == '.') {
        digits = digits_size(text, at + 1);
        if (digits == 0)
            return 0;
        at += 1 + digits;
    }
    if (at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        if (at < text.size && (text.data[at] == '+' || text.data[at] == '-'))
            at++;
        digits = digits_size(text, at);
        if (digits == 0)
            return 0;
        at += digits;
    }
    return at;
}

static size_t digits_size(struct slice text, size_t at)
{
    size_t size = 0;
    while (at + size < text.size && text_is_digit(text.data[at + size]))
        size++;
    return size;
}

/* The number is digits × 10^scale: scale counts what is behind the point, and the exponent.  Zeros are held
 * back until a digit follows, so that those at the end go into the scale and 1e3 and 1000.0 are one. */
enum whole_result text_whole(struct slice number, struct whole *value)
{
    assert(number.size > 0 && text_number_size(number) == number.size);
    uint64_t sum = 0;
    long scale = exponent_read(number);
    long zeros = 0;
    bool behind = false;
    bool large = false;
    for (size_t i = number.data[0] == '-'; i < number.size && (number.data[i] | 0x20) != 'e'; i++) {
        if (number.data[i] == '.') {
            behind = true;
            continue;
        }
        scale -= behind;
        if (number.data[i] == '0') {
            zeros++;
            continue;
        }
        for (; zeros > 0 && sum > 0 && !large; zeros--)
            large = __builtin_mul_overflow(sum, 10, &sum);
        zeros = 0;
        large = large || __builtin_mul_overflow(sum, 10, &sum) ||
                __builtin_add_overflow(sum, (uint64_t)(number.data[i] - '0'), &sum);
    }
    *value = (struct whole){.negative = number.data[0] == '-'};
    if (sum == 0 && !large)
        return WHOLE_OK;
    scale += zeros;
    if (scale < 0)
        return WHOLE_FRACTION;
    for (; scale > 0 && !large; scale--)
        large = __builtin_mul_overflow(sum, 10, &sum);
    value->size = sum;
    return large ? WHOLE_TOO_LARGE : WHOLE_OK;
}

/* Cut off where no digits of a document could make up for it. */
static long exponent_read(struct slice text)
{
    size_t at = 0;
    while (at < text.size && (text.data[at] | 0x20) != 'e')
        at++;
    if (at == text.size)
        return 0;
    at++;
    bool negative = text.data[at] == '-';
    if (negative || text.data[at] == '+')
        at++;
    long sum = 0;
    for (; at < text.size && sum < EXPONENT_MAX; at++)
        sum = sum * 10 + (text.data[at] - '0');
    return negative ? -sum : sum;
}

bool text_double(struct arena *arena, struct slice number, double *value)
{
    char small[NUMBER_BUFFER];
    *value = strtod(number_copy(arena, number, small), NULL);
    return isfinite(*value);
}

/* Not by way of a double, which would round twice. */
bool text_float(struct arena *arena, struct slice number, float *value)
{
    char small[NUMBER_BUFFER];
    *value = strtof(number_copy(arena, number, small), NULL);
    return isfinite(*value);
}

static const char *number_copy(struct arena *arena, struct slice number, char *small)
{
    assert(text_number_size(number) == number.size);
    if (number.size >= NUMBER_BUFFER)
        return arena_strndup(arena, number.data, number.size);
    memcpy(small, number.data, number.size);
    small[number.size] = '\0';
    return small;
}

/* What has at most 15 digits survives the way through a double, so %.15g is the shortest then; below the
 * smallest normal number fewer digits are left, and all lengths are tried. */
void text_put_double(struct buf *out, double value)
{
    assert(isfinite(value));
    char text[NUMBER_BUFFER];
    for (int digits = fabs(value) < __DBL_MIN__ ? 1 : 15; digits <= DIGITS_DOUBLE; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    number_put(out, text);
}

void text_put_float(struct buf *out, float value)
{
    assert(isfinite(value));
    char text[NUMBER_BUFFER];
    for (int digits = fabsf(value) < __FLT_MIN__ ? 1 : 6; digits <= DIGITS_FLOAT; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    number_put(out, text);
}

/* Readers that take -0 for an integer lose its sign. */
static void number_put(struct buf *out, const char *text)
{
    buf_put_str(out, strcmp(text, "-0") == 0 ? "-0.0" : text);
}

void text_put_base64(struct buf *out, struct slice bytes)
{
    base64_put(out, bytes, BASE64_STANDARD | BASE64_PADDED);
}

bool text_base64(struct arena *arena, struct slice text, struct slice *bytes)
{
    unsigned forms = BASE64_STANDARD | BASE64_URL | BASE64_PADDED | BASE64_UNPADDED;
    return base64_take(arena, text, forms, bytes);
}

void text_put_json_name(struct buf *out, const char *name)
{
    uint8_t *place = buf_reserve(out, strlen(name));
    if (place == NULL)
        return;
    size_t size = 0;
    bool raise = false;
    for (; *name != '\0'; name++) {
        if (*name != '_')
            place[size++] = raise ? upper((uint8_t)*name) : (uint8_t)*name;
        raise = *name == '_';
    }
    buf_commit(out, size);
}

bool text_is_json_name(struct slice text, const char *name)
{
    size_t at = 0;
    bool raise = false;
    for (; *name != '\0'; name++) {
        if (*name != '_') {
            if (at == text.size ||
                text.data[at] != (raise ? upper((uint8_t)*name) : (uint8_t)*name))
                return false;
            at++;
        }
        raise = *name == '_';
    }
    return at == text.size;
}

static uint8_t upper(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 32) : byte;
}
