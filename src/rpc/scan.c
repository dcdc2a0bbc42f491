/* Walks a request's bytes along its type, called by the dispatcher before protobuf_c_message_unpack and
 * on the loop's own stack.  What passes here, protobuf-c 1.4 unpacks; where it is narrower than the protobuf
 * encoding (tags and lengths of at most 5 bytes, packed booleans of one byte), so is this.  A message field
 * that comes in parts, which a reader should merge, does not pass: protobuf-c drops the earlier part's
 * numbers, booleans and enums, because it looks for a presence flag that proto3 fields do not have.
 *
 * One walk, no allocation, at most 16 frames of stack: what it costs is linear in bytes that
 * were paid for by the sender.  Deliberately after the size limit and before everything else. */
#include "rpc/scan.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* 10 groups of 7 bits hold 64; tags and lengths have 32 */
#define VARINT_SIZE_MAX 10
#define TAG_SIZE_MAX 5
#define LENGTH_SIZE_MAX 5
/* 2^29 - 1, the language's largest field number */
#define FIELD_NUMBER_MAX UINT32_C(0x1fffffff)

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/* One message being walked; the chain of parents is the path. */
struct level {
    struct level *parent; /* NULL for the whole message */
    const ProtobufCMessageDescriptor *type;
    const uint8_t *begin;
    struct cursor cursor;
    const uint8_t *tag_at;                 /* where the current field's tag begins */
    const ProtobufCFieldDescriptor *field; /* the current field; NULL: unknown, or none */
    unsigned depth;                        /* messages around this one */
    uint64_t met; /* nested messages met so far: a bit for each of the type's first 64 fields */
};

struct scan {
    struct scan_report *report;
    bool failed; /* the path is written */
};

/* A field's wire form, read before we look at what it means. */
struct item {
    uint32_t number;
    unsigned wire;
    struct slice payload; /* LENGTH_PREFIXED: the bytes inside; else the value's bytes */
};

static enum scan_result level_scan(struct scan *scan, struct level *level);
static enum scan_result item_scan(struct scan *scan, struct level *level, const struct item *item);
static enum scan_result nested_scan(struct scan *scan, struct level *level, struct slice payload);
static bool was_met(struct level *level);
static enum scan_result packed_scan(struct scan *scan, ProtobufCType type, struct slice payload);
static size_t packed_varints(struct slice payload);
static enum scan_result string_scan(struct slice text);
static bool item_read(struct cursor *cursor, struct item *item);
static bool payload_read(struct cursor *cursor, struct item *item);
static size_t payload_size(struct cursor *cursor, unsigned wire);
static bool varint_read(struct cursor *cursor, size_t size_max, uint64_t *value);
static bool fields_count(struct scan *scan, size_t count);
static unsigned wire_of_type(ProtobufCType type);
static const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *type,
                                                  uint32_t number);
static void path_write(const struct level *last, char path[SCAN_PATH_SIZE]);
static size_t segment_format(const struct level *level, char *out, size_t room);
static size_t occurrence_count(const struct level *level);

enum scan_result scan_message(const ProtobufCMessageDescriptor *type, struct slice bytes,
                              struct scan_report *report)
{
    report->fields = 0;
    report->path[0] = '\0';
    if (bytes.size == 0)
        return SCAN_OK;
    struct scan scan = {.report = report};
    struct level top = {
        .type = type,
        .begin = bytes.data,
        .cursor = {bytes.data, bytes.data + bytes.size},
    };
    enum scan_result result = level_scan(&scan, &top);
    assert((result == SCAN_OK) == !scan.failed);
    return result;
}

const char *scan_rule(enum scan_result result)
{
    switch (result) {
    case SCAN_OK:
        return "";
    case SCAN_MALFORMED:
        return "must be well-formed protobuf of its type";
    case SCAN_TOO_DEEP:
        return "must not be nested deeper than 16 messages";
    case SCAN_TOO_MANY:
        return "must not bring the message above 1000 fields and elements";
    case SCAN_BAD_UTF8:
        return "must be UTF-8";
    case SCAN_NUL:
        return "must not contain a NUL character";
    case SCAN_TWICE:
        return "must be given once, in one piece";
    }
    return "";
}

_Static_assert(SCAN_DEPTH_MAX == 16 && SCAN_FIELDS_MAX == 1000, "the rules' texts say so");

/* The path is written once, by the innermost level that failed: its parents' state is still
 * that of the failing field. */
