/* The composition root's own: what the parts of the program are and how they hang together.  The only room
 * that knows every other.
 *
 *    main ── app ── serve ── worker_thread × N      one loop, store, cache and rpc_worker each
 *                     └── relay, inbound, epoch_feed, otlp, ops: a thread each
 *
 * Opened top-down by serve.c and closed in the opposite order; a pointer goes only to what
 * lives longer. */
#ifndef MAIN_APP_H
#define MAIN_APP_H

#include "base/ctx.h"
#include "base/log.h"
#include "base/metrics.h"

#include "config/config.h"
#include "ops/health.h"
#include "ops/process.h"
#include "rpc/rpc.h"
#include "service/service.h"
#include "store/store.h"

#include <pthread.h>

struct cache_memory;
struct certificates;
struct epoch_feed;
struct epoch_view;
struct store_settings;
struct event_source;
struct inbound;
struct ops;
struct relay;
struct token_keys;

/* Exit statuses: 0 stopped as asked, 1 could not start or broke, 2 wrong usage or configuration. */
enum { EXIT_STOPPED = 0, EXIT_BROKEN = 1, EXIT_WRONG = 2 };

/* Borrowed from the command line. */
struct options {
    const char *command;     /* "serve", "relay", "migrate", "check-config", "version" */
    const char *config_file; /* --config; NULL: $TENANT_CONFIG, else the environment alone */
    const char *migrations;  /* --migrations */
    bool no_relay;           /* serve without the relay */
    bool no_consumers;       /* serve without applying other services' events */
    bool print;              /* check-config: the effective values */
    bool schema;             /* check-config: every key, as the README has them */
};

/* What every command needs.  On main()'s stack, so it outlives every thread. */
struct app {
    struct options options;
    unsigned use;          /* of the configuration: a CONFIG_FOR_... mask */
    struct arena *arena;   /* lives as long as the program */
    struct ctx ctx;        /* the main thread's */
    struct log log;        /* const once app_configure() returned, but for the level */
    struct config *config; /* of the start; const after that too; owned */
    struct config *live;   /* of the last reload, or `config`; the main thread's alone; owned */
    struct token_keys *token_keys;              /* of consistency and page tokens; owned */
    struct pg_password *passwords[LOGIN_COUNT]; /* of the logins in use; owned */
    char instance[80];                          /* host:pid:random: unique among replicas */
};

/* What a reload may change under a worker.  Each worker has a copy, so that no thread reads what another
 * writes. */
struct worker_policy {
    struct rpc_limits limits;
    struct config_identity identities[CONFIG_IDENTITIES]; /* URIs owned, names constant */
    uint64_t drain_grace_ns;
    uint64_t consistency_wait_ns;
    uint64_t idempotency_ttl_ns;
    uint64_t trace_threshold;
    char *redis_url; /* for its password; owned */
};

/* Its thread's, from worker_start() on; the main thread touches `orders` and `next`, and all of it
 * again after the join. */
struct worker_thread {
    struct serve *serve;
    unsigned number; /* from 0; the first one probes the database */
    pthread_t thread;
    struct loop *loop;
    struct metrics *metrics; /* the worker's own set */
    struct store *store;     /* owned, like cache and rpc */
    struct cache *cache;
    struct rpc_worker *rpc;
    struct worker_policy *policy;         /* in force; owned */
    _Atomic(struct worker_policy *) next; /* of a reload, not yet taken over; owned */
    struct service_env env;               /* what handlers get as call->service */
    struct mailbox *orders;               /* from the main thread */
    struct timer *tick;                   /* once a second: lag, dependencies */
    struct metric *slow_slices;           /* see watchdog.c */
    bool probing;                         /* a task is asking the database how it is */
    struct log_interval put_back_lines;   /* of failures to restrict tenants again */
    struct dependency *database;          /* shown by the first worker only */
    struct dependency *redis;
};

struct reload_metrics {
    struct metric *success;
    struct metric *failure;
    struct metric *time;
};

/* A serving process.  The main thread's, but for health, metrics, memory and epochs, which are
 * thread-safe. */
