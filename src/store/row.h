/* Rows of an answer, read by column name in the binary format.
 *
 *     struct row row = row_at(&rows, 0, arena);
 *     tenant->slug = row_text(&row, "slug");
 *     …
 *     TRY(row_end(ctx, &row));
 *
 * A missing column, an unexpected NULL or wrong type is a bug of ours and no reason to crash: the reader
 * keeps it in a sticky bit, which row_end() turns into FAULT_INTERNAL. */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "base/arena.h"
#include "base/ctx.h"
#include "base/id.h"

#include "domain/tenant.h"

#include <stdint.h>

struct pg_result;
struct stmt;

/* One statement's rows; valid until the tx that made them is freed. */
struct rows {
    const struct pg_result *result; /* libpq's, by another name; NULL: nothing arrived yet */
    const struct stmt *stmt;
    size_t count;
};

/* A bare cell, for the parsers and their tests.  Borrowed from the result. */
struct cell {
    struct slice bytes;
    uint32_t oid;
    bool is_null;
};

struct row {
    const struct rows *rows;
    size_t index;
    struct arena *arena; /* what texts and lists are copied into */
    int next;            /* the column expected next: reading in order costs no search */
    const char *bad;     /* the first column that could not be read; NULL: none */
};

/* `index` below rows->count (asserted). */
struct row row_at(const struct rows *rows, size_t index, struct arena *arena);

struct uuid row_uuid(struct row *row, const char *column);
/* Zero-terminated copy; "" when unreadable.  Never NULL. */
const char *row_text(struct row *row, const char *column);
/* smallint, integer or bigint. */
int64_t row_int(struct row *row, const char *column);
bool row_bool(struct row *row, const char *column);
/* timestamptz as microseconds since 1970; times before are unreadable. */
uint64_t row_time_us(struct row *row, const char *column);
/* bytea, copied into the arena. */
struct slice row_bytes(struct row *row, const char *column);
struct string_list row_list(struct row *row, const char *column);
/* text[] of alternating keys and values. */
struct string_map row_pairs(struct row *row, const char *column);
/* For a text column that holds a name of ours: marks the row when `known` is false. */
void row_require(struct row *row, const char *column, bool known);

/* FAULT_INTERNAL when a column was unreadable. */
int row_end(struct ctx *ctx, const struct row *row) MUST_CHECK;

/* The binary array formats; false: malformed, *out untouched. */
bool cell_text_list(const struct cell *cell, struct arena *arena, struct string_list *out);
bool cell_int(const struct cell *cell, int64_t *out);

#endif
