/* UTF-8, to the letter of RFC 3629 section 4: the shortest form only, no surrogates, nothing above U+10FFFF.
 *
 * Inline: the scan of every request looks at every character of its strings. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Bytes of the character at the front of a text that is not empty; 0: it does not begin with one. */
static inline size_t utf8_length(struct slice text)
{
    uint8_t first = text.data[0];
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (text.size < length)
        return 0;
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (text.data[1] < low || text.data[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text.data[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

#define UTF8_WORD_ONES (UINT64_MAX / 255)

/* Bytes at the front that are ASCII, and not NUL.  A multiple of eight, up to seven too few: the eight bytes of
 * a word are judged at once (Mycroft's test for a byte that is zero). */
static inline size_t utf8_ascii(struct slice text)
{
    size_t size = 0;
    for (uint64_t word = 0; text.size - size >= sizeof word; size += sizeof word) {
        memcpy(&word, text.data + size, sizeof word);
        if (((word | (word - UTF8_WORD_ONES)) & UTF8_WORD_ONES << 7) != 0)
            break;
    }
    return size;
}

/* The code point of a character whose length is known. */
static inline uint32_t utf8_point(const uint8_t *bytes, size_t length)
{
    uint32_t point = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        point = point << 6 | (bytes[i] & 0x3F);
    return point;
}

#endif
