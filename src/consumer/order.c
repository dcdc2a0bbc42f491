/* The order of a tenant's events; see order.h. */
#include "consumer/order.h"

int position_compare(struct tenant_position a, struct tenant_position b)
{
    if (a.incarnation != b.incarnation)
        return a.incarnation < b.incarnation ? -1 : 1;
    return a.sequence == b.sequence ? 0 : a.sequence < b.sequence ? -1 : 1;
}

/* Only (1, 1) has nothing before it.  The first event of a greater incarnation follows all that there was of
 * those before, and how much that was it does not say. */
enum order order_of(struct tenant_position last, struct tenant_position event)
{
    if (position_compare(event, last) <= 0)
        return ORDER_OLD;
    if (event.incarnation == last.incarnation)
        return event.sequence == last.sequence + 1 ? ORDER_NEXT : ORDER_GAP;
    if (event.sequence == 1)
        return event.incarnation == 1 ? ORDER_NEXT : ORDER_FIRST;
    return last.incarnation == 0 ? ORDER_FIRST : ORDER_GAP;
}
