/* Reads single values out of the JSON that a NATS server sends.  Not a general parser: it walks bytes
 * that a peer controls, allocates nothing, never recurses, and says false to whatever it does not
 * understand. */
#ifndef EVENTS_JSON_SCAN_H
#define EVENTS_JSON_SCAN_H

#include "base/buf.h"

/* The raw text of a member of an object ("{…}"): *value borrows from `object`.  A dot goes one object
 * down ("config.max_age").  False: no object, no such member, or malformed before it. */
bool json_scan_member(struct slice object, const char *path, struct slice *value);

/* The members of an object one by one: *rest is the object at first, and then what lies behind the member.
 * *name is written with its quotes.  False: no more of them, no object, or malformed. */
bool json_scan_next(struct slice *rest, struct slice *name, struct slice *value);

/* Raw values as what they stand for; false when they are something else. */
bool json_scan_uint(struct slice value, uint64_t *out);
bool json_scan_int(struct slice value, int64_t *out);
bool json_scan_bool(struct slice value, bool *out);
/* Appends the decoded text; escapes above U+007F and control characters included. */
bool json_scan_string(struct slice value, struct buf *out);
/* The same into a fixed buffer; false also when it does not fit. */
bool json_scan_text(struct slice value, char *out, size_t size);

/* The element of an array with this index; false: none, or no array. */
bool json_scan_element(struct slice array, size_t index, struct slice *value);

/* Base 64 of RFC 4648 section 4, padded; appends the bytes. */
bool json_scan_base64_decode(struct slice text, struct buf *out);

#endif
