/* Flags over environment over configuration file; see settings.h. */
#include "settings.h"

#include <yaml.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_NS (10 * NS_PER_S)

struct setting {
    const char *name; /* as in the file; the flag has dashes, the environment TENANTCTL_ and capitals */
    size_t offset;
};

#define SETTING(member) {#member, offsetof(struct ctl_settings, member)}
static const struct setting settings_known[] = {
    SETTING(address),     SETTING(cert_file), SETTING(key_file),       SETTING(ca_file),
    SETTING(server_name), SETTING(nats_url),  SETTING(nats_seed_file), SETTING(tenant_header),
};
#define SETTING_COUNT (sizeof settings_known / sizeof settings_known[0])

static const char **place_of(struct ctl_settings *settings, const struct setting *setting);
static int load_file(struct cli *cli, const char *path, bool must_exist);
static int load_document(struct cli *cli, const char *path, yaml_document_t *document);
static int take_pair(struct cli *cli, const char *path, const yaml_node_t *key,
                     const yaml_node_t *value);
static void load_environment(struct cli *cli);
static void load_flags(struct cli *cli);
static int load_output_and_timeout(struct cli *cli);
static const char *default_path(struct arena *arena);
static int need(const char *const *names, const char *const *values, size_t count);

int settings_load(struct cli *cli)
{
    cli->settings = arena_alloc(cli->arena, sizeof *cli->settings);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        *place_of(cli->settings, &settings_known[i]) = "";
    const char *path = cli_value(cli, "config");
    if (path == NULL)
        path = getenv("TENANTCTL_CONFIG");
    bool chosen = path != NULL;
    if (path == NULL)
        path = default_path(cli->arena);
    if (path != NULL)
        TRY(load_file(cli, path, chosen));
    load_environment(cli);
    load_flags(cli);
    return load_output_and_timeout(cli);
}

int settings_need_service(const struct ctl_settings *settings)
{
    static const char *const names[] = {"address", "ca-file", "cert-file", "key-file"};
    const char *const values[] = {settings->address, settings->ca_file, settings->cert_file,
                                  settings->key_file};
    return need(names, values, 4);
}

int settings_need_nats(const struct ctl_settings *settings)
{
    static const char *const names[] = {"nats-url", "nats-seed-file", "ca-file", "cert-file",
                                        "key-file"};
    const char *const values[] = {settings->nats_url, settings->nats_seed_file, settings->ca_file,
                                  settings->cert_file, settings->key_file};
    return need(names, values, 5);
}

static int need(const char *const *names, const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i][0] == '\0')
            return cli_complain("--%s is not set: give the flag, the environment variable or a "
                                "configuration file (see --help)",
                                names[i]);
    }
    return OK;
}

static const char **place_of(struct ctl_settings *settings, const struct setting *setting)
{
    return (const char **)(void *)((char *)settings + setting->offset);
}

static int load_file(struct cli *cli, const char *path, bool must_exist)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        if (errno == ENOENT && !must_exist)
            return OK;
        return cli_complain("configuration %s: %s", path, strerror(errno));
    }
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_file(&parser, file);
    int rc = OK;
    if (!yaml_parser_load(&parser, &document)) {
        rc = cli_complain("%s:%zu: %s", path, parser.problem_mark.line + 1,
                          parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        rc = load_document(cli, path, &document);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    fclose(file);
    return rc;
}

static int load_document(struct cli *cli, const char *path, yaml_document_t *document)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL)
        return OK;
    if (root->type != YAML_MAPPING_NODE)
        return cli_complain("%s:1: expected `name: value` lines", path);
    const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
    for (; pair < root->data.mapping.pairs.top; pair++) {
        TRY(take_pair(cli, path, yaml_document_get_node(document, pair->key),
                      yaml_document_get_node(document, pair->value)));
    }
    return OK;
}

static int take_pair(struct cli *cli, const char *path, const yaml_node_t *key,
                     const yaml_node_t *value)
{
    size_t line = key->start_mark.line + 1;
    if (key->type != YAML_SCALAR_NODE || value->type != YAML_SCALAR_NODE)
        return cli_complain("%s:%zu: expected `name: value`", path, line);
    struct slice name = slice_make(key->data.scalar.value, key->data.scalar.length);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (!slice_is(name, settings_known[i].name))
            continue;
        *place_of(cli->settings, &settings_known[i]) =
            arena_strndup(cli->arena, value->data.scalar.value, value->data.scalar.length);
        return OK;
    }
    return cli_complain("%s:%zu: unknown key \"%.*s\"", path, line, (int)name.size,
                        (const char *)name.data);
}

static void load_environment(struct cli *cli)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char *name = arena_printf(cli->arena, "TENANTCTL_%s", settings_known[i].name);
        for (char *c = name; *c != '\0'; c++)
            *c = (char)toupper((unsigned char)*c);
        const char *value = getenv(name);
        if (value != NULL)
            *place_of(cli->settings, &settings_known[i]) = value;
    }
}

static void load_flags(struct cli *cli)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char *name = arena_strdup(cli->arena, settings_known[i].name);
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        const char *value = cli_value(cli, name);
        if (value != NULL)
            *place_of(cli->settings, &settings_known[i]) = value;
    }
}

static int load_output_and_timeout(struct cli *cli)
{
    const char *output = cli_value(cli, "output");
    if (output != NULL && strcmp(output, "table") != 0 && strcmp(output, "json") != 0)
        return cli_complain("--output \"%s\": expected table or json", output);
    cli->settings->json = output != NULL && strcmp(output, "json") == 0;
    cli->settings->timeout_ns = TIMEOUT_DEFAULT_NS;
    const char *timeout = cli_value(cli, "timeout");
    if (timeout == NULL)
        return OK;
    char *end = NULL;
    double number = strtod(timeout, &end);
    double unit = strcmp(end, "ms") == 0 ? 1e6 : strcmp(end, "s") == 0 ? 1e9 : 0;
    double ns = number * unit;
    if (end == timeout || !(ns >= 1e6 && ns <= 3600e9))
        return cli_complain("--timeout \"%s\": expected 1ms to 3600s, such as 500ms or 10s",
                            timeout);
    cli->settings->timeout_ns = (uint64_t)ns;
    return OK;
}

static const char *default_path(struct arena *arena)
{
    const char *folder = getenv("XDG_CONFIG_HOME");
    if (folder != NULL && folder[0] != '\0')
        return arena_printf(arena, "%s/tenantctl/config.yaml", folder);
    const char *home = getenv("HOME");
    return home == NULL ? NULL : arena_printf(arena, "%s/.config/tenantctl/config.yaml", home);
}
