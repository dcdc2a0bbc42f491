/* Rows as messages; see relay_wire_int.h.  Called when a window is sent and when a dead letter is written. */
#include "events/relay_wire_int.h"

#include "events/envelope.h"

#include "base/alloc.h"

#include "tokens/consistency_token.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What the headers and the relay's own fields add to a row's payload, at most. */
#define WIRE_OVERHEAD_MAX 1024

static const char *token_of(struct relay *relay, const struct outbox_row *row);
static void header_put(struct wire_event *wire, const char *name, const char *value);

struct wire_event *wire_event_new(struct relay *relay)
{
    struct wire_event *wire = xcalloc(1, sizeof *wire);
    wire->relay = relay;
    return wire;
}

void wire_event_free(struct wire_event *wire)
{
    buf_deinit(&wire->payload);
    free(wire);
}

/* Nats-Msg-Id lets the server drop a repetition within its duplicate window; the two
 * Nats-Expected headers refuse what the window does not cover.  One buffer serves all:
 * jetstream_send() has copied it. */
void wire_event_fill(struct wire_event *wire, const struct outbox_row *row,
                     const struct outbox_row *before, uint64_t expected)
{
    bool known = subject_with_partition(row->subject, row->shard, wire->subject);
    assert(known); /* wire_event_judge() saw it */
    id_format(ID_EVENT, &row->msg_id, wire->msg_id);
    id_format(ID_TENANT, &row->tenant_id, wire->tenant_id);
    snprintf(wire->seq, sizeof wire->seq, "%" PRId64, row->seq);
    snprintf(wire->incarnation, sizeof wire->incarnation, "%" PRId64, row->incarnation);
    snprintf(wire->expected, sizeof wire->expected, "%" PRIu64, expected);
    wire->headers = 0;
    header_put(wire, HEADER_MSG_ID, wire->msg_id);
    header_put(wire, HEADER_EXPECTED_LAST_SEQ, wire->expected);
    if (before != NULL) {
        id_format(ID_EVENT, &before->msg_id, wire->link);
        header_put(wire, HEADER_EXPECTED_LAST_ID, wire->link);
    }
    header_put(wire, HEADER_EVENT_TYPE, row->subject);
    header_put(wire, HEADER_TENANT_ID, wire->tenant_id);
    header_put(wire, HEADER_TENANT_SEQ, wire->seq);
    header_put(wire, HEADER_INCARNATION, wire->incarnation);
    if (strlen(row->traceparent) + 1 == TRACEPARENT_SIZE)
        header_put(wire, HEADER_TRACEPARENT, row->traceparent);
    header_put(wire, NULL, NULL);
    wire->message.subject = wire->subject;
    wire->message.payload = wire_event_body(wire, row);
}

struct slice wire_event_body(struct wire_event *wire, const struct outbox_row *row)
{
    const struct envelope_position position = {
        .incarnation = row->incarnation,
        .sequence = row->seq,
        .ingested_us = clock_wall() / NS_PER_US,
        .consistency_token = token_of(wire->relay, row),
    };
    buf_clear(&wire->payload);
    buf_put_slice(&wire->payload, row->payload);
    envelope_append(&wire->payload, &position);
    return buf_slice(&wire->payload);
}

/* A rough bound decides nearly always; an event that would just fit is not given up for it. */
enum wire_verdict wire_event_judge(struct relay *relay, const struct outbox_row *row)
{
    char subject[SUBJECT_SIZE];
    size_t limit = jetstream_max_payload(relay->js);
    if (!subject_with_partition(row->subject, row->shard, subject))
        return WIRE_FOREIGN;
    if (row->payload.size + WIRE_OVERHEAD_MAX <= limit)
        return WIRE_FITS;
    if (row->payload.size > limit)
        return WIRE_TOO_LARGE;
    struct wire_event *wire = wire_event_new(relay);
    wire_event_fill(wire, row, row, UINT64_MAX);
    bool fits = jetstream_message_size(&wire->message) <= limit;
    wire_event_free(wire);
    return fits ? WIRE_FITS : WIRE_TOO_LARGE;
}

/* In the arena of the relay's turn. */
static const char *token_of(struct relay *relay, const struct outbox_row *row)
{
    const struct consistency_point point = {
        .tenant = row->tenant_id,
        .epoch = {row->incarnation, row->epoch},
        .sequence = row->seq,
    };
    struct token_keys *keys = relay->settings->token_keys;
    return keys == NULL ? "" : consistency_token_make(relay->ctx.arena, keys, &point);
}

static void header_put(struct wire_event *wire, const char *name, const char *value)
{
    assert(wire->headers < JETSTREAM_HEADERS_MAX);
    wire->message.headers[wire->headers++] = (struct jetstream_header){name, value};
}
