/* Follows the one recursive member of descriptor.proto, DescriptorProto.nested_type; see wire_depth.h. */
#include "wire_depth.h"

#include "image.h"

#include <stdint.h>

enum { SET_FILE_MEMBER = 1 };
enum {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5
};

static bool take_varint(struct slice *bytes, uint64_t *value);
static bool take_field(struct slice *bytes, uint64_t *number, struct slice *content);
static bool walk(struct slice bytes, uint64_t member, unsigned depth);

bool wire_depth_is_fine(struct slice bytes)
{
    return walk(bytes, SET_FILE_MEMBER, 0);
}

/* depth 0: the set; 1: a file; 2: a message; and so on. */
static bool walk(struct slice bytes, uint64_t member, unsigned depth)
{
    if (depth > NESTING_MAX + 1)
        return false;
    while (bytes.size > 0) {
        uint64_t number;
        struct slice content;
        if (!take_field(&bytes, &number, &content))
            return false;
        if (number == member && content.data != NULL &&
            !walk(content, depth == 0 ? FILE_MESSAGE : MESSAGE_NESTED, depth + 1))
            return false;
    }
    return true;
}

/* content.data is NULL for what is not length-delimited. */
static bool take_field(struct slice *bytes, uint64_t *number, struct slice *content)
{
    uint64_t key, value;
    if (!take_varint(bytes, &key))
        return false;
    *number = key >> 3;
    *content = (struct slice){0};
    size_t size = 0;
    switch (key & 7) {
    case WIRE_VARINT:
        return take_varint(bytes, &value);
    case WIRE_FIXED64:
        size = 8;
        break;
    case WIRE_FIXED32:
        size = 4;
        break;
    case WIRE_BYTES:
        if (!take_varint(bytes, &value) || value > bytes->size)
            return false;
        size = (size_t)value;
        *content = slice_make(bytes->data, size);
        break;
    case WIRE_GROUP: /* descriptor.proto has none */
    case WIRE_GROUP_END:
    default: /* lint-allow default-label: numbers of strangers */
        return false;
    }
    if (size > bytes->size)
        return false;
    *bytes = slice_make(bytes->data + size, bytes->size - size);
    return true;
}

static bool take_varint(struct slice *bytes, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && bytes->size > 0; shift += 7) {
        uint8_t byte = bytes->data[0];
        *bytes = slice_make(bytes->data + 1, bytes->size - 1);
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}
