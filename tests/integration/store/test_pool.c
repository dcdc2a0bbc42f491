/* The pool under more callers than connections: order, bounds, deadlines, cancellation, and sessions that the
 * server ends.  After each the pool must be whole. */
#include "tests/integration/store/jobs.h"

/* --- order --------------------------------------------------------------------------------------------- */

START_TEST(first_come_first_served)
{
    crew_open(false, 1, 64);
    size_t first = crew.count;
    for (int i = 0; i < 64; i++)
        job_start(JOB_NAP, (int)random_below(8), 0);
    turn_until(waiting() == 63, 5);
    all_end();
    for (size_t i = first; i < crew.count; i++) {
        expect_job(&crew.jobs[i], OK);
        ck_assert_uint_eq(crew.jobs[i].ended_as, crew.jobs[i].began_as);
    }
    expect_whole();
    crew_close();
}
END_TEST

/* Who comes back at once, in the very turn in which a connection is given, stands behind those who wait. */
static void come_back(struct job *job)
{
    if (crew.count < 150)
        job_start(job->kind, (int)random_below(4), 0);
}

START_TEST(nobody_overtakes_those_who_wait)
{
    crew_open(false, 1, 64);
    size_t first = crew.count;
    crew.on_end = come_back;
    for (int i = 0; i < 10; i++)
        job_start(i % 2 == 0 ? JOB_NAP : JOB_WRITE, 2, 0);
    all_end();
    crew.on_end = NULL;
    ck_assert_uint_eq(crew.count, 150);
    for (size_t i = first; i < crew.count; i++) {
        expect_job(&crew.jobs[i], OK);
        ck_assert_uint_eq(crew.jobs[i].ended_as, crew.jobs[i].began_as);
    }
    expect_whole();
    crew_close();
}
END_TEST

/* The line holds whoever came last, in the order of coming: nobody was passed over. */
static void expect_line(void)
{
    unsigned place = crew.begun - (unsigned)waiting();
    const struct list *line = &db.store->pools[LOGIN_APP].waiters.waiters;
    for (struct list_node *node = list_first(line); node != NULL; node = list_next(line, node)) {
        const struct waiter *waiter = list_entry(node, struct waiter, node);
        const struct job *job = NULL;
        for (size_t i = 0; i < crew.count; i++)
            job = crew.jobs[i].task == waiter->task ? &crew.jobs[i] : job;
        ck_assert_ptr_nonnull(job);
        ck_assert_uint_eq(job->began_as, place++);
    }
}

/* With several connections the one with a short statement ends first, but the line stays a line. */
START_TEST(several_connections_share_one_line)
{
    crew_open(false, 3, 64);
    size_t first = crew.count;
    for (int i = 0; i < 60; i++)
        job_start(i % 2 == 0 ? JOB_NAP : JOB_WRITE, i % 10 == 0 ? 60 : 5, 0);
    turn_until(conns(CONN_BUSY) == 3 && waiting() == 57, 5);
    while (crew.ended < crew.count) {
        ck_assert_uint_le(conns(CONN_BUSY), 3);
        ck_assert(waiting() == 0 || conns(CONN_IDLE) == 0);
        expect_line();
        loop_turn(crew.loop, 5 * NS_PER_MS);
    }
    for (size_t i = first; i < crew.count; i++)
        expect_job(&crew.jobs[i], OK);
    ck_assert_int_eq(counted("tenant_db_connects_total{login=\"app\"}"), 3);
    expect_whole();
    crew_close();
}
END_TEST

/* --- bounds and deadlines --------------------------------------------------------------------------------- */

