/* foreign.yaml: the policies of methods whose protos are not ours.  Read whole and checked before anything is
 * generated: every row must be a policy, and of a method that exists. */
#include "model.h"

#include "text.h"

#include <yaml.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct generator *generator;
    yaml_document_t document;
};

static void read_row(struct reader *reader, const yaml_node_t *key, const yaml_node_t *value);
static bool is_known(const struct foreign *foreign, const char *path);
static bool is_method(const struct generator *generator, const char *path);
static bool read_policy(struct reader *reader, const yaml_node_t *node, MethodPolicy *policy);
static void set(struct reader *reader, MethodPolicy *policy, const char *key,
                const yaml_node_t *value);
static char *text_of(struct reader *reader, const char *key, const yaml_node_t *value);
static uint32_t number_of(struct reader *reader, const char *key, const yaml_node_t *value);
static int choice_of(struct reader *reader, const char *key, const yaml_node_t *value,
                     const ProtobufCEnumDescriptor *choices);
static char **strings_of(struct reader *reader, const char *key, const yaml_node_t *value,
                         size_t *count);
static const yaml_node_t *node_at(struct reader *reader, int index);
static void complain(struct reader *reader, const yaml_mark_t *mark, const char *text);

void foreign_read(struct generator *generator)
{
    struct reader reader = {.generator = generator};
    const char *path = generator->foreign.path;
    yaml_parser_t parser;
    FILE *file = path[0] == '\0' ? NULL : fopen(path, "re");
    if (file == NULL) {
        if (path[0] != '\0')
            generator_complain(generator, "%s: %s", path, strerror(errno));
        return;
    }
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_file(&parser, file);
    if (!yaml_parser_load(&parser, &reader.document)) {
        complain(&reader, &parser.problem_mark, parser.problem);
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&reader.document);
        if (root != NULL && root->type != YAML_MAPPING_NODE)
            complain(&reader, &root->start_mark, "expected a map of methods to policies");
        else if (root != NULL)
            for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
                 pair < root->data.mapping.pairs.top; pair++)
                read_row(&reader, node_at(&reader, pair->key), node_at(&reader, pair->value));
        yaml_document_delete(&reader.document);
    }
    yaml_parser_delete(&parser);
    fclose(file);
}

const MethodPolicy *foreign_policy(const struct foreign *foreign, const char *path)
{
    for (size_t i = 0; i < foreign->count; i++) {
        if (strcmp(foreign->rows[i].path, path) == 0)
            return foreign->rows[i].policy;
    }
    return NULL;
}

static void read_row(struct reader *reader, const yaml_node_t *key, const yaml_node_t *value)
{
    struct foreign *foreign = &reader->generator->foreign;
    if (key->type != YAML_SCALAR_NODE) {
        complain(reader, &key->start_mark, "expected a method such as /package.Service/Method");
        return;
    }
    const char *path = (const char *)key->data.scalar.value;
    if (is_known(foreign, path)) {
        complain(reader, &key->start_mark, format_text("%s stands twice", path));
        return;
    }
    if (!is_method(reader->generator, path)) {
        complain(reader, &key->start_mark,
                 format_text("\"%s\" is no method of the protos: expected /package.Service/Method",
                             path));
        return;
    }
    MethodPolicy *policy = malloc(sizeof *policy);
    foreign->rows = realloc(foreign->rows, (foreign->count + 1) * sizeof *foreign->rows);
    if (policy == NULL || foreign->rows == NULL)
        abort();
    tenant__options__v1__method_policy__init(policy);
    foreign->rows[foreign->count++] = (struct foreign_row){format_text("%s", path), policy};
    (void)read_policy(reader, value, policy);
}

static bool is_known(const struct foreign *foreign, const char *path)
{
    return foreign_policy(foreign, path) != NULL;
}

/* Of any file that protoc was given or had to read. */
static bool is_method(const struct generator *generator, const char *path)
{
    for (size_t f = 0; f < generator->request->n_proto_file; f++) {
        const FileProto *file = generator->request->proto_file[f];
        for (size_t s = 0; s < file->n_service; s++) {
            for (size_t m = 0; m < file->service[s]->n_method; m++) {
                char *own = method_path(file, file->service[s], file->service[s]->method[m]);
                bool same = strcmp(own, path) == 0;
                free(own);
                if (same)
                    return true;
            }
        }
    }
    return false;
}

