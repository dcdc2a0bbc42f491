/* Refuses images that a comparison could trip over; see image_check.h.  protobuf-c has checked the encoding,
 * and knows nothing of what descriptors mean. */
#include "image_check.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

static char *complain(const char *format, const char *where, const char *what)
    __attribute__((format(printf, 1, 0)));
static char *check_file(const FileProto *file);
static char *check_message(const FileProto *file, const MessageProto *message);
static char *check_field(const FileProto *file, const FieldProto *field);
static char *check_extension(const FileProto *file, const FieldProto *extension);
static char *check_enum(const FileProto *file, const EnumProto *enumeration);
static char *check_service(const FileProto *file, const ServiceProto *service);
static char *check_known(const struct image *image, const FieldProto *field, const char *owner);

#define FIRST(error, expression)                                                                   \
    do {                                                                                           \
        if ((error) == NULL)                                                                       \
            (error) = (expression);                                                                \
    } while (0)

char *image_check(const FileSet *set)
{
    char *error = NULL;
    for (size_t i = 0; error == NULL && i < set->n_file; i++) {
        const FileProto *file = set->file[i];
        if (file->name == NULL || file->name[0] == '\0')
            return complain("a file without a name%s%s", "", "");
        for (size_t k = 0; k < i; k++) {
            if (strcmp(set->file[k]->name, file->name) == 0)
                return complain("%s: the file is there twice%s", file->name, "");
        }
        error = check_file(file);
    }
    return error;
}

char *image_check_names(const struct image *image)
{
    char *error = NULL;
    for (size_t kind = 0; kind < ELEMENT_KINDS; kind++) {
        const struct element_list *list = &image->kinds[kind];
        for (size_t i = 1; i < list->count; i++) {
            if (strcmp(list->items[i - 1].name, list->items[i].name) == 0)
                return complain("%s: %s is there twice", list->items[i].file->name,
                                list->items[i].name);
        }
    }
    const struct element_list *messages = &image->kinds[ELEMENT_MESSAGE];
    for (size_t i = 0; i < messages->count; i++) {
        const struct element *message = &messages->items[i];
        for (size_t k = 0; k < message->message->n_field; k++)
            FIRST(error, check_known(image, message->message->field[k], message->name));
    }
    const struct element_list *extensions = &image->kinds[ELEMENT_EXTENSION];
    for (size_t i = 0; error == NULL && i < extensions->count; i++) {
        const FieldProto *field = extensions->items[i].extension;
        for (size_t k = 0; error == NULL && k < i; k++) {
            const FieldProto *other = extensions->items[k].extension;
            if (other->number == field->number && strcmp(other->extendee, field->extendee) == 0)
                error = complain("%s: two extensions have the number of %s",
                                 extensions->items[i].file->name, field->name);
        }
    }
    for (size_t i = 0; i < extensions->count; i++)
        FIRST(error, check_known(image, extensions->items[i].extension, extensions->items[i].name));
    return error;
}

static char *complain(const char *format, const char *where, const char *what)
{
    struct buf text = BUF_EMPTY;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buf_printf(&text, format, where, what);
#pragma GCC diagnostic pop
    char *copy = xstrdup(buf_str(&text));
    buf_deinit(&text);
    return copy;
}

static char *check_file(const FileProto *file)
{
    char *error = NULL;
    const char *syntax = file->syntax == NULL || file->syntax[0] == '\0' ? "proto2" : file->syntax;
    if (strcmp(syntax, "proto2") != 0 && strcmp(syntax, "proto3") != 0)
        return complain("%s: syntax \"%s\": only proto2 and proto3 are understood", file->name,
                        syntax);
    for (size_t i = 0; i < file->n_message_type; i++)
        FIRST(error, check_message(file, file->message_type[i]));
    for (size_t i = 0; i < file->n_enum_type; i++)
        FIRST(error, check_enum(file, file->enum_type[i]));
    for (size_t i = 0; i < file->n_extension; i++)
        FIRST(error, check_extension(file, file->extension[i]));
    for (size_t i = 0; i < file->n_service; i++)
        FIRST(error, check_service(file, file->service[i]));
    return error;
}

