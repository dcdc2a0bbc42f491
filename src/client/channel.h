/* A gRPC client over mutual TLS, for C programs: tenantctl first.
 *
 * Straight-line: the functions wait, in a task of one loop or on a plain thread in poll(2), and every wait
 * has the deadline of its call.  A channel belongs to one loop or thread; on a loop any number of tasks
 * may call on it at once, on a plain thread any number of streams may be open.  What a call is answered is
 * in its status; faults are what kept it from having one. */
#ifndef CLIENT_CHANNEL_H
#define CLIENT_CHANNEL_H

#include "base/ctx.h"
#include "base/method.h"

#include <stdint.h>

struct client_channel;
struct client_stream;

/* Borrowed while the channel is made.  Files are read at each connect: a renewed certificate is used then. */
struct client_settings {
    const char *address;     /* "127.0.0.1:3000", "[::1]:3000" or "host:port" */
    const char *cert_file;   /* PEM: who we are */
    const char *key_file;    /* PEM */
    const char *ca_file;     /* PEM: whom we believe */
    const char *crl_file;    /* PEM: and whom no longer, a list of each CA; NULL: nobody is revoked */
    const char *server_name; /* the server certificate must carry it; NULL: the address's host */
    uint64_t connect_timeout_ns; /* for name, TCP and TLS together; 0: 20 s */
    uint64_t backoff_first_ns;   /* the pause after a connect that failed; 0: 1 s */
    uint64_t backoff_max_ns; /* … which grows by 1.6 up to this; 0: 120 s (connection-backoff.md) */
    /* PING after such a silence during calls; 0: none.  A call that begins after one asks at once.  Not below
     * CLIENT_KEEPALIVE_MIN_NS but in tests; doubled, up to 2 h, for each connection that the server
     * ends as "too_many_pings" (gRFC A8). */
    uint64_t keepalive_ns;
    uint64_t keepalive_timeout_ns; /* how long its answer may take; 0: 20 s */
    size_t compress_from;          /* of calls that name none; 0: nothing is compressed */
};

/* What gRPC's clients raise shorter ones to, and what our own server allows (limits.ping_interval). */
#define CLIENT_KEEPALIVE_MIN_NS (10 * NS_PER_S)

/* No input or output: the first call connects.  Owner: the caller. */
struct client_channel *client_channel_new(const struct client_settings *settings);
/* Connects now, so that a wrong setting is told before the first call; does nothing when connected.
 * Suspends. Faults: FAULT_CONFIG (the address, no such name), FAULT_TLS, FAULT_IO, FAULT_TIMEOUT,
 * FAULT_CANCELLED. */
int client_channel_connect(struct ctx *ctx, struct client_channel *channel) MUST_CHECK;
/* Changes compress_from of the settings, for the calls that follow. */
void client_channel_compress(struct client_channel *channel, size_t from);
/* Says GOAWAY when the socket takes it.  No call may be open and no task may wait (asserted).  Accepts
 * NULL. */
void client_channel_free(struct client_channel *channel);

#define CLIENT_METADATA_MAX 32
#define CLIENT_COMPRESS_NONE SIZE_MAX
#define CLIENT_NO_TIMEOUT UINT64_MAX /* of a call that may go on for ever, such as a watch */

/* Borrowed in a request; in the ctx's arena in an answer. */
struct client_field {
    const char
        *key; /* lower-case; with "-bin" at its end the value is bytes, coded on the wire only */
    struct slice value;
};

/* When a unary call is made again (gRFC A6).  Only what is safe to repeat is: a method without side
 * effects, a request with an idempotency-key, one that the caller vouches for, or one that no handler has
 * seen.  The last counts as no attempt of the policy: it goes again until it leaves us, at once the first
 * time and then with pauses as client_retry_default's, and once, at once, where the server refused it. */
struct client_retry {
    unsigned attempts_max; /* the first one counts; 1: none is repeated, whatever the reason */
    uint64_t
        pause_first_ns; /* grows twofold, with jitter; what the server asks for goes before it */
    uint64_t pause_max_ns;
    uint32_t codes; /* bits 1u << status; a lost connection counts as UNAVAILABLE */
    /* Instead of sleeping before attempt number `attempt`; false: let it be.  NULL: sleep.  May suspend. */
    bool (*pause)(void *owner, unsigned attempt, uint64_t ns);
    void *owner;
};

/* 5 attempts, 100 ms to 2 s, UNAVAILABLE. */
extern const struct client_retry client_retry_default;

/* One call: the caller fills the first part; the second is filled when the call is over and lives in
 * ctx->arena. */
