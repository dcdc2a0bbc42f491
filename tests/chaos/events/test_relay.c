/* The relay on a real stack: everything committed reaches the streams once and in order per tenant, while
 * relays, broker and connections are stopped, killed and cut.  rig.py check decides. */
#include "cutter.h"

static unsigned leases_of(unsigned relay)
{
    return rig.shared->relays[relay].leases;
}

START_TEST(events_of_many_writers_arrive_in_order)
    {
        relay_spawn(0);
        wait_for(leases_of(0) == 16, 10);
        writers_start(3000);
        sleep_ms(4000);
        writers_stop();
        ck_assert_uint_gt(rig.shared->committed, 500);
        drained_within(20);
        all_is_right();
        ck_assert_uint_eq(rig.shared->relays[0].fenced, 0);
        relay_end(0);
        ck_assert_int_eq(shell(RIG
                               "sql \"SELECT count(*) FROM tenant.relay_lease WHERE owner <> ''\""
                               " | grep -qx 0"),
                         0);
        ck_assert_int_eq(shell(RIG "sql 'SELECT count(*) FROM tenant.relay_owner' | grep -qx 0"),
                         0);
    }
END_TEST

/* The control: the same writers, a hand-made relay, the same check. */
START_TEST(a_relay_with_a_cursor_is_caught)
    {
        writers_start(30000);
        ck_assert_int_eq(shell(RIG "naive 5"), 0);
        writers_stop();
        ck_assert_int_eq(shell(RIG "check >/dev/null"), 1);
    }
END_TEST

START_TEST(relays_share_and_take_over)
    {
        relay_spawn(0);
        wait_for(leases_of(0) == 16, 10);
        writers_start(3000);
        relay_spawn(1);
        wait_for(leases_of(0) == 8 && leases_of(1) == 8, 15);
        relay_spawn(2);
        wait_for(leases_of(2) >= 5 && leases_of(0) + leases_of(1) + leases_of(2) == 16, 15);
        relay_kill(0);
        rig.shared->relays[0].leases = 0;
        wait_for(leases_of(1) == 8 && leases_of(2) == 8, 15);
        relay_end(1);
        wait_for(leases_of(2) == 16, 15);
        writers_stop();
        drained_within(20);
        all_is_right();
        relay_end(2);
    }
END_TEST

/* Nothing waits that was written before then. */
static bool sent_until(uint64_t time_us)
{
    return shell(RIG "sql 'SELECT count(*) FROM tenant.outbox WHERE created_at <= to_timestamp(%llu / 1e6)'"
                     " | grep -qx 0",
                 (unsigned long long)time_us) == 0;
}

/* NATS 2.9 forgets ids later than its duplicate window says, and knows the late ones again. */
static uint64_t kept_out(void)
{
    const struct relay_report *late = &rig.shared->relays[0];
    return late->fenced + late->duplicates;
}

/* A relay that sleeps through its leases with a window on its way, which arrives after another relay has
 * published the same rows. */
START_TEST(a_late_window_is_fenced)
    {
        struct cutter *cutter = cutter_start();
        struct relay_settings settings = relay_defaults();
        settings.ack_timeout_ns = 30 * NS_PER_S;
        settings.streams.duplicate_window_s = 1; /* or the answer would be "duplicate" */
        relay_spawn_with(0, &settings);
        wait_for(leases_of(0) == 16, 10);
        writers_start(20000); /* a load that leaves time to catch up */
        for (unsigned round = 0; round < 3; round++) {
            uint64_t published = published_by_all();
            wait_for(published_by_all() > published + 100, 20);
            uint64_t before = kept_out();
            cutter_hold_windows(cutter);
            kill(rig.relays[0], SIGSTOP);
            uint64_t stopped_us = clock_wall() / NS_PER_US;
            rig.nats_url = NULL;
            relay_spawn_with(1, &settings);
            wait_for(leases_of(1) == 16, 15);
            wait_for(sent_until(stopped_us), 15); /* all that the windows hold */
            cutter->holds = false;
            sleep_ms(100);
            kill(rig.relays[0], SIGCONT);
            wait_for(kept_out() > before, 10);
            relay_end(1);
            memset(&rig.shared->relays[1], 0, sizeof rig.shared->relays[1]);
            wait_for(leases_of(0) == 16, 10);
        }
        writers_stop();
        drained_within(20);
        all_is_right();
        relay_end(0);
    }
END_TEST

/* Pauses at random moments, under load. */
START_TEST(paused_relays_do_no_harm)
    {
        relay_spawn(0);
        relay_spawn(1);
        wait_for(leases_of(0) == 8 && leases_of(1) == 8, 15);
        writers_start(0);
        for (unsigned round = 0; round < 4; round++) {
            pid_t zombie = rig.relays[round % 2];
            kill(zombie, SIGSTOP);
            wait_for(leases_of((round + 1) % 2) == 16, 10);
            kill(zombie, SIGCONT);
            wait_for(leases_of(0) == 8 && leases_of(1) == 8, 15);
        }
        writers_stop();
        drained_within(20);
        all_is_right();
        relay_end(0);
        relay_end(1);
    }
END_TEST

START_TEST(killed_relays_leave_nothing_behind)
    {
        writers_start(1000);
        for (int round = 0; round < 6; round++) {
            uint64_t before = published_by_all();
            relay_spawn(0);
            wait_for(published_by_all() > before + 20, 15);
            relay_kill(0);
            memset(&rig.shared->relays[0], 0, sizeof rig.shared->relays[0]);
        }
        writers_stop();
        relay_spawn(0);
        drained_within(20);
        all_is_right();
        relay_end(0);
    }
