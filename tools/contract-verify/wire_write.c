/* Packs trees by descriptors, fields in the order of the descriptor.  See wire.h. */
#include "wire_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    struct ctx *ctx;
    const struct wire_types *types;
};

static int write_member(struct writer *writer, const struct member *member, struct buf *out);
static int write_map(struct writer *writer, const struct member *map, const struct element *entry,
                     struct buf *out);
static int write_packed(struct writer *writer, const struct member *list, struct buf *out);
static int write_one(struct writer *writer, const FieldProto *field, const struct value *value,
                     struct buf *out);
static int write_content(struct writer *writer, const FieldProto *field, const struct value *value,
                         struct buf *out);
static int number_bits(struct writer *writer, const FieldProto *field, const struct value *value,
                       uint64_t *bits);
static int key_value(struct writer *writer, const FieldProto *field, struct slice text,
                     struct value *value);
static void put_varint(struct buf *out, uint64_t value);
static void put_key(struct buf *out, const FieldProto *field, enum wire_format format);
static void put_sized(struct buf *out, const FieldProto *field, struct slice bytes);

int wire_write(struct ctx *ctx, const struct wire_types *types, const struct value *value,
               struct buf *out)
{
    struct writer writer = {ctx, types};
    for (size_t i = 0; i < value->count; i++)
        TRY(write_member(&writer, &value->members[i], out));
    return OK;
}

static int write_member(struct writer *writer, const struct member *member, struct buf *out)
{
    const struct value *value = &member->value;
    const struct element *entry = wire_map_entry(writer->types->image, member->field);
    if (entry != NULL)
        return write_map(writer, member, entry, out);
    if (!wire_is_repeated(member->field))
        return write_one(writer, member->field, value, out);
    if (value->kind != VALUE_LIST)
        return FAULT(writer->ctx, FAULT_PROTOCOL, "%s must be a list", member->field->name);
    if (wire_can_pack(member->field))
        return write_packed(writer, member, out);
    for (size_t i = 0; i < value->count; i++)
        TRY(write_one(writer, member->field, &value->items[i], out));
    return OK;
}

static int write_map(struct writer *writer, const struct member *map, const struct element *entry,
                     struct buf *out)
{
    if (map->value.kind != VALUE_MAP)
        return FAULT(writer->ctx, FAULT_PROTOCOL, "%s must be a map", map->field->name);
    const FieldProto *fields[2] = {NULL, NULL};
    for (size_t i = 0; i < entry->message->n_field; i++) {
        int32_t number = entry->message->field[i]->number;
        if (number == 1 || number == 2)
            fields[number - 1] = entry->message->field[i];
    }
    for (size_t i = 0; i < map->value.count; i++) {
        const struct member *member = &map->value.members[i];
        struct value key;
        struct buf pair = BUF_EMPTY;
        int rc = key_value(writer, fields[0], member->key, &key);
        if (rc == OK)
            rc = write_one(writer, fields[0], &key, &pair);
        if (rc == OK)
            rc = write_one(writer, fields[1], &member->value, &pair);
        if (rc == OK)
            put_sized(out, map->field, buf_slice(&pair));
        buf_deinit(&pair);
        TRY(rc);
    }
    return OK;
}

static int write_packed(struct writer *writer, const struct member *list, struct buf *out)
{
    struct buf packed = BUF_EMPTY;
    int rc = OK;
    for (size_t i = 0; rc == OK && i < list->value.count; i++)
        rc = write_content(writer, list->field, &list->value.items[i], &packed);
    if (rc == OK && buf_size(&packed) > 0)
        put_sized(out, list->field, buf_slice(&packed));
    buf_deinit(&packed);
    return rc;
}

static int write_one(struct writer *writer, const FieldProto *field, const struct value *value,
                     struct buf *out)
{
    if (wire_format_of(field) != FORMAT_BYTES) {
        put_key(out, field, wire_format_of(field));
        return write_content(writer, field, value, out);
    }
    bool is_text = (int)field->type == TYPE_STRING;
    bool is_message = (int)field->type == TYPE_MESSAGE;
    if (value->kind == VALUE_MESSAGE && !is_text) {
        struct buf inside = BUF_EMPTY;
        int rc = wire_write(writer->ctx, writer->types, value, &inside);
        if (rc == OK)
            put_sized(out, field, buf_slice(&inside));
        buf_deinit(&inside);
        return rc;
    }
    bool fits = !is_message && (value->kind == VALUE_TEXT || value->kind == VALUE_BYTES);
    if (!fits)
        return FAULT(writer->ctx, FAULT_PROTOCOL, "%s cannot hold a %s", field->name,
                     value_kind_name(value));
    put_sized(out, field, value->text);
    return OK;
}

static int write_content(struct writer *writer, const FieldProto *field, const struct value *value,
                         struct buf *out)
{
    uint64_t bits = 0;
    TRY(number_bits(writer, field, value, &bits));
    enum wire_format format = wire_format_of(field);
    if (format == FORMAT_VARINT) {
        put_varint(out, bits);
        return OK;
    }
    for (size_t i = 0; i < (format == FORMAT_64 ? 8u : 4u); i++)
        buf_put_byte(out, (uint8_t)(bits >> (8 * i)));
    return OK;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int number_bits(struct writer *writer, const FieldProto *field, const struct value *value,
                       uint64_t *bits)
{
    struct value usual;
    int type = (int)field->type;
    (void)wire_default(writer->types->image, field, &usual);
    if (usual.kind != value->kind)
        return FAULT(writer->ctx, FAULT_PROTOCOL, "%s cannot hold a %s", field->name,
                     value_kind_name(value));
    if (value->kind == VALUE_BOOL) {
        *bits = value->truth ? 1 : 0;
    } else if (value->kind == VALUE_UINT) {
        *bits = value->natural;
    } else if (type == TYPE_DOUBLE) {
        memcpy(bits, &value->real, sizeof *bits);
    } else if (type == TYPE_FLOAT) {
        float single = (float)value->real;
        uint32_t half;
        memcpy(&half, &single, sizeof half);
        *bits = half;
    } else {
        bool zig = type == TYPE_SINT32 || type == TYPE_SINT64;
        *bits = zig ? zigzag(value->integer) : (uint64_t)value->integer;
    }
    return OK;
}

/* A map's key from its text. */
static int key_value(struct writer *writer, const FieldProto *field, struct slice text,
                     struct value *value)
{
    (void)wire_default(writer->types->image, field, value);
    if (value->kind == VALUE_TEXT) {
        value->text = text;
        return OK;
    }
    const char *digits = arena_strndup(writer->ctx->arena, text.data, text.size);
    char *end = NULL;
    errno = 0;
    if (value->kind == VALUE_BOOL) {
        value->truth = strcmp(digits, "true") == 0;
        return OK;
    }
    if (value->kind == VALUE_UINT)
        value->natural = strtoull(digits, &end, 10);
    else
        value->integer = strtoll(digits, &end, 10);
    if (errno != 0 || end == digits || *end != '\0')
        return FAULT(writer->ctx, FAULT_PROTOCOL, "%s is no key of a map", digits);
    return OK;
}

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_put_byte(out, (uint8_t)(value | 0x80));
    buf_put_byte(out, (uint8_t)value);
}

static void put_key(struct buf *out, const FieldProto *field, enum wire_format format)
{
    put_varint(out, (uint64_t)field->number << 3 | format);
}

static void put_sized(struct buf *out, const FieldProto *field, struct slice bytes)
{
    put_key(out, field, FORMAT_BYTES);
    put_varint(out, bytes.size);
    buf_put_slice(out, bytes);
}
