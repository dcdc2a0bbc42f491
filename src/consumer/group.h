/* Which partitions this member of its group handles. */
#ifndef CONSUMER_GROUP_H
#define CONSUMER_GROUP_H

struct tenant_consumer;

/* Claims, renews and gives up partitions when it is time.  Costs nothing between. */
void group_tick(struct tenant_consumer *consumer);
/* Gives everything up and leaves the group. */
void group_leave(struct tenant_consumer *consumer);

#endif
