/* From JSON to messages: protojson_parse().
 *
 * A walk without recursion: each open object or array is a frame in the arena, and a step reads one member
 * or element of the newest.  A message whose form is one value (a Timestamp, a wrapper) a step reads at once,
 * any other becomes the newest frame. */
#include "protojson/known_text.h"
#include "protojson/protojson.h"
#include "protojson/reader.h"
#include "protojson/scalar.h"
#include "protojson/shape.h"
#include "protojson/text.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum frame_kind {
    FRAME_MESSAGE,   /* an object of a message's fields */
    FRAME_LIST,      /* an array: a repeated field */
    FRAME_MAP,       /* an object: a map */
    FRAME_ANY_VALUE, /* an Any whose message has a form of its own, under "value" */
};

struct frame {
    struct frame *parent; /* NULL: the document */
    struct frame *child;  /* kept for the next that is opened; NULL: none so far */
    enum frame_kind kind;
    ProtobufCMessage *message; /* to be filled; lists and maps: the one with the field */
    const ProtobufCFieldDescriptor
        *field;            /* lists and maps: the field; messages: the current one */
    ProtobufCMessage *any; /* the Any it is packed into at its end, or NULL */
    struct slice name;     /* of the current member, "" before the first */
    uint8_t *seen;         /* messages: a bit per field */
    size_t count;          /* members or elements begun */
};

struct parser {
    struct reader reader;
    const struct protojson_parse_options *options;
    struct frame *root; /* NULL until the first is opened */
    struct frame *top;  /* NULL: the document's value is complete */
};

static bool frames_run(struct parser *parser);
static bool message_step(struct parser *parser, struct frame *frame);
static bool member_note(struct parser *parser, struct frame *frame);
static bool member_ignore(struct parser *parser);
static bool field_read(struct parser *parser, struct frame *frame);
static bool takes_null(const ProtobufCFieldDescriptor *field);
static enum scalar_result singular_read(struct parser *parser, ProtobufCMessage *message,
                                        const ProtobufCFieldDescriptor *field);
