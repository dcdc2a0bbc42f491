/* Reading matching rules, and choosing those that fit a place.  See rules.h. */
#include "rules.h"

#include <stdio.h>
#include <string.h>

#define RULES_DEPTH_MAX 8 /* rules inside of rules */
#define ENTRIES_MAX 4096

struct rule_reader {
    struct ctx *ctx;
    struct pattern_pool *pool;
    unsigned depth;
};

static int read_entries(struct rule_reader *reader, const json_t *json, struct rules *rules);
static int read_list(struct rule_reader *reader, const json_t *json, struct rule_list *list);
static int add_rules(struct rule_reader *reader, const json_t *array, struct rule_list *list);
static int read_rule(struct rule_reader *reader, const json_t *json, struct rule *rule);
static int read_parts(struct rule_reader *reader, const json_t *json, struct rule *rule);
static int read_text(struct rule_reader *reader, const json_t *json, const char *name,
                     struct rule *rule);
static int read_bound(struct rule_reader *reader, const json_t *json, const char *name,
                      struct bound *bound);
static int read_date(struct rule_reader *reader, const json_t *json, const char *usual,
                     struct rule *rule);
static int read_inner(struct rule_reader *reader, const json_t *json, struct rule *rule);
static int read_variants(struct rule_reader *reader, const json_t *json, struct rule *rule);
static bool is_more_exact(const struct path *a, const struct path *b);

static const struct {
    const char *name;
    enum rule_kind kind;
} kinds[] = {
    {"equality", RULE_EQUALITY},
    {"regex", RULE_REGEX},
    {"type", RULE_TYPE},
    {"min", RULE_TYPE},
    {"max", RULE_TYPE},
    {"min-type", RULE_TYPE},
    {"max-type", RULE_TYPE},
    {"integer", RULE_INTEGER},
    {"decimal", RULE_DECIMAL},
    {"real", RULE_DECIMAL},
    {"number", RULE_NUMBER},
    {"boolean", RULE_BOOLEAN},
    {"null", RULE_NULL},
    {"include", RULE_INCLUDE},
    {"notEmpty", RULE_NOT_EMPTY},
    {"not-empty", RULE_NOT_EMPTY},
    {"date", RULE_DATE},
    {"time", RULE_TIME},
    {"timestamp", RULE_DATETIME},
    {"datetime", RULE_DATETIME},
    {"semver", RULE_SEMVER},
    {"values", RULE_VALUES},
    {"eachKey", RULE_EACH_KEY},
    {"each-key", RULE_EACH_KEY},
    {"eachValue", RULE_EACH_VALUE},
    {"each-value", RULE_EACH_VALUE},
    {"arrayContains", RULE_ARRAY_CONTAINS},
    {"array-contains", RULE_ARRAY_CONTAINS},
};

int rules_read(struct ctx *ctx, struct pattern_pool *pool, const json_t *json, struct rules *rules)
{
    struct rule_reader reader = {.ctx = ctx, .pool = pool};
    return json == NULL || json_is_null(json) ? OK : read_entries(&reader, json, rules);
}

static int read_entries(struct rule_reader *reader, const json_t *json, struct rules *rules)
{
    struct ctx *ctx = reader->ctx;
    const char *path;
    json_t *list;
    if (!json_is_object(json))
        return FAULT(ctx, FAULT_CONFIG, "matching rules must be an object of paths");
    json_object_foreach((json_t *)(uintptr_t)json, path, list)
    {
        if (rules->count == ENTRIES_MAX)
            return FAULT(ctx, FAULT_CONFIG, "there are too many matching rules");
        rules->entries =
            value_grow(ctx->arena, rules->entries, rules->count, sizeof rules->entries[0]);
        struct rule_entry *entry = &rules->entries[rules->count++];
        TRY(path_parse(ctx, arena_strdup(ctx->arena, path), &entry->path));
        int rc = read_list(reader, list, &entry->list);
        if (rc != OK)
            return FAULT(ctx, FAULT_CONFIG, "the rules of %.60s: %s", path,
                         arena_strdup(ctx->arena, ctx->fault.text));
    }
    return OK;
}

