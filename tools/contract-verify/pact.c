/* Reading pacts: the document, its descriptors, and its interactions.  See pact.h. */
#include "pact_int.h"

#include "base/alloc.h"
#include "base/base64.h"

#include <stdlib.h>
#include <string.h>

static bool depth_is_fine(struct slice bytes);
static int check_version(struct ctx *ctx, const json_t *document);
static int party(struct ctx *ctx, const json_t *document, const char *which, const char **name);
static int read_plugins(struct ctx *ctx, struct pact *pact);
static int read_image(struct ctx *ctx, struct pact *pact, const char *key, const json_t *entry);
static int check_names(struct ctx *ctx, const struct image *image);

int pact_read(struct ctx *ctx, struct slice bytes, struct pact *pact)
{
    json_error_t error;
    *pact = (struct pact){.patterns = pattern_pool_new()};
    if (bytes.size > PACT_BYTES_MAX)
        return FAULT(ctx, FAULT_CONFIG, "is larger than %u bytes", PACT_BYTES_MAX);
    if (!depth_is_fine(bytes))
        return FAULT(ctx, FAULT_CONFIG, "is nested deeper than %d", PACT_JSON_DEPTH_MAX);
    pact->document =
        json_loadb((const char *)bytes.data, bytes.size, JSON_REJECT_DUPLICATES, &error);
    if (pact->document == NULL)
        return FAULT(ctx, FAULT_CONFIG, "line %d, column %d: %s", error.line, error.column,
                     error.text);
    const json_t *interactions = json_object_get(pact->document, "interactions");
    TRY(check_version(ctx, pact->document));
    TRY(party(ctx, pact->document, "consumer", &pact->consumer));
    TRY(party(ctx, pact->document, "provider", &pact->provider));
    TRY(read_plugins(ctx, pact));
    if (!json_is_array(interactions))
        return FAULT(ctx, FAULT_CONFIG, "\"interactions\" must be an array");
    size_t count = json_array_size(interactions);
    if (count > PACT_INTERACTIONS_MAX)
        return FAULT(ctx, FAULT_CONFIG, "has more than %d interactions", PACT_INTERACTIONS_MAX);
    pact->interactions = arena_alloc(ctx->arena, (count + 1) * sizeof pact->interactions[0]);
    for (size_t i = 0; i < count; i++) {
        struct interaction *interaction = &pact->interactions[i];
        int rc = interaction_read(ctx, pact, json_array_get(interactions, i), interaction);
        if (rc != OK)
            return FAULT(ctx, FAULT_CONFIG, "interaction %zu%s%.80s%s: %s", i,
                         interaction->description == NULL ? "" : " \"",
                         interaction->description == NULL ? "" : interaction->description,
                         interaction->description == NULL ? "" : "\"",
                         arena_strdup(ctx->arena, ctx->fault.text));
        pact->interaction_count++;
    }
    return OK;
}

void pact_deinit(struct pact *pact)
{
    while (pact->images != NULL) {
        struct pact_image *image = pact->images;
        pact->images = image->next;
        image_deinit(&image->image);
        free(image);
    }
    pattern_pool_free(pact->patterns);
    json_decref(pact->document);
    *pact = (struct pact){0};
}

/* Before the parser, which recurses. */
static bool depth_is_fine(struct slice bytes)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        if (in_string && byte == '\\')
            i++;
        else if (byte == '"')
            in_string = !in_string;
        else if (!in_string && (byte == '{' || byte == '['))
            depth++;
        else if (!in_string && (byte == '}' || byte == ']') && depth > 0)
            depth--;
        if (depth > PACT_JSON_DEPTH_MAX)
            return false;
    }
    return true;
}

static int check_version(struct ctx *ctx, const json_t *document)
{
    const json_t *metadata = json_object_get(document, "metadata");
    const json_t *specification = json_object_get(metadata, "pactSpecification");
    const char *version = json_string_value(json_object_get(specification, "version"));
    if (version == NULL)
        return FAULT(ctx, FAULT_CONFIG,
                     "is no pact: metadata.pactSpecification.version is missing");
    if (version[0] != '4' || (version[1] != '.' && version[1] != '\0'))
        return FAULT(ctx, FAULT_CONFIG, "is of specification version %.20s; only 4 is understood",
                     version);
    return OK;
}

static int party(struct ctx *ctx, const json_t *document, const char *which, const char **name)
{
    *name = json_string_value(json_object_get(json_object_get(document, which), "name"));
    return *name != NULL && (*name)[0] != '\0'
               ? OK
               : FAULT(ctx, FAULT_CONFIG, "%s.name is missing", which);
}

/* metadata.plugins: of the plugin "protobuf", each entry of its configuration holds descriptors. */
static int read_plugins(struct ctx *ctx, struct pact *pact)
{
    const json_t *metadata = json_object_get(pact->document, "metadata");
    const json_t *plugins = json_object_get(metadata, "plugins");
    for (size_t i = 0; i < json_array_size(plugins); i++) {
        const json_t *plugin = json_array_get(plugins, i);
        const char *name = json_string_value(json_object_get(plugin, "name"));
        json_t *configuration = json_object_get(plugin, "configuration");
        const char *key;
        json_t *entry;
        if (name == NULL || strcmp(name, "protobuf") != 0)
            continue;
        json_object_foreach(configuration, key, entry) TRY(read_image(ctx, pact, key, entry));
    }
    return OK;
}

static int read_image(struct ctx *ctx, struct pact *pact, const char *key, const json_t *entry)
{
    const json_t *text = json_object_get(entry, "protoDescriptors");
    struct slice bytes;
    if (!json_is_string(text) ||
        !base64_take(ctx->arena, slice_make(json_string_value(text), json_string_length(text)),
                     BASE64_STANDARD | BASE64_PADDED, &bytes))
        return FAULT(ctx, FAULT_CONFIG, "the descriptors %.40s are not base 64", key);
    struct image image;
    char *why = NULL;
    if (!image_read(&image, bytes, &why)) {
        int rc = FAULT(ctx, FAULT_CONFIG, "the descriptors %.40s: %.150s", key, why);
        free(why);
        return rc;
    }
    struct pact_image *made = xcalloc(1, sizeof *made);
    *made = (struct pact_image){.key = key, .image = image, .next = pact->images};
    pact->images = made;
    return check_names(ctx, &made->image);
}

/* Paths go by names: two fields of one name, which protoc does not make, would be one to them. */
static int check_names(struct ctx *ctx, const struct image *image)
{
    const struct element_list *list = &image->kinds[ELEMENT_MESSAGE];
    for (size_t i = 0; i < list->count; i++) {
        const MessageProto *message = list->items[i].message;
        for (size_t k = 1; k < message->n_field; k++) {
            for (size_t j = 0; j < k; j++) {
                if (strcmp(message->field[j]->name, message->field[k]->name) == 0)
                    return FAULT(ctx, FAULT_CONFIG,
                                 "the descriptors: two fields of %.80s are %.80s",
                                 list->items[i].name, message->field[k]->name);
            }
        }
    }
    return OK;
}
