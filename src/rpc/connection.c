/*~ A connection: a socket, TLS, and the HTTP/2 session on top; or a plain health probe.
 *
 * Everything here runs in callbacks of the loop.  connection_close() may be called anywhere: the memory goes at
 * the end of the turn, so that nobody meets a dead connection.
 *
 *    through the door --not TLS--> PROBE --its answer is written--.
 *       |                                                         v
 *       '-- peer is known --> HTTP2 --last frame is written--> LINGERING
 *                               |                                 |
 *       any state: failure, time-out, the peer's end --------> CLOSED, freed
 *
 * The total count was taken by the listener before the socket came here and is given back by
 * connection_close(), once; the count of the identity is taken here, because only the certificate
 * tells whose it is. */
#include "base/alloc.h"
#include "base/random.h"

#include "rpc/rpc_int.h"
#include "rpc/stream_share.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_PER_TURN ((size_t)4 * RPC_READ_SIZE) /* then others have their turn */
#define READ_OF_REQUESTS 2304u /* some twenty of them, or eighty of an attacker's */
#define OUT_CHUNK (64u << 10)  /* bytes of frames gathered for one write */
/* What a socket takes beyond what its peer has room for. */
#define KERNEL_UNSENT_MAX (128u << 10)
/* A peer that never ends its side keeps the descriptor for no longer, and makes us read no
 * more. */
#define LINGER_NS NS_PER_S
#define LINGER_BYTES_MAX (256u << 10)

static void on_io(void *owner, unsigned events);
static void begin_http2(struct connection *connection);
static void read_http2(struct connection *connection);
static void read_probe(struct connection *connection);
static void on_flush(void *owner);
static void write_out(struct connection *connection);
static bool write_some(struct connection *connection, size_t *written);
static void wait_for(struct connection *connection, unsigned events);
static void linger(struct connection *connection);
static void discard_input(struct connection *connection);
static void wants_flush(void *owner);
static void on_reap(void *owner);
static void drop_distrusted(struct connection *connection);
static void bound_silence(const struct connection *connection);
static void broken(struct connection *connection);
static void limit_hit(struct connection *connection, const char *limit);
static void note_offence(struct connection *connection);

void connection_open(struct rpc_worker *worker, struct arrival *arrival)
{
    struct connection *connection = xcalloc(1, sizeof *connection);
    connection->worker = worker;
    connection->state = CONNECTION_PROBE;
    connection->fd = arrival->fd;
    connection->tls = TAKE(arrival->tls);
    connection->address = arrival->address;
    connection->io = io_open(worker->loop, connection->fd);
    connection->opened_ns = clock_now();
    connection->deadline_ns =
        deadline_after(connection->opened_ns, worker->limits.handshake_timeout_ns);
    uint64_t age = worker->limits.age_ns;
    uint64_t jitter =
        random_below(age / 5 + 1); /* ± 10 %: a fleet's clients do not all move at once */
    connection->age_limit_ns = deadline_after(connection->opened_ns, age - age / 10 + jitter);
    connection->flush = (struct deferred){.callback = on_flush, .owner = connection};
    connection->reap = (struct deferred){.callback = on_reap, .owner = connection};
    list_push_back(&worker->connections, &connection->node);
    atomic_fetch_add(&worker->connection_count, 1);
    metric_gauge_add(worker->metrics->connections, 1);
    metric_inc(worker->metrics->accepted);
    connection_weigh(connection);
    bound_silence(connection);
    if (connection->tls != NULL)
        tls_stream_allow_updates(connection->tls, worker->limits.key_updates);
    wait_for(connection, IO_READ);
    if (connection->tls == NULL)
        read_probe(connection);
    else
        begin_http2(connection);
}

void connection_close(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    bool lingering = connection->state == CONNECTION_LINGERING;
    if (connection->h2 != NULL && connection->h2->offended)
        note_offence(connection);
    connection->state = CONNECTION_CLOSED;
    struct rpc_worker *worker = connection->worker;
    io_close(TAKE(connection->io));
    loop_defer_cancel(worker->loop, &connection->flush);
    loop_defer(worker->loop, &connection->reap);
    list_remove(&worker->connections, &connection->node);
    atomic_fetch_sub(&worker->connection_count, 1);
    metric_gauge_add(worker->metrics->connections, -1);
    connection_weigh(connection);
    if (connection->counted)
        shared_identity_leave(worker->shared, connection->identity_key);
    shared_connection_leave(worker->shared);
    /* linger() has sent close_notify already */
    if (connection->tls != NULL && !lingering)
        tls_stream_shutdown(connection->tls);
}

