/* Times as clients write them; see tenant_query.h.
 *
 * Exact and without the C library's locale or time zone: what a client asks for must not depend
 * on the host. */
#include "domain/tenant_query.h"

#include <stdint.h>

#define DAYS_BEFORE_1970 719527 /* since the year 0, as days_since_1970() counts */

static bool take_digits(struct slice *text, size_t count, unsigned *number);
static bool take_byte(struct slice *text, const char *one_of, char *found);
static bool take_fraction(struct slice *text, uint64_t *us);
static bool take_offset(struct slice *text, int64_t *seconds);
static int64_t days_since_1970(unsigned year, unsigned month, unsigned day);
static unsigned days_in(unsigned year, unsigned month);

/* RFC 3339 section 5.6: date "T" time offset.  A leap second counts as the second after it. */
bool time_parse_rfc3339(struct slice text, uint64_t *us)
{
    unsigned year, month, day, hour, minute, second;
    uint64_t fraction_us = 0;
    int64_t offset = 0;
    char found;
    bool good = take_digits(&text, 4, &year) && take_byte(&text, "-", &found) &&
                take_digits(&text, 2, &month) && take_byte(&text, "-", &found) &&
                take_digits(&text, 2, &day) && take_byte(&text, "Tt", &found) &&
                take_digits(&text, 2, &hour) && take_byte(&text, ":", &found) &&
                take_digits(&text, 2, &minute) && take_byte(&text, ":", &found) &&
                take_digits(&text, 2, &second) && take_fraction(&text, &fraction_us) &&
                take_offset(&text, &offset) && text.size == 0;
#ifndef PLANTED_BUG /* for tests/fuzz: a month of 13 is looked up */
    good = good && month <= 12;
#endif
    if (!good || month < 1 || day < 1 || day > days_in(year, month) || hour > 23 ||
        minute > 59 || second > 60)
        return false;
    int64_t seconds = days_since_1970(year, month, day) * 86400 + (int64_t)hour * 3600 +
                      (int64_t)minute * 60 + second - offset;
    if (seconds < 0)
        return false;
    *us = (uint64_t)seconds * 1000000 + fraction_us;
    return true;
}

static bool take_digits(struct slice *text, size_t count, unsigned *number)
{
    if (text->size < count)
        return false;
    *number = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = text->data[i];
        if (byte < '0' || byte > '9')
            return false;
        *number = *number * 10 + (unsigned)(byte - '0');
    }
    *text = slice_skip(*text, count);
    return true;
}

static bool take_byte(struct slice *text, const char *one_of, char *found)
{
    if (text->size == 0 || text->data[0] == '\0' || strchr(one_of, text->data[0]) == NULL)
        return false;
    *found = (char)text->data[0];
    *text = slice_skip(*text, 1);
    return true;
}

/* Digits below a microsecond are dropped. */
static bool take_fraction(struct slice *text, uint64_t *us)
{
    char found;
    unsigned digit;
    uint64_t unit = 100000;
    if (!take_byte(text, ".", &found))
        return true;
    size_t before = text->size;
    while (take_digits(text, 1, &digit)) {
        *us += digit * unit;
        unit /= 10;
    }
    return text->size < before;
}

static bool take_offset(struct slice *text, int64_t *seconds)
{
    char sign;
    char colon;
    unsigned hours, minutes;
    if (take_byte(text, "Zz", &sign))
        return true;
    if (!take_byte(text, "+-", &sign) || !take_digits(text, 2, &hours) ||
        !take_byte(text, ":", &colon) || !take_digits(text, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *seconds = ((int64_t)hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    return true;
}

/* Counts leap days up to the year before. */
static int64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
    int64_t before = (int64_t)year - 1;
    int64_t days = (int64_t)year * 365 + before / 4 - before / 100 + before / 400;
    for (unsigned m = 1; m < month; m++)
        days += days_in(year, m);
    return days + day - 1 - DAYS_BEFORE_1970;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}
