/* tenantctl's frame: commands and flags as tables, from which parsing and every --help text come. */
#ifndef TENANTCTL_CLI_H
#define TENANTCTL_CLI_H

#include "base/ctx.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses, documented in --help. */
enum exit_status {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,     /* the service answered with an error */
    EXIT_USAGE = 2,       /* the command line or the configuration is wrong */
    EXIT_UNREACHABLE = 3, /* no answer: connection, TLS or deadline */
};

struct flag {
    const char *name;  /* without the dashes */
    const char *value; /* what stands for the value in help; NULL: a switch */
    const char *help;  /* one sentence */
    bool repeated;     /* may be given several times */
};

struct cli;

struct command {
    const char *group;        /* "tenant"; NULL: a command of its own */
    const char *name;         /* "create" */
    const char *argument;     /* the one positional argument, "TENANT_ID"; NULL: none */
    const char *summary;      /* one line */
    const char *details;      /* further help text; may be NULL */
    const struct flag *flags; /* own flags, ended by a NULL name; may be NULL */
    int (*run)(struct cli *cli);
};

/* Ended by a NULL name; main.c. */
extern const struct command commands[];
extern const struct flag global_flags[];

/* One parsed command line. */
struct cli {
    const struct command *command;
    const char *argument;       /* the positional argument, NULL when there is none */
    struct given *given;        /* flags as given, in order */
    size_t given_count;
    struct arena *arena;
    struct ctx ctx;             /* plain thread, no deadline: each call has its own */
    struct ctl_settings *settings;
};

struct given {
    const struct flag *flag;
    const char *value; /* "true" for a switch */
};

/* Parses argv.  OK; or EXIT_USAGE after printing what is wrong; or -1 when help was printed. */
int cli_parse(struct cli *cli, int argc, char **argv);

/* The last value given for a flag; NULL when it was not given. */
const char *cli_value(const struct cli *cli, const char *flag);
/* The n-th (from 0) value given for a repeated flag; NULL when there are fewer. */
const char *cli_nth(const struct cli *cli, const char *flag, size_t n);
bool cli_has(const struct cli *cli, const char *flag);

/* "tenantctl: …" on standard error; returns EXIT_USAGE. */
int cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
