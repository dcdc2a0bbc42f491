/* Where tenantctl connects and as whom: flags over environment over configuration file. */
#ifndef TENANTCTL_SETTINGS_H
#define TENANTCTL_SETTINGS_H

#include "cli.h"

/* Strings live in the cli's arena; "" when nothing was set. */
struct ctl_settings {
    const char *address;
    const char *cert_file;
    const char *key_file;
    const char *ca_file;
    const char *server_name;
    const char *nats_url;
    const char *nats_seed_file;
    const char *tenant_header; /* sent as x-tenant-id */
    bool json;                 /* --output json */
    uint64_t timeout_ns;
};

/* Fills cli->settings.  OK, or EXIT_USAGE after saying what is wrong with file and line. */
int settings_load(struct cli *cli);
/* OK when address and certificates are there, else EXIT_USAGE after naming the missing ones. */
int settings_need_service(const struct ctl_settings *settings);
int settings_need_nats(const struct ctl_settings *settings);

#endif