static enum scan_result level_scan(struct scan *scan, struct level *level)
{
    enum scan_result result = SCAN_OK;
    while (result == SCAN_OK && level->cursor.at < level->cursor.end) {
        struct item item;
        level->tag_at = level->cursor.at;
        level->field = NULL;
        if (!item_read(&level->cursor, &item)) {
            result = SCAN_MALFORMED;
            break;
        }
        level->field = field_find(level->type, item.number);
        result = item_scan(scan, level, &item);
    }
    if (result != SCAN_OK && !scan->failed) {
        path_write(level, scan->report->path);
        scan->failed = true;
    }
    return result;
}

/* Unknown fields are counted, because unpacking allocates for each of them, and else passed
 * over. */
static enum scan_result item_scan(struct scan *scan, struct level *level, const struct item *item)
{
    if (!fields_count(scan, 1))
        return SCAN_TOO_MANY;
    const ProtobufCFieldDescriptor *field = level->field;
    if (field == NULL)
        return SCAN_OK;
    unsigned wire = wire_of_type(field->type);
    if (item->wire != wire) {
        if (item->wire == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
            field->label == PROTOBUF_C_LABEL_REPEATED)
            return packed_scan(scan, field->type, item->payload);
        return SCAN_MALFORMED;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return string_scan(item->payload);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return nested_scan(scan, level, item->payload);
    return SCAN_OK;
}

static enum scan_result nested_scan(struct scan *scan, struct level *level, struct slice payload)
{
    if (level->field->label != PROTOBUF_C_LABEL_REPEATED && was_met(level))
        return SCAN_TWICE;
    bool too_deep = level->depth >= SCAN_DEPTH_MAX;
#ifdef PLANTED_DEPTH_BUG /* for tests/fuzz: one level more passes */
    too_deep = level->depth > SCAN_DEPTH_MAX;
#endif
    if (too_deep)
        return SCAN_TOO_DEEP;
    struct level inner = {
        .parent = level,
        .type = level->field->descriptor,
        .begin = payload.data,
        .cursor = {payload.data, payload.data + payload.size},
        .depth = level->depth + 1,
    };
    return level_scan(scan, &inner);
}

/* Whether the current field stood before in its message; notes that it does. */
static bool was_met(struct level *level)
{
    size_t index = (size_t)(level->field - level->type->fields);
    if (index >= 64)
        return occurrence_count(level) > 0;
    uint64_t bit = UINT64_C(1) << index;
    bool met = (level->met & bit) != 0;
    level->met |= bit;
    return met;
}

/* A repeated scalar in one piece.  The element count bounds what unpacking allocates. */
static enum scan_result packed_scan(struct scan *scan, ProtobufCType type, struct slice payload)
{
    unsigned wire = wire_of_type(type);
    size_t count = 0;
    if (type == PROTOBUF_C_TYPE_BOOL) {
        count = payload.size;
        for (size_t i = 0; i < payload.size; i++) {
            if (payload.data[i] > 1)
                return SCAN_MALFORMED;
        }
    } else if (wire == PROTOBUF_C_WIRE_TYPE_VARINT) {
        count = packed_varints(payload);
    } else {
        size_t size = wire == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4;
        count = payload.size % size == 0 ? payload.size / size : SIZE_MAX;
    }
    if (count == SIZE_MAX)
        return SCAN_MALFORMED;
    return fields_count(scan, count) ? SCAN_OK : SCAN_TOO_MANY;
}

/* How many varints these bytes are; SIZE_MAX: they are not. */
static size_t packed_varints(struct slice payload)
{
    struct cursor cursor = {payload.data, payload.data + payload.size};
    size_t count = 0;
    for (uint64_t value = 0; cursor.at < cursor.end; count++) {
        if (!varint_read(&cursor, VARINT_SIZE_MAX, &value))
            return SIZE_MAX;
    }
    return count;
}

/* A NUL would end the C string early: checks would look at another text than the one that gets
 * stored. */
static enum scan_result string_scan(struct slice text)
{
    for (text = slice_skip(text, utf8_ascii(text)); text.size > 0;
         text = slice_skip(text, utf8_ascii(text))) {
        if (text.data[0] == 0)
            return SCAN_NUL;
        size_t length = utf8_length(text);
        if (length == 0)
            return SCAN_BAD_UTF8;
        text = slice_skip(text, length);
    }
    return SCAN_OK;
}

/* Leaves the cursor behind the field; on false it stands anywhere, and the walk is over. */
static bool item_read(struct cursor *cursor, struct item *item)
{
    uint64_t tag = 0;
    if (!varint_read(cursor, TAG_SIZE_MAX, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return false;
    item->number = (uint32_t)(tag >> 3);
    item->wire = (unsigned)(tag & 7);
    return payload_read(cursor, item);
}

static bool payload_read(struct cursor *cursor, struct item *item)
{
    const uint8_t *begin = cursor->at;
    if (item->wire == PROTOBUF_C_WIRE_TYPE_VARINT) {
        uint64_t value = 0;
        if (!varint_read(cursor, VARINT_SIZE_MAX, &value))
            return false;
        item->payload = slice_make(begin, (size_t)(cursor->at - begin));
        return true;
    }
    size_t size = payload_size(cursor, item->wire);
    size_t left = (size_t)(cursor->end - cursor->at);
#ifdef PLANTED_BUG /* for tests/fuzz: a length may point one byte past the end */
    left++;
#endif
    if (size > left)
        return false;
    item->payload = slice_make(cursor->at, size);
    cursor->at += size;
    return true;
}

/* SIZE_MAX, which nothing holds, for a bad length, a group and the wire types that do not exist. */
static size_t payload_size(struct cursor *cursor, unsigned wire)
{
    if (wire == PROTOBUF_C_WIRE_TYPE_64BIT)
        return 8;
    if (wire == PROTOBUF_C_WIRE_TYPE_32BIT)
        return 4;
    uint64_t size = 0;
    if (wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
        !varint_read(cursor, LENGTH_SIZE_MAX, &size) || size > INT32_MAX)
        return SIZE_MAX;
    return (size_t)size;
}

/* Bits beyond the 64th are lost, as in protobuf-c; overlong forms pass, as the encoding allows. */
static bool varint_read(struct cursor *cursor, size_t size_max, uint64_t *value)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size_max && cursor->at + i < cursor->end; i++) {
        uint8_t byte = cursor->at[i];
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            cursor->at += i + 1;
            *value = sum;
            return true;
        }
    }
    return false;
}

