/* What the relay makes of the streams it finds. */
#include "rig.h"

#include "events/subjects.h"
#include "events/window.h"

static unsigned partition_with_tenants(void)
{
    return partition_of(&rig.shared->tenants[0]);
}

/* Are these many events in outbox_sent? */
static bool sent_rows_are(uint64_t count)
{
    return shell(RIG "sql 'SELECT count(*) FROM tenant.outbox_sent' | grep -qx %llu",
                 (unsigned long long)count) == 0;
}

/* All sixteen, also those that no event went to. */
static bool streams_are_there(void)
{
    return shell(RIG "stream-show 0 name && " RIG "stream-show 15 name") == 0;
}

static bool has_unsent(unsigned partition)
{
    return shell(RIG "sql 'SELECT count(*) FROM tenant.outbox WHERE shard = %u' | grep -qx 0",
                 partition) != 0;
}

START_TEST(streams_are_created_as_promised)
    {
        static const char *const promised[][2] = {
            {"retention", "limits"},
            {"storage", "file"},
            {"discard", "old"},
            {"max_age", "2592000000000000"},
            {"duplicate_window", "120000000000"},
            {"num_replicas", "1"},
            {"max_msgs", "-1"},
            {"max_bytes", "-1"},
        };
        relay_spawn(0);
        drained_within(20);
        wait_for(streams_are_there(), 10);
        all_is_right();
        relay_end(0);
        char subjects[48];
        unsigned shard = partition_with_tenants();
        snprintf(subjects, sizeof subjects, "['tenant.*.*.*.%02u']", shard);
        ck_assert_int_eq(shell(RIG "stream-show %u subjects | grep -qxF \"%s\"", shard, subjects),
                         0);
        for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
            ck_assert_msg(shell(RIG "stream-show %u %s | grep -qxF -- \"%s\"", shard,
                                promised[i][0], promised[i][1]) == 0,
                          "%s is not %s", promised[i][0], promised[i][1]);
    }
END_TEST

START_TEST(a_stream_in_memory_is_not_used_and_others_go_on)
    {
        unsigned bad = partition_with_tenants();
        ck_assert_int_eq(shell(RIG "stream %u '{\"storage\": \"memory\"}'", bad), 0);
        relay_spawn(0);
        wait_for(rig.shared->relays[0].stream_errors > 0, 10);
        wait_for(shell(RIG
                       "sql 'SELECT count(*) FROM tenant.outbox WHERE shard <> %u' | grep -qx 0",
                       bad) == 0,
                 15);
        ck_assert(has_unsent(bad));
        ck_assert_int_eq(shell(RIG "stream-show %u storage | grep -qx memory", bad), 0);
        ck_assert_int_eq(shell(RIG "stream-delete %u", bad), 0);
        drained_within(20);
        all_is_right();
        relay_end(0);
    }
END_TEST

START_TEST(numbers_are_raised_where_nothing_is_lost)
    {
        unsigned shard = partition_with_tenants();
        ck_assert_int_eq(
            shell(RIG "stream %u '{\"max_age\": 3600000000000, \"duplicate_window\": 60000000000,"
                      " \"description\": \"kept\"}'",
                  shard),
            0);
        relay_spawn(0);
        drained_within(20);
        all_is_right();
        ck_assert_int_eq(shell(RIG "stream-show %u max_age | grep -qx 2592000000000000", shard), 0);
        ck_assert_int_eq(
            shell(RIG "stream-show %u duplicate_window | grep -qx 120000000000", shard), 0);
        ck_assert_int_eq(shell(RIG "stream-show %u description | grep -qx kept", shard), 0);
        relay_end(0);
    }
END_TEST

START_TEST(retention_is_never_shortened)
    {
        unsigned shard = partition_with_tenants();
        ck_assert_int_eq(shell(RIG "stream %u '{\"max_age\": 31536000000000000}'", shard), 0);
        relay_spawn(0);
        drained_within(20);
        ck_assert_int_eq(shell(RIG "stream-show %u max_age | grep -qx 31536000000000000", shard),
                         0);
        all_is_right();
        relay_end(0);
    }
END_TEST

/* One value of the groups' stream. */
static bool groups_have(const char *key, const char *value)
{
    return shell(RIG "stream-show GROUPS %s 2>/dev/null | grep -qxF -- \"%s\"", key, value) == 0;
}

START_TEST(the_groups_stream_is_created_as_promised)
    {
        static const char *const promised[][2] = {
            {"subjects", "['TENANT.GROUPS.*']"},
            {"retention", "limits"},
            {"storage", "file"},
            {"discard", "old"},
            {"max_age", "0"},
            {"max_msgs", "-1"},
            {"max_bytes", "-1"},
            {"max_msgs_per_subject", "1"},
            {"max_msg_size", "65536"},
            {"num_replicas", "1"},
        };
        relay_spawn(0);
        wait_for(groups_have("name", "TENANT_GROUPS"), 10);
        for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
            ck_assert_msg(groups_have(promised[i][0], promised[i][1]), "%s is not %s",
                          promised[i][0], promised[i][1]);
        relay_end(0);
    }
