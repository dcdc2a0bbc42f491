/* Where a method's policy comes from: its options in our protos, foreign.yaml for the others. */
#include "model.h"
#include "text.h"

#include <yaml.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLICY_TAG = 50701, TENANT_REF_TAG = 50702 };

static const ProtobufCMessageUnknownField *unknown_find(const ProtobufCMessage *options,
                                                        uint32_t tag);
static size_t length_prefix(const uint8_t *data, size_t size);
static MethodPolicy *policy_from_node(yaml_document_t *document, const yaml_node_t *node);
static void policy_set(yaml_document_t *document, MethodPolicy *policy, const char *key,
                       const yaml_node_t *value);
static char **strings_from(yaml_document_t *document, const yaml_node_t *node, size_t *count);
static const char *scalar(const yaml_node_t *node);

/* Options of an extension that protobuf-c does not know arrive as unknown fields, length prefix included. */
const MethodPolicy *policy_of(struct generator *generator, const FileProto *file,
                              const ServiceProto *service, const MethodProto *method)
{
    const ProtobufCMessageUnknownField *field =
        method->options == NULL ? NULL : unknown_find(&method->options->base, POLICY_TAG);
    if (field != NULL) {
        size_t skip = length_prefix(field->data, field->len);
        return tenant__options__v1__method_policy__unpack(NULL, field->len - skip,
                                                          field->data + skip);
    }
    char *path = format_text("/%s.%s/%s", file->package, service->name, method->name);
    const MethodPolicy *policy = policy_foreign(generator, path);
    free(path);
    return policy;
}

bool field_is_tenant_ref(const FieldProto *field)
{
    if (field->options == NULL)
        return false;
    const ProtobufCMessageUnknownField *mark = unknown_find(&field->options->base, TENANT_REF_TAG);
    return mark != NULL && mark->len == 1 && mark->data[0] == 1;
}

const MethodPolicy *policy_foreign(struct generator *generator, const char *path)
{
    FILE *file = generator->foreign[0] == '\0' ? NULL : fopen(generator->foreign, "re");
    if (file == NULL)
        return NULL;
    yaml_parser_t parser;
    yaml_document_t document;
    MethodPolicy *policy = NULL;
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_file(&parser, file);
    if (!yaml_parser_load(&parser, &document)) {
        fprintf(stderr, "%s:%zu: %s\n", generator->foreign, parser.problem_mark.line + 1,
                parser.problem);
        exit(1);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        if (strcmp(scalar(yaml_document_get_node(&document, pair->key)), path) == 0)
            policy = policy_from_node(&document, yaml_document_get_node(&document, pair->value));
    }
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    fclose(file);
    return policy;
}

static MethodPolicy *policy_from_node(yaml_document_t *document, const yaml_node_t *node)
{
    MethodPolicy *policy = malloc(sizeof *policy);
    if (policy == NULL)
        abort();
    tenant__options__v1__method_policy__init(policy);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        policy_set(document, policy, scalar(yaml_document_get_node(document, pair->key)),
                   yaml_document_get_node(document, pair->value));
    return policy;
}

static void policy_set(yaml_document_t *document, MethodPolicy *policy, const char *key,
                       const yaml_node_t *value)
{
    if (strcmp(key, "permission") == 0) {
        policy->permission = strdup(scalar(value));
    } else if (strcmp(key, "rate_class") == 0) {
        policy->rate_class = strdup(scalar(value));
    } else if (strcmp(key, "scope") == 0) {
        const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(
            &tenant__options__v1__scope__descriptor, scalar(value));
        policy->scope = found == NULL ? 0 : (Tenant__Options__V1__Scope)found->value;
    } else if (strcmp(key, "access") == 0) {
        const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(
            &tenant__options__v1__access__descriptor, scalar(value));
        policy->access = found == NULL ? 0 : (Tenant__Options__V1__Access)found->value;
    } else if (strcmp(key, "callers") == 0) {
        policy->callers = strings_from(document, value, &policy->n_callers);
    } else if (strcmp(key, "header_optional") == 0) {
        policy->header_optional = strings_from(document, value, &policy->n_header_optional);
    } else if (strcmp(key, "unserved") == 0) {
        policy->unserved = strcmp(scalar(value), "true") == 0;
    } else {
        fprintf(stderr, "foreign.yaml:%zu: unknown key \"%s\"\n", value->start_mark.line + 1, key);
        exit(1);
    }
}

static char **strings_from(yaml_document_t *document, const yaml_node_t *node, size_t *count)
{
    const yaml_node_item_t *start = node->data.sequence.items.start;
    *count = (size_t)(node->data.sequence.items.top - start);
    char **strings = calloc(*count + 1, sizeof *strings);
    if (strings == NULL)
        abort();
    for (size_t i = 0; i < *count; i++)
        strings[i] = strdup(scalar(yaml_document_get_node(document, start[i])));
    return strings;
}

static const char *scalar(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE)
        return "";
    return (const char *)node->data.scalar.value;
}

static const ProtobufCMessageUnknownField *unknown_find(const ProtobufCMessage *options,
                                                        uint32_t tag)
{
    for (unsigned i = 0; i < options->n_unknown_fields; i++) {
        if (options->unknown_fields[i].tag == tag)
            return &options->unknown_fields[i];
    }
    return NULL;
}

static size_t length_prefix(const uint8_t *data, size_t size)
{
    size_t skip = 0;
    while (skip < size && (data[skip] & 0x80) != 0)
        skip++;
    return skip < size ? skip + 1 : size;
}
