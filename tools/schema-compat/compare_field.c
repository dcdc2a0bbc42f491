/* Fields of the same number: name, place in oneofs, cardinality and options; see compare.h. */
#include "compare.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

#define IS_TYPE(view, type_)                                                                       \
    ((view)->field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__##type_)

static void compare_names(struct comparison *comparison, const struct field_view *old,
                          const struct field_view *new);
static void compare_oneof(struct comparison *comparison, const struct field_view *old,
                          const struct field_view *new);
static void compare_cardinality(struct comparison *comparison, const struct field_view *old,
                                const struct field_view *new);
static void compare_utf8(struct comparison *comparison, const struct field_view *old,
                         const struct field_view *new);
static void compare_language(struct comparison *comparison, const struct field_view *old,
                             const struct field_view *new);

void compare_field(struct comparison *comparison, const struct field_view *old,
                   const struct field_view *new)
{
    compare_names(comparison, old, new);
    compare_oneof(comparison, old, new);
    compare_cardinality(comparison, old, new);
    compare_field_type(comparison, old, new);
    compare_field_default(comparison, old, new);
    compare_utf8(comparison, old, new);
    compare_language(comparison, old, new);
}

/* Every extension of one message in `old`, by number, with what the new image has there. */
void compare_extensions(struct comparison *comparison)
{
    const struct element_list *before = &comparison->old->kinds[ELEMENT_EXTENSION];
    const struct element_list *after = &comparison->new->kinds[ELEMENT_EXTENSION];
    for (size_t i = 0; i < before->count; i++) {
        const FieldProto *field = before->items[i].extension;
        struct field_view old = {field, &before->items[i], comparison->old, before->items[i].place,
                                 true};
        for (size_t k = 0; k < after->count; k++) {
            const FieldProto *now = after->items[k].extension;
            if (now->number != field->number || strcmp(now->extendee, field->extendee) != 0 ||
                !is_ours(&after->items[k]))
                continue;
            struct field_view new = {now, &after->items[k], comparison->new, after->items[k].place,
                                     true};
            compare_field(comparison, &old, &new);
        }
    }
}

const char *field_label(const struct field_view *view, char *out)
{
    if (view->is_extension)
        snprintf(out, FIELD_LABEL, "extension %d \"%s\" of %s", view->field->number,
                 view->owner->name, view->field->extendee + 1);
    else
        snprintf(out, FIELD_LABEL, "field %d \"%s\" of %s", view->field->number, view->field->name,
                 view->owner->name);
    return out;
}

const char *field_oneof(const struct field_view *view)
{
    if (view->is_extension || !view->field->has_oneof_index)
        return NULL;
    size_t index = (size_t)view->field->oneof_index;
    return oneof_is_synthetic(view->owner->message, index)
               ? NULL
               : view->owner->message->oneof_decl[index]->name;
}

static bool is_map_entry(const struct element *element)
{
    return element != NULL && element->kind == ELEMENT_MESSAGE &&
           element->message->options != NULL && element->message->options->map_entry;
}

enum cardinality field_cardinality(const struct field_view *view)
{
    const FieldProto *field = view->field;
    if (field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED) {
        bool map = IS_TYPE(view, TYPE_MESSAGE) &&
                   is_map_entry(image_find_type(view->image, ELEMENT_MESSAGE, field->type_name));
        return map ? MAP : REPEATED;
    }
    if (field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED)
        return REQUIRED;
    bool explicit = !file_is_proto3(view->owner->file) || view->is_extension ||
                    field->has_oneof_index || IS_TYPE(view, TYPE_MESSAGE) ||
                    IS_TYPE(view, TYPE_GROUP);
    return explicit ? ONE_EXPLICIT : ONE_IMPLICIT;
}

/* As protoc makes it where an image leaves it out: "create_time" → "createTime". */
static void json_name(const FieldProto *field, char *out, size_t room)
{
    if (field->json_name != NULL) {
        snprintf(out, room, "%s", field->json_name);
        return;
    }
    size_t at = 0;
    bool upper = false;
    for (const char *c = field->name; *c != '\0' && at + 1 < room; c++) {
        if (*c != '_')
            out[at++] = upper && *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        upper = *c == '_';
    }
    out[at] = '\0';
}

static void compare_names(struct comparison *comparison, const struct field_view *old,
                          const struct field_view *new)
{
    char label[FIELD_LABEL], before[FIELD_LABEL], after[FIELD_LABEL];
    const char *old_name = old->is_extension ? old->owner->name : old->field->name;
    const char *new_name = new->is_extension ? new->owner->name : new->field->name;
    struct place name = place_inside(&new->place, FIELD_NAME, -1);
    if (strcmp(old_name, new_name) != 0)
        breach(comparison, RULE_FIELD_SAME_NAME, &name, new->owner->name, "%s was called \"%s\"",
               field_label(new, label), old_name);
    if (old->is_extension)
        return;
    json_name(old->field, before, sizeof before);
    json_name(new->field, after, sizeof after);
    struct place json = place_inside(&new->place, FIELD_JSON_NAME, -1);
    if (strcmp(before, after) != 0)
        breach(comparison, RULE_FIELD_SAME_JSON_NAME, &json, new->owner->name,
               "%s changed its JSON name from \"%s\" to \"%s\"", field_label(new, label), before,
               after);
}

static void compare_oneof(struct comparison *comparison, const struct field_view *old,
                          const struct field_view *new)
{
    char label[FIELD_LABEL];
    const char *before = field_oneof(old), *after = field_oneof(new);
    if (before == after || (before != NULL && after != NULL && strcmp(before, after) == 0))
        return;
    if (before != NULL && after != NULL)
        breach(comparison, RULE_FIELD_SAME_ONEOF, &new->place, new->owner->name,
               "%s moved from oneof \"%s\" to oneof \"%s\"", field_label(new, label), before,
               after);
    else
        breach(comparison, RULE_FIELD_SAME_ONEOF, &new->place, new->owner->name,
               "%s moved %s oneof \"%s\"", field_label(new, label),
               before != NULL ? "out of" : "into", before != NULL ? before : after);
}

static const char *cardinality_text(enum cardinality cardinality)
{
    switch (cardinality) {
    case ONE_EXPLICIT:
        return "optional";
    case ONE_IMPLICIT:
        return "single";
    case REQUIRED:
        return "required";
    case REPEATED:
        return "repeated";
    case MAP:
        return "a map";
    }
    return "";
}

static void compare_cardinality(struct comparison *comparison, const struct field_view *old,
                                const struct field_view *new)
{
    static const int on_the_wire[] = {[REQUIRED] = 1, [REPEATED] = 2, [MAP] = 2};
    static const int in_json[] = {[REQUIRED] = 1, [REPEATED] = 2, [MAP] = 3};
    enum cardinality before = field_cardinality(old), after = field_cardinality(new);
    if (before == after || (is_map_entry(old->owner) && is_map_entry(new->owner)))
        return;
    char label[FIELD_LABEL];
    field_label(new, label);
    const char *a = cardinality_text(before), *b = cardinality_text(after);
    breach(comparison, RULE_FIELD_SAME_CARDINALITY, &new->place, new->owner->name,
           "%s was %s and is %s", label, a, b);
    if (in_json[before] != in_json[after])
        breach(comparison, RULE_FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY, &new->place,
               new->owner->name, "%s was %s and is %s, which bytes or JSON show", label, a, b);
    if (on_the_wire[before] != on_the_wire[after])
        breach(comparison, RULE_FIELD_WIRE_COMPATIBLE_CARDINALITY, &new->place, new->owner->name,
               "%s was %s and is %s, which the bytes show", label, a, b);
}

static bool java_verifies(const FileProto *file)
{
    return file_is_proto3(file) || (file->options != NULL && file->options->java_string_check_utf8);
}

static void compare_utf8(struct comparison *comparison, const struct field_view *old,
                         const struct field_view *new)
{
    if (!IS_TYPE(old, TYPE_STRING) || !IS_TYPE(new, TYPE_STRING))
        return;
    char label[FIELD_LABEL];
    bool before = file_is_proto3(old->owner->file), after = file_is_proto3(new->owner->file);
    if (before != after)
        breach(comparison, RULE_FIELD_SAME_UTF8_VALIDATION, &new->place, new->owner->name,
               "%s %s checked for UTF-8", field_label(new, label),
               after ? "is now" : "is no longer");
    before = java_verifies(old->owner->file);
    after = java_verifies(new->owner->file);
    if (before != after)
        breach(comparison, RULE_FIELD_SAME_JAVA_UTF8_VALIDATION, &new->place, new->owner->name,
               "%s %s checked for UTF-8 in Java", field_label(new, label),
               after ? "is now" : "is no longer");
}

static bool is_64_bit(const struct field_view *view)
{
    return IS_TYPE(view, TYPE_INT64) || IS_TYPE(view, TYPE_UINT64) || IS_TYPE(view, TYPE_SINT64) ||
           IS_TYPE(view, TYPE_FIXED64) || IS_TYPE(view, TYPE_SFIXED64);
}

/* STRING_PIECE to STRING is allowed: the accessors of the latter accept what those of the former did. */
static void compare_language(struct comparison *comparison, const struct field_view *old,
                             const struct field_view *new)
{
    enum { CTYPE = 1, JSTYPE = 6 };
    char label[FIELD_LABEL];
    const Google__Protobuf__FieldOptions none = GOOGLE__PROTOBUF__FIELD_OPTIONS__INIT;
    const Google__Protobuf__FieldOptions *a = old->field->options == NULL ? &none
                                                                          : old->field->options;
    const Google__Protobuf__FieldOptions *b = new->field->options == NULL ? &none
                                                                          : new->field->options;
    struct place jstype = place_inside(&new->place, FIELD_OPTIONS, JSTYPE);
    if (is_64_bit(old) && is_64_bit(new) && a->jstype != b->jstype)
        breach(comparison, RULE_FIELD_SAME_JSTYPE, &jstype, new->owner->name,
               "%s changed the option jstype from %d to %d", field_label(new, label),
               (int)a->jstype, (int)b->jstype);
    bool text = (IS_TYPE(old, TYPE_STRING) || IS_TYPE(old, TYPE_BYTES)) &&
                (IS_TYPE(new, TYPE_STRING) || IS_TYPE(new, TYPE_BYTES)) &&
                !(is_map_entry(old->owner) && is_map_entry(new->owner));
    bool widened = a->ctype == GOOGLE__PROTOBUF__FIELD_OPTIONS__CTYPE__STRING_PIECE &&
                   b->ctype == GOOGLE__PROTOBUF__FIELD_OPTIONS__CTYPE__STRING;
    struct place ctype = place_inside(&new->place, FIELD_OPTIONS, CTYPE);
    if (text && a->ctype != b->ctype && !widened)
        breach(comparison, RULE_FIELD_SAME_CPP_STRING_TYPE, &ctype, new->owner->name,
               "%s changed the option ctype from %d to %d", field_label(new, label), (int)a->ctype,
               (int)b->ctype);
}
