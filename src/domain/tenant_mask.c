/* Update masks (https://google.aip.dev/134): which paths there are and what applying them changes. */
#include "domain/tenant.h"

#include <assert.h>

#define PLAN_FIELDS (TENANT_FIELD_PLAN_ID | TENANT_FIELD_PLAN_ADDONS)
#define SETTINGS_FIELDS                                                                            \
    (TENANT_FIELD_DEFAULT_LOCALE | TENANT_FIELD_ALLOWED_LOCALES | TENANT_FIELD_MFA_REQUIRED |      \
     TENANT_FIELD_OFFLINE_ENABLED | TENANT_FIELD_AI_ENABLED | TENANT_FIELD_BRANDING_THEME)

struct field_path {
    const char *path;
    unsigned fields;
};

/* Leaves first, in proto order: tenant_field_paths() names them. */
static const struct field_path paths_known[] = {
    {"slug", TENANT_FIELD_SLUG},
    {"display_name", TENANT_FIELD_DISPLAY_NAME},
    {"type", TENANT_FIELD_TYPE},
    {"home_region", TENANT_FIELD_HOME_REGION},
    {"plan.plan_id", TENANT_FIELD_PLAN_ID},
    {"plan.addons", TENANT_FIELD_PLAN_ADDONS},
    {"labels", TENANT_FIELD_LABELS},
    {"settings.default_locale", TENANT_FIELD_DEFAULT_LOCALE},
    {"settings.allowed_locales", TENANT_FIELD_ALLOWED_LOCALES},
    {"settings.mfa_required", TENANT_FIELD_MFA_REQUIRED},
    {"settings.offline_enabled", TENANT_FIELD_OFFLINE_ENABLED},
    {"settings.ai_enabled", TENANT_FIELD_AI_ENABLED},
    {"settings.branding_theme", TENANT_FIELD_BRANDING_THEME},
    {"plan", PLAN_FIELDS},
    {"settings", SETTINGS_FIELDS},
    {"*", (1u << TENANT_FIELD_COUNT) - 1},
};

static unsigned apply_plan(struct tenant_plan *plan, const struct tenant_plan *patch,
                           unsigned fields);
static unsigned apply_settings(struct tenant_settings *settings,
                               const struct tenant_settings *patch, unsigned fields);
static bool set_text(const char **place, const char *value);
static bool set_truth(bool *place, bool value);
static bool set_list(struct string_list *place, const struct string_list *value);
static bool set_map(struct string_map *place, const struct string_map *value);

/* Exact: AIP-134's masks have no wildcards but "*" alone. */
unsigned tenant_field_parse(struct slice path)
{
    for (size_t i = 0; i < sizeof paths_known / sizeof paths_known[0]; i++) {
        if (slice_is(path, paths_known[i].path))
            return paths_known[i].fields;
    }
    return 0;
}

size_t tenant_field_paths(unsigned fields, const char *paths[TENANT_FIELD_COUNT])
{
    size_t count = 0;
    for (size_t i = 0; i < TENANT_FIELD_COUNT; i++) {
        if ((fields & paths_known[i].fields) != 0)
            paths[count++] = paths_known[i].path;
    }
    return count;
}

/* A field that is named with its present value is no change: no new version, no event, no audit
 * entry. */
unsigned tenant_apply(struct tenant *tenant, const struct tenant *patch, unsigned fields)
{
    assert(tenant != patch);
    unsigned changed = 0;
    if ((fields & TENANT_FIELD_SLUG) && set_text(&tenant->slug, patch->slug))
        changed |= TENANT_FIELD_SLUG;
    if ((fields & TENANT_FIELD_DISPLAY_NAME) &&
        set_text(&tenant->display_name, patch->display_name))
        changed |= TENANT_FIELD_DISPLAY_NAME;
    if ((fields & TENANT_FIELD_TYPE) && tenant->type != patch->type) {
        tenant->type = patch->type;
        changed |= TENANT_FIELD_TYPE;
    }
    if ((fields & TENANT_FIELD_LABELS) && set_map(&tenant->labels, &patch->labels))
        changed |= TENANT_FIELD_LABELS;
    changed |= apply_plan(&tenant->plan, &patch->plan, fields);
    changed |= apply_settings(&tenant->settings, &patch->settings, fields);
    return changed;
}

static unsigned apply_plan(struct tenant_plan *plan, const struct tenant_plan *patch,
                           unsigned fields)
{
    unsigned changed = 0;
    if ((fields & TENANT_FIELD_PLAN_ID) && set_text(&plan->plan_id, patch->plan_id))
        changed |= TENANT_FIELD_PLAN_ID;
    if ((fields & TENANT_FIELD_PLAN_ADDONS) && set_list(&plan->addons, &patch->addons))
        changed |= TENANT_FIELD_PLAN_ADDONS;
    return changed;
}

static unsigned apply_settings(struct tenant_settings *settings,
                               const struct tenant_settings *patch, unsigned fields)
{
    unsigned changed = 0;
    if ((fields & TENANT_FIELD_DEFAULT_LOCALE) &&
        set_text(&settings->default_locale, patch->default_locale))
        changed |= TENANT_FIELD_DEFAULT_LOCALE;
    if ((fields & TENANT_FIELD_ALLOWED_LOCALES) &&
        set_list(&settings->allowed_locales, &patch->allowed_locales))
        changed |= TENANT_FIELD_ALLOWED_LOCALES;
    if ((fields & TENANT_FIELD_MFA_REQUIRED) &&
        set_truth(&settings->mfa_required, patch->mfa_required))
        changed |= TENANT_FIELD_MFA_REQUIRED;
    if ((fields & TENANT_FIELD_OFFLINE_ENABLED) &&
        set_truth(&settings->offline_enabled, patch->offline_enabled))
        changed |= TENANT_FIELD_OFFLINE_ENABLED;
    if ((fields & TENANT_FIELD_AI_ENABLED) && set_truth(&settings->ai_enabled, patch->ai_enabled))
        changed |= TENANT_FIELD_AI_ENABLED;
    if ((fields & TENANT_FIELD_BRANDING_THEME) &&
        set_map(&settings->branding_theme, &patch->branding_theme))
        changed |= TENANT_FIELD_BRANDING_THEME;
    return changed;
}

/* Takes the patch's text even when it is equal: the tenant then needs no other arena for it. */
static bool set_text(const char **place, const char *value)
{
    bool differs = strcmp(*place, value) != 0;
    *place = value;
    return differs;
}

static bool set_truth(bool *place, bool value)
{
    bool differs = *place != value;
    *place = value;
    return differs;
}

static bool set_list(struct string_list *place, const struct string_list *value)
{
    bool differs = !string_list_equal(place, value);
    *place = *value;
    return differs;
}

static bool set_map(struct string_map *place, const struct string_map *value)
{
    bool differs = !string_map_equal(place, value);
    *place = *value;
    return differs;
}
