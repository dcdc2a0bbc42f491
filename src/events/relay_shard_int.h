/* One shard of the relay and what is done with it; for relay*.c only.  A shard's life:
 *
 *    FOREIGN ──lease──> UNKNOWN ──shard_resolve──> READY ──shard_send──> SENT ──settled──> READY
 *       ^                 ^  └── the end is lost ──> REFILLING <──────────> SENT            │
 *       │                 │                              └── all is back ──> READY          │
 *       │                 └── broken, late, unsettled, lost; looked at every minute ────────┤
 *       └── lease lost or given up; a window in flight is decided first ────────────────────┘
 *
 * Only READY and REFILLING may send: they alone know the sequence that the next message has to expect. */
#ifndef EVENTS_RELAY_SHARD_INT_H
#define EVENTS_RELAY_SHARD_INT_H

#include "events/subjects.h"
#include "events/window.h"

#include "base/log.h"

#include "store/refill_store.h"

struct metric;
struct relay;

/* shard_give_up() leads from each of them to FOREIGN. */
enum shard_state {
    SHARD_FOREIGN,   /* not ours */
    SHARD_UNKNOWN,   /* ours; the stream must be asked before anything is sent */
    SHARD_READY,     /* ours; we know where the stream stands, and it holds all that was sent */
    SHARD_REFILLING, /* ours; we know where the stream stands, and it lost its end */
    SHARD_SENT,      /* a window is in flight */
};

/* What must be kept of an event until it is acknowledged.  Valid while the shard is SENT;
 * window index i is sent[i]. */
struct sent_event {
    int64_t id;
    struct uuid msg_id;
    uint64_t created_us;
    uint64_t sent_at_us;      /* of a refill: the row's key beside its id */
    struct metric *published; /* its series */
};

/* Why an event is refused for itself. */
enum refused_for { REFUSED_FOR_SIZE, REFUSED_FOR_SUBJECT };
#define REFUSED_FOR_COUNT 2

struct rejection {
    enum refused_for what_for;
    struct uuid msg_id;
    bool tombstone;   /* the event is one */
    char detail[160]; /* for a person */
};

/* The event that stands first and was refused for itself. */
struct suspect {
    int64_t id;                 /* of its row; 0: nobody */
    unsigned refusals;          /* so far */
    uint64_t since_ns;          /* of the first one */
    struct rejection rejection; /* the last one */
};

/* Comparing a stream with the database, over as many turns as it takes. */
struct shard_scan {
    bool begun;
    bool rewinding;    /* the incarnation grew since the stream was compared last */
    bool anchored;     /* what is read lies behind the newest event that was settled */
    int64_t installed; /* the incarnation that it is compared for */
    struct stream_facts facts;
    uint64_t next, last; /* sequences that are still to be read; next > last: none */
    bool lost;           /* the stream lost its end, behind this place: */
    struct sent_mark mark;
    uint64_t boundary; /* the sequence that the first lost event should have had; 0: nobody knows */
    uint64_t end;      /* and the last one; 0: nobody knows */
};

/* Putting back what a stream lost. */
struct shard_refill {
    struct sent_mark after; /* up to here it is back */
    struct sent_mark sent;  /* SENT: of the window's last event */
    uint64_t count;         /* events put back so far */
    bool begun;             /* it was told */
};

struct shard {
    unsigned number; /* the partition, 0 to 15 */
    enum shard_state state;
    uint64_t stream_seq;    /* READY, REFILLING: the stream's last sequence */
    uint64_t not_before_ns; /* after a failure: wait until then */
    uint64_t look_due_ns;   /* READY: look at the stream again then */
    unsigned failures;      /* in a row */
    bool offered;           /* READY: the rows in hand are still those that come next */
    uint64_t doubts;        /* READY, REFILLING: the relay's when the comparison ended */
    bool leaving;           /* no longer ours once the window in flight is decided */
    struct log_interval drift;
    struct log_interval gaps;
    uint64_t missing;    /* events of its stream that are gone and cannot be put back */
    bool stopped;        /* by an event that is refused for itself */
    bool refill_refused; /* by one that its stream lost and is not taken any more */
    bool tombstone;      /* SENT: the window's first event is one */
    bool refilling;      /* SENT: the window is a refill */
    struct suspect suspect;
    struct shard_scan scan;     /* UNKNOWN */
    struct shard_refill refill; /* REFILLING, or SENT and refilling */
    struct window window;       /* of the last shard_send() */
    uint64_t deadline_ns;       /* SENT: for the window's last acknowledgement */
    struct sent_event *sent;    /* WINDOW_MAX of them */
};

