/* Dates and times by pattern.  See when.h. */
#include "when.h"

#include "value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TOKENS_MAX 64

enum token_kind {
    TOKEN_TEXT,
    TOKEN_YEAR,
    TOKEN_MONTH, /* a number, or a name from three letters on */
    TOKEN_DAY,
    TOKEN_DAY_OF_YEAR,
    TOKEN_WEEKDAY,
    TOKEN_AM_PM,
    TOKEN_HOUR,    /* H: 0 to 23 */
    TOKEN_HOUR_24, /* k: 1 to 24 */
    TOKEN_HOUR_12, /* h: 1 to 12 */
    TOKEN_HOUR_11, /* K: 0 to 11 */
    TOKEN_MINUTE,
    TOKEN_SECOND,
    TOKEN_FRACTION,
    TOKEN_NANOS,
    TOKEN_OFFSET,   /* Z, x: +0100 */
    TOKEN_OFFSET_Z, /* X: the same, or Z for zero */
};

struct token {
    enum token_kind kind;
    size_t width;      /* letters in the pattern */
    struct slice text; /* TOKEN_TEXT */
};

struct when_format {
    struct token tokens[TOKENS_MAX];
    size_t count;
};

/* What a text has said so far; -1: nothing. */
struct seen {
    int year, month, day;
};

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

static const char *const halves[] = {"AM", "PM"};

/* Of a number: its digits at most, and its value. */
struct range {
    size_t digits;
    int low, high;
};

struct names {
    const char *const *names;
    size_t count;
};

static bool kind_of(char letter, enum token_kind *kind);
static int quoted(struct ctx *ctx, const char **at, struct token *token);
static bool take(const struct token *token, struct slice *text, struct seen *seen);
static bool take_number(struct slice *text, struct range range, int *value);
static bool take_name(struct slice *text, const struct names *names, size_t width, int *value);
static bool take_offset(const struct token *token, struct slice *text);
static bool day_exists(const struct seen *seen);
static void put(const struct token *token, const struct tm *tm, struct buf *out);

int when_parse(struct ctx *ctx, const char *pattern, struct when_format **format)
{
    struct when_format *made = arena_alloc(ctx->arena, sizeof *made);
    for (const char *at = pattern; *at != '\0';) {
        if (made->count == TOKENS_MAX)
            return FAULT(ctx, FAULT_CONFIG, "the date pattern \"%.60s\" is too long", pattern);
        struct token *token = &made->tokens[made->count++];
        *token = (struct token){.kind = TOKEN_TEXT};
        if (*at == '\'') {
            TRY(quoted(ctx, &at, token));
        } else if (!isalnum((unsigned char)*at)) {
            token->text = slice_make(at++, 1);
        } else if (kind_of(*at, &token->kind)) {
            char letter = *at;
            for (; *at == letter; at++)
                token->width++;
        } else {
            return FAULT(ctx, FAULT_CONFIG, "'%c' of the date pattern \"%.60s\" is not understood",
                         *at, pattern);
        }
    }
    if (made->count == 0)
        return FAULT(ctx, FAULT_CONFIG, "a date pattern is empty");
    *format = made;
    return OK;
}

static bool kind_of(char letter, enum token_kind *kind)
{
    static const struct {
        char letter;
        enum token_kind kind;
    } letters[] = {
        {'y', TOKEN_YEAR},   {'u', TOKEN_YEAR},        {'M', TOKEN_MONTH},    {'L', TOKEN_MONTH},
        {'d', TOKEN_DAY},    {'D', TOKEN_DAY_OF_YEAR}, {'E', TOKEN_WEEKDAY},  {'a', TOKEN_AM_PM},
        {'H', TOKEN_HOUR},   {'k', TOKEN_HOUR_24},     {'h', TOKEN_HOUR_12},  {'K', TOKEN_HOUR_11},
        {'m', TOKEN_MINUTE}, {'s', TOKEN_SECOND},      {'S', TOKEN_FRACTION}, {'n', TOKEN_NANOS},
        {'Z', TOKEN_OFFSET}, {'x', TOKEN_OFFSET},      {'X', TOKEN_OFFSET_Z},
    };
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        if (letters[i].letter == letter) {
            *kind = letters[i].kind;
            return true;
        }
    }
    return false;
}

