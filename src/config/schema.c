/* The one table of keys.  A new setting is a member in config.h and a row here; everything else
 * (parsing, variable name, README table, `check-config`) follows. */
#include "config/schema.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

/* The member's offset; does not compile when the member has another type than the kind stores. */
#define MEMBER(type, member)                                                                       \
    (offsetof(struct config, member) +                                                             \
     0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((struct config *)0)->member), type)  \
                         ? 1                                                                       \
                         : -1]))

#define TEXT(p, m, preset_)                                                                        \
    .path = p, .kind = KIND_TEXT, .offset = MEMBER(const char *, m), .preset = preset_
#define CHOICE(p, m, preset_)                                                                      \
    .path = p, .kind = KIND_CHOICE, .offset = MEMBER(int, m), .preset = preset_
#define FILE_NAME(p, m)                                                                            \
    .path = p, .kind = KIND_FILE, .offset = MEMBER(const char *, m), .preset = ""
#define SECRET_FILE(p, m, fills_) FILE_NAME(p, m), .holds_secret = true, .fills = fills_
#define ADDRESS(p, m, preset_)                                                                     \
    .path = p, .kind = KIND_ADDRESS, .offset = MEMBER(const char *, m), .preset = preset_
#define URI(p, m) .path = p, .kind = KIND_URI, .offset = MEMBER(const char *, m), .preset = ""
#define URL(p, m) .path = p, .kind = KIND_URL, .offset = MEMBER(const char *, m), .preset = ""
#define BOOL(p, m, preset_)                                                                        \
    .path = p, .kind = KIND_BOOL, .offset = MEMBER(bool, m), .preset = preset_
#define PORT(p, m, preset_)                                                                        \
    .path = p, .kind = KIND_PORT, .offset = MEMBER(uint16_t, m), .preset = preset_,                \
    .max = UINT16_MAX
#define COUNT(p, m, preset_, min_, max_)                                                           \
    .path = p, .kind = KIND_COUNT, .offset = MEMBER(uint32_t, m), .preset = preset_, .min = min_,  \
    .max = max_
#define SIZE(p, m, preset_, min_, max_)                                                            \
    .path = p, .kind = KIND_SIZE, .offset = MEMBER(size_t, m), .preset = preset_, .min = min_,     \
    .max = max_
#define DURATION(p, m, preset_, min_, max_)                                                        \
    .path = p, .kind = KIND_DURATION, .offset = MEMBER(uint64_t, m), .preset = preset_,            \
    .min = min_, .max = max_

#define RATIO(p, m, preset_)                                                                       \
    .path = p, .kind = KIND_RATIO, .offset = MEMBER(uint32_t, m), .preset = preset_,               \
    .max = 1000000000
/* Applied by a reload. */
#define LIVE .live = LIVE_YES

