/* An outbox row as the message that is published of it; for relay*.c only. */
#ifndef EVENTS_RELAY_WIRE_INT_H
#define EVENTS_RELAY_WIRE_INT_H

#include "events/relay_int.h"

/* A message with the memory that its headers point to; may be filled again and again. */
struct wire_event {
    struct relay *relay; /* whose keys and arena the consistency token is made with */
    struct jetstream_message message;
    struct buf payload;
    size_t headers;
    char subject[SUBJECT_SIZE];
    char msg_id[ID_TEXT_SIZE];
    char link[ID_TEXT_SIZE];
    char tenant_id[ID_TEXT_SIZE];
    char seq[24];
    char incarnation[24];
    char expected[24];
};

struct wire_event *wire_event_new(struct relay *relay);
void wire_event_free(struct wire_event *wire);

/* The message of a row that is sent behind `before` (NULL: it is the first of its window) and expects the
 * stream's last sequence to be `expected`.  The row's subject must have a partition (asserted).  Valid until
 * the next fill. */
void wire_event_fill(struct wire_event *wire, const struct outbox_row *row,
                     const struct outbox_row *before, uint64_t expected);
/* The body alone, whatever the subject is. */
struct slice wire_event_body(struct wire_event *wire, const struct outbox_row *row);

enum wire_verdict {
    WIRE_FITS,
    WIRE_TOO_LARGE, /* for the server, headers included */
    WIRE_FOREIGN,   /* its subject is none of ours */
};
/* Whether the connection's server takes the row's message; measured exactly where it is close. */
enum wire_verdict wire_event_judge(struct relay *relay, const struct outbox_row *row);

#endif
