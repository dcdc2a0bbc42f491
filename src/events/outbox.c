/* Writes events into the outbox.  Called by the service layer's writes. */
#include "events/outbox.h"
#include "events/subjects.h"

#include "store/outbox_store.h"

#include "gen/errors.h"

/* A NATS server takes 1 MiB by default, headers and what the relay appends included. The domain's limits
 * keep a tenant far below; this catches a limit that grew without thought. */
#define EVENT_SIZE_MAX (1000 * 1024)

int outbox_append(struct tx *tx, const struct event *template, struct rows *point)
{
    struct event event = *template;
    event.id = uuid_new();
    const struct ctx *ctx = tx_ctx(tx);
    char traceparent[TRACEPARENT_SIZE] = "";
    if (ctx->trace.trace_id[0] != '\0')
        trace_ctx_format(&ctx->trace, traceparent);
    const struct outbox_event row = {
        .tenant_id = event.tenant->id,
        .msg_id = event.id,
        .shard = partition_of(&event.tenant->id),
        .subject = event_type_of(event.kind)->subject,
        .payload = envelope_pack(ctx, &event),
        .traceparent = traceparent,
    };
    if (row.payload.size > EVENT_SIZE_MAX)
        return INVALID_ARGUMENT;
    outbox_store_append(tx, &row, point);
    return OK;
}
