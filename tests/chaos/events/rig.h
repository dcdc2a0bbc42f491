/* A stack of the relay tests' own, processes that write events, and processes that relay them.
 *
 * Writers and relays are processes, so that they can be stopped and killed; what they count lies in shared
 * memory.  What is checked is read by rig.py with stock clients. */
#ifndef TESTS_RELAY_RIG_H
#define TESTS_RELAY_RIG_H

#include "base/metrics.h"
#include "base/random.h"

#include "events/outbox.h"
#include "events/relay.h"
#include "store/migrate.h"
#include "store/store.h"
#include "store/tenant_store.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RELAYS_MAX 4
#define WRITERS 8
#define TENANTS 48
#define LEASE_TTL_NS (1500 * NS_PER_MS)

/* What a relay process tells. */
struct relay_report {
    _Atomic unsigned leases;
    _Atomic unsigned stopped;
    _Atomic uint64_t published;
    _Atomic uint64_t fenced;
    _Atomic uint64_t duplicates;
    _Atomic uint64_t settled_late;
    _Atomic uint64_t stream_errors;
    _Atomic uint64_t rewinds;
    _Atomic uint64_t refilled;
    _Atomic uint64_t unrefillable;
    _Atomic uint64_t missing;
    _Atomic uint64_t withheld;
    _Atomic uint64_t letters;
    _Atomic uint64_t unlettered;
    _Atomic bool broker_up;
    _Atomic bool database_up;
};

struct shared {
    _Atomic bool stop;          /* writers end */
    _Atomic uint64_t committed; /* events */
    _Atomic uint64_t uncertain; /* commits whose fate nobody knows */
    struct relay_report relays[RELAYS_MAX];
    struct uuid tenants[TENANTS];
};

struct rig {
    struct shared *shared;
    pid_t writers[WRITERS];
    pid_t relays[RELAYS_MAX];
    const char *nats_url; /* NULL: the stack's */
};

static struct rig rig;

/* --- commands ------------------------------------------------------------------------------------ */

