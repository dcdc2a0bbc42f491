/* The relay's inside; for relay*.c only.
 *
 * Everything here belongs to the relay's thread, but for woken, stopping and status. */
#ifndef EVENTS_RELAY_INT_H
#define EVENTS_RELAY_INT_H

#include "events/relay.h"
#include "events/relay_shard_int.h"
#include "store/partition_store.h"
#include "store/relay_store.h"

#include <pthread.h>
#include <stdatomic.h>

/* What can go wrong, as metrics and logs name it.  Their order is that of the tables in
 * relay_metrics.c and cause_report(). */
enum relay_error {
    RELAY_ERROR_DATABASE,
    RELAY_ERROR_CONNECT,   /* no connection to NATS, or it was lost */
    RELAY_ERROR_STREAM,    /* a stream cannot be asked, or its configuration forbids publishing */
    RELAY_ERROR_TIMEOUT,   /* acknowledgements missing at the deadline */
    RELAY_ERROR_FENCED,    /* somebody else published */
    RELAY_ERROR_DUPLICATE, /* the server knew a Msg-Id that the stream's tail did not show */
    RELAY_ERROR_REFUSED,   /* the server refused for a reason that may pass */
    RELAY_ERROR_STOPPED,   /* an event is refused for itself: its shard stands still */
    RELAY_ERROR_STRANGE,   /* an answer that is none */
};
#define RELAY_ERROR_COUNT 9

/* What gives away that the database was taken back in time. */
enum rewind_sign { REWIND_BY_SERVER, REWIND_BY_STREAM };
#define REWIND_SIGN_COUNT 2

/* The series of one subject, found once. */
struct published_series {
    char subject[SUBJECT_SIZE]; /* "": unused */
    struct metric *buckets[64]; /* by tenant_id_hash */
};
/* more than there are event types: a further subject is counted all the same, by a search */
#define PUBLISHED_SUBJECTS 8

/* The series of one table in partitions. */
struct partition_series {
    struct metric *made, *dropped, *failed, *strays, *days_ahead;
};

/* Found once at start; only the relay's thread writes. */
struct relay_metrics {
    struct metrics *set; /* main's, borrowed */
    struct published_series published[PUBLISHED_SUBJECTS];
    struct metric *errors[RELAY_ERROR_COUNT];
    struct metric *withheld[REFUSED_FOR_COUNT];
    struct metric *letters;
    struct metric *unlettered;
    struct metric *dead_letters[2]; /* of relays, of consumers */
    struct metric *fenced;
    struct metric *pending;
    struct metric *oldest_age;
    struct metric *leases;
    struct metric *stopped;
    struct metric *takeovers;
    struct metric *settled_late;
    struct metric *refilled;
    struct metric *unrefillable;
    struct metric *missing;
    struct metric *incarnation;
    struct metric *rewinds[REWIND_SIGN_COUNT];
    struct metric *lost;
    struct metric *rewound_tenants;
    struct metric *lag;
    struct metric *windows;
    struct metric *broker_up;
    struct partition_series partitions[PARTITIONED_COUNT];
};

/* One per process at most, made by relay_start(), freed by relay_stop() after the thread has
 * ended. */
struct relay {
    const struct relay_settings *settings; /* main's, outlives the relay */
    struct relay_metrics metrics;
    const struct log *log;
    struct ctx ctx;       /* of the relay's thread */
    struct store *store;  /* a plain thread's, with one connection */
    struct jetstream *js; /* NULL while not connected */
    struct jetstream_inbox *inbox;
    struct shard shards[PARTITION_COUNT];
    struct arena *other_arena; /* the ctx's of the turn before, and of the next */
    struct outbox_batch batch; /* rows in hand: read in the last turn, sent in the next */
    uint64_t generation;       /* of the last window */
    uint64_t published;        /* events acknowledged since the start */
    unsigned first_shard;      /* where a round begins: moves on, so that nobody is always last */
    uint64_t lease_due_ns;     /* renew then */
    uint64_t lease_end_ns;     /* by our own clock the leases run out then */
    uint64_t stats_due_ns;
    uint64_t count_due_ns; /* count the backlog then; look at its age meanwhile */
    uint64_t prune_due_ns;
    uint64_t partitions_due_ns; /* 0: at once */
    uint64_t groups_due_ns;     /* see that consumer groups have their stream */
    unsigned groups_failures;
    uint64_t letters_due_ns;
    uint64_t letters_count_due_ns; /* ask how many there are then */
    bool letters_checked;   /* their stream was there and was looked at, on this connection */
    uint64_t broker_due_ns; /* connect not before */
    unsigned broker_failures;
    uint64_t database_due_ns;   /* ask not before */
    bool server_known;          /* the server was looked at, and is the one that … */
    uint64_t server_started_us; /* … was started then */
    int64_t incarnation;        /* the present one, as far as we know */
    uint64_t doubts;            /* times that all streams had to be compared anew */
    unsigned database_failures;
    struct outbox_stats stats;
    struct log_interval intervals[RELAY_ERROR_COUNT];
    pthread_t thread;
    int wake_fd;        /* eventfd */
    _Atomic bool woken; /* wake_fd holds a signal that nobody took yet */
    _Atomic bool stopping;
    pthread_mutex_t status_lock;
    struct relay_status status; /* under status_lock */
};

