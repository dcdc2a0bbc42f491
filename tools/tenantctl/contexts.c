/* Reading and writing the configuration file; see contexts.h. */
#include "contexts.h"

#include "yaml_text.h"

#include <yaml.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_SIZE 63

const char *const setting_names[SETTINGS] = {
    [SETTING_ADDRESS] = "address",         [SETTING_CERT_FILE] = "cert_file",
    [SETTING_KEY_FILE] = "key_file",       [SETTING_CA_FILE] = "ca_file",
    [SETTING_SERVER_NAME] = "server_name", [SETTING_TENANT_HEADER] = "tenant_header",
    [SETTING_NATS_URL] = "nats_url",       [SETTING_NATS_SEED_FILE] = "nats_seed_file",
};

struct reader {
    struct arena *arena;
    struct context_file *file;
    yaml_document_t document;
};

static const char *path_of(const struct cli *cli, bool *chosen);
static const char *default_path(struct arena *arena);
static int read_document(struct reader *reader);
static int read_top(struct reader *reader, const yaml_node_t *root);
static int read_contexts(struct reader *reader, const yaml_node_t *node);
static int read_context(struct reader *reader, const yaml_node_t *node, struct context *context);
static int read_setting(struct reader *reader, const yaml_node_t *key, const yaml_node_t *value,
                        struct context *context);
static const yaml_node_t *node_at(struct reader *reader, int index);
static const char *text_of(struct reader *reader, const yaml_node_t *node);
static int complain_at(const struct reader *reader, const yaml_mark_t *mark, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
static json_t *context_json(const struct context *context);
static int write_file(const char *path, json_t *root);

const char *setting_flag(struct arena *arena, enum setting setting)
{
    char *name = arena_strdup(arena, setting_names[setting]);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    return name;
}

int contexts_load(const struct cli *cli, struct context_file *file)
{
    bool chosen = false;
    *file = (struct context_file){.path = path_of(cli, &chosen), .current = ""};
    FILE *stream = file->path == NULL ? NULL : fopen(file->path, "re");
    if (stream == NULL) {
        if (file->path == NULL || (errno == ENOENT && !chosen))
            return OK;
        return cli_complain("configuration %s: %s", file->path, strerror(errno));
    }
    struct reader reader = {.arena = cli->arena, .file = file};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_file(&parser, stream);
    int rc = OK;
    if (!yaml_parser_load(&parser, &reader.document)) {
        rc = complain_at(&reader, &parser.problem_mark, "%s",
                         parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        rc = read_document(&reader);
        yaml_document_delete(&reader.document);
    }
    yaml_parser_delete(&parser);
    fclose(stream);
    return rc;
}

struct context *context_find(struct context_file *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->contexts[i].name, name) == 0)
            return &file->contexts[i];
    }
    return NULL;
}

const char *context_chosen(const struct cli *cli, const struct context_file *file)
{
    const char *name = cli_value(cli, "context");
    if (name == NULL)
        name = getenv("TENANTCTL_CONTEXT");
    return name != NULL && name[0] != '\0' ? name : file->current;
}

int contexts_save(const struct context_file *file)
{
    if (file->path == NULL)
        return cli_complain("no place for a configuration file: neither --config nor HOME is set");
    json_t *root = context_json(&file->shared);
    if (file->current[0] != '\0')
        json_object_set_new(root, "current_context", json_string(file->current));
    json_t *contexts = json_object();
    for (size_t i = 0; i < file->count; i++)
        json_object_set_new(contexts, file->contexts[i].name, context_json(&file->contexts[i]));
    if (file->count > 0)
        json_object_set(root, "contexts", contexts);
    json_decref(contexts);
    int rc = write_file(file->path, root);
    json_decref(root);
    return rc;
}

void contexts_complete(const char *last)
{
    struct arena *arena = arena_new(0);
    struct cli cli = {.arena = arena};
    struct context_file file;
    if (contexts_load(&cli, &file) == OK) {
        for (size_t i = 0; i < file.count; i++) {
            if (strncmp(file.contexts[i].name, last, strlen(last)) == 0)
                printf("%s\t%s\n", file.contexts[i].name,
                       file.contexts[i].values[SETTING_ADDRESS] == NULL
                           ? ""
                           : file.contexts[i].values[SETTING_ADDRESS]);
        }
    }
    arena_free(arena);
}

static const char *path_of(const struct cli *cli, bool *chosen)
{
    const char *path = cli->given_count == 0 ? NULL : cli_value(cli, "config");
    if (path == NULL)
        path = getenv("TENANTCTL_CONFIG");
    *chosen = path != NULL && path[0] != '\0';
    return *chosen ? path : default_path(cli->arena);
}

