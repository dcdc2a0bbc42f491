/* A pool of connections for one login: fair hand-over, bounded queue, connects in the background.
 *
 * While the last connect has failed and no connection lives, takers are refused at once; one attempt at a time
 * goes on behind them, with growing pauses.
 *
 * A statement that still runs when its caller has left is cancelled (pg_cancel.c), unless a write's COMMIT is
 * behind it.
 *
 *    CONNECTING ──connected──> BUSY <──taken, offered── IDLE
 *        │                     │  │                      ^
 *        │ failed, late        │  └──clean, nobody waits─┘
 *        v                     └──unclean──> DRAINING ──clean──> BUSY, offered
 *     dropped, as any that is broken, too old or does not drain within a second
 *
 * Takers get the connection used last, so that a quiet time lets the others grow old and go.
 * What is given to a waiter stays BUSY on the way. */
#include "store/pg_cancel.h"
#include "store/store_int.h"

#include "base/random.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* A database that restarts is found within a tenth of a second; one that stays away is asked
 * every few seconds. */
#define RETRY_FLOOR_NS (100 * NS_PER_MS)
#define RETRY_CAP_NS (5 * NS_PER_S)
#define ROLLBACK_NS NS_PER_S /* how long cleaning up may take */

static int take_blocking(struct ctx *ctx, struct pg_pool *pool, struct pg_conn **out);
static void connect_if_useful(struct pg_pool *pool);
static size_t pool_total(const struct pg_pool *pool);
static void conn_move(struct pg_conn *conn, enum conn_state state);
static void on_connect_io(void *owner, unsigned events);
static void connect_step(struct pg_conn *conn);
static void connect_failed(struct pg_conn *conn);
static void connect_done(struct pg_conn *conn);
static void on_idle_io(void *owner, unsigned events);
static void on_drain_io(void *owner, unsigned events);
static void drain_step(struct pg_conn *conn);
static void cancel_statement(struct pg_conn *conn);
/* Once, and not of the ROLLBACK.  A COMMIT on the way decides what its caller was told to be uncertain: it is
 * left alone. */
static void cancel_statement(struct pg_conn *conn)
{
    if (conn->was_cancelled || conn->rolling_back || conn->commits || conn->syncs == 0)
        return;
    conn->was_cancelled = true;
    conn->cancel = pg_cancel_start(conn->pool->store->canceller, conn);
}

void pool_cancelled(struct pg_conn *conn)
{
    assert(conn->state == CONN_DRAINING && conn->cancel != NULL);
    conn->cancel = NULL;
    drain_step(conn);
}

static void on_conn_timer(void *owner);
static void on_retry(void *owner);
static void offer(struct pg_conn *conn);
static void refuse_waiters(struct pg_pool *pool);
static void keep_trouble(struct pg_pool *pool, const char *error);
static void show_counts(struct pg_pool *pool);

void pool_init(struct pg_pool *pool, struct store *store, enum store_login login, size_t size)
{
    pool->store = store;
    pool->login = login;
    pool->size = size == 0 ? 1 : size;
    for (int state = 0; state < CONN_STATE_COUNT; state++)
        list_init(&pool->conns[state]);
    waitq_init(&pool->waiters);
    if (store->loop != NULL)
        pool->retry_timer = timer_new(store->loop, on_retry, pool);
}

/* Connections in all other states are closed here: nobody's work is on them. */
void pool_deinit(struct pg_pool *pool)
{
    assert(waitq_size(&pool->waiters) == 0);
    assert(list_is_empty(&pool->conns[CONN_BUSY]));
    for (int state = 0; state < CONN_STATE_COUNT; state++) {
        for (struct list_node *node; (node = list_pop_front(&pool->conns[state])) != NULL;)
            pg_conn_free(list_entry(node, struct pg_conn, node));
    }
    timer_free(pool->retry_timer);
    pg_target_free(pool->target);
}

/* An idle connection is looked at before it is lent: the server's goodbye may lie in the socket
 * unread. */
