/*~ Who may call what, until tokens come: the certificate decides before anything of the body is read, then the
 * tenant that the request names must be the one that x-tenant-id names. */
#include "service/service.h"

#include "gen/errors.h"

#include <assert.h>

#define TENANT_HEADER "x-tenant-id"

static bool is_listed(const char *const *names, const char *name);

int service_gate(struct call *call)
{
    const struct method_policy *policy = &call->method->policy;
    if (!is_listed(policy->callers, call->caller)) {
        (void)call_refuse_with(call, CALLER_NOT_ALLOWED, "method", call->method->path);
        return call_refuse_with(call, CALLER_NOT_ALLOWED, "caller", call->caller);
    }
    struct slice header = call_metadata(call, TENANT_HEADER);
    call->has_tenant_header = header.data != NULL;
    if (policy->scope != METHOD_SCOPE_TENANT)
        return OK;
    if (!call->has_tenant_header)
        return is_listed(policy->header_optional, call->caller) ? OK : TENANT_HEADER_REQUIRED;
    /* malformed is as wrong as another tenant's, and tells a prober as little */
    return id_parse(ID_TENANT, header, &call->tenant_header) ? OK : TENANT_MISMATCH;
}

int service_match(struct call *call, const ProtobufCMessage *request)
{
    const struct rpc_method *method = call->method;
    if (method->tenant_ref == NULL)
        return OK;
    assert(method->policy.scope == METHOD_SCOPE_TENANT && method->tenant_field != NULL);
    struct slice text = method->tenant_ref(request);
    struct slice header = call_metadata(call, TENANT_HEADER);
    struct uuid tenant = call->tenant_header;
    if (text.size == 0)
        return call_refuse_field(call, INVALID_ARGUMENT, method->tenant_field, "must be set");
    bool same = call->has_tenant_header && slice_equal(text, header); /* which the gate has parsed */
    if (!same && !id_parse(ID_TENANT, text, &tenant))
        return call_refuse_field(call, INVALID_ARGUMENT, method->tenant_field,
                                 "must be \"tnt_\" and 26 Crockford base 32 digits");
    if (call->has_tenant_header && !uuid_equal(&tenant, &call->tenant_header))
        return TENANT_MISMATCH;
    call->tenant = tenant;
    id_format(ID_TENANT, &tenant, call->ctx.tenant_id);
    return OK;
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0 || strcmp(*names, "*") == 0)
            return true;
    }
    return false;
}
