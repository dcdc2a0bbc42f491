/* Flags as the fields of a tenant, and the paths of an update mask; see patch.h. */
#include "patch.h"

#include "domain/tenant.h"

#include <assert.h>

const struct flag patch_flags[] = {
    FLAG("type", "TYPE", "what kind of tenant", .choices = "org provider individual hybrid"),
    FLAG("plan", "PLAN_ID", "the billing plan, such as plan_pro"),
    FLAG("addon", "ADDON", "an add-on of the plan", .repeated = true),
    FLAG("label", "KEY=VALUE", "a label; the labels given replace all", .repeated = true),
    FLAG("default-locale", "TAG", "language tag, such as en or pt-BR"),
    FLAG("allowed-locale", "TAG", "a language users may choose", .repeated = true),
    FLAG("mfa-required", NULL, "members must use a second factor (=false: need not)"),
    FLAG("offline-enabled", NULL, "clients may work offline (=false: may not)"),
    FLAG("ai-enabled", NULL, "AI features are on (=false: off)"),
    FLAG("theme", "KEY=VALUE", "a branding value; those given replace all", .repeated = true),
    FLAGS_END,
};
const struct flag_set patch_set = {"fields", patch_flags};

struct pair {
    char *key;
    char *value;
};

static int take_type(struct cli *cli, struct patch *patch);
static void take_plan(struct cli *cli, struct patch *patch);
static int take_labels(struct cli *cli, struct patch *patch);
static int take_settings(struct cli *cli, struct patch *patch);
static int take_theme(struct cli *cli, struct patch *patch);
static void take_text(struct patch *patch, const char *flag, const char *path, char **place);
static void take_truth(struct patch *patch, const char *flag, const char *path,
                       protobuf_c_boolean *place);
static char **take_list(struct cli *cli, const char *flag, size_t *count);
static int split_pair(struct cli *cli, const char *flag, const char *text, struct pair *pair);
static void name_path(struct patch *patch, const char *path);
static char *unconst(struct cli *cli, const char *text);

int patch_take(struct cli *cli, struct patch *patch)
{
    *patch = (struct patch){.cli = cli};
    tenant__v1__tenant__init(&patch->tenant);
    tenant__v1__plan__init(&patch->plan);
    tenant__v1__tenant_settings__init(&patch->settings);
    take_text(patch, "slug", "slug", &patch->tenant.slug);
    take_text(patch, "display-name", "display_name", &patch->tenant.display_name);
    TRY(take_type(cli, patch));
    take_plan(cli, patch);
    TRY(take_labels(cli, patch));
    return take_settings(cli, patch);
}

static int take_type(struct cli *cli, struct patch *patch)
{
    const char *type = cli_value(cli, "type");
    if (type == NULL)
        return OK;
    enum tenant_type parsed;
    if (!tenant_type_parse(slice_of_str(type), &parsed))
        return cli_complain("--type \"%s\": expected org, provider, individual or hybrid", type);
    patch->tenant.type = (Tenant__V1__TenantType)(parsed + 1);
    name_path(patch, "type");
    return OK;
}

static void take_plan(struct cli *cli, struct patch *patch)
{
    take_text(patch, "plan", "plan.plan_id", &patch->plan.plan_id);
    patch->plan.addons = take_list(cli, "addon", &patch->plan.n_addons);
    if (patch->plan.n_addons > 0)
        name_path(patch, "plan.addons");
    if (cli_has(cli, "plan") || patch->plan.n_addons > 0)
        patch->tenant.plan = &patch->plan;
}

static int take_labels(struct cli *cli, struct patch *patch)
{
    size_t count = 0;
    char **texts = take_list(cli, "label", &count);
    patch->tenant.labels = arena_alloc(cli->arena, count * sizeof *patch->tenant.labels);
    for (size_t i = 0; i < count; i++) {
        Tenant__V1__Tenant__LabelsEntry *entry = arena_alloc(cli->arena, sizeof *entry);
        tenant__v1__tenant__labels_entry__init(entry);
        struct pair pair;
        TRY(split_pair(cli, "label", texts[i], &pair));
        entry->key = pair.key;
        entry->value = pair.value;
        patch->tenant.labels[i] = entry;
    }
    patch->tenant.n_labels = count;
    if (count > 0)
        name_path(patch, "labels");
    return OK;
}

