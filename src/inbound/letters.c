/* Events that can never be applied go to the stream of dead letters.  Called when an event is given up. */
#include "inbound/inbound_int.h"

#include "events/publish.h"
#include "events/subjects.h"

#include <stdio.h>

#define PATIENCE_NS (5 * NS_PER_S)

static struct dead_letter letter_of(struct inbound *inbound, const struct inbound_event *event,
                                    char tenant_id[ID_TEXT_SIZE]);

bool letter_store(struct inbound *inbound, const struct inbound_event *event, const char *cause,
                  const char *detail)
{
    char tenant_id[ID_TEXT_SIZE] = "";
    struct jetstream_message message;
    struct publish_result result;
    struct ctx *ctx = inbound_step(inbound, PATIENCE_NS);
    struct dead_letter letter = letter_of(inbound, event, tenant_id);
    letter.cause = slice_of_str(cause);
    letter.detail = slice_of_str(detail);
    dead_letter_message(ctx->arena, &letter, jetstream_max_payload(inbound->js), &message);
    if (publish_one(ctx, inbound->replies, &message, ++inbound->next_tag, &result) != OK) {
        inbound_failed(inbound, INBOUND_ERROR_BROKER, ctx_fault_text(ctx));
        return false;
    }
    attempts_letter(&inbound->attempts, event->key);
    metric_inc(inbound->metrics.outcomes[INBOUND_DEAD]);
    log_error(ctx, "inbound.dead", KV_STR("event_id", event->read.event_id),
              KV_STR("subject", event->subject), KV_STR("cause", cause), KV_STR("detail", detail));
    return true;
}

/* One that was sent back keeps what its letter says of the original. */
static struct dead_letter letter_of(struct inbound *inbound, const struct inbound_event *event,
                                    char tenant_id[ID_TEXT_SIZE])
{
    struct dead_letter letter = {
        .event_id = slice_of_str(event->read.event_id),
        .traceparent = slice_of_str(event->traceparent),
        .stream = slice_of_str(event->stream),
        .stream_seq = event->stream_seq,
        .subject = slice_of_str(event->subject),
    };
    (void)inbound;
    if (!uuid_is_nil(&event->read.tenant_id)) {
        id_format(ID_TENANT, &event->read.tenant_id, tenant_id);
        letter.tenant_id = slice_make(tenant_id, ID_TEXT_SIZE - 1);
        letter.partition = partition_of(&event->read.tenant_id);
    }
    if (event->is_requeued)
        letter = event->letter;
    letter.kind = DEAD_LETTER_OF_CONSUMER;
    letter.consumer = slice_of_str(INBOUND_GROUP);
    letter.deliveries += event->tries;
    letter.time_us = clock_wall() / NS_PER_US;
    letter.body = event->body;
    return letter;
}