/* --- relay.c --- */
/* Counts, and logs once per interval; `shard` below 0: none in particular. */
void relay_failed(struct relay *relay, enum relay_error error, int shard, const char *detail);
/* Takes what a look at a stream that is no shard's came to: counts and logs what is wrong with it.  False: it
 * could not be asked, or must not be used. */
bool relay_stream_did(struct relay *relay, const char *name, int rc,
                      const struct stream_state *state);
/* The relay's ctx with a deadline of its own for the next step.  The ctx is one for all steps:
 * its fault text is that of the step before until the next one fails. */
struct ctx *relay_step(struct relay *relay, uint64_t duration_ns);

/* --- relay_io.c: the two servers --- */
uint64_t relay_lease_ttl(const struct relay *relay);
/* Who asks the database, until then. */
struct relay_caller relay_caller(struct relay *relay, uint64_t duration_ns);
/* False after a failure, for a growing while. */
bool relay_database_ready(const struct relay *relay);
/* Takes a statement's result: counts, logs, backs off.  True when it was OK. Any success ends
 * the backing off. */
bool relay_database_did(struct relay *relay, int rc);
/* Connects when it is time; false while there is no connection.  Blocks for up to 5 s while it
 * connects: nothing could be sent meanwhile anyhow, but leases are not renewed. */
bool relay_broker_ready(struct relay *relay);
/* Drops a connection that is lost; shards in flight must ask their streams again.  Their
 * windows are forgotten: what of them was stored is found by shard_resolve(). */
void relay_broker_lost(struct relay *relay, const char *detail);

/* --- relay_rewind.c --- */
const char *rewind_sign_name(enum rewind_sign sign);
/* Looks at the server when that is due.  False: it cannot be asked. */
bool relay_server_check(struct relay *relay);
/* The server may be another one now: nothing is sent before all is compared. */
void relay_server_doubt(struct relay *relay);
/* Takes note of the present incarnation; another than before, and all is compared anew. */
void relay_incarnation_is(struct relay *relay, int64_t incarnation);

/* --- relay_turn.c --- */
/* One round over all shards: read, send, collect, settle.  True when anything moved.  Never
 * blocks for longer than its statements and requests may take; each has a deadline. */
bool relay_turn(struct relay *relay);
/* Waits for what is in flight, until the deadline, and settles it. */
void relay_drain(struct relay *relay, uint64_t deadline_ns);

/* --- relay_upkeep.c --- */
/* Whatever of it is due; costs nothing between. */
void relay_upkeep(struct relay *relay);

/* --- relay_letters.c --- */
/* Looks at the stream of dead letters and sends those that are due; costs nothing between. */
void relay_letters(struct relay *relay);

/* --- relay_lease.c --- */
/* Renews, claims and releases when it is time.  Costs nothing between two renewals. */
void relay_lease_tick(struct relay *relay);
/* Gives all leases and the announcement back, so that others need not wait for them to run out. */
void relay_lease_leave(struct relay *relay);

/* --- relay_metrics.c --- */
void relay_metrics_init(struct relay_metrics *metrics, struct metrics *set);
struct metric *relay_metrics_published(struct relay_metrics *metrics, const char *subject,
                                       const struct uuid *tenant_id);
const char *relay_error_name(enum relay_error error);

#endif
