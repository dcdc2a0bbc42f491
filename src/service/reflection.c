/* Server reflection over the descriptors that were compiled in.  Slow and simple: a tool asks a few
 * times, so every question unpacks the files again, and v1alpha is v1 under another name, byte for
 * byte. */
#include "service/reflection.h"

#include "service/served.h"

#include "gen/descriptors.h"
#include "gen/pb/google/protobuf/descriptor.pb-c.h"

#include <assert.h>

typedef Google__Protobuf__FileDescriptorProto FileProto;
typedef Google__Protobuf__DescriptorProto MessageProto;
typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;
typedef Grpc__Reflection__V1__ServiceResponse Service;
#define ASKED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWERED(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

enum { NOT_FOUND_CODE = 5, INVALID_ARGUMENT_CODE = 3 }; /* of gRPC, inside the answer */

/* One answer being made; all of it lives in an arena of its own. */
struct answer {
    ProtobufCAllocator *memory;
    struct arena *arena;
    Response *out;
};

/* True when the file defines what is looked for. */
typedef bool file_test(struct answer *answer, const FileProto *file, const void *wanted);

struct extension {
    const char *type; /* "google.protobuf.MethodOptions" */
    int32_t number;
};

static int reflect(struct call *call);
static int reflect_v1alpha(struct call *call);
static int answer_make(struct arena *arena, const Request *in, Response *out);
static void answer_services(struct answer *answer);
static void answer_file(struct answer *answer, const char *name);
static void answer_defining(struct answer *answer, file_test *defines, const void *wanted);
static void answer_numbers(struct answer *answer, const char *type);
static void answer_error(struct answer *answer, int code, const char *text);
static void add_file(struct answer *answer, const char *name);
static FileProto *file_read(struct answer *answer, size_t place);
static bool defines_symbol(struct answer *answer, const FileProto *file, const void *wanted);
static bool defines_in_message(struct answer *answer, const MessageProto *message,
                               const char *prefix, const char *wanted);
static bool defines_in_enum(struct answer *answer,
                            const Google__Protobuf__EnumDescriptorProto *type, const char *prefix,
                            const char *wanted);
static bool defines_extension(struct answer *answer, const FileProto *file, const void *wanted);
static const char *full(struct answer *answer, const char *prefix, const char *name);

const struct server_reflection_server reflection_handlers = {.server_reflection_info = reflect};
const struct server_reflection_v1alpha_server reflection_v1alpha_handlers = {
    .server_reflection_info = reflect_v1alpha};

static int reflect(struct call *call)
{
    for (;;) {
        const Request *in = NULL;
        TRY(server_reflection_server_reflection_info_receive(call, &in));
        if (in == NULL)
            return OK;
        AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
        Response out;
        TRY(answer_make(arena, in, &out));
        TRY(server_reflection_server_reflection_info_send(call, &out));
    }
}

/* The two versions have the same fields under the same numbers. */
static int reflect_v1alpha(struct call *call)
{
    for (;;) {
        const Grpc__Reflection__V1alpha__ServerReflectionRequest *old = NULL;
        TRY(server_reflection_v1alpha_server_reflection_info_receive(call, &old));
        if (old == NULL)
            return OK;
        AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
        ProtobufCAllocator *memory = arena_protobuf(arena);
        size_t size = protobuf_c_message_get_packed_size(&old->base);
        uint8_t *bytes = arena_alloc_raw(arena, size + 1);
        protobuf_c_message_pack(&old->base, bytes);
        const Request *in =
            grpc__reflection__v1__server_reflection_request__unpack(memory, size, bytes);
        assert(in != NULL); /* it was packed just now */
        Response out;
        TRY(answer_make(arena, in, &out));
        size = protobuf_c_message_get_packed_size(&out.base);
        bytes = arena_alloc_raw(arena, size + 1);
        protobuf_c_message_pack(&out.base, bytes);
        const Grpc__Reflection__V1alpha__ServerReflectionResponse *same =
            grpc__reflection__v1alpha__server_reflection_response__unpack(memory, size, bytes);
        assert(same != NULL);
        TRY(server_reflection_v1alpha_server_reflection_info_send(call, same));
    }
}

