/* Judging single values, and the size of lists and maps.  See match.h.
 *
 * JSON tells numbers, truths and texts apart, so a rule of numbers refuses "7".  Metadata and some fields
 * of protobuf are texts that mean numbers: there the rule looks at what the text says. */
#include "match_int.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *judge_json(struct ctx *ctx, const struct rule *rule,
                              const struct judgement *judgement);
static const char *judge_field(struct ctx *ctx, const struct rule *rule,
                               const struct judgement *judgement);
static const char *judge_number(const struct rule *rule, const struct value *actual);
static const char *judge_search(struct ctx *ctx, const struct rule *rule,
                                const struct value *actual);
static const char *judge_type(struct ctx *ctx, const struct rule *rule,
                              const struct judgement *judgement);
static const char *judge_size(struct ctx *ctx, const struct rule *rule,
                              const struct judgement *judgement);
static bool is_number(struct slice text, bool whole);
static bool is_semver(struct slice text);

static bool is_text(const struct value *value)
{
    return value->kind == VALUE_TEXT || value->kind == VALUE_ENUM;
}

static bool is_whole(const struct value *value)
{
    return value->kind == VALUE_INT || value->kind == VALUE_UINT;
}

static bool is_true_or_false(const struct value *value)
{
    return value->kind == VALUE_BOOL ||
           (is_text(value) && (slice_is(value->text, "true") || slice_is(value->text, "false")));
}

const char *judge_scalar(struct ctx *ctx, const struct rule *rule,
                         const struct judgement *judgement)
{
    const struct value *actual = judgement->actual;
    bool same;
    switch (rule->kind) {
    case RULE_EQUALITY:
        same = value_equal(judgement->expected, actual);
        if (same)
            return NULL;
        struct buf text = BUF_EMPTY;
        buf_put_str(&text, "is not ");
        value_print(&text, judgement->expected, 160);
        const char *why = arena_strdup(ctx->arena, buf_str(&text));
        buf_deinit(&text);
        return why;
    case RULE_REGEX:
    case RULE_INCLUDE:
        return judge_search(ctx, rule, actual);
    case RULE_TYPE:
        return judge_type(ctx, rule, judgement);
    case RULE_BOOLEAN:
        return is_true_or_false(actual) ? NULL : "is not true or false";
    case RULE_SEMVER:
        return is_text(actual) && is_semver(actual->text) ? NULL : "is not a semantic version";
    case RULE_DATE:
    case RULE_TIME:
    case RULE_DATETIME:
        if (is_text(actual) && when_fits(rule->when, actual->text))
            return NULL;
        return arena_printf(ctx->arena, "is not of the form %.*s", (int)rule->text.size,
                            rule->text.data);
    case RULE_INTEGER:
    case RULE_DECIMAL:
    case RULE_NUMBER:
    case RULE_NULL:
    case RULE_NOT_EMPTY:
    case RULE_VALUES:
    case RULE_EACH_KEY:
    case RULE_EACH_VALUE:
    case RULE_ARRAY_CONTAINS:
        return judgement->is_json ? judge_json(ctx, rule, judgement)
                                  : judge_field(ctx, rule, judgement);
    }
    return NULL;
}

static const char *judge_json(struct ctx *ctx, const struct rule *rule,
                              const struct judgement *judgement)
{
    static const struct rule equality = {.kind = RULE_EQUALITY};
    const struct value *actual = judgement->actual;
    if (rule->kind == RULE_INTEGER)
        return is_whole(actual) ? NULL : "is not an integer";
    if (rule->kind == RULE_DECIMAL)
        return actual->kind == VALUE_REAL ? NULL : "is not a decimal number";
    if (rule->kind == RULE_NUMBER)
        return is_whole(actual) || actual->kind == VALUE_REAL ? NULL : "is not a number";
    if (rule->kind == RULE_NULL)
        return actual->kind == VALUE_NULL ? NULL : "is not null";
    if (rule->kind == RULE_NOT_EMPTY) {
        bool is_empty = actual->kind == VALUE_NULL ||
                        (actual->kind == VALUE_TEXT && actual->text.size == 0) ||
                        (value_has_parts(actual) && actual->count == 0);
        return is_empty ? "is empty" : NULL;
    }
    if (rule->kind == RULE_VALUES)
        return judge_scalar(ctx, &equality, judgement);
    return NULL; /* eachKey, eachValue, arrayContains say nothing of a single value */
}

static const char *judge_field(struct ctx *ctx, const struct rule *rule,
                               const struct judgement *judgement)
{
    static const struct rule equality = {.kind = RULE_EQUALITY};
    const struct value *actual = judgement->actual;
    bool is_number_rule = rule->kind == RULE_INTEGER || rule->kind == RULE_DECIMAL ||
                          rule->kind == RULE_NUMBER;
    if (is_number_rule)
        return judge_number(rule, actual);
    if (rule->kind == RULE_NOT_EMPTY && (is_text(actual) || actual->kind == VALUE_BYTES))
        return actual->text.size > 0 ? NULL : "is empty";
    if (rule->kind == RULE_VALUES)
        return judge_scalar(ctx, &equality, judgement);
    bool below_only = rule->kind == RULE_EACH_KEY || rule->kind == RULE_EACH_VALUE;
    if (below_only && judgement->cascaded)
        return NULL;
    return arena_printf(ctx->arena, "is a %s, of which this rule says nothing",
                        value_kind_name(actual));
}

