/* Tables, JSON and errors; see output.h. */
#include "output.h"

#include "settings.h"

#include "gen/errors.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *value_name(const ProtobufCEnumDescriptor *descriptor, int value);
static void row(const char *name, const char *value);
static void row_joined(struct arena *arena, const char *name, char *const *items, size_t count);
static const char *time_text(struct arena *arena, const Google__Protobuf__Timestamp *time);
static void table_settings(struct arena *arena, const Tenant__V1__TenantSettings *settings);
static json_t *settings_json(const Tenant__V1__TenantSettings *settings);
static json_t *list_json(char *const *items, size_t count);
static void put_text(json_t *object, const char *key, const char *text);
static void put_truth(json_t *object, const char *key, bool truth);
static void put_time(json_t *object, const char *key, const Google__Protobuf__Timestamp *time);
static void explain_detail(const Google__Protobuf__Any *any, const char **reason);
static void explain_field(const Google__Rpc__BadRequest__FieldViolation *violation);
static bool any_is(const Google__Protobuf__Any *any, const char *type);

void output_tenant(const struct cli *cli, const Tenant__V1__Tenant *tenant)
{
    if (cli->settings->json) {
        output_json(tenant_json(tenant), false);
        return;
    }
    struct arena *arena = cli->arena;
    row("Tenant", tenant->tenant_id);
    row("Slug", tenant->slug);
    row("Name", tenant->display_name);
    row("Type", value_name(&tenant__v1__tenant_type__descriptor, (int)tenant->type));
    row("Home region", tenant->home_region);
    row("Status", value_name(&tenant__v1__tenant_status__descriptor, (int)tenant->status));
    if (tenant->plan != NULL) {
        row("Plan", tenant->plan->plan_id);
        row_joined(arena, "Add-ons", tenant->plan->addons, tenant->plan->n_addons);
    }
    for (size_t i = 0; i < tenant->n_labels; i++)
        row(i == 0 ? "Labels" : "",
            arena_printf(arena, "%s=%s", tenant->labels[i]->key, tenant->labels[i]->value));
    if (tenant->settings != NULL)
        table_settings(arena, tenant->settings);
    row("Created", time_text(arena, tenant->create_time));
    row("Updated", time_text(arena, tenant->update_time));
    row("Etag", tenant->etag);
}

static void table_settings(struct arena *arena, const Tenant__V1__TenantSettings *settings)
{
    row("Locale", settings->default_locale);
    row_joined(arena, "Locales allowed", settings->allowed_locales, settings->n_allowed_locales);
    row("MFA required", settings->mfa_required ? "yes" : "no");
    row("Offline", settings->offline_enabled ? "yes" : "no");
    row("AI", settings->ai_enabled ? "yes" : "no");
    for (size_t i = 0; i < settings->n_branding_theme; i++)
        row(i == 0 ? "Theme" : "", arena_printf(arena, "%s=%s", settings->branding_theme[i]->key,
                                                settings->branding_theme[i]->value));
}

json_t *tenant_json(const Tenant__V1__Tenant *tenant)
{
    json_t *object = json_object();
    put_text(object, "tenantId", tenant->tenant_id);
    put_text(object, "slug", tenant->slug);
    put_text(object, "displayName", tenant->display_name);
    put_text(object, "type",
             value_name(&tenant__v1__tenant_type__descriptor, (int)tenant->type));
    put_text(object, "homeRegion", tenant->home_region);
    if (tenant->plan != NULL) {
        json_t *plan = json_object();
        put_text(plan, "planId", tenant->plan->plan_id);
        if (tenant->plan->n_addons > 0)
            json_object_set_new(plan, "addons",
                                list_json(tenant->plan->addons, tenant->plan->n_addons));
        json_object_set_new(object, "plan", plan);
    }
    put_text(object, "status",
             value_name(&tenant__v1__tenant_status__descriptor, (int)tenant->status));
    json_t *labels = json_object();
    for (size_t i = 0; i < tenant->n_labels; i++)
        json_object_set_new(labels, tenant->labels[i]->key,
                            json_string(tenant->labels[i]->value));
    if (tenant->n_labels > 0)
        json_object_set(object, "labels", labels);
    json_decref(labels);
    if (tenant->settings != NULL)
        json_object_set_new(object, "settings", settings_json(tenant->settings));
    put_time(object, "createTime", tenant->create_time);
    put_time(object, "updateTime", tenant->update_time);
    put_text(object, "etag", tenant->etag);
    return object;
}

static json_t *settings_json(const Tenant__V1__TenantSettings *settings)
{
    json_t *object = json_object();
    put_text(object, "defaultLocale", settings->default_locale);
    if (settings->n_allowed_locales > 0)
        json_object_set_new(object, "allowedLocales",
                            list_json(settings->allowed_locales, settings->n_allowed_locales));
    put_truth(object, "mfaRequired", settings->mfa_required);
    put_truth(object, "offlineEnabled", settings->offline_enabled);
    put_truth(object, "aiEnabled", settings->ai_enabled);
    if (settings->n_branding_theme == 0)
        return object;
    json_t *theme = json_object();
    for (size_t i = 0; i < settings->n_branding_theme; i++)
        json_object_set_new(theme, settings->branding_theme[i]->key,
                            json_string(settings->branding_theme[i]->value));
    json_object_set_new(object, "brandingTheme", theme);
    return object;
}

