/*~ The one way to run SQL; see tx.h.
 *
 * A run is one pipeline: BEGIN, the settings of the transaction, the queued statements, perhaps COMMIT, then a
 * sync point.  After an error the server skips to the sync point, so a COMMIT behind a failed statement never
 * runs. */
#include "store/tx.h"

#include "store/run_span.h"
#include "store/store_int.h"

#include "base/alloc.h"
#include "base/random.h"

#include "gen/errors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 12             /* statements of one run */
#define RESULTS_MAX 24           /* kept for rows until the tx is freed */
#define SPARE_NS (2 * NS_PER_MS) /* less of the deadline than this is not worth asking */
#define ANSWER_NS                                                                                  \
    (50 * NS_PER_MS) /* how much later than the statement time-out an answer may come */

struct queued {
    const struct stmt *stmt;
    struct rows *rows;
    size_t first_value; /* in tx->values */
};

struct encoded {
    uint32_t oid;
    bool is_null;
    size_t start; /* in tx->bytes */
    size_t size;
};

struct tx {
    struct store *store;
    struct ctx *ctx;
    enum tx_mode mode;
    struct uuid tenant;
    struct pg_conn *conn;   /* NULL before the first run and after the end */
    bool begun;             /* BEGIN was sent */
    unsigned begin_answers; /* to BEGIN and the settings, not yet read */
    char mark[17];          /* comes back with the settings: the answers are this transaction's */
    bool stopped;           /* answers are outstanding that this tx will not read */
    bool lost;              /* … and the connection cannot be used any more */
    bool refused;           /* the server itself said no */
    bool failed;            /* only freeing is left */
    bool committed;
    bool keeps_failed; /* a failed run leaves the rollback to tx_rollback() */
    struct queued queue[QUEUE_MAX];
    size_t queue_count;
    struct encoded values[QUEUE_MAX * STMT_PARAMS_MAX];
    size_t value_count;
    struct buf bytes; /* encoded values of this run */
    PGresult *results[RESULTS_MAX];
    size_t result_count;
    struct run_span span; /* of the run that is on its way */
    bool halfway;         /* tx_commit_begin() was OK, and tx_commit_end() has not come */
};

static enum store_login login_of(enum tx_mode mode);
static bool ends_itself(enum tx_mode mode);
static int run(struct tx *tx, bool commit);
static int begin_run(struct tx *tx, bool commit);
static int end_run(struct tx *tx, bool commit, int rc);
static void close_run(struct tx *tx, bool commit, int rc);
static int send_run(struct tx *tx, bool commit);
static bool send_begin(struct tx *tx);
static bool send_statement(struct tx *tx, const struct queued *queued);
static int collect_run(struct tx *tx, bool commit);
static int collect_one(struct tx *tx, const struct stmt *stmt, struct rows *rows);
static int take_result(struct tx *tx, const struct stmt *stmt, struct rows *rows, PGresult *result);
static bool is_own(const struct tx *tx, const PGresult *result);
static int foreign(struct tx *tx, PGresult *result);
static void mark_make(char mark[17]);
static int check_columns(struct tx *tx, const struct stmt *stmt, const PGresult *result);
static int collect_sync(struct tx *tx);
static int lost(struct tx *tx, enum pg_wait wait);
static void count_commit(struct tx *tx, enum commit_outcome outcome);
static uint64_t answer_deadline(const struct tx *tx);

int tx_begin(struct store *store, struct ctx *ctx, enum tx_mode mode, const struct uuid *tenant,
             struct tx **out)
{
    bool needs_tenant = mode == TX_READ || mode == TX_WRITE;
    assert((tenant != NULL) == needs_tenant);
    if (deadline_left(ctx->deadline_ns, clock_now()) < SPARE_NS)
        return FAULT(ctx, FAULT_TIMEOUT, "no time is left for the database");
    struct tx *tx = xcalloc(1, sizeof *tx);
    tx->store = store;
    tx->ctx = ctx;
    tx->mode = mode;
    if (tenant != NULL)
        tx->tenant = *tenant;
    store->open_txs++;
    *out = tx;
    return OK;
}

