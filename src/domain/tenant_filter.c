/* Parses filters and orders of lists; see tenant_query.h.  A parser of foreign bytes: fuzzed by
 * filter_fuzz.c.
 *
 *    status = active AND labels.env = "prod" AND create_time >= "2026-01-01T00:00:00Z" AND slug = "acme*"
 *
 * A lexer by hand: no recursion, no backtracking, and memory in the arena bounded by the
 * filter's length times its conditions.  Nothing of the
 * filter becomes SQL text: conditions are parameters of constant statements
 * (store/tenant_list_store.c). */
#include "domain/tenant_query.h"

#include <assert.h>
#include <stdio.h>

struct lexer {
    struct arena *arena;
    const char *start;
    const char *at;
    const char *rule; /* the first broken one; NULL: none */
};

/* Texts in the arena. */
struct condition {
    const char *field;
    const char *relation;
    const char *value;
    bool prefix; /* the value ended with an unescaped '*', which is cut off */
};

static void skip_blanks(struct lexer *lexer);
static bool take_condition(struct lexer *lexer, struct condition *condition);
static bool take_field(struct lexer *lexer, const char **field);
static bool take_operator(struct lexer *lexer, const char **relation);
static bool take_value(struct lexer *lexer, struct condition *condition);
static bool take_quoted(struct lexer *lexer, struct condition *condition);
static bool take_word(struct lexer *lexer, struct condition *condition);
static bool broken(struct lexer *lexer, const char *rule);
static bool apply(struct lexer *lexer, const struct condition *condition,
                  struct tenant_query *query);
static bool apply_name(struct lexer *lexer, const struct condition *condition, const char **place);
static bool apply_text(struct lexer *lexer, const struct condition *condition,
                       struct text_condition *place);
static bool apply_label(struct lexer *lexer, const struct condition *condition,
                        struct string_map *labels);
static bool apply_time(struct lexer *lexer, const struct condition *condition,
                       struct time_condition *place);
static bool is_word_byte(char c);

/* Case matters, AND included: AIP-160 writes its operators in capitals.  A query whose filter
 * was refused must not be used. */
const char *tenant_filter_parse(struct arena *arena, const char *filter, struct tenant_query *query)
{
    struct lexer lexer = {.arena = arena, .start = filter, .at = filter};
    if (strlen(filter) > TENANT_FILTER_MAX)
        return "may have at most 2048 bytes";
    query->labels.pairs = arena_alloc(arena, TENANT_FILTER_CONDITIONS * sizeof(struct string_pair));
    skip_blanks(&lexer);
    for (unsigned count = 0; *lexer.at != '\0'; count++) {
        struct condition condition = {.prefix = false};
        if (count == TENANT_FILTER_CONDITIONS)
            return "may have at most 16 conditions";
        if (!take_condition(&lexer, &condition) || !apply(&lexer, &condition, query))
            return lexer.rule;
        skip_blanks(&lexer);
        if (*lexer.at == '\0')
            break;
        if (strncmp(lexer.at, "AND", 3) != 0 || is_word_byte(lexer.at[3])) {
            (void)broken(&lexer,
                         "conditions are joined by AND; OR, NOT and parentheses are not known");
            return lexer.rule;
        }
        lexer.at += 3;
        skip_blanks(&lexer);
        if (*lexer.at == '\0') {
            (void)broken(&lexer, "a condition must follow AND");
            return lexer.rule;
        }
    }
    return string_map_sort(&query->labels) ? NULL : "names one label twice";
}

/* One field: AIP-132 allows several, but only these orders have an index that ends with the id. */
const char *tenant_order_parse(const char *order_by, struct tenant_query *query)
{
    static const char *const names[TENANT_ORDER_COUNT] = {
        [TENANT_BY_CREATE_TIME] = "create_time",
        [TENANT_BY_SLUG] = "slug",
        [TENANT_BY_DISPLAY_NAME] = "display_name",
    };
    query->order = TENANT_BY_CREATE_TIME;
    query->descending = false;
    if (order_by[0] == '\0')
        return NULL;
    for (int i = 0; i < TENANT_ORDER_COUNT; i++) {
        size_t size = strlen(names[i]);
        if (strncmp(order_by, names[i], size) != 0)
            continue;
        const char *rest = order_by + size;
        query->order = (enum tenant_order)i;
        query->descending = strcmp(rest, " desc") == 0;
        if (query->descending || rest[0] == '\0' || strcmp(rest, " asc") == 0)
            return NULL;
    }
    return "must be create_time, slug or display_name, perhaps with \" desc\"";
}

static bool take_condition(struct lexer *lexer, struct condition *condition)
{
    if (!take_field(lexer, &condition->field))
        return false;
    skip_blanks(lexer);
    if (!take_operator(lexer, &condition->relation))
        return false;
    skip_blanks(lexer);
    return take_value(lexer, condition);
}

/* Any word here; apply() knows which are fields, so that the message can name them all. */
static bool take_field(struct lexer *lexer, const char **field)
{
    const char *start = lexer->at;
    while (is_word_byte(*lexer->at) || *lexer->at == '/')
        lexer->at++;
    if (lexer->at == start)
        return broken(lexer, "a field name was expected");
    *field = arena_strndup(lexer->arena, start, (size_t)(lexer->at - start));
    return true;
}

static bool take_operator(struct lexer *lexer, const char **relation)
{
    static const char *const operators[] = {"<=", ">=", "=", "<", ">"}; /* the longer ones first */
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t size = strlen(operators[i]);
        if (strncmp(lexer->at, operators[i], size) != 0)
            continue;
        lexer->at += size;
        *relation = operators[i];
        return true;
    }
    return broken(lexer, "one of = < <= > >= was expected");
}

