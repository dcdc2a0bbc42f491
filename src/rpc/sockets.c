/* The registry of connections that channelz reads.  Ids grow, so the list is in their order; it is walked from
 * its head, which some thousand connections and an operator's questions allow. */
#include "rpc/sockets.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#include "rpc/traffic.h"
#include "tls/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SERVER_ID 1 /* one server per process */

struct socket_registry {
    pthread_mutex_t lock;
    struct list records;
    int64_t last_id;
    uint64_t gone[TRAFFIC_COUNTS]; /* of those that have left */
    uint64_t last_call_ns;         /* clock_now(), of those too */
};

static const struct socket_record *find(const struct socket_registry *registry, int64_t id);
static uint64_t count_of(const struct socket_record *record, int count);
static uint64_t time_of(const struct socket_record *record, int time);
static uint64_t wall_time(uint64_t then_ns);
static void copy_addresses(const struct socket_record *record, struct socket_view *view);
static void copy_address(const struct sockaddr_storage *address, struct socket_address *copy);
static void copy_traffic(const struct socket_record *record, struct socket_view *view);
static void copy_certificates(const struct tls_proof *proof, struct arena *arena,
                              struct socket_view *view);

struct socket_registry *socket_registry_new(void)
{
    struct socket_registry *registry = xcalloc(1, sizeof *registry);
    int rc = pthread_mutex_init(&registry->lock, NULL);
    assert(rc == 0);
    list_init(&registry->records);
    registry->last_id = SERVER_ID;
    return registry;
}

void socket_registry_free(struct socket_registry *registry)
{
    if (registry == NULL)
        return;
    assert(list_is_empty(&registry->records));
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

void sockets_enter(struct socket_registry *registry, struct socket_record *record)
{
    assert(record->id == 0 && record->fd >= 0);
    pthread_mutex_lock(&registry->lock);
    record->id = ++registry->last_id;
    list_push_back(&registry->records, &record->node);
    pthread_mutex_unlock(&registry->lock);
}

void sockets_leave(struct socket_registry *registry, struct socket_record *record)
{
    if (record->id == 0)
        return;
    pthread_mutex_lock(&registry->lock);
    list_remove(&registry->records, &record->node);
    for (int i = 0; i < TRAFFIC_COUNTS; i++)
        registry->gone[i] += count_of(record, i);
    uint64_t last = time_of(record, LAST_STREAM);
    registry->last_call_ns = last > registry->last_call_ns ? last : registry->last_call_ns;
    pthread_mutex_unlock(&registry->lock);
    record->id = 0;
}

void sockets_count_late(struct socket_registry *registry, enum traffic_count count)
{
    pthread_mutex_lock(&registry->lock);
    registry->gone[count]++;
    pthread_mutex_unlock(&registry->lock);
}

void sockets_view_server(struct socket_registry *registry, struct server_view *view)
{
    *view = (struct server_view){.id = SERVER_ID};
    pthread_mutex_lock(&registry->lock);
    memcpy(view->counts, registry->gone, sizeof view->counts);
    uint64_t last = registry->last_call_ns;
    for (struct list_node *node = list_first(&registry->records); node != NULL;
         node = list_next(&registry->records, node)) {
        const struct socket_record *record = list_entry(node, struct socket_record, node);
        if (record->listens)
            view->listener = record->id;
        for (int i = 0; i < TRAFFIC_COUNTS; i++)
            view->counts[i] += count_of(record, i);
        uint64_t own = time_of(record, LAST_STREAM);
        last = own > last ? own : last;
    }
    pthread_mutex_unlock(&registry->lock);
    view->last_call_ns = wall_time(last);
}

void sockets_list(struct socket_registry *registry, struct socket_page *page)
{
    page->count = 0;
    page->end = true;
    pthread_mutex_lock(&registry->lock);
    for (struct list_node *node = list_first(&registry->records); node != NULL;
         node = list_next(&registry->records, node)) {
        const struct socket_record *record = list_entry(node, struct socket_record, node);
        if (record->listens || record->id < page->start)
            continue;
        if (page->count == page->max) {
            page->end = false;
            break;
        }
        page->ids[page->count++] = record->id;
    }
    pthread_mutex_unlock(&registry->lock);
}

/* A socket is open, and its certificates are kept, until it has left, which waits for the lock. */
bool sockets_view(struct socket_registry *registry, struct arena *arena, struct socket_view *view)
{
    pthread_mutex_lock(&registry->lock);
    const struct socket_record *record = find(registry, view->id);
    if (record != NULL) {
        view->listens = record->listens;
        copy_addresses(record, view);
        view->peer = record->peer == NULL ? NULL : arena_strdup(arena, record->peer);
        view->cipher = record->proof == NULL ? NULL : tls_proof_cipher(record->proof);
        if (view->wants_certificates && record->proof != NULL)
            copy_certificates(record->proof, arena, view);
        copy_traffic(record, view);
    }
    pthread_mutex_unlock(&registry->lock);
    return record != NULL;
}

void socket_peer_name(int fd, struct socket_name *name)
{
    struct sockaddr_storage address;
    struct socket_address peer = {.size = 0};
    socklen_t size = sizeof address;
    *name = (struct socket_name){.port = 0};
    if (getpeername(fd, (struct sockaddr *)&address, &size) == 0)
        copy_address(&address, &peer);
    int family = peer.size == sizeof(struct in_addr) ? AF_INET : AF_INET6;
    if (peer.size > 0 &&
        inet_ntop(family, peer.bytes, name->address, sizeof name->address) != NULL)
        name->port = peer.port;
}

static const struct socket_record *find(const struct socket_registry *registry, int64_t id)
{
    for (struct list_node *node = list_first(&registry->records); node != NULL;
         node = list_next(&registry->records, node)) {
        const struct socket_record *record = list_entry(node, struct socket_record, node);
        if (record->id == id)
            return record;
    }
    return NULL;
}

static uint64_t count_of(const struct socket_record *record, int count)
{
    return atomic_load_explicit(&record->traffic.counts[count], memory_order_relaxed);
}

static uint64_t time_of(const struct socket_record *record, int time)
{
    return atomic_load_explicit(&record->traffic.times[time], memory_order_relaxed);
}

/* Of a clock_now() time; 0 stays 0. */
static uint64_t wall_time(uint64_t then_ns)
{
    uint64_t now = clock_now();
    return then_ns == 0 ? 0 : clock_wall() - (now > then_ns ? now - then_ns : 0);
}

static void copy_addresses(const struct socket_record *record, struct socket_view *view)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    view->local.size = view->remote.size = 0;
    if (getsockname(record->fd, (struct sockaddr *)&address, &size) == 0)
        copy_address(&address, &view->local);
    size = sizeof address;
    if (!record->listens && getpeername(record->fd, (struct sockaddr *)&address, &size) == 0)
        copy_address(&address, &view->remote);
}

