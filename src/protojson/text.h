/* The texts inside JSON values: UTF-8, numbers, base 64, field names.  Pure. */
#ifndef PROTOJSON_TEXT_H
#define PROTOJSON_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

static inline bool text_is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* Unicode's table 3-7: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool text_is_utf8(struct slice text);
/* Writes the code point, at most 4 bytes; returns how many. */
size_t text_utf8_put(uint32_t point, uint8_t *out);

/* Bytes of the JSON number that `text` begins with; 0: none. */
size_t text_number_size(struct slice text);

/* A number as sign and magnitude. */
struct whole {
    bool negative;
    uint64_t size;
};

enum whole_result { WHOLE_OK, WHOLE_FRACTION, WHOLE_TOO_LARGE };

/* The exact value of a JSON number, in any of its forms: 1000, 1e3, 1000.0. */
enum whole_result text_whole(struct slice number, struct whole *value);

/* The nearest double or float of a JSON number; false when it would be infinite. */
bool text_double(struct arena *arena, struct slice number, double *value);
bool text_float(struct arena *arena, struct slice number, float *value);

/* Appends the shortest number that reads back as the same value; finite ones only. */
void text_put_double(struct buf *out, double value);
void text_put_float(struct buf *out, float value);

/* RFC 4648: written as section 4, padded; both alphabets are read, padded or not.  The bytes are in the
 * arena.  False: not base 64. */
void text_put_base64(struct buf *out, struct slice bytes);
bool text_base64(struct arena *arena, struct slice text, struct slice *bytes);

/* protoc's rule: underscores go, and what follows one becomes upper case. */
void text_put_json_name(struct buf *out, const char *name);
bool text_is_json_name(struct slice text, const char *name);

#endif
