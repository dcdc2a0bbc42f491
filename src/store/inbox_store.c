/* Applied and waiting events of other services; see inbox_store.h. */
#include "store/inbox_store.h"

#include <assert.h>

#define PRUNE_MAX 20000

static const struct stmt inbox_note = {
    .name = "inbox.note",
    .text = "INSERT INTO tenant.inbox (tenant_id, consumer, event_id) VALUES ($1, $2, $3) "
            "ON CONFLICT (tenant_id, consumer, event_id) DO NOTHING RETURNING true AS noted",
    .param_count = 3,
    .columns = {"noted", NULL},
};

/* The count stops at the limit.  Replicas that park at once may pass it by one each. */
static const struct stmt parked_put = {
    .name = "parked.put",
    .text = "INSERT INTO tenant.inbox_parked (tenant_id, consumer, event_id, subject, body, "
            "traceparent, stream, stream_seq, due_at) SELECT $1, $2, $3, $4, $5, $6, $7, $8, "
            "clock_timestamp() + $9::bigint * interval '1 microsecond' WHERE (SELECT count(*) FROM "
            "(SELECT FROM tenant.inbox_parked WHERE consumer = $2 LIMIT $10) some_rows) < $10 "
            "ON CONFLICT (tenant_id, consumer, event_id) DO UPDATE SET attempts = "
            "inbox_parked.attempts RETURNING true AS parked",
    .param_count = 10,
    .columns = {"parked", NULL},
};

static const struct stmt parked_take = {
    .name = "parked.take",
    .text = "UPDATE tenant.inbox_parked p SET attempts = p.attempts + 1, "
            "due_at = clock_timestamp() + $2::bigint * interval '1 microsecond' "
            "FROM (SELECT tenant_id, event_id FROM tenant.inbox_parked WHERE consumer = $1 "
            "AND due_at <= clock_timestamp() ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) d "
            "WHERE p.consumer = $1 AND p.tenant_id = d.tenant_id AND p.event_id = d.event_id "
            "RETURNING p.tenant_id, p.event_id, p.subject, p.body, p.traceparent, p.stream, "
            "p.stream_seq, p.attempts, p.parked_at",
    .param_count = 3,
    .columns = {"tenant_id", "event_id", "subject", "body", "traceparent", "stream", "stream_seq",
                "attempts", "parked_at", NULL},
};

static const struct stmt parked_put_off = {
    .name = "parked.put_off",
    .text = "UPDATE tenant.inbox_parked SET due_at = clock_timestamp() + $4::bigint * interval "
            "'1 microsecond' WHERE tenant_id = $1 AND consumer = $2 AND event_id = $3",
    .param_count = 4,
    .columns = {NULL},
};

static const struct stmt parked_remove = {
    .name = "parked.remove",
    .text = "DELETE FROM tenant.inbox_parked WHERE tenant_id = $1 AND consumer = $2 "
            "AND event_id = $3",
    .param_count = 3,
    .columns = {NULL},
};

static const struct stmt parked_count = {
    .name = "parked.count",
    .text = "SELECT count(*) AS parked, min(parked_at) AS oldest, min(due_at) AS first_due FROM "
            "(SELECT parked_at, due_at FROM tenant.inbox_parked WHERE consumer = $1 LIMIT $2) "
            "some_rows HAVING count(*) > 0",
    .param_count = 2,
    .columns = {"parked", "oldest", "first_due", NULL},
};

/* The policy shows the relay's login nothing younger. */
static const struct stmt inbox_prune = {
    .name = "inbox.prune",
    .text = "DELETE FROM tenant.inbox WHERE (tenant_id, consumer, event_id) IN (SELECT tenant_id, "
            "consumer, event_id FROM tenant.inbox WHERE received_at < now() - interval '40 days' "
            "ORDER BY received_at LIMIT $1)",
    .param_count = 1,
    .columns = {NULL},
};

static const struct stmt *const app_statements[] = {&inbox_note};
const struct stmt_list inbox_statements = {
    app_statements, sizeof app_statements / sizeof app_statements[0], LOGIN_APP};
static const struct stmt *const parked_all[] = {&parked_put,    &parked_take,  &parked_put_off,
                                                &parked_remove, &parked_count, &inbox_prune};
const struct stmt_list parked_statements = {parked_all, sizeof parked_all / sizeof parked_all[0],
                                            LOGIN_RELAY};

static int run_alone(const struct parked_caller *caller, const struct stmt *stmt,
                     const struct sql_value *values);