void tx_queue(struct tx *tx, const struct stmt *stmt, const struct sql_value *values,
              struct rows *rows)
{
    assert(tx->queue_count < QUEUE_MAX && !tx->committed);
    assert(values != NULL || stmt->param_count == 0);
    assert(stmt->param_count <= STMT_PARAMS_MAX);
    struct queued *queued = &tx->queue[tx->queue_count++];
    *queued = (struct queued){.stmt = stmt, .rows = rows, .first_value = tx->value_count};
    for (size_t i = 0; i < stmt->param_count; i++) {
        struct encoded *encoded = &tx->values[tx->value_count++];
        encoded->oid = sql_type_oid(values[i].type);
        encoded->is_null = values[i].is_null;
        encoded->start = buf_size(&tx->bytes);
        sql_value_encode(&values[i], &tx->bytes);
        encoded->size = buf_size(&tx->bytes) - encoded->start;
    }
    if (rows != NULL)
        *rows = (struct rows){.stmt = stmt};
}

int tx_run(struct tx *tx)
{
    return run(tx, ends_itself(tx->mode));
}

int tx_commit(struct tx *tx)
{
    return run(tx, true);
}

int tx_commit_begin(struct tx *tx)
{
    int rc = begin_run(tx, true);
    tx->halfway = rc == OK;
    if (rc != OK)
        close_run(tx, true, rc);
    return rc;
}

int tx_commit_end(struct tx *tx)
{
    assert(tx->halfway);
    tx->halfway = false;
    return end_run(tx, true, OK);
}

void tx_end_yourself(struct tx *tx)
{
    tx->keeps_failed = true;
}

void tx_rollback(struct tx *tx)
{
    if (tx->conn == NULL || !tx->begun || tx->committed || tx->stopped)
        return;
    struct pg_conn *conn = tx->conn;
    bool sent = pg_conn_send(conn, "ROLLBACK", &(struct pg_params){0}) && pg_conn_sync(conn);
    enum pg_wait wait = sent ? pg_conn_flush(tx->ctx, conn, answer_deadline(tx)) : PG_LOST;
    if (wait == PG_DONE)
        (void)collect_sync(tx);
    else
        (void)lost(tx, wait);
    tx->failed = true; /* only freeing is left */
    if (tx->lost)
        pool_drop(TAKE(tx->conn));
}

void tx_free(struct tx *tx)
{
    if (tx == NULL)
        return;
    if (tx->halfway)
        close_run(tx, true, COMMIT_UNCERTAIN);
    if (tx->conn != NULL)
        pool_give(tx->conn);
    for (size_t i = 0; i < tx->result_count; i++)
        PQclear(tx->results[i]);
    buf_deinit(&tx->bytes);
    assert(tx->store->open_txs > 0);
    tx->store->open_txs--;
    free(tx);
}

void tx_free_ptr(struct tx **tx)
{
    tx_free(*tx);
    *tx = NULL;
}

struct ctx *tx_ctx(const struct tx *tx)
{
    return tx->ctx;
}

enum tx_mode tx_mode(const struct tx *tx)
{
    return tx->mode;
}

static enum store_login login_of(enum tx_mode mode)
{
    switch (mode) {
    case TX_READ:
    case TX_WRITE:
    case TX_CATALOG:
        return LOGIN_APP;
    case TX_PLATFORM_READ:
    case TX_PLATFORM:
        return LOGIN_PLATFORM;
    case TX_RELAY:
        return LOGIN_RELAY;
    }
    abort();
}

/* Reads that need no second run: one round trip instead of two. */
static bool ends_itself(enum tx_mode mode)
{
    return mode == TX_READ || mode == TX_CATALOG || mode == TX_PLATFORM_READ;
}

static int run(struct tx *tx, bool commit)
{
    return end_run(tx, commit, begin_run(tx, commit));
}

/* The span is with the wait for a connection: it is what a slow call may have waited for. */
static int begin_run(struct tx *tx, bool commit)
{
    assert(!tx->failed && !tx->committed);
    tx->span = (struct run_span){.began_ns = 0};
    if (tx->ctx->spans != NULL) {
        tx->span.began_ns = clock_now();
        tx->span.first = tx->queue_count == 0 ? NULL : tx->queue[0].stmt->name;
        tx->span.statements = tx->queue_count;
    }
    if (tx->conn == NULL)
        TRY(pool_take(tx->ctx, &tx->store->pools[login_of(tx->mode)], &tx->conn));
    /* from here the server may act: whether it committed must be learned even if nobody waits any more */
    tx->conn->commits = commit && !ends_itself(tx->mode);
    if (tx->conn->commits)
        task_shield(tx->ctx, true);
    return send_run(tx, commit);
}

