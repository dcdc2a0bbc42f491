/* Subscriptions: the same events lead to the same plan, in whatever order and however often they come. */
#include "domain/subscription.h"

#include "base/random.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSCRIPTIONS 3
#define EVENTS 9
#define ORDERS 200

static struct arena *arena;

static void setup(void)
{
    arena = arena_new(0);
}

static void teardown(void)
{
    arena_free(arena);
}

struct world {
    struct subscription known[SUBSCRIPTIONS];
    size_t count;
};

static bool take(struct world *world, const struct subscription_news *news)
{
    bool changed = false;
    for (size_t i = 0; i < world->count; i++) {
        if (strcmp(world->known[i].id, news->subscription_id) == 0) {
            world->known[i] = subscription_after(arena, &world->known[i], news, &changed);
            return changed;
        }
    }
    ck_assert_uint_lt(world->count, SUBSCRIPTIONS);
    world->known[world->count++] = subscription_after(arena, NULL, news, &changed);
    ck_assert(changed);
    return true;
}

static const char *plan_of(const struct world *world)
{
    return subscriptions_plan(world->known, world->count);
}

static struct subscription_news created(const char *id, const char *plan, uint64_t at)
{
    return (struct subscription_news){SUBSCRIPTION_CREATED, id, plan, "active", at, arena_printf(arena, "evt_c%s", id)};
}

static struct subscription_news changed(const char *id, const char *plan, const char *state, uint64_t at)
{
    return (struct subscription_news){SUBSCRIPTION_CHANGED, id, plan, state, at,
                                      arena_printf(arena, "evt_h%s%llu", id, (unsigned long long)at)};
}

static struct subscription_news canceled(const char *id, uint64_t at)
{
    return (struct subscription_news){SUBSCRIPTION_CANCELED, id, "", "canceled", at, arena_printf(arena, "evt_x%s", id)};
}

START_TEST(a_life_in_order)
    {
        struct world world = {.count = 0};
        struct subscription_news news = created("sub_1", "plan_a", 10);
        take(&world, &news);
        ck_assert_str_eq(plan_of(&world), "plan_a");
        news = changed("sub_1", "", "past_due", 20);
        ck_assert(take(&world, &news));
        ck_assert_str_eq(plan_of(&world), "plan_a");
        ck_assert_str_eq(world.known[0].state, "past_due");
        news = changed("sub_1", "plan_b", "active", 30);
        take(&world, &news);
        ck_assert_str_eq(plan_of(&world), "plan_b");
        news = canceled("sub_1", 40);
        take(&world, &news);
        ck_assert_str_eq(plan_of(&world), "");
        news = changed("sub_1", "", "active", 50); /* taken up again, with what it had */
        take(&world, &news);
        ck_assert_str_eq(plan_of(&world), "plan_b");
    }
END_TEST

START_TEST(what_is_older_changes_nothing)
    {
        struct world world = {.count = 0};
        struct subscription_news newer = changed("sub_1", "plan_b", "active", 30);
        struct subscription_news older = changed("sub_1", "plan_a", "trialing", 20);
        take(&world, &newer);
        ck_assert(take(&world, &older)); /* its beginning is older: that is all it says */
        ck_assert_str_eq(plan_of(&world), "plan_b");
        ck_assert_str_eq(world.known[0].state, "active");
        ck_assert(!take(&world, &older));
        ck_assert(!take(&world, &newer));
    }
END_TEST

START_TEST(the_one_that_began_last_counts)
    {
        struct world world = {.count = 0};
        struct subscription_news news[] = {created("sub_1", "plan_a", 10), created("sub_2", "plan_b", 20),
                                           canceled("sub_1", 25)};
        for (size_t i = 0; i < 3; i++)
            take(&world, &news[i]);
        ck_assert_str_eq(plan_of(&world), "plan_b");
        struct subscription_news end = canceled("sub_2", 30);
        take(&world, &end);
        ck_assert_str_eq(plan_of(&world), "");
    }
END_TEST

