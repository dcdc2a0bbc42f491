/* Names to addresses on a plain thread, with a resolver that answers when it likes. */
#include "base/clock.h"

#include "loop/resolve.h"

#include <check.h>
#include <dlfcn.h>
#include <semaphore.h>
#include <string.h>

#define SLOW_HOST "slow.invalid"

static sem_t answers; /* the slow resolver may answer */
static sem_t answered;

/* The process's own: libc's behind it, but for one name. */
int getaddrinfo(const char *restrict host, const char *restrict port,
                const struct addrinfo *restrict hints, struct addrinfo **restrict places)
{
    typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    union {
        void *found;
        resolver *call;
    } next = {.found = dlsym(RTLD_NEXT, "getaddrinfo")};
    ck_assert_ptr_nonnull(next.found);
    bool slow = host != NULL && strcmp(host, SLOW_HOST) == 0 &&
                (hints->ai_flags & AI_NUMERICHOST) == 0;
    if (!slow)
        return next.call(host, port, hints, places);
    ck_assert_int_eq(sem_wait(&answers), 0);
    int failed = next.call("127.0.0.1", port, hints, places);
    ck_assert_int_eq(sem_post(&answered), 0);
    return failed;
}

static int resolve(struct ctx *ctx, const char *host, uint64_t timeout_ns, struct addrinfo **places)
{
    ctx_init(ctx, NULL, NULL);
    return resolve_stream(ctx, host, "3000", deadline_after(clock_now(), timeout_ns), places);
}

START_TEST(a_slow_resolver_does_not_keep_its_caller)
{
    struct ctx ctx;
    struct addrinfo *places = NULL;
    ck_assert_int_eq(sem_init(&answers, 0, 0), 0);
    ck_assert_int_eq(sem_init(&answered, 0, 0), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ne(resolve(&ctx, SLOW_HOST, 20 * NS_PER_MS, &places), OK);
        ck_assert_int_eq(ctx.fault.kind, FAULT_TIMEOUT);
        ck_assert_ptr_null(places);
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sem_post(&answers), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(sem_wait(&answered), 0);
    /* and one that is in time is an answer */
    ck_assert_int_eq(sem_post(&answers), 0);
    ck_assert_int_eq(resolve(&ctx, SLOW_HOST, 20 * NS_PER_S, &places), OK);
    ck_assert_ptr_nonnull(places);
    freeaddrinfo(places);
}
END_TEST

START_TEST(an_address_is_its_own_answer)
{
    struct ctx ctx;
    struct addrinfo *places = NULL;
    ck_assert_int_eq(resolve(&ctx, "::1", 0, &places), OK); /* no wait at all */
    ck_assert_int_eq(places->ai_family, AF_INET6);
    freeaddrinfo(places);
    places = NULL;
    ck_assert_int_ne(resolve(&ctx, "a name", 20 * NS_PER_S, &places), OK);
    ck_assert_int_eq(ctx.fault.kind, FAULT_CONFIG);
    ck_assert_ptr_null(places);
}
END_TEST

Suite *suite_loop_resolve(void);
Suite *suite_loop_resolve(void)
{
    Suite *suite = suite_create("loop_resolve");
    TCase *tests = tcase_create("names");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_slow_resolver_does_not_keep_its_caller);
    tcase_add_test(tests, an_address_is_its_own_answer);
    suite_add_tcase(suite, tests);
    return suite;
}
