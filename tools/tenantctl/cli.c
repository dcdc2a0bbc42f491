/* Parsing from the tables of main.c.
 *
 *    find_words(): which arguments are neither flags nor their values  ──> command, or help
 *    take_all():   every flag, now that it is known which ones the command has */
#include "cli.h"

#include "manual.h"
#include "spelling.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WORDS_MAX 3

/* The arguments as they were given, and what was found in them so far. */
struct line {
    int argc;
    char **argv;
    const char *words[WORDS_MAX]; /* the first arguments that are no flags */
    int word_count;
    int command_words; /* how many of them name the command */
    bool help;
};

/* How many positional arguments a command takes. */
struct argument_range {
    size_t least;
    size_t most;
};

static void find_words(struct line *line);
static int choose_command(struct cli *cli, const struct line *line);
static int choose_in_group(struct cli *cli, const struct line *line);
static int unknown_command(const char *group, const char *name);
static int take_all(struct cli *cli, const struct line *line);
static struct argument_range arguments_of(const struct command *command);
static int take_flag(struct cli *cli, const struct line *line, int *place);
static int take_value(struct cli *cli, const struct flag *flag, const char *value);
static int check_choice(const struct flag *flag, const char *value);
static int check_argument(const struct cli *cli);
static int unknown_flag(const struct cli *cli, struct slice written);
static const struct flag *flag_of(const struct command *command, const char *text);
static const struct flag *flag_anywhere(const char *text);
static bool flag_is(const struct flag *flag, const char *text);
static bool is_flag(const char *text);
static bool is_among(const char *choices, const char *value);
static int take_common(struct cli *cli);

int cli_parse(struct cli *cli, int argc, char **argv)
{
    struct line line = {.argc = argc, .argv = argv};
    find_words(&line);
    if (line.word_count == 0) {
        help_program(line.help ? stdout : stderr);
        return line.help ? -1 : EXIT_USAGE;
    }
    int rc = choose_command(cli, &line);
    if (rc != OK || cli->command == NULL)
        return rc;
    if (line.help) {
        help_command(cli->command);
        return -1;
    }
    line.command_words = cli->command->group == NULL ? 1 : 2;
    cli->given = arena_alloc(cli->arena, (size_t)argc * sizeof *cli->given);
    cli->arguments = arena_alloc(cli->arena, (size_t)argc * sizeof *cli->arguments);
    TRY(take_all(cli, &line));
    TRY(check_argument(cli));
    return take_common(cli);
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

bool cli_is_on(const struct cli *cli, const char *flag)
{
    const char *value = cli_value(cli, flag);
    return value != NULL && strcmp(value, "true") == 0;
}

int cli_number(const struct cli *cli, const char *flag, unsigned max, unsigned *number)
{
    const char *text = cli_value(cli, flag);
    if (text == NULL)
        return OK;
    char *end = NULL;
    unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (end == NULL || *end != '\0' || value == 0 || value > max)
        return cli_complain("--%s \"%s\": expected a number from 1 to %u", flag, text, max);
    *number = (unsigned)value;
    return OK;
}

int cli_duration(const struct cli *cli, const char *flag, uint64_t *ns)
{
    const char *text = cli_value(cli, flag);
    if (text == NULL)
        return OK;
    if (!duration_parse(text, ns))
        return cli_complain("--%s \"%s\": expected a time such as 500ms, 10s, 5m, 2h or 7d", flag,
                            text);
    return OK;
}

bool duration_parse(const char *text, uint64_t *ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end = NULL;
    double number = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        double total = number * units[i].ns;
        if (strcmp(end, units[i].name) != 0)
            continue;
        if (!(total >= 1e6 && total <= 3650 * 86400e9))
            return false;
        *ns = (uint64_t)total;
        return true;
    }
    return false;
}

int cli_confirm(const struct cli *cli, const char *what)
{
    if (cli_is_on(cli, "yes"))
        return OK;
    if (isatty(STDIN_FILENO) != 1)
        return cli_complain("%s: add --yes", what);
    fprintf(stderr, "%s?  Type yes to go on: ", what);
    char typed[16] = "";
    if (fgets(typed, sizeof typed, stdin) != NULL && strcmp(typed, "yes\n") == 0)
        return OK;
    (void)cli_complain("not confirmed, nothing was done");
    return EXIT_REFUSED;
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

/* Flags may stand before the command's words, so the words are the arguments that are neither flags
 * nor the values of flags.  A flag takes a value or none, whichever command it belongs to. */
static void find_words(struct line *line)
{
    for (int i = 1; i < line->argc; i++) {
        const char *text = line->argv[i];
        if (strcmp(text, "--") == 0)
            return;
        if (!is_flag(text)) {
            if (line->word_count == 0 && strcmp(text, "help") == 0 && !line->help)
                line->help = true;
            else if (line->word_count < WORDS_MAX)
                line->words[line->word_count++] = text;
            continue;
        }
        if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)
            line->help = true;
        const struct flag *flag = flag_anywhere(text);
        bool inside = strchr(text, '=') != NULL || (text[1] != '-' && text[2] != '\0');
        if (flag != NULL && flag->value != NULL && !inside)
            i++;
    }
}

