/* From what was fetched to an event.  Called by the intake and the handlers. */
#include "consumer/event.h"

#include "events/message.h"

void event_read(struct event_view *view, const struct jetstream_delivery *delivery,
                const struct jetstream_inbox *inbox, struct arena *arena)
{
    struct event_headers headers = {.tenant_id = NULL};
    unsigned partition = view->event.partition;
    *view = (struct event_view){
        .event = {.partition = partition,
                  .subject = delivery->subject,
                  .stream_sequence = delivery->place.stream_seq,
                  .stored_ns = delivery->place.stored_ns},
        .source = view->source,
        .place = delivery->place.stream_seq,
        .reply = delivery->reply,
        .delivered = delivery->place.delivered,
        .arena = arena,
        .inbox = inbox,
    };
    event_unpack(view, delivery->payload, NULL);
    if (view->form == EVENT_GOOD)
        return;
    headers.tenant_id = jetstream_header(inbox, HEADER_TENANT_ID);
    headers.sequence = jetstream_header(inbox, HEADER_TENANT_SEQ);
    headers.incarnation = jetstream_header(inbox, HEADER_INCARNATION);
    event_unpack(view, delivery->payload, &headers);
}

const char *tenant_event_header(const struct tenant_event *event, const char *name)
{
    const struct event_view *view = (const struct event_view *)event;
    return view->inbox == NULL ? NULL : jetstream_header(view->inbox, name);
}
