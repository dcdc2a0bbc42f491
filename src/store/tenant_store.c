/* Tenants as rows; see tenant_store.h. */
#include "store/tenant_store.h"

#include "store/tenant_row.h"

#include "gen/errors.h"

#include <assert.h>

/* What caches need beside the row, of the same snapshot.  In an incarnation in which nothing of the tenant has
 * changed its epoch is 0 there: later than whatever was promised before. */
#define EPOCH_COLUMNS                                                                              \
    ", greatest(incarnation, installed) AS incarnation, "                                          \
    "CASE WHEN incarnation >= installed THEN epoch ELSE 0 END AS epoch, " SNAPSHOT_XMIN
#define EPOCH_NAMES "incarnation", "epoch", "snapshot_xmin"
#define WITH_EPOCHS                                                                                \
    " FROM tenant.tenants "                                                                        \
    "CROSS JOIN (SELECT incarnation AS installed FROM tenant.installation) i "                     \
    "LEFT JOIN tenant.authz_epoch ON tenant_id = id "

static const struct stmt tenant_get = {
    .name = "tenant.get",
    .text = "SELECT " TENANT_COLUMNS EPOCH_COLUMNS WITH_EPOCHS "WHERE id = $1",
    .param_count = 1,
    .columns = {TENANT_COLUMN_NAMES, EPOCH_NAMES, NULL},
};

static const struct stmt tenant_lock = {
    .name = "tenant.lock",
    .text = "SELECT " TENANT_COLUMNS " FROM tenant.tenants WHERE id = $1 FOR UPDATE",
    .param_count = 1,
    .columns = {TENANT_COLUMN_NAMES, NULL},
};

static const struct stmt tenant_find_slug = {
    .name = "tenant.find_slug",
    .text = "SELECT " TENANT_COLUMNS EPOCH_COLUMNS WITH_EPOCHS "WHERE slug = $1 "
            "ORDER BY (home_region = $2) DESC LIMIT 1",
    .param_count = 2,
    .columns = {TENANT_COLUMN_NAMES, EPOCH_NAMES, NULL},
};

static const struct stmt tenant_insert = {
    .name = "tenant.insert",
    .text = "INSERT INTO tenant.tenants (id, slug, display_name, type, home_region, status, "
            "plan_id, plan_addons, labels, default_locale, allowed_locales, mfa_required, "
            "offline_enabled, ai_enabled, branding_theme, create_time, update_time, version) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, jsonb_object($9), $10, $11, $12, $13, $14, "
            "jsonb_object($15), $16, $17, $18)",
    .param_count = 18,
    .columns = {NULL},
    .unique_constraint = "tenants_slug_taken",
    .unique_refusal = SLUG_TAKEN,
};

/* Divides by the number of rows changed: none is an error, and what stands behind it in the pipeline (the
 * event, the COMMIT) never runs. */
static const struct stmt tenant_update = {
    .name = "tenant.update",
    .text = "WITH changed AS (UPDATE tenant.tenants SET slug = $3, display_name = $4, type = $5, "
            "status = $6, plan_id = $7, plan_addons = $8, labels = jsonb_object($9), "
            "default_locale = $10, allowed_locales = $11, mfa_required = $12, "
            "offline_enabled = $13, ai_enabled = $14, branding_theme = jsonb_object($15), "
            "update_time = $16, version = $2 "
            "WHERE id = $1 AND version = $2 - 1 RETURNING 1) "
            "SELECT 1 / count(*) AS changed FROM changed",
    .param_count = 16,
    .columns = {"changed", NULL},
    .unique_constraint = "tenants_slug_taken",
    .unique_refusal = SLUG_TAKEN,
    .guard_refusal = VERSION_CONFLICT,
};

static const struct stmt *const app_statements[] = {&tenant_get, &tenant_lock, &tenant_insert,
                                                    &tenant_update};
const struct stmt_list tenant_statements = {
    app_statements, sizeof app_statements / sizeof app_statements[0], LOGIN_APP};
static const struct stmt *const slug_statements[] = {&tenant_find_slug};
const struct stmt_list tenant_platform_statements = {
    slug_statements, sizeof slug_statements / sizeof slug_statements[0], LOGIN_PLATFORM};

static int read_one(struct tx *tx, const struct rows *rows, struct tenant *tenant,
                    struct epoch_seen *seen);

