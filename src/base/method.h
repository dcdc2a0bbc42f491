/* What the generator knows of an RPC method: its path, its policy, its messages, how to call its handler.
 * The tables stand in gen/rpc; the policies stand in the protos (tenant.options.v1.MethodPolicy). */
#ifndef BASE_METHOD_H
#define BASE_METHOD_H

#include "base/slice.h"

#include <protobuf-c/protobuf-c.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* METHOD_SCOPE_PLATFORM: no tenant; every call is recorded in the platform's audit. */
enum method_scope {
    METHOD_SCOPE_TENANT = 1, /* the request names one tenant; x-tenant-id must match it */
    METHOD_SCOPE_PLATFORM = 2,
};

enum method_access {
    METHOD_ACCESS_READ = 1, /* no side effects */
    METHOD_ACCESS_WRITE = 2,
};

/* Who may call a method and how; checked by the gate before the body is decoded.  All zero where the service is
 * somebody else's, which we only call. */
struct method_policy {
    const char *permission;
    enum method_scope scope;
    enum method_access access;
    const char *const *callers;         /* identity names, NULL-terminated; "*": any certificate */
    const char *const *header_optional; /* who may leave out x-tenant-id, NULL-terminated */
    uint32_t default_deadline_ms;       /* 0: the configured default */
    uint32_t max_request_bytes;         /* 0: the configured limit */
    const char *rate_class;
    bool unserved; /* in the contract, not served here: UNIMPLEMENTED */
};

/* One per method, const, generated; lives as long as the program. */
struct rpc_method {
    const char *path;    /* ":path" exactly: "/tenant.v1.TenantService/GetTenant" */
    const char *service; /* "tenant.v1.TenantService" */
    const char *name;    /* "GetTenant" */
    struct method_policy policy;
    bool client_streaming;
    bool server_streaming;
    bool no_side_effects; /* idempotency_level = NO_SIDE_EFFECTS: may be asked with GET */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    /* Calls the handler of `server` (the service's generated struct of functions) with messages of the two
     * types; `in` is NULL where the client streams, `out` where the server does.  NULL: not served. */
    int (*invoke)(const void *server, struct call *call, const ProtobufCMessage *in,
                  ProtobufCMessage *out);
    /* The text of the field marked `tenant_ref`, "" when it is not set; NULL where the request names none. */
    struct slice (*tenant_ref)(const ProtobufCMessage *in);
    const char *tenant_field; /* its path, "tenant.tenant_id"; NULL where there is none */
};

/* All methods of one service. */
struct rpc_service {
    const char *name; /* "tenant.v1.TenantService" */
    const struct rpc_method *methods;
    size_t method_count;
};

#endif
