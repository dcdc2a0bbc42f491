/* SIGHUP: the configuration and the files it names are read again.
 *
 * Everything is loaded and checked before anything is touched, so a reload happens whole or not at all; after
 * a failed one the process goes on as it was.  Runs on the main thread; the workers get copies of their own,
 * while keys and certificates are replaced inside objects that threads share. */
#include "main/app.h"

#include "main/certificates.h"
#include "main/tracing.h"

#include "store/pg_password.h"
#include "tokens/token_keys.h"

#include <stdlib.h>

/* A file of garbage has an error in every line: nobody reads more. */
#define ERRORS_LOGGED_MAX 32

/* All that a reload brings; owned until it is applied. */
struct replacement {
    struct config *config;
    struct token_keys *token_keys;  /* NULL: tokens.keys_file is not set */
    struct tls_context *server_tls; /* both NULL without a server */
    struct tls_context *client_tls;
    struct certificate_stamps stamps; /* of the files of both */
};

static const struct metric_family reload_family = {
    .name = "tenant_config_reload_total",
    .help = "Reloads of the configuration by result; after a failure the one before holds.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family success_family = {
    .name = "tenant_config_last_reload_success_timestamp_seconds",
    .help = "When the configuration in force was loaded, in seconds since 1970.",
    .kind = METRIC_GAUGE};

static bool load(struct app *app, struct serve *serve, struct replacement *fresh);
static bool load_config(struct app *app, struct ctx *ctx, struct replacement *fresh);
static bool load_keys(struct app *app, struct ctx *ctx, struct replacement *fresh);
static bool load_tls(struct serve *serve, struct ctx *ctx, struct replacement *fresh);
static void drop(struct replacement *fresh);
static void log_failure(const struct app *app, const char *key, const char *text);
static void log_errors(const struct app *app, struct config_notes *notes);
static void log_changes(const struct app *app, const struct config *fresh);
static void apply(struct app *app, struct serve *serve, struct replacement *fresh);
static void apply_to_server(struct serve *serve, struct replacement *fresh);

void reload_metrics_init(struct reload_metrics *reload, struct metrics *metrics)
{
    static const char *const success[] = {"success"};
    static const char *const failure[] = {"failure"};
    reload->success = metrics_series(metrics, &reload_family, success);
    reload->failure = metrics_series(metrics, &reload_family, failure);
    reload->time = metrics_series(metrics, &success_family, NULL);
    metric_gauge_set(reload->time, (int64_t)(clock_wall() / NS_PER_S));
}

void app_reload(struct app *app, struct serve *serve, const struct reload_metrics *metrics)
{
    struct replacement fresh = {.config = NULL};
    if (!load(app, serve, &fresh)) {
        drop(&fresh);
        metric_inc(metrics->failure);
        return;
    }
    log_changes(app, fresh.config);
    apply(app, serve, &fresh);
    metric_inc(metrics->success);
    metric_gauge_set(metrics->time, (int64_t)(clock_wall() / NS_PER_S));
}

static bool load(struct app *app, struct serve *serve, struct replacement *fresh)
{
    AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
    struct ctx ctx;
    ctx_init(&ctx, &app->log, arena);
    return load_config(app, &ctx, fresh) && load_keys(app, &ctx, fresh) &&
           (serve == NULL || load_tls(serve, &ctx, fresh));
}

/* The warnings are those of the start: a process's environment does not change. */
static bool load_config(struct app *app, struct ctx *ctx, struct replacement *fresh)
{
    struct config_notes notes = {.error_count = 0};
    const struct config_source source = app_config_source(app);
    bool is_good = config_load(ctx, &source, &notes, &fresh->config) == OK;
    if (!is_good)
        log_errors(app, &notes);
    config_notes_deinit(&notes);
    return is_good;
}

