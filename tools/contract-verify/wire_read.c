/* Unpacks messages by descriptors (protobuf.dev, "Encoding").  The bytes are a stranger's.  See wire.h. */
#include "wire_int.h"

#include "protojson/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 512
#define PATH_SHOWN 60         /* of its end, in a fault's text */
#define MAP_ENTRIES_MAX 10000 /* each new key is compared with all others */

struct reader {
    struct ctx *ctx;
    const struct wire_types *types;
    size_t count;
    unsigned depth;
    char path[PATH_SIZE]; /* of fields, dots between; for messages and embedded bytes */
    size_t path_size;
};

/* One field as it lies on the wire. */
struct item {
    uint64_t number;
    enum wire_format format;
    uint64_t bits;      /* of numbers */
    struct slice bytes; /* of FORMAT_BYTES */
};

static int read_message(struct reader *reader, const struct element *type, struct slice bytes,
                        struct value *value);
static bool take_varint(struct slice *bytes, uint64_t *value);
static bool take_fixed(struct slice *bytes, size_t size, uint64_t *value);
static bool take_item(struct slice *bytes, struct item *item);
static int read_item(struct reader *reader, struct value *value, const struct item *item);
static const FieldProto *field_of(const struct element *type, uint64_t number);
static struct member *member_for(struct reader *reader, struct value *value,
                                 const FieldProto *field);
static void drop_others(struct value *value, const FieldProto *field);
static int read_field(struct reader *reader, const FieldProto *field, const struct item *item,
                      struct value *value);
static int read_list(struct reader *reader, const FieldProto *field, const struct item *item,
                     struct value *list);
static int read_map(struct reader *reader, const struct element *entry, const struct item *item,
                    struct value *map);
static int read_one(struct reader *reader, const FieldProto *field, const struct item *item,
                    struct value *value);
static void read_number(struct reader *reader, const FieldProto *field, uint64_t bits,
                        struct value *value);
static int read_bytes(struct reader *reader, const FieldProto *field, struct slice bytes,
                      struct value *value);
static int merge(struct reader *reader, const FieldProto *field, struct slice bytes,
                 struct value *value);
static int resolve_any(struct reader *reader, struct value *any);
static void order_fields(struct value *value);
static int refuse(struct reader *reader, const FieldProto *field, const char *rule);

int wire_read(struct ctx *ctx, const struct wire_types *types, const struct element *type,
              struct slice bytes, struct value *value)
{
    struct reader reader = {.ctx = ctx, .types = types};
    return read_message(&reader, type, bytes, value);
}

static int read_message(struct reader *reader, const struct element *type, struct slice bytes,
                        struct value *value)
{
    *value = (struct value){.kind = VALUE_MESSAGE, .type = type, .text = bytes};
    if (++reader->depth > VALUE_DEPTH_MAX)
        return refuse(reader, NULL, "messages are nested too deeply");
    while (bytes.size > 0) {
        struct item item;
        if (!take_item(&bytes, &item))
            return refuse(reader, NULL, "is not well-formed protobuf");
        TRY(read_item(reader, value, &item));
    }
    if (wire_is_any(type))
        TRY(resolve_any(reader, value));
    order_fields(value);
    reader->depth--;
    return OK;
}

