/* contract-verify: replays consumers' pacts against a running provider.
 *
 * Exit status: 0 all verified, 1 something was not, 2 wrong usage or input that cannot be read.
 * docs/contracts.md is its manual. */
#include "commands.h"

#include <curl/curl.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(struct ctx *ctx, const char *command, char **arguments);

int main(int argc, char **argv)
{
    const char *command = argc < 2 ? "" : argv[1];
    if (strcmp(command, "--version") == 0) {
        puts("contract-verify " TENANT_VERSION);
        return EXIT_VERIFIED;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        settings_help(NULL);
        return EXIT_VERIFIED;
    }
    if (!settings_is_command(command)) {
        fprintf(stderr, "contract-verify: \"%s\" is no command; see --help\n", command);
        return EXIT_UNUSABLE;
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    struct arena *arena = arena_new(0);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = run(&ctx, command, argv + 2);
    curl_global_cleanup();
    arena_free(arena);
    if (fflush(stdout) != 0)
        status = EXIT_UNUSABLE;
    return status;
}

static int run(struct ctx *ctx, const char *command, char **arguments)
{
    struct settings settings;
    for (char **at = arguments; *at != NULL; at++) {
        if (strcmp(*at, "--help") == 0 || strcmp(*at, "-h") == 0) {
            settings_help(command);
            return EXIT_VERIFIED;
        }
    }
    if (settings_read(ctx, command, arguments, &settings) != OK)
        return complain(ctx);
    if (strcmp(command, "verify") == 0)
        return verify_command(ctx, &settings);
    if (strcmp(command, "publish") == 0)
        return publish_command(ctx, &settings);
    return match_command(ctx, &settings);
}

struct broker settings_broker(const struct settings *settings)
{
    return (struct broker){.url = settings->values[OPTION_BROKER],
                           .token = settings->values[OPTION_BROKER_TOKEN],
                           .user = settings->values[OPTION_BROKER_USER],
                           .ca_file = settings->values[OPTION_BROKER_CA_FILE]};
}

struct broker_version settings_version(const struct settings *settings)
{
    return (struct broker_version){.number = settings->values[OPTION_VERSION],
                                   .branch = settings->values[OPTION_BRANCH],
                                   .tags = settings->again[OPTION_TAG],
                                   .tag_count = settings->again_count[OPTION_TAG],
                                   .build_url = settings->values[OPTION_BUILD_URL]};
}

int complain(const struct ctx *ctx)
{
    fprintf(stderr, "contract-verify: %s\n", ctx->fault.text);
    return EXIT_UNUSABLE;
}