/* Without a file there would be no key that other replicas know, and tokens given out would be void. */
static bool load_keys(struct app *app, struct ctx *ctx, struct replacement *fresh)
{
    const char *path = fresh->config->tokens.keys_file;
    if (path[0] != '\0' && token_keys_load(ctx, path, &fresh->token_keys) != OK) {
        log_failure(app, "tokens.keys_file", ctx_fault_text(ctx));
        return false;
    }
    if (path[0] == '\0' && app->live->tokens.keys_file[0] != '\0') {
        log_failure(app, "tokens.keys_file",
                    "expected a file name, got nothing; only a restart gives the keys up");
        return false;
    }
    return true;
}

static bool load_tls(struct serve *serve, struct ctx *ctx, struct replacement *fresh)
{
    certificate_stamps_take(&fresh->config->tls, &fresh->stamps);
    if (wiring_tls(ctx, fresh->config, &fresh->server_tls, &fresh->client_tls) == OK)
        return true;
    log_failure(serve->app, "tls", ctx_fault_text(ctx));
    certificates_refused(serve->certificates);
    return false;
}

static void drop(struct replacement *fresh)
{
    config_free(fresh->config);
    token_keys_free(fresh->token_keys);
    tls_context_unref(fresh->server_tls);
    tls_context_unref(fresh->client_tls);
}

static void log_failure(const struct app *app, const char *key, const char *text)
{
    log_on_error(&app->log, "config.reload_failed", KV_STR("key", key), KV_STR("text", text));
}

static void log_errors(const struct app *app, struct config_notes *notes)
{
    const char *text = buf_str(&notes->errors);
    for (size_t i = 0; i < notes->error_count && i < ERRORS_LOGGED_MAX; i++) {
        size_t size = strcspn(text, "\n");
        log_on_error(&app->log, "config.reload_failed", KV_SLICE("text", slice_make(text, size)),
                     KV_INT("errors", notes->error_count));
        text += size + (text[size] == '\n');
    }
}

/* Keys that need a restart are compared with what the process was started with: their change stays pending
 * until then.  Names alone: values may be secrets. */
static void log_changes(const struct app *app, const struct config *fresh)
{
    struct buf live = BUF_EMPTY;
    struct buf restart = BUF_EMPTY;
    (void)config_differences(app->live, fresh, CONFIG_CHANGE_LIVE, &live);
    size_t pending = config_differences(app->config, fresh, CONFIG_CHANGE_RESTART, &restart);
    log_on_info(&app->log, "config.reloaded", KV_SLICE("changed", buf_slice(&live)));
    if (pending > 0)
        log_on_warn(&app->log, "config.restart_needed", KV_SLICE("keys", buf_slice(&restart)));
    buf_deinit(&live);
    buf_deinit(&restart);
}

/* Cannot fail. */
static void apply(struct app *app, struct serve *serve, struct replacement *fresh)
{
    log_level_set(&app->log, (enum log_level)fresh->config->log.level);
    for (int login = 0; login < LOGIN_COUNT; login++) {
        const char *url = wiring_url(fresh->config, (enum store_login)login);
        if (app->passwords[login] != NULL) /* another server or user waits for a restart */
            (void)pg_password_renew(app->passwords[login], url);
    }
    if (fresh->token_keys != NULL)
        token_keys_replace(app->token_keys, TAKE(fresh->token_keys));
    if (serve != NULL)
        apply_to_server(serve, fresh);
    if (app->live != app->config)
        config_free(app->live);
    app->live = TAKE(fresh->config);
    if (serve != NULL)
        certificates_renewed(serve->certificates, &fresh->stamps);
}

static void apply_to_server(struct serve *serve, struct replacement *fresh)
{
    struct rpc_limits limits;
    wiring_limits(fresh->config, &limits);
    tls_context_replace(serve->server_tls, TAKE(fresh->server_tls));
    tls_context_replace(serve->client_tls, TAKE(fresh->client_tls));
    tracing_renew(serve, fresh->config);
    rpc_listener_set_limits(serve->listener, &limits);
    for (unsigned i = 0; i < serve->worker_count; i++)
        worker_set_policy(&serve->workers[i], worker_policy_new(fresh->config));
}
