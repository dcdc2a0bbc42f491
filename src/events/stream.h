/* A stream as the server keeps it: its configuration and its newest messages. */
#ifndef EVENTS_STREAM_H
#define EVENTS_STREAM_H

#include "events/jetstream.h"
#include "store/relay_store.h"

struct stream_settings {
    unsigned replicas;  /* 1, 3 or 5 */
    uint64_t max_age_s; /* how long messages stay */
    uint64_t
        duplicate_window_s; /* how long the server knows Nats-Msg-Ids; not more than max_age_s */
};

#define STREAM_DRIFT_SIZE 384

struct stream_state {
    uint64_t first_seq; /* first and last sequence as the stream's leader knows them; */
    uint64_t last_seq;  /* last_seq 0: nothing was ever stored */
    bool usable;        /* false: publishing would break what the stream promises */
    bool changed;       /* it was created or updated just now */
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

/* The newest messages of out->shard's stream, as many as out->items has room for; out->count says how many
 * on entry and gets how many were found.  Messages that are gone or that no relay published are left out.
 * Faults: BROKER, TIMEOUT, PROTOCOL. */
int stream_tail(struct ctx *ctx, struct jetstream *js, const struct stream_state *state,
                struct stored_events *out) MUST_CHECK;

/* What the headers that a relay gave a message say.  False: not a message of a relay. */
bool stored_event_parse(struct slice headers, uint64_t stream_seq, struct stored_event *out);

#endif
