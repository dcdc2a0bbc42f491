/* What protobuf-c's descriptors say about messages, and what they leave to be found out. */
#ifndef PROTOJSON_SHAPE_H
#define PROTOJSON_SHAPE_H

#include "protojson/protojson.h"

/* The messages whose JSON is not an object of their fields. */
enum shape {
    SHAPE_FIELDS, /* all others */
    SHAPE_TIMESTAMP,
    SHAPE_DURATION,
    SHAPE_FIELD_MASK,
    SHAPE_ANY,
    SHAPE_WRAPPER, /* BoolValue … StringValue: their only field */
    SHAPE_STRUCT,
    SHAPE_VALUE,
    SHAPE_LIST,
};

enum shape shape_of(const ProtobufCMessageDescriptor *type);

/* An empty message in the arena. */
ProtobufCMessage *shape_new(struct arena *arena, const ProtobufCMessageDescriptor *type);

/* A field's place in a message. */
static inline const void *shape_member(const ProtobufCMessage *message,
                                       const ProtobufCFieldDescriptor *field)
{
    return (const uint8_t *)message + field->offset;
}

static inline void *shape_member_mutable(ProtobufCMessage *message,
                                         const ProtobufCFieldDescriptor *field)
{
    return (uint8_t *)message + field->offset;
}

/* The elements of a repeated field; number of the one that is set of a oneof; has_… of an optional one. */
size_t *shape_count(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
size_t shape_count_get(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
uint32_t shape_oneof_get(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

static inline bool shape_is_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* True when the field is to be printed: set, or not its default. */
bool shape_is_present(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
/* True when the message can tell "set to the default" from "not set". */
bool shape_has_presence(const ProtobufCFieldDescriptor *field);
/* Makes a singular field present that was just written. */
void shape_set_present(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

/* True for a map: protobuf-c shows one as a repeated message of key and value.  protoc names the message
 * LabelsEntry for a field `labels` and puts it inside the field's own; that is what tells. */
bool shape_is_map(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field);

/* True when no key of the map stands in two entries. */
bool shape_map_is_sound(struct arena *arena, const ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field);

/* Bytes of one element or singular value in memory. */
size_t shape_value_size(const ProtobufCFieldDescriptor *field);

/* The field by its JSON or its original name; NULL: none. */
const ProtobufCFieldDescriptor *shape_field(const ProtobufCMessageDescriptor *type,
                                            struct slice name);

bool shape_is_null_value(const ProtobufCFieldDescriptor *field);

/* "type.googleapis.com/google.rpc.ErrorInfo" among the known; NULL: not there. */
const ProtobufCMessageDescriptor *shape_any_type(const struct protojson_types *types,
                                                 struct slice type_url);

#endif
