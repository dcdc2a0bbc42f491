/* Events that no stream takes: their originals, and the tombstones in their places.  For the relay login.
 *
 * Like relay_store.h: each function is a transaction of its own and *suspends*; refusals and faults are those
 * of tx_commit(), and all of them may be repeated. */
#ifndef STORE_DEAD_STORE_H
#define STORE_DEAD_STORE_H

#include "store/relay_store.h"
#include "store/stmt.h"

/* An unsent event that is given up. */
struct dead_event {
    unsigned shard;
    int64_t id;
    const char *cause;     /* [A-Z][A-Z0-9_]* */
    const char *detail;    /* for a person */
    const char *subject;   /* the tombstone's … */
    struct slice envelope; /* … and its bytes */
};

/* Keeps the original and puts the tombstone in its place, in one statement.  *done is false when the row is
 * gone or is a tombstone already (somebody else was faster), or the caller's lease of the shard has ended. */
int dead_store_bury(const struct relay_caller *caller, const struct dead_event *event,
                    bool *done) MUST_CHECK;

/* An original whose dead letter is not stored yet. */
struct dead_row {
    struct outbox_row event; /* as it would have been sent */
    const char *cause;
    const char *detail;
    uint64_t died_us; /* microseconds since 1970 */
};

struct dead_batch {
    struct dead_row *rows; /* in the ctx's arena */
    size_t count;
};

/* Of these shards, the oldest first; few at a time, because each may be large. */
int dead_store_unlettered(const struct relay_caller *caller, uint16_t shards,
                          struct dead_batch *out) MUST_CHECK;
/* The letter is stored. */
int dead_store_lettered(const struct relay_caller *caller, unsigned shard, int64_t id) MUST_CHECK;

extern const struct stmt_list dead_statements;

#endif
