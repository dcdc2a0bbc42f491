/* Writes the client's side of a service: one function per unary method, and for a streaming one those that
 * open it, put a message and take the next. */
#include "emit.h"

struct names {
    const char *prefix; /* "health" */
    const char *name;   /* "watch" */
    const char *in;     /* C type of a request */
    const char *out;
    size_t index; /* of the method's row */
};

static struct names names_of(const struct service_model *service, size_t index);
static void emit_unary(const struct names *names, struct text *out);
static void emit_open(const struct names *names, struct text *out);
static void emit_open_with(const struct names *names, struct text *out);
static void emit_put(const struct names *names, struct text *out);
static void emit_next(const struct names *names, struct text *out);

void emit_client_head(const struct service_model *service, struct text *out)
{
    text_add(out, "/* Client stubs: see client_unary() in client/channel.h; for streams "
                  "client_stream_open(), _send() and\n * _receive(), and client_stream_close() "
                  "at the end. */\n");
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method_model *method = &service->methods[i];
        struct names names = names_of(service, i);
        if (!method_is_served(method))
            continue;
        if (!method_streams(method)) {
            text_add(out,
                     "int %s_%s(struct client_call *call,\n    const %s *in,\n    %s **out);\n",
                     names.prefix, names.name, names.in, names.out);
            continue;
        }
        if (method->proto->client_streaming)
            text_add(
                out,
                "int %s_%s_open(struct client_call *call,\n    struct client_stream **stream);\n"
                "int %s_%s_put(struct client_stream *stream,\n    const %s *message);\n",
                names.prefix, names.name, names.prefix, names.name, names.in);
        else
            text_add(out,
                     "int %s_%s_open(struct client_call *call,\n    const %s *in,\n"
                     "    struct client_stream **stream);\n",
                     names.prefix, names.name, names.in);
        text_add(out,
                 "int %s_%s_next(struct client_stream *stream, struct arena *arena,\n"
                 "    %s **message);\n",
                 names.prefix, names.name, names.out);
    }
}

void emit_client(const struct service_model *service, struct text *out)
{
    text_add(out,
             "/* %s.%s: the client stubs.  " NOTE " */\n#include \"gen/rpc/%s.h\"\n\n"
             "#include \"client/channel.h\"\n",
             service->file->package, service->proto->name, service->file->name,
             service_prefix(service));
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method_model *method = &service->methods[i];
        struct names names = names_of(service, i);
        if (!method_is_served(method))
            continue;
        if (!method_streams(method)) {
            emit_unary(&names, out);
            continue;
        }
        if (method->proto->client_streaming) {
            emit_open(&names, out);
            emit_put(&names, out);
        } else {
            emit_open_with(&names, out);
        }
        emit_next(&names, out);
    }
}

static struct names names_of(const struct service_model *service, size_t index)
{
    const struct method_model *method = &service->methods[index];
    return (struct names){
        .prefix = service_prefix(service),
        .name = name_snake(method->proto->name),
        .in = name_of_type(method->proto->input_type),
        .out = name_of_type(method->proto->output_type),
        .index = index,
    };
}

static void emit_unary(const struct names *names, struct text *out)
{
    text_add(out,
             "\nint %s_%s(struct client_call *call,\n    const %s *in,\n    %s **out)\n{\n"
             "    ProtobufCMessage *message = NULL;\n"
             "    int rc = client_unary(call, &%s_rpc.methods[%zu], &in->base, &message);\n"
             "    if (rc == OK && message != NULL)\n        *out = (%s *)message;\n"
             "    return rc;\n}\n",
             names->prefix, names->name, names->in, names->out, names->prefix, names->index,
             names->out);
}

static void emit_open(const struct names *names, struct text *out)
{
    text_add(out,
             "\nint %s_%s_open(struct client_call *call,\n    struct client_stream **stream)\n{\n"
             "    return client_stream_open(call, &%s_rpc.methods[%zu], stream);\n}\n",
             names->prefix, names->name, names->prefix, names->index);
}

static void emit_open_with(const struct names *names, struct text *out)
{
    text_add(out,
             "\nint %s_%s_open(struct client_call *call,\n    const %s *in,\n"
             "    struct client_stream **stream)\n{\n"
             "    return client_stream_begin(call, &%s_rpc.methods[%zu], &in->base, stream);\n}\n",
             names->prefix, names->name, names->in, names->prefix, names->index);
}

static void emit_put(const struct names *names, struct text *out)
{
    text_add(out,
             "\nint %s_%s_put(struct client_stream *stream,\n    const %s *message)\n{\n"
             "    return client_stream_send(stream, &message->base);\n}\n",
             names->prefix, names->name, names->in);
}

static void emit_next(const struct names *names, struct text *out)
{
    text_add(out,
             "\nint %s_%s_next(struct client_stream *stream, struct arena *arena,\n"
             "    %s **message)\n{\n"
             "    ProtobufCMessage *received = NULL;\n"
             "    int rc = client_stream_receive(stream, arena, &received);\n"
             "    if (rc == OK)\n        *message = (%s *)received;\n    return rc;\n}\n",
             names->prefix, names->name, names->out, names->out);
}
