/* Accepts, sends everybody through the door, and hands who has passed to the worker with the fewest
 * connections.
 *
 * One accept queue for all workers instead of SO_REUSEPORT: HTTP/2 connections live long, and
 * the kernel's hash would leave one worker with twice the connections of another for as long.
 * Runs on one loop; touches workers through their any-thread functions only. */
#include "base/alloc.h"

#include "rpc/rpc_int.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* the kernel caps it at net.core.somaxconn */
#define BACKLOG 512
#define ACCEPTS_PER_TURN 32
#define SILENT_FACTOR 10 /* 22 us without a word, 1.3 ms with a handshake: docs/performance.md */
#define PAUSE_NS                                                                                   \
    (50 * NS_PER_MS) /* without descriptors or tokens: the kernel's queue waits for us */

struct rpc_listener {
    struct loop *loop;
    int fd;
    struct io *io;
    struct timer *resume; /* ends a pause */
    uint16_t port;
    struct rpc_worker **workers; /* owned array */
    size_t worker_count;
    struct rpc_shared *shared;
    struct door *door;
    struct metrics *metrics;
    const struct log *log;
    struct rpc_limits limits;
    struct budget accepts;  /* of those who may talk, that is, shake hands … */
    struct budget attempts; /* … and of all */
    struct log_interval trouble;
    struct socket_record record; /* for channelz */
};

static int bind_socket(struct ctx *ctx, struct rpc_listener *listener,
                       const struct rpc_listener_settings *settings);
static void open_door(struct rpc_listener *listener, struct tls_context *tls);
static void on_readable(void *owner, unsigned events);
static bool may_accept(struct rpc_listener *listener);
static size_t silent_max(const struct rpc_limits *limits);
static void on_silent_end(void *owner);
static bool is_memory_short(const struct rpc_listener *listener);
static void on_resume(void *owner);
static void pause_accepting(struct rpc_listener *listener, const char *limit);
static void take_in(struct rpc_listener *listener, int fd, const struct sockaddr_storage *from);
static void on_admitted(void *owner, struct arrival *arrival);
static uint16_t bound_port(int fd);

int rpc_listener_open(struct ctx *ctx, struct loop *loop,
                      const struct rpc_listener_settings *settings, struct rpc_listener **out)
{
    assert(settings->worker_count > 0);
    struct rpc_listener *listener = xcalloc(1, sizeof *listener);
    listener->fd = -1;
    int rc = bind_socket(ctx, listener, settings);
    if (rc != OK) {
        if (listener->fd >= 0)
            close(listener->fd);
        free(listener);
        return rc;
    }
    listener->loop = loop;
    listener->port = bound_port(listener->fd);
    listener->worker_count = settings->worker_count;
    listener->workers = xcalloc(settings->worker_count, sizeof(struct rpc_worker *));
    memcpy(listener->workers, settings->workers,
           settings->worker_count * sizeof(struct rpc_worker *));
    listener->shared = settings->shared;
    listener->metrics = settings->metrics;
    listener->log = settings->log;
    listener->limits = *settings->limits;
    open_door(listener, settings->tls);
    listener->resume = timer_new(loop, on_resume, listener);
    listener->io = io_open(loop, listener->fd);
    io_watch(listener->io, IO_READ, on_readable, listener);
    listener->record = (struct socket_record){.fd = listener->fd, .listens = true};
    sockets_enter(rpc_shared_sockets(listener->shared), &listener->record);
    *out = listener;
    return OK;
}

uint16_t rpc_listener_port(const struct rpc_listener *listener)
{
    return listener->port;
}

void rpc_listener_set_limits(struct rpc_listener *listener, const struct rpc_limits *limits)
{
    listener->limits = *limits;
    door_set_limits(listener->door, limits);
}

void rpc_listener_close(struct rpc_listener *listener)
{
    if (listener == NULL)
        return;
    sockets_leave(rpc_shared_sockets(listener->shared), &listener->record);
    door_close(listener->door);
    io_close(listener->io);
    timer_free(listener->resume);
    close(listener->fd);
    free(listener->workers);
    free(listener);
}

static void open_door(struct rpc_listener *listener, struct tls_context *tls)
{
    const struct door_settings settings = {
        .loop = listener->loop,
        .tls = tls,
        .shared = listener->shared,
        .metrics = listener->metrics,
        .log = listener->log,
        .limits = &listener->limits,
        .admit = on_admitted,
        .left_silently = on_silent_end,
        .owner = listener,
    };
    listener->door = door_open(&settings);
}

