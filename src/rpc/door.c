/*~ The door: whoever connects is looked at here before a worker hears of it.
 *
 *    accepted
 *       |
 *    waits for its turn, where its address has offended (offenders.h)
 *       |
 *    the first byte --not TLS's--> admitted as a probe
 *       |
 *    handshake --done--> admitted
 *       |
 *    failure, time-out, the peer's end: closed
 *
 * One thread does all handshakes of the process, so a flood of them costs one core at most, and less than
 * that beside busy workers (the listener's thread stands behind theirs: see main/serve.c).
 * accepts_per_second bounds what it can be asked for.
 *
 * Connecting costs a peer next to nothing.  Who does it and says nothing has a place only while nobody else
 * wants it: a client's first bytes come with its connection. */
#include "rpc/door.h"

#include "base/alloc.h"

#include "rpc/rpc_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_NS (50 * NS_PER_MS)
#define SILENCE_NS (250 * NS_PER_MS) /* a round trip around the earth, about */
#define TLS_RECORD_HANDSHAKE 22 /* RFC 8446 section 5.1: the first byte of a ClientHello's record */

struct entrant {
    struct list_node node; /* on door->entrants, first come first */
    struct door *door;
    int fd;
    struct io *io;          /* NULL until it begins */
    bool silent;            /* it has begun, and nothing came yet */
    struct tls_stream *tls; /* NULL before its first byte */
    struct peer_address address;
    uint64_t turn_ns;     /* when it may begin … */
    uint64_t deadline_ns; /* … and must have ended */
};

struct door {
    struct loop *loop;
    struct tls_context *tls;
    struct rpc_shared *shared;
    struct metrics *metrics;
    const struct log *log;
    struct rpc_limits limits;
    door_callback *admit;
    door_silent_callback *left_silently;
    void *owner;
    struct list entrants;
    size_t silent;         /* of them */
    struct timer *janitor; /* runs while there are entrants */
    struct metric *waiting;
    struct metric *held_bytes;
    struct log_interval trouble; /* failed handshakes */
};

static uint64_t turn_of(struct door *door, const struct peer_address *address, uint64_t now_ns);
static bool is_long_silent(const struct entrant *entrant, uint64_t now_ns);
static void set_silent(struct entrant *entrant, bool silent);
static void begin(struct entrant *entrant);
static void on_io(void *owner, unsigned events);
static void sniff(struct entrant *entrant);
static void shake_hands(struct entrant *entrant);
static void handshake_failed(struct entrant *entrant);
static void admit(struct entrant *entrant);
static void shut_out(struct entrant *entrant);
static void entrant_leave(struct entrant *entrant);
static void weigh(struct door *door, size_t before, size_t now);
static void on_sweep(void *owner);
static void expire(struct entrant *entrant);

struct door *door_open(const struct door_settings *settings)
{
    struct door *door = xcalloc(1, sizeof *door);
    door->loop = settings->loop;
    door->tls = tls_context_ref(settings->tls);
    door->shared = settings->shared;
    door->metrics = settings->metrics;
    door->log = settings->log;
    door->limits = *settings->limits;
    door->admit = settings->admit;
    door->left_silently = settings->left_silently;
    door->owner = settings->owner;
    door->waiting = rpc_metrics_entrants(door->metrics);
    door->held_bytes = rpc_metrics_held_bytes(door->metrics);
    list_init(&door->entrants);
    door->janitor = timer_new(door->loop, on_sweep, door);
    return door;
}

void door_close(struct door *door)
{
    if (door == NULL)
        return;
    for (struct list_node *node; (node = list_first(&door->entrants)) != NULL;)
        shut_out(list_entry(node, struct entrant, node));
    timer_free(door->janitor);
    tls_context_unref(door->tls);
    free(door);
}

void door_set_limits(struct door *door, const struct rpc_limits *limits)
{
    door->limits = *limits;
}

/* The deadline is not renewed by progress, so that a client that sends one byte a second does not hold a place
 * for longer than a silent one. */
