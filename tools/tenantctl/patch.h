/* The fields of a tenant as flags: what create sends and what update changes. */
#ifndef TENANTCTL_PATCH_H
#define TENANTCTL_PATCH_H

#include "cli.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

#define PATCH_PATHS_MAX 24

/* Must not move once taken: the tenant points to plan and settings. */
struct patch {
    struct cli *cli;
    Tenant__V1__Tenant tenant;
    Tenant__V1__Plan plan;
    Tenant__V1__TenantSettings settings;
    const char *paths[PATCH_PATHS_MAX]; /* update mask: what the flags named */
    size_t path_count;
};

/* Those of create and update alike, but for slug and name. */
extern const struct flag_set patch_set;

/* OK, or EXIT_USAGE after saying which flag is wrong. */
int patch_take(struct cli *cli, struct patch *patch);
/* --clear: names fields without giving them a value. */
int patch_take_clears(struct cli *cli, struct patch *patch);

#endif
