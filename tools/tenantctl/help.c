/* --help at every level, and the texts that the man pages share with it. */
#include "manual.h"

#define LINE_WIDTH 100

static void usage(FILE *out, const struct command *command);
static void print_commands(FILE *out, const char *group);
static void print_items(FILE *out, const char *title, const struct manual_item *items);
static void print_flags(FILE *out, const struct flag_set *set);
static void put_wrapped(FILE *out, const char *text, int indent);

const char *const program_text = "tenantctl asks and changes tenant-service over mutual TLS, and "
                                 "shows the events that it sends.";

const char *const precedence_text =
    "A flag of the connection wins over its environment variable (TENANTCTL_ "
    "and the flag's name in "
    "capitals, such as TENANTCTL_CA_FILE), that one over the chosen context, "
    "that one over the keys "
    "beside `contexts` in the configuration file.";

const struct manual_item exit_texts[] = {
    {"0", "done"},
    {"1", "the service refused the request, or you did not confirm it"},
    {"2", "the command line, the context or the configuration file is wrong; nothing was sent"},
    {"3",
     "no answer, or none at the moment: connection, TLS, deadline, a part of the service is down; "
     "repeating may help"},
    {"4", "there is no such tenant, service or context"},
    {"5", "conflict: another etag, a taken slug, another change of the same tenant"},
    {"6", "your certificate does not allow this"},
    {"7", "something broke inside the service; report the request id"},
    {NULL, NULL},
};

const struct manual_item environment_texts[] = {
    {"TENANTCTL_CONFIG", "the configuration file, as --config"},
    {"TENANTCTL_CONTEXT", "the context to use, as --context"},
    {"TENANTCTL_ADDRESS, TENANTCTL_CA_FILE …", "every flag of the connection"},
    {"TENANTCTL_OUTPUT", "table, json or yaml, as --output"},
    {"TENANTCTL_TIMEOUT", "as --timeout"},
    {"NO_COLOR", "when set and not empty: no colour"},
    {"XDG_CONFIG_HOME", "where the configuration folder is, if not ~/.config"},
    {NULL, NULL},
};

const struct manual_item file_texts[] = {
    {"~/.config/tenantctl/config.yaml",
     "Contexts: `current_context: NAME`, and under `contexts:` for each name the keys address, "
     "ca_file, cert_file, key_file, server_name, tenant_header, nats_url and "
     "nats_seed_file.  The same "
     "keys at the top level hold for every context.  Written by the context "
     "commands with mode 0600; "
     "they do not keep comments."},
    {NULL, NULL},
};

void help_program(FILE *out)
{
    fprintf(out, "%s\n\nusage: tenantctl COMMAND [FLAGS]\n\ncommands\n", program_text);
    print_commands(out, NULL);
    print_flags(out, command_find(NULL, "version")->sets[0]);
    print_items(out, "exit status", exit_texts);
    print_items(out, "environment", environment_texts);
    fputc('\n', out);
    put_wrapped(out, precedence_text, 0);
    fputs("\n`tenantctl COMMAND --help` tells all about one command.\n", out);
}

void help_group(const char *group, FILE *out)
{
    const char *summary = "";
    for (const struct command_group *known = command_groups; known->name != NULL; known++) {
        if (strcmp(known->name, group) == 0)
            summary = known->summary;
    }
    fprintf(out, "%s\n\nusage: tenantctl %s COMMAND [FLAGS]\n\ncommands\n", summary, group);
    print_commands(out, group);
    fprintf(out, "\n`tenantctl %s COMMAND --help` tells all about one command.\n", group);
}

void help_command(const struct command *command)
{
    usage(stdout, command);
    printf("\n%s\n", command->summary);
    if (command->details != NULL) {
        putchar('\n');
        put_wrapped(stdout, command->details, 0);
    }
    for (const struct flag_set *const *set = command->sets; *set != NULL; set++)
        print_flags(stdout, *set);
    if (command->example == NULL)
        return;
    fputs("\nexamples\n  ", stdout);
    for (const char *c = command->example; *c != '\0'; c++) {
        putchar(*c);
        if (*c == '\n')
            fputs("  ", stdout);
    }
    putchar('\n');
}

static void usage(FILE *out, const struct command *command)
{
    fprintf(out, "usage: tenantctl %s%s%s%s%s [FLAGS]\n", command->group ? command->group : "",
            command->group ? " " : "", command->name, command->argument ? " " : "",
            command->argument ? command->argument : "");
}

/* NULL: of all groups. */
static void print_commands(FILE *out, const char *group)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (group != NULL && (command->group == NULL || strcmp(group, command->group) != 0))
            continue;
        char words[48];
        snprintf(words, sizeof words, "%s%s%s%s%s", command->group == NULL ? "" : command->group,
                 command->group == NULL ? "" : " ", command->name,
                 command->argument == NULL ? "" : " ",
                 command->argument == NULL ? "" : command->argument);
        fprintf(out, "  %-30s %s\n", words, command->summary);
    }
}

static void print_items(FILE *out, const char *title, const struct manual_item *items)
{
    int width = 2;
    for (const struct manual_item *item = items; item->name != NULL; item++)
        width = text_width(item->name) > width ? text_width(item->name) : width;
    fprintf(out, "\n%s\n", title);
    for (; items->name != NULL; items++) {
        fprintf(out, "  %s%*s ", items->name, width - text_width(items->name), "");
        put_wrapped(out, items->text, width + 3);
    }
}

static void print_flags(FILE *out, const struct flag_set *set)
{
    fprintf(out, "\n%s\n", set->title);
    for (const struct flag *flag = set->flags; flag->name != NULL; flag++) {
        char words[64];
        char letter[8] = "";
        if (flag->letter != '\0')
            snprintf(letter, sizeof letter, "-%c, ", flag->letter);
        snprintf(words, sizeof words, "%s--%s%s%s", letter, flag->name, flag->value ? " " : "",
                 flag->value ? flag->value : "");
        char text[512];
        snprintf(text, sizeof text, "%s%s%s%s", flag->help, flag->choices == NULL ? "" : ": ",
                 flag->choices == NULL ? "" : flag->choices, flag->repeated ? " (repeatable)" : "");
        fprintf(out, "  %-30s ", words);
        put_wrapped(out, text, 33);
    }
}

/* Lines of at most LINE_WIDTH characters; those after the first begin at `indent`, where the first one stands
 * already.  Words that are longer than a line stay whole. */
static void put_wrapped(FILE *out, const char *text, int indent)
{
    int column = indent;
    while (*text != '\0') {
        char word[256];
        size_t size = strcspn(text, " ");
        snprintf(word, sizeof word, "%.*s", (int)size, text);
        int width = text_width(word);
        if (column > indent && column + 1 + width > LINE_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(out, "%s", column > indent ? " " : "") + width;
        fputs(word, out);
        text += size;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}
