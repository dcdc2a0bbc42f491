/* The relay's statements.  Called by the events room's relay; touches nothing but the outbox tables, the
 * leases and the relays' announcements.
 *
 * Time is the database's alone (clock_timestamp()), so that relays with clocks apart agree on
 * whose lease has run out.  A lease is a row that is always there, one per shard; owner '' is
 * nobody.  Moving a row from outbox to outbox_sent is one statement with DELETE … RETURNING
 * inside: it is in exactly one of them, always. */
#include "store/relay_store_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* At once, and once a minute: more than 300 keyed writes a second for a day. */
#define KEYS_EXPIRE_MAX 20000
/* originals may be large */
#define DEAD_FORGET_MAX 1000

/* `running` counts the payload bytes up to and with the row; the first row of a shard always
 * comes.  One index scan per shard by (shard, id), stopped at $2 rows: a backlog of millions
 * costs no more than a full window.  LATERAL and not one ORDER BY over all shards, which would
 * sort what it then throws away; and none behind it, which would write a window's payloads to a
 * file to sort what comes in order already: whoever reads the rows sees to it. */
static const struct stmt unsent_select = {
    .name = "relay.unsent",
    .text =
        "SELECT w.shard, w.id, w.tenant_id, w.seq, w.incarnation, w.epoch, w.msg_id, w.subject,"
        " w.payload, w.traceparent, w.created_at, pg_postmaster_start_time() AS server_started"
        " FROM unnest($1::bigint[]) AS s(shard)"
        " CROSS JOIN LATERAL (SELECT q.*,"
        "  sum(octet_length(q.payload)) OVER (ORDER BY q.id ROWS UNBOUNDED PRECEDING) AS running"
        "  FROM (SELECT o.* FROM tenant.outbox o WHERE o.shard = s.shard"
        "   ORDER BY o.id LIMIT $2) q) w"
        " WHERE w.running <= $3 OR w.running = octet_length(w.payload)",
    .param_count = 3,
    .columns = {OUTBOX_COLUMN_NAMES, "server_started", NULL},
};

/* as in the migration */
#define SENT_NO_STEP 65536

/* Both moves, from `k` (what to look for, with `stream_seq` and `place`) on.  A join of the outbox with `k`
 * would be planned by what the statistics say of the outbox, which is empty nearly always: then PostgreSQL
 * takes every row of a backlog and compares it with all of `k`, for hours.  So no join is left to it: OFFSET
 * keeps the subquery one look into the index per row of `k`, rows are deleted by their ctid, and what belongs
 * to a row is found by its id in a sorted array.
 *
 * The rows' numbers follow the order of the statement's arrays, which is that of sending, without a sort: one
 * number of the sequence, whose steps are wider than any statement, and the place behind it.  The CTE is read
 * once because nextval() is volatile. */
#define MOVE_TO_SENT(match)                                                                        \
    " f AS MATERIALIZED (SELECT q.at, q.id, k.stream_seq, k.place FROM k CROSS JOIN LATERAL"       \
    "  (SELECT o.ctid AS at, o.id FROM tenant.outbox o WHERE " match " OFFSET 0) q),"              \
    " a AS MATERIALIZED (SELECT array_agg(at) AS ats, array_agg(id ORDER BY id) AS ids,"           \
    "  array_agg(stream_seq ORDER BY id) AS seqs, array_agg(place ORDER BY id) AS places FROM f)," \
    " d AS (DELETE FROM tenant.outbox o WHERE o.ctid = ANY ((SELECT ats FROM a)::tid[])"           \
    "  RETURNING o.*, width_bucket(o.id, (SELECT ids FROM a)) AS nth),"                            \
    " n AS (SELECT nextval('tenant.outbox_sent_no') AS base),"                                     \
    " i AS (INSERT INTO tenant.outbox_sent (" OUTBOX_COLUMNS ", stream_seq, sent_no)"              \
    "  SELECT " OUTBOX_COLUMNS ", (SELECT seqs FROM a)[nth], n.base + (SELECT places FROM a)[nth]" \
    "  FROM d, n RETURNING 1)"                                                                     \
    " SELECT count(*) AS moved FROM i"

