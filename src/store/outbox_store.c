/* Events on their way; see outbox_store.h. */
#include "store/outbox_store.h"

#include <assert.h>

/* The row lock on the counter makes commit order = sequence order inside a tenant, so every snapshot shows a
 * gapless prefix of its events.  A greater incarnation (the database was taken back in time) begins anew; a
 * missing one is an error (NULL where none may be), never an event that is silently not written. */
static const struct stmt outbox_append = {
    .name = "outbox.append",
    .text = "WITH counter AS (INSERT INTO tenant.tenant_seq AS s (tenant_id, seq, incarnation) "
            "VALUES ($1, 1, (SELECT incarnation FROM tenant.installation)) "
            "ON CONFLICT (tenant_id) DO UPDATE SET seq = CASE WHEN s.incarnation = "
            "excluded.incarnation THEN s.seq + 1 ELSE 1 END, incarnation = excluded.incarnation "
            "RETURNING seq, incarnation) "
            "INSERT INTO tenant.outbox (shard, tenant_id, seq, incarnation, msg_id, subject, "
            "payload, traceparent) SELECT $2, $1, seq, incarnation, $3, $4, $5, $6 FROM counter",
    .param_count = 6,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {&outbox_append};
const struct stmt_list outbox_statements = {statements, sizeof statements / sizeof statements[0],
                                            LOGIN_APP};

void outbox_store_append(struct tx *tx, const struct outbox_event *event)
{
    assert(event->shard < 16 && event->payload.size > 0);
    const struct sql_value values[] = {
        sql_uuid(&event->tenant_id),
        sql_int2((int16_t)event->shard),
        sql_uuid(&event->msg_id),
        sql_text(event->subject),
        sql_bytes(event->payload),
        sql_text(event->traceparent),
    };
    tx_queue(tx, &outbox_append, values, NULL);
}
