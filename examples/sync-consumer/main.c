/* sync-consumer: keeps a replica of all tenants exactly in step, by their events.
 *
 * The reference of how libtenant-events is used with PostgreSQL; `sync-consumer --help` and README.md. */
#include "replica.h"
#include "reread.h"

#include <tenant/events.h>
#include <tenant/events_metrics.h>

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define METRICS_SIZE 65536

static const char help[] =
    "usage: sync-consumer --nats URL --database URL [OPTION...]\n"
    "\n"
    "Keeps the table tenant_replica exactly in step with tenant-service, by its events.  Several processes with the\n"
    "same --group share the work.  Ends with status 0 on SIGTERM and SIGINT.\n"
    "\n"
    "  --nats URL            tls://host:port, several separated by commas\n"
    "  --seed FILE           NKey seed\n"
    "  --ca FILE             PEM: whom to believe\n"
    "  --cert FILE           PEM: who we are\n"
    "  --key FILE            PEM: its key\n"
    "  --database URL        postgresql://…, direct or through a pooler in session mode\n"
    "  --schema NAME         where the tables are (sync_consumer); [a-z_][a-z0-9_]*\n"
    "  --group NAME          consumer group (sync-service)\n"
    "  --member NAME         this process's name in the group (made up)\n"
    "  --from all|new        where a new group begins (all)\n"
    "  --service HOST:PORT   tenant-service: rows in doubt are read anew by RPC, with the same --ca, --cert and --key\n"
    "  --server-name NAME    name in its certificate, if not the address's\n"
    "  --metrics-file FILE   Prometheus text, written anew every second\n"
    "  --ack-wait-ms N       an event is delivered again when it is not done by then (30000)\n"
    "  --lease-ttl-ms N      a member that is silent for so long is dead (10000)\n"
    "  --create-schema       make the tables where they are missing, then go on\n"
    "  --print-schema        print what --create-schema would run, and end\n"
    "  --help                this text\n";

struct options {
    struct tenant_consumer_settings settings;
    struct replica replica;
    struct tenant_client_options service; /* .address NULL: rows in doubt wait for their next events */
    struct reread *reread;                /* NULL likewise */
    const char *metrics_file;
    bool create_schema;
    bool print_schema;
};

/* A signal's handler finds the consumer here. */
static _Atomic(struct tenant_consumer *) running;
static _Atomic bool ended;

static void on_signal(int number)
{
    (void)number;
    struct tenant_consumer *consumer = running;
    if (consumer != NULL)
        tenant_consumer_stop(consumer);
}

static void notice(void *context, int level, const char *text)
{
    static const char *const names[] = {"info", "warning", "error"};
    (void)context;
    fprintf(stderr, "sync-consumer: %s: %s\n", names[level], text);
}

static bool metrics_print(struct options *options, FILE *file)
{
    char text[METRICS_SIZE];
    (void)tenant_consumer_metrics(running, text, sizeof text);
    bool good = fputs(text, file) >= 0;
    if (options->reread != NULL)
        reread_metrics(options->reread, file);
    return good && ferror(file) == 0;
}

/* Written beside and renamed, so that nobody reads half of it. */
static void *write_metrics(void *argument)
{
    struct options *options = argument;
    char *fresh = NULL;
    if (asprintf(&fresh, "%s.new", options->metrics_file) < 0)
        abort();
    for (bool last = false; !last;) {
        last = ended;
        FILE *file = fopen(fresh, "w");
        bool good = file != NULL && metrics_print(options, file);
        good = (file == NULL || fclose(file) == 0) && good;
        if (!good || rename(fresh, options->metrics_file) != 0)
            perror("sync-consumer: metrics");
        for (int i = 0; i < 10 && !last && !ended; i++)
            nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    }
    free(fresh);
    return NULL;
}

static unsigned number(const char *name, const char *text)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > 3600000) {
        fprintf(stderr, "sync-consumer: --%s: \"%s\" is no number of milliseconds up to an hour\n", name, text);
        exit(2);
    }
    return (unsigned)value;
}

static const char *identifier(const char *name, const char *text)
{
    if (text[0] == '\0' || strlen(text) > 63 || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(text) ||
        (text[0] >= '0' && text[0] <= '9')) {
        fprintf(stderr, "sync-consumer: --%s: \"%s\" must be [a-z_][a-z0-9_]*, at most 63 characters\n", name, text);
        exit(2);
    }
    return text;
}

