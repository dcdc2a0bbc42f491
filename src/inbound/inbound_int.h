/* The inbound thread's inside; for the files of this room only.
 *
 *    fetch.c ──> inbound.c: billing_read() ──> effect.c ──> acknowledged
 *                                 │               └─ too early ──> parking.c ──> tried again when it is due
 *                                 └─ broken ──> letters.c
 *
 * Everything belongs to the thread, but for `stopping`. */
#ifndef INBOUND_INBOUND_INT_H
#define INBOUND_INBOUND_INT_H

#include "inbound/attempts.h"
#include "inbound/billing.h"
#include "inbound/inbound.h"

#include "base/ctx.h"

#include "events/dead_letter.h"
#include "events/jetstream_pull.h"
#include "events/pull_consumer.h"
#include "store/inbox_store.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* The durable consumers' name, and the one in dead letters. */
#define INBOUND_GROUP "tenant-service"

/* What became of an event, as metrics name it. */
enum inbound_outcome {
    INBOUND_APPLIED,   /* the tenant has another plan */
    INBOUND_NOTED,     /* kept, without a change of the tenant */
    INBOUND_STALE,     /* older than what is known */
    INBOUND_DUPLICATE, /* it was applied before */
    INBOUND_IGNORED,   /* not ours to read, of another region, or of a tenant that is closed */
    INBOUND_EARLY,     /* its tenant is not there yet, or its time has not come */
    INBOUND_DEAD,      /* a dead letter */
};
#define INBOUND_OUTCOME_COUNT 7

enum inbound_error {
    INBOUND_ERROR_DATABASE,
    INBOUND_ERROR_BROKER,
    INBOUND_ERROR_STREAM,
    INBOUND_ERROR_EVENT, /* one fails for reasons of its own */
};
#define INBOUND_ERROR_COUNT 4

enum fetch_place { FETCH_BILLING, FETCH_REQUEUED };
#define FETCH_PLACES 2

/* What is fetched from. */
struct fetch_source {
    struct pull_consumer consumer;
    bool ready;         /* the consumer is there */
    uint64_t pull_tag;  /* of the pull under way; 0: none */
    unsigned pull_left; /* messages of it still to come */
    uint64_t pull_deadline_ns;
    uint64_t not_before_ns; /* after a failure */
    unsigned failures;
};

/* An event on its way, from the stream or from where it was parked. */
struct inbound_event {
    struct billing_event read;
    struct slice body;
    const char *subject;
    const char *traceparent;     /* "": none */
    const char *stream;          /* where the original is, … */
    uint64_t stream_seq;         /* … under which sequence */
    uint64_t place;              /* which delivery: the sequence there; parked: since when */
    uint64_t tries;              /* deliveries or looks, this one included */
    uint64_t parked_us;          /* since when it is parked; 0: it is not */
    uint64_t key;                /* among the failed attempts, once it is read */
    const struct inbox_key *row; /* of one that is parked; else NULL */
    struct dead_letter letter;   /* of one that was sent back; else empty */
    bool is_requeued;
    bool stays; /* too early, and there is no room to park it: it waits in its stream */
};

/* What comes after a failed attempt. */
struct inbound_failure {
    bool is_last; /* it failed too often for reasons of its own, and is to be a dead letter */
    uint64_t wait_ns;
    const char *detail;
};

struct inbound_metrics {
    struct metric *outcomes[INBOUND_OUTCOME_COUNT];
    struct metric *errors[INBOUND_ERROR_COUNT];
    struct metric *parked;
    struct metric *parked_age;
    struct metric *parked_max;
    struct metric *overdue;
    struct metric *pending;
    struct metric *broker_up;
};

struct inbound {
    const struct inbound_settings *settings;
    struct inbound_metrics metrics;
    const struct log *log;
    struct ctx ctx;      /* of the thread; its arena is emptied for each event */
    struct store *store; /* two logins, one connection each */
    struct jetstream *js;
    struct jetstream_inbox *inbox;
    struct jetstream_inbox *replies; /* of stored letters */
    bool broken;                     /* js is lost; closed before the next turn */
    uint64_t next_tag;
    uint64_t connect_due_ns;
    unsigned connect_failures;
    struct fetch_source sources[FETCH_PLACES];
    uint64_t paused_until_ns; /* the database is away */
    unsigned pauses;          /* in a row */
    uint64_t parked_due_ns;   /* look at what is parked then */
    uint64_t prune_due_ns;
    struct attempts attempts;
    struct log_interval intervals[INBOUND_ERROR_COUNT];
    pthread_t thread;
    _Atomic bool stopping;
};

/* --- inbound.c --- */
/* The ctx for the next step, with its deadline. */
struct ctx *inbound_step(struct inbound *inbound, uint64_t duration_ns);
void inbound_failed(struct inbound *inbound, enum inbound_error error, const char *detail);
/* What a refusal or the last fault says; never a fault of some work before. */
const char *inbound_detail(struct inbound *inbound, int rc);
/* Applies an event and says what became of it.  Refusal or fault: nothing did, it may be tried again.  One
 * whose dead letter is stored is over. */
int inbound_handle(struct inbound *inbound, struct inbound_event *event,
                   enum inbound_outcome *outcome) MUST_CHECK;
/* After a refusal or fault: an event that fails for reasons of its own waits alone, else everything waits. */
struct inbound_failure inbound_judge(struct inbound *inbound, const struct inbound_event *event,
                                     int rc);

/* --- fetch.c --- */
void fetch_init(struct inbound *inbound);
/* False while there is no connection. */
bool fetch_ready(struct inbound *inbound);
void fetch_close(struct inbound *inbound);
/* Fetches and handles until the deadline. */
void fetch_run(struct inbound *inbound, uint64_t deadline_ns);
/* Gives back what was fetched and not handled. */
void fetch_return(struct inbound *inbound);

/* --- effect.c --- */
/* The transaction of the effect.  The ctx's arena must live as long as the event. */
int effect_apply(struct inbound *inbound, struct ctx *ctx, const struct billing_event *event,
                 enum inbound_outcome *outcome) MUST_CHECK;

/* --- parking.c --- */
/* Keeps an event for later.  *parked is false when there are too many. */
int parking_put(struct inbound *inbound, const struct inbound_event *event,
                bool *parked) MUST_CHECK;
/* Tries those that are due, counts, deletes old notes: whatever is due. */
void parking_tick(struct inbound *inbound);

/* --- letters.c --- */
/* Stores an event as a dead letter; it takes no effect any more.  False: it could not be. */
bool letter_store(struct inbound *inbound, const struct inbound_event *event, const char *cause,
                  const char *detail);

/* --- metrics.c --- */
void inbound_metrics_init(struct inbound_metrics *metrics, struct metrics *set);

#endif
