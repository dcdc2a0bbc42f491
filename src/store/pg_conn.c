/* One connection in pipeline mode: handshake, send, receive, clean up.  Called by the pool and by tx.c;
 * never decides what a lost connection means.
 *
 * Pipeline mode: statements are queued, a sync point ends them, results come back in order,
 * each followed by NULL.  `syncs` counts the sync points still unanswered and says whether
 * anything is on the way. */
#include "store/pg_cancel.h"
#include "store/store_int.h"

#include "base/alloc.h"
#include "base/random.h"

#include <assert.h>
#include <stdlib.h>

static void ignore_notice(void *owner, const char *message);
static enum pg_step read_answers(struct pg_conn *conn);
static void watch_socket(struct pg_conn *conn);
static enum pg_wait wait_to_pg(enum wait_result wait);
static enum pg_wait wait_for(struct ctx *ctx, struct pg_conn *conn, unsigned events,
                             uint64_t deadline_ns);

/* A life up to a tenth shorter than asked: connections opened together do not all end together. */
struct pg_conn *pg_conn_new(struct pg_pool *pool)
{
    struct pg_conn *conn = xcalloc(1, sizeof *conn);
    conn->pool = pool;
    conn->state = CONN_CONNECTING;
    uint64_t age = pool->store->max_age_ns;
    conn->retire_ns = deadline_after(clock_now(), age - random_below(age / 10 + 1));
    conn->pq = pg_target_connect(pool->target);
    assert(conn->pq != NULL); /* only without memory */
    PQsetNoticeProcessor(conn->pq, ignore_notice, NULL);
    watch_socket(conn);
    return conn;
}

/* The io first: PQfinish() closes its descriptor. */
void pg_conn_free(struct pg_conn *conn)
{
    pg_cancel_forget(conn->cancel);
    io_close(conn->io);
    timer_free(conn->timer);
    PQfinish(conn->pq);
    free(conn);
}

enum pg_step pg_conn_connect_step(struct pg_conn *conn)
{
    /* libpq may close its socket and open another, even under the same number. */
    io_close(conn->io);
    conn->io = NULL;
    PostgresPollingStatusType status = PQconnectPoll(conn->pq);
    watch_socket(conn);
    if (status == PGRES_POLLING_READING)
        return PG_STEP_READ;
    if (status == PGRES_POLLING_WRITING)
        return PG_STEP_WRITE;
    if (status != PGRES_POLLING_OK || PQsetnonblocking(conn->pq, 1) != 0 ||
        PQenterPipelineMode(conn->pq) != 1)
        return PG_STEP_FAILED;
    return PG_STEP_DONE;
}