void tenant_store_insert(struct tx *tx, const struct tenant *tenant)
{
    assert(tenant->version > 0 && tenant->create_time_us > 0);
    const struct sql_value values[] = {
        sql_uuid(&tenant->id),
        sql_text(tenant->slug),
        sql_text(tenant->display_name),
        sql_text(tenant_type_name(tenant->type)),
        sql_text(region_name(tenant->home_region)),
        sql_text(tenant_status_name(tenant->status)),
        sql_text(tenant->plan.plan_id),
        sql_list(&tenant->plan.addons),
        sql_pairs(&tenant->labels),
        sql_text(tenant->settings.default_locale),
        sql_list(&tenant->settings.allowed_locales),
        sql_bool(tenant->settings.mfa_required),
        sql_bool(tenant->settings.offline_enabled),
        sql_bool(tenant->settings.ai_enabled),
        sql_pairs(&tenant->settings.branding_theme),
        sql_time_us(tenant->create_time_us),
        sql_time_us(tenant->update_time_us),
        sql_int8(tenant->version),
    };
    tx_queue(tx, &tenant_insert, values, NULL);
}

void tenant_store_update(struct tx *tx, const struct tenant *tenant)
{
    assert(tenant->version > 1);
    const struct sql_value values[] = {
        sql_uuid(&tenant->id),
        sql_int8(tenant->version),
        sql_text(tenant->slug),
        sql_text(tenant->display_name),
        sql_text(tenant_type_name(tenant->type)),
        sql_text(tenant_status_name(tenant->status)),
        sql_text(tenant->plan.plan_id),
        sql_list(&tenant->plan.addons),
        sql_pairs(&tenant->labels),
        sql_text(tenant->settings.default_locale),
        sql_list(&tenant->settings.allowed_locales),
        sql_bool(tenant->settings.mfa_required),
        sql_bool(tenant->settings.offline_enabled),
        sql_bool(tenant->settings.ai_enabled),
        sql_pairs(&tenant->settings.branding_theme),
        sql_time_us(tenant->update_time_us),
    };
    tx_queue(tx, &tenant_update, values, NULL);
}

int tenant_store_get(struct tx *tx, const struct uuid *id, struct tenant *tenant,
                     struct epoch_seen *seen)
{
    struct rows rows;
    tx_queue(tx, &tenant_get, &(struct sql_value){.type = SQL_UUID, .uuid = id}, &rows);
    TRY(tx_run(tx));
    return read_one(tx, &rows, tenant, seen);
}

int tenant_store_lock(struct tx *tx, const struct uuid *id, struct tenant *tenant)
{
    assert(tx_mode(tx) == TX_WRITE);
    struct rows rows;
    tx_queue(tx, &tenant_lock, &(struct sql_value){.type = SQL_UUID, .uuid = id}, &rows);
    TRY(tx_run(tx));
    return read_one(tx, &rows, tenant, NULL);
}

int tenant_store_find_slug(struct tx *tx, const char *slug, enum region region,
                           struct tenant *tenant, struct epoch_seen *seen)
{
    assert(tx_mode(tx) == TX_PLATFORM_READ);
    struct rows rows;
    const struct sql_value values[] = {sql_text(slug), sql_text(region_name(region))};
    tx_queue(tx, &tenant_find_slug, values, &rows);
    TRY(tx_run(tx));
    return read_one(tx, &rows, tenant, seen);
}

/* seen may be NULL: the statement has no epochs then. */
static int read_one(struct tx *tx, const struct rows *rows, struct tenant *tenant,
                    struct epoch_seen *seen)
{
    if (rows->count == 0)
        return TENANT_NOT_FOUND;
    struct row row = row_at(rows, 0, tx_ctx(tx)->arena);
    struct tenant found = tenant_row_read(&row);
    struct epoch_seen epoch = {{0, 0}, 0};
    if (seen != NULL) {
        epoch.epoch.incarnation = row_int(&row, "incarnation");
        epoch.epoch.counter = row_int(&row, "epoch");
        epoch.xmin = (uint64_t)row_int(&row, "snapshot_xmin");
    }
    TRY(row_end(tx_ctx(tx), &row));
    *tenant = found;
    if (seen != NULL)
        *seen = epoch;
    return OK;
}
