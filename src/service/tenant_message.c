/* Between the wire's Tenant message and the domain's tenant; see tenant_message.h.
 *
 * Texts are shared and not copied in both directions: a tenant made of a message lives as long
 * as the request, a message made of a tenant as long as that tenant's arena. */
#include "service/tenant_message.h"

#include "gen/errors.h"

#include <assert.h>

static size_t take_type(struct call *call, const Tenant__V1__Tenant *message,
                        struct tenant *tenant);
static size_t take_settings(struct call *call, const Tenant__V1__TenantSettings *message,
                            struct tenant_settings *settings);
static size_t take_labels(struct call *call, const Tenant__V1__Tenant *message,
                          struct tenant *tenant);
static struct string_list take_list(struct arena *arena, char *const *items, size_t count);
static Tenant__V1__Plan *plan_message(struct arena *arena, const struct tenant_plan *plan);
static Tenant__V1__TenantSettings *settings_message(struct arena *arena,
                                                    const struct tenant_settings *settings);
static void put_labels(struct arena *arena, const struct string_map *map,
                       Tenant__V1__Tenant *message);
static char **put_list(struct arena *arena, const struct string_list *list);
static Google__Protobuf__Timestamp *put_time(struct arena *arena, uint64_t time_us);
static char *shared(const char *text);

/* Fields that only the service sets (id, status, times, version) are not looked at: they are
 * output only (AIP-203), and a client may send back what it got. */
size_t tenant_from_message(struct call *call, const Tenant__V1__Tenant *message,
                           struct tenant *tenant)
{
    tenant->slug = message->slug;
    tenant->display_name = message->display_name;
    if (message->plan != NULL) {
        tenant->plan.plan_id = message->plan->plan_id;
        tenant->plan.addons =
            take_list(call->ctx.arena, message->plan->addons, message->plan->n_addons);
    }
    size_t broken = take_type(call, message, tenant);
    broken += take_labels(call, message, tenant);
    if (message->settings != NULL)
        broken += take_settings(call, message->settings, &tenant->settings);
    tenant_defaults(tenant);
    return broken;
}

/* The proto's enums begin with UNSPECIFIED, ours do not. */
Tenant__V1__Tenant *tenant_to_message(struct arena *arena, const struct tenant *tenant)
{
    Tenant__V1__Tenant *message = arena_alloc(arena, sizeof *message);
    tenant__v1__tenant__init(message);
    message->tenant_id = arena_alloc(arena, ID_TEXT_SIZE);
    id_format(ID_TENANT, &tenant->id, message->tenant_id);
    message->slug = shared(tenant->slug);
    message->display_name = shared(tenant->display_name);
    message->type = (Tenant__V1__TenantType)(tenant->type + 1);
    message->home_region = shared(region_name(tenant->home_region));
    message->plan = plan_message(arena, &tenant->plan);
    message->status = (Tenant__V1__TenantStatus)(tenant->status + 1);
    put_labels(arena, &tenant->labels, message);
    message->settings = settings_message(arena, &tenant->settings);
    message->create_time = put_time(arena, tenant->create_time_us);
    message->update_time = put_time(arena, tenant->update_time_us);
    message->etag = tenant_etag(arena, tenant->version);
    return message;
}

/* What callers see that may know of the tenant but not read it; whatever is added to the
 * message later stays hidden until it is named here. */
void tenant_message_public(Tenant__V1__Tenant *message)
{
    Tenant__V1__Tenant all = *message;
    tenant__v1__tenant__init(message);
    message->tenant_id = all.tenant_id;
    message->slug = all.slug;
    message->display_name = all.display_name;
    message->type = all.type;
    message->home_region = all.home_region;
    message->status = all.status;
}

/* AIP-134: a request without a mask stands for the fields that are set.  A false or empty value
 * cannot be told from an absent one, so turning a switch off needs a mask. */
