/* What descriptors say about types and fields.  See wire.h. */
#include "wire_int.h"

#include <assert.h>
#include <string.h>

static const char *last_name(const char *name);
static const FieldProto *field_numbered(const struct element *type, int32_t number);

const struct element *wire_type(const struct image *image, const char *name)
{
    const struct element *exact = image_find_type(image, ELEMENT_MESSAGE, name);
    if (exact != NULL || name[0] == '.')
        return exact;
    const struct element_list *list = &image->kinds[ELEMENT_MESSAGE];
    const struct element *found = NULL;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(last_name(list->items[i].name), name) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = &list->items[i];
    }
    return found;
}

static const char *last_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

bool wire_is_repeated(const FieldProto *field)
{
    return field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
}

const struct element *wire_map_entry(const struct image *image, const FieldProto *field)
{
    if (!wire_is_repeated(field) || (int)field->type != TYPE_MESSAGE)
        return NULL;
    const struct element *type = image_find_type(image, ELEMENT_MESSAGE, field->type_name);
    assert(type != NULL); /* image_read() has seen to it */
    const Google__Protobuf__MessageOptions *options = type->message->options;
    bool is_map = options != NULL && options->map_entry && field_numbered(type, 1) != NULL &&
                  field_numbered(type, 2) != NULL;
    return is_map ? type : NULL;
}

static const FieldProto *field_numbered(const struct element *type, int32_t number)
{
    for (size_t i = 0; i < type->message->n_field; i++) {
        if (type->message->field[i]->number == number)
            return type->message->field[i];
    }
    return NULL;
}

bool wire_default(const struct image *image, const FieldProto *field, struct value *value)
{
    *value = (struct value){.kind = VALUE_NULL};
    switch ((int)field->type) {
    case TYPE_DOUBLE:
    case TYPE_FLOAT:
        value->kind = VALUE_REAL;
        return true;
    case TYPE_UINT32:
    case TYPE_UINT64:
    case TYPE_FIXED32:
    case TYPE_FIXED64:
        value->kind = VALUE_UINT;
        return true;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_SINT32:
    case TYPE_SINT64:
    case TYPE_SFIXED32:
    case TYPE_SFIXED64:
        value->kind = VALUE_INT;
        return true;
    case TYPE_BOOL:
        value->kind = VALUE_BOOL;
        return true;
    case TYPE_STRING:
        value->kind = VALUE_TEXT;
        return true;
    case TYPE_BYTES:
        value->kind = VALUE_BYTES;
        return true;
    case TYPE_ENUM: {
        const struct element *type = image_find_type(image, ELEMENT_ENUM, field->type_name);
        const EnumValueProto *first = type->enumeration->value[0];
        value->kind = VALUE_ENUM;
        value->integer = first->number;
        value->text = slice_of_str(first->name);
        return true;
    }
    case TYPE_GROUP:
    case TYPE_MESSAGE:
        return false;
    }
    return false;
}

enum wire_format wire_format_of(const FieldProto *field)
{
    switch ((int)field->type) {
    case TYPE_DOUBLE:
    case TYPE_FIXED64:
    case TYPE_SFIXED64:
        return FORMAT_64;
    case TYPE_FLOAT:
    case TYPE_FIXED32:
    case TYPE_SFIXED32:
        return FORMAT_32;
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_MESSAGE:
    case TYPE_GROUP:
        return FORMAT_BYTES;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_UINT32:
    case TYPE_UINT64:
    case TYPE_SINT32:
    case TYPE_SINT64:
    case TYPE_BOOL:
    case TYPE_ENUM:
        return FORMAT_VARINT;
    }
    return FORMAT_VARINT;
}

bool wire_can_pack(const FieldProto *field)
{
    return wire_is_repeated(field) && wire_format_of(field) != FORMAT_BYTES;
}

const struct element *wire_embedded(const struct wire_types *types, struct slice path)
{
    for (size_t i = 0; i < types->embedded_count; i++) {
        if (slice_is(path, types->embedded[i].path))
            return types->embedded[i].type;
    }
    return NULL;
}

bool wire_is_any(const struct element *type)
{
    return strcmp(type->name, "google.protobuf.Any") == 0;
}

/* "A URL/resource name that uniquely identifies the type": what counts stands behind the last slash. */
const struct element *wire_any_type(const struct wire_types *types, struct slice type_url)
{
    size_t at = type_url.size;
    while (at > 0 && type_url.data[at - 1] != '/')
        at--;
    char name[256];
    size_t size = type_url.size - at;
    if (size == 0 || size >= sizeof name)
        return NULL;
    memcpy(name, type_url.data + at, size);
    name[size] = '\0';
    return image_find(types->image, ELEMENT_MESSAGE, name);
}
