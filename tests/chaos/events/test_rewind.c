/* A database that is put back to an older state while the streams go on: the incarnation grows once, no new event is
 * taken for a repetition, every loss is told to those who saw it, and nobody else hears anything.  rewind.py has the
 * consumer. */
#include "rig.h"

#include "events/subjects.h"

#define REWIND "eval \"$(tools/deps --env)\"; \"$DEPS_PYTHON\" tests/chaos/events/rewind.py "
#define PGDATA "\"$STACK_DIR/servers/postgres\""
#define PGCOPY "\"$STACK_DIR/servers/pgcopy\""

static void postgres(const char *action)
{
    ck_assert_int_eq(shell("tools/stack server %s postgres %s >/dev/null", env("STACK_NAME"), action), 0);
}

/* A cold copy, as a snapshot of its volume would be. */
static void database_copy(void)
{
    postgres("stop");
    ck_assert_int_eq(shell("rm -rf " PGCOPY " && cp -a " PGDATA " " PGCOPY), 0);
    postgres("start");
}

static void database_put_back(void)
{
    postgres("stop");
    ck_assert_int_eq(shell("rm -rf " PGDATA " && cp -a " PGCOPY " " PGDATA), 0);
    postgres("start");
}

static void write_for(unsigned ms)
{
    writers_start(500);
    sleep_ms(ms);
    writers_stop();
}

static void nothing_is_wrong(unsigned incarnation, unsigned lost)
{
    ck_assert_int_eq(shell(REWIND "check %u %u", incarnation, lost), 0);
}

static uint64_t rewinds_seen(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < RELAYS_MAX; i++)
        sum += rig.shared->relays[i].rewinds;
    return sum;
}

/* A tenant that the restored database never had: not among those that the writers write for. */
static void tenant_for_nobody(void)
{
    struct uuid kept[TENANTS];
    memcpy(kept, rig.shared->tenants, sizeof kept);
    tenants_create();
    memcpy(rig.shared->tenants, kept, sizeof kept);
}

/* The last lost event of a tenant says that it was suspended, as service/tenant_states.c would. */
static void suspend(const struct uuid *id, const char *reason)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena_new(0));
    struct store *store = app_store(&ctx);
    struct tenant tenant = tenant_made(id, "rig", "Suspended");
    struct tx *tx = NULL;
    tenant.status = TENANT_SUSPENDED;
    ctx.deadline_ns = deadline_after(clock_now(), 10 * NS_PER_S);
    ck_assert_int_eq(tx_begin(store, &ctx, TX_WRITE, id, &tx), OK);
    const struct event event = {.kind = EVENT_ORG_SUSPENDED,
                                .source = &rig_source,
                                .tenant = &tenant,
                                .previous = TENANT_ACTIVE,
                                .reason = reason};
    ck_assert_int_eq(outbox_append(tx, &event, NULL), OK);
    ck_assert_int_eq(tx_commit(tx), OK);
    tx_free(tx);
    store_close(store);
    arena_free(ctx.arena);
}

/* The relay runs through it all, and writers do not wait for anybody. */
START_TEST(a_database_put_back_under_a_running_relay)
    {
        relay_spawn(0);
        write_for(1500);
        drained_within(20);
        database_copy();
        write_for(1500);
        tenant_for_nobody();
        suspend(&rig.shared->tenants[3], "unpaid since March");
        drained_within(20);
        database_put_back();
        write_for(2000);
        drained_within(30);
        nothing_is_wrong(2, 200);
        ck_assert_uint_eq(rewinds_seen(), 1);
        ck_assert_int_eq(shell(RIG "sql \"SELECT status, reason, lost_to > lost_from FROM tenant.rewound WHERE status"
                                   " <> ''\" | grep -qx 'suspended unpaid since March True'"),
                         0);
        relay_end(0);
    }
END_TEST

/* Nobody relayed meanwhile: what was written anew before anybody looked has numbers that the lost events had. */
START_TEST(events_written_anew_before_anybody_looks)
    {
        relay_spawn(0);
        write_for(1500);
        drained_within(20);
        database_copy();
        write_for(1500);
        drained_within(20);
        relay_end(0);
        database_put_back();
        write_for(1500);
        relay_spawn(1);
        drained_within(30);
        nothing_is_wrong(2, 200);
        write_for(500);
        drained_within(20);
        nothing_is_wrong(2, 200);
        relay_end(1);
    }
END_TEST

