/* connectrpc.conformance.v1.ConformanceService: what the suite wants from the server under test. */
#ifndef TESTS_CONFORMANCE_CONNECT_SERVICE_H
#define TESTS_CONFORMANCE_CONNECT_SERVICE_H

#include "base/method.h"

#include "protojson/protojson.h"

extern const struct rpc_service conformance_service;
/* What an Any may hold in JSON: every message of the service. */
extern const struct protojson_types conformance_types;

#endif
