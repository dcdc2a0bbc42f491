/* An event of tenant-service as libtenant-events hands it out.  Everything belongs to the event and lives
 * until the handler returns; the functions are for the handler's thread. */
#ifndef TENANT_EVENT_H
#define TENANT_EVENT_H

#include "tenant/events/v1/envelope.pb-c.h"

#include <protobuf-c/protobuf-c.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How far a tenant's events were applied.  {0, 0}: not at all. */
struct tenant_position {
    uint64_t
        incarnation; /* compared first; grows when the producer's database was taken back in time */
    uint64_t sequence; /* gapless within it, from 1 */
};

/* An event as the handler gets it.  Made by the library alone; members may be added at the end. */
struct tenant_event {
    const char *id;                /* "evt_…" */
    const char *type;              /* "tenant.org.updated": without the version */
    unsigned version;              /* 1 */
    const char *tenant_id;         /* "tnt_…" */
    struct tenant_position at;     /* this event's */
    struct tenant_position before; /* the tenant's position that this event is applied on top of */
    const Tenant__Events__V1__EventEnvelope *envelope;
    const void *bytes; /* the envelope as it came */
    size_t size;
    const char *subject;
    unsigned partition; /* 0 to 15 */
    uint64_t stream_sequence;
    uint64_t stored_ns; /* when the stream took it; nanoseconds since 1970 */
    unsigned attempt;   /* 1 when it is handled for the first time, as far as is known */
    bool
        is_requeued; /* a dead letter that an operator sent back: later events may have been applied */
    bool is_replayed; /* from tenant_replay_run() */
};

/* A header of the message; NULL: it has none of that name. */
const char *tenant_event_header(const struct tenant_event *event, const char *name);
/* The payload, unpacked by the event's type; NULL: a type or version that this library does not know, or bytes
 * that are no such message.  Belongs to the event. */
const ProtobufCMessage *tenant_event_payload(const struct tenant_event *event);
/* The same as the given type, for types that the library does not know. */
const ProtobufCMessage *tenant_event_payload_as(const struct tenant_event *event,
                                                const ProtobufCMessageDescriptor *type);

#ifdef __cplusplus
}
#endif

#endif
