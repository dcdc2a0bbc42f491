/* Tenants as rows; see tenant_store.h. */
#include "store/tenant_store.h"

#include "gen/errors.h"

#include <assert.h>

#define COLUMNS                                                                                    \
    "id, slug, display_name, type, home_region, status, plan_id, plan_addons, "                    \
    "ARRAY(SELECT unnest(ARRAY[key, value]) FROM jsonb_each_text(labels) ORDER BY key) "           \
    "AS labels, "                                                                                  \
    "default_locale, allowed_locales, mfa_required, offline_enabled, ai_enabled, "                 \
    "ARRAY(SELECT unnest(ARRAY[key, value]) FROM jsonb_each_text(branding_theme) ORDER BY key) "   \
    "AS branding_theme, create_time, update_time, version"
#define COLUMN_NAMES                                                                               \
    "id", "slug", "display_name", "type", "home_region", "status", "plan_id", "plan_addons",       \
        "labels", "default_locale", "allowed_locales", "mfa_required", "offline_enabled",          \
        "ai_enabled", "branding_theme", "create_time", "update_time", "version", NULL

static const struct stmt tenant_get = {
    .name = "tenant.get",
    .text = "SELECT " COLUMNS " FROM tenant.tenants WHERE id = $1",
    .param_count = 1,
    .columns = {COLUMN_NAMES},
};

static const struct stmt tenant_lock = {
    .name = "tenant.lock",
    .text = "SELECT " COLUMNS " FROM tenant.tenants WHERE id = $1 FOR UPDATE",
    .param_count = 1,
    .columns = {COLUMN_NAMES},
};

static const struct stmt tenant_find_slug = {
    .name = "tenant.find_slug",
    .text = "SELECT " COLUMNS " FROM tenant.tenants WHERE slug = $1 "
            "ORDER BY (home_region = $2) DESC LIMIT 1",
    .param_count = 2,
    .columns = {COLUMN_NAMES},
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

static int read_one(struct tx *tx, const struct rows *rows, struct tenant *tenant);

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

int tenant_store_get(struct tx *tx, const struct uuid *id, struct tenant *tenant)
{
    struct rows rows;
    tx_queue(tx, &tenant_get, &(struct sql_value){.type = SQL_UUID, .uuid = id}, &rows);
    TRY(tx_run(tx));
    return read_one(tx, &rows, tenant);
}

int tenant_store_lock(struct tx *tx, const struct uuid *id, struct tenant *tenant)
{
    assert(tx_mode(tx) == TX_WRITE);
    struct rows rows;
    tx_queue(tx, &tenant_lock, &(struct sql_value){.type = SQL_UUID, .uuid = id}, &rows);
    TRY(tx_run(tx));
    return read_one(tx, &rows, tenant);
}

int tenant_store_find_slug(struct tx *tx, const char *slug, enum region region,
                           struct tenant *tenant)
{
    assert(tx_mode(tx) == TX_PLATFORM_READ);
    struct rows rows;
    const struct sql_value values[] = {sql_text(slug), sql_text(region_name(region))};
    tx_queue(tx, &tenant_find_slug, values, &rows);
    TRY(tx_run(tx));
    return read_one(tx, &rows, tenant);
}

static int read_one(struct tx *tx, const struct rows *rows, struct tenant *tenant)
{
    if (rows->count == 0)
        return TENANT_NOT_FOUND;
    struct row row = row_at(rows, 0, tx_ctx(tx)->arena);
    struct tenant found = {
        .id = row_uuid(&row, "id"),
        .slug = row_text(&row, "slug"),
        .display_name = row_text(&row, "display_name"),
    };
    row_require(&row, "type", tenant_type_parse(slice_of_str(row_text(&row, "type")), &found.type));
    row_require(&row, "home_region",
                region_parse(slice_of_str(row_text(&row, "home_region")), &found.home_region));
    row_require(&row, "status",
                tenant_status_parse(slice_of_str(row_text(&row, "status")), &found.status));
    found.plan.plan_id = row_text(&row, "plan_id");
    found.plan.addons = row_list(&row, "plan_addons");
    found.labels = row_pairs(&row, "labels");
    found.settings.default_locale = row_text(&row, "default_locale");
    found.settings.allowed_locales = row_list(&row, "allowed_locales");
    found.settings.mfa_required = row_bool(&row, "mfa_required");
    found.settings.offline_enabled = row_bool(&row, "offline_enabled");
    found.settings.ai_enabled = row_bool(&row, "ai_enabled");
    found.settings.branding_theme = row_pairs(&row, "branding_theme");
    found.create_time_us = row_time_us(&row, "create_time");
    found.update_time_us = row_time_us(&row, "update_time");
    found.version = row_int(&row, "version");
    /* the database sorts by its collation, we by bytes */
    row_require(&row, "labels", string_map_sort(&found.labels));
    row_require(&row, "branding_theme", string_map_sort(&found.settings.branding_theme));
    TRY(row_end(tx_ctx(tx), &row));
    *tenant = found;
    return OK;
}