static void random_history(struct subscription_news history[EVENTS])
{
    static const char *const ids[SUBSCRIPTIONS] = {"sub_1", "sub_2", "sub_3"};
    static const char *const plans[] = {"plan_a", "plan_b", "plan_c", ""};
    for (size_t i = 0; i < EVENTS; i++) {
        const char *id = ids[random_below(SUBSCRIPTIONS)];
        uint64_t at = 1 + random_below(6); /* many at the same time */
        switch (random_below(4)) {
        case 0:
            history[i] = created(id, plans[random_below(3)], at);
            break;
        case 1:
            history[i] = canceled(id, at);
            break;
        default:
            history[i] = changed(id, plans[random_below(4)], random_below(2) ? "active" : "past_due", at);
        }
        history[i].event_id = arena_printf(arena, "evt_%zu", i);
    }
}

/* A shuffle, with some events twice. */
static void play(const struct subscription_news history[EVENTS], struct world *world)
{
    size_t order[EVENTS * 2];
    size_t count = 0;
    for (size_t i = 0; i < EVENTS; i++) {
        order[count++] = i;
        if (random_below(3) == 0)
            order[count++] = i;
    }
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)random_below(i), swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    for (size_t i = 0; i < count; i++)
        take(world, &history[order[i]]);
}

START_TEST(any_order_leads_to_the_same_plan)
    {
        for (int round = 0; round < 100; round++) {
            struct subscription_news history[EVENTS];
            struct world first = {.count = 0};
            random_history(history);
            for (size_t i = 0; i < EVENTS; i++)
                take(&first, &history[i]);
            for (int other = 0; other < ORDERS; other++) {
                struct world world = {.count = 0};
                play(history, &world);
                ck_assert_str_eq(plan_of(&world), plan_of(&first));
                for (size_t i = 0; i < world.count; i++) {
                    for (size_t j = 0; j < first.count; j++) {
                        if (strcmp(world.known[i].id, first.known[j].id) != 0)
                            continue;
                        ck_assert_str_eq(world.known[i].state, first.known[j].state);
                        ck_assert_str_eq(world.known[i].plan_id, first.known[j].plan_id);
                        ck_assert(world.known[i].is_ended == first.known[j].is_ended);
                        ck_assert_uint_eq(world.known[i].began_us, first.known[j].began_us);
                    }
                }
            }
            arena_reset(arena);
        }
    }
END_TEST

static void expect_rule(struct subscription_news news, const char *begins)
{
    const char *rule = subscription_news_rule(&news);
    ck_assert_msg(rule != NULL && strncmp(rule, begins, strlen(begins)) == 0, "%s: %s", begins, rule);
}

START_TEST(what_no_event_may_say)
    {
        struct subscription_news good = created("sub_1", "plan_a", 1);
        ck_assert_ptr_null(subscription_news_rule(&good));
        struct subscription_news wrong = good;
        wrong.subscription_id = "";
        expect_rule(wrong, "subscription_id");
        wrong = good;
        wrong.subscription_id = "sub 1";
        expect_rule(wrong, "subscription_id");
        wrong = good;
        wrong.plan_id = "";
        expect_rule(wrong, "plan_id must be set");
        wrong.plan_id = "Gold";
        expect_rule(wrong, "plan_id must be \"plan_\"");
        wrong = good;
        wrong.state = "a b";
        expect_rule(wrong, "the state");
        wrong = good;
        wrong.at_us = 0;
        expect_rule(wrong, "the time");
        struct subscription_news quiet = changed("sub_1", "", "active", 1);
        ck_assert_ptr_null(subscription_news_rule(&quiet));
    }
END_TEST

Suite *suite_domain_subscription(void);
Suite *suite_domain_subscription(void)
{
    Suite *suite = suite_create("domain_subscription");
    TCase *tcase = tcase_create("subscription");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_life_in_order);
    tcase_add_test(tcase, what_is_older_changes_nothing);
    tcase_add_test(tcase, the_one_that_began_last_counts);
    tcase_add_test(tcase, any_order_leads_to_the_same_plan);
    tcase_add_test(tcase, what_no_event_may_say);
    suite_add_tcase(suite, tcase);
    return suite;
}