struct client_call {
    struct ctx *ctx;
    struct client_channel *channel;
    uint64_t timeout_ns;  /* sent as grpc-timeout, over all attempts; 0: 10 s */
    bool waits_for_ready; /* while there is no connection, wait for one instead of failing */
    bool is_repeatable;   /* asking twice is as good as once */
    /* Messages of so many bytes and more are sent as gzip where that makes them smaller, and so may be the
     * answer's.  0: as the channel's; CLIENT_COMPRESS_NONE: none, for what mixes secrets with what others
     * choose ("BREACH").  A server that does not accept it is asked again without, but for streams; it must
     * say so (compression.md): UNIMPLEMENTED alone stands. */
    size_t compress_from;
    const struct client_retry *retry; /* NULL: only what no handler has seen goes again */
    struct client_field metadata[CLIENT_METADATA_MAX]; /* request metadata */
    size_t metadata_count;

    int status;           /* gRPC status code, 0 to 16; -1: the call has none */
    bool unprocessed;     /* no handler has seen it: any call may be repeated */
    bool unsent;          /* nor did it leave us: it waited for room on a connection that ended */
    bool unsendable;      /* its metadata is more than nghttp2 sends (64 KiB): never again */
    bool knows_no_gzip;   /* UNIMPLEMENTED, and the server accepts no gzip (compression.md) */
    bool goes_plain;      /* … which a unary call was made again without */
    unsigned attempts;    /* made */
    unsigned transparent; /* of them, made because no handler had seen the one before */
    bool was_refused;     /* … and the server had said so: it is asked once more, not for ever */
    const char *message;  /* grpc-message, decoded; "" when absent */
    struct slice details; /* grpc-status-details-bin, decoded */
    struct client_field answer[CLIENT_METADATA_MAX]; /* initial and trailing metadata */
    size_t answer_count;
};

/* Performs a unary call.  OK: the call has a status, the service's or what HTTP/2 and proxies told; *out
 * is the message (in the arena) when status is 0, untouched otherwise.  Suspends. Faults: as
 * client_channel_connect(), and FAULT_IO (connection lost), FAULT_TIMEOUT, FAULT_CANCELLED, FAULT_PROTOCOL
 * (status 0 and not one response message, or what came is not HTTP/2). */
int client_unary(struct client_call *call, const struct rpc_method *method,
                 const ProtobufCMessage *in, ProtobufCMessage **out) MUST_CHECK;

/* A metadata value of the answer; {NULL, 0} when absent. */
struct slice client_answer(const struct client_call *call, const char *key);

/* Of the status' details (google.rpc.Status): the first of this type.  False: there is none. */
bool client_detail(const struct client_call *call, const char *type, struct slice *value);
/* ErrorInfo.reason, "TENANT_NOT_FOUND"; "" when there is none. */
const char *client_reason(const struct client_call *call);
/* RetryInfo: when the service asks to be asked again.  False: it does not. */
bool client_retry_delay(const struct client_call *call, uint64_t *delay_ns);

/* --- streams: methods of any kind -------------------------------------------------------------------
 *
 * One task at a time.  A stream that no handler has seen is begun again on its own (see client_retry) with all
 * that was sent so far, of which 256 KiB are kept until the server answers: beyond that it is not. */

/* Begins a call.  `call` must live as long as the stream.  Owner: the caller.  Suspends.
 * Faults: as client_channel_connect(). */
int client_stream_open(struct client_call *call, const struct rpc_method *method,
                       struct client_stream **stream) MUST_CHECK;
/* The same where the client sends one message: with it, and the end of the request. */
int client_stream_begin(struct client_call *call, const struct rpc_method *method,
                        const ProtobufCMessage *in, struct client_stream **stream) MUST_CHECK;
/* Sends one message; waits while more than 64 KiB are on their way.  OK too when the server has ended the
 * call: client_stream_receive() tells.  Suspends.  Faults: as client_stream_open(). */
int client_stream_send(struct client_stream *stream, const ProtobufCMessage *message) MUST_CHECK;
/* Whether the messages that follow are compressed as the call says, which they are at first. */
void client_stream_compress(struct client_stream *stream, bool wanted);
/* No message follows ("half-close"). */
void client_stream_send_end(struct client_stream *stream);
/* The next message, in `arena`; NULL: the call is over and has its status.  A caller that takes none holds
 * the server back after 256 KiB.  Suspends.  Faults: as client_unary(). */
int client_stream_receive(struct client_stream *stream, struct arena *arena,
                          ProtobufCMessage **message) MUST_CHECK;
/* Gives up what is not over: RST_STREAM.  Accepts NULL. */
void client_stream_close(struct client_stream *stream);

#endif
