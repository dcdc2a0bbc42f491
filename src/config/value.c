/* Texts to values and back, by the kind of the key.  Used for file, environment and defaults alike,
 * so that "5s" means the same everywhere. */
#include "config/schema.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define RATIO_DIGITS 9

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: the first that divides a value is the one it is shown in. */
static const struct unit durations[] = {
    {"h", 3600 * NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"s", NS_PER_S},
    {"ms", NS_PER_MS},
    {"us", NS_PER_US},
    {"ns", 1},
    {NULL, 0},
};
static const struct unit sizes[] = {
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"", 1},
    {"B", 1},
    {NULL, 0},
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static bool set_text(const struct config_key *key, const char *text);
static bool set_number(void *member, const struct config_key *key, const char *text);
static bool set_bool(bool *member, const char *text);
static bool set_choice(int *member, const struct config_key *key, const char *text);
static const struct unit *units_of(enum config_kind kind);
static bool parse_number(const char *text, const struct unit *units, uint64_t *number);
static uint64_t read_number(const void *member, enum config_kind kind);
static bool parse_ratio(const char *text, uint64_t *billionths);
static void put_number(struct buf *out, uint64_t number, enum config_kind kind);
static void put_ratio(struct buf *out, uint64_t billionths);
static void put_choices(struct buf *out, const char *const *choices, const char *suffix);
static bool is_among(const char *const *choices, const char *text, size_t length);
static bool is_address(const char *text);
static bool is_uri(const char *text);
static bool is_url(const char *const *schemes, const char *text);

bool config_set(struct config *config, const struct config_key *key, const char *text,
                struct buf *expected)
{
    void *member = (char *)config + key->offset;
    bool fits = false;
    switch (key->kind) {
    case KIND_TEXT:
    case KIND_FILE:
    case KIND_ADDRESS:
    case KIND_URI:
    case KIND_URL:
        fits = set_text(key, text);
        if (fits)
            *(const char **)member = text;
        break;
    case KIND_CHOICE:
        fits = set_choice(member, key, text);
        break;
    case KIND_BOOL:
        fits = set_bool(member, text);
        break;
    case KIND_PORT:
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
    case KIND_RATIO:
        fits = set_number(member, key, text);
        break;
    }
    if (!fits)
        config_describe(key, expected);
    return fits;
}

void config_describe(const struct config_key *key, struct buf *out)
{
    switch (key->kind) {
    case KIND_TEXT:
    case KIND_CHOICE:
        if (key->choices == NULL)
            buf_put_str(out, "printable text of at most 255 bytes");
        else
            put_choices(out, key->choices, "");
        return;
    case KIND_FILE:
        buf_put_str(out, "a file name");
        return;
    case KIND_ADDRESS:
        buf_put_str(out, "a numeric IP address");
        return;
    case KIND_URI:
        buf_put_str(out, "a URI such as spiffe://domain/ns/NAME/sa/NAME");
        return;
    case KIND_URL:
        buf_put_str(out, "a URL with a host that begins with ");
        put_choices(out, key->choices, "://");
        return;
    case KIND_BOOL:
        buf_put_str(out, "true or false");
        return;
    case KIND_PORT:
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
    case KIND_RATIO:
        buf_put_str(out, key->kind == KIND_DURATION ? "a duration from "
                         : key->kind == KIND_SIZE   ? "a size from "
                         : key->kind == KIND_RATIO  ? "a ratio from "
                                                    : "a number from ");
        put_number(out, key->min, key->kind);
        buf_put_str(out, " to ");
        put_number(out, key->max, key->kind);
        return;
    }
}

