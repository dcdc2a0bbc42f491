/* A growing byte buffer; see buf.h. */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 256

static size_t plain_length(struct slice text);

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    size_t limit = buf->limit;
    *buf = (struct buf){.limit = limit};
}

void buf_clear(struct buf *buf)
{
    buf->start = 0;
    buf->end = 0;
    buf->overflown = false;
}

/* Moves the content to the front when at least as much was consumed as is held, so that moving
 * never costs more than the puts did; else the room doubles. */
uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    assert(buf->start <= buf->end && buf->end <= buf->room);
    size_t held = buf->end - buf->start;
    if (buf->limit != 0 && (held > buf->limit || size > buf->limit - held)) {
        buf->overflown = true;
        return NULL;
    }
    if (size <= buf->room - buf->end && buf->data != NULL)
        return buf->data + buf->end;
    if (buf->start >= held && size <= buf->room - held && buf->data != NULL) {
        memmove(buf->data, buf->data + buf->start, held);
    } else {
        size_t room = buf->room < BUF_FIRST ? BUF_FIRST : buf->room;
        while (room - held < size)
            room *= 2;
        uint8_t *data = xmalloc(room);
        if (held > 0)
            memcpy(data, buf->data + buf->start, held);
        free(buf->data);
        buf->data = data;
        buf->room = room;
    }
    buf->start = 0;
    buf->end = held;
    return buf->data + buf->end;
}

void buf_commit(struct buf *buf, size_t size)
{
    assert(size <= buf->room - buf->end);
    buf->end += size;
}

/* An emptied buffer begins at the front again, which makes the move in buf_reserve() rare. */
void buf_consume(struct buf *buf, size_t size)
{
    assert(size <= buf_size(buf));
    buf->start += size;
    if (buf->start == buf->end) {
        buf->start = 0;
        buf->end = 0;
    }
}

void buf_put(struct buf *buf, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    uint8_t *place = buf_reserve(buf, size);
    if (place == NULL)
        return;
    memcpy(place, bytes, size);
    buf_commit(buf, size);
}

void buf_put_slice(struct buf *buf, struct slice slice)
{
    buf_put(buf, slice.data, slice.size);
}

void buf_put_str(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}

void buf_put_byte(struct buf *buf, uint8_t byte)
{
    buf_put(buf, &byte, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(buf, format, arguments);
    va_end(arguments);
}

/* Measured first, then printed in place: one byte more is reserved for the terminator, and not
 * kept. */
void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    assert(length >= 0);
    uint8_t *place = buf_reserve(buf, (size_t)length + 1);
    if (place != NULL) {
        vsnprintf((char *)place, (size_t)length + 1, format, again);
        buf_commit(buf, (size_t)length);
    }
    va_end(again);
}

const char *buf_str(struct buf *buf)
{
    size_t limit = buf->limit;
    buf->limit = 0; /* the terminator is not content */
    uint8_t *place = buf_reserve(buf, 1);
    buf->limit = limit;
    *place = '\0';
    return (const char *)buf->data + buf->start;
}

/* RFC 8259 section 7 asks for the quote, the backslash and U+0000 to U+001F; DEL too, for
 * terminals. */
void buf_put_json_escaped(struct buf *buf, struct slice text)
{
    while (text.size > 0) {
        uint8_t byte = text.data[0];
        size_t length = plain_length(text);
        if (length == 0)
            length = utf8_length(text);
        if (length == 0) {
            buf_put_str(buf, "\xEF\xBF\xBD");
            length = 1;
        } else if (byte == '"' || byte == '\\') {
            buf_put_byte(buf, '\\');
            buf_put_byte(buf, byte);
        } else if (byte < 0x20 || byte == 0x7F) {
            buf_printf(buf, "\\u%04x", byte);
        } else {
            buf_put(buf, text.data, length);
        }
        text = slice_skip(text, length);
    }
}

/* Length of the ASCII at the front that stands for itself. */
static size_t plain_length(struct slice text)
{
    size_t length = 0;
    while (length < text.size && text.data[length] >= 0x20 && text.data[length] < 0x7F &&
           text.data[length] != '"' && text.data[length] != '\\')
        length++;
    return length;
}
