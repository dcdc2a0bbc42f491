/* The feed of epochs on a real database, through PgBouncer: late committers, open transactions, too many
 * changes, connections that are cut, a server that crashes. */
#include "tests/integration/store/rig.h"

#include "base/metrics.h"

#include "cache/epoch_view.h"
#include "service/epoch_feed.h"

#include <string.h>

#define FRESH_NS (200 * NS_PER_MS)
#define CHANGES_MAX 200

static struct rig rig;
static struct store *store;
static struct metrics *metrics;
static struct epoch_view *view;
static struct epoch_feed *feed;

#define eventually(condition)                                                                      \
    do {                                                                                           \
        uint64_t limit_ = clock_now() + 20 * NS_PER_S;                                             \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_now() < limit_, "waited in vain for " #condition);                 \
            usleep(1000);                                                                          \
        }                                                                                          \
    } while (0)

static uint64_t counted(const char *series)
{
    struct buf text = BUF_EMPTY;
    char line[128];
    metrics_render(&metrics, 1, METRICS_PROMETHEUS, &text);
    snprintf(line, sizeof line, "\n%s ", series);
    const char *found = strstr(buf_str(&text), line);
    ck_assert_msg(found != NULL, "no series %s", series);
    uint64_t value = strtoull(found + strlen(line), NULL, 10);
    buf_deinit(&text);
    return value;
}

static uint64_t looks(const char *result)
{
    char series[96];
    snprintf(series, sizeof series, "tenant_epoch_feed_looks_total{result=\"%s\"}", result);
    return counted(series);
}

/* A look that began after now has been applied. */
static void look_once(void)
{
    uint64_t began = clock_boot();
    eventually(epoch_view_is_fresh(view) && epoch_view_age(view) < clock_boot() - began);
}

static void set_up(void)
{
    rig_open(&rig);
    metrics = metrics_new();
    store = store_for(&rig.ctx, NULL, env("STACK_DATABASE_URL"), NULL);
    view = epoch_view_new(&(struct epoch_view_settings){.freshness_ns = FRESH_NS});
    const struct epoch_feed_settings settings = {.platform_url = env("STACK_PLATFORM_URL"),
                                                 .view = view,
                                                 .freshness_ns = FRESH_NS,
                                                 .changes = CHANGES_MAX};
    ck_assert_int_eq(epoch_feed_start(&rig.ctx, &settings, metrics, &feed), OK);
    eventually(epoch_view_is_fresh(view));
}

static void tear_down(void)
{
    epoch_feed_stop(feed);
    ck_assert(!epoch_view_is_fresh(view)); /* nobody tells it any more */
    epoch_view_free(view);
    store_close(store);
    metrics_free(metrics);
    rig_close(&rig);
}

static void server(const char *name, const char *action)
{
    char command[256];
    const char *stack = getenv("TENANT_STACK") == NULL ? env("STACK_NAME") : getenv("TENANT_STACK");
    snprintf(command, sizeof command, "tools/stack server '%s' %s %s >/dev/null 2>&1", stack, name,
             action);
    int status = system(command);
    ck_assert_msg(status == 0, "%s: %d", command, status);
}

/* Whatever a failed test left behind. */
static void mend(void)
{
    if (getenv("STACK_NAME") == NULL)
        return;
    for (int i = 0; i < 4; i++) {
        char command[256];
        snprintf(command, sizeof command, "tools/stack server '%s' %s %s >/dev/null 2>&1",
                 env("STACK_NAME"), i < 2 ? "pgbouncer" : "postgres", i % 2 == 0 ? "resume" : "start");
        if (system(command) != 0)
            continue; /* it runs already */
    }
}

/* --- tenants and what caches would keep of them ------------------------------------------------------- */

static struct uuid add(void)
{
    struct tenant tenant = tenant_sample(rig.ctx.arena);
    expect_rc(&rig.ctx, create(store, &rig.ctx, &tenant), OK);
    return tenant.id;
}