/* cli->command stays NULL when help was printed (-1) or the words name none (EXIT_USAGE). */
static int choose_command(struct cli *cli, const struct line *line)
{
    cli->command = command_find(NULL, line->words[0]);
    if (cli->command != NULL)
        return OK;
    for (const struct command_group *group = command_groups; group->name != NULL; group++) {
        if (strcmp(group->name, line->words[0]) == 0)
            return choose_in_group(cli, line);
    }
    return unknown_command(NULL, line->words[0]);
}

static int choose_in_group(struct cli *cli, const struct line *line)
{
    if (line->word_count == 1) {
        help_group(line->words[0], line->help ? stdout : stderr);
        return line->help ? -1 : EXIT_USAGE;
    }
    cli->command = command_find(line->words[0], line->words[1]);
    return cli->command != NULL ? OK : unknown_command(line->words[0], line->words[1]);
}

const struct command *command_find(const char *group, const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        bool same_group = (group == NULL) == (command->group == NULL) &&
                          (group == NULL || strcmp(group, command->group) == 0);
        if (same_group && strcmp(name, command->name) == 0)
            return command;
    }
    return NULL;
}

static int unknown_command(const char *group, const char *name)
{
    struct spelling spelling = {.written = slice_of_str(name)};
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (group == NULL)
            spelling_offer(&spelling, command->group == NULL ? command->name : command->group);
        else if (command->group != NULL && strcmp(group, command->group) == 0)
            spelling_offer(&spelling, command->name);
    }
    const char *before = group == NULL ? "" : group;
    const char *blank = group == NULL ? "" : " ";
    if (spelling.best != NULL)
        return cli_complain("unknown command \"%s%s%s\"; did you mean \"%s%s%s\"?", before, blank,
                            name, before, blank, spelling.best);
    return cli_complain("unknown command \"%s%s%s\" (see tenantctl%s%s --help)", before, blank,
                        name, blank, before);
}

static int take_all(struct cli *cli, const struct line *line)
{
    int words = line->command_words;
    bool flags_end = false;
    for (int i = 1; i < line->argc; i++) {
        const char *text = line->argv[i];
        if (!flags_end && strcmp(text, "--") == 0) {
            flags_end = true;
        } else if (!flags_end && is_flag(text)) {
            TRY(take_flag(cli, line, &i));
        } else if (words > 0) {
            words--;
        } else if (cli->argument_count >= arguments_of(cli->command).most) {
            return cli_complain("unexpected argument \"%s\" (see --help)", text);
        } else {
            cli->arguments[cli->argument_count++] = text;
        }
    }
    cli->argument = cli->argument_count == 0 ? NULL : cli->arguments[0];
    return OK;
}

/* "A B": two of two; "[FILE...]": none or more. */
static struct argument_range arguments_of(const struct command *command)
{
    struct argument_range range = {0, 0};
    for (const char *word = command->argument; word != NULL && *word != '\0';) {
        if (*word == '[')
            range.most = SIZE_MAX;
        else
            range = (struct argument_range){range.least + 1, range.most + 1};
        word += strcspn(word, " ");
        word += strspn(word, " ");
    }
    return range;
}

