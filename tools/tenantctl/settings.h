/* Where tenantctl connects and as whom: flags over environment over context over the file's other keys. */
#ifndef TENANTCTL_SETTINGS_H
#define TENANTCTL_SETTINGS_H

#include "cli.h"
#include "contexts.h"

/* Strings live in the cli's arena; "" when nothing was set. */
struct ctl_settings {
    const char *values[SETTINGS];
    const char *context;  /* the chosen one's name */
    uint64_t timeout_ns;  /* for a command with all its attempts */
    uint64_t interval_ns; /* between two looks of --watch */
};

/* Fills cli->settings.  OK, or EXIT_USAGE after saying what is wrong with file and line; EXIT_NOT_FOUND for a
 * context that is not there. */
int settings_load(struct cli *cli);
/* OK when address and certificates are there, else EXIT_USAGE after naming the missing one. */
int settings_need_service(const struct cli *cli);
int settings_need_nats(const struct cli *cli);
/* What the service sees first: "127.0.0.1:3000". */
const char *settings_address(const struct cli *cli);

#endif
