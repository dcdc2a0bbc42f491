/* The channel's inside, for channel.c (connection) and unary.c (calls). */
#ifndef CLIENT_CHANNEL_INT_H
#define CLIENT_CHANNEL_INT_H

#include "client/answer.h"
#include "client/channel.h"
#include "loop/task.h"
#include "tls/tls.h"

#include <nghttp2/nghttp2.h>

#include <stdbool.h>

/* as much as the server sends at most (limits.response_bytes) */
#define CLIENT_MESSAGE_MAX (4u << 20) /* bytes of an answer's message */
#define CLIENT_READ_SIZE 16384

/* What nghttp2's callbacks record of the one stream in flight; they do nothing else.  Zeroed
 * for each call, but for the body's memory. */
struct client_exchange {
    struct client_call *call; /* NULL between calls */
    int32_t stream_id;
    struct slice request; /* framed message still to be sent */
    struct buf body;      /* bytes of DATA so far */
    struct answer answer;
    bool answered; /* the server's side of the stream has ended */
    bool closed;   /* both sides have */
};

/* Owned by who opened it.  TLS and io know the descriptor but do not close it. */
struct client_channel {
    int fd;
    struct io *io;
    struct tls_context *tls;
    struct tls_stream *stream;
    nghttp2_session *session;
    bool unusable;   /* connection lost, or an error of the session */
    bool going_away; /* GOAWAY came: no new streams */
    char *authority; /* ":authority" of every request */
    struct client_exchange exchange;
    uint8_t input[CLIENT_READ_SIZE]; /* what one read brings */
};

/* Writes all that the session wants to send.  Suspends. */
int client_channel_flush(struct ctx *ctx, struct client_channel *channel,
                         uint64_t deadline_ns) MUST_CHECK;
/* Reads once and feeds the session.  Fault when the connection is over.  Suspends. */
int client_channel_pump(struct ctx *ctx, struct client_channel *channel,
                        uint64_t deadline_ns) MUST_CHECK;

/* The callbacks of unary.c.  Set once, before the session is made. */
void client_unary_callbacks(nghttp2_session_callbacks *callbacks);

#endif