static void copy_address(const struct sockaddr_storage *address, struct socket_address *copy)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->ss_family == AF_INET) {
        copy->size = sizeof v4->sin_addr;
        copy->port = ntohs(v4->sin_port);
        memcpy(copy->bytes, &v4->sin_addr, copy->size);
    } else if (address->ss_family == AF_INET6) {
        copy->size = sizeof v6->sin6_addr;
        copy->port = ntohs(v6->sin6_port);
        memcpy(copy->bytes, &v6->sin6_addr, copy->size);
    }
}

static void copy_traffic(const struct socket_record *record, struct socket_view *view)
{
    for (int i = 0; i < TRAFFIC_COUNTS; i++)
        view->counts[i] = count_of(record, i);
    for (int i = 0; i < TRAFFIC_TIMES; i++)
        view->times[i] = wall_time(time_of(record, i));
    for (int i = 0; i < TRAFFIC_WINDOWS; i++)
        view->windows[i] = atomic_load_explicit(&record->traffic.windows[i], memory_order_relaxed);
}

static void copy_certificates(const struct tls_proof *proof, struct arena *arena,
                              struct socket_view *view)
{
    struct buf der = BUF_EMPTY;
    tls_proof_certificate(proof, false, &der);
    view->own_certificate =
        slice_make(arena_strndup(arena, buf_slice(&der).data, buf_size(&der)), buf_size(&der));
    buf_clear(&der);
    tls_proof_certificate(proof, true, &der);
    view->peer_certificate =
        slice_make(arena_strndup(arena, buf_slice(&der).data, buf_size(&der)), buf_size(&der));
    buf_deinit(&der);
}
