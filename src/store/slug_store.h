/* Who has or had which slug: tenant.slug_reservations.  Functions queue statements in a tx with the tenant
 * set. */
#ifndef STORE_SLUG_STORE_H
#define STORE_SLUG_STORE_H

#include "domain/tenant.h"
#include "store/tx.h"

/* Former slugs that stay a tenant's own. */
#define FORMER_SLUGS_KEPT 10

/* Takes `tenant->slug`; one that the tenant had before is its own again.  The run refuses with SLUG_TAKEN when
 * another tenant of the region has it or had it. */
void slug_store_take(struct tx *tx, const struct tenant *tenant);
/* Marks `slug` as a former one of the tenant and lets go of all but the last FORMER_SLUGS_KEPT. */
void slug_store_release(struct tx *tx, const struct tenant *tenant, const char *slug);

extern const struct stmt_list slug_statements; /* app */

#endif
