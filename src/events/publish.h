/* One message published, and its acknowledgement waited for. */
#ifndef EVENTS_PUBLISH_H
#define EVENTS_PUBLISH_H

#include "events/jetstream.h"

struct publish_result {
    uint64_t
        seq; /* under which it is stored; 0: it is not, because another one was expected to be the last */
    bool duplicate; /* it was stored before */
};

/* `inbox` has nothing else on its way that must not be lost, and `tag` was not used on it before.  Ends at
 * the ctx's deadline.  Faults: BROKER (no such stream, or refused: the text says which error), TIMEOUT: it
 * may be stored. */
int publish_one(struct ctx *ctx, struct jetstream_inbox *inbox,
                const struct jetstream_message *message, uint64_t tag,
                struct publish_result *out) MUST_CHECK;

#endif
