/* One HTTP/2 connection's protocol side: bytes in, calls out, answers in, bytes out.  No sockets here, so
 * tests feed it bytes.
 *
 * nghttp2 is never entered from its own callbacks: they record what came (h2_callbacks.c), and
 * h2_receive() acts on it after the library returned. */
#ifndef RPC_H2_H
#define RPC_H2_H

#include "rpc/call_int.h"
#include "rpc/framing.h"
#include "rpc/h2_flow.h"
#include "rpc/h2_limits.h"
#include "rpc/h2_wire.h"
#include "rpc/protocol.h"
#include "rpc/request_headers.h"
#include "rpc/traffic.h"

#include <nghttp2/nghttp2.h>

struct rpc_worker;
struct method_slot;

#define H2_GOODBYE "goodbye" /* 8 bytes: of the PING behind the first GOAWAY */

/* How fast bytes move: measured over one window of time after the other. */
struct h2_pace {
    uint64_t since_ns; /* 0: none is open */
    uint64_t bytes;    /* that had moved until then */
};

/* One request and its answer.  Owned by the session's nghttp2 stream: made at its first
 * HEADERS, freed in on_stream_close() or h2_free().  h2_stream.c has the states. */
struct h2_stream {
    struct list_node node;       /* on h2->streams */
    struct list_node ready_node; /* on h2->ready: something to do after the library returns */
    struct list_node held_node;  /* on h2->held: a whole request that may not start yet */
    struct list_node room_node;  /* on h2->waiting: its announced message does not fit yet */
    struct h2 *h2;
    int32_t id;
    struct arena *arena;      /* headers, then the call; NULL once a running call took it away */
    struct method_slot *slot; /* which method; NULL: unknown, or the headers are not complete */
    struct request_headers *headers; /* in the arena */
    struct dialect dialect;          /* with the slot */
    struct http_refusal refusal;     /* the request is none of ours */
    struct connect_get *get;         /* of a Connect GET, in the arena */
    size_t field_count;              /* all fields that came, kept or not … */
    size_t header_bytes;             /* … and their size, as RFC 9113 section 6.5.2 counts */
    struct framing framing;
    enum framing_result framing_error;
    uint64_t begun_ns;     /* when its first frame came */
    uint64_t progress_ns;  /* when body or answer last moved */
    uint64_t end_sent_ns;  /* when END_STREAM went out, if rest_unwanted */
    uint64_t body_bytes;   /* of DATA that came */
    struct h2_pace coming; /* of the body */
    uint64_t answer_bytes; /* given to the library as DATA */
    struct h2_pace going;  /* of the answer … */
    uint64_t going_goal;   /* … and answer_bytes, had all gone that was there at its start */
    uint32_t empty_data;
    size_t unacked;  /* received bytes whose stream window was not given back */
    size_t reserved; /* of h2->reserved: the announced large message */
    bool headers_done;
    bool ended;         /* END_STREAM came */
    bool started;       /* its call was made, or it was answered without one */
    bool dispatched;    /* checked and handed to a handler, refused, or expired */
    bool answered;      /* a response was submitted */
    bool end_sent;      /* END_STREAM went out */
    bool given_up;      /* RST_STREAM was submitted because it stalled */
    bool rest_unwanted; /* the answer is out before the request: RST_STREAM(NO_ERROR) in a moment */
    struct running_call
        *call;          /* NULL before it is made, and after an answer that did not wait for it */
    struct slice reply; /* framed message to send, in the call's arena */
    size_t reply_sent;
    struct h2_flow *flow; /* of a method that streams, or of an answer that ends in the body */
};

/* Owned by its connection; all functions belong to the worker's thread. */
struct h2 {
    struct rpc_worker *worker;
    void *owner; /* the connection … */
    void (*wants_flush)(
        void *owner); /* … told when there is something to send outside h2_receive() */
    nghttp2_session *session;
    struct traffic own_traffic; /* where the owner has no place for it */
    struct traffic *traffic;    /* counts for channelz */
    const char *caller;         /* identity name */
    struct stream_share *share; /* owned: one hold.  NULL: nobody counts */
    struct socket_name peer;    /* port 0: not known, or nobody wants to know */
    struct list streams;        /* all open ones */
    struct list ready;          /* streams with news */
    struct list held;           /* whole requests waiting for a handler slot, first come first */
    struct list waiting;        /* streams waiting for room for their message, first come first */
    struct h2_budgets budgets;
    uint32_t concurrent_streams; /* as the client was told, like … */
    size_t stream_window;        /* … this, whatever the limits are by now */
    int32_t highest_stream;
    uint64_t streams_begun; /* those that are refused too */
    struct h2_wire wire;
    uint64_t shown_blocks_bytes; /* of h2_wire_blocks(), those that callbacks saw to their end */
    struct h2_stream *recent;    /* the last one looked up; frames come in runs of one stream */
    uint64_t received_ns;        /* clock_now() of the last h2_receive(), or of the beginning */
    uint64_t asked_ns;         /* when a PING asked whether the peer is there; 0: nothing is owed */
    struct list running_calls; /* handlers whose task has not ended, reset or not */
    struct h2_turn_share turn; /* what this turn of the loop had of it */
    struct list readers; /* streaming calls whose next message waits for a turn, first come first */
    uint64_t request_count;
    size_t buffered;           /* request bytes in message buffers */
    size_t reserved;           /* of large messages that were let in */
    size_t connection_unacked; /* connection window held back */
    size_t queued;             /* answer bytes not yet given to the library */
    size_t memory;             /* held by the whole connection, as the owner last weighed it */
    uint64_t idle_since_ns;    /* no streams since then */
    uint64_t header_block_ns;  /* when an unfinished header block began; 0: none */
    bool preface_done;         /* the client's SETTINGS came */
    bool settings_acked;       /* ours were acknowledged */
    bool shutting_down;        /* GOAWAY notice was sent */
    bool goaway_final;         /* … and the final GOAWAY */
    uint64_t shutdown_ns;      /* when it began */
    bool receiving;            /* within the library: it ends the session when it has returned */
    bool offended;             /* a GOAWAY was sent for an error of the peer's */
    uint32_t end_error;        /* of the GOAWAY, once failed … */
    const char *end_reason;    /* … and its debug data, a constant; NULL: none */
    bool end_said;             /* … which has gone out: no frame follows it */
    bool failed;               /* nothing more can be read: send what there is and close */
};

