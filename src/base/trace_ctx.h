/* Trace identity of a piece of work: W3C Trace Context (https://www.w3.org/TR/trace-context/) and the
 * platform's request id. */
#ifndef BASE_TRACE_CTX_H
#define BASE_TRACE_CTX_H

#include "base/slice.h"

#define TRACEPARENT_SIZE 56
#define REQUEST_ID_SIZE 65
#define TRACE_SAMPLED 1 /* bit of the flags */

struct trace_ctx {
    char trace_id[33];                /* 32 lower-case hex digits, "" when unset */
    char span_id[17];                 /* 16 lower-case hex digits: our own span */
    char parent_span_id[17];          /* the caller's span, "" when there is none */
    unsigned char flags;              /* TRACE_SAMPLED, or nothing */
    char request_id[REQUEST_ID_SIZE]; /* as received or made: 1–64 visible ASCII characters */
};

/* Takes trace id and parent from a `traceparent` header and makes a span of our own.  A missing or
 * malformed header starts a new trace: "If parsing fails, the vendor creates a new traceparent". */
void trace_ctx_begin(struct trace_ctx *trace, struct slice traceparent);

/* Keeps a received request id when it is 1–64 visible ASCII characters, else makes "req_" + ULID. */
void trace_ctx_request_id(struct trace_ctx *trace, struct slice received);

/* Whether a trace that begins here is sampled; one that a caller began is as he said.  By the last 56 bits of
 * the trace id, as other services decide too: who samples more has all that others have. */
void trace_ctx_sample(struct trace_ctx *trace, uint64_t threshold);
/* What such a number must reach so that a share of `ratio`, 0 to 1, does. */
uint64_t trace_threshold(double ratio);

/* A random id: `digits` (16 or 32) lower-case hex digits and the terminator, not all zero. */
void trace_random_id(char *out, size_t digits);
/* The `size` bytes that such an id stands for. */
void trace_id_bytes(const char *id, size_t size, uint8_t *out);

/* "00-<trace>-<span>-<flags>" for our own span. */
void trace_ctx_format(const struct trace_ctx *trace, char out[TRACEPARENT_SIZE]);

#endif
