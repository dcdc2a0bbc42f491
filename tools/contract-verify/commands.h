/* The commands: each is done with what it opened, and returns the exit status. */
#ifndef CONTRACT_VERIFY_COMMANDS_H
#define CONTRACT_VERIFY_COMMANDS_H

#include "broker.h"
#include "settings.h"

enum { EXIT_VERIFIED = 0, EXIT_REFUSED = 1, EXIT_UNUSABLE = 2 };

int verify_command(struct ctx *ctx, const struct settings *settings);
int match_command(struct ctx *ctx, const struct settings *settings);
int publish_command(struct ctx *ctx, const struct settings *settings);

/* The broker and the version that the options name; borrowed from the settings. */
struct broker settings_broker(const struct settings *settings);
struct broker_version settings_version(const struct settings *settings);

/* Says the last fault on standard error; returns EXIT_UNUSABLE. */
int complain(const struct ctx *ctx);

#endif
