/* Reads cells of an answer; see row.h.
 *
 * Binary, so nothing is parsed: a cell has the bytes of the type's send function, in network
 * order, and its type is checked each time.  What does not fit marks the row and reads as
 * nothing. */
#include "store/row.h"

#include "store/stmt.h"

#include <libpq-fe.h>

#include <assert.h>

/* 2000-01-01, from which timestamptz counts in microseconds */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

/* pg_type.dat; these numbers never change */
enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25 };
enum { OID_TEXT_ARRAY = 1009, OID_VARCHAR = 1043, OID_TIMESTAMPTZ = 1184, OID_UUID = 2950 };

static bool cell_of(struct row *row, const char *column, struct cell *cell);
static int column_find(struct row *row, const char *column);
static void mark_bad(struct row *row, const char *column);
static bool is_text(const struct cell *cell);
static bool take_u32(struct slice *bytes, uint32_t *out);
static uint64_t big_endian(struct slice bytes);

struct row row_at(const struct rows *rows, size_t index, struct arena *arena)
{
    assert(index < rows->count);
    return (struct row){.rows = rows, .index = index, .arena = arena};
}

struct uuid row_uuid(struct row *row, const char *column)
{
    struct cell cell;
    struct uuid uuid = {{0}};
    if (!cell_of(row, column, &cell))
        return uuid;
    if (cell.oid != OID_UUID || cell.bytes.size != sizeof uuid.bytes) {
        mark_bad(row, column);
        return uuid;
    }
    memcpy(uuid.bytes, cell.bytes.data, sizeof uuid.bytes);
    return uuid;
}

/* A NUL inside would cut the text for every reader of C strings; the server never sends one. */
const char *row_text(struct row *row, const char *column)
{
    struct cell cell;
    if (!cell_of(row, column, &cell))
        return "";
    if (!is_text(&cell)) {
        mark_bad(row, column);
        return "";
    }
    return arena_strndup(row->arena, cell.bytes.data, cell.bytes.size);
}

int64_t row_int(struct row *row, const char *column)
{
    struct cell cell;
    int64_t number = 0;
    if (cell_of(row, column, &cell) && !cell_int(&cell, &number))
        mark_bad(row, column);
    return number;
}

bool row_bool(struct row *row, const char *column)
{
    struct cell cell;
    if (!cell_of(row, column, &cell))
        return false;
    if (cell.oid != OID_BOOL || cell.bytes.size != 1) {
        mark_bad(row, column);
        return false;
    }
    return cell.bytes.data[0] != 0;
}

/* -infinity is below any time we take and marks the row. */
uint64_t row_time_us(struct row *row, const char *column)
{
    struct cell cell;
    if (!cell_of(row, column, &cell))
        return 0;
    int64_t us = cell.bytes.size == 8 ? (int64_t)big_endian(cell.bytes) : INT64_MIN;
    if (cell.oid != OID_TIMESTAMPTZ || us < -POSTGRES_EPOCH_US ||
        us > INT64_MAX - POSTGRES_EPOCH_US) {
        mark_bad(row, column);
        return 0;
    }
    return (uint64_t)(us + POSTGRES_EPOCH_US);
}

/* With a terminator behind, which is not counted. */
struct slice row_bytes(struct row *row, const char *column)
{
    struct cell cell;
    if (!cell_of(row, column, &cell))
        return slice_make(NULL, 0);
    if (cell.oid != OID_BYTEA)
        mark_bad(row, column);
    return slice_make(arena_strndup(row->arena, cell.bytes.data, cell.bytes.size),
                      cell.bytes.size);
}

struct string_list row_list(struct row *row, const char *column)
{
    struct cell cell;
    struct string_list list = {NULL, 0};
    if (cell_of(row, column, &cell) && !cell_text_list(&cell, row->arena, &list))
        mark_bad(row, column);
    return list;
}

/* Flattened by the statement, because there is no binary form of jsonb that we would want to
 * read. */
struct string_map row_pairs(struct row *row, const char *column)
{
    struct string_list flat = row_list(row, column);
    if (flat.count % 2 != 0) {
        mark_bad(row, column);
        return (struct string_map){NULL, 0};
    }
    struct string_map map = {NULL, flat.count / 2};
    map.pairs = arena_alloc(row->arena, map.count * sizeof *map.pairs);
    for (size_t i = 0; i < map.count; i++)
        map.pairs[i] = (struct string_pair){flat.items[2 * i], flat.items[2 * i + 1]};
    return map;
}

