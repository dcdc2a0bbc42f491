/* A gRPC client channel over mutual TLS, for C programs: tenantctl first.
 *
 * Straight-line: the functions wait (in a task, or on a plain thread in poll(2)) and every wait has the
 * deadline of its call.  One call at a time per channel; a channel belongs to one thread or loop. */
#ifndef CLIENT_CHANNEL_H
#define CLIENT_CHANNEL_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/method.h"

#include <stdint.h>

struct client_channel;

/* Borrowed while the channel opens.  Files are read then. */
struct client_settings {
    const char *address;   /* "127.0.0.1:3000", "[::1]:3000" or "host:port" */
    const char *cert_file; /* PEM: who we are */
    const char *key_file;  /* PEM */
    const char *ca_file;   /* PEM: whom we believe */
    const char
        *server_name; /* name the server's certificate must carry; NULL: the address's host */
    uint64_t connect_timeout_ns; /* for name, TCP and TLS together; 0: 5 s */
};

/* Connects and shakes hands.  Owner of the channel: the caller.  A host name is resolved with
 * getaddrinfo(3), which blocks: on a loop use a numeric address.  Suspends.
 * Faults: FAULT_CONFIG (the address), FAULT_TLS, FAULT_IO, FAULT_TIMEOUT. */
int client_channel_open(struct ctx *ctx, const struct client_settings *settings,
                        struct client_channel **channel) MUST_CHECK;
/* Sends GOAWAY when the socket takes it.  Accepts NULL. */
void client_channel_close(struct client_channel *channel);
/* False once the connection is lost or the server has said GOAWAY: open another one. */
bool client_channel_is_usable(const struct client_channel *channel);

#define CLIENT_METADATA_MAX 32

/* Borrowed in a request; in the ctx's arena in an answer. */
struct client_field {
    const char *
        key; /* lower-case; the value of one that ends in "-bin" is bytes, coded on the wire only */
    struct slice value;
};

/* One unary call: the caller fills the first part, client_unary() the second.  Everything in the second
 * part lives in ctx->arena. */
struct client_call {
    struct ctx *ctx;
    struct client_channel *channel;
    uint64_t timeout_ns;                               /* sent as grpc-timeout; 0: 10 s */
    struct client_field metadata[CLIENT_METADATA_MAX]; /* request metadata */
    size_t metadata_count;

    int status;           /* gRPC status code, 0 to 16 */
    bool unprocessed;     /* no handler has seen it: any call may be repeated */
    const char *message;  /* grpc-message, decoded; "" when absent */
    struct slice details; /* grpc-status-details-bin, decoded */
    struct client_field answer[CLIENT_METADATA_MAX]; /* initial and trailing metadata */
    size_t answer_count;
};

/* Performs the call.  OK: the call has a status, the service's or what HTTP/2 and proxies told; *out is the
 * message (in the arena) when status is 0, untouched otherwise.  Suspends.
 * Faults: FAULT_IO (connection lost), FAULT_TIMEOUT, FAULT_CANCELLED (the channel stays usable after these
 * two), FAULT_TLS, FAULT_PROTOCOL (status 0 and not one response message, or what came is not HTTP/2). */
int client_unary(struct client_call *call, const struct rpc_method *method,
                 const ProtobufCMessage *in, ProtobufCMessage **out) MUST_CHECK;

/* A metadata value of the answer; {NULL, 0} when absent. */
struct slice client_answer(const struct client_call *call, const char *key);

#endif
