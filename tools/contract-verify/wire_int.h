/* The wire's numbers, for wire_read.c, wire_write.c and wire_types.c. */
#ifndef CONTRACT_VERIFY_WIRE_INT_H
#define CONTRACT_VERIFY_WIRE_INT_H

#include "wire.h"

enum wire_format {
    FORMAT_VARINT = 0,
    FORMAT_64 = 1,
    FORMAT_BYTES = 2,
    FORMAT_32 = 5,
};

/* How a field's values lie on the wire when they are not packed. */
enum wire_format wire_format_of(const FieldProto *field);
/* Numbers and enums may be packed. */
bool wire_can_pack(const FieldProto *field);

/* The type of an embedded message below `path`, or of an Any; NULL: the bytes are bytes. */
const struct element *wire_embedded(const struct wire_types *types, struct slice path);
const struct element *wire_any_type(const struct wire_types *types, struct slice type_url);
bool wire_is_any(const struct element *type);

/* FieldDescriptorProto.Type, by its short name. */
enum {
    TYPE_DOUBLE = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_DOUBLE,
    TYPE_FLOAT = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FLOAT,
    TYPE_INT64 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT64,
    TYPE_UINT64 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT64,
    TYPE_INT32 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32,
    TYPE_FIXED64 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED64,
    TYPE_FIXED32 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED32,
    TYPE_BOOL = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BOOL,
    TYPE_STRING = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING,
    TYPE_GROUP = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP,
    TYPE_MESSAGE = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE,
    TYPE_BYTES = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES,
    TYPE_UINT32 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT32,
    TYPE_ENUM = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM,
    TYPE_SFIXED32 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED32,
    TYPE_SFIXED64 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED64,
    TYPE_SINT32 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT32,
    TYPE_SINT64 = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT64,
};

#endif