int pool_take(struct ctx *ctx, struct pg_pool *pool, struct pg_conn **out)
{
    assert(pool->target != NULL); /* this login is not used here */
    for (struct list_node *node; (node = list_last(&pool->conns[CONN_IDLE])) != NULL;) {
        struct pg_conn *conn = list_entry(node, struct pg_conn, node);
        if (pg_conn_is_alive(conn) && deadline_left(conn->retire_ns, clock_now()) > 0) {
            conn_move(conn, CONN_BUSY);
            *out = conn;
            return OK;
        }
        pool_drop(conn);
    }
    if (pool->store->loop == NULL)
        return take_blocking(ctx, pool, out);
    connect_if_useful(pool);
    if (pool->down) {
        metric_inc(pool->metrics.refused_down);
        return DATABASE_UNAVAILABLE;
    }
    if (waitq_size(&pool->waiters) >= pool->store->queue) {
        metric_inc(pool->metrics.queue_full);
        return OVERLOADED;
    }
    /* no one is idle: wait in line, however many connects are under way */
    uint64_t began = clock_now();
    metric_gauge_add(pool->metrics.waiting, 1);
    void *given = NULL;
    enum wait_result wait = waitq_wait(ctx, &pool->waiters, ctx->deadline_ns, &given);
    metric_gauge_add(pool->metrics.waiting, -1);
    metric_observe(pool->metrics.wait_seconds, (double)(clock_now() - began) / (double)NS_PER_S);
    TRY(wait_fault(ctx, wait, "a database connection"));
    if (given == NULL)
        return DATABASE_UNAVAILABLE; /* the connect that everybody waited for failed */
    *out = given;
    return OK;
}

/* An open transaction or outstanding answers mean a clean-up and a ROLLBACK behind the caller's
 * back; the connection is offered again when the server has answered everything.  A plain thread
 * has nobody who would come back for that: it leaves, with one sync point on the way at most. */
void pool_give(struct pg_conn *conn)
{
    assert(conn->state == CONN_BUSY);
    if (deadline_left(conn->retire_ns, clock_now()) == 0) {
        pool_drop(conn);
        return;
    }
    if (pg_conn_is_clean(conn)) {
        offer(conn);
        return;
    }
    if (PQstatus(conn->pq) != CONNECTION_OK || conn->pool->store->loop == NULL) {
        pool_drop(conn);
        return;
    }
    conn_move(conn, CONN_DRAINING);
    conn->rolling_back = false;
    conn->was_cancelled = false;
    conn->limit_ns = deadline_after(clock_now(), ROLLBACK_NS);
    if (conn->timer != NULL)
        timer_set(conn->timer, conn->limit_ns);
    drain_step(conn);
}

/* Frees `conn`: its io's callback must not touch it afterwards. */
void pool_drop(struct pg_conn *conn)
{
    struct pg_pool *pool = conn->pool;
    if (conn->state != CONN_CONNECTING)
        metric_inc(pool->metrics.lost);
    list_remove(&pool->conns[conn->state], &conn->node);
    pg_conn_free(conn);
    show_counts(pool);
    if (pool->store->loop != NULL && waitq_size(&pool->waiters) > 0)
        connect_if_useful(pool);
}

/* A plain thread opens its connection itself. */
static int take_blocking(struct ctx *ctx, struct pg_pool *pool, struct pg_conn **out)
{
    struct pg_conn *conn = pg_conn_new(pool);
    list_push_back(&pool->conns[CONN_CONNECTING], &conn->node);
    uint64_t deadline = ctx_deadline_within(ctx, pool->store->connect_timeout_ns);
    unsigned events = IO_WRITE;
    for (;;) {
        enum wait_result wait = conn->io == NULL ? WAIT_READY
                                                 : task_wait_io(ctx, conn->io, events, deadline);
        enum pg_step step = wait == WAIT_READY ? pg_conn_connect_step(conn) : PG_STEP_FAILED;
        if (step == PG_STEP_DONE)
            break;
        if (step == PG_STEP_FAILED) {
            keep_trouble(pool, wait == WAIT_READY ? PQerrorMessage(conn->pq) : "no answer in time");
            metric_inc(pool->metrics.connect_failed);
            pg_target_refresh(pool->target);
            pool_drop(conn);
            return DATABASE_UNAVAILABLE;
        }
        events = step == PG_STEP_READ ? IO_READ : IO_WRITE;
    }
    pool->trouble[0] = '\0';
    metric_inc(pool->metrics.connected);
    conn_move(conn, CONN_BUSY);
    *out = conn;
    return OK;
}