END_TEST

START_TEST(the_broker_is_killed_in_mid_window)
    {
        relay_spawn(0);
        writers_start(0);
        for (int round = 0; round < 4; round++) {
            uint64_t before = published_by_all();
            wait_for(published_by_all() > before + 100, 20);
            ck_assert_int_eq(shell("tools/stack server %s nats kill", env("STACK_NAME")), 0);
            sleep_ms(200 + 150 * (unsigned)round);
            ck_assert_int_eq(
                shell("tools/stack server %s nats start >/dev/null", env("STACK_NAME")), 0);
        }
        writers_stop();
        drained_within(30);
        all_is_right();
        relay_end(0);
    }
END_TEST

START_TEST(a_broker_that_hangs_holds_nothing_but_the_backlog)
    {
        relay_spawn(0);
        wait_for(leases_of(0) == 16, 10);
        writers_start(1000);
        wait_for(published_by_all() > 50, 10);
        ck_assert_int_eq(shell("tools/stack server %s nats pause", env("STACK_NAME")), 0);
        sleep_ms(4000);
        uint64_t held = rig.shared->committed;
        ck_assert_int_eq(shell("tools/stack server %s nats resume", env("STACK_NAME")), 0);
        ck_assert_uint_gt(held, published_by_all());
        writers_stop();
        drained_within(30);
        all_is_right();
        relay_end(0);
    }
END_TEST

START_TEST(the_database_is_lost_and_found)
    {
        relay_spawn(0);
        writers_start(500);
        for (int round = 0; round < 3; round++) {
            uint64_t before = published_by_all();
            wait_for(published_by_all() > before + 50, 20);
            ck_assert_int_eq(shell("tools/stack server %s pgbouncer kill", env("STACK_NAME")), 0);
            sleep_ms(500);
            ck_assert_int_eq(
                shell("tools/stack server %s pgbouncer start >/dev/null", env("STACK_NAME")), 0);
        }
        writers_stop();
        drained_within(30);
        all_is_right();
        relay_end(0);
    }
END_TEST

/* Stored and not acknowledged: the stream's own memory decides, not the duplicate window, which is shorter
 * than the outages here. */
START_TEST(connections_are_cut_between_publish_and_acknowledgement)
    {
        struct cutter *cutter = cutter_start();
        struct relay_settings settings = relay_defaults();
        settings.streams.duplicate_window_s = 1;
        relay_spawn_with(0, &settings);
        writers_start(0);
        for (unsigned round = 1; round <= 10; round++) {
            uint64_t before = published_by_all();
            wait_for(published_by_all() > before + 100, 20);
            if (round % 4 == 0) {
                /* A long one: nobody is there until the duplicate window has passed. */
                kill(rig.relays[0], SIGSTOP);
                sleep_ms(2500);
                kill(rig.relays[0], SIGCONT);
            }
            cutter->cuts_wanted = round;
            wait_for(cutter->cuts_done == round, 10);
        }
        writers_stop();
        drained_within(30);
        all_is_right();
        printf("%llu stored without acknowledgement\n",
               (unsigned long long)rig.shared->relays[0].settled_late);
        ck_assert_uint_gt(rig.shared->relays[0].settled_late, 0);
        relay_end(0);
    }
END_TEST

/* Asking the streams of two shards takes longer than a lease lasts.  They are asked once all the same, and what
 * was learned is used. */
START_TEST(a_slow_broker_does_not_cost_the_leases)
    {
        struct cutter *cutter = cutter_start();
        const char *slow_url = rig.nats_url;
        rig.nats_url = NULL;
        relay_spawn(0);
        writers_start(0);
        wait_for(rig.shared->committed > 2000, 30);
        writers_stop();
        drained_within(20);
        relay_end(0);
        for (unsigned i = 0; i < TENANTS; i++)
            event_write_one(&rig.shared->tenants[i]);
        rig.nats_url = slow_url;
        cutter->delay_ms = 200;
        relay_spawn(1);
        drained_within(60);
        cutter->delay_ms = 0;
        all_is_right();
        relay_end(1);
    }
END_TEST

Suite *suite_events_relay_it(void);
Suite *suite_events_relay_it(void)
{
    Suite *suite = suite_create("events_relay_it");
    TCase *tests = tcase_create("relay");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, stack_up, stack_down);
    tcase_add_checked_fixture(tests, rig_setup, rig_teardown);
    tcase_add_test(tests, events_of_many_writers_arrive_in_order);
    tcase_add_test(tests, a_relay_with_a_cursor_is_caught);
    tcase_add_test(tests, relays_share_and_take_over);
    tcase_add_test(tests, a_late_window_is_fenced);
    tcase_add_test(tests, paused_relays_do_no_harm);
    tcase_add_test(tests, killed_relays_leave_nothing_behind);
    tcase_add_test(tests, the_broker_is_killed_in_mid_window);
    tcase_add_test(tests, a_broker_that_hangs_holds_nothing_but_the_backlog);
    tcase_add_test(tests, the_database_is_lost_and_found);
    tcase_add_test(tests, connections_are_cut_between_publish_and_acknowledgement);
    tcase_add_test(tests, a_slow_broker_does_not_cost_the_leases);
    suite_add_tcase(suite, tests);
    return suite;
}
