/* A fetched message as an event: the bytes unpacked, checked, and shown to the handler. */
#ifndef CONSUMER_EVENT_H
#define CONSUMER_EVENT_H

#include "base/arena.h"
#include "base/id.h"

#include "events/jetstream_pull.h"
#include "tenant/events.h"

#define ACK_SUBJECT_SIZE 320

enum event_form {
    EVENT_GOOD,
    EVENT_MALFORMED, /* no envelope, but its headers say whose it is and where it stands */
    EVENT_NAMELESS,  /* not even that */
};

/* What the library knows of an event beside what the handler sees. */
struct event_view {
    struct tenant_event event; /* first: tenant_event_header() finds the view by it */
    enum event_form form;
    const char *fault; /* of one that is not good: what is wrong */
    struct uuid tenant;
    unsigned source;
    uint64_t place;      /* its sequence in the stream of its source */
    const char *reply;   /* where its acknowledgement goes */
    uint64_t delivered;  /* times */
    struct arena *arena; /* of the event */
    const struct jetstream_inbox *inbox;
    const ProtobufCMessage *payload; /* once it was asked for */
    bool payload_tried;
};

/* Reads a message of `partition`.  Everything borrows from the delivery and the arena, which is bounded: bytes
 * that unpack to more are malformed. */
void event_read(struct event_view *view, const struct jetstream_delivery *delivery,
                const struct jetstream_inbox *inbox, struct arena *arena);

/* The pure part, for tests: bytes and three header values (NULL: none). */
struct event_headers {
    const char *tenant_id;
    const char *sequence;
    const char *incarnation;
};
void event_unpack(struct event_view *view, struct slice bytes, const struct event_headers *headers);

#endif