/* Rows that another relay settled in the meantime are not deleted again and not counted. */
static const struct stmt settle = {
    .name = "relay.settle",
    .text = "WITH k AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])"
            "  WITH ORDINALITY AS k(shard, id, stream_seq, place))," MOVE_TO_SENT(
                "o.shard = k.shard AND o.id = k.id"),
    .param_count = 3,
    .columns = {"moved", NULL},
};

/* Texts and not uuid[]: the room encodes no array of uuids.  All four columns must agree with
 * the row, because headers of a stream's messages are input.  The sum hides the shard from the planner, who
 * might otherwise go through all of its rows for each of these. */
static const struct stmt settle_stored = {
    .name = "relay.settle_stored",
    .text =
        "WITH k AS (SELECT t::uuid AS tenant_id, incarnation, seq, m::uuid AS msg_id, stream_seq,"
        "  place FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])"
        "   WITH ORDINALITY AS k(t, incarnation, seq, m, stream_seq, place))," MOVE_TO_SENT(
            "o.shard + 0 = $1 AND o.tenant_id = k.tenant_id"
            " AND o.incarnation = k.incarnation AND o.seq = k.seq AND o.msg_id = k.msg_id"),
    .param_count = 6,
    .columns = {"moved", NULL},
};

/* The announcement tells others how many shares there are; it holds no shard. */
static const struct stmt announce = {
    .name = "relay.announce",
    .text = "INSERT INTO tenant.relay_owner (owner, seen_until)"
            " VALUES ($1, clock_timestamp() + $2::bigint * interval '1 microsecond')"
            " ON CONFLICT (owner) DO UPDATE SET seen_until = excluded.seen_until",
    .param_count = 2,
    .columns = {NULL},
};

/* Also renews one that has just run out and that nobody took: no gap, as the owner is still
 * ours. */
static const struct stmt renew = {
    .name = "relay.renew",
    .text = "UPDATE tenant.relay_lease"
            " SET expires_at = clock_timestamp() + $2::bigint * interval '1 microsecond'"
            " WHERE owner = $1",
    .param_count = 2,
    .columns = {NULL},
};

/* All shards, sixteen rows, whoever has them. */
static const struct stmt leases_select = {
    .name = "relay.leases",
    .text = "SELECT shard, CASE WHEN expires_at > clock_timestamp() THEN owner ELSE '' END AS owner"
            " FROM tenant.relay_lease ORDER BY shard",
    .columns = {"shard", "owner", NULL},
};

/* In the same transaction behind announce and renew, so the caller counts itself with what it
 * holds. */
static const struct stmt owners_select = {
    .name = "relay.owners",
    .text = "SELECT count(*) AS live, coalesce(min(held) FILTER (WHERE owner <> $1), 16) AS poorest"
            " FROM (SELECT o.owner, count(l.shard) AS held FROM tenant.relay_owner o"
            "  LEFT JOIN tenant.relay_lease l"
            "  ON l.owner = o.owner AND l.expires_at > clock_timestamp()"
            "  WHERE o.seen_until > clock_timestamp() GROUP BY o.owner) counts",
    .param_count = 1,
    .columns = {"live", "poorest", NULL},
};

/* Waits for the row lock of a rival's claim and then sees its lease: READ COMMITTED looks at
 * the row again. `epoch` counts how often it changed hands. */
static const struct stmt claim = {
    .name = "relay.claim",
    .text = "UPDATE tenant.relay_lease SET owner = $1, epoch = epoch + 1,"
            " expires_at = clock_timestamp() + $2::bigint * interval '1 microsecond'"
            " WHERE shard = ANY($3::bigint[]) AND (owner = '' OR expires_at <= clock_timestamp())"
            " RETURNING shard",
    .param_count = 3,
    .columns = {"shard", NULL},
};

