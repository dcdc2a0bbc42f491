/* Events that are given up go to stream TENANT_DLQ, in the form of events/dead_letter.h. */
#include "consumer/consumer_int.h"

#include "events/publish.h"

#define STORE_PATIENCE_NS (5 * NS_PER_S)
#define CAUSE_DEFAULT "HANDLER_FAILED"

static struct slice header(const struct event_view *view, const char *name);
static bool letter_store(struct tenant_consumer *consumer, const struct event_view *view,
                         const struct tenant_reason *reason, struct dead_letter *letter);

bool dead_store(struct tenant_consumer *consumer, const struct event_view *view,
                const struct tenant_reason *reason, unsigned attempts)
{
    struct dead_letter letter = {
        .partition = view->event.partition,
        .event_id = header(view, HEADER_MSG_ID),
        .event_type = header(view, HEADER_EVENT_TYPE),
        .tenant_id = header(view, HEADER_TENANT_ID),
        .tenant_seq = header(view, HEADER_TENANT_SEQ),
        .incarnation = header(view, HEADER_INCARNATION),
        .traceparent = header(view, HEADER_TRACEPARENT),
        .stream = slice_of_str(consumer->sources[view->source].stream),
        .stream_seq = view->event.stream_sequence,
        .subject = slice_of_str(view->event.subject),
        .deliveries = attempts,
    };
    return letter_store(consumer, view, reason, &letter);
}

bool dead_store_again(struct tenant_consumer *consumer, const struct event_view *view,
                      const struct tenant_reason *reason, struct dead_letter *letter)
{
    letter->deliveries += view->delivered;
    return letter_store(consumer, view, reason, letter);
}

static struct slice header(const struct event_view *view, const char *name)
{
    const char *value = tenant_event_header(&view->event, name);
    return value == NULL ? slice_make(NULL, 0) : slice_of_str(value);
}

static bool letter_store(struct tenant_consumer *consumer, const struct event_view *view,
                         const struct tenant_reason *reason, struct dead_letter *letter)
{
    if (!broker_is_up(consumer))
        return false;
    struct slice cause = slice_make(reason->cause, strnlen(reason->cause, sizeof reason->cause));
    struct slice detail =
        slice_make(reason->detail, strnlen(reason->detail, sizeof reason->detail));
    letter->kind = DEAD_LETTER_OF_CONSUMER;
    letter->consumer = slice_of_str(consumer->settings.group);
    letter->cause = dead_letter_cause_ok(cause) ? cause : slice_of_str(CAUSE_DEFAULT);
    letter->detail = detail.size > 0 || view->fault == NULL ? detail : slice_of_str(view->fault);
    letter->time_us = clock_wall() / NS_PER_US;
    letter->body = slice_make(view->event.bytes, view->event.size);
    struct jetstream_message message;
    struct ctx *ctx = consumer_step(consumer, STORE_PATIENCE_NS);
    dead_letter_message(view->arena, letter, jetstream_max_payload(consumer->js), &message);
    struct publish_result result; /* one that is stored already is as good */
    if (publish_one(ctx, consumer->replies, &message, ++consumer->next_tag, &result) == OK)
        return true;
    consumer_count(consumer, COUNT_BROKER_FAILURES);
    consumer_notice(consumer, 2, "a dead letter cannot be stored: %s", ctx_fault_text(ctx));
    return false;
}