/* A question that cannot be answered is an answer too: the stream goes on. */
static int answer_make(struct arena *arena, const Request *in, Response *out)
{
    struct answer answer = {.memory = arena_protobuf(arena), .arena = arena, .out = out};
    grpc__reflection__v1__server_reflection_response__init(out);
    out->valid_host = in->host;
    /* the message lives until the next one is asked for, and so does the answer */
    out->original_request = (Request *)(uintptr_t)in;
    switch (in->message_request_case) {
    case ASKED(LIST_SERVICES):
        answer_services(&answer);
        return OK;
    case ASKED(FILE_BY_FILENAME):
        answer_file(&answer, in->file_by_filename);
        return OK;
    case ASKED(FILE_CONTAINING_SYMBOL):
        answer_defining(&answer, defines_symbol, in->file_containing_symbol);
        return OK;
    case ASKED(FILE_CONTAINING_EXTENSION): {
        const struct extension wanted = {in->file_containing_extension->containing_type,
                                         in->file_containing_extension->extension_number};
        answer_defining(&answer, defines_extension, &wanted);
        return OK;
    }
    case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_numbers(&answer, in->all_extension_numbers_of_type);
        return OK;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
    case _GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__CASE_IS_INT_SIZE:
        break;
    }
    answer_error(&answer, INVALID_ARGUMENT_CODE, "nothing was asked");
    return OK;
}

static void answer_services(struct answer *answer)
{
    Grpc__Reflection__V1__ListServiceResponse *list = arena_alloc(answer->arena, sizeof *list);
    grpc__reflection__v1__list_service_response__init(list);
    list->service = arena_alloc(answer->arena, SERVED_COUNT * sizeof *list->service);
    for (size_t i = 0; i < SERVED_COUNT; i++) {
        Service *service = arena_alloc(answer->arena, sizeof *service);
        grpc__reflection__v1__service_response__init(service);
        service->name = arena_strdup(answer->arena, served_services[i]->name);
        list->service[list->n_service++] = service;
    }
    answer->out->list_services_response = list;
    answer->out->message_response_case = ANSWERED(LIST_SERVICES_RESPONSE);
}

static void answer_file(struct answer *answer, const char *name)
{
    Grpc__Reflection__V1__FileDescriptorResponse *files = arena_alloc(answer->arena, sizeof *files);
    grpc__reflection__v1__file_descriptor_response__init(files);
    files->file_descriptor_proto =
        arena_alloc(answer->arena, file_descriptor_count * sizeof *files->file_descriptor_proto);
    answer->out->file_descriptor_response = files;
    answer->out->message_response_case = ANSWERED(FILE_DESCRIPTOR_RESPONSE);
    add_file(answer, name);
    if (files->n_file_descriptor_proto == 0)
        answer_error(answer, NOT_FOUND_CODE,
                     arena_printf(answer->arena, "there is no file %s", name));
}

static void answer_defining(struct answer *answer, file_test *defines, const void *wanted)
{
    for (size_t i = 0; i < file_descriptor_count; i++) {
        const FileProto *file = file_read(answer, i);
        if (defines(answer, file, wanted)) {
            answer_file(answer, file->name);
            return;
        }
    }
    answer_error(answer, NOT_FOUND_CODE, "no file defines it");
}

static void answer_numbers(struct answer *answer, const char *type)
{
    Grpc__Reflection__V1__ExtensionNumberResponse *numbers =
        arena_alloc(answer->arena, sizeof *numbers);
    grpc__reflection__v1__extension_number_response__init(numbers);
    numbers->base_type_name = arena_strdup(answer->arena, type);
    bool known = false;
    size_t room = 0;
    for (size_t i = 0; i < file_descriptor_count; i++)
        room += file_read(answer, i)->n_extension;
    numbers->extension_number = arena_alloc(answer->arena, (room + 1) * sizeof(int32_t));
    for (size_t i = 0; i < file_descriptor_count; i++) {
        const FileProto *file = file_read(answer, i);
        known = known || defines_symbol(answer, file, type);
        for (size_t k = 0; k < file->n_extension; k++) {
            const char *extendee = file->extension[k]->extendee;
            if (extendee[0] == '.' && strcmp(extendee + 1, type) == 0)
                numbers->extension_number[numbers->n_extension_number++] =
                    file->extension[k]->number;
        }
    }
    if (!known) {
        answer_error(answer, NOT_FOUND_CODE, "there is no such type");
        return;
    }
    answer->out->all_extension_numbers_response = numbers;
    answer->out->message_response_case = ANSWERED(ALL_EXTENSION_NUMBERS_RESPONSE);
}

static void answer_error(struct answer *answer, int code, const char *text)
{
    Grpc__Reflection__V1__ErrorResponse *error = arena_alloc(answer->arena, sizeof *error);
    grpc__reflection__v1__error_response__init(error);
    error->error_code = code;
    error->error_message = arena_strdup(answer->arena, text);
    answer->out->error_response = error;
    answer->out->message_response_case = ANSWERED(ERROR_RESPONSE);
}

