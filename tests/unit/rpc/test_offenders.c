/* Who offended is paced, nobody else; who stops is forgotten. */
#include "rpc/offenders.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const struct offender_pace pace = {
    .burst = 3, .rate = 10, .memory_ns = 60 * NS_PER_S, .patience_ns = NS_PER_S};
#define EACH (NS_PER_S / 10)
#define BEGIN (1000 * NS_PER_S)

static struct peer_address address_of(const char *text)
{
    struct sockaddr_storage storage = {.ss_family = AF_INET};
    struct sockaddr_in *v4 = (void *)&storage;
    struct sockaddr_in6 *v6 = (void *)&storage;
    if (inet_pton(AF_INET, text, &v4->sin_addr) != 1) {
        storage = (struct sockaddr_storage){.ss_family = AF_INET6};
        ck_assert_int_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    }
    return peer_address_of(&storage);
}

static bool is_same(const char *one, const char *other)
{
    struct peer_address a = address_of(one);
    struct peer_address b = address_of(other);
    return memcmp(&a, &b, sizeof a) == 0;
}

START_TEST(a_network_is_one_address)
    {
        ck_assert(is_same("192.0.2.1", "192.0.2.1"));
        ck_assert(!is_same("192.0.2.1", "192.0.2.2"));
        ck_assert(is_same("192.0.2.1", "::ffff:192.0.2.1")); /* on a socket for both */
        ck_assert(!is_same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        ck_assert(is_same("2001:db8::1", "2001:db8::ffff:ffff"));
        ck_assert(!is_same("2001:db8::1", "2001:db8:0:1::1"));
        ck_assert(!is_same("::1", "0.0.0.1"));
    }
END_TEST

START_TEST(who_has_not_offended_does_not_wait)
    {
        struct offenders *offenders = offenders_new();
        struct peer_address bad = address_of("192.0.2.1");
        struct peer_address good = address_of("192.0.2.2");
        for (int i = 0; i < 100; i++)
            ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, BEGIN), BEGIN);
        offenders_note(offenders, &bad, BEGIN);
        for (int i = 0; i < 100; i++)
            ck_assert_uint_eq(offenders_turn(offenders, &good, &pace, BEGIN), BEGIN);
        offenders_free(offenders);
    }
END_TEST

START_TEST(a_burst_then_the_rate)
    {
        struct offenders *offenders = offenders_new();
        struct peer_address bad = address_of("192.0.2.1");
        offenders_note(offenders, &bad, BEGIN);
        for (int i = 0; i < 3; i++)
            ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, BEGIN), BEGIN);
        for (uint64_t i = 1; i <= 10; i++)
            ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, BEGIN), BEGIN + i * EACH);
        /* more than patience: refused, and not counted */
        ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, BEGIN), NO_DEADLINE);
        ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, BEGIN + EACH), BEGIN + 11 * EACH);
        /* what is not used fills the burst again, and no more than that */
        uint64_t later = BEGIN + 30 * NS_PER_S;
        for (int i = 0; i < 3; i++)
            ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, later), later);
        ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, later), later + EACH);
        offenders_free(offenders);
    }
END_TEST

START_TEST(an_offence_is_forgotten)
    {
        struct offenders *offenders = offenders_new();
        struct peer_address bad = address_of("192.0.2.1");
        struct offender_pace never = pace;
        never.memory_ns = 0;
        offenders_note(offenders, &bad, BEGIN);
        uint64_t last = BEGIN + 60 * NS_PER_S - 1;
        for (int i = 0; i < 3; i++)
            (void)offenders_turn(offenders, &bad, &pace, last);
        ck_assert_uint_gt(offenders_turn(offenders, &bad, &pace, last), last);
        ck_assert_uint_eq(offenders_turn(offenders, &bad, &never, last), last);
        ck_assert_uint_eq(offenders_turn(offenders, &bad, &pace, last + 1), last + 1);
        /* until the next one */
        offenders_note(offenders, &bad, last + 2);
        ck_assert_uint_gt(offenders_turn(offenders, &bad, &pace, last + 2), last + 2);
        offenders_free(offenders);
    }
END_TEST

static struct peer_address nth(unsigned n)
{
    char text[32];
    snprintf(text, sizeof text, "10.0.%u.%u", n / 256, n % 256);
    return address_of(text);
}

static bool is_paced(struct offenders *offenders, unsigned n, uint64_t now_ns)
{
    struct peer_address address = nth(n);
    bool waits = false;
    for (int i = 0; i < 4; i++)
        waits = offenders_turn(offenders, &address, &pace, now_ns) != now_ns;
    return waits;
}

/* However many there are, the table stays as it is; the oldest offence makes room. */
START_TEST(the_table_is_bounded)
    {
        struct offenders *offenders = offenders_new();
        for (unsigned n = 0; n < 5000; n++) {
            struct peer_address address = nth(n);
            offenders_note(offenders, &address, BEGIN + n);
            if (n >= 100) { /* goes on offending */
                struct peer_address faithful = nth(99);
                offenders_note(offenders, &faithful, BEGIN + n);
            }
        }
        ck_assert(is_paced(offenders, 4999, BEGIN + 5000));
        ck_assert(is_paced(offenders, 4500, BEGIN + 5000));
        ck_assert(is_paced(offenders, 99, BEGIN + 5000));
        ck_assert(!is_paced(offenders, 0, BEGIN + 5000));
        ck_assert(!is_paced(offenders, 4000, BEGIN + 5000));
        offenders_free(offenders);
    }
END_TEST

Suite *suite_rpc_offenders(void);
Suite *suite_rpc_offenders(void)
{
    Suite *suite = suite_create("rpc_offenders");
    TCase *tests = tcase_create("offenders");
    tcase_add_test(tests, a_network_is_one_address);
    tcase_add_test(tests, who_has_not_offended_does_not_wait);
    tcase_add_test(tests, a_burst_then_the_rate);
    tcase_add_test(tests, an_offence_is_forgotten);
    tcase_add_test(tests, the_table_is_bounded);
    suite_add_tcase(suite, tests);
    return suite;
}