/* --- relay_shard.c --- */
/* Sends rows, all of this shard, as one window.  From READY to SENT; takes at most WINDOW_MAX
 * rows and leaves the others for the next read. */
void shard_send(struct relay *relay, struct shard *shard, const struct outbox_row *rows,
                size_t count);
/* Sends these rows, all of which fit, as one window.  From READY or REFILLING to SENT. */
void shard_window(struct relay *relay, struct shard *shard, const struct outbox_row *rows,
                  size_t count);
/* To READY; rows that were read before do not count. */
void shard_ready(struct shard *shard);
/* The stream must be compared with the database again.  From any state that is ours to UNKNOWN; a window in
 * flight is forgotten. */
void shard_doubt(struct shard *shard);
/* The window is broken or late: the stream must be asked again.  From SENT to UNKNOWN. */
void shard_recover(struct relay *relay, struct shard *shard);
/* Why the connection's server does not take this row. */
struct rejection shard_rejection(struct relay *relay, const struct outbox_row *row);
/* A pause after a failure, growing with each. */
void shard_postpone(struct shard *shard);
/* Not ours any more; a window in flight is decided by the stream first. */
void shard_give_up(struct shard *shard);

/* --- relay_resolve.c --- */
/* One step of comparing the stream with the database: makes sure that it is there, settles rows that it holds
 * already, finds out whether it lost its end.  From UNKNOWN, after some steps, to READY or REFILLING; postponed
 * when the stream or the database cannot be asked. */
void shard_resolve(struct relay *relay, struct shard *shard);

/* --- relay_rewind.c --- */
/* Notes which of the events behind the newest settled one the database lost.  False: the comparison must begin
 * anew, because the incarnation has just grown, or cannot go on now. */
bool shard_losses_note(struct relay *relay, struct shard *shard,
                       const struct stored_events *events);
/* The stream's newest event is unknown to the database.  Always false, as above. */
bool shard_unknown_found(struct relay *relay, struct shard *shard,
                         const struct stored_event *event);
/* Announces what was noted, some tenants at a time; scan.rewinding ends with the last.  False: later. */
bool shard_losses_announce(struct relay *relay, struct shard *shard);

/* --- relay_refill.c --- */
/* Sends the next window of what the stream lost.  From REFILLING to SENT, or to READY when all is back. */
void shard_refill(struct relay *relay, struct shard *shard);
/* A refill's window was acknowledged.  From SENT to REFILLING, or to UNKNOWN. */
void shard_refilled(struct relay *relay, struct shard *shard);
/* The first event to be put back is not taken.  The shard counts as stopped until it goes on or is given up. */
void shard_refill_refused(struct relay *relay, struct shard *shard,
                          const struct rejection *rejection);

/* --- relay_withhold.c --- */
/* A cause as dead letters name it. */
const char *refused_for_name(enum refused_for what_for);
/* The shard's first event was refused for itself.  To UNKNOWN; the shard waits for the next look. */
void shard_refused(struct relay *relay, struct shard *shard, int64_t id,
                   const struct rejection *rejection);
/* It was refused so often and so long that it is to be withheld. */
bool shard_withholds(const struct relay *relay, const struct shard *shard,
                     const struct outbox_row *first);
/* Puts a tombstone in its place.  READY stays READY. */
void shard_withhold(struct relay *relay, struct shard *shard, const struct outbox_row *row);

#endif
