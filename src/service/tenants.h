/* tenant.v1.TenantService. */
#ifndef SERVICE_TENANTS_H
#define SERVICE_TENANTS_H

#include "service/service.h"

#include "gen/rpc/tenant_service.h"

extern const struct tenant_service_server tenant_handlers;

/* tenant_list.c */
int tenants_list(struct call *call, const Tenant__V1__ListTenantsRequest *in,
                 Tenant__V1__ListTenantsResponse *out) MUST_CHECK;
/* tenant_states.c */
int tenants_suspend(struct call *call, const Tenant__V1__SuspendTenantRequest *in,
                    Tenant__V1__SuspendTenantResponse *out) MUST_CHECK;
int tenants_reactivate(struct call *call, const Tenant__V1__ReactivateTenantRequest *in,
                       Tenant__V1__ReactivateTenantResponse *out) MUST_CHECK;
int tenants_close(struct call *call, const Tenant__V1__CloseTenantRequest *in,
                  Tenant__V1__CloseTenantResponse *out) MUST_CHECK;

#endif
