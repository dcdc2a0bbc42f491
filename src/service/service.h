/* The RPC services: what each call means in terms of domain, store, cache and events.
 *
 * Handlers run in tasks and read as straight-line code.  They never see a socket, a frame or a library. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "domain/tenant.h"
#include "rpc/call.h"
#include "service/service_metrics.h"

#include <protobuf-c/protobuf-c.h>

#include <stdbool.h>

struct store;
struct cache;
struct event_source;
struct token_keys;
struct socket_registry;

/* A worker's environment of all handlers: call->service. */
struct service_env {
    struct store *store;               /* the worker's connections */
    struct cache *cache;               /* the worker's caches */
    const struct event_source *source; /* who we are, in events */
    enum region region;                /* where this replica runs */
    struct token_keys *token_keys;     /* of consistency and page tokens; shared by the process */
    uint64_t freshness_ns;          /* how old a cached answer may be: a suspension waits as long */
    uint64_t consistency_wait_ns;   /* how long a read waits for what its token stands for */
    uint64_t idempotency_ttl_ns;    /* how long an answer is kept under its key */
    struct service_metrics metrics; /* the worker's series */
    void (*wake_relay)(void *relay); /* called after a commit that left events; NULL: none here */
    void *relay;
    bool (*is_serving)(void *state); /* for grpc.health.v1: not starting, not draining */
    void *state;
    struct socket_registry *sockets; /* the connections of the process, for grpc.channelz.v1 */
};

/* The checks on metadata alone, before anything of the body is decoded: may this caller call this method,
 * and did it bring the tenant header that its identity must bring?
 * Refusals: CALLER_NOT_ALLOWED, TENANT_HEADER_REQUIRED, TENANT_MISMATCH. */
int service_gate(struct call *call) MUST_CHECK;

/* The tenant match, after unpacking and before cache or SQL: the tenant that the request names and
 * x-tenant-id must be the same.  Sets call->tenant.
 * Refusals: INVALID_ARGUMENT (with the field), TENANT_MISMATCH. */
int service_match(struct call *call, const ProtobufCMessage *request) MUST_CHECK;

#endif
