/* Streams that lose what was acknowledged: everything that was sent comes back, in order and none of it twice,
 * before anything newer; what cannot come back is told. */
#include "rig.h"

#include "events/subjects.h"

static struct relay_settings watchful(void)
{
    struct relay_settings settings = relay_defaults();
    settings.reconcile_ns = NS_PER_S;
    settings.streams.duplicate_window_s = 1; /* or a purged message's id is known for two minutes */
    return settings;
}

static unsigned partition_with_tenants(void)
{
    return partition_of(&rig.shared->tenants[0]);
}

static uint64_t refilled_by_all(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < RELAYS_MAX; i++)
        sum += rig.shared->relays[i].refilled;
    return sum;
}

/* All events were sent, and all are in the streams. */
static void write_some(unsigned ms)
{
    writers_start(500);
    sleep_ms(ms);
    writers_stop();
    drained_within(20);
}

static bool is_all_right(void)
{
    return rig.shared->uncertain > 0
               ? shell(RIG "check >/dev/null") == 0
               : shell(RIG "check %llu >/dev/null", (unsigned long long)rig.shared->committed) == 0;
}

#define nats(action)                                                                               \
    ck_assert_int_eq(shell("tools/stack server %s nats " action " >/dev/null", env("STACK_NAME")), 0)
#define STORE "\"$STACK_DIR/servers/nats/store\""
#define COPY "\"$STACK_DIR/servers/copy\""

START_TEST(streams_that_are_deleted_come_back_whole)
    {
        struct relay_settings settings = watchful();
        relay_spawn_with(0, &settings);
        write_some(2000);
        ck_assert(is_all_right());
        for (unsigned number = 0; number < PARTITION_COUNT; number++)
            ck_assert_int_eq(shell(RIG "stream-delete %u", number), 0);
        wait_for(is_all_right(), 60);
        ck_assert_uint_eq(refilled_by_all(), rig.shared->committed);
        ck_assert_uint_eq(rig.shared->relays[0].unrefillable, 0);
        /* and what is newer comes behind */
        write_some(500);
        ck_assert(is_all_right());
        relay_end(0);
    }
END_TEST

/* While events go on being written: the loss is found by the first that is refused. */
START_TEST(streams_deleted_under_load_come_back_in_order)
    {
        struct relay_settings settings = watchful();
        settings.reconcile_ns = 600 * NS_PER_S;
        relay_spawn_with(0, &settings);
        write_some(1000); /* of an empty stream there is nothing to refill */
        writers_start(1000);
        for (unsigned round = 0; round < 4; round++) {
            uint64_t before = published_by_all();
            wait_for(published_by_all() > before + 200, 20);
            unsigned number = partition_of(&rig.shared->tenants[round * 7]);
            uint64_t refilled = refilled_by_all();
            ck_assert_int_eq(shell(RIG "stream-delete %u", number), 0);
            wait_for(refilled_by_all() > refilled, 20);
        }
        writers_stop();
        drained_within(30);
        ck_assert(is_all_right());
        relay_end(0);
    }
END_TEST

/* Its sequences go on where they were; the messages are gone all the same. */
START_TEST(a_purged_stream_is_filled_again)
    {
        struct relay_settings settings = watchful();
        unsigned number = partition_with_tenants();
        relay_spawn_with(0, &settings);
        write_some(1000);
        sleep_ms(1500); /* the duplicate window */
        ck_assert_int_eq(shell(RIG "purge %u", number), 0);
        wait_for(is_all_right(), 30);
        write_some(500);
        ck_assert(is_all_right());
        ck_assert_uint_eq(rig.shared->relays[0].unrefillable, 0);
        relay_end(0);
    }
END_TEST

START_TEST(a_stream_without_its_newest_messages_gets_those_alone)
    {
        struct relay_settings settings = watchful();
        unsigned number = partition_with_tenants();
        relay_spawn_with(0, &settings);
        write_some(2000);
        sleep_ms(1500);
        ck_assert_int_eq(shell(RIG "cut %u 5", number), 0);
        wait_for(refilled_by_all() == 5, 20);
        ck_assert(is_all_right());
        write_some(500);
        ck_assert(is_all_right());
        ck_assert_uint_eq(refilled_by_all(), 5);
        relay_end(0);
    }
END_TEST

/* What a broker without fsync, or one that was restored from a backup, comes back with: an older state, streams and
 * all, taken while it ran. */