/* 'T'; two quotes are one. */
static int quoted(struct ctx *ctx, const char **at, struct token *token)
{
    const char *begin = *at + 1;
    const char *end = strchr(begin, '\'');
    if (end == NULL)
        return FAULT(ctx, FAULT_CONFIG, "a date pattern has a quote that is not closed");
    token->text = end == begin ? slice_make(begin, 1) : slice_make(begin, (size_t)(end - begin));
    *at = end + 1;
    return OK;
}

bool when_fits(const struct when_format *format, struct slice text)
{
    struct seen seen = {-1, -1, -1};
    for (size_t i = 0; i < format->count; i++) {
        if (!take(&format->tokens[i], &text, &seen))
            return false;
    }
    return text.size == 0 && day_exists(&seen);
}

static bool take(const struct token *token, struct slice *text, struct seen *seen)
{
    int ignored;
    size_t width = token->width;
    switch (token->kind) {
    case TOKEN_TEXT:
        if (text->size < token->text.size ||
            memcmp(text->data, token->text.data, token->text.size) != 0)
            return false;
        *text = slice_skip(*text, token->text.size);
        return true;
    case TOKEN_YEAR:
        return take_number(text, (struct range){width < 2 ? 4 : width, 0, 999999999}, &seen->year);
    case TOKEN_MONTH:
        return width > 2 ? take_name(text, &(struct names){months, 12}, width, &seen->month)
                         : take_number(text, (struct range){2, 1, 12}, &seen->month);
    case TOKEN_DAY:
        return take_number(text, (struct range){2, 1, 31}, &seen->day);
    case TOKEN_DAY_OF_YEAR:
        return take_number(text, (struct range){3, 1, 366}, &ignored);
    case TOKEN_WEEKDAY:
        return take_name(text, &(struct names){weekdays, 7}, width, &ignored);
    case TOKEN_AM_PM:
        return take_name(text, &(struct names){halves, 2}, 2, &ignored);
    case TOKEN_HOUR:
        return take_number(text, (struct range){2, 0, 23}, &ignored);
    case TOKEN_HOUR_24:
        return take_number(text, (struct range){2, 1, 24}, &ignored);
    case TOKEN_HOUR_12:
        return take_number(text, (struct range){2, 1, 12}, &ignored);
    case TOKEN_HOUR_11:
        return take_number(text, (struct range){2, 0, 11}, &ignored);
    case TOKEN_MINUTE:
        return take_number(text, (struct range){2, 0, 59}, &ignored);
    case TOKEN_SECOND: /* a leap second is one */
        return take_number(text, (struct range){2, 0, 60}, &ignored);
    case TOKEN_FRACTION:
        return take_number(text, (struct range){width > 9 ? 9 : width, 0, 999999999}, &ignored);
    case TOKEN_NANOS:
        return take_number(text, (struct range){9, 0, 999999999}, &ignored);
    case TOKEN_OFFSET:
    case TOKEN_OFFSET_Z:
        return take_offset(token, text);
    }
    return false;
}

static bool take_number(struct slice *text, struct range range, int *value)
{
    size_t digits = 0;
    int64_t number = 0;
    while (digits < range.digits && digits < text->size && isdigit(text->data[digits]))
        number = 10 * number + (text->data[digits++] - '0');
    if (digits == 0 || number < range.low || number > range.high)
        return false;
    *value = (int)number;
    *text = slice_skip(*text, digits);
    return true;
}

/* Three letters of the name up to a width of three, else all of it; in any case. */
static bool take_name(struct slice *text, const struct names *names, size_t width, int *value)
{
    for (size_t i = 0; i < names->count; i++) {
        size_t size = strlen(names->names[i]);
        if (size > 3 && width <= 3)
            size = 3;
        if (text->size >= size &&
            strncasecmp((const char *)text->data, names->names[i], size) == 0) {
            *value = (int)i + 1;
            *text = slice_skip(*text, size);
            return true;
        }
    }
    return false;
}

