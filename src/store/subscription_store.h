/* What billing said last about a tenant's subscriptions. */
#ifndef STORE_SUBSCRIPTION_STORE_H
#define STORE_SUBSCRIPTION_STORE_H

#include "domain/subscription.h"
#include "store/tx.h"

/* a tenant has one or two; of more than these the ones that began first are not looked at */
#define SUBSCRIPTIONS_MAX 100

/* Queues the question for a tenant's subscriptions, the last ones first. */
void subscription_store_find(struct tx *tx, const struct uuid *tenant_id, struct rows *rows);
/* In the ctx's arena, with room for one more behind them. */
int subscription_store_read(struct tx *tx, const struct rows *rows,
                            struct subscription **subscriptions, size_t *count) MUST_CHECK;
/* Queues the change of one; the tenant's row is locked. */
void subscription_store_put(struct tx *tx, const struct uuid *tenant_id,
                            const struct subscription *subscription);

extern const struct stmt_list subscription_statements; /* app */

#endif
