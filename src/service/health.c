/* grpc.health.v1.Health/Check: serving until the drain begins.  A lost dependency does not count, as all
 * replicas share it. */
#include "service/health.h"

#include "gen/errors.h"

#include "gen/rpc/tenant_service.h"

#include <assert.h>

static int health_check_handler(struct call *call, const Grpc__Health__V1__HealthCheckRequest *in,
                                Grpc__Health__V1__HealthCheckResponse *out);

const struct health_server health_handlers = {.check = health_check_handler};

static int health_check_handler(struct call *call, const Grpc__Health__V1__HealthCheckRequest *in,
                                Grpc__Health__V1__HealthCheckResponse *out)
{
    const struct service_env *env = call->service;
    assert(env->is_serving != NULL);
    bool known = in->service[0] == '\0' || strcmp(in->service, tenant_service_rpc.name) == 0 ||
                 strcmp(in->service, health_rpc.name) == 0;
    if (!known) /* "If the service name is not registered, the server returns a NOT_FOUND status" */
        return SERVICE_UNKNOWN;
    out->status = env->is_serving(env->state)
                      ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                      : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return OK;
}
