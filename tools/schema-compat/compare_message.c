/* Messages: fields, oneofs and reservations that are gone; see compare.h. */
#include "compare.h"

#include <inttypes.h>
#include <string.h>

static void compare_fields(struct comparison *comparison, const struct element *old,
                           const struct element *new);
static void field_deleted(struct comparison *comparison, const struct field_view *old,
                          const struct element *new);
static void compare_required(struct comparison *comparison, const struct element *old,
                             const struct element *new);
static void compare_oneofs(struct comparison *comparison, const struct element *old,
                           const struct element *new);
static void compare_ranges(struct comparison *comparison, const struct element *old,
                           const struct element *new);
static void compare_forms(struct comparison *comparison, const struct element *old,
                          const struct element *new);

void compare_message(struct comparison *comparison, const struct element *old,
                     const struct element *new)
{
    compare_fields(comparison, old, new);
    compare_required(comparison, old, new);
    compare_oneofs(comparison, old, new);
    compare_ranges(comparison, old, new);
    compare_forms(comparison, old, new);
    if (comparison->event)
        compare_event_message(comparison, old, new);
}

struct field_view field_of(const struct image *image, const struct element *message, size_t index)
{
    return (struct field_view){
        .field = message->message->field[index],
        .owner = message,
        .image = image,
        .place = place_inside(&message->place, MESSAGE_FIELD, (int)index),
    };
}

const FieldProto *field_by_number(const MessageProto *message, int32_t number, size_t *index)
{
    for (*index = 0; *index < message->n_field; (*index)++) {
        if (message->field[*index]->number == number)
            return message->field[*index];
    }
    return NULL;
}

bool oneof_is_synthetic(const MessageProto *message, size_t index)
{
    for (size_t i = 0; i < message->n_field; i++) {
        const FieldProto *field = message->field[i];
        if (field->has_oneof_index && (size_t)field->oneof_index == index)
            return field->has_proto3_optional && field->proto3_optional;
    }
    return false;
}

static void compare_fields(struct comparison *comparison, const struct element *old,
                           const struct element *new)
{
    for (size_t i = 0; i < old->message->n_field; i++) {
        struct field_view before = field_of(comparison->old, old, i);
        size_t at;
        if (field_by_number(new->message, before.field->number, &at) == NULL) {
            field_deleted(comparison, &before, new);
            continue;
        }
        struct field_view after = field_of(comparison->new, new, at);
        compare_field(comparison, &before, &after);
    }
}

static void field_deleted(struct comparison *comparison, const struct field_view *old,
                          const struct element *new)
{
    const FieldProto *field = old->field;
    struct ranges reserved = ranges_reserved(new->message);
    breach(comparison, RULE_FIELD_NO_DELETE, &new->place, new->name,
           "field %d \"%s\" of %s was deleted", field->number, field->name, new->name);
    if (!ranges_hold(&reserved, field->number))
        breach(comparison, RULE_FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED, &new->place, new->name,
               "field %d \"%s\" of %s was deleted without reserving the number %d", field->number,
               field->name, new->name, field->number);
    if (!names_hold(new->message->reserved_name, new->message->n_reserved_name, field->name))
        breach(comparison, RULE_FIELD_NO_DELETE_UNLESS_NAME_RESERVED, &new->place, new->name,
               "field %d \"%s\" of %s was deleted without reserving the name \"%s\"", field->number,
               field->name, new->name, field->name);
    ranges_deinit(&reserved);
}

static bool requires(const MessageProto *message, int32_t number)
{
    size_t at;
    const FieldProto *field = field_by_number(message, number, &at);
    return field != NULL &&
           field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED;
}

