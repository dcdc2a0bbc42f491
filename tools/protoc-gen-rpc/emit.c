/* Writes a service's C; see emit.h. */
#include "emit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void emit_handlers(const struct service_model *service, const char *prefix,
                          struct text *out);
static void emit_invoke(const struct service_model *service, const struct method_model *method,
                        struct text *out);
static void emit_stream_head(const struct service_model *service,
                             const struct method_model *method, struct text *out);
static void emit_stream(const struct service_model *service, const struct method_model *method,
                        struct text *out);
static void emit_tenant_ref(const struct service_model *service, const struct method_model *method,
                            struct text *out);
static void emit_strings(const char *name, char **items, size_t count, struct text *out);
static void emit_row(const struct service_model *service, const struct method_model *method,
                     struct text *out);
static void emit_policy(const struct service_model *service, const struct method_model *method,
                        struct text *out);
static char *upper(const char *text);
static char *tenant_path(const struct method_model *method);
static char *include_of(const char *proto);

/* "health", "server_reflection_v1alpha": a version says its name unless it is the first. */
char *service_prefix(const struct service_model *service)
{
    const char *dot = strrchr(service->file->package, '.');
    const char *version = dot == NULL ? service->file->package : dot + 1;
    char *name = name_snake(service->proto->name);
    if (version[0] != 'v' || !isdigit((unsigned char)version[1]) || strcmp(version, "v1") == 0)
        return name;
    char *versioned = format_text("%s_%s", name, version);
    free(name);
    return versioned;
}

bool method_is_served(const struct method_model *method)
{
    return method->policy == NULL || !method->policy->unserved;
}

bool method_streams(const struct method_model *method)
{
    return method->proto->client_streaming || method->proto->server_streaming;
}

void emit_header(const struct service_model *service, struct text *out)
{
    char *prefix = service_prefix(service);
    char *guard = upper(prefix);
    const char *proto = service->file->name;
    text_add(out, "/* %s.%s: what %sa client calls.  " NOTE " */\n", service->file->package,
             service->proto->name, service->only_called ? "" : "a server implements and ", proto);
    text_add(out, "#ifndef GEN_RPC_%s_H\n#define GEN_RPC_%s_H\n\n", guard, guard);
    text_add(out, "#include \"base/method.h\"\n\n#include \"gen/pb/%s\"\n\n", include_of(proto));
    text_add(out, "struct arena;\nstruct call;\nstruct client_call;\nstruct client_stream;\n\n");
    if (!service->only_called)
        emit_handlers(service, prefix, out);
    text_add(out, "/* All methods%s. */\nextern const struct rpc_service %s_rpc;\n\n",
             service->only_called ? ", without policies: they are not ours"
                                  : " with their policies; served or not",
             prefix);
    for (size_t i = 0; i < service->method_count && !service->only_called; i++)
        emit_stream_head(service, &service->methods[i], out);
    emit_client_head(service, out);
    text_add(out, "\n#endif\n");
}

static void emit_handlers(const struct service_model *service, const char *prefix,
                          struct text *out)
{
    text_add(out, "/* The handlers: each fills `out` and returns OK, a refusal or a fault. */\n"
                  "struct %s_server {\n",
             prefix);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method_model *method = &service->methods[i];
        if (!method_is_served(method))
            continue;
        text_add(out, "    int (*%s)(struct call *call", name_snake(method->proto->name));
        if (!method->proto->client_streaming)
            text_add(out, ", const %s *in", name_of_type(method->proto->input_type));
        if (!method->proto->server_streaming)
            text_add(out, ",\n        %s *out", name_of_type(method->proto->output_type));
        text_add(out, ");\n");
    }
    text_add(out, "};\n\n");
}

