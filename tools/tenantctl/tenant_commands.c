/* tenantctl tenant create|get|lookup|update. */
#include "tenant_commands.h"

#include "output.h"
#include "settings.h"

#include "domain/tenant.h"

#include "gen/rpc/tenant_service.h"

#include <assert.h>
#include <stdio.h>

const struct flag create_flags[] = {
    {"slug", "SLUG", "unique in the region: 3 to 63 lower-case letters, digits, hyphens", false},
    {"display-name", "NAME", "what people see", false},
    {"home-region", "REGION", "us, eu, me or ap: where the tenant's data lives", false},
    TENANT_FIELD_FLAGS,
    {"validate-only", NULL, "check the request, store nothing", false},
    {NULL, NULL, NULL, false},
};

const struct flag update_flags[] = {
    {"slug", "SLUG", "the new slug", false},
    {"display-name", "NAME", "the new name", false},
    TENANT_FIELD_FLAGS,
    {"clear", "FIELD", "empty a field: plan, plan.addons, labels, settings.branding_theme …", true},
    {"etag", "ETAG", "refuse the update unless the tenant still has this etag", false},
    {"validate-only", NULL, "check the request, store nothing", false},
    {NULL, NULL, NULL, false},
};

struct pair {
    char *key;
    char *value;
};

struct patch {
    struct cli *cli;
    Tenant__V1__Tenant tenant;
    Tenant__V1__Plan plan;
    Tenant__V1__TenantSettings settings;
    const char *paths[24]; /* update mask: what the flags named */
    size_t path_count;
};

static int finish(struct cli *cli, struct client_call *call, int rc,
                  const Tenant__V1__Tenant *tenant);
static int take_patch(struct cli *cli, struct patch *patch);
static int take_type(struct cli *cli, struct patch *patch);
static void take_plan(struct cli *cli, struct patch *patch);
static int take_labels(struct cli *cli, struct patch *patch);
static int take_settings(struct cli *cli, struct patch *patch);
static int take_theme(struct cli *cli, struct patch *patch);
static void take_text(struct patch *patch, const char *flag, const char *path, char **place);
static void take_truth(struct patch *patch, const char *flag, const char *path,
                       protobuf_c_boolean *place);
static int take_clears(struct cli *cli, struct patch *patch);
static char **take_list(struct cli *cli, const char *flag, size_t *count);
static int split_pair(struct cli *cli, const char *flag, const char *text, struct pair *pair);
static void name_path(struct patch *patch, const char *path);
static char *unconst(struct cli *cli, const char *text);

int tenant_create(struct cli *cli)
{
    struct patch patch;
    TRY(take_patch(cli, &patch));
    if (cli_has(cli, "home-region"))
        patch.tenant.home_region = unconst(cli, cli_value(cli, "home-region"));
    Tenant__V1__CreateTenantRequest request;
    tenant__v1__create_tenant_request__init(&request);
    request.tenant = &patch.tenant;
    request.validate_only = cli_has(cli, "validate-only");
    struct client_call call;
    TRY(ctl_open_call(cli, &call));
    Tenant__V1__CreateTenantResponse *answer = NULL;
    int rc = tenant_service_create_tenant(&call, &request, &answer);
    return finish(cli, &call, rc, answer == NULL ? NULL : answer->tenant);
}

int tenant_get(struct cli *cli)
{
    Tenant__V1__GetTenantRequest request;
    tenant__v1__get_tenant_request__init(&request);
    request.tenant_id = unconst(cli, cli->argument);
    struct client_call call;
    TRY(ctl_open_call(cli, &call));
    Tenant__V1__GetTenantResponse *answer = NULL;
    int rc = tenant_service_get_tenant(&call, &request, &answer);
    return finish(cli, &call, rc, answer == NULL ? NULL : answer->tenant);
}

int tenant_lookup(struct cli *cli)
{
    Tenant__V1__LookupTenantRequest request;
    tenant__v1__lookup_tenant_request__init(&request);
    request.slug = unconst(cli, cli->argument);
    struct client_call call;
    TRY(ctl_open_call(cli, &call));
    Tenant__V1__LookupTenantResponse *answer = NULL;
    int rc = tenant_service_lookup_tenant(&call, &request, &answer);
    return finish(cli, &call, rc, answer == NULL ? NULL : answer->tenant);
}

int tenant_update(struct cli *cli)
{
    struct patch patch;
    TRY(take_patch(cli, &patch));
    TRY(take_clears(cli, &patch));
    if (patch.path_count == 0)
        return cli_complain("nothing to update: name at least one field (see --help)");
    patch.tenant.tenant_id = unconst(cli, cli->argument);
    if (cli_has(cli, "etag"))
        patch.tenant.etag = unconst(cli, cli_value(cli, "etag"));
    Google__Protobuf__FieldMask mask;
    google__protobuf__field_mask__init(&mask);
    mask.n_paths = patch.path_count;
    mask.paths = arena_alloc(cli->arena, patch.path_count * sizeof *mask.paths);
    for (size_t i = 0; i < patch.path_count; i++)
        mask.paths[i] = unconst(cli, patch.paths[i]);
    Tenant__V1__UpdateTenantRequest request;
    tenant__v1__update_tenant_request__init(&request);
    request.tenant = &patch.tenant;
    request.update_mask = &mask;
    request.validate_only = cli_has(cli, "validate-only");
    struct client_call call;
    TRY(ctl_open_call(cli, &call));
    Tenant__V1__UpdateTenantResponse *answer = NULL;
    int rc = tenant_service_update_tenant(&call, &request, &answer);
    return finish(cli, &call, rc, answer == NULL ? NULL : answer->tenant);
}

int ctl_open_call(struct cli *cli, struct client_call *call)
{
    TRY(settings_need_service(cli->settings));
    const struct client_settings settings = {
        .address = cli->settings->address,
        .cert_file = cli->settings->cert_file,
        .key_file = cli->settings->key_file,
        .ca_file = cli->settings->ca_file,
        .server_name = cli->settings->server_name[0] == '\0' ? NULL : cli->settings->server_name,
        .connect_timeout_ns = cli->settings->timeout_ns,
    };
    *call = (struct client_call){.ctx = &cli->ctx, .timeout_ns = cli->settings->timeout_ns};
    if (client_channel_open(&cli->ctx, &settings, &call->channel) != OK)
        return output_fault(&cli->ctx, cli->settings->address);
    if (cli->settings->tenant_header[0] != '\0')
        call->metadata[call->metadata_count++] = (struct client_field){
            "x-tenant-id", slice_of_str(cli->settings->tenant_header)};
    return OK;
}

static int finish(struct cli *cli, struct client_call *call, int rc,
                  const Tenant__V1__Tenant *tenant)
{
    int status = EXIT_DONE;
    if (rc != OK)
        status = output_fault(&cli->ctx, cli->settings->address);
    else if (call->status != 0)
        status = output_refusal(call);
    else if (tenant != NULL)
        output_tenant(cli, tenant);
    client_channel_close(call->channel);
    return status;
}

static int take_patch(struct cli *cli, struct patch *patch)
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
    take_truth(patch, "offline-enabled", "settings.offline_enabled",
               &settings->offline_enabled);
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

static int take_clears(struct cli *cli, struct patch *patch)
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
