/* tenantctl schema: what events are made of.  All of it works without a connection. */
#ifndef TENANTCTL_SCHEMA_COMMANDS_H
#define TENANTCTL_SCHEMA_COMMANDS_H

#include "cli.h"

extern const struct flag_set schema_set;
extern const struct flag_set schema_list_set;
extern const struct flag_set schema_lint_set;

int schema_show(struct cli *cli);
int schema_list(struct cli *cli);
int schema_diff(struct cli *cli);
int schema_lint(struct cli *cli);

#endif
