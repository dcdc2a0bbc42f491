/* What must hold between keys. */
#include "config/schema.h"

#include <string.h>

#define STREAM_NAME_MAX 64

struct order {
    const char *lower;
    const char *upper;
    uint64_t lower_value;
    uint64_t upper_value;
};

static void check_identities(struct config_loading *loading);
static void check_relay(struct config_loading *loading);
static void check_ports(struct config_loading *loading);
static void check_orders(struct config_loading *loading);
/* A setting that another one bounds: "expected at most b (16KiB), got 32KiB". */
struct breach {
    const char *key;
    const char *bound; /* "at most", "less than" */
    const char *by;    /* the other setting */
    const char *more;  /* what the bound is besides, behind the other's value */
};

static void refuse(struct config_loading *loading, const struct breach *breach);
static void check_order(struct config_loading *loading, const struct order *order);
static uint32_t streams_most(const struct config *config, const char **name);
static void check_windows(struct config_loading *loading);
static void check_epochs(struct config_loading *loading);
static void check_seed(struct config_loading *loading);
static void check_stream(struct config_loading *loading);
static size_t key_of(const char *path);

void config_check_rules(struct config_loading *loading)
{
    check_identities(loading);
    check_relay(loading);
    check_ports(loading);
    check_orders(loading);
    check_windows(loading);
    check_epochs(loading);
    check_seed(loading);
    check_stream(loading);
}

/* One URI with two names would have the rights of whichever is looked at first. */
static void check_identities(struct config_loading *loading)
{
    const struct config_identity *identities = loading->config->identities;
    for (size_t i = 1; i < CONFIG_IDENTITIES; i++) {
        for (size_t j = 0; j < i; j++) {
            if (identities[i].uri[0] == '\0' || strcmp(identities[i].uri, identities[j].uri) != 0)
                continue;
            const char *path =
                arena_printf(loading->config->arena, "identities.%s", identities[i].name);
            config_error(loading, "%skey %s: expected a URI of its own, got that of identities.%s",
                         config_place(loading, key_of(path)), path, identities[j].name);
        }
    }
}

/* `serve` runs the relay unless told not to; then it needs what the relay needs. */
static void check_relay(struct config_loading *loading)
{
    static const char *const needed[] = {"database.relay_url", "nats.url"};
    if ((loading->source->use & CONFIG_FOR_SERVE) == 0 || !loading->config->relay.enabled ||
        (loading->source->use & CONFIG_FOR_RELAY) != 0)
        return;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        size_t key = key_of(needed[i]);
        if (config_text(loading->config, &config_keys[key])[0] == '\0')
            config_error(loading,
                         "%skey %s: expected a URL while relay.enabled is true, got nothing",
                         config_place(loading, key), needed[i]);
    }
}

/* Two listeners cannot share a port; 0 lets the system choose and never clashes. */
static void check_ports(struct config_loading *loading)
{
    const struct config *config = loading->config;
    if (config->server.port != 0 && config->server.port == config->ops.port &&
        strcmp(config->server.address, config->ops.address) == 0)
        config_error(loading, "%skey ops.port: expected another port than server.port, got %d",
                     config_place(loading, key_of("ops.port")), config->ops.port);
}

