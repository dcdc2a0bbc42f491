/* What one connection counts for channelz, and its place in the registry.  Written by its worker alone. */
#ifndef RPC_TRAFFIC_H
#define RPC_TRAFFIC_H

#include "base/list.h"

#include "rpc/sockets.h"

#include <stdatomic.h>
#include <stdint.h>

struct tls_proof;

struct traffic {
    atomic_uint_least64_t counts[TRAFFIC_COUNTS];
    atomic_uint_least64_t times[TRAFFIC_TIMES]; /* clock_now() */
    atomic_int_least64_t windows[TRAFFIC_WINDOWS];
};

/* Members are const while it is entered, but for the traffic. */
struct socket_record {
    struct list_node node; /* in the registry, by id */
    int64_t id;            /* given by sockets_enter() */
    int fd;                /* open while it is entered */
    bool listens;
    const char *peer;        /* borrowed; NULL: none */
    struct tls_proof *proof; /* borrowed; NULL without TLS */
    struct traffic traffic;
};

/* One writer: no locked instruction is needed. */
static inline void traffic_count(struct traffic *traffic, enum traffic_count count)
{
    uint64_t before = atomic_load_explicit(&traffic->counts[count], memory_order_relaxed);
    atomic_store_explicit(&traffic->counts[count], before + 1, memory_order_relaxed);
}

static inline void traffic_count_at(struct traffic *traffic, enum traffic_count count,
                                    enum traffic_time time, uint64_t now_ns)
{
    traffic_count(traffic, count);
    atomic_store_explicit(&traffic->times[time], now_ns, memory_order_relaxed);
}

struct socket_registry *socket_registry_new(void);
void socket_registry_free(struct socket_registry *registry); /* accepts NULL; all must have left */
void sockets_enter(struct socket_registry *registry, struct socket_record *record);
/* Its counts stay in the server's.  Nothing happens when it was not entered. */
void sockets_leave(struct socket_registry *registry, struct socket_record *record);
/* A call that ended after its connection had left. */
void sockets_count_late(struct socket_registry *registry, enum traffic_count count);

#endif
