/* Texts for PostgreSQL; see columns.h. */
#include "columns.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void *checked(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static char *text_of(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    return text;
}

/* "TENANT_STATUS_TRIAL" is "trial"; a value of a newer schema is its number. */
static char *enum_text(const ProtobufCEnumDescriptor *type, int value, size_t prefix)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    char *text = found == NULL ? text_of("%d", value) : checked(strdup(found->name + prefix));
    for (char *letter = text; *letter != '\0'; letter++)
        *letter = (char)(*letter >= 'A' && *letter <= 'Z' ? *letter + 32 : *letter);
    return text;
}

/* Array input: every element in quotes, where only \ and " mean something. */
struct array {
    char *text;
    size_t size;
    FILE *stream;
};

static void array_begin(struct array *array)
{
    *array = (struct array){.text = NULL};
    array->stream = checked(open_memstream(&array->text, &array->size));
    fputc('{', array->stream);
}

static void array_add(struct array *array, const char *item)
{
    if (ftell(array->stream) > 1)
        fputc(',', array->stream);
    fputc('"', array->stream);
    for (; *item != '\0'; item++) {
        if (*item == '"' || *item == '\\')
            fputc('\\', array->stream);
        fputc(*item, array->stream);
    }
    fputc('"', array->stream);
}

static char *array_end(struct array *array)
{
    fputc('}', array->stream);
    if (fclose(array->stream) != 0)
        abort();
    return array->text;
}

static char *list_text(char *const *items, size_t count)
{
    struct array array;
    array_begin(&array);
    for (size_t i = 0; i < count; i++)
        array_add(&array, items[i]);
    return array_end(&array);
}

static char *time_text(const Google__Protobuf__Timestamp *time)
{
    if (time == NULL)
        return NULL;
    struct tm parts;
    time_t seconds = (time_t)time->seconds;
    gmtime_r(&seconds, &parts);
    return text_of("%04d-%02d-%02dT%02d:%02d:%02d.%06" PRId32 "Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                   parts.tm_hour, parts.tm_min, parts.tm_sec, time->nanos / 1000);
}

static char *labels_text(const Tenant__V1__Tenant *tenant)
{
    struct array array;
    array_begin(&array);
    for (size_t i = 0; i < tenant->n_labels; i++) {
        array_add(&array, tenant->labels[i]->key);
        array_add(&array, tenant->labels[i]->value);
    }
    return array_end(&array);
}

static char *theme_text(const Tenant__V1__TenantSettings *settings)
{
    struct array array;
    array_begin(&array);
    for (size_t i = 0; i < settings->n_branding_theme; i++) {
        array_add(&array, settings->branding_theme[i]->key);
        array_add(&array, settings->branding_theme[i]->value);
    }
    return array_end(&array);
}

static void settings_make(const Tenant__V1__TenantSettings *given, char **text)
{
    static const Tenant__V1__TenantSettings none = TENANT__V1__TENANT_SETTINGS__INIT;
    const Tenant__V1__TenantSettings *settings = given == NULL ? &none : given;
    text[COLUMN_DEFAULT_LOCALE] = text_of("%s", settings->default_locale);
    text[COLUMN_ALLOWED_LOCALES] = list_text(settings->allowed_locales, settings->n_allowed_locales);
    text[COLUMN_MFA_REQUIRED] = text_of("%s", settings->mfa_required ? "t" : "f");
    text[COLUMN_OFFLINE_ENABLED] = text_of("%s", settings->offline_enabled ? "t" : "f");
    text[COLUMN_AI_ENABLED] = text_of("%s", settings->ai_enabled ? "t" : "f");
    text[COLUMN_BRANDING_THEME] = theme_text(settings);
}

void columns_make(const Tenant__V1__Tenant *tenant, struct columns *columns)
{
    char **text = columns->text;
    const Tenant__V1__Plan *plan = tenant->plan;
    text[COLUMN_TENANT_ID] = text_of("%s", tenant->tenant_id);
    text[COLUMN_SLUG] = text_of("%s", tenant->slug);
    text[COLUMN_DISPLAY_NAME] = text_of("%s", tenant->display_name);
    text[COLUMN_TYPE] = enum_text(&tenant__v1__tenant_type__descriptor, (int)tenant->type, strlen("TENANT_TYPE_"));
    text[COLUMN_HOME_REGION] = text_of("%s", tenant->home_region);
    text[COLUMN_STATUS] =
        enum_text(&tenant__v1__tenant_status__descriptor, (int)tenant->status, strlen("TENANT_STATUS_"));
    text[COLUMN_PLAN_ID] = text_of("%s", plan == NULL ? "" : plan->plan_id);
    text[COLUMN_PLAN_ADDONS] = list_text(plan == NULL ? NULL : plan->addons, plan == NULL ? 0 : plan->n_addons);
    text[COLUMN_LABELS] = labels_text(tenant);
    settings_make(tenant->settings, text);
    text[COLUMN_CREATE_TIME] = time_text(tenant->create_time);
    text[COLUMN_UPDATE_TIME] = time_text(tenant->update_time);
    text[COLUMN_ETAG] = text_of("%s", tenant->etag);
}

void columns_free(struct columns *columns)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        free(columns->text[i]);
}