static const struct stmt release = {
    .name = "relay.release",
    .text = "UPDATE tenant.relay_lease SET owner = '', expires_at = '-infinity'"
            " WHERE owner = $1 AND shard = ANY($2::bigint[])",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt leave = {
    .name = "relay.leave",
    .text = "DELETE FROM tenant.relay_owner WHERE owner = $1",
    .param_count = 1,
    .columns = {NULL},
};

/* The count stops at $1.  The age is that of each shard's first row, by the order of sending, so one index
 * probe per shard. */
static const struct stmt stats_select = {
    .name = "relay.stats",
    .text =
        "SELECT (SELECT count(*) FROM (SELECT FROM tenant.outbox LIMIT $1) rows) AS pending,"
        " coalesce((SELECT greatest(max(extract(epoch FROM clock_timestamp() - o.created_at)), 0)"
        "  FROM generate_series(0, 15) AS s(shard) CROSS JOIN LATERAL (SELECT created_at"
        "   FROM tenant.outbox WHERE outbox.shard = s.shard ORDER BY id LIMIT 1) o)"
        " * 1000000, 0)::bigint AS oldest_age_us,"
        " (SELECT count(*) FROM (SELECT FROM tenant.outbox_dead WHERE lettered_at IS NULL"
        "  LIMIT 100000) rows) AS unlettered",
    .param_count = 1,
    .columns = {"pending", "oldest_age_us", "unlettered", NULL},
};

/* Relays that ended without leaving; one that comes back announces itself anew. */
static const struct stmt owners_prune = {
    .name = "relay.owners_prune",
    .text =
        "DELETE FROM tenant.relay_owner WHERE seen_until < clock_timestamp() - interval '3 days'",
    .columns = {NULL},
};

/* Keys of writes, a day later.  The relay's policy shows it expired rows alone.  By key of the
 * subselect, with its limit: a DELETE without one would hold its locks for minutes after a long
 * outage. */
#define EXPIRE(table, columns)                                                                     \
    "DELETE FROM " table " WHERE (" columns ") IN (SELECT " columns " FROM " table                 \
    " WHERE expires_at < now() ORDER BY expires_at LIMIT $1)"
static const struct stmt keys_expire = {
    .name = "relay.keys_expire",
    .text = EXPIRE("tenant.idempotency", "tenant_id, principal, method, key"),
    .param_count = 1,
    .columns = {NULL},
};
static const struct stmt platform_keys_expire = {
    .name = "relay.platform_keys_expire",
    .text = EXPIRE("tenant.platform_idempotency", "principal, method, key"),
    .param_count = 1,
    .columns = {NULL},
};

/* With its letter the original has gone from the dead letters too. */
static const struct stmt dead_forget = {
    .name = "relay.dead_forget",
    .text = "DELETE FROM tenant.outbox_dead WHERE ctid = ANY (ARRAY (SELECT ctid"
            " FROM tenant.outbox_dead WHERE lettered_at < now() - interval '90 days'"
            " ORDER BY lettered_at LIMIT $1))",
    .param_count = 1,
    .columns = {NULL},
};

static const struct stmt *const all[] = {
    &dead_forget, &unsent_select, &settle,        &settle_stored, &announce,
    &renew,       &leases_select, &owners_select, &claim,         &release,
    &leave,       &stats_select,  &owners_prune,  &keys_expire,   &platform_keys_expire,
};

const struct stmt_list relay_statements = {
    .items = all,
    .count = sizeof all / sizeof all[0],
    .login = LOGIN_RELAY,
};

static void queue_settling(struct tx *tx, const struct sent_keys *sent, struct rows *moved);
static void queue_reading(struct tx *tx, const struct outbox_read *read, struct rows *unsent);
static int batch_read(const struct relay_caller *caller, const struct rows *rows,
                      struct outbox_batch *out) MUST_CHECK;
static int leases_read(const struct relay_caller *caller, const struct rows *rows,
                       struct relay_leases *out) MUST_CHECK;
static int owners_read(const struct relay_caller *caller, const struct rows *rows,
                       struct relay_leases *out) MUST_CHECK;
static struct sql_value duration_us(uint64_t duration_ns);
static void rows_put_in_order(struct outbox_row *rows, size_t count);
static int row_compare(const void *left, const void *right);

/* The settling first: what is read then is what comes after it. */
int relay_store_exchange_begin(const struct relay_caller *caller, const struct sent_keys *sent,
                               const struct outbox_read *read, struct outbox_exchange *out)
{
    assert(sent->count > 0 || read->shards != 0);
    assert(out->tx == NULL);
    out->settling = sent->count;
    out->reading = read->shards;
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &out->tx));
    if (out->settling > 0)
        queue_settling(out->tx, sent, &out->moved);
    if (out->reading != 0)
        queue_reading(out->tx, read, &out->unsent);
    int rc = tx_commit_begin(out->tx);
    if (rc != OK)
        tx_free_ptr(&out->tx);
    return rc;
}

