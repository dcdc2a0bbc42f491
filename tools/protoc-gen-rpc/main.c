/* protoc-gen-rpc: a protoc plugin that makes typed server interfaces, dispatch tables with policies and
 * client stubs.
 *
 *   protoc --plugin=protoc-gen-rpc --rpc_out=foreign=proto/tenant/options/v1/foreign.yaml:gen/rpc FILES
 *   protoc --plugin=protoc-gen-rpc --rpc_out=client:gen/rpc FILES      services that are only called
 *
 * Reads a CodeGeneratorRequest on standard input and answers with a CodeGeneratorResponse.  A method without
 * a policy, a recursive or unmarked request, an unknown caller: the response carries every error with file
 * and line, and protoc fails. */
#include "emit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef Google__Protobuf__Compiler__CodeGeneratorRequest Request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse Response;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File ResponseFile;

static uint8_t *read_all(size_t *size)
{
    size_t room = 1 << 16;
    uint8_t *data = malloc(room);
    *size = 0;
    for (;;) {
        if (data == NULL)
            abort();
        ssize_t got = read(STDIN_FILENO, data + *size, room - *size);
        if (got <= 0)
            return got == 0 ? data : NULL;
        *size += (size_t)got;
        if (*size == room) {
            room *= 2;
            data = realloc(data, room);
        }
    }
}

static const char *parameter_of(const Request *request)
{
    return request->parameter == NULL ? "" : request->parameter;
}

static const char *foreign_of(const Request *request)
{
    const char *parameter = parameter_of(request);
    return strncmp(parameter, "foreign=", 8) == 0 ? parameter + 8 : "";
}

static void add_file(Response *response, char *name, struct text text)
{
    ResponseFile *file = malloc(sizeof *file);
    response->file = realloc(response->file, (response->n_file + 1) * sizeof *response->file);
    if (file == NULL || response->file == NULL)
        abort();
    google__protobuf__compiler__code_generator_response__file__init(file);
    file->name = name;
    file->content = text.data;
    response->file[response->n_file++] = file;
}

static void add_service(Response *response, const struct service_model *service)
{
    char *prefix = service_prefix(service);
    struct text header = {NULL, 0};
    struct text server = {NULL, 0};
    struct text client = {NULL, 0};
    struct text public = {NULL, 0};
    emit_header(service, &header);
    emit_server(service, &server);
    emit_client(service, &client);
    add_file(response, format_text("%s.h", prefix), header);
    add_file(response, format_text("%s.c", prefix), server);
    add_file(response, format_text("%s_client.c", prefix), client);
    if (!service->only_called) {
        emit_public(service, &public);
        add_file(response, format_text("%s_public.h", prefix), public);
    }
    free(prefix);
}

static bool is_wanted(const Request *request, const FileProto *file)
{
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        if (strcmp(request->file_to_generate[i], file->name) == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        printf("usage: protoc --plugin=%s --rpc_out=foreign=FOREIGN.yaml:OUT FILES\n"
               "       protoc --plugin=%s --rpc_out=client:OUT FILES\n",
               argv[0], argv[0]);
        return strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    size_t size = 0;
    uint8_t *input = read_all(&size);
    Request *request =
        input == NULL
            ? NULL
            : google__protobuf__compiler__code_generator_request__unpack(NULL, size, input);
    if (request == NULL) {
        fputs("protoc-gen-rpc: no CodeGeneratorRequest on standard input (run by protoc)\n",
              stderr);
        return 1;
    }
    struct generator generator = {.request = request,
                                  .foreign.path = foreign_of(request),
                                  .only_called = strcmp(parameter_of(request), "client") == 0};
    foreign_read(&generator);
    Response response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    for (size_t i = 0; i < request->n_proto_file; i++) {
        if (!is_wanted(request, request->proto_file[i]))
            continue;
        size_t count = 0;
        struct service_model *services =
            services_read(&generator, request->proto_file[i], &count);
        for (size_t s = 0; generator.errors == NULL && s < count; s++)
            add_service(&response, &services[s]);
    }
    /* so that our own message says what is wrong with such a field, and where */
    response.has_supported_features = 1;
    response.supported_features =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    if (generator.errors != NULL) {
        response.error = generator.errors;
        response.n_file = 0;
    }
    size_t packed =
        google__protobuf__compiler__code_generator_response__get_packed_size(&response);
    uint8_t *output = malloc(packed + 1);
    if (output == NULL)
        abort();
    google__protobuf__compiler__code_generator_response__pack(&response, output);
    return fwrite(output, 1, packed, stdout) == packed && fflush(stdout) == 0 ? 0 : 1;
}
