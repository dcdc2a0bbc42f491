/* Single values out of JSON; see scalar.h.  Called by parse.c; knows no message. */
#include "protojson/scalar.h"
#include "protojson/text.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static enum scalar_result number_read(struct reader *reader, const ProtobufCFieldDescriptor *field,
                                      void *place);
static bool number_store(struct reader *reader, const ProtobufCFieldDescriptor *field,
                         struct slice text, void *place);
static bool signed_store(struct reader *reader, struct whole value, int64_t limit, void *place);
static bool unsigned_store(struct reader *reader, struct whole value, uint64_t limit, void *place);
static bool floating_store(struct reader *reader, const ProtobufCFieldDescriptor *field,
                           struct slice text, void *place);
static bool special_value(struct slice text, double *value);
static enum scalar_result bool_read(struct reader *reader, void *place);
static enum scalar_result enum_read(struct reader *reader, const ProtobufCEnumDescriptor *type,
                                    void *place);
static const ProtobufCEnumValue *enum_value(const ProtobufCEnumDescriptor *type, struct slice name);
static enum scalar_result text_read(struct reader *reader, void *place);
static enum scalar_result bytes_read(struct reader *reader, void *place);
static void text_store(struct reader *reader, struct slice text, void *place);
static enum scalar_result refused(struct reader *reader, const char *rule);

enum scalar_result scalar_read(struct reader *reader, const ProtobufCFieldDescriptor *field,
                               void *place)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return number_read(reader, field, place);
    case PROTOBUF_C_TYPE_BOOL:
        return bool_read(reader, place);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_read(reader, field->descriptor, place);
    case PROTOBUF_C_TYPE_STRING:
        return text_read(reader, place);
    case PROTOBUF_C_TYPE_BYTES:
        return bytes_read(reader, place);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    abort(); /* messages are parse.c's */
}

bool scalar_read_key(struct reader *reader, const ProtobufCFieldDescriptor *field, struct slice key,
                     void *place)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        text_store(reader, key, place);
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        protobuf_c_boolean value = slice_is(key, "true");
        memcpy(place, &value, sizeof value);
        return value || slice_is(key, "false") || reader_refuse(reader, "must be true or false");
    }
    return number_store(reader, field, key, place);
}

/* "int64, fixed64, uint64: JSON string; numbers, strings and exponents are accepted", and so are strings for
 * the other kinds. */
static enum scalar_result number_read(struct reader *reader, const ProtobufCFieldDescriptor *field,
                                      void *place)
{
    struct slice text;
    enum json_kind kind = reader_peek(reader);
    bool taken = kind == JSON_NUMBER   ? reader_number(reader, &text)
                 : kind == JSON_STRING ? reader_string(reader, &text)
                                       : reader_refuse(reader, "must be a number");
    return taken && number_store(reader, field, text, place) ? SCALAR_OK : SCALAR_REFUSED;
}

static bool number_store(struct reader *reader, const ProtobufCFieldDescriptor *field,
                         struct slice text, void *place)
{
    if (field->type == PROTOBUF_C_TYPE_FLOAT || field->type == PROTOBUF_C_TYPE_DOUBLE)
        return floating_store(reader, field, text, place);
    if (text.size == 0 || text_number_size(text) != text.size)
        return reader_refuse(reader, "must be a number");
    struct whole value = {0};
    enum whole_result result = text_whole(text, &value);
    if (result == WHOLE_FRACTION)
        return reader_refuse(reader, "must be a whole number");
    if (result == WHOLE_TOO_LARGE)
        return reader_refuse(reader, "must be in the range of its type");
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return unsigned_store(reader, value, UINT32_MAX, place);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return unsigned_store(reader, value, UINT64_MAX, place);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return signed_store(reader, value, INT64_MAX, place);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_ENUM:
        return signed_store(reader, value, INT32_MAX, place);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    abort(); /* no whole number */
}

static bool signed_store(struct reader *reader, struct whole value, int64_t limit, void *place)
{
    if (value.size > (uint64_t)limit + value.negative)
        return reader_refuse(reader, "must be in the range of its type");
    int64_t wide = (int64_t)(value.negative ? 0 - value.size : value.size);
    int32_t narrow = (int32_t)wide;
    if (limit == INT32_MAX)
        memcpy(place, &narrow, sizeof narrow);
    else
        memcpy(place, &wide, sizeof wide);
    return true;
}

