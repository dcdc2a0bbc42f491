/* What the generator knows of the protos: services, methods, policies, tenant fields. */
#ifndef PROTOC_GEN_RPC_MODEL_H
#define PROTOC_GEN_RPC_MODEL_H

#include "google/protobuf/compiler/plugin.pb-c.h"
#include "tenant/options/v1/options.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

typedef Google__Protobuf__FileDescriptorProto FileProto;
typedef Google__Protobuf__DescriptorProto MessageProto;
typedef Google__Protobuf__FieldDescriptorProto FieldProto;
typedef Google__Protobuf__ServiceDescriptorProto ServiceProto;
typedef Google__Protobuf__MethodDescriptorProto MethodProto;
typedef Tenant__Options__V1__MethodPolicy MethodPolicy;

/* One step from a request message towards the field that names the tenant. */
#define TENANT_STEPS_MAX 4

struct method_model {
    const MethodProto *proto;
    const MethodPolicy *policy;
    const MessageProto *request;
    const FieldProto *steps[TENANT_STEPS_MAX]; /* the marked fields; the last is a string */
    size_t step_count;                         /* 0: the request names no tenant */
};

struct service_model {
    const FileProto *file;
    const ServiceProto *proto;
    struct method_model *methods;
    size_t method_count;
};

struct generator {
    const Google__Protobuf__Compiler__CodeGeneratorRequest *request;
    const char *foreign; /* path of foreign.yaml, "" when there is none */
    char *errors;        /* lines "file:line:column: message", owned */
    size_t error_size;
};

/* Reads every service of `file`; what is wrong is added to generator->errors.  Owned by the caller
 * (the program ends soon after: nothing is freed). */
struct service_model *services_read(struct generator *generator, const FileProto *file,
                                    size_t *count);

/* The policy of a method from its options or from foreign.yaml; NULL when there is none. */
const MethodPolicy *policy_of(struct generator *generator, const FileProto *file,
                              const ServiceProto *service, const MethodProto *method);
const MethodPolicy *policy_foreign(struct generator *generator, const char *path);
bool field_is_tenant_ref(const FieldProto *field);

/* ".tenant.v1.Tenant" → its descriptor; NULL when unknown. */
const MessageProto *message_find(const struct generator *generator, const char *full_name);

/* path: numbers of descriptor.proto's source locations, {6, service, 2, method}. */
void generator_error(struct generator *generator, const FileProto *file, const int *path,
                     size_t path_size, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
