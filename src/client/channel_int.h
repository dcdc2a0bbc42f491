/* The channel's inside, for channel.c (connecting) and retry.c (repeating). */
#ifndef CLIENT_CHANNEL_INT_H
#define CLIENT_CHANNEL_INT_H

#include "client/connection.h"

#include <stdbool.h>

/* One thread's or loop's.  The texts of the settings are its own. */
struct client_channel {
    struct client_settings settings;
    struct client_connection
        *connection; /* NULL: none yet, or the last one is lost or going away */
    bool connecting; /* a call of this channel does it; the others wait */
    struct waitq connected;
    unsigned failures;        /* connects in a row, and connections that ended before they were of use */
    uint64_t not_before_ns;   /* of the next connect, after failures */
    enum fault_kind why_kind; /* of the last failure */
    char why[FAULT_TEXT_SIZE];
    unsigned retry_tokens; /* thousandths; see retry.c */
};

/* A connection that takes new calls; connects where there is none.  While the channel backs off it fails
 * at once, with the last failure's text, unless the call waits_for_ready.  *connection is borrowed.
 * Suspends. Faults: as client_channel_connect(). */
int channel_connection(struct client_call *call, uint64_t deadline_ns,
                       struct client_connection **connection) MUST_CHECK;

/* What has become of the connection: afterwards it is usable, or none. */
void channel_look(struct client_channel *channel);
/* PINGs become fewer if this one, the channel's or one that it gave up, has ended for them.  Once. */
void channel_ping_less(struct client_channel *channel, struct client_connection *connection);

#define RETRY_TOKENS_MAX 10000u

/* How an attempt ended, for the channel's budget of repetitions; not for one that goes again transparently.
 * retry_is_due() does it for failures. */
void retry_note(const struct client_call *call, int rc);
/* The call may be made again after *pause_ns: by its policy, by what the server asks for, and by the
 * channel's budget; or as retry_is_transparent() says. */
bool retry_is_due(struct client_call *call, const struct rpc_method *method, int rc,
                  uint64_t *pause_ns);
/* The call may be made again after *pause_ns because no handler has seen it; counted in the call. */
bool retry_is_transparent(struct client_call *call, uint64_t *pause_ns);
/* Waits.  WAIT_TIMEOUT: the call has no time for it, or the caller said no.  Suspends. */
enum wait_result retry_pause(struct client_call *call, uint64_t pause_ns, uint64_t deadline_ns);

#endif
