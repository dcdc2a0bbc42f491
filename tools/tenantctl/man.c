/* Man pages (man(7) macros) from the tables of commands and flags: tenantctl.1 and one page for each
 * command. */
#include "manual.h"

#include <errno.h>
#include <sys/stat.h>

/* When what the pages say changed last; the pages are the same whenever they are made. */
#define PAGES_DATE "2026-11-23"
#define PATH_SIZE 4096
#define TITLE_SIZE 64

static int page_open(struct cli *cli, const char *title, FILE **page);
static int page_close(FILE *page, const char *title);
static int write_program(struct cli *cli);
static int write_command(struct cli *cli, const struct command *command);
static void title_of(const struct command *command, char title[TITLE_SIZE]);
static void heading(FILE *page, const char *title);
static void put_see_also(FILE *page);
static void put_synopsis(FILE *page, const struct command *command);
static void put_paragraphs(FILE *page, const char *text);
static void put_items(FILE *page, const char *title, const struct manual_item *items);
static void put_flags(FILE *page, const struct flag_set *set);
static void put_example(FILE *page, const char *text);
static void put_text(FILE *page, const char *text);

int man_command(struct cli *cli)
{
    if (mkdir(cli->argument, 0777) != 0 && errno != EEXIST)
        return cli_complain("%s: %s", cli->argument, strerror(errno));
    TRY(write_program(cli));
    for (const struct command *command = commands; command->name != NULL; command++)
        TRY(write_command(cli, command));
    return EXIT_DONE;
}

static int write_program(struct cli *cli)
{
    FILE *page;
    TRY(page_open(cli, "tenantctl", &page));
    fputs("tenantctl \\- ask and change tenant\\-service\n", page);
    heading(page, "SYNOPSIS");
    fputs(".B tenantctl\n.I COMMAND\n.RI [ FLAGS ]\n", page);
    heading(page, "DESCRIPTION");
    put_text(page, program_text);
    fputs("\n.PP\n", page);
    put_text(page, precedence_text);
    fputc('\n', page);
    heading(page, "COMMANDS");
    for (const struct command *command = commands; command->name != NULL; command++) {
        char title[TITLE_SIZE];
        title_of(command, title);
        fputs(".TP\n.BR ", page);
        put_text(page, title);
        fputs(" (1)\n", page);
        put_text(page, command->summary);
        fputc('\n', page);
    }
    heading(page, "OPTIONS");
    put_flags(page, command_find(NULL, "version")->sets[0]);
    put_items(page, "EXIT STATUS", exit_texts);
    put_items(page, "ENVIRONMENT", environment_texts);
    put_items(page, "FILES", file_texts);
    put_see_also(page);
    return page_close(page, "tenantctl");
}

static int write_command(struct cli *cli, const struct command *command)
{
    char title[TITLE_SIZE];
    title_of(command, title);
    FILE *page;
    TRY(page_open(cli, title, &page));
    put_text(page, title);
    fputs(" \\- ", page);
    put_text(page, command->summary);
    fputc('\n', page);
    put_synopsis(page, command);
    heading(page, "DESCRIPTION");
    put_text(page, command->summary);
    fputs(".\n", page);
    if (command->details != NULL) {
        fputs(".PP\n", page);
        put_paragraphs(page, command->details);
    }
    heading(page, "OPTIONS");
    for (const struct flag_set *const *set = command->sets; *set != NULL; set++) {
        fputs(".SS ", page);
        put_text(page, (*set)->title);
        fputc('\n', page);
        put_flags(page, *set);
    }
    if (command->example != NULL)
        put_example(page, command->example);
    put_items(page, "EXIT STATUS", exit_texts);
    heading(page, "SEE ALSO");
    fputs(".BR tenantctl (1)\n", page);
    return page_close(page, title);
}

/* Begins the page up to the name in its NAME section. */
static int page_open(struct cli *cli, const char *title, FILE **page)
{
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s/%s.1", cli->argument, title);
    if (size < 0 || (size_t)size >= sizeof path)
        return cli_complain("%s: the name is too long", cli->argument);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return cli_complain("%s: %s", path, strerror(errno));
    fputs(".\\\" Made by `tenantctl man` from its tables of commands and flags.\n.TH ", file);
    for (const char *c = title; *c != '\0'; c++) {
        if (*c == '-')
            fputc('\\', file);
        fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, file);
    }
    fputs(" 1 " PAGES_DATE " \"tenantctl " TENANT_VERSION "\" \"tenant\\-service\"\n", file);
    fputs(".SH NAME\n", file);
    *page = file;
    return OK;
}