static int take_settings(struct cli *cli, struct patch *patch)
{
    Tenant__V1__TenantSettings *settings = &patch->settings;
    size_t before = patch->path_count;
    take_text(patch, "default-locale", "settings.default_locale", &settings->default_locale);
    settings->allowed_locales = take_list(cli, "allowed-locale", &settings->n_allowed_locales);
    if (settings->n_allowed_locales > 0)
        name_path(patch, "settings.allowed_locales");
    take_truth(patch, "mfa-required", "settings.mfa_required", &settings->mfa_required);
    take_truth(patch, "offline-enabled", "settings.offline_enabled", &settings->offline_enabled);
    take_truth(patch, "ai-enabled", "settings.ai_enabled", &settings->ai_enabled);
    TRY(take_theme(cli, patch));
    if (patch->path_count > before)
        patch->tenant.settings = settings;
    return OK;
}

static int take_theme(struct cli *cli, struct patch *patch)
{
    Tenant__V1__TenantSettings *settings = &patch->settings;
    size_t count = 0;
    char **texts = take_list(cli, "theme", &count);
    settings->branding_theme = arena_alloc(cli->arena, count * sizeof *settings->branding_theme);
    for (size_t i = 0; i < count; i++) {
        Tenant__V1__TenantSettings__BrandingThemeEntry *entry =
            arena_alloc(cli->arena, sizeof *entry);
        tenant__v1__tenant_settings__branding_theme_entry__init(entry);
        struct pair pair;
        TRY(split_pair(cli, "theme", texts[i], &pair));
        entry->key = pair.key;
        entry->value = pair.value;
        settings->branding_theme[i] = entry;
    }
    settings->n_branding_theme = count;
    if (count > 0)
        name_path(patch, "settings.branding_theme");
    return OK;
}

static void take_text(struct patch *patch, const char *flag, const char *path, char **place)
{
    const char *value = cli_value(patch->cli, flag);
    if (value == NULL)
        return;
    *place = unconst(patch->cli, value);
    name_path(patch, path);
}

static void take_truth(struct patch *patch, const char *flag, const char *path,
                       protobuf_c_boolean *place)
{
    const char *value = cli_value(patch->cli, flag);
    if (value == NULL)
        return;
    *place = strcmp(value, "true") == 0;
    name_path(patch, path);
}

int patch_take_clears(struct cli *cli, struct patch *patch)
{
    size_t count = 0;
    char **fields = take_list(cli, "clear", &count);
    for (size_t i = 0; i < count; i++) {
        if (patch->path_count >= sizeof patch->paths / sizeof patch->paths[0])
            return cli_complain("--clear was given too often");
        name_path(patch, fields[i]);
    }
    return OK;
}

static char **take_list(struct cli *cli, const char *flag, size_t *count)
{
    char **items = arena_alloc(cli->arena, cli->given_count * sizeof *items);
    *count = 0;
    for (const char *value; (value = cli_nth(cli, flag, *count)) != NULL;)
        items[(*count)++] = unconst(cli, value);
    return items;
}

static int split_pair(struct cli *cli, const char *flag, const char *text, struct pair *pair)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return cli_complain("--%s \"%s\": expected KEY=VALUE", flag, text);
    pair->key = arena_strndup(cli->arena, text, (size_t)(equals - text));
    pair->value = arena_strdup(cli->arena, equals + 1);
    return OK;
}

static void name_path(struct patch *patch, const char *path)
{
    assert(patch->path_count < sizeof patch->paths / sizeof patch->paths[0]);
    patch->paths[patch->path_count++] = path;
}

static char *unconst(struct cli *cli, const char *text)
{
    return arena_strdup(cli->arena, text);
}
