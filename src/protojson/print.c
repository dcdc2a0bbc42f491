/* From messages to JSON: protojson_print().
 *
 * A walk without recursion: each message that is open is a frame in the arena, and a step appends one field or
 * element of the newest. */
#include "protojson/known_text.h"
#include "protojson/protojson.h"
#include "protojson/scalar.h"
#include "protojson/shape.h"
#include "protojson/text.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum frame_kind {
    FRAME_FIELDS, /* an object of the message's fields */
    FRAME_BARE, /* the message's only field, which is repeated, without its name: Struct, ListValue */
    FRAME_VALUE, /* the message as the "value" of an Any's object */
};

struct frame {
    struct frame *parent; /* NULL: the document */
    struct frame *child;  /* kept for the next that is opened; NULL: none so far */
    enum frame_kind kind;
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *field; /* the current one; NULL before the first */
    unsigned next;                         /* index of the field to look at next */
    size_t element;                        /* elements of the current field begun */
    bool repeats;                          /* inside the current field's array or object */
    bool started;                          /* a member stands already */
};

struct printer {
    struct arena *arena;
    const struct protojson_print_options *options;
    struct buf *out;
    struct frame *root; /* NULL until the first is opened */
    struct frame *top;  /* NULL: the document is complete */
    unsigned depth;     /* open objects and arrays */
    const char *rule;   /* broken; NULL: none */
};

static void frame_step(struct printer *printer, struct frame *frame);
static void fields_step(struct printer *printer, struct frame *frame);
static bool is_wanted(const struct printer *printer, const struct frame *frame,
                      const ProtobufCFieldDescriptor *field);
static void name_put(struct printer *printer, struct frame *frame);
static void repeat_open(struct printer *printer, struct frame *frame);
static void repeat_step(struct printer *printer, struct frame *frame);
static void value_put(struct printer *printer, const ProtobufCFieldDescriptor *field,
                      const void *place);
static void message_put(struct printer *printer, const ProtobufCMessage *message);
static void known_put(struct printer *printer, const ProtobufCMessage *message, enum shape shape);
static void kind_put(struct printer *printer, const ProtobufCMessage *message);
static void any_put(struct printer *printer, const ProtobufCMessage *message);
static void any_open(struct printer *printer, const char *type_url, const ProtobufCMessage *inner);
static struct frame *frame_open(struct printer *printer, enum frame_kind kind,
                                const ProtobufCMessage *message);
static void frame_close(struct printer *printer);
static void open_put(struct printer *printer, char byte);
static void close_put(struct printer *printer, char byte);
static void refuse(struct printer *printer, const char *rule);
static void path_put(const struct printer *printer, struct buf *path);

int protojson_print(struct ctx *ctx, const ProtobufCMessage *message,
                    const struct protojson_print_options *options, struct buf *out)
{
    struct printer printer = {.arena = ctx->arena, .options = options, .out = out};
    message_put(&printer, message);
    while (printer.top != NULL && printer.rule == NULL && !out->overflown)
        frame_step(&printer, printer.top);
    if (printer.rule == NULL)
        return OK;
    AUTO(buf_deinit) struct buf path = BUF_EMPTY;
    path_put(&printer, &path);
    return FAULT(ctx, FAULT_INTERNAL, "%s as JSON: %s %s", message->descriptor->name,
                 buf_str(&path), printer.rule);
}

static void frame_step(struct printer *printer, struct frame *frame)
{
    switch (frame->kind) {
    case FRAME_FIELDS:
        fields_step(printer, frame);
        return;
    case FRAME_BARE:
        if (frame->repeats)
            repeat_step(printer, frame);
        else
            frame_close(printer);
        return;
    case FRAME_VALUE:
        if (frame->started) {
            close_put(printer, '}');
            frame_close(printer);
            return;
        }
        frame->started = true;
        buf_put_str(printer->out, ",\"value\":");
        message_put(printer, frame->message);
        return;
    }
    abort(); /* no kind */
}

/* One member, or one element of the member that is open. */
static void fields_step(struct printer *printer, struct frame *frame)
{
    const ProtobufCMessageDescriptor *type = frame->message->descriptor;
    if (frame->repeats) {
        repeat_step(printer, frame);
        return;
    }
    while (frame->next < type->n_fields && !is_wanted(printer, frame, &type->fields[frame->next]))
        frame->next++;
    if (frame->next == type->n_fields) {
        close_put(printer, '}');
        frame_close(printer);
        return;
    }
    frame->field = &type->fields[frame->next++];
    name_put(printer, frame);
    if (frame->field->label == PROTOBUF_C_LABEL_REPEATED)
        repeat_open(printer, frame);
    else
        value_put(printer, frame->field, shape_member(frame->message, frame->field));
}