START_TEST(a_broker_that_went_back_in_time_catches_up)
    {
        struct relay_settings settings = watchful();
        settings.reconcile_ns = 600 * NS_PER_S; /* the lost connection is enough */
        relay_spawn_with(0, &settings);
        write_some(1500);
        ck_assert_int_eq(shell("rm -rf " COPY " && cp -a " STORE " " COPY), 0);
        writers_start(500);
        sleep_ms(1500);
        uint64_t before = rig.shared->committed;
        nats("kill");
        ck_assert_int_eq(shell("rm -rf " STORE " && cp -a " COPY " " STORE), 0);
        nats("start");
        sleep_ms(1500);
        writers_stop();
        drained_within(30);
        wait_for(is_all_right(), 30);
        ck_assert_uint_gt(refilled_by_all(), 0);
        ck_assert_uint_gt(rig.shared->committed, before);
        ck_assert_uint_eq(rig.shared->relays[0].unrefillable, 0);
        printf("%llu of %llu put back\n", (unsigned long long)refilled_by_all(),
               (unsigned long long)rig.shared->committed);
        relay_end(0);
        ck_assert_int_eq(shell("rm -rf " COPY), 0);
    }
END_TEST

/* Nothing of it is there any more. */
START_TEST(an_empty_broker_is_filled_from_what_was_sent)
    {
        struct relay_settings settings = watchful();
        relay_spawn_with(0, &settings);
        write_some(1500);
        nats("kill");
        ck_assert_int_eq(shell("rm -rf " STORE), 0);
        nats("start");
        wait_for(is_all_right(), 60);
        relay_end(0);
    }
END_TEST

/* Small windows make a long refill; whoever takes over goes on where the stream is. */
START_TEST(a_refill_survives_its_relays)
    {
        struct relay_settings settings = watchful();
        relay_spawn_with(0, &settings);
        write_some(4000);
        relay_end(0);
        settings.window = 7;
        for (unsigned number = 0; number < PARTITION_COUNT; number++)
            ck_assert_int_eq(shell(RIG "stream-delete %u", number), 0);
        writers_start(5000);
        for (unsigned round = 0; round < 5; round++) {
            relay_spawn_with(round % 2, &settings);
            wait_for(rig.shared->relays[round % 2].refilled > 100 || round > 2, 20);
            sleep_ms(100);
            relay_kill(round % 2);
            rig.shared->relays[round % 2].refilled = 0;
        }
        writers_stop();
        settings.window = 1000;
        relay_spawn_with(2, &settings);
        drained_within(30);
        wait_for(is_all_right(), 30);
        relay_end(2);
    }
END_TEST

/* Sent events that are not kept any more: told, and the rest is put back. */
START_TEST(what_is_not_kept_any_more_is_counted)
    {
        struct relay_settings settings = watchful();
        unsigned number = partition_with_tenants();
        relay_spawn_with(0, &settings);
        write_some(1500);
        relay_end(0);
        ck_assert_int_eq(shell(RIG "sql 'DELETE FROM tenant.outbox_sent WHERE shard = %u AND stream_seq <= 6'", number),
                         0);
        ck_assert_int_eq(shell(RIG "stream-delete %u", number), 0);
        relay_spawn_with(1, &settings);
        wait_for(rig.shared->relays[1].unrefillable == 6, 20);
        ck_assert_int_eq(
            shell("test $(" RIG "last %u) = $(" RIG "sql 'SELECT count(*) FROM tenant.outbox_sent WHERE shard = %u')",
                  number, number),
            0);
        sleep_ms(2500);
        ck_assert_uint_eq(rig.shared->relays[1].unrefillable, 6);
        relay_end(1);
    }
END_TEST

/* Behind a gap in the middle lie newer events: nothing is sent out of order, and somebody is told. */
START_TEST(a_gap_in_the_middle_is_told)
    {
        struct relay_settings settings = watchful();
        unsigned number = partition_with_tenants();
        relay_spawn_with(0, &settings);
        write_some(1500);
        ck_assert_int_eq(shell(RIG "pierce %u", number), 0);
        wait_for(rig.shared->relays[0].missing == 1, 20);
        sleep_ms(2500);
        ck_assert_uint_eq(refilled_by_all(), 0);
        relay_end(0);
    }
END_TEST

/* What was taken once and is not now cannot become a tombstone, so the partition stands until somebody acts: that is
 * seen from the first refusal on, and ends by itself with its cause. */
