/* What a person or a script reads: tables, JSON and YAML on cli->out; errors on standard error. */
#ifndef TENANTCTL_OUTPUT_H
#define TENANTCTL_OUTPUT_H

#include "cli.h"

#include "client/channel.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include <jansson.h>

/* Prints one tenant in the chosen form. */
void output_tenant(const struct cli *cli, const Tenant__V1__Tenant *tenant);
/* A table with a line each. */
void output_tenants(const struct cli *cli, Tenant__V1__Tenant *const *tenants, size_t count);
/* A message in canonical proto3 JSON (lowerCamelCase, defaults left out); what a server sent without a JSON is
 * an object that says why.  New reference. */
json_t *message_json(struct arena *arena, const void *message);
/* Prints a value as JSON or YAML, and drops the reference. */
void output_value(const struct cli *cli, json_t *value);
/* The same as one of many: a line of JSON, or a YAML document. */
void output_line(const struct cli *cli, json_t *value);
/* A line of a table with a name and a value, which is cleaned. */
void output_row(const struct cli *cli, const char *name, const char *value);
/* Text filled up with blanks to a width. */
void output_cell(const struct cli *cli, const char *text, int width);

/* errors.c */
/* Explains the answer's error on standard error: reason, message, fields, advice, request id.  The exit status
 * that its gRPC status stands for. */
int output_refusal(struct cli *cli, const struct client_call *call);
/* Explains why there was no answer. */
int output_fault(struct cli *cli, const char *address);
/* With --verbose, on standard error: what the answer's metadata says. */
void output_metadata(struct cli *cli, const struct client_call *call);

#endif
