/* Reading one interaction: which method or message, what is sent, what must come.  See pact.h.
 *
 * The Protobuf plugin knows calls with one message each way.  Beyond it, what "contract-verify" of the
 * pluginConfiguration says: more requests, streams, messages in fields of bytes (docs/contracts.md). */
#include "generate.h"
#include "pact_int.h"

#include <string.h>

static int check_generators(struct ctx *ctx, const struct part *part);
static int read_kind(struct ctx *ctx, const json_t *json, struct interaction *interaction);
static int read_states(struct ctx *ctx, const json_t *json, struct interaction *interaction);
static int find_image(struct ctx *ctx, struct pact *pact, const json_t *protobuf,
                      struct interaction *interaction);
static int read_embedded(struct ctx *ctx, const json_t *ours, struct interaction *interaction);
static int read_call(struct ctx *ctx, struct pact *pact, const json_t *json,
                     struct interaction *interaction);
static int find_method(struct ctx *ctx, const json_t *protobuf, struct interaction *interaction,
                       const MethodProto **method);
static int read_requests(struct ctx *ctx, struct part_context *context, const json_t *json);
static int read_responses(struct ctx *ctx, struct part_context *context, const json_t *json);
static int check_streams(struct ctx *ctx, const struct interaction *interaction);
static int read_message(struct ctx *ctx, struct pact *pact, const json_t *json,
                        struct interaction *interaction);

static const json_t *plugin(const json_t *json, const char *name)
{
    return json_object_get(json_object_get(json, "pluginConfiguration"), name);
}

int interaction_read(struct ctx *ctx, struct pact *pact, const json_t *json,
                     struct interaction *interaction)
{
    *interaction = (struct interaction){0};
    interaction->description = json_string_value(json_object_get(json, "description"));
    if (interaction->description == NULL)
        return FAULT(ctx, FAULT_CONFIG, "has no description");
    interaction->id = json_string_value(json_object_get(json, "_id"));
    interaction->pending = json_is_true(json_object_get(json, "pending"));
    TRY(read_kind(ctx, json, interaction));
    TRY(read_states(ctx, json, interaction));
    TRY(find_image(ctx, pact, plugin(json, "protobuf"), interaction));
    TRY(read_embedded(ctx, plugin(json, "contract-verify"), interaction));
    TRY(interaction->kind == INTERACTION_CALL ? read_call(ctx, pact, json, interaction)
                                              : read_message(ctx, pact, json, interaction));
    for (size_t i = 0; i < interaction->request_count; i++)
        TRY(check_generators(ctx, &interaction->requests[i]));
    for (size_t i = 0; i < interaction->response_count; i++)
        TRY(check_generators(ctx, &interaction->responses[i]));
    return OK;
}

static int check_generators(struct ctx *ctx, const struct part *part)
{
    TRY(generators_check(ctx, &part->body_generators));
    return generators_check(ctx, &part->metadata_generators);
}

static int read_kind(struct ctx *ctx, const json_t *json, struct interaction *interaction)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type != NULL && strcmp(type, "Synchronous/Messages") == 0) {
        interaction->kind = INTERACTION_CALL;
        return OK;
    }
    if (type != NULL && strcmp(type, "Asynchronous/Messages") == 0) {
        interaction->kind = INTERACTION_MESSAGE;
        return OK;
    }
    return FAULT(ctx, FAULT_CONFIG, "type is \"%.40s\", not Synchronous/ or Asynchronous/Messages",
                 type == NULL ? "" : type);
}

static int read_states(struct ctx *ctx, const json_t *json, struct interaction *interaction)
{
    const json_t *states = json_object_get(json, "providerStates");
    size_t count = json_array_size(states);
    interaction->states = arena_alloc(ctx->arena, (count + 1) * sizeof interaction->states[0]);
    for (; interaction->state_count < count; interaction->state_count++) {
        const json_t *state = json_array_get(states, interaction->state_count);
        struct state *out = &interaction->states[interaction->state_count];
        out->name = json_string_value(json_object_get(state, "name"));
        out->params = json_object_get(state, "params");
        if (out->name == NULL)
            return FAULT(ctx, FAULT_CONFIG, "a provider state has no name");
    }
    return OK;
}

/* Without descriptors an interaction's contents are JSON or bytes. */
static int find_image(struct ctx *ctx, struct pact *pact, const json_t *protobuf,
                      struct interaction *interaction)
{
    const char *key = json_string_value(json_object_get(protobuf, "descriptorKey"));
    if (key == NULL)
        return OK;
    for (struct pact_image *image = pact->images; image != NULL; image = image->next) {
        if (strcmp(image->key, key) == 0) {
            interaction->types.image = &image->image;
            return OK;
        }
    }
    return FAULT(ctx, FAULT_CONFIG, "the descriptors %.60s are not in the pact", key);
}