/* `rc` is what begin_run() said. */
static int end_run(struct tx *tx, bool commit, int rc)
{
    if (rc == OK)
        rc = collect_run(tx, commit);
    close_run(tx, commit, rc);
    return rc;
}

/* Without a connection nothing was begun. */
static void close_run(struct tx *tx, bool commit, int rc)
{
    tx->failed = rc != OK;
    if (tx->conn != NULL && tx->conn->commits) {
        task_shield(tx->ctx, false);
        count_commit(tx, rc == OK                 ? COMMIT_YES
                         : rc == COMMIT_UNCERTAIN ? COMMIT_UNKNOWN
                                                  : COMMIT_NO);
    }
    run_span_end(tx->ctx, &tx->span, rc);
    if (tx->conn == NULL)
        return;
    tx->committed = rc == OK && commit;
    tx->queue_count = 0;
    tx->value_count = 0;
    buf_clear(&tx->bytes);
    if (tx->lost)
        pool_drop(TAKE(tx->conn));
    else if (tx->committed || (tx->failed && (!tx->keeps_failed || tx->stopped)))
        pool_give(TAKE(tx->conn)); /* early: others wait for it */
}

static int send_run(struct tx *tx, bool commit)
{
    struct pg_conn *conn = tx->conn;
    metric_inc(tx->store->pipelines);
    bool sent = tx->begun || send_begin(tx);
    tx->begun = true;
    for (size_t i = 0; sent && i < tx->queue_count; i++)
        sent = send_statement(tx, &tx->queue[i]);
    if (sent && commit)
        sent = pg_conn_send(conn, "COMMIT", &(struct pg_params){0});
    if (!sent)
        return lost(tx, PG_LOST); /* a COMMIT, queued last, is not among what may have gone out */
    enum pg_wait wait = pg_conn_sync(conn) ? pg_conn_flush(tx->ctx, conn, answer_deadline(tx))
                                           : PG_LOST;
    if (wait == PG_DONE)
        return OK;
    int rc = lost(tx, wait);
    /* the COMMIT may have gone out with the part that was sent */
    return commit && !ends_itself(tx->mode) ? COMMIT_UNCERTAIN : rc;
}

/* The tenant, the time-out and the actor hold for this transaction only (the third argument): a pooled
 * session keeps nothing. */
static bool send_begin(struct tx *tx)
{
#define SETTINGS                                                                                   \
    "SELECT set_config('app.tenant_id', $1, true), set_config('statement_timeout', $2, true), "    \
    "set_config('app.actor', $3, true), $4::text"
    const char *settings = tx->mode == TX_RELAY ? SETTINGS ", " RELAY_PLANNER : SETTINGS;
    const char *begin = ends_itself(tx->mode) ? "BEGIN READ ONLY" : "BEGIN";
    char tenant[UUID_TEXT_SIZE] = "";
    if (!uuid_is_nil(&tx->tenant))
        uuid_format(&tx->tenant, tenant);
    uint64_t left = deadline_left(tx->ctx->deadline_ns, clock_now());
    left -= left /
            10; /* so that the server's "no" comes before our own deadline: the session lives on */
    uint64_t limit = left < tx->store->statement_timeout_ns ? left
                                                            : tx->store->statement_timeout_ns;
    char timeout[24];
    snprintf(timeout, sizeof timeout, "%llu",
             (unsigned long long)(limit / NS_PER_MS + 1)); /* 0 would mean none */
    const char *actor = tx->ctx->caller == NULL ? "tenant-service" : tx->ctx->caller;
    mark_make(tx->mark);
    const uint32_t text = sql_type_oid(SQL_TEXT);
    const struct pg_params params = {
        .count = 4,
        .types = {text, text, text, text},
        .values = {tenant, timeout, actor, tx->mark},
        .lengths = {(int)strlen(tenant), (int)strlen(timeout), (int)strlen(actor),
                    (int)strlen(tx->mark)},
    };
    tx->begin_answers = 2;
    return pg_conn_send(tx->conn, begin, &(struct pg_params){0}) &&
           pg_conn_send(tx->conn, settings, &params);
}