static bool unsigned_store(struct reader *reader, struct whole value, uint64_t limit, void *place)
{
    if (value.size > limit || (value.negative && value.size > 0))
        return reader_refuse(reader, "must be in the range of its type");
    uint32_t narrow = (uint32_t)value.size;
    if (limit == UINT32_MAX)
        memcpy(place, &narrow, sizeof narrow);
    else
        memcpy(place, &value.size, sizeof value.size);
    return true;
}

static bool floating_store(struct reader *reader, const ProtobufCFieldDescriptor *field,
                           struct slice text, void *place)
{
    double wide;
    bool special = special_value(text, &wide);
    float narrow = special ? (float)wide : 0;
    if (!special && (text.size == 0 || text_number_size(text) != text.size))
        return reader_refuse(reader, "must be a number, NaN, Infinity or -Infinity");
    bool single = field->type == PROTOBUF_C_TYPE_FLOAT;
    bool fits = special || (single ? text_float(reader->arena, text, &narrow)
                                   : text_double(reader->arena, text, &wide));
    if (!fits)
        return reader_refuse(reader, "must be in the range of its type");
    if (single)
        memcpy(place, &narrow, sizeof narrow);
    else
        memcpy(place, &wide, sizeof wide);
    return true;
}

static bool special_value(struct slice text, double *value)
{
    if (slice_is(text, "NaN"))
        *value = NAN;
    else if (slice_is(text, "Infinity"))
        *value = INFINITY;
    else if (slice_is(text, "-Infinity"))
        *value = -INFINITY;
    else
        return false;
    return true;
}

static enum scalar_result bool_read(struct reader *reader, void *place)
{
    enum json_kind kind = reader_peek(reader);
    if (kind != JSON_TRUE && kind != JSON_FALSE)
        return refused(reader, "must be true or false");
    if (!reader_literal(reader, kind))
        return SCALAR_REFUSED;
    protobuf_c_boolean value = kind == JSON_TRUE;
    memcpy(place, &value, sizeof value);
    return SCALAR_OK;
}

/* proto3's enums are open: any number of 32 bits is a value. */
static enum scalar_result enum_read(struct reader *reader, const ProtobufCEnumDescriptor *type,
                                    void *place)
{
    static const ProtobufCFieldDescriptor as_number = {.type = PROTOBUF_C_TYPE_ENUM};
    enum json_kind kind = reader_peek(reader);
    if (kind == JSON_NUMBER)
        return number_read(reader, &as_number, place);
    struct slice name;
    if (kind != JSON_STRING)
        return refused(reader, "must be an enum's name or number");
    if (!reader_string(reader, &name))
        return SCALAR_REFUSED;
    const ProtobufCEnumValue *value = enum_value(type, name);
    if (value == NULL)
        return SCALAR_UNKNOWN_NAME;
    int32_t number = value->value;
    memcpy(place, &number, sizeof number);
    return SCALAR_OK;
}

/* values_by_name has the aliases too, each with an index into values. */
static const ProtobufCEnumValue *enum_value(const ProtobufCEnumDescriptor *type, struct slice name)
{
    for (unsigned i = 0; i < type->n_value_names; i++) {
        if (slice_is(name, type->values_by_name[i].name))
            return &type->values[type->values_by_name[i].index];
    }
    return NULL;
}

static enum scalar_result text_read(struct reader *reader, void *place)
{
    struct slice text;
    if (reader_peek(reader) != JSON_STRING)
        return refused(reader, "must be a string");
    if (!reader_string(reader, &text))
        return SCALAR_REFUSED;
    text_store(reader, text, place);
    return SCALAR_OK;
}

static void text_store(struct reader *reader, struct slice text, void *place)
{
    assert(text.size == 0 || memchr(text.data, 0, text.size) == NULL);
    char *copy = arena_strndup(reader->arena, text.data, text.size);
    memcpy(place, &copy, sizeof copy);
}

static enum scalar_result bytes_read(struct reader *reader, void *place)
{
    struct slice text;
    struct slice bytes;
    if (reader_peek(reader) != JSON_STRING)
        return refused(reader, "must be a string of base64");
    if (!reader_string(reader, &text))
        return SCALAR_REFUSED;
    if (!text_base64(reader->arena, text, &bytes))
        return refused(reader, "must be base64");
    /* decoded into the arena a moment ago, for this message alone */
    ProtobufCBinaryData data = {.len = bytes.size};
    memcpy(&data.data, &bytes.data, sizeof data.data);
    memcpy(place, &data, sizeof data);
    return SCALAR_OK;
}

static enum scalar_result refused(struct reader *reader, const char *rule)
{
    (void)reader_refuse(reader, rule);
    return SCALAR_REFUSED;
}
