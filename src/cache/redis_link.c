/* Connecting, greeting, bytes.
 *
 *   WAITING → CONNECTING → GREETING → READY
 *      ↑___________|___________|________|      any trouble: close, pause, connect again */
#include "cache/redis_conn_int.h"

#include "base/clock.h"
#include "base/random.h"

#include <assert.h>
#include <stdio.h>

#define SETUP_NS NS_PER_S /* TCP, TLS and greeting together */
#define RETRY_FLOOR_NS (50 * NS_PER_MS)
#define RETRY_CAP_NS (2 * NS_PER_S)
#define READS_PER_TURN 16           /* then the others' turn */
#define LOG_EVERY_NS (5 * NS_PER_S) /* per connection */

static void conn_close(struct redis_conn *conn);
static void conn_step(struct redis_conn *conn);
static void greet(struct redis_conn *conn);
static void on_greeting(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                        unsigned index);
static void conn_ready(struct redis_conn *conn);
static void on_io(void *owner, unsigned events);
static bool has_pending(const struct redis_conn *conn);
static bool conn_dispatch(struct redis_conn *conn);
static bool conn_answer(struct redis_conn *conn, const struct redis_reply *reply);
static bool request_judge(struct redis_conn *conn, const struct redis_request *request);
static bool error_note(struct redis_conn *conn, const struct redis_reply *reply);
static void conn_watch(struct redis_conn *conn, bool want_write);

void redis_link_start(struct redis_conn *conn)
{
    assert(conn->state == CONN_WAITING && conn->requests.count == 0);
    conn->state = CONN_CONNECTING;
    conn->parser = redis_parser_new();
    conn->clock_ns = 0;
    conn->script_loading = false;
    if (!redis_wire_open(&conn->wire, conn->settings->loop, &conn->address, conn->settings->tls)) {
        redis_link_fail(conn, TROUBLE_CONNECT, redis_wire_error(&conn->wire));
        return;
    }
    io_watch(conn->wire.io, IO_WRITE, on_io, conn);
    redis_timer_arm(conn, clock_now() + SETUP_NS);
}

/* The connection is of no more use.  The caller may only return. */
void redis_link_fail(struct redis_conn *conn, enum cache_trouble trouble, const char *text)
{
    uint64_t suppressed = 0;
    metric_inc(conn->settings->counted->troubles[trouble]);
    if (log_interval_due(&conn->logged, LOG_EVERY_NS, &suppressed))
        log_on_warn(conn->settings->log, "redis.connection_failed",
                    KV_STR("host", conn->address.host), KV_INT("port", conn->address.port),
                    KV_STR("kind", cache_trouble_name(trouble)), KV_STR("reason", text),
                    KV_INT("suppressed", suppressed));
    if (conn->breaker.open)
        breaker_probe_failed(&conn->breaker);
    else
        (void)breaker_error(&conn->breaker);
    conn_close(conn);
}

/* The breaker has just opened.  The caller may only return. */
void redis_link_leave_alone(struct redis_conn *conn, const char *why)
{
    assert(conn->breaker.open && conn->state == CONN_READY);
    log_on_warn(conn->settings->log, "redis.left_alone", KV_STR("host", conn->address.host),
                KV_INT("port", conn->address.port), KV_STR("reason", why));
    conn_close(conn);
}

/* Closed in full before the requests are told: what their owners see is a connection that waits. */
static void conn_close(struct redis_conn *conn)
{
    bool was_ready = conn->state == CONN_READY;
    conn->state = CONN_WAITING;
    loop_defer_cancel(conn->settings->loop, &conn->flush);
    redis_wire_close(&conn->wire);
    redis_parser_free(conn->parser);
    conn->parser = NULL;
    buf_clear(&conn->unsent);
    uint64_t pause = conn->breaker.open ? breaker_pause_ns(&conn->breaker)
                                        : backoff_ns(conn->attempts, RETRY_FLOOR_NS, RETRY_CAP_NS);
    conn->attempts++;
    redis_timer_arm(conn, clock_now() + pause);
    redis_link_show_breaker(conn);
    redis_link_lose(conn);
    if (!was_ready)
        return;
    metric_gauge_add(conn->settings->counted->nodes_ready, -1);
    conn->settings->on_change(conn->settings->owner, conn, false);
}

void redis_link_show_breaker(struct redis_conn *conn)
{
    if (conn->breaker.open == conn->breaker_shown)
        return;
    conn->breaker_shown = conn->breaker.open;
    metric_gauge_add(conn->settings->counted->breakers_open, conn->breaker.open ? 1 : -1);
    if (conn->breaker.open)
        metric_inc(conn->settings->counted->openings);
}

