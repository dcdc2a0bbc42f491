/* What streams should hold; see refill_store.h.
 *
 * A stream's sequences alone do not tell what it holds: a stream that is made anew begins at 1 again.  Events
 * are compared by what they say of themselves, and the order of sending, which never changes, tells what came
 * behind which. */
#include "store/refill_store.h"

#include "store/relay_store_int.h"

#include <assert.h>
#include <stdio.h>

static const struct stmt newest_sent = {
    .name = "refill.newest_sent",
    .text = "SELECT tenant_id, incarnation, seq, msg_id, stream_seq, sent_no"
            " FROM tenant.outbox_sent WHERE shard = $1"
            " ORDER BY sent_no DESC, stream_seq DESC LIMIT 1",
    .param_count = 1,
    .columns = {"tenant_id", "incarnation", "seq", "msg_id", "stream_seq", "sent_no", NULL},
};

/* `cut`: how far the oldest event that should be there is before the stream's first message. */
static const struct stmt anchor = {
    .name = "refill.anchor",
    .text = "SELECT greatest($3 - coalesce((SELECT stream_seq FROM tenant.outbox_sent"
            "   WHERE shard = $1 AND sent_at > now() - $2::bigint * interval '1 second'"
            "   ORDER BY sent_no, stream_seq LIMIT 1), $3), 0) AS cut,"
            "  r.created, r.first_seq, r.last_seq, r.incarnation AS compared,"
            "  i.incarnation AS installed"
            " FROM tenant.relay_stream r, tenant.installation i WHERE r.shard = $1",
    .param_count = 3,
    .columns = {"cut", "created", "first_seq", "last_seq", "compared", "installed", NULL},
};

static const struct stmt stream_note = {
    .name = "refill.stream_note",
    .text = "UPDATE tenant.relay_stream SET created = $2, first_seq = $3, last_seq = $4,"
            " looked_at = clock_timestamp() WHERE shard = $1",
    .param_count = 4,
    .columns = {NULL},
};

/* By all that the event says of itself: headers are input.  `rivalled`: another event has its number in the
 * outbox; what was lost had been written anew before anybody looked.  `told`: its loss is known already. */
static const struct stmt find = {
    .name = "refill.find",
    .text =
        "WITH m AS (SELECT sent_no, stream_seq FROM tenant.outbox_sent"
        "  WHERE tenant_id = $1 AND incarnation = $2 AND seq = $3 AND msg_id = $4 LIMIT 1)"
        " SELECT coalesce((SELECT sent_no FROM m), -1) AS sent_no,"
        "  coalesce((SELECT stream_seq FROM m), 0) AS stream_seq,"
        "  EXISTS (SELECT FROM tenant.outbox WHERE tenant_id = $1 AND incarnation = $2"
        "   AND seq = $3 AND msg_id = $4) AS unsent,"
        "  EXISTS (SELECT FROM tenant.outbox WHERE tenant_id = $1 AND incarnation = $2"
        "   AND seq = $3 AND msg_id <> $4) AS rivalled,"
        "  EXISTS (SELECT FROM tenant.tenant_seq WHERE tenant_id = $1"
        "   AND (incarnation, seq) >= ($2, $3)) AS known,"
        "  EXISTS (SELECT FROM tenant.rewound WHERE tenant_id = $1 AND incarnation > $2) AS told",
    .param_count = 4,
    .columns = {"sent_no", "stream_seq", "unsent", "rivalled", "known", "told", NULL},
};

