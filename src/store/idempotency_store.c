/* Records of idempotency keys; see idempotency_store.h. */
#include "store/idempotency_store.h"

#include "gen/errors.h"

#include <assert.h>

/* Advisory locks of the transaction work through PgBouncer's transaction mode, unlike those of the session.
 * The lock is released after the commit is visible, so whoever gets it sees what its last holder wrote. */
/* A transaction that was refused is rolled back after its caller was answered: who repeats the call at once
 * is a few microseconds early, not in a race, and tries again. */
static const struct stmt try_lock = {
    .name = "idempotency.try_lock",
    .text = "SELECT 1 / (CASE WHEN pg_try_advisory_xact_lock($1) THEN 1 "
            "WHEN pg_sleep(0.01) IS NOT NULL AND pg_try_advisory_xact_lock($1) THEN 1 "
            "WHEN pg_sleep(0.03) IS NOT NULL AND pg_try_advisory_xact_lock($1) THEN 1 "
            "ELSE 0 END) AS locked",
    .param_count = 1,
    .columns = {"locked", NULL},
    .guard_refusal = IDEMPOTENCY_IN_PROGRESS,
};

static const struct stmt lock = {
    .name = "idempotency.lock",
    .text = "SELECT 1 AS locked FROM pg_advisory_xact_lock($1)",
    .param_count = 1,
    .columns = {"locked", NULL},
};

/* The tenant is row-level security's: the policy compares it, and the index begins with it. */
static const struct stmt find = {
    .name = "idempotency.find",
    .text = "SELECT fingerprint, reply, incarnation, seq, epoch FROM tenant.idempotency "
            "WHERE tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid "
            "AND principal = $1 AND method = $2 AND key = $3 AND expires_at > now()",
    .param_count = 3,
    .columns = {"fingerprint", "reply", "incarnation", "seq", "epoch", NULL},
};

static const struct stmt insert = {
    .name = "idempotency.insert",
    .text = "INSERT INTO tenant.idempotency AS i (tenant_id, principal, method, key, fingerprint, "
            "reply, incarnation, seq, epoch, expires_at) "
            "SELECT s.tenant_id, $1, $2, $3, $4, $5, s.incarnation, s.seq, coalesce(e.epoch, 0), "
            "now() + $6 * interval '1 millisecond' FROM tenant.tenant_seq s "
            "LEFT JOIN tenant.authz_epoch e ON e.tenant_id = s.tenant_id "
            "WHERE s.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid "
            "ON CONFLICT (tenant_id, principal, method, key) DO UPDATE SET "
            "fingerprint = excluded.fingerprint, reply = excluded.reply, "
            "incarnation = excluded.incarnation, seq = excluded.seq, epoch = excluded.epoch, "
            "created_at = excluded.created_at, expires_at = excluded.expires_at "
            "WHERE i.expires_at <= now()",
    .param_count = 6,
    .columns = {NULL},
};

static const struct stmt platform_find = {
    .name = "platform_idempotency.find",
    .text = "SELECT fingerprint, made FROM tenant.platform_idempotency "
            "WHERE principal = $1 AND method = $2 AND key = $3 AND expires_at > now()",
    .param_count = 3,
    .columns = {"fingerprint", "made", NULL},
};

