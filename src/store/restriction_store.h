/* Restrictions that a rewind of the database took away: tenants that were suspended or closed by events that
 * were lost.  The relay notes them (rewind_store.h); the service puts them back. */
#ifndef STORE_RESTRICTION_STORE_H
#define STORE_RESTRICTION_STORE_H

#include "domain/tenant.h"
#include "store/tx.h"

/* One that was not dealt with yet. */
struct restriction {
    struct uuid tenant_id;
    int64_t incarnation; /* that began with the rewind */
};

struct restrictions {
    struct restriction *items; /* oldest first, some of them; in the ctx's arena */
    size_t count;
};

/* TX_PLATFORM_READ: over all tenants.  Suspends. */
int restriction_store_open(struct tx *tx, struct restrictions *out) MUST_CHECK;

/* TX_WRITE of its tenant: what it was, locked against others who deal with it.  *found is false when somebody
 * has. `reason` lies in the ctx's arena.  Suspends. */
int restriction_store_take(struct tx *tx, const struct restriction *restriction, bool *found,
                           enum tenant_status *status, const char **reason) MUST_CHECK;
/* Queues the note that it was dealt with. */
void restriction_store_done(struct tx *tx, const struct restriction *restriction);

extern const struct stmt_list restriction_statements;          /* app */
extern const struct stmt_list restriction_platform_statements; /* platform */

#endif
