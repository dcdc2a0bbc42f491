/* How the rooms' faces are joined: configuration to limits, certificates to names, commits to the relay. */
#include "main/app.h"

#include "events/outbox.h"
#include "events/relay.h"
#include "inbound/inbound.h"
#include "store/pg_password.h"
#include "tokens/token_keys.h"

#include <assert.h>
#include <stdlib.h>

#define EVENT_MAX_AGE_S                                                                            \
    ((uint64_t)30 * 24 * 3600) /* 30 days, as the platform's operational class */
/* how long a read with a consistency token waits for a replica's knowledge before it asks the
 * database */

static void wire_times(const struct config_limits *from, struct rpc_limits *limits);
static void wire_identity_limits(const struct config *config, struct rpc_limits *limits);
static struct jetstream_settings nats_settings(const struct app *app);
static const char *name_of_uri(void *owner, const char *uri);
static int render_probe(void *owner, const char *path, struct buf *body);
static bool is_serving(void *state);
static void wake_relay(void *relay);

/* Member by member: the layout of the configuration is not that of the rpc room. */
void wiring_limits(const struct config *config, struct rpc_limits *limits)
{
    const struct config_limits *from = &config->limits;
    *limits = (struct rpc_limits){
        .concurrent_streams = from->concurrent_streams,
        .running_handlers = from->running_handlers,
        .streaming_per_identity = from->streaming_per_identity,
        .requests_per_turn = from->requests_per_turn,
        .decoded_per_turn = from->decoded_per_turn,
        .client_resets_burst = from->client_resets_burst,
        .client_resets_rate = from->client_resets_rate,
        .server_resets_burst = from->server_resets_burst,
        .server_resets_rate = from->server_resets_rate,
        .continuations = from->continuations,
        .header_fields = from->header_fields,
        .header_bytes = from->header_bytes,
        .header_field_bytes = from->header_field_bytes,
        .header_table_bytes = from->header_table_bytes,
        .frame_bytes = from->frame_bytes,
        .stream_window = from->stream_window,
        .connection_window = from->connection_window,
        .message_bytes = from->message_bytes,
        .response_bytes = from->response_bytes,
        .queued_response_bytes = from->queued_response_bytes,
        .settings_entries = from->settings_entries,
        .settings_per_10s = from->settings_per_10s,
        .outbound_acks = from->outbound_acks,
        .ping_strikes = from->ping_strikes,
        .empty_data = from->empty_data,
        .priority_frames = from->priority_frames,
        .window_updates = from->window_updates,
        .control_frames = from->control_frames,
        .key_updates = from->key_updates,
        .body_rate = from->body_rate,
        .write_rate = from->write_rate,
        .stalled_bytes = from->stalled_bytes,
        .requests_per_connection = from->requests_per_connection,
        .connections_per_identity = from->connections_per_identity,
        .connections_total = from->connections_total,
        .accepts_per_second = from->accepts_per_second,
        .offender_burst = from->offender_burst,
        .offender_rate = from->offender_rate,
        .connection_memory = from->connection_memory,
    };
    wire_times(from, limits);
    wire_identity_limits(config, limits);
}

static void wire_times(const struct config_limits *from, struct rpc_limits *limits)
{
    limits->ping_interval_ns = from->ping_interval_ns;
    limits->handshake_timeout_ns = from->handshake_timeout_ns;
    limits->preface_timeout_ns = from->preface_timeout_ns;
    limits->headers_timeout_ns = from->headers_timeout_ns;
    limits->body_progress_ns = from->body_progress_ns;
    limits->write_stall_ns = from->write_stall_ns;
    limits->tcp_user_timeout_ns = from->tcp_user_timeout_ns;
    limits->keepalive_ns = from->keepalive_ns;
    limits->keepalive_timeout_ns = from->keepalive_timeout_ns;
    limits->idle_ns = from->idle_ns;
    limits->age_ns = from->age_ns;
    limits->age_grace_ns = from->age_grace_ns;
    limits->offender_time_ns = from->offender_time_ns;
    limits->deadline_default_ns = from->deadline_default_ns;
    limits->deadline_cap_ns = from->deadline_cap_ns;
}