/* Two relays hold eight streams each; the incarnation is the database's. */
START_TEST(two_relays_make_it_grow_once)
    {
        relay_spawn(0);
        relay_spawn(1);
        wait_for(rig.shared->relays[0].leases == 8 && rig.shared->relays[1].leases == 8, 15);
        write_for(1500);
        drained_within(20);
        database_copy();
        write_for(1500);
        drained_within(20);
        database_put_back();
        write_for(1000);
        drained_within(30);
        nothing_is_wrong(2, 200);
        ck_assert_uint_eq(rewinds_seen(), 1);
        relay_end(0);
        relay_end(1);
    }
END_TEST

/* The same copy twice: the second time the streams hold events of an incarnation that the copy never had. */
START_TEST(a_second_rewind_goes_beyond_the_first)
    {
        relay_spawn(0);
        write_for(1000);
        drained_within(20);
        database_copy();
        for (unsigned round = 0; round < 2; round++) {
            write_for(1000);
            drained_within(20);
            database_put_back();
            write_for(500);
            drained_within(30);
            nothing_is_wrong(round + 2, 50);
        }
        relay_end(0);
    }
END_TEST

/* Whatever the relay was at when it was killed, the next one ends it, and nobody is told twice. */
START_TEST(relays_killed_while_they_compare)
    {
        struct relay_settings settings = relay_defaults();
        settings.window = 50;
        relay_spawn_with(0, &settings);
        write_for(2000);
        drained_within(20);
        database_copy();
        write_for(2000);
        drained_within(20);
        relay_end(0);
        database_put_back();
        writers_start(5000);
        for (unsigned round = 0; round < 12; round++) {
            relay_spawn_with(round % 2, &settings);
            wait_for(rig.shared->relays[round % 2].leases > 0, 20);
            sleep_ms(20 + 15 * round);
            relay_kill(round % 2);
        }
        writers_stop();
        relay_spawn_with(2, &settings);
        drained_within(60);
        nothing_is_wrong(2, 200);
        relay_end(2);
    }
END_TEST

/* Another server, or another timeline of it: something may be lost that no stream shows. */
START_TEST(another_server_makes_it_grow)
    {
        relay_spawn(0);
        write_for(1000);
        drained_within(20);
        relay_end(0);
        ck_assert_int_eq(shell(RIG "sql \"UPDATE tenant.installation SET server = '1/00000001'\""), 0);
        relay_spawn(1);
        wait_for(rig.shared->relays[1].rewinds == 1, 10);
        write_for(1000);
        drained_within(20);
        nothing_is_wrong(2, 0);
        ck_assert_int_eq(shell(REWIND "lost-tenants | grep -qx 0"), 0);
        relay_end(1);
        /* and then it is the server that is known */
        relay_spawn(2);
        wait_for(rig.shared->relays[2].leases == 16, 15);
        write_for(500);
        drained_within(20);
        nothing_is_wrong(2, 0);
        relay_end(2);
    }
END_TEST

/* Nothing is kept of what was sent: the streams are read from their beginning. */
START_TEST(a_database_that_kept_nothing_of_what_it_sent)
    {
        relay_spawn(0);
        write_for(1000);
        drained_within(20);
        database_copy();
        write_for(1000);
        drained_within(20);
        relay_end(0);
        database_put_back();
        ck_assert_int_eq(shell(RIG "sql 'CREATE TABLE public.kept AS SELECT * FROM tenant.outbox_sent'"), 0);
        ck_assert_int_eq(shell(RIG "sql 'TRUNCATE tenant.outbox_sent'"), 0);
        write_for(500);
        relay_spawn(1);
        drained_within(30);
        ck_assert_int_eq(shell(RIG "sql 'INSERT INTO tenant.outbox_sent SELECT * FROM public.kept'"), 0);
        ck_assert_int_eq(shell(RIG "sql 'DROP TABLE public.kept'"), 0);
        nothing_is_wrong(2, 100);
        relay_end(1);
    }
END_TEST

Suite *suite_events_rewind_it(void);
Suite *suite_events_rewind_it(void)
{
    Suite *suite = suite_create("events_rewind_it");
    TCase *tests = tcase_create("rewind");
    tcase_set_timeout(tests, 240);
    tcase_add_unchecked_fixture(tests, stack_up, stack_down);
    tcase_add_checked_fixture(tests, rig_setup, rig_teardown);
    tcase_add_test(tests, a_database_put_back_under_a_running_relay);
    tcase_add_test(tests, events_written_anew_before_anybody_looks);
    tcase_add_test(tests, two_relays_make_it_grow_once);
    tcase_add_test(tests, a_second_rewind_goes_beyond_the_first);
    tcase_add_test(tests, relays_killed_while_they_compare);
    tcase_add_test(tests, another_server_makes_it_grow);
    tcase_add_test(tests, a_database_that_kept_nothing_of_what_it_sent);
    suite_add_tcase(suite, tests);
    return suite;
}
