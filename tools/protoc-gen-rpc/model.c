/* Reads services and methods and refuses what we do not allow; see model.h. */
#include "model.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Field numbers in descriptor.proto that make up a source location's path. */
enum { FILE_SERVICE = 6, SERVICE_METHOD = 2 };

#define NESTING_MAX 16

/* A walk through the messages below a request or a response. */
struct field_walk {
    struct generator *generator;
    bool is_unpacked; /* others make its depth */
    const MessageProto *above[NESTING_MAX];
};

static void read_method(struct generator *generator, struct service_model *service, int service_at,
                        int method_at);
static void check_name(struct generator *generator, const struct service_model *service,
                       const MethodProto *method, const int *path);
static void check_policy(struct generator *generator, const struct service_model *service,
                         const struct method_model *method, const int *path);
static void find_tenant(struct generator *generator, const struct service_model *service,
                        struct method_model *method, const int *path);
static void check_messages(struct generator *generator, const char *unpacked, const char *packed);
static void check_fields(struct field_walk *walk, const char *type, size_t depth);
static bool same_path(const Google__Protobuf__SourceCodeInfo__Location *location, const int *path,
                      size_t path_size);

struct service_model *services_read(struct generator *generator, const FileProto *file,
                                    size_t *count)
{
    struct service_model *services = calloc(file->n_service + 1, sizeof *services);
    if (services == NULL)
        abort();
    tenant_refs_check(generator, file);
    for (size_t s = 0; s < file->n_service; s++) {
        struct service_model *service = &services[s];
        service->file = file;
        service->proto = file->service[s];
        service->only_called = generator->only_called;
        service->method_count = service->proto->n_method;
        service->methods = calloc(service->method_count + 1, sizeof *service->methods);
        if (service->methods == NULL)
            abort();
        for (size_t m = 0; m < service->method_count; m++)
            read_method(generator, service, (int)s, (int)m);
    }
    *count = file->n_service;
    return services;
}

void generator_error(struct generator *generator, const FileProto *file, const int *path,
                     size_t path_size, const char *format, ...)
{
    int line = 1;
    int column = 1;
    const Google__Protobuf__SourceCodeInfo *info = file->source_code_info;
    for (size_t i = 0; info != NULL && i < info->n_location; i++) {
        if (!same_path(info->location[i], path, path_size) || info->location[i]->n_span < 2)
            continue;
        line = info->location[i]->span[0] + 1;
        column = info->location[i]->span[1] + 1;
        break;
    }
    va_list arguments;
    va_start(arguments, format);
    char message[512];
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    generator_complain(generator, "%s:%d:%d: %s", file->name, line, column, message);
}

/* Several methods may meet the same field: what is wrong with it is said once. */
void generator_complain(struct generator *generator, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char message[1024];
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (generator->errors != NULL && strstr(generator->errors, message) != NULL)
        return;
    struct text text = {generator->errors, generator->error_size};
    text_add(&text, "%s%s", text.size > 0 ? "\n" : "", message);
    generator->errors = text.data;
    generator->error_size = text.size;
}

static void read_method(struct generator *generator, struct service_model *service, int service_at,
                        int method_at)
{
    const int path[] = {FILE_SERVICE, service_at, SERVICE_METHOD, method_at};
    struct method_model *method = &service->methods[method_at];
    method->proto = service->proto->method[method_at];
    method->request = message_find(generator, method->proto->input_type);
    check_name(generator, service, method->proto, path);
    if (service->only_called) {
        check_messages(generator, method->proto->output_type, method->proto->input_type);
        return;
    }
    method->policy = policy_of(generator, service->file, service->proto, method->proto);
    if (method->policy == NULL) {
        generator_error(generator, service->file, path, 4,
                        "%s.%s has no policy: add option (tenant.options.v1.policy), or a row of "
                        "foreign.yaml where the proto is not ours",
                        service->proto->name, method->proto->name);
        return;
    }
    check_policy(generator, service, method, path);
    if (method->policy->unserved)
        return;
    find_tenant(generator, service, method, path);
    check_messages(generator, method->proto->input_type, method->proto->output_type);
}

/* What comes in, and what goes out. */
static void check_messages(struct generator *generator, const char *unpacked, const char *packed)
{
    struct field_walk walk = {.generator = generator, .is_unpacked = true};
    check_fields(&walk, unpacked, 0);
    walk.is_unpacked = false;
    check_fields(&walk, packed, 0);
}