void connection_flush_later(struct connection *connection)
{
    if (connection->state != CONNECTION_CLOSED && connection->state != CONNECTION_LINGERING)
        loop_defer(connection->worker->loop, &connection->flush);
}

/* Called every SWEEP_NS (worker.c), so each time-out is late by up to that.  May close the
 * connection, which the caller's walk over the list has to expect. */
void connection_sweep(struct connection *connection, uint64_t now_ns)
{
    assert(connection->state != CONNECTION_CLOSED); /* a closed one is on no list */
    const struct rpc_limits *limits = &connection->worker->limits;
    connection_weigh(connection);
    if (deadline_left(connection->deadline_ns, now_ns) == 0 &&
        connection->state == CONNECTION_LINGERING) {
        connection_close(connection);
        return;
    }
    /* from here the session's own limits hold: idle, stalls, age */
    if (connection->h2 != NULL && connection->h2->settings_acked && connection->h2->preface_done)
        connection->deadline_ns = NO_DEADLINE;
    if (deadline_left(connection->deadline_ns, now_ns) == 0) {
        limit_hit(connection,
                  connection->state == CONNECTION_HTTP2 ? "preface_timeout" : "handshake_timeout");
        connection_close(connection);
        return;
    }
    if (connection->write_stalled_ns != 0 &&
        now_ns - connection->write_stalled_ns > limits->write_stall_ns) {
        limit_hit(connection, "write_stall");
        connection_close(connection);
        return;
    }
    if (connection->h2 == NULL)
        return;
    drop_distrusted(connection);
    if (now_ns >= connection->age_limit_ns)
        h2_retire(connection->h2, "age");
    else if (connection->h2->request_count >= limits->requests_per_connection)
        h2_retire(connection->h2, "requests_per_connection");
    /* long after the GOAWAY: what still runs is cancelled when write_out() lingers */
    bool over = now_ns >= deadline_after(connection->age_limit_ns, limits->age_grace_ns);
    if (over && !connection->last_write)
        limit_hit(connection, "age_grace");
    if (!h2_sweep(connection->h2, now_ns) || over)
        connection->last_write = true;
    if (connection->last_write)
        connection_flush_later(connection);
}

/* A probe is left alone: it ends by itself, and its answer tells the kubelet that we are going. */
void connection_drain(struct connection *connection)
{
    if (connection->h2 != NULL)
        h2_shutdown(connection->h2);
}

void connection_rename(struct connection *connection)
{
    if (connection->h2 == NULL)
        return;
    struct rpc_worker *worker = connection->worker;
    const char *uri = tls_stream_peer_uri(connection->tls);
    connection->identity = worker->hooks.identity(worker->hooks.owner, uri);
    connection->h2->caller = connection->identity;
}

/* Must not touch the connection after a callee that may close it, but for reading the state:
 * the memory lives to the end of the turn, the io and the session need not. */
static void on_io(void *owner, unsigned events)
{
    struct connection *connection = owner;
    if (events & IO_WRITE)
        connection->write_stalled_ns = 0;
    switch (connection->state) {
    case CONNECTION_HTTP2:
        if ((events & IO_READ) && !connection->last_write)
            read_http2(connection);
        if (connection->state == CONNECTION_HTTP2)
            connection_flush_later(connection);
        return;
    case CONNECTION_LINGERING:
        discard_input(connection);
        return;
    case CONNECTION_PROBE:
        if (connection->last_write)
            connection_flush_later(connection);
        else
            read_probe(connection);
        return;
    case CONNECTION_CLOSED:
        return;
    }
}

/* The limit per identity keeps one broken client's reconnect loop from using up the process's
 * connections for all others.  ALPN was checked in the handshake. */
static void begin_http2(struct connection *connection)
{
    assert(connection->state == CONNECTION_PROBE && connection->h2 == NULL);
    struct rpc_worker *worker = connection->worker;
    const char *uri = tls_stream_peer_uri(connection->tls);
    connection->identity = worker->hooks.identity(worker->hooks.owner, uri);
    connection->identity_key = xstrdup(uri == NULL ? "-" : uri);
    /* Under the URI and not under the name: many certificates may be "stranger", and one
     * stranger must not use up the share of the next. */
    struct identity_limits own = limits_of_identity(&worker->limits, connection->identity);
    connection->counted =
        shared_identity_enter(worker->shared, connection->identity_key, own.connections);
    if (!connection->counted) {
        limit_hit(connection, "connections_per_identity");
        note_offence(connection);
        connection_close(connection);
        return;
    }
    connection->state = CONNECTION_HTTP2;
    connection->deadline_ns = deadline_after(clock_now(), worker->limits.preface_timeout_ns);
    connection->h2 = h2_new(worker, connection->identity, connection, wants_flush);
    connection->h2->traffic = &connection->record.traffic;
    connection->h2->share = stream_share_join(&worker->stream_shares, connection->identity_key);
    if (worker->spans != NULL)
        socket_peer_name(connection->fd, &connection->h2->peer);
    connection_weigh(connection);
    connection->record.fd = connection->fd;
    connection->record.peer = uri;
    connection->record.proof = tls_proof_new(connection->tls);
    sockets_enter(rpc_shared_sockets(worker->shared), &connection->record);
    wait_for(connection, IO_READ);
    if (worker->draining)
        h2_shutdown(connection->h2);
    read_http2(connection);
    connection_flush_later(connection);
}

