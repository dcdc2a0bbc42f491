/* Puts the sources of settings together; see settings.h. */
#include "settings.h"

#include <ctype.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S)
#define INTERVAL_DEFAULT_NS (2 * NS_PER_S)

static const char *variable(struct arena *arena, const char *name);
static int need(const struct cli *cli, const enum setting *settings, size_t count);

int settings_load(struct cli *cli)
{
    struct ctl_settings *settings = arena_alloc(cli->arena, sizeof *settings);
    struct context_file *file = arena_alloc(cli->arena, sizeof *file);
    cli->settings = settings;
    TRY(contexts_load(cli, file));
    settings->context = context_chosen(cli, file);
    const struct context *context = context_find(file, settings->context);
    if (context == NULL && settings->context[0] != '\0') {
        (void)cli_complain("there is no context \"%s\" in %s", settings->context,
                           file->path == NULL ? "any file" : file->path);
        return EXIT_NOT_FOUND;
    }
    for (size_t i = 0; i < SETTINGS; i++) {
        const char *value = cli_value(cli, setting_flag(cli->arena, (enum setting)i));
        if (value == NULL)
            value = variable(cli->arena, setting_names[i]);
        if (value == NULL && context != NULL)
            value = context->values[i];
        if (value == NULL)
            value = file->shared.values[i];
        settings->values[i] = value == NULL ? "" : value;
    }
    settings->timeout_ns = TIMEOUT_DEFAULT_NS;
    settings->interval_ns = INTERVAL_DEFAULT_NS;
    const char *timeout = variable(cli->arena, "timeout");
    if (timeout != NULL && !duration_parse(timeout, &settings->timeout_ns))
        return cli_complain("TENANTCTL_TIMEOUT \"%s\": expected a time such as 500ms or 10s",
                            timeout);
    TRY(cli_duration(cli, "timeout", &settings->timeout_ns));
    return cli_duration(cli, "interval", &settings->interval_ns);
}

int settings_need_service(const struct cli *cli)
{
    static const enum setting needed[] = {SETTING_ADDRESS, SETTING_CA_FILE, SETTING_CERT_FILE,
                                          SETTING_KEY_FILE};
    return need(cli, needed, sizeof needed / sizeof needed[0]);
}

int settings_need_nats(const struct cli *cli)
{
    static const enum setting needed[] = {SETTING_NATS_URL, SETTING_NATS_SEED_FILE, SETTING_CA_FILE,
                                          SETTING_CERT_FILE, SETTING_KEY_FILE};
    return need(cli, needed, sizeof needed / sizeof needed[0]);
}

const char *settings_address(const struct cli *cli)
{
    return cli->settings->values[SETTING_ADDRESS];
}

/* TENANTCTL_CA_FILE for "ca_file"; an empty one counts as not set. */
static const char *variable(struct arena *arena, const char *name)
{
    char *full = arena_printf(arena, "TENANTCTL_%s", name);
    for (char *c = full; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    const char *value = getenv(full);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static int need(const struct cli *cli, const enum setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (cli->settings->values[settings[i]][0] == '\0')
            return cli_complain("--%s is not set: give the flag, the environment variable or a "
                                "context (see tenantctl context set --help)",
                                setting_flag(cli->arena, settings[i]));
    }
    return OK;
}
