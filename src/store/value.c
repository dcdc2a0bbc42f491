/* Encodes statement parameters; called by tx.c alone.  Never builds SQL text. */
#include "store/value.h"

#include <assert.h>

/* timestamptz counts microseconds from 2000-01-01. */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

static void put_int(struct buf *out, int64_t number, size_t size);
static void put_array_head(struct buf *out, size_t count, uint32_t element_oid);
static void put_element(struct buf *out, const char *text);

/* pg_type.dat: fixed for built-in types, on the wire and in dumps, for all versions. */
uint32_t sql_type_oid(enum sql_type type)
{
    static const uint32_t oids[] = {
        [SQL_UUID] = 2950,       [SQL_TEXT] = 25,         [SQL_INT2] = 21,
        [SQL_INT4] = 23,         [SQL_INT8] = 20,         [SQL_BOOL] = 16,
        [SQL_TIME] = 1184,       [SQL_BYTES] = 17,        [SQL_TEXT_LIST] = 1009,
        [SQL_TEXT_PAIRS] = 1009, [SQL_INT8_LIST] = 1016,
    };
    assert((size_t)type < sizeof oids / sizeof oids[0]);
    return oids[type];
}

/* Exactly what the type's receive function reads; the server checks the length and refuses what
 * is off. */
void sql_value_encode(const struct sql_value *value, struct buf *out)
{
    if (value->is_null)
        return;
    switch (value->type) {
    case SQL_UUID:
        buf_put(out, value->uuid->bytes, sizeof value->uuid->bytes);
        return;
    case SQL_TEXT:
    case SQL_BYTES:
        buf_put_slice(out, value->bytes);
        return;
    case SQL_INT2:
        put_int(out, value->number, 2);
        return;
    case SQL_INT4:
        put_int(out, value->number, 4);
        return;
    case SQL_INT8:
        put_int(out, value->number, 8);
        return;
    case SQL_BOOL:
        put_int(out, value->number != 0, 1);
        return;
    case SQL_TIME:
        put_int(out, value->number - POSTGRES_EPOCH_US, 8);
        return;
    case SQL_TEXT_LIST:
        put_array_head(out, value->list->count, sql_type_oid(SQL_TEXT));
        for (size_t i = 0; i < value->list->count; i++)
            put_element(out, value->list->items[i]);
        return;
    case SQL_TEXT_PAIRS:
        put_array_head(out, value->map->count * 2, sql_type_oid(SQL_TEXT));
        for (size_t i = 0; i < value->map->count; i++) {
            put_element(out, value->map->pairs[i].key);
            put_element(out, value->map->pairs[i].value);
        }
        return;
    case SQL_INT8_LIST:
        put_array_head(out, value->numbers.count, sql_type_oid(SQL_INT8));
        for (size_t i = 0; i < value->numbers.count; i++) {
            put_int(out, 8, 4);
            put_int(out, value->numbers.items[i], 8);
        }
        return;
    }
    assert(0 && "a type that sql_type does not have");
}

/* Network order. */
static void put_int(struct buf *out, int64_t number, size_t size)
{
    uint64_t bits = (uint64_t)number;
    for (size_t i = size; i > 0; i--)
        buf_put_byte(out, (uint8_t)(bits >> ((i - 1) * 8)));
}

/* array_recv: dimensions, flag for nulls, element type, then per dimension its length and lower bound.
 * An empty array has no dimension. */
static void put_array_head(struct buf *out, size_t count, uint32_t element_oid)
{
    assert(count <= INT32_MAX);
    put_int(out, count > 0, 4);
    put_int(out, 0, 4);
    put_int(out, element_oid, 4);
    if (count == 0)
        return;
    put_int(out, (int64_t)count, 4);
    put_int(out, 1, 4);
}

static void put_element(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    assert(size <= INT32_MAX);
    put_int(out, (int64_t)size, 4);
    buf_put(out, text, size);
}
