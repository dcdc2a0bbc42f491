/* Dead letters that come back: handled once more, apart from the order of their tenant, whose position has
 * long passed them.  Called by the intake of the member that holds partition 0. */
#include "consumer/consumer_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define AGAIN_NS NS_PER_S

static bool letter_read(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery,
                        struct dead_letter *letter);
static bool header_find(const void *from, const char *name, struct slice *value);
static enum tenant_outcome attempt(struct tenant_consumer *consumer, struct event_view *view,
                                   const struct dead_letter *letter, struct tenant_reason *reason);
static void settle(struct tenant_consumer *consumer, const struct event_view *view,
                   enum tenant_outcome outcome);

/* What is no letter to this group was published by somebody who does not keep to the form: nobody can use
 * it. */
void requeued_take(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery)
{
    struct dead_letter letter;
    struct tenant_reason reason = {.cause = ""};
    if (!letter_read(consumer, delivery, &letter)) {
        consumer_notice(consumer, 2, "%s: message %llu is no dead letter", DEAD_LETTER_STREAM,
                        (unsigned long long)delivery->place.stream_seq);
        (void)broker_ack(consumer, delivery->reply, ACK_GIVEN_UP, 0);
        return;
    }
    struct event_view view = {
        .event = {.subject = delivery->subject,
                  .partition = letter.partition,
                  .stream_sequence = letter.stream_seq,
                  .stored_ns = delivery->place.stored_ns,
                  .is_requeued = true},
        .source = SOURCE_REQUEUED,
        .place = delivery->place.stream_seq,
        .reply = delivery->reply,
        .delivered = delivery->place.delivered,
        .arena = consumer->event_arena,
        .inbox = consumer->inbox,
    };
    event_unpack(&view, delivery->payload, NULL);
    unsigned failed = attempts_before(consumer, &view);
    view.event.attempt = failed + 1;
    enum tenant_outcome outcome = attempt(consumer, &view, &letter, &reason);
    failed += outcome == TENANT_EVENT_RETRY;
    if (outcome == TENANT_EVENT_RETRY && failed >= consumer->settings.attempts_max)
        outcome = TENANT_EVENT_DEAD;
    if (outcome == TENANT_EVENT_DEAD && !dead_store_again(consumer, &view, &reason, &letter))
        outcome = TENANT_EVENT_STALE;
    bool is_over = outcome == TENANT_EVENT_DONE || outcome == TENANT_EVENT_DEAD;
    (void)attempts_note(consumer, &view, is_over ? 0 : failed, false);
    settle(consumer, &view, outcome);
}

static bool letter_read(struct tenant_consumer *consumer, const struct jetstream_delivery *delivery,
                        struct dead_letter *letter)
{
    const struct header_source source = {.find = header_find, .from = consumer->inbox};
    return dead_letter_parse(slice_of_str(delivery->subject), source, letter) &&
           letter->kind == DEAD_LETTER_REQUEUED &&
           slice_is(letter->consumer, consumer->settings.group);
}

static bool header_find(const void *from, const char *name, struct slice *value)
{
    const char *text = jetstream_header(from, name);
    if (text == NULL)
        return false;
    *value = slice_of_str(text);
    return true;
}

static enum tenant_outcome attempt(struct tenant_consumer *consumer, struct event_view *view,
                                   const struct dead_letter *letter, struct tenant_reason *reason)
{
    if (view->form == EVENT_GOOD) {
        enum tenant_outcome outcome = attempts_begin(consumer, view, reason);
        return outcome == TENANT_EVENT_DONE ? handler_call(consumer, view, reason) : outcome;
    }
    snprintf(reason->cause, sizeof reason->cause, "%s",
             letter->body_omitted ? "TOO_LARGE" : "MALFORMED");
    return TENANT_EVENT_DEAD;
}

static void settle(struct tenant_consumer *consumer, const struct event_view *view,
                   enum tenant_outcome outcome)
{
    switch (outcome) {
    case TENANT_EVENT_DONE:
        consumer_count(consumer, COUNT_REQUEUED);
        (void)broker_ack(consumer, view->reply, ACK_DONE, 0);
        return;
    case TENANT_EVENT_DEAD:
        consumer_count(consumer, COUNT_DEAD);
        (void)broker_ack(consumer, view->reply, ACK_DONE, 0);
        return;
    case TENANT_EVENT_RETRY:
        consumer_count(consumer, COUNT_RETRIED);
        (void)broker_ack(consumer, view->reply, ACK_AGAIN,
                         waiting_pause_ns(consumer, view->event.attempt));
        return;
    case TENANT_EVENT_STALE:
        (void)broker_ack(consumer, view->reply, ACK_AGAIN, AGAIN_NS);
        return;
    case TENANT_EVENT_UNAVAILABLE:
        consumer_pause(consumer);
        (void)broker_ack(consumer, view->reply, ACK_AGAIN, 0);
        return;
    }
    abort(); /* the handler returned what is no outcome: a bug of the program */
}
