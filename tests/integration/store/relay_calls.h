/* The calls of the relay login, and what a service makes of a rewind that a relay noted; for test_calls.c. */
#ifndef TESTS_STORE_RELAY_CALLS_H
#define TESTS_STORE_RELAY_CALLS_H

#include "tests/integration/store/calls.h"
#include "tests/integration/store/registered.h"

static inline void call_leases(const struct relay_caller *caller)
{
    struct relay_leases leases;
    uint16_t claimed = 0;
    expect_rc(&rig.ctx, relay_store_renew(caller, &leases), OK);
    ck_assert_uint_eq(leases.live_owners, 1);
    expect_rc(&rig.ctx, relay_store_claim(caller, 0x000f, &claimed), OK);
    ck_assert_uint_eq(claimed, 0x000f);
    expect_rc(&rig.ctx, relay_store_renew(caller, &leases), OK);
    ck_assert_str_eq(leases.owners[3], caller->owner);
    ck_assert_str_eq(leases.owners[4], "");
    expect_rc(&rig.ctx, relay_store_release(caller, 0x000f, true), OK);
    ck_assert_int_eq(sql_count(root, "tenant.relay_lease WHERE owner <> ''"), 0);
    ck_assert_int_eq(sql_count(root, "tenant.relay_owner"), 0);
}

static inline struct stored_event named(const struct outbox_row *row)
{
    return (struct stored_event){.msg_id = row->msg_id,
                                 .tenant_id = row->tenant_id,
                                 .seq = row->seq,
                                 .incarnation = row->incarnation};
}

static inline enum event_knowledge knowledge_of(const struct relay_caller *caller, const struct stored_event *event,
                                         struct sent_mark *mark)
{
    enum event_knowledge knowledge = EVENT_UNKNOWN;
    expect_rc(&rig.ctx, refill_store_find(caller, event, &knowledge, mark), OK);
    return knowledge;
}

/* What was sent, in the order in which it was; both events are of two shards at most. */
static inline void call_refilling(const struct relay_caller *caller, const struct outbox_row *first,
                           const struct outbox_row *second)
{
    const struct stream_facts facts = {"2026-11-29T20:00:00.000000001Z", 1, 9};
    const struct stream_facts later = {"2026-11-29T21:00:00.000000001Z", 8, 8};
    struct anchor_question question = {.shard = second->shard, .facts = &facts, .max_age_s = 3600};
    struct stream_anchor anchor;
    struct refill_batch batch;
    struct sent_mark mark;
    struct stored_event event = named(second);
    expect_rc(&rig.ctx, refill_store_anchor(caller, &question, &anchor), OK);
    ck_assert(anchor.has_sent && uuid_equal(&anchor.sent.msg_id, &second->msg_id));
    ck_assert_uint_eq(anchor.sent.stream_seq, 8);
    ck_assert_str_eq(anchor.before.created, "");
    ck_assert_int_eq(anchor.compared, 1);
    ck_assert_int_eq(anchor.installed, 1);
    ck_assert_uint_eq(anchor.cut, 0);
    question.facts = &later;
    expect_rc(&rig.ctx, refill_store_anchor(caller, &question, &anchor), OK);
    ck_assert_str_eq(anchor.before.created, facts.created);
    ck_assert_uint_eq(anchor.before.last_seq, 9);
    ck_assert_uint_eq(anchor.cut, first->shard == second->shard);
    ck_assert_int_eq(knowledge_of(caller, &event, &mark), EVENT_SENT);
    ck_assert_int_eq(mark.stream_seq, 8);
    ck_assert_int_eq(mark.sent_no, anchor.mark.sent_no);
    event.msg_id = first->msg_id; /* another event under its number */
    ck_assert_int_eq(knowledge_of(caller, &event, &mark), EVENT_FORGOTTEN);
    event.seq += 100;
    ck_assert_int_eq(knowledge_of(caller, &event, &mark), EVENT_UNKNOWN);
    sql(root, "INSERT INTO tenant.rewound (tenant_id, incarnation, shard, previous_incarnation, lost_from, lost_to) "
              "VALUES ('%s', 2, 0, 1, 1, 200)", uuid_of(rig.ctx.arena, &event.tenant_id));
    ck_assert_int_eq(knowledge_of(caller, &event, &mark), EVENT_FORGOTTEN);
    sql(root, "DELETE FROM tenant.rewound");
    struct refill_read read = {second->shard, SENT_MARK_BEGIN, 3600, 10, 1 << 20};
    expect_rc(&rig.ctx, refill_store_read(caller, &read, &batch), OK);
    ck_assert_uint_eq(batch.count, 1u + (first->shard == second->shard));
    const struct refill_row *last = &batch.rows[batch.count - 1];
    ck_assert(uuid_equal(&last->event.msg_id, &second->msg_id));
    ck_assert(slice_equal(last->event.payload, second->payload));
    const struct refilled_key key = {last->sent_at_us, last->event.id, 88};
    expect_rc(&rig.ctx, refill_store_note(caller, second->shard, &key, 1), OK);
    ck_assert_int_eq(sql_count(root, "tenant.outbox_sent WHERE stream_seq = 88"), 1);
    sql(root, "UPDATE tenant.outbox_sent SET stream_seq = 8 WHERE stream_seq = 88");
    read.after = last->mark;
    expect_rc(&rig.ctx, refill_store_read(caller, &read, &batch), OK);
    ck_assert_uint_eq(batch.count, 0);
}

