/* What came back on the stream of one call, field by field, and what it means.  For unary.c. */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

#include "client/channel.h"

/* decoded, 32 more per field; announced as SETTINGS_MAX_HEADER_LIST_SIZE, as the server's own for requests */
#define CLIENT_HEADER_BYTES_MAX (16u << 10)

/* Zeroed for each call. */
struct answer {
    int http_status;       /* 0: none came */
    bool is_grpc;          /* the content-type is gRPC's: without it nothing else is believed */
    bool is_gzip;          /* grpc-encoding: messages may be compressed */
    bool knows_gzip;       /* grpc-accept-encoding has it … */
    bool knows_no_gzip;    /* … came without it */
    bool has_status;       /* grpc-status came, with the end of the stream */
    int status;            /* meaningful with has_status */
    const char *message;   /* grpc-message, decoded; NULL: none */
    size_t header_bytes;   /* of all blocks */
    bool overflown;        /* more fields or bytes than a well-behaved server sends */
    const char *bad_field; /* a "-bin" value that is not base64; NULL: none */
    bool too_large;        /* the message is beyond CLIENT_MESSAGE_MAX */
    bool cut;              /* it ended within a message */
    bool was_reset;        /* the stream ended without END_STREAM */
    uint32_t close_code;   /* the HTTP/2 error code that the stream ended with */
};

/* Takes one field of a header block into `answer` and the call's metadata; `last`: the block ends the stream.
 * False: too much, and the rest is not worth reading. */
bool answer_take_field(struct answer *answer, struct client_call *call, bool last,
                       const struct slice field[2]);
/* Writes the call's status and message when the stream is over, by grpc-status or by what HTTP told
 * (PROTOCOL-HTTP2.md, http-grpc-status-mapping.md). */
void answer_judge(const struct answer *answer, struct client_call *call);
/* "1*DIGIT" of a known code; UNKNOWN else: a status that cannot be read must not pass for success. */
int answer_parse_status(struct slice text);

#endif
