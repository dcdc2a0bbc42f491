/* Pages of tenants, by the platform login.  Keyset pagination: a page begins behind the last row of the one
 * before, so every page costs the same. */
#ifndef STORE_TENANT_LIST_STORE_H
#define STORE_TENANT_LIST_STORE_H

#include "base/epoch.h"

#include "domain/tenant_query.h"
#include "store/tx.h"

struct tenant_page {
    const struct tenant_query *query;
    enum region region;
    bool has_cursor; /* false: the first page */
    const char *
        after_key; /* the order's field of the last row before (times as microseconds since 1970) … */
    struct uuid after_id; /* … and its id */
    int64_t limit;        /* rows at most */
};

/* Queues the page (TX_PLATFORM). */
void tenant_store_list(struct tx *tx, const struct tenant_page *page, struct rows *rows);
/* The tenants of a page, in its order, in the ctx's arena. */
int tenant_store_read_list(struct tx *tx, const struct rows *rows, struct tenant **tenants,
                           size_t *count) MUST_CHECK;
/* The order's field of a tenant, as after_key takes it.  In the arena. */
const char *tenant_page_key(struct arena *arena, enum tenant_order order,
                            const struct tenant *tenant);

/* Queues the question for a tenant's epoch (TX_PLATFORM or TX_PLATFORM_READ); {0, 0} when it has none. */
void tenant_store_epoch(struct tx *tx, const struct uuid *tenant, struct rows *rows);
int tenant_store_read_epoch(struct tx *tx, const struct rows *rows, struct epoch *epoch) MUST_CHECK;

extern const struct stmt_list tenant_list_statements; /* platform */

#endif
