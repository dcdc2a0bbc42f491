/* Parsing and help from the tables of main.c. */
#include "cli.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static const struct command *command_find(const char *group, const char *name);
static bool group_exists(const char *group);
static int choose_command(struct cli *cli, int argc, char **argv);
static int take_flag(struct cli *cli, int argc, char **argv, int *place);
static const struct flag *flag_find(const struct cli *cli, struct slice name);
static const struct flag *flag_in(const struct flag *flags, struct slice name);
static void give(struct cli *cli, const struct flag *flag, const char *value);
static bool asks_for_help(int argc, char **argv);
static void help_all(const char *group);
static void help_command(const struct command *command);
static void help_flags(const char *title, const struct flag *flags);

int cli_parse(struct cli *cli, int argc, char **argv)
{
    bool help = asks_for_help(argc, argv);
    int rc = choose_command(cli, argc, argv);
    if (cli->command == NULL) {
        if (help || argc < 2) {
            help_all(rc == -1 ? argv[1] : NULL);
            return help ? -1 : EXIT_USAGE;
        }
        return EXIT_USAGE;
    }
    if (help) {
        help_command(cli->command);
        return -1;
    }
    cli->given = arena_alloc(cli->arena, (size_t)argc * sizeof *cli->given);
    int words = cli->command->group == NULL ? 1 : 2;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0') {
            if (take_flag(cli, argc, argv, &i) != OK)
                return EXIT_USAGE;
        } else if (words > 0) {
            words--;
        } else if (cli->command->argument == NULL || cli->argument != NULL) {
            return cli_complain("unexpected argument \"%s\"", argv[i]);
        } else {
            cli->argument = argv[i];
        }
    }
    if (cli->command->argument != NULL && cli->argument == NULL)
        return cli_complain("%s is missing (see --help)", cli->command->argument);
    return OK;
}

const char *cli_value(const struct cli *cli, const char *flag)
{
    const char *value = NULL;
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].flag->name, flag) == 0)
            value = cli->given[i].value;
    }
    return value;
}

const char *cli_nth(const struct cli *cli, const char *flag, size_t n)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].flag->name, flag) == 0 && n-- == 0)
            return cli->given[i].value;
    }
    return NULL;
}

bool cli_has(const struct cli *cli, const char *flag)
{
    return cli_value(cli, flag) != NULL;
}

int cli_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tenantctl: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return EXIT_USAGE;
}

/* Global flags may stand before the command's words, so the words are the arguments that are neither
 * flags nor the values of flags.  -1: only a group was named. */
static int choose_command(struct cli *cli, int argc, char **argv)
{
    const char *words[2] = {NULL, NULL};
    int count = 0;
    for (int i = 1; i < argc && count < 2; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            words[count++] = argv[i];
            continue;
        }
        const struct flag *flag = flag_in(global_flags, slice_of_str(argv[i] + 2));
        if (flag != NULL && flag->value != NULL)
            i++;
        else if (flag == NULL && count > 0)
            break;
    }
    if (count == 0)
        return OK;
    cli->command = command_find(NULL, words[0]);
    if (cli->command != NULL)
        return OK;
    if (!group_exists(words[0])) {
        cli_complain("unknown command \"%s\" (see tenantctl --help)", words[0]);
        return EXIT_USAGE;
    }
    if (count == 1) {
        if (!asks_for_help(argc, argv))
            help_all(words[0]);
        return -1;
    }
    cli->command = command_find(words[0], words[1]);
    if (cli->command == NULL)
        cli_complain("unknown command \"%s %s\" (see tenantctl %s --help)", words[0], words[1],
                     words[0]);
    return EXIT_USAGE;
}

static const struct command *command_find(const char *group, const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        bool same_group = (group == NULL) == (command->group == NULL) &&
                          (group == NULL || strcmp(group, command->group) == 0);
        if (same_group && strcmp(name, command->name) == 0)
            return command;
    }
    return NULL;
}

static bool group_exists(const char *group)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (command->group != NULL && strcmp(group, command->group) == 0)
            return true;
    }
    return false;
}

