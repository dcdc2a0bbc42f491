/* Writes a service's functions for libtenant's users: inline, over include/tenant/client.h, so that the
 * library's binary interface does not grow with the methods. */
#include "emit.h"

#include <string.h>

static char *public_name(const struct service_model *service, const struct method_model *method);
static void emit_call(const struct service_model *service, const struct method_model *method,
                      struct text *out);
static void emit_stream(const struct service_model *service, const struct method_model *method,
                        struct text *out);

void emit_public(const struct service_model *service, struct text *out)
{
    const char *prefix = service_prefix(service);
    char *include = format_text("%s", service->file->name);
    include[strlen(include) - strlen(".proto")] = '\0';
    text_add(out, "/* %s.%s for users of libtenant.  " NOTE " */\n", service->file->package,
             service->proto->name, service->file->name);
    text_add(out, "#ifndef TENANT_PUBLIC_%s_H\n#define TENANT_PUBLIC_%s_H\n\n", prefix, prefix);
    text_add(out,
             "#include <tenant/client.h>\n\n#include <%s.pb-c.h>\n\n"
             "#ifdef __cplusplus\nextern \"C\" {\n#endif\n",
             include);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method_model *method = &service->methods[i];
        if (!method_is_served(method))
            continue;
        if (method_streams(method))
            emit_stream(service, method, out);
        else
            emit_call(service, method, out);
    }
    text_add(out, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}

/* "get_tenant", but "health_check": other services than ours say which. */
static char *public_name(const struct service_model *service, const struct method_model *method)
{
    char *name = name_snake(method->proto->name);
    return strncmp(service->file->package, "tenant.", 7) == 0
               ? name
               : format_text("%s_%s", service_prefix(service), name);
}

/* The response is typed by a function of its own, because an answer may have none. */
static void emit_call(const struct service_model *service, const struct method_model *method,
                      struct text *out)
{
    const char *name = public_name(service, method);
    const char *in = name_of_type(method->proto->input_type);
    const char *answer = name_of_type(method->proto->output_type);
    const char *repeats = method_has_no_side_effects(method)
                              ? "    struct tenant_call repeatable = *call;\n"
                                "    repeatable.is_repeatable = true;\n"
                              : "";
    text_add(out,
             "\nstatic inline struct tenant_answer *tenant_%s(struct tenant_client *client,\n"
             "    const struct tenant_call *call, const %s *request)\n{\n%s"
             "    return tenant_client_call(client, %s, \"/%s.%s/%s\",\n"
             "        &request->base, &%s__descriptor);\n}\n"
             "/* NULL unless the code is TENANT_OK. */\n"
             "static inline const %s *tenant_%s_response(\n"
             "    const struct tenant_answer *answer)\n{\n"
             "    return (const %s *)tenant_answer_response(answer);\n}\n",
             name, in, repeats, repeats[0] == '\0' ? "call" : "&repeatable", service->file->package,
             service->proto->name, method->proto->name,
             name_of_functions(method->proto->output_type), answer, name, answer);
}

static void emit_stream(const struct service_model *service, const struct method_model *method,
                        struct text *out)
{
    const char *name = public_name(service, method);
    const char *in = name_of_type(method->proto->input_type);
    const char *answer = name_of_type(method->proto->output_type);
    text_add(out,
             "\n/* tenant_%s_send() and tenant_%s_receive() do what tenant_stream_send() and "
             "_receive() do. */\n"
             "static inline struct tenant_stream *tenant_%s(struct tenant_client *client,\n"
             "    const struct tenant_call *call)\n{\n"
             "    return tenant_client_stream(client, call, \"/%s.%s/%s\",\n"
             "        &%s__descriptor, &%s__descriptor);\n}\n"
             "static inline bool tenant_%s_send(struct tenant_stream *stream,\n"
             "    const %s *message)\n{\n"
             "    return tenant_stream_send(stream, &message->base);\n}\n"
             "static inline const %s *tenant_%s_receive(\n"
             "    struct tenant_stream *stream)\n{\n"
             "    return (const %s *)tenant_stream_receive(stream);\n}\n",
             name, name, name, service->file->package, service->proto->name, method->proto->name,
             name_of_functions(method->proto->input_type),
             name_of_functions(method->proto->output_type), name, in, answer, name, answer);
}
