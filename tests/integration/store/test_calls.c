/* Every function of the store once, in a database of its own: it does what its header says, and each statement
 * goes out with parameter types that the server takes.  libpq's own trace tells what was sent. */
#include "tests/integration/store/folder.h"
#include "tests/integration/store/registered.h"

#include "gen/errors.h"
#include "store/store_int.h"

#define DATABASE "it_store_calls"
#define METHOD "/tenant.v1.TenantService/CreateTenant"

static struct rig rig;
static PGconn *root; /* superuser in the database */
static struct store *store;
static char urls[LOGIN_COUNT][URL_SIZE];
static FILE *traces[LOGIN_COUNT];

/* Connects a login, so that its one connection can be traced.  Once more after a refusal, which ends the connection
 * of a plain thread. */
static void connect_and_trace(enum store_login login, enum tx_mode mode)
{
    static const struct stmt nothing = {.name = "test.nothing", .text = "SELECT 1", .columns = {NULL}};
    struct tx *tx = NULL;
    ck_assert_int_eq(tx_begin(store, &rig.ctx, mode, NULL, &tx), OK);
    tx_queue(tx, &nothing, NULL, NULL);
    expect_rc(&rig.ctx, tx_commit(tx), OK);
    tx_free(tx);
    struct list_node *node = list_first(&store->pools[login].conns[CONN_IDLE]);
    ck_assert_ptr_nonnull(node);
    if (traces[login] == NULL)
        traces[login] = tmpfile();
    PQtrace(list_entry(node, struct pg_conn, node)->pq, traces[login]);
}

static void setup(void)
{
    rig_open(&rig);
    rig.ctx.caller = "admin";
    database_create(rig.root, DATABASE);
    database_migrate(&rig.ctx, DATABASE);
    url_direct(urls[LOGIN_APP], "STACK_DATABASE_URL", DATABASE);
    url_direct(urls[LOGIN_PLATFORM], "STACK_PLATFORM_URL", DATABASE);
    url_direct(urls[LOGIN_RELAY], "STACK_RELAY_URL", DATABASE);
    const struct store_settings settings = {.urls = {urls[0], urls[1], urls[2]}};
    ck_assert_int_eq(store_open(&rig.ctx, NULL, &settings, NULL, &store), OK);
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    root = sql_open(url);
    connect_and_trace(LOGIN_APP, TX_CATALOG);
    connect_and_trace(LOGIN_PLATFORM, TX_PLATFORM_READ);
    connect_and_trace(LOGIN_RELAY, TX_RELAY);
}

