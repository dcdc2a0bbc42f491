/* Reads the streams of events message by message, so that it leaves no consumer behind on the server. */
#ifndef TENANTCTL_STREAMS_H
#define TENANTCTL_STREAMS_H

#include "cli.h"

#include "events/jetstream.h"

#include <jansson.h>

struct streams {
    struct cli *cli; /* whose arena, as it is at each call, holds what is read */
    struct jetstream *js;
};

/* Connects with the settings of the cli.  OK, or an exit status after saying why not. */
int streams_open(struct cli *cli, struct streams *out);
void streams_close(struct streams *streams);
/* What is read and said from now on lives in `arena`; returns the one before. */
struct arena *streams_arena(struct streams *streams, struct arena *arena);
/* Explains the fault of the last call and returns the exit status for it. */
int streams_failed(struct streams *streams);

/* All below: OK or a fault. */

/* One question to the JetStream API.  *reply is the answer, for json_decref(); an "error" with the code 404
 * is no fault: *reply is NULL then. */
int streams_ask(struct streams *streams, const char *verb, const char *payload, json_t **reply);

struct stream_facts {
    const char *name; /* as it was asked for */
    bool exists;
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t messages;
    uint64_t bytes;
};
int streams_facts(struct streams *streams, const char *stream, struct stream_facts *out);

struct stored_message {
    const char *stream; /* as it was asked for */
    uint64_t seq;       /* 0: there is no such message (any more, or yet) */
    uint64_t stored_ns; /* wall clock; by the stream */
    const char *subject;
    struct slice headers; /* "NATS/1.0\r\n…", or empty */
    struct slice body;
};
/* The message with this sequence. */
int streams_at(struct streams *streams, const char *stream, uint64_t seq,
               struct stored_message *out);

struct stream_place {
    const char *stream;
    const char *subject; /* may have wildcards */
    uint64_t seq;
};
/* The first message there or behind it, on the subject. */
int streams_next(struct streams *streams, const struct stream_place *from,
                 struct stored_message *out);
/* The sequence of the first message that was stored at that moment or later; behind the last one when there
 * is none. */
int streams_since(struct streams *streams, const struct stream_facts *facts, uint64_t time_ns,
                  uint64_t *seq);

#endif