struct serve {
    struct app *app;
    struct loop *loop;       /* the main thread's: accepts, signals */
    struct metrics *metrics; /* of everything but the workers */
    struct metrics **sets;   /* that and the workers', for rendering; owned */
    struct health *health;
    struct ops *ops;
    struct tls_context *server_tls;
    struct tls_context *client_tls; /* towards Redis */
    struct epoch_view *epochs;      /* what is known of changes; judges the caches */
    struct epoch_feed *epoch_feed;  /* keeps it up to date */
    struct cache_memory *memory;
    struct event_source *source;
    struct relay *relay;     /* NULL with --no-relay */
    struct inbound *inbound; /* NULL with --no-consumers */
    struct otlp *otlp;       /* NULL without telemetry.otlp_endpoint */
    struct rpc_shared *shared;
    struct rpc_listener *listener;
    struct worker_thread *workers; /* owned */
    unsigned worker_count;
    struct loop_lag *lags;          /* one per worker; owned */
    struct log_interval slow_lines; /* shared by the workers */
    struct mailbox *reports;        /* from the workers: "drained" */
    unsigned drained;
    struct reload_metrics reload;
    struct certificates *certificates; /* renews the two tls contexts */
    int signal_fd;
    struct io *signal_io;
    struct timer *tick;
    bool stopping; /* the first SIGTERM or SIGINT came */
};

/* Reads the configuration for a use (CONFIG_FOR_… mask), prints what is wrong; OK or EXIT_WRONG. */
int app_configure(struct app *app, unsigned use);
/* Where app_configure() read it from, to read it again. */
struct config_source app_config_source(const struct app *app);
/* Says a fault as one line on standard error; returns EXIT_BROKEN (EXIT_WRONG for configuration). */
int app_fail(struct app *app, struct ctx *ctx);

/* Each returns an exit status, after all it opened is closed. */
int command_serve(struct app *app);
int command_relay(struct app *app);
int command_migrate(struct app *app);
int command_check_config(struct app *app);

/* worker.c */
struct worker_policy *worker_policy_new(const struct config *config);
void worker_policy_free(struct worker_policy *policy); /* accepts NULL */
/* Hands the policy over: the worker takes it between two turns of its loop. */
void worker_set_policy(struct worker_thread *worker, struct worker_policy *policy);
void worker_settings_store(const struct app *app, struct store_settings *settings);
/* Fault: of its store or cache settings, or INTERNAL without a thread; then worker_join() takes
 * it apart. */
int worker_start(struct worker_thread *worker, struct serve *serve, unsigned number);
/* Asks for the drain; the worker reports to serve->reports and then ends.  Once. */
void worker_drain(struct worker_thread *worker);
void worker_join(struct worker_thread *worker); /* also of one that never started */

/* reload.c */
void reload_metrics_init(struct reload_metrics *reload, struct metrics *metrics);
/* On the main thread.  Reads configuration, keys and certificates again and applies what can be changed;
 * what is wrong is logged, counted and changes nothing.  `serve` NULL: the relay alone. */
void app_reload(struct app *app, struct serve *serve, const struct reload_metrics *metrics);

/* startup.c: what must be true of the database before anything is served.  Blocks
 * for up to 20 s.  Faults: CONFIG (schema, rights), DATABASE. */
int startup_check_database(struct app *app, struct metrics *metrics, bool relay_only);

/* watchdog.c: tells of the worker's tasks that hold the CPU for more than 5 ms. */
void watchdog_start(struct worker_thread *worker);

/* wiring.c */
/* Nothing here fails or allocates but what says so. */
void wiring_limits(const struct config *config, struct rpc_limits *limits);
void wiring_hooks(struct worker_thread *worker, struct rpc_hooks *hooks);
void wiring_env(struct serve *serve, struct worker_thread *worker);
/* The same certificate both ways: towards callers, and towards Redis.  Both or none. */
int wiring_tls(struct ctx *ctx, const struct config *config, struct tls_context **server,
               struct tls_context **client);
/* Into app->passwords, for the URLs that are set.  Fault: CONFIG. */
int wiring_passwords(struct app *app);
/* The URL of a login; "": not set. */
const char *wiring_url(const struct config *config, enum store_login login);
/* Into app->token_keys: those of tokens.keys_file, or one of this process alone. */
int wiring_token_keys(struct app *app);
struct event_source *wiring_source(struct app *app);
int wiring_relay(struct app *app, struct metrics *metrics, struct relay **relay);
/* Are other services' events applied here: wanted, and given what that takes? */
bool wiring_consumes(const struct app *app);
int wiring_inbound(struct serve *serve);

extern const char *const version_commit;

#endif