static bool unknown_name(struct parser *parser, enum scalar_result result);
static bool list_step(struct parser *parser, struct frame *frame);
static void *element_new(struct parser *parser, struct frame *frame);
static bool map_step(struct parser *parser, struct frame *frame);
static bool map_end(struct parser *parser, struct frame *frame);
static bool any_step(struct parser *parser, struct frame *frame);
static ProtobufCMessage *message_new(struct parser *parser, const ProtobufCMessageDescriptor *type);
static bool message_begin(struct parser *parser, ProtobufCMessage *message);
static bool known_begin(struct parser *parser, ProtobufCMessage *message, enum shape shape);
static bool value_begin(struct parser *parser, ProtobufCMessage *message);
static bool any_begin(struct parser *parser, ProtobufCMessage *message);
static bool any_look(struct reader *reader, struct slice *type_url, bool *empty);
static void any_pack(struct parser *parser, const struct frame *frame);
static struct frame *frame_open(struct parser *parser, enum frame_kind kind,
                                ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
static bool frame_close(struct parser *parser, struct frame *frame);
static void path_write(const struct parser *parser, char path[PROTOJSON_PATH_SIZE]);
static void segment_put(struct buf *out, const struct frame *frame);

int protojson_parse(struct ctx *ctx, const ProtobufCMessageDescriptor *type, struct slice json,
                    const struct protojson_parse_options *options, struct protojson_parsed *parsed)
{
    struct parser parser = {.options = options};
    reader_init(&parser.reader, json, options->elements_max, ctx->arena);
    *parsed = (struct protojson_parsed){.rule = NULL};
    ProtobufCMessage *message = message_new(&parser, type);
    bool read = message != NULL && message_begin(&parser, message) && frames_run(&parser);
    if (read && !reader_is_done(&parser.reader))
        read = reader_refuse(&parser.reader, "must be nothing behind the JSON value");
    if (read && arena_is_full(ctx->arena))
        read = reader_refuse_limit(&parser.reader, "must take less memory");
    if (read) {
        assert(parser.top == NULL && parser.reader.depth == 0);
        parsed->message = message;
        return OK;
    }
    assert(parser.reader.rule != NULL);
    parsed->rule = parser.reader.rule;
    path_write(&parser, parsed->path);
    return parser.reader.too_complex ? MESSAGE_TOO_COMPLEX : MESSAGE_MALFORMED;
}

static bool frames_run(struct parser *parser)
{
    bool going = true;
    while (going && parser->top != NULL) {
        struct frame *frame = parser->top;
        switch (frame->kind) {
        case FRAME_MESSAGE:
            going = message_step(parser, frame);
            break;
        case FRAME_LIST:
            going = list_step(parser, frame);
            break;
        case FRAME_MAP:
            going = map_step(parser, frame);
            break;
        case FRAME_ANY_VALUE:
            going = any_step(parser, frame);
            break;
        }
    }
    return going;
}

static bool message_step(struct parser *parser, struct frame *frame)
{
    struct reader *reader = &parser->reader;
    frame->field = NULL;
    frame->name = slice_make(NULL, 0);
    if (!reader_next(reader, '}', frame->count == 0))
        return reader->rule == NULL && frame_close(parser, frame);
    frame->count++;
    if (!reader_name(reader, &frame->name))
        return false;
    if (frame->any != NULL && slice_is(frame->name, "@type"))
        return reader_skip(reader);
    frame->field = shape_field(frame->message->descriptor, frame->name);
    if (frame->field == NULL)
        return member_ignore(parser);
    return member_note(parser, frame) && field_read(parser, frame);
}

/* Both spellings of a name are one field. */
static bool member_note(struct parser *parser, struct frame *frame)
{
    size_t index = (size_t)(frame->field - frame->message->descriptor->fields);
    assert(index < frame->message->descriptor->n_fields);
    uint8_t bit = (uint8_t)(1u << index % 8);
    if ((frame->seen[index / 8] & bit) != 0)
        return reader_refuse(&parser->reader, "must be given once");
    frame->seen[index / 8] |= bit;
    return true;
}

static bool member_ignore(struct parser *parser)
{
    if (!parser->options->ignore_unknown)
        return reader_refuse(&parser->reader, "must be a field that is known here");
    return reader_skip(&parser->reader);
}

/* null is "not set", also in a oneof. */
static bool field_read(struct parser *parser, struct frame *frame)
{
    const ProtobufCFieldDescriptor *field = frame->field;
    ProtobufCMessage *message = frame->message;
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    if (reader_peek(&parser->reader) == JSON_NULL && (repeated || !takes_null(field)))
        return reader_literal(&parser->reader, JSON_NULL);
    if (shape_is_oneof(field) && shape_oneof_get(message, field) != 0)
        return reader_refuse(&parser->reader, "must be the only one of its oneof");
    if (!repeated)
        return unknown_name(parser, singular_read(parser, message, field));
    bool map = shape_is_map(message->descriptor, field);
    return frame_open(parser, map ? FRAME_MAP : FRAME_LIST, message, field) != NULL;
}

/* The two that have null as a value. */
static bool takes_null(const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return shape_of(field->descriptor) == SHAPE_VALUE;
    return shape_is_null_value(field);
}

/* A message's field is present before it is read: it may be read in many steps. */
static enum scalar_result singular_read(struct parser *parser, ProtobufCMessage *message,
                                        const ProtobufCFieldDescriptor *field)
{
    void *place = shape_member_mutable(message, field);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *inner = message_new(parser, field->descriptor);
        if (inner == NULL)
            return SCALAR_REFUSED;
        memcpy(place, &inner, sizeof inner);
        shape_set_present(message, field);
        return message_begin(parser, inner) ? SCALAR_OK : SCALAR_REFUSED;
    }
    if (shape_is_null_value(field) && reader_peek(&parser->reader) == JSON_NULL) {
        shape_set_present(message, field);
        return reader_literal(&parser->reader, JSON_NULL) ? SCALAR_OK : SCALAR_REFUSED;
    }
    enum scalar_result result = scalar_read(&parser->reader, field, place);
    if (result == SCALAR_OK)
        shape_set_present(message, field);
    return result;
}

/* "Unknown enum names are unknown fields." */
static bool unknown_name(struct parser *parser, enum scalar_result result)
{
    if (result == SCALAR_UNKNOWN_NAME && !parser->options->ignore_unknown)
        return reader_refuse(&parser->reader, "must be a name of its enum");
    return result != SCALAR_REFUSED;
}

