/* A stream as the server keeps it: its configuration and its newest messages. */
#ifndef EVENTS_STREAM_H
#define EVENTS_STREAM_H

#include "events/jetstream.h"
#include "store/refill_store.h"

struct stream_settings {
    unsigned replicas;  /* 1, 3 or 5 */
    uint64_t max_age_s; /* how long messages stay */
    uint64_t
        duplicate_window_s; /* how long the server knows Nats-Msg-Ids; not more than max_age_s */
};

#define STREAM_DRIFT_SIZE 384

struct stream_state {
    /* as the stream's leader knows it; last_seq 0: nothing was ever stored; first_seq beyond it: nothing
     * is there any more */
    struct stream_facts facts;
    uint64_t messages; /* fewer than from first to last: some were taken out of the middle */
    bool usable;       /* false: publishing would break what the stream promises */
    bool changed;      /* it was created or updated just now */
    bool refused;      /* an update that loses nothing was refused, or got no answer */
    /* How the configuration differs from ours after what could safely be changed was changed: "storage is
     * "memory", not "file"; …".  "" when it does not. */
    char drift[STREAM_DRIFT_SIZE];
};

/* Asks the stream of this partition where it stands.  Creates it when it is missing.  Of a differing
 * configuration it changes what loses nothing (longer retention, the duplicate window, more replicas) and
 * reports the rest.  Faults: BROKER, TIMEOUT, PROTOCOL. */
int stream_look(struct ctx *ctx, struct jetstream *js, unsigned partition,
                const struct stream_settings *settings, struct stream_state *out) MUST_CHECK;

/* The same for the stream of dead letters, which keeps them for 90 days. */
int stream_look_dead_letters(struct ctx *ctx, struct jetstream *js, unsigned replicas,
                             struct stream_state *out) MUST_CHECK;
/* The same for the stream of consumer groups, which keeps each group's newest record for ever. */
int stream_look_groups(struct ctx *ctx, struct jetstream *js, unsigned replicas,
                       struct stream_state *out) MUST_CHECK;

/* The messages of out->shard's stream with these sequences, in their order; out->items has room for all of
 * them, out->count gets how many were found.  Messages that are gone or that no relay published are left out.
 * Faults: BROKER, TIMEOUT, PROTOCOL. */
int stream_messages(struct ctx *ctx, struct jetstream *js, const uint64_t *seqs, size_t count,
                    struct stored_events *out) MUST_CHECK;
/* The same for `count` sequences from `first` on. */
int stream_messages_from(struct ctx *ctx, struct jetstream *js, uint64_t first, size_t count,
                         struct stored_events *out) MUST_CHECK;
/* The newest message; *found is false when there is none, or when it is no relay's. */
int stream_newest(struct ctx *ctx, struct jetstream *js, unsigned partition,
                  struct stored_event *out, bool *found) MUST_CHECK;

/* The body of one message, appended.  Fault: BROKER when there is no such message. */
int stream_body(struct ctx *ctx, struct jetstream *js, unsigned partition, uint64_t seq,
                struct buf *body) MUST_CHECK;

/* The same event: its id, tenant and number; the place does not count. */
bool stored_event_is(const struct stored_event *a, const struct stored_event *b);
/* What the headers that a relay gave a message say.  False: not a message of a relay. */
bool stored_event_parse(struct slice headers, uint64_t stream_seq, struct stored_event *out);

#endif