static int read_list(struct rule_reader *reader, const json_t *json, struct rule_list *list)
{
    *list = (struct rule_list){0};
    const char *combine = json_string_value(json_object_get(json, "combine"));
    if (combine != NULL && strcmp(combine, "AND") != 0 && strcmp(combine, "OR") != 0)
        return FAULT(reader->ctx, FAULT_CONFIG, "combine must be AND or OR");
    list->any = combine != NULL && strcmp(combine, "OR") == 0;
    const json_t *matchers = json_object_get(json, "matchers");
    if (!json_is_array(matchers))
        return FAULT(reader->ctx, FAULT_CONFIG, "\"matchers\" must be an array");
    return add_rules(reader, matchers, list);
}

static int add_rules(struct rule_reader *reader, const json_t *array, struct rule_list *list)
{
    list->count = json_array_size(array);
    list->rules = arena_alloc(reader->ctx->arena, (list->count + 1) * sizeof list->rules[0]);
    for (size_t i = 0; i < list->count; i++)
        TRY(read_rule(reader, json_array_get(array, i), &list->rules[i]));
    return OK;
}

static int read_rule(struct rule_reader *reader, const json_t *json, struct rule *rule)
{
    const char *match = json_string_value(json_object_get(json, "match"));
    if (match == NULL)
        return FAULT(reader->ctx, FAULT_CONFIG, "a rule has no \"match\"");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, match) != 0)
            continue;
        *rule = (struct rule){.kind = kinds[i].kind};
        return read_parts(reader, json, rule);
    }
    return FAULT(reader->ctx, FAULT_CONFIG, "the rule \"%.60s\" is not known here", match);
}

static int read_parts(struct rule_reader *reader, const json_t *json, struct rule *rule)
{
    switch (rule->kind) {
    case RULE_REGEX:
        TRY(read_text(reader, json, "regex", rule));
        return pattern_compile(reader->ctx, reader->pool, rule->text, &rule->pattern);
    case RULE_INCLUDE:
        return read_text(reader, json, "value", rule);
    case RULE_TYPE:
        TRY(read_bound(reader, json, "min", &rule->min));
        return read_bound(reader, json, "max", &rule->max);
    case RULE_DATE:
        return read_date(reader, json, "yyyy-MM-dd", rule);
    case RULE_TIME:
        return read_date(reader, json, "HH:mm:ss", rule);
    case RULE_DATETIME:
        return read_date(reader, json, "yyyy-MM-dd'T'HH:mm:ssXXX", rule);
    case RULE_EACH_KEY:
    case RULE_EACH_VALUE:
        return read_inner(reader, json, rule);
    case RULE_ARRAY_CONTAINS:
        return read_variants(reader, json, rule);
    case RULE_EQUALITY:
    case RULE_INTEGER:
    case RULE_DECIMAL:
    case RULE_NUMBER:
    case RULE_BOOLEAN:
    case RULE_NULL:
    case RULE_NOT_EMPTY:
    case RULE_SEMVER:
    case RULE_VALUES:
        return OK;
    }
    return OK;
}

static int read_text(struct rule_reader *reader, const json_t *json, const char *name,
                     struct rule *rule)
{
    const json_t *text = json_object_get(json, name);
    if (!json_is_string(text))
        return FAULT(reader->ctx, FAULT_CONFIG, "the rule \"%s\" needs a string \"%s\"",
                     json_string_value(json_object_get(json, "match")), name);
    rule->text = slice_of_str(arena_strdup(reader->ctx->arena, json_string_value(text)));
    return OK;
}

static int read_bound(struct rule_reader *reader, const json_t *json, const char *name,
                      struct bound *bound)
{
    const json_t *number = json_object_get(json, name);
    if (number == NULL)
        return OK;
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return FAULT(reader->ctx, FAULT_CONFIG, "\"%s\" must be a number from 0 on", name);
    *bound = (struct bound){true, (size_t)json_integer_value(number)};
    return OK;
}

