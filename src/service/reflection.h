/* grpc.reflection.v1 and v1alpha: what tools that know no proto ask for. */
#ifndef SERVICE_REFLECTION_H
#define SERVICE_REFLECTION_H

#include "service/service.h"

#include "gen/rpc/server_reflection.h"
#include "gen/rpc/server_reflection_v1alpha.h"

extern const struct server_reflection_server reflection_handlers;
extern const struct server_reflection_v1alpha_server reflection_v1alpha_handlers;

#endif
