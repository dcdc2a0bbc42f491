/* Rewinds; see rewind_store.h. */
#include "store/rewind_store.h"

#include "store/relay_store_int.h"

#include "gen/errors.h"

#include <assert.h>

/* The first look ever only notes the server.  The row is locked first, so that of two relays that find another
 * server one makes the incarnation grow. */
static const struct stmt look = {
    .name = "rewind.look",
    .text =
        "WITH o AS (SELECT incarnation, server FROM tenant.installation FOR UPDATE),"
        " n AS (SELECT o.incarnation, o.server <> '' AND o.server <> f.server AS grew, f.server,"
        "  o.server <> f.server AS differs FROM o, (SELECT system_identifier::text || '/' ||"
        "   left(pg_walfile_name(pg_current_wal_lsn()), 8) AS server FROM pg_control_system()) f),"
        " u AS (UPDATE tenant.installation SET incarnation = n.incarnation + n.grew::int,"
        "  server = n.server, update_time = clock_timestamp() FROM n WHERE n.differs)"
        " SELECT incarnation + grew::int AS incarnation, grew,"
        "  pg_postmaster_start_time() AS started FROM n",
    .columns = {"incarnation", "grew", "started", NULL},
};

static const struct stmt raise_incarnation = {
    .name = "rewind.raise",
    .text = "UPDATE tenant.installation SET incarnation = greatest(incarnation, $2) + 1,"
            " update_time = clock_timestamp() WHERE incarnation <= $1",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt installed_lock = {
    .name = "rewind.installed",
    .text = "SELECT incarnation FROM tenant.installation FOR UPDATE",
    .columns = {"incarnation", NULL},
};

/* By all that each event says of itself.  Texts because the room encodes no array of uuids.  OFFSET 0 has the
 * outbox and the partitions asked event by event, by their index, and not read and joined. */
static const struct stmt unknown_select = {
    .name = "rewind.unknown",
    .text =
        "WITH k AS (SELECT t::uuid AS tenant_id, incarnation, seq, m::uuid AS msg_id, place"
        "  FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::bigint[]),"
        "   (SELECT $4::text[])) WITH ORDINALITY AS k(t, incarnation, seq, m, place))"
        " SELECT k.place FROM k WHERE NOT EXISTS (SELECT FROM tenant.outbox o"
        "   WHERE o.tenant_id = k.tenant_id AND o.incarnation = k.incarnation AND o.seq = k.seq"
        "   AND o.msg_id = k.msg_id OFFSET 0)"
        "  AND NOT EXISTS (SELECT FROM tenant.outbox_sent s WHERE s.tenant_id = k.tenant_id"
        "   AND s.incarnation = k.incarnation AND s.seq = k.seq AND s.msg_id = k.msg_id OFFSET 0)"
        "  AND NOT EXISTS (SELECT FROM tenant.rewound w WHERE w.tenant_id = k.tenant_id"
        "   AND w.incarnation > k.incarnation AND w.announced_at IS NOT NULL OFFSET 0)"
        "  AND ($5 OR NOT EXISTS (SELECT FROM tenant.tenant_seq c WHERE c.tenant_id = k.tenant_id"
        "   AND (c.incarnation, c.seq) >= (k.incarnation, k.seq)) OR EXISTS (SELECT"
        "   FROM tenant.outbox o WHERE o.tenant_id = k.tenant_id AND o.incarnation = k.incarnation"
        "   AND o.seq = k.seq AND o.msg_id <> k.msg_id))",
    .param_count = 5,
    .columns = {"place", NULL},
};

/* A status of '-' says nothing.  Of events of several incarnations the newest one's count. */
static const struct stmt note = {
    .name = "rewind.note",
    .text =
        "INSERT INTO tenant.rewound AS w (tenant_id, incarnation, shard, previous_incarnation,"
        "  lost_from, lost_to, status, reason)"
        " SELECT t::uuid, $2, $1, k.incarnation, k.lost_from, k.lost_to,"
        "  CASE k.status WHEN '-' THEN '' ELSE k.status END, k.reason"
        " FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[])"
        "  AS k(t, incarnation, lost_from, lost_to, status, reason)"
        " ON CONFLICT (tenant_id, incarnation) DO UPDATE SET"
        "  lost_from = CASE WHEN excluded.previous_incarnation > w.previous_incarnation"
        "   THEN excluded.lost_from WHEN excluded.previous_incarnation < w.previous_incarnation"
        "   THEN w.lost_from ELSE least(w.lost_from, excluded.lost_from) END,"
        "  lost_to = CASE WHEN excluded.previous_incarnation > w.previous_incarnation"
        "   THEN excluded.lost_to WHEN excluded.previous_incarnation < w.previous_incarnation"
        "   THEN w.lost_to ELSE greatest(w.lost_to, excluded.lost_to) END,"
        "  previous_incarnation = greatest(w.previous_incarnation, excluded.previous_incarnation),"
        "  status = coalesce((SELECT CASE k.status WHEN '-' THEN w.status ELSE k.status END"
        "   FROM unnest($3::text[], $7::text[]) AS k(t, status) WHERE k.t::uuid = w.tenant_id),"
        "   w.status),"
        "  reason = CASE WHEN excluded.status <> '' THEN excluded.reason ELSE w.reason END"
        " WHERE w.announced_at IS NULL",
    .param_count = 8,
    .columns = {NULL},
};

static const struct stmt unannounced = {
    .name = "rewind.unannounced",
    .text = "SELECT tenant_id, previous_incarnation, lost_from, lost_to, status, reason"
            " FROM tenant.rewound WHERE shard = $1 AND announced_at IS NULL AND incarnation = $2"
            " LIMIT 50",
    .param_count = 2,
    .columns = {"tenant_id", "previous_incarnation", "lost_from", "lost_to", "status", "reason",
                NULL},
};

/* The five statements of an announcement.  Before the numbers the lock on the counter, which every writer
 * takes: after it all unsent events of the tenant are seen, and no more come. */
static const struct stmt counter_lock = {
    .name = "rewind.counter_lock",
    .text = "SELECT seq FROM tenant.tenant_seq WHERE tenant_id = $1 FOR UPDATE",
    .param_count = 1,
    .columns = {"seq", NULL},
};

/* Divides by the number of rows: none, and somebody else has announced it; then nothing of the rest happens. */
static const struct stmt announced = {
    .name = "rewind.announced",
    .text = "WITH u AS (UPDATE tenant.rewound SET announced_at = clock_timestamp()"
            "  WHERE tenant_id = $1 AND incarnation = $2 AND announced_at IS NULL RETURNING 1)"
            " SELECT 1 / count(*) AS done FROM u",
    .param_count = 2,
    .columns = {"done", NULL},
    .guard_refusal = CONCURRENT_CHANGE,
};

/* Unsent events get numbers behind the announcement's, in their order.  In two steps, because numbers that are
 * taken may not be taken again in between.  By their place in an array, and not by a join of the outbox with
 * itself: see MOVE_TO_SENT. */
static const struct stmt renumber_away = {
    .name = "rewind.renumber_away",
    .text = "UPDATE tenant.outbox o SET seq = -width_bucket(o.id, r.ids), incarnation = $2,"
            "  epoch = width_bucket(o.id, r.ids) + 1"
            " FROM (SELECT array_agg(id ORDER BY id) AS ids FROM tenant.outbox"
            "  WHERE tenant_id = $1) r WHERE o.tenant_id = $1",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt renumber_back = {
    .name = "rewind.renumber_back",
    .text = "UPDATE tenant.outbox SET seq = 1 - seq"
            " WHERE tenant_id = $1 AND incarnation = $2 AND seq < 0",
    .param_count = 2,
    .columns = {NULL},
};

/* Before every other unsent event of the shard, whose ids are above 0. */
static const struct stmt announce = {
    .name = "rewind.announce",
    .text =
        "WITH n AS (SELECT count(*) AS unsent FROM tenant.outbox WHERE tenant_id = $2),"
        " a AS (INSERT INTO tenant.outbox (shard, id, tenant_id, seq, incarnation, epoch, msg_id,"
        "  subject, payload, traceparent, created_at) OVERRIDING SYSTEM VALUE"
        "  SELECT $1, least((SELECT id FROM tenant.outbox WHERE shard = $1 ORDER BY id LIMIT 1), 0)"
        "   - 1, $2, 1, $3, 1, $4, $5, $6, '', clock_timestamp()),"
        " c AS (UPDATE tenant.tenant_seq SET seq = 1 + n.unsent, incarnation = $3 FROM n"
        "  WHERE tenant_id = $2)"
        " UPDATE tenant.authz_epoch SET epoch = 1 + n.unsent, incarnation = $3,"
        "  xid = pg_current_xact_id() FROM n WHERE tenant_id = $2",
    .param_count = 6,
    .columns = {NULL},
};

static const struct stmt compared = {
    .name = "rewind.compared",
    .text = "UPDATE tenant.relay_stream SET incarnation = $2 WHERE shard = $1",
    .param_count = 2,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {
    &look,         &raise_incarnation, &installed_lock, &unknown_select, &note,     &unannounced,
    &counter_lock, &announced,         &renumber_away,  &renumber_back,  &announce, &compared,
};
const struct stmt_list rewind_statements = {statements, sizeof statements / sizeof statements[0],
                                            LOGIN_RELAY};

static int installed_read(const struct relay_caller *caller, const struct rows *rows,
                          int64_t *installed) MUST_CHECK;

int rewind_store_look(const struct relay_caller *caller, struct server_look *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    TRY(relay_ask(caller, &look, NULL, &tx, &rows));
    assert(rows.count == 1);
    struct row row = row_at(&rows, 0, caller->ctx->arena);
    struct server_look found = {.incarnation = row_int(&row, "incarnation")};
    found.grew = row_bool(&row, "grew");
    found.started_us = row_time_us(&row, "started");
    TRY(row_end(caller->ctx, &row));
    *out = found;
    return OK;
}

int rewind_store_raise(const struct relay_caller *caller, const struct incarnation_raise *raise,
                       int64_t *installed, bool *grew)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows before = {0};
    struct rows after = {0};
    const struct sql_value values[] = {sql_int8(raise->seen), sql_int8(raise->least)};
    int64_t was = 0;
    int64_t is = 0;
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &installed_lock, NULL, &before);
    tx_queue(tx, &raise_incarnation, values, NULL);
    tx_queue(tx, &installed_lock, NULL, &after);
    TRY(tx_commit(tx));
    TRY(installed_read(caller, &before, &was));
    TRY(installed_read(caller, &after, &is));
    *installed = is;
    *grew = is > was;
    return OK;
}

int rewind_store_unknown(const struct relay_caller *caller, const struct stored_events *events,
                         bool anchored, bool *unknown)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct arena *arena = caller->ctx->arena;
    struct event_columns columns = event_columns_of(arena, events);
    const struct sql_value values[] = {
        sql_list(&columns.tenants),
        sql_int8_list(columns.incarnations, events->count),
        sql_int8_list(columns.seqs, events->count),
        sql_list(&columns.ids),
        sql_bool(anchored),
    };
    TRY(relay_ask(caller, &unknown_select, values, &tx, &rows));
    memset(unknown, 0, events->count * sizeof *unknown);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, arena);
        int64_t place = row_int(&row, "place");
        TRY(row_end(caller->ctx, &row));
        assert(place > 0 && (size_t)place <= events->count);
        unknown[place - 1] = true;
    }
    return OK;
}

