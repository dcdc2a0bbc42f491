/* Fair shares: every number of relays ends evenly spread, and stays so. */
#include "events/lease_plan.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define RELAYS_MAX 20

struct world {
    char owner[OUTBOX_SHARDS][RELAY_OWNER_SIZE];
    bool alive[RELAYS_MAX];
};

static void relay_name(unsigned relay, char out[RELAY_OWNER_SIZE])
{
    snprintf(out, RELAY_OWNER_SIZE, "relay-%u", relay);
}

static size_t owned(const struct world *world, unsigned relay)
{
    char name[RELAY_OWNER_SIZE];
    size_t count = 0;
    relay_name(relay, name);
    for (unsigned shard = 0; shard < OUTBOX_SHARDS; shard++)
        count += strcmp(world->owner[shard], name) == 0;
    return count;
}

static struct relay_leases table_seen_by(const struct world *world, unsigned self)
{
    struct relay_leases table = {.live_owners = 0, .poorest = OUTBOX_SHARDS};
    for (unsigned shard = 0; shard < OUTBOX_SHARDS; shard++)
        strcpy(table.owners[shard], world->owner[shard]);
    for (unsigned relay = 0; relay < RELAYS_MAX; relay++) {
        if (!world->alive[relay])
            continue;
        table.live_owners++;
        if (relay != self && owned(world, relay) < table.poorest)
            table.poorest = owned(world, relay);
    }
    return table;
}

/* One relay's turn; true when it changed something. */
static bool relay_turn(struct world *world, unsigned self)
{
    char name[RELAY_OWNER_SIZE];
    struct relay_leases table = table_seen_by(world, self);
    relay_name(self, name);
    struct lease_plan plan = lease_plan_make(&table, name, self * 5);
    ck_assert_uint_eq(plan.take & plan.release, 0);
    for (unsigned shard = 0; shard < OUTBOX_SHARDS; shard++) {
        if (plan.take >> shard & 1) {
            ck_assert_str_eq(world->owner[shard], "");
            strcpy(world->owner[shard], name);
        }
        if (plan.release >> shard & 1) {
            ck_assert_str_eq(world->owner[shard], name);
            world->owner[shard][0] = '\0';
        }
    }
    return plan.take != 0 || plan.release != 0;
}

static void settle(struct world *world)
{
    for (int round = 0; round < 64; round++) {
        bool changed = false;
        for (unsigned relay = 0; relay < RELAYS_MAX; relay++)
            changed = (world->alive[relay] && relay_turn(world, relay)) || changed;
        if (!changed)
            return;
    }
    ck_abort_msg("the leases never settle");
}

static void expect_fair(const struct world *world, unsigned live)
{
    size_t sum = 0;
    for (unsigned relay = 0; relay < RELAYS_MAX; relay++) {
        size_t count = owned(world, relay);
        sum += count;
        if (!world->alive[relay]) {
            ck_assert_uint_eq(count, 0);
            continue;
        }
        ck_assert_uint_ge(count, OUTBOX_SHARDS / live);
        ck_assert_uint_le(count, (OUTBOX_SHARDS + live - 1) / live);
    }
    ck_assert_uint_eq(sum, OUTBOX_SHARDS);
}

START_TEST(relays_joining_one_by_one_share_evenly)
    {
        struct world world = {0};
        for (unsigned live = 1; live <= RELAYS_MAX; live++) {
            world.alive[live - 1] = true;
            settle(&world);
            expect_fair(&world, live);
        }
    }
END_TEST

START_TEST(relays_dying_one_by_one_leave_nothing_unowned)
    {
        struct world world = {0};
        for (unsigned relay = 0; relay < RELAYS_MAX; relay++)
            world.alive[relay] = true;
        settle(&world);
        for (unsigned dead = 0; dead + 1 < RELAYS_MAX; dead++) {
            char name[RELAY_OWNER_SIZE];
            relay_name(dead, name);
            world.alive[dead] = false;
            for (unsigned shard = 0; shard < OUTBOX_SHARDS; shard++) {
                if (strcmp(world.owner[shard], name) == 0)
                    world.owner[shard][0] = '\0';
            }
            settle(&world);
            expect_fair(&world, RELAYS_MAX - dead - 1);
        }
    }
END_TEST

START_TEST(a_balanced_table_is_left_alone)
    {
        struct world world = {0};
        world.alive[0] = world.alive[1] = world.alive[2] = true;
        settle(&world);
        for (unsigned relay = 0; relay < 3; relay++)
            ck_assert(!relay_turn(&world, relay));
    }
END_TEST

Suite *suite_events_lease(void);
Suite *suite_events_lease(void)
{
    Suite *suite = suite_create("events_lease");
    TCase *tests = tcase_create("lease");
    tcase_add_test(tests, relays_joining_one_by_one_share_evenly);
    tcase_add_test(tests, relays_dying_one_by_one_leave_nothing_unowned);
    tcase_add_test(tests, a_balanced_table_is_left_alone);
    suite_add_tcase(suite, tests);
    return suite;
}