/* The file, and behind it what it imports: a client need not ask again for those.  Each once. */
static void add_file(struct answer *answer, const char *name)
{
    Grpc__Reflection__V1__FileDescriptorResponse *files = answer->out->file_descriptor_response;
    for (size_t i = 0; i < file_descriptor_count; i++) {
        const struct slice bytes = file_descriptors[i].bytes;
        if (strcmp(file_descriptors[i].name, name) != 0)
            continue;
        for (size_t k = 0; k < files->n_file_descriptor_proto; k++) {
            if (files->file_descriptor_proto[k].data == bytes.data)
                return;
        }
        assert(files->n_file_descriptor_proto < file_descriptor_count);
        files->file_descriptor_proto[files->n_file_descriptor_proto++] =
            (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.data};
        const FileProto *file = file_read(answer, i);
        for (size_t k = 0; k < file->n_dependency; k++)
            add_file(answer, file->dependency[k]);
        return;
    }
}

static FileProto *file_read(struct answer *answer, size_t place)
{
    const struct slice bytes = file_descriptors[place].bytes;
    FileProto *file =
        google__protobuf__file_descriptor_proto__unpack(answer->memory, bytes.size, bytes.data);
    assert(file != NULL); /* protoc made it */
    return file;
}

/* "package.Type", "package.Type.field", "package.Service.Method", "package.VALUE". */
static bool defines_symbol(struct answer *answer, const FileProto *file, const void *wanted)
{
    const char *name = wanted;
    const char *package = file->package;
    for (size_t i = 0; i < file->n_message_type; i++) {
        if (defines_in_message(answer, file->message_type[i], package, name))
            return true;
    }
    for (size_t i = 0; i < file->n_enum_type; i++) {
        if (defines_in_enum(answer, file->enum_type[i], package, name))
            return true;
    }
    for (size_t i = 0; i < file->n_extension; i++) {
        if (strcmp(full(answer, package, file->extension[i]->name), name) == 0)
            return true;
    }
    for (size_t i = 0; i < file->n_service; i++) {
        const char *service = full(answer, package, file->service[i]->name);
        if (strcmp(service, name) == 0)
            return true;
        for (size_t k = 0; k < file->service[i]->n_method; k++) {
            if (strcmp(full(answer, service, file->service[i]->method[k]->name), name) == 0)
                return true;
        }
    }
    return false;
}

static bool defines_in_message(struct answer *answer, const MessageProto *message,
                               const char *prefix, const char *wanted)
{
    const char *own = full(answer, prefix, message->name);
    size_t size = strlen(own);
    if (strncmp(own, wanted, size) != 0)
        return false;
    if (wanted[size] == '\0')
        return true;
    for (size_t i = 0; i < message->n_field; i++) {
        if (strcmp(full(answer, own, message->field[i]->name), wanted) == 0)
            return true;
    }
    for (size_t i = 0; i < message->n_nested_type; i++) {
        if (defines_in_message(answer, message->nested_type[i], own, wanted))
            return true;
    }
    for (size_t i = 0; i < message->n_enum_type; i++) {
        if (defines_in_enum(answer, message->enum_type[i], own, wanted))
            return true;
    }
    return false;
}

/* Values stand beside their type, as in C++: "package.VALUE". */
static bool defines_in_enum(struct answer *answer,
                            const Google__Protobuf__EnumDescriptorProto *type, const char *prefix,
                            const char *wanted)
{
    if (strcmp(full(answer, prefix, type->name), wanted) == 0)
        return true;
    for (size_t i = 0; i < type->n_value; i++) {
        if (strcmp(full(answer, prefix, type->value[i]->name), wanted) == 0)
            return true;
    }
    return false;
}

static bool defines_extension(struct answer *answer, const FileProto *file, const void *wanted)
{
    (void)answer;
    const struct extension *extension = wanted;
    for (size_t i = 0; i < file->n_extension; i++) {
        const char *extendee = file->extension[i]->extendee;
        if (file->extension[i]->number == extension->number && extendee[0] == '.' &&
            strcmp(extendee + 1, extension->type) == 0)
            return true;
    }
    return false;
}

static const char *full(struct answer *answer, const char *prefix, const char *name)
{
    if (prefix == NULL || prefix[0] == '\0')
        return name;
    return arena_printf(answer->arena, "%s.%s", prefix, name);
}