static bool send_statement(struct tx *tx, const struct queued *queued)
{
    const struct stmt *stmt = queued->stmt;
    const char *bytes = (const char *)buf_slice(&tx->bytes).data;
    struct pg_params params = {.count = (int)stmt->param_count};
    for (size_t i = 0; i < stmt->param_count; i++) {
        const struct encoded *encoded = &tx->values[queued->first_value + i];
        const char *start = bytes == NULL ? "" : bytes + encoded->start;
        params.values[i] = encoded->is_null ? NULL : start;
        params.lengths[i] = (int)encoded->size;
        params.types[i] = encoded->oid;
    }
    return pg_conn_send(tx->conn, stmt->text, &params);
}

static int collect_run(struct tx *tx, bool commit)
{
    int rc = OK;
    for (; rc == OK && tx->begin_answers > 0; tx->begin_answers--)
        rc = collect_one(tx, NULL, NULL);
    for (size_t i = 0; rc == OK && i < tx->queue_count; i++)
        rc = collect_one(tx, tx->queue[i].stmt, tx->queue[i].rows);
    bool statements_done = rc == OK;
    if (rc == OK && commit)
        rc = collect_one(tx, NULL, NULL);
    if (rc == OK && commit) {
        (void)collect_sync(tx); /* the COMMIT's answer is there: it happened, whatever comes now */
        return OK;
    }
    if (rc == OK)
        return collect_sync(tx);
    bool write = commit && !ends_itself(tx->mode);
    if (PQstatus(tx->conn->pq) == CONNECTION_OK && !tx->stopped) {
        (void)collect_sync(tx); /* the skipped rest: leaves the connection ready for its ROLLBACK */
        /* it was not the server that objected: it went on to the COMMIT */
        return write && !tx->refused ? COMMIT_UNCERTAIN : rc;
    }
    /* nobody will know the end: without a COMMIT on the way nothing happened */
    if (!write || (!statements_done && tx->refused))
        return rc;
    return COMMIT_UNCERTAIN;
}

/* One statement's answer: a result, then NULL. */
static int collect_one(struct tx *tx, const struct stmt *stmt, struct rows *rows)
{
    PGresult *result = NULL;
    enum pg_wait wait = pg_conn_result(tx->ctx, tx->conn, answer_deadline(tx), &result);
    if (wait != PG_DONE || result == NULL)
        return lost(tx, wait == PG_DONE ? PG_LOST : wait);
    int rc = take_result(tx, stmt, rows, result);
    if (tx->stopped)
        return rc;
    PGresult *end = NULL;
    wait = pg_conn_result(tx->ctx, tx->conn, answer_deadline(tx), &end);
    PQclear(end);
    if (wait != PG_DONE || end != NULL)
        return lost(tx, wait == PG_DONE ? PG_LOST : wait);
    return rc;
}

static int take_result(struct tx *tx, const struct stmt *stmt, struct rows *rows, PGresult *result)
{
    if (tx->begin_answers > 0 && !is_own(tx, result))
        return foreign(tx, result);
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
        if (rows != NULL && check_columns(tx, stmt, result) == OK) {
            assert(tx->result_count < RESULTS_MAX);
            rows->result = (const struct pg_result *)(const void *)result;
            rows->count = (size_t)PQntuples(result);
            tx->results[tx->result_count++] = result;
            return OK;
        }
        PQclear(result);
        return rows == NULL ? OK : FAULT_INTERNAL;
    case PGRES_COMMAND_OK:
        PQclear(result);
        return OK;
    case PGRES_PIPELINE_ABORTED: /* skipped behind an error that was told already */
        PQclear(result);
        return FAULT(tx->ctx, FAULT_INTERNAL, "skipped");
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_COPY_BOTH:
    case PGRES_SINGLE_TUPLE:
    case PGRES_PIPELINE_SYNC:
        break;
    }
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    enum sql_error error = sqlstate_class(state);
    tx->refused = state != NULL && error != SQL_ERROR_UNREACHABLE;
    tx->lost = error == SQL_ERROR_UNREACHABLE || error == SQL_ERROR_GOING_DOWN;
    tx->stopped = tx->lost;
    int rc = sqlstate_result(tx->ctx, stmt, state, constraint);
    PQclear(result);
    return rc;
}

