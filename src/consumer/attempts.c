/* How often an event was tried, over all members and lives of the group: in its record.  Deliveries do not say
 * it, because each moment in which the handler can do nothing costs one. */
#include "consumer/consumer_int.h"

#include <stdio.h>

/* first, and once more because a member or a connection was lost */
#define DELIVERED_BY_CHANCE 2

unsigned attempts_before(const struct tenant_consumer *consumer, const struct event_view *view)
{
    return group_table_attempts(&consumer->group.table, view->source, view->place);
}

bool attempts_note(struct tenant_consumer *consumer, const struct event_view *view,
                   unsigned attempts, bool now)
{
    const struct group_attempt attempt = {
        .partition = view->source, .stream_seq = view->place, .attempts = attempts};
    return group_note(consumer, &attempt, now);
}

enum tenant_outcome attempts_begin(struct tenant_consumer *consumer, const struct event_view *view,
                                   struct tenant_reason *reason)
{
    unsigned before = view->event.attempt - 1;
    if (view->delivered <= DELIVERED_BY_CHANCE)
        return TENANT_EVENT_DONE;
    if (before >= consumer->settings.attempts_max) {
        snprintf(reason->cause, sizeof reason->cause, "CRASHED");
        snprintf(reason->detail, sizeof reason->detail,
                 "%u attempts, and none of them came to its end", before);
        return TENANT_EVENT_DEAD;
    }
    return attempts_note(consumer, view, before + 1, true) ? TENANT_EVENT_DONE
                                                           : TENANT_EVENT_UNAVAILABLE;
}
