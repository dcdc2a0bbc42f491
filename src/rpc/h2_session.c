/*~ One HTTP/2 connection: bytes in, calls out, answers in, bytes out.
 *
 * h2_receive() feeds the library, whose callbacks record (h2_callbacks.c), then h2_process() acts: it gives
 * windows back, makes calls of complete headers, hands whole messages to dispatch.c, and starts handlers as
 * far as the limits allow.  Answers come back through h2_answer.c.
 *
 * Windows, in bytes that a client may have under way:
 *
 *      connection_window  given back always: it only has to keep a fast link busy
 *      stream_window      given back as the message is read, for large ones when there is room
 *
 * What is held per connection is bounded by the streams' windows and the reservations
 * (h2_stream.c). */
#include "rpc/h2.h"

#include "base/alloc.h"

#include "rpc/rpc_int.h"
#include "rpc/stream_share.h"

#include <assert.h>
#include <stdlib.h>

#define UNSEEN_PER_REQUEST 256 /* bytes on the wire: most blocks have fewer */
#define FIRST_UNKNOWN_TYPE 0x0a /* RFC 9113 defines types up to CONTINUATION, 0x09 */

static nghttp2_option *session_options(const struct rpc_limits *limits);
static void session_begin(struct h2 *h2);
static bool decodes_in_vain(const struct h2 *h2);
static void give_up_fatally(struct h2 *h2, int error);

struct h2 *h2_new(struct rpc_worker *worker, const char *caller, void *owner,
                  void (*wants_flush)(void *owner))
{
    struct h2 *h2 = xcalloc(1, sizeof *h2);
    h2->worker = worker;
    h2->caller = caller;
    h2->owner = owner;
    h2->wants_flush = wants_flush;
    h2->traffic = &h2->own_traffic;
    h2->idle_since_ns = clock_now();
    h2->received_ns = h2->idle_since_ns;
    list_init(&h2->streams);
    list_init(&h2->ready);
    list_init(&h2->held);
    list_init(&h2->waiting);
    list_init(&h2->running_calls);
    list_init(&h2->readers);
    session_begin(h2);
    return h2;
}

/* Streams first: closing one cancels its call, and the calls that still run then lose the
 * session. */
void h2_free(struct h2 *h2)
{
    if (h2 == NULL)
        return;
    for (struct list_node *node; (node = list_first(&h2->streams)) != NULL;)
        h2_stream_close(list_entry(node, struct h2_stream, node));
    for (struct list_node *node; (node = list_pop_front(&h2->running_calls)) != NULL;)
        list_entry(node, struct running_call, running_node)->h2 = NULL; /* it ends by itself */
    /* what streams count for is given back by each of them */
    assert(h2->buffered == 0 && h2->reserved == 0 && h2->queued == 0);
    nghttp2_session_del(h2->session);
    if (h2->share != NULL)
        stream_share_leave(h2->share);
    free(h2);
}

/* RFC 9113 section 6.1: DATA for a stream that is neither open nor half-closed (local) is an error of type
 * STREAM_CLOSED, and section 5.4.1 lets it end the connection.  DATA for a stream that only we had ended is
 * dropped by the library: it may have been under way.  Its padding must fit all the same. */
bool h2_receive(struct h2 *h2, struct slice bytes)
{
    h2->received_ns = clock_now();
    h2->asked_ns = 0;
    h2->wire.block_max = h2->worker->limits.header_bytes;
    enum wire_result result = h2_wire_take(&h2->wire, bytes, &bytes.size);
    h2->receiving = true;
    ssize_t taken = nghttp2_session_mem_recv(h2->session, bytes.data, bytes.size);
    h2->receiving = false;
    if (h2->failed)
        h2_say_end(h2);
    else if (taken < 0)
        give_up_fatally(h2, (int)taken);
    if (result == WIRE_AFTER_END)
        h2_give_up(h2, NGHTTP2_STREAM_CLOSED, "closed_stream");
    if (result == WIRE_BAD_PADDING)
        h2_give_up(h2, NGHTTP2_PROTOCOL_ERROR, "invalid_frame");
    if (result == WIRE_LARGE_BLOCK || decodes_in_vain(h2))
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "header_bytes");
    h2_process(h2);
    return !h2->failed;
}

