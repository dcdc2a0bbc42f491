/*~ The call as its handler sees it: metadata in, headers and details out. */
#include "rpc/call.h"

#include "rpc/call_int.h"
#include "rpc/coding.h"
#include "rpc/h2.h"

#include "gen/errors.h"

#include <assert.h>
#include <stddef.h>

static const struct running_call *running_of(const struct call *call);
static struct call_details *details_of(struct call *call);
static struct slice first_of_list(struct slice text);
static void put_header(struct call_header_list *list, struct arena *arena, const char *key,
                       struct slice value);

struct running_call *running_call_of(struct call *call)
{
    return (struct running_call *)(void *)((char *)call - offsetof(struct running_call, call));
}

static const struct running_call *running_of(const struct call *call)
{
    return (const struct running_call *)(const void *)((const char *)call -
                                                       offsetof(struct running_call, call));
}

struct slice call_timeout_asked(const struct running_call *running)
{
    return protocol_is_connect(running->dialect.protocol)
               ? request_headers_find(running->metadata, slice_of_str("connect-timeout-ms"))
               : running->metadata->known[HEADER_GRPC_TIMEOUT];
}

/* Keys arrive in lower case (RFC 9113 section 8.2: "Field names MUST be converted to lowercase
 * when constructing an HTTP/2 message"; nghttp2 refuses others), so bytes are compared. */
struct slice call_metadata(const struct call *call, const char *key)
{
    const struct running_call *running = running_of(call);
    struct slice name = slice_of_str(key);
    struct slice value = request_headers_find(running->metadata, name);
    if (value.data == NULL || name.size < 4 || strcmp(key + name.size - 4, "-bin") != 0)
        return value;
    struct slice decoded;
    bool good = base64_decode(call->ctx.arena, first_of_list(value), &decoded);
    return good ? decoded : slice_make(NULL, 0);
}

void call_set_header(struct call *call, const char *key, struct slice value)
{
    put_header(&running_call_of(call)->headers, call->ctx.arena, key, value);
}

void call_set_trailer(struct call *call, const char *key, struct slice value)
{
    put_header(&running_call_of(call)->trailers, call->ctx.arena, key, value);
}

void call_compress(struct call *call, bool wanted)
{
    struct running_call *running = running_call_of(call);
    running->compresses = wanted && running->client_inflates;
}

bool call_was_compressed(const struct call *call)
{
    return running_of(call)->was_compressed;
}

/* A client's hundred violations are counted and 64 of them kept: the struct has a fixed size,
 * the answer says how many are missing. */
int call_refuse_field(struct call *call, int reason, const char *field, const char *rule)
{
    assert(reason > OK);
    struct call_details *details = details_of(call);
    if (details->violation_count == STATUS_VIOLATIONS_MAX) {
        details->violations_dropped++;
        return reason;
    }
    details->violations[details->violation_count++] = (struct status_pair){
        arena_strdup(call->ctx.arena, field), arena_strdup(call->ctx.arena, rule)};
    return reason;
}

int call_refuse_with(struct call *call, int reason, const char *key, const char *value)
{
    assert(reason > OK);
    struct call_details *details = details_of(call);
    assert(details->metadata_count < STATUS_METADATA_MAX);
    details->metadata[details->metadata_count++] = (struct status_pair){
        arena_strdup(call->ctx.arena, key), arena_strdup(call->ctx.arena, value)};
    return reason;
}

int call_refuse_retry(struct call *call, int reason, uint64_t delay_ns)
{
    assert(reason > OK);
    details_of(call)->retry_ns = delay_ns;
    return reason;
}

int call_refuse_status(struct call *call, int code, const char *message)
{
    struct call_details *details = details_of(call);
    details->foreign_code = code > GRPC_OK && code < GRPC_CODE_COUNT ? code : GRPC_UNKNOWN;
    details->foreign_message = arena_strdup(call->ctx.arena, message);
    return INTERNAL;
}

void call_refuse_detail(struct call *call, const char *type_url, struct slice value)
{
    struct call_details *details = details_of(call);
    struct arena *arena = call->ctx.arena;
    assert(details->foreign_code != GRPC_OK);
    assert(details->foreign_detail_count < STATUS_FOREIGN_DETAILS_MAX);
    details->foreign_details[details->foreign_detail_count++] = (struct status_detail){
        .type_url = arena_strdup(arena, type_url),
        .value = slice_make(arena_strndup(arena, value.data, value.size), value.size),
    };
}

size_t call_violations(const struct call *call)
{
    const struct call_details *details = call->details;
    return details == NULL ? 0 : details->violation_count + details->violations_dropped;
}

/* More than a kilobyte that a call which goes well never needs. */
static struct call_details *details_of(struct call *call)
{
    if (call->details == NULL)
        call->details = arena_alloc(call->ctx.arena, sizeof *call->details);
    return call->details;
}

/* Proxies may join values: "Implementations MUST split Binary-Headers on ","" (PROTOCOL-HTTP2.md). */
static struct slice first_of_list(struct slice text)
{
    const uint8_t *comma = text.size == 0 ? NULL : memchr(text.data, ',', text.size);
    if (comma != NULL)
        text.size = (size_t)(comma - text.data);
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

/* Reserved names are ours: a handler that set one would break the protocol, which is a bug and
 * not input. */
static void put_header(struct call_header_list *list, struct arena *arena, const char *key,
                       struct slice value)
{
    size_t size = strlen(key);
    assert(key[0] != ':' && strncmp(key, "grpc-", 5) != 0);
    assert(list->count < CALL_HEADERS_MAX);
    if (list->items == NULL)
        list->items = arena_alloc_raw(arena, CALL_HEADERS_MAX * sizeof *list->items);
    struct call_header *place = &list->items[list->count++];
    place->key = key;
    if (size < 4 || strcmp(key + size - 4, "-bin") != 0) {
        place->value = slice_make(arena_strndup(arena, value.data, value.size), value.size);
        return;
    }
    struct buf text = BUF_EMPTY;
    base64_encode(&text, value);
    place->value = slice_make(arena_strndup(arena, text.data, buf_size(&text)), buf_size(&text));
    buf_deinit(&text);
}