int rewind_store_note(const struct relay_caller *caller, unsigned shard, int64_t installed,
                      const struct losses *losses)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct arena *arena = caller->ctx->arena;
    size_t count = losses->count;
    int64_t *numbers = arena_alloc(arena, 3 * count * sizeof *numbers);
    struct string_list texts[3];
    for (size_t i = 0; i < 3; i++)
        texts[i] = (struct string_list){arena_alloc(arena, count * sizeof(char *)), count};
    for (size_t i = 0; i < count; i++) {
        char *tenant = arena_alloc(arena, UUID_TEXT_SIZE);
        uuid_format(&losses->items[i].tenant_id, tenant);
        numbers[i] = losses->items[i].incarnation;
        numbers[count + i] = losses->items[i].from;
        numbers[2 * count + i] = losses->items[i].to;
        texts[0].items[i] = tenant;
        texts[1].items[i] = losses->items[i].status == NULL ? "-" : losses->items[i].status;
        texts[2].items[i] = losses->items[i].reason == NULL ? "" : losses->items[i].reason;
    }
    const struct sql_value values[] = {
        sql_int2((int16_t)shard),
        sql_int8(installed),
        sql_list(&texts[0]),
        sql_int8_list(numbers, count),
        sql_int8_list(numbers + count, count),
        sql_int8_list(numbers + 2 * count, count),
        sql_list(&texts[1]),
        sql_list(&texts[2]),
    };
    return relay_ask(caller, &note, values, &tx, &rows);
}

