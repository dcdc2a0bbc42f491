/* Dead letters: events that could not be shipped, or that a consumer could not apply, in stream TENANT_DLQ.
 * Pure: builds and reads their subjects and headers; docs/events-wire.md has the form.
 *
 *   TENANT.DLQ.relay.<pp>                 the relay could never ship it; a tombstone has its place
 *   TENANT.DLQ.consumer.<consumer>.<pp>   the consumer group <consumer> gave it up
 *   TENANT.DLQ.requeue.<consumer>.<pp>    an operator hands it to that group once more */
#ifndef EVENTS_DEAD_LETTER_H
#define EVENTS_DEAD_LETTER_H

#include "events/message.h"

#include "base/arena.h"

#define DEAD_LETTER_STREAM "TENANT_DLQ"
#define DEAD_LETTER_SUBJECTS "TENANT.DLQ.>"
#define DEAD_LETTER_CONSUMER_MAX 64 /* characters */
#define DEAD_LETTER_CAUSE_MAX 64
#define DEAD_LETTER_DETAIL_MAX 512
#define DEAD_LETTER_SUBJECT_SIZE 96 /* bytes with terminator, of the longest */
#define DEAD_LETTER_RELAY "relay"   /* Dlq-Consumer of what the relay gave up */

#define HEADER_DLQ_EVENT_ID "Dlq-Event-Id" /* the original's Nats-Msg-Id */
#define HEADER_DLQ_CAUSE "Dlq-Cause"       /* one upper-case word: TOO_LARGE, HANDLER_FAILED */
#define HEADER_DLQ_DETAIL "Dlq-Detail"     /* one line of printable ASCII */
#define HEADER_DLQ_CONSUMER "Dlq-Consumer" /* the group, or "relay" */
#define HEADER_DLQ_STREAM "Dlq-Stream"     /* where the original lies, … */
#define HEADER_DLQ_STREAM_SEQ "Dlq-Stream-Sequence" /* … under which sequence */
#define HEADER_DLQ_SUBJECT "Dlq-Subject"            /* the original's */
#define HEADER_DLQ_DELIVERIES "Dlq-Deliveries"      /* how often it was tried */
#define HEADER_DLQ_TIME "Dlq-Time"                  /* when it was given up; RFC 3339 */
#define HEADER_DLQ_REQUEUES "Dlq-Requeues" /* times that it was requeued before; absent: 0 */
#define HEADER_DLQ_BODY "Dlq-Body"         /* "omitted", or absent */

enum dead_letter_kind {
    DEAD_LETTER_OF_RELAY,
    DEAD_LETTER_OF_CONSUMER,
    DEAD_LETTER_REQUEUED,
};

/* Texts are borrowed; an empty one has no header. */
struct dead_letter {
    enum dead_letter_kind kind;
    unsigned partition; /* 0 to 15 */
    struct slice
        consumer; /* dead_letter_consumer_ok(); "relay" for the relay's, and for it alone */
    struct slice event_id;   /* "" when the original had none: then stream and stream_seq name it */
    struct slice event_type; /* the original's headers, as they were: */
    struct slice tenant_id;
    struct slice tenant_seq;
    struct slice incarnation;
    struct slice traceparent;
    struct slice cause;   /* [A-Z][A-Z0-9_]*, at most DEAD_LETTER_CAUSE_MAX */
    struct slice detail;  /* for a person */
    struct slice stream;  /* "" when it was never in one */
    uint64_t stream_seq;  /* 0 then */
    struct slice subject; /* the original's */
    uint64_t deliveries;  /* 0: never delivered */
    uint64_t time_us;     /* microseconds since 1970 */
    uint64_t requeues;    /* REQUEUED: the how manieth time this is; else how often it was before */
    struct slice body;    /* the original's; not read by dead_letter_parse() */
    bool body_omitted;    /* the body did not fit beside the headers */
};

/* A consumer group's name: [A-Za-z0-9_-]{1,64}, and not the relay's. */
bool dead_letter_consumer_ok(struct slice name);
/* The form of a cause. */
bool dead_letter_cause_ok(struct slice cause);

/* The message of a letter, in the arena but for the body, which is borrowed.  Kind, partition, consumer and
 * cause must be valid (asserted); whatever else came from strangers becomes printable: other bytes turn into
 * '?', too long a text is cut.  A body that exceeds max_size (of the server: headers and body) together with
 * the headers is left out, and *letter is told so.  Nats-Msg-Id makes a repetition be stored once,
 * within the stream's duplicate window of two minutes: dlq:<consumer>:<event id>, ":<n>" behind it after n
 * requeues, and requeue:<consumer>:<event id>:<n> for the requeued message itself. */
void dead_letter_message(struct arena *arena, struct dead_letter *letter, size_t max_size,
                         struct jetstream_message *out);

/* Where a reader finds headers: a block of bytes, a library's message.  False: there is none of that name. */
struct header_source {
    bool (*find)(const void *from, const char *name, struct slice *value);
    const void *from;
};
/* The headers of a block "NATS/1.0\r\n…", as STREAM.MSG.GET gives it; *block must outlive the source. */
struct header_source header_source_block(const struct slice *block);

/* Reads a letter; its texts are borrowed from subject and source.  False: no dead letter (no such subject,
 * a header that must be there and is not, a number or time that is none); *out untouched. */
bool dead_letter_parse(struct slice subject, struct header_source source, struct dead_letter *out);

/* The subject of a letter.  `partition` 0 to 15, `consumer` as above; ignored for the relay's. */
void dead_letter_subject(enum dead_letter_kind kind, struct slice consumer, unsigned partition,
                         char out[DEAD_LETTER_SUBJECT_SIZE]);

/* How many letters wait for somebody to look at them, by who gave the event up.  Those that were sent back are
 * none of them: they stay in the stream when they are done. */
struct dead_letter_counts {
    uint64_t of_relay;
    uint64_t of_consumers; /* of all groups */
};

/* Reads a server's answer to STREAM.INFO with a subjects_filter.  False: not one. */
bool dead_letter_counts_read(struct slice reply, struct dead_letter_counts *out);

#endif
