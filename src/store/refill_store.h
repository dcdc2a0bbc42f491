/* What a stream should hold: the newest event that was sent into it, and those that it lost.  For the relay
 * login.
 *
 * Like relay_store.h: each function is a transaction of its own and *suspends*; refusals and faults are those
 * of tx_commit(), and all of them may be repeated. */
#ifndef STORE_REFILL_STORE_H
#define STORE_REFILL_STORE_H

#include "store/relay_store.h"
#include "store/stmt.h"

/* A place in the order in which a shard's events were sent. */
struct sent_mark {
    int64_t sent_no;
    int64_t stream_seq; /* tells apart what was sent before events were numbered */
};
#define SENT_MARK_BEGIN ((struct sent_mark){-1, 0})

#define STREAM_CREATED_SIZE 48

/* A stream as its server tells of it. */
struct stream_facts {
    char created[STREAM_CREATED_SIZE]; /* its identity: when it was made, in the server's words */
    uint64_t first_seq;
    uint64_t last_seq;
};

struct anchor_question {
    unsigned shard;
    const struct stream_facts *facts; /* noted for the next time */
    uint64_t max_age_s;               /* what was sent before need not be in the stream any more */
};

/* What the database has of a shard's stream. */
struct stream_anchor {
    bool has_sent;            /* events are kept that were sent; the newest of them: */
    struct stored_event sent; /* where it should be in the stream */
    struct sent_mark mark;
    uint64_t
        cut; /* young enough to be in the stream, and from before its first message; up to 1,000 */
    struct stream_facts before; /* when a relay last looked; created "": never */
    int64_t compared;           /* the incarnation for which the stream was compared last … */
    int64_t installed;          /* … and the present one */
};

int refill_store_anchor(const struct relay_caller *caller, const struct anchor_question *question,
                        struct stream_anchor *out) MUST_CHECK;

/* What the database knows of an event in a stream. */
enum event_knowledge {
    EVENT_SENT,      /* it was sent and settled; its mark is known */
    EVENT_UNSENT,    /* it is in the outbox still */
    EVENT_FORGOTTEN, /* its tenant is further: it was sent longer ago than sent events are kept */
    EVENT_UNKNOWN,   /* the database never heard of it: it was taken back in time */
};

int refill_store_find(const struct relay_caller *caller, const struct stored_event *event,
                      enum event_knowledge *knowledge, struct sent_mark *mark) MUST_CHECK;

/* A sent event that is to be sent again. */
struct refill_row {
    struct outbox_row event;
    uint64_t sent_at_us; /* with shard and id its key */
    struct sent_mark mark;
};

struct refill_read {
    unsigned shard;
    struct sent_mark after;
    uint64_t max_age_s;
    unsigned rows_max;
    uint64_t payload_max; /* bytes; the first row comes whatever its size */
};

struct refill_batch {
    struct refill_row *rows; /* in the order in which they were sent; in the ctx's arena */
    size_t count;
};

int refill_store_read(const struct relay_caller *caller, const struct refill_read *read,
                      struct refill_batch *out) MUST_CHECK;

/* Where a row is now. */
struct refilled_key {
    uint64_t sent_at_us;
    int64_t id;
    uint64_t stream_seq;
};

int refill_store_note(const struct relay_caller *caller, unsigned shard,
                      const struct refilled_key *keys, size_t count) MUST_CHECK;

extern const struct stmt_list refill_statements;

#endif
