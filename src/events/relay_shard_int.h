/* One shard of the relay and what is done with it; for relay*.c only.  A shard's life:
 *
 *    FOREIGN ──lease──> UNKNOWN ──shard_resolve──> READY ──shard_send──> SENT ──settled──> READY
 *       ^                  ^                                               │
 *       │                  └──────── broken, late, unsettled, lost ────────┤
 *       └── lease lost or given up; a window in flight is decided first ───┘
 *
 * Only READY may send: it alone knows the sequence that the next message has to expect. */
#ifndef EVENTS_RELAY_SHARD_INT_H
#define EVENTS_RELAY_SHARD_INT_H

#include "events/subjects.h"
#include "events/window.h"

#include "base/log.h"

#include "store/relay_store.h"

struct metric;
struct relay;

/* shard_give_up() leads from each of them to FOREIGN. */
enum shard_state {
    SHARD_FOREIGN, /* not ours */
    SHARD_UNKNOWN, /* ours; the stream must be asked before anything is sent */
    SHARD_READY,   /* ours; we know where the stream stands */
    SHARD_SENT,    /* a window is in flight */
};

/* What must be kept of an event until it is acknowledged.  Valid while the shard is SENT;
 * window index i is sent[i]. */
struct sent_event {
    int64_t id;
    struct uuid msg_id;
    uint64_t created_us;
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

struct shard {
    unsigned number; /* the partition, 0 to 15 */
    enum shard_state state;
    uint64_t stream_seq;    /* READY: the stream's last sequence */
    uint64_t not_before_ns; /* after a failure: wait until then */
    unsigned failures;      /* in a row */
    bool checked;           /* its stream was there and was looked at */
    bool leaving;           /* no longer ours once the window in flight is decided */
    struct log_interval drift;
    bool stopped;   /* by an event that is refused for itself */
    bool tombstone; /* SENT: the window's first event is one */
    struct suspect suspect;
    struct window window;    /* of the last shard_send() */
    uint64_t deadline_ns;    /* SENT: for the window's last acknowledgement */
    struct sent_event *sent; /* WINDOW_MAX of them */
};

/* --- relay_shard.c --- */
/* Makes sure that the stream is there, before the first event and before consumers look for it.
 * Postpones the shard when the stream cannot be asked. */
void shard_check(struct relay *relay, struct shard *shard);
/* Asks the stream where it stands and settles rows that it holds already.  From UNKNOWN to
 * READY, or postponed. */
void shard_resolve(struct relay *relay, struct shard *shard);
/* Sends rows, all of this shard, as one window.  From READY to SENT; takes at most WINDOW_MAX
 * rows and leaves the others for the next read. */
void shard_send(struct relay *relay, struct shard *shard, const struct outbox_row *rows,
                size_t count);
/* The window is broken or late: the stream must be asked again.  From SENT to UNKNOWN. */
void shard_recover(struct relay *relay, struct shard *shard);
/* A pause after a failure, growing with each. */
void shard_postpone(struct shard *shard);
/* Not ours any more; a window in flight is decided by the stream first. */
void shard_give_up(struct shard *shard);

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
