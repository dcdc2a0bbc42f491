/* The replica: one row per tenant, changed in the transaction that keeps the position. */
#ifndef SYNC_CONSUMER_REPLICA_H
#define SYNC_CONSUMER_REPLICA_H

#include <tenant/events_postgres.h>

struct replica {
    const char *url;
    const char *group;
    const char *schema; /* where the tables are */
    PGconn *connection; /* NULL until it is needed */
};

/* The statements that make the schema's tables; owner: the caller. */
char *replica_ddl(const struct replica *replica);
/* Runs them.  False: said on standard error. */
bool replica_create(struct replica *replica);

/* The three callbacks; `context` is the replica. */
enum tenant_outcome replica_apply(void *context, const struct tenant_event *event, struct tenant_reason *reason);
int replica_load(void *context, const char *tenant_id, struct tenant_position *position);
int replica_store(void *context, const struct tenant_position_change *changes, size_t count);

void replica_close(struct replica *replica);

#endif