static bool is_wanted(const struct printer *printer, const struct frame *frame,
                      const ProtobufCFieldDescriptor *field)
{
    return shape_is_present(frame->message, field) ||
           (printer->options->defaults && !shape_has_presence(field));
}

static void name_put(struct printer *printer, struct frame *frame)
{
    buf_put_str(printer->out, frame->started ? ",\"" : "\"");
    text_put_json_name(printer->out, frame->field->name);
    buf_put_str(printer->out, "\":");
    frame->started = true;
}

static void repeat_open(struct printer *printer, struct frame *frame)
{
    bool map = shape_is_map(frame->message->descriptor, frame->field);
    if (map && !shape_map_is_sound(printer->arena, frame->message, frame->field))
        refuse(printer, "must not have a key twice");
    open_put(printer, map ? '{' : '[');
    frame->repeats = true;
    frame->element = 0;
}

static void repeat_step(struct printer *printer, struct frame *frame)
{
    const ProtobufCFieldDescriptor *field = frame->field;
    bool map = shape_is_map(frame->message->descriptor, field);
    if (frame->element == shape_count_get(frame->message, field)) {
        close_put(printer, map ? '}' : ']');
        frame->repeats = false;
        return;
    }
    if (frame->element > 0)
        buf_put_byte(printer->out, ',');
    const uint8_t *elements;
    memcpy(&elements, shape_member(frame->message, field), sizeof elements);
    const void *place = elements + frame->element++ * shape_value_size(field);
    if (!map) {
        value_put(printer, field, place);
        return;
    }
    /* a map's element is its entry: the key is the name */
    const ProtobufCMessage *entry;
    memcpy(&entry, place, sizeof entry);
    const ProtobufCFieldDescriptor *parts = entry->descriptor->fields;
    const char *rule = scalar_print_key(printer->out, &parts[0], shape_member(entry, &parts[0]));
    if (rule != NULL)
        refuse(printer, rule);
    buf_put_byte(printer->out, ':');
    value_put(printer, &parts[1], shape_member(entry, &parts[1]));
}

/* A map's entry may lack its message on the wire: it stands for an empty one. */
static void value_put(struct printer *printer, const ProtobufCFieldDescriptor *field,
                      const void *place)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        const char *rule = scalar_print(printer->out, field, place);
        if (rule != NULL)
            refuse(printer, rule);
        return;
    }
    ProtobufCMessage *message;
    memcpy(&message, place, sizeof message);
    message_put(printer, message == NULL ? shape_new(printer->arena, field->descriptor) : message);
}

static void message_put(struct printer *printer, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    enum shape shape = shape_of(message->descriptor);
    switch (shape) {
    case SHAPE_FIELDS:
        open_put(printer, '{');
        (void)frame_open(printer, FRAME_FIELDS, message);
        return;
    case SHAPE_TIMESTAMP:
    case SHAPE_DURATION:
    case SHAPE_FIELD_MASK:
        known_put(printer, message, shape);
        return;
    case SHAPE_ANY:
        any_put(printer, message);
        return;
    case SHAPE_WRAPPER:
        value_put(printer, &fields[0], shape_member(message, &fields[0]));
        return;
    case SHAPE_STRUCT:
    case SHAPE_LIST: {
        struct frame *frame = frame_open(printer, FRAME_BARE, message);
        frame->field = &fields[0];
        repeat_open(printer, frame);
        return;
    }
    case SHAPE_VALUE:
        kind_put(printer, message);
        return;
    }
    abort(); /* no shape */
}