int relay_store_exchange_end(const struct relay_caller *caller, struct outbox_exchange *exchange,
                             size_t *moved, struct outbox_batch *batch)
{
    AUTO(tx_free_ptr) struct tx *tx = TAKE(exchange->tx);
    TRY(tx_commit_end(tx));
    if (exchange->settling > 0)
        TRY(relay_number(caller, &exchange->moved, "moved", moved));
    if (exchange->reading != 0)
        TRY(batch_read(caller, &exchange->unsent, batch));
    return OK;
}

/* `numbers` has three columns of `count`, one behind the other. */
static void queue_settling(struct tx *tx, const struct sent_keys *sent, struct rows *moved)
{
    size_t count = sent->count;
    assert(count < SENT_NO_STEP);
    int64_t *numbers = arena_alloc_raw(tx_ctx(tx)->arena, 3 * count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = sent->items[i].shard;
        numbers[count + i] = sent->items[i].id;
        numbers[2 * count + i] = (int64_t)sent->items[i].stream_seq;
    }
    const struct sql_value values[] = {
        sql_int8_list(numbers, count),
        sql_int8_list(numbers + count, count),
        sql_int8_list(numbers + 2 * count, count),
    };
    tx_queue(tx, &settle, values, moved);
}

static void queue_reading(struct tx *tx, const struct outbox_read *read, struct rows *unsent)
{
    struct shard_numbers shards = shard_numbers_of(read->shards);
    const struct sql_value values[] = {
        sql_int8_list(shards.items, shards.count),
        sql_int8(read->rows_max),
        sql_int8((int64_t)read->payload_max),
    };
    tx_queue(tx, &unsent_select, values, unsent);
}

/* Rows are copied into the arena before the tx is freed: libpq's result goes with it. */
static int batch_read(const struct relay_caller *caller, const struct rows *rows,
                      struct outbox_batch *out)
{
    struct arena *arena = caller->ctx->arena;
    struct outbox_row *events = arena_alloc_raw(arena, (rows->count + 1) * sizeof *events);
    uint64_t started_us = 0;
    for (size_t i = 0; i < rows->count; i++) {
        struct row row = row_at(rows, i, arena);
        events[i] = outbox_row_of(&row);
        started_us = row_time_us(&row, "server_started");
        TRY(row_end(caller->ctx, &row));
    }
    rows_put_in_order(events, rows->count);
    *out = (struct outbox_batch){
        .rows = events, .count = rows->count, .server_started_us = started_us};
    return OK;
}

int relay_store_settle_stored(const struct relay_caller *caller, const struct stored_events *events,
                              size_t *moved)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    size_t count = events->count;
    assert(count > 0 && count < SENT_NO_STEP && events->shard < OUTBOX_SHARDS);
    struct event_columns columns = event_columns_of(caller->ctx->arena, events);
    const struct sql_value values[] = {
        sql_int2((int16_t)events->shard),
        sql_list(&columns.tenants),
        sql_int8_list(columns.incarnations, count),
        sql_int8_list(columns.seqs, count),
        sql_list(&columns.ids),
        sql_int8_list(columns.stream_seqs, count),
    };
    TRY(relay_ask(caller, &settle_stored, values, &tx, &rows));
    return relay_number(caller, &rows, "moved", moved);
}

