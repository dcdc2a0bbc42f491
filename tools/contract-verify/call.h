/* One gRPC call with messages of any type, as bytes. */
#ifndef CONTRACT_VERIFY_CALL_H
#define CONTRACT_VERIFY_CALL_H

#include "pact.h"

#include "client/channel.h"

/* What is sent.  Borrowed. */
struct outgoing {
    const struct slice *messages;
    size_t count;
    struct client_field metadata[CLIENT_METADATA_MAX];
    size_t metadata_count;
    uint64_t timeout_ns;
};

/* What came.  In the ctx's arena. */
struct incoming {
    struct slice *messages;
    size_t count;
    bool has_status; /* false: the call was given up after all that was expected, or too late */
    bool is_late;    /* the deadline passed while more was expected */
    struct client_call call; /* status, message, details, metadata */
};

/* Calls the interaction's method: unary, or a stream of any kind.  At most one message more than expected
 * is read. Suspends.  Faults: as client_unary(). */
int call_perform(struct ctx *ctx, struct client_channel *channel,
                 const struct interaction *interaction, const struct outgoing *outgoing,
                 struct incoming *incoming) MUST_CHECK;

#endif