/* SO_REUSEADDR: a restart must not wait for the TIME_WAIT of the last life's connections. */
static int bind_socket(struct ctx *ctx, struct rpc_listener *listener,
                       const struct rpc_listener_settings *settings)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(settings->port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(settings->port)};
    bool is_v4 = inet_pton(AF_INET, settings->address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, settings->address, &v6.sin6_addr) != 1)
        return FAULT(ctx, FAULT_CONFIG, "server.address \"%s\": expected a numeric IP address",
                     settings->address);
    listener->fd =
        socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (listener->fd >= 0)
        (void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    const struct sockaddr *address = is_v4 ? (const void *)&v4 : (const void *)&v6;
    socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
    if (listener->fd < 0 || bind(listener->fd, address, size) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return FAULT(ctx, FAULT_IO,
                     "grpc port %s:%u: %s; set server.port or TENANT_SERVER_PORT to another",
                     settings->address, settings->port, strerror(errno));
    return OK;
}

/* The token is taken before accepting: a connection over the rate waits in the kernel's queue
 * and costs us nothing, while one accepted and closed costs a handshake of the client. */
static void on_readable(void *owner, unsigned events)
{
    (void)events;
    struct rpc_listener *listener = owner;
    if (is_memory_short(listener)) {
        pause_accepting(listener, "connection_memory");
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (!may_accept(listener)) {
            pause_accepting(listener, "accepts_per_second");
            return;
        }
        struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof from;
        int fd = accept4(listener->fd, (struct sockaddr *)&from, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_in(listener, fd, &from);
            continue;
        }
        listener->accepts.tokens += 1; /* nothing was accepted */
        listener->attempts.tokens += 1;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(listener, "descriptors");
        return;
    }
}

/* Those who have said nothing yet make way: they hold what a handshake may cost, and places of others. */
static bool may_accept(struct rpc_listener *listener)
{
    uint32_t rate = listener->limits.accepts_per_second;
    uint32_t all = SILENT_FACTOR * rate;
    uint64_t now = clock_now();
    if (!budget_take(&listener->attempts, all, all, now))
        return false;
    bool fits = door_silent(listener->door) < silent_max(&listener->limits) ||
                door_make_room(listener->door);
    if (fits &&
        (budget_take(&listener->accepts, rate, rate, now) ||
         (door_make_room(listener->door) && budget_take(&listener->accepts, rate, rate, now))))
        return true;
    listener->attempts.tokens += 1;
    return false;
}

/* Two seconds' handshakes, should all of them talk at once, and a quarter of the places; more than one turn
 * accepts before it looks at what they say. */
static size_t silent_max(const struct rpc_limits *limits)
{
    size_t by_rate = (size_t)2 * limits->accepts_per_second;
    size_t by_total = ACCEPTS_PER_TURN + limits->connections_total / 4;
    return by_rate < by_total ? by_rate : by_total;
}

static void on_silent_end(void *owner)
{
    struct rpc_listener *listener = owner;
    listener->accepts.tokens += 1;
}

/* From nine tenths on: the rest is for what those that are in have under way.  Looked at once per turn, so that
 * one turn's accepts may come on top, and again after each pause. */
static bool is_memory_short(const struct rpc_listener *listener)
{
    size_t limit = listener->limits.connection_memory;
    return shared_memory(listener->shared) >= limit - limit / 10;
}

/* Without the pause a level-triggered listener that cannot accept (EMFILE) would spin. */
static void pause_accepting(struct rpc_listener *listener, const char *limit)
{
    rpc_metrics_limit(listener->metrics, limit);
    uint64_t suppressed = 0;
    if (log_interval_due(&listener->trouble, 10 * NS_PER_S, &suppressed))
        log_on_warn(listener->log, "rpc.accept_paused", KV_STR("limit", limit),
                    KV_INT("suppressed", suppressed));
    io_watch(listener->io, IO_NONE, on_readable, listener);
    timer_set(listener->resume, deadline_after(clock_now(), PAUSE_NS));
}

static void on_resume(void *owner)
{
    struct rpc_listener *listener = owner;
    io_watch(listener->io, IO_READ, on_readable, listener);
}

/* TCP_NODELAY: answers are small and written in one piece, and Nagle would hold the last
 * segment back until the client's delayed ACK. */
static void take_in(struct rpc_listener *listener, int fd, const struct sockaddr_storage *from)
{
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (shared_connection_enter(listener->shared, listener->limits.connections_total)) {
        door_enter(listener->door, fd, from);
        return;
    }
    rpc_metrics_limit(listener->metrics, "connections_total");
    close(fd);
}

static void on_admitted(void *owner, struct arrival *arrival)
{
    struct rpc_listener *listener = owner;
    struct rpc_worker *chosen = listener->workers[0];
    for (size_t i = 1; i < listener->worker_count; i++) {
        if (rpc_worker_connections(listener->workers[i]) < rpc_worker_connections(chosen))
            chosen = listener->workers[i];
    }
    if (worker_take(chosen, arrival))
        return;
    rpc_metrics_limit(listener->metrics, "worker_mailbox");
    arrival_refuse(arrival, listener->shared);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int rc = getsockname(fd, (struct sockaddr *)&address, &size);
    assert(rc == 0);
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
}