/* Four statements, one round trip.  *out is written only when all of it could be read. */
int relay_store_renew(const struct relay_caller *caller, struct relay_leases *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows leases = {0};
    struct rows owners = {0};
    const struct sql_value values[] = {sql_text(caller->owner), duration_us(caller->ttl_ns)};
    assert(strlen(caller->owner) < RELAY_OWNER_SIZE && caller->owner[0] != '\0');
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &announce, values, NULL);
    tx_queue(tx, &renew, values, NULL);
    tx_queue(tx, &leases_select, NULL, &leases);
    tx_queue(tx, &owners_select, values, &owners);
    TRY(tx_commit(tx));
    struct relay_leases read = {.live_owners = 1};
    TRY(leases_read(caller, &leases, &read));
    TRY(owners_read(caller, &owners, &read));
    *out = read;
    return OK;
}

int relay_store_claim(const struct relay_caller *caller, uint16_t shards, uint16_t *claimed)
{
    assert(caller->ttl_ns > 0 && caller->owner[0] != '\0');
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct shard_numbers numbers = shard_numbers_of(shards);
    const struct sql_value values[] = {
        sql_text(caller->owner),
        duration_us(caller->ttl_ns),
        sql_int8_list(numbers.items, numbers.count),
    };
    uint16_t mask = 0;
    TRY(relay_ask(caller, &claim, values, &tx, &rows));
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, caller->ctx->arena);
        int64_t shard = row_int(&row, "shard");
        TRY(row_end(caller->ctx, &row));
        assert(shard >= 0 && shard < OUTBOX_SHARDS);
        mask |= (uint16_t)(1u << shard);
    }
    *claimed = mask;
    return OK;
}

int relay_store_release(const struct relay_caller *caller, uint16_t shards, bool leaving)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct shard_numbers numbers = shard_numbers_of(shards);
    const struct sql_value values[] = {
        sql_text(caller->owner),
        sql_int8_list(numbers.items, numbers.count),
    };
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &release, values, NULL);
    if (leaving)
        tx_queue(tx, &leave, values, NULL);
    return tx_commit(tx);
}

/* The numbers come as one row. */
int relay_store_stats(const struct relay_caller *caller, uint64_t count_max,
                      struct outbox_stats *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    size_t pending = 0;
    size_t oldest = 0;
    size_t unlettered = 0;
    const struct sql_value most = sql_int8((int64_t)count_max);
    TRY(relay_ask(caller, &stats_select, &most, &tx, &rows));
    TRY(relay_number(caller, &rows, "pending", &pending));
    TRY(relay_number(caller, &rows, "oldest_age_us", &oldest));
    TRY(relay_number(caller, &rows, "unlettered", &unlettered));
    *out = (struct outbox_stats){
        .pending = pending, .oldest_age_us = oldest, .unlettered = unlettered};
    return OK;
}

int relay_store_prune(const struct relay_caller *caller)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &owners_prune, NULL, NULL);
    const struct sql_value keys = sql_int8(KEYS_EXPIRE_MAX);
    tx_queue(tx, &keys_expire, &keys, NULL);
    tx_queue(tx, &platform_keys_expire, &keys, NULL);
    const struct sql_value letters = sql_int8(DEAD_FORGET_MAX);
    tx_queue(tx, &dead_forget, &letters, NULL);
    return tx_commit(tx);
}

/* One statement in a transaction of its own; `rows` stay readable until *tx is freed. */
int relay_ask(const struct relay_caller *caller, const struct stmt *stmt,
              const struct sql_value *values, struct tx **tx, struct rows *rows)
{
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, tx));
    tx_queue(*tx, stmt, values, rows);
    return tx_commit(*tx);
}

/* One row with one number: the statement makes sure of both, so other shapes are our bug. */
int relay_number(const struct relay_caller *caller, const struct rows *rows, const char *column,
                 size_t *out)
{
    assert(rows->count == 1);
    struct row row = row_at(rows, 0, caller->ctx->arena);
    int64_t number = row_int(&row, column);
    TRY(row_end(caller->ctx, &row));
    assert(number >= 0);
    *out = (size_t)number;
    return OK;
}

