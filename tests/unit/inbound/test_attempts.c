/* Which failures are an event's own, and how many of these an event had. */
#include "inbound/attempts.h"

#include "base/clock.h"
#include "base/result.h"

#include "gen/errors.h"

#include <check.h>
#include <stdlib.h>

static struct attempts *attempts;

static void setup(void)
{
    attempts = calloc(1, sizeof *attempts);
}

static void teardown(void)
{
    free(attempts);
}

START_TEST(what_is_away_is_no_fault_of_the_event)
    {
        static const int passing[] = {
            FAULT_DATABASE, FAULT_TIMEOUT,    FAULT_BROKER,      FAULT_CANCELLED,
            FAULT_IO,       FAULT_TLS,        FAULT_CONFIG,      FAULT_CACHE,
            OVERLOADED,     COMMIT_UNCERTAIN, CONCURRENT_CHANGE, DATABASE_UNAVAILABLE,
        };
        for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
            ck_assert_msg(!failure_is_own(passing[i]), "%d", passing[i]);
    }
END_TEST

START_TEST(what_the_database_does_not_like_is_the_events_own)
    {
        static const int own[] = {FAULT_INTERNAL, FAULT_PROTOCOL, VERSION_CONFLICT, INVALID_PLAN,
                                  INVALID_ARGUMENT};
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
            ck_assert_msg(failure_is_own(own[i]), "%d", own[i]);
    }
END_TEST

START_TEST(each_event_has_its_count)
    {
        for (unsigned i = 1; i <= ATTEMPTS_MAX; i++) {
            ck_assert_uint_eq(attempts_failed(attempts, 7), i);
            ck_assert_uint_eq(attempts_failed(attempts, 8), i);
        }
        attempts_forget(attempts, 7);
        attempts_forget(attempts, 9);
        ck_assert_uint_eq(attempts_failed(attempts, 7), 1);
        ck_assert_uint_eq(attempts_failed(attempts, 8), ATTEMPTS_MAX + 1);
    }
END_TEST

START_TEST(only_what_has_a_letter_is_known_for_dead)
    {
        ck_assert(!attempts_is_lettered(attempts, 7));
        attempts_failed(attempts, 7);
        ck_assert(!attempts_is_lettered(attempts, 7));
        attempts_letter(attempts, 7);
        attempts_letter(attempts, 8);
        ck_assert(attempts_is_lettered(attempts, 7));
        ck_assert(attempts_is_lettered(attempts, 8));
        ck_assert(!attempts_is_lettered(attempts, 9));
        attempts_forget(attempts, 7);
        ck_assert(!attempts_is_lettered(attempts, 7));
    }
END_TEST

START_TEST(the_one_that_has_not_failed_for_longest_makes_room)
    {
        for (uint64_t key = 1; key <= ATTEMPTS_EVENTS; key++)
            ck_assert_uint_eq(attempts_failed(attempts, key), 1);
        ck_assert_uint_eq(attempts_failed(attempts, 1), 2);
        ck_assert_uint_eq(attempts_failed(attempts, ATTEMPTS_EVENTS + 1), 1);
        ck_assert_uint_eq(attempts_failed(attempts, 1), 3);
        ck_assert_uint_eq(attempts_failed(attempts, 3), 2);
        ck_assert_uint_eq(attempts_failed(attempts, 2), 1);
        attempts_forget(attempts, 5);
        ck_assert_uint_eq(attempts_failed(attempts, 4), 1); /* it had made room for 2 */
        ck_assert_uint_eq(attempts_failed(attempts, 6), 2);
    }
END_TEST

START_TEST(there_are_waits_between_its_attempts)
    {
        uint64_t sum = 0;
        for (unsigned i = 1; i < ATTEMPTS_MAX; i++) {
            uint64_t wait = attempts_wait_ns(i);
            ck_assert(wait >= NS_PER_S && wait <= 10 * NS_PER_S);
            sum += wait;
        }
        ck_assert(sum >= (ATTEMPTS_MAX - 1) * NS_PER_S);
    }
END_TEST

Suite *suite_inbound_attempts(void);
Suite *suite_inbound_attempts(void)
{
    Suite *suite = suite_create("inbound_attempts");
    TCase *tests = tcase_create("attempts");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_away_is_no_fault_of_the_event);
    tcase_add_test(tests, what_the_database_does_not_like_is_the_events_own);
    tcase_add_test(tests, each_event_has_its_count);
    tcase_add_test(tests, only_what_has_a_letter_is_known_for_dead);
    tcase_add_test(tests, the_one_that_has_not_failed_for_longest_makes_room);
    tcase_add_test(tests, there_are_waits_between_its_attempts);
    suite_add_tcase(suite, tests);
    return suite;
}
