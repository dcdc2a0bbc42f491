/* Finds a schema by what a person calls it. */
#ifndef TENANTCTL_SCHEMA_FIND_H
#define TENANTCTL_SCHEMA_FIND_H

#include "cli.h"
#include "schema_text.h"

struct found_schema {
    const char *uri;      /* its address; of a file the file's name */
    const char *event;    /* "tenant.org.updated.v1"; "" of a file */
    const char *message;  /* the payload; "" of a file */
    const char *status;   /* "released", "superseded", "draft" or "file" */
    const char *releases; /* separated by blanks */
    const char *text;
    struct schema_text parsed;
};

/* `name` is an address (the hash may be left out), an event with or without its version, a payload
 * message, the beginning of a hash (7 digits at least), or a file with a schema's text.  The flag --registry
 * names another folder like contracts/schemas, which is looked into for addresses that are not built in.
 * OK; EXIT_NOT_FOUND, EXIT_BROKEN or EXIT_USAGE after saying why not. */
int schema_find(struct cli *cli, const char *name, struct found_schema *out);

#endif
