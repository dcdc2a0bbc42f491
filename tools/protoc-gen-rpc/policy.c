/* Where a method's policy comes from: its options in our protos, foreign.yaml for the others. */
#include "model.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { POLICY_TAG = 50701, TENANT_REF_TAG = 50702 };

static size_t length_prefix(const uint8_t *data, size_t size);

/* Options of an extension that protobuf-c does not know arrive as unknown fields, length prefix
 * included, protoc writes one for each `option (…policy).x = …` line.  Several occurrences of a
 * message are merged, which is what parsing their bytes one behind the other gives
 * (protobuf.dev, "Encoding", Last One Wins). */
const MethodPolicy *policy_of(struct generator *generator, const FileProto *file,
                              const ServiceProto *service, const MethodProto *method)
{
    const ProtobufCMessage *options = method->options == NULL ? NULL : &method->options->base;
    uint8_t *merged = NULL;
    size_t size = 0;
    bool found = false;
    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        if (field->tag != POLICY_TAG)
            continue;
        size_t skip = length_prefix(field->data, field->len);
        merged = realloc(merged, size + field->len + 1);
        if (merged == NULL)
            abort();
        memcpy(merged + size, field->data + skip, field->len - skip);
        size += field->len - skip;
        found = true;
    }
    if (found) {
        const MethodPolicy *policy = tenant__options__v1__method_policy__unpack(NULL, size, merged);
        free(merged);
        return policy;
    }
    char *path = method_path(file, service, method);
    const MethodPolicy *policy = foreign_policy(&generator->foreign, path);
    free(path);
    return policy;
}

char *method_path(const FileProto *file, const ServiceProto *service, const MethodProto *method)
{
    return format_text("/%s%s%s/%s", file->package, file->package[0] == '\0' ? "" : ".",
                       service->name, method->name);
}

/* The last of several counts, as for every scalar. */
bool field_is_tenant_ref(const FieldProto *field)
{
    const ProtobufCMessage *options = field->options == NULL ? NULL : &field->options->base;
    bool marked = false;
    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *mark = &options->unknown_fields[i];
        if (mark->tag == TENANT_REF_TAG && mark->len > 0)
            marked = mark->data[0] != 0;
    }
    return marked;
}

static size_t length_prefix(const uint8_t *data, size_t size)
{
    size_t skip = 0;
    while (skip < size && (data[skip] & 0x80) != 0)
        skip++;
    return skip < size ? skip + 1 : size;
}
