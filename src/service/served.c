/* The services of this program; see served.h. */
#include "service/served.h"

#include "gen/rpc/channelz.h"
#include "gen/rpc/health.h"
#include "gen/rpc/server_reflection.h"
#include "gen/rpc/server_reflection_v1alpha.h"
#include "gen/rpc/tenant_service.h"

const struct rpc_service *const served_services[SERVED_COUNT] = {
    &tenant_service_rpc, &health_rpc, &server_reflection_rpc, &server_reflection_v1alpha_rpc,
    &channelz_rpc,
};
