/* tenant.v1.TenantService. */
#ifndef SERVICE_TENANTS_H
#define SERVICE_TENANTS_H

#include "service/service.h"

#include "gen/rpc/tenant_service.h"

extern const struct tenant_service_server tenant_handlers;

#endif
