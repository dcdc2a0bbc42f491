/* Timestamps, durations and masks as texts; see known_text.h. */
#include "protojson/known_text.h"

#include "protojson/text.h"

#include <inttypes.h>

#define NANOS 1000000000
#define DAY 86400
#define TIMESTAMP_MIN (-INT64_C(62135596800)) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX INT64_C(253402300799)   /* 9999-12-31T23:59:59Z */
#define DURATION_MAX INT64_C(315576000000)
#define DURATION_DIGITS 12
#define OFFSET_HOURS_MAX 23
#define PATHS_MAX 1000

static const char timestamp_form[] = "must be a time as 2026-01-02T03:04:05Z";
static const char timestamp_range[] = "must be a time of the years 1 to 9999";
static const char duration_form[] = "must be a duration as 1.5s";
static const char duration_range[] = "must be a duration of at most 315576000000 seconds";
static const char mask_form[] = "must be field paths in lowerCamelCase with commas between";

static void nanos_put(struct buf *out, uint32_t nanos);
static bool nanos_read(struct slice *text, int32_t *nanos);
static bool digits_read(struct slice *text, size_t count, int64_t *value);
static bool byte_read(struct slice *text, uint8_t byte);
static bool date_read(struct slice *text, int64_t *days);
static bool clock_read(struct slice *text, int64_t *seconds);
static bool offset_read(struct slice *text, int64_t *seconds);
static int64_t days_of(int64_t year, int64_t month, int64_t day);
static bool path_put(struct buf *out, const char *path);
static char *path_read(struct arena *arena, struct slice path);
static bool is_lower(uint8_t byte);
static bool is_upper(uint8_t byte);

/* Days to a date after Howard Hinnant's civil_from_days: years begin in March, eras have 400 of them. */
const char *known_put_timestamp(struct buf *out, struct moment moment)
{
    if (moment.seconds < TIMESTAMP_MIN || moment.seconds > TIMESTAMP_MAX || moment.nanos < 0 ||
        moment.nanos >= NANOS)
        return timestamp_range;
    int64_t since = moment.seconds - TIMESTAMP_MIN;
    int64_t second = since % DAY;
    int64_t days = since / DAY + 306; /* since 0000-03-01 */
    int64_t era = days / 146097;
    int64_t in_era = days % 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;
    int64_t day = in_year - (153 * month + 2) / 5 + 1;
    year += era * 400 + (month >= 10);
    buf_printf(out,
               "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64,
               year, month < 10 ? month + 3 : month - 9, day, second / 3600, second / 60 % 60,
               second % 60);
    nanos_put(out, (uint32_t)moment.nanos);
    buf_put_byte(out, 'Z');
    return NULL;
}

static void nanos_put(struct buf *out, uint32_t nanos)
{
    if (nanos == 0)
        return;
    if (nanos % 1000000 == 0)
        buf_printf(out, ".%03" PRIu32, nanos / 1000000);
    else if (nanos % 1000 == 0)
        buf_printf(out, ".%06" PRIu32, nanos / 1000);
    else
        buf_printf(out, ".%09" PRIu32, nanos);
}

const char *known_timestamp(struct slice text, struct moment *moment)
{
    int64_t days;
    int64_t seconds;
    int64_t offset;
    int32_t nanos;
    if (!date_read(&text, &days) || !byte_read(&text, 'T') || !clock_read(&text, &seconds) ||
        !nanos_read(&text, &nanos) || !offset_read(&text, &offset) || text.size > 0)
        return timestamp_form;
    seconds += days * DAY - offset;
    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX)
        return timestamp_range;
    *moment = (struct moment){.seconds = seconds, .nanos = nanos};
    return NULL;
}

static bool date_read(struct slice *text, int64_t *days)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year;
    int64_t month;
    int64_t day;
    if (!digits_read(text, 4, &year) || !byte_read(text, '-') || !digits_read(text, 2, &month) ||
        !byte_read(text, '-') || !digits_read(text, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (leap && month == 2))
        return false;
    *days = days_of(year, month, day);
    return true;
}

/* Howard Hinnant's days_from_civil, since 1970. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t in_era = year - era * 400;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static bool clock_read(struct slice *text, int64_t *seconds)
{
    int64_t hour;
    int64_t minute;
    int64_t second;
    if (!digits_read(text, 2, &hour) || !byte_read(text, ':') || !digits_read(text, 2, &minute) ||
        !byte_read(text, ':') || !digits_read(text, 2, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second < 60;
}

/* Nothing, or a point and 1 to 9 digits. */
static bool nanos_read(struct slice *text, int32_t *nanos)
{
    *nanos = 0;
    if (!byte_read(text, '.'))
        return true;
    int32_t unit = NANOS;
    while (text->size > 0 && text_is_digit(text->data[0]) && unit > 1) {
        unit /= 10;
        *nanos += (text->data[0] - '0') * unit;
        *text = slice_skip(*text, 1);
    }
    return unit < NANOS;
}

