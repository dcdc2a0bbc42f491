/* The columns of tenant.tenants as every statement reads them.  Of the store room alone. */
#ifndef STORE_TENANT_ROW_H
#define STORE_TENANT_ROW_H

#include "domain/tenant.h"
#include "store/row.h"

#define TENANT_COLUMNS                                                                             \
    "id, slug, display_name, type, home_region, status, plan_id, plan_addons, "                    \
    "ARRAY(SELECT unnest(ARRAY[key, value]) FROM jsonb_each_text(labels) ORDER BY key) "           \
    "AS labels, "                                                                                  \
    "default_locale, allowed_locales, mfa_required, offline_enabled, ai_enabled, "                 \
    "ARRAY(SELECT unnest(ARRAY[key, value]) FROM jsonb_each_text(branding_theme) ORDER BY key) "   \
    "AS branding_theme, create_time, update_time, version"
#define TENANT_COLUMN_NAMES                                                                        \
    "id", "slug", "display_name", "type", "home_region", "status", "plan_id", "plan_addons",       \
        "labels", "default_locale", "allowed_locales", "mfa_required", "offline_enabled",          \
        "ai_enabled", "branding_theme", "create_time", "update_time", "version"

/* The tenant of a row that has these columns; what is wrong with it shows in row_end().  Strings live in the
 * row's arena.  Maps are sorted anew: the database sorts by its collation, we by bytes. */
struct tenant tenant_row_read(struct row *row);

#endif