static bool read_policy(struct reader *reader, const yaml_node_t *node, MethodPolicy *policy)
{
    if (node->type != YAML_MAPPING_NODE) {
        complain(reader, &node->start_mark, "expected a map: permission, scope, access, callers");
        return false;
    }
    const yaml_node_pair_t *first = node->data.mapping.pairs.start;
    for (const yaml_node_pair_t *pair = first; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node_at(reader, pair->key);
        const char *name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value
                                                         : "";
        bool again = false;
        for (const yaml_node_pair_t *before = first; before < pair; before++) {
            const yaml_node_t *other = node_at(reader, before->key);
            again = again || (other->type == YAML_SCALAR_NODE &&
                              strcmp((const char *)other->data.scalar.value, name) == 0);
        }
        if (again)
            complain(reader, &key->start_mark, format_text("\"%s\" stands twice", name));
        else
            set(reader, policy, name, node_at(reader, pair->value));
    }
    return true;
}

static void set(struct reader *reader, MethodPolicy *policy, const char *key,
                const yaml_node_t *value)
{
    if (strcmp(key, "permission") == 0)
        policy->permission = text_of(reader, key, value);
    else if (strcmp(key, "rate_class") == 0)
        policy->rate_class = text_of(reader, key, value);
    else if (strcmp(key, "scope") == 0)
        policy->scope = (Tenant__Options__V1__Scope)choice_of(
            reader, key, value, &tenant__options__v1__scope__descriptor);
    else if (strcmp(key, "access") == 0)
        policy->access = (Tenant__Options__V1__Access)choice_of(
            reader, key, value, &tenant__options__v1__access__descriptor);
    else if (strcmp(key, "callers") == 0)
        policy->callers = strings_of(reader, key, value, &policy->n_callers);
    else if (strcmp(key, "header_optional") == 0)
        policy->header_optional = strings_of(reader, key, value, &policy->n_header_optional);
    else if (strcmp(key, "default_deadline_ms") == 0)
        policy->default_deadline_ms = number_of(reader, key, value);
    else if (strcmp(key, "max_request_bytes") == 0)
        policy->max_request_bytes = number_of(reader, key, value);
    else if (strcmp(key, "unserved") == 0) {
        const char *text = text_of(reader, key, value);
        policy->unserved = strcmp(text, "true") == 0;
        if (!policy->unserved && strcmp(text, "false") != 0)
            complain(reader, &value->start_mark, "unserved: expected true or false");
    } else {
        complain(reader, &value->start_mark, format_text("unknown key \"%s\"", key));
    }
}

static char *text_of(struct reader *reader, const char *key, const yaml_node_t *value)
{
    if (value->type == YAML_SCALAR_NODE && value->data.scalar.length > 0)
        return format_text("%s", (const char *)value->data.scalar.value);
    complain(reader, &value->start_mark, format_text("%s: expected a text", key));
    return format_text("%s", "");
}

static uint32_t number_of(struct reader *reader, const char *key, const yaml_node_t *value)
{
    const char *text = text_of(reader, key, value);
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number <= UINT32_MAX)
        return (uint32_t)number;
    complain(reader, &value->start_mark, format_text("%s: expected a number below 2^32", key));
    return 0;
}

static int choice_of(struct reader *reader, const char *key, const yaml_node_t *value,
                     const ProtobufCEnumDescriptor *choices)
{
    const char *text = text_of(reader, key, value);
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(choices, text);
    if (found != NULL)
        return found->value;
    struct text message = {NULL, 0};
    text_add(&message, "%s: \"%s\" is none of", key, text);
    for (unsigned i = 1; i < choices->n_values; i++) /* the first is "unspecified" */
        text_add(&message, " %s", choices->values[i].name);
    complain(reader, &value->start_mark, message.data);
    return 0;
}

static char **strings_of(struct reader *reader, const char *key, const yaml_node_t *value,
                         size_t *count)
{
    *count = 0;
    if (value->type != YAML_SEQUENCE_NODE) {
        complain(reader, &value->start_mark, format_text("%s: expected a list", key));
        return NULL;
    }
    const yaml_node_item_t *start = value->data.sequence.items.start;
    *count = (size_t)(value->data.sequence.items.top - start);
    char **strings = calloc(*count + 1, sizeof *strings);
    if (strings == NULL)
        abort();
    for (size_t i = 0; i < *count; i++)
        strings[i] = text_of(reader, key, node_at(reader, start[i]));
    return strings;
}

static const yaml_node_t *node_at(struct reader *reader, int index)
{
    return yaml_document_get_node(&reader->document, index);
}

static void complain(struct reader *reader, const yaml_mark_t *mark, const char *text)
{
    generator_complain(reader->generator, "%s:%zu:%zu: %s", reader->generator->foreign.path,
                       mark->line + 1, mark->column + 1, text);
}