unsigned tenant_message_populated(const Tenant__V1__Tenant *message)
{
    unsigned fields = 0;
    fields |= message->slug[0] != '\0' ? TENANT_FIELD_SLUG : 0u;
    fields |= message->display_name[0] != '\0' ? TENANT_FIELD_DISPLAY_NAME : 0u;
    fields |= message->type != TENANT__V1__TENANT_TYPE__TENANT_TYPE_UNSPECIFIED
                  ? TENANT_FIELD_TYPE
                  : 0u;
    fields |= message->home_region[0] != '\0' ? TENANT_FIELD_HOME_REGION : 0u;
    fields |= message->n_labels > 0 ? TENANT_FIELD_LABELS : 0u;
    const Tenant__V1__Plan *plan = message->plan;
    if (plan != NULL) {
        fields |= plan->plan_id[0] != '\0' ? TENANT_FIELD_PLAN_ID : 0u;
        fields |= plan->n_addons > 0 ? TENANT_FIELD_PLAN_ADDONS : 0u;
    }
    const Tenant__V1__TenantSettings *settings = message->settings;
    if (settings == NULL)
        return fields;
    fields |= settings->default_locale[0] != '\0' ? TENANT_FIELD_DEFAULT_LOCALE : 0u;
    fields |= settings->n_allowed_locales > 0 ? TENANT_FIELD_ALLOWED_LOCALES : 0u;
    fields |= settings->mfa_required ? TENANT_FIELD_MFA_REQUIRED : 0u;
    fields |= settings->offline_enabled ? TENANT_FIELD_OFFLINE_ENABLED : 0u;
    fields |= settings->ai_enabled ? TENANT_FIELD_AI_ENABLED : 0u;
    fields |= settings->n_branding_theme > 0 ? TENANT_FIELD_BRANDING_THEME : 0u;
    return fields;
}

/* Strong, in quotes, as RFC 9110 section 8.8.3 writes them. */
char *tenant_etag(struct arena *arena, int64_t version)
{
    assert(version > 0);
    return arena_printf(arena, "\"%lld\"", (long long)version);
}

struct slice tenant_message_pack(struct arena *arena, const Tenant__V1__Tenant *message)
{
    size_t size = tenant__v1__tenant__get_packed_size(message);
    uint8_t *bytes = arena_alloc_raw(arena, size);
    size_t packed = tenant__v1__tenant__pack(message, bytes);
    assert(packed == size);
    return slice_make(bytes, packed);
}

/* The bytes come from a cache: NULL for what does not unpack or is another tenant's. */
Tenant__V1__Tenant *tenant_message_unpack(struct arena *arena, struct slice bytes,
                                          const struct uuid *id)
{
    Tenant__V1__Tenant *message =
        tenant__v1__tenant__unpack(arena_protobuf(arena), bytes.size, bytes.data);
    struct uuid found;
    if (message == NULL || !id_parse(ID_TENANT, slice_of_str(message->tenant_id), &found))
        return NULL;
    return uuid_equal(&found, id) ? message : NULL;
}

/* proto3 enums are open: a number that is none of ours arrives as it was sent. */
static size_t take_type(struct call *call, const Tenant__V1__Tenant *message, struct tenant *tenant)
{
    int type = (int)message->type;
    if (type < 0 || type > TENANT_TYPE_COUNT) {
        (void)call_refuse_field(call, INVALID_ARGUMENT, "tenant.type",
                                "must be one of the values of tenant.v1.TenantType");
        return 1;
    }
    tenant->type = type == 0 ? TENANT_ORG : (enum tenant_type)(type - 1);
    return 0;
}

static size_t take_settings(struct call *call, const Tenant__V1__TenantSettings *message,
                            struct tenant_settings *settings)
{
    struct arena *arena = call->ctx.arena;
    settings->default_locale = message->default_locale;
    settings->allowed_locales =
        take_list(arena, message->allowed_locales, message->n_allowed_locales);
    settings->mfa_required = message->mfa_required;
    settings->offline_enabled = message->offline_enabled;
    settings->ai_enabled = message->ai_enabled;
    size_t count = message->n_branding_theme;
    settings->branding_theme = (struct string_map){
        arena_alloc(arena, count * sizeof(struct string_pair)), count};
    for (size_t i = 0; i < count; i++) {
        settings->branding_theme.pairs[i] = (struct string_pair){
            message->branding_theme[i]->key, message->branding_theme[i]->value};
    }
    if (string_map_sort(&settings->branding_theme))
        return 0;
    (void)call_refuse_field(call, INVALID_ARGUMENT, "tenant.settings.branding_theme",
                            "each key may stand once");
    return 1;
}

