/* Called for every header field of every request. */
#include "rpc/request_headers.h"

#include <string.h>

#define OTHERS_FIRST 8

static const struct slice names[HEADER_NAMES] = {
#define NAME(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
    [HEADER_PATH] = NAME(":path"),
    [HEADER_METHOD] = NAME(":method"),
    [HEADER_TRACEPARENT] = NAME("traceparent"),
    [HEADER_TENANT_ID] = NAME("x-tenant-id"),
    [HEADER_CONTENT_TYPE] = NAME("content-type"),
    [HEADER_GRPC_TIMEOUT] = NAME("grpc-timeout"),
    [HEADER_REQUEST_ID] = NAME("x-request-id"),
    [HEADER_GRPC_ENCODING] = NAME("grpc-encoding"),
    [HEADER_IDEMPOTENCY_KEY] = NAME("idempotency-key"),
    [HEADER_CONSISTENCY_TOKEN] = NAME("x-consistency-token"),
    [HEADER_GRPC_ACCEPT_ENCODING] = NAME("grpc-accept-encoding"),
#undef NAME
};

/* The first name of each size.  What is not set says the first name of all, whose size is another. */
#define FIRST(text, name) [sizeof(text) - 1] = (name)
static const uint8_t first_of_size[] = {
    FIRST(":path", HEADER_PATH),
    FIRST(":method", HEADER_METHOD),
    FIRST("traceparent", HEADER_TRACEPARENT),
    FIRST("content-type", HEADER_CONTENT_TYPE),
    FIRST("grpc-encoding", HEADER_GRPC_ENCODING),
    FIRST("idempotency-key", HEADER_IDEMPOTENCY_KEY),
    FIRST("x-consistency-token", HEADER_CONSISTENCY_TOKEN),
    FIRST("grpc-accept-encoding", HEADER_GRPC_ACCEPT_ENCODING),
};
#undef FIRST

static enum header_name name_find(struct slice name);
static bool is_blank(uint8_t byte);
static struct header_field *other_new(struct request_headers *headers, struct arena *arena);

void request_headers_add(struct request_headers *headers, struct arena *arena, struct slice name,
                         struct slice value)
{
    enum header_name known = name_find(name);
    bool again = known < HEADER_NAMES && headers->known[known].data != NULL;
    if (again) /* the first counts */
        return;
    struct slice kept = slice_make(arena_strndup(arena, value.data, value.size), value.size);
    if (known < HEADER_NAMES) {
        headers->known[known] = kept;
        return;
    }
    *other_new(headers, arena) = (struct header_field){
        .name = slice_make(arena_strndup(arena, name.data, name.size), name.size),
        .value = kept,
    };
}

struct slice request_headers_find(const struct request_headers *headers, struct slice name)
{
    enum header_name known = name_find(name);
    if (known < HEADER_NAMES)
        return headers->known[known];
    for (size_t i = 0; i < headers->other_count; i++) {
        if (slice_equal(headers->others[i].name, name))
            return headers->others[i].value;
    }
    return slice_make(NULL, 0);
}

bool header_list_has(struct slice list, const char *name)
{
    size_t size = strlen(name);
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t length = comma == NULL ? list.size : (size_t)(comma - list.data);
        struct slice item = slice_make(list.data, length);
        list = slice_skip(list, comma == NULL ? length : length + 1);
        while (item.size > 0 && is_blank(item.data[0]))
            item = slice_skip(item, 1);
        while (item.size > 0 && is_blank(item.data[item.size - 1]))
            item.size--;
        if (item.size == size && memcmp(item.data, name, size) == 0)
            return true;
    }
    return false;
}

/* OWS of RFC 9110 section 5.6.3. */
static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* HEADER_NAMES: not one of ours. */
static enum header_name name_find(struct slice name)
{
    if (name.size >= sizeof first_of_size)
        return HEADER_NAMES;
    for (unsigned i = first_of_size[name.size]; i < HEADER_NAMES && names[i].size == name.size;
         i++) {
        if (memcmp(names[i].data, name.data, name.size) == 0)
            return (enum header_name)i;
    }
    return HEADER_NAMES;
}

/* Doubled in the arena: what is left behind goes with the call. */
static struct header_field *other_new(struct request_headers *headers, struct arena *arena)
{
    if (headers->other_count == headers->other_room) {
        size_t room = headers->other_room == 0 ? OTHERS_FIRST : 2 * headers->other_room;
        struct header_field *larger = arena_alloc_raw(arena, room * sizeof *larger);
        if (headers->other_count > 0)
            memcpy(larger, headers->others, headers->other_count * sizeof *larger);
        headers->others = larger;
        headers->other_room = room;
    }
    return &headers->others[headers->other_count++];
}
