/* grpc.health.v1.Health: what load balancers and tenantctl ask. */
#ifndef SERVICE_HEALTH_H
#define SERVICE_HEALTH_H

#include "service/service.h"

#include "gen/rpc/health.h"

extern const struct health_server health_handlers;

#endif
