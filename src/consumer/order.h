/* What an event's place in its tenant's history means.  Pure. */
#ifndef CONSUMER_ORDER_H
#define CONSUMER_ORDER_H

#include "tenant/events.h"

enum order {
    ORDER_OLD,  /* applied already, or of a history that was taken back */
    ORDER_NEXT, /* follows what was applied */
    ORDER_FIRST, /* what is before it is not known: of a tenant of which nothing was applied, and not its
                  * first; or the first of a greater incarnation, which does not say how the one before it
                  * ended.  Only who knows that nothing earlier is still to come may go on with it */
    ORDER_GAP, /* something before it is missing */
};

/* `last` {0, 0}: nothing was applied. */
enum order order_of(struct tenant_position last, struct tenant_position event);

/* Below 0, 0 or above 0 as `a` is before, at or behind `b`. */
int position_compare(struct tenant_position a, struct tenant_position b);

#endif
