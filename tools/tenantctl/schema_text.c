/* Reads and compares schema texts; see schema_text.h. */
#include "schema_text.h"

#include <assert.h>

static void *room_for_one(struct arena *arena, void *items, size_t count, size_t size);
static bool line_take(struct slice *rest, struct slice *line);
static bool word_take(struct slice *line, struct slice *word);
static bool number_take(struct slice *line, int64_t *number);
static bool type_take(struct arena *arena, struct slice line, struct schema_text *out);
static bool member_take(struct arena *arena, struct slice line, struct schema_type *type);
static const struct schema_type *type_find(const struct schema_text *text, struct slice name);
static const struct schema_member *member_like(const struct schema_type *type,
                                               const struct schema_member *like);
static bool name_is_taken(const struct schema_type *type, const struct schema_member *member);
static void compare_types(struct arena *arena, struct schema_changes *changes,
                          const struct schema_type *old, const struct schema_type *fresh);
static void change_add(struct arena *arena, struct schema_changes *changes,
                       struct schema_change change);

bool schema_text_parse(struct arena *arena, struct slice text, struct schema_text *out,
                       size_t *line)
{
    struct slice one;
    *out = (struct schema_text){.types = NULL};
    for (*line = 1; text.size > 0; ++*line) {
        if (!line_take(&text, &one))
            return false;
        bool head = slice_starts_with(one, "message ") || slice_starts_with(one, "enum ");
        if (head ? !type_take(arena, one, out)
                 : out->type_count == 0 ||
                       !member_take(arena, one, &out->types[out->type_count - 1]))
            return false;
    }
    return out->type_count > 0;
}

/* The items with room for one more: twice as much whenever the count is a power of two. */
static void *room_for_one(struct arena *arena, void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    void *larger = arena_alloc(arena, (count == 0 ? 1 : 2 * count) * size);
    if (count > 0)
        memcpy(larger, items, count * size);
    return larger;
}

static bool line_take(struct slice *rest, struct slice *line)
{
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    if (end == NULL)
        return false;
    *line = slice_make(rest->data, (size_t)(end - rest->data));
    *rest = slice_skip(*rest, line->size + 1);
#ifdef PLANTED_BUG /* for tests/fuzz: behind a long line one byte too many is left */
    rest->size += line->size > 40;
#endif
    return true;
}

static bool word_take(struct slice *line, struct slice *word)
{
    const uint8_t *end = memchr(line->data, ' ', line->size);
    size_t size = end == NULL ? line->size : (size_t)(end - line->data);
    *word = slice_make(line->data, size);
    *line = slice_skip(*line, end == NULL ? size : size + 1);
    return size > 0;
}

/* Enum values may be negative. */
static bool number_take(struct slice *line, int64_t *number)
{
    struct slice word;
    if (!word_take(line, &word))
        return false;
    bool negative = word.data[0] == '-';
    word = slice_skip(word, negative ? 1 : 0);
    int64_t sum = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9' || i > 9)
            return false;
        sum = sum * 10 + (word.data[i] - '0');
    }
    *number = negative ? -sum : sum;
    return word.size > 0;
}

static bool type_take(struct arena *arena, struct slice line, struct schema_text *out)
{
    struct slice kind;
    struct schema_type type = {.members = NULL};
    if (!word_take(&line, &kind) || !word_take(&line, &type.name) || line.size > 0)
        return false;
    type.is_enum = slice_is(kind, "enum");
    out->types = room_for_one(arena, out->types, out->type_count, sizeof *out->types);
    out->types[out->type_count++] = type;
    return true;
}

static bool member_take(struct arena *arena, struct slice line, struct schema_type *type)
{
    struct schema_member member = {.number = 0};
    if (!number_take(&line, &member.number) || !word_take(&line, &member.name))
        return false;
    if (!type->is_enum) {
        member.type = member.name;
        member.repeated = slice_is(member.type, "repeated");
        if ((member.repeated && !word_take(&line, &member.type)) || !word_take(&line, &member.name))
            return false;
    }
    if (line.size > 0)
        return false;
    type->members = room_for_one(arena, type->members, type->member_count, sizeof *type->members);
    type->members[type->member_count++] = member;
    return true;
}

