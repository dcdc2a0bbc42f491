/* A message type with a repeated and a plain field of every protobuf type, and itself inside; for the tests
 * of the scan.  protoc-c does not write it because none of our contracts needs all of them. */
#ifndef FUZZ_SAMPLE_MESSAGE_H
#define FUZZ_SAMPLE_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#define SAMPLE_TYPES 17        /* ProtobufCType: INT32 to MESSAGE */
#define SAMPLE_PLAIN_FIRST 101 /* repeated fields are 1 to 17, plain ones 101 to 117 */

union sample_slot {
    uint64_t number;
    void *pointer;
    ProtobufCBinaryData bytes;
};

struct sample {
    ProtobufCMessage base;
    size_t counts[SAMPLE_TYPES];
    void *lists[SAMPLE_TYPES];
    union sample_slot slots[SAMPLE_TYPES];
};

static const ProtobufCMessageDescriptor sample_descriptor;

#define SAMPLE_REPEATED(type_, name_)                                                              \
    {                                                                                              \
        .name = "many_" name_, .id = 1 + PROTOBUF_C_TYPE_##type_,                                  \
        .label = PROTOBUF_C_LABEL_REPEATED, .type = PROTOBUF_C_TYPE_##type_,                       \
        .quantifier_offset = offsetof(struct sample, counts[PROTOBUF_C_TYPE_##type_]),             \
        .offset = offsetof(struct sample, lists[PROTOBUF_C_TYPE_##type_]),                         \
        .descriptor = PROTOBUF_C_TYPE_##type_ == PROTOBUF_C_TYPE_MESSAGE ? &sample_descriptor      \
                                                                         : NULL,                   \
    }
#define SAMPLE_PLAIN(type_, name_)                                                                 \
    {                                                                                              \
        .name = "one_" name_, .id = SAMPLE_PLAIN_FIRST + PROTOBUF_C_TYPE_##type_,                  \
        .label = PROTOBUF_C_LABEL_NONE, .type = PROTOBUF_C_TYPE_##type_,                           \
        .offset = offsetof(struct sample, slots[PROTOBUF_C_TYPE_##type_]),                         \
        .descriptor = PROTOBUF_C_TYPE_##type_ == PROTOBUF_C_TYPE_MESSAGE ? &sample_descriptor      \
                                                                         : NULL,                   \
    }
#define SAMPLE_ALL(kind)                                                                           \
    kind(INT32, "int32"), kind(SINT32, "sint32"), kind(SFIXED32, "sfixed32"),                      \
        kind(INT64, "int64"), kind(SINT64, "sint64"), kind(SFIXED64, "sfixed64"),                  \
        kind(UINT32, "uint32"), kind(FIXED32, "fixed32"), kind(UINT64, "uint64"),                  \
        kind(FIXED64, "fixed64"), kind(FLOAT, "float"), kind(DOUBLE, "double"),                    \
        kind(BOOL, "bool"), kind(ENUM, "enum"), kind(STRING, "string"), kind(BYTES, "bytes"),      \
        kind(MESSAGE, "message")

static const ProtobufCFieldDescriptor sample_fields[] = {
    SAMPLE_ALL(SAMPLE_REPEATED),
    SAMPLE_ALL(SAMPLE_PLAIN),
};
static const ProtobufCIntRange sample_ranges[] = {
    {1, 0},
    {SAMPLE_PLAIN_FIRST, SAMPLE_TYPES},
    {0, 2 * SAMPLE_TYPES},
};
static const ProtobufCMessageDescriptor sample_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "sample",
    .short_name = "sample",
    .c_name = "sample",
    .package_name = "",
    .sizeof_message = sizeof(struct sample),
    .n_fields = 2 * SAMPLE_TYPES,
    .fields = sample_fields,
    .n_field_ranges = 2,
    .field_ranges = sample_ranges,
};

#endif
