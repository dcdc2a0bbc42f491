/* Lists and maps: their own rules, then what is in them.  See match.h.
 *
 * A list without a rule has exactly the expected elements, in their order; a rule of the list makes the
 * first example stand for all that come beyond the examples.  A map without a rule has the expected keys,
 * and others. */
#include "match_int.h"

#include <string.h>

static void list_by_rule(const struct walk *walk, const struct place_in *place,
                         const struct judgement *both, const struct rule *rule);
static void list_contents(const struct walk *walk, const struct place_in *place,
                          const struct judgement *both, bool extends);
static void list_variants(const struct walk *walk, const struct place_in *place,
                          const struct judgement *both, const struct rule *rule);
static bool list_has(const struct walk *walk, const struct value *expected,
                     const struct value *actual);
static void map_by_rule(const struct walk *walk, const struct place_in *place,
                        const struct judgement *both, const struct rule *rule);
static void map_values(const struct walk *walk, const struct place_in *place,
                       const struct value *expected, const struct value *actual);
static void map_contents(const struct walk *walk, const struct place_in *place,
                         const struct value *expected, const struct value *actual);
static void map_keys(const struct walk *walk, const struct place_in *place,
                     const struct value *expected, const struct value *actual);
static void keys_by_rule(const struct walk *walk, const struct place_in *place,
                         const struct rule *rule, const struct value *actual);
static const struct rules *rules_of_each(const struct walk *walk, const struct place_in *place,
                                         const struct rule *rule);

void walk_list(const struct walk *walk, const struct place_in *place, const struct value *expected,
               const struct value *actual)
{
    struct judgement both = {expected, actual, false, walk->match->is_json};
    const struct rule_list *list = walk_rules(walk, place, &both.cascaded);
    if (list == NULL) {
        list_contents(walk, place, &both, false);
        if (expected->count != actual->count)
            walk_report(walk, place,
                        &(struct difference){expected, actual, NULL,
                                             arena_printf(walk->match->ctx->arena,
                                                          "has %zu elements, not %zu",
                                                          actual->count, expected->count)});
        return;
    }
    struct mismatches tried = {0};
    struct walk each = *walk;
    size_t failed = 0;
    each.found = &tried;
    for (size_t i = 0; i < list->count; i++) {
        size_t before = tried.count + tried.dropped;
        list_by_rule(&each, place, &both, &list->rules[i]);
        failed += tried.count + tried.dropped > before;
    }
    if (list->any && failed < list->count)
        return;
    for (size_t i = 0; i < tried.count; i++)
        mismatch_add(walk->match->ctx, walk->found, &tried.items[i]);
}

static void list_by_rule(const struct walk *walk, const struct place_in *place,
                         const struct judgement *both, const struct rule *rule)
{
    struct walk inside = *walk;
    if (rule->kind == RULE_ARRAY_CONTAINS) {
        list_variants(walk, place, both, rule);
        return;
    }
    if (rule->kind == RULE_EACH_VALUE) {
        if (both->cascaded || both->expected->count == 0)
            return;
        inside.rules = rules_of_each(walk, place, rule);
    }
    const char *why = judge_parts(walk->match->ctx, rule, both);
    if (why != NULL)
        walk_report(walk, place, &(struct difference){both->expected, both->actual, rule, why});
    if (both->expected->count > 0)
        list_contents(&inside, place, both, true);
}

/* `extends`: the first example stands for what comes beyond the examples. */
static void list_contents(const struct walk *walk, const struct place_in *place,
                          const struct judgement *both, bool extends)
{
    const struct value *expected = both->expected, *actual = both->actual;
    bool cascaded = false;
    size_t most = extends && actual->count > expected->count ? actual->count : expected->count;
    for (size_t i = 0; i < most; i++) {
        const struct value *example = &expected->items[i < expected->count ? i : 0];
        struct place_in below = place_below(place, (struct step){.kind = STEP_INDEX, .index = i});
        if (i < actual->count)
            walk_value(walk, &below, example, &actual->items[i]);
        else if (walk_rules(walk, &below, &cascaded) == NULL)
            walk_report(walk, &below, &(struct difference){example, NULL, NULL, "is missing"});
    }
}

/* Each variant must be somewhere in the list, judged by its own rules. */
static void list_variants(const struct walk *walk, const struct place_in *place,
                          const struct judgement *both, const struct rule *rule)
{
    static const struct rules none = {NULL, 0};
    struct walk inside = *walk;
    size_t count = rule->variant_count == 0 ? both->expected->count : rule->variant_count;
    for (size_t i = 0; i < count; i++) {
        const struct variant *variant = rule->variant_count == 0 ? NULL : &rule->variants[i];
        size_t index = variant == NULL ? i : variant->index;
        inside.rules = variant == NULL ? &none : &variant->rules;
        inside.floor = 0;
        const struct value *example = index < both->expected->count ? &both->expected->items[index]
                                                                    : NULL;
        if (example == NULL || !list_has(&inside, example, both->actual))
            walk_report(walk, place,
                        &(struct difference){example, both->actual, rule,
                                             arena_printf(walk->match->ctx->arena,
                                                          "does not have variant %zu", index)});
    }
}

static bool list_has(const struct walk *walk, const struct value *expected,
                     const struct value *actual)
{
    const struct place_in root = {.step = {.kind = STEP_ROOT}, .depth = 1};
    for (size_t i = 0; i < actual->count; i++) {
        struct mismatches tried = {0};
        struct walk one = *walk;
        one.found = &tried;
        walk_value(&one, &root, expected, &actual->items[i]);
        if (tried.count == 0)
            return true;
    }
    return false;
}