static enum tenant_start start_of(const char *text)
{
    if (strcmp(text, "all") == 0)
        return TENANT_START_ALL;
    if (strcmp(text, "new") == 0)
        return TENANT_START_NEW;
    fprintf(stderr, "sync-consumer: --from: must be all or new\n");
    exit(2);
}

static void take(struct options *options, const char *name)
{
    struct tenant_consumer_settings *settings = &options->settings;
    const struct {
        const char *name;
        const char **place;
    } texts[] = {{"nats", &settings->url},       {"seed", &settings->seed_file},     {"ca", &settings->ca_file},
                 {"cert", &settings->cert_file}, {"key", &settings->key_file},       {"group", &settings->group},
                 {"member", &settings->member},  {"database", &options->replica.url}, {"metrics-file", &options->metrics_file},
                 {"service", &options->service.address}, {"server-name", &options->service.server_name}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0)
            *texts[i].place = optarg;
    }
    if (strcmp(name, "schema") == 0)
        options->replica.schema = identifier(name, optarg);
    if (strcmp(name, "from") == 0)
        settings->start = start_of(optarg);
    if (strcmp(name, "ack-wait-ms") == 0)
        settings->ack_wait_ms = number(name, optarg);
    if (strcmp(name, "lease-ttl-ms") == 0)
        settings->lease_ttl_ms = number(name, optarg);
    options->create_schema = options->create_schema || strcmp(name, "create-schema") == 0;
    options->print_schema = options->print_schema || strcmp(name, "print-schema") == 0;
    if (strcmp(name, "help") == 0) {
        fputs(help, stdout);
        exit(0);
    }
}

static void parse(struct options *options, int argc, char **argv)
{
    static const char *const with[] = {"nats", "seed",   "ca",   "cert",         "key",         "database",    "schema",
                                       "group", "member", "from", "metrics-file", "ack-wait-ms", "lease-ttl-ms",
                                       "service", "server-name"};
    static const char *const without[] = {"create-schema", "print-schema", "help"};
    struct option known[19] = {{0}};
    int count = 0;
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
        known[count++] = (struct option){with[i], required_argument, NULL, 0};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        known[count++] = (struct option){without[i], no_argument, NULL, 0};
    int which = 0, code = 0;
    while ((code = getopt_long(argc, argv, "", known, &which)) == 0)
        take(options, known[which].name);
    if (code != -1 || optind != argc) {
        fputs("try sync-consumer --help\n", stderr);
        exit(2);
    }
}

/* Beside the consumer, with the files that it has too. */
static bool begin_reread(struct options *options)
{
    if (options->service.address == NULL)
        return true;
    options->service.ca_file = options->settings.ca_file;
    options->service.cert_file = options->settings.cert_file;
    options->service.key_file = options->settings.key_file;
    options->reread = reread_start(&options->service, &options->replica);
    return options->reread != NULL;
}

static int follow(struct options *options)
{
    struct tenant_consumer *consumer = NULL;
    struct tenant_consumer_error error;
    pthread_t writer;
    if (tenant_consumer_new(&options->settings, &consumer, &error) != TENANT_CONSUMER_OK) {
        fprintf(stderr, "sync-consumer: %s\n", error.text);
        return 2;
    }
    running = consumer;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* libpq's sockets */
    bool writes = options->metrics_file != NULL &&
                  pthread_create(&writer, NULL, write_metrics, options) == 0;
    tenant_consumer_run(consumer);
    ended = true;
    if (writes)
        pthread_join(writer, NULL);
    running = NULL;
    tenant_consumer_free(consumer);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .settings = TENANT_CONSUMER_SETTINGS,
        .replica = {.schema = "sync_consumer"},
    };
    options.settings.group = "sync-service";
    parse(&options, argc, argv);
    if (options.print_schema) {
        char *text = replica_ddl(&options.replica);
        printf("%s", text);
        free(text);
        return 0;
    }
    if (options.settings.url == NULL || options.replica.url == NULL) {
        fputs("sync-consumer: --nats and --database must be given; try --help\n", stderr);
        return 2;
    }
    options.replica.group = options.settings.group;
    options.settings.context = &options.replica;
    options.settings.handle = replica_apply;
    options.settings.load = replica_load;
    options.settings.store = replica_store;
    options.settings.handler_keeps_positions = true;
    options.settings.notice = notice;
    if (options.create_schema && !replica_create(&options.replica))
        return 1;
    if (!begin_reread(&options))
        return 2;
    int status = follow(&options);
    reread_stop(options.reread);
    replica_close(&options.replica);
    return status;
}
