/* Events as lines for people and as JSON or YAML for programs. */
#ifndef TENANTCTL_EVENT_OUTPUT_H
#define TENANTCTL_EVENT_OUTPUT_H

#include "output.h"

#include "gen/pb/tenant/events/v1/envelope.pb-c.h"

struct seen_event {
    unsigned partition;
    uint64_t stream_seq;
    uint64_t stored_ns;   /* by the stream, wall clock; 0: not told */
    uint64_t occurred_ns; /* wall clock */
    const char *subject;
    Tenant__Events__V1__EventEnvelope *envelope; /* NULL: there is no such message */
};

void event_print(const struct cli *cli, const struct seen_event *event);

#endif