static int read_embedded(struct ctx *ctx, const json_t *ours, struct interaction *interaction)
{
    json_t *embedded = json_object_get(ours, "embedded");
    size_t count = json_object_size(embedded);
    if (count > 0 && interaction->types.image == NULL)
        return FAULT(ctx, FAULT_CONFIG, "embedded messages need descriptors");
    struct embedded *items = arena_alloc(ctx->arena, (count + 1) * sizeof items[0]);
    const char *path;
    json_t *type;
    json_object_foreach(embedded, path, type)
    {
        const char *name = json_string_value(type);
        struct embedded *item = &items[interaction->types.embedded_count++];
        item->path = path;
        item->type = name == NULL ? NULL : wire_type(interaction->types.image, name);
        if (item->type == NULL)
            return FAULT(ctx, FAULT_CONFIG, "the type %.60s of %.60s is not in the descriptors",
                         name == NULL ? "" : name, path);
    }
    interaction->types.embedded = items;
    return OK;
}

static int read_call(struct ctx *ctx, struct pact *pact, const json_t *json,
                     struct interaction *interaction)
{
    const MethodProto *method = NULL;
    const json_t *ours = plugin(json, "contract-verify");
    const char *transport = json_string_value(json_object_get(json, "transport"));
    if (transport != NULL && strcmp(transport, "grpc") != 0)
        return FAULT(ctx, FAULT_CONFIG, "transport is \"%.40s\"; only grpc is spoken", transport);
    if (interaction->types.image == NULL)
        return FAULT(ctx, FAULT_CONFIG,
                     "a call needs pluginConfiguration.protobuf with descriptorKey and service");
    TRY(find_method(ctx, plugin(json, "protobuf"), interaction, &method));
    interaction->client_streaming = method->client_streaming;
    interaction->server_streaming = method->server_streaming;
    interaction->in_turn = json_is_true(json_object_get(ours, "inTurn"));
    interaction->left_open = json_is_true(json_object_get(ours, "leftOpen"));
    const struct image *image = interaction->types.image;
    struct part_context context = {.pact = pact, .interaction = interaction};
    context.type = image_find_type(image, ELEMENT_MESSAGE, method->input_type);
    TRY(read_requests(ctx, &context, json));
    context.type = image_find_type(image, ELEMENT_MESSAGE, method->output_type);
    TRY(read_responses(ctx, &context, json));
    return check_streams(ctx, interaction);
}

/* "Service/Method", "package.Service/Method", ".package.Service/Method". */
static int find_method(struct ctx *ctx, const json_t *protobuf, struct interaction *interaction,
                       const MethodProto **method)
{
    const char *text = json_string_value(json_object_get(protobuf, "service"));
    const char *slash = text == NULL ? NULL : strchr(text, '/');
    if (slash == NULL)
        return FAULT(ctx, FAULT_CONFIG, "\"service\" must be SERVICE/METHOD");
    const char *service = arena_strndup(ctx->arena, text, (size_t)(slash - text));
    const char *wanted = slash + 1;
    const struct element_list *list = &interaction->types.image->kinds[ELEMENT_SERVICE];
    const struct element *found =
        image_find_type(interaction->types.image, ELEMENT_SERVICE, service);
    for (size_t i = 0; found == NULL && service[0] != '.' && i < list->count; i++) {
        const char *dot = strrchr(list->items[i].name, '.');
        if (dot != NULL && strcmp(dot + 1, service) == 0)
            found = &list->items[i];
    }
    for (size_t i = 0; found != NULL && i < found->service->n_method; i++) {
        if (strcmp(found->service->method[i]->name, wanted) == 0)
            *method = found->service->method[i];
    }
    if (*method == NULL)
        return FAULT(ctx, FAULT_CONFIG, "the method %.100s is not in the descriptors", text);
    const struct image *image = interaction->types.image;
    if (image_find_type(image, ELEMENT_MESSAGE, (*method)->input_type) == NULL ||
        image_find_type(image, ELEMENT_MESSAGE, (*method)->output_type) == NULL)
        return FAULT(ctx, FAULT_CONFIG, "the types of %.100s are not in the descriptors", text);
    interaction->service = found->name;
    interaction->method = (*method)->name;
    interaction->path = arena_printf(ctx->arena, "/%s/%s", found->name, (*method)->name);
    return OK;
}

