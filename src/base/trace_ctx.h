/* Trace identity of a piece of work: W3C Trace Context (https://www.w3.org/TR/trace-context/) and the
 * platform's request id. */
#ifndef BASE_TRACE_CTX_H
#define BASE_TRACE_CTX_H

#include "base/slice.h"

#define TRACEPARENT_SIZE 56
#define REQUEST_ID_SIZE 65

struct trace_ctx {
    char trace_id[33];                /* 32 lower-case hex digits, "" when unset */
    char span_id[17];                 /* 16 lower-case hex digits: our own span */
    char parent_span_id[17];          /* the caller's span, "" when there is none */
    unsigned char flags;              /* bit 0: sampled */
    char request_id[REQUEST_ID_SIZE]; /* as received or made: 1–64 visible ASCII characters */
};

/* Takes trace id and parent from a `traceparent` header and makes a span of our own.  A missing or
 * malformed header starts a new trace: "If parsing fails, the vendor creates a new traceparent". */
void trace_ctx_begin(struct trace_ctx *trace, struct slice traceparent);

/* Keeps a received request id when it is 1–64 visible ASCII characters, else makes "req_" + ULID. */
void trace_ctx_request_id(struct trace_ctx *trace, struct slice received);

/* "00-<trace>-<span>-<flags>" for our own span. */
void trace_ctx_format(const struct trace_ctx *trace, char out[TRACEPARENT_SIZE]);

#endif
