/* Writes a service's C: server interface and dispatch table, client stubs. */
#ifndef PROTOC_GEN_RPC_EMIT_H
#define PROTOC_GEN_RPC_EMIT_H

#include "model.h"
#include "text.h"

/* gen/rpc/<service>.h, <service>.c and <service>_client.c */
void emit_header(const struct service_model *service, struct text *out);
void emit_server(const struct service_model *service, struct text *out);
void emit_client(const struct service_model *service, struct text *out);

/* "TenantService" → "tenant_service": file names and function prefixes. */
char *service_prefix(const struct service_model *service);
/* True for methods that handlers serve: unary and not marked unserved. */
bool method_is_served(const struct method_model *method);

#endif