/* Their owners may not reach this connection: it takes no request now. */
void redis_link_lose(struct redis_conn *conn)
{
    assert(conn->state == CONN_WAITING);
    while (!list_is_empty(&conn->requests)) {
        struct redis_request *request =
            list_entry(list_first(&conn->requests), struct redis_request, node);
        redis_done *done = request->done;
        void *owner = request->owner;
        redis_request_end(request);
        if (done != NULL)
            done(owner, REDIS_LOST, NULL, 0);
    }
}

static void conn_step(struct redis_conn *conn)
{
    switch (redis_wire_step(&conn->wire)) {
    case TLS_OK:
        greet(conn);
        return;
    case TLS_WANT_READ:
        io_watch(conn->wire.io, IO_READ, on_io, conn);
        return;
    case TLS_WANT_WRITE:
        io_watch(conn->wire.io, IO_WRITE, on_io, conn);
        return;
    case TLS_CLOSED:
    case TLS_FAILED:
        redis_link_fail(conn, conn->wire.connected ? TROUBLE_TLS : TROUBLE_CONNECT,
                        redis_wire_error(&conn->wire));
        return;
    }
}

/* Three commands in one pipeline: the password, the script, the clock.  Answers to a refused
 * AUTH still come in order, and the first refusal is the one remembered. */
static void greet(struct redis_conn *conn)
{
    const struct redis_conn_settings *settings = conn->settings;
    conn->state = CONN_GREETING;
    conn->refused[0] = '\0';
    conn_watch(conn, false);
    struct redis_request *request = redis_request_new(conn, on_greeting, conn);
    struct slice auth[3] = {slice_of_str("AUTH")};
    size_t words = 1;
    if (settings->user != NULL)
        auth[words++] = slice_of_str(settings->user);
    auth[words++] = slice_of_str(settings->password);
    if (settings->password != NULL)
        redis_request_add(request, auth, words);
    struct slice load[3] = {slice_of_str("SCRIPT"), slice_of_str("LOAD"),
                            slice_of_str(settings->script)};
    redis_request_add(request, load, 3);
    redis_request_add(request, (struct slice[]){slice_of_str("TIME")}, 1);
}

/* The answers to AUTH (where there is a password), SCRIPT LOAD and TIME. */
static void on_greeting(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                        unsigned index)
{
    struct redis_conn *conn = owner;
    uint64_t time_us = 0;
    if (outcome != REDIS_ANSWERED || conn->refused[0] != '\0')
        return;
    unsigned step = conn->settings->password == NULL ? index + 1 : index;
    bool accepted = step == 0   ? reply->kind == REDIS_STATUS
                    : step == 1 ? redis_script_learn(conn, reply)
                                : redis_time_read(reply, &time_us);
    if (!accepted) {
        static const char *const steps[] = {"AUTH", "SCRIPT LOAD", "TIME"};
        int size = reply->kind == REDIS_ERROR && reply->text.size < 80 ? (int)reply->text.size : 0;
        snprintf(conn->refused, sizeof conn->refused, "%s was answered: %.*s", steps[step], size,
                 size == 0 ? "" : (const char *)reply->text.data);
        return;
    }
    if (step < 2)
        return;
    redis_conn_clock_learn(conn, time_us);
    conn_ready(conn);
}

/* From here on requests of others are taken.  A breaker that was open closes: the greeting was
 * its probe. */
static void conn_ready(struct redis_conn *conn)
{
    conn->state = CONN_READY;
    conn->attempts = 0;
    if (conn->breaker.open)
        breaker_probe_succeeded(&conn->breaker);
    redis_link_show_breaker(conn);
    metric_gauge_add(conn->settings->counted->nodes_ready, 1);
    redis_keepalive_begin(conn);
    conn->settings->on_change(conn->settings->owner, conn, true);
}

/* --- bytes ------------------------------------------------------------------------------------- */

static void on_io(void *owner, unsigned events)
{
    struct redis_conn *conn = owner;
    if (conn->state == CONN_CONNECTING) {
        conn_step(conn);
        return;
    }
    if (redis_link_read(conn) && (events & IO_WRITE) != 0)
        redis_link_flush(conn);
}

/* False: the connection failed. */
/* Bounded per turn, but never leaves decrypted bytes behind. */
bool redis_link_read(struct redis_conn *conn)
{
    for (unsigned i = 0; i < READS_PER_TURN || has_pending(conn); i++) {
        size_t count = 0;
        switch (redis_wire_read(&conn->wire, conn->inbox, sizeof conn->inbox, &count)) {
        case TLS_OK:
            redis_parser_feed(conn->parser, conn->inbox, count);
            if (!conn_dispatch(conn))
                return false;
            break;
        case TLS_WANT_READ:
            return true;
        case TLS_WANT_WRITE:
            conn_watch(conn, true);
            return true;
        case TLS_CLOSED:
            redis_link_fail(conn, TROUBLE_LOST, "closed by the node");
            return false;
        case TLS_FAILED:
            redis_link_fail(conn, conn->state == CONN_GREETING ? TROUBLE_GREETING : TROUBLE_LOST,
                            redis_wire_error(&conn->wire));
            return false;
        }
    }
    return true;
}

