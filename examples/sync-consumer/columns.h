/* From a Tenant message to the texts that its row consists of. */
#ifndef SYNC_CONSUMER_COLUMNS_H
#define SYNC_CONSUMER_COLUMNS_H

#include <tenant/v1/tenants.pb-c.h>

enum column {
    COLUMN_TENANT_ID,
    COLUMN_SLUG,
    COLUMN_DISPLAY_NAME,
    COLUMN_TYPE,
    COLUMN_HOME_REGION,
    COLUMN_STATUS,
    COLUMN_PLAN_ID,
    COLUMN_PLAN_ADDONS,
    COLUMN_LABELS,
    COLUMN_DEFAULT_LOCALE,
    COLUMN_ALLOWED_LOCALES,
    COLUMN_MFA_REQUIRED,
    COLUMN_OFFLINE_ENABLED,
    COLUMN_AI_ENABLED,
    COLUMN_BRANDING_THEME,
    COLUMN_CREATE_TIME,
    COLUMN_UPDATE_TIME,
    COLUMN_ETAG,
    COLUMN_COUNT,
};

/* Each is what PostgreSQL reads as the column's type; maps are arrays of key, value, key, value for jsonb_object().
 * Owner: the caller; columns_free(). */
struct columns {
    char *text[COLUMN_COUNT];
};

void columns_make(const Tenant__V1__Tenant *tenant, struct columns *columns);
void columns_free(struct columns *columns);

#endif
