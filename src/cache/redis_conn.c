/* Requests, deadlines and the clock of a connection.
 *
 * Time-outs are judged in one place, the timer: a request is late when its deadline passed and what the
 * socket holds was read.  Its owner is told at once and its answer dropped later, in order.  When the breaker
 * opens the connection is closed, because answers would queue behind those that are owed; the probe is
 * the next connection's greeting. */
#include "cache/redis_conn.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"

#include "cache/redis_conn_int.h"

#include <hiredis/hiredis.h>

#include <assert.h>
#include <stdlib.h>

#define KEEPALIVE_NS NS_PER_S /* how often TIME is asked */
#define CLOCK_MAX_AGE_NS (5 * NS_PER_S)
#define CLOCK_DRIFT_PART 1000 /* two clocks may drift apart by 1 ms in a second */
#define WORDS_MAX 16

static void on_timer(void *owner);
static bool late_requests_tell(struct redis_conn *conn, uint64_t now);
static void keepalive(struct redis_conn *conn, uint64_t now);
static void on_keepalive(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                         unsigned index);
static void on_script(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                      unsigned index);
static uint64_t next_deadline(const struct redis_conn *conn);

/* Begins to connect in the next turn of the loop. */
struct redis_conn *redis_conn_new(const struct redis_conn_settings *settings,
                                  const struct redis_address *address)
{
    assert(settings->op_timeout_ns > 0 && settings->on_change != NULL);
    struct redis_conn *conn = xcalloc(1, sizeof *conn);
    conn->settings = settings;
    conn->address = *address;
    conn->wire = REDIS_WIRE_CLOSED;
    conn->flush = (struct deferred){.callback = redis_link_flush, .owner = conn};
    conn->timer = timer_new(settings->loop, on_timer, conn);
    list_init(&conn->requests);
    redis_timer_arm(conn, clock_now());
    return conn;
}

/* Requests under way end as lost, and their owners are told here. */
void redis_conn_free(struct redis_conn *conn)
{
    if (conn == NULL)
        return;
    if (conn->state == CONN_READY)
        metric_gauge_add(conn->settings->counted->nodes_ready, -1);
    conn->breaker.open = false;
    redis_link_show_breaker(conn);
    conn->state = CONN_WAITING;
    loop_defer_cancel(conn->settings->loop, &conn->flush);
    redis_link_lose(conn);
    redis_wire_close(&conn->wire);
    redis_parser_free(conn->parser);
    buf_deinit(&conn->unsent);
    timer_free(conn->timer);
    free(conn);
}

bool redis_conn_is_ready(const struct redis_conn *conn)
{
    return conn->state == CONN_READY;
}

const struct redis_address *redis_conn_address(const struct redis_conn *conn)
{
    return &conn->address;
}

size_t redis_conn_in_flight(const struct redis_conn *conn)
{
    return conn->requests.count;
}

struct redis_request *redis_conn_begin(struct redis_conn *conn, redis_done *done, void *owner,
                                       enum cache_trouble *why)
{
    if (conn->state != CONN_READY) {
        *why = TROUBLE_UNREACHABLE;
        return NULL;
    }
    if (conn->requests.count >= REDIS_IN_FLIGHT_MAX ||
        buf_size(&conn->unsent) >= REDIS_UNSENT_MAX) {
        *why = TROUBLE_FULL;
        return NULL;
    }
    struct redis_request *request = redis_request_new(conn, done, owner);
    if (request->deadline_ns < conn->timer_ns)
        redis_timer_arm(conn, request->deadline_ns);
    return request;
}

/* Only before control goes back to the loop: after that the request may be answered and freed. */
void redis_request_add(struct redis_request *request, const struct slice *words, size_t count)
{
    assert(count > 0 && count <= WORDS_MAX);
    const char *texts[WORDS_MAX];
    size_t sizes[WORDS_MAX];
    for (size_t i = 0; i < count; i++) {
        texts[i] = words[i].size == 0 ? "" : (const char *)words[i].data;
        sizes[i] = words[i].size;
    }
    char *bytes = NULL;
    int size = redisFormatCommandArgv(&bytes, (int)count, texts, sizes);
    if (size < 0)
        abort();
    buf_put(&request->conn->unsent, bytes, (size_t)size);
    redisFreeCommand(bytes);
    request->commands++;
    loop_defer(request->conn->settings->loop, &request->conn->flush);
}