void walk_map(const struct walk *walk, const struct place_in *place, const struct value *expected,
              const struct value *actual)
{
    struct judgement both = {expected, actual, false, walk->match->is_json};
    const struct rule_list *list = walk_rules(walk, place, &both.cascaded);
    if (list == NULL) {
        map_keys(walk, place, expected, actual);
        map_contents(walk, place, expected, actual);
        return;
    }
    struct mismatches tried = {0};
    struct walk each = *walk;
    size_t failed = 0;
    each.found = &tried;
    for (size_t i = 0; i < list->count; i++) {
        size_t before = tried.count + tried.dropped;
        map_by_rule(&each, place, &both, &list->rules[i]);
        failed += tried.count + tried.dropped > before;
    }
    if (list->any && failed < list->count)
        return;
    for (size_t i = 0; i < tried.count; i++)
        mismatch_add(walk->match->ctx, walk->found, &tried.items[i]);
}

static void map_by_rule(const struct walk *walk, const struct place_in *place,
                        const struct judgement *both, const struct rule *rule)
{
    struct walk inside = *walk;
    bool any_keys = rule->kind == RULE_VALUES || rule->kind == RULE_EACH_VALUE;
    if (!both->cascaded && any_keys) {
        if (rule->kind == RULE_EACH_VALUE)
            inside.rules = rules_of_each(walk, place, rule);
        map_values(&inside, place, both->expected, both->actual);
        return;
    }
    const char *why = judge_parts(walk->match->ctx, rule, both);
    if (why != NULL)
        walk_report(walk, place, &(struct difference){both->expected, both->actual, rule, why});
    map_keys(walk, place, both->expected, both->actual);
    map_contents(walk, place, both->expected, both->actual);
}

/* Any keys; a value without an example of its own is held against the first. */
static void map_values(const struct walk *walk, const struct place_in *place,
                       const struct value *expected, const struct value *actual)
{
    for (size_t i = 0; i < actual->count; i++) {
        const struct member *member = &actual->members[i];
        struct place_in below =
            place_below(place, (struct step){.kind = STEP_FIELD, .name = member->key});
        const struct value *example = value_member(expected, member->key);
        if (example == NULL && expected->count > 0)
            example = &expected->members[0].value;
        if (example != NULL)
            walk_value(walk, &below, example, &member->value);
    }
}

static void map_contents(const struct walk *walk, const struct place_in *place,
                         const struct value *expected, const struct value *actual)
{
    for (size_t i = 0; i < expected->count; i++) {
        const struct member *member = &expected->members[i];
        struct place_in below =
            place_below(place, (struct step){.kind = STEP_FIELD, .name = member->key});
        const struct value *theirs = value_member(actual, member->key);
        if (theirs != NULL)
            walk_value(walk, &below, &member->value, theirs);
    }
}

/* The expected keys are there, unless a rule of the map says that its keys may be others. */
static void map_keys(const struct walk *walk, const struct place_in *place,
                     const struct value *expected, const struct value *actual)
{
    bool cascaded = true, any_keys = false;
    const struct rule_list *list = walk_rules(walk, place, &cascaded);
    for (size_t i = 0; list != NULL && !cascaded && i < list->count; i++) {
        enum rule_kind kind = list->rules[i].kind;
        any_keys = any_keys || kind == RULE_VALUES || kind == RULE_EACH_VALUE ||
                   kind == RULE_EACH_KEY;
        if (kind == RULE_EACH_KEY)
            keys_by_rule(walk, place, &list->rules[i], actual);
    }
    for (size_t i = 0; !any_keys && i < expected->count; i++) {
        const struct member *member = &expected->members[i];
        struct place_in below =
            place_below(place, (struct step){.kind = STEP_FIELD, .name = member->key});
        if (value_member(actual, member->key) == NULL)
            walk_report(walk, &below,
                        &(struct difference){&member->value, NULL, NULL, "is missing"});
    }
}

static void keys_by_rule(const struct walk *walk, const struct place_in *place,
                         const struct rule *rule, const struct value *actual)
{
    for (size_t i = 0; i < actual->count; i++) {
        const struct value example = {.kind = VALUE_TEXT};
        const struct value key = {.kind = VALUE_TEXT, .text = actual->members[i].key};
        struct place_in below =
            place_below(place, (struct step){.kind = STEP_FIELD, .name = key.text});
        const struct judgement both = {&example, &key, false, false};
        for (size_t k = 0; k < rule->inner->count; k++) {
            const char *why = judge_scalar(walk->match->ctx, &rule->inner->rules[k], &both);
            if (why != NULL)
                walk_report(walk, &below,
                            &(struct difference){
                                NULL, &key, rule,
                                arena_printf(walk->match->ctx->arena, "as a key %s", why)});
        }
    }
}

/* eachValue: its rules and no others, for every element and all below it. */
static const struct rules *rules_of_each(const struct walk *walk, const struct place_in *place,
                                         const struct rule *rule)
{
    struct arena *arena = walk->match->ctx->arena;
    struct rules *rules = arena_alloc(arena, sizeof *rules);
    struct rule_entry *entry = arena_alloc(arena, sizeof *entry);
    entry->path.count = place->depth + 1;
    entry->path.steps = arena_alloc(arena, entry->path.count * sizeof entry->path.steps[0]);
    entry->path.steps[place->depth].kind = STEP_ANY;
    for (const struct place_in *at = place; at != NULL; at = at->above)
        entry->path.steps[at->depth - 1] = at->step;
    entry->list = *rule->inner;
    *rules = (struct rules){entry, 1};
    return rules;
}
