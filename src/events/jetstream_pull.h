/* Fetching messages from pull consumers, and what becomes of them: the reading half of the JetStream adapter.
 *
 * One inbox takes the messages of any number of pulls, in the order in which the server sent them.  A pull is
 * over when its messages have come or when a delivery with a status says so. */
#ifndef EVENTS_JETSTREAM_PULL_H
#define EVENTS_JETSTREAM_PULL_H

#include "events/ack_place.h"
#include "events/jetstream.h"

/* What the statuses of a pull mean (nats-server/server/consumer.go). */
enum pull_status {
    PULL_MESSAGE = 0,     /* no status: a message */
    PULL_HEARTBEAT = 100, /* still waiting */
    PULL_BAD_REQUEST = 400,
    PULL_NO_MESSAGES = 404, /* or no such consumer */
    PULL_EXPIRED = 408,     /* or what is left of the pull was given up */
    PULL_CONFLICT = 409,    /* consumer deleted, leader changed, too many pulls: look again */
    PULL_NOBODY = 503,      /* no such consumer, no leader, or JetStream is off */
};

struct jetstream_pull {
    const char *stream;
    const char *consumer;
    unsigned batch;      /* messages wanted */
    size_t max_bytes;    /* of them together; 0: no bound.  Must exceed the largest message */
    uint64_t expires_ns; /* the server gives up after that; 0: it waits for nothing */
};

/* Asks; the answers come to `inbox`, a status among them with `tag`.  Fault: BROKER. */
int jetstream_pull(struct ctx *ctx, struct jetstream_inbox *inbox,
                   const struct jetstream_pull *pull, uint64_t tag) MUST_CHECK;

/* A message, or a status of a pull.  Valid until the next receive on the same inbox. */
struct jetstream_delivery {
    unsigned status;         /* an enum pull_status, or another number of the server's */
    uint64_t tag;            /* with a status: of the pull it is about */
    const char *description; /* with a status: the server's words; may be "" */
    const char *subject;
    const char *reply; /* for jetstream_ack() */
    struct ack_place place;
    struct slice payload;
};

/* The next one.  *received is false when none came until deadline_ns.  That a pull found nobody who serves it
 * (a consumer without a leader, or none) is not told: the pull's own time must tell.  Fault: BROKER. */
int jetstream_fetch(struct ctx *ctx, struct jetstream_inbox *inbox, uint64_t deadline_ns,
                    struct jetstream_delivery *delivery, bool *received) MUST_CHECK;
/* From now on the server serves no pull of this inbox; what it has sent can still be fetched, then fetching
 * is a fault.  Fault: BROKER. */
int jetstream_inbox_drain(struct ctx *ctx, struct jetstream_inbox *inbox) MUST_CHECK;
/* A header of the message that was received last; NULL: it has none of this name. */
const char *jetstream_header(const struct jetstream_inbox *inbox, const char *name);

enum jetstream_verdict {
    ACK_DONE,     /* never again */
    ACK_AGAIN,    /* deliver it again after the delay */
    ACK_WORKING,  /* the time to acknowledge begins anew */
    ACK_GIVEN_UP, /* never again, though it was not handled */
};
/* Says what became of a message.  Not waited for: one that is lost leads to another delivery.  delay_ns counts
 * with ACK_AGAIN only.  Fault: BROKER. */
int jetstream_ack(struct ctx *ctx, struct jetstream *js, const char *reply,
                  enum jetstream_verdict verdict, uint64_t delay_ns) MUST_CHECK;
/* Waits until the server has taken all that was sent: at most to the ctx's deadline.  Faults: BROKER,
 * TIMEOUT. */
int jetstream_flush(struct ctx *ctx, struct jetstream *js) MUST_CHECK;

#endif