/* Returns how many rows were moved. */
static inline size_t exchange(const struct relay_caller *caller, const struct sent_keys *sent, const struct outbox_read *read,
                       struct outbox_batch *batch)
{
    struct outbox_exchange exchange = {0};
    size_t moved = 0;
    expect_rc(&rig.ctx, relay_store_exchange_begin(caller, sent, read, &exchange), OK);
    expect_rc(&rig.ctx, relay_store_exchange_end(caller, &exchange, &moved, batch), OK);
    return moved;
}

/* Two events: one acknowledged, one found in the stream. */
static inline void call_shipping(const struct relay_caller *caller)
{
    const struct outbox_read read = {.shards = 0xffff, .rows_max = 10, .payload_max = 1 << 20};
    struct outbox_batch batch;
    struct outbox_stats stats;
    size_t moved = 0;
    expect_rc(&rig.ctx, relay_store_stats(caller, 1000, &stats), OK);
    ck_assert_uint_eq(stats.pending, 2);
    expect_rc(&rig.ctx, relay_store_stats(caller, 1, &stats), OK);
    ck_assert_uint_eq(stats.pending, 1);
    expect_rc(&rig.ctx, relay_store_stats(caller, 0, &stats), OK);
    ck_assert_uint_eq(stats.pending, 0);
    ck_assert_uint_gt(stats.oldest_age_us, 0);
    exchange(caller, &(struct sent_keys){NULL, 0}, &read, &batch);
    ck_assert_uint_eq(batch.count, 2);
    ck_assert_str_eq(batch.rows[0].subject, "tenant.org.provisioned.v1");
    const struct sent_key key = {batch.rows[0].shard, batch.rows[0].id, 7};
    struct outbox_batch rest;
    moved = exchange(caller, &(struct sent_keys){&key, 1}, &read, &rest);
    ck_assert_uint_eq(moved, 1);
    ck_assert_uint_eq(rest.count, 1);
    ck_assert_int_eq(rest.rows[0].id, batch.rows[1].id);
    ck_assert_uint_eq(exchange(caller, &(struct sent_keys){&key, 1}, &(struct outbox_read){.shards = 0}, &rest), 0);
    const struct outbox_row *row = &batch.rows[1];
    struct sent_mark mark;
    struct stored_event item = named(row);
    ck_assert_int_eq(knowledge_of(caller, &item, &mark), EVENT_UNSENT);
    item.stream_seq = 8;
    const struct stored_events stored = {row->shard, &item, 1};
    expect_rc(&rig.ctx, relay_store_settle_stored(caller, &stored, &moved), OK);
    ck_assert_uint_eq(moved, 1);
    ck_assert_str_eq(sql(root, "SELECT string_agg(stream_seq || ' ' || epoch, ', ' ORDER BY stream_seq) FROM "
                               "tenant.outbox_sent"),
                     "7 1, 8 1");
    ck_assert_str_eq(sql(root, "SELECT string_agg(stream_seq::text, ' ' ORDER BY sent_no) FROM tenant.outbox_sent"),
                     "7 8");
    call_refilling(caller, &batch.rows[0], row);
}