void output_json(json_t *value, bool line)
{
    char *text = json_dumps(value, line ? JSON_COMPACT : JSON_INDENT(2));
    if (text != NULL)
        puts(text);
    free(text);
    json_decref(value);
    fflush(stdout);
}

int output_refusal(const struct client_call *call)
{
    fprintf(stderr, "tenantctl: %s\n",
            call->message[0] != '\0' ? call->message : "the service refused without a message");
    const char *reason = NULL;
    Google__Rpc__Status *status =
        call->details.size == 0
            ? NULL
            : google__rpc__status__unpack(arena_protobuf(call->ctx->arena), call->details.size,
                                          call->details.data);
    for (size_t i = 0; status != NULL && i < status->n_details; i++)
        explain_detail(status->details[i], &reason);
    const struct error_entry *entry = reason == NULL ? NULL : error_find(reason);
    if (entry != NULL)
        fprintf(stderr, "  advice: %s\n", entry->advice);
    struct slice id = client_answer(call, "x-request-id");
    if (id.size > 0)
        fprintf(stderr, "  request: %.*s\n", (int)id.size, (const char *)id.data);
    return EXIT_REFUSED;
}

int output_fault(struct ctx *ctx, const char *address)
{
    fprintf(stderr, "tenantctl: no answer from %s: %s\n", address, ctx->fault.text);
    return ctx->fault.kind == FAULT_CONFIG ? EXIT_USAGE : EXIT_UNREACHABLE;
}

static void explain_detail(const Google__Protobuf__Any *any, const char **reason)
{
    if (any_is(any, "google.rpc.ErrorInfo")) {
        Google__Rpc__ErrorInfo *info =
            google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
        const struct error_entry *entry = info == NULL ? NULL : error_find(info->reason);
        *reason = entry == NULL ? *reason : entry->reason;
        for (size_t i = 0; info != NULL && i < info->n_metadata; i++)
            fprintf(stderr, "  %s: %s\n", info->metadata[i]->key, info->metadata[i]->value);
        google__rpc__error_info__free_unpacked(info, NULL);
    } else if (any_is(any, "google.rpc.BadRequest")) {
        Google__Rpc__BadRequest *bad =
            google__rpc__bad_request__unpack(NULL, any->value.len, any->value.data);
        for (size_t i = 0; bad != NULL && i < bad->n_field_violations; i++)
            explain_field(bad->field_violations[i]);
        google__rpc__bad_request__free_unpacked(bad, NULL);
    } else if (any_is(any, "google.rpc.RetryInfo")) {
        Google__Rpc__RetryInfo *retry =
            google__rpc__retry_info__unpack(NULL, any->value.len, any->value.data);
        if (retry != NULL && retry->retry_delay != NULL)
            fprintf(stderr, "  retry after: %.3f s\n",
                    (double)retry->retry_delay->seconds + retry->retry_delay->nanos / 1e9);
        google__rpc__retry_info__free_unpacked(retry, NULL);
    }
}

static void explain_field(const Google__Rpc__BadRequest__FieldViolation *violation)
{
    fprintf(stderr, "  %s: %s\n", violation->field, violation->description);
}

static bool any_is(const Google__Protobuf__Any *any, const char *type)
{
    const char *slash = strrchr(any->type_url, '/');
    return slash != NULL && strcmp(slash + 1, type) == 0;
}

static const char *value_name(const ProtobufCEnumDescriptor *descriptor, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(descriptor, value);
    return found == NULL ? "?" : found->name;
}

static void row(const char *name, const char *value)
{
    printf("%-16s %s\n", name, value);
}

static void row_joined(struct arena *arena, const char *name, char *const *items, size_t count)
{
    if (count == 0)
        return;
    const char *text = items[0];
    for (size_t i = 1; i < count; i++)
        text = arena_printf(arena, "%s, %s", text, items[i]);
    row(name, text);
}

static const char *time_text(struct arena *arena, const Google__Protobuf__Timestamp *time)
{
    if (time == NULL)
        return "";
    char *text = arena_alloc(arena, CLOCK_TEXT_SIZE);
    clock_format((uint64_t)time->seconds * NS_PER_S + (uint64_t)time->nanos, text);
    return text;
}

static json_t *list_json(char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_object_set_new(object, key, json_string(text));
}

static void put_truth(json_t *object, const char *key, bool truth)
{
    if (truth)
        json_object_set_new(object, key, json_true());
}

static void put_time(json_t *object, const char *key, const Google__Protobuf__Timestamp *time)
{
    if (time == NULL)
        return;
    char text[CLOCK_TEXT_SIZE];
    clock_format((uint64_t)time->seconds * NS_PER_S + (uint64_t)time->nanos, text);
    json_object_set_new(object, key, json_string(text));
}
