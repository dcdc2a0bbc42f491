/* Events of other services: which were applied (app login, in the transaction of the effect), and which
 * wait (relay login, transactions of their own). */
#ifndef STORE_INBOX_STORE_H
#define STORE_INBOX_STORE_H

#include "store/store.h"

#include "base/id.h"

/* Which event, for which consumer of ours. */
struct inbox_key {
    struct uuid tenant_id;
    const char *consumer; /* "billing" */
    const char *event_id;
};

/* Queues the note that the event is applied, as the transaction's first statement: who comes second waits
 * for it. After the run *first has one row when nobody noted it before, else none. */
void inbox_store_note(struct tx *tx, const struct inbox_key *key, struct rows *first);

/* --- what waits --- */

/* Texts and bytes lie in the ctx's arena, when they come from here. */
struct parked_event {
    struct inbox_key key;
    const char *subject;
    struct slice body;
    const char *traceparent; /* "": none */
    const char *stream;
    uint64_t stream_seq;
    unsigned attempts;  /* since it was parked */
    uint64_t parked_us; /* when that was, microseconds since 1970 */
    uint64_t due_in_us; /* for parked_store_put(): tried again then */
};

struct parked_events {
    struct parked_event *items;
    size_t count;
};

/* Who asks; each function is a transaction of its own and *suspends*.  Refusals and faults are those of
 * tx_commit(). */
struct parked_caller {
    struct store *store;
    struct ctx *ctx;
    const char *consumer;
};

/* Parks it; one that is parked already stays as it is.  *parked is false, and nothing
 * was done, when `limit` events of the consumer are parked. */
int parked_store_put(const struct parked_caller *caller, const struct parked_event *event,
                     uint64_t limit, bool *parked) MUST_CHECK;
/* Those that are due, the oldest first, at most `limit`: they are put off by `lease_us` and their attempts
 * counted, so that nobody else tries them meanwhile. */
int parked_store_take(const struct parked_caller *caller, uint64_t lease_us, unsigned limit,
                      struct parked_events *out) MUST_CHECK;
/* Not yet: due again in `delay_us`. */
int parked_store_put_off(const struct parked_caller *caller, const struct inbox_key *key,
                         uint64_t delay_us) MUST_CHECK;
/* Over. */
int parked_store_remove(const struct parked_caller *caller, const struct inbox_key *key) MUST_CHECK;
/* Over as soon as *removal, which holds the row, is committed; freed, it is as if nothing had been done. */
int parked_store_remove_begin(const struct parked_caller *caller, const struct inbox_key *key,
                              struct tx **removal) MUST_CHECK;
/* What is parked, as far as it was counted.  Microseconds since 1970, 0 when there is nothing. */
struct parked_count {
    uint64_t count;
    uint64_t oldest_us;    /* since when the oldest is parked */
    uint64_t first_due_us; /* when the first of them is due, or was */
};
/* Counts up to `limit`. */
int parked_store_count(const struct parked_caller *caller, uint64_t limit,
                       struct parked_count *out) MUST_CHECK;

/* Deletes what was noted more than 40 days ago, of all consumers: up to 20,000 at once. */
int inbox_store_prune(const struct parked_caller *caller) MUST_CHECK;

extern const struct stmt_list inbox_statements;  /* app */
extern const struct stmt_list parked_statements; /* relay */

#endif
