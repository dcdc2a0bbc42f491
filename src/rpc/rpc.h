/* The gRPC server: one listener, one worker per thread, connections that stay on their worker.
 *
 * The composition root makes workers on loops, registers generated services and hooks, then opens the
 * listener.  Everything but what says "any thread" belongs to the worker's own thread. */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "base/metrics.h"

#include "loop/loop.h"
#include "loop/task.h"
#include "rpc/call.h"
#include "tls/tls.h"

/* What one identity may do otherwise than the rest; 0: as everybody. */
struct rpc_identity_limits {
    const char *identity; /* its name, a constant; NULL: nobody's */
    uint32_t connections; /* over the process, of each certificate URI */
    uint32_t concurrent_streams;
    uint32_t client_resets_burst;
    uint32_t client_resets_rate;
};
#define RPC_IDENTITY_LIMITS_MAX 8

/* Bounds against hostile and broken clients; each has a counter.  Reasons: docs/limits.md. */
struct rpc_limits {
    uint32_t concurrent_streams; /* SETTINGS_MAX_CONCURRENT_STREAMS */
    uint32_t running_handlers;   /* per connection; not lowered by resets */
    /* running calls of methods that stream, on one worker */
    uint32_t streaming_per_identity;
    uint32_t requests_per_turn;    /* started per connection and turn of the loop */
    size_t decoded_per_turn;       /* message bytes, inflated, per connection and turn */
    uint32_t client_resets_burst;  /* RST_STREAM from the client … */
    uint32_t client_resets_rate;   /* … and per second */
    uint32_t server_resets_burst;  /* RST_STREAM that the client provokes … */
    uint32_t server_resets_rate;   /* … and per second */
    uint32_t continuations;        /* per header block */
    uint32_t header_fields;        /* per request */
    size_t header_bytes;           /* per request: name + value + 32 each */
    size_t header_field_bytes;     /* one field */
    size_t header_table_bytes;     /* SETTINGS_HEADER_TABLE_SIZE: of what the client sends */
    size_t frame_bytes;            /* SETTINGS_MAX_FRAME_SIZE, at most stream_window */
    size_t stream_window;          /* SETTINGS_INITIAL_WINDOW_SIZE, at most connection_window */
    size_t connection_window;      /* 64 KiB or more: HTTP/2 cannot begin with less */
    size_t message_bytes;          /* one request message */
    size_t response_bytes;         /* one response message */
    size_t queued_response_bytes;  /* unsent answers per connection: beyond, requests are held */
    uint32_t settings_entries;     /* per SETTINGS frame */
    uint32_t settings_per_10s;     /* SETTINGS frames */
    uint32_t outbound_acks;        /* queued PING and SETTINGS ACKs */
    uint64_t ping_interval_ns;     /* shortest without streams */
    uint32_t ping_strikes;         /* too early pings before GOAWAY */
    uint32_t empty_data;           /* empty DATA frames without END_STREAM per stream */
    uint32_t priority_frames;      /* PRIORITY and unknown frames per connection, + 10 per stream */
    uint32_t window_updates;       /* WINDOW_UPDATE per connection, + 10 per frame of ours */
    uint32_t control_frames;       /* frames beyond 20 per request */
    uint32_t key_updates;          /* TLS's own messages after the handshake, per connection */
    uint64_t handshake_timeout_ns; /* TLS */
    uint64_t preface_timeout_ns;   /* HTTP/2 preface and SETTINGS ACK */
    uint64_t headers_timeout_ns;   /* a header block, from its first byte */
    uint64_t body_progress_ns;     /* standstill of a message that was begun */
    size_t body_rate;              /* of such a message, bytes per second over body_progress */
    uint64_t write_stall_ns;       /* standstill of an answer */
    size_t write_rate;             /* of an answer, bytes per second over write_stall */
    size_t stalled_bytes;          /* per connection, of answers standing still for half of that */
    uint64_t tcp_user_timeout_ns;  /* bytes sent and not acknowledged by the peer's TCP */
    uint64_t keepalive_ns;         /* silence of the peer before it is asked by a PING; 0: never */
    uint64_t keepalive_timeout_ns; /* and from there to its end */
    uint64_t idle_ns;              /* connection without streams */
    uint64_t age_ns;               /* connection's life, ± 10 % */
    uint64_t age_grace_ns;         /* from GOAWAY to the end */
    uint32_t requests_per_connection;
    uint32_t connections_per_identity; /* over the process */
    uint32_t connections_total;        /* over the process */
    uint32_t accepts_per_second;       /* over the process */
    uint32_t offender_burst;           /* of an address that offended: TLS handshakes at once … */
    uint32_t offender_rate;            /* … and per second, while the rest waits … */
    uint64_t offender_time_ns;         /* … for so long after the last offence */
    size_t connection_memory;          /* over the process: bytes that connections hold */
    uint64_t deadline_default_ns;      /* calls that bring none */
    uint64_t deadline_cap_ns;
    struct rpc_identity_limits identities[RPC_IDENTITY_LIMITS_MAX]; /* the first NULL ends */
};
extern const struct rpc_limits rpc_limits_default;