END_TEST

/* What loses nothing is set, the rest stays as somebody wished it. */
START_TEST(the_groups_stream_is_raised_where_nothing_is_lost)
    {
        ck_assert_int_eq(
            shell(RIG "stream GROUPS '{\"max_age\": 3600000000000, \"max_msg_size\": 100,"
                      " \"max_msgs_per_subject\": 5, \"description\": \"kept\"}'"),
            0);
        relay_spawn(0);
        wait_for(groups_have("max_age", "0"), 10);
        ck_assert(groups_have("max_msg_size", "65536"));
        ck_assert(groups_have("max_msgs_per_subject", "5"));
        ck_assert(groups_have("description", "kept"));
        drained_within(20);
        all_is_right();
        ck_assert_uint_eq(rig.shared->relays[0].stream_errors, 0);
        relay_end(0);
    }
END_TEST

START_TEST(a_groups_stream_in_memory_is_reported_and_events_go_on)
    {
        ck_assert_int_eq(shell(RIG "stream GROUPS '{\"storage\": \"memory\"}'"), 0);
        relay_spawn(0);
        wait_for(rig.shared->relays[0].stream_errors > 0, 10);
        drained_within(20);
        all_is_right();
        ck_assert(groups_have("storage", "memory"));
        relay_end(0);
    }
END_TEST

/* One server cannot keep three replicas, and refuses (2.9 takes the number and keeps one): streams serve as
 * they are. */
START_TEST(a_refused_raise_keeps_nobody_from_going_on)
    {
        struct relay_settings settings = relay_defaults();
        settings.streams.replicas = 3;
        ck_assert_int_eq(shell("for n in $(seq 0 15) DLQ GROUPS; do " RIG "stream $n '{}' || exit; done"), 0);
        relay_spawn_with(0, &settings);
        drained_within(20);
        all_is_right();
        ck_assert_uint_eq(rig.shared->relays[0].stream_errors, 0);
        relay_end(0);
    }
END_TEST

#define NATS_AGAIN "tools/stack server $STACK_NAME nats stop && tools/stack server $STACK_NAME nats start"
#define NATS_CONF "build/stack/$STACK_NAME/servers/nats/nats.conf"
#define UPDATE_RIGHT "\"[^\"]*STREAM.UPDATE.TENANT_GROUPS\", "

/* As where the relay's rights are older than the relay: nobody answers the question. */
START_TEST(without_the_right_to_change_the_groups_stream_events_go_on)
    {
        ck_assert_int_eq(shell(RIG "stream GROUPS '{\"max_msg_size\": 100}'"), 0);
        ck_assert_int_eq(shell("grep -q '" UPDATE_RIGHT "' " NATS_CONF " && cp -p " NATS_CONF " " NATS_CONF ".was"), 0);
        ck_assert_int_eq(shell("sed -i 's/" UPDATE_RIGHT "//' " NATS_CONF " && " NATS_AGAIN), 0);
        relay_spawn(0);
        drained_within(30);
        all_is_right();
        ck_assert_uint_eq(rig.shared->relays[0].stream_errors, 0);
        ck_assert(groups_have("max_msg_size", "100"));
        relay_end(0);
        ck_assert_int_eq(shell("mv " NATS_CONF ".was " NATS_CONF " && " NATS_AGAIN), 0);
        relay_spawn(1);
        wait_for(groups_have("max_msg_size", "65536"), 10);
        relay_end(1);
    }
END_TEST

#define AGE_SENT                                                                                   \
    "sql \"UPDATE tenant.outbox_sent SET sent_at = sent_at - interval '%d days' RETURNING 1\" >/dev/null"

START_TEST(sent_rows_go_after_their_retention)
    {
        struct relay_settings settings = relay_defaults();
        relay_spawn_with(0, &settings);
        drained_within(20);
        all_is_right();
        relay_end(0);
        ck_assert_int_eq(shell(RIG AGE_SENT, 1), 0);
        ck_assert(sent_rows_are(rig.shared->committed));
        relay_spawn_with(0, &settings);
        sleep_ms(1500);
        relay_end(0);
        ck_assert(sent_rows_are(rig.shared->committed));
        ck_assert_int_eq(shell(RIG AGE_SENT, 3), 0);
        relay_spawn_with(0, &settings);
        wait_for(sent_rows_are(0), 10);
        relay_end(0);
    }
END_TEST