/* One of two events is withheld: the tombstone has its place, the original waits for its letter. */
static inline void call_withholding(const struct relay_caller *caller)
{
    const struct outbox_read read = {.shards = 0xffff, .rows_max = 10, .payload_max = 1 << 20};
    struct outbox_batch batch;
    struct dead_batch dead;
    struct outbox_stats stats;
    bool done = false;
    exchange(caller, &(struct sent_keys){NULL, 0}, &read, &batch);
    const struct outbox_row original = batch.rows[0];
    const struct dead_event event = {
        .shard = original.shard,
        .id = original.id,
        .cause = "TOO_LARGE",
        .detail = "for a test",
        .subject = "tenant.event.withheld.v1",
        .envelope = slice_of_str("tombstone"),
    };
    expect_rc(&rig.ctx, dead_store_bury(caller, &event, &done), OK);
    ck_assert(!done); /* nobody's shard, and then another's, whose stream may have the event */
    sql(root, "UPDATE tenant.relay_lease SET owner = 'other', expires_at = now() + interval '1 minute'");
    expect_rc(&rig.ctx, dead_store_bury(caller, &event, &done), OK);
    ck_assert(!done);
    sql(root, "UPDATE tenant.relay_lease SET owner = '%s', expires_at = now()", caller->owner);
    expect_rc(&rig.ctx, dead_store_bury(caller, &event, &done), OK);
    ck_assert(!done); /* ours, and it ran out */
    sql(root, "UPDATE tenant.relay_lease SET expires_at = now() + interval '1 minute'");
    expect_rc(&rig.ctx, dead_store_bury(caller, &event, &done), OK);
    ck_assert(done);
    sql(root, "UPDATE tenant.relay_lease SET owner = '', expires_at = '-infinity'");
    expect_rc(&rig.ctx, dead_store_bury(caller, &event, &done), OK);
    ck_assert(!done); /* it is a tombstone now */
    exchange(caller, &(struct sent_keys){NULL, 0}, &read, &batch);
    ck_assert_uint_eq(batch.count, 2);
    const struct outbox_row *tombstone = &batch.rows[0];
    ck_assert_int_eq(tombstone->id, original.id);
    ck_assert(uuid_equal(&tombstone->msg_id, &original.msg_id));
    ck_assert_int_eq(tombstone->seq, original.seq);
    ck_assert_str_eq(tombstone->subject, event.subject);
    ck_assert(slice_is(tombstone->payload, "tombstone"));
    expect_rc(&rig.ctx, relay_store_stats(caller, 1000, &stats), OK);
    ck_assert_uint_eq(stats.unlettered, 1);
    expect_rc(&rig.ctx, dead_store_unlettered(caller, (uint16_t) ~(1u << original.shard), &dead), OK);
    ck_assert_uint_eq(dead.count, 0);
    expect_rc(&rig.ctx, dead_store_unlettered(caller, 0xffff, &dead), OK);
    ck_assert_uint_eq(dead.count, 1);
    ck_assert(slice_equal(dead.rows[0].event.payload, original.payload));
    ck_assert_str_eq(dead.rows[0].event.subject, original.subject);
    ck_assert_str_eq(dead.rows[0].cause, "TOO_LARGE");
    ck_assert_str_eq(dead.rows[0].detail, "for a test");
    ck_assert_uint_gt(dead.rows[0].died_us, original.created_us);
    expect_rc(&rig.ctx, dead_store_lettered(caller, original.shard, original.id), OK);
    expect_rc(&rig.ctx, relay_store_stats(caller, 1000, &stats), OK);
    ck_assert_uint_eq(stats.unlettered, 0);
    expect_rc(&rig.ctx, relay_store_prune(caller), OK);
    ck_assert_int_eq(sql_count(root, "tenant.outbox_dead"), 1);
    sql(root, "UPDATE tenant.outbox_dead SET lettered_at = now() - interval '91 days'");
    expect_rc(&rig.ctx, relay_store_prune(caller), OK);
    ck_assert_int_eq(sql_count(root, "tenant.outbox_dead"), 0);
    sql(root, "UPDATE tenant.outbox SET subject = '%s' WHERE id = %lld", original.subject,
        (long long)original.id);
}

