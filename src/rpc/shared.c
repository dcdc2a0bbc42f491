/* Counts over all workers: connections in total and per identity, the bytes they hold, who offended.
 *
 * An identity has an entry while it has connections, so there are no more entries than connections. */
#include "base/alloc.h"

#include "rpc/rpc_int.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct identity_count {
    struct list_node node;
    char *key;            /* owned */
    uint32_t connections; /* never 0 between two calls */
};

struct rpc_shared {
    _Atomic uint32_t connections;
    _Atomic size_t memory;           /* bytes that connections hold */
    struct socket_registry *sockets; /* owned */
    struct offenders *offenders;     /* owned */
    pthread_mutex_t lock;            /* guards the list */
    struct list identities;          /* of struct identity_count, owned */
};

static struct identity_count *identity_find(struct rpc_shared *shared, const char *key);
static struct identity_count *identity_new(struct rpc_shared *shared, const char *key);

struct rpc_shared *rpc_shared_new(void)
{
    struct rpc_shared *shared = xcalloc(1, sizeof *shared);
    pthread_mutex_init(&shared->lock, NULL);
    list_init(&shared->identities);
    shared->sockets = socket_registry_new();
    shared->offenders = offenders_new();
    return shared;
}

void rpc_shared_free(struct rpc_shared *shared)
{
    if (shared == NULL)
        return;
    assert(list_is_empty(&shared->identities));
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

/* Any thread.  Once per connection, so a lock and a walk over those that have some are cheap enough. */
bool shared_identity_enter(struct rpc_shared *shared, const char *key, uint32_t limit)
{
    pthread_mutex_lock(&shared->lock);
    struct identity_count *count = identity_find(shared, key);
    bool fits = (count == NULL ? 0 : count->connections) < limit;
    if (fits && count == NULL)
        count = identity_new(shared, key);
    if (fits)
        count->connections++;
    pthread_mutex_unlock(&shared->lock);
    return fits;
}

void shared_identity_leave(struct rpc_shared *shared, const char *key)
{
    pthread_mutex_lock(&shared->lock);
    struct identity_count *count = identity_find(shared, key);
    assert(count != NULL && count->connections > 0);
    if (--count->connections == 0) {
        list_remove(&shared->identities, &count->node);
        free(count->key);
        free(count);
    }
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

static struct identity_count *identity_find(struct rpc_shared *shared, const char *key)
{
    const struct list *identities = &shared->identities;
    for (struct list_node *node = list_first(identities); node != NULL;
         node = list_next(identities, node)) {
        struct identity_count *count = list_entry(node, struct identity_count, node);
        if (strcmp(count->key, key) == 0)
            return count;
    }
    return NULL;
}

static struct identity_count *identity_new(struct rpc_shared *shared, const char *key)
{
    struct identity_count *count = xcalloc(1, sizeof *count);
    count->key = xstrdup(key);
    list_push_back(&shared->identities, &count->node);
    return count;
}