/* False once there are too many. */
static bool fields_count(struct scan *scan, size_t count)
{
    size_t *fields = &scan->report->fields;
    assert(*fields <= SCAN_FIELDS_MAX);
    if (count > SCAN_FIELDS_MAX - *fields)
        return false;
    *fields += count;
    return true;
}

static unsigned wire_of_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    }
    abort(); /* no field type that protobuf-c has */
}

/* Fields are sorted by number. */
static const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *type,
                                                  uint32_t number)
{
    size_t low = 0;
    size_t high = type->n_fields;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (type->fields[middle].id == number)
            return &type->fields[middle];
        if (type->fields[middle].id < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* "tenant.labels[3].key".  A segment that has no room ends the path: it then names what is around. */
static void path_write(const struct level *last, char path[SCAN_PATH_SIZE])
{
    const struct level *levels[SCAN_DEPTH_MAX + 1];
    size_t count = 0;
    for (const struct level *level = last; level != NULL; level = level->parent) {
        assert(count <= SCAN_DEPTH_MAX);
        levels[count++] = level;
    }
    size_t end = 0;
    while (count > 0) {
        const struct level *level = levels[--count];
        if (level->field == NULL)
            break;
        size_t size = segment_format(level, path + end, SCAN_PATH_SIZE - end);
        if (size >= SCAN_PATH_SIZE - end)
            break;
        end += size;
    }
    path[end] = '\0';
}

/* The bytes the segment needs without its terminator; when that is `room` or more, it was cut. */
static size_t segment_format(const struct level *level, char *out, size_t room)
{
    const char *dot = level->parent == NULL ? "" : ".";
    int size;
    if (level->field->label == PROTOBUF_C_LABEL_REPEATED)
        size = snprintf(out, room, "%s%s[%zu]", dot, level->field->name, occurrence_count(level));
    else
        size = snprintf(out, room, "%s%s", dot, level->field->name);
    assert(size > 0);
    return (size_t)size;
}

/* How often the current field stands before the current tag.  Those bytes were walked already. */
static size_t occurrence_count(const struct level *level)
{
    struct cursor cursor = {level->begin, level->tag_at};
    size_t count = 0;
    while (cursor.at < cursor.end) {
        struct item item;
        bool read = item_read(&cursor, &item);
        assert(read);
        count += item.number == level->field->id;
    }
    return count;
}