void row_require(struct row *row, const char *column, bool known)
{
    if (!known)
        mark_bad(row, column);
}

int row_end(struct ctx *ctx, const struct row *row)
{
    if (row->bad == NULL)
        return OK;
    return FAULT(ctx, FAULT_INTERNAL, "%s: column %s is not what the program expects",
                 row->rows->stmt->name, row->bad);
}

/* array_send: dimensions, flag for nulls, element type, then length and lower bound per dimension. */
bool cell_text_list(const struct cell *cell, struct arena *arena, struct string_list *out)
{
    struct slice bytes = cell->bytes;
    uint32_t dimensions;
    uint32_t nulls;
    uint32_t element;
    if (cell->oid != OID_TEXT_ARRAY || !take_u32(&bytes, &dimensions) ||
        !take_u32(&bytes, &nulls) || !take_u32(&bytes, &element) || element != OID_TEXT)
        return false;
    if (dimensions == 0) {
        if (bytes.size != 0)
            return false;
        *out = (struct string_list){NULL, 0};
        return true;
    }
    uint32_t count;
    uint32_t bound;
    if (dimensions != 1 || !take_u32(&bytes, &count) || !take_u32(&bytes, &bound))
        return false;
    if (count > bytes.size / 4) /* each element has four bytes of length at least */
        return false;
    struct string_list list = {arena_alloc(arena, count * sizeof(char *)), count};
    for (size_t i = 0; i < count; i++) {
        uint32_t size;
        if (!take_u32(&bytes, &size) || size > bytes.size) /* a null's length is 2^32 - 1 */
            return false;
        list.items[i] = arena_strndup(arena, bytes.data, size);
        bytes = slice_skip(bytes, size);
    }
    if (bytes.size != 0)
        return false;
    *out = list;
    return true;
}

bool cell_int(const struct cell *cell, int64_t *out)
{
    size_t size = cell->oid == OID_INT2 ? 2 : cell->oid == OID_INT4 ? 4 : 8;
    bool known = cell->oid == OID_INT2 || cell->oid == OID_INT4 || cell->oid == OID_INT8;
    if (!known || cell->bytes.size != size)
        return false;
    uint64_t bits = big_endian(cell->bytes);
    if (size < 8 && (bits >> (size * 8 - 1)) != 0) /* negative: extend the sign */
        bits |= UINT64_MAX << (size * 8);
    *out = (int64_t)bits;
    return true;
}

/* NULL is unreadable: statements coalesce() where a column may be null. */
static bool cell_of(struct row *row, const char *column, struct cell *cell)
{
    int at = column_find(row, column);
    /* struct pg_result is libpq's PGresult by another name */
    const PGresult *result = (const PGresult *)(const void *)row->rows->result;
    if (at < 0 || PQgetisnull(result, (int)row->index, at)) {
        mark_bad(row, column);
        return false;
    }
    cell->bytes = slice_make(PQgetvalue(result, (int)row->index, at),
                             (size_t)PQgetlength(result, (int)row->index, at));
    cell->oid = PQftype(result, at);
    cell->is_null = false;
    return true;
}

/* Starts where the last read ended: rows read in the order of the statement cost one comparison
 * per column. */
static int column_find(struct row *row, const char *column)
{
    const char *const *columns = row->rows->stmt->columns;
    for (int tries = 0; tries <= STMT_COLUMNS_MAX; tries++) {
        int at = row->next;
        row->next = columns[at] == NULL ? 0 : at + 1;
        if (columns[at] != NULL && strcmp(columns[at], column) == 0)
            return at;
    }
    return -1;
}

static void mark_bad(struct row *row, const char *column)
{
    if (row->bad == NULL)
        row->bad = column;
}

static bool is_text(const struct cell *cell)
{
    bool text = cell->oid == OID_TEXT || cell->oid == OID_VARCHAR;
    return text && memchr(cell->bytes.data, '\0', cell->bytes.size) == NULL;
}

static bool take_u32(struct slice *bytes, uint32_t *out)
{
    if (bytes->size < 4)
        return false;
    *out = (uint32_t)big_endian(slice_make(bytes->data, 4));
    *bytes = slice_skip(*bytes, 4);
    return true;
}

static uint64_t big_endian(struct slice bytes)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes.size; i++)
        bits = bits << 8 | bytes.data[i];
    return bits;
}
