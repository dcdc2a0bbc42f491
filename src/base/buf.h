/* A growing byte buffer with a consumed front.  Builders never fail half-way: going over `limit`
 * sets a sticky bit that is checked once at the end. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

#include <stdarg.h>

/* Zero-initialised it is empty and without a limit.  One thread's at a time. */
struct buf {
    uint8_t *data;  /* owned; NULL while empty */
    size_t start;   /* first byte not yet consumed */
    size_t end;     /* one past the last byte */
    size_t room;    /* bytes allocated */
    size_t limit;   /* unconsumed bytes allowed; 0: none */
    bool overflown; /* sticky: a put would have passed the limit and was dropped */
};

#define BUF_EMPTY ((struct buf){0})

void buf_deinit(struct buf *buf); /* also for AUTO; the buffer is empty and reusable afterwards */
void buf_clear(struct buf *buf);  /* keeps the memory, clears `overflown` */

static inline size_t buf_size(const struct buf *buf)
{
    return buf->end - buf->start;
}

static inline struct slice buf_slice(const struct buf *buf)
{
    return slice_make(buf->data == NULL ? NULL : buf->data + buf->start, buf->end - buf->start);
}

/* Each appends all or nothing, and nothing when `overflown` is set by it. */
void buf_put(struct buf *buf, const void *bytes, size_t size);
void buf_put_slice(struct buf *buf, struct slice slice);
void buf_put_str(struct buf *buf, const char *text);
void buf_put_byte(struct buf *buf, uint8_t byte);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* `size` writable bytes at the end, or NULL when the limit forbids them (sticky).  After
 * writing `n <= size` of them call buf_commit(buf, n).  Valid until the next call on the
 * buffer. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
void buf_commit(struct buf *buf, size_t size);

/* Drops `size` bytes from the front.  At most what there is (asserted).  Moves nothing: the
 * room is used again by a later put. */
void buf_consume(struct buf *buf, size_t size);

/* The content as a zero-terminated string; the terminator is not counted.  Valid until the next put. */
const char *buf_str(struct buf *buf);

/* Appends `text` as the inside of a JSON string (RFC 8259 section 7), without the quotes. Bytes that
 * are not UTF-8 become U+FFFD. */
void buf_put_json_escaped(struct buf *buf, struct slice text);

#endif
