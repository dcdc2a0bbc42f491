/* Events as lines for people and as JSON or YAML for programs. */
#ifndef TENANTCTL_EVENT_OUTPUT_H
#define TENANTCTL_EVENT_OUTPUT_H

#include "output.h"
#include "streams.h"

#include "gen/pb/tenant/events/v1/envelope.pb-c.h"

struct seen_event {
    struct stored_message stored;
    uint64_t occurred_ns; /* wall clock */
    Tenant__Events__V1__EventEnvelope *envelope;
};

/* In the arena, or borrowed from the message.  False: its body is no envelope. */
bool event_read(struct arena *arena, const struct stored_message *stored, struct seen_event *out);
/* One line, or one document. */
void event_print(const struct cli *cli, const struct seen_event *event);
/* The same, always as JSON or YAML.  New reference. */
json_t *event_json(struct arena *arena, const struct seen_event *event);
/* Rows with all that there is about one event. */
void event_rows(const struct cli *cli, const struct seen_event *event);
/* A value as several lines of JSON, indented; drops the reference. */
void json_block(const struct cli *cli, json_t *value);
/* "2026-11-23T07:00:00.123456Z"; in the arena. */
const char *moment_text(struct arena *arena, uint64_t wall_ns);

#endif