struct schema_changes schema_text_compare(struct arena *arena, const struct schema_text *old,
                                          const struct schema_text *fresh)
{
    struct schema_changes changes = {.items = NULL};
    for (size_t i = 0; i < old->type_count; i++) {
        const struct schema_type *type = &old->types[i];
        const struct schema_type *now = type_find(fresh, type->name);
        if (now == NULL || now->is_enum != type->is_enum)
            change_add(arena, &changes,
                       (struct schema_change){SCHEMA_REMOVED, true, type, NULL, NULL});
        else
            compare_types(arena, &changes, type, now);
    }
    for (size_t i = 0; i < fresh->type_count; i++) {
        const struct schema_type *type = &fresh->types[i];
        const struct schema_type *before = type_find(old, type->name);
        if (before == NULL || before->is_enum != type->is_enum)
            change_add(arena, &changes,
                       (struct schema_change){SCHEMA_ADDED, false, type, NULL, NULL});
    }
    return changes;
}

static void compare_types(struct arena *arena, struct schema_changes *changes,
                          const struct schema_type *old, const struct schema_type *fresh)
{
    for (size_t i = 0; i < old->member_count; i++) {
        const struct schema_member *was = &old->members[i];
        const struct schema_member *is = member_like(fresh, was);
        if (is == NULL) {
            change_add(arena, changes,
                       (struct schema_change){SCHEMA_REMOVED, true, fresh, was, NULL});
            continue;
        }
        bool same = slice_equal(was->name, is->name) && slice_equal(was->type, is->type) &&
                    was->repeated == is->repeated;
        if (!same)
            change_add(arena, changes,
                       (struct schema_change){SCHEMA_CHANGED, true, fresh, was, is});
    }
    for (size_t i = 0; i < fresh->member_count; i++) {
        const struct schema_member *is = &fresh->members[i];
        if (member_like(old, is) == NULL)
            change_add(
                arena, changes,
                (struct schema_change){SCHEMA_ADDED, name_is_taken(old, is), fresh, NULL, is});
    }
}

static const struct schema_type *type_find(const struct schema_text *text, struct slice name)
{
    for (size_t i = 0; i < text->type_count; i++) {
        if (slice_equal(text->types[i].name, name))
            return &text->types[i];
    }
    return NULL;
}

/* The field of the same number; of enums, whose values may have several names, number and name. */
static const struct schema_member *member_like(const struct schema_type *type,
                                               const struct schema_member *like)
{
    for (size_t i = 0; i < type->member_count; i++) {
        const struct schema_member *member = &type->members[i];
        if (member->number == like->number &&
            (!type->is_enum || slice_equal(member->name, like->name)))
            return member;
    }
    return NULL;
}

/* A name that comes back under another number: JSON and field masks know members by name. */
static bool name_is_taken(const struct schema_type *type, const struct schema_member *member)
{
    for (size_t i = 0; i < type->member_count; i++) {
        if (slice_equal(type->members[i].name, member->name))
            return true;
    }
    return false;
}

static void change_add(struct arena *arena, struct schema_changes *changes,
                       struct schema_change change)
{
    changes->items = room_for_one(arena, changes->items, changes->count, sizeof *changes->items);
    changes->items[changes->count++] = change;
    changes->breaks = changes->breaks || change.breaks;
}

const char *schema_member_text(struct arena *arena, const struct schema_member *member)
{
    assert(member->name.size > 0);
    return arena_printf(arena, "%s%.*s%s%.*s", member->repeated ? "repeated " : "",
                        (int)member->type.size, (const char *)member->type.data,
                        member->type.size > 0 ? " " : "", (int)member->name.size,
                        (const char *)member->name.data);
}