static void change(const struct uuid *id)
{
    expect_rc(&rig.ctx, rename_to(store, &rig.ctx, id, "Changed"), OK);
}

static struct epoch_stamp entry_of(const struct uuid *id)
{
    struct epoch_stamp stamp;
    struct tenant tenant;
    struct tx *tx = NULL;
    uint64_t began = clock_now();
    ck_assert_int_eq(tx_begin(store, &rig.ctx, TX_READ, id, &tx), OK);
    expect_rc(&rig.ctx, tenant_store_get(tx, id, &tenant, &stamp.seen), OK);
    tx_free(tx);
    ck_assert(epoch_view_era(view, began, &stamp.era));
    return stamp;
}

static enum epoch_verdict judge(const struct uuid *id, const struct epoch_stamp *entry)
{
    uint64_t age = 0;
    return epoch_view_judge(view, id, entry, &age);
}

/* Nobody may be answered with the entry later than `freshness` after `changed_ns`. */
static void expect_outdated(const struct uuid *id, const struct epoch_stamp *entry,
                            uint64_t changed_ns)
{
    for (;;) {
        uint64_t asked = clock_boot();
        if (judge(id, entry) == EPOCH_OLDER)
            return;
        ck_assert_msg(judge(id, entry) != EPOCH_GOOD || asked - changed_ns <= FRESH_NS,
                      "good %llu ms after the change",
                      (unsigned long long)(asked - changed_ns) / NS_PER_MS);
        ck_assert_msg(asked - changed_ns < 10 * NS_PER_S, "never known to be outdated");
        usleep(500);
    }
}

START_TEST(every_change_is_known_in_time)
{
    struct uuid id = add();
    for (int round = 0; round < 30; round++) {
        look_once();
        struct epoch_stamp entry = entry_of(&id);
        eventually(judge(&id, &entry) == EPOCH_GOOD);
        change(&id);
        expect_outdated(&id, &entry, clock_boot());
    }
    ck_assert_uint_eq(looks("overflowed"), 0);
    ck_assert_uint_eq(looks("rewound"), 0);
}
END_TEST

/* A takes its id first and commits last.  Who asks for ids above the highest that he knows never hears of
 * A; that this test could tell is proven by asking just so. */
START_TEST(a_late_committer_is_never_missed)
{
    PGconn *late = sql_open(env("STACK_SUPERUSER_URL"));
    struct uuid early = add();
    struct uuid other = add();
    unsigned missed_by_cursor = 0;
    for (int round = 0; round < 20; round++) {
        sql(late, "BEGIN");
        sql(late, "SELECT pg_current_xact_id()");
        change(&other);
        look_once(); /* the other's later id has been seen */
        unsigned long long highest =
            strtoull(sql(rig.root, "SELECT max(xid::text::bigint) FROM tenant.authz_epoch"), NULL, 10);
        struct epoch_stamp entry = entry_of(&early);
        eventually(judge(&early, &entry) == EPOCH_GOOD);
        sql(late, "UPDATE tenant.authz_epoch SET epoch = epoch + 1, xid = pg_current_xact_id() "
                  "WHERE tenant_id = '%s'", uuid_of(rig.ctx.arena, &early));
        for (int i = 0; i < round % 4; i++)
            look_once();
        ck_assert_int_ne(judge(&early, &entry), EPOCH_OLDER);
        sql(late, "COMMIT");
        expect_outdated(&early, &entry, clock_boot());
        missed_by_cursor += strtol(sql(rig.root, "SELECT count(*) FROM tenant.authz_epoch WHERE "
                                                 "tenant_id = '%s' AND xid::text::bigint > %llu",
                                       uuid_of(rig.ctx.arena, &early), highest), NULL, 10) == 0;
    }
    ck_assert_uint_eq(missed_by_cursor, 20);
    PQfinish(late);
}
END_TEST