/* What the program adds.  The functions never suspend, but for none. */
struct rpc_hooks {
    void *owner;
    /* The identity's name for a certificate's URI (NULL: none); never NULL: "stranger". */
    const char *(*identity)(void *owner, const char *uri);
    /* Checks on metadata, before the body is decoded.  OK or a refusal. */
    int (*gate)(struct call *call);
    /* Checks after unpacking, before the handler.  OK or a refusal. */
    int (*match)(struct call *call, const ProtobufCMessage *request);
    /* The body and HTTP status of a plain probe; 404: not a probe. */
    int (*probe)(void *owner, const char *path, struct buf *body);
};

/* A generated service with the struct of its handlers and their environment (call->service). */
struct rpc_registration {
    const struct rpc_service *service;
    const void *server;
    void *environment;
};

/* What workers and listener share: counts over the process.  Thread-safe. */
struct rpc_shared;
struct rpc_shared *rpc_shared_new(void);
void rpc_shared_free(struct rpc_shared *shared);
/* What there is to tell of them: see rpc/sockets.h. */
struct socket_registry;
struct socket_registry *rpc_shared_sockets(struct rpc_shared *shared);

struct protojson_types;
struct rpc_worker;
struct span_ring;

struct rpc_worker_settings {
    struct loop *loop;
    struct rpc_shared *shared;
    struct metrics *metrics; /* the worker's own set */
    const struct log *log;
    struct rpc_limits limits;
    struct rpc_hooks hooks;
    const struct protojson_types
        *any_types;      /* that an Any may hold in JSON; NULL: none; borrowed */
    bool plain_refusals; /* refusals are told by code and text alone, without google.rpc details */
    const struct rpc_registration *registrations; /* copied */
    size_t registration_count;
    struct span_ring *spans;  /* where spans go, the worker being its writer; NULL: nobody traces */
    uint64_t trace_threshold; /* see trace_ctx_sample() */
};

struct rpc_worker *rpc_worker_open(const struct rpc_worker_settings *settings);
/* All connections must be gone (see rpc_worker_drain). Accepts NULL. */
void rpc_worker_close(struct rpc_worker *worker);
/* Open connections.  Any thread. */
size_t rpc_worker_connections(const struct rpc_worker *worker);
/* Says GOAWAY to every connection (notice, then the last stream), finishes calls, closes what is left when
 * `grace_ns` is over, then calls done(owner) once.  From now on new sockets are closed. */
void rpc_worker_drain(struct rpc_worker *worker, uint64_t grace_ns, void (*done)(void *owner),
                      void *owner);

/* From now on these limits hold: at once for what is counted and timed, from the next connection on for what a
 * client was told or a connection was made with (streams, SETTINGS, CONTINUATION, KeyUpdates, age). */
void rpc_worker_set_limits(struct rpc_worker *worker, const struct rpc_limits *limits);
/* From now on traces that begin here are sampled by this. */
void rpc_worker_set_threshold(struct rpc_worker *worker, uint64_t trace_threshold);
/* Asks the identity hook again for every connection: calls that begin now have the new names. */
void rpc_worker_rename(struct rpc_worker *worker);

struct rpc_listener;

struct rpc_listener_settings {
    const char *address; /* numeric */
    uint16_t port;       /* 0: any free one */
    struct rpc_worker *const *workers;
    size_t worker_count;
    struct tls_context *tls; /* server side; referenced */
    struct rpc_shared *shared;
    struct metrics *metrics;
    const struct log *log;
    const struct rpc_limits *limits; /* copied */
};

/* Listens, accepts and shakes hands on `loop`, which should be no worker's.  Fault: FAULT_IO naming
 * address, port and reason. */
int rpc_listener_open(struct ctx *ctx, struct loop *loop,
                      const struct rpc_listener_settings *settings,
                      struct rpc_listener **listener) MUST_CHECK;
/* From now on; connections that exist stay. */
void rpc_listener_set_limits(struct rpc_listener *listener, const struct rpc_limits *limits);
uint16_t rpc_listener_port(const struct rpc_listener *listener);
void rpc_listener_close(struct rpc_listener *listener); /* accepts NULL */

#endif
