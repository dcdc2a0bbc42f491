/* The loops around a stream: perform, wait for the socket, perform again, until done or too late. */
#include "base/clock.h"

#include "loop/task.h"
#include "tls/tls_int.h"

#include <assert.h>
#include <string.h>

static enum wait_result wait_for(struct ctx *ctx, struct io *io, enum tls_status status,
                                 uint64_t deadline_ns);
static bool is_cut_off(const struct tls_stream *stream);

/* The error's label becomes "timeout" when the deadline ended it; a cancellation leaves the
 * stream as it is. */
int tls_handshake_wait(struct ctx *ctx, struct tls_stream *stream, struct io *io,
                       uint64_t deadline_ns)
{
    for (;;) {
        enum tls_status status = tls_stream_handshake(stream);
        if (status == TLS_OK)
            return OK;
        if (status == TLS_FAILED || status == TLS_CLOSED)
            return FAULT(ctx, is_cut_off(stream) ? FAULT_IO : FAULT_TLS, "handshake: %s",
                         tls_stream_error(stream));
        enum wait_result result = wait_for(ctx, io, status, deadline_ns);
        if (result == WAIT_TIMEOUT)
            tls_stream_fail(stream, "timeout", "the handshake took too long");
        TRY(wait_fault(ctx, result, "handshake"));
    }
}

/* lint-allow parameters: read(2)'s three, the answer and the wait's */
int tls_read_wait(struct ctx *ctx, struct tls_stream *stream, struct io *io, void *bytes,
                  size_t size, size_t *count, uint64_t deadline_ns)
{
    for (;;) {
        size_t got = 0;
        enum tls_status status = tls_stream_read(stream, bytes, size, &got);
        if (status == TLS_FAILED)
            return FAULT(ctx, FAULT_TLS, "read: %s", tls_stream_error(stream));
        if (status == TLS_OK || status == TLS_CLOSED) {
            *count = got;
            return OK;
        }
        TRY(wait_fault(ctx, wait_for(ctx, io, status, deadline_ns), "TLS read"));
    }
}

/* lint-allow parameters: write(2)'s three and the wait's */
int tls_write_wait(struct ctx *ctx, struct tls_stream *stream, struct io *io, const void *bytes,
                   size_t size, uint64_t deadline_ns)
{
    const char *left = bytes;
    while (size > 0) {
        size_t put = 0;
        enum tls_status status = tls_stream_write(stream, left, size, &put);
        if (status == TLS_FAILED || status == TLS_CLOSED)
            return FAULT(ctx, FAULT_TLS, "write: %s", tls_stream_error(stream));
        assert(put <= size);
        left += put;
        size -= put;
        if (status != TLS_OK)
            TRY(wait_fault(ctx, wait_for(ctx, io, status, deadline_ns), "TLS write"));
    }
    return OK;
}

/* The peer went away without a word about certificates: the next attempt may meet another. */
static bool is_cut_off(const struct tls_stream *stream)
{
    return strcmp(tls_stream_error_label(stream), "reset") == 0;
}

/* A peer that feeds us a byte at a time is ready at each wait: the deadline counts all the same. */
static enum wait_result wait_for(struct ctx *ctx, struct io *io, enum tls_status status,
                                 uint64_t deadline_ns)
{
    assert(status == TLS_WANT_READ || status == TLS_WANT_WRITE);
    unsigned events = status == TLS_WANT_READ ? IO_READ : IO_WRITE;
    uint64_t deadline = ctx_deadline_before(ctx, deadline_ns);
    if (deadline_left(deadline, clock_now()) == 0)
        return WAIT_TIMEOUT;
    return task_wait_io(ctx, io, events, deadline);
}