/* What the tenant was by its lost events is found over all tenants, and dealt with within it, once. */
static inline void call_restrictions(const struct uuid *tenant)
{
    struct restrictions open;
    enum tenant_status status = TENANT_TRIAL;
    const char *reason = NULL;
    bool found = false;
    sql(root, "UPDATE tenant.rewound SET status = 'closed', reason = 'left'");
    for (int round = 0; round < 2; round++) {
        struct tx *tx = begin(TX_PLATFORM_READ, NULL);
        expect_rc(&rig.ctx, restriction_store_open(tx, &open), OK);
        tx_free(tx);
        ck_assert_uint_eq(open.count, round == 0);
        const struct restriction restriction = {*tenant, 7};
        tx = begin(TX_WRITE, tenant);
        expect_rc(&rig.ctx, restriction_store_take(tx, &restriction, &found, &status, &reason), OK);
        ck_assert_int_eq(found, round == 0);
        ck_assert_int_eq(status, TENANT_CLOSED);
        ck_assert_str_eq(reason, "left");
        restriction_store_done(tx, &restriction);
        commit(tx);
    }
}

/* Of a tenant with two unsent events, two more were in the stream; then it is told, before the others. */
static inline void call_rewind(const struct relay_caller *caller)
{
    const struct outbox_read read = {.shards = 0xffff, .rows_max = 10, .payload_max = 1 << 20};
    struct server_look look;
    struct outbox_batch batch;
    struct losses losses;
    bool unknown[3];
    bool grew = false;
    int64_t installed = 0;
    expect_rc(&rig.ctx, rewind_store_look(caller, &look), OK);
    ck_assert(!look.grew && look.incarnation == 1); /* the first look notes the server */
    expect_rc(&rig.ctx, rewind_store_look(caller, &look), OK);
    ck_assert(!look.grew);
    sql(root, "UPDATE tenant.installation SET server = 'another'");
    expect_rc(&rig.ctx, rewind_store_look(caller, &look), OK);
    ck_assert(look.grew && look.incarnation == 2);
    sql(root, "UPDATE tenant.installation SET incarnation = 1");
    exchange(caller, &(struct sent_keys){NULL, 0}, &read, &batch);
    ck_assert_uint_eq(batch.count, 2);
    ck_assert_uint_eq(batch.server_started_us, look.started_us);
    const struct outbox_row *row = &batch.rows[0];
    struct stored_event items[3] = {named(row), named(row), named(row)};
    items[1].msg_id = uuid_new();
    items[1].seq = row->seq + 1;
    items[2].msg_id = uuid_new(); /* the row's own number, and another event */
    const struct stored_events events = {row->shard, items, 3};
    expect_rc(&rig.ctx, rewind_store_unknown(caller, &events, true, unknown), OK);
    ck_assert(!unknown[0] && unknown[1] && unknown[2]);
    expect_rc(&rig.ctx, rewind_store_unknown(caller, &events, false, unknown), OK);
    ck_assert(!unknown[0] && unknown[1] && unknown[2]);
    const struct incarnation_raise raise = {.seen = 1, .least = 6};
    expect_rc(&rig.ctx, rewind_store_raise(caller, &raise, &installed, &grew), OK);
    ck_assert(grew && installed == 7);
    expect_rc(&rig.ctx, rewind_store_raise(caller, &raise, &installed, &grew), OK);
    ck_assert(!grew && installed == 7); /* somebody was faster */
    struct loss loss = {row->tenant_id, 1, row->seq + 1, row->seq + 1, "suspended", "unpaid"};
    const struct losses noted = {&loss, 1};
    expect_rc(&rig.ctx, rewind_store_note(caller, row->shard, 7, &noted), OK);
    loss = (struct loss){row->tenant_id, 1, row->seq, row->seq, NULL, NULL};
    expect_rc(&rig.ctx, rewind_store_note(caller, row->shard, 7, &noted), OK);
    expect_rc(&rig.ctx, rewind_store_unannounced(caller, row->shard, 7, &losses), OK);
    ck_assert_uint_eq(losses.count, 1);
    ck_assert_int_eq(losses.items[0].from, row->seq);
    ck_assert_int_eq(losses.items[0].to, row->seq + 1);
    ck_assert_str_eq(losses.items[0].status, "suspended");
    ck_assert_str_eq(losses.items[0].reason, "unpaid");
    loss.status = "";
    expect_rc(&rig.ctx, rewind_store_note(caller, row->shard, 7, &noted), OK);
    const struct announcement announcement = {
        .shard = row->shard,
        .installed = 7,
        .tenant_id = row->tenant_id,
        .msg_id = uuid_new(),
        .subject = "tenant.log.rewound.v1",
        .envelope = slice_of_str("told"),
    };
    expect_rc(&rig.ctx, rewind_store_announce(caller, &announcement), OK);
    expect_rc(&rig.ctx, rewind_store_announce(caller, &announcement), CONCURRENT_CHANGE);
    connect_and_trace(LOGIN_RELAY, TX_RELAY);
    expect_rc(&rig.ctx, rewind_store_unannounced(caller, row->shard, 7, &losses), OK);
    ck_assert_uint_eq(losses.count, 0);
    const char *id = uuid_of(rig.ctx.arena, &row->tenant_id);
    ck_assert_str_eq(sql(root, "SELECT string_agg(concat_ws(' ', id > 0, incarnation, seq, epoch), ', ' ORDER BY id) "
                               "FROM tenant.outbox WHERE tenant_id = '%s'", id),
                     "f 7 1 1, t 7 2 2");
    ck_assert_str_eq(sql(root, "SELECT concat_ws(' ', s.incarnation, s.seq, e.incarnation, e.epoch) FROM "
                               "tenant.tenant_seq s JOIN tenant.authz_epoch e USING (tenant_id) WHERE tenant_id = '%s'",
                         id),
                     "7 2 7 2");
    expect_rc(&rig.ctx, rewind_store_unknown(caller, &events, true, unknown), OK);
    ck_assert(!unknown[1] && !unknown[2]); /* told */
    expect_rc(&rig.ctx, rewind_store_compared(caller, row->shard, 7), OK);
    ck_assert_int_eq(sql_count(root, "tenant.relay_stream WHERE incarnation = 7"), 1);
    call_restrictions(&row->tenant_id);
    /* as it was, for what follows */
    sql(root, "DELETE FROM tenant.outbox WHERE id <= 0");
    sql(root, "UPDATE tenant.outbox SET seq = 1, incarnation = 1, epoch = 1");
    sql(root, "UPDATE tenant.tenant_seq SET seq = 1, incarnation = 1");
    sql(root, "UPDATE tenant.authz_epoch SET epoch = 1, incarnation = 1");
    sql(root, "UPDATE tenant.installation SET incarnation = 1");
    sql(root, "UPDATE tenant.relay_stream SET incarnation = 1");
    sql(root, "DELETE FROM tenant.rewound");
}

