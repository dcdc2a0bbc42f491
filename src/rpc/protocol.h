/* Which protocol a request speaks: gRPC, gRPC-Web or Connect, told by its method and content type.
 *
 * Handlers never see the difference.  What differs lies here, in codec.[ch] (messages), connect_query.[ch]
 * (GET) and ending.[ch] (how an answer ends). */
#ifndef RPC_PROTOCOL_H
#define RPC_PROTOCOL_H

#include "base/method.h"
#include "base/slice.h"

enum protocol {
    PROTOCOL_GRPC,           /* length-prefixed messages, HTTP trailers */
    PROTOCOL_GRPC_WEB,       /* the same, its trailers in a frame of the body */
    PROTOCOL_CONNECT_UNARY,  /* the message is the body, an error an HTTP status */
    PROTOCOL_CONNECT_GET,    /* the same, the request in the query */
    PROTOCOL_CONNECT_STREAM, /* length-prefixed messages, the end in a last envelope */
};

enum codec {
    CODEC_PROTO,
    CODEC_JSON,
};

struct dialect {
    enum protocol protocol;
    enum codec codec; /* of a GET: proto until its query was read */
};

/* What an HTTP server answers to a request that is none of ours. */
struct http_refusal {
    int status;              /* 0: none */
    const char *allow;       /* of a 405 */
    const char *accept_post; /* of a 415 */
};

/* `method` as its path says; NULL: unknown.  *dialect is written unless the request is refused. */
struct http_refusal protocol_of_request(const struct rpc_method *method, struct slice http_method,
                                        struct slice content_type, struct dialect *dialect);
/* The content type of an answer that is no Connect error. */
const char *protocol_content_type(const struct dialect *dialect);
/* For logs: "grpc", "grpc-web", "connect". */
const char *protocol_name(enum protocol protocol);
/* The header fields that name the encoding of messages, and the encodings that may come back. */
struct encoding_names {
    const char *sent;
    const char *accepted;
};
const struct encoding_names *protocol_encoding_names(enum protocol protocol);
/* The body is one message, without prefix. */
bool protocol_is_bare(enum protocol protocol);
/* Connect of any kind. */
bool protocol_is_connect(enum protocol protocol);

#endif
