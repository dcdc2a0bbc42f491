/* What all workers count together: the connections of each identity. */
#include "rpc/rpc_int.h"

#include <check.h>
#include <stdio.h>

#define CALLERS 1000

static const char *uri(int number)
{
    static char text[64];
    snprintf(text, sizeof text, "spiffe://test/caller-%d", number);
    return text;
}

/* However many there are: a stranger's connections are never another's. */
START_TEST(each_identity_has_a_count_of_its_own)
{
    struct rpc_shared *shared = rpc_shared_new();
    for (int i = 0; i < CALLERS; i++)
        ck_assert(shared_identity_enter(shared, uri(i), 2));
    for (int i = 0; i < CALLERS; i++)
        ck_assert(shared_identity_enter(shared, uri(i), 2));
    ck_assert(!shared_identity_enter(shared, uri(CALLERS - 1), 2));
    ck_assert(!shared_identity_enter(shared, uri(0), 2));
    shared_identity_leave(shared, uri(0));
    ck_assert(shared_identity_enter(shared, uri(0), 2));
    for (int i = 0; i < 2 * CALLERS; i++)
        shared_identity_leave(shared, uri(i % CALLERS));
    rpc_shared_free(shared);
}
END_TEST

START_TEST(who_has_left_is_forgotten)
{
    struct rpc_shared *shared = rpc_shared_new();
    for (int i = 0; i < CALLERS; i++) {
        ck_assert(shared_identity_enter(shared, uri(i), 1));
        ck_assert(!shared_identity_enter(shared, uri(i), 1));
        shared_identity_leave(shared, uri(i));
    }
    ck_assert(!shared_identity_enter(shared, uri(0), 0));
    rpc_shared_free(shared); /* asserts that there is none left */
}
END_TEST

Suite *suite_rpc_shared(void);
Suite *suite_rpc_shared(void)
{
    Suite *suite = suite_create("rpc_shared");
    TCase *tests = tcase_create("identities");
    tcase_add_test(tests, each_identity_has_a_count_of_its_own);
    tcase_add_test(tests, who_has_left_is_forgotten);
    suite_add_tcase(suite, tests);
    return suite;
}