START_TEST(an_open_transaction_costs_nothing)
{
    PGconn *idle = sql_open(env("STACK_SUPERUSER_URL"));
    struct uuid ids[20];
    for (int i = 0; i < 20; i++)
        ids[i] = add();
    look_once();
    sql(idle, "BEGIN");
    sql(idle, "SELECT pg_current_xact_id()");
    uint64_t before = counted("tenant_epoch_feed_changes_total");
    for (int i = 0; i < 20; i++)
        change(&ids[i]);
    for (int i = 0; i < 10; i++)
        look_once();
    ck_assert_uint_eq(counted("tenant_epoch_feed_changes_total") - before, 20);
    struct epoch_stamp entry = entry_of(&ids[0]);
    ck_assert_int_eq(judge(&ids[0], &entry), EPOCH_GOOD);
    sql(idle, "ROLLBACK");
    PQfinish(idle);
}
END_TEST

START_TEST(too_many_changes_are_misses)
{
    struct uuid id = add();
    struct uuid quiet = add();
    look_once();
    struct epoch_stamp entries[] = {entry_of(&id), entry_of(&quiet)};
    eventually(judge(&quiet, &entries[1]) == EPOCH_GOOD);
    while (sql_count(rig.root, "tenant.authz_epoch") <= CHANGES_MAX)
        (void)add();
    sql(rig.root, "UPDATE tenant.authz_epoch SET epoch = epoch + 1, xid = pg_current_xact_id()");
    eventually(looks("overflowed") == 1);
    ck_assert_int_ne(judge(&id, &entries[0]), EPOCH_GOOD);
    ck_assert_int_ne(judge(&quiet, &entries[1]), EPOCH_GOOD);
    struct epoch_stamp entry = entry_of(&id);
    eventually(judge(&id, &entry) == EPOCH_GOOD);
    change(&id);
    expect_outdated(&id, &entry, clock_boot());
    ck_assert_uint_eq(looks("overflowed"), 1);
}
END_TEST

/* A process that starts may use what others have read before: as far back as its first look reaches. */
START_TEST(a_first_look_knows_the_last_changes)
{
    struct uuid ids[9];
    struct epoch_stamp before[9];
    struct uuid quiet = add();
    struct epoch_stamp long_ago = entry_of(&quiet);
    for (int i = 0; i < 9; i++)
        ids[i] = add();
    struct epoch_stamp lately = {0};
    for (int i = 0; i < 9; i++) {
        before[i] = entry_of(&ids[i]);
        lately = i == 5 ? entry_of(&quiet) : lately;
        change(&ids[i]);
    }
    struct epoch_view *late = epoch_view_new(&(struct epoch_view_settings){.freshness_ns = FRESH_NS});
    struct epoch_feed *second = NULL;
    const struct epoch_feed_settings settings = {
        .platform_url = env("STACK_PLATFORM_URL"), .view = late, .freshness_ns = FRESH_NS, .changes = 5};
    ck_assert_int_eq(epoch_feed_start(&rig.ctx, &settings, metrics, &second), OK);
    uint64_t age = 0;
    eventually(epoch_view_judge(late, &quiet, &lately, &age) == EPOCH_GOOD);
    eventually(epoch_view_judge(late, &quiet, &long_ago, &age) == EPOCH_BELOW_BASE);
    for (int i = 0; i < 9; i++)
        eventually(epoch_view_judge(late, &ids[i], &before[i], &age) ==
                   (i < 4 ? EPOCH_BELOW_BASE : EPOCH_OLDER));
    epoch_feed_stop(second);
    epoch_view_free(late);
}
END_TEST

