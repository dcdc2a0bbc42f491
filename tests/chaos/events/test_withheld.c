/* Events that no stream takes: their shard goes on with tombstones, the originals become dead letters, and nothing
 * is given up that would have passed. */
#include "rig.h"

#include "events/subjects.h"

/* How many rows a statement gives, as a stock client sees them. */
static bool rows_are(const char *from, unsigned count)
{
    return shell(RIG "sql \"SELECT count(*) FROM %s\" | grep -qx %u", from, count) == 0;
}

/* The first unsent event of a partition becomes too large for somebody: an unknown field of this many bytes. */
static void enlarge(unsigned shard, unsigned bytes)
{
    ck_assert_int_eq(
        shell(RIG "sql \"UPDATE tenant.outbox SET payload = payload || '\\xc23e'::bytea || "
                  "set_byte(set_byte(set_byte('\\x000000'::bytea, 0, %u), 1, %u), 2, %u) || "
                  "convert_to(repeat('x', %u), 'UTF8') WHERE (shard, id) = (SELECT shard, min(id) FROM "
                  "tenant.outbox WHERE shard = %u GROUP BY shard) RETURNING 'done'\" | grep -qx done",
              128 | (bytes & 127), 128 | (bytes >> 7 & 127), bytes >> 14 & 127, bytes, shard),
        0);
}

static unsigned partition_with_tenants(void)
{
    return partition_of(&rig.shared->tenants[0]);
}

static struct relay_settings quick(void)
{
    struct relay_settings settings = relay_defaults();
    settings.withhold_after_ns = NS_PER_S;
    return settings;
}

START_TEST(the_shard_goes_on_behind_a_tombstone)
    {
        unsigned shard = partition_with_tenants();
        struct relay_settings settings = quick();
        ck_assert_int_eq(shell(RIG "stream %u '{\"max_msg_size\": 5000}'", shard), 0);
        enlarge(shard, 6000);
        relay_spawn_with(0, &settings);
        writers_start(1000);
        wait_for(rig.shared->relays[0].withheld == 1, 20);
        wait_for(rig.shared->relays[0].letters == 1, 20);
        writers_stop();
        drained_within(20);
        all_is_right();
        ck_assert(rows_are("tenant.outbox_dead WHERE lettered_at IS NOT NULL AND cause = 'TOO_LARGE'", 1));
        ck_assert(rows_are("tenant.outbox_sent WHERE subject = 'tenant.event.withheld.v1'", 1));
        /* the stream of dead letters has no limit of its own: the letter has its body */
        ck_assert_int_eq(
            shell(RIG "letters | grep -cE '^TENANT.DLQ.relay.%02u TOO_LARGE evt_[0-9A-Z]{26} 6[0-9]{3} the stream' "
                      "| grep -qx 1",
                  shard),
            0);
        wait_for(rig.shared->relays[0].stopped == 0, 10);
        relay_end(0);
    }
END_TEST

/* The server itself: the event is not even sent. */
START_TEST(what_the_server_cannot_take_has_a_letter_without_body)
    {
        unsigned shard = partition_with_tenants();
        struct relay_settings settings = quick();
        enlarge(shard, 1500000);
        relay_spawn_with(0, &settings);
        wait_for(rig.shared->relays[0].letters == 1, 30);
        drained_within(20);
        all_is_right();
        ck_assert_int_eq(shell(RIG "letters | grep -qE '^TENANT.DLQ.relay.%02u TOO_LARGE .* omitted .*the server "
                                   "takes 1048576$'",
                               shard),
                         0);
        relay_end(0);
    }
END_TEST

START_TEST(a_subject_of_others_is_withheld_too)
    {
        unsigned shard = partition_with_tenants();
        struct relay_settings settings = quick();
        ck_assert_int_eq(shell(RIG "sql \"UPDATE tenant.outbox SET subject = 'other.thing' WHERE (shard, id) = "
                                   "(SELECT shard, min(id) FROM tenant.outbox WHERE shard = %u GROUP BY shard)\"",
                               shard),
                         0);
        relay_spawn_with(0, &settings);
        wait_for(rig.shared->relays[0].letters == 1, 20);
        drained_within(20);
        all_is_right();
        ck_assert_int_eq(shell(RIG "letters | grep -qE ' FOREIGN_SUBJECT .*: other.thing$'"), 0);
        relay_end(0);
    }
END_TEST

