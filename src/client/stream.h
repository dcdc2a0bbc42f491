/* A call's stream on a connection; for unary.c, channel.c and stream.c. */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "rpc/framing.h"

#include "client/answer.h"
#include "client/connection.h"

/* as much as the server sends at most (limits.response_bytes) */
#define CLIENT_MESSAGE_MAX (4u << 20)
/* Of what was sent, to be sent again (as gRPC's "per_rpc_retry_buffer_size"). */
#define CLIENT_KEPT_MAX (256u << 10)

/* Heap; has a reference of its connection. */
struct client_stream {
    struct list_node node;                /* of connection->streams */
    struct client_connection *connection; /* NULL: it moves, and is closed */
    struct client_call *call;
    const struct rpc_method *method;
    uint64_t deadline_ns;
    int32_t id;
    struct buf
        output; /* framed messages: those in DATA frames, while it keeps them, and the others */
    size_t in_frames;     /* bytes of `output` that are in DATA frames: kept to be sent again */
    bool keeps;           /* … until the server answers, or they are too many */
    bool output_ended;    /* none follows */
    size_t compress_from; /* bytes of a message; 0: grpc-encoding was not sent */
    bool spares;          /* … but the messages that follow are not compressed */
    struct buf input;     /* of DATA frames, not yet taken; at most a window */
    struct framing framing;
    struct answer answer;
    bool sent;          /* its HEADERS have left */
    bool answered;      /* the server's side has ended */
    bool closed;        /* both have, or it never began */
    struct waitq queue; /* the task in send or receive */
};

/* nghttp2 fetches a request's bytes here. */
/* lint-allow parameters: nghttp2's type */
ssize_t stream_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                    uint32_t *flags, nghttp2_data_source *source, void *user);
/* Nothing more comes of it.  Answered whole while our side was still sending counts: the server needs no more
 * of the request. */
static inline bool stream_is_over(const struct client_stream *stream)
{
    return stream->closed || stream->answered || stream->connection->over;
}
/* The server has begun to handle it, or there is no room: it cannot be made again. */
void stream_commit(struct client_stream *stream);
/* A call before its first attempt, and its second part before each. */
void call_begin(struct client_call *call);
void call_reset(struct client_call *call);
/* The moment at which all of the call's time is used up. */
uint64_t call_deadline(const struct client_call *call);
/* One attempt on a connection that is usable.  Takes a reference. */
/* lint-allow parameters: a call's two, where it goes, and until when */
int stream_open(struct client_call *call, struct client_connection *connection,
                const struct rpc_method *method, uint64_t deadline_ns,
                struct client_stream **stream) MUST_CHECK;

/* The only message of a call, and no other: does not wait. */
void stream_send_whole(struct client_stream *stream, const ProtobufCMessage *message);

#endif
