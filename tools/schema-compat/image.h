/* An image: the descriptors of a set of proto files, checked and indexed by full name. */
#ifndef SCHEMA_COMPAT_IMAGE_H
#define SCHEMA_COMPAT_IMAGE_H

#include "base/slice.h"

#include "google/protobuf/descriptor.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

typedef Google__Protobuf__FileDescriptorSet FileSet;
typedef Google__Protobuf__FileDescriptorProto FileProto;
typedef Google__Protobuf__DescriptorProto MessageProto;
typedef Google__Protobuf__FieldDescriptorProto FieldProto;
typedef Google__Protobuf__EnumDescriptorProto EnumProto;
typedef Google__Protobuf__EnumValueDescriptorProto EnumValueProto;
typedef Google__Protobuf__ServiceDescriptorProto ServiceProto;
typedef Google__Protobuf__MethodDescriptorProto MethodProto;

/* Messages inside messages.  More than this, no protoc makes and nobody writes. */
#define NESTING_MAX 32

/* Field numbers of descriptor.proto, of which the paths of source locations are made. */
enum {
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,
    FILE_OPTIONS = 8,
    FILE_SYNTAX = 12,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_OPTIONS = 7,
    ENUM_VALUE = 2,
    VALUE_NUMBER = 2,
    SERVICE_METHOD = 2,
    METHOD_INPUT = 2,
    METHOD_OUTPUT = 3,
    METHOD_OPTIONS = 4,
    FIELD_NAME = 1,
    FIELD_TYPE = 5,
    FIELD_TYPE_NAME = 6,
    FIELD_DEFAULT = 7,
    FIELD_OPTIONS = 8,
    FIELD_JSON_NAME = 10,
};

/* Where something stands: numbers of descriptor.proto, as in its SourceCodeInfo.Location.path. */
#define PLACE_MAX (2 * NESTING_MAX + 8)
struct place {
    const FileProto *file;
    size_t size;
    int path[PLACE_MAX];
};
struct place place_of_file(const FileProto *file);
/* The place one step deeper; a negative index: the member itself. */
struct place place_inside(const struct place *place, int member, int index);
/* From 1, of the place or what is nearest around it; 0: the image has no source locations. */
void place_position(const struct place *place, int *line, int *column);

enum element_kind {
    ELEMENT_MESSAGE,
    ELEMENT_ENUM,
    ELEMENT_SERVICE,
    ELEMENT_EXTENSION,
    ELEMENT_KINDS
};

/* A message, enum, service or extension, at whatever depth. */
struct element {
    enum element_kind kind;
    char *name;         /* "tenant.v1.Tenant.LabelsEntry"; owned */
    const char *nested; /* the part behind the package, in `name` */
    const FileProto *file;
    struct place place;
    union {
        const MessageProto *message;
        const EnumProto *enumeration;
        const ServiceProto *service;
        const FieldProto *extension;
    };
};

struct element_list {
    struct element *items; /* owned; sorted by name */
    size_t count;
};

struct image {
    FileSet *set; /* owned */
    struct element_list kinds[ELEMENT_KINDS];
};

/* Unpacks, checks and indexes.  On false `why` is a text for free() and *image is empty.  On true all that the
 * comparison looks at is there: names, types, numbers, oneof indexes in range, types known. */
bool image_read(struct image *image, struct slice bytes, char **why);
void image_deinit(struct image *image);

const FileProto *image_file(const struct image *image, const char *name);
bool image_has_package(const struct image *image, const char *package);
const struct element *image_find(const struct image *image, enum element_kind kind,
                                 const char *name);
/* A type as fields name it, ".tenant.v1.Tenant". */
const struct element *image_find_type(const struct image *image, enum element_kind kind,
                                      const char *type_name);

const char *file_package(const FileProto *file); /* "" without one */
bool file_is_proto3(const FileProto *file);
bool element_in_package(const struct element *element, const char *package);
/* Whether `name` is `prefix` or stands below it: "a.b.C" below "a.b". */
bool name_is_below(const char *name, const char *prefix);

#endif
