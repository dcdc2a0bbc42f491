/* The relay's statements: leases, unsent events, what was sent.  For the relay login alone (TX_RELAY).
 *
 * Every function is a transaction of its own, one round trip, and *suspends*.  Refusals and faults are those
 * of tx_commit(); all of them may be repeated, and after anything but OK the caller must look again. */
#ifndef STORE_RELAY_STORE_H
#define STORE_RELAY_STORE_H

#include "store/row.h"
#include "store/store.h"

#include "base/id.h"

#include <stdbool.h>

/* as in the migration's CHECK and in events/subjects.h: never changes once events were sent */
#define OUTBOX_SHARDS 16
/* bytes, terminator included */
#define RELAY_OWNER_SIZE 80

/* Which relay asks. */
struct relay_caller {
    struct store *store;
    struct ctx *ctx;   /* its deadline bounds each function */
    const char *owner; /* the relay's name */
    uint64_t ttl_ns;   /* how long its leases and its announcement count */
};

/* An unsent event.  Texts and bytes lie in the ctx's arena. */
struct outbox_row {
    unsigned shard;
    int64_t id; /* order of sending within the shard */
    struct uuid tenant_id;
    int64_t seq; /* gapless per tenant and incarnation */
    int64_t incarnation;
    int64_t epoch; /* of the tenant after this event's change; 0: left by an older release */
    struct uuid msg_id;
    const char *subject;     /* "tenant.org.provisioned.v1": without the partition */
    struct slice payload;    /* the envelope without what the relay appends */
    const char *traceparent; /* "" when there is none */
    uint64_t created_us;     /* microseconds since 1970 */
};

struct outbox_batch {
    struct outbox_row *rows; /* by shard, then id; in the ctx's arena */
    size_t count;
    uint64_t
        server_started_us; /* when the server that they came from was started; 0 without rows */
};

struct outbox_read {
    uint16_t shards;      /* bit i: shard i */
    unsigned rows_max;    /* per shard */
    uint64_t payload_max; /* bytes per shard; the first row comes whatever its size */
};

/* A row that the stream acknowledged. */
struct sent_key {
    unsigned shard;
    int64_t id;
    uint64_t stream_seq;
};

struct sent_keys {
    const struct sent_key *items;
    size_t count;
};

/* One that is on its way; {0} before and after. */
struct outbox_exchange {
    struct tx *tx;
    size_t settling;  /* rows */
    uint16_t reading; /* shards, as bits */
    struct rows moved, unsent;
};

/* Moves rows that were sent to outbox_sent and reads what comes next, in one transaction and one round trip;
 * one of both may be left out (no keys, no shards), not both (asserted).  The caller may do something else
 * between the halves, and must end what was begun with OK; `out` stays where it is until then.
 *
 * *moved: how many were still unsent; rows that are gone already were settled by somebody else, which is no
 * error.  *batch: the unsent events of each shard, always from the lowest id; reading locks nothing: two relays
 * may read the same rows, and the streams decide.  Each is left alone when its half was left out.
 *
 * Both suspend; the deadline that counts at the end is the one that the ctx has then. */
int relay_store_exchange_begin(const struct relay_caller *caller, const struct sent_keys *sent,
                               const struct outbox_read *read,
                               struct outbox_exchange *out) MUST_CHECK;
int relay_store_exchange_end(const struct relay_caller *caller, struct outbox_exchange *exchange,
                             size_t *moved, struct outbox_batch *batch) MUST_CHECK;

/* What an event says of whether its tenant may be used. */
enum stored_says { STORED_SAYS_NOTHING, STORED_SUSPENDED, STORED_REACTIVATED, STORED_CLOSED };

/* An event found in a stream.  As its headers say. */
struct stored_event {
    uint64_t stream_seq;
    struct uuid msg_id;
    struct uuid tenant_id;
    int64_t seq;
    int64_t incarnation;
    enum stored_says says;
};

struct stored_events {
    unsigned shard;
    struct stored_event *items; /* ascending stream_seq */
    size_t count;
};

/* Moves those of the shard's rows that the stream holds already to outbox_sent, in one
 * statement.  Found by tenant, incarnation, sequence and message id together: a message that
 * only claims to be ours moves nothing.  `events->count` must not be 0 (asserted). */
int relay_store_settle_stored(const struct relay_caller *caller, const struct stored_events *events,
                              size_t *moved) MUST_CHECK;

/* A picture of one moment, by the database's clock. */
struct relay_leases {
    char owners[OUTBOX_SHARDS][RELAY_OWNER_SIZE]; /* "" when free or run out */
    size_t live_owners; /* relays whose announcement counts, the caller's included */
    size_t poorest;     /* shards of the living relay that holds fewest, the caller left out;
                         * OUTBOX_SHARDS when there is no other */
};

/* Announces the caller, renews the leases it holds, and reads all of them. */
int relay_store_renew(const struct relay_caller *caller, struct relay_leases *out) MUST_CHECK;
/* Claims those of `shards` that are free; *claimed has a bit for each that became the caller's.
 * Two relays that claim at once: the row lock lets one of them have it. */
int relay_store_claim(const struct relay_caller *caller, uint16_t shards,
                      uint16_t *claimed) MUST_CHECK;
/* Gives up leases; `leaving` also takes the announcement back.  Those that are not the caller's
 * stay as they are. */
int relay_store_release(const struct relay_caller *caller, uint16_t shards,
                        bool leaving) MUST_CHECK;

/* What health and metrics show of the backlog. */
struct outbox_stats {
    uint64_t pending;       /* unsent rows, counted up to `count_max` */
    uint64_t oldest_age_us; /* 0 when there are none */
    uint64_t unlettered;    /* withheld events whose dead letter is not stored yet */
};
/* Counting reads the backlog, or as much of it; with a `count_max` of 0 it costs next to nothing. */
int relay_store_stats(const struct relay_caller *caller, uint64_t count_max,
                      struct outbox_stats *out) MUST_CHECK;

/* Deletes expired idempotency keys of both tables, relays not seen for three days, and withheld originals
 * whose letters are 90 days old. */
int relay_store_prune(const struct relay_caller *caller) MUST_CHECK;

/* For the test that prepares every statement. */
extern const struct stmt_list relay_statements;

#endif
