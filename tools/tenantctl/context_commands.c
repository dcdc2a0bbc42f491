/* tenantctl context list|show|use|set|delete. */
#include "contexts.h"
#include "output.h"
#include "settings.h"

static json_t *listing(const struct cli *cli, struct context_file *file);
static int need_context(struct context_file *file, const char *name, struct context **context);

int context_list(struct cli *cli)
{
    struct context_file file;
    TRY(contexts_load(cli, &file));
    const char *chosen = context_chosen(cli, &file);
    if (cli->form != FORM_TABLE) {
        output_value(cli, listing(cli, &file));
        return EXIT_DONE;
    }
    bool names = cli_is_on(cli, "names");
    for (size_t i = 0; i < file.count; i++) {
        const struct context *context = &file.contexts[i];
        const char *address = context->values[SETTING_ADDRESS];
        if (names)
            fprintf(cli->out, "%s\n", context->name);
        else
            fprintf(cli->out, "%s %-20s %s\n", strcmp(context->name, chosen) == 0 ? "*" : " ",
                    text_clean(cli->arena, context->name),
                    address == NULL ? "" : text_clean(cli->arena, address));
    }
    if (file.count == 0 && !names)
        fprintf(stderr,
                "no contexts in %s: make one with `tenantctl context set NAME --address …`\n",
                file.path == NULL ? "any file" : file.path);
    return EXIT_DONE;
}

/* What a command would use now: flags, environment, context and file taken together. */
int context_show(struct cli *cli)
{
    json_t *object = json_object();
    if (cli->settings->context[0] != '\0')
        json_object_set_new(object, "context", json_string(cli->settings->context));
    for (size_t i = 0; i < SETTINGS; i++) {
        const char *value = cli->settings->values[i];
        if (cli->form == FORM_TABLE)
            output_row(cli, setting_names[i], value[0] == '\0' ? "-" : value);
        else if (value[0] != '\0')
            json_object_set_new(object, setting_names[i], json_string(value));
    }
    if (cli->form == FORM_TABLE)
        output_row(cli, "context",
                   cli->settings->context[0] == '\0' ? "-" : cli->settings->context);
    if (cli->form == FORM_TABLE)
        json_decref(object);
    else
        output_value(cli, object);
    return EXIT_DONE;
}

int context_use(struct cli *cli)
{
    struct context_file file;
    struct context *context = NULL;
    TRY(contexts_load(cli, &file));
    TRY(need_context(&file, cli->argument, &context));
    file.current = context->name;
    return contexts_save(&file);
}

int context_set(struct cli *cli)
{
    struct context_file file;
    TRY(contexts_load(cli, &file));
    struct context *context = context_find(&file, cli->argument);
    if (context == NULL) {
        if (file.count == CONTEXTS_MAX)
            return cli_complain("there are %d contexts already", CONTEXTS_MAX);
        context = &file.contexts[file.count++];
        context->name = cli->argument;
    }
    size_t set = 0;
    for (size_t i = 0; i < SETTINGS; i++) {
        const char *value = cli_value(cli, setting_flag(cli->arena, (enum setting)i));
        if (value == NULL)
            continue;
        context->values[i] = value[0] == '\0' ? NULL : value;
        set++;
    }
    if (set == 0)
        return cli_complain("nothing to set: give --address, --ca-file … (see --help)");
    if (file.current[0] == '\0')
        file.current = context->name;
    return contexts_save(&file);
}

int context_delete(struct cli *cli)
{
    struct context_file file;
    struct context *context = NULL;
    TRY(contexts_load(cli, &file));
    TRY(need_context(&file, cli->argument, &context));
    if (strcmp(file.current, context->name) == 0)
        file.current = "";
    size_t behind = (size_t)(&file.contexts[file.count] - context) - 1;
    memmove(context, context + 1, behind * sizeof *context);
    file.count--;
    return contexts_save(&file);
}

static json_t *listing(const struct cli *cli, struct context_file *file)
{
    const char *chosen = context_chosen(cli, file);
    json_t *list = json_array();
    for (size_t i = 0; i < file->count; i++) {
        json_t *item = json_pack("{s:s, s:b}", "name", file->contexts[i].name, "current",
                                 strcmp(file->contexts[i].name, chosen) == 0);
        for (size_t k = 0; k < SETTINGS; k++) {
            if (file->contexts[i].values[k] != NULL)
                json_object_set_new(item, setting_names[k],
                                    json_string(file->contexts[i].values[k]));
        }
        json_array_append_new(list, item);
    }
    return list;
}

static int need_context(struct context_file *file, const char *name, struct context **context)
{
    *context = context_find(file, name);
    if (*context != NULL)
        return OK;
    (void)cli_complain("there is no context \"%s\" in %s", name,
                       file->path == NULL ? "any file" : file->path);
    return EXIT_NOT_FOUND;
}
