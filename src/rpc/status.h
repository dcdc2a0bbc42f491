/* The status of a call: gRPC code, message, and google.rpc details (https://google.aip.dev/193). */
#ifndef RPC_STATUS_H
#define RPC_STATUS_H

#include "base/ctx.h"
#include "base/slice.h"

#include <stddef.h>

/* Kept per call; more are counted.  What travels may be fewer still: details have to fit into 4
 * KiB. */
#define STATUS_VIOLATIONS_MAX 64
/* ErrorInfo.metadata; the handlers' own keys, so more than these is a bug (asserted by
 * call_refuse_with). */
#define STATUS_METADATA_MAX 8
/* Of a status that is passed on (asserted by call_refuse_detail). */
#define STATUS_FOREIGN_DETAILS_MAX 8

/* gRPC's numbers (grpc/doc/statuscodes.md), which travel as text in the grpc-status trailer.
 * Never renumber. */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};
#define GRPC_CODE_COUNT 17

/* "INVALID_ARGUMENT"; "UNKNOWN" for a number that is no code. */
const char *grpc_code_name(int code);

/* Borrowed texts: of the call's arena or constants. */
struct status_pair {
    const char *key;   /* a field's path, or ErrorInfo.metadata's key */
    const char *value; /* the rule, or the value */
};

/* A google.protobuf.Any of a status that is passed on.  In the call's arena. */
struct status_detail {
    const char *type_url;
    struct slice value;
};

/* Details gathered while a call is refused.  Strings live in the call's arena.  Zeroed with the
 * call; filled by call_refuse_*() only.  Dropped when the call ends with a fault. */
struct call_details {
    struct status_pair violations[STATUS_VIOLATIONS_MAX]; /* field, rule */
    size_t violation_count;
    size_t violations_dropped; /* beyond the array; counted in the last one's text */
    struct status_pair metadata[STATUS_METADATA_MAX];
    size_t metadata_count;
    uint64_t retry_ns; /* RetryInfo; 0: none */
    int foreign_code; /* a status that is passed on, with its text; GRPC_OK: one of the catalogue */
    const char *foreign_message;
    struct status_detail foreign_details[STATUS_FOREIGN_DETAILS_MAX];
    size_t foreign_detail_count;
};

/* What goes onto the wire.  Valid as long as the arena of the call. */
struct status {
    enum grpc_code code;
    const char *reason;   /* of the catalogue; NULL when code is OK */
    const char *message;  /* "REASON: text", not yet percent-encoded; "" when OK */
    struct slice details; /* packed google.rpc.Status; empty when OK */
    bool passed_on;       /* it is not of our catalogue: see call_refuse_status() */
    uint64_t retry_ns;    /* for the retry-after trailer; 0: none */
};

/* The status for a handler's result: OK, a refusal with its details (may be NULL), or a fault,
 * which becomes UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED or INTERNAL with the request id as
 * reference and never the fault's text.  A retriable refusal without a delay gets a default
 * one.  Lives in ctx->arena.  Never fails and never suspends. */
void status_of_result(struct ctx *ctx, int result, const struct call_details *details,
                      struct status *status);

#endif