static const struct stmt platform_insert = {
    .name = "platform_idempotency.insert",
    .text = "INSERT INTO tenant.platform_idempotency AS i (principal, method, key, fingerprint, "
            "made, expires_at) VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 millisecond') "
            "ON CONFLICT (principal, method, key) DO UPDATE SET "
            "fingerprint = excluded.fingerprint, made = excluded.made, "
            "created_at = excluded.created_at, expires_at = excluded.expires_at "
            "WHERE i.expires_at <= now()",
    .param_count = 6,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {&try_lock, &lock,          &find,
                                                &insert,   &platform_find, &platform_insert};
const struct stmt_list idempotency_statements = {
    statements, sizeof statements / sizeof statements[0], LOGIN_APP};

static void queue_find(struct tx *tx, const struct stmt *stmt,
                       const struct idempotency_scope *scope, struct rows *rows);
static const uint8_t *read_fingerprint(struct row *row);

void idempotency_store_try_lock(struct tx *tx, int64_t number)
{
    tx_queue(tx, &try_lock, &(struct sql_value){.type = SQL_INT8, .number = number}, NULL);
}

void idempotency_store_lock(struct tx *tx, int64_t number)
{
    tx_queue(tx, &lock, &(struct sql_value){.type = SQL_INT8, .number = number}, NULL);
}

void idempotency_store_find(struct tx *tx, const struct idempotency_scope *scope, struct rows *rows)
{
    queue_find(tx, &find, scope, rows);
}

int idempotency_store_read(struct tx *tx, const struct rows *rows, bool *found,
                           struct idempotency_record *record)
{
    *found = rows->count > 0;
    if (!*found)
        return OK;
    struct row row = row_at(rows, 0, tx_ctx(tx)->arena);
    *record = (struct idempotency_record){
        .fingerprint = read_fingerprint(&row),
        .reply = row_bytes(&row, "reply"),
        .epoch = {row_int(&row, "incarnation"), row_int(&row, "epoch")},
        .sequence = row_int(&row, "seq"),
    };
    return row_end(tx_ctx(tx), &row);
}

void idempotency_store_insert(struct tx *tx, const struct idempotency_scope *scope,
                              const struct idempotency_record *record, uint64_t ttl_ns)
{
    const struct sql_value values[] = {
        sql_text(scope->principal), sql_text(scope->method),
        sql_text(scope->key),       sql_bytes(slice_make(record->fingerprint, FINGERPRINT_BYTES)),
        sql_bytes(record->reply),   sql_int8((int64_t)(ttl_ns / NS_PER_MS)),
    };
    tx_queue(tx, &insert, values, NULL);
}

void platform_idempotency_find(struct tx *tx, const struct idempotency_scope *scope,
                               struct rows *rows)
{
    queue_find(tx, &platform_find, scope, rows);
}

int platform_idempotency_read(struct tx *tx, const struct rows *rows, bool *found,
                              struct uuid *made, const uint8_t **fingerprint)
{
    *found = rows->count > 0;
    if (!*found)
        return OK;
    struct row row = row_at(rows, 0, tx_ctx(tx)->arena);
    *fingerprint = read_fingerprint(&row);
    *made = row_uuid(&row, "made");
    return row_end(tx_ctx(tx), &row);
}

void platform_idempotency_insert(struct tx *tx, const struct idempotency_scope *scope,
                                 const uint8_t *fingerprint, const struct uuid *made,
                                 uint64_t ttl_ns)
{
    const struct sql_value values[] = {
        sql_text(scope->principal),
        sql_text(scope->method),
        sql_text(scope->key),
        sql_bytes(slice_make(fingerprint, FINGERPRINT_BYTES)),
        sql_uuid(made),
        sql_int8((int64_t)(ttl_ns / NS_PER_MS)),
    };
    tx_queue(tx, &platform_insert, values, NULL);
}

static void queue_find(struct tx *tx, const struct stmt *stmt,
                       const struct idempotency_scope *scope, struct rows *rows)
{
    assert(scope->principal[0] != '\0' && scope->method[0] != '\0' && scope->key[0] != '\0');
    const struct sql_value values[] = {
        sql_text(scope->principal),
        sql_text(scope->method),
        sql_text(scope->key),
    };
    tx_queue(tx, stmt, values, rows);
}

static const uint8_t *read_fingerprint(struct row *row)
{
    struct slice bytes = row_bytes(row, "fingerprint");
    row_require(row, "fingerprint", bytes.size == FINGERPRINT_BYTES);
    return bytes.data;
}
