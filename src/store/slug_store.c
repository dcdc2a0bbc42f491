/* Slugs that are taken; see slug_store.h. */
#include "store/slug_store.h"

#include "gen/errors.h"

/* No ON CONFLICT: whose row is in the way is hidden by row-level security, and must be. */
static const struct stmt slug_take = {
    .name = "slug.take",
    .text = "WITH mine AS (UPDATE tenant.slug_reservations SET released_at = NULL "
            "WHERE home_region = $1 AND slug = $2 AND tenant_id = $3 RETURNING 1) "
            "INSERT INTO tenant.slug_reservations (home_region, slug, tenant_id) "
            "SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM mine)",
    .param_count = 3,
    .columns = {NULL},
    .unique_constraint = "slug_reservations_taken",
    .unique_refusal = SLUG_TAKEN,
};

/* A slug of before this table existed has no row yet. */
static const struct stmt slug_release = {
    .name = "slug.release",
    .text = "INSERT INTO tenant.slug_reservations AS s (home_region, slug, tenant_id, released_at) "
            "VALUES ($1, $2, $3, clock_timestamp()) "
            "ON CONFLICT (home_region, slug) DO UPDATE SET released_at = excluded.released_at",
    .param_count = 3,
    .columns = {NULL},
};

static const struct stmt slug_forget = {
    .name = "slug.forget",
    .text = "DELETE FROM tenant.slug_reservations WHERE tenant_id = $1 AND (home_region, slug) IN "
            "(SELECT home_region, slug FROM tenant.slug_reservations WHERE tenant_id = $1 "
            "AND released_at IS NOT NULL ORDER BY released_at DESC OFFSET $2)",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {&slug_take, &slug_release, &slug_forget};
const struct stmt_list slug_statements = {statements, sizeof statements / sizeof statements[0],
                                          LOGIN_APP};

void slug_store_take(struct tx *tx, const struct tenant *tenant)
{
    const struct sql_value values[] = {
        sql_text(region_name(tenant->home_region)),
        sql_text(tenant->slug),
        sql_uuid(&tenant->id),
    };
    tx_queue(tx, &slug_take, values, NULL);
}

void slug_store_release(struct tx *tx, const struct tenant *tenant, const char *slug)
{
    const struct sql_value values[] = {
        sql_text(region_name(tenant->home_region)),
        sql_text(slug),
        sql_uuid(&tenant->id),
    };
    tx_queue(tx, &slug_release, values, NULL);
    const struct sql_value kept[] = {sql_uuid(&tenant->id), sql_int8(FORMER_SLUGS_KEPT)};
    tx_queue(tx, &slug_forget, kept, NULL);
}
