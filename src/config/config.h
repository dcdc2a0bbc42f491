/* The configuration: one YAML file under the environment, checked whole before anything starts.
 *
 * Every key is one row of schema.c; parsing, defaults, ranges, variable names and the printed tables
 * all come from there.  What each key means stands there too; here stand unit and default. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/result.h"

#include "config/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_log_format { CONFIG_LOG_JSON, CONFIG_LOG_TEXT };

struct config_log {
    int level;  /* an enum log_level; info */
    int format; /* an enum config_log_format; json */
};

struct config_server {
    const char *address;     /* numeric IP; 0.0.0.0 */
    uint16_t port;           /* 0: any free one; 3000 */
    uint32_t workers;        /* threads; 0 (default): one for each CPU */
    uint64_t drain_grace_ns; /* from SIGTERM to the end; 25 s */
    uint32_t max_tasks;      /* calls running at once per worker; 2048 */
};

struct config_ops {
    const char *address; /* numeric IP; 0.0.0.0 */
    uint16_t port;       /* 0: any free one; 9090 */
};

struct config_tls {
    const char *cert_file; /* PEM, leaf first; needed by serve */
    const char *key_file;  /* PEM; needed by serve */
    const char *ca_file;   /* PEM; needed by serve */
    const char *crl_file;  /* PEM; "" (default): nothing is revoked */
    uint64_t
        watch_interval_ns; /* between looks at these files; 0: read again on SIGHUP alone; 2 s */
};

/* A caller's name and the SAN URI that proves it. */
struct config_identity {
    const char *name; /* "admin" */
    const char *uri;  /* compared byte for byte; "": nobody has this name (default) */
};

enum { CONFIG_IDENTITIES = 3 };

/* What ends in url_file names a file with the content of the url beside it; "" (default): none. */
struct config_database {
    const char *url;          /* the app login; needed by serve */
    const char *relay_url;    /* the relay login; needed where the relay runs */
    const char *platform_url; /* the platform login; needed by serve */
    const char *migrate_url;  /* the migrator login, direct; needed by migrate */
    const char *url_file;
    const char *relay_url_file;
    const char *platform_url_file;
    const char *migrate_url_file;
    uint32_t pool_size;            /* app connections per worker; 8 */
    uint32_t platform_pool_size;   /* platform connections per worker; 2 */
    uint32_t queue;                /* waiters for a connection per pool; 256 */
    uint64_t connect_timeout_ns;   /* 2 s */
    uint64_t statement_timeout_ns; /* upper bound; a call's own deadline may be nearer; 5 s */
};

struct config_redis {
    const char *url; /* redis:// or rediss://; "" (default): no shared cache */
    const char *url_file;
    uint64_t op_timeout_ns; /* one command; 10 ms */
};

struct config_nats {
    const char *url; /* nats:// or tls://; needed where the relay runs */
    const char *url_file;
    const char *seed_file;        /* file with the NKey seed; "" (default): no NKey */
    uint32_t replicas;            /* of each stream, 1 to 5; 3 */
    uint64_t duplicate_window_ns; /* streams refuse an event id for so long; 2 min */
};

struct config_relay {
    bool enabled;                   /* run the relay inside serve; true */
    uint32_t window;                /* events sent and not yet acknowledged per partition; 1000 */
    uint64_t lease_ttl_ns;          /* 5 s */
    uint64_t reconcile_interval_ns; /* 60 s */
    uint64_t withhold_after_ns;     /* 2 min */
};

/* Events of other services that change something here. */
struct config_consumers {
    bool enabled;               /* run them inside serve; true */
    const char *billing_stream; /* where billing's events are; BILLING */
    uint32_t parked_max;        /* events that wait for their tenant; 10,000 */
    uint64_t park_for_ns;       /* how long one waits; 24 h */
};

struct config_cache {
    uint64_t max_age_ns;        /* 200 ms, which is also the most that is promised */
    uint64_t epoch_interval_ns; /* from look to look for changes; below max_age_ns; 50 ms */
    uint32_t memory_entries;    /* of the process; 8192 */
    size_t memory_bytes;        /* of the process; 16 MiB */
};

struct config_tokens {
    const char *keys_file; /* 32-byte MAC keys with ids; "" (default): none */
};

struct config_writes {
    uint64_t key_ttl_ns; /* how long the answer to an idempotency key is kept; 24 h */
};

struct config_reads {
    uint64_t consistency_wait_ns; /* how long a read waits for what its token stands for; 200 ms */
};

struct config_telemetry {
    const char *service_name;  /* in logs and traces; tenant-service */
    const char *otlp_endpoint; /* https://, "" (default): none */
    uint32_t trace_ratio;      /* of traces that begin here, in billionths; 0 */
};

/* All strings are owned by the configuration and never NULL: "" is unset. */
struct config {
    const char *region;      /* us, eu, me or ap; required */
    const char *environment; /* "production" */
    struct config_log log;
    struct config_server server;
    struct config_ops ops;
    struct config_tls tls;
    struct config_identity identities[CONFIG_IDENTITIES]; /* admin, api-gateway, sync-service */
    struct config_database database;
    struct config_redis redis;
    struct config_nats nats;
    struct config_relay relay;
    struct config_consumers consumers;
    struct config_cache cache;
    struct config_tokens tokens;
    struct config_writes writes;
    struct config_reads reads;
    struct config_limits limits;
    struct config_identity_limits identity_limits[CONFIG_IDENTITIES]; /* as the identities */
    struct config_telemetry telemetry;
    struct arena *arena;                 /* owns every string */
    const struct config_origin *origins; /* where each value came from, in the schema's order */
};

/* What the configuration is for: decides which keys must be there. */
enum config_use {
    CONFIG_FOR_SERVE = 1,
    CONFIG_FOR_RELAY = 2,
    CONFIG_FOR_MIGRATE = 4,
};

struct config_source {
    const char *file;         /* NULL: the environment alone */
    char *const *environment; /* "NAME=value" strings, NULL-terminated, as in environ */
    unsigned use;             /* enum config_use bits; 0: nothing is needed, all is checked */
};

/* What there is to say to the person, a line each: all errors, not only the first. */
struct config_notes {
    struct buf errors;
    struct buf warnings; /* variables that look meant for us and are not known */
    size_t error_count;
    size_t warning_count;
};

void config_notes_deinit(struct config_notes *notes);

/* Reads file and environment; TENANT_ variables win over the seed's names (DATABASE_URL, …), these over
 * the file, the file over the defaults.  `notes` begins zeroed and is filled in any case.  *config is the
 * caller's.  Fault: FAULT_CONFIG, its text is the first error. */
int config_load(struct ctx *ctx, const struct config_source *source, struct config_notes *notes,
                struct config **config) MUST_CHECK;
void config_free(struct config *config); /* accepts NULL */

/* The file's name in the environment, for programs that take it from there. */
#define CONFIG_FILE_VARIABLE "TENANT_CONFIG"

/* Whether a key's change holds after a reload, or only after a restart.  Of a URL of the
 * database or of Redis the password alone can change by a reload. */
enum config_change { CONFIG_CHANGE_LIVE, CONFIG_CHANGE_RESTART };

/* Appends the paths of such keys whose values differ, with ", " between; returns how many. */
size_t config_differences(const struct config *one, const struct config *other,
                          enum config_change change, struct buf *paths);

/* The configuration as a YAML file that says where each value came from; secrets are masked. */
void config_print_effective(const struct config *config, struct buf *out);
/* The table of the README. */
void config_print_schema_markdown(struct buf *out);

#endif