/* A limit that was too low for a moment costs no event. */
START_TEST(a_refusal_that_passes_gives_nothing_up)
    {
        unsigned shard = partition_with_tenants();
        struct relay_settings settings = relay_defaults();
        settings.withhold_after_ns = 60 * NS_PER_S; /* longer than a busy machine takes for this */
        ck_assert_int_eq(shell(RIG "stream %u '{\"max_msg_size\": 300}'", shard), 0);
        relay_spawn_with(0, &settings);
        wait_for(rig.shared->relays[0].stopped == 1, 15);
        /* the others go on meanwhile */
        char others[64];
        snprintf(others, sizeof others, "tenant.outbox WHERE shard <> %u", shard);
        wait_for(rows_are(others, 0), 15);
        sleep_ms(3000);
        ck_assert_uint_eq(rig.shared->relays[0].withheld, 0);
        ck_assert_int_eq(shell(RIG "stream %u '{\"max_msg_size\": -1}'", shard), 0);
        drained_within(40);
        all_is_right();
        wait_for(rig.shared->relays[0].stopped == 0, 5);
        ck_assert_uint_eq(rig.shared->relays[0].withheld, 0);
        ck_assert(rows_are("tenant.outbox_dead", 0));
        relay_end(0);
    }
END_TEST

/* A stream that takes not even a tombstone: nothing is lost, and the shard says that it stands still. */
START_TEST(a_tombstone_is_never_withheld)
    {
        unsigned shard = partition_with_tenants();
        struct relay_settings settings = quick();
        ck_assert_int_eq(shell(RIG "stream %u '{\"max_msg_size\": 100}'", shard), 0);
        relay_spawn_with(0, &settings);
        wait_for(rig.shared->relays[0].withheld == 1, 20);
        sleep_ms(3000);
        ck_assert_uint_eq(rig.shared->relays[0].withheld, 1);
        ck_assert_uint_eq(rig.shared->relays[0].stopped, 1);
        ck_assert(rows_are("tenant.outbox_dead", 1));
        /* another relay tries again */
        relay_end(0);
        ck_assert_int_eq(shell(RIG "stream %u '{\"max_msg_size\": -1}'", shard), 0);
        relay_spawn_with(1, &settings);
        drained_within(20);
        all_is_right();
        ck_assert(rows_are("tenant.outbox_dead", 1));
        relay_end(1);
    }
END_TEST

/* Withheld while there is nowhere to write the letter: it is written when there is, once. */
START_TEST(letters_wait_for_their_stream)
    {
        unsigned shard = partition_with_tenants();
        struct relay_settings settings = quick();
        ck_assert_int_eq(shell(RIG "stream DLQ '{\"storage\": \"memory\"}'"), 0);
        enlarge(shard, 1500000);
        relay_spawn_with(0, &settings);
        wait_for(rig.shared->relays[0].withheld == 1, 20);
        wait_for(rig.shared->relays[0].unlettered == 1, 10);
        ck_assert_uint_eq(rig.shared->relays[0].letters, 0);
        relay_kill(0);
        ck_assert_int_eq(shell(RIG "stream-delete DLQ"), 0);
        relay_spawn_with(1, &settings);
        wait_for(rig.shared->relays[1].letters == 1, 20);
        wait_for(rig.shared->relays[1].unlettered == 0, 10);
        ck_assert_int_eq(shell(RIG "letters | wc -l | grep -qx 1"), 0);
        ck_assert_int_eq(shell(RIG "sql 'SELECT count(*) FROM tenant.outbox_dead WHERE lettered_at IS NULL' "
                                   "| grep -qx 0"),
                         0);
        drained_within(20);
        all_is_right();
        relay_end(1);
    }
END_TEST

Suite *suite_events_withheld_it(void);
Suite *suite_events_withheld_it(void)
{
    Suite *suite = suite_create("events_withheld_it");
    TCase *tests = tcase_create("withheld");
    tcase_set_timeout(tests, 120);
    tcase_add_unchecked_fixture(tests, stack_up, stack_down);
    tcase_add_checked_fixture(tests, rig_setup, rig_teardown);
    tcase_add_test(tests, the_shard_goes_on_behind_a_tombstone);
    tcase_add_test(tests, what_the_server_cannot_take_has_a_letter_without_body);
    tcase_add_test(tests, a_subject_of_others_is_withheld_too);
    tcase_add_test(tests, a_refusal_that_passes_gives_nothing_up);
    tcase_add_test(tests, a_tombstone_is_never_withheld);
    tcase_add_test(tests, letters_wait_for_their_stream);
    suite_add_tcase(suite, tests);
    return suite;
}
