/* The tenant's names, states and defaults; see tenant.h. */
#include "domain/tenant.h"

#include <assert.h>

#define TO(status) (1u << TENANT_##status)

/* Blueprint section 2: active → trial is illegal, closed is terminal.  A state may not become itself: that
 * is refused like any other change that is not here. */
static const uint8_t allowed[TENANT_STATUS_COUNT] = {
    [TENANT_TRIAL] = TO(ACTIVE) | TO(SUSPENDED) | TO(CLOSED),
    [TENANT_ACTIVE] = TO(SUSPENDED) | TO(CLOSED),
    [TENANT_SUSPENDED] = TO(ACTIVE) | TO(CLOSED),
    [TENANT_CLOSED] = 0,
};

static const char *const type_names[TENANT_TYPE_COUNT] = {
    [TENANT_ORG] = "org",
    [TENANT_PROVIDER] = "provider",
    [TENANT_INDIVIDUAL] = "individual",
    [TENANT_HYBRID] = "hybrid",
};

static const char *const status_names[TENANT_STATUS_COUNT] = {
    [TENANT_TRIAL] = "trial",
    [TENANT_ACTIVE] = "active",
    [TENANT_SUSPENDED] = "suspended",
    [TENANT_CLOSED] = "closed",
};

static const char *const region_names[REGION_COUNT] = {
    [REGION_US] = "us",
    [REGION_EU] = "eu",
    [REGION_ME] = "me",
    [REGION_AP] = "ap",
};

static int name_index(const char *const *names, int count, struct slice name);
static const char *or_else(const char *text, const char *fallback);

const char *tenant_type_name(enum tenant_type type)
{
    assert(type < TENANT_TYPE_COUNT);
    return type_names[type];
}

bool tenant_type_parse(struct slice name, enum tenant_type *type)
{
    int index = name_index(type_names, TENANT_TYPE_COUNT, name);
    if (index < 0)
        return false;
    *type = (enum tenant_type)index;
    return true;
}

const char *tenant_status_name(enum tenant_status status)
{
    assert(status < TENANT_STATUS_COUNT);
    return status_names[status];
}

bool tenant_status_parse(struct slice name, enum tenant_status *status)
{
    int index = name_index(status_names, TENANT_STATUS_COUNT, name);
    if (index < 0)
        return false;
    *status = (enum tenant_status)index;
    return true;
}

const char *region_name(enum region region)
{
    assert(region < REGION_COUNT);
    return region_names[region];
}

bool region_parse(struct slice name, enum region *region)
{
    int index = name_index(region_names, REGION_COUNT, name);
    if (index < 0)
        return false;
    *region = (enum region)index;
    return true;
}

bool tenant_status_may_become(enum tenant_status from, enum tenant_status to)
{
    assert(from < TENANT_STATUS_COUNT && to < TENANT_STATUS_COUNT);
    return (allowed[from] & (1u << to)) != 0;
}

void tenant_defaults(struct tenant *tenant)
{
    tenant->slug = or_else(tenant->slug, "");
    tenant->display_name = or_else(tenant->display_name, "");
    tenant->plan.plan_id = or_else(tenant->plan.plan_id, "");
    tenant->settings.default_locale = or_else(tenant->settings.default_locale, "");
    if (tenant->settings.default_locale[0] == '\0')
        tenant->settings.default_locale = "en";
}

/* Names are stored, so they must never be reused for another meaning. */
static int name_index(const char *const *names, int count, struct slice name)
{
    for (int i = 0; i < count; i++) {
        if (slice_is(name, names[i]))
            return i;
    }
    return -1;
}

static const char *or_else(const char *text, const char *fallback)
{
    return text == NULL ? fallback : text;
}

void tenant_touch(struct tenant *tenant, uint64_t now_us)
{
    tenant->version++;
    tenant->update_time_us = now_us > tenant->update_time_us ? now_us : tenant->update_time_us + 1;
}
