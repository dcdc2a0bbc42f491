/* Opening and closing a store: settings to pools. */
#include "store/pg_cancel.h"
#include "store/store_int.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_NS (2 * NS_PER_S)
#define STATEMENT_TIMEOUT_NS (5 * NS_PER_S)
#define MAX_AGE_NS (1800 * NS_PER_S)

static uint64_t or_default(uint64_t value, uint64_t fallback);

int store_open(struct ctx *ctx, struct loop *loop, const struct store_settings *settings,
               struct metrics *metrics, struct store **out)
{
    struct store *store = xcalloc(1, sizeof *store);
    store->loop = loop;
    store->log = ctx->log;
    store->connect_timeout_ns = or_default(settings->connect_timeout_ns, CONNECT_TIMEOUT_NS);
    store->statement_timeout_ns = or_default(settings->statement_timeout_ns, STATEMENT_TIMEOUT_NS);
    store->max_age_ns = or_default(settings->max_age_ns, MAX_AGE_NS);
    store->queue = settings->queue;
    if (metrics == NULL) {
        store->own_metrics = metrics_new();
        metrics = store->own_metrics;
    }
    store_metrics_init(store, metrics);
    struct metric *cancels[CANCEL_RESULT_COUNT];
    cancel_metrics_init(metrics, cancels);
    if (loop != NULL)
        store->canceller = pg_canceller_new(loop, cancels);
    int rc = OK;
    for (int login = 0; login < LOGIN_COUNT; login++) {
        struct pg_pool *pool = &store->pools[login];
        pool_init(pool, store, (enum store_login)login, settings->sizes[login]);
        pool_metrics_init(pool, metrics);
        if (rc == OK && settings->urls[login] != NULL)
            rc = pg_target_new(ctx, settings->urls[login], &pool->target);
        if (pool->target != NULL)
            pg_target_set_password(pool->target, settings->passwords[login]);
    }
    if (rc != OK) {
        store_close(store);
        return rc;
    }
    *out = store;
    return OK;
}

/* Nothing is waited for: the server ends what was open when it sees the sockets close. */
void store_close(struct store *store)
{
    if (store == NULL)
        return;
    assert(store->open_txs == 0);
    for (int login = 0; login < LOGIN_COUNT; login++)
        pool_deinit(&store->pools[login]);
    pg_canceller_free(store->canceller);
    metrics_free(store->own_metrics);
    free(store);
}

const char *store_trouble(const struct store *store, enum store_login login)
{
    return store->pools[login].trouble;
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value == 0 ? fallback : value;
}
