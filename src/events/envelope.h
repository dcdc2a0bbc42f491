/* Builds the bytes of an event: the platform's envelope F01 around a payload of ours.  Pure.
 *
 * The bytes are made in two parts, because the tenant's sequence is taken inside the INSERT that stores the
 * first one: envelope_pack() makes everything but incarnation, sequence and ingested_at; the relay appends
 * these with envelope_append().  A protobuf message is a list of fields, and "concatenating the encodings of
 * two messages is equivalent to encoding the merged message", so the result is one envelope. */
#ifndef EVENTS_ENVELOPE_H
#define EVENTS_ENVELOPE_H

#include "base/buf.h"
#include "base/ctx.h"

#include "domain/tenant.h"

#include "gen/events.h"

/* Who produces events; filled once at start. */
struct event_source {
    const char *service;  /* "tenant-service" */
    const char *instance; /* the replica */
    const char *commit;   /* the commit it was built from */
};

enum event_kind {
    EVENT_ORG_PROVISIONED,
    EVENT_ORG_UPDATED,
    EVENT_ORG_SUSPENDED,
    EVENT_ORG_REACTIVATED,
    EVENT_ORG_CLOSED,
    EVENT_ORG_PLAN_CHANGED,
};
#define EVENT_KIND_COUNT 6

/* Its row in the table that is made from the protos. */
const struct event_type *event_type_of(enum event_kind kind);

struct event {
    enum event_kind kind;
    struct uuid id;
    const struct event_source *source;
    const struct tenant *tenant; /* as it is after the change; all fields set */
    unsigned changed_fields;     /* EVENT_ORG_UPDATED: enum tenant_field bits */
    enum tenant_status previous; /* suspended, reactivated, closed: the status before … */
    const char *reason;          /* … and why, "" when none was given; else NULL */
    const struct tenant_plan *previous_plan; /* EVENT_ORG_PLAN_CHANGED: what it was before */
    const char *cause; /* id of the event that led here; NULL: a call did.  Not empty */
};

/* The envelope without what the relay appends.  Correlation id, trace and actor come from the ctx; the
 * bytes live in its arena. */
struct slice envelope_pack(const struct ctx *ctx, const struct event *event);

struct envelope_position {
    int64_t incarnation;
    int64_t sequence;
    uint64_t ingested_us; /* microseconds since 1970 */
    const char *consistency_token;
};

/* Appends what only the relay knows to a packed envelope. */
void envelope_append(struct buf *envelope, const struct envelope_position *position);

#endif