static const char *judge_number(const struct rule *rule, const struct value *actual)
{
    bool wants_whole = rule->kind == RULE_INTEGER;
    if (is_text(actual))
        return is_number(actual->text, wants_whole) ? NULL : "is not a number";
    if (wants_whole)
        return is_whole(actual) ? NULL : "is not an integer";
    if (rule->kind == RULE_DECIMAL)
        return actual->kind == VALUE_REAL ? NULL : "is not a decimal number";
    return is_whole(actual) || actual->kind == VALUE_REAL ? NULL : "is not a number";
}

static const char *judge_search(struct ctx *ctx, const struct rule *rule,
                                const struct value *actual)
{
    struct slice text = value_text(ctx->arena, actual);
    bool exhausted = false;
    if (rule->kind == RULE_INCLUDE) {
        bool found = rule->text.size == 0 ||
                     (text.size > 0 &&
                      memmem(text.data, text.size, rule->text.data, rule->text.size) != NULL);
        return found ? NULL
                     : arena_printf(ctx->arena, "does not include %.*s", (int)rule->text.size,
                                    rule->text.data);
    }
    if (pattern_fits(rule->pattern, text, &exhausted))
        return NULL;
    return arena_printf(ctx->arena, "%s %.*s",
                        exhausted ? "takes too long to match" : "does not match",
                        (int)rule->text.size, rule->text.data);
}

/* Of JSON numbers integers and decimals are one type, as JSON itself has it. */
static const char *judge_type(struct ctx *ctx, const struct rule *rule,
                              const struct judgement *judgement)
{
    const struct value *expected = judgement->expected, *actual = judgement->actual;
    bool numbers = judgement->is_json && (is_whole(expected) || expected->kind == VALUE_REAL) &&
                   (is_whole(actual) || actual->kind == VALUE_REAL);
    if (!numbers && expected->kind != actual->kind)
        return arena_printf(ctx->arena, "is a %s, not a %s", value_kind_name(actual),
                            value_kind_name(expected));
    return actual->kind == VALUE_BYTES ? judge_size(ctx, rule, judgement) : NULL;
}

static const char *judge_size(struct ctx *ctx, const struct rule *rule,
                              const struct judgement *judgement)
{
    const struct value *actual = judgement->actual;
    size_t size = actual->kind == VALUE_BYTES ? actual->text.size : actual->count;
    if (judgement->cascaded)
        return NULL;
    if (rule->min.given && size < rule->min.count)
        return arena_printf(ctx->arena, "has %zu, not at least %zu", size, rule->min.count);
    if (rule->max.given && size > rule->max.count)
        return arena_printf(ctx->arena, "has %zu, not at most %zu", size, rule->max.count);
    return NULL;
}

const char *judge_parts(struct ctx *ctx, const struct rule *rule, const struct judgement *judgement)
{
    bool is_list = judgement->actual->kind == VALUE_LIST;
    switch (rule->kind) {
    case RULE_TYPE:
        return judge_size(ctx, rule, judgement);
    case RULE_EQUALITY:
        return judge_scalar(ctx, rule, judgement);
    case RULE_NOT_EMPTY:
        return judgement->actual->count == 0 ? "is empty" : NULL;
    case RULE_REGEX: /* what these say, they say of what is inside */
    case RULE_VALUES:
    case RULE_EACH_KEY:
    case RULE_EACH_VALUE:
    case RULE_ARRAY_CONTAINS:
        return NULL;
    case RULE_INTEGER:
    case RULE_DECIMAL:
    case RULE_NUMBER:
    case RULE_BOOLEAN:
    case RULE_INCLUDE:
    case RULE_DATE:
    case RULE_TIME:
    case RULE_DATETIME:
    case RULE_SEMVER:
        return is_list ? NULL : "is a map, of which this rule says nothing";
    case RULE_NULL:
        return is_list ? "is a list, not null" : "is a map, not null";
    }
    return NULL;
}

/* Decimal digits, a sign, a point, an exponent; whole: digits alone. */
static bool is_number(struct slice text, bool whole)
{
    char copy[64];
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        bool fine = isdigit(text.data[i]) || (!whole && strchr("+-.eE", text.data[i]) != NULL);
        if (!fine || text.data[i] == '\0')
            return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end = NULL;
    double number = strtod(copy, &end);
    return *end == '\0' && !isnan(number);
}

/* One dot-separated list of identifiers; `numeric`: exactly three numbers. */
static bool are_identifiers(struct slice text, bool numeric, bool is_build)
{
    size_t begin = 0, parts = 0;
    for (size_t at = 0; at <= text.size; at++) {
        bool ends = at == text.size || text.data[at] == '.';
        if (!ends && !isalnum(text.data[at]) && text.data[at] != '-')
            return false;
        if (!ends)
            continue;
        bool digits = at > begin;
        for (size_t i = begin; i < at; i++)
            digits = digits && isdigit(text.data[i]);
        bool leading_zero = digits && at - begin > 1 && text.data[begin] == '0';
        if (at == begin || (numeric && !digits) || (leading_zero && !is_build))
            return false;
        parts++;
        begin = at + 1;
    }
    return !numeric || parts == 3;
}

/* semver.org 2.0.0: MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]. */
static bool is_semver(struct slice text)
{
    const uint8_t *plus = text.size == 0 ? NULL : memchr(text.data, '+', text.size);
    size_t core = plus == NULL ? text.size : (size_t)(plus - text.data);
    if (plus != NULL && !are_identifiers(slice_skip(text, core + 1), false, true))
        return false;
    const uint8_t *dash = core == 0 ? NULL : memchr(text.data, '-', core);
    size_t numbers = dash == NULL ? core : (size_t)(dash - text.data);
    if (dash != NULL &&
        !are_identifiers(slice_make(text.data + numbers + 1, core - numbers - 1), false, false))
        return false;
    return are_identifiers(slice_make(text.data, numbers), true, false);
}