/* Runs a shell command with the stack's environment; its status. */
static inline int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline int shell(const char *format, ...)
{
    char command[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("bash", "bash", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#define RIG "eval \"$(tools/deps --env)\"; \"$DEPS_PYTHON\" tests/chaos/events/rig.py "

/* A child that does not outlive its test. */
static inline pid_t child_fork(void)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static inline const char *env(const char *name)
{
    const char *value = getenv(name);
    ck_assert_msg(value != NULL, "%s is not set", name);
    return value;
}

static inline void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static inline void migrated(void *owner, int version, const char *name, bool applied_now)
{
    (void)owner;
    (void)version;
    (void)name;
    (void)applied_now;
}

/* A stack of this name, with these variables for tools/stack; its environment becomes ours. */
static inline void stack_up_as(const char *suffix, const char *variables)
{
    char name[64], path[96], line[1024];
    const char *outer = getenv("TENANT_STACK");
    snprintf(name, sizeof name, "%.24s-%.15s", outer != NULL ? outer : "it", suffix);
    setenv("STACK_NAME", name, 1); /* stack_down() ends this one, whatever ours was before */
    /* what a stack of before put into our environment is not meant for this one */
    ck_assert_int_eq(shell("env -u STACK_NATS_NODES STACK_FSYNC=off %s tools/stack up %s >/dev/null", variables, name), 0);
    snprintf(path, sizeof path, "build/stack/%s/stack.env", name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, '=');
        ck_assert_ptr_nonnull(value);
        *value++ = '\0';
        value[strcspn(value, "\n")] = '\0';
        size_t length = strlen(value);
        if (length >= 2 && value[0] == '\'' && value[length - 1] == '\'') {
            value[length - 1] = '\0';
            value++;
        }
        setenv(line, value, 1);
    }
    fclose(file);
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena_new(0));
    int rc = migrate_run(&ctx, env("STACK_MIGRATE_URL"), "migrations", migrated, NULL);
    ck_assert_msg(rc == OK, "%s", ctx_fault_text(&ctx));
    arena_free(ctx.arena);
}

static inline void stack_up(void)
{
    stack_up_as("relay", "");
}

static inline void stack_down(void)
{
    shell("tools/stack down %s --purge >/dev/null", env("STACK_NAME"));
}

/* --- writers ------------------------------------------------------------------------------------- */

static const struct event_source rig_source = {
    .service = "tenant-service", .instance = "rig", .commit = "0"};

static inline struct store *app_store(struct ctx *ctx)
{
    const struct store_settings settings = {.urls = {[LOGIN_APP] = env("STACK_DATABASE_URL")},
                                            .sizes = {[LOGIN_APP] = 1}};
    struct store *store = NULL;
    int rc = store_open(ctx, NULL, &settings, NULL, &store);
    ck_assert_msg(rc == OK, "%s", ctx_fault_text(ctx));
    return store;
}

static inline struct tenant tenant_made(const struct uuid *id, const char *slug, const char *name)
{
    uint64_t now_us = clock_wall() / NS_PER_US;
    struct tenant tenant = {.id = *id,
                            .slug = slug,
                            .display_name = name,
                            .home_region = REGION_EU,
                            .create_time_us = now_us,
                            .update_time_us = now_us,
                            .version = 1};
    tenant_defaults(&tenant);
    return tenant;
}

/* One change of a tenant; `pause_us` between writing and committing makes commits overtake each other. */
static inline int event_write(struct store *store, struct ctx *ctx, const struct uuid *tenant_id,
                              unsigned pause_us)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct tenant tenant = tenant_made(tenant_id, "rig", "An event of the relay's tests");
    ctx->deadline_ns = deadline_after(clock_now(), 10 * NS_PER_S);
    TRY(tx_begin(store, ctx, TX_WRITE, tenant_id, &tx));
    TRY(outbox_append(tx,
                      &(struct event){.kind = EVENT_ORG_UPDATED,
                                      .source = &rig_source,
                                      .tenant = &tenant,
                                      .changed_fields = TENANT_FIELD_DISPLAY_NAME},
                      NULL));
    if (pause_us > 0) {
        TRY(tx_run(tx));
        usleep(pause_us);
    }
    return tx_commit(tx);
}

/* New tenants, each with its provisioned event. */
static inline void tenants_create(void)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena_new(0));
    struct store *store = app_store(&ctx);
    for (unsigned i = 0; i < TENANTS; i++) {
        char slug[64];
        struct uuid id = uuid_new();
        snprintf(slug, sizeof slug, "rig-%08llx-%u", (unsigned long long)random_below(UINT32_MAX),
                 i);
        struct tenant tenant = tenant_made(&id, slug, "Rig");
        struct tx *tx = NULL;
        ctx.deadline_ns = deadline_after(clock_now(), 10 * NS_PER_S);
        ck_assert_int_eq(tx_begin(store, &ctx, TX_WRITE, &id, &tx), OK);
        tenant_store_insert(tx, &tenant);
        ck_assert_int_eq(outbox_append(tx,
                                       &(struct event){.kind = EVENT_ORG_PROVISIONED,
                                                       .source = &rig_source,
                                                       .tenant = &tenant},
                                       NULL), OK);
        int rc = tx_commit(tx);
        ck_assert_msg(rc == OK, "%d %s", rc, ctx_fault_text(&ctx));
        tx_free(tx);
        rig.shared->tenants[i] = id;
        rig.shared->committed++;
    }
    store_close(store);
    arena_free(ctx.arena);
}

/* From the test's own process. */
static inline void event_write_one(const struct uuid *tenant_id)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena_new(0));
    struct store *store = app_store(&ctx);
    ck_assert_int_eq(event_write(store, &ctx, tenant_id, 0), OK);
    rig.shared->committed++;
    store_close(store);
    arena_free(ctx.arena);
}

static inline void writer_main(unsigned pause_us)
{
    struct ctx ctx;
    ctx_init(&ctx, NULL, arena_new(0));
    struct store *store = app_store(&ctx);
    while (!rig.shared->stop) {
        arena_reset(ctx.arena);
        const struct uuid *tenant = &rig.shared->tenants[random_below(TENANTS)];
        int rc = event_write(store, &ctx, tenant, (unsigned)random_below(pause_us + 1));
        rig.shared->committed += rc == OK;
        rig.shared->uncertain += rc != OK;
        if (rc != OK)
            sleep_ms(20);
    }
    store_close(store);
    _exit(0);
}