/* Reads until the socket is dry or the share of the turn is used.  The bytes lie in the
 * worker's one buffer: h2_receive() copies what it keeps.
 *
 * A request is ten microseconds of the turn for as little as 30 bytes, also when it is reset at once: what
 * begins requests is read in small pieces, until as many have begun as may be handled in one turn. */
static void read_http2(struct connection *connection)
{
    struct h2 *h2 = connection->h2;
    uint8_t *bytes = connection->worker->read_buffer;
    const uint64_t begun_max = h2->streams_begun + connection->worker->limits.requests_per_turn;
    size_t size = READ_OF_REQUESTS;
    for (size_t left = READ_PER_TURN; left > 0 && h2->streams_begun < begun_max;) {
        size_t count = 0;
        enum tls_status status = tls_stream_read(connection->tls, bytes, size, &count);
        if (status == TLS_WANT_READ || status == TLS_WANT_WRITE)
            return;
        if (status != TLS_OK) {
            broken(connection);
            return;
        }
        metric_add(connection->worker->metrics->received_bytes, count);
        const uint64_t begun = h2->streams_begun;
        if (!h2_receive(h2, slice_make(bytes, count))) {
            connection->last_write = true;
            connection_flush_later(connection);
            return;
        }
        if (tls_stream_is_dry(connection->tls))
            return;
        left -= count < left ? count : left;
        size = h2->streams_begun > begun ? READ_OF_REQUESTS : RPC_READ_SIZE;
    }
    /* more may lie decrypted in the stream, where poll does not see it */
    connection->read_again = true;
    connection->read_turn = loop_turns(connection->worker->loop);
    connection_flush_later(connection);
}

static void read_probe(struct connection *connection)
{
    uint8_t bytes[512];
    ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        connection_close(connection);
        return;
    }
    if (!probe_receive(connection, slice_make(bytes, (size_t)got)))
        return;
    connection->last_write = true;
    connection_flush_later(connection);
}

/* At the end of each turn in which anything happened here: reading, an answered call, an ended
 * task.  One flush for all of them lets answers of one turn share TLS records and system calls. */
static void on_flush(void *owner)
{
    struct connection *connection = owner;
    /* write_out() may have ended the session since that was asked for */
    connection->read_again &= !connection->last_write && connection->h2 != NULL;
    if (connection->read_again && connection->read_turn != loop_turns(connection->worker->loop)) {
        connection->read_again = false;
        read_http2(connection);
        if (connection->state == CONNECTION_CLOSED)
            return;
    }
    if (connection->h2 != NULL)
        h2_turn(connection->h2);
    write_out(connection);
    /* also what was held for the queue that has just gone out */
    if (connection->h2 != NULL && (connection->read_again || h2_waits_for_turn(connection->h2)))
        connection_flush_later(connection);
}

/* Gathers frames and writes them until the socket is full or nothing is left. */
static void write_out(struct connection *connection)
{
    for (;;) {
        if (connection->h2 != NULL && buf_size(&connection->out) < OUT_CHUNK &&
            !h2_send(connection->h2, &connection->out, OUT_CHUNK))
            connection->last_write = true;
        if (buf_size(&connection->out) == 0)
            break;
        size_t written = 0;
        if (!write_some(connection, &written))
            return;
        buf_consume(&connection->out, written);
        metric_add(connection->worker->metrics->sent_bytes, written);
    }
    connection->write_stalled_ns = 0;
    bool over = connection->h2 != NULL && h2_is_over(connection->h2);
    if (connection->last_write || over)
        linger(connection);
    else
        wait_for(connection, IO_READ);
}

/* Closing a socket with unread bytes resets it, and a reset may overtake the GOAWAY or the probe's answer that
 * lies before it: so we end our side first and read the rest away for a moment. */
static void linger(struct connection *connection)
{
    if (connection->h2 != NULL && connection->h2->offended)
        note_offence(connection);
    h2_free(TAKE(connection->h2));
    if (connection->tls != NULL)
        tls_stream_shutdown(connection->tls);
    (void)shutdown(connection->fd, SHUT_WR);
    connection->state = CONNECTION_LINGERING;
    connection->deadline_ns = deadline_after(clock_now(), LINGER_NS);
    wait_for(connection, IO_READ);
}

