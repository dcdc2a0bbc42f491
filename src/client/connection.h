/* One HTTP/2 connection over mutual TLS, and the calls in flight on it; for channel.c and stream.c.
 *
 * Nothing here waits but opening and client_connection_wait().  On a loop the connection is driven by its
 * descriptor's events, so that PINGs are answered and a GOAWAY is seen while nobody calls; on a plain
 * thread by the calls that wait on it.  It belongs to one loop or thread. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include "base/buf.h"
#include "base/list.h"

#include "client/channel.h"
#include "loop/task.h"
#include "tls/tls.h"

#include <nghttp2/nghttp2.h>

#define CONNECTION_READ_SIZE 16384

/* Counted: the channel has one, every stream has one.  `streams` and what is below it is for stream.c. */
struct client_connection {
    unsigned references;
    struct loop *loop; /* NULL: a plain thread's */
    int fd;
    struct io *io;
    struct tls_context *tls;
    struct tls_stream *stream;
    nghttp2_session *session;
    struct buf output;         /* the session's frames that the socket has not taken */
    unsigned wants;            /* IO_ bits that the next step needs */
    bool over;                 /* no byte will go either way any more */
    enum fault_kind over_kind; /* why … */
    char over_text[FAULT_TEXT_SIZE];
    bool greeted;          /* the server's SETTINGS came */
    bool was_given;        /* to a call, by the channel */
    bool going_away;       /* GOAWAY came: no new streams … */
    bool too_many_pings;   /* … because of our keepalive (gRFC A8) */
    bool knows_no_gzip;    /* an answer said so */
    struct timer *timer;   /* keepalive; NULL on a plain thread */
    uint64_t keepalive_ns; /* a PING after so long a silence while calls are in flight; 0: none */
    uint64_t keepalive_timeout_ns;
    uint64_t heard_ns; /* when the last byte came */
    uint64_t ping_ns;  /* when the PING that is not yet answered was sent; 0: none */
    struct list streams;
    char *authority;                     /* ":authority" of every request */
    uint8_t input[CONNECTION_READ_SIZE]; /* what one read brings */
};

/* Resolves, connects, shakes hands and queues SETTINGS.  The deadline covers all of it, and each address
 * has its share of what is left.  Suspends.  Faults: as client_channel_connect(). */
int client_connection_open(struct ctx *ctx, const struct client_settings *settings,
                           uint64_t deadline_ns, struct client_connection **connection) MUST_CHECK;
/* Gives a reference back.  The last one says GOAWAY if the socket takes it, and closes.  Accepts NULL. */
void client_connection_unref(struct client_connection *connection);
/* A new call may begin on it. */
bool client_connection_is_usable(const struct client_connection *connection);

/* Reads what came and writes what the socket takes; streams hear of what concerns them. */
void client_connection_drive(struct client_connection *connection);
/* The same, and what its silence asks for: a PING, or the end.  A plain thread does it before it relies on
 * the connection, for nobody has looked since. */
void client_connection_look(struct client_connection *connection);
/* Only writes. */
void client_connection_flush(struct client_connection *connection);
/* Ends it for all streams. */
void client_connection_end(struct client_connection *connection, enum fault_kind kind,
                           const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Why it is over, as a fault of this work. */
int client_connection_fault(struct ctx *ctx, const struct client_connection *connection);
/* Waits until something may have happened to those who wait on `queue`, a stream's; look again in a loop.
 * Suspends.  Faults: FAULT_TIMEOUT, FAULT_CANCELLED. */
int client_connection_wait(struct ctx *ctx, struct client_connection *connection,
                           struct waitq *queue, uint64_t deadline_ns) MUST_CHECK;

/* --- of stream.c ------------------------------------------------------------------------------------ */

/* Sets what concerns a stream; once, before the session is made. */
void stream_callbacks(nghttp2_session_callbacks *callbacks);
/* The connection is over: every stream is woken. */
void streams_wake(struct client_connection *connection);

#endif
