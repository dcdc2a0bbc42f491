/* Tables, JSON and errors; see output.h. */
#include "output.h"

#include "yaml_text.h"

#include "domain/tenant.h"
#include "protojson/protojson.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const char *value_name(const ProtobufCEnumDescriptor *descriptor, int value);
static const char *status_text(const struct cli *cli, Tenant__V1__TenantStatus status);
static void row_joined(const struct cli *cli, const char *name, char *const *items, size_t count);
static const char *time_text(struct arena *arena, const Google__Protobuf__Timestamp *time);
static void table_settings(const struct cli *cli, const Tenant__V1__TenantSettings *settings);

void output_tenant(const struct cli *cli, const Tenant__V1__Tenant *tenant)
{
    if (cli->form != FORM_TABLE) {
        output_value(cli, message_json(cli->arena, tenant));
        return;
    }
    struct arena *arena = cli->arena;
    output_row(cli, "Tenant", tenant->tenant_id);
    output_row(cli, "Slug", tenant->slug);
    output_row(cli, "Name", tenant->display_name);
    output_row(cli, "Type", value_name(&tenant__v1__tenant_type__descriptor, (int)tenant->type));
    output_row(cli, "Home region", tenant->home_region);
    fprintf(cli->out, "%-16s %s\n", "Status", status_text(cli, tenant->status));
    if (tenant->plan != NULL) {
        output_row(cli, "Plan", tenant->plan->plan_id);
        row_joined(cli, "Add-ons", tenant->plan->addons, tenant->plan->n_addons);
    }
    for (size_t i = 0; i < tenant->n_labels; i++)
        output_row(cli, i == 0 ? "Labels" : "",
                   arena_printf(arena, "%s=%s", tenant->labels[i]->key, tenant->labels[i]->value));
    if (tenant->settings != NULL)
        table_settings(cli, tenant->settings);
    output_row(cli, "Created", time_text(arena, tenant->create_time));
    output_row(cli, "Updated", time_text(arena, tenant->update_time));
    output_row(cli, "Etag", tenant->etag);
}

static void table_settings(const struct cli *cli, const Tenant__V1__TenantSettings *settings)
{
    struct arena *arena = cli->arena;
    output_row(cli, "Locale", settings->default_locale);
    row_joined(cli, "Locales allowed", settings->allowed_locales, settings->n_allowed_locales);
    output_row(cli, "MFA required", settings->mfa_required ? "yes" : "no");
    output_row(cli, "Offline", settings->offline_enabled ? "yes" : "no");
    output_row(cli, "AI", settings->ai_enabled ? "yes" : "no");
    for (size_t i = 0; i < settings->n_branding_theme; i++)
        output_row(cli, i == 0 ? "Theme" : "",
                   arena_printf(arena, "%s=%s", settings->branding_theme[i]->key,
                                settings->branding_theme[i]->value));
}

json_t *message_json(struct arena *arena, const void *message)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena);
    struct protojson_print_options options = {.defaults = false};
    AUTO(buf_deinit) struct buf text = BUF_EMPTY;
    if (protojson_print(&ctx, message, &options, &text) != OK)
        return json_pack("{s:s}", "unprintable", ctx.fault.text);
    json_t *value = json_loads(buf_str(&text), 0, NULL);
    assert(value != NULL);
    return value;
}

void output_value(const struct cli *cli, json_t *value)
{
    bool watches = cli_is_on(cli, "watch");
    if (cli->form == FORM_YAML) {
        (void)yaml_write(cli->out, value);
    } else {
        /* of a watched one a line each, so that a reader knows where it ends */
        char *text = json_dumps(value, watches ? JSON_COMPACT : JSON_INDENT(2));
        if (text == NULL)
            abort();
        fprintf(cli->out, "%s\n", text);
        free(text);
    }
    json_decref(value);
}