static inline void writers_start(unsigned pause_us)
{
    rig.shared->stop = false;
    for (unsigned i = 0; i < WRITERS; i++) {
        rig.writers[i] = child_fork();
        if (rig.writers[i] == 0)
            writer_main(pause_us);
    }
}

static inline void writers_stop(void)
{
    rig.shared->stop = true;
    for (unsigned i = 0; i < WRITERS; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(rig.writers[i], &status, 0), rig.writers[i]);
        ck_assert_int_eq(status, 0);
    }
}

/* --- relays -------------------------------------------------------------------------------------- */

static inline struct metric *metric_named(struct metrics *metrics, const char *name,
                                          const char *label)
{
    for (size_t i = 0; events_metric_families[i] != NULL; i++) {
        if (strcmp(events_metric_families[i]->name, name) == 0)
            return metrics_series(metrics, events_metric_families[i],
                                  label == NULL ? NULL : &label);
    }
    ck_abort_msg("no metric %s", name);
}

static volatile sig_atomic_t relay_ends;

static inline void on_term(int number)
{
    (void)number;
    relay_ends = 1;
}

static inline void relay_report_fill(struct relay *relay, struct metrics *metrics,
                                     struct relay_report *report)
{
    struct relay_status status;
    relay_status(relay, &status);
    report->leases = status.leases;
    report->stopped = status.stopped;
    report->published = status.published;
    report->broker_up = status.broker_up;
    report->database_up = status.database_up;
    report->fenced =
        metric_value(metric_named(metrics, "tenant_relay_fenced_publishes_total", NULL));
    report->duplicates =
        metric_value(metric_named(metrics, "tenant_relay_errors_total", "duplicate"));
    report->settled_late =
        metric_value(metric_named(metrics, "tenant_relay_stored_unacknowledged_total", NULL));
    report->rewinds =
        metric_value(metric_named(metrics, "tenant_database_rewinds_total", "server")) +
        metric_value(metric_named(metrics, "tenant_database_rewinds_total", "stream"));
    report->refilled =
        metric_value(metric_named(metrics, "tenant_relay_refilled_events_total", NULL));
    report->unrefillable =
        metric_value(metric_named(metrics, "tenant_relay_unrefillable_events_total", NULL));
    report->missing = metric_value(metric_named(metrics, "tenant_relay_missing_events", NULL));
    report->withheld =
        metric_value(metric_named(metrics, "tenant_relay_withheld_events_total", "TOO_LARGE")) +
        metric_value(metric_named(metrics, "tenant_relay_withheld_events_total", "FOREIGN_SUBJECT"));
    report->letters = metric_value(metric_named(metrics, "tenant_relay_dead_letters_total", NULL));
    report->unlettered = metric_value(metric_named(metrics, "tenant_outbox_dead_unlettered", NULL));
    report->stream_errors =
        metric_value(metric_named(metrics, "tenant_relay_errors_total", "stream"));
}

static inline void relay_main_of(unsigned number, struct relay_settings settings)
{
    char instance[32], ca[256], cert[256], key[256], seed[256];
    const char *pki = env("STACK_PKI");
    snprintf(instance, sizeof instance, "relay-%u-%d", number, (int)getpid());
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    snprintf(cert, sizeof cert, "%s/tenant-service.pem", pki);
    snprintf(key, sizeof key, "%s/tenant-service.key", pki);
    snprintf(seed, sizeof seed, "%s/tenant-service.nk", env("STACK_NATS_CREDS"));
    settings.database_url = env("STACK_RELAY_URL");
    settings.nats = (struct jetstream_settings){.url = rig.nats_url != NULL ? rig.nats_url
                                                                            : env("STACK_NATS_URL"),
                                                .seed_file = seed,
                                                .ca_file = ca,
                                                .cert_file = cert,
                                                .key_file = key,
                                                .name = instance};
    settings.instance = instance;
    struct metrics *metrics = metrics_new();
    const struct log log = {.fd = STDERR_FILENO, .level = LOG_WARN, .service = "relay"};
    struct relay *relay = NULL;
    signal(SIGTERM, on_term);
    if (relay_start(&settings, metrics, getenv("RIG_LOGS") != NULL ? &log : NULL, &relay) != OK)
        _exit(9);
    while (!relay_ends) {
        relay_report_fill(relay, metrics, &rig.shared->relays[number]);
        sleep_ms(10);
    }
    relay_stop(relay);
    metrics_free(metrics);
    _exit(0);
}