/* "--name=value", "--name value", "--switch", "-o value" or "-ovalue". */
static int take_flag(struct cli *cli, const struct line *line, int *place)
{
    const char *text = line->argv[*place];
    bool is_long = text[1] == '-';
    const char *equals = is_long ? strchr(text, '=') : NULL;
    const struct flag *flag = flag_of(cli->command, text);
    if (flag == NULL) {
        size_t size = equals == NULL ? strlen(text) : (size_t)(equals - text);
        return unknown_flag(cli, slice_make(text, size));
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (!is_long && text[2] != '\0')
        value = text + 2;
    if (flag->value != NULL && value == NULL && *place + 1 < line->argc)
        value = line->argv[++*place];
    return take_value(cli, flag, value);
}

static int take_value(struct cli *cli, const struct flag *flag, const char *value)
{
    if (flag->value == NULL) {
        if (value == NULL)
            value = "true";
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return cli_complain("--%s is a switch: expected nothing, =true or =false", flag->name);
    }
    if (value == NULL)
        return cli_complain("--%s needs a value: %s", flag->name, flag->value);
    if (!flag->repeated && cli_has(cli, flag->name))
        return cli_complain("--%s was given twice", flag->name);
    if (flag->exact)
        TRY(check_choice(flag, value));
    cli->given[cli->given_count++] = (struct given){.flag = flag, .value = value};
    return OK;
}

static int check_choice(const struct flag *flag, const char *value)
{
    assert(flag->choices != NULL);
    if (is_among(flag->choices, value))
        return OK;
    return cli_complain("--%s \"%s\": expected one of: %s", flag->name, value, flag->choices);
}

static int check_argument(const struct cli *cli)
{
    const struct command *command = cli->command;
    if (cli->argument_count < arguments_of(command).least) {
        const char *missing = command->argument;
        for (size_t i = 0; i < cli->argument_count; i++)
            missing += strcspn(missing, " ") + 1;
        return cli_complain("%.*s is missing (see tenantctl %s%s%s --help)",
                            (int)strcspn(missing, " "), missing,
                            command->group == NULL ? "" : command->group,
                            command->group == NULL ? "" : " ", command->name);
    }
    if (command->choices != NULL && !is_among(command->choices, cli->argument))
        return cli_complain("%s \"%s\": expected one of: %s", command->argument, cli->argument,
                            command->choices);
    return OK;
}

/* Names the flag that was probably meant; else where a flag of that name belongs. */
static int unknown_flag(const struct cli *cli, struct slice written)
{
    int size = (int)written.size;
    const char *text = (const char *)written.data;
    if (text[1] != '-')
        return cli_complain("unknown flag %.*s (see --help)", size, text);
    struct spelling spelling = {.written = slice_skip(written, 2)};
    for (const struct flag_set *const *set = cli->command->sets; *set != NULL; set++) {
        for (const struct flag *flag = (*set)->flags; flag->name != NULL; flag++)
            spelling_offer(&spelling, flag->name);
    }
    if (spelling.best != NULL)
        return cli_complain("unknown flag %.*s; did you mean --%s?", size, text, spelling.best);
    if (flag_anywhere(text) != NULL)
        return cli_complain("%.*s is not a flag of this command (see --help)", size, text);
    return cli_complain("unknown flag %.*s (see --help)", size, text);
}

static const struct flag *flag_of(const struct command *command, const char *text)
{
    for (const struct flag_set *const *set = command->sets; *set != NULL; set++) {
        for (const struct flag *flag = (*set)->flags; flag->name != NULL; flag++) {
            if (flag_is(flag, text))
                return flag;
        }
    }
    return NULL;
}

static const struct flag *flag_anywhere(const char *text)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        const struct flag *flag = flag_of(command, text);
        if (flag != NULL)
            return flag;
    }
    return NULL;
}

/* `text` is an argument: "--name", "--name=value", "-n" or "-nvalue". */
static bool flag_is(const struct flag *flag, const char *text)
{
    if (text[1] != '-')
        return flag->letter != '\0' && text[1] == flag->letter &&
               (text[2] == '\0' || flag->value != NULL);
    size_t size = strcspn(text + 2, "=");
    return slice_is(slice_make(text + 2, size), flag->name);
}

static bool is_flag(const char *text)
{
    return text[0] == '-' && text[1] != '\0';
}

static bool is_among(const char *choices, const char *value)
{
    size_t size = strlen(value);
    while (size > 0 && *choices != '\0') {
        size_t word = strcspn(choices, " ");
        if (word == size && memcmp(choices, value, size) == 0)
            return true;
        choices += word;
        choices += strspn(choices, " ");
    }
    return false;
}

/* --output, else TENANTCTL_OUTPUT; --verbose; colour. */
static int take_common(struct cli *cli)
{
    const char *form = cli_value(cli, "output");
    if (form == NULL)
        form = getenv("TENANTCTL_OUTPUT");
    if (form == NULL || form[0] == '\0' || strcmp(form, "table") == 0)
        cli->form = FORM_TABLE;
    else if (strcmp(form, "json") == 0)
        cli->form = FORM_JSON;
    else if (strcmp(form, "yaml") == 0)
        cli->form = FORM_YAML;
    else
        return cli_complain("TENANTCTL_OUTPUT \"%s\": expected table, json or yaml", form);
    cli->verbose = cli_is_on(cli, "verbose");
    terminal_init(&cli->terminal, cli_is_on(cli, "no-color"));
    return OK;
}
