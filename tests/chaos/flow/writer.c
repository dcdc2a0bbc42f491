/* Writes events by the tens of thousands: the service's own write of a tenant (lock, update, audit row, event)
 * without the RPC around it, and with several events in each transaction.  The login, the row-level security, PgBouncer
 * and every statement are the service's, because it calls the store and events rooms.
 *
 *     writer CONTROL LOGS SEED THREADS TENANTS BATCH PAUSE-US
 *
 * CONTROL is a file of struct control that both sides map: the other one raises the budget and ends the run.  In
 * the folder LOGS each thread leaves THREAD.log, one struct record per event, in the order of its doing.  Needs a
 * migrated stack (STACK_DATABASE_URL). */
#include "base/clock.h"

#include "events/outbox.h"
#include "store/audit_store.h"
#include "store/outbox_store.h"
#include "store/store.h"
#include "store/tenant_store.h"

#include "gen/errors.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define THREADS_MAX 64
#define BATCH_MAX 16 /* a transaction keeps at most 24 answers */
#define RUN_EVENTS 8 /* with the change and its audit row the most that fit into one run */
#define MARK_SIZE 16
#define PADDING_MAX 600
#define PATIENCE_NS (10 * NS_PER_S)

/* Little-endian numbers that books.py reads, too. */
struct control {
    _Atomic uint64_t budget; /* theirs: events that may be begun, counted from the start */
    _Atomic uint64_t stop;   /* theirs: end */
    _Atomic uint64_t begun;
    _Atomic uint64_t committed;
    _Atomic uint64_t refused; /* of transactions that certainly did not happen */
    _Atomic uint64_t unknown; /* of those that nobody knows of */
    _Atomic uint64_t open;    /* of transactions that are open now */
    _Atomic uint64_t ready;   /* 1: the tenants are there */
};

enum fate { FATE_COMMITTED = 1, FATE_REFUSED, FATE_UNKNOWN };

struct record {
    uint8_t tenant[16];
    char mark[MARK_SIZE]; /* "b3-17": the display name that the event carries */
    int64_t sequence;     /* 0 unless it is committed */
    int64_t incarnation;
    uint32_t transaction; /* of this thread, from 1 */
    uint32_t fate;
};

struct options {
    const char *logs;
    uint64_t seed;
    unsigned threads, tenants, batch, pause_us;
};

struct writer {
    unsigned number;
    pthread_t thread;
    uint64_t random;
    struct store *store;
    struct ctx ctx;
    FILE *log;
    uint64_t marks;
    uint32_t transactions;
};

static struct control *control;
static struct options options;
static struct uuid *tenants;
static struct writer writers[THREADS_MAX];
static char padding[PADDING_MAX + 1];
static const struct event_source source = {
    .service = "tenant-service", .instance = "flow-writer", .commit = "0"};

static void die(const char *what)
{
    fprintf(stderr, "writer: %s\n", what);
    exit(1);
}

/* SplitMix64: the same seed gives the same choices. */
static uint64_t choose(struct writer *writer, uint64_t bound)
{
    uint64_t z = writer->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % bound;
}

static void writer_open(struct writer *writer, unsigned number)
{
    char path[512];
    const struct store_settings settings = {.urls = {[LOGIN_APP] = getenv("STACK_DATABASE_URL")},
                                            .sizes = {[LOGIN_APP] = 1}};
    *writer = (struct writer){.number = number, .random = options.seed * 1000 + number};
    ctx_init(&writer->ctx, NULL, arena_new(0));
    if (store_open(&writer->ctx, NULL, &settings, NULL, &writer->store) != OK)
        die(ctx_fault_text(&writer->ctx));
    snprintf(path, sizeof path, "%s/%u.log", options.logs, number);
    writer->log = fopen(path, "we");
    if (writer->log == NULL)
        die(path);
}

static void writer_close(struct writer *writer)
{
    store_close(writer->store);
    arena_free(writer->ctx.arena);
    if (fclose(writer->log) != 0)
        die("a log cannot be written");
}

/* --- what is written ----------------------------------------------------------------------------- */

struct batch {
    struct uuid tenant;
    size_t count;
    struct record records[BATCH_MAX];
    struct rows points[BATCH_MAX];
};