static bool list_step(struct parser *parser, struct frame *frame)
{
    struct reader *reader = &parser->reader;
    if (!reader_next(reader, ']', frame->count == 0))
        return reader->rule == NULL && frame_close(parser, frame);
    frame->count++;
    const ProtobufCFieldDescriptor *field = frame->field;
    bool null = reader_peek(reader) == JSON_NULL;
    if (null && !takes_null(field))
        return reader_refuse(reader, "must not be null");
    void *place = element_new(parser, frame);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *inner = message_new(parser, field->descriptor);
        if (inner == NULL)
            return false;
        memcpy(place, &inner, sizeof inner);
        ++*shape_count(frame->message, field);
        return message_begin(parser, inner);
    }
    enum scalar_result result = SCALAR_OK;
    if (null)
        result = reader_literal(reader, JSON_NULL) ? SCALAR_OK : SCALAR_REFUSED;
    else
        result = scalar_read(reader, field, place);
    *shape_count(frame->message, field) += result == SCALAR_OK;
    return unknown_name(parser, result);
}

/* The zeroed place behind the last element; it counts once the caller has filled it.  Arrays double when their
 * count is a power of two, so the arena holds at most twice what they need. */
static void *element_new(struct parser *parser, struct frame *frame)
{
    size_t count = *shape_count(frame->message, frame->field);
    size_t size = shape_value_size(frame->field);
    uint8_t *elements;
    void *member = shape_member_mutable(frame->message, frame->field);
    memcpy(&elements, member, sizeof elements);
    if ((count & (count - 1)) == 0) {
        uint8_t *larger = arena_alloc(parser->reader.arena, (count == 0 ? 1 : 2 * count) * size);
        if (count > 0)
            memcpy(larger, elements, count * size);
        memcpy(member, &larger, sizeof larger);
        elements = larger;
    }
    return elements + count * size;
}

/* An entry is part of the map only when its value is one: an enum's unknown name may be ignored. */
static bool map_step(struct parser *parser, struct frame *frame)
{
    struct reader *reader = &parser->reader;
    const ProtobufCMessageDescriptor *type = frame->field->descriptor;
    frame->name = slice_make(NULL, 0);
    if (!reader_next(reader, '}', frame->count == 0))
        return reader->rule == NULL && map_end(parser, frame);
    frame->count++;
    ProtobufCMessage *entry = message_new(parser, type);
    if (entry == NULL || !reader_name(reader, &frame->name) ||
        !scalar_read_key(reader, &type->fields[0], frame->name,
                         shape_member_mutable(entry, &type->fields[0])))
        return false;
    shape_set_present(entry, &type->fields[0]);
    if (reader_peek(reader) == JSON_NULL && !takes_null(&type->fields[1]))
        return reader_refuse(reader, "must not be null");
    enum scalar_result result = singular_read(parser, entry, &type->fields[1]);
    if (result == SCALAR_OK) {
        void *place = element_new(parser, frame);
        memcpy(place, &entry, sizeof entry);
        ++*shape_count(frame->message, frame->field);
    }
    return unknown_name(parser, result);
}

static bool map_end(struct parser *parser, struct frame *frame)
{
    if (!shape_map_is_sound(parser->reader.arena, frame->message, frame->field))
        return reader_refuse(&parser->reader, "must not have a key twice");
    return frame_close(parser, frame);
}

/* {"@type": …, "value": …}, in any order. */
static bool any_step(struct parser *parser, struct frame *frame)
{
    struct reader *reader = &parser->reader;
    frame->name = slice_make(NULL, 0);
    if (!reader_next(reader, '}', frame->count == 0)) {
        if (reader->rule == NULL && frame->seen[0] == 0)
            return reader_refuse(reader, "must have a value");
        return reader->rule == NULL && frame_close(parser, frame);
    }
    frame->count++;
    if (!reader_name(reader, &frame->name))
        return false;
    if (slice_is(frame->name, "@type"))
        return reader_skip(reader);
    if (!slice_is(frame->name, "value"))
        return member_ignore(parser);
    if (frame->seen[0] != 0)
        return reader_refuse(reader, "must be given once");
    frame->seen[0] = 1;
    return message_begin(parser, frame->message);
}

/* NULL once the arena is full: members behind it would only make it fuller. */
static ProtobufCMessage *message_new(struct parser *parser, const ProtobufCMessageDescriptor *type)
{
    if (arena_is_full(parser->reader.arena)) {
        (void)reader_refuse_limit(&parser->reader, "must take less memory");
        return NULL;
    }
    return shape_new(parser->reader.arena, type);
}