/* A map may hold a key twice on the wire, where protobuf lets the last one win; protobuf-c
 * hands out both. */
static size_t take_labels(struct call *call, const Tenant__V1__Tenant *message,
                          struct tenant *tenant)
{
    size_t count = message->n_labels;
    tenant->labels = (struct string_map){
        arena_alloc(call->ctx.arena, count * sizeof(struct string_pair)), count};
    for (size_t i = 0; i < count; i++) {
        tenant->labels.pairs[i] =
            (struct string_pair){message->labels[i]->key, message->labels[i]->value};
    }
    if (string_map_sort(&tenant->labels))
        return 0;
    (void)call_refuse_field(call, INVALID_ARGUMENT, "tenant.labels", "each key may stand once");
    return 1;
}

/* Sorted and without doubles, since these are sets: two spellings of one set are no change. */
static struct string_list take_list(struct arena *arena, char *const *items, size_t count)
{
    struct string_list list = {arena_alloc(arena, count * sizeof(char *)), count};
    for (size_t i = 0; i < count; i++)
        list.items[i] = items[i];
    string_list_sort(&list);
    return list;
}

static Tenant__V1__Plan *plan_message(struct arena *arena, const struct tenant_plan *plan)
{
    if (plan->plan_id[0] == '\0')
        return NULL;
    Tenant__V1__Plan *message = arena_alloc(arena, sizeof *message);
    tenant__v1__plan__init(message);
    message->plan_id = shared(plan->plan_id);
    message->n_addons = plan->addons.count;
    message->addons = put_list(arena, &plan->addons);
    return message;
}

static Tenant__V1__TenantSettings *settings_message(struct arena *arena,
                                                    const struct tenant_settings *settings)
{
    Tenant__V1__TenantSettings *message = arena_alloc(arena, sizeof *message);
    tenant__v1__tenant_settings__init(message);
    message->default_locale = shared(settings->default_locale);
    message->n_allowed_locales = settings->allowed_locales.count;
    message->allowed_locales = put_list(arena, &settings->allowed_locales);
    message->mfa_required = settings->mfa_required;
    message->offline_enabled = settings->offline_enabled;
    message->ai_enabled = settings->ai_enabled;
    size_t count = settings->branding_theme.count;
    message->n_branding_theme = count;
    message->branding_theme = arena_alloc(arena, count * sizeof *message->branding_theme);
    for (size_t i = 0; i < count; i++) {
        Tenant__V1__TenantSettings__BrandingThemeEntry *entry = arena_alloc(arena, sizeof *entry);
        tenant__v1__tenant_settings__branding_theme_entry__init(entry);
        entry->key = shared(settings->branding_theme.pairs[i].key);
        entry->value = shared(settings->branding_theme.pairs[i].value);
        message->branding_theme[i] = entry;
    }
    return message;
}

static void put_labels(struct arena *arena, const struct string_map *map,
                       Tenant__V1__Tenant *message)
{
    message->n_labels = map->count;
    message->labels = arena_alloc(arena, map->count * sizeof *message->labels);
    for (size_t i = 0; i < map->count; i++) {
        Tenant__V1__Tenant__LabelsEntry *entry = arena_alloc(arena, sizeof *entry);
        tenant__v1__tenant__labels_entry__init(entry);
        entry->key = shared(map->pairs[i].key);
        entry->value = shared(map->pairs[i].value);
        message->labels[i] = entry;
    }
}

static char **put_list(struct arena *arena, const struct string_list *list)
{
    char **items = arena_alloc(arena, list->count * sizeof *items);
    for (size_t i = 0; i < list->count; i++)
        items[i] = shared(list->items[i]);
    return items;
}

static Google__Protobuf__Timestamp *put_time(struct arena *arena, uint64_t time_us)
{
    Google__Protobuf__Timestamp *message = arena_alloc(arena, sizeof *message);
    google__protobuf__timestamp__init(message);
    message->seconds = (int64_t)(time_us / 1000000);
    message->nanos = (int32_t)(time_us % 1000000 * 1000);
    return message;
}

/* protobuf-c's members are not const, but packing only reads them. */
static char *shared(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    return cast.out;
}
