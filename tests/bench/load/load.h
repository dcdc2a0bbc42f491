/* The load generator: what its parts share.  See load.c. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "histogram.h"

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADERS_MAX 8

/* One request as the file has it: the body with its gRPC prefix and headers of its own. */
struct request {
    uint8_t *body;
    size_t size;
    nghttp2_nv headers[HEADERS_MAX];
    size_t header_count;
};

struct load {
    /* set by the options */
    const char *host;
    const char *port;
    const char *cert;
    const char *key;
    const char *ca;
    const char *path;
    const char *requests_file;
    int connections;
    int streams;          /* calls in flight on each */
    double seconds;       /* how long to measure … */
    double warmup;        /* … after so long */
    uint64_t count;       /* or so many calls; 0: by time */
    double open_rate;     /* new connections a second */
    double pace;          /* calls a second, begun when they are due; 0: the next when one has ended */
    long expect_bytes;    /* the message's length in every answer; -1: any that is framed well */
    int pid;              /* whose CPU is read; 0: nobody's */
    bool idle;            /* only open the connections, say so, wait for the end of stdin */

    struct request *requests;
    size_t request_count;
    size_t next_request;
    int next_connection;  /* whose turn it is to begin a call that is due */

    /* while running */
    SSL_CTX *tls;
    int epoll;
    bool measuring;
    bool stopping;        /* begin no new calls */
    uint64_t began_ns;
    uint64_t issued;
    uint64_t in_flight;
    struct histogram latency; /* nanoseconds */
    uint64_t calls;       /* good ones while measuring */
    uint64_t errors;      /* bad ones, ever */
    uint64_t reopened;    /* connections that ended (GOAWAY, age) and were made anew */
    uint64_t retried;     /* calls that the server said it had not begun */
    size_t bytes_min;
    size_t bytes_max;
    char first_error[256];
};

struct connection;

/* Connects, shakes hands (blocking), sends the preface.  NULL with load->first_error on failure. */
struct connection *connection_open(struct load *load);
void connection_close(struct connection *connection);

/* The socket is ready: reads, answers, begins new calls, writes.  False: it has ended. */
bool connection_turn(struct connection *connection);

/* Whether the server asked for no more calls here and all have ended. */
bool connection_is_spent(const struct connection *connection);

int connection_fd(const struct connection *connection);

/* A call or connection that went wrong: counted, the first one's text is kept. */
__attribute__((format(printf, 2, 3))) void load_error(struct load *load, const char *format, ...);

uint64_t now_ns(void);

/* With a pace: whether the next call's time has come, and that time.  Latency counts from it, so that a call that
 * had to wait for a free stream is not made to look quick ("coordinated omission"). */
bool call_is_due(const struct load *load);
uint64_t call_due_ns(const struct load *load);

/* requests_file: a line each: the message in hex ("-": empty), then `name=value` headers, by blanks. */
bool requests_read(struct load *load);

#endif