static int read_date(struct rule_reader *reader, const json_t *json, const char *usual,
                     struct rule *rule)
{
    const char *match = json_string_value(json_object_get(json, "match"));
    const json_t *format = json_object_get(json, "format");
    if (format == NULL)
        format = json_object_get(json, match);
    const char *text = json_string_value(format);
    const char *pattern = arena_strdup(reader->ctx->arena, text == NULL ? usual : text);
    rule->text = slice_of_str(pattern);
    return when_parse(reader->ctx, pattern, &rule->when);
}

static int read_inner(struct rule_reader *reader, const json_t *json, struct rule *rule)
{
    const json_t *rules = json_object_get(json, "rules");
    if (rules != NULL && !json_is_array(rules))
        return FAULT(reader->ctx, FAULT_CONFIG, "\"rules\" must be an array");
    if (++reader->depth > RULES_DEPTH_MAX)
        return FAULT(reader->ctx, FAULT_CONFIG, "rules are nested too deeply");
    rule->inner = arena_alloc(reader->ctx->arena, sizeof *rule->inner);
    TRY(rules == NULL ? OK : add_rules(reader, rules, rule->inner));
    reader->depth--;
    return OK;
}

static int read_variants(struct rule_reader *reader, const json_t *json, struct rule *rule)
{
    const json_t *variants = json_object_get(json, "variants");
    if (!json_is_array(variants))
        return FAULT(reader->ctx, FAULT_CONFIG, "\"variants\" must be an array");
    if (++reader->depth > RULES_DEPTH_MAX)
        return FAULT(reader->ctx, FAULT_CONFIG, "rules are nested too deeply");
    size_t count = json_array_size(variants);
    rule->variants = arena_alloc(reader->ctx->arena, (count + 1) * sizeof rule->variants[0]);
    for (; rule->variant_count < count; rule->variant_count++) {
        struct variant *variant = &rule->variants[rule->variant_count];
        const json_t *one = json_array_get(variants, rule->variant_count);
        struct bound index = {0};
        TRY(read_bound(reader, one, "index", &index));
        variant->index = index.count;
        const json_t *inner = json_object_get(one, "rules");
        if (inner != NULL)
            TRY(read_entries(reader, inner, &variant->rules));
    }
    reader->depth--;
    return OK;
}

const struct rule_list *rules_best(const struct rules *rules, const struct place_in *place,
                                   size_t floor, bool *cascaded)
{
    const struct rule_entry *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule_entry *entry = &rules->entries[i];
        size_t weight = entry->path.count < floor ? 0 : path_weight(&entry->path, place);
        bool better = weight > most ||
                      (weight > 0 && weight == most && is_more_exact(&entry->path, &best->path));
        if (better) {
            best = entry;
            most = weight;
        }
    }
    if (best == NULL || best->list.count == 0)
        return NULL;
    *cascaded = best->path.count != place->depth;
    return &best->list;
}

/* Of two paths of the same weight, the one that is exact where they first differ: Pact leaves it open. */
static bool is_more_exact(const struct path *a, const struct path *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool one = a->steps[i].kind == STEP_ANY || a->steps[i].kind == STEP_ANY_ITEM;
        bool other = b->steps[i].kind == STEP_ANY || b->steps[i].kind == STEP_ANY_ITEM;
        if (one != other)
            return other;
    }
    return false;
}

void rule_print(struct buf *out, const struct rule *rule)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind == rule->kind) {
            buf_put_str(out, kinds[i].name);
            break;
        }
    }
    if (rule->min.given)
        buf_printf(out, ", at least %zu", rule->min.count);
    if (rule->max.given)
        buf_printf(out, ", at most %zu", rule->max.count);
    if (rule->text.size > 0)
        buf_printf(out, " %.*s", (int)rule->text.size, rule->text.data);
    for (size_t i = 0; rule->inner != NULL && i < rule->inner->count; i++) {
        buf_put_str(out, i == 0 ? ": " : ", ");
        rule_print(out, &rule->inner->rules[i]);
    }
}
