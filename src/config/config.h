/* The configuration: one YAML file under the environment, checked whole before anything starts.
 *
 * Every key is one row of schema.c; parsing, defaults, ranges, variable names and the printed tables
 * all come from there.  What each key means stands there too; here stand unit and default. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/result.h"

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
};

/* A caller's name and the SAN URI that proves it. */
struct config_identity {
    const char *name; /* "admin" */
    const char *uri;  /* compared byte for byte; "": nobody has this name (default) */
};

enum { CONFIG_IDENTITIES = 3 };

struct config_database {
    const char *url;               /* the app login; needed by serve */
    const char *relay_url;         /* the relay login; needed where the relay runs */
    const char *platform_url;      /* the platform login; needed by serve */
    const char *migrate_url;       /* the migrator login, direct; needed by migrate */
    uint32_t pool_size;            /* app connections per worker; 8 */
    uint32_t platform_pool_size;   /* platform connections per worker; 2 */
    uint32_t queue;                /* waiters for a connection per pool; 256 */
    uint64_t connect_timeout_ns;   /* 2 s */
    uint64_t statement_timeout_ns; /* upper bound; a call's own deadline may be nearer; 5 s */
};

struct config_redis {
    const char *url;        /* redis:// or rediss://; "" (default): no shared cache */
    uint64_t op_timeout_ns; /* one command; 10 ms */
};

struct config_nats {
    const char *url;       /* nats:// or tls://; needed where the relay runs */
    const char *seed_file; /* file with the NKey seed; "" (default): no NKey */
    uint32_t replicas;     /* of each stream, 1 to 5; 3 */
};

struct config_relay {
    bool enabled;               /* run the relay inside serve; true */
    uint32_t window;            /* events sent and not yet acknowledged per partition; 1000 */
    uint64_t lease_ttl_ns;      /* 5 s */
    uint64_t sent_retention_ns; /* how long sent outbox rows stay; 72 h */
};

struct config_cache {
    uint64_t max_age_ns;     /* 200 ms, which is also the most that is promised */
    uint32_t memory_entries; /* of the process; 8192 */
    size_t memory_bytes;     /* of the process; 16 MiB */
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
    const char *service_name;  /* in logs; tenant-service */
    const char *otlp_endpoint; /* "" (default): none */
};

/* Per connection where nothing else is said.  Reasons: docs/decisions.md. */
struct config_limits {
    uint32_t concurrent_streams;       /* 100 */
    uint32_t running_handlers;         /* not lowered by resets; 100 */
    uint32_t requests_per_turn;        /* 32 */
    uint32_t client_resets_burst;      /* 200 */
    uint32_t client_resets_rate;       /* per second; 20 */
    uint32_t server_resets_burst;      /* 100 */
    uint32_t server_resets_rate;       /* per second; 10 */
    uint32_t continuations;            /* per header block; 4 */
    uint32_t header_fields;            /* per request; 64 */
    size_t header_bytes;               /* per request, decoded, + 32 per field; 16 KiB */
    size_t header_field_bytes;         /* name and value of one field; 8 KiB */
    size_t message_bytes;              /* one request message; 1 MiB */
    size_t response_bytes;             /* one response message; 4 MiB */
    size_t queued_response_bytes;      /* unsent, then new requests are held; 256 KiB */
    uint32_t settings_entries;         /* per SETTINGS frame; 32 */
    uint32_t settings_per_10s;         /* SETTINGS frames; 10 */
    uint32_t outbound_acks;            /* queued PING and SETTINGS acknowledgements; 100 */
    uint64_t ping_interval_ns;         /* the shortest allowed without streams; 10 s */
    uint32_t ping_strikes;             /* 2 */
    uint32_t empty_data;               /* empty DATA frames per stream; 10 */
    uint32_t priority_frames;          /* PRIORITY and unknown frames; 100 */
    uint32_t control_frames;           /* beyond 20 per request; 10000 */
    uint64_t handshake_timeout_ns;     /* TLS; 5 s */
    uint64_t preface_timeout_ns;       /* client preface and SETTINGS; 5 s */
    uint64_t headers_timeout_ns;       /* header block, from its first byte; 5 s */
    uint64_t body_progress_ns;         /* longest standstill of an announced message; 10 s */
    uint64_t write_stall_ns;           /* longest standstill of a response; 10 s */
    uint64_t idle_ns;                  /* 5 min */
    uint64_t age_ns;                   /* 30 min, ± 10 % */
    uint64_t age_grace_ns;             /* 30 s */
    uint32_t requests_per_connection;  /* 100000 */
    uint32_t connections_per_identity; /* over the process; 64 */
    uint32_t connections_total;        /* over the process; 4096 */
    uint32_t accepts_per_second;       /* over the process; 200 */
    uint64_t deadline_default_ns;      /* of unary calls that bring none; 10 s */
    uint64_t deadline_cap_ns;          /* 30 s */
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
    struct config_cache cache;
    struct config_tokens tokens;
    struct config_writes writes;
    struct config_reads reads;
    struct config_limits limits;
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

/* The configuration as a YAML file that says where each value came from; secrets are masked. */
void config_print_effective(const struct config *config, struct buf *out);
/* The table of the README. */
void config_print_schema_markdown(struct buf *out);

#endif