/* The next mark of this thread becomes the tenant's name. */
static void mark_next(struct writer *writer, struct batch *batch, struct tenant *tenant)
{
    struct record *record = &batch->records[batch->count];
    memset(record, 0, sizeof *record);
    memcpy(record->tenant, batch->tenant.bytes, sizeof record->tenant);
    snprintf(record->mark, MARK_SIZE, "b%u-%llu", writer->number,
             (unsigned long long)writer->marks++);
    tenant->display_name = record->mark;
}

static void audit_tell(struct tx *tx, const struct tenant *tenant, const char *action)
{
    const char *changed = "display_name";
    const struct audit_entry entry = {
        .id = uuid_new(),
        .at_us = tenant->update_time_us,
        .tenant_id = tenant->id,
        .action = action,
        .reason = "",
        .changed = &changed,
        .changed_count = 1,
        .version = tenant->version,
    };
    audit_store_append(tx, &entry);
}

static int event_tell(struct tx *tx, struct batch *batch, enum event_kind kind,
                      const struct tenant *tenant)
{
    const struct event event = {
        .kind = kind,
        .source = &source,
        .tenant = tenant,
        .changed_fields = kind == EVENT_ORG_UPDATED ? TENANT_FIELD_DISPLAY_NAME : 0,
    };
    return outbox_append(tx, &event, &batch->points[batch->count++]);
}

static int create(struct writer *writer, struct tx *tx, struct batch *batch)
{
    char slug[64];
    char id[UUID_TEXT_SIZE];
    uuid_format(&batch->tenant, id);
    snprintf(slug, sizeof slug, "flow-%s", id);
    uint64_t now_us = clock_wall() / NS_PER_US;
    struct tenant tenant = {.id = batch->tenant,
                            .slug = slug,
                            .home_region = REGION_EU,
                            .create_time_us = now_us,
                            .update_time_us = now_us,
                            .version = 1};
    tenant.labels = (struct string_map){&(struct string_pair){"p", padding}, 1};
    mark_next(writer, batch, &tenant);
    tenant_defaults(&tenant);
    tenant_store_insert(tx, &tenant);
    audit_tell(tx, &tenant, "tenant.create");
    return event_tell(tx, batch, EVENT_ORG_PROVISIONED, &tenant);
}

/* One change of the tenant, told in as many events, each of another size. */
static int change(struct writer *writer, struct tx *tx, struct batch *batch, size_t count)
{
    struct tenant tenant;
    struct string_pair pair = {"p", padding};
    TRY(tenant_store_lock(tx, &batch->tenant, &tenant));
    tenant.version++;
    tenant.update_time_us = clock_wall() / NS_PER_US;
    tenant.labels = (struct string_map){&pair, 1};
    tenant_store_update(tx, &tenant);
    audit_tell(tx, &tenant, "tenant.update");
    while (batch->count < count) {
        pair.value = padding + choose(writer, PADDING_MAX);
        mark_next(writer, batch, &tenant);
        TRY(event_tell(tx, batch, EVENT_ORG_UPDATED, &tenant));
        if (batch->count % RUN_EVENTS == 0 && batch->count < count)
            TRY(tx_run(tx));
    }
    /* An open transaction with its numbers taken: others overtake it. */
    if (options.pause_us > 0 && choose(writer, 4) == 0) {
        TRY(tx_run(tx));
        usleep((unsigned)choose(writer, options.pause_us));
    }
    return OK;
}

/* --- transactions -------------------------------------------------------------------------------- */

static void batch_log(struct writer *writer, struct batch *batch, struct tx *tx, int rc)
{
    uint32_t fate = rc == OK                 ? FATE_COMMITTED
                    : rc == COMMIT_UNCERTAIN ? FATE_UNKNOWN
                                             : FATE_REFUSED;
    for (size_t i = 0; i < batch->count; i++) {
        struct record *record = &batch->records[i];
        struct outbox_point point = {.sequence = 0};
        if (rc == OK && outbox_store_read_point(tx, &batch->points[i], &point) != OK)
            die(ctx_fault_text(&writer->ctx));
        record->sequence = point.sequence;
        record->incarnation = point.seen.epoch.incarnation;
        record->transaction = writer->transactions;
        record->fate = fate;
    }
    if (fwrite(batch->records, sizeof batch->records[0], batch->count, writer->log) != batch->count)
        die("a log cannot be written");
    atomic_fetch_add(fate == FATE_COMMITTED ? &control->committed
                     : fate == FATE_UNKNOWN ? &control->unknown
                                            : &control->refused,
                     batch->count);
}