START_TEST(the_queue_has_an_end)
{
    crew_open(false, 1, 4);
    struct job *holder = job_start(JOB_NAP, 1500, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    size_t first = crew.count;
    for (int i = 0; i < 10; i++)
        job_start(JOB_NAP, 1, 0);
    turn_until(crew.ended == first - 1 + 6, 2);
    ck_assert(!holder->ended);
    ck_assert_uint_eq(waiting(), 4);
    ck_assert_int_eq(counted("tenant_db_connections_waiting{login=\"app\"}"), 4);
    all_end();
    for (size_t i = first; i < crew.count; i++) {
        expect_job(&crew.jobs[i], i < first + 4 ? OK : OVERLOADED);
        if (i >= first + 4)
            ck_assert_uint_lt(crew.jobs[i].took_ns, 500 * NS_PER_MS);
    }
    ck_assert_int_eq(counted("tenant_db_queue_full_total{login=\"app\"}"), 6);
    expect_whole();
    crew_close();
}
END_TEST

START_TEST(without_a_queue_nobody_waits)
{
    crew_open(false, 1, 0);
    struct job *holder = job_start(JOB_NAP, 1000, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    struct job *other = job_start(JOB_NAP, 1, 0);
    all_end();
    expect_job(holder, OK);
    expect_job(other, OVERLOADED);
    struct job *later = job_start(JOB_NAP, 1, 0);
    all_end();
    expect_job(later, OK);
    expect_whole();
    crew_close();
}
END_TEST

START_TEST(who_waits_too_long_leaves_the_line)
{
    crew_open(false, 1, 16);
    struct job *holder = job_start(JOB_NAP, 2000, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    struct job *hasty = job_start(JOB_NAP, 1, 100 * NS_PER_MS);
    struct job *patient = job_start(JOB_NAP, 1, 5 * NS_PER_S);
    struct job *hasty_too = job_start(JOB_NAP, 1, 150 * NS_PER_MS);
    turn_until(hasty->ended && hasty_too->ended, 2);
    ck_assert(!holder->ended);
    ck_assert_uint_eq(waiting(), 1);
    expect_job(hasty, FAULT_TIMEOUT);
    expect_job(hasty_too, FAULT_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(hasty->ctx.fault.text, "a database connection"));
    ck_assert_uint_ge(hasty->took_ns, 100 * NS_PER_MS);
    ck_assert_uint_lt(hasty->took_ns, NS_PER_S);
    all_end();
    expect_job(holder, OK);
    expect_job(patient, OK);
    ck_assert_int_eq(counted("tenant_db_connects_total{login=\"app\"}"), 1);
    expect_whole();
    crew_close();
}
END_TEST

/* Deadlines that pass at about the time of the hand-over: the connection is never lost between the two. */
START_TEST(hand_over_and_deadline_at_once)
{
    crew_open(false, 2, 200);
    for (int i = 0; i < 200; i++)
        job_start(i % 3 == 0 ? JOB_WRITE : JOB_NAP, 3, (5 + random_below(400)) * NS_PER_MS);
    all_end();
    unsigned ok = 0;
    unsigned late = 0;
    for (size_t i = 2; i < crew.count; i++) {
        const struct job *job = &crew.jobs[i];
        ok += job->rc == OK;
        late += job->rc == FAULT_TIMEOUT;
        if (job->kind == JOB_WRITE && job->rc != COMMIT_UNCERTAIN)
            ck_assert_int_eq(rows_of("tenants", &job->tenant.id), job->rc == OK);
    }
    ck_assert_uint_gt(ok, 5);
    ck_assert_uint_gt(late, 5);
    expect_whole();
    crew_close();
}
END_TEST

/* --- cancellation --------------------------------------------------------------------------------------- */

START_TEST(cancelled_while_waiting)
{
    crew_open(false, 1, 16);
    struct job *holder = job_start(JOB_NAP, 1500, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    struct job *gone = job_start(JOB_WRITE, 1, 0);
    struct job *behind = job_start(JOB_WRITE, 1, 0);
    turn_until(waiting() == 2, 2);
    task_cancel(gone->task);
    turn_until(gone->ended, 1);
    ck_assert(!holder->ended);
    expect_job(gone, FAULT_CANCELLED);
    ck_assert_uint_eq(waiting(), 1);
    all_end();
    expect_job(holder, OK);
    expect_job(behind, OK);
    ck_assert_int_eq(rows_of("tenants", &gone->tenant.id), 0);
    ck_assert_int_eq(counted("tenant_db_connections_dropped_total{login=\"app\"}"), 0);
    expect_whole();
    crew_close();
}
END_TEST

/* The connection is cleaned behind the caller's back and kept; who waits for it is next. */
START_TEST(cancelled_while_running)
{
    crew_open(false, 1, 16);
    struct job *gone = job_start(JOB_NEVER, 900, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    turn_for(100);
    struct job *behind = job_start(JOB_WRITE, 1, 0);
    task_cancel(gone->task);
    turn_until(gone->ended, 1);
    expect_job(gone, FAULT_CANCELLED);
    ck_assert_uint_lt(gone->took_ns, 700 * NS_PER_MS); /* not the nap */
    ck_assert_uint_eq(conns(CONN_DRAINING), 1);
    all_end();
    expect_job(behind, OK);
    ck_assert_int_eq(rows_of("tenants", &gone->tenant.id), 0);
    ck_assert_int_eq(counted("tenant_db_connections_dropped_total{login=\"app\"}"), 0);
    ck_assert_int_eq(counted("tenant_db_connects_total{login=\"app\"}"), 1);
    expect_whole();
    crew_close();
}
END_TEST

/* A statement that would go on and on is cancelled, and costs neither the connection nor the caller behind. */
START_TEST(cancelled_in_a_long_statement)
{
    crew_open(false, 1, 16);
    struct job *gone = job_start(JOB_NEVER, 20000, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    turn_for(50);
    struct job *behind = job_start(JOB_WRITE, 1, 10 * NS_PER_S);
    task_cancel(gone->task);
    all_end();
    expect_job(gone, FAULT_CANCELLED);
    expect_job(behind, OK);
    ck_assert_int_eq(counted("tenant_db_cancels_total{result=\"sent\"}"), 1);
    ck_assert_int_eq(counted("tenant_db_connections_dropped_total{login=\"app\"}"), 0);
    ck_assert_int_eq(rows_of("tenants", &gone->tenant.id), 0);
    expect_whole();
    crew_close();
}
END_TEST

/* Once COMMIT is on its way the answer is waited for: the caller learns what happened. */
START_TEST(cancelled_while_committing)
{
    crew_open(false, 1, 16);
    struct job *job = job_start(JOB_WRITE, 500, 0);
    turn_until(conns(CONN_BUSY) == 1, 2);
    turn_for(50);
    task_cancel(job->task);
    all_end();
    expect_job(job, OK);
    ck_assert_int_eq(rows_of("tenants", &job->tenant.id), 1);
    expect_whole();
    crew_close();
}
END_TEST

/* Calls that come and go at random, as clients with short deadlines make them. */
START_TEST(a_storm_of_cancellations)
{
    crew_open(false, 3, 40);
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 5; i++)
            job_start(i % 2 == 0 ? JOB_WRITE : JOB_NEVER, (int)random_below(20), 10 * NS_PER_S);
        turn_for(10);
        for (size_t i = 3; i < crew.count; i++) {
            if (crew.jobs[i].task != NULL && random_below(2) == 0)
                task_cancel(crew.jobs[i].task);
        }
    }
    all_end();
    for (size_t i = 3; i < crew.count; i++) {
        const struct job *job = &crew.jobs[i];
        ck_assert_msg(job->rc == OK || job->rc == FAULT_CANCELLED || job->rc == OVERLOADED, "%d: %s",
                      job->rc, job->ctx.fault.text);
        ck_assert_int_eq(rows_of("tenants", &job->tenant.id), job->rc == OK && job->kind == JOB_WRITE);
    }
    ck_assert_int_eq(counted("tenant_db_connections_dropped_total{login=\"app\"}"), 0);
    expect_whole();
    crew_close();
}
END_TEST

/* --- sessions that the server ends --------------------------------------------------------------------------- */

/* Seen by the loop: the next caller meets a new connection. */
START_TEST(killed_while_idle)
{
    crew_open(false, 2, 16);
    ck_assert_int_eq(terminate("state = 'idle' AND application_name <> 'pgbouncer'") >= 2, 1);
    turn_until(conns(CONN_IDLE) == 0, 2);
    ck_assert_int_eq(counted("tenant_db_connections_dropped_total{login=\"app\"}"), 2);
    expect_whole();
    crew_close();
}
END_TEST

/* Not seen by the loop yet: the caller itself finds the connection dead, takes another and learns nothing. */
START_TEST(killed_while_idle_and_taken_at_once)
{
    crew_open(_i == 1, 2, 16);
    ck_assert_int_ge(terminate("state = 'idle'"), _i == 1 ? 1 : 2);
    wait_for(sql_count(db.rig.root, "pg_stat_activity WHERE usename = 'tenant_app' AND datname = "
                                    "current_database()") == 0, 5);
    usleep(50000);
    struct job *job = job_start(JOB_WRITE, 1, 0);
    all_end();
    expect_job(job, OK);
    expect_whole();
    crew_close();
}
END_TEST

START_TEST(killed_between_two_runs)
{
    crew_open(_i == 1, 1, 16);
    struct job *job = job_start(JOB_PAUSE, 0, 0);
    turn_until(job->paused, 2);
    ck_assert_int_eq(terminate("state = 'idle in transaction'"), 1);
    turn_for(50);
    ck_assert(waitq_wake(&job->pause, NULL));
    all_end();
    ck_assert_msg(job->rc == FAULT_DATABASE || job->rc == COMMIT_UNCERTAIN, "%d: %s", job->rc,
                  job->ctx.fault.text);
    ck_assert_int_eq(rows_of("tenants", &job->tenant.id), 0);
    expect_whole();
    crew_close();
}
END_TEST

/* COMMIT was sent along, but a session that the server itself ends never came to it: no uncertainty. */
START_TEST(killed_in_a_statement)
{
    crew_open(false, 1, 16);
    struct job *job = job_start(JOB_WRITE, 4000, 0);
    struct job *behind = job_start(JOB_WRITE, 1, 8 * NS_PER_S);
    turn_until(conns(CONN_BUSY) == 1, 2);
    turn_for(100);
    ck_assert_int_eq(terminate("state = 'active' AND pid <> pg_backend_pid()"), 1);
    all_end();
    expect_job(job, FAULT_DATABASE);
    ck_assert_uint_lt(job->took_ns, 3 * NS_PER_S);
    expect_job(behind, OK);
    ck_assert_int_eq(rows_of("tenants", &job->tenant.id), 0);
    ck_assert_int_eq(counted("tenant_db_connections_dropped_total{login=\"app\"}"), 1);
    ck_assert_int_eq(counted("tenant_db_commits_total{outcome=\"uncertain\"}"), 0);
    expect_whole();
    crew_close();
}
END_TEST

/* Sessions die at random moments: what was told is what is there, and the pool recovers by itself. */
START_TEST(a_storm_of_killed_sessions)
{
    crew_open(_i == 1, 3, 64);
    unsigned long killed = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 4; i++)
            job_start(JOB_WRITE, (int)random_below(10), 3 * NS_PER_S);
        turn_for(15);
        killed += (unsigned long)terminate("random() < 0.5");
    }
    all_end();
    unsigned ok = 0;
    unsigned broken = 0;
    for (size_t i = 3; i < crew.count; i++) {
        const struct job *job = &crew.jobs[i];
        ok += job->rc == OK;
        broken += job->rc != OK;
        if (job->rc != COMMIT_UNCERTAIN)
            ck_assert_msg(rows_of("tenants", &job->tenant.id) == (job->rc == OK), "%d: %s", job->rc,
                          job->ctx.fault.text);
    }
    ck_assert_uint_gt(killed, 10);
    ck_assert_uint_gt(ok, 20);
    ck_assert_uint_gt(broken, 0);
    expect_whole();
    crew_close();
}
END_TEST

static void expect_one_sync_at_most(void)
{
    struct pg_pool *pool = &db.store->pools[LOGIN_APP];
    for (int state = 0; state < CONN_STATE_COUNT; state++) {
        for (struct list_node *node = list_first(&pool->conns[state]); node != NULL;
             node = list_next(&pool->conns[state], node))
            ck_assert_uint_le(list_entry(node, struct pg_conn, node)->syncs, 1);
    }
}

/* PgBouncer takes a server back from a client that leaves when the server's last answer said "idle", whatever
 * else is on the way.  Two sync points on the way, a read's and the ROLLBACK's behind it, left the second answer
 * to the next client, whose own then went to a third: one tenant's rows to another tenant's caller. */
START_TEST(never_two_sync_points_on_the_way)
{
    crew_open(true, 4, 64);
    for (int i = 0; i < 60; i++) {
        job_start(i % 3 == 0 ? JOB_NEVER : JOB_NAP, 5 + (int)random_below(20),
                  (5 + random_below(15)) * NS_PER_MS);
        for (int turn = 0; turn < 8; turn++) {
            loop_turn(crew.loop, NS_PER_MS);
            expect_one_sync_at_most();
        }
    }
    while (crew.ended < crew.count || conns(CONN_DRAINING) > 0) {
        loop_turn(crew.loop, NS_PER_MS);
        expect_one_sync_at_most();
    }
    expect_whole();
    crew_close();
}
END_TEST

/* A client of that kind, which is not ours: two sync points, and away while the first is answered. */
static void leave_an_answer_behind(void)
{
    PGconn *pq = sql_open(env("STACK_DATABASE_URL"));
    ck_assert_int_eq(PQenterPipelineMode(pq), 1);
    for (int i = 0; i < 2; i++) {
        static const char *const texts[] = {"SELECT pg_sleep(0.002)", "ROLLBACK"};
        ck_assert_int_eq(PQsendQueryParams(pq, texts[i], 0, NULL, NULL, NULL, NULL, 0), 1);
        ck_assert_int_eq(PQpipelineSync(pq), 1);
        ck_assert_int_eq(PQflush(pq), 0);
    }
    turn_for(1 + (unsigned)random_below(3));
    PQfinish(pq);
}

/* Should a pooler ever give us somebody else's answer, nothing of it is used: the call fails or is right.  How many
 * come is a matter of the machine's timing. */
START_TEST(foreign_answers_are_not_used)
{
    crew_open(true, 4, 64);
    struct tenant mine = tenant_made();
    ck_assert_int_eq(add(&mine), OK);
    for (int round = 0; round < 150; round++) {
        leave_an_answer_behind();
        crew.count = crew.count > JOBS_MAX - 8 ? crew_forget() : crew.count;
        size_t first = crew.count;
        for (int i = 0; i < 3; i++)
            job_start(JOB_WRITE, 0, 0);
        all_end();
        for (size_t i = first; i < crew.count; i++) {
            const struct job *job = &crew.jobs[i];
            bool good = job->rc == OK || job->rc == DATABASE_UNAVAILABLE ||
                        job->rc == COMMIT_UNCERTAIN || job->rc == FAULT_DATABASE;
            ck_assert_msg(good, "%d: %s", job->rc, job->ctx.fault.text);
            if (job->rc == OK)
                ck_assert_int_eq(rows_of("tenants", &job->tenant.id), 1);
        }
    }
    crew_close();
}
END_TEST

Suite *suite_store_pool_it(void);
Suite *suite_store_pool_it(void)
{
    Suite *suite = suite_create("store_pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, first_come_first_served);
    tcase_add_test(tests, never_two_sync_points_on_the_way);
    tcase_add_test(tests, foreign_answers_are_not_used);
    tcase_add_test(tests, nobody_overtakes_those_who_wait);
    tcase_add_test(tests, several_connections_share_one_line);
    tcase_add_test(tests, the_queue_has_an_end);
    tcase_add_test(tests, without_a_queue_nobody_waits);
    tcase_add_test(tests, who_waits_too_long_leaves_the_line);
    tcase_add_test(tests, hand_over_and_deadline_at_once);
    tcase_add_test(tests, cancelled_while_waiting);
    tcase_add_test(tests, cancelled_while_running);
    tcase_add_test(tests, cancelled_in_a_long_statement);
    tcase_add_test(tests, cancelled_while_committing);
    tcase_add_test(tests, a_storm_of_cancellations);
    tcase_add_test(tests, killed_while_idle);
    tcase_add_loop_test(tests, killed_while_idle_and_taken_at_once, 0, 2);
    tcase_add_loop_test(tests, killed_between_two_runs, 0, 2);
    tcase_add_test(tests, killed_in_a_statement);
    tcase_add_loop_test(tests, a_storm_of_killed_sessions, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
