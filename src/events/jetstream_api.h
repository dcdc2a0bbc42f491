/* One question to the JetStream API, with the server's refusal told apart from the answer. */
#ifndef EVENTS_JETSTREAM_API_H
#define EVENTS_JETSTREAM_API_H

#include "events/jetstream.h"

/* nats-server/server/errors.json */
#define ERR_CONSUMER_NOT_FOUND 10014
#define ERR_MESSAGE_NOT_FOUND 10037
#define ERR_STREAM_MISSING 10059
#define ERR_WRONG_LAST_SEQUENCE 10071

/* The reply replaces what `reply` held.  *err_code is 0 when the server did what was asked, else its own
 * number of the error.  Faults: BROKER, TIMEOUT, PROTOCOL. */
/* lint-allow parameters: question and answer, two of each */
int jetstream_api(struct ctx *ctx, struct jetstream *js, const char *verb, struct slice payload,
                  struct buf *reply, uint64_t *err_code) MUST_CHECK;

#endif
