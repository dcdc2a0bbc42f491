/* Tenants as rows.  The functions that begin with `tenant_store_` and take a tx queue or run statements in it;
 * those that suspend say so. */
#ifndef STORE_TENANT_STORE_H
#define STORE_TENANT_STORE_H

#include "base/epoch.h"

#include "domain/tenant.h"
#include "store/tx.h"

/* Queues the insertion; the next run refuses with SLUG_TAKEN when the region has the slug already.  Every
 * member of `tenant` is stored as it is, times and version too. */
void tenant_store_insert(struct tx *tx, const struct tenant *tenant);
/* Queues the update of everything that may change, where the row still has version - 1; else the next run
 * refuses with VERSION_CONFLICT; or with SLUG_TAKEN. */
void tenant_store_update(struct tx *tx, const struct tenant *tenant);

/* Reads one tenant with its epoch of the same snapshot; strings live in the ctx's arena.  With TX_READ this
 * ends the transaction.  Suspends. Refusal: TENANT_NOT_FOUND, and those of tx_run(). */
int tenant_store_get(struct tx *tx, const struct uuid *id, struct tenant *tenant,
                     struct epoch_seen *seen) MUST_CHECK;
/* The same without the epoch, and nobody else changes it until the end of the transaction.  Suspends. */
int tenant_store_lock(struct tx *tx, const struct uuid *id, struct tenant *tenant) MUST_CHECK;
/* By slug over all regions (TX_PLATFORM_READ); the row of `region` wins.  Suspends. */
int tenant_store_find_slug(struct tx *tx, const char *slug, enum region region,
                           struct tenant *tenant, struct epoch_seen *seen) MUST_CHECK;

#endif
