/* libtenant: a client of tenant-service for C programs, over gRPC with mutual TLS.
 *
 *     struct tenant_client *client = tenant_client_new(&(struct tenant_client_options){
 *         .address = "tenant-service:3000", .cert_file = …, .key_file = …, .ca_file = …});
 *     struct tenant_answer *answer =
 *         tenant_get_tenant(client, &(struct tenant_call){.tenant_id = id}, &request);
 *     if (tenant_answer_code(answer) == TENANT_OK) …
 *     tenant_answer_free(answer);
 *     tenant_client_free(client);
 *
 * The typed functions of each service (tenant_get_tenant()) stand in tenant/tenant_service.h and
 * tenant/health.h.  A client connects when a call needs it, keeps its connection, reconnects with gRPC's
 * backoff, and repeats what is safe to repeat.  It belongs to one thread at a time and starts none; every
 * call has a deadline.  Nothing is global, and SIGPIPE is never raised.  Running out of memory aborts. */
#ifndef TENANT_CLIENT_H
#define TENANT_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tenant_client;
struct tenant_answer;
struct tenant_stream;

/* gRPC's status codes (grpc/doc/statuscodes.md). */
enum tenant_code {
    TENANT_OK = 0,
    TENANT_CANCELLED = 1,
    TENANT_UNKNOWN = 2,
    TENANT_INVALID_ARGUMENT = 3,
    TENANT_DEADLINE_EXCEEDED = 4,
    TENANT_NOT_FOUND = 5,
    TENANT_ALREADY_EXISTS = 6,
    TENANT_PERMISSION_DENIED = 7,
    TENANT_RESOURCE_EXHAUSTED = 8,
    TENANT_FAILED_PRECONDITION = 9,
    TENANT_ABORTED = 10,
    TENANT_OUT_OF_RANGE = 11,
    TENANT_UNIMPLEMENTED = 12,
    TENANT_INTERNAL = 13,
    TENANT_UNAVAILABLE = 14,
    TENANT_DATA_LOSS = 15,
    TENANT_UNAUTHENTICATED = 16,
};

/* Borrowed while the client is made.  Files are read at each connect, so that renewed ones are used. */
struct tenant_client_options {
    const char *address;     /* "host:port", "127.0.0.1:3000" or "[::1]:3000" */
    const char *cert_file;   /* PEM: who we are */
    const char *key_file;    /* PEM */
    const char *ca_file;     /* PEM: whom we believe */
    const char *server_name; /* the server's certificate must carry it; NULL: the address's host */
    unsigned connect_timeout_ms; /* for name, TCP and TLS together; 0: 20,000 */
    /* For watches: PING after such a silence during calls, whose answer has 20 s, or they are
     * TENANT_UNAVAILABLE; 0: none.  Less than 10,000 counts as that, for servers do not bear more. */
    unsigned keepalive_ms;
};

/* No input or output.  NULL: an option that must be given is not.  Owner: the caller. */
struct tenant_client *tenant_client_new(const struct tenant_client_options *options);
/* Messages of so many bytes and more, of the calls that follow, are sent as gzip where that makes them smaller,
 * and so may be the answers; 0: none, as at first.  A server that cannot read it, and says what it accepts, is
 * asked again without by unary calls whose attempts_max is not 1; a stream is told TENANT_UNIMPLEMENTED.  From
 * then on that connection gets none. */
void tenant_client_compress(struct tenant_client *client, unsigned from);
/* Every answer and stream of it must be gone.  Accepts NULL. */
void tenant_client_free(struct tenant_client *client);

struct tenant_field {
    const char *key; /* lower-case; with "-bin" at its end the value may be any bytes */
    const void *value;
    size_t size;
};

/* How a call is made; all zero is a good call.  Borrowed while it runs. */
struct tenant_call {
    unsigned timeout_ms;   /* over all attempts; 0: 10,000, TENANT_NO_TIMEOUT: none (streams) */
    const char *tenant_id; /* x-tenant-id */
    const char *idempotency_key;   /* idempotency-key: makes a write repeatable */
    const char *consistency_token; /* x-consistency-token: read at least what it was given for */
    bool waits_for_ready;  /* while the service cannot be reached, wait instead of failing */
    bool is_repeatable;    /* asking twice is as good as once, though nothing says so */
    bool is_uncompressed;  /* in spite of tenant_client_compress(): it mixes secrets with what others choose */
    /* 0: 5; 1: never again.  Attempts that no handler has seen go again without counting: they come on top, but
     * not with 1. */
    unsigned attempts_max;
    const struct tenant_field *metadata; /* at most 24 more fields */
    size_t metadata_count;
};

#define TENANT_NO_TIMEOUT ((unsigned)-1)

/* One unary call.  Never NULL; owner: the caller.  Blocks until the answer or the deadline. */
/* lint-allow parameters: who, how, what, and the two messages */
struct tenant_answer *tenant_client_call(struct tenant_client *client,
                                         const struct tenant_call *call, const char *path,
                                         const ProtobufCMessage *request,
                                         const ProtobufCMessageDescriptor *response);
void tenant_answer_free(struct tenant_answer *answer); /* accepts NULL */

/* All that follows lives as long as the answer. */
enum tenant_code tenant_answer_code(const struct tenant_answer *answer);
/* For a person; "" when the code is TENANT_OK. */
const char *tenant_answer_message(const struct tenant_answer *answer);
/* What the refusal is, for a program: ErrorInfo.reason ("TENANT_NOT_FOUND"); "" when the service named none. */
const char *tenant_answer_reason(const struct tenant_answer *answer);
/* The response; NULL unless the code is TENANT_OK, and for streams. */
const ProtobufCMessage *tenant_answer_response(const struct tenant_answer *answer);
/* A metadata value ("x-request-id"), with a NUL behind it; NULL when absent.  `size` may be NULL. */
const void *tenant_answer_field(const struct tenant_answer *answer, const char *key, size_t *size);
/* google.rpc.Status in protobuf; NULL when absent.  `size` may be NULL. */
const void *tenant_answer_details(const struct tenant_answer *answer, size_t *size);
/* Attempts made, with those that no handler has seen: more than attempts_max may be; 0 when none could be. */
unsigned tenant_answer_attempts(const struct tenant_answer *answer);

/* --- streams ---------------------------------------------------------------------------------------- */

/* Begins a call of any kind.  Never NULL: what went wrong is told at its end.  The `call` is copied but for its
 * texts, which must live as long as the stream. */
/* lint-allow parameters: who, how, what, and the two messages */
struct tenant_stream *tenant_client_stream(struct tenant_client *client,
                                           const struct tenant_call *call, const char *path,
                                           const ProtobufCMessageDescriptor *request,
                                           const ProtobufCMessageDescriptor *response);
/* False: the call is over, see tenant_stream_end(), or its sending was ended.  Blocks while 64 KiB are on their
 * way; and where no handler has seen the call, while it is made again on another connection, pause and connect
 * included, up to its deadline. */
bool tenant_stream_send(struct tenant_stream *stream, const ProtobufCMessage *message);
/* No message follows. */
void tenant_stream_send_end(struct tenant_stream *stream);
/* The next message, which lives until the next call on the stream; NULL: the call is over.  Blocks. */
const ProtobufCMessage *tenant_stream_receive(struct tenant_stream *stream);
/* Gives up what is not over (TENANT_CANCELLED) and frees the stream.  The answer has the call's status. */
struct tenant_answer *tenant_stream_end(struct tenant_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
