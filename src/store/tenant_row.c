/* A row of tenant.tenants becomes the domain's tenant. */
#include "store/tenant_row.h"

struct tenant tenant_row_read(struct row *row)
{
    struct tenant found = {
        .id = row_uuid(row, "id"),
        .slug = row_text(row, "slug"),
        .display_name = row_text(row, "display_name"),
    };
    row_require(row, "type", tenant_type_parse(slice_of_str(row_text(row, "type")), &found.type));
    row_require(row, "home_region",
                region_parse(slice_of_str(row_text(row, "home_region")), &found.home_region));
    row_require(row, "status",
                tenant_status_parse(slice_of_str(row_text(row, "status")), &found.status));
    found.plan.plan_id = row_text(row, "plan_id");
    found.plan.addons = row_list(row, "plan_addons");
    found.labels = row_pairs(row, "labels");
    found.settings.default_locale = row_text(row, "default_locale");
    found.settings.allowed_locales = row_list(row, "allowed_locales");
    found.settings.mfa_required = row_bool(row, "mfa_required");
    found.settings.offline_enabled = row_bool(row, "offline_enabled");
    found.settings.ai_enabled = row_bool(row, "ai_enabled");
    found.settings.branding_theme = row_pairs(row, "branding_theme");
    found.create_time_us = row_time_us(row, "create_time");
    found.update_time_us = row_time_us(row, "update_time");
    found.version = row_int(row, "version");
    row_require(row, "labels", string_map_sort(&found.labels));
    row_require(row, "branding_theme", string_map_sort(&found.settings.branding_theme));
    return found;
}