static void teardown(void)
{
    store_close(store);
    for (int login = 0; login < LOGIN_COUNT; login++)
        fclose(TAKE(traces[login]));
    PQfinish(root);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

static struct tx *begin(enum tx_mode mode, const struct uuid *tenant)
{
    struct tx *tx = NULL;
    ck_assert_int_eq(tx_begin(store, &rig.ctx, mode, tenant, &tx), OK);
    return tx;
}

static void commit(struct tx *tx)
{
    expect_rc(&rig.ctx, tx_commit(tx), OK);
    tx_free(tx);
}

/* --- the app login ---------------------------------------------------------------------------------------- */

static const struct idempotency_scope scope = {.principal = "admin", .method = METHOD, .key = "key-1"};
static const uint8_t fingerprint[FINGERPRINT_BYTES] = {1, 2, 3};

/* A creation as the service makes it. */
static void call_create(const struct tenant *tenant, struct audit_entry *entry)
{
    static const char *const changed[] = {"slug", "display_name"};
    struct rows point;
    struct rows found;
    struct rows made;
    struct uuid made_id;
    struct outbox_point at;
    const uint8_t *kept = NULL;
    bool is_there = true;
    struct idempotency_record record = {.fingerprint = fingerprint, .reply = slice_of_str("reply")};
    struct tx *tx = begin(TX_WRITE, &tenant->id);
    idempotency_store_lock(tx, 42);
    idempotency_store_try_lock(tx, 42);
    idempotency_store_find(tx, &scope, &found);
    platform_idempotency_find(tx, &scope, &made);
    expect_rc(&rig.ctx, tx_run(tx), OK);
    ck_assert_int_eq(idempotency_store_read(tx, &found, &is_there, &record), OK);
    ck_assert(!is_there);
    ck_assert_int_eq(platform_idempotency_read(tx, &made, &is_there, &made_id, &kept), OK);
    ck_assert(!is_there);
    tenant_store_insert(tx, tenant);
    slug_store_take(tx, tenant);
    *entry = (struct audit_entry){uuid_new(), clock_wall() / NS_PER_US, tenant->id, "tenant.create", "",
                                  changed, 2, 1};
    audit_store_append(tx, entry);
    const struct outbox_event event = {tenant->id, uuid_new(), 0, "tenant.org.provisioned.v1",
                                       slice_of_str("payload"), ""};
    outbox_store_append(tx, &event, &point);
    idempotency_store_insert(tx, &scope, &record, 3600 * NS_PER_S);
    platform_idempotency_insert(tx, &scope, fingerprint, &tenant->id, 3600 * NS_PER_S);
    expect_rc(&rig.ctx, tx_commit(tx), OK);
    ck_assert_int_eq(outbox_store_read_point(tx, &point, &at), OK);
    ck_assert_int_eq(at.sequence, 1);
    ck_assert_int_eq(at.seen.epoch.counter, 1);
    tx_free(tx);
}

/* What the creation left, seen by the tenant. */
static void call_questions(const struct tenant *tenant, const struct audit_entry *entry)
{
    struct rows point;
    struct rows found;
    struct rows made;
    struct rows audit;
    struct outbox_point at;
    struct idempotency_record record;
    struct uuid made_id;
    const uint8_t *kept = NULL;
    bool is_there = false;
    struct tx *tx = begin(TX_READ, &tenant->id);
    idempotency_store_find(tx, &scope, &found);
    platform_idempotency_find(tx, &scope, &made);
    outbox_store_point(tx, &tenant->id, &point);
    audit_store_find(tx, entry, &audit);
    expect_rc(&rig.ctx, tx_run(tx), OK);
    ck_assert_int_eq(idempotency_store_read(tx, &found, &is_there, &record), OK);
    ck_assert(is_there);
    ck_assert(slice_equal(record.reply, slice_of_str("reply")));
    ck_assert_mem_eq(record.fingerprint, fingerprint, FINGERPRINT_BYTES);
    ck_assert_int_eq(record.sequence, 1);
    ck_assert_int_eq(record.epoch.counter, 1);
    ck_assert_int_eq(platform_idempotency_read(tx, &made, &is_there, &made_id, &kept), OK);
    ck_assert(is_there && uuid_equal(&made_id, &tenant->id));
    ck_assert_mem_eq(kept, fingerprint, FINGERPRINT_BYTES);
    ck_assert_int_eq(outbox_store_read_point(tx, &point, &at), OK);
    ck_assert_int_eq(at.sequence, 1);
    ck_assert_uint_eq(audit.count, 1);
    tx_free(tx);
}

/* Renames: the last ten former slugs stay the tenant's own, one that comes back is in use again. */
static void call_renames(struct tenant *tenant)
{
    const char *first = tenant->slug;
    for (int i = 0; i < FORMER_SLUGS_KEPT + 3; i++) {
        struct tenant current;
        struct tx *tx = begin(TX_WRITE, &tenant->id);
        ck_assert_int_eq(tenant_store_lock(tx, &tenant->id, &current), OK);
        const char *old = current.slug;
        current.slug = arena_printf(rig.ctx.arena, "%s-%d", first, i);
        current.version++;
        tenant_store_update(tx, &current);
        slug_store_release(tx, &current, old);
        slug_store_take(tx, &current);
        commit(tx);
        *tenant = current;
    }
    ck_assert_int_eq(sql_count(root, "tenant.slug_reservations WHERE released_at IS NULL"), 1);
    ck_assert_int_eq(sql_count(root, "tenant.slug_reservations WHERE released_at IS NOT NULL"),
                     FORMER_SLUGS_KEPT);
    ck_assert_str_eq(sql(root, "SELECT slug FROM tenant.slug_reservations WHERE released_at IS NULL"),
                     tenant->slug);
}

static void call_checks(void)
{
    int version = 0;
    expect_rc(&rig.ctx, schema_version_read(store, &rig.ctx, TX_CATALOG, &version), OK);
    ck_assert_int_ge(version, STORE_SCHEMA_VERSION);
    expect_rc(&rig.ctx, role_check(store, &rig.ctx, LOGIN_APP, "database.url"), OK);
}

/* --- the platform login --------------------------------------------------------------------------------------- */

/* Pages of one row each, in every order and direction: all rows, once, in order. */
static void call_lists(size_t tenants)
{
    for (int way = 0; way < TENANT_ORDER_COUNT * 2; way++) {
        const struct tenant_query query = {.order = (enum tenant_order)(way / 2), .descending = way % 2 == 1};
        struct tenant_page page = {.query = &query, .region = REGION_EU, .limit = 1};
        size_t seen = 0;
        for (;; seen++) {
            struct rows rows;
            struct tenant *items = NULL;
            size_t count = 0;
            struct tx *tx = begin(TX_PLATFORM, NULL);
            tenant_store_list(tx, &page, &rows);
            expect_rc(&rig.ctx, tx_run(tx), OK);
            ck_assert_int_eq(tenant_store_read_list(tx, &rows, &items, &count), OK);
            commit(tx);
            if (count == 0)
                break;
            const char *key = tenant_page_key(rig.ctx.arena, query.order, &items[0]);
            int order = page.has_cursor ? strcmp(key, page.after_key) : 0;
            ck_assert(query.descending ? order <= 0 : order >= 0);
            page.has_cursor = true;
            page.after_key = key;
            page.after_id = items[0].id;
        }
        ck_assert_uint_eq(seen, tenants);
    }
}

/* A page with every condition at once. */
static void call_filter(const struct tenant *tenant, size_t expected)
{
    const struct tenant_query query = {
        .status = tenant_status_name(tenant->status),
        .type = tenant_type_name(tenant->type),
        .slug = {.prefix = "it-"},
        .display_name = {.exact = tenant->display_name},
        .create_time = {.from_us = tenant->create_time_us, .to_us = tenant->create_time_us + 1},
        .update_time = {.from_us = 1, .to_us = tenant->update_time_us + 1},
        .labels = tenant->labels,
    };
    const struct tenant_page page = {.query = &query, .region = REGION_EU, .limit = 50};
    struct rows rows;
    struct rows epoch_rows;
    struct epoch epoch;
    struct tx *tx = begin(TX_PLATFORM, NULL);
    tenant_store_list(tx, &page, &rows);
    tenant_store_epoch(tx, &tenant->id, &epoch_rows);
    platform_audit_append(tx, "tenant.list", "");
    commit(tx);
    ck_assert_uint_eq(rows.count, expected);
    tx = begin(TX_PLATFORM, NULL);
    tenant_store_epoch(tx, &tenant->id, &epoch_rows);
    expect_rc(&rig.ctx, tx_run(tx), OK);
    ck_assert_int_eq(tenant_store_read_epoch(tx, &epoch_rows, &epoch), OK);
    ck_assert_int_eq(epoch.counter, 1);
    commit(tx);
}

static void call_platform(const struct tenant *tenant)
{
    struct epoch_rows look;
    struct epoch_seen seen;
    struct tenant found;
    struct tx *tx = begin(TX_PLATFORM_READ, NULL);
    ck_assert_int_eq(tenant_store_find_slug(tx, tenant->slug, REGION_EU, &found, &seen), OK);
    ck_assert(uuid_equal(&found.id, &tenant->id));
    ck_assert_int_eq(seen.epoch.counter, 1);
    tx_free(tx);
    tx = begin(TX_PLATFORM_READ, NULL);
    expect_rc(&rig.ctx, epoch_store_look(tx, NULL, 10, &look), OK);
    ck_assert(look.complete && !look.recovering);
    tx_free(tx);
    tx = begin(TX_PLATFORM_READ, NULL);
    expect_rc(&rig.ctx, epoch_store_look(tx, "1:1:", 10, &look), OK);
    ck_assert_uint_eq(look.count, 2); /* both tenants: everything is newer than the first transaction */
    tx_free(tx);
}

/* --- the relay login ------------------------------------------------------------------------------------------ */

static void call_leases(const struct relay_caller *caller)
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

static struct stored_event named(const struct outbox_row *row)
{
    return (struct stored_event){.msg_id = row->msg_id,
                                 .tenant_id = row->tenant_id,
                                 .seq = row->seq,
                                 .incarnation = row->incarnation};
}

static enum event_knowledge knowledge_of(const struct relay_caller *caller, const struct stored_event *event,
                                         struct sent_mark *mark)
{
    enum event_knowledge knowledge = EVENT_UNKNOWN;
    expect_rc(&rig.ctx, refill_store_find(caller, event, &knowledge, mark), OK);
    return knowledge;
}

/* What was sent, in the order in which it was; both events are of two shards at most. */
static void call_refilling(const struct relay_caller *caller, const struct outbox_row *first,
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
static size_t exchange(const struct relay_caller *caller, const struct sent_keys *sent, const struct outbox_read *read,
                       struct outbox_batch *batch)
{
    struct outbox_exchange exchange = {0};
    size_t moved = 0;
    expect_rc(&rig.ctx, relay_store_exchange_begin(caller, sent, read, &exchange), OK);
    expect_rc(&rig.ctx, relay_store_exchange_end(caller, &exchange, &moved, batch), OK);
    return moved;
}

/* Two events: one acknowledged, one found in the stream. */
static void call_shipping(const struct relay_caller *caller)
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
static void call_withholding(const struct relay_caller *caller)
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
    ck_assert(done);
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

/* Events of others: noted with their effect, and parked. */
static void call_inbox(const struct tenant *tenant)
{
    const struct inbox_key key = {tenant->id, "billing", "evt_call"};
    const struct subscription_news news = {
        SUBSCRIPTION_CREATED, "sub_call", "plan_pro", "active", 1000000, "evt_call"};
    struct rows noted = {0};
    struct rows rows = {0};
    struct subscription *known = NULL;
    size_t count = 9;
    bool changed = false;
    struct tx *tx = begin(TX_WRITE, &tenant->id);
    inbox_store_note(tx, &key, &noted);
    subscription_store_find(tx, &tenant->id, &rows);
    ck_assert_int_eq(tx_run(tx), OK);
    ck_assert_uint_eq(noted.count, 1);
    ck_assert_int_eq(subscription_store_read(tx, &rows, &known, &count), OK);
    ck_assert_uint_eq(count, 0);
    const struct subscription now = subscription_after(rig.ctx.arena, NULL, &news, &changed);
    ck_assert(changed);
    subscription_store_put(tx, &tenant->id, &now);
    commit(tx);
    ck_assert_int_eq(sql_count(root, "tenant.inbox"), 1);
    ck_assert_int_eq(sql_count(root, "tenant.subscription"), 1);
}

static void call_parking(const struct tenant *tenant)
{
    const struct parked_caller caller = {store, &rig.ctx, "billing"};
    const struct parked_event event = {
        .key = {tenant->id, "billing", "evt_parked"},
        .subject = "billing.subscription.created.v1",
        .body = slice_of_str("body"),
        .traceparent = "",
        .stream = "BILLING",
        .stream_seq = 7,
    };
    struct parked_events due = {0};
    uint64_t count = 0;
    uint64_t oldest_us = 0;
    bool parked = false;
    expect_rc(&rig.ctx, parked_store_put(&caller, &event, 10, &parked), OK);
    ck_assert(parked);
    expect_rc(&rig.ctx, parked_store_take(&caller, 1000000, 8, &due), OK);
    ck_assert_uint_eq(due.count, 1);
    ck_assert_uint_eq(due.items[0].stream_seq, 7);
    expect_rc(&rig.ctx, parked_store_put_off(&caller, &event.key, 1000000), OK);
    expect_rc(&rig.ctx, parked_store_count(&caller, 10, &count, &oldest_us), OK);
    ck_assert_uint_eq(count, 1);
    expect_rc(&rig.ctx, parked_store_remove(&caller, &event.key), OK);
    ck_assert_int_eq(sql_count(root, "tenant.inbox_parked"), 0);
    sql(root, "UPDATE tenant.inbox SET received_at = now() - interval '41 days'");
    expect_rc(&rig.ctx, inbox_store_prune(&caller), OK);
    ck_assert_int_eq(sql_count(root, "tenant.inbox"), 0);
}

/* What the tenant was by its lost events is found over all tenants, and dealt with within it, once. */
static void call_restrictions(const struct uuid *tenant)
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
static void call_rewind(const struct relay_caller *caller)
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

static void call_upkeep(const struct relay_caller *caller)
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

static const char *trace_read(enum store_login login)
{
    long size = ftell(traces[login]);
    char *text = arena_alloc(rig.ctx.arena, (size_t)size + 1);
    rewind(traces[login]);
    ck_assert_uint_eq(fread(text, 1, (size_t)size, traces[login]), (size_t)size);
    return text;
}

/* Where the statement stands in the trace, behind its text: the number of parameters and their types. */
static const char *sent_types(const char *trace, const struct stmt *stmt)
{
    const char *quoted = arena_printf(rig.ctx.arena, "\tParse\t \"\" \"%s\" ", stmt->text);
    const char *at = strstr(trace, quoted);
    ck_assert_msg(at != NULL, "%s is never sent: call what uses it here", stmt->name);
    return at + strlen(quoted);
}

/* The server takes the statement with the types that were sent, and knows its columns. */
static void expect_taken(PGconn *pq, const struct stmt *stmt, const char *types)
{
    Oid oids[STMT_PARAMS_MAX] = {0};
    char *end = NULL;
    long count = strtol(types, &end, 10);
    ck_assert_msg(count == (long)stmt->param_count, "%s: %ld types", stmt->name, count);
    for (long i = 0; i < count; i++) {
        oids[i] = (Oid)strtoul(end, &end, 10);
        ck_assert_msg(oids[i] != 0, "%s: $%ld was sent without a type", stmt->name, i + 1);
    }
    PGresult *prepared = PQprepare(pq, "", stmt->text, (int)count, oids);
    ck_assert_msg(PQresultStatus(prepared) == PGRES_COMMAND_OK, "%s: %s", stmt->name, PQerrorMessage(pq));
    PQclear(prepared);
    PGresult *described = PQdescribePrepared(pq, "");
    for (int i = 0; i < PQnfields(described) && stmt->columns[0] != NULL; i++)
        ck_assert_str_eq(PQfname(described, i), stmt->columns[i]);
    PQclear(described);
}

static void expect_all_sent(void)
{
    const char *sent[LOGIN_COUNT];
    PGconn *logins[LOGIN_COUNT];
    unsigned statements = 0;
    for (int login = 0; login < LOGIN_COUNT; login++) {
        ck_assert_uint_eq(store->pools[login].conns[CONN_IDLE].count, 1); /* the traced one lived */
        sent[login] = trace_read((enum store_login)login);
        logins[login] = sql_open(urls[login]);
    }
    for (size_t l = 0; l < REGISTERED; l++) {
        const struct stmt_list *list = registered[l].list;
        for (size_t i = 0; i < list->count; i++, statements++) {
            /* written by both logins with one statement */
            bool platform = strncmp(list->items[i]->name, "platform_audit.", 15) == 0;
            enum store_login login = platform ? LOGIN_PLATFORM : list->login;
            expect_taken(logins[login], list->items[i], sent_types(sent[login], list->items[i]));
        }
    }
    ck_assert_uint_ge(statements, 40);
    for (int login = 0; login < LOGIN_COUNT; login++)
        PQfinish(logins[login]);
}

START_TEST(every_function_and_every_statement)
{
    struct tenant first = tenant_sample(rig.ctx.arena);
    struct tenant second = tenant_sample(rig.ctx.arena);
    second.create_time_us = first.create_time_us + 1; /* the filter tells them apart by it */
    second.update_time_us = second.create_time_us;
    struct epoch_seen seen;
    struct tenant back;
    struct audit_entry entry;
    call_create(&first, &entry);
    call_questions(&first, &entry);
    call_renames(&first);
    struct tx *tx = begin(TX_READ, &first.id);
    ck_assert_int_eq(tenant_store_get(tx, &first.id, &back, &seen), OK);
    ck_assert_str_eq(back.slug, first.slug);
    tx_free(tx);
    expect_rc(&rig.ctx, create(store, &rig.ctx, &second), OK);
    call_checks();
    call_lists(2);
    call_filter(&second, 1);
    call_platform(&first);
    call_inbox(&first);
    call_parking(&first);
    const struct relay_caller caller = {store, &rig.ctx, "relay-test", 5 * NS_PER_S};
    call_leases(&caller);
    call_withholding(&caller);
    call_rewind(&caller);
    call_shipping(&caller);
    call_upkeep(&caller);
    expect_all_sent();
}
END_TEST

/* A lock that another transaction has: nothing behind it happens, and it ends with its transaction. */
START_TEST(a_key_in_progress_is_refused)
{
    struct tenant tenant = tenant_sample(rig.ctx.arena);
    sql(root, "SELECT pg_advisory_lock(4711)");
    struct tx *tx = begin(TX_WRITE, &tenant.id);
    idempotency_store_try_lock(tx, 4711);
    tenant_store_insert(tx, &tenant);
    ck_assert_int_eq(tx_commit(tx), IDEMPOTENCY_IN_PROGRESS);
    tx_free(tx);
    ck_assert_int_eq(sql_count(root, "tenant.tenants"), 0);
    sql(root, "SELECT pg_advisory_unlock(4711)");
    tx = begin(TX_WRITE, &tenant.id);
    idempotency_store_try_lock(tx, 4711);
    tenant_store_insert(tx, &tenant);
    commit(tx);
    ck_assert_int_eq(sql_count(root, "pg_locks WHERE locktype = 'advisory'"), 0);
}
END_TEST

/* A former slug is nobody else's, in its region. */
START_TEST(a_former_slug_stays_reserved)
{
    struct tenant first = tenant_sample(rig.ctx.arena);
    struct tenant second = tenant_sample(rig.ctx.arena);
    const char *old = first.slug;
    struct tx *tx = begin(TX_WRITE, &first.id);
    tenant_store_insert(tx, &first);
    slug_store_take(tx, &first);
    commit(tx);
    call_renames(&first);
    second.slug = arena_printf(rig.ctx.arena, "%s-%d", old, FORMER_SLUGS_KEPT);
    tx = begin(TX_WRITE, &second.id);
    tenant_store_insert(tx, &second);
    slug_store_take(tx, &second);
    ck_assert_int_eq(tx_commit(tx), SLUG_TAKEN);
    tx_free(tx);
    second.home_region = REGION_AP;
    tx = begin(TX_WRITE, &second.id);
    tenant_store_insert(tx, &second);
    slug_store_take(tx, &second);
    commit(tx);
    struct tenant third = tenant_sample(rig.ctx.arena);
    third.slug = old; /* let go of long ago */
    tx = begin(TX_WRITE, &third.id);
    tenant_store_insert(tx, &third);
    slug_store_take(tx, &third);
    commit(tx);
}
END_TEST

Suite *suite_store_calls_it(void);
Suite *suite_store_calls_it(void)
{
    Suite *suite = suite_create("store_calls");
    TCase *tests = tcase_create("calls");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_function_and_every_statement);
    tcase_add_test(tests, a_key_in_progress_is_refused);
    tcase_add_test(tests, a_former_slug_stays_reserved);
    suite_add_tcase(suite, tests);
    return suite;
}
