/* One statement, so that rows and snapshot belong together; see epoch_store.h.  The row with the nil id tells
 * of the look itself.
 *
 * A snapshot has not seen the ids it lists as running, and those from its xmax on; nothing else.  So the two
 * index conditions find exactly what is new, and a transaction that took its id early and commits late is
 * found among the running ones. */
#include "store/epoch_store.h"

#include <assert.h>

#define CHANGED                                                                                    \
    "SELECT tenant_id, incarnation, epoch, xid::text::bigint, '', false, 0 "                       \
    "FROM tenant.authz_epoch AS e WHERE e.xid "

/* The era: the timeline grows when a standby is promoted or a backup is recovered, and statistics begin anew
 * when a server recovers from a crash (it may then give ids a second time that were lost with the crash).  The
 * incarnation grows when a relay found that the database was taken back in time, however that was done. */
static const struct stmt epoch_look = {
    .name = "epoch.look",
    .text = "(SELECT '00000000-0000-0000-0000-000000000000'::uuid AS tenant_id, "
            "0::bigint AS incarnation, 0::bigint AS epoch, 0::bigint AS xid, "
            "pg_current_snapshot()::text AS snapshot, pg_is_in_recovery() AS recovering, "
            "CASE WHEN pg_is_in_recovery() THEN 0 ELSE hashtextextended("
            "left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || "
            "extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) || '/' || "
            "(SELECT incarnation FROM tenant.installation), 0) END AS era) "
            "UNION ALL (" CHANGED ">= pg_snapshot_xmax($1::text::pg_snapshot) LIMIT $2) "
            "UNION ALL (" CHANGED
            "= ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))) LIMIT $2) "
            "UNION ALL (" CHANGED "IS NOT NULL AND $1::text IS NULL ORDER BY e.xid DESC LIMIT $2)",
    .param_count = 2,
    .columns = {"tenant_id", "incarnation", "epoch", "xid", "snapshot", "recovering", "era", NULL},
};

static const struct stmt *const statements[] = {&epoch_look};
const struct stmt_list epoch_statements = {statements, sizeof statements / sizeof statements[0],
                                           LOGIN_PLATFORM};

static void read_look(struct row *row, struct epoch_rows *look);
static bool number_take(struct slice *text, char end, uint64_t *number);

int epoch_store_look(struct tx *tx, const char *before, size_t limit, struct epoch_rows *out)
{
    assert(tx_mode(tx) == TX_PLATFORM_READ && limit > 0);
    struct rows rows;
    struct arena *arena = tx_ctx(tx)->arena;
    const struct sql_value values[] = {sql_text(before), sql_int8((int64_t)limit + 1)};
    tx_queue(tx, &epoch_look, values, &rows);
    TRY(tx_run(tx));
    struct epoch_rows look = {.complete = before == NULL || rows.count <= limit + 1};
    struct epoch_row *items = arena_alloc(arena, (rows.count + 1) * sizeof *items);
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, arena);
        struct uuid id = row_uuid(&row, "tenant_id");
        if (uuid_is_nil(&id)) {
            read_look(&row, &look);
        } else if (look.complete) {
            items[look.count++] =
                (struct epoch_row){id, {row_int(&row, "incarnation"), row_int(&row, "epoch")}};
            uint64_t xid = (uint64_t)row_int(&row, "xid");
            lowest = xid < lowest ? xid : lowest;
        }
        TRY(row_end(tx_ctx(tx), &row));
    }
    if (look.snapshot == NULL)
        return FAULT(tx_ctx(tx), FAULT_INTERNAL, "epoch.look did not tell its snapshot");
    look.items = items;
    look.base = look.count > limit ? lowest + 1 : 1; /* of the lowest there may be more */
    *out = look;
    return OK;
}

bool epoch_snapshot_parse(struct slice text, uint64_t *xmin, uint64_t *xmax)
{
    uint64_t low = 0;
    uint64_t high = 0;
    if (!number_take(&text, ':', &low) || !number_take(&text, ':', &high) || low == 0 || high < low)
        return false;
    *xmin = low;
    *xmax = high;
    return true;
}

static void read_look(struct row *row, struct epoch_rows *look)
{
    look->snapshot = row_text(row, "snapshot");
    look->recovering = row_bool(row, "recovering");
    look->era = (uint64_t)row_int(row, "era");
    row_require(row, "snapshot",
                epoch_snapshot_parse(slice_of_str(look->snapshot), &look->xmin, &look->xmax));
}

/* Digits and the `end` behind them. */
static bool number_take(struct slice *text, char end, uint64_t *number)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++) {
        unsigned digit = (unsigned)(text->data[i] - '0');
        if (value > (uint64_t)(INT64_MAX - 9) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (i == 0 || i == text->size || text->data[i] != end)
        return false;
    *text = slice_skip(*text, i + 1);
    *number = value;
    return true;
}