/* "--name=value", "--name value" or "--switch". */
static int take_flag(struct cli *cli, int argc, char **argv, int *place)
{
    const char *text = argv[*place] + 2;
    const char *equals = strchr(text, '=');
    struct slice name = equals == NULL ? slice_of_str(text)
                                       : slice_make(text, (size_t)(equals - text));
    const struct flag *flag = flag_find(cli, name);
    if (flag == NULL)
        return cli_complain("unknown flag --%.*s (see --help)", (int)name.size,
                            (const char *)name.data);
    const char *value = equals == NULL ? NULL : equals + 1;
    if (flag->value == NULL) {
        if (value != NULL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return cli_complain("--%s: expected true or false", flag->name);
        give(cli, flag, value == NULL ? "true" : value);
        return OK;
    }
    if (value == NULL && *place + 1 < argc)
        value = argv[++*place];
    if (value == NULL)
        return cli_complain("--%s needs a value: %s", flag->name, flag->value);
    if (!flag->repeated && cli_has(cli, flag->name))
        return cli_complain("--%s was given twice", flag->name);
    give(cli, flag, value);
    return OK;
}

static const struct flag *flag_find(const struct cli *cli, struct slice name)
{
    const struct flag *flag = flag_in(cli->command->flags, name);
    return flag != NULL ? flag : flag_in(global_flags, name);
}

static const struct flag *flag_in(const struct flag *flags, struct slice name)
{
    for (; flags != NULL && flags->name != NULL; flags++) {
        if (slice_is(name, flags->name))
            return flags;
    }
    return NULL;
}

static void give(struct cli *cli, const struct flag *flag, const char *value)
{
    assert(cli->given != NULL);
    cli->given[cli->given_count++] = (struct given){.flag = flag, .value = value};
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static void help_all(const char *group)
{
    printf("tenantctl: asks and changes tenant-service over mutual TLS.\n\n"
           "usage: tenantctl [FLAGS] %s\n\ncommands\n",
           group == NULL ? "COMMAND" : group);
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (group != NULL && (command->group == NULL || strcmp(group, command->group) != 0))
            continue;
        char words[48];
        snprintf(words, sizeof words, "%s%s%s%s%s", command->group == NULL ? "" : command->group,
                 command->group == NULL ? "" : " ", command->name,
                 command->argument == NULL ? "" : " ",
                 command->argument == NULL ? "" : command->argument);
        printf("  %-28s %s\n", words, command->summary);
    }
    help_flags("flags of every command", global_flags);
    fputs("\nEvery flag of a connection can stand in the environment as TENANTCTL_<NAME> "
          "(TENANTCTL_ADDRESS) or in the\nconfiguration file as `name: value` with underscores "
          "(--config, TENANTCTL_CONFIG, else\n~/.config/tenantctl/config.yaml).\n\n"
          "exit status\n  0  done\n  1  the service refused: its reason and advice are on standard "
          "error\n  2  the command line or the configuration is wrong\n  3  no answer: connection, "
          "TLS or deadline\n",
          stdout);
}

static void help_command(const struct command *command)
{
    printf("usage: tenantctl %s%s%s%s%s [FLAGS]\n\n%s\n", command->group ? command->group : "",
           command->group ? " " : "", command->name, command->argument ? " " : "",
           command->argument ? command->argument : "", command->summary);
    if (command->details != NULL)
        printf("\n%s", command->details);
    if (command->flags != NULL && command->flags->name != NULL)
        help_flags("flags", command->flags);
    help_flags("flags of every command", global_flags);
}

static void help_flags(const char *title, const struct flag *flags)
{
    printf("\n%s\n", title);
    for (; flags->name != NULL; flags++) {
        char words[48];
        snprintf(words, sizeof words, "--%s%s%s", flags->name, flags->value ? " " : "",
                 flags->value ? flags->value : "");
        printf("  %-28s %s%s\n", words, flags->help, flags->repeated ? " (repeatable)" : "");
    }
}
