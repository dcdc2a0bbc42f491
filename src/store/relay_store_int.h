/* What the stores of the relay's login share; for relay_store.c, dead_store.c, refill_store.c and
 * rewind_store.c only. */
#ifndef STORE_RELAY_STORE_INT_H
#define STORE_RELAY_STORE_INT_H

#include "store/relay_store.h"
#include "store/tx.h"

/* An outbox row's columns, in the order in which outbox_row_of() reads them. */
#define OUTBOX_COLUMNS                                                                             \
    "shard, id, tenant_id, seq, incarnation, epoch, msg_id, subject, payload, traceparent, "       \
    "created_at"
#define OUTBOX_COLUMN_NAMES                                                                        \
    "shard", "id", "tenant_id", "seq", "incarnation", "epoch", "msg_id", "subject", "payload",     \
        "traceparent", "created_at"

/* One statement in a transaction of its own; `rows` stay readable until *tx is freed.  Suspends. */
int relay_ask(const struct relay_caller *caller, const struct stmt *stmt,
              const struct sql_value *values, struct tx **tx, struct rows *rows) MUST_CHECK;
/* A statement's one row with one number, not below 0: the statement makes sure of both (asserted). */
int relay_number(const struct relay_caller *caller, const struct rows *rows, const char *column,
                 size_t *out) MUST_CHECK;
/* The row's event; what follows the columns above is the caller's to read, then row_end(). */
struct outbox_row outbox_row_of(struct row *row);

/* Stored events as the columns that statements take, in the arena. */
struct event_columns {
    struct string_list tenants, ids; /* uuids as texts: the room encodes no array of uuids */
    int64_t *incarnations, *seqs, *stream_seqs;
};
struct event_columns event_columns_of(struct arena *arena, const struct stored_events *events);

/* Shards as the numbers that `= ANY ($n::bigint[])` takes. */
struct shard_numbers {
    int64_t items[OUTBOX_SHARDS];
    size_t count;
};
struct shard_numbers shard_numbers_of(uint16_t shards);

#endif
