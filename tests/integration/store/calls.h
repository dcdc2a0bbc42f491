/* The store in a database of its own, each login's one connection traced by libpq. */
#ifndef TESTS_STORE_CALLS_H
#define TESTS_STORE_CALLS_H

#include "tests/integration/store/folder.h"

#include "gen/errors.h"
#include "store/store_int.h"

#define DATABASE "it_store_calls"

static struct rig rig;
static PGconn *root; /* superuser in the database */
static struct store *store;
static char urls[LOGIN_COUNT][URL_SIZE];
static FILE *traces[LOGIN_COUNT];

/* Connects a login, so that its one connection can be traced.  Once more after a refusal, which ends the connection
 * of a plain thread. */
static inline void connect_and_trace(enum store_login login, enum tx_mode mode)
{
    static const struct stmt nothing = {.name = "test.nothing", .text = "SELECT 1", .columns = {NULL}};
    struct tx *tx = NULL;
    ck_assert_int_eq(tx_begin(store, &rig.ctx, mode, NULL, &tx), OK);
    tx_queue(tx, &nothing, NULL, NULL);
    expect_rc(&rig.ctx, tx_commit(tx), OK);
    tx_free(tx);
    struct list_node *node = list_first(&store->pools[login].conns[CONN_IDLE]);
    ck_assert_ptr_nonnull(node);
    if (traces[login] == NULL)
        traces[login] = tmpfile();
    PQtrace(list_entry(node, struct pg_conn, node)->pq, traces[login]);
}

static inline void setup(void)
{
    rig_open(&rig);
    rig.ctx.caller = "admin";
    database_create(rig.root, DATABASE);
    database_migrate(&rig.ctx, DATABASE);
    url_direct(urls[LOGIN_APP], "STACK_DATABASE_URL", DATABASE);
    url_direct(urls[LOGIN_PLATFORM], "STACK_PLATFORM_URL", DATABASE);
    url_direct(urls[LOGIN_RELAY], "STACK_RELAY_URL", DATABASE);
    const struct store_settings settings = {.urls = {urls[0], urls[1], urls[2]}};
    ck_assert_int_eq(store_open(&rig.ctx, NULL, &settings, NULL, &store), OK);
    char url[URL_SIZE];
    url_with(url, env("STACK_SUPERUSER_URL"), 0, DATABASE);
    root = sql_open(url);
    connect_and_trace(LOGIN_APP, TX_CATALOG);
    connect_and_trace(LOGIN_PLATFORM, TX_PLATFORM_READ);
    connect_and_trace(LOGIN_RELAY, TX_RELAY);
}

static inline void teardown(void)
{
    store_close(store);
    for (int login = 0; login < LOGIN_COUNT; login++)
        fclose(TAKE(traces[login]));
    PQfinish(root);
    database_drop(rig.root, DATABASE);
    rig_close(&rig);
}

static inline struct tx *begin(enum tx_mode mode, const struct uuid *tenant)
{
    struct tx *tx = NULL;
    ck_assert_int_eq(tx_begin(store, &rig.ctx, mode, tenant, &tx), OK);
    return tx;
}

static inline void commit(struct tx *tx)
{
    expect_rc(&rig.ctx, tx_commit(tx), OK);
    tx_free(tx);
}

#endif
