/* The relay: ships committed events from the outbox to JetStream, in order per tenant, each once.
 *
 * One thread of its own.  Several relays, in one or many processes, share the sixteen shards by leases; the
 * streams fence whoever is late.  docs/events-wire.md tells what consumers see. */
#ifndef EVENTS_RELAY_H
#define EVENTS_RELAY_H

#include "events/jetstream.h"
#include "events/stream.h"

#include "base/log.h"
#include "base/metrics.h"

struct pg_password;
struct relay;

/* Borrowed with all its texts. */
struct relay_settings {
    const char *database_url;              /* the relay login */
    struct pg_password *database_password; /* instead of the URL's own; NULL: that */
    struct jetstream_settings nats;
    struct stream_settings streams;
    const char *instance;       /* unique among living relays, < RELAY_OWNER_SIZE characters */
    unsigned window;            /* events in flight per shard; at most WINDOW_MAX */
    size_t batch_bytes;         /* payload bytes read at once over all shards; 0: 8 MiB */
    uint64_t lease_ttl_ns;      /* 0: 5 s */
    uint64_t ack_timeout_ns;    /* for a whole window; 0: 5 s */
    uint64_t reconcile_ns;      /* from look to look at each stream, about; 0: 60 s */
    uint64_t withhold_after_ns; /* how long an event is refused before it is withheld; 0: 2 min */
    const struct event_source *source; /* of the events that the relay itself makes */
    const char *region;                /* and of whose data they tell: "eu" */
    struct token_keys *token_keys; /* for the events' consistency tokens; NULL: they have none */
};

/* Starts the thread.  Settings, metrics and log must outlive the relay; nothing is copied.  A database or
 * a broker that does not answer is not an error here: the relay waits for them.
 * Fault: CONFIG for settings that can never work, INTERNAL when no thread can be made. */
int relay_start(const struct relay_settings *settings, struct metrics *metrics,
                const struct log *log, struct relay **out) MUST_CHECK;

/* Something was committed to the outbox.  Cheap; from any thread; accepts NULL. */
void relay_wake(struct relay *relay);

/* Finishes what is in flight, gives the leases back, ends the thread and frees the relay: usually in
 * milliseconds, at the latest after 15 s.  Accepts NULL. */
void relay_stop(struct relay *relay);

struct relay_status {
    bool database_up;       /* the last statement worked */
    bool broker_up;         /* connected to NATS */
    unsigned leases;        /* shards held */
    unsigned stopped;       /* held shards that stand still because of an event that is refused */
    uint64_t pending;       /* unsent events of all shards, as last counted */
    uint64_t oldest_age_us; /* of the oldest unsent event, as last looked at */
    uint64_t published;     /* by this relay since its start */
};
/* From any thread. */
void relay_status(struct relay *relay, struct relay_status *out);

/* The families this room counts; the last one is NULL. */
extern const struct metric_family *const events_metric_families[];

#endif