void emit_server(const struct service_model *service, struct text *out)
{
    char *prefix = service_prefix(service);
    text_add(out, "/* %s.%s: %s.  " NOTE " */\n#include \"gen/rpc/%s.h\"\n\n",
             service->file->package, service->proto->name,
             service->only_called ? "the methods" : "the dispatch table", service->file->name,
             prefix);
    bool streams = false;
    for (size_t i = 0; i < service->method_count && !service->only_called; i++)
        streams = streams || (method_is_served(&service->methods[i]) &&
                              method_streams(&service->methods[i]));
    text_add(out, "%s#include <string.h>\n\n", streams ? "#include \"rpc/call.h\"\n\n" : "");
    for (size_t i = 0; i < service->method_count && !service->only_called; i++) {
        const struct method_model *method = &service->methods[i];
        char *name = name_snake(method->proto->name);
        emit_strings(format_text("%s_%s_callers", prefix, name), method->policy->callers,
                     method->policy->n_callers, out);
        emit_strings(format_text("%s_%s_header_optional", prefix, name),
                     method->policy->header_optional, method->policy->n_header_optional, out);
        if (!method_is_served(method))
            continue;
        emit_invoke(service, method, out);
        emit_stream(service, method, out);
        emit_tenant_ref(service, method, out);
    }
    text_add(out, "static const struct rpc_method %s_methods[] = {\n", prefix);
    for (size_t i = 0; i < service->method_count; i++)
        emit_row(service, &service->methods[i], out);
    text_add(out, "};\n\nconst struct rpc_service %s_rpc = {\n    .name = \"%s.%s\",\n"
                  "    .methods = %s_methods,\n    .method_count = %zu,\n};\n",
             prefix, service->file->package, service->proto->name, prefix, service->method_count);
}

static void emit_strings(const char *name, char **items, size_t count, struct text *out)
{
    text_add(out, "static const char *const %s[] = {", name);
    for (size_t i = 0; i < count; i++)
        text_add(out, "\"%s\", ", items[i]);
    text_add(out, "NULL};\n");
}

static void emit_invoke(const struct service_model *service, const struct method_model *method,
                        struct text *out)
{
    char *prefix = service_prefix(service);
    char *name = name_snake(method->proto->name);
    const char *in = method->proto->client_streaming ? "" : ", (const ";
    const char *in_end = method->proto->client_streaming ? "" : " *)in";
    text_add(out,
             "static int %s_%s_invoke(const void *server, struct call *call,\n"
             "    const ProtobufCMessage *in, ProtobufCMessage *out)\n{\n"
             "    const struct %s_server *handlers = server;\n%s%s"
             "    return handlers->%s(call%s%s%s",
             prefix, name, prefix, method->proto->client_streaming ? "    (void)in;\n" : "",
             method->proto->server_streaming ? "    (void)out;\n" : "", name, in,
             method->proto->client_streaming ? "" : name_of_type(method->proto->input_type),
             in_end);
    if (!method->proto->server_streaming)
        text_add(out, ",\n        (%s *)out", name_of_type(method->proto->output_type));
    text_add(out, ");\n}\n");
}

/* What a streaming handler reads and writes with, typed. */
static void emit_stream_head(const struct service_model *service,
                             const struct method_model *method, struct text *out)
{
    const char *prefix = service_prefix(service);
    const char *name = name_snake(method->proto->name);
    if (!method_is_served(method))
        return;
    if (method->proto->client_streaming)
        text_add(out, "/* See call_receive() in rpc/call.h. */\n"
                      "int %s_%s_receive(struct call *call,\n    const %s **message);\n\n",
                 prefix, name, name_of_type(method->proto->input_type));
    if (method->proto->server_streaming)
        text_add(out, "/* See call_send() in rpc/call.h. */\n"
                      "int %s_%s_send(struct call *call,\n    const %s *message);\n\n",
                 prefix, name, name_of_type(method->proto->output_type));
}

static void emit_stream(const struct service_model *service, const struct method_model *method,
                        struct text *out)
{
    const char *prefix = service_prefix(service);
    const char *name = name_snake(method->proto->name);
    const char *in = name_of_type(method->proto->input_type);
    if (method->proto->client_streaming)
        text_add(out,
                 "int %s_%s_receive(struct call *call,\n    const %s **message)\n{\n"
                 "    const ProtobufCMessage *received = NULL;\n"
                 "    int rc = call_receive(call, &received);\n"
                 "    if (rc == OK)\n        *message = (const %s *)received;\n    return rc;\n}\n",
                 prefix, name, in, in);
    if (method->proto->server_streaming)
        text_add(out,
                 "int %s_%s_send(struct call *call,\n    const %s *message)\n{\n"
                 "    return call_send(call, &message->base);\n}\n",
                 prefix, name, name_of_type(method->proto->output_type));
}