static const struct stmt missing = {
    .name = "refill.missing",
    .text = "SELECT " OUTBOX_COLUMNS ", sent_at, sent_no, stream_seq FROM (SELECT q.*,"
            "  sum(octet_length(q.payload)) OVER (ORDER BY q.sent_no, q.stream_seq"
            "   ROWS UNBOUNDED PRECEDING) AS running"
            "  FROM (SELECT * FROM tenant.outbox_sent s WHERE s.shard = $1"
            "   AND (s.sent_no, s.stream_seq) > ($2, $3)"
            "   AND s.sent_at > now() - $4::bigint * interval '1 second'"
            "   ORDER BY s.sent_no, s.stream_seq LIMIT $5) q) w"
            " WHERE w.running <= $6 OR w.running = octet_length(w.payload)"
            " ORDER BY sent_no, stream_seq",
    .param_count = 6,
    .columns = {OUTBOX_COLUMN_NAMES, "sent_at", "sent_no", "stream_seq", NULL},
};

/* By the primary key; microseconds are all that a time of PostgreSQL has.  Between the first and the last time
 * lie one or two partitions: no other is looked into. */
static const struct stmt note = {
    .name = "refill.note",
    .text = "UPDATE tenant.outbox_sent s SET stream_seq = k.stream_seq"
            " FROM unnest((SELECT $2::bigint[]), (SELECT $3::bigint[]), (SELECT $4::bigint[]))"
            "  AS k(at, id, stream_seq)"
            " WHERE s.shard = $1 AND s.id = k.id AND s.sent_at BETWEEN $5 AND $6"
            " AND s.sent_at = 'epoch'::timestamptz + k.at * interval '1 microsecond'",
    .param_count = 6,
    .columns = {NULL},
};

static const struct stmt *const statements[] = {&newest_sent, &anchor,  &stream_note,
                                                &find,        &missing, &note};
const struct stmt_list refill_statements = {statements, sizeof statements / sizeof statements[0],
                                            LOGIN_RELAY};

static int newest_read(const struct relay_caller *caller, const struct rows *rows,
                       struct stream_anchor *read) MUST_CHECK;
static int anchor_read(const struct relay_caller *caller, const struct rows *rows,
                       struct stream_anchor *read) MUST_CHECK;

/* The look is noted in the transaction that reads the one before. */
int refill_store_anchor(const struct relay_caller *caller, const struct anchor_question *question,
                        struct stream_anchor *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows newest = {0};
    struct rows rows = {0};
    const struct stream_facts *facts = question->facts;
    assert(question->shard < OUTBOX_SHARDS);
    const struct sql_value asked[] = {
        sql_int2((int16_t)question->shard),
        sql_int8((int64_t)question->max_age_s),
        sql_int8((int64_t)facts->first_seq),
    };
    const struct sql_value seen[] = {
        sql_int2((int16_t)question->shard),
        sql_text(facts->created),
        sql_int8((int64_t)facts->first_seq),
        sql_int8((int64_t)facts->last_seq),
    };
    TRY(tx_begin(caller->store, caller->ctx, TX_RELAY, NULL, &tx));
    tx_queue(tx, &newest_sent, asked, &newest);
    tx_queue(tx, &anchor, asked, &rows);
    tx_queue(tx, &stream_note, seen, NULL);
    TRY(tx_commit(tx));
    struct stream_anchor read = {.has_sent = newest.count > 0};
    if (read.has_sent)
        TRY(newest_read(caller, &newest, &read));
    TRY(anchor_read(caller, &rows, &read));
    *out = read;
    return OK;
}

int refill_store_find(const struct relay_caller *caller, const struct stored_event *event,
                      enum event_knowledge *knowledge, struct sent_mark *mark)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    const struct sql_value values[] = {
        sql_uuid(&event->tenant_id),
        sql_int8(event->incarnation),
        sql_int8(event->seq),
        sql_uuid(&event->msg_id),
    };
    TRY(relay_ask(caller, &find, values, &tx, &rows));
    assert(rows.count == 1);
    struct row row = row_at(&rows, 0, caller->ctx->arena);
    struct sent_mark found = {.sent_no = row_int(&row, "sent_no")};
    found.stream_seq = row_int(&row, "stream_seq");
    bool unsent = row_bool(&row, "unsent");
    bool rivalled = row_bool(&row, "rivalled");
    bool known = row_bool(&row, "known");
    bool told = row_bool(&row, "told");
    TRY(row_end(caller->ctx, &row));
    *mark = found;
    *knowledge = found.sent_no >= 0             ? EVENT_SENT
                 : unsent                       ? EVENT_UNSENT
                 : told || (known && !rivalled) ? EVENT_FORGOTTEN
                                                : EVENT_UNKNOWN;
    return OK;
}

