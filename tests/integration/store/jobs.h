/* Tasks that run transactions on one loop, and what became of them. */
#ifndef TESTS_STORE_JOBS_H
#define TESTS_STORE_JOBS_H

#include "tests/integration/store/db.h"

#include "loop/task.h"
#include "store/store_int.h"

#define JOBS_MAX 256

enum job_kind {
    JOB_NAP,     /* one run without a tenant */
    JOB_WRITE,   /* a new tenant, the nap and COMMIT in one run */
    JOB_PAUSE,   /* a new tenant; the test says when to go on to COMMIT */
    JOB_NEVER,   /* a new tenant and the nap in a run that is not committed */
};

struct job {
    enum job_kind kind;
    int nap_ms;
    uint64_t patience_ns; /* 0: none */
    struct task *task;    /* NULL after the end */
    struct arena *arena;
    struct ctx ctx;
    struct tenant tenant;
    bool paused;
    struct waitq pause;
    bool ended;
    int rc;
    unsigned began_as; /* how many asked before it */
    unsigned ended_as; /* how many ended before it */
    uint64_t took_ns;
};

/* The loop, the jobs and how many of them asked and ended. */
struct crew {
    struct loop *loop;
    struct job jobs[JOBS_MAX];
    size_t count;
    unsigned begun;
    unsigned ended;
    void (*on_end)(struct job *job); /* in the task, after its transaction; may be NULL */
};

static struct crew crew;

static inline int job_run(struct job *job)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct ctx *ctx = &job->ctx;
    const bool writes = job->kind != JOB_NAP;
    TRY(tx_begin(db.store, ctx, writes ? TX_WRITE : TX_CATALOG, writes ? &job->tenant.id : NULL, &tx));
    if (writes)
        tenant_store_insert(tx, &job->tenant);
    if (job->kind == JOB_PAUSE) {
        TRY(tx_run(tx));
        job->paused = true;
        (void)waitq_wait(ctx, &job->pause, NO_DEADLINE, NULL);
        job->paused = false;
        return tx_commit(tx);
    }
    queue_nap(tx, job->nap_ms);
    return job->kind == JOB_WRITE ? tx_commit(tx) : tx_run(tx);
}

static inline void job_main(struct task *task, void *argument)
{
    struct job *job = argument;
    job->task = task;
    job->ctx.task = task;
    job->began_as = crew.begun++;
    uint64_t began = clock_now();
    if (job->patience_ns > 0)
        job->ctx.deadline_ns = deadline_after(began, job->patience_ns);
    job->rc = job_run(job);
    job->took_ns = clock_now() - began;
    job->ended_as = crew.ended++;
    job->task = NULL;
    job->ended = true;
    if (crew.on_end != NULL)
        crew.on_end(job);
}

static inline struct job *job_start(enum job_kind kind, int nap_ms, uint64_t patience_ns)
{
    ck_assert_uint_lt(crew.count, JOBS_MAX);
    struct job *job = &crew.jobs[crew.count++];
    *job = (struct job){.kind = kind, .nap_ms = nap_ms, .patience_ns = patience_ns};
    job->arena = arena_new(0);
    ctx_init(&job->ctx, NULL, job->arena);
    waitq_init(&job->pause);
    job->tenant = tenant_sample(job->arena);
    ck_assert(task_start(crew.loop, job_main, job, NULL));
    return job;
}

static inline void turn_for(unsigned ms)
{
    uint64_t end = deadline_after(clock_now(), ms * NS_PER_MS);
    while (clock_now() < end)
        loop_turn(crew.loop, 5 * NS_PER_MS);
}

#define turn_until(condition, seconds)                                                             \
    do {                                                                                           \
        uint64_t end_ = deadline_after(clock_now(), (seconds)*NS_PER_S);                           \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_now() < end_, "not within %d s: %s", (int)(seconds), #condition);  \
            loop_turn(crew.loop, 5 * NS_PER_MS);                                                   \
        }                                                                                          \
    } while (0)

static inline void all_end(void)
{
    turn_until(crew.ended == crew.count, 20);
}

/* Makes room when all have ended. */
static inline size_t crew_forget(void)
{
    ck_assert_uint_eq(crew.ended, crew.count);
    for (size_t i = 0; i < crew.count; i++)
        arena_free(crew.jobs[i].arena);
    crew.ended = 0;
    return 0;
}

static inline void expect_job(const struct job *job, int rc)
{
    ck_assert(job->ended);
    ck_assert_msg(job->rc == rc, "job %td: %d, not %d: %s", job - crew.jobs, job->rc, rc,
                  job->ctx.fault.text);
}

static inline size_t conns(enum conn_state state)
{
    return db.store->pools[LOGIN_APP].conns[state].count;
}

static inline size_t waiting(void)
{
    return waitq_size(&db.store->pools[LOGIN_APP].waiters);
}

/* Whoever it was, whatever happened: nobody waits, nothing is open, every place can be filled and works. */
static inline void expect_whole(void)
{
    size_t size = db.store->pools[LOGIN_APP].size;
    ck_assert_uint_eq(waiting(), 0);
    turn_until(conns(CONN_BUSY) + conns(CONN_DRAINING) + conns(CONN_CONNECTING) == 0, 5);
    turn_until(open_transactions() == 0, 5);
    size_t first = crew.count;
    for (size_t i = 0; i < size; i++)
        job_start(JOB_WRITE, 50, 5 * NS_PER_S);
    all_end();
    for (size_t i = 0; i < size; i++) {
        expect_job(&crew.jobs[first + i], OK);
        ck_assert_int_eq(rows_of("tenants", &crew.jobs[first + i].tenant.id), 1);
    }
    ck_assert_uint_eq(conns(CONN_IDLE), size);
    ck_assert_int_eq(counted("tenant_db_connections_waiting{login=\"app\"}"), 0);
    ck_assert_int_eq(counted("tenant_db_connections_active{login=\"app\"}"), 0);
    ck_assert_int_eq(counted("tenant_db_connections_idle{login=\"app\"}"), (long)size);
}

/* A store of its own on the loop, at PostgreSQL itself or through PgBouncer, with every connection open. */
static inline void crew_open(bool pooled, uint32_t size, uint32_t queue)
{
    static char url[URL_SIZE];
    memset(&crew, 0, sizeof crew);
    crew.loop = loop_new(0);
    url_direct(url, "STACK_DATABASE_URL", NULL);
    struct store_settings settings = store_defaults(pooled ? env("STACK_DATABASE_URL") : url);
    settings.sizes[LOGIN_APP] = size;
    settings.queue = queue > size ? queue : size;
    db_open(crew.loop, &settings);
    expect_whole();
    db.store->queue = queue;
}

static inline void crew_close(void)
{
    ck_assert_uint_eq(task_count(crew.loop), 0);
    for (size_t i = 0; i < crew.count; i++)
        arena_free(crew.jobs[i].arena);
    db_close();
    loop_free(crew.loop);
}

#endif