/* Four rows: the limits that an identity may have of its own. */
#define OWN_LIMIT(name, i, m, max_, help_)                                                         \
    {                                                                                              \
        COUNT("limits-" name "." #m, identity_limits[i].m, "0", 0, max_), LIVE,                    \
            .help = help_ " of " name "; 0: as for all"                                            \
    }
#define OWN_LIMITS(name, i)                                                                        \
    OWN_LIMIT(name, i, connections, 65536, "connections"),                                         \
        OWN_LIMIT(name, i, concurrent_streams, 10000, "open streams per connection"),              \
        OWN_LIMIT(name, i, client_resets_burst, 1000000, "RST_STREAM at once"),                    \
        OWN_LIMIT(name, i, client_resets_rate, 1000000, "RST_STREAM per second")

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define MINUTE (60 * NS_PER_S)
#define HOUR (60 * MINUTE)

/* What a text or choice may be, and which schemes a URL may have. */
static const char *const regions[] = {"us", "eu", "me", "ap", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error",
                                     NULL}; /* as enum log_level */
static const char *const formats[] = {"json", "text", NULL};
static const char *const postgres[] = {"postgresql", "postgres", NULL};
static const char *const redis[] = {"rediss", "redis", NULL};
static const char *const nats[] = {"tls", "nats", NULL};
static const char *const https[] = {"https", NULL};

static size_t path_distance(const char *a, const char *b);

const struct config_key config_keys[] = {
    {TEXT("region", region, ""), .choices = regions, .alias = "REGION",
     .needed_by = CONFIG_FOR_SERVE | CONFIG_FOR_RELAY,
     .help = "the region whose tenants live here"},
    {TEXT("environment", environment, "production"), .help = "goes into every log line"},

    {CHOICE("log.level", log.level, "info"), .choices = levels, LIVE,
     .help = "lines below are dropped"},
    {CHOICE("log.format", log.format, "json"), .choices = formats,
     .help = "json for machines, text for people"},

    /* The port that callers use. */
    {ADDRESS("server.address", server.address, "0.0.0.0"), .help = "where gRPC and probes listen"},
    {PORT("server.port", server.port, "3000"),
     .help = "gRPC over mTLS and plain probes; 0: a free one"},
    {COUNT("server.workers", server.workers, "0", 0, 256),
     .help = "worker threads; 0: one per CPU"},
    {DURATION("server.drain_grace", server.drain_grace_ns, "25s", 100 * NS_PER_MS, HOUR), LIVE,
     .help = "from SIGTERM to the end of the last call"},
    {COUNT("server.max_tasks", server.max_tasks, "2048", 1, 65536),
     .help = "calls running at once per worker"},

    /* The port that operators use. */
    {ADDRESS("ops.address", ops.address, "0.0.0.0"), .help = "where metrics and health listen"},
    {PORT("ops.port", ops.port, "9090"), .help = "HTTP/1.1 for metrics and health; 0: a free one"},

    {FILE_NAME("tls.cert_file", tls.cert_file), .needed_by = CONFIG_FOR_SERVE, LIVE,
     .help = "own certificate, PEM, leaf first"},
    {SECRET_FILE("tls.key_file", tls.key_file, NULL), .needed_by = CONFIG_FOR_SERVE, LIVE,
     .help = "its private key, PEM"},
    {FILE_NAME("tls.ca_file", tls.ca_file), .needed_by = CONFIG_FOR_SERVE, LIVE,
     .help = "what callers and servers are verified against"},
    {FILE_NAME("tls.crl_file", tls.crl_file), LIVE,
     .help = "revocation lists, PEM, one of each CA; empty: nothing is revoked"},
    {DURATION("tls.watch_interval", tls.watch_interval_ns, "2s", 0, HOUR), LIVE,
     .help = "from look to look for changes of these files; 0s: only SIGHUP reads them again"},

    /* Each proves who a caller is; a new name also needs rights (decisions.md). */
    {URI("identities.admin", identities[0].uri), LIVE, .help = "SAN URI of platform operators"},
    {URI("identities.api-gateway", identities[1].uri), LIVE, .help = "SAN URI of the API gateway"},
    {URI("identities.sync-service", identities[2].uri), LIVE,
     .help = "SAN URI of the sync service"},

    /* One login for each role, so that none can do what it should not. */
    {URL("database.url", database.url), .choices = postgres, .alias = "DATABASE_URL",
     .needed_by = CONFIG_FOR_SERVE, .live = LIVE_PASSWORD,
     .help = "the app login, through PgBouncer"},
    {SECRET_FILE("database.url_file", database.url_file, "database.url"),
     .alias = "DATABASE_URL_FILE", .live = LIVE_PASSWORD,
     .help = "file with database.url, instead of it"},
    {URL("database.relay_url", database.relay_url), .choices = postgres,
     .needed_by = CONFIG_FOR_RELAY, .live = LIVE_PASSWORD, .help = "the relay login"},
    {SECRET_FILE("database.relay_url_file", database.relay_url_file, "database.relay_url"),
     .live = LIVE_PASSWORD, .help = "file with database.relay_url, instead of it"},
    {URL("database.platform_url", database.platform_url), .choices = postgres,
     .needed_by = CONFIG_FOR_SERVE, .live = LIVE_PASSWORD,
     .help = "the platform login: look-ups over tenants"},
    {SECRET_FILE("database.platform_url_file", database.platform_url_file, "database.platform_url"),
     .live = LIVE_PASSWORD, .help = "file with database.platform_url, instead of it"},
    {URL("database.migrate_url", database.migrate_url), .choices = postgres,
     .needed_by = CONFIG_FOR_MIGRATE, .help = "the migrator login, direct, for `migrate`"},
    {SECRET_FILE("database.migrate_url_file", database.migrate_url_file, "database.migrate_url"),
     .help = "file with database.migrate_url, instead of it"},
    {COUNT("database.pool_size", database.pool_size, "8", 1, 256),
     .help = "connections per worker"},
    {COUNT("database.platform_pool_size", database.platform_pool_size, "2", 1, 64),
     .help = "platform connections per worker"},
    {COUNT("database.queue", database.queue, "256", 1, 65536),
     .help = "calls that may wait for a connection, per pool"},
    {DURATION("database.connect_timeout", database.connect_timeout_ns, "2s", 10 * NS_PER_MS,
              MINUTE),
     .help = "to connect and log in"},
    {DURATION("database.statement_timeout", database.statement_timeout_ns, "5s", NS_PER_MS, HOUR),
     .help = "of one statement; a call's own deadline may be nearer"},

    /* Never holds the only copy of anything: short patience, no harm without it. */
    {URL("redis.url", redis.url), .choices = redis, .alias = "REDIS_URL", .live = LIVE_PASSWORD,
     .help = "the shared cache; empty: none"},
    {SECRET_FILE("redis.url_file", redis.url_file, "redis.url"), .alias = "REDIS_URL_FILE",
     .live = LIVE_PASSWORD, .help = "file with redis.url, instead of it"},
    {DURATION("redis.op_timeout", redis.op_timeout_ns, "10ms", NS_PER_MS, 10 * NS_PER_S),
     .help = "of one command; then the database answers"},

    {URL("nats.url", nats.url), .choices = nats, .alias = "NATS_URL", .needed_by = CONFIG_FOR_RELAY,
     .help = "where events go"},
    {SECRET_FILE("nats.url_file", nats.url_file, "nats.url"), .alias = "NATS_URL_FILE",
     .help = "file with nats.url, instead of it"},
    {SECRET_FILE("nats.seed_file", nats.seed_file, NULL), .alias = "NATS_CREDS",
     .help = "file with the NKey seed; empty: no NKey"},
    {COUNT("nats.replicas", nats.replicas, "3", 1, 5), .help = "copies of each stream"},
    {DURATION("nats.duplicate_window", nats.duplicate_window_ns, "2m", NS_PER_S, 24 * HOUR),
     .help = "how long streams know an event id and refuse it; full seconds count"},

    /* Ships the outbox to the streams. */
    {BOOL("relay.enabled", relay.enabled, "true"), .help = "run the relay inside `serve`"},
    {COUNT("relay.window", relay.window, "1000", 1, 100000),
     .help = "events in flight per partition"},
    {DURATION("relay.lease_ttl", relay.lease_ttl_ns, "5s", 500 * NS_PER_MS, 5 * MINUTE),
     .help = "after which another relay takes a silent one's partitions"},
    {DURATION("relay.reconcile_interval", relay.reconcile_interval_ns, "60s", NS_PER_S,
              60 * MINUTE),
     .help = "from look to look whether each stream holds what was sent"},
    {DURATION("relay.withhold_after", relay.withhold_after_ns, "2m", NS_PER_S, 60 * MINUTE),
     .help = "how long an event is refused for its size or subject before a tombstone takes its "
             "place"},

    /* Applies events of other services; needs what the relay needs. */
    {BOOL("consumers.enabled", consumers.enabled, "true"),
     .help = "apply other services' events inside `serve`"},
    {TEXT("consumers.billing_stream", consumers.billing_stream, "BILLING"),
     .help = "the JetStream stream of billing's events"},
    {COUNT("consumers.parked_max", consumers.parked_max, "10000", 1, 1000000),
     .help = "events that may wait for their tenant; more stay in their stream"},
    {DURATION("consumers.park_for", consumers.park_for_ns, "24h", NS_PER_S, 30 * 24 * HOUR),
     .help = "how long an event waits for its tenant before it is a dead letter"},

    /* The maximum is the promise to callers without a consistency token. */
    {DURATION("cache.max_age", cache.max_age_ns, "200ms", NS_PER_MS, 200 * NS_PER_MS),
     .help = "the oldest answer from a cache"},
    {DURATION("cache.epoch_interval", cache.epoch_interval_ns, "50ms", 100 * NS_PER_US,
              199 * NS_PER_MS),
     .help = "from look to look for changes; caches answer only while a look succeeds within "
             "cache.max_age"},
    {COUNT("cache.memory_entries", cache.memory_entries, "8192", 1, 10000000),
     .help = "tenants kept in process"},
    {SIZE("cache.memory_bytes", cache.memory_bytes, "16MiB", 0, 64 * KIB * MIB),
     .help = "their bytes"},

    {SECRET_FILE("tokens.keys_file", tokens.keys_file, NULL), LIVE,
     .help = "MAC keys for page and consistency tokens"},

    {DURATION("writes.key_ttl", writes.key_ttl_ns, "24h", HOUR, 7 * 24 * HOUR), LIVE,
     .help = "how long the answer to an idempotency key is kept"},
    {DURATION("reads.consistency_wait", reads.consistency_wait_ns, "200ms", 0, 5 * NS_PER_S), LIVE,
     .help = "how long a read waits for what its consistency token stands for"},

    /* Against hostile and broken clients; each has a counter of its own in the metrics. */
    {COUNT("limits.concurrent_streams", limits.concurrent_streams, "100", 1, 10000), LIVE,
     .help = "open streams per connection"},
    {COUNT("limits.running_handlers", limits.running_handlers, "100", 1, 10000), LIVE,
     .help = "running calls per connection, reset or not"},
    {COUNT("limits.streaming_per_identity", limits.streaming_per_identity, "256", 1, 1000000), LIVE,
     .help = "running calls of one identity that stream, per worker; at most half of all"},
    {COUNT("limits.requests_per_turn", limits.requests_per_turn, "32", 1, 10000), LIVE,
     .help = "requests taken from one connection before the next has its turn"},
    {SIZE("limits.decoded_per_turn", limits.decoded_per_turn, "256KiB", 16 * KIB, 64 * MIB), LIVE,
     .help = "message bytes, inflated, of one connection before the next has its turn"},
    {COUNT("limits.client_resets_burst", limits.client_resets_burst, "200", 1, 1000000), LIVE,
     .help = "RST_STREAM a client may send at once"},
    {COUNT("limits.client_resets_rate", limits.client_resets_rate, "20", 1, 1000000), LIVE,
     .help = "and per second"},
    {COUNT("limits.server_resets_burst", limits.server_resets_burst, "100", 1, 1000000), LIVE,
     .help = "RST_STREAM a client may provoke at once"},
    {COUNT("limits.server_resets_rate", limits.server_resets_rate, "10", 1, 1000000), LIVE,
     .help = "and per second"},
    {COUNT("limits.continuations", limits.continuations, "4", 0, 64), LIVE,
     .help = "CONTINUATION frames per header block"},
    {COUNT("limits.header_fields", limits.header_fields, "64", 16, 1000), LIVE,
     .help = "header fields per request"},
    {SIZE("limits.header_bytes", limits.header_bytes, "16KiB", KIB, MIB), LIVE,
     .help = "decoded header bytes per request, 32 more for each field"},
    {SIZE("limits.header_field_bytes", limits.header_field_bytes, "8KiB", KIB, MIB), LIVE,
     .help = "name and value of one header field"},
    {SIZE("limits.header_table_bytes", limits.header_table_bytes, "4KiB", 0, 64 * KIB), LIVE,
     .help = "HPACK table that a client may fill; 0: none"},
    {SIZE("limits.frame_bytes", limits.frame_bytes, "16KiB", 16 * KIB, MIB), LIVE,
     .help = "payload of an HTTP/2 frame; at most stream_window"},
    {SIZE("limits.stream_window", limits.stream_window, "64KiB", 16 * KIB, 16 * MIB), LIVE,
     .help = "unread request bytes of a stream; at most connection_window, and for all "
             "concurrent_streams together connection_memory"},
    {SIZE("limits.connection_window", limits.connection_window, "1MiB", 64 * KIB, 64 * MIB), LIVE,
     .help = "request bytes of a connection under way; at most connection_memory"},
    {SIZE("limits.message_bytes", limits.message_bytes, "1MiB", KIB, 64 * MIB), LIVE,
     .help = "one request message"},
    {SIZE("limits.response_bytes", limits.response_bytes, "4MiB", KIB, 64 * MIB), LIVE,
     .help = "one response message"},
    {SIZE("limits.queued_response_bytes", limits.queued_response_bytes, "256KiB", 16 * KIB,
          64 * MIB),
     LIVE, .help = "unsent responses per connection; beyond, new requests are held"},
    {COUNT("limits.settings_entries", limits.settings_entries, "32", 6, 1000), LIVE,
     .help = "entries in a SETTINGS frame"},
    {COUNT("limits.settings_per_10s", limits.settings_per_10s, "10", 1, 1000), LIVE,
     .help = "SETTINGS frames in 10 seconds"},
    {COUNT("limits.outbound_acks", limits.outbound_acks, "100", 1, 10000), LIVE,
     .help = "acknowledgements waiting to be sent"},
    {DURATION("limits.ping_interval", limits.ping_interval_ns, "10s", 0, HOUR), LIVE,
     .help = "shortest time between PINGs without streams"},
    {COUNT("limits.ping_strikes", limits.ping_strikes, "2", 0, 1000), LIVE,
     .help = "PINGs that may come earlier"},
    {COUNT("limits.empty_data", limits.empty_data, "10", 0, 10000), LIVE,
     .help = "empty DATA frames per stream"},
    {COUNT("limits.priority_frames", limits.priority_frames, "100", 0, 1000000), LIVE,
     .help = "PRIORITY and unknown frames per connection"},
    {COUNT("limits.window_updates", limits.window_updates, "100", 0, 1000000), LIVE,
     .help = "WINDOW_UPDATE frames per connection beyond 10 for each request and frame of ours"},
    {COUNT("limits.control_frames", limits.control_frames, "10000", 100, 100000000), LIVE,
     .help = "frames but DATA per connection beyond 20 for each request"},
    {COUNT("limits.key_updates", limits.key_updates, "32", 1, 1000000), LIVE,
     .help = "TLS KeyUpdate messages per connection"},
    /* How long a client may take, and how long a connection lives. */
    {DURATION("limits.handshake_timeout", limits.handshake_timeout_ns, "5s", 100 * NS_PER_MS,
              MINUTE),
     LIVE, .help = "TLS handshake"},
    {DURATION("limits.preface_timeout", limits.preface_timeout_ns, "5s", 100 * NS_PER_MS, MINUTE),
     LIVE, .help = "HTTP/2 preface and SETTINGS"},
    {DURATION("limits.headers_timeout", limits.headers_timeout_ns, "5s", 100 * NS_PER_MS, MINUTE),
     LIVE, .help = "header block, from its first byte"},
    {DURATION("limits.body_progress", limits.body_progress_ns, "10s", 100 * NS_PER_MS, HOUR), LIVE,
     .help = "standstill of an announced message"},
    {SIZE("limits.body_rate", limits.body_rate, "1KiB", 0, MIB), LIVE,
     .help = "slowest announced message, per second over body_progress; 0: none"},
    {DURATION("limits.write_stall", limits.write_stall_ns, "10s", 100 * NS_PER_MS, HOUR), LIVE,
     .help = "standstill of a response"},
    {SIZE("limits.write_rate", limits.write_rate, "1KiB", 0, MIB), LIVE,
     .help = "slowest reading of a response, per second over write_stall; 0: none"},
    {SIZE("limits.stalled_bytes", limits.stalled_bytes, "256KiB", 16 * KIB, 64 * MIB), LIVE,
     .help = "responses standing still for half of write_stall, per connection"},
    {DURATION("limits.tcp_user_timeout", limits.tcp_user_timeout_ns, "20s", 100 * NS_PER_MS, HOUR),
     LIVE, .help = "sent bytes that the peer's TCP does not acknowledge"},
    {DURATION("limits.keepalive", limits.keepalive_ns, "2m", 0, 24 * HOUR), LIVE,
     .help = "silence of a client before it is asked by a PING; 0s: never"},
    {DURATION("limits.keepalive_timeout", limits.keepalive_timeout_ns, "20s", 100 * NS_PER_MS,
              HOUR),
     LIVE, .help = "for any byte after that, then close"},
    {DURATION("limits.idle", limits.idle_ns, "5m", 100 * NS_PER_MS, 24 * HOUR), LIVE,
     .help = "connection without a stream"},
    {DURATION("limits.age", limits.age_ns, "30m", NS_PER_S, 24 * HOUR), LIVE,
     .help = "connection, ± 10 %; then GOAWAY"},
    {DURATION("limits.age_grace", limits.age_grace_ns, "30s", 100 * NS_PER_MS, HOUR), LIVE,
     .help = "for its last calls"},
    {COUNT("limits.requests_per_connection", limits.requests_per_connection, "100000", 1,
           1000000000),
     LIVE, .help = "then GOAWAY"},
    {COUNT("limits.connections_per_identity", limits.connections_per_identity, "64", 1, 65536),
     LIVE, .help = "connections per certificate URI"},
    {COUNT("limits.connections_total", limits.connections_total, "4096", 1, 1000000), LIVE,
     .help = "connections of the process"},
    {COUNT("limits.accepts_per_second", limits.accepts_per_second, "200", 1, 1000000), LIVE,
     .help = "new connections of the process that make a handshake"},
    {COUNT("limits.offender_burst", limits.offender_burst, "50", 1, 1000000), LIVE,
     .help = "TLS handshakes at once from an address whose connections had to be ended"},
    {COUNT("limits.offender_rate", limits.offender_rate, "20", 1, 1000000), LIVE,
     .help = "and per second; the rest waits, for up to handshake_timeout"},
    {DURATION("limits.offender_time", limits.offender_time_ns, "1m", 0, 24 * HOUR), LIVE,
     .help = "for so long after the last one was; 0s: no address is"},
    {SIZE("limits.connection_memory", limits.connection_memory, "256MiB", 4 * MIB, 64 * KIB * MIB),
     LIVE, .help = "memory of all connections; nobody is accepted from 90 % on"},
    {DURATION("limits.deadline_default", limits.deadline_default_ns, "10s", NS_PER_MS, HOUR), LIVE,
     .help = "of a unary call that brings none"},
    {DURATION("limits.deadline_cap", limits.deadline_cap_ns, "30s", NS_PER_MS, HOUR), LIVE,
     .help = "of any unary call"},

    /* Batch clients drop many streams, and gateways hold many: not a reason to allow it to all. */
    OWN_LIMITS("admin", 0),
    OWN_LIMITS("api-gateway", 1),
    OWN_LIMITS("sync-service", 2),

    {TEXT("telemetry.service_name", telemetry.service_name, "tenant-service"),
     .alias = "OTEL_SERVICE_NAME", .help = "the service's name in logs and traces"},
    {URL("telemetry.otlp_endpoint", telemetry.otlp_endpoint), .choices = https,
     .alias = "OTEL_EXPORTER_OTLP_ENDPOINT",
     .help = "collector that traces go to, by gRPC with mutual TLS only, at port 4317 unless it "
             "names another; empty: nobody traces"},
    {RATIO("telemetry.trace_ratio", telemetry.trace_ratio, "0"), .alias = "OTEL_TRACES_SAMPLER_ARG",
     LIVE, .help = "share of the traces that begin here; callers decide about theirs"},
};
const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];

