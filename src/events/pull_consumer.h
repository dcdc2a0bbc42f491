/* A pull consumer as the server keeps it: made when it is missing, adjusted when it differs, asked where it
 * stands. */
#ifndef EVENTS_PULL_CONSUMER_H
#define EVENTS_PULL_CONSUMER_H

#include "events/jetstream.h"

/* Where a new consumer begins; of one that exists it is never changed. */
enum deliver_from { DELIVER_ALL, DELIVER_NEW, DELIVER_SEQUENCE, DELIVER_TIME };

/* Borrowed for the call.  Names are tokens of a subject: no dots, blanks or wildcards. */
struct pull_consumer {
    const char *stream;
    const char *name;
    const char *filter; /* subject; NULL: the whole stream */
    enum deliver_from from;
    uint64_t from_value; /* a sequence, or nanoseconds since 1970 */
    bool is_durable;
    uint64_t
        inactive_ns; /* not durable: the server forgets it when nobody has pulled for so long */
    uint64_t
        ack_wait_ns; /* delivered again when not acknowledged by then; 0: needs no acknowledgements */
    unsigned max_ack_pending; /* messages that wait for one */
};

struct pull_consumer_state {
    bool is_missing;        /* no such stream: nothing else counts */
    bool created;           /* just now */
    uint64_t floor_seq;     /* everything up to it is acknowledged */
    uint64_t delivered_seq; /* the newest message that was ever given out */
    uint64_t ack_pending;   /* given out and not acknowledged */
    uint64_t pending;       /* never given out */
};

/* Faults: BROKER (the server refuses; the text says which error), TIMEOUT, PROTOCOL, CONFIG: a consumer of this
 * name exists and is of another kind. */
int pull_consumer_ensure(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
                         struct pull_consumer_state *out) MUST_CHECK;
/* Only asks; is_missing also when there is no such consumer.  Faults: BROKER, TIMEOUT, PROTOCOL. */
int pull_consumer_look(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
                       struct pull_consumer_state *out) MUST_CHECK;
/* One that is gone already is no fault.  Faults: BROKER, TIMEOUT, PROTOCOL. */
int pull_consumer_delete(struct ctx *ctx, struct jetstream *js,
                         const struct pull_consumer *which) MUST_CHECK;

#endif