/* "request" is the first; further ones stand in pluginConfiguration.contract-verify.requests. */
static int read_requests(struct ctx *ctx, struct part_context *context, const json_t *json)
{
    struct interaction *interaction = context->interaction;
    const json_t *more = json_object_get(plugin(json, "contract-verify"), "requests");
    size_t count = 1 + json_array_size(more);
    interaction->requests = arena_alloc(ctx->arena, count * sizeof interaction->requests[0]);
    for (; interaction->request_count < count; interaction->request_count++) {
        size_t i = interaction->request_count;
        const json_t *one = i == 0 ? json_object_get(json, "request") : json_array_get(more, i - 1);
        struct part *part = &interaction->requests[i];
        if (!json_is_object(one))
            return FAULT(ctx, FAULT_CONFIG, "a request must be an object");
        TRY(part_read(ctx, context, one, part));
        if (part->form == CONTENTS_NONE) { /* the plugin leaves out a message without a field */
            part->form = CONTENTS_PROTOBUF;
            part->type = context->type;
            part->value = (struct value){.kind = VALUE_MESSAGE, .type = context->type};
        }
        if (part->form != CONTENTS_PROTOBUF)
            return FAULT(ctx, FAULT_CONFIG, "a request's contents must be application/protobuf");
    }
    return OK;
}

static int read_responses(struct ctx *ctx, struct part_context *context, const json_t *json)
{
    struct interaction *interaction = context->interaction;
    const json_t *responses = json_object_get(json, "response");
    bool is_array = json_is_array(responses);
    size_t count = is_array ? json_array_size(responses) : 1;
    if (count == 0 || (!is_array && !json_is_object(responses)))
        return FAULT(ctx, FAULT_CONFIG, "\"response\" must be an array of at least one");
    interaction->responses = arena_alloc(ctx->arena, count * sizeof interaction->responses[0]);
    for (; interaction->response_count < count; interaction->response_count++) {
        size_t i = interaction->response_count;
        const json_t *one = is_array ? json_array_get(responses, i) : responses;
        struct part *part = &interaction->responses[i];
        struct part_context own = *context;
        /* what an error tells beside its status are its details */
        part->metadata_json = json_object_get(one, "metadata");
        if (part_status(part) > 0)
            own.type = wire_type(interaction->types.image, "google.rpc.Status");
        TRY(part_read(ctx, &own, one, part));
        if (part->form != CONTENTS_NONE && part->form != CONTENTS_PROTOBUF)
            return FAULT(ctx, FAULT_CONFIG, "a response's contents must be application/protobuf");
        if (part_status(part) < 0)
            return FAULT(ctx, FAULT_CONFIG, "grpc-status is no status of gRPC");
        if (part_status(part) > 0 && i + 1 < count)
            return FAULT(ctx, FAULT_CONFIG, "only the last response can have a grpc-status");
    }
    return OK;
}

static int check_streams(struct ctx *ctx, const struct interaction *interaction)
{
    if (!interaction->client_streaming && interaction->request_count > 1)
        return FAULT(ctx, FAULT_CONFIG, "%.80s takes one request", interaction->path);
    if (!interaction->server_streaming && interaction->response_count > 1)
        return FAULT(ctx, FAULT_CONFIG, "%.80s gives one response", interaction->path);
    if (interaction->left_open && !interaction->server_streaming)
        return FAULT(ctx, FAULT_CONFIG, "leftOpen is for methods that answer with a stream");
    if (interaction->left_open &&
        part_status(&interaction->responses[interaction->response_count - 1]) > 0)
        return FAULT(ctx, FAULT_CONFIG, "a call that is left open has no grpc-status");
    return OK;
}

static int read_message(struct ctx *ctx, struct pact *pact, const json_t *json,
                        struct interaction *interaction)
{
    struct part_context context = {.pact = pact, .interaction = interaction};
    const char *type = json_string_value(json_object_get(plugin(json, "protobuf"), "message"));
    if (type != NULL && interaction->types.image != NULL) {
        context.type = wire_type(interaction->types.image, type);
        if (context.type == NULL)
            return FAULT(ctx, FAULT_CONFIG, "the message %.80s is not in the descriptors", type);
    }
    interaction->responses = arena_alloc(ctx->arena, sizeof interaction->responses[0]);
    interaction->response_count = 1;
    TRY(part_read(ctx, &context, json, interaction->responses));
    return interaction->responses->form != CONTENTS_NONE
               ? OK
               : FAULT(ctx, FAULT_CONFIG, "a message needs contents");
}