/* bigint[] because the room encodes no smallint[]; sixteen numbers. */
struct shard_numbers shard_numbers_of(uint16_t shards)
{
    struct shard_numbers numbers = {.count = 0};
    for (unsigned shard = 0; shard < OUTBOX_SHARDS; shard++) {
        if ((shards >> shard & 1) != 0)
            numbers.items[numbers.count++] = shard;
    }
    return numbers;
}

struct event_columns event_columns_of(struct arena *arena, const struct stored_events *events)
{
    size_t count = events->count;
    int64_t *numbers = arena_alloc(arena, (3 * count + 1) * sizeof *numbers);
    struct event_columns columns = {
        .tenants = {arena_alloc(arena, (count + 1) * sizeof(char *)), count},
        .ids = {arena_alloc(arena, (count + 1) * sizeof(char *)), count},
        .incarnations = numbers,
        .seqs = numbers + count,
        .stream_seqs = numbers + 2 * count,
    };
    for (size_t i = 0; i < count; i++) {
        const struct stored_event *event = &events->items[i];
        char *texts = arena_alloc(arena, (size_t)2 * UUID_TEXT_SIZE);
        uuid_format(&event->tenant_id, texts);
        uuid_format(&event->msg_id, texts + UUID_TEXT_SIZE);
        columns.tenants.items[i] = texts;
        columns.ids.items[i] = texts + UUID_TEXT_SIZE;
        columns.incarnations[i] = event->incarnation;
        columns.seqs[i] = event->seq;
        columns.stream_seqs[i] = (int64_t)event->stream_seq;
    }
    return columns;
}

struct outbox_row outbox_row_of(struct row *row)
{
    /* In the order of the columns, which costs no search. */
    struct outbox_row event = {.shard = (unsigned)row_int(row, "shard")};
    event.id = row_int(row, "id");
    event.tenant_id = row_uuid(row, "tenant_id");
    event.seq = row_int(row, "seq");
    event.incarnation = row_int(row, "incarnation");
    event.epoch = row_int(row, "epoch");
    event.msg_id = row_uuid(row, "msg_id");
    event.subject = row_text(row, "subject");
    event.payload = row_bytes(row, "payload");
    event.traceparent = row_text(row, "traceparent");
    event.created_us = row_time_us(row, "created_at");
    return event;
}

/* A name longer than ours can be is cut, and is then nobody we know. */
static int leases_read(const struct relay_caller *caller, const struct rows *rows,
                       struct relay_leases *out)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct row row = row_at(rows, i, caller->ctx->arena);
        int64_t shard = row_int(&row, "shard");
        const char *owner = row_text(&row, "owner");
        TRY(row_end(caller->ctx, &row));
        assert(shard >= 0 && shard < OUTBOX_SHARDS);
        snprintf(out->owners[shard], RELAY_OWNER_SIZE, "%s", owner);
    }
    return OK;
}

static int owners_read(const struct relay_caller *caller, const struct rows *rows,
                       struct relay_leases *out)
{
    size_t live = 0;
    TRY(relay_number(caller, rows, "live", &live));
    TRY(relay_number(caller, rows, "poorest", &out->poorest));
    out->live_owners = live > 0 ? live
                                : 1; /* our own announcement counts even when it runs out now */
    return OK;
}

/* A look at all of them costs nothing, and finds them in order unless the plan has changed. */
static void rows_put_in_order(struct outbox_row *rows, size_t count)
{
    size_t i = 1;
    while (i < count && row_compare(&rows[i - 1], &rows[i]) < 0)
        i++;
    if (i < count)
        qsort(rows, count, sizeof *rows, row_compare);
}

static int row_compare(const void *left, const void *right)
{
    const struct outbox_row *a = left;
    const struct outbox_row *b = right;
    if (a->shard != b->shard)
        return a->shard < b->shard ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Whole microseconds, which is what an interval holds. */
static struct sql_value duration_us(uint64_t duration_ns)
{
    return sql_int8((int64_t)(duration_ns / NS_PER_US));
}