/* Unnamed and in binary both ways.  Queued in libpq's buffer; may write what fits, never waits. */
bool pg_conn_send(struct pg_conn *conn, const char *text, const struct pg_params *params)
{
    static const int binary[STMT_PARAMS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    assert(params->count <= STMT_PARAMS_MAX);
    return PQsendQueryParams(conn->pq, text, params->count, params->types, params->values,
                             params->lengths, binary, 1) == 1;
}

bool pg_conn_sync(struct pg_conn *conn)
{
    if (PQpipelineSync(conn->pq) != 1)
        return false;
    conn->syncs++;
    return true;
}

enum pg_wait pg_conn_flush(struct ctx *ctx, struct pg_conn *conn, uint64_t deadline_ns)
{
    for (;;) {
        int left = PQflush(conn->pq);
        if (left < 0)
            return PG_LOST;
        if (left == 0)
            return PG_DONE;
        /* The server may wait for us to read before it takes more. */
        enum pg_wait wait = wait_for(ctx, conn, IO_READ | IO_WRITE, deadline_ns);
        if (wait != PG_DONE)
            return wait;
        if (PQconsumeInput(conn->pq) != 1)
            return PG_LOST;
    }
}

enum pg_wait pg_conn_result(struct ctx *ctx, struct pg_conn *conn, uint64_t deadline_ns,
                            PGresult **result)
{
    while (PQisBusy(conn->pq)) {
        enum pg_wait wait = wait_for(ctx, conn, IO_READ, deadline_ns);
        if (wait != PG_DONE)
            return wait;
        if (PQconsumeInput(conn->pq) != 1 && PQisBusy(conn->pq))
            return PG_LOST;
    }
    PGresult *next = PQgetResult(conn->pq);
    if (next != NULL && PQresultStatus(next) == PGRES_PIPELINE_SYNC) {
        assert(conn->syncs > 0);
        conn->syncs--;
    }
    *result = next;
    return PG_DONE;
}

/* The ROLLBACK goes out when nothing else is on the way, never behind what nobody waits for any
 * more.  PgBouncer 1.18 takes the server of a client that leaves for clean once its last answer
 * said "idle": with two sync points on the way it hands the second answer to the server's next
 * client, whose own answer then goes to the one after that.
 *
 * After a cancel request it goes out in any case: a signal that comes late, when the statement had ended
 * by itself, hits this ROLLBACK and not the next transaction. */
enum pg_step pg_conn_drain_step(struct pg_conn *conn)
{
    enum pg_step step = read_answers(conn);
    if (step != PG_STEP_DONE)
        return step;
    if (conn->cancel != NULL) /* the server may still hear of it: nothing new may be on the way */
        return PG_STEP_READ;
    bool done = conn->rolling_back || !conn->was_cancelled;
    if (done && pg_conn_is_clean(conn))
        return PG_STEP_DONE;
    if (conn->rolling_back || PQstatus(conn->pq) != CONNECTION_OK ||
        !pg_conn_send(conn, "ROLLBACK", &(struct pg_params){0}) || !pg_conn_sync(conn))
        return PG_STEP_FAILED;
    conn->rolling_back = true;
    step = read_answers(conn);
    return step != PG_STEP_DONE || pg_conn_is_clean(conn) ? step : PG_STEP_FAILED;
}

/* Two NULLs in a row mean that libpq has nothing queued although a sync point is missing: give
 * it up. */
static enum pg_step read_answers(struct pg_conn *conn)
{
    int left = PQflush(conn->pq);
    if (left < 0 || PQconsumeInput(conn->pq) != 1)
        return PG_STEP_FAILED;
    unsigned nothing = 0; /* answers in a row that were none */
    while (conn->syncs > 0) {
        if (PQisBusy(conn->pq))
            return left > 0 ? PG_STEP_WRITE : PG_STEP_READ;
        PGresult *result = PQgetResult(conn->pq);
        if (result == NULL && ++nothing > 1)
            return PG_STEP_FAILED;
        if (result == NULL)
            continue;
        nothing = 0;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            conn->syncs--;
        PQclear(result);
        if (PQstatus(conn->pq) != CONNECTION_OK)
            return PG_STEP_FAILED;
    }
    return PG_STEP_DONE;
}

/* Reads without waiting: a server that has gone left its error message or an end of file in the
 * socket. */
bool pg_conn_is_alive(struct pg_conn *conn)
{
    return PQconsumeInput(conn->pq) == 1 && PQstatus(conn->pq) == CONNECTION_OK &&
           pg_conn_is_clean(conn);
}

bool pg_conn_is_clean(const struct pg_conn *conn)
{
    return conn->syncs == 0 && PQstatus(conn->pq) == CONNECTION_OK &&
           PQtransactionStatus(conn->pq) == PQTRANS_IDLE;
}

/* Warnings (ROLLBACK outside a transaction) say nothing that matters here. */
static void ignore_notice(void *owner, const char *message)
{
    (void)owner;
    (void)message;
}

/* No descriptor: libpq failed at once and its next poll says so. */
static void watch_socket(struct pg_conn *conn)
{
    int fd = PQsocket(conn->pq);
    conn->io = fd < 0 ? NULL : io_open(conn->pool->store->loop, fd);
}

static enum pg_wait wait_for(struct ctx *ctx, struct pg_conn *conn, unsigned events,
                             uint64_t deadline_ns)
{
    if (conn->io == NULL || PQsocket(conn->pq) < 0)
        return PG_LOST;
    return wait_to_pg(task_wait_io(ctx, conn->io, events, deadline_ns));
}

static enum pg_wait wait_to_pg(enum wait_result wait)
{
    switch (wait) {
    case WAIT_READY:
        return PG_DONE;
    case WAIT_TIMEOUT:
        return PG_TIMEOUT;
    case WAIT_CANCELLED:
        return PG_CANCELLED;
    }
    return PG_LOST;
}
