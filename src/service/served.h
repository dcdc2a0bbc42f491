/* What this program serves: health, reflection and the registrations agree on it. */
#ifndef SERVICE_SERVED_H
#define SERVICE_SERVED_H

#include "rpc/rpc.h"

#define SERVED_COUNT 5

/* In the order in which tools list them. */
extern const struct rpc_service *const served_services[SERVED_COUNT];

#endif