/* Section and key joined: unique, which a test checks for the whole table. */
void config_variable(const struct config_key *key, char out[CONFIG_VARIABLE_SIZE])
{
    static const char prefix[] = "TENANT_";
    size_t length = sizeof prefix - 1;
    memcpy(out, prefix, length);
    for (const char *c = key->path; *c != '\0'; c++) {
        assert(length < CONFIG_VARIABLE_SIZE - 1);
        out[length++] = (char)(*c == '.' || *c == '-' ? '_' : toupper((unsigned char)*c));
    }
    out[length] = '\0';
}

/* A linear search: some eighty rows, looked up once each at start. */
size_t config_key_find(struct slice path)
{
    size_t key = 0;
    while (key < config_key_count && !slice_is(path, config_keys[key].path))
        key++;
    return key;
}

bool config_is_section(struct slice section)
{
    for (size_t key = 0; key < config_key_count; key++) {
        const char *path = config_keys[key].path;
        if (strncmp(path, (const char *)section.data, section.size) == 0 &&
            path[section.size] == '.')
            return true;
    }
    return false;
}

/* At most three edits away: more is another word. */
const char *config_key_nearest(const char *path)
{
    const char *nearest = NULL;
    size_t best = 4; /* further away is no misspelling */
    for (size_t key = 0; key < config_key_count; key++) {
        size_t distance = path_distance(path, config_keys[key].path);
        if (distance < best) {
            best = distance;
            nearest = config_keys[key].path;
        }
    }
    return nearest;
}

/* Levenshtein's edit distance, one row at a time. */
static size_t path_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1];
    size_t width = strlen(b);
    if (strlen(a) > LONGEST || width > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = step < change ? step : change;
        }
    }
    return row[width];
}
