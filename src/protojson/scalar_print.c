/* Single values as JSON; see scalar.h.  Called by print.c; knows no message. */
#include "protojson/scalar.h"
#include "protojson/shape.h"
#include "protojson/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static void signed_print(struct buf *out, const void *place);
static void unsigned_print(struct buf *out, const void *place);
static void floating_print(struct buf *out, double value, bool single);
static void enum_print(struct buf *out, const ProtobufCFieldDescriptor *field, const void *place);
static const char *text_print(struct buf *out, const void *place);
static void bytes_print(struct buf *out, const void *place);

const char *scalar_print(struct buf *out, const ProtobufCFieldDescriptor *field, const void *place)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buf_printf(out, "%" PRId32, *(const int32_t *)place);
        return NULL;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buf_printf(out, "%" PRIu32, *(const uint32_t *)place);
        return NULL;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        signed_print(out, place);
        return NULL;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        unsigned_print(out, place);
        return NULL;
    case PROTOBUF_C_TYPE_FLOAT:
        floating_print(out, (double)*(const float *)place, true);
        return NULL;
    case PROTOBUF_C_TYPE_DOUBLE:
        floating_print(out, *(const double *)place, false);
        return NULL;
    case PROTOBUF_C_TYPE_BOOL:
        buf_put_str(out, *(const protobuf_c_boolean *)place ? "true" : "false");
        return NULL;
    case PROTOBUF_C_TYPE_ENUM:
        enum_print(out, field, place);
        return NULL;
    case PROTOBUF_C_TYPE_STRING:
        return text_print(out, place);
    case PROTOBUF_C_TYPE_BYTES:
        bytes_print(out, place);
        return NULL;
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    abort(); /* messages are print.c's */
}

/* 64-bit numbers and texts have their quotes already. */
const char *scalar_print_key(struct buf *out, const ProtobufCFieldDescriptor *field,
                             const void *place)
{
    bool bare = field->type == PROTOBUF_C_TYPE_BOOL ||
                (field->type != PROTOBUF_C_TYPE_STRING && shape_value_size(field) == 4);
    if (bare)
        buf_put_byte(out, '"');
    const char *rule = scalar_print(out, field, place);
    if (bare)
        buf_put_byte(out, '"');
    return rule;
}

static void signed_print(struct buf *out, const void *place)
{
    buf_printf(out, "\"%" PRId64 "\"", *(const int64_t *)place);
}

static void unsigned_print(struct buf *out, const void *place)
{
    buf_printf(out, "\"%" PRIu64 "\"", *(const uint64_t *)place);
}

static void floating_print(struct buf *out, double value, bool single)
{
    if (isnan(value))
        buf_put_str(out, "\"NaN\"");
    else if (isinf(value))
        buf_put_str(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else if (single)
        text_put_float(out, (float)value);
    else
        text_put_double(out, value);
}

static void enum_print(struct buf *out, const ProtobufCFieldDescriptor *field, const void *place)
{
    int32_t number = *(const int32_t *)place;
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(field->descriptor, number);
    if (shape_is_null_value(field))
        buf_put_str(out, "null");
    else if (value == NULL)
        buf_printf(out, "%" PRId32, number);
    else
        buf_printf(out, "\"%s\"", value->name);
}

/* protobuf-c leaves NULL where a text was never set. */
static const char *text_print(struct buf *out, const void *place)
{
    struct slice text = slice_of_str(*(const char *const *)place);
    if (!text_is_utf8(text))
        return "must be UTF-8";
    buf_put_byte(out, '"');
    buf_put_json_escaped(out, text);
    buf_put_byte(out, '"');
    return NULL;
}

static void bytes_print(struct buf *out, const void *place)
{
    const ProtobufCBinaryData *bytes = place;
    buf_put_byte(out, '"');
    text_put_base64(out, slice_make(bytes->data, bytes->len));
    buf_put_byte(out, '"');
}
