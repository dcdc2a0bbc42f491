/* Text being generated, and protobuf-c's way of naming things. */
#ifndef PROTOC_GEN_RPC_TEXT_H
#define PROTOC_GEN_RPC_TEXT_H

#include <stddef.h>

struct text {
    char *data; /* zero-terminated, owned */
    size_t size;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ".tenant.v1.GetTenantRequest" → "Tenant__V1__GetTenantRequest". */
char *name_of_type(const char *full_name);
/* ".tenant.v1.GetTenantRequest" → "tenant__v1__get_tenant_request". */
char *name_of_functions(const char *full_name);
/* "GetTenant" → "get_tenant". */
char *name_snake(const char *camel);

/* printf into fresh memory. */
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
