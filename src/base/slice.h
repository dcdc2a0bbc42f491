/* Borrowed bytes: a pointer and a length, never owned, not zero-terminated. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* may be NULL only when size is 0 */
    size_t size;         /* bytes */
};

static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){.data = data, .size = size};
}

static inline struct slice slice_of_str(const char *text)
{
    return slice_make(text, text == NULL ? 0 : strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_of_str(text));
}

/* The first byte of `a` after `count`; count may not exceed the size.  The empty value has no data, and C lets
 * nothing be added to NULL, zero neither. */
static inline struct slice slice_skip(struct slice a, size_t count)
{
    return slice_make(count == 0 ? a.data : a.data + count, a.size - count);
}

static inline bool slice_starts_with(struct slice a, const char *prefix)
{
    size_t length = strlen(prefix);
    return a.size >= length && memcmp(a.data, prefix, length) == 0;
}

#endif