void door_enter(struct door *door, int fd, const struct sockaddr_storage *from)
{
    uint64_t now = clock_now();
    struct peer_address address = peer_address_of(from);
    uint64_t turn = turn_of(door, &address, now);
    if (turn == NO_DEADLINE) {
        arrival_refuse(&(struct arrival){.fd = fd}, door->shared);
        door->left_silently(door->owner);
        return;
    }
    struct entrant *entrant = xcalloc(1, sizeof *entrant);
    entrant->door = door;
    entrant->fd = fd;
    entrant->address = address;
    entrant->turn_ns = turn;
    entrant->deadline_ns = deadline_after(turn, door->limits.handshake_timeout_ns);
    list_push_back(&door->entrants, &entrant->node);
    metric_gauge_add(door->waiting, 1);
    if (turn == now)
        begin(entrant);
    if (!timer_is_set(door->janitor))
        timer_set(door->janitor, deadline_after(now, SWEEP_NS));
}

/* NO_DEADLINE: too many wait before it. */
static uint64_t turn_of(struct door *door, const struct peer_address *address, uint64_t now_ns)
{
    const struct rpc_limits *limits = &door->limits;
    const struct offender_pace pace = {
        .burst = limits->offender_burst,
        .rate = limits->offender_rate,
        .memory_ns = limits->offender_time_ns,
        .patience_ns = limits->handshake_timeout_ns,
    };
    uint64_t turn = offenders_turn(shared_offenders(door->shared), address, &pace, now_ns);
    if (turn == NO_DEADLINE)
        rpc_metrics_limit(door->metrics, "offender_queue");
    else if (turn > now_ns)
        rpc_metrics_limit(door->metrics, "offender_rate");
    return turn;
}

/* Those who wait for their turn are not asked to talk yet. */
bool door_make_room(struct door *door)
{
    uint64_t now = clock_now();
    for (struct list_node *node = list_first(&door->entrants); node != NULL;
         node = list_next(&door->entrants, node)) {
        struct entrant *entrant = list_entry(node, struct entrant, node);
        if (is_long_silent(entrant, now)) {
            rpc_metrics_limit(door->metrics, "silent_entrants");
            shut_out(entrant);
            return true;
        }
    }
    return false;
}

/* Its first byte may be there, and this thread late. */
static bool is_long_silent(const struct entrant *entrant, uint64_t now_ns)
{
    uint8_t first;
    return entrant->silent && deadline_after(entrant->turn_ns, SILENCE_NS) <= now_ns &&
           recv(entrant->fd, &first, 1, MSG_PEEK) <= 0;
}

size_t door_silent(const struct door *door)
{
    return door->silent;
}

static void set_silent(struct entrant *entrant, bool silent)
{
    if (entrant->silent)
        entrant->door->silent--;
    if (silent)
        entrant->door->silent++;
    entrant->silent = silent;
}

/* Who waits is not listened to, and holds nothing but a descriptor. */
static void begin(struct entrant *entrant)
{
    struct door *door = entrant->door;
    entrant->io = io_open(door->loop, entrant->fd);
    weigh(door, 0, CONNECTION_BYTES);
    set_silent(entrant, true);
    io_watch(entrant->io, IO_READ, on_io, entrant);
}

void arrival_refuse(struct arrival *arrival, struct rpc_shared *shared)
{
    tls_stream_free(TAKE(arrival->tls));
    close(arrival->fd);
    shared_connection_leave(shared);
}

static void on_io(void *owner, unsigned events)
{
    (void)events;
    struct entrant *entrant = owner;
    if (entrant->tls == NULL)
        sniff(entrant);
    else
        shake_hands(entrant);
}

/* The byte is only peeked at: TLS and the probe's reader both want the stream from its
 * beginning. */