/* One more connection when there is room and somebody could use it; one attempt at a time while down. */
static void connect_if_useful(struct pg_pool *pool)
{
    size_t connecting = pool->conns[CONN_CONNECTING].count;
    bool room = pool_total(pool) < pool->size;
    bool wanted = connecting <= waitq_size(&pool->waiters);
    if (!room || !wanted || (pool->failures > 0 && connecting > 0))
        return;
    if (pool->failures > 0 && deadline_left(pool->retry_ns, clock_now()) > 0) {
        if (!timer_is_set(pool->retry_timer))
            timer_set(pool->retry_timer, pool->retry_ns);
        return;
    }
    struct pg_conn *conn = pg_conn_new(pool);
    list_push_back(&pool->conns[CONN_CONNECTING], &conn->node);
    conn->timer = timer_new(pool->store->loop, on_conn_timer, conn);
    conn->limit_ns = deadline_after(clock_now(), pool->store->connect_timeout_ns);
    timer_set(conn->timer, conn->limit_ns);
    if (conn->io == NULL)
        timer_set(conn->timer,
                  clock_now()); /* libpq failed at once: told from the loop, not here */
    else
        io_watch(conn->io, IO_WRITE, on_connect_io, conn);
}

static void on_connect_io(void *owner, unsigned events)
{
    (void)events;
    connect_step(owner);
}

static void connect_step(struct pg_conn *conn)
{
    switch (pg_conn_connect_step(conn)) {
    case PG_STEP_READ:
        io_watch(conn->io, IO_READ, on_connect_io, conn);
        return;
    case PG_STEP_WRITE:
        io_watch(conn->io, IO_WRITE, on_connect_io, conn);
        return;
    case PG_STEP_FAILED:
        connect_failed(conn);
        return;
    case PG_STEP_DONE:
        connect_done(conn);
        return;
    }
}

/* In this order: the dropped connection must not count when `down` is judged, and waiters are
 * refused only when nothing lives that could serve them later. */
static void connect_failed(struct pg_conn *conn)
{
    assert(conn->state == CONN_CONNECTING);
    struct pg_pool *pool = conn->pool;
    const char *error = PQerrorMessage(conn->pq);
    bool late = deadline_left(conn->limit_ns, clock_now()) == 0;
    keep_trouble(pool, late ? "no answer in time" : error);
    metric_inc(pool->metrics.connect_failed);
    uint64_t suppressed = 0;
    if (log_interval_due(&pool->trouble_log, 10 * NS_PER_S, &suppressed))
        log_on_error(pool->store->log, "database.connect_failed", KV_STR("error", pool->trouble),
                     KV_INT("suppressed", suppressed));
    pool->retry_ns =
        deadline_after(clock_now(), backoff_ns(pool->failures, RETRY_FLOOR_NS, RETRY_CAP_NS));
    pool->failures++;
    pg_target_refresh(pool->target);
    pool_drop(conn);
    pool->down = pool_total(pool) == 0;
    if (pool->down)
        refuse_waiters(pool);
    timer_set(pool->retry_timer, pool->retry_ns);
}

static void connect_done(struct pg_conn *conn)
{
    struct pg_pool *pool = conn->pool;
    if (pool->failures > 0)
        log_on_info(pool->store->log, "database.connected",
                    KV_STR("target", pg_target_text(pool->target)));
    pool->failures = 0;
    pool->down = false;
    pool->trouble[0] = '\0';
    metric_inc(pool->metrics.connected);
    conn_move(conn, CONN_BUSY);
    offer(conn);
    /* those whose own attempts failed still wait */
    if (pool->conns[CONN_CONNECTING].count < waitq_size(&pool->waiters))
        connect_if_useful(pool);
}

