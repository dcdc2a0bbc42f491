/* tenantctl tenant create|update|suspend|reactivate|close. */
#include "call.h"
#include "output.h"
#include "patch.h"
#include "tenant_commands.h"

#include "gen/rpc/tenant_service.h"

#include <unistd.h>

static const struct flag create_flags[] = {
    FLAG("slug", "SLUG", "unique in the region: 3 to 63 lower-case letters, digits, hyphens"),
    FLAG("display-name", "NAME", "what people see"),
    FLAG("home-region", "REGION", "where the tenant's data lives", .choices = "us eu me ap"),
    FLAGS_END,
};
const struct flag_set create_set = {"flags", create_flags};

static const struct flag update_flags[] = {
    FLAG("slug", "SLUG", "the new slug"),
    FLAG("display-name", "NAME", "the new name"),
    FLAG("clear", "FIELD", "empty a field", .repeated = true,
         .choices = "plan plan.addons labels settings.default_locale settings.allowed_locales "
                    "settings.branding_theme"),
    FLAG("etag", "ETAG", "refuse the update unless the tenant still has this etag"),
    FLAGS_END,
};
const struct flag_set update_set = {"flags", update_flags};

static const struct flag state_flags[] = {
    FLAG("reason", "TEXT", "why; goes into the audit and the event"),
    FLAG("etag", "ETAG", "refuse the change unless the tenant still has this etag"),
    FLAGS_END,
};
const struct flag_set state_set = {"flags", state_flags};

static const struct flag close_flags[] = {
    FLAG("reason", "TEXT", "why; goes into the audit and the event"),
    FLAG("etag", "ETAG", "refuse the change unless the tenant still has this etag"),
    FLAG("yes", NULL, "do not ask"),
    FLAGS_END,
};
const struct flag_set close_set = {"flags", close_flags};

static int perform(struct cli *cli, const char *method, const ProtobufCMessage *request);
static const Tenant__V1__Tenant *tenant_of(const ProtobufCMessage *answer);
static void print_write(struct cli *cli, const struct client_call *call,
                        const Tenant__V1__Tenant *tenant);
static int confirm(const struct cli *cli);
static char *text_value(struct cli *cli, const char *flag);

int tenant_create(struct cli *cli)
{
    struct patch patch;
    TRY(patch_take(cli, &patch));
    patch.tenant.home_region = text_value(cli, "home-region");
    Tenant__V1__CreateTenantRequest request;
    tenant__v1__create_tenant_request__init(&request);
    request.tenant = &patch.tenant;
    request.validate_only = cli_is_on(cli, "validate-only");
    return perform(cli, "CreateTenant", &request.base);
}

int tenant_update(struct cli *cli)
{
    struct patch patch;
    TRY(patch_take(cli, &patch));
    TRY(patch_take_clears(cli, &patch));
    if (patch.path_count == 0)
        return cli_complain("nothing to update: name at least one field (see --help)");
    patch.tenant.tenant_id = arena_strdup(cli->arena, cli->argument);
    patch.tenant.etag = text_value(cli, "etag");
    Google__Protobuf__FieldMask mask;
    google__protobuf__field_mask__init(&mask);
    mask.n_paths = patch.path_count;
    mask.paths = arena_alloc(cli->arena, patch.path_count * sizeof *mask.paths);
    for (size_t i = 0; i < patch.path_count; i++)
        mask.paths[i] = arena_strdup(cli->arena, patch.paths[i]);
    Tenant__V1__UpdateTenantRequest request;
    tenant__v1__update_tenant_request__init(&request);
    request.tenant = &patch.tenant;
    request.update_mask = &mask;
    request.validate_only = cli_is_on(cli, "validate-only");
    return perform(cli, "UpdateTenant", &request.base);
}

int tenant_suspend(struct cli *cli)
{
    Tenant__V1__SuspendTenantRequest request;
    tenant__v1__suspend_tenant_request__init(&request);
    request.tenant_id = arena_strdup(cli->arena, cli->argument);
    request.etag = text_value(cli, "etag");
    request.reason = text_value(cli, "reason");
    request.validate_only = cli_is_on(cli, "validate-only");
    return perform(cli, "SuspendTenant", &request.base);
}

int tenant_reactivate(struct cli *cli)
{
    Tenant__V1__ReactivateTenantRequest request;
    tenant__v1__reactivate_tenant_request__init(&request);
    request.tenant_id = arena_strdup(cli->arena, cli->argument);
    request.etag = text_value(cli, "etag");
    request.reason = text_value(cli, "reason");
    request.validate_only = cli_is_on(cli, "validate-only");
    return perform(cli, "ReactivateTenant", &request.base);
}

int tenant_close(struct cli *cli)
{
    TRY(confirm(cli));
    Tenant__V1__CloseTenantRequest request;
    tenant__v1__close_tenant_request__init(&request);
    request.tenant_id = arena_strdup(cli->arena, cli->argument);
    request.etag = text_value(cli, "etag");
    request.reason = text_value(cli, "reason");
    request.validate_only = cli_is_on(cli, "validate-only");
    return perform(cli, "CloseTenant", &request.base);
}

static int perform(struct cli *cli, const char *method, const ProtobufCMessage *request)
{
    struct ctl_call call = {
        .method = ctl_method(&tenant_service_rpc, method), .in = request, .writes = true};
    ProtobufCMessage *answer = NULL;
    TRY(ctl_call(cli, &call, &answer));
    const Tenant__V1__Tenant *tenant = tenant_of(answer);
    if (tenant != NULL)
        print_write(cli, &call.answer, tenant);
    return EXIT_DONE;
}

/* The answers of all writes are alike: one field, the tenant, with number 1. */
static const Tenant__V1__Tenant *tenant_of(const ProtobufCMessage *answer)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(answer->descriptor, 1);
    const Tenant__V1__Tenant *const *place = (const void *)((const char *)answer + field->offset);
    return *place;
}

/* A table also shows what makes the next read see this write. */
static void print_write(struct cli *cli, const struct client_call *call,
                        const Tenant__V1__Tenant *tenant)
{
    output_tenant(cli, tenant);
    if (cli->form != FORM_TABLE)
        return;
    struct slice token = client_answer(call, "x-consistency-token");
    if (token.size > 0)
        output_row(cli, "Token", arena_strndup(cli->arena, token.data, token.size));
    if (client_answer(call, "idempotency-replayed").size > 0)
        output_row(cli, "Replayed", "the answer of the first request under this key");
    if (cli_is_on(cli, "validate-only"))
        output_row(cli, "Validated", "nothing was stored");
}

/* Closing is for ever.  A script says --yes. */
static int confirm(const struct cli *cli)
{
    if (cli_is_on(cli, "yes") || cli_is_on(cli, "validate-only"))
        return OK;
    if (isatty(STDIN_FILENO) != 1)
        return cli_complain("closing cannot be undone: add --yes");
    fprintf(stderr, "Closing %s cannot be undone.  Type its id to go on: ",
            text_clean(cli->arena, cli->argument));
    char typed[64] = "";
    if (fgets(typed, sizeof typed, stdin) != NULL)
        typed[strcspn(typed, "\r\n")] = '\0';
    if (strcmp(typed, cli->argument) == 0)
        return OK;
    (void)cli_complain("not confirmed, nothing was done");
    return EXIT_REFUSED;
}

/* "" when the flag was not given. */
static char *text_value(struct cli *cli, const char *flag)
{
    const char *value = cli_value(cli, flag);
    return arena_strdup(cli->arena, value == NULL ? "" : value);
}