void output_line(const struct cli *cli, json_t *value)
{
    if (cli->form == FORM_YAML) {
        fputs("---\n", cli->out);
        (void)yaml_write(cli->out, value);
    } else {
        char *text = json_dumps(value, JSON_COMPACT);
        if (text == NULL)
            abort();
        fprintf(cli->out, "%s\n", text);
        free(text);
    }
    json_decref(value);
}

static const char *value_name(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
    return found == NULL ? "?" : found->name;
}

/* Padded by hand: printf counts bytes, and colours and letters beyond ASCII have more than they show. */
void output_cell(const struct cli *cli, const char *text, int width)
{
    fprintf(cli->out, "%s%*s", text, width > text_width(text) ? width - text_width(text) : 0, "");
}

void output_row(const struct cli *cli, const char *name, const char *value)
{
    fprintf(cli->out, "%-16s %s\n", name, text_clean(cli->arena, value));
}

static const char *status_text(const struct cli *cli, Tenant__V1__TenantStatus status)
{
    static const enum colour colours[] = {
        [TENANT__V1__TENANT_STATUS__TENANT_STATUS_TRIAL] = COLOUR_CYAN,
        [TENANT__V1__TENANT_STATUS__TENANT_STATUS_ACTIVE] = COLOUR_GREEN,
        [TENANT__V1__TENANT_STATUS__TENANT_STATUS_SUSPENDED] = COLOUR_YELLOW,
        [TENANT__V1__TENANT_STATUS__TENANT_STATUS_CLOSED] = COLOUR_RED,
    };
    size_t known = sizeof colours / sizeof colours[0];
    return text_paint(cli->arena, cli->terminal.out_colour,
                      (size_t)status < known ? colours[status] : COLOUR_NONE,
                      value_name(&tenant__v1__tenant_status__descriptor, (int)status));
}

static void row_joined(const struct cli *cli, const char *name, char *const *items, size_t count)
{
    if (count == 0)
        return;
    const char *text = items[0];
    for (size_t i = 1; i < count; i++)
        text = arena_printf(cli->arena, "%s, %s", text, items[i]);
    output_row(cli, name, text);
}

/* Without the prefix that all names of the enumeration have. */
static const char *short_name(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(name, prefix, size) == 0 ? name + size : name;
}

void output_tenants(const struct cli *cli, Tenant__V1__Tenant *const *tenants, size_t count)
{
    static const struct {
        const char *title;
        int width;
    } columns[] = {{"TENANT", 31}, {"SLUG", 24}, {"STATUS", 10},
                   {"TYPE", 11},   {"PLAN", 14}, {"NAME", 0}};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        output_cell(cli, columns[i].title, columns[i].width);
    fputc('\n', cli->out);
    for (size_t i = 0; i < count; i++) {
        const Tenant__V1__Tenant *tenant = tenants[i];
        const char *status =
            short_name(value_name(&tenant__v1__tenant_status__descriptor, (int)tenant->status),
                       "TENANT_STATUS_");
        const char *type = short_name(
            value_name(&tenant__v1__tenant_type__descriptor, (int)tenant->type), "TENANT_TYPE_");
        output_cell(cli, tenant->tenant_id, 31);
        output_cell(cli, arena_printf(cli->arena, "%s ", tenant->slug), 24);
        output_cell(cli, status, 10);
        output_cell(cli, type, 11);
        output_cell(
            cli,
            arena_printf(cli->arena, "%s ", tenant->plan == NULL ? "-" : tenant->plan->plan_id),
            14);
        fprintf(cli->out, "%s\n", text_clean(cli->arena, tenant->display_name));
    }
}

static const char *time_text(struct arena *arena, const Google__Protobuf__Timestamp *time)
{
    if (time == NULL)
        return "";
    char *text = arena_alloc(arena, CLOCK_TEXT_SIZE);
    clock_format((uint64_t)time->seconds * NS_PER_S + (uint64_t)time->nanos, text);
    return text;
}