static bool offset_read(struct slice *text, int64_t *seconds)
{
    *seconds = 0;
    if (byte_read(text, 'Z'))
        return true;
    bool west = byte_read(text, '-');
    int64_t hours;
    int64_t minutes;
    if ((!west && !byte_read(text, '+')) || !digits_read(text, 2, &hours) ||
        !byte_read(text, ':') || !digits_read(text, 2, &minutes))
        return false;
    *seconds = (hours * 60 + minutes) * (west ? -60 : 60);
    return hours <= OFFSET_HOURS_MAX && minutes < 60;
}

const char *known_put_duration(struct buf *out, struct moment moment)
{
    if (moment.seconds < -DURATION_MAX || moment.seconds > DURATION_MAX || moment.nanos <= -NANOS ||
        moment.nanos >= NANOS)
        return duration_range;
    if ((moment.seconds > 0 && moment.nanos < 0) || (moment.seconds < 0 && moment.nanos > 0))
        return "must have seconds and nanos of one sign";
    bool negative = moment.seconds < 0 || moment.nanos < 0;
    buf_printf(out, "%s%" PRId64, negative ? "-" : "", negative ? -moment.seconds : moment.seconds);
    nanos_put(out, (uint32_t)(moment.nanos < 0 ? -moment.nanos : moment.nanos));
    buf_put_byte(out, 's');
    return NULL;
}

const char *known_duration(struct slice text, struct moment *moment)
{
    bool negative = byte_read(&text, '-');
    size_t digits = 0;
    while (digits < text.size && text_is_digit(text.data[digits]))
        digits++;
    if (digits > DURATION_DIGITS)
        return duration_range;
    int64_t seconds;
    int32_t nanos;
    if (digits == 0 || !digits_read(&text, digits, &seconds) || !nanos_read(&text, &nanos) ||
        !byte_read(&text, 's') || text.size > 0)
        return duration_form;
    if (seconds > DURATION_MAX)
        return duration_range;
    *moment = (struct moment){
        .seconds = negative ? -seconds : seconds,
        .nanos = negative ? -nanos : nanos,
    };
    return NULL;
}

static bool digits_read(struct slice *text, size_t count, int64_t *value)
{
    if (text->size < count)
        return false;
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (!text_is_digit(text->data[i]))
            return false;
        sum = sum * 10 + (text->data[i] - '0');
    }
    *text = slice_skip(*text, count);
    *value = sum;
    return true;
}

static bool byte_read(struct slice *text, uint8_t byte)
{
    if (text->size == 0 || text->data[0] != byte)
        return false;
    *text = slice_skip(*text, 1);
    return true;
}

const char *known_put_mask(struct buf *out, char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_put_byte(out, ',');
        if (!path_put(out, paths[i]))
            return "must be field paths in snake_case";
    }
    return NULL;
}

/* Upper case would come back with an underscore before it, an underscore before anything but a lower-case
 * letter not at all. */
static bool path_put(struct buf *out, const char *path)
{
    bool inside = false; /* behind a byte of a name */
    for (; *path != '\0'; path++) {
        uint8_t byte = (uint8_t)*path;
        if (byte == '_') {
            if (!is_lower((uint8_t)path[1]))
                return false;
            buf_put_byte(out, (uint8_t)(*++path - 32));
        } else if (is_lower(byte) || (text_is_digit(byte) && inside) || (byte == '.' && inside)) {
            buf_put_byte(out, byte);
        } else {
            return false;
        }
        inside = byte != '.';
    }
    return inside;
}

const char *known_mask(struct arena *arena, struct slice text, char ***paths, size_t *count)
{
    *paths = NULL;
    *count = 0;
    if (text.size == 0)
        return NULL;
    size_t commas = 0;
    for (size_t i = 0; i < text.size; i++)
        commas += text.data[i] == ',';
    if (commas >= PATHS_MAX)
        return "must be at most 1000 field paths";
    *paths = arena_alloc(arena, (commas + 1) * sizeof **paths);
    for (;;) {
        const uint8_t *comma = memchr(text.data, ',', text.size);
        size_t size = comma == NULL ? text.size : (size_t)(comma - text.data);
        char *path = path_read(arena, slice_make(text.data, size));
        if (path == NULL)
            return mask_form;
        (*paths)[(*count)++] = path;
        if (comma == NULL)
            return NULL;
        text = slice_skip(text, size + 1);
        if (text.size == 0)
            return mask_form;
    }
}

/* NULL: no path of names.  A letter may become two bytes. */
static char *path_read(struct arena *arena, struct slice path)
{
    char *out = arena_alloc(arena, 2 * path.size + 1);
    size_t size = 0;
    bool inside = false;
    for (size_t i = 0; i < path.size; i++) {
        uint8_t byte = path.data[i];
        if (is_upper(byte)) {
            out[size++] = '_';
            out[size++] = (char)(byte + 32);
        } else if (is_lower(byte) || (inside && (byte == '.' || text_is_digit(byte)))) {
            out[size++] = (char)byte;
        } else {
            return NULL;
        }
        inside = byte != '.';
    }
    return inside ? out : NULL;
}

static bool is_lower(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_upper(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}
