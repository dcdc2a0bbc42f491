/* Loading: file, environment and defaults become one checked struct config. */
#include "config/config.h"

#include "base/alloc.h"

#include "config/schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void load_defaults(struct config_loading *loading);
static void set_values(struct config_loading *loading);
static void set_value(struct config_loading *loading, size_t key);
static void check_needed(struct config_loading *loading);
static void put_got(struct buf *out, const struct config_key *key, const char *text);
static void note(struct buf *lines, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static int first_error(struct ctx *ctx, struct config_notes *notes);

int config_load(struct ctx *ctx, const struct config_source *source, struct config_notes *notes,
                struct config **config)
{
    assert(source->environment != NULL && notes->error_count == 0);
    struct config *fresh = xcalloc(1, sizeof *fresh);
    fresh->arena = arena_new(0);
    struct config_loading loading = {
        .source = source,
        .notes = notes,
        .config = fresh,
        .origins = arena_alloc(fresh->arena, config_key_count * sizeof *loading.origins),
    };
    fresh->origins = loading.origins;
    load_defaults(&loading);
    config_read_file(&loading);
    config_read_environment(&loading);
    config_read_secrets(&loading);
    set_values(&loading);
    if (!loading.file_failed)
        check_needed(&loading);
    if (notes->error_count == 0) /* they compare values, so these must be there */
        config_check_rules(&loading);
    if (notes->error_count > 0) {
        config_free(fresh);
        return first_error(ctx, notes);
    }
    assert(buf_size(&notes->errors) == 0);
    *config = fresh;
    return OK;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_free(config->arena);
    free(config);
}

void config_notes_deinit(struct config_notes *notes)
{
    buf_deinit(&notes->errors);
    buf_deinit(&notes->warnings);
    *notes = (struct config_notes){.error_count = 0};
}

void config_error(struct config_loading *loading, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(&loading->notes->errors, format, arguments);
    va_end(arguments);
    loading->notes->error_count++;
}

void config_warning(struct config_loading *loading, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(&loading->notes->warnings, format, arguments);
    va_end(arguments);
    loading->notes->warning_count++;
}

const char *config_place(struct config_loading *loading, size_t key)
{
    const struct config_origin *origin = &loading->origins[key];
    struct arena *arena = loading->config->arena;
    switch (origin->kind) {
    case ORIGIN_FILE:
        return arena_printf(arena, "%s:%d: ", origin->name, origin->line);
    case ORIGIN_VARIABLE:
    case ORIGIN_SECRET:
        return arena_printf(arena, "%s: ", origin->name);
    case ORIGIN_DEFAULT:
        break;
    }
    const char *file = loading->source->file;
    return file == NULL ? "" : arena_printf(arena, "%s: ", file);
}

/* Every member has its default before anything is read, so that none is ever undefined. */
static void load_defaults(struct config_loading *loading)
{
    for (size_t i = 0; i < CONFIG_IDENTITIES; i++)
        loading->config->identities[i].uri = "";
    for (size_t key = 0; key < config_key_count; key++) {
        const struct config_key *row = &config_keys[key];
        struct buf expected = BUF_EMPTY;
        bool fits = config_set(loading->config, row, row->preset, &expected);
        assert(fits); /* the table contradicts itself */
        buf_deinit(&expected);
        loading->origins[key] = (struct config_origin){.text = row->preset, .name = ""};
        if (strncmp(row->path, "identities.", 11) == 0) {
            size_t index = (row->offset - offsetof(struct config, identities)) /
                           sizeof(struct config_identity);
            assert(index < CONFIG_IDENTITIES);
            loading->config->identities[index].name = row->path + 11;
        }
    }
}

/* Only what somebody wrote: the defaults are set already. */
static void set_values(struct config_loading *loading)
{
    for (size_t key = 0; key < config_key_count; key++) {
        if (loading->origins[key].kind != ORIGIN_DEFAULT)
            set_value(loading, key);
    }
}

/* All bad values are reported, so a person repairs the file once. */
static void set_value(struct config_loading *loading, size_t key)
{
    const struct config_key *row = &config_keys[key];
    const char *text = loading->origins[key].text;
    struct buf expected = BUF_EMPTY;
    if (!config_set(loading->config, row, text, &expected)) {
        struct buf got = BUF_EMPTY;
        put_got(&got, row, text);
        config_error(loading, "%skey %s: expected %s, got %s", config_place(loading, key),
                     row->path, buf_str(&expected), buf_str(&got));
        buf_deinit(&got);
    }
    buf_deinit(&expected);
}

/* The refused text as the person wrote it, unless it may hold a secret. */
static void put_got(struct buf *out, const struct config_key *key, const char *text)
{
    size_t length = strlen(text);
    if (length == 0) {
        buf_put_str(out, "nothing");
    } else if (config_is_secret(key)) {
        buf_printf(out, "something else (%zu bytes, not shown)", length);
    } else {
        buf_put_byte(out, '"');
        buf_put_json_escaped(out, slice_make(text, length > 80 ? 80 : length));
        buf_put_str(out, length > 80 ? "…\"" : "\"");
    }
}

/* Which keys a use cannot do without; the message says where each can be set. */
static void check_needed(struct config_loading *loading)
{
    for (size_t key = 0; key < config_key_count; key++) {
        const struct config_key *row = &config_keys[key];
        const struct config_origin *origin = &loading->origins[key];
        if ((row->needed_by & loading->source->use) == 0 || origin->text[0] != '\0' ||
            origin->kind == ORIGIN_SECRET)
            continue;
        char variable[CONFIG_VARIABLE_SIZE];
        config_variable(row, variable);
        struct buf expected = BUF_EMPTY;
        config_describe(row, &expected);
        config_error(loading, "%skey %s: expected %s, got nothing; set it here or as %s%s%s",
                     config_place(loading, key), row->path, buf_str(&expected), variable,
                     row->alias == NULL ? "" : " or ", row->alias == NULL ? "" : row->alias);
        buf_deinit(&expected);
    }
}

/* One note is one line: callers bring no newlines, and values are escaped. */
static void note(struct buf *lines, const char *format, va_list arguments)
{
    buf_vprintf(lines, format, arguments);
    buf_put_byte(lines, '\n');
}

/* The fault holds one line; the notes hold them all. */
static int first_error(struct ctx *ctx, struct config_notes *notes)
{
    const char *errors = buf_str(&notes->errors);
    assert(notes->error_count > 0 && errors[0] != '\0');
    size_t more = notes->error_count - 1;
    if (more == 0)
        return FAULT(ctx, FAULT_CONFIG, "%.*s", (int)strcspn(errors, "\n"), errors);
    return FAULT(ctx, FAULT_CONFIG, "%.*s (and %zu more)", (int)strcspn(errors, "\n"), errors,
                 more);
}
