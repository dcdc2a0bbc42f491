/* Tenants whose rows are in doubt, read anew from tenant-service by RPC: a thread of its own. */
#ifndef SYNC_CONSUMER_REREAD_H
#define SYNC_CONSUMER_REREAD_H

#include "replica.h"

#include <stdio.h>

#include <tenant/client.h>

struct reread;

/* Looks every second, with a connection of its own to the replica's database.  What `options` and `replica` point to
 * must live until reread_stop().  NULL: said on standard error. */
struct reread *reread_start(const struct tenant_client_options *options, const struct replica *replica);
/* Ends within the time of one call and of the statements behind it.  Accepts NULL. */
void reread_stop(struct reread *reread);
/* Prometheus text.  Any thread. */
void reread_metrics(struct reread *reread, FILE *out);

#endif
