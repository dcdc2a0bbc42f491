/* The canonical form of a request, as bytes that are hashed; see fingerprint.h.
 *
 * protobuf-c packs known fields in the order of their numbers and leaves out defaults, so only maps need work:
 * their entries are sorted in place by their packed bytes, then the whole is packed. */
#include "service/fingerprint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 16 /* our messages nest three deep, and none is recursive */

struct packed_entry {
    struct slice bytes;
    ProtobufCMessage *entry;
};

static void sort_maps(struct arena *arena, ProtobufCMessage *message, unsigned depth);
static void sort_entries(struct arena *arena, ProtobufCMessage **entries, size_t count);
static bool is_map_entry(const ProtobufCMessageDescriptor *type);
static struct slice pack(struct arena *arena, const ProtobufCMessage *message);
static int compare_entries(const void *a, const void *b);

void request_fingerprint(struct arena *arena, const ProtobufCMessage *request,
                         uint8_t out[DIGEST_BYTES])
{
    struct slice bytes = pack(arena, request);
    /* a copy: the handler's request keeps the order in which it came */
    ProtobufCMessage *copy = protobuf_c_message_unpack(request->descriptor, arena_protobuf(arena),
                                                       bytes.size, bytes.data);
    if (copy != NULL) { /* NULL: the arena is full; the order as sent is a fingerprint too */
        sort_maps(arena, copy, 0);
        bytes = pack(arena, copy);
    }
    struct digest digest;
    digest_begin(&digest);
    digest_put(&digest, slice_of_str(request->descriptor->name));
    digest_put(&digest, bytes);
    digest_end(&digest, out);
}

static void sort_maps(struct arena *arena, ProtobufCMessage *message, unsigned depth)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    assert(depth < NESTING_MAX);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        char *place = (char *)message + field->offset;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            ProtobufCMessage *inner = *(ProtobufCMessage **)(void *)place;
            if (inner != NULL)
                sort_maps(arena, inner, depth + 1);
            continue;
        }
        size_t count = *(size_t *)(void *)((char *)message + field->quantifier_offset);
        ProtobufCMessage **items = *(ProtobufCMessage ***)(void *)place;
        for (size_t k = 0; k < count; k++)
            sort_maps(arena, items[k], depth + 1);
        if (is_map_entry(field->descriptor))
            sort_entries(arena, items, count);
    }
}

static void sort_entries(struct arena *arena, ProtobufCMessage **entries, size_t count)
{
    struct packed_entry *packed = arena_alloc(arena, (count + 1) * sizeof *packed);
    for (size_t i = 0; i < count; i++)
        packed[i] = (struct packed_entry){pack(arena, entries[i]), entries[i]};
    qsort(packed, count, sizeof *packed, compare_entries);
    for (size_t i = 0; i < count; i++)
        entries[i] = packed[i].entry;
}

/* protobuf-c keeps no mark; "the generated code of a map field is that of a repeated message NAMEEntry with the
 * fields key = 1 and value = 2" (protobuf's language guide). */
static bool is_map_entry(const ProtobufCMessageDescriptor *type)
{
    size_t size = strlen(type->name);
    return size > 5 && strcmp(type->name + size - 5, "Entry") == 0 && type->n_fields == 2 &&
           strcmp(type->fields[0].name, "key") == 0 && strcmp(type->fields[1].name, "value") == 0;
}

static struct slice pack(struct arena *arena, const ProtobufCMessage *message)
{
    uint8_t *bytes = arena_alloc_raw(arena, protobuf_c_message_get_packed_size(message));
    return slice_make(bytes, protobuf_c_message_pack(message, bytes));
}

static int compare_entries(const void *a, const void *b)
{
    const struct packed_entry *left = a;
    const struct packed_entry *right = b;
    size_t shorter = left->bytes.size < right->bytes.size ? left->bytes.size : right->bytes.size;
    int order = memcmp(left->bytes.data, right->bytes.data, shorter);
    return order != 0
               ? order
               : (left->bytes.size > right->bytes.size) - (left->bytes.size < right->bytes.size);
}