/* Pairs where a larger lower value would make the upper one meaningless. */
static void check_orders(struct config_loading *loading)
{
    const struct config_limits *limits = &loading->config->limits;
    const struct order orders[] = {
        {"limits.deadline_default", "limits.deadline_cap", limits->deadline_default_ns,
         limits->deadline_cap_ns},
        {"limits.header_field_bytes", "limits.header_bytes", limits->header_field_bytes,
         limits->header_bytes},
        {"limits.frame_bytes", "limits.stream_window", limits->frame_bytes, limits->stream_window},
        {"limits.stream_window", "limits.connection_window", limits->stream_window,
         limits->connection_window},
        {"limits.connection_window", "limits.connection_memory", limits->connection_window,
         limits->connection_memory},
        {"limits.connections_per_identity", "limits.connections_total",
         limits->connections_per_identity, limits->connections_total},
        {"limits.running_handlers", "server.max_tasks", limits->running_handlers,
         loading->config->server.max_tasks},
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        check_order(loading, &orders[i]);
}

static void check_order(struct config_loading *loading, const struct order *order)
{
    if (order->lower_value <= order->upper_value)
        return;
    refuse(loading, &(struct breach){order->lower, "at most", order->upper, ""});
}

static void refuse(struct config_loading *loading, const struct breach *breach)
{
    size_t key = key_of(breach->key);
    struct buf bound_text = BUF_EMPTY;
    struct buf text = BUF_EMPTY;
    config_show(loading->config, &config_keys[key_of(breach->by)], &bound_text);
    config_show(loading->config, &config_keys[key], &text);
    config_error(loading, "%skey %s: expected %s %s (%s)%s, got %s", config_place(loading, key),
                 breach->key, breach->bound, breach->by, buf_str(&bound_text), breach->more,
                 buf_str(&text));
    buf_deinit(&bound_text);
    buf_deinit(&text);
}

/* Of whoever may have the most; *name: the setting that says so. */
static uint32_t streams_most(const struct config *config, const char **name)
{
    static const char *const own[CONFIG_IDENTITIES] = {"limits-admin.concurrent_streams",
                                                       "limits-api-gateway.concurrent_streams",
                                                       "limits-sync-service.concurrent_streams"};
    uint32_t most = config->limits.concurrent_streams;
    *name = "limits.concurrent_streams";
    for (size_t i = 0; i < CONFIG_IDENTITIES; i++) {
        if (config->identity_limits[i].concurrent_streams <= most)
            continue;
        most = config->identity_limits[i].concurrent_streams;
        *name = own[i];
    }
    return most;
}

/* What is unread fills a window at most: one client with all its streams must not hold what all connections
 * together may. */
static void check_windows(struct config_loading *loading)
{
    const struct config_limits *limits = &loading->config->limits;
    const char *name;
    uint32_t streams = streams_most(loading->config, &name);
    if (limits->stream_window <= limits->connection_memory / streams)
        return;
    struct buf more = BUF_EMPTY;
    buf_printf(&more, " divided by %s (%u)", name, streams);
    refuse(loading, &(struct breach){"limits.stream_window", "at most", "limits.connection_memory",
                                     buf_str(&more)});
    buf_deinit(&more);
}

/* With an interval as long as the age, the knowledge of changes would be too old before the next look, and
 * no cache would ever answer. */
static void check_epochs(struct config_loading *loading)
{
    const struct config_cache *cache = &loading->config->cache;
    if (cache->epoch_interval_ns < cache->max_age_ns)
        return;
    refuse(loading,
           &(struct breach){"cache.epoch_interval", "less than", "cache.max_age", ""});
}

/* NATS_CREDS is sometimes the secret itself.  Saying so beats "no such file", and the secret must not
 * be repeated in that message. */
static void check_seed(struct config_loading *loading)
{
    const char *seed = loading->config->nats.seed_file;
    if (strncmp(seed, "SU", 2) == 0 && strlen(seed) == 58 && strchr(seed, '/') == NULL)
        config_error(loading,
                     "%skey nats.seed_file: expected a file name, got what looks like an "
                     "NKey seed itself (not shown); put it into a file",
                     config_place(loading, key_of("nats.seed_file")));
}

/* It becomes a token of subjects. */
static void check_stream(struct config_loading *loading)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    const char *stream = loading->config->consumers.billing_stream;
    size_t length = strlen(stream);
    if (length == 0 || length > STREAM_NAME_MAX || strspn(stream, letters) != length)
        config_error(loading,
                     "%skey consumers.billing_stream: expected 1 to 64 letters, digits, _ or -, "
                     "got \"%s\"",
                     config_place(loading, key_of("consumers.billing_stream")), stream);
}

static size_t key_of(const char *path)
{
    return config_key_find(slice_of_str(path));
}
