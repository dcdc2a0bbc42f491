/* Originals and tombstones; see dead_store.h. */
#include "store/dead_store.h"

#include "store/relay_store_int.h"

#include <assert.h>

/* Who slept since it was refused may have lost the shard to one whose stream has taken the event: the lease is
 * held until the COMMIT.  Locks the row, so that of two relays one finds a tombstone. */
static const struct stmt bury = {
    .name = "dead.bury",
    .text = "WITH held AS MATERIALIZED (SELECT FROM tenant.relay_lease WHERE shard = $1"
            "  AND owner = $7 AND expires_at > clock_timestamp() FOR SHARE),"
            " o AS (SELECT " OUTBOX_COLUMNS " FROM tenant.outbox WHERE shard = $1 AND id = $2"
            "  AND subject <> $5 AND EXISTS (SELECT FROM held) FOR UPDATE),"
            " d AS (INSERT INTO tenant.outbox_dead (" OUTBOX_COLUMNS ", cause, detail)"
            "  SELECT " OUTBOX_COLUMNS ", $3, $4 FROM o RETURNING 1),"
            " t AS (UPDATE tenant.outbox AS t SET subject = $5, payload = $6 FROM o"
            "  WHERE t.shard = $1 AND t.id = $2 RETURNING 1)"
            " SELECT count(*) AS buried FROM t, d",
    .param_count = 7,
    .columns = {"buried", NULL},
};

/* At most eight of up to the size that a server takes. */
static const struct stmt unlettered = {
    .name = "dead.unlettered",
    .text = "SELECT " OUTBOX_COLUMNS ", cause, detail, died_at FROM tenant.outbox_dead"
            " WHERE shard = ANY ($1::bigint[]) AND lettered_at IS NULL ORDER BY shard, id LIMIT 8",
    .param_count = 1,
    .columns = {OUTBOX_COLUMN_NAMES, "cause", "detail", "died_at", NULL},
};

static const struct stmt lettered = {
    .name = "dead.lettered",
    .text = "UPDATE tenant.outbox_dead SET lettered_at = clock_timestamp()"
            " WHERE shard = $1 AND id = $2 AND lettered_at IS NULL",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {&bury, &unlettered, &lettered};
const struct stmt_list dead_statements = {statements, sizeof statements / sizeof statements[0],
                                          LOGIN_RELAY};

int dead_store_bury(const struct relay_caller *caller, const struct dead_event *event, bool *done)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    size_t buried = 0;
    assert(event->shard < OUTBOX_SHARDS && event->envelope.size > 0);
    const struct sql_value values[] = {
        sql_int2((int16_t)event->shard), sql_int8(event->id),      sql_text(event->cause),
        sql_text(event->detail),         sql_text(event->subject), sql_bytes(event->envelope),
        sql_text(caller->owner),
    };
    TRY(relay_ask(caller, &bury, values, &tx, &rows));
    TRY(relay_number(caller, &rows, "buried", &buried));
    *done = buried > 0;
    return OK;
}

int dead_store_unlettered(const struct relay_caller *caller, uint16_t shards,
                          struct dead_batch *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct arena *arena = caller->ctx->arena;
    struct shard_numbers numbers = shard_numbers_of(shards);
    const struct sql_value values[] = {sql_int8_list(numbers.items, numbers.count)};
    TRY(relay_ask(caller, &unlettered, values, &tx, &rows));
    struct dead_row *dead = arena_alloc(arena, (rows.count + 1) * sizeof *dead);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, arena);
        dead[i].event = outbox_row_of(&row);
        dead[i].cause = row_text(&row, "cause");
        dead[i].detail = row_text(&row, "detail");
        dead[i].died_us = row_time_us(&row, "died_at");
        TRY(row_end(caller->ctx, &row));
    }
    *out = (struct dead_batch){.rows = dead, .count = rows.count};
    return OK;
}

int dead_store_lettered(const struct relay_caller *caller, unsigned shard, int64_t id)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    const struct sql_value values[] = {sql_int2((int16_t)shard), sql_int8(id)};
    return relay_ask(caller, &lettered, values, &tx, &rows);
}