static void wire_identity_limits(const struct config *config, struct rpc_limits *limits)
{
    _Static_assert(CONFIG_IDENTITIES <= RPC_IDENTITY_LIMITS_MAX, "each may have its own");
    for (size_t i = 0; i < CONFIG_IDENTITIES; i++) {
        const struct config_identity_limits *own = &config->identity_limits[i];
        limits->identities[i] = (struct rpc_identity_limits){
            .identity = config->identities[i].name,
            .connections = own->connections,
            .concurrent_streams = own->concurrent_streams,
            .client_resets_burst = own->client_resets_burst,
            .client_resets_rate = own->client_resets_rate,
        };
    }
}

void wiring_hooks(struct worker_thread *worker, struct rpc_hooks *hooks)
{
    *hooks = (struct rpc_hooks){
        .owner = worker,
        .identity = name_of_uri,
        .gate = service_gate,
        .match = service_match,
        .probe = render_probe,
    };
}

/* Per worker, because store and cache are; everything else in it is shared and thread-safe. */
void wiring_env(struct serve *serve, struct worker_thread *worker)
{
    const char *region = serve->app->config->region;
    worker->env = (struct service_env){
        .store = worker->store,
        .cache = worker->cache,
        .source = serve->source,
        .token_keys = serve->app->token_keys,
        .freshness_ns = serve->app->config->cache.max_age_ns,
        .consistency_wait_ns = worker->policy->consistency_wait_ns,
        .idempotency_ttl_ns = worker->policy->idempotency_ttl_ns,
        .wake_relay = serve->relay == NULL ? NULL : wake_relay,
        .relay = serve->relay,
        .is_serving = is_serving,
        .state = serve->health,
        .sockets = rpc_shared_sockets(serve->shared),
    };
    service_metrics_init(&worker->env.metrics, worker->metrics);
    bool known = region_parse(slice_of_str(region), &worker->env.region);
    assert(known); /* the configuration was checked */
}

/* Towards Redis no ALPN is offered. */
int wiring_tls(struct ctx *ctx, const struct config *config, struct tls_context **server,
               struct tls_context **client)
{
    struct tls_settings settings = {
        .cert_file = config->tls.cert_file,
        .key_file = config->tls.key_file,
        .ca_file = config->tls.ca_file,
        .crl_file = config->tls.crl_file[0] == '\0' ? NULL : config->tls.crl_file,
        .alpn = "h2",
        .server = true,
    };
    struct tls_context *serving = NULL;
    TRY(tls_context_new(ctx, &settings, &serving));
    settings.alpn = NULL;
    settings.server = false;
    int rc = tls_context_new(ctx, &settings, client);
    if (rc != OK) {
        tls_context_unref(serving);
        return rc;
    }
    *server = serving;
    return OK;
}

int wiring_passwords(struct app *app)
{
    for (int login = 0; login < LOGIN_COUNT; login++) {
        const char *url = wiring_url(app->config, (enum store_login)login);
        if (url[0] != '\0')
            TRY(pg_password_new(&app->ctx, url, &app->passwords[login]));
    }
    return OK;
}

const char *wiring_url(const struct config *config, enum store_login login)
{
    const char *const urls[LOGIN_COUNT] = {[LOGIN_APP] = config->database.url,
                                           [LOGIN_PLATFORM] = config->database.platform_url,
                                           [LOGIN_RELAY] = config->database.relay_url};
    return urls[login] == NULL ? "" : urls[login];
}

int wiring_token_keys(struct app *app)
{
    const char *path = app->config->tokens.keys_file;
    if (path[0] != '\0')
        return token_keys_load(&app->ctx, path, &app->token_keys);
    app->token_keys = token_keys_random();
    log_on_warn(&app->log, "tokens.own_key",
                KV_STR("text", "tokens.keys_file is not set: no other replica and no later "
                               "process will accept this one's tokens"));
    return OK;
}