static char *check_message(const FileProto *file, const MessageProto *message)
{
    char *error = NULL;
    if (message->name == NULL || message->name[0] == '\0')
        return complain("%s: a message without a name%s", file->name, "");
    for (size_t i = 0; i < message->n_field; i++) {
        const FieldProto *field = message->field[i];
        FIRST(error, check_field(file, field));
#ifndef PLANTED_BUG /* for tests/fuzz: a field may be in a oneof that is not there */
        if (error == NULL && field->has_oneof_index &&
            (field->oneof_index < 0 || (size_t)field->oneof_index >= message->n_oneof_decl))
            error =
                complain("%s: field %s is in a oneof that is not there", file->name, field->name);
#endif
    }
    for (size_t i = 1; error == NULL && i < message->n_field; i++) {
        for (size_t k = 0; error == NULL && k < i; k++) {
            if (message->field[k]->number == message->field[i]->number)
                error = complain("%s: two fields have the number of %s", file->name,
                                 message->field[i]->name);
        }
    }
    for (size_t i = 0; error == NULL && i < message->n_oneof_decl; i++) {
        if (message->oneof_decl[i]->name == NULL)
            error = complain("%s: a oneof of %s without a name", file->name, message->name);
    }
    for (size_t i = 0; i < message->n_extension; i++)
        FIRST(error, check_extension(file, message->extension[i]));
    for (size_t i = 0; i < message->n_enum_type; i++)
        FIRST(error, check_enum(file, message->enum_type[i]));
    for (size_t i = 0; i < message->n_nested_type; i++)
        FIRST(error, check_message(file, message->nested_type[i]));
    return error;
}

static char *check_field(const FileProto *file, const FieldProto *field)
{
    if (field->name == NULL || field->name[0] == '\0')
        return complain("%s: a field without a name%s", file->name, "");
    if (!field->has_number || !field->has_label || !field->has_type)
        return complain("%s: field %s without number, label or type", file->name, field->name);
    if (field->type < GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_DOUBLE ||
        field->type > GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT64)
        return complain("%s: field %s has an unknown type", file->name, field->name);
    return NULL;
}

static char *check_extension(const FileProto *file, const FieldProto *extension)
{
    char *error = check_field(file, extension);
    if (error == NULL && (extension->extendee == NULL || extension->extendee[0] != '.'))
        error = complain("%s: extension %s of nothing", file->name, extension->name);
    return error;
}

static char *check_enum(const FileProto *file, const EnumProto *enumeration)
{
    if (enumeration->name == NULL || enumeration->name[0] == '\0')
        return complain("%s: an enum without a name%s", file->name, "");
    if (enumeration->n_value == 0)
        return complain("%s: enum %s has no values", file->name, enumeration->name);
    for (size_t i = 0; i < enumeration->n_value; i++) {
        if (enumeration->value[i]->name == NULL || !enumeration->value[i]->has_number)
            return complain("%s: a value of enum %s without name or number", file->name,
                            enumeration->name);
    }
    return NULL;
}

static char *check_service(const FileProto *file, const ServiceProto *service)
{
    if (service->name == NULL || service->name[0] == '\0')
        return complain("%s: a service without a name%s", file->name, "");
    for (size_t i = 0; i < service->n_method; i++) {
        const MethodProto *method = service->method[i];
        if (method->name == NULL || method->input_type == NULL || method->output_type == NULL)
            return complain("%s: a method of %s without name or types", file->name, service->name);
    }
    return NULL;
}

static char *check_known(const struct image *image, const FieldProto *field, const char *owner)
{
    bool is_enum = field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM;
    bool is_message = field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE ||
                      field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP;
    enum element_kind kind = is_enum ? ELEMENT_ENUM : ELEMENT_MESSAGE;
    if (!is_enum && !is_message)
        return NULL;
    if (field->type_name != NULL && image_find_type(image, kind, field->type_name) != NULL)
        return NULL;
    return complain("%s: the type %s is not in the image: compile it with --include_imports", owner,
                    field->type_name == NULL ? "of a field" : field->type_name);
}
