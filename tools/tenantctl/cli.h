/* tenantctl's frame: commands and flags as tables, from which parsing, every --help text, the completion
 * scripts and the man pages come. */
#ifndef TENANTCTL_CLI_H
#define TENANTCTL_CLI_H

#include "terminal.h"

#include "base/ctx.h"
#include "base/id.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct client_channel;
struct ctl_settings;

/* Exit statuses; exit_texts in manual.h says what each one tells the user. */
enum exit_status {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_ANSWER = 3,
    EXIT_NOT_FOUND = 4,
    EXIT_CONFLICT = 5,
    EXIT_FORBIDDEN = 6,
    EXIT_BROKEN = 7,
};

/* Values that have FILE in their name, DIR and CONTEXT complete to files, folders and names of contexts. */
struct flag {
    const char *name;    /* without the dashes */
    const char *value;   /* what stands for the value in help; NULL: a switch */
    const char *help;    /* one sentence */
    const char *choices; /* values to offer, separated by blanks; NULL: any */
    char letter;         /* 'o' for -o; '\0': none */
    bool repeated;       /* may be given several times */
    bool exact;          /* refuse values that are not among the choices */
};

/* FLAG("output", "FORM", "how to print", .letter = 'o') */
#define FLAG(flag_name, flag_value, flag_help, ...)                                                \
    {                                                                                              \
        .name = (flag_name), .value = (flag_value), .help = (flag_help), __VA_ARGS__               \
    }
#define FLAGS_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Flags that several commands share, under one title in the help. */
struct flag_set {
    const char *title;
    const struct flag *flags; /* ended by FLAGS_END */
};

struct cli;

#define COMMAND_SETS_MAX 6

struct command {
    const char *group;    /* "tenant"; NULL: a command of its own */
    const char *name;     /* "create" */
    const char *argument; /* the positional ones: "TENANT_ID", "A B", "[FILE...]"; NULL: none */
    const char *choices;  /* of a single one, separated by blanks; NULL: any */
    const char *summary;  /* one line */
    const char *details;  /* paragraphs separated by empty lines; NULL: none */
    const char *example;  /* lines to type, without the prompt; NULL: none */
    const struct flag_set *sets[COMMAND_SETS_MAX + 1]; /* own flags first; ended by NULL */
    int (*run)(struct cli *cli);
};

/* Ended by a NULL name; commands.c. */
extern const struct command commands[];

/* What the words before a command's name stand for: "tenant".  Ended by a NULL name; commands.c. */
struct command_group {
    const char *name;
    const char *summary;
};
extern const struct command_group command_groups[];

enum output_form { FORM_TABLE, FORM_JSON, FORM_YAML };

struct given {
    const struct flag *flag;
    const char *value; /* "true" for a switch */
};

/* One parsed command line.  Zeroed but for arena and ctx before cli_parse(). */
struct cli {
    const struct command *command;
    const char *argument;   /* the first positional argument, NULL when there is none */
    const char **arguments; /* all of them */
    size_t argument_count;
    struct given *given; /* flags as given, in order */
    size_t given_count;
    struct arena *arena;                /* lives as long as the program */
    struct ctx ctx;                     /* plain thread, no deadline: each call has its own */
    struct ctl_settings *settings;      /* settings_load() */
    struct client_channel *channel;     /* NULL until a call needs it; call.c's */
    char idempotency_key[ID_TEXT_SIZE]; /* of this command, once it is needed; "" before */
    FILE *out; /* where results go: standard output, or a buffer of --watch */
    enum output_form form;
    bool verbose;
    bool interrupted; /* SIGINT or SIGTERM came while a command that watches waited */
    struct terminal terminal;
};

/* Parses argv.  OK; or EXIT_USAGE after printing what is wrong; or -1 when help was printed. */
int cli_parse(struct cli *cli, int argc, char **argv);

/* The last value given for a flag; NULL when it was not given. */
const char *cli_value(const struct cli *cli, const char *flag);
/* The n-th (from 0) value given for a repeated flag; NULL when there are fewer. */
const char *cli_nth(const struct cli *cli, const char *flag, size_t n);
bool cli_has(const struct cli *cli, const char *flag);
/* A switch: given, and not as --flag=false. */
bool cli_is_on(const struct cli *cli, const char *flag);
/* A number from 1 to max; *number stays as it is when the flag was not given.  OK or EXIT_USAGE. */
int cli_number(const struct cli *cli, const char *flag, unsigned max, unsigned *number);
/* The same for a duration such as 500ms, 10s, 5m, 2h, 7d. */
int cli_duration(const struct cli *cli, const char *flag, uint64_t *ns);
/* False: not a duration. */
bool duration_parse(const char *text, uint64_t *ns);

/* Asks on the terminal whether `what` ("Drop 3 letters") shall be done, unless --yes was given.  OK;
 * EXIT_REFUSED for another answer than yes; EXIT_USAGE where nobody can be asked. */
int cli_confirm(const struct cli *cli, const char *what);
/* "tenantctl: …" on standard error; returns EXIT_USAGE. */
int cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