static void known_put(struct printer *printer, const ProtobufCMessage *message, enum shape shape)
{
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    assert(message->descriptor->n_fields == (shape == SHAPE_FIELD_MASK ? 1 : 2));
    const char *rule;
    buf_put_byte(printer->out, '"');
    if (shape == SHAPE_FIELD_MASK) {
        char *const *paths;
        memcpy(&paths, shape_member(message, &fields[0]), sizeof paths);
        rule = known_put_mask(printer->out, paths, shape_count_get(message, &fields[0]));
    } else {
        struct moment moment;
        memcpy(&moment.seconds, shape_member(message, &fields[0]), sizeof moment.seconds);
        memcpy(&moment.nanos, shape_member(message, &fields[1]), sizeof moment.nanos);
        rule = shape == SHAPE_TIMESTAMP ? known_put_timestamp(printer->out, moment)
                                        : known_put_duration(printer->out, moment);
    }
    buf_put_byte(printer->out, '"');
    if (rule != NULL)
        refuse(printer, rule);
}

/* "Attempting to serialize NaN or Infinity results in error": a Value's number has no text for them. */
static void kind_put(struct printer *printer, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!shape_is_present(message, field))
            continue;
        const void *place = shape_member(message, field);
        if (field->type == PROTOBUF_C_TYPE_DOUBLE && !isfinite(*(const double *)place))
            refuse(printer, "must be finite");
        else
            value_put(printer, field, place);
        return;
    }
    refuse(printer, "must have a kind");
}

/* An Any that was never set is an object without members, as in other implementations. */
static void any_put(struct printer *printer, const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *fields = message->descriptor->fields;
    const char *type_url = *(const char *const *)shape_member(message, &fields[0]);
    const ProtobufCBinaryData *bytes = shape_member(message, &fields[1]);
    if ((type_url == NULL || type_url[0] == '\0') && bytes->len == 0) {
        buf_put_str(printer->out, "{}");
        return;
    }
    const ProtobufCMessageDescriptor *type =
        shape_any_type(printer->options->any_types, slice_of_str(type_url));
    if (type == NULL || !text_is_utf8(slice_of_str(type_url))) {
        refuse(printer, "must have a known type");
        return;
    }
    const ProtobufCMessage *inner =
        protobuf_c_message_unpack(type, arena_protobuf(printer->arena), bytes->len, bytes->data);
    if (inner == NULL)
        refuse(printer, "must hold a message of its type");
    else
        any_open(printer, type_url, inner);
}

static void any_open(struct printer *printer, const char *type_url, const ProtobufCMessage *inner)
{
    bool fields = shape_of(inner->descriptor) == SHAPE_FIELDS;
    open_put(printer, '{');
    buf_put_str(printer->out, "\"@type\":\"");
    buf_put_json_escaped(printer->out, slice_of_str(type_url));
    buf_put_byte(printer->out, '"');
    struct frame *frame = frame_open(printer, fields ? FRAME_FIELDS : FRAME_VALUE, inner);
    frame->started = fields;
}

static struct frame *frame_open(struct printer *printer, enum frame_kind kind,
                                const ProtobufCMessage *message)
{
    struct frame *frame = printer->top == NULL ? printer->root : printer->top->child;
    if (frame == NULL)
        frame = arena_alloc(printer->arena, sizeof *frame);
    if (printer->top == NULL)
        printer->root = frame;
    else
        printer->top->child = frame;
    *frame = (struct frame){
        .parent = printer->top,
        .child = frame->child,
        .kind = kind,
        .message = message,
    };
    printer->top = frame;
    return frame;
}

static void frame_close(struct printer *printer)
{
    assert(printer->top != NULL && !printer->top->repeats);
    printer->top = printer->top->parent;
}

static void open_put(struct printer *printer, char byte)
{
    if (printer->depth == PROTOJSON_DEPTH_MAX)
        refuse(printer, "must not be nested deeper than 64 objects and arrays");
    printer->depth++;
    buf_put_byte(printer->out, (uint8_t)byte);
}

static void close_put(struct printer *printer, char byte)
{
    assert(printer->depth > 0);
    printer->depth--;
    buf_put_byte(printer->out, (uint8_t)byte);
}

static void refuse(struct printer *printer, const char *rule)
{
    if (printer->rule == NULL)
        printer->rule = rule;
}

/* Frames that are open, outermost first. */
static void path_put(const struct printer *printer, struct buf *path)
{
    for (const struct frame *frame = printer->root; printer->top != NULL; frame = frame->child) {
        if (frame->field != NULL && frame->kind == FRAME_FIELDS) {
            buf_put_str(path, frame == printer->root ? "" : ".");
            text_put_json_name(path, frame->field->name);
        }
        if (frame->repeats && frame->element > 0)
            buf_printf(path, "[%zu]", frame->element - 1);
        if (frame == printer->top)
            break;
    }
}