/* Decrypted bytes that no descriptor would announce. */
static bool has_pending(const struct redis_conn *conn)
{
    return conn->wire.stream != NULL && tls_stream_has_pending(conn->wire.stream);
}

/* A callback may end the connection: the parser is looked at again only while it lives. */
static bool conn_dispatch(struct redis_conn *conn)
{
    for (;;) {
        const struct redis_reply *reply = NULL;
        switch (redis_parser_next(conn->parser, &reply)) {
        case REDIS_PARSED_REPLY:
            if (!conn_answer(conn, reply))
                return false;
            break;
        case REDIS_PARSED_PART:
            return true;
        case REDIS_PARSED_GARBAGE:
            redis_link_fail(conn, TROUBLE_PROTOCOL, "what the node sends is not RESP");
            return false;
        case REDIS_PARSED_LARGE:
            redis_link_fail(conn, TROUBLE_OVERSIZE, "the node's answer is too large");
            return false;
        }
    }
}

/* Answers come in the order of the commands (RESP has no ids): the first request not yet
 * answered in full is the one. */
static bool conn_answer(struct redis_conn *conn, const struct redis_reply *reply)
{
    if (list_is_empty(&conn->requests)) {
        redis_link_fail(conn, TROUBLE_PROTOCOL, "the node answers what was not asked");
        return false;
    }
    struct redis_request *request =
        list_entry(list_first(&conn->requests), struct redis_request, node);
    assert(request->answered < request->commands);
    bool was_ready = conn->state == CONN_READY;
    if (was_ready && error_note(conn, reply))
        request->failed = true;
    unsigned index = request->answered++;
    if (request->done != NULL)
        request->done(request->owner, REDIS_ANSWERED, reply, index);
    if (conn->refused[0] != '\0') {
        redis_link_fail(conn, TROUBLE_GREETING, conn->refused);
        return false;
    }
    if (request->answered < request->commands)
        return true;
    bool useful = !was_ready || request_judge(conn, request);
    if (useful)
        redis_request_end(request);
    return useful;
}

/* A late answer speaks neither for nor against the node: it was judged when it was late. */
static bool request_judge(struct redis_conn *conn, const struct redis_request *request)
{
    if (request->late)
        return true;
    metric_observe(conn->settings->counted->round_trip,
                   (double)(clock_now() - request->began_ns) / (double)NS_PER_S);
    if (!request->failed) {
        breaker_success(&conn->breaker);
        return true;
    }
    if (!breaker_error(&conn->breaker))
        return true;
    redis_link_leave_alone(conn, "errors in a row");
    return false;
}

/* Whether the answer is an error that speaks against the node. */
static bool error_note(struct redis_conn *conn, const struct redis_reply *reply)
{
    static const char *const harmless[] = {"MOVED", "ASK", "NOSCRIPT", "WRONGTYPE"};
    if (reply->kind != REDIS_ERROR)
        return false;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (redis_reply_is_error(reply, harmless[i]))
            return false;
    }
    enum cache_trouble trouble = redis_reply_is_error(reply, "LOADING")       ? TROUBLE_LOADING
                                 : redis_reply_is_error(reply, "CLUSTERDOWN") ? TROUBLE_CLUSTERDOWN
                                 : redis_reply_is_error(reply, "TRYAGAIN")    ? TROUBLE_TRYAGAIN
                                                                              : TROUBLE_REFUSED;
    metric_inc(conn->settings->counted->troubles[trouble]);
    return true;
}

void redis_link_flush(void *owner)
{
    struct redis_conn *conn = owner;
    while (buf_size(&conn->unsent) > 0) {
        struct slice bytes = buf_slice(&conn->unsent);
        size_t count = 0;
        switch (redis_wire_write(&conn->wire, bytes.data, bytes.size, &count)) {
        case TLS_OK:
            buf_consume(&conn->unsent, count);
            break;
        case TLS_WANT_WRITE:
            conn_watch(conn, true);
            return;
        case TLS_WANT_READ:
            conn_watch(conn, false);
            return;
        case TLS_CLOSED:
        case TLS_FAILED:
            redis_link_fail(conn, TROUBLE_LOST, redis_wire_error(&conn->wire));
            return;
        }
    }
    conn_watch(conn, false);
}

static void conn_watch(struct redis_conn *conn, bool want_write)
{
    io_watch(conn->wire.io, want_write ? IO_READ | IO_WRITE : IO_READ, on_io, conn);
}
