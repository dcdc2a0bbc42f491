/* Dates and times in the patterns that pacts use: Java's DateTimeFormatter, the part of it that names numbers,
 * months, days of the week and offsets. */
#ifndef CONTRACT_VERIFY_WHEN_H
#define CONTRACT_VERIFY_WHEN_H

#include "base/buf.h"
#include "base/ctx.h"

#include <stdbool.h>

struct when_format;

/* FAULT_CONFIG: a letter that is not understood (eras, weeks, names of zones, quarters).  In the ctx's
 * arena. */
int when_parse(struct ctx *ctx, const char *pattern, struct when_format **format) MUST_CHECK;

/* Whether the text is a date of this form, a day that exists in its month included. */
bool when_fits(const struct when_format *format, struct slice text);

/* Appends a moment in UTC, seconds since 1970, in this form. */
void when_print(const struct when_format *format, int64_t seconds, struct buf *out);

#endif
