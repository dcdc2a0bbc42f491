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
    const MethodPolicy *policy; /* NULL: of a service that is only called */
    const MessageProto *request;
    const FieldProto *steps[TENANT_STEPS_MAX]; /* the marked fields; the last is a string */
    size_t step_count;                         /* 0: the request names no tenant */
};

struct service_model {
    const FileProto *file;
    const ServiceProto *proto;
    struct method_model *methods;
    size_t method_count;
    bool only_called; /* nobody serves it here: no handlers, no policies */
};

/* What foreign.yaml says. */
struct foreign_row {
    const char *path; /* "/package.Service/Method" */
    const MethodPolicy *policy;
};
struct foreign {
    const char *path; /* of the file; "": there is none */
    struct foreign_row *rows;
    size_t count;
};

struct generator {
    const Google__Protobuf__Compiler__CodeGeneratorRequest *request;
    struct foreign foreign;
    bool only_called; /* parameter "client": the services are somebody else's */
    char *errors; /* lines "file:line:column: message", owned */
    size_t error_size;
};

/* Where a message stands: numbers of descriptor.proto's source locations. */
#define PLACE_MAX 32
struct message_place {
    const FileProto *file;
    const MessageProto *message;
    int path[PLACE_MAX];
    size_t path_size;
};

/* Reads every service of `file`; what is wrong is added to generator->errors.  Owned by the caller
 * (the program ends soon after: nothing is freed). */
struct service_model *services_read(struct generator *generator, const FileProto *file,
                                    size_t *count);

/* The policy of a method from its options or from foreign.yaml; NULL when there is none. */
const MethodPolicy *policy_of(struct generator *generator, const FileProto *file,
                              const ServiceProto *service, const MethodProto *method);
/* "/package.Service/Method", for free(). */
char *method_path(const FileProto *file, const ServiceProto *service, const MethodProto *method);
/* foreign.c: reads generator->foreign.path; what is wrong is added to the errors with line and column. */
void foreign_read(struct generator *generator);
const MethodPolicy *foreign_policy(const struct foreign *foreign, const char *path);

/* tenant_ref.c: follows the marked fields from a method's request to a string. */
enum tenant_marks {
    TENANT_MARKS_NONE,     /* the request marks nothing */
    TENANT_MARKS_FOUND,    /* steps and step_count are set */
    TENANT_MARKS_DEAD_END, /* a marked message marks nothing itself */
    TENANT_MARKS_WRONG,    /* an error was added */
};
enum tenant_marks tenant_ref_find(struct generator *generator, struct method_model *method);
/* Every mark of a file, whether a method leads there or not. */
void tenant_refs_check(struct generator *generator, const FileProto *file);
bool field_is_tenant_ref(const FieldProto *field);

/* ".tenant.v1.Tenant" → its descriptor; NULL when unknown. */
const MessageProto *message_find(const struct generator *generator, const char *full_name);
/* The same with its place; false when unknown. */
bool message_locate(const struct generator *generator, const char *full_name,
                    struct message_place *place);
/* Adds "Message.field: rule" at that field's place. */
void field_error(struct generator *generator, const struct message_place *place, size_t field,
                 const char *rule);

/* path: numbers of descriptor.proto's source locations, {6, service, 2, method}. */
void generator_error(struct generator *generator, const FileProto *file, const int *path,
                     size_t path_size, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Adds a line that names its place itself. */
void generator_complain(struct generator *generator, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
