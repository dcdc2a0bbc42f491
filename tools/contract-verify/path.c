/* Path expressions.  See path.h. */
#include "path.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int refuse(struct ctx *ctx, const char *text, const char *rule);
static struct step *add(struct ctx *ctx, struct path *path, enum step_kind kind);
static bool is_name_byte(unsigned char byte);
static int dot_step(struct ctx *ctx, const char *text, const char **at, struct path *path);
static int bracket_step(struct ctx *ctx, const char *text, const char **at, struct path *path);
static size_t step_weight(const struct step *rule, const struct step *step);
static void print_step(struct buf *out, const struct step *step);
static struct value *find_step(const struct step *step, struct value *value);

int path_parse(struct ctx *ctx, const char *text, struct path *path)
{
    *path = (struct path){0};
    add(ctx, path, STEP_ROOT);
    const char *at = text;
    if (*at == '$') {
        at++;
    } else if (is_name_byte((unsigned char)*at)) {
        TRY(dot_step(ctx, text, &at, path));
    } else if (*at != '\0') {
        return refuse(ctx, text, "must begin with $");
    }
    while (*at != '\0') {
        if (path->count == PATH_STEPS_MAX)
            return refuse(ctx, text, "has too many steps");
        if (*at == '.') {
            at++;
            TRY(dot_step(ctx, text, &at, path));
        } else if (*at == '[') {
            at++;
            TRY(bracket_step(ctx, text, &at, path));
        } else {
            return refuse(ctx, text, "needs '.' or '[' between its steps");
        }
    }
    return OK;
}

static int refuse(struct ctx *ctx, const char *text, const char *rule)
{
    return FAULT(ctx, FAULT_CONFIG, "the path \"%.120s\" %s", text, rule);
}

static struct step *add(struct ctx *ctx, struct path *path, enum step_kind kind)
{
    path->steps = value_grow(ctx->arena, path->steps, path->count, sizeof path->steps[0]);
    struct step *step = &path->steps[path->count++];
    *step = (struct step){.kind = kind};
    return step;
}

/* Letters of every script: all that is not ASCII. */
static bool is_name_byte(unsigned char byte)
{
    return isalnum(byte) || byte >= 0x80 || (byte != '\0' && strchr("_-:#@", byte) != NULL);
}

static int dot_step(struct ctx *ctx, const char *text, const char **at, struct path *path)
{
    if (**at == '*') {
        (*at)++;
        add(ctx, path, STEP_ANY);
        return OK;
    }
    const char *begin = *at;
    while (is_name_byte((unsigned char)**at))
        (*at)++;
    if (*at == begin)
        return refuse(ctx, text, "needs a name or * behind the dot");
    add(ctx, path, STEP_FIELD)->name = slice_make(begin, (size_t)(*at - begin));
    return OK;
}

static int bracket_step(struct ctx *ctx, const char *text, const char **at, struct path *path)
{
    if (**at == '\'') {
        const char *begin = *at + 1;
        const char *end = strchr(begin, '\'');
        if (end == NULL || end == begin)
            return refuse(ctx, text, "needs a name between its quotes");
        add(ctx, path, STEP_FIELD)->name = slice_make(begin, (size_t)(end - begin));
        *at = end + 1;
    } else if (**at == '*') {
        add(ctx, path, STEP_ANY_ITEM);
        (*at)++;
    } else {
        size_t index = 0, digits = 0;
        for (; isdigit((unsigned char)**at) && digits < 9; digits++)
            index = 10 * index + (size_t)(*(*at)++ - '0');
        if (digits == 0)
            return refuse(ctx, text, "needs a number, * or a quoted name in brackets");
        add(ctx, path, STEP_INDEX)->index = index;
    }
    if (**at != ']')
        return refuse(ctx, text, "has a bracket that is not closed");
    (*at)++;
    return OK;
}

size_t path_weight(const struct path *path, const struct place_in *place)
{
    if (path->count > place->depth)
        return 0;
    while (place->depth > path->count)
        place = place->above;
    size_t weight = 1;
    for (size_t i = path->count; i > 0 && weight > 0; i--, place = place->above)
        weight *= step_weight(&path->steps[i - 1], &place->step);
    return weight * path->count;
}

/* A number may stand for a field: JSON has objects with such keys. */
static size_t step_weight(const struct step *rule, const struct step *step)
{
    bool is_index = step->kind == STEP_INDEX;
    switch (rule->kind) {
    case STEP_ROOT:
        return step->kind == STEP_ROOT ? 2 : 0;
    case STEP_FIELD: {
        char digits[24] = "";
        if (is_index)
            (void)snprintf(digits, sizeof digits, "%zu", step->index);
        bool same = is_index ? slice_is(rule->name, digits)
                             : step->kind == STEP_FIELD && slice_equal(rule->name, step->name);
        return same ? 2 : 0;
    }
    case STEP_INDEX: {
        char digits[24];
        (void)snprintf(digits, sizeof digits, "%zu", rule->index);
        bool same = is_index ? step->index == rule->index
                             : step->kind == STEP_FIELD && slice_is(step->name, digits);
        return same ? 2 : 0;
    }
    case STEP_ANY:
        return step->kind == STEP_ROOT ? 0 : 1;
    case STEP_ANY_ITEM: {
        bool all_digits = step->kind == STEP_FIELD && step->name.size > 0;
        for (size_t i = 0; all_digits && i < step->name.size; i++)
            all_digits = isdigit(step->name.data[i]);
        return is_index || all_digits ? 1 : 0;
    }
    }
    return 0;
}

void path_print(struct buf *out, const struct place_in *place)
{
    if (place->above != NULL)
        path_print(out, place->above);
    print_step(out, &place->step);
}

static void print_step(struct buf *out, const struct step *step)
{
    bool plain = step->name.size > 0;
    for (size_t i = 0; plain && i < step->name.size; i++)
        plain = is_name_byte(step->name.data[i]);
    if (step->kind == STEP_ROOT)
        buf_put_byte(out, '$');
    else if (step->kind == STEP_INDEX)
        buf_printf(out, "[%zu]", step->index);
    else if (plain)
        buf_printf(out, ".%.*s", (int)step->name.size, step->name.data);
    else
        buf_printf(out, "['%.*s']", (int)step->name.size, step->name.data);
}

struct value *path_find(const struct path *path, struct value *value)
{
    for (size_t i = 1; i < path->count && value != NULL; i++)
        value = find_step(&path->steps[i], value);
    return value;
}

static struct value *find_step(const struct step *step, struct value *value)
{
    if (value->kind == VALUE_LIST)
        return step->kind == STEP_INDEX && step->index < value->count ? &value->items[step->index]
                                                                      : NULL;
    if (value->kind != VALUE_MAP && value->kind != VALUE_MESSAGE)
        return NULL;
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%zu", step->index);
    struct slice name = step->kind == STEP_INDEX ? slice_of_str(digits) : step->name;
    for (size_t i = 0; i < value->count; i++) {
        if (slice_equal(value->members[i].key, name))
            return &value->members[i].value;
    }
    return NULL;
}
