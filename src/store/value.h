/* What statements take: typed parameters, encoded in PostgreSQL's binary format. */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include "base/buf.h"
#include "base/id.h"

#include "domain/tenant.h"

/* The types our schema uses; sql_type_oid() has PostgreSQL's numbers. */
enum sql_type {
    SQL_UUID, /* 16 bytes */
    SQL_TEXT, /* UTF-8, no NUL: the server refuses others */
    SQL_INT2, /* on the wire as wide as its type, like the two below */
    SQL_INT4,
    SQL_INT8,
    SQL_BOOL,       /* one byte */
    SQL_TIME,       /* timestamptz */
    SQL_BYTES,      /* bytea */
    SQL_TEXT_LIST,  /* text[] from a string_list */
    SQL_TEXT_PAIRS, /* text[] of key, value, key, value: for jsonb_object($n) */
    SQL_INT8_LIST,  /* bigint[] */
};

/* Borrows what it points to until tx_queue() returns.  A list's or a map's items must not be
 * NULL. */
struct sql_value {
    enum sql_type type;
    bool is_null; /* the union is not looked at */
    union {
        const struct uuid *uuid;
        struct slice bytes; /* SQL_TEXT (UTF-8 without NUL), SQL_BYTES */
        int64_t number;     /* the integer types, SQL_BOOL, SQL_TIME (microseconds since 1970) */
        const struct string_list *list;
        const struct string_map *map;
        struct {
            const int64_t *items;
            size_t count;
        } numbers;
    };
};

/* The constructors below copy pointers, never content. */
static inline struct sql_value sql_uuid(const struct uuid *uuid)
{
    return (struct sql_value){.type = SQL_UUID, .uuid = uuid};
}

/* NULL means SQL's NULL. */
static inline struct sql_value sql_text(const char *text)
{
    return (struct sql_value){
        .type = SQL_TEXT, .is_null = text == NULL, .bytes = slice_of_str(text)};
}

static inline struct sql_value sql_int2(int16_t number)
{
    return (struct sql_value){.type = SQL_INT2, .number = number};
}

static inline struct sql_value sql_int4(int32_t number)
{
    return (struct sql_value){.type = SQL_INT4, .number = number};
}

static inline struct sql_value sql_int8(int64_t number)
{
    return (struct sql_value){.type = SQL_INT8, .number = number};
}

static inline struct sql_value sql_bool(bool truth)
{
    return (struct sql_value){.type = SQL_BOOL, .number = truth};
}

/* Microseconds since 1970, UTC. */
static inline struct sql_value sql_time_us(uint64_t us_since_1970)
{
    return (struct sql_value){.type = SQL_TIME, .number = (int64_t)us_since_1970};
}

/* May be empty; that is not SQL's NULL. */
static inline struct sql_value sql_bytes(struct slice bytes)
{
    return (struct sql_value){.type = SQL_BYTES, .bytes = bytes};
}

/* An empty list is '{}' and not NULL. */
static inline struct sql_value sql_list(const struct string_list *list)
{
    return (struct sql_value){.type = SQL_TEXT_LIST, .list = list};
}

static inline struct sql_value sql_pairs(const struct string_map *map)
{
    return (struct sql_value){.type = SQL_TEXT_PAIRS, .map = map};
}

/* `items` may be NULL when there are none. */
static inline struct sql_value sql_int8_list(const int64_t *items, size_t count)
{
    return (struct sql_value){.type = SQL_INT8_LIST, .numbers = {items, count}};
}

/* PostgreSQL's type id, stable since ever (pg_type.dat). */
uint32_t sql_type_oid(enum sql_type type);

/* Appends the value's binary form; nothing for a null.  Never fails: what cannot be encoded is
 * a bug (asserted). */
void sql_value_encode(const struct sql_value *value, struct buf *out);

#endif