/* Where a message's value stands: reads what is one value, opens a frame for what has parts. */
static bool message_begin(struct parser *parser, ProtobufCMessage *message)
{
    enum shape shape = shape_of(message->descriptor);
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    switch (shape) {
    case SHAPE_FIELDS:
        return frame_open(parser, FRAME_MESSAGE, message, NULL) != NULL;
    case SHAPE_TIMESTAMP:
    case SHAPE_DURATION:
    case SHAPE_FIELD_MASK:
        return known_begin(parser, message, shape);
    case SHAPE_ANY:
        return any_begin(parser, message);
    case SHAPE_WRAPPER:
        return singular_read(parser, message, &fields[0]) == SCALAR_OK;
    case SHAPE_STRUCT:
        return frame_open(parser, FRAME_MAP, message, &fields[0]) != NULL;
    case SHAPE_VALUE:
        return value_begin(parser, message);
    case SHAPE_LIST:
        return frame_open(parser, FRAME_LIST, message, &fields[0]) != NULL;
    }
    abort(); /* no shape */
}

static bool known_begin(struct parser *parser, ProtobufCMessage *message, enum shape shape)
{
    struct reader *reader = &parser->reader;
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    assert(message->descriptor->n_fields == (shape == SHAPE_FIELD_MASK ? 1 : 2));
    struct slice text;
    if (reader_peek(reader) != JSON_STRING)
        return reader_refuse(reader, "must be a string");
    if (!reader_string(reader, &text))
        return false;
    const char *rule;
    if (shape == SHAPE_FIELD_MASK) {
        char **paths;
        rule = known_mask(reader->arena, text, &paths, shape_count(message, &fields[0]));
        memcpy(shape_member_mutable(message, &fields[0]), &paths, sizeof paths);
    } else {
        struct moment moment = {0};
        rule = shape == SHAPE_TIMESTAMP ? known_timestamp(text, &moment)
                                        : known_duration(text, &moment);
        memcpy(shape_member_mutable(message, &fields[0]), &moment.seconds, sizeof moment.seconds);
        memcpy(shape_member_mutable(message, &fields[1]), &moment.nanos, sizeof moment.nanos);
    }
    return rule == NULL || reader_refuse(reader, rule);
}

/* Value's fields are its kinds, in this order: null, number, string, bool, struct, list. */
static bool value_begin(struct parser *parser, ProtobufCMessage *message)
{
    static const uint8_t kinds[] = {
        [JSON_NULL] = 0,  [JSON_NUMBER] = 1, [JSON_STRING] = 2, [JSON_TRUE] = 3,
        [JSON_FALSE] = 3, [JSON_OBJECT] = 4, [JSON_ARRAY] = 5,
    };
    enum json_kind kind = reader_peek(&parser->reader);
    if (kind == JSON_NOTHING)
        return reader_refuse(&parser->reader, "must be JSON");
    assert(message->descriptor->n_fields == 6);
    return singular_read(parser, message, &message->descriptor->fields[kinds[kind]]) == SCALAR_OK;
}

/* The type may stand behind the fields: a look ahead finds it.  Any has the fields type_url and value. */
static bool any_begin(struct parser *parser, ProtobufCMessage *message)
{
    if (reader_peek(&parser->reader) != JSON_OBJECT)
        return reader_refuse(&parser->reader, "must be an object");
    struct reader look = parser->reader;
    struct slice type_url = {0};
    bool empty = false;
    if (!any_look(&look, &type_url, &empty) || empty) {
        parser->reader = look;
        return look.rule == NULL;
    }
    const ProtobufCMessageDescriptor *type = shape_any_type(parser->options->any_types, type_url);
    if (type == NULL)
        return reader_refuse(&parser->reader, "must have a known type as @type");
    char *copy = arena_strndup(parser->reader.arena, type_url.data, type_url.size);
    memcpy(shape_member_mutable(message, &message->descriptor->fields[0]), &copy, sizeof copy);
    ProtobufCMessage *inner = message_new(parser, type);
    if (inner == NULL)
        return false;
    enum frame_kind kind = shape_of(type) == SHAPE_FIELDS ? FRAME_MESSAGE : FRAME_ANY_VALUE;
    struct frame *frame = frame_open(parser, kind, inner, NULL);
    if (frame != NULL)
        frame->any = message;
    return frame != NULL;
}