/* count 0: the tenant is made.  The mark of a failed creation is spent: the next one has another. */
static int transaction(struct writer *writer, const struct uuid *tenant, size_t count)
{
    AUTO(tx_free_ptr) struct tx *tx = NULL;
    struct batch *batch = arena_alloc(writer->ctx.arena, sizeof *batch);
    *batch = (struct batch){.tenant = *tenant};
    writer->ctx.deadline_ns = deadline_after(clock_now(), PATIENCE_NS);
    writer->transactions++;
    int rc = tx_begin(writer->store, &writer->ctx, TX_WRITE, tenant, &tx);
    if (rc == OK)
        rc = count == 0 ? create(writer, tx, batch) : change(writer, tx, batch, count);
    if (rc == OK)
        rc = tx_commit(tx);
    batch_log(writer, batch, tx, rc);
    return rc;
}

/* False: nothing may be begun now. */
static bool budget_take(uint64_t count)
{
    uint64_t begun = atomic_load(&control->begun);
    while (begun + count <= atomic_load(&control->budget)) {
        if (atomic_compare_exchange_weak(&control->begun, &begun, begun + count))
            return true;
    }
    return false;
}

static void *writer_main(void *argument)
{
    struct writer *writer = argument;
    while (atomic_load(&control->stop) == 0) {
        size_t count = 1 + choose(writer, options.batch);
        if (!budget_take(count)) {
            usleep(1000);
            continue;
        }
        arena_reset(writer->ctx.arena);
        atomic_fetch_add(&control->open, count);
        int rc = transaction(writer, &tenants[choose(writer, options.tenants)], count);
        atomic_fetch_sub(&control->open, count);
        if (rc != OK)
            usleep(20000);
    }
    return NULL;
}

/* --- the run ------------------------------------------------------------------------------------- */

static void control_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof *control) != 0)
        die(path);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        die(path);
    close(fd);
}

static void tenants_create(struct writer *writer)
{
    tenants = calloc(options.tenants, sizeof *tenants);
    for (unsigned i = 0; i < options.tenants; i++) {
        tenants[i] = uuid_new();
        arena_reset(writer->ctx.arena);
        int rc = transaction(writer, &tenants[i], 0);
        if (rc != OK)
            die(rc > 0 ? error_lookup(rc)->reason : ctx_fault_text(&writer->ctx));
    }
    atomic_store(&control->ready, 1);
}

static unsigned number_of(const char *text, unsigned least, unsigned most)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || end == text || value < least || value > most)
        die("a number is out of its range");
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    if (argc != 8 || getenv("STACK_DATABASE_URL") == NULL)
        die("usage: writer CONTROL LOGS SEED THREADS TENANTS BATCH PAUSE-US, with a stack's environment");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* the one who started us ends us */
    options = (struct options){.logs = argv[2],
                               .seed = number_of(argv[3], 0, UINT32_MAX),
                               .threads = number_of(argv[4], 1, THREADS_MAX),
                               .tenants = number_of(argv[5], 1, 100000),
                               .batch = number_of(argv[6], 1, BATCH_MAX),
                               .pause_us = number_of(argv[7], 0, 1000000)};
    memset(padding, 'x', PADDING_MAX);
    control_map(argv[1]);
    for (unsigned i = 0; i < options.threads; i++)
        writer_open(&writers[i], i);
    tenants_create(&writers[0]);
    for (unsigned i = 0; i < options.threads; i++) {
        if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]) != 0)
            die("no thread");
    }
    for (unsigned i = 0; i < options.threads; i++)
        pthread_join(writers[i].thread, NULL);
    for (unsigned i = 0; i < options.threads; i++)
        writer_close(&writers[i]);
    free(tenants);
    return 0;
}
