/* Partitions by time; see partition_store.h.  Called by the relay's upkeep; names no partition itself. */
#include "store/partition_store.h"

#include <assert.h>

static const struct stmt partitions_make = {
    .name = "partitions.make",
    .text = "SELECT parent, made, moved, failed, days_ahead, trouble FROM tenant.partitions_make()",
    .columns = {"parent", "made", "moved", "failed", "days_ahead", "trouble", NULL},
};

static const struct stmt partitions_drop = {
    .name = "partitions.drop",
    .text = "SELECT parent, dropped, deleted, failed, trouble FROM tenant.partitions_drop()",
    .columns = {"parent", "dropped", "deleted", "failed", "trouble", NULL},
};

static const struct stmt *const statements[] = {&partitions_make, &partitions_drop};
const struct stmt_list partition_statements = {statements, sizeof statements / sizeof statements[0],
                                               LOGIN_RELAY};

static int work_run(const struct relay_caller *caller, const struct stmt *stmt,
                    struct partition_work *out) MUST_CHECK;
static uint64_t count_of(struct row *row, const char *column);
static bool table_find(const char *name, enum partitioned *out);

const char *partitioned_name(enum partitioned table)
{
    static const char *const names[PARTITIONED_COUNT] = {
        [PARTITIONED_SENT] = "outbox_sent",
        [PARTITIONED_AUDIT] = "tenant_audit",
    };
    assert(table < PARTITIONED_COUNT);
    return names[table];
}

int partition_store_make(const struct relay_caller *caller, struct partition_work *out)
{
    return work_run(caller, &partitions_make, out);
}

int partition_store_drop(const struct relay_caller *caller, struct partition_work *out)
{
    return work_run(caller, &partitions_drop, out);
}

/* A row per table; a table of a newer schema is not ours to report. */
static int work_run(const struct relay_caller *caller, const struct stmt *stmt,
                    struct partition_work *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct partition_work read[PARTITIONED_COUNT] = {{.trouble = ""}, {.trouble = ""}};
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, stmt, NULL, &rows);
    TRY(tx_commit(tx));
    bool makes = stmt == &partitions_make;
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, caller->ctx->arena);
        enum partitioned table = PARTITIONED_SENT;
        bool known = table_find(row_text(&row, "parent"), &table);
        struct partition_work work = {
            .made = makes ? count_of(&row, "made") : 0,
            .moved = makes ? count_of(&row, "moved") : 0,
            .dropped = makes ? 0 : count_of(&row, "dropped"),
            .deleted = makes ? 0 : count_of(&row, "deleted"),
            .failed = count_of(&row, "failed"),
            .days_ahead = makes ? count_of(&row, "days_ahead") : 0,
            .trouble = row_text(&row, "trouble"),
        };
        TRY(row_end(caller->ctx, &row));
        if (known)
            read[table] = work;
    }
    memcpy(out, read, sizeof read);
    return OK;
}

static uint64_t count_of(struct row *row, const char *column)
{
    int64_t number = row_int(row, column);
    row_require(row, column, number >= 0);
    return number < 0 ? 0 : (uint64_t)number;
}

static bool table_find(const char *name, enum partitioned *out)
{
    for (unsigned table = 0; table < PARTITIONED_COUNT; table++) {
        if (strcmp(partitioned_name((enum partitioned)table), name) != 0)
            continue;
        *out = (enum partitioned)table;
        return true;
    }
    return false;
}