static bool take_varint(struct slice *bytes, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && bytes->size > 0; shift += 7) {
        uint8_t byte = bytes->data[0];
        *bytes = slice_skip(*bytes, 1);
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Little-endian. */
static bool take_fixed(struct slice *bytes, size_t size, uint64_t *value)
{
    if (bytes->size < size)
        return false;
    *value = 0;
    for (size_t i = 0; i < size; i++)
        *value |= (uint64_t)bytes->data[i] << (8 * i);
    *bytes = slice_skip(*bytes, size);
    return true;
}

/* Groups are proto2's and of no use here: what has them is refused. */
static bool take_item(struct slice *bytes, struct item *item)
{
    uint64_t key;
    *item = (struct item){0};
    if (!take_varint(bytes, &key) || key >> 3 == 0 || key >> 3 > INT32_MAX)
        return false;
    item->number = key >> 3;
    switch (key & 7) {
    case FORMAT_VARINT:
        item->format = FORMAT_VARINT;
        return take_varint(bytes, &item->bits);
    case FORMAT_64:
        item->format = FORMAT_64;
        return take_fixed(bytes, 8, &item->bits);
    case FORMAT_32:
        item->format = FORMAT_32;
        return take_fixed(bytes, 4, &item->bits);
    case FORMAT_BYTES:
        item->format = FORMAT_BYTES;
        if (!take_varint(bytes, &item->bits))
            return false;
#ifndef PLANTED_WIRE_BUG /* for tests/fuzz: a length is believed */
        if (item->bits > bytes->size)
            return false;
#endif
        item->bytes = slice_make(bytes->data, (size_t)item->bits);
        *bytes = slice_skip(*bytes, (size_t)item->bits);
        return true;
    }
    return false;
}

static int read_item(struct reader *reader, struct value *value, const struct item *item)
{
    const FieldProto *field = field_of(value->type, item->number);
    if (field == NULL)
        return OK; /* of a newer schema */
    size_t path_size = reader->path_size;
    size_t size = strlen(field->name);
    if (path_size + size + 2 > PATH_SIZE)
        return refuse(reader, field, "names are too long");
    if (path_size > 0)
        reader->path[reader->path_size++] = '.';
    memcpy(reader->path + reader->path_size, field->name, size);
    reader->path_size += size;
    struct member *member = member_for(reader, value, field);
    TRY(read_field(reader, field, item, &member->value));
    reader->path_size = path_size;
    return OK;
}

static const FieldProto *field_of(const struct element *type, uint64_t number)
{
    for (size_t i = 0; i < type->message->n_field; i++) {
        if ((uint64_t)type->message->field[i]->number == number)
            return type->message->field[i];
    }
    return NULL;
}

/* The field's member; a new one has VALUE_NULL.  Of a oneof the last one on the wire counts. */
static struct member *member_for(struct reader *reader, struct value *value,
                                 const FieldProto *field)
{
    for (size_t i = 0; i < value->count; i++) {
        if (value->members[i].field == field)
            return &value->members[i];
    }
    if (field->has_oneof_index)
        drop_others(value, field);
    value->members =
        value_grow(reader->ctx->arena, value->members, value->count, sizeof value->members[0]);
    struct member *member = &value->members[value->count++];
    *member = (struct member){.key = slice_of_str(field->name), .field = field};
    member->value.kind = VALUE_NULL;
    return member;
}

static void drop_others(struct value *value, const FieldProto *field)
{
    size_t kept = 0;
    for (size_t i = 0; i < value->count; i++) {
        const FieldProto *other = value->members[i].field;
        if (!other->has_oneof_index || other->oneof_index != field->oneof_index)
            value->members[kept++] = value->members[i];
    }
    value->count = kept;
}

static int read_field(struct reader *reader, const FieldProto *field, const struct item *item,
                      struct value *value)
{
    const struct element *entry = wire_map_entry(reader->types->image, field);
    if (entry != NULL)
        return read_map(reader, entry, item, value);
    if (wire_is_repeated(field))
        return read_list(reader, field, item, value);
    bool again = (int)field->type == TYPE_MESSAGE && value->kind == VALUE_MESSAGE;
    if (again && item->format == FORMAT_BYTES)
        return merge(reader, field, item->bytes, value);
    return read_one(reader, field, item, value);
}

static int add_item(struct reader *reader, const FieldProto *field, const struct item *item,
                    struct value *list)
{
    list->items = value_grow(reader->ctx->arena, list->items, list->count, sizeof list->items[0]);
    return read_one(reader, field, item, &list->items[list->count++]);
}

/* Packed and unpacked, whatever the descriptor says: both must be understood. */
static int read_list(struct reader *reader, const FieldProto *field, const struct item *item,
                     struct value *list)
{
    if (list->kind != VALUE_LIST)
        *list = (struct value){.kind = VALUE_LIST};
    if (item->format != FORMAT_BYTES || !wire_can_pack(field))
        return add_item(reader, field, item, list);
    struct slice packed = item->bytes;
    struct item one = {.number = item->number, .format = wire_format_of(field)};
    while (packed.size > 0) {
        bool fine = one.format == FORMAT_VARINT
                        ? take_varint(&packed, &one.bits)
                        : take_fixed(&packed, one.format == FORMAT_64 ? 8 : 4, &one.bits);
        if (!fine)
            return refuse(reader, field, "is packed badly");
        TRY(add_item(reader, field, &one, list));
    }
    return OK;
}

/* An entry is a message of key and value; what is not there is the default. */
static int read_map(struct reader *reader, const struct element *entry, const struct item *item,
                    struct value *map)
{
    struct ctx *ctx = reader->ctx;
    if (map->kind != VALUE_MAP)
        *map = (struct value){.kind = VALUE_MAP};
    if (item->format != FORMAT_BYTES)
        return refuse(reader, NULL, "is a map with another wire type");
    struct value pair, key, content;
    TRY(read_message(reader, entry, item->bytes, &pair));
    const FieldProto *fields[2] = {field_of(entry, 1), field_of(entry, 2)};
    const struct value *given = value_member(&pair, slice_of_str(fields[0]->name));
    if (!wire_default(reader->types->image, fields[0], &key))
        return refuse(reader, fields[0], "cannot be a map's key");
    if (given != NULL)
        key = *given;
    given = value_member(&pair, slice_of_str(fields[1]->name));
    if (given != NULL)
        content = *given;
    else if (!wire_default(reader->types->image, fields[1], &content))
        TRY(read_bytes(reader, fields[1], slice_make("", 0), &content));
    struct slice text = value_text(ctx->arena, &key);
    for (size_t i = 0; i < map->count; i++) {
        if (slice_equal(map->members[i].key, text)) { /* "the last key seen is used" */
            map->members[i].value = content;
            return OK;
        }
    }
    if (map->count == MAP_ENTRIES_MAX)
        return refuse(reader, NULL, "is a map with too many entries");
    map->members = value_grow(ctx->arena, map->members, map->count, sizeof map->members[0]);
    map->members[map->count++] = (struct member){.key = text, .field = fields[1], .value = content};
    return OK;
}

static int read_one(struct reader *reader, const FieldProto *field, const struct item *item,
                    struct value *value)
{
    if (item->format != wire_format_of(field) || (int)field->type == TYPE_GROUP)
        return refuse(reader, field, "has another wire type than its type");
    if (++reader->count > VALUE_COUNT_MAX)
        return refuse(reader, field, "there are too many values");
    if (item->format == FORMAT_BYTES)
        return read_bytes(reader, field, item->bytes, value);
    read_number(reader, field, item->bits, value);
    return OK;
}

static int64_t unzigzag(uint64_t bits)
{
    return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

static void read_number(struct reader *reader, const FieldProto *field, uint64_t bits,
                        struct value *value)
{
    (void)wire_default(reader->types->image, field, value);
    if (value->kind == VALUE_ENUM) {
        const struct element *type =
            image_find_type(reader->types->image, ELEMENT_ENUM, field->type_name);
        value->integer = (int32_t)bits;
        value->text = (struct slice){0};
        for (size_t i = 0; value->text.size == 0 && i < type->enumeration->n_value; i++) {
            if (type->enumeration->value[i]->number == (int32_t)bits)
                value->text = slice_of_str(type->enumeration->value[i]->name);
        }
        if (value->text.size == 0) /* of a newer schema */
            value->text =
                slice_of_str(arena_printf(reader->ctx->arena, "%" PRId64, value->integer));
        return;
    }
    int type = (int)field->type;
    value->truth = bits != 0;
    value->natural = type == TYPE_UINT32 || type == TYPE_FIXED32 ? (uint32_t)bits : bits;
    value->integer = (int64_t)bits;
    if (type == TYPE_INT32 || type == TYPE_SFIXED32)
        value->integer = (int32_t)bits;
    else if (type == TYPE_SINT32)
        value->integer = (int32_t)unzigzag((uint32_t)bits);
    else if (type == TYPE_SINT64)
        value->integer = unzigzag(bits);
    if (type == TYPE_DOUBLE) {
        memcpy(&value->real, &bits, sizeof value->real);
    } else if (type == TYPE_FLOAT) {
        uint32_t half = (uint32_t)bits;
        float single;
        memcpy(&single, &half, sizeof single);
        value->real = (double)single;
    }
}

static int read_bytes(struct reader *reader, const FieldProto *field, struct slice bytes,
                      struct value *value)
{
    struct slice path = slice_make(reader->path, reader->path_size);
    const struct element *type =
        (int)field->type == TYPE_MESSAGE
            ? image_find_type(reader->types->image, ELEMENT_MESSAGE, field->type_name)
            : wire_embedded(reader->types, path);
    if (type != NULL && (int)field->type != TYPE_STRING) {
        TRY(read_message(reader, type, bytes, value));
        value->embedded = (int)field->type == TYPE_BYTES;
        return OK;
    }
    bool is_text = (int)field->type == TYPE_STRING;
    if (is_text && !text_is_utf8(bytes))
        return refuse(reader, field, "is not UTF-8");
    *value = (struct value){.kind = is_text ? VALUE_TEXT : VALUE_BYTES, .text = bytes};
    return OK;
}

/* "If there are multiple instances of the same message field, they are merged": as their bytes in a row. */
static int merge(struct reader *reader, const FieldProto *field, struct slice bytes,
                 struct value *value)
{
    struct slice before = value->text;
    uint8_t *both = arena_alloc_raw(reader->ctx->arena, before.size + bytes.size + 1);
    if (arena_is_full(reader->ctx->arena))
        return refuse(reader, field, "is too large");
    if (before.size > 0)
        memcpy(both, before.data, before.size);
    if (bytes.size > 0)
        memcpy(both + before.size, bytes.data, bytes.size);
    return read_bytes(reader, field, slice_make(both, before.size + bytes.size), value);
}

/* The bytes of an Any become the message that they are, where the consumer knows its type. */
static int resolve_any(struct reader *reader, struct value *any)
{
    const struct value *url = value_member(any, slice_of_str("type_url"));
    struct value *content = NULL;
    for (size_t i = 0; i < any->count; i++) {
        if (slice_is(any->members[i].key, "value"))
            content = &any->members[i].value;
    }
    if (url == NULL || content == NULL || content->kind != VALUE_BYTES)
        return OK;
    const struct element *type = wire_any_type(reader->types, url->text);
    if (type == NULL)
        return OK;
    struct slice bytes = content->text;
    TRY(read_message(reader, type, bytes, content));
    content->embedded = true;
    return OK;
}

static size_t rank(const struct value *value, const FieldProto *field)
{
    size_t at = 0;
    while (value->type->message->field[at] != field)
        at++;
    return at;
}

/* Insertion: encoders write fields in their order, so that nothing moves.  A packed list without an element
 * is as good as none. */
static void order_fields(struct value *value)
{
    size_t kept = 0;
    for (size_t i = 0; i < value->count; i++) {
        const struct value *content = &value->members[i].value;
        if (content->kind != VALUE_LIST || content->count > 0)
            value->members[kept++] = value->members[i];
    }
    value->count = kept;
    for (size_t i = 1; i < value->count; i++) {
        struct member member = value->members[i];
        size_t at = i;
        for (; at > 0 && rank(value, value->members[at - 1].field) > rank(value, member.field);
             at--)
            value->members[at] = value->members[at - 1];
        value->members[at] = member;
    }
    for (size_t i = 0; i < value->count; i++) {
        if (value->members[i].value.kind == VALUE_MAP)
            value_sort(&value->members[i].value);
    }
}

static int refuse(struct reader *reader, const FieldProto *field, const char *rule)
{
    const char *type = field == NULL || field->type_name == NULL ? "" : field->type_name;
    size_t from = reader->path_size > PATH_SHOWN ? reader->path_size - PATH_SHOWN : 0;
    struct slice path = reader->path_size == 0
                            ? slice_of_str("the message")
                            : slice_make(reader->path + from, reader->path_size - from);
    return FAULT(reader->ctx, FAULT_PROTOCOL, "%s%.*s%s%s %s", from > 0 ? "…" : "", (int)path.size,
                 path.data, type[0] == '\0' ? "" : " of type ", type, rule);
}
