/* The pool when connections cannot be had, hang, grow old or are cut off: through a forwarder that fails on
 * command. */
#include "tests/integration/store/jobs.h"
#include "tests/integration/store/proxy.h"

static struct proxy proxy;

/* A store behind the forwarder; nothing is connected yet. */
static void outage_open(uint32_t size, uint64_t max_age_ns)
{
    static char url[URL_SIZE];
    memset(&crew, 0, sizeof crew);
    crew.loop = loop_new(0);
    proxy_open(&proxy, url_port(env("STACK_DATABASE_URL")));
    url_with(url, env("STACK_DATABASE_URL"), proxy.port, NULL);
    struct store_settings settings = store_defaults(url);
    settings.sizes[LOGIN_APP] = size;
    settings.queue = 64;
    settings.max_age_ns = max_age_ns;
    settings.connect_timeout_ns = 500 * NS_PER_MS;
    db_open(crew.loop, &settings);
}

static void outage_close(void)
{
    crew_close();
    proxy_close(&proxy);
}

/* While nothing can be connected a caller waits for the attempt that is under way, those behind it for
 * nothing at all. */
START_TEST(callers_are_refused_at_once)
{
    outage_open(3, 0);
    proxy_set(&proxy, PROXY_REFUSE);
    for (int i = 0; i < 5; i++)
        job_start(JOB_NAP, 1, 10 * NS_PER_S);
    all_end();
    for (int i = 0; i < 20; i++)
        job_start(JOB_NAP, 1, 10 * NS_PER_S);
    all_end();
    for (size_t i = 0; i < crew.count; i++) {
        expect_job(&crew.jobs[i], DATABASE_UNAVAILABLE);
        ck_assert_uint_lt(crew.jobs[i].took_ns, 3 * NS_PER_S);
    }
    ck_assert_int_gt(counted("tenant_db_refused_down_total{login=\"app\"}"), 0);
    ck_assert_str_ne(store_trouble(db.store, LOGIN_APP), "");
    ck_assert_ptr_null(strstr(store_trouble(db.store, LOGIN_APP), "\n"));
    proxy_set(&proxy, PROXY_PASS);
    turn_until(conns(CONN_IDLE) > 0, 6); /* by itself: nobody asks */
    ck_assert_str_eq(store_trouble(db.store, LOGIN_APP), "");
    expect_whole();
    outage_close();
}
END_TEST

/* Attempts go on with growing pauses, one at a time, however many ask. */
START_TEST(attempts_are_few)
{
    outage_open(3, 0);
    proxy_set(&proxy, PROXY_REFUSE);
    uint64_t end = deadline_after(clock_now(), 2 * NS_PER_S);
    while (clock_now() < end) {
        if (crew.count < JOBS_MAX - 10)
            job_start(JOB_NAP, 1, 0);
        turn_for(10);
        ck_assert_uint_le(conns(CONN_CONNECTING), crew.ended == 0 ? 3 : 1);
    }
    all_end();
    ck_assert_uint_ge(proxy.connections, 3);
    ck_assert_uint_le(proxy.connections, 16);
    proxy_set(&proxy, PROXY_PASS);
    turn_until(conns(CONN_IDLE) > 0, 6);
    expect_whole();
    outage_close();
}
END_TEST

/* A handshake that hangs ends by its own limit, long before the caller's deadline. */
START_TEST(a_handshake_that_hangs_has_an_end)
{
    outage_open(2, 0);
    proxy_set(&proxy, PROXY_MUTE);
    struct job *job = job_start(JOB_NAP, 1, 10 * NS_PER_S);
    all_end();
    expect_job(job, DATABASE_UNAVAILABLE);
    ck_assert_uint_ge(job->took_ns, 400 * NS_PER_MS);
    ck_assert_uint_lt(job->took_ns, 5 * NS_PER_S);
    ck_assert_ptr_nonnull(strstr(store_trouble(db.store, LOGIN_APP), "no answer in time"));
    proxy_set(&proxy, PROXY_PASS);
    turn_until(conns(CONN_IDLE) > 0, 6);
    expect_whole();
    outage_close();
}
END_TEST