void config_show(const struct config *config, const struct config_key *key, struct buf *out)
{
    const void *member = (const char *)config + key->offset;
    switch (key->kind) {
    case KIND_TEXT:
    case KIND_FILE:
    case KIND_ADDRESS:
    case KIND_URI:
        buf_put_str(out, config_text(config, key));
        return;
    case KIND_URL:
        config_put_masked_url(out, config_text(config, key));
        return;
    case KIND_CHOICE:
        buf_put_str(out, key->choices[*(const int *)member]);
        return;
    case KIND_BOOL:
        buf_put_str(out, *(const bool *)member ? "true" : "false");
        return;
    case KIND_PORT:
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
    case KIND_RATIO:
        put_number(out, read_number(member, key->kind), key->kind);
        return;
    }
}

const char *config_text(const struct config *config, const struct config_key *key)
{
    assert(key->kind == KIND_TEXT || key->kind == KIND_FILE || key->kind == KIND_ADDRESS ||
           key->kind == KIND_URI || key->kind == KIND_URL);
    return *(const char *const *)(const void *)((const char *)config + key->offset);
}

bool config_is_secret(const struct config_key *key)
{
    return key->kind == KIND_URL;
}

/* The empty text means "unset" for all of these. */
static bool set_text(const struct config_key *key, const char *text)
{
    if (text[0] == '\0')
        return key->preset[0] == '\0';
    if (!config_is_printable(text))
        return false;
    switch (key->kind) {
    case KIND_TEXT:
        return key->choices == NULL ? strlen(text) <= 255
                                    : is_among(key->choices, text, strlen(text));
    case KIND_FILE:
        return strlen(text) < 4096;
    case KIND_ADDRESS:
        return is_address(text);
    case KIND_URI:
        return is_uri(text);
    case KIND_URL:
        return is_url(key->choices, text);
    case KIND_CHOICE:
    case KIND_BOOL:
    case KIND_PORT:
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
    case KIND_RATIO:
        break;
    }
    assert(false); /* these kinds store no text */
    return false;
}

/* Range checks come before narrowing: max fits the member (checked in the tests of the table). */
static bool set_number(void *member, const struct config_key *key, const char *text)
{
    assert(key->min < key->max);
    uint64_t number = 0;
    bool is_number = key->kind == KIND_RATIO ? parse_ratio(text, &number)
                                             : parse_number(text, units_of(key->kind), &number);
    if (!is_number || number < key->min || number > key->max)
        return false;
    if (key->kind == KIND_PORT)
        *(uint16_t *)member = (uint16_t)number;
    else if (key->kind == KIND_COUNT || key->kind == KIND_RATIO)
        *(uint32_t *)member = (uint32_t)number;
    else
        *(uint64_t *)member = number;
    return true;
}

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes and durations are stored alike");

/* YAML 1.1 spellings, lower case: what other tools write. */
static bool set_bool(bool *member, const char *text)
{
    static const char *const yes[] = {"true", "yes", "on", NULL};
    static const char *const no[] = {"false", "no", "off", NULL};
    bool is_yes = is_among(yes, text, strlen(text));
    if (!is_yes && !is_among(no, text, strlen(text)))
        return false;
    *member = is_yes;
    return true;
}

/* The index is the value: tables of choices stand in the order of their enums. */
static bool set_choice(int *member, const struct config_key *key, const char *text)
{
    for (int i = 0; key->choices[i] != NULL; i++) {
        if (strcmp(text, key->choices[i]) == 0) {
            *member = i;
            return true;
        }
    }
    return false;
}

static const struct unit *units_of(enum config_kind kind)
{
    if (kind == KIND_DURATION)
        return durations;
    return kind == KIND_SIZE ? sizes : plain;
}

/* Digits and one unit.  A duration needs its unit, except 0: "5" could be anything. */
static bool parse_number(const char *text, const struct unit *units, uint64_t *number)
{
    uint64_t digits = 0;
    const char *c = text;
    for (; isdigit((unsigned char)*c); c++) {
        if (__builtin_mul_overflow(digits, 10, &digits) ||
            __builtin_add_overflow(digits, (uint64_t)(*c - '0'), &digits))
            return false;
    }
    if (c == text)
        return false;
    if (digits == 0 && *c == '\0') {
        *number = 0;
        return true;
    }
    for (const struct unit *unit = units; unit->name != NULL; unit++) {
        if (strcmp(c, unit->name) == 0)
            return !__builtin_mul_overflow(digits, unit->factor, number);
    }
    return false;
}