/* One letter: +01, two: +0100, three: +01:00; ISO 8601 has no more than 18 hours. */
static bool take_offset(const struct token *token, struct slice *text)
{
    int hours = 0, minutes = 0;
    if (token->kind == TOKEN_OFFSET_Z && text->size > 0 && text->data[0] == 'Z') {
        *text = slice_skip(*text, 1);
        return true;
    }
    if (text->size == 0 || (text->data[0] != '+' && text->data[0] != '-'))
        return false;
    *text = slice_skip(*text, 1);
    if (!take_number(text, (struct range){2, 0, 18}, &hours))
        return false;
    bool colon = token->width == 3 || token->width == 5;
    if (colon && (text->size == 0 || text->data[0] != ':'))
        return false;
    if (colon)
        *text = slice_skip(*text, 1);
    bool may_end = token->width == 1 && (text->size == 0 || !isdigit(text->data[0]));
    return may_end || take_number(text, (struct range){2, 0, 59}, &minutes);
}

static bool day_exists(const struct seen *seen)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (seen->month < 1 || seen->day < 1)
        return true;
    bool leap = seen->year < 0 || seen->year % 400 == 0 ||
                (seen->year % 4 == 0 && seen->year % 100 != 0);
    int last = seen->month == 2 && !leap ? 28 : days[seen->month - 1];
    return seen->day <= last;
}

void when_print(const struct when_format *format, int64_t seconds, struct buf *out)
{
    time_t time = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&time, &tm) == NULL)
        return;
    for (size_t i = 0; i < format->count; i++)
        put(&format->tokens[i], &tm, out);
}

static void put(const struct token *token, const struct tm *tm, struct buf *out)
{
    int width = token->width > 9 ? 9 : (int)token->width;
    bool is_short = width <= 3;
    switch (token->kind) {
    case TOKEN_TEXT:
        buf_put_slice(out, token->text);
        return;
    case TOKEN_YEAR:
        buf_printf(out, "%0*d", width, width == 2 ? tm->tm_year % 100 : tm->tm_year + 1900);
        return;
    case TOKEN_MONTH:
        if (width > 2)
            buf_printf(out, is_short ? "%.3s" : "%s", months[tm->tm_mon]);
        else
            buf_printf(out, "%0*d", width, tm->tm_mon + 1);
        return;
    case TOKEN_DAY:
        buf_printf(out, "%0*d", width, tm->tm_mday);
        return;
    case TOKEN_DAY_OF_YEAR:
        buf_printf(out, "%0*d", width, tm->tm_yday + 1);
        return;
    case TOKEN_WEEKDAY:
        buf_printf(out, is_short ? "%.3s" : "%s", weekdays[tm->tm_wday]);
        return;
    case TOKEN_AM_PM:
        buf_put_str(out, tm->tm_hour < 12 ? "AM" : "PM");
        return;
    case TOKEN_HOUR:
        buf_printf(out, "%0*d", width, tm->tm_hour);
        return;
    case TOKEN_HOUR_24:
        buf_printf(out, "%0*d", width, tm->tm_hour == 0 ? 24 : tm->tm_hour);
        return;
    case TOKEN_HOUR_12:
        buf_printf(out, "%0*d", width, tm->tm_hour % 12 == 0 ? 12 : tm->tm_hour % 12);
        return;
    case TOKEN_HOUR_11:
        buf_printf(out, "%0*d", width, tm->tm_hour % 12);
        return;
    case TOKEN_MINUTE:
        buf_printf(out, "%0*d", width, tm->tm_min);
        return;
    case TOKEN_SECOND:
        buf_printf(out, "%0*d", width, tm->tm_sec);
        return;
    case TOKEN_FRACTION:
    case TOKEN_NANOS:
        buf_printf(out, "%0*d", width, 0);
        return;
    case TOKEN_OFFSET:
        buf_put_str(out, width == 3 || width == 5 ? "+00:00" : width == 1 ? "+00" : "+0000");
        return;
    case TOKEN_OFFSET_Z:
        buf_put_byte(out, 'Z');
        return;
    }
}
