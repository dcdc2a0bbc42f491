/* What the two halves of the JetStream adapter share; for jetstream*.c only. */
#ifndef EVENTS_JETSTREAM_INT_H
#define EVENTS_JETSTREAM_INT_H

#include "events/jetstream.h"

#include <nats/nats.h>

#define API_PREFIX "$JS.API."
#define INBOX_PREFIX_MAX 96
#define INBOX_DONE_MAX 256
#define INBOX_DONE_BYTES_MAX (1024 * 1024)

struct jetstream {
    natsConnection *connection;
};

struct jetstream_inbox {
    natsConnection *connection; /* of the jetstream, which outlives the inbox */
    natsSubscription *subscription;
    natsMsg *message;              /* the last one received, owned */
    bool no_responders; /* the last one said so: libnats keeps nothing of it, not even to whom */
    char prefix[INBOX_PREFIX_MAX]; /* "_INBOX.xyz." */
    natsMsg *done[INBOX_DONE_MAX]; /* messages that nobody looks at any more, owned */
    unsigned done_count;
    size_t done_bytes; /* of their payloads */
};

/* The inbox's next message becomes inbox->message and the one before is destroyed.  False in *received: none
 * came until deadline_ns, or inbox->no_responders.  Fault: BROKER. */
int inbox_next(struct ctx *ctx, struct jetstream_inbox *inbox, uint64_t deadline_ns,
               bool *received) MUST_CHECK;
/* The tag in a subject of this inbox; false: not one of ours. */
bool inbox_tag(const struct jetstream_inbox *inbox, const char *subject, uint64_t *tag);

#endif