static void sniff(struct entrant *entrant)
{
    uint8_t first;
    ssize_t got = recv(entrant->fd, &first, 1, MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        shut_out(entrant);
        return;
    }
    set_silent(entrant, false);
    if (first != TLS_RECORD_HANDSHAKE) {
        admit(entrant);
        return;
    }
    entrant->tls = tls_stream_accept(entrant->door->tls, entrant->fd);
    shake_hands(entrant);
}

static void shake_hands(struct entrant *entrant)
{
    switch (tls_stream_handshake(entrant->tls)) {
    case TLS_OK:
        admit(entrant);
        return;
    case TLS_WANT_READ:
        io_watch(entrant->io, IO_READ, on_io, entrant);
        return;
    case TLS_WANT_WRITE:
        io_watch(entrant->io, IO_WRITE, on_io, entrant);
        return;
    case TLS_CLOSED:
    case TLS_FAILED:
        handshake_failed(entrant);
        return;
    }
}

/* Counted always, logged once per interval: a scanner must not fill the log.  It has cost us as much as one
 * that succeeds. */
static void handshake_failed(struct entrant *entrant)
{
    struct door *door = entrant->door;
    offenders_note(shared_offenders(door->shared), &entrant->address, clock_now());
    const char *reason = tls_stream_error_label(entrant->tls);
    rpc_metrics_handshake_failed(door->metrics, reason);
    uint64_t suppressed = 0;
    if (log_interval_due(&door->trouble, 10 * NS_PER_S, &suppressed))
        log_on_warn(door->log, "tls.handshake_failed", KV_STR("reason", reason),
                    KV_STR("error", tls_stream_error(entrant->tls)),
                    KV_INT("suppressed", suppressed));
    shut_out(entrant);
}

static void admit(struct entrant *entrant)
{
    struct door *door = entrant->door;
    struct arrival arrival = {
        .fd = entrant->fd, .tls = TAKE(entrant->tls), .address = entrant->address};
    entrant_leave(entrant);
    door->admit(door->owner, &arrival);
}

static void shut_out(struct entrant *entrant)
{
    struct arrival arrival = {.fd = entrant->fd, .tls = TAKE(entrant->tls)};
    struct door *door = entrant->door;
    bool was_silent = arrival.tls == NULL;
    entrant_leave(entrant);
    arrival_refuse(&arrival, door->shared);
    if (was_silent)
        door->left_silently(door->owner);
}

static void entrant_leave(struct entrant *entrant)
{
    struct door *door = entrant->door;
    if (entrant->io != NULL)
        weigh(door, CONNECTION_BYTES, 0);
    set_silent(entrant, false);
    io_close(entrant->io);
    list_remove(&door->entrants, &entrant->node);
    metric_gauge_add(door->waiting, -1);
    free(entrant);
}

/* An estimate, as connection_weigh()'s: OpenSSL's state is most of what a new connection holds. */
static void weigh(struct door *door, size_t before, size_t now)
{
    shared_memory_change(door->shared, before, now);
    metric_gauge_add(door->held_bytes, (int64_t)now - (int64_t)before);
}

static void on_sweep(void *owner)
{
    struct door *door = owner;
    uint64_t now = clock_now();
    struct list_node *next = NULL;
    for (struct list_node *node = list_first(&door->entrants); node != NULL; node = next) {
        next = list_next(&door->entrants, node);
        struct entrant *entrant = list_entry(node, struct entrant, node);
        if (entrant->io == NULL && deadline_left(entrant->turn_ns, now) == 0)
            begin(entrant);
        if (deadline_left(entrant->deadline_ns, now) == 0)
            expire(entrant);
    }
    if (!list_is_empty(&door->entrants))
        timer_set(door->janitor, deadline_after(now, SWEEP_NS));
}

static void expire(struct entrant *entrant)
{
    struct door *door = entrant->door;
    rpc_metrics_limit(door->metrics, "handshake_timeout");
    if (entrant->tls != NULL) {
        rpc_metrics_handshake_failed(door->metrics, "timeout");
        offenders_note(shared_offenders(door->shared), &entrant->address, clock_now());
    }
    shut_out(entrant);
}
