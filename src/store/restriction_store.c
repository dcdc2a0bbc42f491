/* Restrictions to be put back; see restriction_store.h. */
#include "store/restriction_store.h"

#include <assert.h>

/* Only what its consumers were told of: the tenant's new incarnation has begun, and the event of the
 * restriction comes behind that.  In any order, so that those that cannot be put back do not stand before the
 * others for ever. */
static const struct stmt open_select = {
    .name = "restriction.open",
    .text = "SELECT tenant_id, incarnation FROM tenant.rewound WHERE applied_at IS NULL "
            "AND status <> '' AND announced_at IS NOT NULL ORDER BY random() LIMIT 20",
    .columns = {"tenant_id", "incarnation", NULL},
};

static const struct stmt take = {
    .name = "restriction.take",
    .text = "SELECT status, reason FROM tenant.rewound WHERE tenant_id = $1 AND incarnation = $2 "
            "AND applied_at IS NULL FOR UPDATE",
    .param_count = 2,
    .columns = {"status", "reason", NULL},
};

static const struct stmt done = {
    .name = "restriction.done",
    .text = "UPDATE tenant.rewound SET applied_at = clock_timestamp() "
            "WHERE tenant_id = $1 AND incarnation = $2",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt *const platform_statements[] = {&open_select};
const struct stmt_list restriction_platform_statements = {platform_statements, 1, LOGIN_PLATFORM};
static const struct stmt *const statements[] = {&take, &done};
const struct stmt_list restriction_statements = {
    statements, sizeof statements / sizeof statements[0], LOGIN_APP};

int restriction_store_open(struct tx *tx, struct restrictions *out)
{
    struct rows rows = {0};
    struct arena *arena = tx_ctx(tx)->arena;
    assert(tx_mode(tx) == TX_PLATFORM_READ);
    tx_queue(tx, &open_select, NULL, &rows);
    TRY(tx_run(tx));
    struct restriction *items = arena_alloc(arena, (rows.count + 1) * sizeof *items);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, arena);
        items[i].tenant_id = row_uuid(&row, "tenant_id");
        items[i].incarnation = row_int(&row, "incarnation");
        TRY(row_end(tx_ctx(tx), &row));
    }
    *out = (struct restrictions){.items = items, .count = rows.count};
    return OK;
}

int restriction_store_take(struct tx *tx, const struct restriction *restriction, bool *found,
                           enum tenant_status *status, const char **reason)
{
    struct rows rows = {0};
    const struct sql_value values[] = {sql_uuid(&restriction->tenant_id),
                                       sql_int8(restriction->incarnation)};
    tx_queue(tx, &take, values, &rows);
    TRY(tx_run(tx));
    *found = rows.count > 0;
    if (!*found)
        return OK;
    struct row row = row_at(&rows, 0, tx_ctx(tx)->arena);
    enum tenant_status was = TENANT_SUSPENDED;
    const char *name = row_text(&row, "status");
    row_require(&row, "status", tenant_status_parse(slice_of_str(name), &was));
    const char *why = row_text(&row, "reason");
    TRY(row_end(tx_ctx(tx), &row));
    *status = was;
    *reason = why;
    return OK;
}

void restriction_store_done(struct tx *tx, const struct restriction *restriction)
{
    const struct sql_value values[] = {sql_uuid(&restriction->tenant_id),
                                       sql_int8(restriction->incarnation)};
    tx_queue(tx, &done, values, NULL);
}