/* Who waits for a place that could not be filled gets it when it can, not only when somebody new asks. */
START_TEST(places_are_filled_for_those_who_wait)
{
    outage_open(3, 0);
    struct job *holder = job_start(JOB_NAP, 2500, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    proxy_set(&proxy, PROXY_REFUSE);
    for (int i = 0; i < 4; i++)
        job_start(JOB_NAP, 700, 0);
    turn_until(counted("tenant_db_connect_failures_total{login=\"app\"}") > 0, 2);
    ck_assert_uint_eq(waiting(), 4);
    proxy_set(&proxy, PROXY_PASS);
    turn_until(conns(CONN_BUSY) == 3, 2);
    ck_assert(!holder->ended);
    all_end();
    for (size_t i = 0; i < crew.count; i++)
        expect_job(&crew.jobs[i], OK);
    expect_whole();
    outage_close();
}
END_TEST

/* Old connections are replaced between two callers, and nobody notices. */
START_TEST(connections_grow_old)
{
    outage_open(2, 100 * NS_PER_MS);
    for (int i = 0; i < 100; i++) {
        job_start(JOB_WRITE, 1, 5 * NS_PER_S);
        turn_for(10);
    }
    all_end();
    for (size_t i = 0; i < crew.count; i++)
        expect_job(&crew.jobs[i], OK);
    ck_assert_int_ge(counted("tenant_db_connects_total{login=\"app\"}"), 8);
    ck_assert_int_le(counted("tenant_db_connects_total{login=\"app\"}"), 60);
    db.store->max_age_ns = 60 * NS_PER_S;
    turn_for(150);
    expect_whole();
    outage_close();
}
END_TEST

/* A COMMIT whose answer was cut off is uncertain; one that never left is not. */
START_TEST(a_cut_commit_is_told_as_what_it_is)
{
    outage_open(1, 0);
    expect_whole();
    struct job *before = job_start(JOB_PAUSE, 0, 0);
    turn_until(before->paused, 2);
    proxy_set(&proxy, PROXY_CUT_AFTER);
    ck_assert(waitq_wake(&before->pause, NULL));
    all_end();
    expect_job(before, COMMIT_UNCERTAIN);
    wait_for(open_transactions() == 0, 5);
    ck_assert_int_eq(rows_of("tenants", &before->tenant.id), 1); /* it did happen */
    struct job *never = job_start(JOB_PAUSE, 0, 0);
    turn_until(never->paused, 5);
    proxy_set(&proxy, PROXY_CUT_BEFORE);
    ck_assert(waitq_wake(&never->pause, NULL));
    all_end();
    expect_job(never, COMMIT_UNCERTAIN);
    wait_for(open_transactions() == 0, 5);
    ck_assert_int_eq(rows_of("tenants", &never->tenant.id), 0);
    ck_assert_int_eq(counted("tenant_db_commits_total{outcome=\"uncertain\"}"), 2);
    expect_whole();
    outage_close();
}
END_TEST

/* A server that takes requests and does not answer holds a caller until its deadline, not longer. */
START_TEST(silence_ends_with_the_deadline)
{
    outage_open(2, 0);
    expect_whole();
    proxy_set(&proxy, PROXY_STALL);
    struct job *reader = job_start(JOB_NAP, 1, 400 * NS_PER_MS);
    struct job *writer = job_start(JOB_WRITE, 1, 400 * NS_PER_MS);
    struct job *behind = job_start(JOB_NAP, 1, 300 * NS_PER_MS);
    all_end();
    expect_job(reader, FAULT_TIMEOUT);
    expect_job(writer, COMMIT_UNCERTAIN);
    expect_job(behind, FAULT_TIMEOUT);
    for (size_t i = crew.count - 3; i < crew.count; i++)
        ck_assert_uint_lt(crew.jobs[i].took_ns, 2 * NS_PER_S);
    proxy_set(&proxy, PROXY_PASS);
    expect_whole();
    outage_close();
}
END_TEST

/* Closing takes connections in every state: idle, connecting, draining. */
START_TEST(closing_needs_no_patience)
{
    outage_open(3, 0);
    struct job *idle = job_start(JOB_NAP, 1, 0);
    all_end();
    expect_job(idle, OK);
    struct job *drained = job_start(JOB_NEVER, 2000, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    turn_for(50);
    proxy_set(&proxy, PROXY_MUTE);
    struct job *connecting = job_start(JOB_NAP, 1, 0);
    turn_until(conns(CONN_CONNECTING) == 1, 2);
    task_cancel(drained->task);
    task_cancel(connecting->task);
    all_end();
    expect_job(drained, FAULT_CANCELLED);
    expect_job(connecting, FAULT_CANCELLED);
    ck_assert_uint_eq(conns(CONN_DRAINING), 1);
    ck_assert_uint_eq(conns(CONN_CONNECTING), 1);
    uint64_t began = clock_now();
    outage_close();
    ck_assert_uint_lt(clock_now() - began, 900 * NS_PER_MS);
}
END_TEST

Suite *suite_store_outage_it(void);
Suite *suite_store_outage_it(void)
{
    Suite *suite = suite_create("store_outage");
    TCase *tests = tcase_create("outage");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, callers_are_refused_at_once);
    tcase_add_test(tests, attempts_are_few);
    tcase_add_test(tests, a_handshake_that_hangs_has_an_end);
    tcase_add_test(tests, places_are_filled_for_those_who_wait);
    tcase_add_test(tests, connections_grow_old);
    tcase_add_test(tests, a_cut_commit_is_told_as_what_it_is);
    tcase_add_test(tests, silence_ends_with_the_deadline);
    tcase_add_test(tests, closing_needs_no_patience);
    suite_add_tcase(suite, tests);
    return suite;
}