int refill_store_read(const struct relay_caller *caller, const struct refill_read *read,
                      struct refill_batch *out)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    struct arena *arena = caller->ctx->arena;
    const struct sql_value values[] = {
        sql_int2((int16_t)read->shard),    sql_int8(read->after.sent_no),
        sql_int8(read->after.stream_seq),  sql_int8((int64_t)read->max_age_s),
        sql_int8((int64_t)read->rows_max), sql_int8((int64_t)read->payload_max),
    };
    TRY(relay_ask(caller, &missing, values, &tx, &rows));
    struct refill_row *items = arena_alloc(arena, (rows.count + 1) * sizeof *items);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = row_at(&rows, i, arena);
        items[i].event = outbox_row_of(&row);
        items[i].sent_at_us = row_time_us(&row, "sent_at");
        items[i].mark.sent_no = row_int(&row, "sent_no");
        items[i].mark.stream_seq = row_int(&row, "stream_seq");
        TRY(row_end(caller->ctx, &row));
    }
    *out = (struct refill_batch){.rows = items, .count = rows.count};
    return OK;
}

int refill_store_note(const struct relay_caller *caller, unsigned shard,
                      const struct refilled_key *keys, size_t count)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct rows rows = {0};
    assert(count > 0);
    uint64_t first_us = UINT64_MAX;
    uint64_t last_us = 0;
    int64_t *numbers = arena_alloc(caller->ctx->arena, 3 * count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        first_us = keys[i].sent_at_us < first_us ? keys[i].sent_at_us : first_us;
        last_us = keys[i].sent_at_us > last_us ? keys[i].sent_at_us : last_us;
        numbers[i] = (int64_t)keys[i].sent_at_us;
        numbers[count + i] = keys[i].id;
        numbers[2 * count + i] = (int64_t)keys[i].stream_seq;
    }
    const struct sql_value values[] = {
        sql_int2((int16_t)shard),
        sql_int8_list(numbers, count),
        sql_int8_list(numbers + count, count),
        sql_int8_list(numbers + 2 * count, count),
        sql_time_us(first_us),
        sql_time_us(last_us),
    };
    return relay_ask(caller, &note, values, &tx, &rows);
}

static int newest_read(const struct relay_caller *caller, const struct rows *rows,
                       struct stream_anchor *read)
{
    struct row row = row_at(rows, 0, caller->ctx->arena);
    read->sent.tenant_id = row_uuid(&row, "tenant_id");
    read->sent.incarnation = row_int(&row, "incarnation");
    read->sent.seq = row_int(&row, "seq");
    read->sent.msg_id = row_uuid(&row, "msg_id");
    read->mark.stream_seq = row_int(&row, "stream_seq");
    read->mark.sent_no = row_int(&row, "sent_no");
    read->sent.stream_seq = (uint64_t)read->mark.stream_seq;
    return row_end(caller->ctx, &row);
}

static int anchor_read(const struct relay_caller *caller, const struct rows *rows,
                       struct stream_anchor *read)
{
    assert(rows->count == 1);
    struct row row = row_at(rows, 0, caller->ctx->arena);
    read->cut = (uint64_t)row_int(&row, "cut");
    snprintf(read->before.created, sizeof read->before.created, "%s", row_text(&row, "created"));
    read->before.first_seq = (uint64_t)row_int(&row, "first_seq");
    read->before.last_seq = (uint64_t)row_int(&row, "last_seq");
    read->compared = row_int(&row, "compared");
    read->installed = row_int(&row, "installed");
    return row_end(caller->ctx, &row);
}
