/* The JetStream adapter: one connection to NATS, its requests, its pipelined publishes.
 *
 * Belongs to one thread.  A lost connection stays lost: the owner closes it and opens another after a
 * pause of its own, so nothing that the client library buffered is ever sent behind the owner's back,
 * and certificates and seed are read anew each time.  Every wait ends at a deadline. */
#ifndef EVENTS_JETSTREAM_H
#define EVENTS_JETSTREAM_H

#include "events/message.h"

#include "base/buf.h"
#include "base/ctx.h"

struct jetstream;

struct jetstream_settings {
    const char *url;       /* "tls://host:port", several separated by commas */
    const char *seed_file; /* NKey seed of a user; NULL or "": none */
    const char *ca_file;   /* PEM; NULL or "": the system's authorities */
    const char *cert_file; /* client certificate, PEM; NULL or "": none */
    const char *key_file;  /* its key */
    const char *name;      /* shown by the server's monitoring */
};

/* Connects.  Takes at most the ctx's deadline, but no more than 5 s per server named.
 * Faults: CONFIG for unreadable files, BROKER for all else. */
int jetstream_open(struct ctx *ctx, const struct jetstream_settings *settings,
                   struct jetstream **out) MUST_CHECK;
/* Accepts NULL. */
void jetstream_close(struct jetstream *js);
/* False once the connection is lost: nothing will work any more. */
bool jetstream_is_open(const struct jetstream *js);
/* The largest message, headers and payload together, that the server takes. */
size_t jetstream_max_payload(const struct jetstream *js);

/* One request to the JetStream API ("STREAM.INFO.TENANT_00") and its reply's payload, appended to
 * `reply`.  Ends at the ctx's deadline, after 5 s at the latest.  Faults: BROKER, TIMEOUT. */
int jetstream_request(struct ctx *ctx, struct jetstream *js, const char *verb, struct slice payload,
                      struct buf *reply) MUST_CHECK;

/* --- pipelined messages whose replies come in any order ------------------------------------------- */

/* Where the replies to pipelined messages arrive. */
struct jetstream_inbox;

struct jetstream_reply {
    uint64_t tag;         /* of the message that it answers */
    bool no_responders;   /* nobody listens on the subject: no such stream, or JetStream is off */
    struct slice payload; /* valid until the next receive on this inbox */
};

int jetstream_inbox_open(struct ctx *ctx, struct jetstream *js,
                         struct jetstream_inbox **out) MUST_CHECK;
void jetstream_inbox_close(struct jetstream_inbox *inbox); /* accepts NULL */

/* Sends; the reply will carry `tag`.  Does not wait for it. Fault: BROKER. */
int jetstream_send(struct ctx *ctx, struct jetstream_inbox *inbox,
                   const struct jetstream_message *message, uint64_t tag) MUST_CHECK;
/* The next reply.  *received is false when none came until deadline_ns.  Fault: BROKER. */
int jetstream_receive(struct ctx *ctx, struct jetstream_inbox *inbox, uint64_t deadline_ns,
                      struct jetstream_reply *reply, bool *received) MUST_CHECK;

#endif
