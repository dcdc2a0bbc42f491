/* The room's inside: connections and pools.  Nothing outside src/store sees a connection, so nothing
 * outside can send SQL. */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include "store/pg_target.h"
#include "store/store.h"

#include "base/list.h"
#include "base/log.h"

#include "loop/loop.h"
#include "loop/task.h"

#include <libpq-fe.h>

struct pg_pool;
struct pg_cancel;
struct pg_canceller;

/* pg_pool.c has the transitions; conn_move() refuses all others. */
enum conn_state {
    CONN_CONNECTING, /* handshake under way */
    CONN_IDLE,       /* in the pool, watched for the server's goodbye */
    CONN_BUSY,       /* owned by one tx */
    CONN_DRAINING,   /* answers that nobody waits for are read, then rolled back */
};
#define CONN_STATE_COUNT 4

/* Owned by its pool; lent to one tx while CONN_BUSY. */
struct pg_conn {
    struct list_node node; /* on the pool's list for its state */
    struct pg_pool *pool;
    enum conn_state state;
    PGconn *pq;               /* libpq's, in pipeline mode and non-blocking once connected */
    struct io *io;            /* watches libpq's socket; NULL only inside pg_conn.c */
    struct timer *timer;      /* time limit of the state; NULL on a plain thread */
    uint64_t limit_ns;        /* what the timer is set to, for plain threads */
    uint64_t retire_ns;       /* end of its life */
    unsigned syncs;           /* sync points sent whose answer has not been read */
    bool commits;             /* a write's COMMIT is on the way: its end must not be disturbed */
    bool rolling_back;        /* while DRAINING: the ROLLBACK was sent */
    bool was_cancelled;       /* while DRAINING: a cancel request was made … */
    struct pg_cancel *cancel; /* … and is under way; the canceller's */
};

/* By login; found once at start. */
struct pool_metrics {
    struct metric *active;
    struct metric *idle;
    struct metric *waiting;
    struct metric *wait_seconds;
    struct metric *queue_full;
    struct metric *connected;
    struct metric *connect_failed;
    struct metric *lost;
    struct metric *refused_down;
};

#define TROUBLE_SIZE 192

/* One login's connections.  Its store's thread only. */
struct pg_pool {
    struct store *store; /* which outlives it */
    enum store_login login;
    struct pg_target *target;            /* NULL: this login is not used */
    size_t size;                         /* connections at most */
    struct list conns[CONN_STATE_COUNT]; /* by state */
    struct waitq waiters;                /* tasks in pool_take(), first come first served */
    unsigned failures;                   /* failed connects since the last success */
    uint64_t retry_ns;                   /* no connect before this time */
    struct timer *retry_timer;           /* NULL on a plain thread */
    bool down;                           /* the last connect failed and no connection lives */
    char trouble[TROUBLE_SIZE];          /* the last failed connect's text */
    struct log_interval trouble_log;
    struct pool_metrics metrics;
};

/* What a write's COMMIT came to.  UNKNOWN is counted and answered as COMMIT_UNCERTAIN, never
 * guessed. */
enum commit_outcome { COMMIT_YES, COMMIT_NO, COMMIT_UNKNOWN };
#define COMMIT_OUTCOME_COUNT 3

/* One per thread, never shared. */
struct store {
    struct loop *loop; /* NULL: a plain thread's */
    const struct log *log;
    uint64_t connect_timeout_ns;
    uint64_t statement_timeout_ns;
    uint64_t max_age_ns;
    uint32_t queue; /* waiters per pool */
    struct pg_pool pools[LOGIN_COUNT];
    struct metrics *own_metrics; /* freed with the store; NULL when the caller gave some */
    struct metric *commits[COMMIT_OUTCOME_COUNT];
    struct metric *foreign_answers;
    struct pg_canceller *canceller; /* NULL on a plain thread */
    struct metric *pipelines;       /* round trips */
    size_t open_txs; /* begun and not freed: store_close() asserts that there are none */
};

/* --- pg_conn.c ------------------------------------------------------------------------------------ */

/* How a wait for the server ended.  PG_LOST: the connection is of no use any more; after
 * TIMEOUT and CANCELLED it works, and answers still come. */
enum pg_wait { PG_DONE, PG_LOST, PG_TIMEOUT, PG_CANCELLED };

/* What a step that never waits needs next. */
enum pg_step { PG_STEP_DONE, PG_STEP_READ, PG_STEP_WRITE, PG_STEP_FAILED };

/* A connection that begins to connect, on no list.  Owner: the caller, who puts it on the
 * pool's list. */