static int page_close(FILE *page, const char *title)
{
    bool failed = ferror(page) != 0;
    if (fclose(page) != 0 || failed)
        return cli_complain("%s.1 could not be written: %s", title, strerror(errno));
    return OK;
}

/* "tenantctl-tenant-create" */
static void title_of(const struct command *command, char title[TITLE_SIZE])
{
    snprintf(title, TITLE_SIZE, "tenantctl-%s%s%s", command->group == NULL ? "" : command->group,
             command->group == NULL ? "" : "-", command->name);
}

static void heading(FILE *page, const char *title)
{
    fprintf(page, ".SH %s\n", title);
}

static void put_see_also(FILE *page)
{
    heading(page, "SEE ALSO");
    for (const struct command *command = commands; command->name != NULL; command++) {
        char title[TITLE_SIZE];
        title_of(command, title);
        fputs(".BR ", page);
        put_text(page, title);
        fputs(command[1].name == NULL ? " (1)\n" : " (1),\n", page);
    }
}

static void put_synopsis(FILE *page, const struct command *command)
{
    heading(page, "SYNOPSIS");
    fprintf(page, ".B tenantctl %s%s%s\n", command->group == NULL ? "" : command->group,
            command->group == NULL ? "" : " ", command->name);
    if (command->argument != NULL)
        fprintf(page, ".I %s\n", command->argument);
    fputs(".RI [ FLAGS ]\n", page);
}

/* Paragraphs stand apart by an empty line. */
static void put_paragraphs(FILE *page, const char *text)
{
    for (;;) {
        const char *end = strstr(text, "\n\n");
        size_t size = end == NULL ? strlen(text) : (size_t)(end - text);
        char paragraph[2048];
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)size, text);
        put_text(page, paragraph);
        fputc('\n', page);
        if (end == NULL)
            return;
        fputs(".PP\n", page);
        text = end + 2;
    }
}

static void put_items(FILE *page, const char *title, const struct manual_item *items)
{
    heading(page, title);
    for (; items->name != NULL; items++) {
        fputs(".TP\n.B ", page);
        put_text(page, items->name);
        fputc('\n', page);
        put_text(page, items->text);
        fputs(".\n", page);
    }
}

static void put_flags(FILE *page, const struct flag_set *set)
{
    for (const struct flag *flag = set->flags; flag->name != NULL; flag++) {
        fputs(".TP\n", page);
        fputs(flag->value == NULL ? ".B " : ".BI ", page);
        if (flag->letter != '\0')
            fprintf(page, "\\-%c\\fR,\\fB\\ ", flag->letter);
        fputs("\\-\\-", page);
        put_text(page, flag->name);
        if (flag->value != NULL) {
            fputs(" \" ", page);
            put_text(page, flag->value);
            fputc('"', page);
        }
        fputc('\n', page);
        put_text(page, flag->help);
        if (flag->choices != NULL) {
            fputs(": ", page);
            put_text(page, flag->choices);
        }
        fputs(flag->repeated ? " (repeatable).\n" : ".\n", page);
    }
}

static void put_example(FILE *page, const char *text)
{
    heading(page, "EXAMPLES");
    fputs(".nf\n", page);
    put_text(page, text);
    fputs("\n.fi\n", page);
}

/* roff takes a backslash, and a dot or an apostrophe at the beginning of a line, for its own; a hyphen
 * that is to be typed is "\-". */
static void put_text(FILE *page, const char *text)
{
    bool line_start = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (line_start && (*c == '.' || *c == '\''))
            fputs("\\&", page);
        line_start = *c == '\n';
        if (*c == '\\')
            fputs("\\e", page);
        else if (*c == '-')
            fputs("\\-", page);
        else if ((unsigned char)*c == 0xE2 && memcmp(c, "…", 3) == 0)
            fputs("...", page), c += 2;
        else
            fputc(*c, page);
    }
}
