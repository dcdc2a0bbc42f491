/* The pauses between failed connects are those of gRPC's connection-backoff.md. */
#include "caller.h"

#include "client/channel_int.h"

#define FIRST_NS (1000 * NS_PER_S) /* so long that how long a connect takes is nothing beside it */
#define MOST_NS (20000 * NS_PER_S)
#define FAILURES 10
#define ROUNDS 30

/* Refused, as if the pause before were over: the share of `wanted_ns` that the next one is. */
static double fail_once(double wanted_ns)
{
    channel->not_before_ns = 0;
    uint64_t before = clock_now();
    ask_in_vain(FAULT_IO);
    uint64_t after = clock_now();
    ck_assert_uint_gt(channel->not_before_ns, after);
    double least = (double)(channel->not_before_ns - after) / wanted_ns;
    double most = (double)(channel->not_before_ns - before) / wanted_ns;
    ck_assert_msg(most >= 0.7999 && least <= 1.2001, "%f to %f of %f", least, most, wanted_ns);
    return least;
}

/* "the current backoff is multiplied by MULTIPLIER (1.6) … up to MAX_BACKOFF", "JITTER … 0.2". */
START_TEST(pauses_grow_up_to_the_most_with_jitter)
{
    double least = 1, most = 1, sum = 0;
    close(server.listener);
    server.listener = -1;
    for (int round = 0; round < ROUNDS; round++) {
        double wanted = FIRST_NS;
        client_channel_free(channel);
        channel = scripted_channel(&server, (struct client_settings){.backoff_first_ns = FIRST_NS,
                                                                     .backoff_max_ns = MOST_NS});
        for (unsigned failures = 1; failures <= FAILURES; failures++) {
            double share = fail_once(wanted);
            ck_assert_uint_eq(channel->failures, failures);
            least = share < least ? share : least;
            most = share > most ? share : most;
            sum += share;
            wanted = wanted * 1.6 < (double)MOST_NS ? wanted * 1.6 : (double)MOST_NS;
        }
    }
    /* drawn evenly: that 300 of them leave a tenth of the range alone happens once in 10^13 */
    ck_assert_double_lt(least, 0.84);
    ck_assert_double_gt(most, 1.16);
    ck_assert_double_gt(sum / (ROUNDS * FAILURES), 0.95);
    ck_assert_double_lt(sum / (ROUNDS * FAILURES), 1.05);
    scripted_start(&server);
}
END_TEST

Suite *suite_client_backoff(void);
Suite *suite_client_backoff(void)
{
    Suite *suite = suite_create("client/backoff");
    TCase *tests = caller_case("pauses");
    tcase_add_test(tests, pauses_grow_up_to_the_most_with_jitter);
    suite_add_tcase(suite, tests);
    return suite;
}
