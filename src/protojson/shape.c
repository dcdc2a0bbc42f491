/* Descriptors and the memory they describe; see shape.h.  Called by both directions; knows no JSON. */
#include "protojson/shape.h"

#include "base/hash.h"

#include "protojson/text.h"

#include <assert.h>
#include <stdlib.h>

#define WELL_KNOWN "google.protobuf."

static bool entry_is_named(const char *entry, const char *field);
static bool key_is_allowed(ProtobufCType type);
static struct slice entry_key(const ProtobufCMessage *entry);

enum shape shape_of(const ProtobufCMessageDescriptor *type)
{
    static const struct {
        const char *name;
        enum shape shape;
    } known[] = {
        {"Timestamp", SHAPE_TIMESTAMP},  {"Duration", SHAPE_DURATION},
        {"FieldMask", SHAPE_FIELD_MASK}, {"Any", SHAPE_ANY},
        {"Struct", SHAPE_STRUCT},        {"Value", SHAPE_VALUE},
        {"ListValue", SHAPE_LIST},       {"DoubleValue", SHAPE_WRAPPER},
        {"FloatValue", SHAPE_WRAPPER},   {"Int64Value", SHAPE_WRAPPER},
        {"UInt64Value", SHAPE_WRAPPER},  {"Int32Value", SHAPE_WRAPPER},
        {"UInt32Value", SHAPE_WRAPPER},  {"BoolValue", SHAPE_WRAPPER},
        {"StringValue", SHAPE_WRAPPER},  {"BytesValue", SHAPE_WRAPPER},
    };
    if (strncmp(type->name, WELL_KNOWN, strlen(WELL_KNOWN)) != 0)
        return SHAPE_FIELDS;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type->name + strlen(WELL_KNOWN), known[i].name) == 0)
            return known[i].shape;
    }
    return SHAPE_FIELDS;
}

/* Descriptors made by hand may have no function that initialises: all members are zero then, texts NULL. */
ProtobufCMessage *shape_new(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    assert(type->magic == PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC);
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    if (type->message_init != NULL)
        protobuf_c_message_init(type, message);
    message->descriptor = type;
    return message;
}

size_t *shape_count(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    assert(field->label == PROTOBUF_C_LABEL_REPEATED);
    return (size_t *)(void *)((uint8_t *)message + field->quantifier_offset);
}

size_t shape_count_get(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    assert(field->label == PROTOBUF_C_LABEL_REPEATED);
    size_t count;
    memcpy(&count, (const uint8_t *)message + field->quantifier_offset, sizeof count);
    return count;
}

uint32_t shape_oneof_get(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    assert(shape_is_oneof(field));
    uint32_t number;
    memcpy(&number, (const uint8_t *)message + field->quantifier_offset, sizeof number);
    return number;
}

/* protobuf-c keeps presence as a oneof's number, a has_…, or a pointer.  Else the value tells: compared as
 * bytes, so that -0.0 counts as one. */
bool shape_is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return shape_count_get(message, field) > 0;
    if (shape_is_oneof(field) && shape_oneof_get(message, field) != field->id)
        return false;
    const void *member = shape_member(message, field);
    bool points = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
    const char *const *pointer = member;
    if (points && (*pointer == NULL || field->type == PROTOBUF_C_TYPE_MESSAGE))
        return *pointer != NULL;
    if (shape_is_oneof(field) || field->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL) {
        protobuf_c_boolean has;
        memcpy(&has, (const uint8_t *)message + field->quantifier_offset, sizeof has);
        return points ? *pointer != field->default_value : has != 0;
    }
    if (points)
        return (*pointer)[0] != '\0';
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)member)->len > 0;
    static const uint8_t zeros[sizeof(uint64_t)];
    return memcmp(member, zeros, shape_value_size(field)) != 0;
}

bool shape_has_presence(const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    return shape_is_oneof(field) || field->label != PROTOBUF_C_LABEL_NONE ||
           field->type == PROTOBUF_C_TYPE_MESSAGE;
}

void shape_set_present(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    assert(field->label != PROTOBUF_C_LABEL_REPEATED);
    uint8_t *quantifier = (uint8_t *)message + field->quantifier_offset;
    if (shape_is_oneof(field)) {
        uint32_t number = field->id;
        memcpy(quantifier, &number, sizeof number);
        return;
    }
    if (field->label != PROTOBUF_C_LABEL_OPTIONAL || field->type == PROTOBUF_C_TYPE_STRING ||
        field->type == PROTOBUF_C_TYPE_MESSAGE)
        return;
    protobuf_c_boolean has = 1;
    memcpy(quantifier, &has, sizeof has);
}