/* `caller` is borrowed and must outlive the session.  `wants_flush` may be called within any
 * function below, and must not send at once. */
struct h2 *h2_new(struct rpc_worker *worker, const char *caller, void *owner,
                  void (*wants_flush)(void *owner));
/* Cancels running calls; their tasks end by themselves. */
void h2_free(struct h2 *h2);

/* Takes received bytes and acts on what they mean.  False: the connection must be closed after sending
 * what h2_send() has. */
bool h2_receive(struct h2 *h2, struct slice bytes);
/* Appends up to about `size` bytes of frames. False: as above. */
bool h2_send(struct h2 *h2, struct buf *out, size_t size);
/* Neither reads nor writes are wanted any more: close. */
bool h2_is_over(const struct h2 *h2);
/* Begins the two-step GOAWAY. */
void h2_shutdown(struct h2 *h2);
/* The same because of a limit, counted under it; nothing happens to one that is going already. */
void h2_retire(struct h2 *h2, const char *limit);
/* GOAWAY at once; what runs is cancelled when the session goes. */
void h2_end(struct h2 *h2, uint32_t error);
/* Stalls and time-outs.  False: close. */
bool h2_sweep(struct h2 *h2, uint64_t now_ns);
/* Once in each turn of the loop: held requests start as far as the limits allow. */
void h2_turn(struct h2 *h2);
/* Adds to what this turn of the loop has read. */
void h2_charge(struct h2 *h2, size_t bytes);
/* Whether the call may read a message in this turn of the loop; else it comes again in the next, and keeps its
 * place among those that wait. */
bool h2_may_read(struct h2 *h2, struct running_call *running);
/* Held requests that only wait for the next turn: nothing else will say when it is time. */
bool h2_waits_for_turn(const struct h2 *h2);

/* --- within the rpc room ------------------------------------------------------------------------------- */

/* The GOAWAY of h2_end(), which the library must not be asked for while it receives. */
void h2_say_end(struct h2 *h2);
void h2_set_callbacks(nghttp2_session_callbacks *callbacks);
struct h2_stream *h2_stream_open(struct h2 *h2, int32_t id);
/* The memory of a stream that is not open. */
void stream_free(struct h2_stream *stream);
/* The open stream with this id, or NULL. */
struct h2_stream *h2_stream_find(struct h2 *h2, int32_t id);
/* The library closed the stream: forget it; a running call is cancelled. */
void h2_stream_close(struct h2_stream *stream);
void h2_stream_ready(struct h2_stream *stream);
/* True when the announced message may take more memory.  Else the stream stands in line, and is processed
 * when it is its turn. */
bool h2_stream_may_grow(struct h2_stream *stream);
/* Frees the request's bytes and gives their room to others. */
void h2_stream_drop_message(struct h2_stream *stream);
/* Acts on all streams with news. */
void h2_process(struct h2 *h2);
/* GOAWAY with the limit's name in the debug data; counted under it.  Only the first one is. */
void h2_give_up(struct h2 *h2, uint32_t error, const char *limit);

/* h2_answer.c: answers of all kinds.  Each ends the stream's part in the protocol. */
void h2_answer(struct h2_stream *stream, const struct status *status, uint64_t now_ns);
void h2_answer_http(struct h2_stream *stream, const struct http_refusal *refusal);

/* A message of `size` bytes was put into the outbox: begins the answer with the first one. */
void h2_flow_sent(struct h2_stream *stream, size_t size);

/* dispatch.c */
/* The headers are complete: finds method, limit and protocol.  Also within the library's callbacks. */
void dispatch_find_method(struct h2_stream *stream);
/* Makes the call and checks what metadata can tell. */
void dispatch_headers(struct h2_stream *stream);
/* The message is whole or can no longer come: run the handler or refuse. */
void dispatch_message(struct h2_stream *stream);
/* The deadline has passed: answers now, whatever a running handler still does. */
void dispatch_expire(struct h2_stream *stream);

#endif
