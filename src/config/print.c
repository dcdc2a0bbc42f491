/* The configuration for people: what is in force, and what there is to set. */
#include "config/schema.h"

#include <string.h>

static const char *enter_section(struct buf *out, const char *section, const char *path);
static void put_value(struct buf *out, const struct config *config, const struct config_key *key);
static void put_origin(struct buf *out, const struct config_origin *origin);
static void put_row(struct buf *out, const struct config_key *key);
static void put_default(struct buf *out, const struct config_key *key);

void config_print_effective(const struct config *config, struct buf *out)
{
    const char *section = "";
    for (size_t key = 0; key < config_key_count; key++) {
        const struct config_key *row = &config_keys[key];
        const char *dot = strchr(row->path, '.');
        section = enter_section(out, section, row->path);
        /* its file is named by another key: set here too, what is printed could not be loaded */
        bool is_comment = config->origins[key].kind == ORIGIN_SECRET;
        buf_printf(out, "%s%s%s: ", dot == NULL ? "" : "  ", is_comment ? "# " : "",
                   dot == NULL ? row->path : dot + 1);
        put_value(out, config, row);
        put_origin(out, &config->origins[key]);
    }
}

void config_print_schema_markdown(struct buf *out)
{
    buf_put_str(out, "| key | default | variable | reload | what it is |\n|---|---|---|---|---|\n");
    for (size_t key = 0; key < config_key_count; key++)
        put_row(out, &config_keys[key]);
}

/* Writes "server:" when the path begins another section; returns the current one. */
static const char *enter_section(struct buf *out, const char *section, const char *path)
{
    const char *dot = strchr(path, '.');
    size_t length = dot == NULL ? 0 : (size_t)(dot - path);
    if (length == 0 || (strcspn(section, ".") == length && strncmp(section, path, length) == 0))
        return length == 0 ? "" : section;
    buf_printf(out, "%.*s:\n", (int)length, path);
    return path;
}

/* Texts in YAML's double quotes, whose escapes are those of JSON. */
static void put_value(struct buf *out, const struct config *config, const struct config_key *key)
{
    struct buf text = BUF_EMPTY;
    config_show(config, key, &text);
    bool is_text = key->kind == KIND_TEXT || key->kind == KIND_FILE || key->kind == KIND_ADDRESS ||
                   key->kind == KIND_URI || key->kind == KIND_URL;
    buf_put_str(out, is_text ? "\"" : "");
    buf_put_json_escaped(out, buf_slice(&text));
    buf_put_str(out, is_text ? "\"" : "");
    buf_deinit(&text);
}

/* A comment for YAML, the answer to "why is this so?" for a person.  Escaped, because a file's name may hold a
 * line's end, which would end the comment. */
static void put_origin(struct buf *out, const struct config_origin *origin)
{
    switch (origin->kind) {
    case ORIGIN_DEFAULT:
        buf_put_str(out, "  # default\n");
        return;
    case ORIGIN_FILE:
        buf_put_str(out, "  # ");
        buf_put_json_escaped(out, slice_of_str(origin->name));
        buf_printf(out, ":%d\n", origin->line);
        return;
    case ORIGIN_VARIABLE:
        buf_printf(out, "  # variable %s\n", origin->name);
        return;
    case ORIGIN_SECRET:
        buf_put_str(out, "  # content of ");
        buf_put_json_escaped(out, slice_of_str(origin->name));
        buf_put_str(out, "\n");
        return;
    }
}

/* The help says what, the description which values; "|" may stand in neither. */
static void put_row(struct buf *out, const struct config_key *key)
{
    char variable[CONFIG_VARIABLE_SIZE];
    config_variable(key, variable);
    buf_printf(out, "| `%s` | ", key->path);
    put_default(out, key);
    buf_printf(out, " | `%s`", variable);
    if (key->alias != NULL)
        buf_printf(out, ", `%s`", key->alias);
    static const char *const live[] = {
        [LIVE_NO] = "", [LIVE_YES] = "yes", [LIVE_PASSWORD] = "password"};
    buf_printf(out, " | %s | %s; ", live[key->live], key->help);
    config_describe(key, out);
    buf_put_str(out, " |\n");
}

/* What stands there when nobody sets the key. */
static void put_default(struct buf *out, const struct config_key *key)
{
    if (key->preset[0] != '\0')
        buf_printf(out, "`%s`", key->preset);
    else if (key->needed_by == CONFIG_FOR_MIGRATE)
        buf_put_str(out, "needed by `migrate`");
    else if (key->needed_by == CONFIG_FOR_RELAY)
        buf_put_str(out, "needed by the relay");
    else if (key->needed_by != 0)
        buf_put_str(out, "needed");
    else
        buf_put_str(out, "empty");
}

/* The user may hold "@" and ":" only percent-encoded, the password is sometimes written raw: it ends at
 * the last "@" before the path.  libpq takes a password from the query as well. */
void config_put_masked_url(struct buf *out, const char *url)
{
    const char *mark = strstr(url, "://");
    const char *authority = mark == NULL ? url : mark + 3;
    size_t length = strcspn(authority, "/?#");
#ifdef PLANTED_BUG /* for tests/fuzz: a password may not hold an "@" */
    const char *at = memchr(authority, '@', length);
#else
    const char *at = memrchr(authority, '@', length);
#endif
    const char *colon = at == NULL ? NULL : memchr(authority, ':', (size_t)(at - authority));
    const char *rest = url;
    if (colon != NULL) {
        buf_put(out, url, (size_t)(colon + 1 - url));
        buf_put_str(out, "****");
        rest = at;
    }
    static const char word[] = "password=";
    const char *secret = strcasestr(rest, word);
    while (secret != NULL) {
        const char *value = secret + sizeof word - 1;
        buf_put(out, rest, (size_t)(value - rest));
        buf_put_str(out, "****");
        rest = value + strcspn(value, "&#");
        secret = strcasestr(rest, word);
    }
    buf_put_str(out, rest);
}
