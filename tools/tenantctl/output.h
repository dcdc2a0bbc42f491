/* What a person or a script reads: tables, JSON, errors with reason and advice. */
#ifndef TENANTCTL_OUTPUT_H
#define TENANTCTL_OUTPUT_H

#include "cli.h"
#include "client/channel.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

#include <jansson.h>

/* Prints one tenant in the chosen form. */
void output_tenant(const struct cli *cli, const Tenant__V1__Tenant *tenant);
/* The tenant in canonical proto3 JSON (lowerCamelCase, defaults left out).  New reference. */
json_t *tenant_json(const Tenant__V1__Tenant *tenant);
/* Prints a JSON value as one line (`lines` true) or indented, and drops the reference. */
void output_json(json_t *value, bool line);

/* Explains the answer's error on standard error: reason, message, fields, advice, request id. */
int output_refusal(const struct client_call *call);
/* Explains why there was no answer. */
int output_fault(struct ctx *ctx, const char *address);

#endif
