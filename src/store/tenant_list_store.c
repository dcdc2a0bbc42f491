/* Pages of tenants; see tenant_list_store.h. */
#include "store/tenant_list_store.h"

#include "store/tenant_row.h"

#include <assert.h>
#include <stdlib.h>

/* A condition that is not asked for is a NULL parameter.  Unnamed statements are planned for the values that
 * they run with, so `NULL IS NULL OR …` is folded away and the rest can use its index.  The greatest code
 * point closes the range of a prefix. */
#define SLUG_C "slug COLLATE \"C\""
#define NAME_C "display_name COLLATE \"C\""
#define LAST_CHARACTER "E'\\U0010FFFF'"
#define IN_PREFIX(field, n)                                                                        \
    " AND ($" n "::text IS NULL OR (" field " >= $" n " AND " field " < $" n " || " LAST_CHARACTER \
    "))"
#define CONDITIONS                                                                                 \
    " FROM tenant.tenants WHERE home_region = $1 AND ($2::text IS NULL OR status = $2)"            \
    " AND ($3::text IS NULL OR type = $3) AND ($4::text IS NULL OR plan_id = $4)"                  \
    " AND ($5::text IS NULL OR " SLUG_C                                                            \
    " = $5)" IN_PREFIX(SLUG_C, "6") " AND ($7::text IS NULL OR " NAME_C " = $7)" IN_PREFIX(        \
        NAME_C, "8") " AND ($9::text[] IS NULL OR labels @> jsonb_object($9))"                     \
                     " AND ($10::timestamptz IS NULL OR create_time >= $10)"                       \
                     " AND ($11::timestamptz IS NULL OR create_time < $11)"                        \
                     " AND ($12::timestamptz IS NULL OR update_time >= $12)"                       \
                     " AND ($13::timestamptz IS NULL OR update_time < $13)"

/* One constant text per order and direction, so that no SQL is built while running: key and id lead an index.
 */
#define LIST_TEXT(key, type, compare, way)                                                         \
    "SELECT " TENANT_COLUMNS CONDITIONS " AND ($15::uuid IS NULL OR (" key ", id) " compare        \
    " ($14::" type ", $15)) ORDER BY " key " " way ", id " way " LIMIT $16"
#define LIST(title, key, type, compare, way)                                                       \
    {                                                                                              \
        .name = "tenant.list." title, .text = LIST_TEXT(key, type, compare, way),                  \
        .param_count = 16, .columns = {TENANT_COLUMN_NAMES, NULL},                                 \
    }
static const struct stmt pages[TENANT_ORDER_COUNT][2] = {
    [TENANT_BY_CREATE_TIME] = {LIST("create_time", "create_time", "timestamptz", ">", "ASC"),
                               LIST("create_time_desc", "create_time", "timestamptz", "<", "DESC")},
    [TENANT_BY_SLUG] = {LIST("slug", SLUG_C, "text", ">", "ASC"),
                        LIST("slug_desc", SLUG_C, "text", "<", "DESC")},
    [TENANT_BY_DISPLAY_NAME] = {LIST("display_name", NAME_C, "text", ">", "ASC"),
                                LIST("display_name_desc", NAME_C, "text", "<", "DESC")},
};

static const struct stmt epoch_of = {
    .name = "tenant.epoch",
    .text = "SELECT greatest(e.incarnation, i.incarnation) AS incarnation, "
            "CASE WHEN e.incarnation >= i.incarnation THEN e.epoch ELSE 0 END AS epoch "
            "FROM tenant.authz_epoch e, tenant.installation i WHERE e.tenant_id = $1",
    .param_count = 1,
    .columns = {"incarnation", "epoch", NULL},
};

static const struct stmt *const statements[] = {
    &pages[0][0], &pages[0][1], &pages[1][0], &pages[1][1], &pages[2][0], &pages[2][1], &epoch_of};
const struct stmt_list tenant_list_statements = {
    statements, sizeof statements / sizeof statements[0], LOGIN_PLATFORM};

static struct sql_value sql_time_or_null(uint64_t us);
static struct sql_value after_key(const struct tenant_page *page);

void tenant_store_list(struct tx *tx, const struct tenant_page *page, struct rows *rows)
{
    const struct tenant_query *query = page->query;
    assert(tx_mode(tx) == TX_PLATFORM && page->limit > 0);
    const struct sql_value values[] = {
        sql_text(region_name(page->region)),
        sql_text(query->status),
        sql_text(query->type),
        sql_text(query->plan_id),
        sql_text(query->slug.exact),
        sql_text(query->slug.prefix),
        sql_text(query->display_name.exact),
        sql_text(query->display_name.prefix),
        {.type = SQL_TEXT_PAIRS, .is_null = query->labels.count == 0, .map = &query->labels},
        sql_time_or_null(query->create_time.from_us),
        sql_time_or_null(query->create_time.to_us),
        sql_time_or_null(query->update_time.from_us),
        sql_time_or_null(query->update_time.to_us),
        after_key(page),
        {.type = SQL_UUID, .is_null = !page->has_cursor, .uuid = &page->after_id},
        sql_int8(page->limit),
    };
    tx_queue(tx, &pages[query->order][query->descending], values, rows);
}

int tenant_store_read_list(struct tx *tx, const struct rows *rows, struct tenant **tenants,
                           size_t *count)
{
    struct ctx *ctx = tx_ctx(tx);
    struct tenant *found = arena_alloc(ctx->arena, (rows->count + 1) * sizeof *found);
    for (size_t i = 0; i < rows->count; i++) {
        struct row row = row_at(rows, i, ctx->arena);
        found[i] = tenant_row_read(&row);
        TRY(row_end(ctx, &row));
    }
    *tenants = found;
    *count = rows->count;
    return OK;
}

const char *tenant_page_key(struct arena *arena, enum tenant_order order,
                            const struct tenant *tenant)
{
    switch (order) {
    case TENANT_BY_CREATE_TIME:
        return arena_printf(arena, "%llu", (unsigned long long)tenant->create_time_us);
    case TENANT_BY_SLUG:
        return tenant->slug;
    case TENANT_BY_DISPLAY_NAME:
        return tenant->display_name;
    }
    abort();
}

void tenant_store_epoch(struct tx *tx, const struct uuid *tenant, struct rows *rows)
{
    tx_queue(tx, &epoch_of, &(struct sql_value){.type = SQL_UUID, .uuid = tenant}, rows);
}

int tenant_store_read_epoch(struct tx *tx, const struct rows *rows, struct epoch *epoch)
{
    *epoch = (struct epoch){0, 0};
    if (rows->count == 0)
        return OK;
    struct row row = row_at(rows, 0, tx_ctx(tx)->arena);
    epoch->incarnation = row_int(&row, "incarnation");
    epoch->counter = row_int(&row, "epoch");
    return row_end(tx_ctx(tx), &row);
}

static struct sql_value sql_time_or_null(uint64_t us)
{
    struct sql_value value = sql_time_us(us);
    value.is_null = us == 0;
    return value;
}

static struct sql_value after_key(const struct tenant_page *page)
{
    bool by_time = page->query->order == TENANT_BY_CREATE_TIME;
    if (!page->has_cursor)
        return (struct sql_value){.type = by_time ? SQL_TIME : SQL_TEXT, .is_null = true};
    return by_time ? sql_time_us(strtoull(page->after_key, NULL, 10)) : sql_text(page->after_key);
}
