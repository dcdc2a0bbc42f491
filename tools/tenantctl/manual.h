/* What tenantctl says about itself: --help, completion scripts and man pages, all from the tables of
 * commands and flags. */
#ifndef TENANTCTL_MANUAL_H
#define TENANTCTL_MANUAL_H

#include "cli.h"

#include <stdio.h>

/* A name and what it means, for the sections that are not about flags.  Tables end with a NULL name. */
struct manual_item {
    const char *name;
    const char *text;
};

extern const struct manual_item exit_texts[];
extern const struct manual_item environment_texts[];
extern const struct manual_item file_texts[];
/* The paragraph that opens the program's help and its man page. */
extern const char *const program_text;
/* How one value of a setting wins over the others. */
extern const char *const precedence_text;

/* --help at its three levels. */
void help_program(FILE *out);
void help_group(const char *group, FILE *out);
void help_command(const struct command *command);

/* NULL when there is none. */
const struct command *command_find(const char *group, const char *name);

/* tenantctl completion bash|zsh: prints a script that asks completion_answer(). */
int completion_command(struct cli *cli);
/* tenantctl __complete WORD...: one candidate a line, "word<TAB>help", for the last word; ":files" where a file
 * is wanted. */
int completion_answer(int argc, char **argv);
/* tenantctl version; main.c */
int version_show(struct cli *cli);
/* tenantctl man DIR */
int man_command(struct cli *cli);

#endif