void redis_request_add_script(struct redis_request *request, struct slice key,
                              const struct slice *arguments, size_t count)
{
    assert(count + 4 <= WORDS_MAX);
    struct slice words[WORDS_MAX] = {
        slice_of_str("EVALSHA"), slice_of_str(request->conn->script_sha), slice_of_str("1"), key};
    for (size_t i = 0; i < count; i++)
        words[i + 4] = arguments[i];
    redis_request_add(request, words, count + 4);
}

/* The answer still comes and must be taken in its turn: the request stays, nobody is told. */
void redis_request_abandon(struct redis_request *request)
{
    request->done = NULL;
    request->owner = NULL;
}

bool redis_time_read(const struct redis_reply *reply, uint64_t *time_us)
{
    if (reply->kind != REDIS_ARRAY || reply->count != 2)
        return false;
    uint64_t parts[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        const struct redis_reply *part = reply->elements[i];
        if (part->kind != REDIS_TEXT || part->text.size == 0 || part->text.size > 12)
            return false;
        for (size_t k = 0; k < part->text.size; k++) {
            if (part->text.data[k] < '0' || part->text.data[k] > '9')
                return false;
            parts[i] = parts[i] * 10 + (uint64_t)(part->text.data[k] - '0');
        }
    }
    if (parts[0] > UINT32_MAX || parts[1] >= 1000000)
        return false;
    *time_us = parts[0] * 1000000 + parts[1];
    return true;
}

/* The answer left the node before now: so its clock is at least `time_us` now, and the difference at least
 * this. */
void redis_conn_clock_learn(struct redis_conn *conn, uint64_t time_us)
{
    conn->clock_ns = clock_now();
    conn->clock_base_ns = (int64_t)(time_us * NS_PER_US) - (int64_t)conn->clock_ns;
}

/* The drift is taken off, so that the moment is never later than the node's own clock would
 * have said. */
bool redis_conn_clock_at(const struct redis_conn *conn, uint64_t at_ns, uint64_t *time_us)
{
    uint64_t now = clock_now();
    if (conn->clock_ns == 0 || now - conn->clock_ns > CLOCK_MAX_AGE_NS)
        return false;
    int64_t drift = (int64_t)((now - conn->clock_ns) / CLOCK_DRIFT_PART);
    int64_t shown = conn->clock_base_ns + (int64_t)at_ns - drift;
    if (shown <= 0)
        return false;
    *time_us = (uint64_t)shown / NS_PER_US;
    return true;
}

/* After NOSCRIPT: the node was restarted or its scripts were flushed. */
void redis_conn_script_reload(struct redis_conn *conn)
{
    enum cache_trouble why;
    if (conn->script_loading)
        return;
    struct redis_request *request = redis_conn_begin(conn, on_script, conn, &why);
    if (request == NULL)
        return;
    conn->script_loading = true;
    redis_request_add(request,
                      (struct slice[]){slice_of_str("SCRIPT"), slice_of_str("LOAD"),
                                       slice_of_str(conn->settings->script)},
                      3);
}

/* --- time -------------------------------------------------------------------------------------- */

/* One timer for all states; which deadline it stands for follows from the state. */
static void on_timer(void *owner)
{
    struct redis_conn *conn = owner;
    conn->timer_ns = NO_DEADLINE;
    switch (conn->state) {
    case CONN_WAITING:
        redis_link_start(conn);
        return;
    case CONN_CONNECTING:
        redis_link_fail(conn, conn->wire.connected ? TROUBLE_TLS : TROUBLE_CONNECT, "timed out");
        return;
    case CONN_GREETING:
        redis_link_fail(conn, TROUBLE_GREETING, "timed out");
        return;
    case CONN_READY:
        break;
    }
    /* What has arrived is in time, however late this loop is. */
    if (!redis_link_read(conn) || !late_requests_tell(conn, clock_now()))
        return;
    keepalive(conn, clock_now());
    redis_timer_arm(conn, next_deadline(conn));
}