struct event_source *wiring_source(struct app *app)
{
    struct event_source *source = arena_alloc(app->arena, sizeof *source);
    *source = (struct event_source){
        .service = "tenant-service",
        .instance = app->instance,
        .commit = version_commit,
    };
    return source;
}

bool wiring_consumes(const struct app *app)
{
    const struct config *config = app->config;
    return config->consumers.enabled && !app->options.no_consumers && config->nats.url[0] != '\0' &&
           config->database.relay_url[0] != '\0';
}

int wiring_inbound(struct serve *serve)
{
    struct app *app = serve->app;
    const struct config *config = app->config;
    struct inbound_settings *settings = arena_alloc(app->arena, sizeof *settings);
    *settings = (struct inbound_settings){
        .app_url = config->database.url,
        .app_password = app->passwords[LOGIN_APP],
        .relay_url = config->database.relay_url,
        .relay_password = app->passwords[LOGIN_RELAY],
        .nats = nats_settings(app),
        .billing_stream = config->consumers.billing_stream,
        .source = serve->source,
        .parked_max = config->consumers.parked_max,
        .park_for_ns = config->consumers.park_for_ns,
        .relay = serve->relay,
    };
    bool known = region_parse(slice_of_str(config->region), &settings->region);
    assert(known); /* the configuration was checked */
    if (inbound_start(settings, serve->metrics, &app->log, &serve->inbound) != OK)
        return FAULT(&app->ctx, FAULT_CONFIG,
                     "the consumers cannot start: check nats.*, database.* and consumers.*");
    return OK;
}

/* The settings live in the app's arena: the relay borrows them to its end. */
int wiring_relay(struct app *app, struct metrics *metrics, struct relay **relay)
{
    const struct config *config = app->config;
    struct relay_settings *settings = arena_alloc(app->arena, sizeof *settings);
    *settings = (struct relay_settings){
        .database_url = config->database.relay_url,
        .database_password = app->passwords[LOGIN_RELAY],
        .nats = nats_settings(app),
        .streams = {.replicas = config->nats.replicas,
                    .max_age_s = EVENT_MAX_AGE_S,
                    .duplicate_window_s = config->nats.duplicate_window_ns / NS_PER_S},
        .instance = app->instance,
        .source = wiring_source(app),
        .region = config->region,
        .token_keys = app->token_keys,
        .window = config->relay.window,
        .lease_ttl_ns = config->relay.lease_ttl_ns,
        .reconcile_ns = config->relay.reconcile_interval_ns,
        .withhold_after_ns = config->relay.withhold_after_ns,
    };
    int rc = relay_start(settings, metrics, &app->log, relay);
    if (rc != OK)
        return FAULT(&app->ctx, FAULT_CONFIG, "the relay cannot start: check nats.* and relay.*");
    return OK;
}

static struct jetstream_settings nats_settings(const struct app *app)
{
    const struct config *config = app->config;
    return (struct jetstream_settings){
        .url = config->nats.url,
        .seed_file = config->nats.seed_file,
        .ca_file = config->tls.ca_file,
        .cert_file = config->tls.cert_file,
        .key_file = config->tls.key_file,
        .name = app->instance,
    };
}

/* Byte for byte; whoever is not configured is a stranger, this service's own certificate included. */
static const char *name_of_uri(void *owner, const char *uri)
{
    const struct worker_thread *worker = owner;
    for (size_t i = 0; uri != NULL && i < CONFIG_IDENTITIES; i++) {
        const struct config_identity *identity = &worker->policy->identities[i];
        if (identity->uri[0] != '\0' && strcmp(identity->uri, uri) == 0)
            return identity->name;
    }
    return "stranger";
}

/* Called on workers' threads and the operations thread: health is thread-safe. */
static int render_probe(void *owner, const char *path, struct buf *body)
{
    const struct worker_thread *worker = owner;
    return health_render(worker->serve->health, path, body);
}

static bool is_serving(void *state)
{
    return !health_is(state, HEALTH_DRAINING);
}

static void wake_relay(void *relay)
{
    relay_wake(relay);
}
