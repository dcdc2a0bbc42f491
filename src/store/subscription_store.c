/* Subscriptions as rows; see subscription_store.h. */
#include "store/subscription_store.h"

static const struct stmt find = {
    .name = "subscription.find",
    .text =
        "SELECT subscription_id, plan_id, plan_mark, state, is_ended, state_mark, began_at FROM "
        "tenant.subscription WHERE tenant_id = $1 ORDER BY began_at DESC LIMIT $2",
    .param_count = 2,
    .columns = {"subscription_id", "plan_id", "plan_mark", "state", "is_ended", "state_mark",
                "began_at", NULL},
};

static const struct stmt put = {
    .name = "subscription.put",
    .text =
        "INSERT INTO tenant.subscription (tenant_id, subscription_id, plan_id, plan_mark, state, "
        "is_ended, state_mark, began_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
        "ON CONFLICT (tenant_id, subscription_id) DO UPDATE SET plan_id = excluded.plan_id, "
        "plan_mark = excluded.plan_mark, state = excluded.state, is_ended = excluded.is_ended, "
        "state_mark = excluded.state_mark, began_at = excluded.began_at, "
        "update_time = clock_timestamp()",
    .param_count = 8,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {&find, &put};
const struct stmt_list subscription_statements = {
    statements, sizeof statements / sizeof statements[0], LOGIN_APP};

void subscription_store_find(struct tx *tx, const struct uuid *tenant_id, struct rows *rows)
{
    const struct sql_value values[] = {sql_uuid(tenant_id), sql_int8(SUBSCRIPTIONS_MAX)};
    tx_queue(tx, &find, values, rows);
}

int subscription_store_read(struct tx *tx, const struct rows *rows,
                            struct subscription **subscriptions, size_t *count)
{
    struct arena *arena = tx_ctx(tx)->arena;
    struct subscription *read = arena_alloc(arena, (rows->count + 1) * sizeof *read);
    for (size_t i = 0; i < rows->count; i++) {
        struct row row = row_at(rows, i, arena);
        read[i] = (struct subscription){
            .id = row_text(&row, "subscription_id"),
            .plan_id = row_text(&row, "plan_id"),
            .plan_mark = row_text(&row, "plan_mark"),
            .state = row_text(&row, "state"),
            .is_ended = row_bool(&row, "is_ended"),
            .state_mark = row_text(&row, "state_mark"),
            .began_us = row_time_us(&row, "began_at"),
        };
        TRY(row_end(tx_ctx(tx), &row));
    }
    *subscriptions = read;
    *count = rows->count;
    return OK;
}

void subscription_store_put(struct tx *tx, const struct uuid *tenant_id,
                            const struct subscription *subscription)
{
    const struct sql_value values[] = {
        sql_uuid(tenant_id),
        sql_text(subscription->id),
        sql_text(subscription->plan_id),
        sql_text(subscription->plan_mark),
        sql_text(subscription->state),
        sql_bool(subscription->is_ended),
        sql_text(subscription->state_mark),
        sql_time_us(subscription->began_us),
    };
    tx_queue(tx, &put, values, NULL);
}