/* XDG Base Directory Specification: "$XDG_CONFIG_HOME … If … not set or empty, … $HOME/.config". */
static const char *default_path(struct arena *arena)
{
    const char *folder = getenv("XDG_CONFIG_HOME");
    if (folder != NULL && folder[0] != '\0')
        return arena_printf(arena, "%s/tenantctl/config.yaml", folder);
    const char *home = getenv("HOME");
    return home == NULL ? NULL : arena_printf(arena, "%s/.config/tenantctl/config.yaml", home);
}

static int read_document(struct reader *reader)
{
    const yaml_node_t *root = yaml_document_get_root_node(&reader->document);
    if (root == NULL)
        return OK;
    if (root->type != YAML_MAPPING_NODE)
        return complain_at(reader, &root->start_mark, "expected `name: value` lines");
    TRY(read_top(reader, root));
    struct context_file *file = reader->file;
    if (file->current[0] != '\0' && context_find(file, file->current) == NULL)
        return cli_complain("%s: current_context: there is no context \"%s\"", file->path,
                            file->current);
    return OK;
}

static int read_top(struct reader *reader, const yaml_node_t *root)
{
    struct context_file *file = reader->file;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node_at(reader, pair->key);
        const yaml_node_t *value = node_at(reader, pair->value);
        const char *name = text_of(reader, key);
        if (name != NULL && strcmp(name, "contexts") == 0) {
            TRY(read_contexts(reader, value));
        } else if (name != NULL && strcmp(name, "current_context") == 0) {
            const char *current = text_of(reader, value);
            if (current == NULL)
                return complain_at(reader, &value->start_mark, "current_context: expected a name");
            file->current = current;
        } else {
            TRY(read_setting(reader, key, value, &file->shared));
        }
    }
    return OK;
}

static int read_contexts(struct reader *reader, const yaml_node_t *node)
{
    struct context_file *file = reader->file;
    if (node->type != YAML_MAPPING_NODE)
        return complain_at(reader, &node->start_mark, "contexts: expected names with settings");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node_at(reader, pair->key);
        const char *name = text_of(reader, key);
        if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MAX_SIZE)
            return complain_at(reader, &key->start_mark,
                               "contexts: expected a name of 1 to %d bytes", NAME_MAX_SIZE);
        if (context_find(file, name) != NULL)
            return complain_at(reader, &key->start_mark, "context \"%s\" stands twice", name);
        if (file->count == CONTEXTS_MAX)
            return complain_at(reader, &key->start_mark, "more than %d contexts", CONTEXTS_MAX);
        struct context *context = &file->contexts[file->count++];
        context->name = name;
        TRY(read_context(reader, node_at(reader, pair->value), context));
    }
    return OK;
}

static int read_context(struct reader *reader, const yaml_node_t *node, struct context *context)
{
    if (node->type != YAML_MAPPING_NODE)
        return complain_at(reader, &node->start_mark,
                           "context \"%s\": expected `name: value` lines", context->name);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        TRY(read_setting(reader, node_at(reader, pair->key), node_at(reader, pair->value),
                         context));
    return OK;
}

static int read_setting(struct reader *reader, const yaml_node_t *key, const yaml_node_t *value,
                        struct context *context)
{
    const char *name = text_of(reader, key);
    const char *text = text_of(reader, value);
    if (name == NULL || text == NULL)
        return complain_at(reader, &key->start_mark, "expected `name: value`");
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(name, setting_names[i]) != 0)
            continue;
        context->values[i] = text;
        return OK;
    }
    return complain_at(reader, &key->start_mark, "unknown key \"%s\"", name);
}

static const yaml_node_t *node_at(struct reader *reader, int index)
{
    return yaml_document_get_node(&reader->document, index);
}

/* NULL: not a scalar. */
static const char *text_of(struct reader *reader, const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE)
        return NULL;
    return arena_strndup(reader->arena, node->data.scalar.value, node->data.scalar.length);
}

static int complain_at(const struct reader *reader, const yaml_mark_t *mark, const char *format,
                       ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return cli_complain("%s:%zu: %s", reader->file->path, mark->line + 1, text);
}

static json_t *context_json(const struct context *context)
{
    json_t *object = json_object();
    for (size_t i = 0; i < SETTINGS; i++) {
        if (context->values[i] != NULL)
            json_object_set_new(object, setting_names[i], json_string(context->values[i]));
    }
    return object;
}

/* Beside it and renamed: whoever reads it meets the old or the new one, never half of it. */
static int write_file(const char *path, json_t *root)
{
    char name[4096];
    int size = snprintf(name, sizeof name, "%s.new", path);
    if (size < 0 || (size_t)size >= sizeof name)
        return cli_complain("%s: the name is too long", path);
    for (char *slash = strchr(name + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(name, 0700); /* whether it worked shows at the open */
        *slash = '/';
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");
    bool failed = stream == NULL || !yaml_write(stream, root);
    if (stream != NULL)
        failed = fclose(stream) != 0 || failed;
    if (!failed && rename(name, path) == 0)
        return OK;
    int error = errno;
    (void)unlink(name);
    return cli_complain("%s cannot be written: %s", path, strerror(error));
}
