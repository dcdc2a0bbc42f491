/* What a streaming method has under way on one stream: bytes that came and were not read by the handler,
 * messages that were sent and not taken by the client.
 *
 *    client ──DATA──> inbox ──call_receive()──> handler ──call_send()──> outbox ──read callback──> client
 *
 * Flow control is by construction: a stream's window goes back as the handler reads, so the inbox never holds
 * more than one window, beside what was read of a message that is not whole: another one, or what was reserved
 * for it; and call_send() waits while the outbox is full. */
#ifndef RPC_H2_FLOW_H
#define RPC_H2_FLOW_H

#include "base/arena.h"
#include "base/buf.h"

#include <nghttp2/nghttp2.h>

#include <stdbool.h>

/* Unsent bytes of one answer beyond which call_send() waits. */
#define FLOW_OUTBOX_MAX ((size_t)64 << 10)

/* Owned by its stream; made when the path is known. */
struct h2_flow {
    struct buf inbox;
    struct buf outbox;    /* framed */
    bool begun;           /* the response's headers were submitted */
    bool finished;        /* the handler has ended: trailers follow the outbox */
    bool deferred;        /* the library waits to be told of more */
    nghttp2_nv *trailers; /* of a finished one, in … */
    size_t trailer_count;
    struct arena *end;    /* … an arena of their own: the call's may be gone before they are sent */
};

#endif