/* "1", "0.25": a digit and, behind a point, as many as billionths have; in every locale. */
static bool parse_ratio(const char *text, uint64_t *billionths)
{
    size_t digits =
        text[0] >= '0' && text[0] <= '9' && text[1] == '.' ? strspn(text + 2, "0123456789") : 0;
    const char *end = text + (digits == 0 ? 1 : 2 + digits);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || digits > RATIO_DIGITS)
        return false;
    uint64_t value = (uint64_t)(text[0] - '0');
    for (size_t i = 0; i < RATIO_DIGITS; i++)
        value = value * 10 + (i < digits ? (uint64_t)(text[2 + i] - '0') : 0);
    *billionths = value;
    return true;
}

/* The member is as wide as its kind says (checked in schema.c). */
static uint64_t read_number(const void *member, enum config_kind kind)
{
    if (kind == KIND_PORT)
        return *(const uint16_t *)member;
    if (kind == KIND_COUNT || kind == KIND_RATIO)
        return *(const uint32_t *)member;
    return *(const uint64_t *)member;
}

/* The largest unit that divides the value, so that what is printed can be read back unchanged. */
static void put_number(struct buf *out, uint64_t number, enum config_kind kind)
{
    if (kind == KIND_RATIO) {
        put_ratio(out, number);
        return;
    }
    const struct unit *unit = units_of(kind);
    while (number % unit->factor != 0)
        unit++;
    assert(unit->name != NULL); /* every list ends with a factor of 1 */
    if (number == 0)
        buf_put_str(out, "0");
    else
        buf_printf(out, "%llu%s", (unsigned long long)(number / unit->factor), unit->name);
}

static void put_ratio(struct buf *out, uint64_t billionths)
{
    char digits[RATIO_DIGITS + 2];
    size_t size = (size_t)snprintf(digits, sizeof digits, "%0*llu", RATIO_DIGITS + 1,
                                   (unsigned long long)billionths);
    while (size > 1 && digits[size - 1] == '0')
        size--;
    buf_put(out, digits, 1);
    buf_put_str(out, size > 1 ? "." : "");
    buf_put(out, digits + 1, size - 1);
}

/* "a, b or c". */
static void put_choices(struct buf *out, const char *const *choices, const char *suffix)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (i > 0)
            buf_put_str(out, choices[i + 1] == NULL ? " or " : ", ");
        buf_printf(out, "%s%s", choices[i], suffix);
    }
}

static bool is_among(const char *const *choices, const char *text, size_t length)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (strlen(choices[i]) == length && strncmp(choices[i], text, length) == 0)
            return true;
    }
    return false;
}

/* Names would need DNS at start: an address to listen on is a number. */
static bool is_address(const char *text)
{
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* RFC 3986: scheme ":" and only characters that a URI may hold. */
static bool is_uri(const char *text)
{
    size_t scheme =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (!isalpha((unsigned char)text[0]) || text[scheme] != ':' || text[scheme + 1] == '\0')
        return false;
    for (const char *c = text + scheme; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("-._~:/?#[]@!$&'()*+,;=%", *c) == NULL)
            return false;
        if (*c == '%' && (!isxdigit((unsigned char)c[1]) || !isxdigit((unsigned char)c[2])))
            return false;
    }
    return strlen(text) <= 2048;
}

/* A scheme of the list, "://", and something that can be a host after the user's part. */
static bool is_url(const char *const *schemes, const char *text)
{
    const char *mark = strstr(text, "://");
    if (mark == NULL || !is_among(schemes, text, (size_t)(mark - text)))
        return false;
    const char *authority = mark + 3;
    size_t length = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', length);
    const char *host = at == NULL ? authority : at + 1;
    return host < authority + length && strchr(text, ' ') == NULL;
}
