/* Types of fields: which can stand for which in code, bytes and JSON; see compare.h.
 *
 * protobuf.dev, "Updating A Message Type" and "ProtoJSON Format": types of one group read each other's bytes
 * (or bytes and JSON).  Enums are told apart from integers and messages from bytes, because only the values
 * could say whether they fit. */
#include "compare.h"

#include <string.h>

#define TYPE(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name

struct type_row {
    const char *name;
    int wire; /* equal numbers read each other's bytes */
    int json; /* and JSON too */
};
static const struct type_row type_rows[] = {
    [TYPE(INT32)] = {"int32", 1, 1},       [TYPE(UINT32)] = {"uint32", 1, 1},
    [TYPE(INT64)] = {"int64", 1, 2},       [TYPE(UINT64)] = {"uint64", 1, 2},
    [TYPE(BOOL)] = {"bool", 1, 3},         [TYPE(SINT32)] = {"sint32", 2, 4},
    [TYPE(SINT64)] = {"sint64", 2, 5},     [TYPE(STRING)] = {"string", 3, 6},
    [TYPE(BYTES)] = {"bytes", 4, 7},       [TYPE(FIXED32)] = {"fixed32", 5, 8},
    [TYPE(SFIXED32)] = {"sfixed32", 5, 8}, [TYPE(FIXED64)] = {"fixed64", 6, 9},
    [TYPE(SFIXED64)] = {"sfixed64", 6, 9}, [TYPE(DOUBLE)] = {"double", 7, 10},
    [TYPE(FLOAT)] = {"float", 8, 11},      [TYPE(GROUP)] = {"group", 9, 12},
    [TYPE(MESSAGE)] = {"message", 10, 13}, [TYPE(ENUM)] = {"enum", 11, 14},
};

static bool is_named(const FieldProto *field);
static bool enum_grew(const struct field_view *old, const struct field_view *new);

const char *field_type_text(const FieldProto *field)
{
    if (is_named(field) && field->type_name != NULL)
        return field->type_name + (field->type_name[0] == '.');
    return type_rows[field->type].name;
}

void compare_field_type(struct comparison *comparison, const struct field_view *old,
                        const struct field_view *new)
{
    const struct type_row *before = &type_rows[old->field->type];
    const struct type_row *after = &type_rows[new->field->type];
    bool renamed = before == after && is_named(old->field) &&
                   strcmp(old->field->type_name, new->field->type_name) != 0;
    if (before == after && !renamed)
        return;
    /* an enum of the same short name that has all the values: readers see no difference */
    bool same_enum = renamed && old->field->type == TYPE(ENUM) && enum_grew(old, new);
    bool text_to_bytes = old->field->type == TYPE(STRING) && new->field->type == TYPE(BYTES);
    char label[FIELD_LABEL];
    field_label(new, label);
    const char *a = field_type_text(old->field), *b = field_type_text(new->field);
    struct place place =
        place_inside(&new->place, is_named(new->field) ? FIELD_TYPE_NAME : FIELD_TYPE, -1);
    breach(comparison, RULE_FIELD_SAME_TYPE, &place, new->owner->name,
           "%s changed its type from %s to %s", label, a, b);
    if (before->json != after->json || (renamed && !same_enum))
        breach(comparison, RULE_FIELD_WIRE_JSON_COMPATIBLE_TYPE, &place, new->owner->name,
               "%s changed its type from %s to %s, which bytes or JSON show", label, a, b);
    if ((before->wire != after->wire && !text_to_bytes) || (renamed && !same_enum))
        breach(comparison, RULE_FIELD_WIRE_COMPATIBLE_TYPE, &place, new->owner->name,
               "%s changed its type from %s to %s, which the bytes show", label, a, b);
}

static bool is_named(const FieldProto *field)
{
    return field->type == TYPE(ENUM) || field->type == TYPE(MESSAGE) || field->type == TYPE(GROUP);
}

static bool enum_grew(const struct field_view *old, const struct field_view *new)
{
    const struct element *before = image_find_type(old->image, ELEMENT_ENUM, old->field->type_name);
    const struct element *after = image_find_type(new->image, ELEMENT_ENUM, new->field->type_name);
    if (strcmp(before->enumeration->name, after->enumeration->name) != 0)
        return false;
    for (size_t i = 0; i < before->enumeration->n_value; i++) {
        const EnumValueProto *value = before->enumeration->value[i];
        bool found = false;
        for (size_t k = 0; k < after->enumeration->n_value && !found; k++) {
            const EnumValueProto *now = after->enumeration->value[k];
            found = now->number == value->number && strcmp(now->name, value->name) == 0;
        }
        if (!found)
            return false;
    }
    return true;
}