static void discard_input(struct connection *connection)
{
    uint8_t *bytes = connection->worker->read_buffer;
    ssize_t got = recv(connection->fd, bytes, RPC_READ_SIZE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        connection->lingered += (size_t)got;
    if (got <= 0 || connection->lingered > LINGER_BYTES_MAX)
        connection_close(connection);
}

/* False: the socket is full (it is watched) or the connection is closed. A stall is only timed
 * under TLS: a probe's one small answer is bounded by the deadline of its state. */
static bool write_some(struct connection *connection, size_t *written)
{
    struct slice bytes = buf_slice(&connection->out);
    if (connection->tls == NULL) {
        ssize_t sent = send(connection->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent > 0) {
            *written = (size_t)sent;
            return true;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            wait_for(connection, IO_WRITE);
        else
            connection_close(connection);
        return false;
    }
    enum tls_status status = tls_stream_write(connection->tls, bytes.data, bytes.size, written);
    if (status == TLS_OK)
        return true;
    if (status == TLS_WANT_WRITE || status == TLS_WANT_READ) {
        if (connection->write_stalled_ns == 0)
            connection->write_stalled_ns = clock_now();
        wait_for(connection, connection->last_write ? IO_WRITE : IO_READ | IO_WRITE);
        return false;
    }
    broken(connection);
    return false;
}

static void wait_for(struct connection *connection, unsigned events)
{
    io_watch(connection->io, events, on_io, connection);
}

static void wants_flush(void *owner)
{
    connection_flush_later(owner);
}

/* After a renewal of CAs and lists: whoever would not be let in any more is shown out, though its calls be
 * running.  Some peers per sweep, because each costs signatures. */
static void drop_distrusted(struct connection *connection)
{
    struct rpc_worker *worker = connection->worker;
    if (connection->last_write || worker->peers_to_verify == 0 ||
        !tls_stream_is_outdated(connection->tls))
        return;
    worker->peers_to_verify--;
    const char *reason = tls_stream_distrust(connection->tls);
    if (reason == NULL)
        return;
    rpc_metrics_peer_dropped(worker->metrics->set, reason);
    log_on_warn(worker->log, "tls.peer_dropped", KV_STR("reason", reason),
                KV_STR("caller", connection->identity), KV_STR("uri", connection->identity_key));
    h2_end(connection->h2, NGHTTP2_INADEQUATE_SECURITY);
    connection->last_write = true;
}

static void on_reap(void *owner)
{
    struct connection *connection = owner;
    assert(connection->state == CONNECTION_CLOSED && connection->io == NULL);
    h2_free(connection->h2);
    /* its calls that end later are counted by the registry itself */
    sockets_leave(rpc_shared_sockets(connection->worker->shared), &connection->record);
    tls_proof_free(connection->record.proof);
    tls_stream_free(connection->tls);
    close(connection->fd);
    buf_deinit(&connection->out);
    buf_deinit(&connection->probe);
    free(connection->identity_key);
    free(connection);
}

/* A peer that vanished without a word, or whose window stays shut, is otherwise noticed after a quarter of an
 * hour: what was written lies in the kernel, where write_stall does not see it.  See gRPC proposal A18.
 * And the kernel takes 4 MiB from each connection (tcp_wmem) before it refuses to take more: of what a peer has
 * no room for it gets a little now, and the rest stands still here, where it is seen. */
static void bound_silence(const struct connection *connection)
{
    const unsigned unsent_max = KERNEL_UNSENT_MAX;
    uint64_t timeout_ms = connection->worker->limits.tcp_user_timeout_ns / NS_PER_MS;
    unsigned value = timeout_ms > INT_MAX ? INT_MAX : (unsigned)timeout_ms;
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max,
                     sizeof unsent_max);
}

/* The socket or TLS has ended. */
static void broken(struct connection *connection)
{
    const char *reason = tls_stream_error_label(connection->tls);
    if (strcmp(reason, "timeout") == 0)
        limit_hit(connection, "tcp_user_timeout");
    if (strcmp(reason, "flood") == 0) {
        limit_hit(connection, "key_updates");
        note_offence(connection);
    }
    connection_close(connection);
}

static void limit_hit(struct connection *connection, const char *limit)
{
    rpc_metrics_limit(connection->worker->metrics->set, limit);
}

/* The next handshakes from there are spread over time. */
static void note_offence(struct connection *connection)
{
    offenders_note(shared_offenders(connection->worker->shared), &connection->address, clock_now());
}
