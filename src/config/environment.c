/* The environment: TENANT_ variables over the seed's names. */
#include "config/schema.h"

#include <string.h>

/* A flood of foreign variables (Kubernetes makes seven per port) must not drown the log. */
#define WARNINGS_MAX 16

static const char *value_of(char *const *environment, const char *name);
static void take(struct config_loading *loading, size_t key, const char *name, const char *text);
static void warn_unknown(struct config_loading *loading);
static bool is_known(const char *variable, size_t length);

void config_read_environment(struct config_loading *loading)
{
    char *const *environment = loading->source->environment;
    for (size_t key = 0; key < config_key_count; key++) {
        char name[CONFIG_VARIABLE_SIZE];
        config_variable(&config_keys[key], name);
        const char *alias = config_keys[key].alias;
        const char *own = value_of(environment, name);
        const char *foreign = alias == NULL ? NULL : value_of(environment, alias);
        /* An empty foreign variable is as good as unset (OpenTelemetry's rule for its own). */
        if (foreign != NULL && foreign[0] == '\0')
            foreign = NULL;
        if (own != NULL)
            take(loading, key, name, own);
        else if (foreign != NULL)
            take(loading, key, alias, foreign);
        if (own != NULL && foreign != NULL && strcmp(own, foreign) != 0)
            config_warning(loading, "%s: another value than %s, which wins; ignored", alias, name);
    }
    warn_unknown(loading);
}

/* NULL when the variable is not set; "" when it is set to nothing. */
static const char *value_of(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (char *const *entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    }
    return NULL;
}

/* Copies: the environment may change under us. */
static void take(struct config_loading *loading, size_t key, const char *name, const char *text)
{
    struct arena *arena = loading->config->arena;
    loading->origins[key] = (struct config_origin){
        .kind = ORIGIN_VARIABLE,
        .text = arena_strdup(arena, text),
        .name = arena_strdup(arena, name),
    };
}

/* Misspelt settings must be seen, and foreign variables must not stop the start: Kubernetes injects
 * TENANT_SERVICE_PORT and more beside a Service named tenant-service. */
static void warn_unknown(struct config_loading *loading)
{
    size_t unknown = 0;
    for (char *const *entry = loading->source->environment; *entry != NULL; entry++) {
        size_t length = strcspn(*entry, "=");
        if (strncmp(*entry, "TENANT_", 7) != 0 || is_known(*entry, length))
            continue;
        if (++unknown <= WARNINGS_MAX)
            config_warning(loading, "%.*s: no such setting; ignored",
                           (int)(length > 128 ? 128 : length), *entry);
    }
    if (unknown > WARNINGS_MAX)
        config_warning(loading, "%zu more unknown TENANT_ variables; ignored",
                       unknown - WARNINGS_MAX);
}

static bool is_known(const char *variable, size_t length)
{
    if (length == strlen(CONFIG_FILE_VARIABLE) &&
        strncmp(variable, CONFIG_FILE_VARIABLE, length) == 0)
        return true;
    for (size_t key = 0; key < config_key_count; key++) {
        char name[CONFIG_VARIABLE_SIZE];
        config_variable(&config_keys[key], name);
        if (strlen(name) == length && strncmp(variable, name, length) == 0)
            return true;
    }
    return false;
}