/* The first waiter gets it; a freed connection never overtakes those who wait. `conn` is BUSY
 * and clean. */
static void offer(struct pg_conn *conn)
{
    assert(conn->state == CONN_BUSY && conn->syncs == 0);
    struct pg_pool *pool = conn->pool;
    if (conn->timer != NULL)
        timer_set(conn->timer, NO_DEADLINE);
    if (waitq_wake(&pool->waiters, conn)) {
        if (conn->io != NULL && pool->store->loop != NULL)
            io_watch(conn->io, IO_NONE, on_idle_io, conn);
        return;
    }
    conn_move(conn, CONN_IDLE);
    if (pool->store->loop != NULL)
        io_watch(conn->io, IO_READ, on_idle_io, conn);
}

/* An idle connection hears only the server's goodbye. */
static void on_idle_io(void *owner, unsigned events)
{
    (void)events;
    struct pg_conn *conn = owner;
    if (conn->state == CONN_IDLE && !pg_conn_is_alive(conn))
        pool_drop(conn);
}

static void on_drain_io(void *owner, unsigned events)
{
    (void)events;
    drain_step(owner);
}

static void drain_step(struct pg_conn *conn)
{
    enum pg_step step = pg_conn_drain_step(conn);
    switch (step) {
    case PG_STEP_READ:
    case PG_STEP_WRITE:
        io_watch(conn->io, step == PG_STEP_READ ? IO_READ : IO_READ | IO_WRITE, on_drain_io, conn);
        cancel_statement(conn);
        return;
    case PG_STEP_FAILED:
        pool_drop(conn);
        return;
    case PG_STEP_DONE:
        conn->commits = false;
        conn_move(conn, CONN_BUSY);
        offer(conn);
        return;
    }
}

static void on_conn_timer(void *owner)
{
    struct pg_conn *conn = owner;
    if (conn->state == CONN_CONNECTING)
        connect_failed(conn);
    else if (conn->state == CONN_DRAINING)
        pool_drop(conn);
}

/* May find that nobody waits any more, and then connects to nothing. */
static void on_retry(void *owner)
{
    struct pg_pool *pool = owner;
    connect_if_useful(pool);
}

/* The first line of what libpq says: the others are advice for people with a terminal. */
static void keep_trouble(struct pg_pool *pool, const char *error)
{
    snprintf(pool->trouble, sizeof pool->trouble, "%s: %.*s", pg_target_text(pool->target),
             (int)strcspn(error, "\n"), error);
}

static void refuse_waiters(struct pg_pool *pool)
{
    (void)waitq_wake_all(&pool->waiters, NULL);
}

/* Draining ones count: they still hold a place at PgBouncer. */
static size_t pool_total(const struct pg_pool *pool)
{
    size_t total = 0;
    for (int state = 0; state < CONN_STATE_COUNT; state++)
        total += pool->conns[state].count;
    return total;
}

/* The one place where a connection changes state. */
static void conn_move(struct pg_conn *conn, enum conn_state state)
{
    static const uint8_t allowed[CONN_STATE_COUNT] = {
        [CONN_CONNECTING] = 1u << CONN_BUSY,
        [CONN_IDLE] = 1u << CONN_BUSY,
        [CONN_BUSY] = 1u << CONN_IDLE | 1u << CONN_DRAINING,
        [CONN_DRAINING] = 1u << CONN_BUSY,
    };
    assert((allowed[conn->state] & (1u << state)) != 0);
    struct pg_pool *pool = conn->pool;
    if (conn->state == CONN_IDLE && pool->store->loop != NULL)
        io_watch(conn->io, IO_NONE, on_idle_io, conn);
    list_remove(&pool->conns[conn->state], &conn->node);
    conn->state = state;
    list_push_back(&pool->conns[state], &conn->node);
    show_counts(pool);
}

static void show_counts(struct pg_pool *pool)
{
    metric_gauge_set(pool->metrics.idle, (int64_t)pool->conns[CONN_IDLE].count);
    metric_gauge_set(pool->metrics.active,
                     (int64_t)(pool->conns[CONN_BUSY].count + pool->conns[CONN_DRAINING].count));
}
