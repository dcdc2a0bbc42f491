/* The texts that stand for Timestamp, Duration and FieldMask.  Pure.
 *
 * Writers return the rule that the value breaks, NULL when it was appended; readers the rule that the text
 * breaks, NULL when the value was set. */
#ifndef PROTOJSON_KNOWN_TEXT_H
#define PROTOJSON_KNOWN_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

/* Both have this form in memory. */
struct moment {
    int64_t seconds; /* a Timestamp's since 1970 */
    int32_t nanos;
};

/* "2026-01-02T03:04:05.678Z": RFC 3339 with 0, 3, 6 or 9 digits of a second, from the years 1 to 9999.  Read
 * with up to 9 digits and with any offset; a leap second has no place in a Timestamp. */
const char *known_put_timestamp(struct buf *out, struct moment moment);
const char *known_timestamp(struct slice text, struct moment *moment);

/* "-1.500s": at most ± 10,000 years, read with up to 9 digits. */
const char *known_put_duration(struct buf *out, struct moment moment);
const char *known_duration(struct slice text, struct moment *moment);

/* "displayName,settings.mfaRequired".  A path that would not come back from its JSON form is refused. */
const char *known_put_mask(struct buf *out, char *const *paths, size_t count);
const char *known_mask(struct arena *arena, struct slice text, char ***paths, size_t *count);

#endif