static void compare_required(struct comparison *comparison, const struct element *old,
                             const struct element *new)
{
    for (size_t i = 0; i < old->message->n_field; i++) {
        int32_t number = old->message->field[i]->number;
        if (requires(old->message, number) && !requires(new->message, number))
            breach(comparison, RULE_MESSAGE_SAME_REQUIRED_FIELDS, &new->place, new->name,
                   "%s no longer requires field %d \"%s\"", new->name, number,
                   old->message->field[i]->name);
    }
    for (size_t i = 0; i < new->message->n_field; i++) {
        int32_t number = new->message->field[i]->number;
        struct place place = place_inside(&new->place, MESSAGE_FIELD, (int)i);
        if (requires(new->message, number) && !requires(old->message, number))
            breach(comparison, RULE_MESSAGE_SAME_REQUIRED_FIELDS, &place, new->name,
                   "%s now requires field %d \"%s\"", new->name, number,
                   new->message->field[i]->name);
    }
}

static void compare_oneofs(struct comparison *comparison, const struct element *old,
                           const struct element *new)
{
    for (size_t i = 0; i < old->message->n_oneof_decl; i++) {
        const char *name = old->message->oneof_decl[i]->name;
        bool found = oneof_is_synthetic(old->message, i);
        for (size_t k = 0; k < new->message->n_oneof_decl && !found; k++)
            found = strcmp(new->message->oneof_decl[k]->name, name) == 0;
        if (!found)
            breach(comparison, RULE_ONEOF_NO_DELETE, &new->place, new->name,
                   "oneof \"%s\" of %s was deleted", name, new->name);
    }
}

static void ranges_kept(struct comparison *comparison, enum rule rule, const struct element *new,
                        const struct ranges pair[2])
{
    const char *kind = rule == RULE_EXTENSION_MESSAGE_NO_DELETE ? "extension" : "reserved";
    for (size_t i = 0; i < pair[0].count; i++) {
        struct range range = pair[0].items[i];
        int64_t missing;
        if (!ranges_cover(&pair[1], range, &missing))
            breach(comparison, rule, &new->place, new->name,
                   "%s range %" PRId64 " to %" PRId64 " of %s has lost %" PRId64, kind, range.first,
                   range.last, new->name, missing);
    }
}

static void compare_ranges(struct comparison *comparison, const struct element *old,
                           const struct element *new)
{
    struct ranges reserved[2] = {ranges_reserved(old->message), ranges_reserved(new->message)};
    struct ranges extension[2] = {ranges_extension(old->message), ranges_extension(new->message)};
    ranges_kept(comparison, RULE_RESERVED_MESSAGE_NO_DELETE, new, reserved);
    ranges_kept(comparison, RULE_EXTENSION_MESSAGE_NO_DELETE, new, extension);
    for (size_t i = 0; i < 2; i++) {
        ranges_deinit(&reserved[i]);
        ranges_deinit(&extension[i]);
    }
    for (size_t i = 0; i < old->message->n_reserved_name; i++) {
        const char *name = old->message->reserved_name[i];
        if (!names_hold(new->message->reserved_name, new->message->n_reserved_name, name))
            breach(comparison, RULE_RESERVED_MESSAGE_NO_DELETE, &new->place, new->name,
                   "reserved name \"%s\" of %s was deleted", name, new->name);
    }
}

static void compare_forms(struct comparison *comparison, const struct element *old,
                          const struct element *new)
{
    if (file_is_proto3(old->file) && !file_is_proto3(new->file))
        breach(comparison, RULE_MESSAGE_SAME_JSON_FORMAT, &new->place, new->name,
               "%s no longer promises a JSON form: it moved from proto3 to proto2", new->name);
    bool had = old->message->options != NULL &&
               old->message->options->no_standard_descriptor_accessor;
    bool has = new->message->options !=
               NULL &&new->message->options->no_standard_descriptor_accessor;
    struct place option = place_inside(&new->place, MESSAGE_OPTIONS, 2);
    if (!had && has)
        breach(comparison, RULE_MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR, &option, new->name,
               "%s lost its standard descriptor accessor", new->name);
}