static bool take_value(struct lexer *lexer, struct condition *condition)
{
    return *lexer->at == '"' ? take_quoted(lexer, condition) : take_word(lexer, condition);
}

/* A backslash takes the next character as it is.  A star is a wildcard only where it is the
 * last character and not escaped. */
static bool take_quoted(struct lexer *lexer, struct condition *condition)
{
    char *value = arena_alloc(lexer->arena, strlen(lexer->at) + 1);
    size_t size = 0;
    bool star = false;
    const char *at = lexer->at + 1;
    for (; *at != '"'; at++) {
        bool escaped = *at == '\\';
        at += escaped;
        if (*at == '\0')
            return broken(lexer, "the text has no closing quote");
        if (star)
            return broken(lexer, "'*' may stand at the end only; write \\* for the character");
        star = !escaped && *at == '*';
        if (!star)
            value[size++] = *at;
    }
    lexer->at = at + 1;
    condition->value = value;
    condition->prefix = star;
    return true;
}

/* A colon and a plus, so that times may stand without quotes. */
static bool take_word(struct lexer *lexer, struct condition *condition)
{
    const char *start = lexer->at;
    while (is_word_byte(*lexer->at) || (*lexer->at != '\0' && strchr(":+", *lexer->at) != NULL))
        lexer->at++;
    size_t size = (size_t)(lexer->at - start);
    condition->prefix = *lexer->at == '*';
    lexer->at += condition->prefix;
    if (size == 0)
        return broken(lexer, "a value was expected; put other characters in double quotes");
    condition->value = arena_strndup(lexer->arena, start, size);
    return true;
}

static bool apply(struct lexer *lexer, const struct condition *condition,
                  struct tenant_query *query)
{
    const char *field = condition->field;
    if (strcmp(field, "create_time") == 0)
        return apply_time(lexer, condition, &query->create_time);
    if (strcmp(field, "update_time") == 0)
        return apply_time(lexer, condition, &query->update_time);
    if (strcmp(condition->relation, "=") != 0)
        return broken(lexer, "only times can be compared with anything but =");
    if (strcmp(field, "slug") == 0)
        return apply_text(lexer, condition, &query->slug);
    if (strcmp(field, "display_name") == 0)
        return apply_text(lexer, condition, &query->display_name);
    if (condition->prefix)
        return broken(lexer, "'*' is known for slug and display_name only");
    if (strncmp(field, "labels.", 7) == 0 && field[7] != '\0')
        return apply_label(lexer, condition, &query->labels);
    if (strcmp(field, "plan.plan_id") == 0)
        return apply_name(lexer, condition, &query->plan_id);
    enum tenant_status status;
    if (strcmp(field, "status") == 0)
        return tenant_status_parse(slice_of_str(condition->value), &status)
                   ? apply_name(lexer, condition, &query->status)
                   : broken(lexer, "status must be trial, active, suspended or closed");
    enum tenant_type type;
    if (strcmp(field, "type") == 0)
        return tenant_type_parse(slice_of_str(condition->value), &type)
                   ? apply_name(lexer, condition, &query->type)
                   : broken(lexer, "type must be org, provider, individual or hybrid");
    return broken(lexer, "fields are status, type, plan.plan_id, slug, display_name, labels.KEY, "
                         "create_time and update_time");
}

/* Each field once: two different values could never both hold, and equal ones are a mistake
 * worth telling. */
static bool apply_name(struct lexer *lexer, const struct condition *condition, const char **place)
{
    if (*place != NULL)
        return broken(lexer, "the field was named before");
    *place = condition->value;
    return true;
}

static bool apply_text(struct lexer *lexer, const struct condition *condition,
                       struct text_condition *place)
{
    if (place->exact != NULL || place->prefix != NULL)
        return broken(lexer, "the field was named before");
    *(condition->prefix ? &place->prefix : &place->exact) = condition->value;
    return true;
}

static bool apply_label(struct lexer *lexer, const struct condition *condition,
                        struct string_map *labels)
{
    (void)lexer;
    assert(labels->count < TENANT_FILTER_CONDITIONS); /* one place per condition */
    labels->pairs[labels->count++] =
        (struct string_pair){condition->field + strlen("labels."), condition->value};
    return true;
}

/* Half-open in microseconds, the database's own grain: > t begins at t + 1 µs, <= t ends before
 * t + 1 µs. */
static bool apply_time(struct lexer *lexer, const struct condition *condition,
                       struct time_condition *place)
{
    uint64_t us = 0;
    const char *relation = condition->relation;
    if (condition->prefix || !time_parse_rfc3339(slice_of_str(condition->value), &us))
        return broken(lexer, "times are written as \"2026-11-23T10:20:30Z\" (RFC 3339)");
    bool lower = relation[0] == '>' || relation[0] == '=';
    bool upper = relation[0] == '<' || relation[0] == '=';
    bool with_equal = strchr(relation, '=') != NULL;
    if ((lower && place->from_us != 0) || (upper && place->to_us != 0))
        return broken(lexer, "this side of the time was named before");
    if (lower)
        place->from_us = with_equal ? us : us + 1;
    if (upper)
        place->to_us = with_equal ? us + 1 : us;
    return true;
}

/* The first fault is the one told; `at` then points to where reading stopped. */
static bool broken(struct lexer *lexer, const char *rule)
{
    if (lexer->rule == NULL)
        lexer->rule = arena_printf(lexer->arena, "character %zu: %s",
                                   (size_t)(lexer->at - lexer->start) + 1, rule);
    return false;
}

static void skip_blanks(struct lexer *lexer)
{
    while (*lexer->at == ' ' || *lexer->at == '\t' || *lexer->at == '\n')
        lexer->at++;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}
