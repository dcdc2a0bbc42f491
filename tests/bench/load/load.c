/* Load on a gRPC server over mTLS, and what it cost the server: a closed loop of unary calls on
 * `connections` × `streams`, each answer checked (grpc-status 0, the message's length).  Prints one JSON
 * object: calls, errors, latencies, and the CPU of the server's process in the same time.
 *
 * Stands alone: links nothing of the service. */
#include "load.h"

#include "../process_cpu.h"

#include <openssl/err.h>

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define DRAIN_NS (5 * NS_PER_S) /* for the last answers */

struct measured {
    uint64_t wall_ns;
    uint64_t cpu_ns;
    uint64_t own_cpu_ns;
};

static bool options_read(struct load *load, int argc, char **argv);
static SSL_CTX *tls_make(const struct load *load);
static bool open_all(struct load *load, struct connection **connections);
static int hold_idle(struct load *load);
static struct measured run(struct load *load, struct connection **connections);
static void turn(struct load *load, struct connection **connections, int timeout_ms);
static void renew(struct load *load, struct connection **connections, struct connection *ended);
static void print_result(const struct load *load, const struct measured *measured);

int main(int argc, char **argv)
{
    static struct load load = {
        .path = "", .connections = 1, .streams = 1, .seconds = 5, .warmup = 0.5, .open_rate = 150,
        .expect_bytes = -1, .bytes_min = SIZE_MAX};
    signal(SIGPIPE, SIG_IGN);
    if (!options_read(&load, argc, argv) || (!load.idle && !requests_read(&load)))
        return 2;
    load.tls = tls_make(&load);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.began_ns = now_ns();
    struct connection **connections = calloc((size_t)load.connections, sizeof(void *));
    if (load.tls == NULL || !open_all(&load, connections)) {
        fprintf(stderr, "load: %s\n", load.first_error);
        return 1;
    }
    if (load.idle)
        return hold_idle(&load);
    struct measured measured = run(&load, connections);
    print_result(&load, &measured);
    for (int i = 0; i < load.connections; i++)
        connection_close(connections[i]);
    SSL_CTX_free(load.tls);
    return load.errors == 0 && load.calls > 0 ? 0 : 1;
}

void load_error(struct load *load, const char *format, ...)
{
    load->errors++;
    if (load->first_error[0] != '\0')
        return;
    va_list values;
    va_start(values, format);
    vsnprintf(load->first_error, sizeof load->first_error, format, values);
    va_end(values);
}

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

bool call_is_due(const struct load *load)
{
    return load->pace <= 0 || now_ns() >= call_due_ns(load);
}

uint64_t call_due_ns(const struct load *load)
{
    if (load->pace <= 0)
        return now_ns();
    return load->began_ns + (uint64_t)((double)load->issued / load->pace * (double)NS_PER_S);
}

static const struct option known[] = {
    {"addr", required_argument, NULL, 'a'},     {"pki", required_argument, NULL, 'k'},
    {"as", required_argument, NULL, 'i'},       {"path", required_argument, NULL, 'p'},
    {"requests", required_argument, NULL, 'r'}, {"connections", required_argument, NULL, 'c'},
    {"streams", required_argument, NULL, 's'},  {"seconds", required_argument, NULL, 't'},
    {"warmup", required_argument, NULL, 'w'},   {"count", required_argument, NULL, 'n'},
    {"expect", required_argument, NULL, 'e'},   {"pid", required_argument, NULL, 'P'},
    {"rate", required_argument, NULL, 'R'},     {"idle", no_argument, NULL, 'I'},
    {"pace", required_argument, NULL, 'C'},
    {NULL, 0, NULL, 0},
};

static bool options_read(struct load *load, int argc, char **argv)
{
    static char cert[512], key[512], ca[512], host[128];
    const char *pki = NULL, *identity = "admin";
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'a':
            snprintf(host, sizeof host, "%s", optarg);
            break;
        case 'k': pki = optarg; break;
        case 'i': identity = optarg; break;
        case 'p': load->path = optarg; break;
        case 'r': load->requests_file = optarg; break;
        case 'c': load->connections = (int)strtol(optarg, NULL, 10); break;
        case 's': load->streams = (int)strtol(optarg, NULL, 10); break;
        case 't': load->seconds = strtod(optarg, NULL); break;
        case 'w': load->warmup = strtod(optarg, NULL); break;
        case 'n': load->count = strtoull(optarg, NULL, 10); break;
        case 'e': load->expect_bytes = strtol(optarg, NULL, 10); break;
        case 'P': load->pid = (int)strtol(optarg, NULL, 10); break;
        case 'R': load->open_rate = strtod(optarg, NULL); break;
        case 'C': load->pace = strtod(optarg, NULL); break;
        case 'I': load->idle = true; break;
        default: return false;
        }
    }
    char *colon = strrchr(host, ':');
    bool complete = colon != NULL && pki != NULL && load->connections > 0 && load->streams > 0 &&
                    (load->idle || load->requests_file != NULL) && load->open_rate > 0;
    if (!complete) {
        fprintf(stderr, "usage: load --addr HOST:PORT --pki FOLDER [--as NAME] --path /S/M --requests FILE\n"
                        "  [--connections N] [--streams N] [--seconds S | --count N] [--warmup S]\n"
                        "  [--expect BYTES] [--pid PID] [--rate CONNECTIONS/S] [--pace CALLS/S] [--idle]\n");
        return false;
    }
    *colon = '\0';
    snprintf(cert, sizeof cert, "%s/%s.pem", pki, identity);
    snprintf(key, sizeof key, "%s/%s.key", pki, identity);
    snprintf(ca, sizeof ca, "%s/ca.pem", pki);
    load->host = host, load->port = colon + 1;
    load->cert = cert, load->key = key, load->ca = ca;
    return true;
}