static void emit_tenant_ref(const struct service_model *service, const struct method_model *method,
                            struct text *out)
{
    if (method->step_count == 0)
        return;
    char *prefix = service_prefix(service);
    text_add(out, "static struct slice %s_%s_tenant(const ProtobufCMessage *in)\n{\n", prefix,
             name_snake(method->proto->name));
    text_add(out, "    const %s *step0 = (const %s *)in;\n",
             name_of_type(method->proto->input_type), name_of_type(method->proto->input_type));
    for (size_t i = 0; i + 1 < method->step_count; i++) {
        text_add(out, "    const %s *step%zu = step%zu->%s;\n",
                 name_of_type(method->steps[i]->type_name), i + 1, i, method->steps[i]->name);
        text_add(out, "    if (step%zu == NULL)\n        return slice_make(NULL, 0);\n", i + 1);
    }
    text_add(out, "    return slice_of_str(step%zu->%s);\n}\n", method->step_count - 1,
             method->steps[method->step_count - 1]->name);
}

static void emit_row(const struct service_model *service, const struct method_model *method,
                     struct text *out)
{
    char *prefix = service_prefix(service);
    char *name = name_snake(method->proto->name);
    text_add(out, "    {\n        .path = \"/%s.%s/%s\",\n        .service = \"%s.%s\",\n"
                  "        .name = \"%s\",\n",
             service->file->package, service->proto->name, method->proto->name,
             service->file->package, service->proto->name, method->proto->name);
    if (method->policy != NULL)
        emit_policy(service, method, out);
    text_add(out, "        .client_streaming = %s,\n        .server_streaming = %s,\n",
             method->proto->client_streaming ? "true" : "false",
             method->proto->server_streaming ? "true" : "false");
    if (method_has_no_side_effects(method))
        text_add(out, "        .no_side_effects = true,\n");
    text_add(out, "        .request = &%s__descriptor,\n        .response = &%s__descriptor,\n",
             name_of_functions(method->proto->input_type),
             name_of_functions(method->proto->output_type));
    if (method_is_served(method) && !service->only_called)
        text_add(out, "        .invoke = %s_%s_invoke,\n", prefix, name);
    if (method->step_count > 0)
        text_add(out, "        .tenant_ref = %s_%s_tenant,\n        .tenant_field = \"%s\",\n",
                 prefix, name, tenant_path(method));
    text_add(out, "    },\n");
}

static void emit_policy(const struct service_model *service, const struct method_model *method,
                        struct text *out)
{
    char *prefix = service_prefix(service);
    char *name = name_snake(method->proto->name);
    const MethodPolicy *policy = method->policy;
    bool tenant = policy->scope == TENANT__OPTIONS__V1__SCOPE__SCOPE_TENANT;
    bool read = policy->access == TENANT__OPTIONS__V1__ACCESS__ACCESS_READ;
    text_add(out, "        .policy = {\n"
                  "            .permission = \"%s\",\n            .scope = METHOD_SCOPE_%s,\n"
                  "            .access = METHOD_ACCESS_%s,\n",
             policy->permission, tenant ? "TENANT" : "PLATFORM", read ? "READ" : "WRITE");
    text_add(out, "            .callers = %s_%s_callers,\n"
                  "            .header_optional = %s_%s_header_optional,\n",
             prefix, name, prefix, name);
    text_add(out, "            .default_deadline_ms = %u,\n            .max_request_bytes = %u,\n"
                  "            .rate_class = \"%s\",\n            .unserved = %s,\n        },\n",
             policy->default_deadline_ms, policy->max_request_bytes, policy->rate_class,
             policy->unserved ? "true" : "false");
}

bool method_has_no_side_effects(const struct method_model *method)
{
    const Google__Protobuf__MethodOptions *options = method->proto->options;
    return options != NULL && options->has_idempotency_level &&
           options->idempotency_level ==
               GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS;
}

static char *tenant_path(const struct method_model *method)
{
    struct text path = {NULL, 0};
    for (size_t i = 0; i < method->step_count; i++)
        text_add(&path, "%s%s", i == 0 ? "" : ".", method->steps[i]->name);
    return path.data;
}

static char *upper(const char *text)
{
    char *out = format_text("%s", text);
    for (char *c = out; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return out;
}

/* "tenant/v1/tenants.proto" → "tenant/v1/tenants.pb-c.h" */
static char *include_of(const char *proto)
{
    size_t size = strlen(proto) - strlen(".proto");
    return format_text("%.*s.pb-c.h", (int)size, proto);
}