static struct parked_event parked_read(struct row *row, const struct parked_caller *caller);

void inbox_store_note(struct tx *tx, const struct inbox_key *key, struct rows *first)
{
    assert(tx_mode(tx) == TX_WRITE);
    const struct sql_value values[] = {sql_uuid(&key->tenant_id), sql_text(key->consumer),
                                       sql_text(key->event_id)};
    tx_queue(tx, &inbox_note, values, first);
}

int parked_store_put(const struct parked_caller *caller, const struct parked_event *event,
                     uint64_t limit, bool *parked)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    const struct sql_value values[] = {
        sql_uuid(&event->key.tenant_id),
        sql_text(caller->consumer),
        sql_text(event->key.event_id),
        sql_text(event->subject),
        sql_bytes(event->body),
        sql_text(event->traceparent),
        sql_text(event->stream),
        sql_int8((int64_t)event->stream_seq),
        sql_int8((int64_t)event->due_in_us),
        sql_int8((int64_t)limit),
    };
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &parked_put, values, &rows);
    TRY(tx_commit(tx));
    *parked = rows.count > 0;
    return OK;
}

int parked_store_take(const struct parked_caller *caller, uint64_t lease_us, unsigned limit,
                      struct parked_events *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    const struct sql_value values[] = {sql_text(caller->consumer), sql_int8((int64_t)lease_us),
                                       sql_int8(limit)};
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &parked_take, values, &rows);
    TRY(tx_commit(tx));
    struct parked_events events = {.count = rows.count};
    events.items = arena_alloc(caller->ctx->arena, (rows.count + 1) * sizeof *events.items);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, caller->ctx->arena);
        events.items[i] = parked_read(&row, caller);
        TRY(row_end(caller->ctx, &row));
    }
    *out = events;
    return OK;
}

int parked_store_put_off(const struct parked_caller *caller, const struct inbox_key *key,
                         uint64_t delay_us)
{
    const struct sql_value values[] = {sql_uuid(&key->tenant_id), sql_text(caller->consumer),
                                       sql_text(key->event_id), sql_int8((int64_t)delay_us)};
    return run_alone(caller, &parked_put_off, values);
}

int parked_store_remove(const struct parked_caller *caller, const struct inbox_key *key)
{
    const struct sql_value values[] = {sql_uuid(&key->tenant_id), sql_text(caller->consumer),
                                       sql_text(key->event_id)};
    return run_alone(caller, &parked_remove, values);
}

int parked_store_remove_begin(const struct parked_caller *caller, const struct inbox_key *key,
                              struct tx **removal)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    const struct sql_value values[] = {sql_uuid(&key->tenant_id), sql_text(caller->consumer),
                                       sql_text(key->event_id)};
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &parked_remove, values, NULL);
    TRY(tx_run(tx));
    *removal = TAKE(tx);
    return OK;
}

int parked_store_count(const struct parked_caller *caller, uint64_t limit, struct parked_count *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows;
    const struct sql_value values[] = {sql_text(caller->consumer), sql_int8((int64_t)limit)};
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &parked_count, values, &rows);
    TRY(tx_commit(tx));
    *out = (struct parked_count){.count = 0};
    if (rows.count == 0)
        return OK;
    struct row row = row_at(&rows, 0, caller->ctx->arena);
    out->count = (uint64_t)row_int(&row, "parked");
    out->oldest_us = row_time_us(&row, "oldest");
    out->first_due_us = row_time_us(&row, "first_due");
    return row_end(caller->ctx, &row);
}

int inbox_store_prune(const struct parked_caller *caller)
{
    const struct sql_value most = sql_int8(PRUNE_MAX);
    return run_alone(caller, &inbox_prune, &most);
}

static int run_alone(const struct parked_caller *caller, const struct stmt *stmt,
                     const struct sql_value *values)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, stmt, values, NULL);
    return tx_commit(tx);
}

static struct parked_event parked_read(struct row *row, const struct parked_caller *caller)
{
    struct parked_event event = {.key = {.consumer = caller->consumer}};
    event.key.tenant_id = row_uuid(row, "tenant_id");
    event.key.event_id = row_text(row, "event_id");
    event.subject = row_text(row, "subject");
    event.body = row_bytes(row, "body");
    event.traceparent = row_text(row, "traceparent");
    event.stream = row_text(row, "stream");
    event.stream_seq = (uint64_t)row_int(row, "stream_seq");
    event.attempts = (unsigned)row_int(row, "attempts");
    event.parked_us = row_time_us(row, "parked_at");
    return event;
}
