/* The commands that ask and change tenants, and their own flags. */
#ifndef TENANTCTL_TENANT_COMMANDS_H
#define TENANTCTL_TENANT_COMMANDS_H

#include "cli.h"

extern const struct flag_set create_set;
extern const struct flag_set update_set;
extern const struct flag_set state_set;
extern const struct flag_set close_set;
extern const struct flag_set list_set;
extern const struct flag_set health_set;

int tenant_create(struct cli *cli);
int tenant_get(struct cli *cli);
int tenant_lookup(struct cli *cli);
int tenant_list(struct cli *cli);
int tenant_update(struct cli *cli);
int tenant_suspend(struct cli *cli);
int tenant_reactivate(struct cli *cli);
int tenant_close(struct cli *cli);
int health_show(struct cli *cli);

#endif