struct pg_conn *pg_conn_new(struct pg_pool *pool);
/* It must be on no list.  Says goodbye to the server without waiting. */
void pg_conn_free(struct pg_conn *conn);
/* One step of the handshake; then wait for what it says.  The io is another one after each
 * step: watch it anew. */
enum pg_step pg_conn_connect_step(struct pg_conn *conn);
/* A statement's parameters, all in binary. */
struct pg_params {
    int count;
    Oid types[STMT_PARAMS_MAX];
    const char *values[STMT_PARAMS_MAX]; /* NULL: SQL's NULL */
    int lengths[STMT_PARAMS_MAX];
};
/* Queues one statement of the pipeline.  False: lost.  Borrows text and values for the call
 * only. */
bool pg_conn_send(struct pg_conn *conn, const char *text, const struct pg_params *params);
/* A sync point: the server answers it after all before it, and takes up again behind it after
 * an error. */
bool pg_conn_sync(struct pg_conn *conn);
/* Sends what is queued.  Suspends. */
enum pg_wait pg_conn_flush(struct ctx *ctx, struct pg_conn *conn, uint64_t deadline_ns);
/* The next result, owned by the caller; NULL: between two statements.  Suspends. */
enum pg_wait pg_conn_result(struct ctx *ctx, struct pg_conn *conn, uint64_t deadline_ns,
                            PGresult **result);
/* Reads answers nobody wants, and rolls back what is open behind them; DONE: the connection is clean.  Never
 * waits. */
enum pg_step pg_conn_drain_step(struct pg_conn *conn);
/* False: the server has gone or said something an idle connection does not hear. */
bool pg_conn_is_alive(struct pg_conn *conn);
/* No transaction open, nothing on the way. */
bool pg_conn_is_clean(const struct pg_conn *conn);

/* --- pg_pool.c ------------------------------------------------------------------------------------ */

/* `size` 0 means one connection. */
void pool_init(struct pg_pool *pool, struct store *store, enum store_login login, size_t size);
/* Nobody may wait and no connection may be out (asserted). */
void pool_deinit(struct pg_pool *pool);
/* The metrics of a pool, found or made. */
void pool_metrics_init(struct pg_pool *pool, struct metrics *metrics);
void store_metrics_init(struct store *store, struct metrics *metrics);
/* A connection for this work alone; give it back with pool_give().  Suspends.  Refusals:
 * OVERLOADED, DATABASE_UNAVAILABLE.  Faults: TIMEOUT, CANCELLED. The caller has it until
 * pool_give() or pool_drop(), whatever becomes of its call. */
int pool_take(struct ctx *ctx, struct pg_pool *pool, struct pg_conn **conn) MUST_CHECK;
/* Hands the connection to the first waiter, keeps it, cleans it or drops it.  Never suspends. */
void pool_give(struct pg_conn *conn);
/* Drops a broken connection.  In any state; opens another when somebody waits. */
void pool_drop(struct pg_conn *conn);

/* The cancel request for a draining connection has finished. */
void pool_cancelled(struct pg_conn *conn);

/* --- sqlstate.c ----------------------------------------------------------------------------------- */

/* What an error of the server means. */
enum sql_error {
    SQL_ERROR_UNIQUE,      /* a unique constraint: maybe an answer */
    SQL_ERROR_GUARD,       /* division by zero: the guard of a guarded statement */
    SQL_ERROR_CONCURRENT,  /* retry the transaction */
    SQL_ERROR_TIMEOUT,     /* statement_timeout */
    SQL_ERROR_GOING_DOWN,  /* the server itself ends the session: nothing after it ran */
    SQL_ERROR_UNREACHABLE, /* a connection on the way broke: what ran is unknown */
    SQL_ERROR_REFUSED,     /* it cannot now: not ready, too many connections, full, read-only */
    SQL_ERROR_FORBIDDEN,   /* a right or a row-level policy: our bug, or the database's set-up */
    SQL_ERROR_SCHEMA,      /* what a statement names is not there: likewise */
    SQL_ERROR_BUG,         /* everything else: our bug */
};
/* NULL, which libpq has for errors of its own, is SQL_ERROR_UNREACHABLE. */
enum sql_error sqlstate_class(const char *sqlstate);
/* The refusal or fault for an error of `stmt` (NULL: BEGIN, COMMIT or the settings).  Never OK. */
int sqlstate_result(struct ctx *ctx, const struct stmt *stmt, const char *sqlstate,
                    const char *constraint);

#endif