/* What the library decodes for HPACK's sake alone, of requests that are malformed, refused or reset, no
 * callback sees, and a byte of it takes 25 ns.  By their resets alone a hundred such blocks would pass. */
static bool decodes_in_vain(const struct h2 *h2)
{
    uint64_t allowed = h2->worker->limits.header_bytes + UNSEEN_PER_REQUEST * h2->streams_begun;
    return h2_wire_blocks(&h2->wire) > h2->shown_blocks_bytes + allowed;
}

bool h2_send(struct h2 *h2, struct buf *out, size_t size)
{
    do { /* streams that end make room for others */
        h2_process(h2);
        while (buf_size(out) < size && !h2->end_said) {
            const uint8_t *bytes;
            ssize_t count = nghttp2_session_mem_send(h2->session, &bytes);
            if (count < 0) {
                h2->failed = true;
                return false;
            }
            if (count == 0)
                break;
            buf_put(out, bytes, (size_t)count);
        }
    } while (!list_is_empty(&h2->ready) && buf_size(out) < size);
    return !h2->failed;
}

/* True once a GOAWAY went either way and no stream is left, or after a fatal error once our
 * GOAWAY was fetched. */
bool h2_is_over(const struct h2 *h2)
{
    return nghttp2_session_want_read(h2->session) == 0 &&
           nghttp2_session_want_write(h2->session) == 0;
}

void h2_shutdown(struct h2 *h2)
{
    if (h2->shutting_down)
        return;
    h2->shutting_down = true;
    h2->shutdown_ns = clock_now();
    (void)nghttp2_submit_shutdown_notice(h2->session);
    (void)nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, (const uint8_t *)H2_GOODBYE);
    h2->wants_flush(h2->owner);
}

/* Windows are ours to give back (no_auto_window_update), or the library would acknowledge bytes
 * nobody has room for.  Closed streams are not kept: their only use is the priority tree, which
 * we do not announce. */
static nghttp2_option *session_options(const struct rpc_limits *limits)
{
    nghttp2_option *option = NULL;
    if (nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, limits->settings_entries);
    nghttp2_option_set_max_outbound_ack(option, limits->outbound_acks);
    for (unsigned type = FIRST_UNKNOWN_TYPE; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
    nghttp2_option_set_max_continuations(option, limits->continuations);
    return option;
}

/* The settings are advice until acknowledged: limits are enforced from the first byte all the
 * same.  RFC 7540's priorities are declined (RFC 9218 section 2.1): clients need not send them. */
static void session_begin(struct h2 *h2)
{
    const struct rpc_limits *limits = &h2->worker->limits;
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    h2_set_callbacks(callbacks);
    nghttp2_option *option = session_options(limits);
    nghttp2_mem memory = h2_memory_functions(&h2->worker->h2_memory);
    int rc = nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &memory);
    assert(rc == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    h2->concurrent_streams = limits_of_identity(limits, h2->caller).concurrent_streams;
    h2->stream_window = limits->stream_window;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h2->concurrent_streams},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, (uint32_t)limits->header_table_bytes},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)limits->stream_window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, (uint32_t)limits->frame_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    rc = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                 sizeof settings / sizeof settings[0]);
    assert(rc == 0);
    rc = nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                               (int32_t)limits->connection_window);
    assert(rc == 0);
}

/* Errors after which the library reads no more and says nothing: the GOAWAY is ours to send. */
static void give_up_fatally(struct h2 *h2, int error)
{
    if (error == NGHTTP2_ERR_FLOODED)
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "outbound_acks");
    else if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        h2_give_up(h2, NGHTTP2_ENHANCE_YOUR_CALM, "continuations");
    else if (error == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_give_up(h2, NGHTTP2_PROTOCOL_ERROR, "bad_preface");
    else
        h2_give_up(h2, NGHTTP2_PROTOCOL_ERROR, "fatal_frame");
}
