/* The rpc room's own: workers and connections.
 *
 * Everything belongs to the worker's thread, but for the shared_ functions and
 * worker_take().  Who owns whom:
 *
 *    listener ─── door ─── entrant ─── tls_stream, which goes along to the connection
 *    rpc_worker ─── connection ─── tls_stream
 *                        └── h2 ─── h2_stream ─── running_call (the task owns it while it runs)
 *
 * A connection is freed at the end of the turn, a worker when the last connection and call are
 * gone. */
#ifndef RPC_RPC_INT_H
#define RPC_RPC_INT_H

#include "base/log.h"

#include "rpc/dispatch.h"
#include "rpc/door.h"
#include "rpc/h2.h"
#include "rpc/h2_memory.h"
#include "rpc/rpc.h"
#include "rpc/rpc_metrics.h"
#include "rpc/traffic.h"

#include <stdatomic.h>

enum connection_state {
    CONNECTION_PROBE, /* plain HTTP/1.1 */
    CONNECTION_HTTP2,
    CONNECTION_LINGERING, /* our side has ended; what still comes is read away */
    CONNECTION_CLOSED,    /* freed at the end of the turn */
};

struct connection {
    struct list_node node; /* on worker->connections */
    struct rpc_worker *worker;
    enum connection_state state;
    int fd;
    struct io *io;
    struct tls_stream *tls;      /* NULL for plain probes */
    struct socket_record record; /* what channelz tells of it, once it speaks HTTP/2 */
    struct h2 *h2;               /* NULL for plain probes, and once it has ended */
    struct peer_address address;
    struct buf out;        /* encrypted next: bytes of frames or of a probe's answer */
    struct buf probe;      /* a probe's request so far */
    struct deferred flush; /* sends at the end of the turn */
    struct deferred reap;  /* frees at the end of the turn */
    uint64_t opened_ns;
    uint64_t deadline_ns;      /* of the present state; NO_DEADLINE in HTTP2 */
    uint64_t write_stalled_ns; /* since when the socket takes nothing; 0: it does */
    uint64_t age_limit_ns;     /* clock time when it is asked to go */
    size_t lingered;           /* bytes read away at the end */
    size_t held;               /* of the process's connection memory, as last weighed */
    bool counted;              /* in the identity's count */
    bool last_write;           /* close once `out` is empty */
    bool read_again;           /* more may be there than … */
    uint64_t read_turn;        /* … this turn has read, by loop_turns() */
    const char *identity;      /* the name; borrowed from the hooks */
    char *identity_key;        /* the URI or "-", for the count; owned */
};

#define RPC_READ_SIZE 16384
/* Calls at once, kept warm: 256 arenas of 4 KiB are a megabyte per worker. */
#define ARENAS_SPARE 256
#define STREAMS_SPARE 256

struct rpc_worker {
    struct loop *loop;
    struct rpc_shared *shared;
    const struct log *log;
    struct rpc_limits limits;
    struct rpc_hooks hooks;
    struct span_ring *spans; /* NULL: nobody traces */
    uint64_t trace_threshold;
    const struct protojson_types *any_types;
    bool plain_refusals;
    struct rpc_registration *registrations; /* owned */
    struct method_slot *slots;              /* every method of them, owned */
    size_t slot_count;
    size_t largest_message; /* the largest limit of any method */
    struct rpc_metrics *metrics;
    struct mailbox *mailbox; /* accepted sockets */
    struct list connections;
    _Atomic size_t connection_count;
    struct timer *janitor; /* sweeps time-outs */
    bool draining;
    uint64_t drain_deadline_ns;
    void (*drained)(void *owner);
    void *drained_owner;
    struct arena *spare_arenas[ARENAS_SPARE];
    size_t spare_arena_count;
    struct buf inflated;        /* the message being read; its memory is kept, see message.c */
    struct h2_memory h2_memory; /* of all sessions */
    struct list spare_streams;
    size_t running_calls;
    struct list stream_shares;  /* of the identities that are connected */
    size_t streaming_calls;     /* of them, those of methods that stream … */
    size_t streaming_calls_max; /* … at most half of all tasks: a stream may last for hours */
    unsigned peers_to_verify;   /* in this sweep, after the trust was replaced */
    uint8_t *read_buffer;       /* RPC_READ_SIZE bytes: what one read brings */
    uint64_t log_window_ns;     /* start of the present second of sampled lines */
    uint32_t log_lines;         /* sampled lines in it */
};

/* An empty arena with a cap of 32 MiB for one call.  Give it back when nothing points into it
 * any more: it is poisoned or reused at once. */
struct arena *worker_arena_take(struct rpc_worker *worker);
void worker_arena_give(struct rpc_worker *worker, struct arena *arena);

/* An idle one: OpenSSL's state and certificates, nghttp2's session; docs/performance.md measures 39 KiB. */
#define CONNECTION_BYTES ((size_t)40 << 10)

/* Hands the arrival's contents over.  False: the worker's mailbox is full; they stay the caller's.  Any
 * thread. */
bool worker_take(struct rpc_worker *worker, const struct arrival *arrival);
/* Takes the contents over, and the place in the total count.  Closes all in the end. */
void connection_open(struct rpc_worker *worker, struct arrival *arrival);
/* Ends it now; freed at the end of the turn.  May be called more than once, and from any
 * callback of the loop. */
void connection_close(struct connection *connection);
/* Sends what the session has at the end of the turn.  Nothing happens when it is closed or
 * lingers, or when it was asked already. */
void connection_flush_later(struct connection *connection);
/* Time-outs of one connection.  May close it. */
void connection_sweep(struct connection *connection, uint64_t now_ns);
/* GOAWAY on an HTTP/2 connection. */
void connection_drain(struct connection *connection);

/* connection_memory.c: brings the process's sum up to date; nothing is held by a closed one. */
void connection_weigh(struct connection *connection);

/* The identity's name by what the hook says now. */
void connection_rename(struct connection *connection);

/* probe.c: true once the answer is in connection->out.  Takes any bytes, whole requests or
 * parts.  Nothing more may be given after true. */
bool probe_receive(struct connection *connection, struct slice bytes);

/* False when the identity has too many connections.  Any thread.  Each true needs one
 * shared_identity_leave() with the same key, and no other. */
bool shared_identity_enter(struct rpc_shared *shared, const char *key, uint32_t limit);
void shared_identity_leave(struct rpc_shared *shared, const char *key);
/* False when the process has too many.  Any thread; left once per true. */
bool shared_connection_enter(struct rpc_shared *shared, uint32_t limit);
void shared_connection_leave(struct rpc_shared *shared);
struct offenders *shared_offenders(struct rpc_shared *shared);
/* A connection that held `before` bytes holds `now`.  Any thread. */
void shared_memory_change(struct rpc_shared *shared, size_t before, size_t now);
/* Bytes held by all connections.  Any thread. */
size_t shared_memory(const struct rpc_shared *shared);
/* All connections hold `limit` or more, and one that holds `own` is not below their average.  Any thread. */
bool shared_memory_is_used_up(const struct rpc_shared *shared, size_t limit, size_t own);

#endif