/* False: the breaker opened, the connection is closed. */
static bool late_requests_tell(struct redis_conn *conn, uint64_t now)
{
    bool opened = false;
    for (struct list_node *node = list_first(&conn->requests); node != NULL;
         node = list_next(&conn->requests, node)) {
        struct redis_request *request = list_entry(node, struct redis_request, node);
        if (request->deadline_ns > now)
            break;
        if (request->late)
            continue;
        redis_done *done = request->done;
        request->late = true;
        request->done = NULL;
        metric_inc(conn->settings->counted->troubles[TROUBLE_TIMEOUT]);
        opened = breaker_timeout(&conn->breaker) || opened;
        if (done != NULL)
            done(request->owner, REDIS_TIMED_OUT, NULL, request->answered);
    }
    if (opened)
        redis_link_leave_alone(conn, "time-outs in a row");
    return !opened;
}

void redis_keepalive_begin(struct redis_conn *conn)
{
    conn->keepalive_ns = clock_now() + KEEPALIVE_NS;
    redis_timer_arm(conn, conn->keepalive_ns);
}

/* Finds a dead node before a caller does, and keeps its clock known. */
static void keepalive(struct redis_conn *conn, uint64_t now)
{
    enum cache_trouble why;
    if (now < conn->keepalive_ns)
        return;
    conn->keepalive_ns = now + KEEPALIVE_NS - random_below(KEEPALIVE_NS / 8);
    struct redis_request *request = redis_conn_begin(conn, on_keepalive, conn, &why);
    if (request != NULL)
        redis_request_add(request, (struct slice[]){slice_of_str("TIME")}, 1);
}

static void on_keepalive(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                         unsigned index)
{
    uint64_t time_us = 0;
    assert(index == 0);
    if (outcome == REDIS_ANSWERED && redis_time_read(reply, &time_us))
        redis_conn_clock_learn(owner, time_us);
}

static void on_script(void *owner, enum redis_outcome outcome, const struct redis_reply *reply,
                      unsigned index)
{
    struct redis_conn *conn = owner;
    assert(index == 0);
    conn->script_loading = false;
    if (outcome == REDIS_ANSWERED)
        (void)redis_script_learn(conn, reply);
}

/* Requests have one and the same time-out, so the first that is not late is the next to become so. */
static uint64_t next_deadline(const struct redis_conn *conn)
{
    for (struct list_node *node = list_first(&conn->requests); node != NULL;
         node = list_next(&conn->requests, node)) {
        const struct redis_request *request = list_entry(node, struct redis_request, node);
        if (!request->late)
            return request->deadline_ns < conn->keepalive_ns ? request->deadline_ns
                                                             : conn->keepalive_ns;
    }
    return conn->keepalive_ns;
}

void redis_timer_arm(struct redis_conn *conn, uint64_t deadline_ns)
{
    conn->timer_ns = deadline_ns;
    timer_set(conn->timer, deadline_ns);
}

/* --- requests ---------------------------------------------------------------------------------- */

struct redis_request *redis_request_new(struct redis_conn *conn, redis_done *done, void *owner)
{
    struct redis_request *request = xcalloc(1, sizeof *request);
    request->conn = conn;
    request->done = done;
    request->owner = owner;
    request->began_ns = clock_now();
    request->deadline_ns = request->began_ns + conn->settings->op_timeout_ns;
    list_push_back(&conn->requests, &request->node);
    metric_gauge_add(conn->settings->counted->in_flight, 1);
    return request;
}

void redis_request_end(struct redis_request *request)
{
    list_remove(&request->conn->requests, &request->node);
    metric_gauge_add(request->conn->settings->counted->in_flight, -1);
    free(request);
}

bool redis_script_learn(struct redis_conn *conn, const struct redis_reply *reply)
{
    if (reply->kind != REDIS_TEXT || reply->text.size != REDIS_SHA_SIZE - 1)
        return false;
    memcpy(conn->script_sha, reply->text.data, REDIS_SHA_SIZE - 1);
    return true;
}
