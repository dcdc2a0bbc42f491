/* Which events a command is about: its flags --tenant, --type, --since and --until. */
#ifndef TENANTCTL_EVENT_SELECT_H
#define TENANTCTL_EVENT_SELECT_H

#include "cli.h"

struct event_select {
    bool has_tenant;
    char tenant[ID_TEXT_SIZE]; /* "" without one */
    unsigned only;             /* the tenant's partition */
    const char *type;          /* "tenant.org.updated" or with its version; NULL: all */
    uint64_t since_ns;         /* wall clock; 0: from the beginning */
    uint64_t until_ns;         /* UINT64_MAX: to the end */
};

/* Reads the flags that the command has.  OK, or EXIT_USAGE after naming the flag and the rule. */
int event_select_take(struct cli *cli, struct event_select *out);
/* A moment: a length of time before now ("2h"), or a date.  *ns stays as it is without the flag. */
int event_select_time(const struct cli *cli, const char *flag, uint64_t *ns);
/* Whether an event of this type and version is of the type that was asked for. */
bool event_select_type(const struct event_select *select, const char *name, unsigned version);
/* The same for "tenant.org.updated.v1". */
bool event_select_subject(const struct event_select *select, struct slice type_and_version);

#endif
