/* Events on their way; see outbox_store.h. */
#include "store/outbox_store.h"

#include <assert.h>

/* The row lock on the counter makes commit order = sequence order inside a tenant, so every snapshot shows a
 * gapless prefix of its events.  A greater incarnation (the database was taken back in time) begins anew; a
 * missing one is an error (NULL where none may be), never an event that is silently not written.  A statement
 * that began before the incarnation grew may find a counter that is further: it counts on from there.
 *
 * The tenant's epoch is raised in the same statement: an event and what caches trust cannot part.  Its xid is
 * this transaction's, which the epoch feed looks for. */
static const struct stmt outbox_append = {
    .name = "outbox.append",
    .text = "WITH installed AS (SELECT incarnation FROM tenant.installation), "
            "raised AS (INSERT INTO tenant.authz_epoch AS e (tenant_id, incarnation, epoch, xid) "
            "VALUES ($1, (SELECT incarnation FROM installed), 1, pg_current_xact_id()) "
            "ON CONFLICT (tenant_id) DO UPDATE SET epoch = CASE WHEN e.incarnation >= "
            "excluded.incarnation THEN e.epoch + 1 ELSE 1 END, "
            "incarnation = greatest(e.incarnation, excluded.incarnation), xid = excluded.xid "
            "RETURNING epoch), "
            "counter AS (INSERT INTO tenant.tenant_seq AS s (tenant_id, seq, incarnation) "
            "VALUES ($1, 1, (SELECT incarnation FROM installed)) "
            "ON CONFLICT (tenant_id) DO UPDATE SET seq = CASE WHEN s.incarnation >= "
            "excluded.incarnation THEN s.seq + 1 ELSE 1 END, "
            "incarnation = greatest(s.incarnation, excluded.incarnation) "
            "RETURNING seq, incarnation), "
            "left_behind AS (INSERT INTO tenant.outbox (shard, tenant_id, seq, incarnation, epoch, "
            "msg_id, subject, payload, traceparent) "
            "SELECT $2, $1, seq, incarnation, epoch, $3, $4, $5, $6 FROM counter, raised) "
            "SELECT seq, incarnation, epoch, " SNAPSHOT_XMIN " FROM counter, raised",
    .param_count = 6,
    .columns = {"seq", "incarnation", "epoch", "snapshot_xmin", NULL},
};

/* Where a tenant is now. */
static const struct stmt outbox_point = {
    .name = "outbox.point",
    .text = "SELECT s.seq, s.incarnation, coalesce(e.epoch, 0) AS epoch, " SNAPSHOT_XMIN
            " FROM tenant.tenant_seq s LEFT JOIN tenant.authz_epoch e ON e.tenant_id = s.tenant_id "
            "WHERE s.tenant_id = $1",
    .param_count = 1,
    .columns = {"seq", "incarnation", "epoch", "snapshot_xmin", NULL},
};

static const struct stmt *const statements[] = {&outbox_append, &outbox_point};
const struct stmt_list outbox_statements = {statements, sizeof statements / sizeof statements[0],
                                            LOGIN_APP};

void outbox_store_append(struct tx *tx, const struct outbox_event *event, struct rows *point)
{
    assert(event->shard < 16 && event->payload.size > 0);
    const struct sql_value values[] = {
        sql_uuid(&event->tenant_id), sql_int2((int16_t)event->shard), sql_uuid(&event->msg_id),
        sql_text(event->subject),    sql_bytes(event->payload),       sql_text(event->traceparent),
    };
    tx_queue(tx, &outbox_append, values, point);
}

void outbox_store_point(struct tx *tx, const struct uuid *tenant, struct rows *point)
{
    tx_queue(tx, &outbox_point, &(struct sql_value){.type = SQL_UUID, .uuid = tenant}, point);
}

int outbox_store_read_point(struct tx *tx, const struct rows *rows, struct outbox_point *point)
{
    *point = (struct outbox_point){.sequence = 0};
    if (rows->count == 0)
        return OK;
    struct row row = row_at(rows, 0, tx_ctx(tx)->arena);
    point->sequence = row_int(&row, "seq");
    point->seen.epoch.incarnation = row_int(&row, "incarnation");
    point->seen.epoch.counter = row_int(&row, "epoch");
    point->seen.xmin = (uint64_t)row_int(&row, "snapshot_xmin");
    return row_end(tx_ctx(tx), &row);
}
