/* From the domain's tenant to the message.  Called when an event is built. */
#include "events/tenant_payload.h"

#include <assert.h>

static Tenant__V1__TenantSettings *settings_payload(struct arena *arena,
                                                    const struct tenant_settings *settings);
static void labels_put(struct arena *arena, const struct string_map *map,
                       Tenant__V1__Tenant *message);
static void theme_put(struct arena *arena, const struct string_map *map,
                      Tenant__V1__TenantSettings *message);
static char **texts_put(struct arena *arena, const struct string_list *list);

/* Texts are borrowed from the tenant, lists and maps lie in the arena: valid as long as both. */
Tenant__V1__Tenant *tenant_payload(struct arena *arena, const struct tenant *tenant)
{
    assert(tenant->slug != NULL && tenant->display_name != NULL && tenant->version > 0);
    Tenant__V1__Tenant *message = arena_alloc(arena, sizeof *message);
    tenant__v1__tenant__init(message);
    message->tenant_id = arena_alloc(arena, ID_TEXT_SIZE);
    id_format(ID_TENANT, &tenant->id, message->tenant_id);
    message->slug = pb_text(tenant->slug);
    message->display_name = pb_text(tenant->display_name);
    message->type = (Tenant__V1__TenantType)(tenant->type + 1); /* 0 is UNSPECIFIED */
    message->home_region = pb_text(region_name(tenant->home_region));
    message->plan = plan_payload(arena, &tenant->plan);
    message->status = (Tenant__V1__TenantStatus)(tenant->status + 1);
    labels_put(arena, &tenant->labels, message);
    message->settings = settings_payload(arena, &tenant->settings);
    message->create_time = pb_time(arena, tenant->create_time_us);
    message->update_time = pb_time(arena, tenant->update_time_us);
    message->etag = arena_printf(arena, "\"%lld\"", (long long)tenant->version);
    return message;
}

/* protobuf-c's structs hold char * even for what is only packed.  Never unpack into or free
 * such a message. */
char *pb_text(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};
    return cast.out;
}

Google__Protobuf__Timestamp *pb_time(struct arena *arena, uint64_t time_us)
{
    Google__Protobuf__Timestamp *message = arena_alloc(arena, sizeof *message);
    google__protobuf__timestamp__init(message);
    message->seconds = (int64_t)(time_us / 1000000);
    message->nanos = (int32_t)(time_us % 1000000 * 1000);
    return message;
}

void pb_bytes(struct arena *arena, struct slice bytes, ProtobufCBinaryData *out)
{
    out->data = arena_alloc_raw(arena, bytes.size);
    out->len = bytes.size;
    memcpy(out->data, bytes.data, bytes.size);
}

struct slice pb_pack(struct arena *arena, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc_raw(arena, size);
    size_t packed = protobuf_c_message_pack(message, bytes);
    assert(packed == size);
    return slice_make(bytes, packed);
}

/* NULL and not an empty message: consumers tell "no plan" by its absence. */
Tenant__V1__Plan *plan_payload(struct arena *arena, const struct tenant_plan *plan)
{
    if (plan->plan_id[0] == '\0')
        return NULL;
    Tenant__V1__Plan *message = arena_alloc(arena, sizeof *message);
    tenant__v1__plan__init(message);
    message->plan_id = pb_text(plan->plan_id);
    message->n_addons = plan->addons.count;
    message->addons = texts_put(arena, &plan->addons);
    return message;
}

static Tenant__V1__TenantSettings *settings_payload(struct arena *arena,
                                                    const struct tenant_settings *settings)
{
    Tenant__V1__TenantSettings *message = arena_alloc(arena, sizeof *message);
    tenant__v1__tenant_settings__init(message);
    message->default_locale = pb_text(settings->default_locale);
    message->n_allowed_locales = settings->allowed_locales.count;
    message->allowed_locales = texts_put(arena, &settings->allowed_locales);
    message->mfa_required = settings->mfa_required;
    message->offline_enabled = settings->offline_enabled;
    message->ai_enabled = settings->ai_enabled;
    theme_put(arena, &settings->branding_theme, message);
    return message;
}

static void labels_put(struct arena *arena, const struct string_map *map,
                       Tenant__V1__Tenant *message)
{
    message->n_labels = map->count;
    message->labels = arena_alloc(arena, map->count * sizeof *message->labels);
    for (size_t i = 0; i < map->count; i++) {
        Tenant__V1__Tenant__LabelsEntry *entry = arena_alloc(arena, sizeof *entry);
        tenant__v1__tenant__labels_entry__init(entry);
        entry->key = pb_text(map->pairs[i].key);
        entry->value = pb_text(map->pairs[i].value);
        message->labels[i] = entry;
    }
}

static void theme_put(struct arena *arena, const struct string_map *map,
                      Tenant__V1__TenantSettings *message)
{
    message->n_branding_theme = map->count;
    message->branding_theme = arena_alloc(arena, map->count * sizeof *message->branding_theme);
    for (size_t i = 0; i < map->count; i++) {
        Tenant__V1__TenantSettings__BrandingThemeEntry *entry = arena_alloc(arena, sizeof *entry);
        tenant__v1__tenant_settings__branding_theme_entry__init(entry);
        entry->key = pb_text(map->pairs[i].key);
        entry->value = pb_text(map->pairs[i].value);
        message->branding_theme[i] = entry;
    }
}

static char **texts_put(struct arena *arena, const struct string_list *list)
{
    char **items = arena_alloc(arena, list->count * sizeof *items);
    for (size_t i = 0; i < list->count; i++)
        items[i] = pb_text(list->items[i]);
    return items;
}
