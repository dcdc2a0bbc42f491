/* The connections of the process as grpc.channelz.v1 tells of them: counts, addresses, certificates.
 *
 * Every worker enters its own; anyone may look.  One lock for all, held to enter, to leave and to copy, never
 * over a wait; the counts themselves are written without it. */
#ifndef RPC_SOCKETS_H
#define RPC_SOCKETS_H

#include "base/arena.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct socket_registry;

enum traffic_count {
    TRAFFIC_STREAMS,        /* begun by the peer */
    TRAFFIC_STREAMS_OK,     /* that we ended with END_STREAM … */
    TRAFFIC_STREAMS_FAILED, /* … and that ended otherwise */
    TRAFFIC_SENT,           /* messages */
    TRAFFIC_RECEIVED,
    TRAFFIC_PINGS, /* sent */
    TRAFFIC_CALLS, /* gRPC calls begun */
    TRAFFIC_CALLS_OK,
    TRAFFIC_CALLS_FAILED,
    TRAFFIC_COUNTS
};
enum traffic_time { LAST_STREAM, LAST_SENT, LAST_RECEIVED, TRAFFIC_TIMES };
enum traffic_window {
    WINDOW_TO_PEER, /* what the peer lets us send, as of the last sweep … */
    WINDOW_TO_US,   /* … and we let it */
    TRAFFIC_WINDOWS
};

struct socket_address {
    size_t size; /* of the IP address: 4 or 16; 0: not known */
    uint8_t bytes[16];
    uint16_t port;
};

#define SOCKET_NAME_SIZE 46 /* of the longest numeric address, with its terminator */

struct socket_name {
    char address[SOCKET_NAME_SIZE]; /* numeric */
    uint16_t port;
};

/* Of the other end of a connected socket; port 0: it has none. */
void socket_peer_name(int fd, struct socket_name *name);

/* A copy; what it points to lies in the arena given. */
struct socket_view {
    int64_t id;              /* asked for … */
    bool wants_certificates; /* … and whether with these */
    bool listens;
    struct socket_address local;
    struct socket_address remote;
    const char *peer;             /* URI of its certificate; NULL: none */
    const char *cipher;           /* constant; NULL without TLS */
    struct slice own_certificate; /* DER; empty where not asked for */
    struct slice peer_certificate;
    uint64_t counts[TRAFFIC_COUNTS];
    uint64_t times[TRAFFIC_TIMES]; /* ns since 1970; 0: never */
    int64_t windows[TRAFFIC_WINDOWS];
};

/* The server as a whole: sums over its connections, gone ones included. */
struct server_view {
    int64_t id;
    int64_t listener; /* 0: none */
    uint64_t counts[TRAFFIC_COUNTS];
    uint64_t last_call_ns; /* since 1970; 0: never */
};

void sockets_view_server(struct socket_registry *registry, struct server_view *view);
/* The ids of at most `max` connections from `start` on, ascending; fills ids, count and end. */
struct socket_page {
    int64_t start;
    size_t max;
    int64_t *ids;
    size_t count;
    bool end; /* there are no more */
};
void sockets_list(struct socket_registry *registry, struct socket_page *page);
/* Fills what is not asked for.  False: there is none with view->id (any more). */
bool sockets_view(struct socket_registry *registry, struct arena *arena, struct socket_view *view);

#endif
