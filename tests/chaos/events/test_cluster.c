/* Streams with three replicas on three servers: leaders that step down, servers that are killed, a majority that is
 * gone.  Stored once and in order all the same. */
#include "rig.h"

#include "events/subjects.h"

static void cluster_up(void)
{
    stack_up_as("cluster", "STACK_NATS_NODES=3 STACK_TIMEOUT=90");
}

static struct relay_settings replicated(void)
{
    struct relay_settings settings = relay_defaults();
    settings.streams.replicas = 3;
    settings.lease_ttl_ns = 4 * NS_PER_S; /* a stream without a leader answers after seconds */
    return settings;
}

/* One relay that serves all streams, and writers. */
static void under_load(unsigned pause_us)
{
    struct relay_settings settings = replicated();
    relay_spawn_with(0, &settings);
    wait_for(rig.shared->relays[0].leases == 16, 30);
    writers_start(pause_us);
}

static void node(const char *name, const char *action)
{
    ck_assert_int_eq(shell("tools/stack server %s %s %s >/dev/null", env("STACK_NAME"), name, action), 0);
}

/* The server that leads this partition's stream. */
static void leader_of(unsigned partition, char name[16])
{
    char path[64], line[64] = "";
    snprintf(path, sizeof path, "/tmp/relay-leader-%d", (int)getpid());
    ck_assert_int_eq(shell(RIG "leader %u >%s", partition, path), 0);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    fclose(file);
    unlink(path);
    line[strcspn(line, "\n")] = '\0';
    snprintf(name, 16, "%.15s", line);
}

static void more_is_published(void)
{
    uint64_t before = published_by_all();
    wait_for(published_by_all() > before + 100, 60);
}

START_TEST(leaders_step_down_in_mid_window)
    {
        under_load(500);
        more_is_published();
        ck_assert_int_eq(shell(RIG "stream-show 0 num_replicas | grep -qx 3"), 0);
        for (unsigned round = 0; round < 12; round++) {
            unsigned partition = partition_of(&rig.shared->tenants[round * 3]);
            ck_assert_int_eq(shell(RIG "stepdown %u", partition), 0);
            if (round % 3 == 2)
                more_is_published();
        }
        writers_stop();
        drained_within(60);
        all_is_right();
        relay_end(0);
    }
END_TEST

/* All of them began on a single server. */
START_TEST(replicas_of_every_stream_are_raised)
    {
        static const char *const streams[] = {"0", "15", "DLQ", "GROUPS"};
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
            ck_assert_int_eq(shell(RIG "stream %s '{\"num_replicas\": 1}'", streams[i]), 0);
        struct relay_settings settings = replicated();
        relay_spawn_with(0, &settings);
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
            wait_for(shell(RIG "stream-show %s num_replicas | grep -qx 3", streams[i]) == 0, 60);
        drained_within(60);
        all_is_right();
        relay_end(0);
    }
END_TEST

START_TEST(leaders_are_killed_in_mid_window)
    {
        char victim[16];
        under_load(500);
        for (unsigned round = 0; round < 4; round++) {
            more_is_published();
            leader_of(partition_of(&rig.shared->tenants[round * 5]), victim);
            node(victim, "kill");
            if (round % 2 == 0)
                more_is_published(); /* two of three go on */
            node(victim, "start");
        }
        writers_stop();
        drained_within(90);
        all_is_right();
        relay_end(0);
    }
END_TEST

/* Nothing is stored without a majority, and nothing is lost by it. */
START_TEST(a_lost_majority_holds_nothing_but_the_backlog)
    {
        under_load(2000);
        more_is_published();
        node("nats-2", "kill");
        node("nats-3", "kill");
        sleep_ms(2000); /* what was on its way has been acknowledged, or never is */
        uint64_t before = published_by_all();
        sleep_ms(4000);
        uint64_t published = published_by_all(), held = rig.shared->committed;
        node("nats-2", "start");
        node("nats-3", "start");
        writers_stop();
        drained_within(90);
        ck_assert_uint_eq(published, before);
        ck_assert_uint_gt(held, published);
        all_is_right();
        relay_end(0);
    }
END_TEST

Suite *suite_events_cluster_it(void);
Suite *suite_events_cluster_it(void)
{
    Suite *suite = suite_create("events_cluster_it");
    TCase *tests = tcase_create("cluster");
    tcase_set_timeout(tests, 400);
    tcase_add_unchecked_fixture(tests, cluster_up, stack_down);
    tcase_add_checked_fixture(tests, rig_setup, rig_teardown);
    tcase_add_test(tests, leaders_step_down_in_mid_window);
    tcase_add_test(tests, replicas_of_every_stream_are_raised);
    tcase_add_test(tests, leaders_are_killed_in_mid_window);
    tcase_add_test(tests, a_lost_majority_holds_nothing_but_the_backlog);
    suite_add_tcase(suite, tests);
    return suite;
}
