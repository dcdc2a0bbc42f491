/* What a connection holds of the process's memory, as an estimate that errs upwards.
 *
 * Called with every sweep and not with every byte: the limit is for the sum over thousands of connections, and
 * what one adds between two sweeps is bounded by its windows.  Must not count what is a worker's own, such as
 * task stacks and spare arenas: its settings bound that. */
#include "rpc/rpc_int.h"

/* The stream here and in nghttp2, and the first chunk of its arena. */
#define STREAM_BYTES ((size_t)6 << 10)

/* CONNECTION_BYTES has a table of HPACK's of HTTP/2's own size.  Of a larger one the library makes three blocks
 * for each entry, which take 304 bytes where the protocol counts 33. */
#define TABLE_BYTES_WITHIN 4096u
#define TABLE_BYTES_EACH 10u

static size_t table_bytes(const struct h2 *h2);
static size_t session_bytes(const struct h2 *h2);
static size_t stream_bytes(const struct h2_stream *stream);
static size_t call_bytes(const struct running_call *call);

void connection_weigh(struct connection *connection)
{
    size_t held = 0;
    if (connection->state != CONNECTION_CLOSED)
        held = CONNECTION_BYTES + connection->out.room + connection->probe.room;
    if (connection->state != CONNECTION_CLOSED && connection->h2 != NULL)
        held += session_bytes(connection->h2);
    struct rpc_worker *worker = connection->worker;
    shared_memory_change(worker->shared, connection->held, held);
    metric_gauge_add(worker->metrics->held_bytes, (int64_t)held - (int64_t)connection->held);
    connection->held = held;
    if (connection->h2 != NULL)
        connection->h2->memory = held;
}

/* Calls that lost their stream run on and keep what they have. */
static size_t session_bytes(const struct h2 *h2)
{
    size_t bytes = h2->buffered + table_bytes(h2);
    for (struct list_node *node = list_first(&h2->streams); node != NULL;
         node = list_next(&h2->streams, node))
        bytes += stream_bytes(list_entry(node, struct h2_stream, node));
    for (struct list_node *node = list_first(&h2->running_calls); node != NULL;
         node = list_next(&h2->running_calls, node)) {
        const struct running_call *call = list_entry(node, struct running_call, running_node);
        if (call->stream == NULL)
            bytes += call_bytes(call);
    }
    return bytes;
}

static size_t table_bytes(const struct h2 *h2)
{
    size_t size = nghttp2_session_get_hd_inflate_dynamic_table_size(h2->session);
    return size <= TABLE_BYTES_WITHIN ? 0 : TABLE_BYTES_EACH * (size - TABLE_BYTES_WITHIN);
}

/* The answer of a unary call lies in its arena. */
static size_t stream_bytes(const struct h2_stream *stream)
{
    size_t bytes = STREAM_BYTES;
    if (stream->call != NULL)
        bytes += call_bytes(stream->call);
    else if (stream->arena != NULL)
        bytes += arena_used(stream->arena);
    if (stream->flow != NULL)
        bytes += buf_size(&stream->flow->outbox);
    return bytes;
}

static size_t call_bytes(const struct running_call *call)
{
    size_t message = call->message_arena == NULL ? 0 : arena_used(call->message_arena);
    return arena_used(call->arena) + message;
}