/* protobuf-c lower-cases the method into a struct member. */
static void check_name(struct generator *generator, const struct service_model *service,
                       const MethodProto *method, const int *path)
{
    static const char *const keywords[] = {
        "auto",     "break",  "case",     "char",   "const",   "continue", "default",  "do",
        "double",   "else",   "enum",     "extern", "float",   "for",      "goto",     "if",
        "inline",   "int",    "long",     "register", "restrict", "return", "short",   "signed",
        "sizeof",   "static", "struct",   "switch", "typedef", "union",    "unsigned", "void",
        "volatile", "while",  "asm",      "typeof",
    };
    char *name = name_snake(method->name);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strcmp(name, keywords[i]) == 0)
            generator_error(generator, service->file, path, 4,
                            "%s.%s becomes the C keyword \"%s\": name it otherwise",
                            service->proto->name, method->name, name);
    }
    free(name);
}

static void check_policy(struct generator *generator, const struct service_model *service,
                         const struct method_model *method, const int *path)
{
    static const char *const known[] = {"admin", "api-gateway", "sync-service", "*"};
    const MethodPolicy *policy = method->policy;
    const char *name = method->proto->name;
    if (policy->permission[0] == '\0')
        generator_error(generator, service->file, path, 4, "%s: permission is not set", name);
    if (policy->scope == TENANT__OPTIONS__V1__SCOPE__SCOPE_UNSPECIFIED)
        generator_error(generator, service->file, path, 4, "%s: scope is not set", name);
    if (policy->access == TENANT__OPTIONS__V1__ACCESS__ACCESS_UNSPECIFIED)
        generator_error(generator, service->file, path, 4, "%s: access is not set", name);
    if (policy->n_callers == 0)
        generator_error(generator, service->file, path, 4, "%s: nobody may call it", name);
    for (size_t i = 0; i < policy->n_callers + policy->n_header_optional; i++) {
        const char *caller = i < policy->n_callers ? policy->callers[i]
                                                   : policy->header_optional[i - policy->n_callers];
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            found = found || strcmp(caller, known[k]) == 0;
        if (!found)
            generator_error(generator, service->file, path, 4, "%s: unknown caller \"%s\"", name,
                            caller);
    }
}

static void find_tenant(struct generator *generator, const struct service_model *service,
                        struct method_model *method, const int *path)
{
    bool scoped = method->policy->scope == TENANT__OPTIONS__V1__SCOPE__SCOPE_TENANT;
    enum tenant_marks marks = tenant_ref_find(generator, method);
    if (scoped && marks == TENANT_MARKS_NONE)
        generator_error(generator, service->file, path, 4,
                        "%s is tenant-scoped and its request marks no tenant_ref",
                        method->proto->name);
    if (scoped && marks == TENANT_MARKS_DEAD_END)
        generator_error(generator, service->file, path, 4,
                        "%s: the message under its tenant_ref marks no string",
                        method->proto->name);
    if (!scoped)
        method->step_count = 0;
}

/* protobuf-c unpacks recursively without a limit, and cannot do proto3 optional. */
static void check_fields(struct field_walk *walk, const char *type, size_t depth)
{
    struct generator *generator = walk->generator;
    struct message_place place;
    if (!message_locate(generator, type, &place))
        return;
    walk->above[depth] = place.message;
    for (size_t i = 0; i < place.message->n_field; i++) {
        const FieldProto *field = place.message->field[i];
        if (field->proto3_optional)
            field_error(generator, &place, i,
                        "proto3 optional is not supported: protobuf-c would lose whether it is "
                        "set; use a message or a oneof");
        if (field->type != GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE)
            continue;
        const MessageProto *inner = message_find(generator, field->type_name);
        bool recursive = depth + 1 >= NESTING_MAX;
        for (size_t k = 0; k <= depth && !recursive; k++)
            recursive = walk->above[k] == inner;
        if (recursive && walk->is_unpacked)
            field_error(generator, &place, i, "recursive messages are not allowed");
        else if (!recursive)
            check_fields(walk, field->type_name, depth + 1);
    }
}

static bool same_path(const Google__Protobuf__SourceCodeInfo__Location *location, const int *path,
                      size_t path_size)
{
    if (location->n_path != path_size)
        return false;
    for (size_t i = 0; i < path_size; i++) {
        if (location->path[i] != path[i])
            return false;
    }
    return true;
}