static void refused_until(const char *limited, const char *lifted, unsigned number)
{
    struct relay_settings settings = watchful();
    relay_spawn_with(0, &settings);
    write_some(1000);
    ck_assert_uint_eq(rig.shared->relays[0].stopped, 0);
    relay_end(0);
    ck_assert_int_eq(shell(RIG "stream-delete %u", number), 0);
    ck_assert_int_eq(shell("%s", limited), 0);
    relay_spawn_with(1, &settings);
    wait_for(rig.shared->relays[1].stopped == 1, 20);
    for (unsigned i = 0; i < 30; i++) { /* looks that find the stream, and refusals, come between */
        sleep_ms(100);
        ck_assert_uint_eq(rig.shared->relays[1].stopped, 1);
    }
    event_write_one(&rig.shared->tenants[0]);
    ck_assert_int_eq(shell("%s", lifted), 0);
    wait_for(rig.shared->relays[1].stopped == 0, 40);
    drained_within(30);
    wait_for(is_all_right(), 30);
    ck_assert_uint_eq(rig.shared->relays[1].unrefillable, 0);
    ck_assert_uint_eq(rig.shared->relays[1].withheld, 0);
    relay_end(1);
}

START_TEST(a_refill_that_its_stream_refuses_is_told)
    {
        char limited[1024], lifted[1024];
        unsigned number = partition_with_tenants();
        snprintf(limited, sizeof limited, RIG "stream %u '{\"max_msg_size\": 300}'", number);
        snprintf(lifted, sizeof lifted, RIG "stream %u '{\"max_msg_size\": -1}'", number);
        refused_until(limited, lifted, number);
    }
END_TEST

/* The events are not even sent. */
START_TEST(a_refill_that_the_server_refuses_is_told)
    {
#define PAYLOAD(from, to)                                                                          \
    "sed -i 's/^max_payload: " from "$/max_payload: " to "/' \"$STACK_DIR/servers/nats/nats.conf\" && "       \
    "tools/stack server \"$STACK_NAME\" nats stop >/dev/null && "                                  \
    "tools/stack server \"$STACK_NAME\" nats start >/dev/null"
        refused_until(PAYLOAD("1MB", "512"), PAYLOAD("512", "1MB"), partition_with_tenants());
    }
END_TEST

/* Nobody lost anything: looks change nothing, whatever a stream has besides. */
START_TEST(looks_alone_change_nothing)
    {
        struct relay_settings settings = watchful();
        settings.reconcile_ns = 100 * NS_PER_MS;
        relay_spawn_with(0, &settings);
        write_some(3000);
        sleep_ms(2000);
        ck_assert(is_all_right());
        ck_assert_uint_eq(refilled_by_all(), 0);
        ck_assert_uint_eq(rig.shared->relays[0].missing, 0);
        ck_assert_uint_eq(rig.shared->relays[0].unrefillable, 0);
        ck_assert_uint_eq(rig.shared->relays[0].fenced, 0);
        /* the database forgets what is old */
        ck_assert_int_eq(shell(RIG "sql 'TRUNCATE tenant.outbox_sent'"), 0);
        sleep_ms(1500);
        write_some(1000);
        sleep_ms(1500);
        ck_assert_uint_eq(refilled_by_all(), 0);
        ck_assert_uint_eq(rig.shared->relays[0].unrefillable, 0);
        relay_end(0);
    }
END_TEST

static TCase *refill_case(const char *name)
{
    TCase *made = tcase_create(name);
    tcase_set_timeout(made, 180);
    tcase_add_unchecked_fixture(made, stack_up, stack_down);
    tcase_add_checked_fixture(made, rig_setup, rig_teardown);
    return made;
}

Suite *suite_events_refill_it(void);
Suite *suite_events_refill_it(void)
{
    Suite *suite = suite_create("events_refill_it");
    TCase *tests = refill_case("refill"); /* which `make test` runs, too */
    tcase_add_test(tests, streams_deleted_under_load_come_back_in_order);
    tcase_add_test(tests, a_purged_stream_is_filled_again);
    tcase_add_test(tests, a_stream_without_its_newest_messages_gets_those_alone);
    tcase_add_test(tests, an_empty_broker_is_filled_from_what_was_sent);
    tcase_add_test(tests, what_is_not_kept_any_more_is_counted);
    tcase_add_test(tests, a_gap_in_the_middle_is_told);
    suite_add_tcase(suite, tests);
    TCase *longer = refill_case("refill, longer");
    tcase_add_test(longer, streams_that_are_deleted_come_back_whole);
    tcase_add_test(longer, a_broker_that_went_back_in_time_catches_up);
    tcase_add_test(longer, a_refill_survives_its_relays);
    tcase_add_test(longer, looks_alone_change_nothing);
    suite_add_tcase(suite, longer);
    TCase *refused = refill_case("refused"); /* the stack's limits are its own */
    tcase_add_test(refused, a_refill_that_its_stream_refuses_is_told);
    tcase_add_test(refused, a_refill_that_the_server_refuses_is_told);
    suite_add_tcase(suite, refused);
    return suite;
}
