/* What must be true of the database before anything is served; and the commands that are no servers. */
#include "main/app.h"

#include "events/relay.h"
#include "loop/task.h"
#include "store/migrate.h"
#include "store/startup_checks.h"

#include "gen/errors.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define PATIENCE_NS (10 * NS_PER_S) /* how long a start waits for a database that does not answer */
#define PAUSE_NS (300 * NS_PER_MS)

static void await_stop(struct app *app, const sigset_t *set, struct metrics *metrics);
static int check_logins(struct app *app, struct store *store, bool relay_only);
static bool needs_relay_login(const struct app *app, bool relay_only);
static int check_relay_login(struct app *app, struct store *store);
static int check_serving_logins(struct app *app, struct store *store);
static int say_unreachable(struct app *app, struct store *store, int refusal);
static void report_migration(void *owner, int version, const char *name, bool applied_now);

/* A database that is starting beside us gets some time; a wrong right or an old schema ends the start. */
int startup_check_database(struct app *app, struct metrics *metrics, bool relay_only)
{
    struct store_settings settings;
    worker_settings_store(app, &settings);
    bool relay = needs_relay_login(app, relay_only);
    settings.urls[LOGIN_RELAY] = relay ? app->config->database.relay_url : NULL;
    if (relay_only) {
        settings.urls[LOGIN_APP] = NULL;
        settings.urls[LOGIN_PLATFORM] = NULL;
    }
    struct store *store = NULL;
    TRY(store_open(&app->ctx, NULL, &settings, metrics, &store));
    uint64_t patience = deadline_after(clock_now(), PATIENCE_NS);
    int rc;
    for (;;) {
        app->ctx.deadline_ns = deadline_after(clock_now(), PATIENCE_NS);
        rc = check_logins(app, store, relay_only);
        app->ctx.deadline_ns = NO_DEADLINE;
        /* gone, or lost while it was asked: a server that restarts does both */
        bool is_away = rc == DATABASE_UNAVAILABLE || rc == FAULT_DATABASE;
        if (!is_away || deadline_left(patience, clock_now()) == 0)
            break;
        (void)task_sleep(&app->ctx, PAUSE_NS);
    }
    if (rc > OK)
        rc = say_unreachable(app, store, rc);
    store_close(store);
    return rc;
}

/* With the owner's login, which no serving process uses. */
int command_migrate(struct app *app)
{
    int status = app_configure(app, CONFIG_FOR_MIGRATE);
    if (status != OK)
        return status;
    int rc = migrate_run(&app->ctx, app->config->database.migrate_url, app->options.migrations,
                         report_migration, NULL);
    return rc == OK ? EXIT_STOPPED : app_fail(app, &app->ctx);
}

/* The signals are blocked before the relay's thread is made, so that sigwait(3) gets them. */
int command_relay(struct app *app)
{
    int status = app_configure(app, CONFIG_FOR_RELAY);
    if (status != OK)
        return status;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct metrics *metrics = metrics_new();
    struct relay *relay = NULL;
    int rc = startup_check_database(app, metrics, true);
    if (rc == OK)
        rc = wiring_passwords(app);
    if (rc == OK)
        rc = wiring_token_keys(app);
    if (rc == OK)
        rc = wiring_relay(app, metrics, &relay);
    if (rc == OK) {
        printf("ready: relay %s\n", app->instance);
        fflush(stdout);
        await_stop(app, &set, metrics);
        relay_stop(relay);
    }
    metrics_free(metrics);
    return rc == OK ? EXIT_STOPPED : app_fail(app, &app->ctx);
}

/* Until a signal other than SIGHUP, which is a reload. */
static void await_stop(struct app *app, const sigset_t *set, struct metrics *metrics)
{
    struct reload_metrics reload;
    reload_metrics_init(&reload, metrics);
    int signal_number = SIGHUP;
    while (signal_number == SIGHUP) {
        int rc = sigwait(set, &signal_number);
        assert(rc == 0); /* the set is valid */
        if (signal_number == SIGHUP)
            app_reload(app, NULL, &reload);
    }
}

static int check_logins(struct app *app, struct store *store, bool relay_only)
{
    if (!relay_only)
        TRY(check_serving_logins(app, store));
    return needs_relay_login(app, relay_only) ? check_relay_login(app, store) : OK;
}

/* What is parked is kept with it too. */
static bool needs_relay_login(const struct app *app, bool relay_only)
{
    return relay_only || (app->config->relay.enabled && !app->options.no_relay) ||
           wiring_consumes(app);
}

static int check_serving_logins(struct app *app, struct store *store)
{
    TRY(schema_version_check(store, &app->ctx, TX_CATALOG));
    TRY(role_check(store, &app->ctx, LOGIN_APP, "database.url"));
    return role_check(store, &app->ctx, LOGIN_PLATFORM, "database.platform_url");
}

static int check_relay_login(struct app *app, struct store *store)
{
    TRY(schema_version_check(store, &app->ctx, TX_RELAY));
    return role_check(store, &app->ctx, LOGIN_RELAY, "database.relay_url");
}

/* The pool's text says what libpq said, with the target and without the password. */
static int say_unreachable(struct app *app, struct store *store, int refusal)
{
    for (int login = 0; login < LOGIN_COUNT; login++) {
        const char *trouble = store_trouble(store, (enum store_login)login);
        if (trouble[0] != '\0')
            return FAULT(&app->ctx, FAULT_DATABASE, "the database does not answer: %s", trouble);
    }
    const struct error_entry *entry = error_lookup(refusal);
    return FAULT(&app->ctx, FAULT_DATABASE, "the database refuses: %s",
                 entry == NULL ? "?" : entry->text);
}

/* On standard output, one line per file, for people and for scripts alike. */
static void report_migration(void *owner, int version, const char *name, bool applied_now)
{
    (void)owner;
    (void)version;
    printf("%s %s\n", applied_now ? "applied " : "there   ", name);
    fflush(stdout);
}
