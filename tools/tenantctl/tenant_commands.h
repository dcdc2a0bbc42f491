/* The commands that call the service. */
#ifndef TENANTCTL_TENANT_COMMANDS_H
#define TENANTCTL_TENANT_COMMANDS_H

#include "cli.h"
#include "client/channel.h"

/* Flags that create and update share. */
#define TENANT_FIELD_FLAGS                                                                         \
    {"type", "TYPE", "org, provider, individual or hybrid", false},                                \
        {"plan", "PLAN_ID", "the billing plan, such as plan_pro", false},                          \
        {"addon", "ADDON", "an add-on of the plan", true},                                         \
        {"label", "KEY=VALUE", "a label; the labels given replace all", true},                     \
        {"default-locale", "TAG", "language tag, such as en or pt-BR", false},                     \
        {"allowed-locale", "TAG", "a language users may choose", true},                            \
        {"mfa-required", NULL, "members must use a second factor (=false: need not)", false},      \
        {"offline-enabled", NULL, "clients may work offline (=false: may not)", false},            \
        {"ai-enabled", NULL, "AI features are on (=false: off)", false},                           \
        {"theme", "KEY=VALUE", "a branding value; those given replace all", true}

extern const struct flag create_flags[];
extern const struct flag update_flags[];
extern const struct flag health_flags[];
extern const struct flag tail_flags[];

int tenant_create(struct cli *cli);
int tenant_get(struct cli *cli);
int tenant_lookup(struct cli *cli);
int tenant_update(struct cli *cli);
int ctl_health(struct cli *cli);
int events_tail(struct cli *cli);

/* Opens a channel as the settings say and prepares a call with deadline and tenant header.  OK or an exit
 * status after the reason was printed.  The caller closes call->channel. */
int ctl_open_call(struct cli *cli, struct client_call *call);

#endif