static bool stray_rows_are(uint64_t count)
{
    return shell(RIG "sql 'SELECT count(*) FROM tenant.outbox_sent_default' | grep -qx %llu",
                 (unsigned long long)count) == 0;
}

/* Nobody makes partitions: events go on, and find theirs when somebody does. */
START_TEST(events_go_on_without_partitions)
    {
        ck_assert_int_eq(shell(RIG "sql 'REVOKE EXECUTE ON FUNCTION tenant.partitions_make() FROM"
                                   " tenant_relay'"),
                         0);
        ck_assert_int_eq(shell(RIG "sql \"DROP TABLE tenant.outbox_sent_$(date -u +%%Y%%m%%d)\""),
                         0);
        relay_spawn(0);
        drained_within(20);
        relay_end(0);
        ck_assert_int_eq(shell(RIG "sql 'GRANT EXECUTE ON FUNCTION tenant.partitions_make() TO"
                                   " tenant_relay'"),
                         0);
        all_is_right();
        ck_assert(stray_rows_are(rig.shared->committed));
        relay_spawn(1);
        wait_for(stray_rows_are(0), 10);
        ck_assert(sent_rows_are(rig.shared->committed));
        relay_end(1);
    }
END_TEST

START_TEST(a_relay_that_can_never_work_does_not_start)
    {
        struct metrics *metrics = metrics_new();
        struct relay_settings settings = relay_defaults();
        struct relay *relay = NULL;
        settings.database_url = env("STACK_RELAY_URL");
        settings.nats.url = env("STACK_NATS_URL");
        ck_assert_int_eq(relay_start(&settings, metrics, NULL, &relay), FAULT_CONFIG);
        settings.instance = "relay";
        settings.window = WINDOW_MAX + 1;
        ck_assert_int_eq(relay_start(&settings, metrics, NULL, &relay), FAULT_CONFIG);
        settings.window = 10;
        settings.database_url = "postgresql://[";
        ck_assert_int_eq(relay_start(&settings, metrics, NULL, &relay), FAULT_CONFIG);
        ck_assert_ptr_null(relay);
        relay_wake(NULL);
        relay_stop(NULL);
        metrics_free(metrics);
    }
END_TEST

/* Neither server answers: it starts, waits, says so, and stops at once when told. */
START_TEST(a_relay_without_servers_waits_and_stops)
    {
        struct metrics *metrics = metrics_new();
        struct relay_settings settings = relay_defaults();
        struct relay_status status;
        struct relay *relay = NULL;
        settings.database_url = "postgresql://relay:x@127.0.0.1:1/tenant";
        settings.nats.url = "nats://127.0.0.1:1";
        settings.nats.name = settings.instance = "relay";
        ck_assert_int_eq(relay_start(&settings, metrics, NULL, &relay), OK);
        sleep_ms(700);
        relay_status(relay, &status);
        ck_assert(!status.broker_up && !status.database_up);
        ck_assert_uint_eq(status.leases, 0);
        uint64_t began = clock_now();
        relay_stop(relay);
        ck_assert_uint_lt(clock_now() - began, 10 * NS_PER_S);
        ck_assert_uint_gt(
            metric_value(metric_named(metrics, "tenant_relay_errors_total", "database")), 0);
        ck_assert_uint_gt(
            metric_value(metric_named(metrics, "tenant_relay_errors_total", "connect")), 0);
        metrics_free(metrics);
    }
END_TEST

Suite *suite_events_streams_it(void);
Suite *suite_events_streams_it(void)
{
    Suite *suite = suite_create("events_streams_it");
    TCase *tests = tcase_create("streams");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, stack_up, stack_down);
    tcase_add_checked_fixture(tests, rig_setup, rig_teardown);
    tcase_add_test(tests, streams_are_created_as_promised);
    tcase_add_test(tests, a_stream_in_memory_is_not_used_and_others_go_on);
    tcase_add_test(tests, numbers_are_raised_where_nothing_is_lost);
    tcase_add_test(tests, retention_is_never_shortened);
    tcase_add_test(tests, the_groups_stream_is_created_as_promised);
    tcase_add_test(tests, the_groups_stream_is_raised_where_nothing_is_lost);
    tcase_add_test(tests, a_groups_stream_in_memory_is_reported_and_events_go_on);
    tcase_add_test(tests, a_refused_raise_keeps_nobody_from_going_on);
    tcase_add_test(tests, without_the_right_to_change_the_groups_stream_events_go_on);
    tcase_add_test(tests, sent_rows_go_after_their_retention);
    tcase_add_test(tests, events_go_on_without_partitions);
    tcase_add_test(tests, a_relay_that_can_never_work_does_not_start);
    tcase_add_test(tests, a_relay_without_servers_waits_and_stops);
    suite_add_tcase(suite, tests);
    return suite;
}