static inline void call_upkeep(const struct relay_caller *caller)
{
    struct partition_work work[PARTITIONED_COUNT];
    sql(root, "INSERT INTO tenant.relay_owner VALUES ('gone', now() - interval '4 days')");
    sql(root, "UPDATE tenant.idempotency SET expires_at = now() - interval '1 second'");
    expect_rc(&rig.ctx, relay_store_prune(caller), OK);
    ck_assert_int_eq(sql_count(root, "tenant.relay_owner"), 0);
    ck_assert_int_eq(sql_count(root, "tenant.idempotency"), 0);
    sql(root, "DROP TABLE tenant.outbox_sent_default");
    expect_rc(&rig.ctx, partition_store_make(caller, work), OK);
    ck_assert_uint_eq(work[PARTITIONED_SENT].made, 1);
    ck_assert_uint_eq(work[PARTITIONED_SENT].days_ahead, 14);
    ck_assert_uint_ge(work[PARTITIONED_AUDIT].days_ahead, 180);
    ck_assert_str_eq(work[PARTITIONED_AUDIT].trouble, "");
    sql(root, "UPDATE tenant.outbox_sent SET sent_at = sent_at - interval '4 days'");
    expect_rc(&rig.ctx, partition_store_drop(caller, work), OK);
    ck_assert_uint_eq(work[PARTITIONED_SENT].deleted, 2);
    ck_assert_uint_eq(work[PARTITIONED_AUDIT].dropped + work[PARTITIONED_AUDIT].failed, 0);
    ck_assert_int_eq(sql_count(root, "tenant.outbox_sent"), 0);
}

/* --- what was sent ---------------------------------------------------------------------------------------------- */

#endif