/* All of the descriptor must agree, not the name alone. */
bool shape_is_map(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *entry = field->descriptor;
    if (entry->n_fields != 2 || entry->fields[0].id != 1 || entry->fields[1].id != 2 ||
        strcmp(entry->fields[0].name, "key") != 0 || strcmp(entry->fields[1].name, "value") != 0 ||
        entry->fields[0].label == PROTOBUF_C_LABEL_REPEATED ||
        entry->fields[1].label == PROTOBUF_C_LABEL_REPEATED ||
        !key_is_allowed(entry->fields[0].type))
        return false;
    size_t outer = strlen(type->name);
    return strncmp(entry->name, type->name, outer) == 0 && entry->name[outer] == '.' &&
           entry_is_named(entry->name + outer + 1, field->name);
}

/* protoc's MapEntryName(): the field's name in upper camel case and "Entry". */
static bool entry_is_named(const char *entry, const char *field)
{
    bool raise = true;
    for (; *field != '\0'; field++) {
        if (*field != '_') {
            bool lower = *field >= 'a' && *field <= 'z';
            if (*entry != (raise && lower ? *field - 32 : *field))
                return false;
            entry++;
        }
        raise = *field == '_';
    }
    return strcmp(entry, "Entry") == 0;
}

static bool key_is_allowed(ProtobufCType type)
{
    return type != PROTOBUF_C_TYPE_FLOAT && type != PROTOBUF_C_TYPE_DOUBLE &&
           type != PROTOBUF_C_TYPE_BYTES && type != PROTOBUF_C_TYPE_ENUM &&
           type != PROTOBUF_C_TYPE_MESSAGE;
}

/* The hash has a key of the process's: what it costs does not depend on the names that somebody chose. */
bool shape_map_is_sound(struct arena *arena, const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field)
{
    size_t count = shape_count_get(message, field), room = 4;
    if (count < 2)
        return true;
    while (room < 2 * count)
        room *= 2;
    ProtobufCMessage *const *entries;
    memcpy(&entries, shape_member(message, field), sizeof entries);
    const ProtobufCMessage **table = arena_alloc(arena, room * sizeof(const ProtobufCMessage *));
    for (size_t i = 0; i < count; i++) {
        const struct slice key = entry_key(entries[i]);
        size_t place = hash_table(key) & (room - 1);
        for (; table[place] != NULL; place = (place + 1) & (room - 1)) {
            if (slice_equal(key, entry_key(table[place])))
                return false;
        }
        table[place] = entries[i];
    }
    return true;
}

static struct slice entry_key(const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *key = &entry->descriptor->fields[0];
    const void *value = shape_member(entry, key);
    if (key->type == PROTOBUF_C_TYPE_STRING)
        return slice_of_str(*(const char *const *)value);
    return slice_make(value, shape_value_size(key));
}

size_t shape_value_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    }
    abort(); /* no field type that protobuf-c has */
}

/* One by one: messages have few fields, and protobuf-c's index knows only the original names. */
const ProtobufCFieldDescriptor *shape_field(const ProtobufCMessageDescriptor *type,
                                            struct slice name)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (text_is_json_name(name, type->fields[i].name) || slice_is(name, type->fields[i].name))
            return &type->fields[i];
    }
    return NULL;
}

bool shape_is_null_value(const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_ENUM)
        return false;
    const ProtobufCEnumDescriptor *type = field->descriptor;
    return strcmp(type->name, WELL_KNOWN "NullValue") == 0;
}

/* "The last segment of the URL's path must represent the fully qualified name": at least one slash. */
const ProtobufCMessageDescriptor *shape_any_type(const struct protojson_types *types,
                                                 struct slice type_url)
{
    size_t begin = type_url.size;
    while (begin > 0 && type_url.data[begin - 1] != '/')
        begin--;
    if (begin == 0 || types == NULL)
        return NULL;
    struct slice name = slice_skip(type_url, begin);
    for (size_t i = 0; i < types->count; i++) {
        if (slice_is(name, types->types[i]->name))
            return types->types[i];
    }
    return NULL;
}