/* Errors may be anybody's: they are told as such, and end the transaction. */
static bool is_own(const struct tx *tx, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return true;
    if (tx->begin_answers == 2) /* libpq's function takes no const and changes nothing */
        return status == PGRES_COMMAND_OK &&
               strcmp(PQcmdStatus((PGresult *)(uintptr_t)result), "BEGIN") == 0;
    return status == PGRES_TUPLES_OK && PQntuples(result) == 1 && PQnfields(result) >= 4 &&
           strcmp(PQgetvalue(result, 0, 3), tx->mark) == 0;
}

/* Nothing more is read from this connection.  It has to go: what else it holds is not ours either. */
static int foreign(struct tx *tx, PGresult *result)
{
    PQclear(result);
    tx->stopped = true;
    tx->lost = true;
    metric_inc(tx->store->foreign_answers);
    return FAULT(tx->ctx, FAULT_DATABASE, "the pooler gave an answer to somebody else's question");
}

/* 64 bits are enough to tell a few thousand transactions apart; nothing is protected by them. */
static void mark_make(char mark[17])
{
    uint64_t value = 0;
    random_name_bytes(&value, sizeof value);
    snprintf(mark, 17, "%016llx", (unsigned long long)value);
}

/* By name and place, at every answer: a migration that renames a column shows at the first use
 * and not as a wrong value. */
static int check_columns(struct tx *tx, const struct stmt *stmt, const PGresult *result)
{
    int count = PQnfields(result);
    for (int i = 0; i < count; i++) {
        if (stmt->columns[i] == NULL || strcmp(stmt->columns[i], PQfname(result, i)) != 0)
            return FAULT(tx->ctx, FAULT_INTERNAL, "%s: unexpected column %s", stmt->name,
                         PQfname(result, i));
    }
    if (stmt->columns[count] != NULL)
        return FAULT(tx->ctx, FAULT_INTERNAL, "%s: no column %s", stmt->name, stmt->columns[count]);
    return OK;
}

/* Reads to the sync point, past what the server skipped. */
static int collect_sync(struct tx *tx)
{
    while (tx->conn->syncs > 0) {
        PGresult *result = NULL;
        enum pg_wait wait = pg_conn_result(tx->ctx, tx->conn, answer_deadline(tx), &result);
        PQclear(result);
        if (wait != PG_DONE)
            return lost(tx, wait);
        if (PQstatus(tx->conn->pq) != CONNECTION_OK)
            return lost(tx, PG_LOST);
    }
    return OK;
}

/* Who stops waiting leaves a connection that works: the pool rolls back, reads to the end and keeps it, so
 * that a storm of cancelled calls does not become a storm of handshakes. */
static int lost(struct tx *tx, enum pg_wait wait)
{
    tx->stopped = true;
    tx->lost = wait == PG_LOST || wait == PG_DONE;
    switch (wait) {
    case PG_TIMEOUT:
        return FAULT(tx->ctx, FAULT_TIMEOUT, "the database did not answer in time");
    case PG_CANCELLED:
        return FAULT(tx->ctx, FAULT_CANCELLED, "cancelled while the database worked");
    case PG_LOST:
    case PG_DONE:
        break;
    }
    return FAULT(tx->ctx, FAULT_DATABASE, "connection lost: %.120s", PQerrorMessage(tx->conn->pq));
}

static void count_commit(struct tx *tx, enum commit_outcome outcome)
{
    metric_inc(tx->store->commits[outcome]);
}

/* The work's deadline, with a little room for the server's own time-out to speak first; at most what a
 * statement may take where the work has none. */
static uint64_t answer_deadline(const struct tx *tx)
{
    uint64_t most = deadline_after(clock_now(), tx->store->statement_timeout_ns + ANSWER_NS);
    return most < tx->ctx->deadline_ns ? most : tx->ctx->deadline_ns;
}
