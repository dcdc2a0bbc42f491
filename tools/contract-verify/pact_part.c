/* Reading the parts of an interaction: contents, rules, generators.  See pact.h. */
#include "pact_int.h"

#include "base/base64.h"

#include "rpc/status.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int read_contents(struct ctx *ctx, const struct part_context *context,
                         const json_t *contents, struct part *part);
static int contents_bytes(struct ctx *ctx, const json_t *contents, struct part *part);
static int read_protobuf(struct ctx *ctx, const struct part_context *context,
                         const char *content_type, struct part *part);
static const char *message_of(struct ctx *ctx, const char *content_type);
static bool is_of(const char *content_type, const char *type);
static bool is_json(const char *content_type);
static int read_generators(struct ctx *ctx, const json_t *json, bool of_body,
                           struct generators *generators);

int part_read(struct ctx *ctx, const struct part_context *context, const json_t *json,
              struct part *part)
{
    struct pattern_pool *patterns = context->pact->patterns;
    const json_t *rules = json_object_get(json, "matchingRules");
    const json_t *generators = json_object_get(json, "generators");
    *part = (struct part){.metadata_json = json_object_get(json, "metadata")};
    if (part->metadata_json == NULL)
        part->metadata_json = json_object_get(json, "metaData");
    TRY(rules_read(ctx, patterns, json_object_get(rules, "body"), &part->body));
    /* what the specification's implementations call the body of a message */
    TRY(rules_read(ctx, patterns, json_object_get(rules, "content"), &part->body));
    TRY(rules_read(ctx, patterns, json_object_get(rules, "contents"), &part->body));
    TRY(rules_read(ctx, patterns, json_object_get(rules, "metadata"), &part->metadata));
    TRY(read_generators(ctx, json_object_get(generators, "body"), true, &part->body_generators));
    TRY(read_generators(ctx, json_object_get(generators, "content"), true, &part->body_generators));
    TRY(read_generators(ctx, json_object_get(generators, "metadata"), false,
                        &part->metadata_generators));
    return read_contents(ctx, context, json_object_get(json, "contents"), part);
}

static int read_contents(struct ctx *ctx, const struct part_context *context,
                         const json_t *contents, struct part *part)
{
    const char *type = json_string_value(json_object_get(contents, "contentType"));
    const json_t *content = json_object_get(contents, "content");
    const json_t *encoded = json_object_get(contents, "encoded");
    bool is_encoded = json_is_true(encoded) || json_is_string(encoded);
    if (content == NULL || json_is_null(content))
        return OK;
    if (type == NULL)
        return FAULT(ctx, FAULT_CONFIG, "contents have no contentType");
    if (is_json(type) && !is_encoded) {
        part->form = CONTENTS_JSON;
        return value_of_json(ctx, content, &part->value);
    }
    TRY(contents_bytes(ctx, contents, part));
    if (part->bytes.size == 0) /* nothing is expected of it */
        return OK;
    if (is_of(type, "application/protobuf") || is_of(type, "application/x-protobuf") ||
        is_of(type, "application/grpc"))
        return read_protobuf(ctx, context, type, part);
    part->form = CONTENTS_BYTES;
    part->value = (struct value){.kind = VALUE_BYTES, .text = part->bytes};
    return OK;
}

static int contents_bytes(struct ctx *ctx, const json_t *contents, struct part *part)
{
    const json_t *content = json_object_get(contents, "content");
    const json_t *encoded = json_object_get(contents, "encoded");
    const char *coding = json_string_value(encoded);
    if (!json_is_string(content))
        return FAULT(ctx, FAULT_CONFIG, "contents must be a string");
    struct slice text = slice_make(json_string_value(content), json_string_length(content));
    bool is_base64 = json_is_true(encoded) || (coding != NULL && strcasecmp(coding, "base64") == 0);
    if (coding != NULL && !is_base64)
        return FAULT(ctx, FAULT_CONFIG, "contents are encoded as \"%.30s\", not base64", coding);
    if (!is_base64) {
        part->bytes = text;
        return OK;
    }
    if (!base64_take(ctx->arena, text, BASE64_STANDARD | BASE64_PADDED, &part->bytes))
        return FAULT(ctx, FAULT_CONFIG, "contents are not base 64");
    return OK;
}

static int read_protobuf(struct ctx *ctx, const struct part_context *context,
                         const char *content_type, struct part *part)
{
    const struct wire_types *types = &context->interaction->types;
    const char *named = message_of(ctx, content_type);
    part->form = CONTENTS_PROTOBUF;
    part->type = context->type;
    if (part->type == NULL && named != NULL && types->image != NULL)
        part->type = wire_type(types->image, named);
    if (part->type == NULL)
        return FAULT(ctx, FAULT_CONFIG, "the message %.80s is not in the descriptors",
                     named == NULL ? "of the contents" : named);
    int rc = wire_read(ctx, types, part->type, part->bytes, &part->value);
    if (rc != OK)
        return FAULT(ctx, FAULT_CONFIG, "the contents are no %.80s: %s", part->type->name,
                     arena_strdup(ctx->arena, ctx->fault.text));
    return OK;
}

/* "application/protobuf;message=.tenant.v1.Tenant" */
static const char *message_of(struct ctx *ctx, const char *content_type)
{
    const char *at = strstr(content_type, "message=");
    if (at == NULL)
        return NULL;
    at += strlen("message=");
    at += *at == '"';
    return arena_strndup(ctx->arena, at, strcspn(at, "\"; "));
}

static bool is_of(const char *content_type, const char *type)
{
    size_t size = strlen(type);
    return strncasecmp(content_type, type, size) == 0 &&
           (content_type[size] == '\0' || content_type[size] == ';' || content_type[size] == ' ');
}

static bool is_json(const char *content_type)
{
    const char *end = content_type + strcspn(content_type, "; ");
    size_t size = (size_t)(end - content_type);
    return size >= 5 && strncasecmp(end - 5, "/json", 5) == 0
               ? true
               : size >= 5 && strncasecmp(end - 5, "+json", 5) == 0;
}

static int read_generators(struct ctx *ctx, const json_t *json, bool of_body,
                           struct generators *generators)
{
    const char *path;
    json_t *spec;
    json_object_foreach((json_t *)(uintptr_t)json, path, spec)
    {
        generators->items = value_grow(ctx->arena, generators->items, generators->count,
                                       sizeof generators->items[0]);
        struct generator *generator = &generators->items[generators->count++];
        *generator = (struct generator){.name = path, .spec = spec};
        if (of_body)
            TRY(path_parse(ctx, arena_strdup(ctx->arena, path), &generator->path));
    }
    return OK;
}

int part_status(const struct part *part)
{
    const json_t *status = json_object_get(part->metadata_json, "grpc-status");
    if (status == NULL)
        return GRPC_OK;
    if (json_is_integer(status)) {
        json_int_t code = json_integer_value(status);
        return code >= 0 && code < GRPC_CODE_COUNT ? (int)code : -1;
    }
    const char *text = json_string_value(status);
    for (int code = 0; text != NULL && code < GRPC_CODE_COUNT; code++) {
        char digits[4];
        (void)snprintf(digits, sizeof digits, "%d", code);
        if (strcmp(text, grpc_code_name(code)) == 0 || strcmp(text, digits) == 0)
            return code;
    }
    return -1;
}
