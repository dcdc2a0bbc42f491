/* A message of NATS: its headers, its size, and the names that the headers of our events have.  Pure. */
#ifndef EVENTS_MESSAGE_H
#define EVENTS_MESSAGE_H

#include "base/slice.h"

#define HEADER_EVENT_TYPE "Event-Type" /* tenant.org.provisioned.v1 */
#define HEADER_TENANT_ID "Tenant-Id"
#define HEADER_TENANT_SEQ "Tenant-Sequence"
#define HEADER_INCARNATION "Tenant-Incarnation"
#define HEADER_TRACEPARENT "traceparent"
#define HEADER_MSG_ID "Nats-Msg-Id"
#define HEADER_EXPECTED_LAST_SEQ "Nats-Expected-Last-Sequence"
#define HEADER_EXPECTED_LAST_ID "Nats-Expected-Last-Msg-Id"

#define JETSTREAM_HEADERS_MAX 20

struct jetstream_header {
    const char *name;
    const char *value; /* neither CR nor LF */
};

/* Borrows everything. */
struct jetstream_message {
    const char *subject;
    struct jetstream_header headers[JETSTREAM_HEADERS_MAX]; /* the first without name ends them */
    struct slice payload;
};

/* Bytes that the message takes in the sense of jetstream_max_payload(): headers and payload. */
size_t jetstream_message_size(const struct jetstream_message *message);

/* Finds a header's value in the block "NATS/1.0\r\nName: value\r\n…\r\n\r\n".  The first of several. */
bool nats_header_find(struct slice block, const char *name, struct slice *value);

#endif