static SSL_CTX *tls_make(const struct load *load)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls, 1);
    bool done = SSL_CTX_load_verify_file(tls, load->ca) == 1 &&
                SSL_CTX_use_certificate_chain_file(tls, load->cert) == 1 &&
                SSL_CTX_use_PrivateKey_file(tls, load->key, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_set_alpn_protos(tls, (const unsigned char *)"\x02h2", 3) == 0;
    if (done)
        return tls;
    ERR_print_errors_fp(stderr);
    return NULL;
}

static bool open_all(struct load *load, struct connection **connections)
{
    uint64_t pause = (uint64_t)((double)NS_PER_S / load->open_rate);
    const struct timespec wait = {.tv_nsec = (long)(pause < NS_PER_S ? pause : NS_PER_S - 1)};
    for (int i = 0; i < load->connections; i++) {
        connections[i] = connection_open(load);
        if (connections[i] == NULL || !connection_turn(connections[i]))
            return false;
        if (load->connections > 20) {
            nanosleep(&wait, NULL);
            for (int seen = 0; load->idle && seen <= i; seen += 64)
                turn(load, connections, 0);
        }
    }
    return true;
}

/* The reader of our stdout measures while we hold the connections open. */
static int hold_idle(struct load *load)
{
    printf("open %d\n", load->connections);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

static struct measured run(struct load *load, struct connection **connections)
{
    uint64_t began = load->began_ns = now_ns();
    if (load->pace > 0)
        load->issued = load->in_flight;
    uint64_t warm = began + (uint64_t)(load->warmup * (double)NS_PER_S);
    while (load->count == 0 && now_ns() < warm)
        turn(load, connections, 10);
    load->measuring = true;
    uint64_t start = now_ns();
    uint64_t end = start + (uint64_t)(load->seconds * (double)NS_PER_S);
    struct measured m = {.cpu_ns = process_cpu_ns(load->pid), .own_cpu_ns = process_cpu_ns(getpid())};
    while (load->count > 0 ? load->calls + load->errors < load->count : now_ns() < end) {
        turn(load, connections, 10);
        if (load->errors > 1000)
            break; /* nothing will come of it */
    }
    m.cpu_ns = process_cpu_ns(load->pid) - m.cpu_ns;
    m.own_cpu_ns = process_cpu_ns(getpid()) - m.own_cpu_ns;
    m.wall_ns = now_ns() - start;
    load->measuring = false;
    load->stopping = true;
    uint64_t last = now_ns() + DRAIN_NS;
    while (load->in_flight > 0 && now_ns() < last)
        turn(load, connections, 10);
    if (load->in_flight > 0)
        load_error(load, "%lu calls were never answered", (unsigned long)load->in_flight);
    return m;
}

static void turn(struct load *load, struct connection **connections, int timeout_ms)
{
    struct epoll_event events[64];
    int count = epoll_wait(load->epoll, events, 64, load->pace > 0 ? 0 : timeout_ms);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        bool lives = connection_turn(connection);
        if (!lives || connection_is_spent(connection))
            renew(load, connections, connection);
    }
    for (int i = 0; load->pace > 0 && i < load->connections && call_is_due(load); i++) {
        struct connection *connection = connections[load->next_connection];
        load->next_connection = (load->next_connection + 1) % load->connections;
        if (!connection_turn(connection) || connection_is_spent(connection))
            renew(load, connections, connection);
    }
}

/* A server ends a connection after so many requests or minutes: GOAWAY, then a new one takes over. */
static void renew(struct load *load, struct connection **connections, struct connection *ended)
{
    for (int i = 0; i < load->connections; i++) {
        if (connections[i] != ended)
            continue;
        if (!connection_is_spent(ended))
            load_error(load, "a connection ended with calls open");
        connection_close(ended);
        load->reopened++;
        connections[i] = connection_open(load);
        if (connections[i] == NULL) {
            fprintf(stderr, "load: %s\n", load->first_error);
            exit(1);
        }
        (void)connection_turn(connections[i]);
    }
}

static void print_result(const struct load *load, const struct measured *m)
{
    double seconds = (double)m->wall_ns / (double)NS_PER_S;
    double calls = load->calls > 0 ? (double)load->calls : 1;
    printf("{\"calls\": %lu, \"errors\": %lu, \"first_error\": \"", (unsigned long)load->calls,
           (unsigned long)load->errors);
    for (const char *c = load->first_error; *c != '\0'; c++)
        putchar(*c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? ' ' : *c);
    printf("\", \"seconds\": %.4f, \"calls_per_s\": %.1f, ", seconds, (double)load->calls / seconds);
    printf("\"connections\": %d, \"streams\": %d, \"reopened\": %lu, \"retried\": %lu, ",
           load->connections, load->streams, (unsigned long)load->reopened,
           (unsigned long)load->retried);
    printf("\"message_bytes_min\": %zu, \"message_bytes_max\": %zu, ",
           load->calls > 0 ? load->bytes_min : 0, load->bytes_max);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ",
           (double)histogram_at(&load->latency, 0.5) / 1e3,
           (double)histogram_at(&load->latency, 0.9) / 1e3,
           (double)histogram_at(&load->latency, 0.99) / 1e3, (double)load->latency.max / 1e3);
    printf("\"server_cpu_s\": %.6f, \"server_cpu_us_per_call\": %.4f, \"client_cpu_us_per_call\": "
           "%.4f}\n",
           (double)m->cpu_ns / 1e9, (double)m->cpu_ns / 1e3 / calls,
           (double)m->own_cpu_ns / 1e3 / calls);
}