int rewind_store_unannounced(const struct relay_caller *caller, unsigned shard, int64_t installed,
                             struct losses *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct arena *arena = caller->ctx->arena;
    const struct sql_value values[] = {sql_int2((int16_t)shard), sql_int8(installed)};
    TRY(relay_ask(caller, &unannounced, values, &tx, &rows));
    struct loss *items = arena_alloc(arena, (rows.count + 1) * sizeof *items);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, arena);
        items[i].tenant_id = row_uuid(&row, "tenant_id");
        items[i].incarnation = row_int(&row, "previous_incarnation");
        items[i].from = row_int(&row, "lost_from");
        items[i].to = row_int(&row, "lost_to");
        items[i].status = row_text(&row, "status");
        items[i].reason = row_text(&row, "reason");
        TRY(row_end(caller->ctx, &row));
    }
    *out = (struct losses){.items = items, .count = rows.count};
    return OK;
}

int rewind_store_announce(const struct relay_caller *caller, const struct announcement *said)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows counter = {0};
    struct rows done = {0};
    assert(said->shard < OUTBOX_SHARDS && said->envelope.size > 0);
    const struct sql_value tenant[] = {sql_uuid(&said->tenant_id), sql_int8(said->installed)};
    const struct sql_value values[] = {
        sql_int2((int16_t)said->shard), sql_uuid(&said->tenant_id), sql_int8(said->installed),
        sql_uuid(&said->msg_id),        sql_text(said->subject),    sql_bytes(said->envelope),
    };
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &announced, tenant, &done);
    tx_queue(tx, &counter_lock, tenant, &counter);
    tx_queue(tx, &renumber_away, tenant, NULL);
    tx_queue(tx, &renumber_back, tenant, NULL);
    tx_queue(tx, &announce, values, NULL);
    return tx_commit(tx);
}

int rewind_store_compared(const struct relay_caller *caller, unsigned shard, int64_t installed)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    const struct sql_value values[] = {sql_int2((int16_t)shard), sql_int8(installed)};
    return relay_ask(caller, &compared, values, &tx, &rows);
}

static int installed_read(const struct relay_caller *caller, const struct rows *rows,
                          int64_t *installed)
{
    size_t number = 0;
    TRY(relay_number(caller, rows, "incarnation", &number));
    *installed = (int64_t)number;
    return OK;
}
