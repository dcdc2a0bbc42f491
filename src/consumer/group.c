/* The group of one. */
#include "consumer/group.h"

#include "consumer/consumer_int.h"

void group_tick(struct tenant_consumer *consumer)
{
    consumer->lease_end_ns = NO_DEADLINE;
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        source_hold(consumer, i);
}

void group_leave(struct tenant_consumer *consumer)
{
    for (unsigned i = 0; i < SOURCE_COUNT; i++)
        source_drop(consumer, i);
}
