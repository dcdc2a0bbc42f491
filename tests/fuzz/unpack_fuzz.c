/* A request's bytes as the service unpacks them: scanned, then unpacked into a call's arena.  What the scan passes is
 * no deeper and has no more elements than it says, always fits the arena, and packs to bytes that mean the same.
 *
 * Input: one byte that chooses the type, one of how many messages lie around the rest, that many bytes of the field
 * each of them stands in, then the message. */
#include "base/arena.h"
#include "base/buf.h"

#include "rpc/scan.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include "all_types.pb-c.h"

#include "tests/fuzz/sample_message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPECT(truth) ((truth) ? (void)0 : abort())

#define CALL_ARENA ((size_t)32 << 20) /* as rpc/worker.c has it */
#define WRAPS_MAX 64
/* A negative int32 of five bytes packs as ten, an element of a packed list gets a tag of its own. */
#define GROWTH_MAX 6
#define LENGTH_FIELD 2 /* wire type */

static const ProtobufCMessageDescriptor *const types[] = {
    &fixture__json__v1__maps__descriptor,           &sample_descriptor,
    &tenant__v1__create_tenant_request__descriptor, &tenant__v1__update_tenant_request__descriptor,
    &google__rpc__bad_request__descriptor,          &fixture__json__v1__tree__descriptor,
    &google__protobuf__struct__descriptor,          &google__protobuf__value__descriptor,
    &google__protobuf__list_value__descriptor,      &fixture__json__v1__well_known__descriptor,
};
#define TYPES (sizeof types / sizeof types[0])

struct seen {
    unsigned depth;
    size_t elements;
};

static void message_walk(const ProtobufCMessage *message, unsigned depth, struct seen *seen);

static void field_walk(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       unsigned depth, struct seen *seen)
{
    const uint8_t *place = (const uint8_t *)message + field->offset;
    const uint8_t *quantifier = (const uint8_t *)message + field->quantifier_offset;
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count;
        memcpy(&count, quantifier, sizeof count);
        seen->elements += count;
        ProtobufCMessage *const *list;
        memcpy(&list, place, sizeof list);
        for (size_t i = 0; is_message && i < count; i++)
            message_walk(list[i], depth + 1, seen);
        return;
    }
    if (!is_message)
        return;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t which;
        memcpy(&which, quantifier, sizeof which);
        if (which != field->id)
            return;
    }
    const ProtobufCMessage *nested;
    memcpy(&nested, place, sizeof nested);
    seen->elements += nested != NULL;
    if (nested != NULL)
        message_walk(nested, depth + 1, seen);
}

static void message_walk(const ProtobufCMessage *message, unsigned depth, struct seen *seen)
{
    EXPECT(depth <= SCAN_DEPTH_MAX);
    seen->depth = depth > seen->depth ? depth : seen->depth;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        field_walk(message, &message->descriptor->fields[i], depth, seen);
}

static ProtobufCMessage *message_take(const ProtobufCMessageDescriptor *type, struct slice bytes,
                                      struct arena *arena)
{
    struct scan_report report;
    memset(&report, 'x', sizeof report);
    enum scan_result result = scan_message(type, bytes, &report);
    EXPECT(memchr(report.path, 0, sizeof report.path) != NULL);
    if (result != SCAN_OK)
        return NULL;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, arena_protobuf(arena), bytes.size, bytes.data);
    EXPECT(!arena_is_full(arena));
    EXPECT(message != NULL);
    return message;
}

static void message_put(const ProtobufCMessage *message, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *place = buf_reserve(out, size + 1);
    EXPECT(protobuf_c_message_pack(message, place) == size);
    buf_commit(out, size);
}

/* What was packed is taken again, and packs to the same bytes. */
static void message_check(const ProtobufCMessageDescriptor *type, struct slice bytes)
{
    struct arena *arena = arena_new(CALL_ARENA);
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    ProtobufCMessage *message = message_take(type, bytes, arena);
    if (message != NULL) {
        struct seen seen = {0};
        message_walk(message, 0, &seen);
        EXPECT(seen.elements <= SCAN_FIELDS_MAX);
        message_put(message, &first);
        EXPECT(buf_size(&first) <= GROWTH_MAX * bytes.size);
        ProtobufCMessage *again = message_take(type, buf_slice(&first), arena);
        EXPECT(again != NULL);
        message_put(again, &second);
        EXPECT(slice_equal(buf_slice(&first), buf_slice(&second)));
    }
    buf_deinit(&first);
    buf_deinit(&second);
    arena_free(arena);
}

/* The field's head in front of `inner`. */
static void wrap(struct buf *inner, uint8_t field)
{
    struct buf outer = BUF_EMPTY;
    size_t size = buf_size(inner);
    buf_put_byte(&outer, (uint8_t)((field % 15 + 1) << 3 | LENGTH_FIELD));
    for (; size >= 0x80; size >>= 7)
        buf_put_byte(&outer, (uint8_t)(size | 0x80));
    buf_put_byte(&outer, (uint8_t)size);
    buf_put_slice(&outer, buf_slice(inner));
    buf_deinit(inner);
    *inner = outer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const ProtobufCMessageDescriptor *type = types[data[0] % TYPES];
    size_t wraps = data[1] % WRAPS_MAX;
    struct slice rest = slice_make(data + 2, size - 2);
    if (wraps > rest.size)
        wraps = rest.size;
    struct buf bytes = BUF_EMPTY;
    buf_put_slice(&bytes, slice_skip(rest, wraps));
    for (size_t i = 0; i < wraps; i++)
        wrap(&bytes, rest.data[i]);
    /* memory of its own size: a byte read too far is seen */
    size_t whole = buf_size(&bytes);
    uint8_t *own = malloc(whole + 1);
    EXPECT(own != NULL);
    if (whole > 0)
        memcpy(own + 1, buf_slice(&bytes).data, whole);
    message_check(type, slice_make(own + 1, whole));
    free(own);
    buf_deinit(&bytes);
    return 0;
}
