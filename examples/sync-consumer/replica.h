/* The replica: one row per tenant, changed in the transaction that keeps the position. */
#ifndef SYNC_CONSUMER_REPLICA_H
#define SYNC_CONSUMER_REPLICA_H

#include <tenant/events_postgres.h>

#include <tenant/v1/tenants.pb-c.h>

#define REPLICA_DOUBTS_MAX 32

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

/* A tenant whose row is in doubt, and the position of which it is. */
struct replica_doubt {
    char tenant_id[64];
    struct tenant_position at;
};
struct replica_doubts {
    struct replica_doubt items[REPLICA_DOUBTS_MAX];
    size_t count;
};
/* Some of them; the same ones are found again until they are settled.  False: the database failed. */
bool replica_doubts(struct replica *replica, struct replica_doubts *out);
/* Makes the row what the tenant was found to be by an RPC that began after the doubt was found; NULL: there is no such
 * tenant.  Nothing is done when an event has come since.  False: the database failed. */
bool replica_settle(struct replica *replica, const struct replica_doubt *one, const Tenant__V1__Tenant *tenant);

void replica_close(struct replica *replica);

#endif
