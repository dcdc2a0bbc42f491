/* The command line. */
#ifndef CONTRACT_VERIFY_SETTINGS_H
#define CONTRACT_VERIFY_SETTINGS_H

#include "base/ctx.h"

#include <stdbool.h>
#include <stddef.h>

enum option {
    OPTION_ADDRESS,
    OPTION_PKI,
    OPTION_CA_FILE,
    OPTION_CERT_FILE,
    OPTION_KEY_FILE,
    OPTION_SERVER_NAME,
    OPTION_TIMEOUT,
    OPTION_STATE_COMMAND,
    OPTION_STATE_URL,
    OPTION_TEARDOWN,
    OPTION_MESSAGE_COMMAND,
    OPTION_MESSAGE_URL,
    OPTION_HOOK_TIMEOUT,
    OPTION_FILTER,
    OPTION_CONSUMER,
    OPTION_FORMAT,
    OPTION_JUNIT,
    OPTION_INTERACTION,
    OPTION_METADATA,
    OPTION_BROKER,
    OPTION_BROKER_TOKEN,
    OPTION_BROKER_USER,
    OPTION_BROKER_CA_FILE,
    OPTION_PROVIDER,
    OPTION_SELECTOR,
    OPTION_INCLUDE_PENDING,
    OPTION_PUBLISH,
    OPTION_VERSION,
    OPTION_BRANCH,
    OPTION_TAG,
    OPTION_BUILD_URL,
    OPTION_COUNT,
};

#define VALUES_MAX 32 /* of an option that can be given again */

/* Borrows the arguments. */
struct settings {
    const char *values[OPTION_COUNT]; /* "" for a switch that is on; NULL: not given */
    const char
        *again[OPTION_COUNT][VALUES_MAX]; /* all values of an option that can be given again */
    size_t again_count[OPTION_COUNT];
    const char *const *words; /* what is no option */
    size_t word_count;
};

/* Reads the arguments behind the command; `command` decides which options there are.  FAULT_CONFIG: usage. */
int settings_read(struct ctx *ctx, const char *command, char **arguments,
                  struct settings *settings) MUST_CHECK;

/* A duration such as "500ms", "10s" or "2m"; the usual one when it was not given.  FAULT_CONFIG. */
int settings_duration(struct ctx *ctx, const struct settings *settings, enum option option,
                      uint64_t *ns) MUST_CHECK;

/* Whether there is such a command, and the text of --help for it or, with NULL, for all of them. */
bool settings_is_command(const char *command);
void settings_help(const char *command);

#endif
