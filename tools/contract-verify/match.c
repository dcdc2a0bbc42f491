/* The walk over two trees: messages, and the choice of what is compared how.  See match.h.
 *
 *    walk_value ─┬─ message: each field that the consumer mentions, the default where the provider left it out
 *                ├─ list, map: match_parts.c
 *                └─ scalar: the best rules for the place, else equality (match_scalar.c)
 */
#include "match_int.h"

#include <string.h>

#define VALUE_TEXT_MAX 160 /* bytes of a value in a report */

static void walk_message(const struct walk *walk, const struct place_in *place,
                         const struct value *expected, const struct value *actual);
static void walk_field(const struct walk *walk, const struct place_in *place,
                       const struct value *expected, const struct value *actual);
static bool asked_by_rule(const struct walk *walk, const struct place_in *place);
static bool empty_of(const struct walk *walk, const FieldProto *field, struct value *value);
static void walk_presence(const struct walk *walk, const struct place_in *place,
                          const struct value *actual);
static void walk_embedded(const struct walk *walk, const struct place_in *place,
                          const struct value *expected, const struct value *actual);
static void walk_scalar(const struct walk *walk, const struct place_in *place,
                        const struct value *expected, const struct value *actual);
static const char *printed(struct ctx *ctx, const struct value *value);

void match_body(const struct match *match, const struct value *expected, const struct value *actual)
{
    struct walk walk = {match, match->rules, 0, match->found};
    const struct place_in root = {.step = {.kind = STEP_ROOT}, .depth = 1};
    walk_value(&walk, &root, expected, actual);
}

void match_metadata(const struct match *match, const char *key, const struct value *expected,
                    const struct value *actual)
{
    struct walk walk = {match, match->rules, 0, match->found};
    const struct place_in root = {.step = {.kind = STEP_ROOT}, .depth = 1};
    struct place_in place =
        place_below(&root, (struct step){.kind = STEP_FIELD, .name = slice_of_str(key)});
    if (actual == NULL)
        walk_report(&walk, &place, &(struct difference){expected, NULL, NULL, "is missing"});
    else
        walk_scalar(&walk, &place, expected, actual);
}

struct place_in place_below(const struct place_in *place, struct step step)
{
    return (struct place_in){.above = place, .step = step, .depth = place->depth + 1};
}

const struct rule_list *walk_rules(const struct walk *walk, const struct place_in *place,
                                   bool *cascaded)
{
    return rules_best(walk->rules, place, walk->floor, cascaded);
}

void walk_value(const struct walk *walk, const struct place_in *place, const struct value *expected,
                const struct value *actual)
{
    if (value_has_parts(expected) && expected->kind != actual->kind) {
        const char *why = arena_printf(walk->match->ctx->arena, "is a %s, not a %s",
                                       value_kind_name(actual), value_kind_name(expected));
        walk_report(walk, place, &(struct difference){expected, actual, NULL, why});
        return;
    }
    switch (expected->kind) {
    case VALUE_MESSAGE:
        walk_message(walk, place, expected, actual);
        return;
    case VALUE_LIST:
        walk_list(walk, place, expected, actual);
        return;
    case VALUE_MAP:
        walk_map(walk, place, expected, actual);
        return;
    case VALUE_NULL:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_REAL:
    case VALUE_TEXT:
    case VALUE_BYTES:
    case VALUE_ENUM:
        walk_scalar(walk, place, expected, actual);
        return;
    }
}

static void walk_message(const struct walk *walk, const struct place_in *place,
                         const struct value *expected, const struct value *actual)
{
    if (expected->type != actual->type) {
        const char *why = arena_printf(walk->match->ctx->arena, "is a %s, not a %s",
                                       actual->type->name, expected->type->name);
        walk_report(walk, place, &(struct difference){expected, actual, NULL, why});
        return;
    }
    const MessageProto *type = expected->type->message;
    for (size_t i = 0; i < type->n_field; i++) {
        const FieldProto *field = type->field[i];
        struct slice name = slice_of_str(field->name);
        struct place_in below = place_below(place, (struct step){.kind = STEP_FIELD, .name = name});
        const struct value *theirs = value_member(expected, name);
        const struct value *ours = value_member(actual, name);
        struct value usual;
        if (theirs == NULL && !asked_by_rule(walk, &below))
            continue;
        if (theirs == NULL && !empty_of(walk, field, &usual)) {
            walk_presence(walk, &below, ours);
            continue;
        }
        struct value missing;
        bool has_default = !field->has_oneof_index && empty_of(walk, field, &missing);
        if (ours == NULL && has_default)
            ours = &missing; /* what its reader sees */
        walk_field(walk, &below, theirs == NULL ? &usual : theirs, ours);
    }
}

static void walk_field(const struct walk *walk, const struct place_in *place,
                       const struct value *expected, const struct value *actual)
{
    if (actual == NULL) {
        walk_report(walk, place, &(struct difference){expected, NULL, NULL, "is missing"});
        return;
    }
    bool is_embedded = expected->kind == VALUE_MESSAGE && actual->kind == VALUE_MESSAGE &&
                       expected->type == actual->type && expected->embedded;
    if (is_embedded)
        walk_embedded(walk, place, expected, actual);
    else
        walk_value(walk, place, expected, actual);
}

/* proto3 cannot write a default: what a consumer expects to be empty, zero or false it says by a rule of
 * the field's own. */