static inline void relay_spawn_with(unsigned number, const struct relay_settings *settings)
{
    memset(&rig.shared->relays[number], 0, sizeof rig.shared->relays[number]);
    rig.relays[number] = child_fork();
    if (rig.relays[number] == 0)
        relay_main_of(number, *settings);
}

static inline struct relay_settings relay_defaults(void)
{
    return (struct relay_settings){
        .source = &rig_source,
        .region = "eu",
        .streams = {.replicas = 1, .max_age_s = 30 * 86400, .duplicate_window_s = 120},
        .window = 1000,
        .lease_ttl_ns = LEASE_TTL_NS,
        .ack_timeout_ns = NS_PER_S,
    };
}

static inline void relay_spawn(unsigned number)
{
    const struct relay_settings settings = relay_defaults();
    relay_spawn_with(number, &settings);
}

/* SIGTERM: a clean end within its bound. */
static inline void relay_end(unsigned number)
{
    int status = 0;
    kill(rig.relays[number], SIGTERM);
    for (int ms = 0; ms < 15000; ms += 10) {
        if (waitpid(rig.relays[number], &status, WNOHANG) == rig.relays[number]) {
            rig.relays[number] = 0;
            ck_assert_int_eq(status, 0);
            return;
        }
        sleep_ms(10);
    }
    ck_abort_msg("relay %u does not end", number);
}

static inline void relay_kill(unsigned number)
{
    kill(rig.relays[number], SIGKILL);
    waitpid(rig.relays[number], NULL, 0);
    rig.relays[number] = 0;
}

/* --- waiting and checking ------------------------------------------------------------------------ */

static inline uint64_t published_by_all(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < RELAYS_MAX; i++)
        sum += rig.shared->relays[i].published + rig.shared->relays[i].settled_late;
    return sum;
}

#define wait_for(condition, seconds)                                                               \
    do {                                                                                           \
        uint64_t end_ = deadline_after(clock_now(), (seconds)*NS_PER_S);                           \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_now() < end_, "not within %d s: %s", (int)(seconds), #condition);  \
            sleep_ms(10);                                                                          \
        }                                                                                          \
    } while (0)

/* Until the outbox is empty, seen by a stock client. */
static inline void drained_within(unsigned seconds)
{
    uint64_t end = deadline_after(clock_now(), seconds * NS_PER_S);
    while (shell(RIG "sql 'SELECT count(*) FROM tenant.outbox' | grep -qx 0") != 0)
        ck_assert_msg(clock_now() < end, "the outbox is not empty after %u s", seconds);
}

static inline void all_is_right(void)
{
    if (rig.shared->uncertain > 0)
        ck_assert_int_eq(shell(RIG "check"), 0);
    else
        ck_assert_int_eq(shell(RIG "check %llu", (unsigned long long)rig.shared->committed), 0);
}

static inline void rig_setup(void)
{
    rig = (struct rig){.nats_url = NULL};
    rig.shared =
        mmap(NULL, sizeof *rig.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(rig.shared, MAP_FAILED);
    ck_assert_int_eq(shell(RIG "reset"), 0);
    tenants_create();
}

/* Whatever a failed test left. */
static inline void rig_teardown(void)
{
    for (unsigned i = 0; i < RELAYS_MAX; i++) {
        if (rig.relays[i] > 0) {
            kill(rig.relays[i], SIGCONT);
            relay_kill(i);
        }
    }
    munmap(rig.shared, sizeof *rig.shared);
}

#endif
