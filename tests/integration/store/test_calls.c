/* Every function of the store once, in a database of its own: it does what its header says, and each statement
 * goes out with parameter types that the server takes.  libpq's own trace tells what was sent. */
#include "tests/integration/store/relay_calls.h"

#define METHOD "/tenant.v1.TenantService/CreateTenant"

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
    struct parked_count count;
    bool parked = false;
    expect_rc(&rig.ctx, parked_store_put(&caller, &event, 10, &parked), OK);
    ck_assert(parked);
    expect_rc(&rig.ctx, parked_store_take(&caller, 1000000, 8, &due), OK);
    ck_assert_uint_eq(due.count, 1);
    ck_assert_uint_eq(due.items[0].stream_seq, 7);
    expect_rc(&rig.ctx, parked_store_put_off(&caller, &event.key, 1000000), OK);
    expect_rc(&rig.ctx, parked_store_count(&caller, 10, &count), OK);
    ck_assert_uint_eq(count.count, 1);
    ck_assert_uint_gt(count.first_due_us, count.oldest_us);
    struct tx *removal = NULL;
    expect_rc(&rig.ctx, parked_store_remove_begin(&caller, &event.key, &removal), OK);
    tx_rollback(removal);
    tx_free(removal);
    ck_assert_int_eq(sql_count(root, "tenant.inbox_parked"), 1);
    expect_rc(&rig.ctx, parked_store_remove_begin(&caller, &event.key, &removal), OK);
    expect_rc(&rig.ctx, tx_commit(removal), OK);
    tx_free(removal);
    ck_assert_int_eq(sql_count(root, "tenant.inbox_parked"), 0);
    expect_rc(&rig.ctx, parked_store_put(&caller, &event, 10, &parked), OK);
    expect_rc(&rig.ctx, parked_store_remove(&caller, &event.key), OK);
    ck_assert_int_eq(sql_count(root, "tenant.inbox_parked"), 0);
    sql(root, "UPDATE tenant.inbox SET received_at = now() - interval '41 days'");
    expect_rc(&rig.ctx, inbox_store_prune(&caller), OK);
    ck_assert_int_eq(sql_count(root, "tenant.inbox"), 0);
}

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