static bool asked_by_rule(const struct walk *walk, const struct place_in *place)
{
    for (size_t i = 0; i < walk->rules->count; i++) {
        const struct path *path = &walk->rules->entries[i].path;
        bool own = path->count == place->depth && path->count >= walk->floor &&
                   path->steps[path->count - 1].kind == STEP_FIELD;
        if (own && path_weight(path, place) > 0)
            return true;
    }
    return false;
}

/* What a reader sees in a field that is not there; false for messages. */
static bool empty_of(const struct walk *walk, const FieldProto *field, struct value *value)
{
    const struct image *image = walk->match->image;
    if (wire_map_entry(image, field) != NULL) {
        *value = (struct value){.kind = VALUE_MAP};
        return true;
    }
    if (wire_is_repeated(field)) {
        *value = (struct value){.kind = VALUE_LIST};
        return true;
    }
    return wire_default(image, field, value);
}

/* Of a message only "null" and "notEmpty" say something without an example. */
static void walk_presence(const struct walk *walk, const struct place_in *place,
                          const struct value *actual)
{
    bool cascaded = false;
    const struct rule_list *list = walk_rules(walk, place, &cascaded);
    for (size_t i = 0; list != NULL && !cascaded && i < list->count; i++) {
        const struct rule *rule = &list->rules[i];
        if (rule->kind == RULE_NULL && actual != NULL)
            walk_report(walk, place, &(struct difference){NULL, actual, rule, "is there"});
        if (rule->kind == RULE_NOT_EMPTY && actual == NULL)
            walk_report(walk, place, &(struct difference){NULL, NULL, rule, "is missing"});
    }
}

/* Bytes that hold a message: a rule of their own looks at the bytes and does not reach into the message. */
static void walk_embedded(const struct walk *walk, const struct place_in *place,
                          const struct value *expected, const struct value *actual)
{
    bool cascaded = false;
    if (walk_rules(walk, place, &cascaded) != NULL) {
        const struct value bytes[2] = {{.kind = VALUE_BYTES, .text = expected->text},
                                       {.kind = VALUE_BYTES, .text = actual->text}};
        walk_scalar(walk, place, &bytes[0], &bytes[1]);
    }
    struct walk inside = *walk;
    inside.floor = place->depth + 1;
    walk_value(&inside, place, expected, actual);
}

static void walk_scalar(const struct walk *walk, const struct place_in *place,
                        const struct value *expected, const struct value *actual)
{
    static const struct rule equality = {.kind = RULE_EQUALITY};
    struct ctx *ctx = walk->match->ctx;
    struct judgement judgement = {expected, actual, false, walk->match->is_json};
    const struct rule_list *list = walk_rules(walk, place, &judgement.cascaded);
    if (list == NULL) {
        const char *why = judge_scalar(ctx, &equality, &judgement);
        if (why != NULL)
            walk_report(walk, place, &(struct difference){expected, actual, NULL, why});
        return;
    }
    struct mismatches tried = {0};
    struct walk each = *walk;
    each.found = &tried;
    size_t failed = 0;
    for (size_t i = 0; i < list->count; i++) {
        const char *why = judge_scalar(ctx, &list->rules[i], &judgement);
        if (why == NULL)
            continue;
        failed++;
        walk_report(&each, place, &(struct difference){expected, actual, &list->rules[i], why});
    }
    if (list->any && failed < list->count)
        return;
    for (size_t i = 0; i < tried.count; i++)
        mismatch_add(ctx, walk->found, &tried.items[i]);
}

void walk_report(const struct walk *walk, const struct place_in *place,
                 const struct difference *difference)
{
    struct ctx *ctx = walk->match->ctx;
    struct buf path = BUF_EMPTY, rule = BUF_EMPTY;
    if (strcmp(walk->match->part, "metadata") == 0)
        buf_put_slice(&path, place->step.name);
    else
        path_print(&path, place);
    if (difference->rule == NULL)
        buf_put_str(&rule, "equality");
    else
        rule_print(&rule, difference->rule);
    struct mismatch mismatch = {
        .part = walk->match->part,
        .path = arena_strdup(ctx->arena, buf_str(&path)),
        .expected = printed(ctx, difference->expected),
        .actual = printed(ctx, difference->actual),
        .rule = arena_strdup(ctx->arena, buf_str(&rule)),
    };
    buf_deinit(&path);
    buf_deinit(&rule);
    mismatch.message = arena_printf(ctx->arena, "%s%s%s", mismatch.actual,
                                    mismatch.actual[0] == '\0' ? "" : " ", difference->why);
    mismatch_add(ctx, walk->found, &mismatch);
}

static const char *printed(struct ctx *ctx, const struct value *value)
{
    if (value == NULL)
        return "";
    struct buf text = BUF_EMPTY;
    value_print(&text, value, VALUE_TEXT_MAX);
    const char *kept = arena_strdup(ctx->arena, buf_str(&text));
    buf_deinit(&text);
    return kept;
}

void mismatch_add(struct ctx *ctx, struct mismatches *found, const struct mismatch *mismatch)
{
    if (found->count == MISMATCHES_MAX) {
        found->dropped++;
        return;
    }
    found->items = value_grow(ctx->arena, found->items, found->count, sizeof found->items[0]);
    found->items[found->count++] = *mismatch;
}