START_TEST(a_feed_that_is_cut_off_vouches_for_nothing)
{
    struct uuid id = add();
    struct uuid quiet = add();
    look_once();
    struct epoch_stamp entries[] = {entry_of(&id), entry_of(&quiet)};
    eventually(judge(&quiet, &entries[1]) == EPOCH_GOOD);
    server("pgbouncer", "pause");
    uint64_t paused = clock_boot();
    sql(rig.root, "UPDATE tenant.authz_epoch SET epoch = epoch + 1, xid = pg_current_xact_id() "
                  "WHERE tenant_id = '%s'", uuid_of(rig.ctx.arena, &id));
    uint64_t changed = clock_boot();
    while (clock_boot() - paused < 3 * FRESH_NS) {
        uint64_t asked = clock_boot();
        bool good = judge(&id, &entries[0]) == EPOCH_GOOD || judge(&quiet, &entries[1]) == EPOCH_GOOD;
        ck_assert(!good || asked - changed <= FRESH_NS);
        usleep(1000);
    }
    ck_assert_int_eq(judge(&quiet, &entries[1]), EPOCH_VIEW_STALE);
    eventually(looks("failed") >= 1);
    server("pgbouncer", "resume");
    eventually(judge(&quiet, &entries[1]) == EPOCH_GOOD); /* nothing had to be read again */
    ck_assert_int_eq(judge(&id, &entries[0]), EPOCH_OLDER);
}
END_TEST

START_TEST(killed_sessions_are_replaced)
{
    struct uuid id = add();
    struct epoch_stamp entry = entry_of(&id);
    for (int round = 0; round < 10; round++) {
        sql(rig.root, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                      "usename = 'tenant_platform' AND datname = current_database()");
        look_once();
    }
    eventually(judge(&id, &entry) == EPOCH_GOOD);
    ck_assert_uint_eq(looks("rewound"), 0);
}
END_TEST

/* After a crash ids may be given a second time, so nothing from before can be compared. */
START_TEST(a_crashed_server_begins_a_new_era)
{
    struct uuid id = add();
    look_once();
    struct epoch_stamp entry = entry_of(&id);
    eventually(judge(&id, &entry) == EPOCH_GOOD);
    server("postgres", "kill");
    server("postgres", "start");
    eventually(looks("rewound") == 1 && epoch_view_is_fresh(view));
    ck_assert_int_eq(judge(&id, &entry), EPOCH_OTHER_ERA);
    uint64_t limit = clock_now() + 20 * NS_PER_S;
    struct tenant tenant;
    while (get(store, &rig.ctx, &id, &tenant) != OK) /* its connections went, too */
        ck_assert(clock_now() < limit);
    entry = entry_of(&id);
    eventually(judge(&id, &entry) == EPOCH_GOOD);
}
END_TEST

START_TEST(a_bad_url_is_told_at_once)
{
    struct epoch_feed *none = NULL;
    const struct epoch_feed_settings settings = {.platform_url = "nonsense", .view = view};
    ck_assert_int_eq(epoch_feed_start(&rig.ctx, &settings, metrics, &none), FAULT_CONFIG);
    ck_assert_ptr_null(none);
    epoch_feed_stop(NULL);
}
END_TEST

Suite *suite_cache_feed_it(void);
Suite *suite_cache_feed_it(void)
{
    Suite *suite = suite_create("cache/feed (integration)");
    TCase *tcase = tcase_create("feed");
    tcase_add_unchecked_fixture(tcase, NULL, mend);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_change_is_known_in_time);
    tcase_add_test(tcase, a_late_committer_is_never_missed);
    tcase_add_test(tcase, an_open_transaction_costs_nothing);
    tcase_add_test(tcase, too_many_changes_are_misses);
    tcase_add_test(tcase, a_first_look_knows_the_last_changes);
    tcase_add_test(tcase, a_feed_that_is_cut_off_vouches_for_nothing);
    tcase_add_test(tcase, killed_sessions_are_replaced);
    tcase_add_test(tcase, a_crashed_server_begins_a_new_era);
    tcase_add_test(tcase, a_bad_url_is_told_at_once);
    suite_add_tcase(suite, tcase);
    return suite;
}
