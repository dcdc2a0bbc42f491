/* The header fields of one request.  Those that are asked for by name in every call are recognised as they
 * arrive, so that nobody searches for them later; the rest is kept in order. */
#ifndef RPC_REQUEST_HEADERS_H
#define RPC_REQUEST_HEADERS_H

#include "base/arena.h"
#include "base/slice.h"

/* By their size: name_find() relies on it. */
enum header_name {
    HEADER_PATH,
    HEADER_METHOD,
    HEADER_TRACEPARENT,
    HEADER_TENANT_ID,
    HEADER_CONTENT_TYPE,
    HEADER_GRPC_TIMEOUT,
    HEADER_REQUEST_ID,
    HEADER_GRPC_ENCODING,
    HEADER_IDEMPOTENCY_KEY,
    HEADER_CONSISTENCY_TOKEN,
    HEADER_GRPC_ACCEPT_ENCODING,
    HEADER_NAMES
};

struct header_field {
    struct slice name; /* zero-terminated in the arena */
    struct slice value;
};

/* In the arena of its stream, which the call takes over. */
struct request_headers {
    struct slice known[HEADER_NAMES]; /* {NULL, 0}: not sent; the first of several */
    struct header_field *others;
    size_t other_count;
    size_t other_room;
};

/* Copies value, and name where it is not a known one.  `name` is in lower case (RFC 9113 section 8.2).
 * How many are taken is the caller's to limit. */
void request_headers_add(struct request_headers *headers, struct arena *arena, struct slice name,
                         struct slice value);
/* The first value under that name as it was sent; {NULL, 0} when absent. */
struct slice request_headers_find(const struct request_headers *headers, struct slice name);

/* Whether a list of names, by commas, has this one. */
bool header_list_has(struct slice list, const char *name);

#endif
