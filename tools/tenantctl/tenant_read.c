/* tenantctl tenant get|lookup|list. */
#include "call.h"
#include "output.h"
#include "tenant_commands.h"

#include "gen/rpc/tenant_service.h"

#include <stdlib.h>

#define PAGE_SIZE_MAX 1000
#define PAGE_SIZE_ALL 500

static const struct flag list_flags[] = {
    FLAG("filter", "FILTER", "which ones, such as 'status = \"active\" AND labels.env = \"prod\"'"),
    FLAG("order-by", "ORDER", "in which order, such as \"display_name desc\"",
         .choices = "create_time slug display_name"),
    FLAG("page-size", "N", "how many at once (default 50, at most 1000)"),
    FLAG("page-token", "TOKEN", "go on where a list with the same filter and order ended"),
    FLAG("all", NULL, "all pages, not only one"),
    FLAGS_END,
};
const struct flag_set list_set = {"flags", list_flags};

struct listing {
    struct cli *cli;
    Tenant__V1__ListTenantsRequest request;
    Tenant__V1__Tenant **tenants;
    size_t count;
    size_t room;
    const char *next;
};

static int get_once(struct cli *cli);
static int lookup_once(struct cli *cli);
static int list_once(struct cli *cli);
static int list_prepare(struct listing *listing, struct cli *cli);
static int list_page(struct listing *listing);
static void list_print(const struct listing *listing);

int tenant_get(struct cli *cli)
{
    return ctl_watch(cli, get_once);
}

int tenant_lookup(struct cli *cli)
{
    return ctl_watch(cli, lookup_once);
}

int tenant_list(struct cli *cli)
{
    return ctl_watch(cli, list_once);
}

static int get_once(struct cli *cli)
{
    Tenant__V1__GetTenantRequest request;
    tenant__v1__get_tenant_request__init(&request);
    request.tenant_id = arena_strdup(cli->arena, cli->argument);
    struct ctl_call call = {.method = ctl_method(&tenant_service_rpc, "GetTenant"),
                            .in = &request.base};
    ProtobufCMessage *message = NULL;
    TRY(ctl_call(cli, &call, &message));
    const Tenant__V1__GetTenantResponse *answer = (const Tenant__V1__GetTenantResponse *)message;
    if (answer->tenant != NULL)
        output_tenant(cli, answer->tenant);
    return EXIT_DONE;
}

static int lookup_once(struct cli *cli)
{
    Tenant__V1__LookupTenantRequest request;
    tenant__v1__lookup_tenant_request__init(&request);
    request.slug = arena_strdup(cli->arena, cli->argument);
    struct ctl_call call = {.method = ctl_method(&tenant_service_rpc, "LookupTenant"),
                            .in = &request.base};
    ProtobufCMessage *message = NULL;
    TRY(ctl_call(cli, &call, &message));
    const Tenant__V1__LookupTenantResponse *answer =
        (const Tenant__V1__LookupTenantResponse *)message;
    if (answer->tenant != NULL)
        output_tenant(cli, answer->tenant);
    return EXIT_DONE;
}

static int list_once(struct cli *cli)
{
    struct listing listing;
    TRY(list_prepare(&listing, cli));
    do {
        TRY(list_page(&listing));
        if (cli_is_on(cli, "all"))
            progress_show(&cli->terminal, "%zu tenants", listing.count);
    } while (cli_is_on(cli, "all") && listing.next[0] != '\0');
    progress_clear(&cli->terminal);
    list_print(&listing);
    return EXIT_DONE;
}

static int list_prepare(struct listing *listing, struct cli *cli)
{
    *listing = (struct listing){.cli = cli, .next = ""};
    Tenant__V1__ListTenantsRequest *request = &listing->request;
    tenant__v1__list_tenants_request__init(request);
    unsigned size = cli_is_on(cli, "all") ? PAGE_SIZE_ALL : 0;
    TRY(cli_number(cli, "page-size", PAGE_SIZE_MAX, &size));
    request->page_size = (int32_t)size;
    if (cli_has(cli, "filter"))
        request->filter = arena_strdup(cli->arena, cli_value(cli, "filter"));
    if (cli_has(cli, "order-by"))
        request->order_by = arena_strdup(cli->arena, cli_value(cli, "order-by"));
    if (cli_has(cli, "page-token"))
        request->page_token = arena_strdup(cli->arena, cli_value(cli, "page-token"));
    return OK;
}

static int list_page(struct listing *listing)
{
    struct cli *cli = listing->cli;
    struct ctl_call call = {.method = ctl_method(&tenant_service_rpc, "ListTenants"),
                            .in = &listing->request.base};
    ProtobufCMessage *message = NULL;
    TRY(ctl_call(cli, &call, &message));
    const Tenant__V1__ListTenantsResponse *answer =
        (const Tenant__V1__ListTenantsResponse *)message;
    if (listing->count + answer->n_tenants > listing->room) {
        size_t room = 2 * (listing->count + answer->n_tenants);
        Tenant__V1__Tenant **larger = arena_alloc_raw(cli->arena, room * sizeof *larger);
        if (listing->count > 0)
            memcpy(larger, listing->tenants, listing->count * sizeof *larger);
        listing->tenants = larger;
        listing->room = room;
    }
    for (size_t i = 0; i < answer->n_tenants; i++)
        listing->tenants[listing->count++] = answer->tenants[i];
    listing->next = answer->next_page_token;
    listing->request.page_token = answer->next_page_token;
    return OK;
}

static void list_print(const struct listing *listing)
{
    const struct cli *cli = listing->cli;
    if (cli->form == FORM_TABLE) {
        output_tenants(cli, listing->tenants, listing->count);
        if (listing->next[0] != '\0')
            fprintf(stderr, "more: --page-token %s (or --all)\n", listing->next);
        return;
    }
    json_t *tenants = json_array();
    for (size_t i = 0; i < listing->count; i++)
        json_array_append_new(tenants, message_json(cli->arena, listing->tenants[i]));
    json_t *object = json_object();
    json_object_set_new(object, "tenants", tenants);
    if (listing->next[0] != '\0')
        json_object_set_new(object, "nextPageToken", json_string(listing->next));
    output_value(cli, object);
}
