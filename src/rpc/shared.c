/* Counts over all workers: connections in total and per identity, the bytes they hold, who offended.
 *
 * The table only grows: an entry is some tens of bytes, and our own authority says who gets
 * one. */
#include "base/alloc.h"

#include "rpc/rpc_int.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

/* Certificates come from our own authority, so identities are few; beyond this many they share one count. */
#define IDENTITIES_MAX 256

struct identity_count {
    char *key; /* owned */
    uint32_t connections;
};

struct rpc_shared {
    _Atomic uint32_t connections;
    _Atomic size_t memory;           /* bytes that connections hold */
    struct socket_registry *sockets; /* owned */
    struct offenders *offenders;     /* owned */
    pthread_mutex_t lock;            /* guards the table */
    struct identity_count table[IDENTITIES_MAX];
    size_t used;
};

static struct identity_count *identity_find(struct rpc_shared *shared, const char *key);

struct rpc_shared *rpc_shared_new(void)
{
    struct rpc_shared *shared = xcalloc(1, sizeof *shared);
    pthread_mutex_init(&shared->lock, NULL);
    shared->sockets = socket_registry_new();
    shared->offenders = offenders_new();
    return shared;
}

void rpc_shared_free(struct rpc_shared *shared)
{
    if (shared == NULL)
        return;
    for (size_t i = 0; i < shared->used; i++)
        free(shared->table[i].key);
    pthread_mutex_destroy(&shared->lock);
    socket_registry_free(shared->sockets);
    offenders_free(shared->offenders);
    free(shared);
}

struct socket_registry *rpc_shared_sockets(struct rpc_shared *shared)
{
    return shared->sockets;
}

struct offenders *shared_offenders(struct rpc_shared *shared)
{
    return shared->offenders;
}

/* Any thread.  Once per connection, so a lock is cheap enough. */
bool shared_identity_enter(struct rpc_shared *shared, const char *key, uint32_t limit)
{
    pthread_mutex_lock(&shared->lock);
    struct identity_count *count = identity_find(shared, key);
    bool fits = count->connections < limit;
    count->connections += fits;
    pthread_mutex_unlock(&shared->lock);
    return fits;
}

void shared_identity_leave(struct rpc_shared *shared, const char *key)
{
    pthread_mutex_lock(&shared->lock);
    struct identity_count *count = identity_find(shared, key);
    assert(count->connections > 0);
    count->connections--;
    pthread_mutex_unlock(&shared->lock);
}

/* Adds first and takes back: two threads at the limit may both be refused, never both let in. */
bool shared_connection_enter(struct rpc_shared *shared, uint32_t limit)
{
    if (atomic_fetch_add(&shared->connections, 1) < limit)
        return true;
    atomic_fetch_sub(&shared->connections, 1);
    return false;
}

void shared_connection_leave(struct rpc_shared *shared)
{
    uint32_t before = atomic_fetch_sub(&shared->connections, 1);
    assert(before > 0);
}

void shared_memory_change(struct rpc_shared *shared, size_t before, size_t now)
{
    if (now == before)
        return;
    size_t all = atomic_fetch_add_explicit(&shared->memory, now - before, memory_order_relaxed);
    assert(all >= before); /* the sum of all that was added */
}

size_t shared_memory(const struct rpc_shared *shared)
{
    return atomic_load_explicit(&shared->memory, memory_order_relaxed);
}

/* A greedy client must not have the modest ones refused. */
bool shared_memory_is_used_up(const struct rpc_shared *shared, size_t limit, size_t own)
{
    size_t all = shared_memory(shared);
    if (all < limit)
        return false;
    uint32_t count = atomic_load_explicit(&shared->connections, memory_order_relaxed);
    return count == 0 || own >= all / count;
}

/* The entry, made when there is room; the last one stands for all that found none. */
static struct identity_count *identity_find(struct rpc_shared *shared, const char *key)
{
    for (size_t i = 0; i < shared->used; i++) {
        if (strcmp(shared->table[i].key, key) == 0)
            return &shared->table[i];
    }
    if (shared->used == IDENTITIES_MAX)
        return &shared->table[IDENTITIES_MAX - 1];
    struct identity_count *count = &shared->table[shared->used++];
    count->key = xstrdup(key);
    return count;
}
