/* Enums: values that are gone or renamed; see compare.h. */
#include "compare.h"

#include <inttypes.h>
#include <string.h>

static void value_compared(struct comparison *comparison, const struct element *old,
                           const struct element *new, size_t at);
static void value_deleted(struct comparison *comparison, const struct element *old,
                          const struct element *new, size_t at);
static void value_renamed(struct comparison *comparison, const struct element *new,
                          const EnumValueProto *value);
static void compare_reserved(struct comparison *comparison, const struct element *old,
                             const struct element *new);
static bool holds(const EnumProto *enumeration, int32_t number, const char *name);

void compare_enum(struct comparison *comparison, const struct element *old,
                  const struct element *new)
{
    for (size_t i = 0; i < old->enumeration->n_value; i++)
        value_compared(comparison, old, new, i);
    compare_reserved(comparison, old, new);
    bool was_open = file_is_proto3(old->file), is_open = file_is_proto3(new->file);
    if (was_open != is_open)
        breach(comparison, RULE_ENUM_SAME_TYPE, &new->place, new->name,
               "enum %s was %s and is %s: its file changed syntax", new->name,
               was_open ? "open" : "closed", is_open ? "open" : "closed");
    if (was_open && !is_open)
        breach(comparison, RULE_ENUM_SAME_JSON_FORMAT, &new->place, new->name,
               "enum %s no longer promises a JSON form: it moved from proto3 to proto2", new->name);
    if (comparison->event)
        compare_event_enum(comparison, old, new);
}

/* Several names may stand for one number: each is asked for, and the number's absence told once. */
static void value_compared(struct comparison *comparison, const struct element *old,
                           const struct element *new, size_t at)
{
    const EnumValueProto *value = old->enumeration->value[at];
    if (!holds(new->enumeration, value->number, NULL)) {
        value_deleted(comparison, old, new, at);
        return;
    }
    if (!holds(new->enumeration, value->number, value->name))
        value_renamed(comparison, new, value);
}

static void value_deleted(struct comparison *comparison, const struct element *old,
                          const struct element *new, size_t at)
{
    const EnumValueProto *value = old->enumeration->value[at];
    bool told = false;
    for (size_t i = 0; i < at && !told; i++)
        told = old->enumeration->value[i]->number == value->number;
    struct ranges reserved = ranges_reserved_enum(new->enumeration);
    if (!told)
        breach(comparison, RULE_ENUM_VALUE_NO_DELETE, &new->place, new->name,
               "value %d \"%s\" of enum %s was deleted", value->number, value->name, new->name);
    if (!told && !ranges_hold(&reserved, value->number))
        breach(comparison, RULE_ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED, &new->place, new->name,
               "value %d \"%s\" of enum %s was deleted without reserving the number %d",
               value->number, value->name, new->name, value->number);
    if (!names_hold(new->enumeration->reserved_name, new->enumeration->n_reserved_name,
                    value->name))
        breach(comparison, RULE_ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED, &new->place, new->name,
               "value %d \"%s\" of enum %s was deleted without reserving the name \"%s\"",
               value->number, value->name, new->name, value->name);
    ranges_deinit(&reserved);
}

static void value_renamed(struct comparison *comparison, const struct element *new,
                          const EnumValueProto *value)
{
    for (size_t i = 0; i < new->enumeration->n_value; i++) {
        if (new->enumeration->value[i]->number != value->number)
            continue;
        struct place place = place_inside(&new->place, ENUM_VALUE, (int)i);
        struct place number = place_inside(&place, VALUE_NUMBER, -1);
        breach(comparison, RULE_ENUM_VALUE_SAME_NAME, &number, new->name,
               "value %d of enum %s was called \"%s\" and is now \"%s\"", value->number, new->name,
               value->name, new->enumeration->value[i]->name);
        return;
    }
}

static void compare_reserved(struct comparison *comparison, const struct element *old,
                             const struct element *new)
{
    struct ranges before = ranges_reserved_enum(old->enumeration);
    struct ranges after = ranges_reserved_enum(new->enumeration);
    for (size_t i = 0; i < before.count; i++) {
        int64_t missing;
        if (!ranges_cover(&after, before.items[i], &missing))
            breach(comparison, RULE_RESERVED_ENUM_NO_DELETE, &new->place, new->name,
                   "reserved range %" PRId64 " to %" PRId64 " of enum %s has lost %" PRId64,
                   before.items[i].first, before.items[i].last, new->name, missing);
    }
    ranges_deinit(&before);
    ranges_deinit(&after);
    for (size_t i = 0; i < old->enumeration->n_reserved_name; i++) {
        const char *name = old->enumeration->reserved_name[i];
        if (!names_hold(new->enumeration->reserved_name, new->enumeration->n_reserved_name, name))
            breach(comparison, RULE_RESERVED_ENUM_NO_DELETE, &new->place, new->name,
                   "reserved name \"%s\" of enum %s was deleted", name, new->name);
    }
}

/* name NULL: under any. */
static bool holds(const EnumProto *enumeration, int32_t number, const char *name)
{
    for (size_t i = 0; i < enumeration->n_value; i++) {
        const EnumValueProto *value = enumeration->value[i];
        if (value->number == number && (name == NULL || strcmp(value->name, name) == 0))
            return true;
    }
    return false;
}
