/* The file: read whole, outlined by libyaml, loaded by libcyaml with a schema made from our table.
 *
 * libcyaml loads every value as text; value.c turns texts into values, so that file and environment obey
 * the same rules and every error can name its line. */
#include "config/schema.h"

#include <cyaml/cyaml.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1024 * 1024)

static bool read_whole(struct config_loading *loading, struct buf *yaml);
static bool read_all(int fd, struct buf *yaml);
static void load(struct config_loading *loading, struct slice yaml,
                 const struct config_outline *outline);
static cyaml_schema_field_t *make_fields(struct arena *arena, const char *section);
static size_t section_length(const char *path);
static cyaml_schema_field_t *add_section(struct arena *arena, cyaml_schema_field_t *end,
                                         cyaml_schema_field_t *fields, const char *path);
static void take_values(struct config_loading *loading, char *const *values,
                        const struct config_outline *outline);

void config_read_file(struct config_loading *loading)
{
    if (loading->source->file == NULL)
        return;
    struct buf yaml = {.limit = FILE_BYTES_MAX};
    struct config_outline outline = {.usable = false};
    if (read_whole(loading, &yaml))
        config_outline_read(loading, buf_slice(&yaml), &outline);
    loading->file_failed = !outline.usable;
    if (outline.usable && outline.has_keys)
        load(loading, buf_slice(&yaml), &outline);
    buf_deinit(&yaml);
}

/* The file as it is now, in one piece: both passes must see the same bytes. */
static bool read_whole(struct config_loading *loading, struct buf *yaml)
{
    const char *file = loading->source->file;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && read_all(fd, yaml);
    if (!is_read)
        config_error(loading, "%s: expected a readable file, got: %s", file, strerror(errno));
    else if (yaml->overflown)
        config_error(loading, "%s: expected at most %d bytes, got more", file, FILE_BYTES_MAX);
    if (fd >= 0)
        close(fd);
    return is_read && !yaml->overflown;
}

/* False with errno set when reading fails; an oversize file shows as yaml->overflown. */
static bool read_all(int fd, struct buf *yaml)
{
    uint8_t chunk[1024];
    for (;;) {
        ssize_t count = read(fd, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        if (count == 0 || yaml->overflown)
            return true;
        buf_put(yaml, chunk, (size_t)count);
    }
}

/* What the outline let through, libcyaml loads; if it still refuses, its own word is all there is. */
static void load(struct config_loading *loading, struct slice yaml,
                 const struct config_outline *outline)
{
    struct arena *arena = loading->config->arena;
    const cyaml_config_t settings = {
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_IGNORE_UNKNOWN_KEYS | CYAML_CFG_NO_ALIAS,
    };
    /* The "struct" that libcyaml fills is an array: one string per row of the table. */
    const cyaml_schema_value_t schema = {
        .type = CYAML_MAPPING,
        .flags = CYAML_FLAG_POINTER,
        .data_size = (uint32_t)(config_key_count * sizeof(char *)),
        .mapping.fields = make_fields(arena, ""),
    };
    cyaml_data_t *loaded = NULL;
    cyaml_err_t error = cyaml_load_data(yaml.data, yaml.size, &settings, &schema, &loaded, NULL);
    if (error == CYAML_OK)
        take_values(loading, loaded, outline);
    else
        config_error(loading, "%s: expected what the schema allows, got: %s", loading->source->file,
                     cyaml_strerror(error));
    cyaml_free(&settings, &schema, loaded, 0);
}

/* The fields of one section, "" being the top: a string for each key, and at the top a mapping for each
 * section, laid over the same array. */
static cyaml_schema_field_t *make_fields(struct arena *arena, const char *section)
{
    cyaml_schema_field_t *fields = arena_alloc(arena, (config_key_count + 1) * sizeof *fields);
    cyaml_schema_field_t *end = fields;
    for (size_t key = 0; key < config_key_count; key++) {
        const char *path = config_keys[key].path;
        size_t prefix = section_length(path);
        if (prefix == strlen(section) && strncmp(path, section, prefix) == 0) {
            *end++ = (cyaml_schema_field_t){
                .key = prefix == 0 ? path : path + prefix + 1,
                .data_offset = (uint32_t)(key * sizeof(char *)),
                .value = {.type = CYAML_STRING,
                          .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                          .data_size = sizeof(char),
                          .string = {.min = 0, .max = FILE_BYTES_MAX}},
            };
        } else if (section[0] == '\0') {
            end = add_section(arena, end, fields, path);
        }
    }
    assert(end->key == NULL); /* zeroed: the end mark */
    return fields;
}

/* "server" of "server.port" has length 6; "region" has no section: 0. */
static size_t section_length(const char *path)
{
    const char *dot = strchr(path, '.');
    return dot == NULL ? 0 : (size_t)(dot - path);
}

/* Adds the section of `path` unless it is there already; returns the new end. */
static cyaml_schema_field_t *add_section(struct arena *arena, cyaml_schema_field_t *end,
                                         cyaml_schema_field_t *fields, const char *path)
{
    const char *name = arena_strndup(arena, path, section_length(path));
    for (const cyaml_schema_field_t *field = fields; field < end; field++) {
        if (strcmp(field->key, name) == 0)
            return end;
    }
    *end = (cyaml_schema_field_t){
        .key = name,
        .value = {.type = CYAML_MAPPING,
                  .flags = CYAML_FLAG_OPTIONAL,
                  .data_size = (uint32_t)(config_key_count * sizeof(char *)),
                  .mapping.fields = make_fields(arena, name)},
    };
    return end + 1;
}

/* Copies out of libcyaml's memory, with the line of each. */
static void take_values(struct config_loading *loading, char *const *values,
                        const struct config_outline *outline)
{
    struct arena *arena = loading->config->arena;
    const char *file = arena_strdup(arena, loading->source->file);
    for (size_t key = 0; key < config_key_count; key++) {
        if (values[key] == NULL)
            continue;
        assert(outline->lines[key] > 0); /* both passes saw the same keys */
        loading->origins[key] = (struct config_origin){
            .kind = ORIGIN_FILE,
            .text = arena_strdup(arena, values[key]),
            .name = file,
            .line = outline->lines[key],
        };
    }
}