/* On a copy of the reader.  An Any inside Anys is looked through once for each, 64 times at most; what is
 * skipped takes no memory. */
static bool any_look(struct reader *reader, struct slice *type_url, bool *empty)
{
    size_t members = 0;
    if (!reader_open(reader, '{'))
        return false;
    for (; reader_next(reader, '}', members == 0); members++) {
        struct slice name;
        if (!reader_name(reader, &name))
            return false;
        if (!slice_is(name, "@type")) {
            if (!reader_skip(reader))
                return false;
            continue;
        }
        if (type_url->data != NULL)
            return reader_refuse(reader, "must have @type once");
        if (reader_peek(reader) != JSON_STRING)
            return reader_refuse(reader, "must have a string as @type");
        if (!reader_string(reader, type_url))
            return false;
    }
    *empty = members == 0;
    if (reader->rule == NULL && !*empty && type_url->data == NULL)
        return reader_refuse(reader, "must have an @type");
    return reader->rule == NULL;
}

/* At the message's end, when all of it is known. */
static void any_pack(struct parser *parser, const struct frame *frame)
{
    ProtobufCBinaryData bytes = {.len = protobuf_c_message_get_packed_size(frame->message)};
    bytes.data = arena_alloc_raw(parser->reader.arena, bytes.len);
    size_t size = protobuf_c_message_pack(frame->message, bytes.data);
    assert(size == bytes.len);
    const ProtobufCFieldDescriptor *value = &frame->any->descriptor->fields[1];
    assert(value->type == PROTOBUF_C_TYPE_BYTES);
    memcpy(shape_member_mutable(frame->any, value), &bytes, sizeof bytes);
}

/* NULL: no such thing begins here, or it would be too deep. */
static struct frame *frame_open(struct parser *parser, enum frame_kind kind,
                                ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    struct reader *reader = &parser->reader;
    bool array = kind == FRAME_LIST;
    if (reader_peek(reader) != (array ? JSON_ARRAY : JSON_OBJECT)) {
        (void)reader_refuse(reader, array ? "must be an array" : "must be an object");
        return NULL;
    }
    if (!reader_open(reader, array ? '[' : '{'))
        return NULL;
    struct frame *frame = parser->top == NULL ? parser->root : parser->top->child;
    if (frame == NULL)
        frame = arena_alloc(reader->arena, sizeof *frame);
    if (parser->top == NULL)
        parser->root = frame;
    else
        parser->top->child = frame;
    *frame = (struct frame){
        .parent = parser->top,
        .child = frame->child,
        .kind = kind,
        .message = message,
        .field = field,
    };
    if (!array && kind != FRAME_MAP)
        frame->seen = arena_alloc(reader->arena, message->descriptor->n_fields / 8 + 1);
    parser->top = frame;
    return frame;
}

static bool frame_close(struct parser *parser, struct frame *frame)
{
    assert(frame == parser->top);
    if (frame->any != NULL)
        any_pack(parser, frame);
    parser->top = frame->parent;
    return true;
}

/* Frames that are open, outermost first. */
static void path_write(const struct parser *parser, char path[PROTOJSON_PATH_SIZE])
{
    AUTO(buf_deinit) struct buf segment = BUF_EMPTY;
    size_t end = 0;
    for (const struct frame *frame = parser->root; parser->top != NULL; frame = frame->child) {
        buf_clear(&segment);
        segment_put(&segment, frame);
        struct slice text = buf_slice(&segment);
        if (end == 0 && slice_starts_with(text, "."))
            text = slice_skip(text, 1);
        if (text.size >= PROTOJSON_PATH_SIZE - end)
            break;
        if (text.size > 0)
            memcpy(path + end, text.data, text.size);
        end += text.size;
        if (frame == parser->top)
            break;
    }
    assert(end < PROTOJSON_PATH_SIZE);
    path[end] = '\0';
}

static void segment_put(struct buf *out, const struct frame *frame)
{
    if (frame->kind == FRAME_LIST) {
        if (frame->count > 0)
            buf_printf(out, "[%zu]", frame->count - 1);
        return;
    }
    if (frame->name.size == 0)
        return;
    buf_put_byte(out, '.');
    if (frame->kind == FRAME_MESSAGE && frame->field != NULL)
        text_put_json_name(out, frame->field->name);
    else
        buf_put_json_escaped(out, frame->name);
}
